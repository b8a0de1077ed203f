"""Imitation, the curve: how close an imitator's answers come to the target's, and how that grows with the budget."""

import numpy as np
import pandas as pd
from rouge_score.rouge_scorer import RougeScorer
from scipy import stats

from dsi_core.evidence import intervals

METRICS = ("rouge_l", "bertscore")


def rouge_l(candidates, references) -> np.ndarray:
    """ROUGE-L F of each candidate with its reference: shape (texts,), in [0, 1], higher = closer; rouge-score without stemming; 0 for a blank text."""
    scorer = RougeScorer(["rougeL"])
    return np.array(
        [
            scorer.score(reference, candidate)["rougeL"].fmeasure
            for candidate, reference in zip(candidates, references)
        ]
    )


def curve(scores: pd.DataFrame) -> pd.DataFrame:
    """The mean of each metric for each model: metric, model, budget, samples, mean, low, high (95% t interval over the instructions).

    scores: as `imitation.held_out`. The interval is of the choice of instructions alone: every model is one model.
    """
    rows = []
    for metric in METRICS:
        for (model, budget), part in scores.groupby(["model", "budget"], sort=False, dropna=False)[
            metric
        ]:
            low, high = intervals.of_mean(part.to_numpy())
            rows.append((metric, model, budget, len(part), part.mean(), low, high))
    return pd.DataFrame(
        rows, columns=["metric", "model", "budget", "samples", "mean", "low", "high"]
    )


def log_linear(budgets, means) -> dict:
    """Least squares of mean = intercept + slope * log10(budget): points, intercept, slope (per tenfold budget), low, high (95% t interval of
    the slope, points - 2 degrees of freedom) and r2. Raises `ValueError` for fewer than three different budgets or one not over 0.
    """
    budgets, means = np.asarray(budgets, dtype=float), np.asarray(means, dtype=float)
    if len(set(budgets)) < 3 or (budgets <= 0).any():
        raise ValueError(
            f"budgets {budgets.tolist()}: a fit with an interval needs three different ones, all over 0"
        )
    fit = stats.linregress(np.log10(budgets), means)
    low, high = intervals.student(fit.slope, fit.stderr, len(budgets) - 2)
    return {
        "points": len(budgets),
        "intercept": fit.intercept,
        "slope": fit.slope,
        "low": low,
        "high": high,
        "r2": fit.rvalue**2,
    }


def budget_for(fit: dict, level: float) -> float:
    """Extrapolation: the budget at which the line reaches `level`; infinite where it does not rise."""
    with np.errstate(over="ignore"):
        return (
            float(np.float64(10.0) ** ((level - fit["intercept"]) / fit["slope"]))
            if fit["slope"] > 0
            else np.inf
        )


def fits(means: pd.DataFrame, target: str) -> pd.DataFrame:
    """`log_linear` of each metric over the imitators' budgets: metric, its numbers, target (mean of the model called so) and parity.

    means: as `curve`. parity = the budget at which the line would reach the target's own mean, an extrapolation wherever it exceeds the largest
    budget; NaN unless the slope's interval lies above 0: then the data do not tell whether there is one.
    """
    rows = []
    for metric, part in means.groupby("metric", sort=False):
        level = part.loc[part["model"] == target, "mean"].iloc[0]
        fit = log_linear(*part.loc[part["budget"] > 0, ["budget", "mean"]].to_numpy().T)
        rows.append(
            {
                "metric": metric,
                **fit,
                "target": level,
                "parity": budget_for(fit, level) if fit["low"] > 0 else np.nan,
            }
        )
    return pd.DataFrame(rows)
