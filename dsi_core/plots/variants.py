"""Step 7, plots of §6.3-6.4, as in `plots`: the vote in other settings, with other references, under evasions."""

from itertools import product

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns

from dsi_core.plots.vote import COLORS


def plot_fig08(table: pd.DataFrame, *, delta_s: float, ax=None):
    """Fig. 8: evidence over all samples of D, cumulated, a line per suspect. table: columns suspect, member, evidence."""
    ax = ax or plt.subplots(figsize=(8.5, 3.6), layout="constrained")[1]
    suspects = table.dropna(subset="evidence")[["suspect", "member"]].drop_duplicates()
    for (suspect, member), color in zip(
        suspects.itertuples(index=False), sns.color_palette("colorblind", len(suspects))
    ):
        sns.ecdfplot(
            table[table["suspect"] == suspect],
            x="evidence",
            ax=ax,
            color=color,
            linestyle="-" if member else "--",
            label=f"{suspect} ({'member' if member else 'non-member'})",
        )
    ax.axvline(delta_s, color="black", linewidth=0.8, linestyle=":")
    ax.axhline(0.5, color="black", linewidth=0.8)
    ax.set(
        xlabel=f"evidence: best answer's weakest gap (dotted: delta_s = {delta_s:g})",
        ylabel="share of D's samples below",
        title="a line that crosses one half left of delta_s is voted non-member",
    )
    ax.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return ax


