"""Number 3, against a private twin: the owner kept a random part of the data unpublished.

Does M know the published part better? If M never saw D, a coin that decided before the release
which sample is published tells nothing about M's answers: given the answers, every way to deal out
the labels "published" and "withheld" is equally likely. Both tests (`permutation`, `sequential`)
are exact under that alone, for any model, any data and any number of samples. (The references are
tuned on both parts alike, and nothing before this step looks at the labels.)
"""

from dataclasses import asdict, dataclass
from itertools import combinations
from math import comb

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from dsi_core.evidence import looks as at_looks
from dsi_core.evidence import permutation, sequential
from dsi_core.evidence.looks import DEALS, ExactTest, Looks


@dataclass(frozen=True)
class TwinTest:
    """What the private twin says of a suspect.

    Attributes
    ----------
    published, withheld
        Samples with evidence.
    difference
        Mean evidence of the published samples less that of the withheld ones; higher = M knows the
        published part better; NaN where a part has none.
    wealth, largest
        The gambler's wealth (`sequential.wealth`) now, and the largest so far, at least 1.
    p_sequential
        1 / largest.
    p_permutation
        Of the first `planned` samples. NaN before all of them were queried, unless nothing may
        stop; and where a part has no evidence.
    planned
        How many samples were to be queried, as fixed before the first answer.
    p
        The one to report: `p_permutation` if nothing may stop; else twice the smaller of both
        (Bonferroni), which is valid whenever one stops.
    """

    published: int
    withheld: int
    difference: float
    wealth: float
    largest: float
    p_sequential: float
    p_permutation: float
    planned: int
    p: float


def test(
    evidence: ArrayLike,
    published: ArrayLike,
    groups: ArrayLike,
    looks: Looks,
    seed: int,
    deals: int = DEALS,
) -> ExactTest:
    """Test the evidence so far against the labels, dealt anew.

    Parameters
    ----------
    evidence
        How close the answers are to the sample's own text, shape (samples asked,), in the order of
        asking; higher = closer; NaN (nothing usable was answered) is passed over.
    published
        Whether a sample was published, shape (samples planned,), in that order: the labels of all,
        as they are dealt anew over all.
    groups
        Shape (samples planned,): samples of one group share a label.
    looks
        Planned over these samples. The order of asking and they must not depend on the labels.
    seed
        Of the random deals.
    deals
        How many; where there are fewer ways to deal the labels each is counted once.

    Returns
    -------
    test
        Its statistic: the mean evidence of the published samples less that of the withheld ones so
        far; higher = knows the published part better. NaN while a part has none.

    Raises
    ------
    ValueError
        Where the shapes do not fit the looks, or a group has both labels.

    References
    ----------
    Fisher's randomisation test.
    """
    evidence, groups = np.asarray(evidence, float), np.asarray(groups)
    labels = np.asarray(published, bool)
    at_looks.check_samples(looks, len(evidence), published=len(labels), groups=len(groups))
    _, first, group_of = np.unique(groups, return_index=True, return_inverse=True)
    if (labels != labels[first][group_of]).any():
        raise ValueError("samples of one group share a label, but some were published, some not")
    dealt = _dealt(labels[first], deals, np.random.default_rng(seed))
    taken = looks.taken(len(evidence))
    sums = np.zeros((2, len(first), taken))  # of evidence, of samples: by group, at each look
    for look, after in enumerate(looks.after[:taken]):
        kept = np.flatnonzero(~np.isnan(evidence[:after]))
        np.add.at(sums[0, :, look], group_of[kept], evidence[kept])
        np.add.at(sums[1, :, look], group_of[kept], 1.0)
    total, samples = sums.sum(axis=1)
    inside, published_samples = dealt @ sums
    with np.errstate(invalid="ignore", divide="ignore"):
        withheld = (total - inside) / (samples - published_samples)
        statistics = inside / published_samples - withheld
    usable = int((~np.isnan(evidence)).sum())
    smallest = attainable(len(first), int(labels[first].sum()), deals)
    return at_looks.test(statistics, looks, usable, smallest)


