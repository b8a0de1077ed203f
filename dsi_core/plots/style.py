"""One look for every figure: fonts and grid, the colours of what is drawn, sizes of new axes."""

import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dsi_core.plots import alt, tables


@dataclass(frozen=True)
class Look:
    """How one kind of thing is drawn everywhere: its colour, and signs that need no colour."""

    color: str
    marker: str = "o"
    hatch: str = ""
    line: str | tuple = "-"


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
}
ASSISTANTS = {"answers", "retrieval"}
DECISION = {"color": "black", "linestyle": "--", "linewidth": 1.2}  # the line that decides

ORANGE, BLUE, GREY = "#D55E00", "#0072B2", "#BBBBBB"  # colour-blind safe (Okabe-Ito)
COLORS = {
    "positive": ORANGE,
    "negative": BLUE,
    "filtered": GREY,
    "member": ORANGE,
    "non-member": BLUE,
    "inconclusive": GREY,
    "after": ORANGE,
    "before": BLUE,
    "tuned": ORANGE,
    "bases": BLUE,
    "the suspect": "black",
    "control models": "#0173B2",
    "private twin": "#DE8F05",
    "threshold": ORANGE,
    "line": "black",
    "zero": "#888888",
    "wrong": "#CC0000",
    "frame": "red",
    "caption": "#555555",
    "shared words": "#B7E4C7",
}
TITLE, PER_INCH = 11, 11.5  # points, and characters of that size to the inch
TRUTH = {True: "member", False: "non-member"}


def use() -> None:
    """Set how figures look and notebooks show them and tables, and the seed of the jitter of dots.

    Seaborn takes the jitter from numpy's global numbers; so it is the same in every run.
    """
    np.random.seed(0)
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
            "svg.hashsalt": "dsi_core",
        },
    )
    alt.in_notebooks()
    tables.in_notebooks()


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
        where.set_title(finding, wrap=True)
        root = where.get_figure(root=True)
        assert root is not None
        root.set_label(drawn)
        return
    lines = textwrap.fill(finding, int(PER_INCH * where.get_figwidth()))
    where.suptitle(lines, x=0.01, ha="left", fontsize=TITLE)
    where.set_label(drawn)


def nothing(ax: Axes, sentence: str = "no sample is left at these settings") -> Axes:
    """Say that there is nothing to draw, in the place of a plot."""
    ax.text(0.5, 0.5, sentence, ha="center", va="center", color=COLORS["caption"])
    ax.set_axis_off()
    return ax


def colors_of(names: Iterable[str]) -> dict[str, str | tuple]:
    """Give each name a colour: its own in `COLORS`, else the next of the colour-blind palette."""
    unique = list(dict.fromkeys(names))
    palette = dict(zip(unique, sns.color_palette("colorblind", len(unique)), strict=True))
    return {name: COLORS.get(name, color) for name, color in palette.items()}


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
