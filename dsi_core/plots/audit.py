"""Audits: what the coins decided, looks, samples, the suspect among known models."""

from collections.abc import Callable, Mapping
from io import BytesIO

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dsi_core.plots import alt, style
from dsi_core.plots.findings import audit as findings
from dsi_core.plots.style import COLORS, LOOKS, Kind, Status

SUSPECT = "the suspect"
WIDTH = 6.4  # inches: still readable on a phone
PARTS = {True: "published", False: "withheld"}
P_VALUES = (1, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01)  # marks of an axis


def plot_preference(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw each sample's preference for the published wording, sorted.

    Parameters
    ----------
    table : DataFrame
        value (difference of two similarities, less what the answers prefer on average: above 0 =
        leans to the published wording; NaN = no usable answer) and needed (the mean at which a
        model is found, in every row; NaN = none would do); a row per sample.
    ax : Axes, optional
        Where to draw; new axes by default.

    Returns
    -------
    Axes
        Samples that lean to the published wording look positive, those that lean to the other one
        negative. A line is at the mean, a dashed one at what is needed.
    """
    ax = style.axes(ax, WIDTH, 3.4)
    values = table["value"].dropna().sort_values(ascending=False).to_numpy()
    _sorted_dots(ax, values, np.where(values > 0, Status.POSITIVE, Status.NEGATIVE), stems=True)
    ax.axhline(0, color=COLORS["zero"], linewidth=0.8)
    _levels(ax, values.mean() if len(values) else np.nan, table["needed"])
    ax.set(xlabel="samples, sorted", ylabel="preference for the\npublished wording")
    ax.grid(visible=False, axis="x")
    style.whole_numbers(ax.xaxis)
    drawn = (
        "A dot for each sample, sorted, on a stem from 0; level lines at the mean and what it needs"
    )
    style.says(ax, findings.preference(table), drawn)
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
        A row of dots and a bar at the mean for either part; a dashed line where the published
        part's mean would have to be.
    """
    ax = style.axes(ax, WIDTH, 2.8)
    means = {}
    for published, color, marker in ((True, COLORS["one"], "o"), (False, COLORS["other"], "s")):
        values = np.sort(table.loc[table["published"] == published, "value"].dropna().to_numpy())
        places = published + 0.6 * style.apart(len(values))
        ax.scatter(values, places, color=color, marker=marker, s=22, linewidths=0)
        if len(values):
            means[published] = values.mean()
            ax.plot([means[published]] * 2, [published - 0.4, published + 0.4], color=color, lw=3)
    if False in means:
        level = means[False] + table["needed"].iloc[0]
        ax.plot([level] * 2, [0.6, 1.4], **style.DECISION)
        if not np.isnan(level):
            ax.annotate("needed", (level, 1.42), ha="center", fontsize=8)
    ax.set(yticks=[1, 0], yticklabels=PARTS.values(), ylim=(-0.6, 1.7), ylabel="")
    ax.set_xlabel("closeness of the answers to the text")
    ax.grid(visible=False, axis="y")
    drawn = "A row of dots for each part, a dot for each sample; upright bars are means"
    style.says(ax, findings.closeness(table), drawn)
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
        The statistic as a line, with a star where it found; the needed value dashed.
    """
    ax = style.axes(ax, WIDTH, 2.8)
    ax.plot(table["after"], table["needed"], "k--", marker="_", linewidth=1, label="needed")
    ax.plot(table["after"], table["statistic"], color=COLORS["other"], linewidth=1.2, zorder=2)
    for crossed, marker, name in ((False, "o", "measured"), (True, "*", "found")):
        rows = table[table["crossed"] == crossed]
        if len(rows):
            size = 120 if crossed else 30
            ax.scatter(
                rows["after"],
                rows["statistic"],
                color=COLORS["one"],
                marker=marker,
                s=size,
                label=name,
                zorder=3,
            )
    ax.axhline(0, color=COLORS["zero"], linewidth=0.8)
    ax.set(xlabel="samples asked", ylabel="difference")
    style.whole_numbers(ax.xaxis)
    ax.legend(**style.OUTSIDE)
    style.says(ax, findings.looks(table), "A dot for each look, a star where it found")
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
        A row of dots for each kind and base; the suspect is a line.
    """
    known = table[table["kind"] != SUSPECT]
    rows = list(known.groupby(["member", "kind", "base"], sort=True, dropna=False))
    ax = style.axes(ax, WIDTH, 1.6 + 0.34 * len(rows))
    names = []
    for place, ((member, kind, base), part) in enumerate(rows):
        leans = part["lean"].replace(-np.inf, np.nan)
        look = LOOKS[style.kind_of(str(kind), bool(member))]
        places = place + 0.3 * style.apart(len(part))
        ax.scatter(leans, places, color=look.color, marker=look.marker, s=26, linewidths=0)
        trained = ", trained on it" if member else ""
        names.append(f"{kind} ({base}): {len(part)}{trained}")
    lean = table.loc[table["kind"] == SUSPECT, "lean"].replace(-np.inf, np.nan)
    for value in lean.dropna():
        ax.axvline(value, color=COLORS[SUSPECT], linewidth=1.6)
        ax.annotate(
            SUSPECT,
            (value, 0),
            (3, 3),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            fontsize=9,
        )
    ax.set(yticks=range(len(rows)), ylim=(-0.7, len(rows) - 0.3), ylabel="")
    ax.set_yticklabels(names, fontsize=9)
    ax.set_xlabel("lean to the references trained on the dataset")
    drawn = "A row for each kind and base of known models, a dot for each; the suspect is a line"
    style.says(ax, findings.strata(table), drawn)
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
        The threshold is dashed. The title counts all samples.
    """
    ax = style.axes(ax, WIDTH, 3)
    ordered = table.dropna(subset="evidence").sort_values("evidence", ascending=False)
    _sorted_dots(ax, ordered["evidence"].to_numpy(), ordered["status"].to_numpy())
    delta = table["threshold"].iloc[0]
    style.decides(ax, delta, f"{delta:g}\nabove: positive", across=True)
    ax.axhline(0, color=COLORS["zero"], linewidth=0.8)
    counts = table["status"].value_counts()
    positive, negative, unusable = (counts.get(status, 0) for status in Status)
    title = f"{positive} positive, {negative} negative, {unusable} without a usable answer"
    ax.set(xlabel="samples, sorted", ylabel="evidence (Eq. 2)")
    style.whole_numbers(ax.xaxis)
    style.says(ax, title, "A dot for each sample, sorted by its evidence")
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
        look = LOOKS[status]
        vote.step(
            table["queries"],
            table[status],
            where="post",
            color=look.color,
            linestyle=look.line,
            label=status,
        )
    vote.set(xlabel="answers", ylabel="samples", title="the vote")
    for axis in (vote.xaxis, vote.yaxis):
        style.whole_numbers(axis)
    vote.legend(loc="upper left", bbox_to_anchor=(0.0, -0.3), ncols=2, fontsize=8)
    figure.set_label("Counts of samples, and the p-value among controls, as answers come in")
    if ranked:
        rank = axes[0, 1]
        rank.step(table["queries"], table["p"], where="post", color=COLORS[SUSPECT])
        style.decides(rank, table["alpha"].iloc[0], "alpha", across=True)
        rank.set(xlabel="answers", ylabel="p-value", title="against controls", yscale="log")
        lowest = min(table["p"].min(), table["alpha"].iloc[0])
        marks = [mark for mark in P_VALUES if mark >= lowest / 2]
        rank.set_yticks(marks, [f"{mark:g}" for mark in marks])
        rank.minorticks_off()
    return figure


def plot_known_models(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """How far each model leans to the references that trained on D, by kind, sorted.

    Parameters
    ----------
    table : DataFrame
        As `controls.compare`: model, kind ("the suspect", or a group of models that are known),
        member (None = the suspect), lean (higher = closer to the references trained on D; -inf,
        too few samples, is no dot).
    ax : Axes, optional
        Where to draw; new axes by default.

    Returns
    -------
    Axes
        A row for each model, kinds under each other in the order of `style.Kind`; the suspect is a
        black diamond with a bold name. A dashed line marks the non-member that leans furthest.
    """
    ax = style.axes(ax, 9, 1.4 + 0.24 * len(table))
    kinds = [style.kind_of(*row) for row in zip(table["kind"], table["member"], strict=True)]
    rows = table.assign(lean=table["lean"].replace(-np.inf, np.nan), looks=kinds)
    order = {kind: place for place, kind in enumerate(Kind)}
    rows = rows.sort_values(
        ["looks", "lean"],
        key=lambda c: c.map(order) if c.name == "looks" else -c,
        ignore_index=True,
    )
    for kind, part in rows.groupby("looks", sort=False):
        look = LOOKS[str(kind)]
        size = 60 if kind == Kind.SUSPECT else 30
        ax.scatter(part["lean"], part.index, color=look.color, marker=look.marker, s=size, zorder=3)
    innocent = rows.loc[rows["member"].eq(False), "lean"].max()
    if not np.isnan(innocent):
        style.decides(ax, innocent, "the furthest non-member")
    ax.set(yticks=range(len(rows)), ylim=(len(rows) - 0.4, -1.4), ylabel="")
    ax.set_xlabel("lean to the references trained on D (0 = as close to either kind of reference)")
    ax.set_yticklabels(rows["model"], fontsize=8)
    for label, kind in zip(ax.get_yticklabels(), rows["looks"], strict=True):
        label.set_fontweight("bold" if kind == Kind.SUSPECT else "normal")
    style.legend_of(ax, kinds, **style.OUTSIDE)
    style.says(ax, findings.known_models(table), "A dot for each model, in rows by kind")
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


def _sorted_dots(
    ax: Axes, values: np.ndarray, statuses: np.ndarray, *, stems: bool = False
) -> None:
    """A dot for each sample at 1, 2, ..., looking like its status; on stems from 0."""
    places = np.arange(1, len(values) + 1)
    for status in (Status.POSITIVE, Status.NEGATIVE):
        look, own = LOOKS[status], statuses == status
        if stems:
            ax.vlines(places[own], 0, values[own], colors=look.color, linewidth=1)
        ax.scatter(places[own], values[own], color=look.color, marker=look.marker, s=26, zorder=3)


def _levels(ax: Axes, mean: float, needed: pd.Series) -> None:
    """A line at the mean, a dashed one at what is needed; with their names, outside."""
    ax.axhline(mean, color=COLORS["line"], linewidth=1.6, label="mean")
    if needed.notna().any():
        ax.axhline(needed.iloc[0], **style.DECISION, label="needed")
    ax.legend(**style.OUTSIDE)


def _png(drawn: Axes | Figure) -> bytes:
    figure = drawn.figure if isinstance(drawn, Axes) else drawn
    assert isinstance(figure, Figure)
    file = BytesIO()
    metadata = {"Software": None, "Description": alt.text(figure)}
    figure.savefig(file, format="png", bbox_inches="tight", metadata=metadata)
    plt.close(figure)
    return file.getvalue()
