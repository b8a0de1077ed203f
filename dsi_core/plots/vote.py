"""The vote (§4 to §6.2): similarities, gaps, evidence of the samples, and what they add up to."""

from collections.abc import Callable

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dsi_core.plots import style
from dsi_core.plots.style import COLORS

ROW = 0.42  # inches of a suspect's row


def per_dataset(
    plot: Callable[..., Axes],
    table: pd.DataFrame,
    *,
    height: float = 3.9,
    rows: str | None = None,
    **options,
) -> Figure:
    """Draw a plot for each dataset, one under another, named where there are several.

    Parameters
    ----------
    plot : callable
        Called as `plot(rows of one dataset, ax=..., **options)`.
    table : DataFrame
        Column dataset, and what `plot` needs.
    height : float
        Inches of each plot.
    rows : str, optional
        Column whose values are a plot's rows: it is as high as the most of them need.

    Returns
    -------
    Figure
        With a sentence, where there are no rows.
    """
    datasets = table["dataset"].unique()
    if not len(datasets):
        figure, ax = plt.subplots(figsize=(9, 1.5))
        style.nothing(ax)
        return figure
    if rows is not None:
        height = 0.9 + ROW * table.groupby("dataset")[rows].nunique().max()
    figure, axes = plt.subplots(
        len(datasets), 1, squeeze=False, figsize=(9, height * len(datasets)), layout="constrained"
    )
    for ax, dataset in zip(axes[:, 0], datasets, strict=True):
        plot(table[table["dataset"] == dataset], ax=ax, **options)
        if len(datasets) > 1:
            ax.set_ylabel(f"{dataset}\n{ax.get_ylabel()}")
    return figure


