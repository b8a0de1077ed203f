"""Two groups of scores compared by their ranks alone: the AUROC and its test."""

import numpy as np
from scipy import stats


def auroc(one: np.ndarray, other: np.ndarray) -> float:
    """AUROC: the chance that a random score of `one` is above a random one of `other`.

    Parameters
    ----------
    one, other
        Scores, shapes (n,) and (m,). An empty side or a NaN makes the AUROC NaN.

    Returns
    -------
    auroc
        In [0, 1], ties counting half: 1 = every score of `one` is higher, 0.5 = no telling.
    """
    n, m = len(one), len(other)
    if not n * m:
        return float("nan")
    ranks = stats.rankdata(np.concatenate([one, other]))
    wins = ranks[:n].sum() - n * (n + 1) / 2
    return float(wins / (n * m))


def mann_whitney(one: np.ndarray, other: np.ndarray) -> float:
    """p-value of the one-sided Mann-Whitney test that the scores of `one` are higher.

    0.5 where all scores are the same. Exact for few scores without ties, as scipy has it.
    """
    if len(np.unique(np.concatenate([one, other]))) == 1:
        return 0.5
    return float(stats.mannwhitneyu(one, other, alternative="greater").pvalue)
