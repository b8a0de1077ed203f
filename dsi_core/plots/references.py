"""The vote with more references or fewer, on models that trained on data like D (§6.3.2)."""

from itertools import product

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from dsi_core.plots import style
from dsi_core.plots.findings import variants as findings
from dsi_core.plots.style import LOOKS, Kind, Status

# Of suspects that trained on data like D, in words.
GROUPS = {
    "non-members (1)": "(1) the references' own models and recipe",
    "non-members (2)": "(2) other models or recipes",
}


def plot_detection(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """How many models that trained on data like D are judged rightly, by references (Fig. 9).

    Parameters
    ----------
    table : DataFrame
        references (a name of the set), group, correct, total (suspects), low, high (95% Wilson
        interval, percent).
    ax : Axes, optional
        Where to draw; new axes by default.

    Returns
    -------
    Axes
        A row for each set, a dot in it for each group, with its interval; counts to the right.
    """
    sets, groups = list(table["references"].unique()), list(table["group"].unique())
    ax = style.axes(ax, 9, 1.6 + 0.6 * len(sets))
    look = LOOKS[Kind.LIKE_D]
    filled = dict(zip(groups, (look.color, "white"), strict=False))
    for row in table.to_dict("records"):
        y = sets.index(row["references"]) + 0.28 * (groups.index(row["group"]) - 0.5)
        ax.plot([row["low"], row["high"]], [y, y], color=look.color, linewidth=2)
        ax.plot(
            100 * row["correct"] / row["total"],
            y,
            look.marker,
            color=look.color,
            markersize=9,
            markerfacecolor=filled.get(row["group"], look.color),
            markeredgewidth=2,
        )
        count = f"{int(row['correct'])} of {int(row['total'])}"
        ax.annotate(
            count,
            (1.0, y),
            (4, 0),
            va="center",
            xycoords=ax.get_yaxis_transform(),
            textcoords="offset points",
            fontsize=9,
        )
    ax.set(yticks=range(len(sets)), yticklabels=sets, ylim=(len(sets) - 0.5, -0.5))
    ax.set(xlim=(-3, 103), ylabel="references\nin use")
    ax.set_xlabel("judged rightly, that is cleared, % (bar: 95% Wilson interval)")
    ax.grid(axis="y", visible=False)
    shown = [
        Line2D(
            [],
            [],
            color=look.color,
            marker=look.marker,
            markerfacecolor=filled.get(group, look.color),
            linestyle="none",
            label=GROUPS.get(group, group),
        )
        for group in groups
    ]
    place = (0.0, -0.18 - 0.12 * (len(sets) < 4))
    ax.legend(handles=shown, loc="upper left", bbox_to_anchor=place, ncols=2, fontsize=9)
    drawn = "A row for each set of references, a square with its interval for each group of models"
    style.says(ax, findings.detection(table), drawn)
    return ax


def plot_votes_by_references(table: pd.DataFrame, *, rule: str = "text") -> Figure:
    """Tainted samples of each suspect, by the references that count (Fig. 10).

    Parameters
    ----------
    table : DataFrame
        dataset, references (a name of the set), suspect, positive, negative (counts of samples).
    rule : str
        By which the suspects were judged: "text", or "released", by which a tie is member, too.

    Returns
    -------
    Figure
        A row of axes for each dataset, a column for each set of references, a bar for each suspect:
        positive samples, then negative ones; an accused suspect has a cross.
    """
    sets, datasets = list(table["references"].unique()), list(table["dataset"].unique())
    rows = table.groupby("dataset")["suspect"].nunique().max()
    figure, axes = plt.subplots(
        len(datasets),
        len(sets),
        figsize=(3 + 2 * len(sets), 1.5 + (0.8 + 0.36 * rows) * len(datasets)),
        sharex=True,
        sharey="row",
        layout="constrained",
        squeeze=False,
    )
    most = (table["positive"] + table["negative"]).max()
    for ax, (dataset, name) in zip(axes.flat, product(datasets, sets), strict=True):
        some = table[(table["dataset"] == dataset) & (table["references"] == name)]
        _stacked_bars(ax, some, int(most), tie=rule == "released")
        named = f"{dataset}: " if len(datasets) > 1 else ""
        ax.set_title(f"{named}{name}")
    for ax in axes[:, 0]:
        ax.invert_yaxis()
    for ax in axes[-1]:
        ax.set_xlabel("tainted samples")
    bars = [
        plt.Rectangle((0, 0), 1, 1, facecolor=LOOKS[k].color, hatch=LOOKS[k].hatch, edgecolor="w")
        for k in (Status.POSITIVE, Status.NEGATIVE)
    ]
    where = "from it on" if rule == "released" else "beyond it"
    words = ["positive", "negative", f"half: {where} accused"]
    half = Line2D([], [], **style.DECISION)
    axes[0, -1].legend([*bars, half], words, **style.OUTSIDE)
    drawn = "A bar for each model that trained on data like D: positive samples, then negative ones"
    style.says(figure, findings.votes_by_references(table), drawn)
    return figure


def _stacked_bars(ax: Axes, some: pd.DataFrame, most: int, *, tie: bool) -> None:
    """A bar for each suspect, its counts, and a line at half of each.

    most: count of the longest bar; tie: whether one half is enough to be accused.
    """
    places, total = range(len(some)), some["positive"] + some["negative"]
    left = 0 * total
    for status in (Status.POSITIVE, Status.NEGATIVE):
        look = LOOKS[status]
        ax.barh(
            places,
            some[status],
            0.74,
            left=left,
            color=look.color,
            hatch=look.hatch,
            edgecolor="white",
            linewidth=0.3,
        )
        left = left + some[status]
    for place, (positive, of) in enumerate(zip(some["positive"], total, strict=True)):
        ax.plot([of / 2] * 2, [place - 0.45, place + 0.45], **style.DECISION)
        accused = positive > of / 2 or (tie and positive == of / 2)
        said = f"{positive} of {of}" + (" ✗" if accused else "")
        ax.annotate(said, (of, place), (3, 0), textcoords="offset points", va="center", fontsize=8)
    ax.set_yticks(places, some["suspect"], fontsize=9)
    ax.set_xlim(0, 1.5 * max(1, most))
    ax.grid(axis="y", visible=False)
    style.whole_numbers(ax.xaxis)
