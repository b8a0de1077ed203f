"""Step 7, plots of attribution, as in `plots`: which methods find the base of how many models, and how the replies of each model vote."""

import matplotlib.pyplot as plt
import seaborn as sns

COLORS = {"tuned": "#D55E00", "bases": "#0072B2", "chosen": "#000000"}


def plot_methods(table, *, ax=None):
    """Models attributed rightly, with the Wilson interval, and the held-out replies of the bases, a row per method and level; bold = chosen.

    table: columns method, level, chosen, correct, total, low, high, cv_correct, cv_total, chance. Dotted: what guessing finds.
    """
    ax = ax or plt.subplots(figsize=(9, 1.2 + 0.32 * len(table)), layout="constrained")[1]
    places, share = range(len(table)), table["correct"] / table["total"]
    errors = [(share - table["low"]).clip(lower=0), (table["high"] - share).clip(lower=0)]
    ax.errorbar(
        share,
        places,
        xerr=errors,
        fmt="o",
        color=COLORS["tuned"],
        capsize=3,
        label="tuned models (bar: 95% Wilson interval)",
    )
    held = (table["cv_correct"] / table["cv_total"]).astype(float)
    ax.scatter(
        held,
        places,
        marker="d",
        color=COLORS["bases"],
        zorder=3,
        label="the bases, held-out prompts (chosen by these)",
    )
    ax.axvline(table["chance"].iloc[0], color="black", linewidth=1, linestyle=":")
    ax.set(
        yticks=places,
        yticklabels=[f"{m} ({level})" for m, level in table[["method", "level"]].values],
        xlim=(-0.03, 1.03),
        xlabel="share attributed to the right base (dotted: guessing)",
    )
    for label, chosen in zip(ax.get_yticklabels(), table["chosen"]):
        label.set(fontsize=9, fontweight="bold" if chosen else "normal")
    for place, row in zip(places, table.itertuples()):
        ax.annotate(
            f"{row.correct}/{row.total}",
            (row.correct / row.total, place),
            xytext=(0, 5),
            textcoords="offset points",
            ha="center",
            fontsize=7,
        )
    ax.set_ylim(len(table) - 0.4, -0.8)
    ax.legend(loc="lower center", bbox_to_anchor=(0.4, 1.0), ncols=2, fontsize=9)
    return ax


def plot_votes(table, *, ax=None):
    """Share of a tuned model's replies that vote for each base; a frame is round the truth. table: columns method, model, base, voted, share."""
    rows = table.drop_duplicates("model").sort_values(["base", "model"])
    bases = sorted(table["voted"].unique())
    ax = ax or plt.subplots(figsize=(9, 1.9 + 0.36 * len(rows)), layout="constrained")[1]
    shares = table.pivot(index="model", columns="voted", values="share").loc[rows["model"], bases]
    sns.heatmap(
        shares,
        annot=True,
        fmt=".2f",
        cmap="cividis",
        vmin=0,
        vmax=1,
        ax=ax,
        annot_kws={"fontsize": 8},
        cbar_kws={"label": "share of replies"},
    )
    for i, base in enumerate(rows["base"]):
        ax.add_patch(
            plt.Rectangle((bases.index(base), i), 1, 1, fill=False, edgecolor="red", linewidth=2)
        )
    ax.set(
        xlabel="base that the replies vote for (frame: the truth)",
        ylabel="tuned model",
        title=f"chosen on the bases: {table['method'].iloc[0]}",
    )
    ax.tick_params(axis="y", rotation=0)
    ax.set_xticks(ax.get_xticks(), ax.get_xticklabels(), rotation=30, ha="right")
    return ax
