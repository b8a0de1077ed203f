"""Audits: samples, growth of the evidence, the suspect among known models, power of the tests."""

from io import BytesIO

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from dsi_core.plots import style
from dsi_core.plots.style import COLORS

MARKERS = {"published": "o", "withheld": "X"}
SUSPECT = "the suspect"


def plot_samples(evidence: pd.DataFrame, *, delta_s: float, ax: Axes | None = None) -> Axes:
    """Draw the evidence of each sample, sorted.

    Parameters
    ----------
    evidence : DataFrame
        part ("published" | "withheld"), evidence (Eq. 2; NaN = no usable answer), status
        ("positive" | "negative" | "filtered"); a row per sample.
    delta_s : float
        Eq. 2's threshold, the dashed line.
    ax : Axes, optional
        Where to draw; new axes by default.

    Returns
    -------
    Axes
        Orange = positive, blue = negative; crosses = withheld. The title counts all samples.
    """
    ax = style.axes(ax, 8, 3)
    usable = evidence.dropna(subset="evidence")
    ordered = usable.sort_values("evidence", ascending=False).reset_index(drop=True)
    for part, marker in MARKERS.items():
        rows = ordered[ordered["part"] == part]
        if len(rows):
            ax.scatter(
                rows.index + 1,
                rows["evidence"],
                c=rows["status"].map(COLORS),
                marker=marker,
                s=32,
                label=part,
                linewidths=0,
            )
    ax.axhline(delta_s, color=COLORS["line"], linewidth=1, linestyle="--")
    ax.axhline(0, color=COLORS["zero"], linewidth=0.8)
    counts = evidence["status"].value_counts()
    positive, negative, unusable = (counts.get(s, 0) for s in ("positive", "negative", "filtered"))
    title = f"{positive} positive (above delta_s = {delta_s:g}), {negative} negative, "
    title += f"{unusable} without a usable answer"
    ax.set(xlabel="samples asked, sorted", ylabel="evidence (Eq. 2)", title=title)
    if ordered["part"].nunique() > 1:
        ax.legend(loc="upper right")
    return ax


def plot_curve(curve: pd.DataFrame, *, alpha: float, stop: bool = True) -> Figure:
    """Votes, and the tests there are, against the queries asked.

    Parameters
    ----------
    curve : DataFrame
        As `judgement.curve`: queries, positive, negative (counts of samples so far), p_controls
        and wealth (NaN throughout where there is no such test).
    alpha : float
        The chance of accusing an innocent model; the dashed lines are where a test is sure.
    stop : bool
        Whether the audit stopped once a test was sure: wealth then has to reach twice as much.

    Returns
    -------
    Figure
        One to three axes: the vote, the controls' p-value, the twin's wealth.
    """
    tests = [t for t in ("p_controls", "wealth") if curve[t].notna().any()]
    figure, axes = plt.subplots(
        1, 1 + len(tests), figsize=(3.6 + 3.6 * len(tests), 3), layout="constrained", squeeze=False
    )
    vote = axes[0, 0]
    for status in ("positive", "negative"):
        vote.step(curve["queries"], curve[status], where="post", color=COLORS[status], label=status)
    vote.set(xlabel="queries", ylabel="samples", title="1. the vote")
    vote.legend()
    for ax, test in zip(axes[0, 1:], tests, strict=True):
        ax.step(curve["queries"], curve[test], where="post", color=COLORS[SUSPECT])
        if test == "p_controls":
            threshold = alpha
            words = {"ylabel": "p-value", "title": "2. against controls: p, sure below the line"}
        else:
            threshold = (2 if stop else 1) / alpha
            words = {"ylabel": "wealth", "title": "3. twin: wealth, sure above the line"}
        ax.axhline(threshold, color=COLORS["threshold"], linestyle="--", linewidth=1)
        ax.set(xlabel="queries", yscale="log", **words)
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


def plot_power(table: pd.DataFrame) -> Figure:
    """What the tests find, and how many samples they ask, by the share of the data learnt.

    Parameters
    ----------
    table : DataFrame
        As `simulation.stacked`: test, learnt in [0, 1] (at 0 whatever is found is an error), found
        (share of runs), low, high (its 95% interval), samples (mean number asked), samples_all,
        alpha.

    Returns
    -------
    Figure
        Left what is found, with alpha dashed; right the samples asked, of all.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.4), layout="constrained")
    for test, color in style.colors_of(table["test"]).items():
        rows = table[table["test"] == test]
        left.errorbar(
            rows["learnt"],
            rows["found"],
            [rows["found"] - rows["low"], rows["high"] - rows["found"]],
            marker="o",
            capsize=2,
            color=color,
            label=test,
        )
        asked = rows["samples"] / rows["samples_all"]
        right.plot(rows["learnt"], asked, marker="o", color=color, label=test)
    left.axhline(table["alpha"].iloc[0], color=COLORS["line"], linestyle="--", linewidth=1)
    learnt = "share of the published samples that it learnt"
    left.set(
        xlabel=learnt,
        ylabel="share of runs that found it",
        ylim=(-0.03, 1.03),
        title="found (dashed: alpha)",
    )
    right.set(
        xlabel=learnt, ylabel="samples asked, of all", ylim=(0, 1.03), title="asked until sure"
    )
    left.legend()
    return figure


def pictures(
    evidence: pd.DataFrame,
    curve: pd.DataFrame,
    known_models: pd.DataFrame,
    *,
    delta_s: float,
    alpha: float,
    stop: bool,
) -> dict[str, bytes]:
    """Draw what the page of a report shows: PNG files by name, the same whenever they are drawn.

    Parameters
    ----------
    evidence, delta_s
        As for `plot_samples`.
    curve, alpha, stop
        As for `plot_curve`.
    known_models
        As for `plot_known_models`.
    """
    style.use()
    drawn = {
        "samples": plot_samples(evidence, delta_s=delta_s).figure,
        "curve": plot_curve(curve, alpha=alpha, stop=stop),
        "known_models": plot_known_models(known_models).figure,
    }
    return {name: _png(figure) for name, figure in drawn.items()}


def _png(figure: Figure | SubFigure) -> bytes:
    assert isinstance(figure, Figure)
    file = BytesIO()
    figure.savefig(file, format="png", bbox_inches="tight", metadata={"Software": None})
    plt.close(figure)
    return file.getvalue()