def attainable(groups: int, published: int, deals: int = DEALS) -> float:
    """Give the smallest p-value that so many groups, of which these are published, allow.

    1 / (ways to deal the labels), at least 1 / (deals + 1).
    """
    return max(1 / comb(groups, published), 1 / (deals + 1))


def _dealt(labels: np.ndarray, deals: int, rng: np.random.Generator) -> np.ndarray:
    """The true labels of the groups, then others: all there are, or random ones.

    Shape (deals + 1, groups), 1 = published.
    """
    size, published = len(labels), int(labels.sum())
    if comb(size, published) > deals + 1:
        lots = rng.random((deals, size))  # the groups with the smallest are published
        random = lots <= np.partition(lots, published - 1, axis=1)[:, [published - 1]]
        return np.vstack([labels, random]).astype(float)
    every = np.array(list(combinations(range(size), published)), int).reshape(-1, published)
    ways = np.zeros((len(every), size), bool)
    np.put_along_axis(ways, every, True, axis=1)
    others = ways[(ways != labels).any(axis=1)]
    return np.vstack([labels, others]).astype(float)


def difference(evidence: np.ndarray, published: np.ndarray) -> float:
    """Mean evidence of the published samples less that of the withheld ones.

    Higher = M knows the published part better. NaN where a part is empty.
    """
    if published.all() or not published.any():
        return float("nan")
    return float(np.mean(evidence[published]) - np.mean(evidence[~published]))


def betting_test(
    table: pd.DataFrame, in_all: tuple[int, int], planned: int, seed: int = 0, *, may_stop: bool
) -> TwinTest:
    """Test the samples queried so far against the private twin.

    Parameters
    ----------
    table
        Columns evidence (NaN = nothing usable was answered) and published (bool), in the order
        queried.
    in_all
        How many samples could be queried, (published, withheld).
    planned
        Samples to query, as fixed before the first answer.
    seed
        Of the permutation test.
    may_stop
        Whether fewer, or more, than planned may be queried depending on the evidence.
    """
    usable = table.dropna(subset="evidence")
    evidence, published = usable["evidence"].to_numpy(), usable["published"].to_numpy(bool)
    path = sequential.wealth(table["evidence"], table["published"], in_all)
    largest = max(1.0, path.max(initial=1.0))
    p_permutation = float("nan")
    if len(table) >= planned or not may_stop:
        fixed = table.head(planned).dropna(subset="evidence")
        p_permutation = permutation.p_of_difference(
            fixed["evidence"].to_numpy(), fixed["published"].to_numpy(bool), seed
        )
    if may_stop:
        p = min(1.0, 2 * np.nanmin([1 / largest, p_permutation]))
    else:
        p = 1.0 if np.isnan(p_permutation) else p_permutation
    return TwinTest(
        published=int(published.sum()),
        withheld=int((~published).sum()),
        difference=difference(evidence, published),
        wealth=float(path[-1]) if len(path) else 1.0,
        largest=float(largest),
        p_sequential=float(1 / largest),
        p_permutation=p_permutation,
        planned=planned,
        p=float(p),
    )


def compare(
    evidence: pd.DataFrame, in_all: tuple[int, int], alpha: float, seed: int = 0
) -> pd.DataFrame:
    """`betting_test` of every model once all was queried, and when it could have stopped.

    Parameters
    ----------
    evidence
        Columns model, member, part, evidence; each model's samples in the order queried.
    in_all
        How many samples there are, (published, withheld).
    alpha
        The error allowed, which the sequential and the permutation test share.
    seed
        Of the permutation test.

    Returns
    -------
    table
        Columns model, member, the fields of `TwinTest`, sure_after (samples queried when the
        wealth suffices for alpha; None = never) and of (samples there are).
    """
    rows = []
    for (name, member), part in evidence.groupby(["model", "member"], sort=False):
        table = part.assign(published=part["part"] == "published")
        path = sequential.wealth(table["evidence"], table["published"], in_all)
        rows.append(
            {
                "model": name,
                "member": member,
                **asdict(betting_test(table, in_all, sum(in_all), seed, may_stop=True)),
                "sure_after": sequential.stopped_after(path >= 2 / alpha),
                "of": sum(in_all),
            }
        )
    return pd.DataFrame(rows)
