"""The grey box: AUROC of the attacks, DIA's p-values, and all verdicts beside ours."""

import math

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D

from dsi_core.plots import style
from dsi_core.plots.style import COLORS, TRUTH

NAMES = {
    "min_k": "Min-K%",
    "min_k_plus_plus": "Min-K%++",
    "recall": "ReCaLL",
    "wbc": "WBC",
    "ez_mia": "EZ-MIA",
    "samia": "SaMIA",
    "cdd": "CDD",
}


def plot_auroc(measured: pd.DataFrame, *, columns: int = 7) -> Figure:
    """AUROC of every attack on every suspect, with its 95% interval.

    Parameters
    ----------
    measured : DataFrame
        suspect, member (the truth), attack, auc in [0, 1] (0.5 = a coin's toss, the dashed line;
        higher = D looks more familiar than the validation set), low, high.
    columns : int
        Panels beside each other.

    Returns
    -------
    Figure
        A panel for each attack, a row in it for each suspect. Orange = member, blue = non-member.
    """
    attacks, suspects = measured["attack"].unique(), list(measured["suspect"].unique())
    rows = math.ceil(len(attacks) / columns)
    figure, axes = plt.subplots(
        rows,
        min(columns, len(attacks)),
        squeeze=False,
        sharex=True,
        sharey=True,
        layout="constrained",
        figsize=(14, rows * (1.0 + 0.27 * len(suspects))),
    )
    for ax, attack in zip(axes.flat, attacks, strict=False):
        for row in measured[measured["attack"] == attack].to_dict("records"):
            y, color = suspects.index(row["suspect"]), COLORS[TRUTH[row["member"]]]
            ax.plot([row["low"], row["high"]], [y, y], color=color, linewidth=1.5, alpha=0.6)
            ax.plot(row["auc"], y, "o", color=color, markersize=5)
        ax.axvline(0.5, color=COLORS["line"], linewidth=1, linestyle="--")
        ax.set(title=NAMES.get(attack, attack), xlim=(-0.03, 1.03), xticks=[0, 0.5, 1])
        ax.set_yticks(range(len(suspects)), suspects, fontsize=9)
        ax.set_ylim(len(suspects) - 0.5, -0.5)
    for ax in axes.flat[len(attacks) :]:
        ax.set_axis_off()
    for ax in axes[-1]:
        ax.set_xlabel("AUROC")
    _legend(figure)
    return figure


def plot_p_values(splits: pd.DataFrame, *, alpha: float) -> Figure:
    """DIA's p-values, a dot for each random split, beside those of its control.

    Parameters
    ----------
    splits : DataFrame
        suspect, member (the truth), features, p, p_control (validation against validation, grey).
    alpha : float
        The level, the dashed line.

    Returns
    -------
    Figure
        A panel for each set of features, a row in it for each suspect; the diamonds are medians.
    """
    suspects, sets = list(splits["suspect"].unique()), splits["features"].unique()
    figure, axes = plt.subplots(
        1,
        len(sets),
        squeeze=False,
        sharey=True,
        layout="constrained",
        figsize=(12, 1.5 + 0.36 * len(suspects)),
    )
    for ax, features in zip(axes[0], sets, strict=True):
        some = splits[splits["features"] == features]
        for (suspect, member), rows in some.groupby(["suspect", "member"], sort=False):
            y = suspects.index(suspect)
            _dots_and_median(ax, rows["p"], y - 0.17, COLORS[TRUTH[member]])
            _dots_and_median(ax, rows["p_control"], y + 0.17, COLORS["filtered"])
        ax.axvline(alpha, color=COLORS["line"], linewidth=1, linestyle="--")
        ax.set(
            xscale="log",
            xlabel=f"p-value (line: {alpha:g}; grey: validation against validation)",
            title=f"features: {features}",
        )
        ax.set_yticks(range(len(suspects)), suspects)
        ax.set_ylim(len(suspects) - 0.5, -0.5)
    _legend(figure)
    return figure


