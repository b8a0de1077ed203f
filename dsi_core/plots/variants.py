"""The vote in other settings, with other references, under evasions (§6.3 and §6.4)."""

from itertools import product

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dsi_core.plots import style
from dsi_core.plots.style import COLORS

HALF = 0.5  # of the vote: above it a suspect is called a member


def plot_cumulated_evidence(table: pd.DataFrame, *, delta_s: float, ax: Axes | None = None) -> Axes:
    """Evidence over all samples of D, cumulated, a line for each suspect (Fig. 8).

    Parameters
    ----------
    table : DataFrame
        suspect, member (the truth), evidence (Eq. 2; NaN = filtered, not in the shares); a row per
        sample. A suspect without any evidence has no line.
    delta_s : float
        Eq. 2's threshold, the dotted line.
    ax : Axes, optional
        Where to draw; new axes by default.

    Returns
    -------
    Axes
        Lines of non-members are dashed.
    """
    ax = style.axes(ax, 8.5, 3.6)
    counted = table.dropna(subset="evidence")
    truths = dict(zip(counted["suspect"], counted["member"], strict=True))
    for suspect, color in style.colors_of(counted["suspect"]).items():
        sns.ecdfplot(
            counted[counted["suspect"] == suspect],
            x="evidence",
            color=color,
            linestyle="-" if truths[suspect] else "--",
            label=style.with_truth(suspect, truths[suspect]),
            ax=ax,
        )
    ax.axvline(delta_s, color=COLORS["line"], linewidth=0.8, linestyle=":")
    ax.axhline(HALF, color=COLORS["line"], linewidth=0.8)
    ax.set(
        xlabel=f"evidence: best answer's weakest gap (dotted: delta_s = {delta_s:g})",
        ylabel="share of D's samples below",
        title="a line that crosses one half left of delta_s is voted non-member",
    )
    ax.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return ax


def plot_sensitivity(table: pd.DataFrame, *, at: dict[str, float]) -> Figure:
    """Share of positives per suspect while one setting moves; above one half = member (§6.3).

    Parameters
    ----------
    table : DataFrame
        dataset, suspect, member (the truth), setting, value, share in [0, 1] (NaN = inconclusive: a
        hole), low, high (its Wilson interval, the band).
    at : dict
        The profile's own value of each setting, the dotted lines.

    Returns
    -------
    Figure
        A row of axes for each dataset, a column for each setting; non-members are dashed.
    """
    settings, datasets = table["setting"].unique(), table["dataset"].unique()
    figure, axes = plt.subplots(
        len(datasets),
        len(settings),
        figsize=(4.2 * len(settings), 3.6 * len(datasets)),
        sharey=True,
        sharex="col",
        layout="constrained",
        squeeze=False,
    )
    colors = style.colors_of(table["suspect"])
    truths = dict(zip(table["suspect"], table["member"], strict=True))
    for ax, (dataset, setting) in zip(axes.flat, product(datasets, settings), strict=True):
        some = table[(table["dataset"] == dataset) & (table["setting"] == setting)]
        for suspect, color in colors.items():
            line = some[some["suspect"] == suspect]
            _share_with_band(ax, line, suspect, truths[suspect], color)
        ax.axhline(HALF, color=COLORS["line"], linewidth=0.8)
        ax.axvline(at[setting], color=COLORS["line"], linewidth=0.8, linestyle=":")
        ax.set(xlabel=f"{setting} (dotted: {at[setting]:g})", ylim=(-0.03, 1.03))
        if setting == "draws":
            ax.set_xticks(some["value"].unique())
    for ax, dataset in zip(axes[:, 0], datasets, strict=True):
        named = f"{dataset}\n" if len(datasets) > 1 else ""
        ax.set_ylabel(f"{named}positive share of the vote")
    axes[0][-1].legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def _share_with_band(ax: Axes, line: pd.DataFrame, suspect: str, member: bool, color) -> None:
    ax.plot(
        line["value"],
        line["share"],
        "-o" if member else "--o",
        color=color,
        markersize=4,
        label=style.with_truth(suspect, member),
    )
    values = line["value"].astype(float)
    ax.fill_between(values, line["low"], line["high"], color=color, alpha=0.08, linewidth=0)


