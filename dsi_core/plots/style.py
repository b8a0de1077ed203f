"""One look for every figure: fonts and grid, the colours of what is drawn, sizes of new axes."""

import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import cycle
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from dsi_core.plots import alt, errors, tables, warned


@dataclass(frozen=True)
class Look:
    """How one kind of thing is drawn everywhere: its colour, and signs that need no colour."""

    color: str
    marker: str = "o"
    hatch: str = ""
    line: Any = "-"  # as matplotlib takes line styles


class Kind(StrEnum):
    """What a model was trained on; every figure that shows models uses these."""

    MEMBER = "member"  # trained on D
    LIKE_D = "data like D"  # tuned on other samples of D's source
    OTHER = "other data"  # tuned on something else; also a non-member of which no more is said
    UNTUNED = "untuned"
    ASSISTANT = "assistant"  # a capable model or a look-up that answers the questions
    SUSPECT = "suspect"  # nobody knows


class Status(StrEnum):
    """What a sample counts for in a suspect's vote."""

    POSITIVE = "positive"
    NEGATIVE = "negative"
    FILTERED = "filtered"  # no usable answer


# Okabe-Ito, moved in lightness so that all differ in grey too (tests/plots/test_style.py).
LOOKS: Mapping[str, Look] = {
    Kind.MEMBER: Look("#CC5200", "o", "", "-"),
    Kind.LIKE_D: Look("#D689B8", "s", "///", "--"),
    Kind.OTHER: Look("#00508C", "^", "...", "-."),
    Kind.UNTUNED: Look("#7CC4EE", "v", "xxx", ":"),
    Kind.ASSISTANT: Look("#4A270C", "P", "++", (0, (4, 1, 1, 1, 1, 1))),
    Kind.SUSPECT: Look("#000000", "D", "", "-"),
    Status.POSITIVE: Look("#E69F00", "o", "", "-"),
    Status.NEGATIVE: Look("#00735C", "X", "///", "--"),
    Status.FILTERED: Look("#CCCCCC", "|", "...", ":"),
    "tuned reference": Look("#CC5200", "o", "", "-"),  # a member by our own hand
    "untuned reference": Look("#7CC4EE", "v", "xxx", ":"),
}
# Groups as profiles and tables call them.
LIKE_D = {
    "data like D",
    "non-members (1)",
    "non-members (2)",
    "trained on D'",
    "on D's other wording",
    "D in other words",
}
ASSISTANTS = {"answers", "retrieval", "written"}
DECISION: dict[str, Any] = {
    "color": "black",
    "linestyle": "--",
    "linewidth": 1.2,
}  # the line that decides

COLORS = {
    **{str(kind): look.color for kind, look in LOOKS.items()},
    "non-member": LOOKS[Kind.OTHER].color,
    "inconclusive": LOOKS[Status.FILTERED].color,
    "after": LOOKS["tuned reference"].color,
    "before": LOOKS["untuned reference"].color,
    "the suspect": LOOKS[Kind.SUSPECT].color,
    "line": "black",
    "zero": "#888888",
    "tainted": "#4D4D4D",
    "one": "#222222",  # of two things that are no kinds: tests, bases, draws
    "other": "#8A8A8A",
    "wrong": "#B00000",
    "caption": "#555555",
    "shared words": "#B7E4C7",
}
BESIDE_LINE: dict[str, Any] = {
    "textcoords": "offset points",
    "fontsize": 8,
    "color": COLORS["caption"],
}
WORDS: Mapping[str, str] = {
    Kind.MEMBER: "member: trained on D",
    Kind.LIKE_D: "tuned on data like D",
    Kind.OTHER: "tuned on other data",
    Kind.ASSISTANT: "assistant or look-up, never saw D",
    Kind.SUSPECT: "the suspect",
}  # of a legend
OUTSIDE: dict[str, Any] = {
    "loc": "upper left",
    "bbox_to_anchor": (1.0, 1.0),
    "fontsize": 8,
}  # a legend's place
SPREAD = 0.618  # the golden ratio: dots of a row, moved apart by its multiples, rarely overlap
# Of names that are all of one kind, each next one has the next marker.
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*")
TITLE, PER_INCH = 11, 11.5  # points, and characters of that size to the inch
TRUTH = {True: "member", False: "non-member"}


def use() -> None:
    """Set how figures look and how notebooks show them, tables, warnings and errors."""
    sns.set_theme(
        context="notebook",
        style="whitegrid",
        rc={
            "figure.dpi": 100,
            "savefig.dpi": 150,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.titlesize": TITLE,
            "axes.titlelocation": "left",
            "legend.frameon": False,
            "hatch.linewidth": 0.5,
            "svg.hashsalt": "dsi_core",
        },
    )
    alt.in_notebooks()
    tables.in_notebooks()
    errors.in_notebooks()
    warned.in_notebooks()


def axes(ax: Axes | None, width: float, height: float) -> Axes:
    """The axes to draw on: those given, or new ones of `width` times `height` inches."""
    if ax is not None:
        return ax
    return plt.subplots(figsize=(width, height), layout="constrained")[1]