def _dots_and_median(ax: Axes, values: pd.Series, y: float, color: str) -> None:
    ax.plot(values, np.full(len(values), y), "o", color=color, markersize=4, alpha=0.6)
    (median,) = ax.plot(values.median(), y, "d", color=color, markersize=8)
    median.set(markeredgecolor="black", markeredgewidth=0.6)


def plot_shares(shares: pd.DataFrame, by: str) -> Figure:
    """Estimated share of D that was used, against the true one.

    Parameters
    ----------
    shares : DataFrame
        suspect, true, share, low and high (the 95% interval), all in [0, 1], and the column `by`.
    by : str
        A panel for each of its values.

    Returns
    -------
    Figure
        On the dashed line the estimate is right. Suspects stand a little beside each other.
    """
    panels, suspects = shares[by].unique(), list(shares["suspect"].unique())
    colors = style.colors_of(suspects)
    figure, axes = plt.subplots(
        1,
        len(panels),
        squeeze=False,
        sharex=True,
        sharey=True,
        layout="constrained",
        figsize=(2 + 3 * len(panels), 4),
    )
    for ax, name in zip(axes[0], panels, strict=True):
        ax.plot([0, 1], [0, 1], color=COLORS["line"], linewidth=1, linestyle="--")
        for row in shares[shares[by] == name].to_dict("records"):
            place = suspects.index(row["suspect"]) - (len(suspects) - 1) / 2
            x, color = row["true"] + 0.015 * place, colors[row["suspect"]]
            ax.plot([x, x], [row["low"], row["high"]], color=color, linewidth=1.5, alpha=0.6)
            ax.plot(x, row["share"], "o", color=color, markersize=5)
        ax.set(title=NAMES.get(name, name), xlabel="share of D used", xlim=(-0.06, 1.06))
        ax.set(ylim=(-0.03, 1.03))
    axes[0, 0].set_ylabel("estimate, with 95% interval")
    dots = [Line2D([], [], color=colors[s], marker="o", linestyle="none") for s in suspects]
    figure.legend(dots, suspects, loc="outside upper center", ncols=4)
    return figure


def plot_beside(beside: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Every method's verdict on every suspect.

    Parameters
    ----------
    beside : DataFrame
        suspect, member (the truth), method, verdict ("member" | "non-member" | "inconclusive"),
        correct (bool).
    ax : Axes, optional
        Where to draw; new axes by default.

    Returns
    -------
    Axes
        A row for each suspect, a column for each method; a wrong verdict is dark, with a cross.
    """
    suspects, methods = list(beside["suspect"].unique()), list(beside["method"].unique())
    ax = style.axes(ax, 3 + 0.62 * len(methods), 2.6 + 0.34 * len(suspects))
    for row in beside.to_dict("records"):
        x, y = methods.index(row["method"]), suspects.index(row["suspect"])
        cell = plt.Rectangle(
            (x - 0.46, y - 0.46),
            0.92,
            0.92,
            color=COLORS[row["verdict"]],
            alpha=0.35 if row["correct"] else 0.85,
            linewidth=0,
        )
        ax.add_patch(cell)
        if not row["correct"]:
            ax.text(x, y, "✗", ha="center", va="center", color="white", fontsize=11)
    truths = dict(zip(beside["suspect"], beside["member"], strict=True))
    ax.set_xticks(range(len(methods)), [NAMES.get(m, m) for m in methods], rotation=40, ha="right")
    ax.set_yticks(range(len(suspects)), [style.with_truth(s, truths[s]) for s in suspects])
    ax.set_xlim(-0.5, len(methods) - 0.5)
    ax.set_ylim(len(suspects) - 0.5, -0.5)
    ax.set_title("orange: says member; blue: says non-member; ✗: wrong")
    ax.grid(False)
    return ax


def _legend(figure: Figure) -> None:
    dots = [Line2D([], [], color=COLORS[t], marker="o", linestyle="none") for t in TRUTH.values()]
    figure.legend(dots, list(TRUTH.values()), loc="outside upper center", ncols=2)
    layout = figure.get_layout_engine()
    assert isinstance(layout, ConstrainedLayoutEngine)
    layout.set(w_pad=0.08)  # inches: room for the longest name
