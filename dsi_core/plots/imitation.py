"""Step 7, the plot of notebook 09: how close imitators come to the target as their budget grows."""

import matplotlib.pyplot as plt
import numpy as np

from dsi_core.imitation.scores import METRICS
from dsi_core.plots.vote import COLORS


def plot_budgets(means, fits, *, levels: dict[str, str]):
    """A panel per metric: imitators over their budget (log axis, 95% intervals), the fitted line, and other models as levels. Returns the figure.

    means, fits: as `imitation_scores.curve` and `fits`. levels: model -> its line's style. Beyond the largest budget the line is extrapolated, and
    dotted; it ends there unless the slope's interval lies above zero.
    """
    metrics = list(fits["metric"])
    figure, axes = plt.subplots(
        1, len(metrics), figsize=(5.2 * len(metrics), 3.8), squeeze=False, layout="constrained"
    )
    for ax, metric in zip(axes[0], metrics):
        part, fit = means[means["metric"] == metric], fits[fits["metric"] == metric].iloc[0]
        points = part[part["budget"] > 0]
        spread = np.abs(points[["low", "high"]].to_numpy().T - points["mean"].to_numpy())
        ax.errorbar(
            points["budget"],
            points["mean"],
            spread,
            fmt="o",
            color=COLORS["positive"],
            capsize=3,
            label="imitators",
        )
        least, most = points["budget"].min(), points["budget"].max()
        for ends, style in (((least, most), "-"), ((most, 10 * most), ":"))[
            : 2 if fit["low"] > 0 else 1
        ]:
            ax.plot(
                ends,
                [fit["intercept"] + fit["slope"] * np.log10(x) for x in ends],
                style,
                color=COLORS["positive"],
                label="log-linear fit" if style == "-" else "extrapolated",
            )
        for model, style in levels.items():
            ax.axhline(
                part.loc[part["model"] == model, "mean"].iloc[0],
                linestyle=style,
                color=COLORS["negative"],
                linewidth=1.2,
                label=model,
            )
        ax.set(
            xscale="log",
            xlabel="pairs that the imitator trained on",
            ylabel=f"{METRICS[metric]} with the target",
            title=f"slope {fit['slope']:+.3f} per tenfold budget\n(95%: {fit['low']:+.3f} to {fit['high']:+.3f})",
        )
        ax.set_xticks(points["budget"], [f"{b:g}" for b in points["budget"]])
        ax.minorticks_off()
    axes[0][-1].legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure
