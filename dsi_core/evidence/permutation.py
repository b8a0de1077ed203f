"""Permutation tests: what the labels, dealt out anew, would have come to.

Exact under the null hypothesis that every way to deal out the labels is equally likely. With few
labels all deals are made, with many random ones, counting the true deal (so p is never 0).
"""

import numpy as np
from scipy import stats

PERMUTATIONS = 9999
POWER = 0.8  # with which a difference shall be noticed
TIE = 1e-9  # values this close are equal


def p_of_matches(truth: np.ndarray, answer: np.ndarray, seed: int = 0) -> float:
    """One-sided p-value of the number of right answers, had the truths been dealt anew.

    Unlike a binomial p-value it does not reward always giving one answer that is true of most
    cases.

    Parameters
    ----------
    truth, answer
        Names, shape (cases,); an answer that is None or no truth of any case is wrong.
    seed
        Of `PERMUTATIONS` random deals, where there are more ways to deal (8 cases on).

    Returns
    -------
    p
        The share of deals in which as many answers are right; 1 for a single case.
    """
    names = {name: code for code, name in enumerate(dict.fromkeys(truth))}
    if len(truth) < 2:
        return 1.0
    answers = np.array([names.get(name, -1) for name in answer])
    return float(
        stats.permutation_test(
            (np.array([names[name] for name in truth]),),
            lambda truths, axis: (truths == answers).sum(axis=axis),
            permutation_type="pairings",
            vectorized=True,
            alternative="greater",
            n_resamples=PERMUTATIONS,
            rng=np.random.default_rng(seed),
        ).pvalue
    )


def allowed(deals: int, alpha: float) -> int:
    """Give how many of so many deals may be as large for a p of at most alpha, the true one too."""
    return int(alpha * deals + TIE)


def needed(values: np.ndarray, deals: int, alpha: float) -> float:
    """Give the true value that comes to a p of at most `alpha` with a probability of `POWER`.

    Parameters
    ----------
    values
        Of labels dealt anew, shape (deals,); the true one may be among them.
    deals
        How many there are, the true one counted.

    Returns
    -------
    value
        Above the largest values that p allows; infinite where it allows none.
    """
    ordered, place = np.sort(values)[::-1], allowed(deals, alpha) - 1
    if not 0 <= place < len(ordered):
        return np.inf
    return float(ordered[place] + stats.norm.ppf(POWER) * ordered.std())
