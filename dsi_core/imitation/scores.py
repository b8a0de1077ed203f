"""Imitation, the curve: how close imitators' answers come to the target's, by budget."""

from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats

from dsi_core.evidence import intervals

METRICS = ("rouge_l", "bertscore")


@dataclass(frozen=True)
class LogLinear:
    """The least squares of mean = intercept + slope * log10(budget).

    Parameters
    ----------
    points
        How many.
    intercept
        The mean at a budget of 1.
    slope
        Per tenfold budget.
    low, high
        95% t interval of the slope, with points - 2 degrees of freedom.
    r2
        Share of the variance that it explains, 0 to 1.
    """

    points: int
    intercept: float
    slope: float
    low: float
    high: float
    r2: float

    def budget_for(self, level: float) -> float:
        """Extrapolate to the budget where it reaches `level`; infinite where it does not rise."""
        if self.slope <= 0:
            return np.inf
        with np.errstate(over="ignore"):
            return float(np.float64(10.0) ** ((level - self.intercept) / self.slope))


def curve(scores: pd.DataFrame) -> pd.DataFrame:
    """Average each metric for each model.

    Parameters
    ----------
    scores
        As `dataset.held_out` returns.

    Returns
    -------
    pandas.DataFrame
        metric, model, budget, samples, mean, low, high (95% t interval over the instructions: of
        their choice alone, as every model is one model).
    """
    rows = []
    for metric in METRICS:
        models = scores.groupby(["model", "budget"], sort=False, dropna=False)
        for (model, budget), values in models[metric]:
            low, high = intervals.of_mean(values.to_numpy())
            rows.append((metric, model, budget, len(values), values.mean(), low, high))
    columns = ["metric", "model", "budget", "samples", "mean", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


def log_linear(budgets: ArrayLike, means: ArrayLike) -> LogLinear:
    """Fit a line over the logarithm of the budgets.

    Raises
    ------
    ValueError
        For fewer than three different budgets, or one not over 0.
    """
    budgets, means = np.asarray(budgets, dtype=float), np.asarray(means, dtype=float)
    if len(set(budgets)) < 3 or (budgets <= 0).any():
        raise ValueError(
            f"budgets {budgets.tolist()}: a fit with an interval needs three different ones, "
            "all over 0"
        )
    fit = stats.linregress(np.log10(budgets), means)
    low, high = intervals.student(fit.slope, fit.stderr, len(budgets) - 2)
    return LogLinear(len(budgets), fit.intercept, fit.slope, low, high, fit.rvalue**2)


def fits(means: pd.DataFrame, target: str) -> pd.DataFrame:
    """Fit each metric over the imitators' budgets.

    Parameters
    ----------
    means
        As `curve` returns.
    target
        The name of the model whose mean an imitator might reach.

    Returns
    -------
    pandas.DataFrame
        metric, the fields of `LogLinear`, target (that model's mean) and parity: the budget at
        which the line would reach it, an extrapolation wherever it exceeds the largest budget. NaN
        unless the slope's interval lies above 0: the data do not tell then whether there is one.
    """
    rows = []
    for metric, part in means.groupby("metric", sort=False):
        level = part.loc[part["model"] == target, "mean"].iloc[0]
        imitators = part[part["budget"] > 0]
        fit = log_linear(imitators["budget"], imitators["mean"])
        parity = fit.budget_for(level) if fit.low > 0 else np.nan
        rows.append({"metric": metric, **asdict(fit), "target": level, "parity": parity})
    return pd.DataFrame(rows)
