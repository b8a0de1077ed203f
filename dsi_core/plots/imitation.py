"""Imitation: how close imitators come to the target as their budget grows."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dsi_core.plots import style
from dsi_core.plots.findings import imitation as findings
from dsi_core.plots.style import COLORS, LOOKS, Kind

NAMES = {"rouge_l": "ROUGE-L", "bertscore": "BERTScore F1"}


def plot_budgets(means: pd.DataFrame, fits: pd.DataFrame, *, levels: dict[str, str]) -> Figure:
    """Imitators over their budget, the fitted line, and other models as levels.

    Parameters
    ----------
    means : DataFrame
        As `scores.curve`: metric, model, budget (pairs; 0 or NaN = no imitator), mean (higher =
        closer to the target), low, high (its 95% interval).
    fits : DataFrame
        As `scores.fits`: metric, intercept, slope (per tenfold budget), low, high (95% interval of
        the slope).
    levels : dict
        Model -> the style of its line, for models that are no imitators.

    Returns
    -------
    Figure
        A panel for each metric, budgets on a log axis. Beyond the largest budget the line is
        extrapolated (dotted) if the slope's interval lies above zero; else it ends there.
    """
    metrics = list(fits["metric"])
    figure, axes = plt.subplots(
        1, len(metrics), figsize=(5.2 * len(metrics), 3.8), squeeze=False, layout="constrained"
    )
    for ax, metric in zip(axes[0], metrics, strict=True):
        some = means[means["metric"] == metric]
        fit = fits[fits["metric"] == metric].iloc[0]
        imitators = some[some["budget"] > 0]
        _points(ax, imitators)
        least, most = imitators["budget"].min(), imitators["budget"].max()
        _line(ax, fit, least, most, "-", "log-linear fit")
        if fit["low"] > 0:
            _line(ax, fit, most, 10 * most, ":", "extrapolated")
        for model, linestyle in levels.items():
            level = some.loc[some["model"] == model, "mean"].iloc[0]
            ax.axhline(
                level, linestyle=linestyle, color=COLORS["other"], linewidth=1.4, label=model
            )
        slope = f"slope {fit['slope']:+.3f} per tenfold budget"
        ax.set(
            xscale="log",
            xlabel="pairs that the imitator trained on",
            ylabel=f"{NAMES[metric]} with the target",
            title=f"{slope}\n(95%: {fit['low']:+.3f} to {fit['high']:+.3f})",
        )
        ax.set_xticks(imitators["budget"], [f"{b:g}" for b in imitators["budget"]])
        ax.minorticks_off()
    axes[0][-1].legend(**style.OUTSIDE)
    drawn = "A mark for each imitator with its interval, a fitted line, other models as level lines"
    style.says(figure, findings.budgets(fits, NAMES), drawn)
    return figure


def _points(ax: Axes, imitators: pd.DataFrame) -> None:
    ends = np.abs(imitators[["low", "high"]].to_numpy().T - imitators["mean"].to_numpy())
    ax.errorbar(
        imitators["budget"],
        imitators["mean"],
        ends,
        fmt=LOOKS[Kind.MEMBER].marker,
        color=COLORS["member"],
        capsize=3,
        label="imitators",
    )


def _line(ax: Axes, fit: pd.Series, first: float, last: float, linestyle: str, label: str) -> None:
    """Draw a fitted line from one budget to another."""
    budgets = np.array([first, last])
    means = fit["intercept"] + fit["slope"] * np.log10(budgets)
    ax.plot(budgets, means, linestyle, color=COLORS["member"], label=label)
