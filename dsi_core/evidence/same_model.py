"""Is it still the same model? Two sets of answers to the same prompts, compared by their texts.

Gao et al. 2024, Model Equality Testing (arXiv 2410.20247): the maximum mean discrepancy with a
Hamming kernel, the share of characters that two answers to one prompt have in the same places.
If nothing changed, any way to deal the answers to a prompt out to the two sets is as likely as the
true one; p is the share of deals in which the sets differ as much. We deal within each prompt, so
that it does not matter how often each was asked, and compare beginnings: after them two answers of
one model agree no more than those of two models.

Simulated 100 times with answers of SmolLM2-135M-Instruct at temperature 1, p was at most 0.01 (6
prompts, 3 answers to each in a set; 8 and 3; 8 and 5; 8 and 15): against itself 1, 0, 0 and 2
times; against Gemma-3-270m 60, 82, 100 and 100; against itself at temperature 0.7 1, 0, 3 and 48.
"""

from dataclasses import dataclass
from itertools import combinations, product
from math import comb, prod

import numpy as np
import pandas as pd
from scipy import stats

from dsi_core.evidence.permutation import PERMUTATIONS, POWER, TIE, allowed, needed

ALPHA = 0.01  # p up to which the models are called two: the warning is false in one of 100 audits
CHARACTERS = 20  # of each answer; what is missing of a shorter one is a character, too


@dataclass(frozen=True)
class SameModel:
    """How alike two sets of answers are.

    Attributes
    ----------
    p
        Share of the deals, the true one counted, in which they differ as much: 1 = not at all.
    within, between
        Agreement of two answers to one prompt, in [0, 1]: of one set, and of the two sets.
    noticed
        The highest agreement between the sets at which p is at most `ALPHA` with probability
        `POWER`, with the agreement within as it is; a smaller difference may go unnoticed. Below 0:
        no difference would have been noticed. If answers do not vary at all, it is their agreement:
        any less would be noticed.
    differing
        How many prompts must get other answers, at least, for that: changes in fewer go unnoticed,
        however large. None = changes in any number of them would have gone unnoticed.
    answers
        How many, of (one set, the other).
    prompts
        Those that both sets answer.
    """

    p: float
    within: float
    between: float
    noticed: float
    differing: int | None
    answers: tuple[int, int]
    prompts: int

    @property
    def changed(self) -> bool:
        """Whether they are called those of two models."""
        return self.p <= ALPHA


def compare(
    first: pd.DataFrame,
    second: pd.DataFrame,
    *,
    characters: int = CHARACTERS,
    seed: int = 0,
    permutations: int = PERMUTATIONS,
) -> SameModel:
    """Test whether two sets of answers come from one model that was asked in one way.

    Parameters
    ----------
    first, second
        Columns prompt, response. Prompts that one set lacks are left out.
    characters
        How many of an answer are compared, from its beginning.
    seed, permutations
        Of the random deals, where there are more ways to deal than `permutations`.

    Raises
    ------
    ValueError
        Where no prompt has two answers in one of the sets: nothing says how much answers vary.
    """
    both = [p for p in first["prompt"].unique() if (second["prompt"] == p).any()]
    said = [
        {p: t.loc[t["prompt"] == p, "response"].tolist() for p in both} for t in (first, second)
    ]
    groups = [_Group.of(said[0][p], said[1][p], characters) for p in both]
    pairs = np.array([group.pairs for group in groups]).reshape(-1, 3).sum(axis=0)
    if not pairs.all():
        raise ValueError(
            f"{len(both)} prompts are answered in both sets; needs one with two answers in each"
        )
    deals = _deals(groups, seed, permutations)
    sums = np.sum([group.sums(deal) for group, deal in zip(groups, deals, strict=True)], axis=0)
    one, two, between = sums / pairs[:, None]
    values = one + two - 2 * between  # the first deal is the true one
    p = float((values >= values[0] - TIE).mean())
    within = (one[0] + two[0]) / 2
    return SameModel(
        p=p,
        within=float(within),
        between=float(between[0]),
        noticed=float(within - needed(values, len(values), ALPHA) / 2),
        differing=_fewest(groups, permutations),
        answers=(sum(g.first for g in groups), sum(g.size - g.first for g in groups)),
        prompts=len(both),
    )


def _fewest(groups: list["_Group"], permutations: int) -> int | None:
    """The prompts to which all answers must change for a p of `ALPHA` with `POWER`; None = more.

    Of the deals of a prompt whose answers all changed the true one comes so far, and, in sets of
    one size, its mirror image.
    """
    shares = sorted((1 + (2 * g.first == g.size)) / g.ways for g in groups)
    for count, share in enumerate(np.cumprod(shares), start=1):
        if prod(g.ways for g in groups) <= permutations:
            noticed = share <= ALPHA + TIE
        else:  # the random deals may hold a few more of these
            others = allowed(permutations + 1, ALPHA) - 1
            noticed = stats.binom.cdf(others, permutations, share) >= POWER
        if noticed:
            return count
    return None


@dataclass(frozen=True)
class _Group:
    """The answers to one prompt: how alike any two are, and how many are the first set's."""

    alike: np.ndarray  # shape (answers, answers), 0 with itself
    first: int

    @classmethod
    def of(cls, first: list[str], second: list[str], characters: int) -> "_Group":
        codes = np.array([_codes(text, characters) for text in [*first, *second]])
        alike = (codes[:, None] == codes[None]).mean(axis=2)
        np.fill_diagonal(alike, 0)
        return cls(alike, len(first))

    @property
    def size(self) -> int:
        return len(self.alike)

    @property
    def ways(self) -> int:
        return comb(self.size, self.first)

    @property
    def truth(self) -> np.ndarray:
        """Which answers are the first set's, shape (answers,)."""
        return np.arange(self.size) < self.first

    @property
    def pairs(self) -> tuple[int, int, int]:
        """Ordered pairs within each set, and pairs between them."""
        n, m = self.first, self.size - self.first
        return n * (n - 1), m * (m - 1), n * m

    def sums(self, deal: np.ndarray) -> np.ndarray:
        """Agreement added up over these pairs, shape (3, deals); deal: shape (deals, answers)."""
        one, two = deal.astype(float), (~deal).astype(float)
        reached = one @ self.alike
        return np.array(
            [(reached * one).sum(1), ((two @ self.alike) * two).sum(1), (reached * two).sum(1)]
        )


def _codes(text: str, characters: int) -> list[int]:
    beginning = [ord(c) for c in text[:characters]]
    return beginning + [-1] * (characters - len(beginning))


def _deals(groups: list[_Group], seed: int, permutations: int) -> list[np.ndarray]:
    """For each prompt who is of the first set, shape (deals, answers); the first deal is true.

    Every way once where there are few, and else `permutations` random ones beside the true one.
    """
    if prod(group.ways for group in groups) <= permutations:
        ways = [list(combinations(range(group.size), group.first)) for group in groups]
        chosen = list(product(*ways))  # the first combination of each is the true one
        return [
            np.array([np.isin(np.arange(group.size), one[i]) for one in chosen])
            for i, group in enumerate(groups)
        ]
    rng = np.random.default_rng(seed)
    dealt = []
    for group in groups:
        random = rng.permuted(np.tile(group.truth, (permutations, 1)), axis=1)
        dealt.append(np.vstack([group.truth, random]))
    return dealt
