"""Audits: what the coins decided, looks, samples, the suspect among known models."""

from collections.abc import Callable, Mapping
from io import BytesIO

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dsi_core.plots import style
from dsi_core.plots.style import BLUE, COLORS, GREY, ORANGE

SUSPECT = "the suspect"
WIDTH = 6.4  # inches: still readable on a phone
PARTS = {True: "published", False: "withheld"}
P_VALUES = (1, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01)  # marks of an axis
SPREAD = 0.618  # the golden ratio: dots of a row, moved apart by its multiples, rarely overlap


def plot_preference(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw each sample's preference for the published wording, sorted.

    Parameters
    ----------
    table : DataFrame
        value (difference of two similarities, above 0 = closer to the published wording; NaN = no
        usable answer) and needed (the mean at which a model is found, in every row; NaN = none
        would do); a row per sample.
    ax : Axes, optional
        Where to draw; new axes by default.

    Returns
    -------
    Axes
        Orange = prefers what was published, blue = the other wording. A line at the mean, a dashed
        one at what is needed.
    """
    ax = style.axes(ax, WIDTH, 3.4)
    values = table["value"].dropna().sort_values(ascending=False).to_numpy()
    colors = [ORANGE if value > 0 else BLUE for value in values]
    ax.vlines(np.arange(1, len(values) + 1), 0, values, colors=colors, linewidth=1)
    ax.scatter(np.arange(1, len(values) + 1), values, c=colors, s=22, linewidths=0, zorder=3)
    ax.axhline(0, color=COLORS["zero"], linewidth=0.8)
    _levels(ax, ax.axhline, values.mean() if len(values) else np.nan, table["needed"])
    ax.set(xlabel="samples, sorted", ylabel="preference for the\npublished wording")
    ax.grid(visible=False, axis="x")
    style.whole_numbers(ax.xaxis)
    return ax


def plot_closeness(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw how close the answers are to the samples' own texts, published against withheld.

    Parameters
    ----------
    table : DataFrame
        value (similarity, higher = closer; NaN = no usable answer), published (bool) and needed
        (the difference of the means at which a model is found, in every row; NaN = none would
        do); a row per sample.
    ax : Axes, optional
        Where to draw; new axes by default.

    Returns
    -------
    Axes
        A row of dots and a bar at the mean for either part; dashed what the published one's mean
        would have to be.
    """
    ax = style.axes(ax, WIDTH, 2.8)
    means = {}
    for published, color in ((True, ORANGE), (False, BLUE)):
        values = table.loc[table["published"] == published, "value"].dropna().to_numpy()
        ax.scatter(values, published + _apart(len(values)), color=color, s=22, linewidths=0)
        if len(values):
            means[published] = values.mean()
            ax.plot([means[published]] * 2, [published - 0.4, published + 0.4], color="black")
    if False in means:
        level = means[False] + table["needed"].iloc[0]
        ax.plot([level] * 2, [0.6, 1.4], color=COLORS["line"], linestyle="--", label="needed")
    ax.set(yticks=[1, 0], yticklabels=PARTS.values(), ylim=(-0.6, 1.6), ylabel="")
    ax.set_xlabel("closeness of the answers to the text")
    ax.grid(visible=False, axis="y")
    return ax


def plot_looks(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw what an exact test saw at each look, and what was needed there.

    Parameters
    ----------
    table : DataFrame
        after (samples asked), statistic, needed (the smallest that finds; NaN = none) and crossed
        (bool); a row per look.
    ax : Axes, optional
        Where to draw; new axes by default.

    Returns
    -------
    Axes
        The statistic as a line, orange where it found; what was needed dashed.
    """
    ax = style.axes(ax, WIDTH, 2.8)
    ax.plot(table["after"], table["needed"], "k--", marker="_", linewidth=1, label="needed")
    ax.plot(table["after"], table["statistic"], color=GREY, linewidth=1.2, zorder=2)
    for crossed, color, name in ((False, BLUE, "measured"), (True, ORANGE, "found")):
        rows = table[table["crossed"] == crossed]
        if len(rows):
            ax.scatter(rows["after"], rows["statistic"], color=color, s=30, label=name, zorder=3)
    ax.axhline(0, color=COLORS["zero"], linewidth=0.8)
    ax.set(xlabel="samples asked", ylabel="difference")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend(loc="best", fontsize=9)
    return ax


def plot_strata(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """How far models lean to the references trained on D, by their kind and base.

    Parameters
    ----------
    table : DataFrame
        As `controls.compare`: kind ("the suspect", or of models that are known), base, member
        (None = the suspect), lean (-inf, too few samples, is no dot).
    ax : Axes, optional
        Where to draw; new axes by default.

    Returns
    -------
    Axes
        A row of dots for each kind and base, orange where it trained on D; the suspect is a line.
    """
    known = table[table["kind"] != SUSPECT]
    rows = list(known.groupby(["member", "kind", "base"], sort=True, dropna=False))
    ax = style.axes(ax, WIDTH, 1.4 + 0.34 * len(rows))
    names = []
    for place, ((member, kind, base), part) in enumerate(rows):
        leans = part["lean"].replace(-np.inf, np.nan)
        color = ORANGE if member else BLUE
        ax.scatter(leans, place + 0.5 * _apart(len(part)), color=color, s=26, linewidths=0)
        trained = ", trained on it" if member else ""
        names.append(f"{kind} ({base}): {len(part)}{trained}")
    lean = table.loc[table["kind"] == SUSPECT, "lean"].replace(-np.inf, np.nan)
    for value in lean.dropna():
        ax.axvline(value, color=COLORS[SUSPECT], linewidth=1.6)
        ax.annotate(
            SUSPECT,
            (value, 1),
            (0, 4),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            ha="center",
            fontsize=10,
        )
    ax.set(yticks=range(len(rows)), ylim=(-0.7, len(rows) - 0.3), ylabel="")
    ax.set_yticklabels(names, fontsize=9)
    ax.set_xlabel("lean to the references trained on the dataset")
    return ax


def plot_samples(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw the evidence of each sample, sorted.

    Parameters
    ----------
    table : DataFrame
        evidence (Eq. 2; NaN = no usable answer), status ("positive" | "negative" | "filtered") and
        threshold (Eq. 2's delta_s, in every row); a row per sample.
    ax : Axes, optional
        Where to draw; new axes by default.

    Returns
    -------
    Axes
        Orange = positive, blue = negative; dashed the threshold. The title counts all samples.
    """
    ax = style.axes(ax, WIDTH, 3)
    ordered = table.dropna(subset="evidence").sort_values("evidence", ascending=False)
    places = np.arange(1, len(ordered) + 1)
    colors = ordered["status"].map(COLORS)
    ax.scatter(places, ordered["evidence"], c=colors, s=26, linewidths=0)
    ax.axhline(table["threshold"].iloc[0], color=COLORS["line"], linewidth=1, linestyle="--")
    ax.axhline(0, color=COLORS["zero"], linewidth=0.8)
    counts = table["status"].value_counts()
    positive, negative, unusable = (counts.get(s, 0) for s in ("positive", "negative", "filtered"))
    title = f"{positive} positive, {negative} negative, {unusable} without a usable answer"
    ax.set(xlabel="samples, sorted", ylabel="evidence (Eq. 2)", title=title)
    style.whole_numbers(ax.xaxis)
    return ax


def plot_curve(table: pd.DataFrame) -> Figure:
    """Vote, and the rank among the controls, against the queries asked.

    Parameters
    ----------
    table : DataFrame
        queries, positive, negative (counts of samples so far), p (NaN throughout where there are
        no controls) and alpha (in every row; dashed).

    Returns
    -------
    Figure
        One or two axes: the vote, the controls' p-value.
    """
    ranked = bool(table["p"].notna().any())
    figure, axes = plt.subplots(
        1, 1 + ranked, figsize=(WIDTH, 2.8), layout="constrained", squeeze=False
    )
    vote = axes[0, 0]
    for status in ("positive", "negative"):
        vote.step(table["queries"], table[status], where="post", color=COLORS[status], label=status)
    vote.set(xlabel="answers", ylabel="samples", title="the vote")
    vote.legend(fontsize=9)
    if ranked:
        rank = axes[0, 1]
        rank.step(table["queries"], table["p"], where="post", color=COLORS[SUSPECT])
        rank.axhline(table["alpha"].iloc[0], color=COLORS["threshold"], linestyle="--", linewidth=1)
        rank.set(xlabel="answers", ylabel="p-value", title="against controls", yscale="log")
        lowest = min(table["p"].min(), table["alpha"].iloc[0])
        marks = [mark for mark in P_VALUES if mark >= lowest / 2]
        rank.set_yticks(marks, [f"{mark:g}" for mark in marks])
        rank.minorticks_off()
    return figure


def plot_known_models(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """How far each model leans to the references that trained on D, sorted.

    Parameters
    ----------
    table : DataFrame
        As `controls.compare`: model, kind ("the suspect", or a group of models that are known),
        lean (higher = closer to the references trained on D; -inf, too few samples, is no dot).
    ax : Axes, optional
        Where to draw; new axes by default.

    Returns
    -------
    Axes
        A colour for each kind; the suspect is a black diamond with a bold name.
    """
    ax = style.axes(ax, 8, 1.1 + 0.23 * len(table))
    finite = table.assign(lean=table["lean"].replace(-np.inf, np.nan))
    ordered = finite.sort_values("lean", ignore_index=True)
    colors = style.colors_of(table["kind"])
    for kind, rows in ordered.groupby("kind", sort=False):
        ax.scatter(
            rows["lean"],
            rows.index,
            color=colors[str(kind)],
            marker="D" if kind == SUSPECT else "o",
            s=60 if kind == SUSPECT else 28,
            label=kind,
            zorder=3,
        )
    ax.set(
        yticks=range(len(ordered)),
        xlabel="lean to the references trained on the dataset",
        ylabel="",
    )
    ax.set_yticklabels(ordered["model"], fontsize=8)
    for label, kind in zip(ax.get_yticklabels(), ordered["kind"], strict=True):
        label.set_fontweight("bold" if kind == SUSPECT else "normal")
    ax.legend(loc="lower right", fontsize=8)
    return ax


DRAWN: Mapping[str, Callable[[pd.DataFrame], Axes | Figure]] = {
    "preference": plot_preference,
    "closeness": plot_closeness,
    "looks": plot_looks,
    "strata": plot_strata,
    "samples": plot_samples,
    "curve": plot_curve,
}


def pictures(tables: Mapping[str, pd.DataFrame]) -> dict[str, bytes]:
    """Draw what the page of a report shows: PNG files by name, the same whenever they are drawn.

    tables: by the names of `DRAWN`, as its functions take them; an empty one has no picture.
    """
    style.use()
    return {name: _png(DRAWN[name](table)) for name, table in tables.items() if len(table)}


def _levels(ax: Axes, line: Callable, mean: float, needed: pd.Series) -> None:
    """A line at the mean, a dashed one at what is needed; with their names."""
    line(mean, color=COLORS["line"], linewidth=1.6, label="mean")
    if needed.notna().any():
        line(needed.iloc[0], color=COLORS["line"], linewidth=1, linestyle="--", label="needed")
    ax.legend(loc="upper right", fontsize=9)


def _apart(count: int) -> np.ndarray:
    """How far the dots of a row are moved up or down, so that they do not hide each other."""
    return (np.arange(count) * SPREAD) % 1 * 0.6 - 0.3


def _png(drawn: Axes | Figure) -> bytes:
    figure = drawn.figure if isinstance(drawn, Axes) else drawn
    assert isinstance(figure, Figure)
    file = BytesIO()
    figure.savefig(file, format="png", bbox_inches="tight", metadata={"Software": None})
    plt.close(figure)
    return file.getvalue()
