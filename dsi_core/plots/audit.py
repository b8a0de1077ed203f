"""What an audit draws: samples, the growth of the evidence, the suspect among known models, and what simulation says of the tests."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns

from dsi_core.plots.vote import COLORS

KINDS = {"published": "o", "withheld": "X"}


def plot_samples(evidence: pd.DataFrame, *, delta_s: float, ax=None):
    """The evidence of each sample, sorted: orange = positive, blue = negative; crosses = withheld. evidence: columns part, evidence, status."""
    ax = ax or plt.subplots(figsize=(8, 3), layout="constrained")[1]
    known = (
        evidence.dropna(subset="evidence")
        .sort_values("evidence", ascending=False)
        .reset_index(drop=True)
    )
    for part, marker in KINDS.items():
        rows = known[known["part"] == part]
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
    ax.axhline(delta_s, color="black", linewidth=1, linestyle="--")
    ax.axhline(0, color="#888888", linewidth=0.8)
    counts = evidence["status"].value_counts()
    positive, negative, unusable = (counts.get(s, 0) for s in ("positive", "negative", "filtered"))
    ax.set(
        xlabel="samples asked, sorted",
        ylabel="evidence (Eq. 2)",
        title=f"{positive} positive (above delta_s = {delta_s:g}), {negative} negative, {unusable} without a usable answer",
    )
    if known["part"].nunique() > 1:
        ax.legend(loc="upper right")
    return ax


def plot_curve(curve: pd.DataFrame, *, alpha: float, stop: bool = True):
    """Votes, and the tests there are, against the queries asked. curve: as `judging.curve`. Returns the figure."""
    tests = [t for t in ("p_controls", "wealth") if curve[t].notna().any()]
    figure, axes = plt.subplots(
        1, 1 + len(tests), figsize=(3.6 + 3.6 * len(tests), 3), layout="constrained", squeeze=False
    )
    for side in ("positive", "negative"):
        axes[0, 0].step(curve["queries"], curve[side], where="post", color=COLORS[side], label=side)
    axes[0, 0].set(xlabel="queries", ylabel="samples", title="1. the vote")
    axes[0, 0].legend()
    for ax, test in zip(axes[0, 1:], tests):
        ax.step(curve["queries"], curve[test], where="post", color="black")
        line = alpha if test == "p_controls" else (2 if stop else 1) / alpha
        ax.axhline(line, color="#D55E00", linestyle="--", linewidth=1)
        ax.set(
            xlabel="queries",
            yscale="log",
            ylabel="p-value" if test == "p_controls" else "wealth",
            title="2. against controls: p, sure below the line"
            if test == "p_controls"
            else "3. twin: wealth, sure above the line",
        )
    return figure


def plot_known(table: pd.DataFrame, *, ax=None):
    """How far each model leans to the references that trained on D. table: columns model, kind, member (None = the suspect), lean."""
    ax = ax or plt.subplots(figsize=(8, 1.1 + 0.23 * len(table)), layout="constrained")[1]
    shown = table.assign(lean=table["lean"].replace(-np.inf, np.nan)).sort_values(
        "lean", ignore_index=True
    )
    kinds = list(dict.fromkeys(table["kind"]))
    colors = dict(zip(kinds, sns.color_palette("colorblind", len(kinds)))) | {
        "the suspect": "black"
    }
    for kind, rows in shown.groupby("kind", sort=False):
        marker, size = ("D", 60) if kind == "the suspect" else ("o", 28)
        ax.scatter(
            rows["lean"],
            rows.index,
            color=colors[kind],
            marker=marker,
            s=size,
            label=kind,
            zorder=3,
        )
    ax.set(
        yticks=range(len(shown)), xlabel="lean to the references trained on the dataset", ylabel=""
    )
    ax.set_yticklabels(shown["model"], fontsize=8)
    for label, kind in zip(ax.get_yticklabels(), shown["kind"]):
        label.set_fontweight("bold" if kind == "the suspect" else "normal")
    ax.legend(loc="lower right", fontsize=8)
    return ax


def plot_power(table: pd.DataFrame):
    """What the tests find and how many samples they ask, by the share of the data that a model learnt; at 0 whatever is found is an error.

    table: columns of `simulation` and alpha. Returns the figure.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.4), layout="constrained")
    for (test, part), color in zip(
        table.groupby("test", sort=False), sns.color_palette("colorblind")
    ):
        left.errorbar(
            part["learnt"],
            part["found"],
            [part["found"] - part["low"], part["high"] - part["found"]],
            marker="o",
            capsize=2,
            color=color,
            label=test,
        )
        right.plot(
            part["learnt"],
            part["samples"] / part["samples_all"],
            marker="o",
            color=color,
            label=test,
        )
    left.axhline(table["alpha"].iloc[0], color="black", linestyle="--", linewidth=1)
    left.set(
        xlabel="share of the published samples that it learnt",
        ylabel="share of runs that found it",
        ylim=(-0.03, 1.03),
        title="found (dashed: alpha)",
    )
    right.set(
        xlabel="share of the published samples that it learnt",
        ylabel="samples asked, of all",
        ylim=(0, 1.03),
        title="asked until sure",
    )
    left.legend()
    return figure
