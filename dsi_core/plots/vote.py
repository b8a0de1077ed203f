"""The vote (§4 to §6.2): similarities, gaps, evidence of the samples, and what they add up to."""

from collections.abc import Callable, Iterable

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dsi_core.plots import alt, style
from dsi_core.plots.findings import vote as findings
from dsi_core.plots.style import COLORS, LOOKS, Kind, Status

ROW = 0.3  # inches of a suspect's row
EVIDENCE = {  # by the rule that counts
    "text": "evidence: the best answer's weakest gap (Eq. 2)",
    "released": "evidence (rule: released): difference of maxima, weakest architecture",
}


def per_dataset(
    plot: Callable[..., Axes],
    table: pd.DataFrame,
    *,
    height: float = 3.9,
    rows: str | None = None,
    among: Iterable[str] = (),
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
    among : iterable of str, optional
        Datasets that are shown in any case.

    Returns
    -------
    Figure
        With a sentence in place of a dataset's plot, or of all plots, if there are no rows.
    """
    datasets = list(dict.fromkeys([*table["dataset"], *among]))
    if not datasets:
        figure, ax = plt.subplots(figsize=(9, 1.5))
        style.nothing(ax)
        return figure
    if rows is not None:
        most = max((part[rows].nunique() for _, part in table.groupby("dataset")), default=0)
        height = 1.2 + ROW * most
    figure, axes = plt.subplots(
        len(datasets), 1, squeeze=False, figsize=(9, height * len(datasets)), layout="constrained"
    )
    for ax, dataset in zip(axes[:, 0], datasets, strict=True):
        part = table[table["dataset"] == dataset]
        plot(part, ax=ax, **options) if len(part) else style.nothing(ax)
        if len(datasets) > 1:
            title = alt.title_of(ax)
            ax.set_title("", loc="center")
            ax.set_title(f"{dataset}: {title}" if title else dataset, loc="left", wrap=True)
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
    references = list(table["reference"].unique())
    for side, kind, above in (
        ("before", "untuned reference", 0.2),
        ("after", "tuned reference", -0.2),
    ):
        for place, reference in enumerate(references):
            chosen = (table["reference"] == reference) & (table["side"] == side)
            style.dots(ax, table.loc[chosen, "similarity"], place - above, kind)
    ax.set(yticks=range(len(references)), yticklabels=references, ylabel="")
    ax.set(ylim=(len(references) - 0.5, -0.5))
    ax.set_xlabel("similarity to the oracle output (BERTScore F1, 1 = the same text)")
    style.legend_of(ax, ["untuned reference", "tuned reference"], **style.OUTSIDE)
    drawn = "A dot for each sample and reference, before and after tuning; diamonds are medians"
    style.says(ax, findings.similarity(table), drawn)
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
    colors = ordered["tainted"].map({True: COLORS["tainted"], False: COLORS["filtered"]})
    places = ordered.index + 1
    ax.bar(places, ordered["min_gap"], color=colors, width=1.0, edgecolor="white", linewidth=0.3)
    ax.axhline(0, color=COLORS["zero"], linewidth=0.8)
    style.decides(ax, delta_t, f"delta_t = {delta_t:g}\nabove: tainted", across=True)
    ax.set(xlabel="samples of D, sorted", ylabel="weakest gap over\nthe references")
    ax.set_xlim(0.4, len(ordered) + 0.6)
    style.whole_numbers(ax.xaxis)
    ax.grid(visible=False, axis="x")
    drawn = "A bar for each sample of D, dark where tainted"
    style.says(ax, findings.gaps(ordered, delta_t), drawn)
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
    names = {m: m.removeprefix("R^t ").removeprefix("R ") for m in table["model_id"].unique()}
    markers = style.markers_of(sorted(names.values()))
    for model, name in sorted(names.items()):
        line, on_d = table[table["model_id"] == model], model.startswith("R^t")
        look = LOOKS["tuned reference" if on_d else "untuned reference"]
        ax.plot(
            line["epoch"],
            line["loss"],
            color=look.color,
            linestyle=look.line,
            marker=markers[name],
            label=f"{name}, {'tuned on D' if on_d else 'not on D'}",
        )
    ax.set(xlabel="epoch", ylabel="training loss\n(nats per token)", ylim=(0, None))
    style.whole_numbers(ax.xaxis)
    ax.legend(title=None, loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8)
    style.says(ax, findings.losses(table), "A line for each reference that was trained")
    return ax


def plot_votes(
    table: pd.DataFrame, *, ax: Axes | None = None, title: str = "", most: int | None = None
) -> Axes:
    """Positive against negative tainted samples, a pair of bars per suspect (Fig. 4, 6).

    Parameters
    ----------
    table : DataFrame
        suspect, positive, negative, filtered (counts of samples), verdict, correct (bool).
    ax : Axes, optional
        Where to draw; new axes by default.
    title : str
        Above the bars.
    most : int, optional
        Samples that the longest bar may have; by default those of the table's longest.

    Returns
    -------
    Axes
        Negative samples to the left, positive ones to the right; the verdict stands beside, red
        and crossed where wrong.
    """
    ax = style.axes(ax, 8, 0.6 + ROW * len(table))
    places = range(len(table))
    for status, sign in ((Status.NEGATIVE, -1), (Status.POSITIVE, 1)):
        look = LOOKS[status]
        ax.barh(
            places,
            sign * table[status],
            0.72,
            color=look.color,
            hatch=look.hatch,
            edgecolor="white",
            linewidth=0.3,
        )
    most = max(1, most or table[["positive", "negative"]].max().max())
    for place, row in enumerate(table.to_dict("records")):
        dropped = f" ({row['filtered']} filtered)" if row["filtered"] else ""
        ax.annotate(
            f"{row['positive']} : {row['negative']}  {row['verdict']} "
            f"{'✓' if row['correct'] else '✗'}{dropped}",
            (1.12 * most, place),
            va="center",
            fontsize=8,
            color="black" if row["correct"] else COLORS["wrong"],
            fontweight="normal" if row["correct"] else "bold",
        )
    ax.axvline(0, color=COLORS["line"], linewidth=0.8)
    ax.set(xlabel="", ylabel="", title=title, xlim=(-1.08 * most, 2.1 * most))
    ax.set(yticks=places, ylim=(len(table) - 0.4, -0.6))
    ax.set_yticklabels(table["suspect"], fontsize=9)
    ticks = MaxNLocator(4, steps=[1, 2, 5, 10], integer=True).tick_values(-most, most)
    ax.set_xticks([tick for tick in ticks if abs(tick) <= most])
    ax.xaxis.set_major_formatter(lambda value, _: f"{abs(value):g}")
    ax.grid(visible=False, axis="y")
    return ax


def plot_shares(verdicts: pd.DataFrame, *, rule: str = "text", ax: Axes | None = None) -> Axes:
    """Share of each suspect's tainted samples that are positive: all suspects at a glance.

    Parameters
    ----------
    verdicts : DataFrame
        dataset, suspect, member (the truth), verdict, correct (bool), share (0 to 1; NaN = no
        sample counts).
    rule : str
        By which the suspects were judged, "text" or "released": there a tie is member, too.
    ax : Axes, optional
        Where to draw; new axes by default.

    Returns
    -------
    Axes
        A row of dots for the members and for the non-members of each dataset, or why there is
        none; suspects that are judged wrongly are named.
    """
    rows = list(verdicts.groupby(["dataset", ~verdicts["member"].astype(bool)], sort=False))
    ax = style.axes(ax, 9, 1.3 + 1.5 * ROW * len(rows))
    for place, ((_, innocent), part) in enumerate(rows):
        look = LOOKS[Kind.OTHER if innocent else Kind.MEMBER]
        counted = part.dropna(subset="share").sort_values("share")
        heights = place + 0.5 * style.apart(len(counted))
        percent = 100 * counted["share"]
        ax.scatter(percent, heights, s=45, color=look.color, marker=look.marker, alpha=0.7)
        if counted.empty:
            ax.text(
                50, place, "no sample counts  ", ha="right", va="center", color=COLORS["caption"]
            )
        wrong = ~counted["correct"]
        for suspect, x, y in zip(
            counted.loc[wrong, "suspect"], percent[wrong], heights[wrong], strict=True
        ):
            ax.annotate(
                suspect,
                (x, y),
                (0, 7),
                textcoords="offset points",
                ha="center",
                fontsize=8,
                fontweight="bold",
                color=COLORS["wrong"],
            )
    where = "on it or right" if rule == "released" else "right"
    style.decides(ax, 50, f"{where} of it: called a member")
    ax.set(xlabel="share of its tainted samples that are positive, %", xlim=(-3, 103), ylabel="")
    ax.set(yticks=range(len(rows)), ylim=(len(rows) - 0.5, -1))
    sides = [
        f"{dataset}: {len(part)} {style.TRUTH[not innocent]}s" for (dataset, innocent), part in rows
    ]
    ax.set_yticklabels(sides, fontsize=9)
    ax.grid(visible=False, axis="y")
    drawn = "A row of dots for members and for non-members of each dataset, a dot for each suspect"
    style.says(ax, findings.both_sides(verdicts, "The vote"), drawn)
    return ax


def plot_evidence_dots(
    table: pd.DataFrame, *, delta_s: float, rule: str = "text", ax: Axes | None = None
) -> Axes:
    """Evidence of every tainted sample, a row of dots for each suspect.

    Parameters
    ----------
    table : DataFrame
        suspect, member (the truth), group (where it is known), evidence (Eq. 2; NaN = filtered); a
        row per sample.
    delta_s : float
        Eq. 2's threshold, the line.
    rule : str
        By which the evidence was found, "text" or "released".
    ax : Axes, optional
        Where to draw; new axes by default.

    Returns
    -------
    Axes
        The diamonds are medians. A sentence where no sample has evidence.
    """
    if table["evidence"].isna().all():
        return style.nothing(style.axes(ax, 8, 1.5))
    ax = style.axes(ax, 8, 1.2 + ROW * table["suspect"].nunique())
    kinds = style.kinds_of(table)
    suspects = list(table["suspect"].unique())
    for place, suspect in enumerate(suspects):
        own = table["suspect"] == suspect
        style.dots(ax, table.loc[own, "evidence"].dropna(), place, kinds[own].iloc[0])
    words = f"delta_s = {delta_s:g}: right of it positive"
    style.decides(ax, delta_s, words, left=delta_s > sum(ax.get_xlim()) / 2)  # where there is room
    ax.set(xlabel=EVIDENCE[rule], ylabel="", yticks=range(len(suspects)))
    ax.set_yticklabels(suspects, fontsize=9)
    ax.set_ylim(len(suspects) - 0.5, -1)
    ax.grid(visible=False, axis="y")
    style.legend_of(ax, kinds, **style.OUTSIDE)
    drawn = "A row of dots for each suspect, a dot for each tainted sample; diamonds are medians"
    style.says(ax, findings.evidence(table, delta_s), drawn)
    return ax


def plot_both_sides(
    verdicts: pd.DataFrame,
    *,
    judge: str = "The vote",
    words: tuple[str, str] = ("positive", "negative"),
    counted: str = "tainted samples",
) -> Figure:
    """`plot_votes` for members and non-members of every dataset (Fig. 4-7).

    Parameters
    ----------
    verdicts : DataFrame
        dataset, member (the truth), and the columns of `plot_votes`. A side without suspects in
        a dataset is left out.
    judge : str
        Who judges, as the beginning of a sentence.
    words : tuple of str
        What the bars mean: to the right, to the left.
    counted : str
        What the bars count.

    Returns
    -------
    Figure
        Axes for each side of each dataset, one under another; one scale for a dataset.
    """
    parts = list(verdicts.groupby(["dataset", ~verdicts["member"].astype(bool)], sort=False))
    sizes = [len(part) for _, part in parts]
    figure, axes = plt.subplots(
        len(parts),
        1,
        squeeze=False,
        layout="constrained",
        figsize=(9, 1.2 + 0.55 * len(parts) + ROW * sum(sizes)),
        height_ratios=[size + 0.2 for size in sizes],
    )
    most = verdicts.groupby("dataset")[["positive", "negative"]].max().max(axis=1)
    for ax, ((dataset, innocent), part) in zip(axes[:, 0], parts, strict=True):
        title = f"{dataset}: {style.TRUTH[not innocent]}s"
        plot_votes(part, ax=ax, title=title, most=int(most.loc[str(dataset)]))
    axes[-1, 0].set_xlabel(f"{counted}: {words[1]} to the left, {words[0]} to the right")
    drawn = "Two bars for each suspect, back to back, with its counts and verdict"
    style.says(figure, findings.both_sides(verdicts, judge), drawn)
    return figure
