"""Confidence intervals: of proportions, of means and other estimates, and of AUROCs."""

import numpy as np
import pandas as pd
from scipy import optimize, stats


def wilson(count: int, total: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson score interval of a proportion.

    It treats the cases as independent draws. Models that share a base, a recipe or D are not
    independent: for them the interval is too narrow.

    Parameters
    ----------
    count, total
        The proportion is `count` / `total`.
    confidence
        Between 0 and 1.

    Returns
    -------
    low, high
        Both in [0, 1]; NaN when `total` is 0.

    References
    ----------
    Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927).
    """
    if total == 0:
        return np.nan, np.nan
    interval = stats.binomtest(int(count), int(total)).proportion_ci(confidence, method="wilson")
    return float(interval.low), float(interval.high)


def with_wilson(table: pd.DataFrame, count: str, total: str, unit: int = 1) -> pd.DataFrame:
    """Return `table` with the columns low and high: the `wilson` interval of each row.

    Parameters
    ----------
    table
        One proportion a row.
    count, total
        Names of its columns; the proportion is count / total.
    unit
        What the ends are multiplied by: 1 = shares, 100 = percent. They are rounded to 3 decimals.
    """
    ends = [wilson(k, n) for k, n in zip(table[count], table[total], strict=True)]
    return table.assign(
        low=[round(unit * low, 3) for low, _ in ends],
        high=[round(unit * high, 3) for _, high in ends],
    )


def student(
    estimate: float, error: float, freedom: int, confidence: float = 0.95
) -> tuple[float, float]:
    """Student's t interval of an estimate with this standard error and degrees of freedom."""
    half = stats.t.ppf((1 + confidence) / 2, freedom) * error
    return estimate - half, estimate + half


def of_mean(values: np.ndarray) -> tuple[float, float]:
    """95% t interval of the mean of independent values, shape (n,); NaN for fewer than two."""
    if len(values) < 2:
        return np.nan, np.nan
    return student(values.mean(), stats.sem(values), len(values) - 1)


def newcombe(auroc: float, n: int, m: int, confidence: float = 0.95) -> tuple[float, float]:
    """Score interval of an AUROC, which has a width at 0 and at 1 as well.

    Its ends are the true AUROCs t from which the observed one is z standard errors away, with the
    standard error *at t*, as in Wilson's interval, which it equals for one score against one. The
    Wald interval around the observed AUROC (Hanley and McNeil 1982) is [1, 1] for an AUROC of 1,
    even of 4 against 4. DeLong's variance is 0 there too, on any scale.

    The scores are taken for independent. Those of cross-validation are not quite: the classifiers
    of two folds share samples.

    Parameters
    ----------
    auroc
        In [0, 1], ties counting half; NaN gives NaN.
    n, m
        How many scores of either kind it is of.
    confidence
        Between 0 and 1.

    Returns
    -------
    low, high
        0 <= low <= auroc <= high <= 1; low < high.

    Raises
    ------
    ValueError
        For an AUROC outside [0, 1], or no score on a side.

    References
    ----------
    Method 5 of Newcombe, "Confidence intervals for an effect size measure based on the
    Mann-Whitney statistic. Part 2", Statistics in Medicine 25 (2006): Hanley and McNeil's variance
    for exponential scores, with the mean of both sample sizes in the place of each.
    """
    if np.isnan(auroc):
        return np.nan, np.nan
    if not 0 <= auroc <= 1 or min(n, m) < 1:
        raise ValueError(
            f"an AUROC lies in [0, 1] and compares at least one score with one, "
            f"got {auroc} of {n} against {m}"
        )
    z = stats.norm.ppf((1 + confidence) / 2)
    return _score_low(auroc, n, m, z), 1 - _score_low(1 - auroc, n, m, z)


def _score_low(auroc: float, n: int, m: int, z: float) -> float:
    """The true AUROC that lies z of its own standard errors below the observed one."""
    others = (n + m) / 2 - 1

    def excess(true: float) -> float:
        shared = (1 - true) / (2 - true) + true / (1 + true)
        variance = true * (1 - true) * (1 + others * shared) / (n * m)
        return auroc - true - z * np.sqrt(variance)

    if auroc == 0:
        return 0.0
    just_below_one = 1 - 1e-12  # 1 itself is a root for an AUROC of 1, and not the one sought
    return float(optimize.brentq(excess, 0, min(auroc, just_below_one), xtol=1e-12))
