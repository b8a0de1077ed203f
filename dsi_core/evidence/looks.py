"""Exact tests that may be looked at several times: what the labels, dealt anew, would have come to.

If a model never saw D, which label a coin gave each sample says nothing about its answers: given
all answers, the true deal of labels is one more random deal. So among the true deal and many random
ones each is equally likely to have the largest statistic. A few looks are planned before the first
question and alpha is spent over them: at a look the deals with the largest statistics are rejected,
as many as are spent by then, and stay rejected. Over all looks at most a share alpha of the deals
is rejected, and so is the true one with a chance of at most alpha, whenever one stops.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, pairwise

import numpy as np
from numpy.typing import ArrayLike

LOOKS = 12  # of a test that may stop early
DEALS = 9999  # random ones, beside the true one
# Statistics this close are equal: sums of the same numbers in another order differ by less. They
# are means of similarities, of the order of 0.01 to 1.
TIE = 1e-12
BLOCK = 2**22  # labels that are dealt at once: each takes some 24 bytes
WHOLE = 1e-9  # a number of deals this close below a whole one is that one


@dataclass(frozen=True)
class Looks:
    """When a test is looked at, fixed before the first question.

    Attributes
    ----------
    after
        Samples asked by each look, rising; the last is all that are planned.
    alpha
        The chance of accusing an innocent model, over all looks together.
    exponent
        Share of alpha spent = share of the samples asked ^ exponent: 1 = evenly, 2 = less at first.
    """

    after: tuple[int, ...]
    alpha: float
    exponent: float

    def __post_init__(self) -> None:
        rises = all(a < b for a, b in pairwise((0, *self.after)))
        if not (self.after and rises and 0 < self.alpha < 1 and self.exponent > 0):
            raise ValueError(
                f"looks after {self.after} samples, alpha {self.alpha}, exponent {self.exponent}: "
                "needs rising numbers from 1, an alpha between 0 and 1 and an exponent above 0"
            )

    @property
    def planned(self) -> int:
        """Samples that are asked at most."""
        return self.after[-1]

    def spent(self, look: int) -> float:
        """Alpha spent by a look (0 = the first): alpha x (samples by then / planned)^exponent."""
        return self.alpha * (self.after[look] / self.planned) ** self.exponent

    def taken(self, asked: int) -> int:
        """How many looks are due once so many samples were asked."""
        return sum(after <= asked for after in self.after)


@dataclass(frozen=True)
class Look:
    """What one look showed.

    Attributes
    ----------
    after
        Samples asked, whatever was usable of their answers.
    statistic
        Of the true deal; higher = knows what was published better; NaN where there is none.
    p
        Share of the deals that were rejected earlier or have as large a statistic; once crossed,
        the p of the look that crossed.
    spent
        Alpha spent by now.
    crossed
        Whether the true deal is rejected, now or earlier: p <= spent, in whole deals.
    needed
        The smallest statistic that is rejected at this look; NaN where none can be.
    """

    after: int
    statistic: float
    p: float
    spent: float
    crossed: bool
    needed: float


@dataclass(frozen=True)
class ExactTest:
    """What an exact test says of a suspect.

    Attributes
    ----------
    p
        The stage-wise p-value: p of the look that found, or else of the last look planned.
        At an earlier look that did not find, p x alpha / (alpha spent so far), at most 1: about the
        smallest alpha with which this plan would have stopped here. At most alpha exactly when
        `found`; 1 before the first look.
    found
        Whether a look found evidence of training.
    found_after
        Samples asked by then; None = not found.
    usable
        Samples asked whose answers were usable.
    planned
        Samples that are asked at most.
    attainable
        The smallest p that the labels and deals allow, whatever is answered: an audit with one
        above alpha cannot find anything.
    looks
        Those taken so far.
    """

    p: float
    found: bool
    found_after: int | None
    usable: int
    planned: int
    attainable: float
    looks: tuple[Look, ...]


def planned(samples: int, alpha: float, count: int = LOOKS) -> Looks:
    """Plan looks evenly over the samples, in the order of asking; the last is after all.

    Parameters
    ----------
    samples
        How many are asked at most.
    alpha
        As `Looks` has it; it is spent evenly.
    count
        How many looks; as many as samples where there are fewer.

    Raises
    ------
    ValueError
        Without a sample or a look, or for an alpha that is not one.

    References
    ----------
    Lan and DeMets, "Discrete sequential boundaries for clinical trials", Biometrika 70 (1983).
    """
    if samples < 1 or count < 1:
        raise ValueError(f"{count} looks over {samples} samples: needs at least one of each")
    count = min(count, samples)
    return Looks(tuple(samples * k // count for k in range(1, count + 1)), alpha, exponent=1.0)


def check_samples(looks: Looks, asked: int, **planned: int) -> None:
    """Refuse fewer or more samples than the looks are planned for.

    asked: at most as many; planned: what is given of each sample, and of how many; as many.
    """
    for name, count in planned.items():
        if count != looks.planned:
            raise ValueError(f"{name} of {count} samples, but looks planned over {looks.planned}")
    if asked > looks.planned:
        raise ValueError(f"{asked} samples asked, but looks planned over {looks.planned}")


def blocks(deals: int, size: int) -> Iterator[int]:
    """Tell how many deals of `size` labels are made at once, until all are: about `BLOCK` labels.

    Multiples of 4: numpy draws random bytes in fours, so labels do not depend on the block size.
    """
    at_once = max(4, BLOCK // size // 4 * 4)
    for made in range(0, deals, at_once):
        yield min(at_once, deals - made)


def seen(coin_of: np.ndarray, usable: np.ndarray, looks: Looks) -> np.ndarray:
    """Tell which coins have a usable sample by each look taken, shape (coins, looks).

    coin_of: of each sample planned; usable: of each asked, in the order of asking.
    """
    taken = looks.after[: looks.taken(len(usable))]
    by_look = np.zeros((coin_of.max() + 1, len(taken)), bool)
    for look, after in enumerate(taken):
        by_look[coin_of[:after][usable[:after]], look] = True
    return by_look


def agreeing(dealt: Iterable[np.ndarray], seen: np.ndarray) -> np.ndarray:
    """Give the share of the deals that are as the true one where a look sees them.

    However clear the answers are, these deals come to the same statistic: p is no smaller.

    Parameters
    ----------
    dealt
        Blocks of deals, together of shape (deals + 1, coins), the first row the true one.
    seen
        Which coins have evidence by a look, shape (coins, looks), bool.

    Returns
    -------
    share
        Shape (looks,), the true deal counted.
    """
    blocks = iter(dealt)
    first = next(blocks)
    weights = seen.astype(float)
    same, count = np.zeros(seen.shape[1], int), 0
    for block in chain([first], blocks):
        same += ((block != first[0]) @ weights == 0).sum(axis=0)
        count += len(block)
    return same / count


def test(statistics: ArrayLike, looks: Looks, usable: int, attainable: float) -> ExactTest:
    """Test the true deal of labels against random ones, at the looks taken so far.

    Parameters
    ----------
    statistics
        Shape (deals + 1, looks taken), row 0 that of the true deal; higher = more like a model
        that knows what was published. NaN (a deal that leaves nothing to compare) is the smallest.
    looks
        The looks planned.
    usable, attainable
        As `ExactTest` has them.

    Returns
    -------
    test
        Ties count against finding: the true deal is rejected at a look if it, the deals rejected
        earlier and those with as large a statistic are together at most spent x (deals + 1).

    References
    ----------
    Barnard's Monte Carlo test. With alpha spent over looks: Lan and DeMets (1983).
    """
    statistics = np.asarray(statistics, float)
    columns = np.ascontiguousarray(np.where(np.isnan(statistics), -np.inf, statistics).T)
    rejected = np.zeros(len(statistics), bool)
    steps: list[Look] = []
    for look, values in enumerate(columns):
        spent, gone = looks.spent(look), int(rejected.sum())
        ordered = np.sort(values[~rejected])
        ends = _ends_of_runs(ordered)
        p = (
            steps[-1].p
            if rejected[0]
            else (gone + _as_large(values[0], ordered, ends)) / len(values)
        )
        allowed = math.floor(spent * len(values) + WHOLE) - gone
        fitting = int(ends.searchsorted(allowed, side="right"))
        needed = float(ordered[-ends[fitting - 1]]) if fitting else float("nan")
        rejected |= values >= needed  # of NaN: none
        told = float(statistics[0, look])
        steps.append(Look(looks.after[look], told, p, spent, bool(rejected[0]), needed))
    crossed = [step.after for step in steps if step.crossed]
    return ExactTest(
        p=_p(steps, looks.alpha),
        found=bool(crossed),
        found_after=crossed[0] if crossed else None,
        usable=usable,
        planned=looks.planned,
        attainable=attainable,
        looks=tuple(steps),
    )


def _ends_of_runs(ordered: np.ndarray) -> np.ndarray:
    """How many values there are, from the largest on, up to the end of each run of equal ones.

    ordered: rising.
    """
    starts = np.flatnonzero(np.append(True, ordered[1:] > ordered[:-1] + TIE))
    return len(ordered) - starts[::-1]


def _as_large(value: float, ordered: np.ndarray, ends: np.ndarray) -> int:
    """How many values are as large as one of them, ties included."""
    larger = len(ordered) - ordered.searchsorted(value, side="right")
    return int(ends[ends.searchsorted(larger, side="right")])


def _p(steps: list[Look], alpha: float) -> float:
    """As `ExactTest` has it."""
    if not steps:
        return 1.0
    last = steps[-1]
    return last.p if last.crossed else min(1.0, last.p * (alpha / last.spent))
