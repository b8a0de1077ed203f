"""Step 7, plots of grey-box methods: each draws a table of `grey_box_tables` and computes nothing."""

import math

import matplotlib.pyplot as plt
import numpy as np

from dsi_core.plots.vote import COLORS

NAMES = {
    "min_k": "Min-K%",
    "min_k_plus_plus": "Min-K%++",
    "recall": "ReCaLL",
    "samia": "SaMIA",
    "cdd": "CDD",
}
TRUTH = {True: COLORS["positive"], False: COLORS["negative"]}  # member, non-member


def plot_areas(measured, *, columns: int = 7):
    """AUROC of every attack (a panel each) on every suspect (a row each) with its 95% interval. Returns the figure.

    measured: columns suspect, member, attack, auc, low, high. Orange = member, blue = non-member; the line is a coin's toss.
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
    for ax, attack in zip(axes.flat, attacks):
        for row in measured[measured["attack"] == attack].itertuples():
            y = suspects.index(row.suspect)
            ax.plot([row.low, row.high], [y, y], color=TRUTH[row.member], linewidth=1.5, alpha=0.6)
            ax.plot(row.auc, y, "o", color=TRUTH[row.member], markersize=5)
        ax.axvline(0.5, color="black", linewidth=1, linestyle="--")
        ax.set(
            title=NAMES.get(attack, attack),
            xlim=(-0.03, 1.03),
            xticks=[0, 0.5, 1],
            ylim=(len(suspects) - 0.5, -0.5),
        )
        ax.set_yticks(range(len(suspects)), suspects, fontsize=9)
    for ax in axes.flat[len(attacks) :]:
        ax.set_axis_off()
    for ax in axes[-1]:
        ax.set_xlabel("AUROC")
    _legend(figure)
    return figure


def plot_p_values(splits, *, alpha: float):
    """DIA's p-values, a dot for each random split, beside those of its control, validation against validation (grey). Returns the figure: a
    panel for each set of features. splits: columns suspect, member, features, p, p_control; the diamond is the median, the line alpha.
    """
    suspects, ways = list(splits["suspect"].unique()), splits["features"].unique()
    figure, axes = plt.subplots(
        1,
        len(ways),
        squeeze=False,
        sharey=True,
        layout="constrained",
        figsize=(12, 1.5 + 0.36 * len(suspects)),
    )
    for ax, way in zip(axes[0], ways):
        for (suspect, member), part in splits[splits["features"] == way].groupby(
            ["suspect", "member"], sort=False
        ):
            for column, shift, color in (
                ("p", -0.17, TRUTH[member]),
                ("p_control", 0.17, COLORS["filtered"]),
            ):
                y = suspects.index(suspect) + shift
                ax.plot(
                    part[column], np.full(len(part), y), "o", color=color, markersize=4, alpha=0.6
                )
                ax.plot(
                    part[column].median(),
                    y,
                    "d",
                    color=color,
                    markersize=8,
                    markeredgecolor="black",
                    markeredgewidth=0.6,
                )
        ax.axvline(alpha, color="black", linewidth=1, linestyle="--")
        ax.set(
            xscale="log",
            xlabel=f"p-value (line: {alpha:g}; grey: validation against validation)",
            title=f"features: {way}",
        )
        ax.set_yticks(range(len(suspects)), suspects)
        ax.set_ylim(len(suspects) - 0.5, -0.5)
    _legend(figure)
    return figure


def plot_beside(beside, *, ax=None):
    """Every method's verdict on every suspect: dark = "member". table: columns suspect, member, method, verdict, correct; a cross marks a
    wrong verdict.
    """
    suspects, methods = list(beside["suspect"].unique()), list(beside["method"].unique())
    ax = (
        ax
        or plt.subplots(
            figsize=(3 + 0.62 * len(methods), 2.6 + 0.34 * len(suspects)), layout="constrained"
        )[1]
    )
    shade = {
        "member": COLORS["positive"],
        "non-member": COLORS["negative"],
        "inconclusive": COLORS["filtered"],
    }
    for row in beside.itertuples():
        x, y = methods.index(row.method), suspects.index(row.suspect)
        ax.add_patch(
            plt.Rectangle(
                (x - 0.46, y - 0.46),
                0.92,
                0.92,
                color=shade[row.verdict],
                alpha=0.35 if row.correct else 0.85,
                linewidth=0,
            )
        )
        if not row.correct:
            ax.text(x, y, "✗", ha="center", va="center", color="white", fontsize=11)
    named = dict(zip(beside["suspect"], beside["member"]))
    ax.set_xticks(range(len(methods)), [NAMES.get(m, m) for m in methods], rotation=40, ha="right")
    ax.set_yticks(
        range(len(suspects)), [f"{s} ({'member' if named[s] else 'non-member'})" for s in suspects]
    )
    ax.set(
        xlim=(-0.5, len(methods) - 0.5),
        ylim=(len(suspects) - 0.5, -0.5),
        title="orange: says member; blue: says non-member; ✗: wrong",
    )
    ax.grid(False)
    return ax


def _legend(figure) -> None:
    dots = [plt.Line2D([], [], color=TRUTH[m], marker="o", linestyle="none") for m in (True, False)]
    figure.legend(dots, ["member", "non-member"], loc="outside upper center", ncols=2)
    figure.get_layout_engine().set(w_pad=0.08)  # inches: room for the longest name