def says(where: Axes | Figure, finding: str, drawn: str) -> None:
    """Put what is found above axes or a figure, and keep the words for what is drawn (alt text).

    finding: of the table that is drawn. drawn: the marks, in a sentence.
    """
    if isinstance(where, Axes):
        where.set_title(finding, loc="left", wrap=True)
        root = where.get_figure(root=True)
        assert root is not None
        root.set_label(drawn)
        return
    lines = textwrap.fill(finding, int(PER_INCH * where.get_figwidth()))
    where.suptitle(lines, x=0.01, ha="left", fontsize=TITLE)
    where.set_label(drawn)


def nothing(ax: Axes, sentence: str = "no sample is left at these settings") -> Axes:
    """Say that there is nothing to draw, in the place of a plot."""
    reason(ax, sentence)
    ax.set_axis_off()
    return ax


def reason(ax: Axes, sentence: str, height: float = 0.5) -> None:
    """Say inside axes why nothing is drawn there; height: 0 at their foot, 1 at their head."""
    middle: dict[str, Any] = {"ha": "center", "va": "center", "transform": ax.transAxes}
    ax.text(0.5, height, sentence, color=COLORS["caption"], **middle)


def markers_of(names: Iterable[str]) -> dict[str, str]:
    """Give each name a marker, in order; after ten, markers repeat."""
    return dict(zip(dict.fromkeys(names), cycle(MARKERS)))


def of_datasets(table: pd.DataFrame) -> pd.DataFrame:
    """Name suspects with their dataset, where there are several: each has the same ones."""
    if "dataset" not in table or table["dataset"].nunique() < 2:
        return table
    return table.assign(suspect=table["dataset"] + ": " + table["suspect"])


def kinds_of(table: pd.DataFrame) -> pd.Series:
    """The kind of each row of suspects: columns member, and group where it is known."""
    groups = table["group"] if "group" in table else pd.Series("", table.index)
    untuned = table["suspect"].str.contains("untuned")  # a group may hold others, too
    groups = groups.mask(untuned, "untuned")
    kinds = [kind_of(str(g), m) for g, m in zip(groups, table["member"], strict=True)]
    return pd.Series(kinds, table.index, dtype=object)


def words_of(name: str) -> str:
    """What a legend calls a kind or a status."""
    return WORDS.get(str(name), str(name))


def legend_of(where: Axes | Figure, names: Iterable[str], **options) -> None:
    """Add a legend of kinds or statuses as they look, in the order of `LOOKS`, off the data."""
    shown = [name for name in LOOKS if name in set(names)]
    dots = [
        Line2D([], [], color=LOOKS[n].color, marker=LOOKS[n].marker, linestyle="none")
        for n in shown
    ]
    where.legend(dots, [words_of(name) for name in shown], **options)


def lines_of(kinds: Iterable[str]) -> list[Line2D]:
    """Give the entries of a legend of kinds, each by its line, in the order of `Kind`."""
    return [
        Line2D([], [], color=LOOKS[kind].color, linestyle=LOOKS[kind].line, label=words_of(kind))
        for kind in Kind
        if kind in set(kinds)
    ]


def apart(count: int) -> np.ndarray:
    """The vertical jitter of a row's dots, from -0.5 to 0.5, so that all are seen."""
    return (np.arange(count) * SPREAD) % 1 - 0.5


def dots(ax: Axes, values: pd.Series, y: float, kind: str, *, height: float = 0.4) -> None:
    """A row of dots that look like their kind, and a diamond at the median, if there are any."""
    look = LOOKS[kind]
    at = np.sort(values.to_numpy())
    if not len(at):
        return
    ax.scatter(
        at,
        y + height * apart(len(at)),
        s=16,
        color=look.color,
        marker=look.marker,
        alpha=0.6,
        linewidths=0,
    )
    ax.plot(np.median(at), y, "d", color=look.color, markersize=8, markeredgecolor="black")


def decides(ax: Axes, at: float, words: str, *, across: bool = False, left: bool = False) -> None:
    """Draw the line that decides, with its name at its end, off the data.

    at: where it stands; upright, or level where `across`. left: the name stands left of it.
    """
    if across:
        ax.axhline(at, **DECISION, zorder=2)
        name: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "ha": "left"}
        ax.annotate(words, (1.0, at), (3, 0), va="center", **name, **BESIDE_LINE)
        return
    ax.axvline(at, **DECISION, zorder=2)
    name = {"xycoords": ("data", "axes fraction"), "ha": "right" if left else "left"}
    ax.annotate(words, (at, 1.0), (-3 if left else 3, -1), va="top", **name, **BESIDE_LINE)


def whole_numbers(axis: Axis) -> None:
    """Put an axis' marks at whole numbers only; for counts."""
    axis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 2.5, 5, 10], integer=True))


def kind_of(group: str, member: bool | None) -> Kind:
    """The kind of a model, from the group that a table names and the truth (None = unknown)."""
    if member is None or pd.isna(member):
        return Kind.SUSPECT
    if member:
        return Kind.MEMBER
    if group in LIKE_D:
        return Kind.LIKE_D
    if group in ASSISTANTS:
        return Kind.ASSISTANT
    return Kind.UNTUNED if group.startswith("untuned") else Kind.OTHER


def with_truth(suspect: str, member: bool) -> str:
    """A suspect's name in a legend, with the truth behind it."""
    return f"{suspect} ({TRUTH[member]})"