def plot_similarity(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Similarity to the oracle before and after tuning, a row of dots for each reference.

    Parameters
    ----------
    table : DataFrame
        reference, side ("before" | "after"), similarity (higher = closer); a row per sample.
    ax : Axes, optional
        Where to draw; new axes by default.

    Returns
    -------
    Axes
        The diamonds are medians.
    """
    ax = style.axes(ax, 8, 0.9 + 0.9 * table["reference"].nunique())
    sides = ["before", "after"]
    shared = {"x": "similarity", "y": "reference", "hue": "side", "hue_order": sides}
    sns.stripplot(table, **shared, dodge=True, palette=COLORS, size=4, alpha=0.7, jitter=0.2, ax=ax)
    sns.pointplot(
        table,
        **shared,
        dodge=0.4,
        palette=COLORS,
        linestyle="none",
        marker="d",
        markersize=7,
        errorbar=None,
        estimator="median",
        legend=False,
        ax=ax,
    )
    ax.set(xlabel="similarity to the oracle output (BERTScore F1; diamond = median)", ylabel="")
    ax.legend(title="tuning on D", loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    return ax


def plot_gaps(table: pd.DataFrame, *, delta_t: float, ax: Axes | None = None) -> Axes:
    """Draw the weakest gap of each sample, sorted; those above delta_t are tainted (Eq. 1).

    Parameters
    ----------
    table : DataFrame
        min_gap (higher = training changed every reference more), tainted (bool); a row per sample.
    delta_t : float
        Eq. 1's threshold, the line.
    ax : Axes, optional
        Where to draw; new axes by default.

    Returns
    -------
    Axes
    """
    ax = style.axes(ax, 8, 3)
    ordered = table.sort_values("min_gap", ascending=False).reset_index(drop=True)
    colors = ordered["tainted"].map({True: COLORS["positive"], False: COLORS["filtered"]})
    ax.bar(
        ordered.index, ordered["min_gap"], color=colors, width=1.0, edgecolor="white", linewidth=0.3
    )
    ax.axhline(delta_t, color=COLORS["line"], linewidth=1, linestyle="--")
    counts = f"{int(ordered['tainted'].sum())} of {len(ordered)} samples are tainted"
    ax.set(
        xlabel="samples of D, sorted",
        ylabel="weakest gap over\nthe references",
        title=f"{counts}: gap above delta_t = {delta_t:g} (line)",
    )
    return ax


def plot_losses(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Loss on the completion over training, a line for each model.

    Parameters
    ----------
    table : DataFrame
        As `observations.loss_per_epoch`: model_id, epoch, loss (nats per token).
    ax : Axes, optional
        Where to draw; new axes by default.

    Returns
    -------
    Axes
    """
    ax = style.axes(ax, 8, 3.2)
    sns.lineplot(
        table, x="epoch", y="loss", hue="model_id", palette="colorblind", marker="o", ax=ax
    )
    ax.set(xlabel="epoch", ylabel="training loss\n(nats per token)", ylim=(0, None))
    ax.legend(title=None, loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8)
    return ax


def plot_votes(table: pd.DataFrame, *, ax: Axes | None = None, title: str = "") -> Axes:
    """Positive against negative tainted samples, a pair of bars per suspect (Fig. 4, 6).

    Parameters
    ----------
    table : DataFrame
        suspect, positive, negative, filtered (counts of samples), verdict, correct (bool).
    ax : Axes, optional
        Where to draw; new axes by default.
    title : str
        Above the bars.

    Returns
    -------
    Axes
        Orange = positive, blue = negative; the verdict stands beside the bars, red where wrong.
    """
    ax = style.axes(ax, 8, 0.6 + 0.45 * len(table))
    long = table.melt(
        id_vars="suspect",
        value_vars=["positive", "negative"],
        var_name="tainted samples",
        value_name="count",
    )
    sns.barplot(
        long,
        x="count",
        y="suspect",
        hue="tainted samples",
        palette=COLORS,
        saturation=1,
        width=0.75,
        legend=False,
        ax=ax,
    )
    most = max(1, long["count"].max())
    for i, row in enumerate(table.to_dict("records")):
        dropped = f" ({row['filtered']} filtered)" if row["filtered"] else ""
        ax.annotate(
            f"{row['verdict']} {'✓' if row['correct'] else '✗'}{dropped}",
            (max(row["positive"], row["negative"]) + 0.01 * most, i),
            va="center",
            fontsize=9,
            color="black" if row["correct"] else COLORS["wrong"],
        )
    ax.set(xlabel="", ylabel="", title=title, xlim=(0, most * 1.35))
    style.whole_numbers(ax.xaxis)
    return ax


def plot_evidence_histogram(
    table: pd.DataFrame,
    *,
    delta_s: float,
    ax: Axes | None = None,
    title: str = "",
    limits: tuple[float, float] | None = None,
) -> Axes:
    """How much closer one suspect's tainted samples are to the tuned references, as a histogram.

    Parameters
    ----------
    table : DataFrame
        evidence (Eq. 2; NaN = filtered), status ("positive" | "negative" | "filtered").
    delta_s : float
        Eq. 2's threshold, the line.
    ax : Axes, optional
        Where to draw; new axes by default.
    title : str
        Above the bars.
    limits : tuple of float, optional
        Ends of the axis of evidence; by default those of the values.

    Returns
    -------
    Axes
        A sentence alone where every sample is filtered.
    """
    ax = style.axes(ax, 8, 3)
    counted = table.dropna(subset="evidence")
    if counted.empty:
        ax.set_axis_off()
        ax.set_title(f"{title}: no answer counts")
        return ax
    width = 0.05
    sns.histplot(
        counted,
        x="evidence",
        hue="status",
        palette=COLORS,
        multiple="stack",
        legend=False,
        binwidth=width,
        binrange=None if limits is None else (limits[0], limits[1] + width),
        ax=ax,
    )
    ax.axvline(delta_s, color=COLORS["line"], linewidth=1, linestyle="--")
    ax.set(title=title, xlabel=_evidence(delta_s), ylabel="tainted samples", xlim=limits)
    style.whole_numbers(ax.yaxis)
    return ax


def plot_evidence_dots(table: pd.DataFrame, *, delta_s: float, ax: Axes | None = None) -> Axes:
    """Evidence of every tainted sample, a row of dots for each suspect.

    Parameters
    ----------
    table : DataFrame
        suspect, member (the truth), evidence (Eq. 2; NaN = filtered); a row per sample.
    delta_s : float
        Eq. 2's threshold, the line.
    ax : Axes, optional
        Where to draw; new axes by default.

    Returns
    -------
    Axes
        The diamonds are medians.
    """
    ax = style.axes(ax, 8, 0.9 + ROW * table["suspect"].nunique())
    named = table.assign(truth=table["member"].map(style.TRUTH))
    shared = {"x": "evidence", "y": "suspect", "hue": "truth", "palette": COLORS}
    sns.stripplot(named, **shared, size=4, alpha=0.6, jitter=0.25, ax=ax)
    sns.pointplot(
        named,
        **shared,
        estimator="median",
        errorbar=None,
        linestyle="none",
        marker="d",
        markersize=7,
        legend=False,
        ax=ax,
    )
    ax.axvline(delta_s, color=COLORS["line"], linewidth=1, linestyle="--")
    ax.set(xlabel=_evidence(delta_s), ylabel="")
    ax.legend(title=None, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    return ax


def _evidence(delta_s: float) -> str:
    """Name the axis of evidence."""
    return f"evidence: best answer's weakest gap (line: delta_s = {delta_s:g})"


def plot_both_sides(
    verdicts: pd.DataFrame,
    *,
    words: tuple[str, str] = ("positive: closer to the tuned references", "negative"),
    xlabel: str = "tainted samples",
) -> Figure:
    """`plot_votes` for members (top) and non-members (bottom) of every dataset (Fig. 4-7).

    Parameters
    ----------
    verdicts : DataFrame
        dataset, member (the truth), and the columns of `plot_votes`. A side without suspects in
        any dataset is left out.
    words : tuple of str
        What the two colours mean: orange, blue.
    xlabel : str
        What the bars count.

    Returns
    -------
    Figure
        A column of axes for each dataset, with one scale; narrower where there are several.
    """
    datasets = verdicts["dataset"].unique()
    truths = [m for m in (True, False) if (verdicts["member"] == m).any()]
    sizes = [int(verdicts[verdicts["member"] == m].groupby("dataset").size().max()) for m in truths]
    # beside the longest bar there is room for the verdict, in words
    width, room = (8.0, 1.35) if len(datasets) == 1 else (6.0 * len(datasets), 1.8)
    figure, axes = plt.subplots(
        len(truths),
        len(datasets),
        squeeze=False,
        sharex="col",
        layout="constrained",
        figsize=(width, 1.4 + ROW * sum(sizes)),
        height_ratios=sizes,
    )
    for column, dataset in enumerate(datasets):
        of_dataset = verdicts[verdicts["dataset"] == dataset]
        for ax, member in zip(axes[:, column], truths, strict=True):
            some = of_dataset[of_dataset["member"] == member]
            plot_votes(some, ax=ax, title=f"{dataset}: {style.TRUTH[member]}s")
        most = max(1, of_dataset[["positive", "negative"]].max().max())
        axes[-1, column].set(xlabel=xlabel, xlim=(0, room * most))
    handles = [plt.Rectangle((0, 0), 1, 1, color=COLORS[k]) for k in ("positive", "negative")]
    figure.legend(handles, words, loc="outside upper center", ncols=2)
    return figure