def plot_grid(table: pd.DataFrame, *, at: tuple[float, float]) -> Figure:
    """Suspects judged rightly (left) and tainted samples (right) over delta_t and delta_s.

    Parameters
    ----------
    table : DataFrame
        delta_t, delta_s, correct, total (suspects), tainted (samples); of one dataset.
    at : tuple of float
        (delta_t, delta_s) of the profile, the frame; none where they are not in the table.

    Returns
    -------
    Figure
    """
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(10.5, 4.2), width_ratios=[3, 1.2], layout="constrained"
    )
    correct = table.pivot(index="delta_t", columns="delta_s", values="correct")
    correct = correct.sort_index(ascending=False)
    total = table["total"].max()
    shared = {"annot": True, "fmt": "d", "cbar": False}
    sns.heatmap(correct, cmap="cividis", vmin=0, vmax=total, **shared, ax=left)
    left.set_title(f"suspects judged rightly, of {total}")
    rows: list = correct.index.tolist()
    columns: list = correct.columns.tolist()
    if at[0] in rows and at[1] in columns:
        place = (columns.index(at[1]), rows.index(at[0]))
        left.add_patch(
            plt.Rectangle(place, 1, 1, fill=False, edgecolor=COLORS["frame"], linewidth=2)
        )
    tainted = table.drop_duplicates("delta_t").set_index("delta_t")[["tainted"]]
    sns.heatmap(tainted.loc[correct.index], cmap="Greys", **shared, ax=right)
    right.set(title="tainted samples", ylabel="", xlabel="")
    for ax in (left, right):
        ax.tick_params(axis="y", rotation=0)
    return figure


def plot_rules(table: pd.DataFrame) -> Figure:
    """Share of positives of each suspect with and without selection, by both rules (§6.3).

    Parameters
    ----------
    table : DataFrame
        dataset, delta, rule, selection, suspect, member (the truth), tainted (samples), share in
        [0, 1] (NaN = nothing counts: a hole).

    Returns
    -------
    Figure
        A row of axes for each dataset, a column for each delta; a line leads from a suspect's vote
        of the first selection to that of the next.
    """
    datasets, deltas = table["dataset"].unique(), table["delta"].unique()
    figure, axes = plt.subplots(
        len(datasets),
        len(deltas),
        figsize=(4.2 * len(deltas) + 1.2, 3.4 * len(datasets)),
        sharey=True,
        layout="constrained",
        squeeze=False,
    )
    named = table.assign(truth=table["member"].map(style.TRUTH))
    for ax, (dataset, delta) in zip(axes.flat, product(datasets, deltas), strict=True):
        some = named[(named["dataset"] == dataset) & (named["delta"] == delta)]
        sns.lineplot(
            some,
            x="selection",
            y="share",
            hue="truth",
            style="rule",
            units="suspect",
            estimator=None,
            markers=True,
            palette=COLORS,
            ax=ax,
        )
        ax.get_legend().remove()
        ax.axhline(HALF, color=COLORS["line"], linewidth=0.8)
        tainted = some["tainted"].iloc[0]
        title = f"{tainted} sample{'s' if tainted != 1 else ''} tainted at {delta:.2f}"
        ax.set(xlabel="samples that vote", ylim=(-0.03, 1.03), title=title)
        ax.margins(x=0.15)
    for ax, dataset in zip(axes[:, 0], datasets, strict=True):
        name = f"{dataset}\n" if len(datasets) > 1 else ""
        ax.set_ylabel(f"{name}positive share of the vote")
    axes[0][-1].legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def plot_detection(
    table: pd.DataFrame,
    *,
    x: str,
    hue: str = "group",
    ax: Axes | None = None,
    title: str = "",
) -> Axes:
    """Share of suspects judged rightly, a group of bars for each value of `x` (Fig. 9).

    Parameters
    ----------
    table : DataFrame
        The columns named by `x` and `hue`, correct, total (suspects), low, high (95% Wilson
        interval, percent).
    x, hue : str
        Columns that set the groups and the bars in each.
    ax : Axes, optional
        Where to draw; new axes by default.
    title : str
        Above the bars.

    Returns
    -------
    Axes
        The counts stand in the bars.
    """
    ax = style.axes(ax, 8, 3.6)
    values, hues = list(table[x].unique()), list(table[hue].unique())
    width = 0.8 / len(hues)
    for k, (name, color) in enumerate(style.colors_of(hues).items()):
        for i, row in enumerate(table[table[hue] == name].to_dict("records")):
            place = values.index(row[x]) + (k - (len(hues) - 1) / 2) * width
            _bar_with_count(ax, place, width, row, color, label=name if i == 0 else None)
    ax.grid(axis="x", visible=False)
    ax.set(
        xticks=range(len(values)),
        xticklabels=values,
        ylim=(0, 105),
        ylabel="judged rightly, %\n(bar: 95% Wilson interval)",
        title=title,
    )
    ax.legend(title=None, loc="lower left", bbox_to_anchor=(0.0, 1.06), ncols=len(hues), fontsize=9)
    return ax


def _bar_with_count(ax: Axes, place: float, width: float, row: dict, color, label) -> None:
    share = 100 * row["correct"] / row["total"]
    ax.bar(place, share, width * 0.92, color=color, label=label, alpha=0.85)
    ends = [[max(0, share - row["low"])], [max(0, row["high"] - share)]]
    ax.errorbar(place, share, ends, color=COLORS["line"], capsize=3, linewidth=1)
    ax.annotate(
        f"{int(row['correct'])}/{int(row['total'])}",
        (place + 0.12 * width, 4),
        ha="left",
        color="white" if share > 8 else "black",
        fontsize=9,
    )


