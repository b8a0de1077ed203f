"""Step 7, plots of §4-6.2: `plot_x(table, ax=None) -> Axes` (or a figure of several) draws a table and computes nothing."""

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns

COLORS = {
    "positive": "#D55E00",
    "negative": "#0072B2",
    "filtered": "#BBBBBB",  # colour-blind safe (Okabe-Ito)
    "before": "#0072B2",
    "after": "#D55E00",
}


def per_dataset(plot, table: pd.DataFrame, *, height: float = 3.9, **how):
    """A figure with `plot(rows of one dataset, ax=..., **how)` for each dataset, `height` inches each, one under another and named where
    there are several.
    """
    datasets = table["dataset"].unique()
    figure, axes = plt.subplots(
        len(datasets), 1, squeeze=False, figsize=(9, height * len(datasets)), layout="constrained"
    )
    for ax, dataset in zip(axes[:, 0], datasets):
        plot(table[table["dataset"] == dataset], ax=ax, **how)
        if len(datasets) > 1:
            ax.set_ylabel(f"{dataset}\n{ax.get_ylabel()}")
    return figure


def plot_similarity(table: pd.DataFrame, *, ax=None):
    """Distributions of similarity to the oracle before and after tuning, a row of strips per reference.

    table: columns reference, side ("before" | "after"), similarity (higher = closer).
    """
    ax = (
        ax
        or plt.subplots(
            figsize=(8, 0.9 + 0.9 * table["reference"].nunique()), layout="constrained"
        )[1]
    )
    sns.stripplot(
        table,
        x="similarity",
        y="reference",
        hue="side",
        dodge=True,
        palette=COLORS,
        size=4,
        alpha=0.7,
        ax=ax,
        hue_order=["before", "after"],
        jitter=0.2,
        legend=True,
    )
    sns.pointplot(
        table,
        x="similarity",
        y="reference",
        hue="side",
        dodge=0.4,
        palette=COLORS,
        linestyle="none",
        marker="d",
        markersize=7,
        errorbar=None,
        estimator="median",
        hue_order=["before", "after"],
        ax=ax,
        legend=False,
    )
    ax.set(xlabel="similarity to the oracle output (BERTScore F1; diamond = median)", ylabel="")
    ax.legend(title="tuning on D", loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    return ax


def plot_gaps(table: pd.DataFrame, *, delta_t: float, ax=None):
    """The weakest reference gap of each sample, sorted; samples above delta_t are tainted (Eq. 1).

    table: columns min_gap, tainted.
    """
    ax = ax or plt.subplots(figsize=(8, 3), layout="constrained")[1]
    ordered = table.sort_values("min_gap", ascending=False).reset_index(drop=True)
    colors = ordered["tainted"].map({True: COLORS["positive"], False: COLORS["filtered"]})
    ax.bar(
        ordered.index, ordered["min_gap"], color=colors, width=1.0, edgecolor="white", linewidth=0.3
    )
    ax.axhline(delta_t, color="black", linewidth=1, linestyle="--")
    ax.set(
        xlabel="samples of D, sorted",
        ylabel="weakest gap over\nthe references",
        title=f"{int(ordered['tainted'].sum())} of {len(ordered)} samples are tainted: gap above delta_t = {delta_t:g} (line)",
    )
    return ax


def plot_losses(table: pd.DataFrame, *, ax=None):
    """Loss on the completion over training. table: columns model_id, epoch, loss (nats per token)."""
    ax = ax or plt.subplots(figsize=(8, 3.2), layout="constrained")[1]
    per_epoch = (
        table.assign(epoch=table["epoch"].apply(lambda e: -(-e // 1)))
        .groupby(["model_id", "epoch"], sort=False)["loss"]
        .mean()
    )
    sns.lineplot(
        per_epoch.reset_index(),
        x="epoch",
        y="loss",
        hue="model_id",
        palette="colorblind",
        marker="o",
        ax=ax,
    )
    ax.set(xlabel="epoch", ylabel="training loss\n(nats per token)", ylim=(0, None))
    ax.legend(title=None, loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8)
    return ax


def plot_votes(table: pd.DataFrame, *, ax=None, title: str = ""):
    """Positive against negative tainted samples, a pair of bars per suspect, its verdict beside them (Fig. 4, 6).

    table: columns suspect, positive, negative, filtered, verdict, correct. Orange = positive, blue = negative.
    """
    ax = ax or plt.subplots(figsize=(8, 0.6 + 0.45 * len(table)), layout="constrained")[1]
    long = table.melt(
        id_vars="suspect",
        value_vars=["positive", "negative"],
        var_name="tainted samples",
        value_name="count",
    )
    sns.barplot(
        long, x="count", y="suspect", hue="tainted samples", palette=COLORS, ax=ax, width=0.75
    )
    most = max(1, long["count"].max())
    for i, row in enumerate(table.itertuples()):
        dropped = f" ({row.filtered} filtered)" if row.filtered else ""
        ax.annotate(
            f"{row.verdict} {'✓' if row.correct else '✗'}{dropped}",
            (max(row.positive, row.negative) + 0.01 * most, i),
            va="center",
            fontsize=9,
            color="black" if row.correct else "#CC0000",
        )
    ax.set(xlabel="", ylabel="", title=title, xlim=(0, most * 1.35))
    ax.xaxis.get_major_locator().set_params(integer=True)
    if ax.legend_:
        ax.legend_.remove()
    return ax


def plot_evidence(table: pd.DataFrame, *, delta_s: float, ax=None, title: str = "", limits=None):
    """How far one suspect's tainted samples lean to the tuned references. table: columns evidence (NaN = filtered), status."""
    ax = ax or plt.subplots(figsize=(8, 3), layout="constrained")[1]
    counted = table.dropna(subset="evidence")
    if counted.empty:
        ax.set_axis_off()
        ax.set_title(f"{title}: no answer counts")
        return ax
    sns.histplot(
        counted,
        x="evidence",
        hue="status",
        palette=COLORS,
        multiple="stack",
        ax=ax,
        legend=False,
        binwidth=0.05,
        binrange=None if limits is None else (limits[0], limits[1] + 0.05),
    )
    ax.axvline(delta_s, color="black", linewidth=1, linestyle="--")
    ax.set(
        title=title,
        xlabel=f"evidence: best answer's weakest gap (line: delta_s = {delta_s:g})",
        ylabel="tainted samples",
        xlim=limits,
    )
    ax.yaxis.get_major_locator().set_params(integer=True)
    return ax


def plot_leanings(table: pd.DataFrame, *, delta_s: float, ax=None):
    """Evidence of every tainted sample, a row of dots per suspect (diamond = median). table: columns suspect, member, evidence."""
    ax = (
        ax
        or plt.subplots(figsize=(8, 0.9 + 0.42 * table["suspect"].nunique()), layout="constrained")[
            1
        ]
    )
    named = table.assign(truth=table["member"].map({True: "member", False: "non-member"}))
    colors = {"member": COLORS["positive"], "non-member": COLORS["negative"]}
    sns.stripplot(
        named,
        x="evidence",
        y="suspect",
        hue="truth",
        palette=colors,
        size=4,
        alpha=0.6,
        jitter=0.25,
        ax=ax,
    )
    sns.pointplot(
        named,
        x="evidence",
        y="suspect",
        hue="truth",
        palette=colors,
        estimator="median",
        errorbar=None,
        linestyle="none",
        marker="d",
        markersize=7,
        ax=ax,
        legend=False,
    )
    ax.axvline(delta_s, color="black", linewidth=1, linestyle="--")
    ax.set(xlabel=f"evidence: best answer's weakest gap (line: delta_s = {delta_s:g})", ylabel="")
    ax.legend(title=None, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    return ax


def plot_both_sides(
    verdicts: pd.DataFrame,
    *,
    words: tuple[str, str] = ("positive: closer to the tuned references", "negative"),
    xlabel: str = "tainted samples",
):
    """Fig. 4-7: `plot_votes` for member suspects (top) and non-members (bottom), where there are such, of every dataset. Returns the figure.

    words: what the two colours mean.
    """
    datasets, truths = (
        verdicts["dataset"].unique(),
        [m for m in (True, False) if (verdicts["member"] == m).any()],
    )
    sizes = [int(verdicts[verdicts["member"] == m].groupby("dataset").size().max()) for m in truths]
    figure, axes = plt.subplots(
        len(truths),
        len(datasets),
        squeeze=False,
        sharex="col",
        layout="constrained",
        figsize=(8 * len(datasets), 1.4 + 0.42 * sum(sizes)),
        gridspec_kw={"height_ratios": sizes},
    )
    for column, dataset in enumerate(datasets):
        for ax, member in zip(axes[:, column], truths):
            part = verdicts[(verdicts["dataset"] == dataset) & (verdicts["member"] == member)]
            plot_votes(part, ax=ax, title=f"{dataset}: {'members' if member else 'non-members'}")
        axes[-1, column].set(
            xlabel=xlabel,
            xlim=(
                0,
                1.35
                * max(
                    1,
                    verdicts.loc[verdicts["dataset"] == dataset, ["positive", "negative"]]
                    .max()
                    .max(),
                ),
            ),
        )
    handles = [plt.Rectangle((0, 0), 1, 1, color=COLORS[k]) for k in ("positive", "negative")]
    figure.legend(handles, words, loc="outside upper center", ncols=2)
    return figure
