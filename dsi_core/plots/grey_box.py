"""The grey box: AUROC of the attacks, DIA's p-values, and all verdicts beside ours.

Where a table has several datasets (column dataset), suspects are named with theirs.
"""

import math
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator

from dsi_core.plots import style
from dsi_core.plots.findings import grey_box as findings
from dsi_core.plots.style import COLORS, LOOKS, Status

WIDTH = 10  # inches: what is wider has small print where a page shows it


def plot_auroc(measured: pd.DataFrame, *, columns: int = 5) -> Figure:
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
        A panel for each attack, a row in it for each suspect; kinds look as everywhere.
    """
    measured = style.of_datasets(measured)
    attacks, suspects = measured["attack"].unique(), list(measured["suspect"].unique())
    rows = math.ceil(len(attacks) / columns)
    figure, axes = plt.subplots(
        rows,
        min(columns, len(attacks)),
        squeeze=False,
        sharex=True,
        sharey=True,
        layout="constrained",
        figsize=(WIDTH, 1 + rows * (0.5 + 0.21 * len(suspects))),
    )
    kinds = style.kinds_of(measured)
    for ax, attack in zip(axes.flat, attacks, strict=False):
        some = measured[measured["attack"] == attack]
        for row, kind in zip(some.to_dict("records"), kinds[some.index], strict=True):
            y, look = suspects.index(row["suspect"]), LOOKS[kind]
            ax.plot([row["low"], row["high"]], [y, y], color=look.color, linewidth=1.5, alpha=0.6)
            ax.plot(row["auc"], y, look.marker, color=look.color, markersize=5)
        ax.axvline(0.5, **style.DECISION)
        ax.set_title(attack, fontsize=9)
        ax.set(xlim=(-0.03, 1.03), xticks=[0, 0.5, 1])
        ax.set_yticks(range(len(suspects)), suspects, fontsize=9)
        ax.set_ylim(len(suspects) - 0.5, -0.5)
    for ax in axes.flat[max(0, len(attacks) - axes.shape[1]) : len(attacks)]:
        ax.tick_params(labelbottom=True)  # nothing is below
    free = axes.flat[len(attacks) :]
    for ax in free:
        ax.set_axis_off()
    axes[-1, 0].set_xlabel("AUROC (dashed: a coin's toss)", loc="left")
    if len(free) > 1:  # one panel is narrower than the legend
        _legend(figure, free[0], kinds, loc="upper left", fontsize=8)
        free[0].get_legend().set_in_layout(False)  # no panel makes room for it
    else:
        _legend(figure, axes[0, -1], kinds, **style.OUTSIDE)
    drawn = "A row for each suspect, a mark with its interval"
    style.says(figure, findings.auroc(measured), drawn)
    return figure


def plot_p_values(splits: pd.DataFrame, *, alpha: float) -> Figure:
    """DIA's p-values, a dot for each random split, beside those of its control.

    Parameters
    ----------
    splits : DataFrame
        suspect, member (the truth), features, p, p_control (validation against validation, grey).
    alpha : float
        The level. Twice the median is held against it: the dashed line is at its half.

    Returns
    -------
    Figure
        A panel for each set of features, a row in it for each suspect; the diamonds are medians,
        accused at or left of the line.
    """
    splits = style.of_datasets(splits)
    suspects, sets = list(splits["suspect"].unique()), splits["features"].unique()
    figure, axes = plt.subplots(
        1,
        len(sets),
        squeeze=False,
        sharey=True,
        layout="constrained",
        figsize=(WIDTH, 1.5 + 0.32 * len(suspects)),
    )
    kinds = style.kinds_of(splits)
    for ax, features in zip(axes[0], sets, strict=True):
        some = splits[splits["features"] == features]
        for suspect, rows in some.groupby("suspect", sort=False):
            y, look = suspects.index(suspect), LOOKS[kinds[rows.index].iloc[0]]
            _dots_and_median(ax, rows["p"], y - 0.17, look)
            _dots_and_median(ax, rows["p_control"], y + 0.17, LOOKS[Status.FILTERED])
        style.decides(ax, alpha / 2, f"median {alpha / 2:g}", left=True)
        ax.set(
            xscale="log",
            xlabel="p-value (grey: control)",
            title=f"features: {features}",
        )
        ax.xaxis.set_major_locator(LogLocator(numticks=5))
        ax.set_yticks(range(len(suspects)), suspects, fontsize=9)
        ax.set_ylim(len(suspects) - 0.5, -1)
    _legend(figure, axes[0, -1], kinds, **style.OUTSIDE)
    drawn = "A row for each suspect, a mark for each random split; diamonds are medians"
    style.says(figure, findings.splits(splits, alpha), drawn)
    return figure


def _dots_and_median(ax: Axes, values: pd.Series, y: float, look: style.Look) -> None:
    marker = "." if look.marker == "|" else look.marker
    places = np.full(len(values), y)
    ax.plot(values, places, marker, color=look.color, markersize=4, alpha=0.6)
    (median,) = ax.plot(values.median(), y, "d", color=look.color, markersize=8)
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
        On the dashed line the estimate is right. Suspects are shifted a little to the side.
    """
    shares = style.of_datasets(shares)
    panels, suspects = shares[by].unique(), list(shares["suspect"].unique())
    markers, color = style.markers_of(suspects), COLORS["member"]
    rows, columns = math.ceil(len(panels) / 2), min(2, len(panels))
    figure, axes = plt.subplots(
        rows,
        columns,
        squeeze=False,
        sharex=True,
        sharey=True,
        layout="constrained",
        figsize=(3 + 2.8 * columns, 0.8 + 3 * rows),
    )
    for ax in axes.flat[len(panels) :]:
        ax.set_axis_off()
    for ax, name in zip(axes.flat, panels, strict=False):
        ax.plot([0, 1], [0, 1], **style.DECISION)
        for row in shares[shares[by] == name].to_dict("records"):
            place = suspects.index(row["suspect"]) - (len(suspects) - 1) / 2
            x = row["true"] + 0.018 * place
            ax.plot([x, x], [row["low"], row["high"]], color=color, linewidth=1.5, alpha=0.4)
            ax.plot(x, row["share"], markers[row["suspect"]], color=color, markersize=5)
        ax.set(title=name, xlim=(-0.06, 1.06), ylim=(-0.03, 1.03))
    for ax in axes[-1]:
        ax.set_xlabel("share of D used")
    axes[0, 0].set_ylabel("estimate, with 95% interval\n(dashed: right)")
    dots = [
        Line2D([], [], color=color, marker=marker, linestyle="none", label=f"{name} (member)")
        for name, marker in markers.items()
    ]
    axes[0, -1].legend(handles=dots, **style.OUTSIDE)
    style.says(figure, findings.shares_held(shares), "A mark for each member and true share")
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
    beside = style.of_datasets(beside)
    suspects, methods = list(beside["suspect"].unique()), list(beside["method"].unique())
    ax = style.axes(ax, 3.4 + 0.41 * len(methods), 2.6 + 0.3 * len(suspects))
    for row in beside.to_dict("records"):
        x, y = methods.index(row["method"]), suspects.index(row["suspect"])
        cell = plt.Rectangle(
            (x - 0.46, y - 0.46),
            0.92,
            0.92,
            color=COLORS[row["verdict"]],
            alpha=0.3 if row["correct"] else 1,
            linewidth=0,
        )
        ax.add_patch(cell)
        word = {"member": "M", "non-member": "n"}.get(row["verdict"], "?")
        said = word if row["correct"] else f"{word} ✗"
        weight, color = ("normal", "black") if row["correct"] else ("bold", "white")
        color = "black" if word == "?" else color  # its grey is light
        ax.text(x, y, said, ha="center", va="center", color=color, fontsize=8, weight=weight)
    truths = dict(zip(beside["suspect"], beside["member"], strict=True))
    ax.set_xticks(range(len(methods)), methods, rotation=50, ha="right", fontsize=9)
    known = [style.with_truth(s, truths[s]) for s in suspects]
    ax.set_yticks(range(len(suspects)), known, fontsize=9)
    ax.set_xlim(-0.5, len(methods) - 0.5)
    ax.set_ylim(len(suspects) - 0.5, -0.5)
    open_too = "; ?: inconclusive" if (beside["verdict"] == "inconclusive").any() else ""
    words = f"M: says member; n: says non-member{open_too}; dark with ✗: wrong"
    ax.set_xlabel(words, fontsize=10)
    ax.grid(visible=False)
    style.says(ax, findings.beside(beside), "A cell for each suspect and method, dark where wrong")
    return ax


def _legend(figure: Figure, ax: Axes, kinds: pd.Series, **where: Any) -> None:
    """The kinds; and room for the longest name."""
    style.legend_of(ax, kinds, **where)
    layout = figure.get_layout_engine()
    assert isinstance(layout, ConstrainedLayoutEngine)
    layout.set(w_pad=0.08)  # inches