def plot_sensitivity(table: pd.DataFrame, *, at: dict):
    """Share of positives per suspect while one setting moves, with its Wilson interval (band); above one half = member. Returns the figure.

    table: columns dataset, suspect, member, setting, value, share, low, high. at: the profile's own value of each setting.
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
    suspects = table[["suspect", "member"]].drop_duplicates()
    for ax, (dataset, setting) in zip(axes.flat, product(datasets, settings)):
        for (suspect, member), color in zip(
            suspects.itertuples(index=False), sns.color_palette("colorblind", len(suspects))
        ):
            line = table[
                (table["dataset"] == dataset)
                & (table["setting"] == setting)
                & (table["suspect"] == suspect)
            ]
            ax.plot(
                line["value"],
                line["share"],
                "-o" if member else "--o",
                color=color,
                markersize=4,
                label=f"{suspect} ({'member' if member else 'non-member'})",
            )
            ax.fill_between(
                line["value"].astype(float),
                line["low"],
                line["high"],
                color=color,
                alpha=0.08,
                linewidth=0,
            )
        ax.axhline(0.5, color="black", linewidth=0.8)
        ax.axvline(at[setting], color="black", linewidth=0.8, linestyle=":")
        ax.set(xlabel=f"{setting} (dotted: {at[setting]:g})", ylim=(-0.03, 1.03))
        if setting == "draws":
            ax.set_xticks(line["value"])
    for ax, dataset in zip(axes[:, 0], datasets):
        ax.set_ylabel(
            f"{dataset}\npositive share of the vote"
            if len(datasets) > 1
            else "positive share of the vote"
        )
    axes[0][-1].legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def plot_grid(table: pd.DataFrame, *, at: tuple[float, float]):
    """Suspects judged rightly (left) and tainted samples (right) over delta_t and delta_s; the frame = the profile's own. Returns the figure.

    table: columns delta_t, delta_s, correct, total, tainted, of one dataset. at: (delta_t, delta_s).
    """
    figure, axes = plt.subplots(
        1, 2, figsize=(10.5, 4.2), width_ratios=[3, 1.2], layout="constrained"
    )
    right = table.pivot(index="delta_t", columns="delta_s", values="correct").sort_index(
        ascending=False
    )
    sns.heatmap(
        right,
        annot=True,
        fmt="d",
        cmap="cividis",
        vmin=0,
        vmax=table["total"].max(),
        cbar=False,
        ax=axes[0],
    )
    axes[0].set_title(f"suspects judged rightly, of {table['total'].max()}")
    if at[0] in right.index and at[1] in right.columns:
        axes[0].add_patch(
            plt.Rectangle(
                (list(right.columns).index(at[1]), list(right.index).index(at[0])),
                1,
                1,
                fill=False,
                edgecolor="red",
                linewidth=2,
            )
        )
    counts = table.drop_duplicates("delta_t").set_index("delta_t")[["tainted"]].loc[right.index]
    sns.heatmap(counts, annot=True, fmt="d", cmap="Greys", cbar=False, ax=axes[1])
    axes[1].set(title="tainted samples", ylabel="", xlabel="")
    for ax in axes:
        ax.tick_params(axis="y", rotation=0)
    return figure


def plot_detection(table: pd.DataFrame, *, x: str, hue: str = "group", ax=None, title: str = ""):
    """Share of suspects judged rightly with its Wilson interval, a group of bars per value of `x` (Fig. 9).

    table: columns `x`, `hue`, correct, total, low, high (percent).
    """
    ax = ax or plt.subplots(figsize=(8, 3.6), layout="constrained")[1]
    values, hues = list(table[x].unique()), list(table[hue].unique())
    width = 0.8 / len(hues)
    for k, (name, color) in enumerate(zip(hues, sns.color_palette("colorblind", len(hues)))):
        part = table[table[hue] == name].set_index(x)
        for i, value in enumerate(v for v in values if v in part.index):
            row, place = part.loc[value], values.index(value) + (k - (len(hues) - 1) / 2) * width
            share = 100 * row["correct"] / row["total"]
            ax.bar(
                place, share, width * 0.92, color=color, label=name if i == 0 else None, alpha=0.85
            )
            ax.errorbar(
                place,
                share,
                [[max(0, share - row["low"])], [max(0, row["high"] - share)]],
                color="black",
                capsize=3,
                linewidth=1,
            )
            ax.annotate(
                f"{int(row['correct'])}/{int(row['total'])}",
                (place + 0.12 * width, 4),
                ha="left",
                color="white" if share > 8 else "black",
                fontsize=9,
            )
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


def plot_fig10(table: pd.DataFrame, *, ax=None):
    """Fig. 10: tainted samples, positive and negative, per suspect, a group of stacked bars per set of references.

    table: columns references, suspect, positive, negative.
    """
    ax = ax or plt.subplots(figsize=(9, 3.8), layout="constrained")[1]
    sets, suspects = list(table["references"].unique()), list(table["suspect"].unique())
    width = 0.84 / len(suspects)
    for k, suspect in enumerate(suspects):
        part = table[table["suspect"] == suspect].set_index("references").loc[sets]
        places = [i + (k - (len(suspects) - 1) / 2) * width for i in range(len(sets))]
        ax.bar(
            places,
            part["positive"],
            width * 0.9,
            color=COLORS["positive"],
            label="positive" if k == 0 else None,
        )
        ax.bar(
            places,
            part["negative"],
            width * 0.9,
            bottom=part["positive"],
            color=COLORS["negative"],
            label="negative" if k == 0 else None,
        )
        for place, total in zip(places, part["positive"] + part["negative"]):
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
    ax.yaxis.get_major_locator().set_params(integer=True)
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    return ax


def plot_evasion(table: pd.DataFrame, *, ax=None, title: str = "", xlabel: str = ""):
    """Fig. 11: share of positives of each member under an evasion, with its Wilson interval; above one half = caught.

    table: columns setting, suspect, share, low, high, correct. The head of each setting counts the members that are caught.
    """
    ax = ax or plt.subplots(figsize=(8, 3.8), layout="constrained")[1]
    settings, suspects = list(table["setting"].unique()), list(table["suspect"].unique())
    apart = min(0.12, 0.8 / len(suspects))
    for k, (suspect, color) in enumerate(
        zip(suspects, sns.color_palette("colorblind", len(suspects)))
    ):
        part = table[table["suspect"] == suspect]
        places = [
            settings.index(s) + (k - (len(suspects) - 1) / 2) * apart for s in part["setting"]
        ]
        errors = [
            (part["share"] - part["low"]).clip(lower=0),
            (part["high"] - part["share"]).clip(lower=0),
        ]
        ax.errorbar(places, part["share"], errors, fmt="o", color=color, capsize=3, label=suspect)
    for i, setting in enumerate(settings):
        part = table[table["setting"] == setting]
        ax.annotate(
            f"{int(part['correct'].sum())} of {len(part)} caught",
            (i, 1.06),
            ha="center",
            fontsize=9,
        )
    ax.axhline(0.5, color="black", linewidth=0.8)
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


def plot_fig12(table: pd.DataFrame, *, ax=None):
    """Fig. 12: the arbiter's positive and negative tainted samples of each member, and how many of them the adversary removed.

    table: columns suspect, status, removed (bool), samples.
    """
    suspects = list(table["suspect"].unique())
    ax = ax or plt.subplots(figsize=(8, 1.0 + 0.62 * len(suspects)), layout="constrained")[1]
    for k, status in enumerate(("positive", "negative")):
        for removed, hatch in ((True, "///"), (False, None)):
            part = (
                table[(table["status"] == status) & (table["removed"] == removed)]
                .set_index("suspect")["samples"]
                .reindex(suspects)
                .fillna(0)
            )
            before = (
                table[(table["status"] == status) & table["removed"]]
                .set_index("suspect")["samples"]
                .reindex(suspects)
                .fillna(0)
            )
            ax.barh(
                [i + (k - 0.5) * 0.38 for i in range(len(suspects))],
                part,
                0.36,
                left=0 if removed else before,
                color=COLORS[status],
                hatch=hatch,
                edgecolor="white",
                label=f"{status}, {'removed by the adversary' if removed else 'kept'}",
            )
    ax.set(
        yticks=range(len(suspects)), yticklabels=suspects, xlabel="tainted samples of the arbiter"
    )
    ax.invert_yaxis()
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.legend(fontsize=8, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    return ax