def plot_votes_by_references(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Tainted samples per suspect, a group of stacked bars for each set of references (Fig. 10).

    Parameters
    ----------
    table : DataFrame
        references (a name of the set), suspect, positive, negative (counts of samples).
    ax : Axes, optional
        Where to draw; new axes by default.

    Returns
    -------
    Axes
        Orange = positive, blue on top = negative; the suspect's name stands above its bar.
    """
    ax = style.axes(ax, 9, 3.8)
    sets, suspects = list(table["references"].unique()), list(table["suspect"].unique())
    width = 0.84 / len(suspects)
    for k, suspect in enumerate(suspects):
        counts = table[table["suspect"] == suspect].set_index("references").loc[sets]
        places = np.arange(len(sets)) + (k - (len(suspects) - 1) / 2) * width
        below = np.zeros(len(sets))
        for status in ("positive", "negative"):
            label = status if k == 0 else None
            ax.bar(
                places,
                counts[status],
                width * 0.9,
                bottom=below,
                color=COLORS[status],
                label=label,
            )
            below = below + counts[status].to_numpy()
        for place, total in zip(places, below, strict=True):
            ax.annotate(
                suspect,
                (place, total),
                rotation=90,
                ha="center",
                va="bottom",
                fontsize=7,
                xytext=(0, 3),
                textcoords="offset points",
            )
    ax.set(
        xticks=range(len(sets)),
        xticklabels=sets,
        ylabel="tainted samples",
        xlabel="references that count",
    )
    ax.margins(y=0.5)
    ax.grid(axis="x", visible=False)
    style.whole_numbers(ax.yaxis)
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    return ax


def plot_evasion(
    table: pd.DataFrame, *, ax: Axes | None = None, title: str = "", xlabel: str = ""
) -> Axes:
    """Share of positives of each member under an evasion; above one half = caught (Fig. 11).

    Parameters
    ----------
    table : DataFrame
        setting, suspect, share in [0, 1] (NaN = inconclusive), low, high (its 95% Wilson interval),
        correct (bool: caught).
    ax : Axes, optional
        Where to draw; new axes by default.
    title, xlabel : str
        The evasion, and what its settings are.

    Returns
    -------
    Axes
        Above each setting stands how many members are caught.
    """
    ax = style.axes(ax, 8, 3.8)
    settings, suspects = list(table["setting"].unique()), list(table["suspect"].unique())
    apart = min(0.12, 0.8 / len(suspects))
    for k, (suspect, color) in enumerate(style.colors_of(suspects).items()):
        rows = table[table["suspect"] == suspect]
        shift = (k - (len(suspects) - 1) / 2) * apart
        places = [settings.index(s) + shift for s in rows["setting"]]
        ends = [
            (rows["share"] - rows["low"]).clip(lower=0),
            (rows["high"] - rows["share"]).clip(lower=0),
        ]
        ax.errorbar(places, rows["share"], ends, fmt="o", color=color, capsize=3, label=suspect)
    for i, setting in enumerate(settings):
        caught = table.loc[table["setting"] == setting, "correct"]
        count = f"{int(caught.sum())} of {len(caught)} caught"
        ax.annotate(count, (i, 1.06), ha="center", fontsize=9)
    ax.axhline(HALF, color=COLORS["line"], linewidth=0.8)
    ax.set(
        xticks=range(len(settings)),
        xticklabels=settings,
        ylim=(-0.03, 1.13),
        xlim=(-0.6, len(settings) - 0.4),
        xlabel=xlabel,
        ylabel="positive share of the vote\n(bar: 95% Wilson interval)",
    )
    ax.set_title(title, pad=12)
    ax.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return ax


def plot_overlap(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """The arbiter's tainted samples of each member, and which the adversary removed (Fig. 12).

    Parameters
    ----------
    table : DataFrame
        suspect, status ("positive" | "negative"), removed (bool), samples (a count).
    ax : Axes, optional
        Where to draw; new axes by default.

    Returns
    -------
    Axes
        A pair of bars for each suspect, the removed samples first and hatched.
    """
    suspects = list(table["suspect"].unique())
    ax = style.axes(ax, 8, 1.0 + 0.62 * len(suspects))
    counts = table.set_index(["status", "removed", "suspect"])["samples"]
    for k, status in enumerate(("positive", "negative")):
        places = np.arange(len(suspects)) + (k - 0.5) * 0.38
        left = np.zeros(len(suspects))
        for removed in (True, False):
            wanted = [(status, removed, s) for s in suspects]
            samples = counts.reindex(wanted).fillna(0).to_numpy()
            ax.barh(
                places,
                samples,
                0.36,
                left=left,
                color=COLORS[status],
                hatch="///" if removed else None,
                edgecolor="white",
                label=f"{status}, {'removed by the adversary' if removed else 'kept'}",
            )
            left = left + samples
    ax.set(
        yticks=range(len(suspects)), yticklabels=suspects, xlabel="tainted samples of the arbiter"
    )
    ax.invert_yaxis()
    style.whole_numbers(ax.xaxis)
    ax.legend(fontsize=8, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    return ax
