"""Calibration: which statistic, p-values of the innocent, what the exact tests find, and who errs.

A twin is "wording twin" or "private twin"; a found share is one of orders of asking.
"""

from collections.abc import Iterable

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from dsi_core.plots import style
from dsi_core.plots.style import COLORS


def plot_statistics(table: pd.DataFrame) -> Figure:
    """Effect of weak members by what is measured, on both kinds of draws.

    Parameters
    ----------
    table : DataFrame
        draws ("development" | "confirmation"), measure, combine, twin, effect (in standard
        deviations; higher = found sooner), low, high (its 95% interval over draws, NaN = none).

    Returns
    -------
    Figure
        A panel for each twin, a row in it for each statistic, in the table's order.
    """
    table = table.assign(statistic=table["measure"] + ", " + table["combine"])
    statistics = list(table["statistic"].unique())
    figure, axes = _panels(table["twin"].unique(), 4.6, 1.3 + 0.34 * len(statistics))
    for ax in axes:
        rows = table[table["twin"] == ax.get_title(loc="left")]
        for i, (draws, color) in enumerate(style.colors_of(table["draws"]).items()):
            part = rows[rows["draws"] == draws]
            y = _places(part["statistic"], statistics) + 0.2 * i - 0.1
            _interval(ax, part["effect"], y, part, color, draws, across=True)
        ax.axvline(0, color=COLORS["zero"], linewidth=0.8)
        ax.set(xlabel="effect (standard deviations)", ylim=(len(statistics) - 0.5, -0.5))
        ax.set_yticks(range(len(statistics)), statistics)
    axes[0].legend(fontsize=8)
    return figure


def plot_null(table: pd.DataFrame) -> Figure:
    """Distribution of each innocent model's p-values, beside that of an exact test.

    Parameters
    ----------
    table : DataFrame
        model, kind (of the twin), level in (0, 1], share of p-values up to it.

    Returns
    -------
    Figure
        A panel for each kind; a line for each model, the dashed diagonal is a uniform p.
    """
    figure, axes = _panels(table["kind"].unique(), 4.2, 3.8)
    colors = style.colors_of(table["model"])
    for ax in axes:
        rows = table[table["kind"] == ax.get_title(loc="left")]
        for model, part in rows.groupby("model", sort=False):
            ax.step(
                part["level"],
                part["share"],
                where="post",
                color=colors[str(model)],
                linewidth=1,
                label=model,
            )
        ax.plot([0, 1], [0, 1], color=COLORS["line"], linestyle="--", linewidth=1)
        ax.set(xlabel="p-value", ylabel="share of coins", aspect="equal")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper", fontsize=7)
    return figure


def plot_p_values(table: pd.DataFrame, *, alpha: float, rows: str, colors: str) -> Figure:
    """Show the p-value of each model's test, over all samples.

    Parameters
    ----------
    table : DataFrame
        twin, p, and the columns named by `rows` and `colors`.
    alpha : float
        The dashed line: at or left of it is a finding.
    rows, colors : str
        Columns: a row for each value, a colour for each value.

    Returns
    -------
    Figure
        A panel for each twin, a dot for each model.
    """
    names = list(table[rows].unique())
    figure, axes = _panels(table["twin"].unique(), 4.6, 1.5 + 0.36 * len(names))
    palette = style.colors_of(table[colors])
    for ax in axes:
        of_twin = table[table["twin"] == ax.get_title(loc="left")]
        for i, (name, part) in enumerate(of_twin.groupby(colors, sort=False)):
            y = _places(part[rows], names) + 0.12 * (i - (len(palette) - 1) / 2)
            ax.plot(part["p"], y, "o", color=palette[str(name)], alpha=0.7, label=name)
        ax.axvline(alpha, color=COLORS["line"], linestyle="--", linewidth=1)
        ax.set(xscale="log", xlabel=f"p-value (line: {alpha:g})", ylim=(len(names) - 0.5, -0.5))
        ax.set_yticks(range(len(names)), names)
    if rows != colors:
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=2, fontsize=8)
    return figure


def plot_strengths(models: pd.DataFrame, averaged: pd.DataFrame) -> Figure:
    """What the tests find, by how well members learnt D.

    Parameters
    ----------
    models : DataFrame
        twin, group (the base), final_loss (nats per token; lower = learnt better), effect (standard
        deviations), found in [0, 1]; a row per model.
    averaged : DataFrame
        The same of all draws of a base and number of epochs, with low and high of the effect (95%
        interval over draws).

    Returns
    -------
    Figure
        A row of panels for each twin: effect and share found; dots are models, lines their means.
    """
    twins = list(averaged["twin"].unique())
    figure, axes = plt.subplots(
        len(twins), 2, figsize=(10, 3.2 * len(twins)), layout="constrained", squeeze=False
    )
    colors = style.colors_of(averaged["group"])
    for twin, row in zip(twins, axes, strict=True):
        for ax, what in zip(row, ("effect", "found"), strict=True):
            for base, color in colors.items():
                dots, line = (
                    t[(t["twin"] == twin) & (t["group"] == base)].sort_values("final_loss")
                    for t in (models, averaged)
                )
                ax.plot(dots["final_loss"], dots[what], "o", color=color, alpha=0.4, markersize=5)
                ax.plot(line["final_loss"], line[what], color=color, label=base)
                if what == "effect":
                    ax.fill_between(
                        line["final_loss"], line["low"], line["high"], color=color, alpha=0.15
                    )
            ax.invert_xaxis()
            ax.set(title=twin, xlabel="final loss (nats per token): learnt better to the right")
        row[0].set_ylabel("effect (standard deviations)")
        row[1].set(ylabel="found (share of orders)", ylim=(-0.03, 1.03))
    axes[0, 0].legend()
    return figure


def plot_exposures(table: pd.DataFrame) -> Figure:
    """What the tests find, by how much of what members trained on was D.

    Parameters
    ----------
    table : DataFrame
        twin, exposure (in words), effect with low and high (95% over draws, NaN = one draw), found
        in [0, 1].

    Returns
    -------
    Figure
        Left the effect, right the share found; a colour for each twin.
    """
    exposures = list(table["exposure"].unique())
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.4), layout="constrained")
    for i, (twin, color) in enumerate(style.colors_of(table["twin"]).items()):
        rows = table[table["twin"] == twin]
        x = _places(rows["exposure"], exposures) + 0.16 * i - 0.08
        _interval(left, x, rows["effect"], rows, color, twin)
        right.plot(x, rows["found"], "o", color=color, label=twin)
    left.axhline(0, color=COLORS["zero"], linewidth=0.8)
    left.set(ylabel="effect (standard deviations)")
    right.set(ylabel="found (share of orders)", ylim=(-0.03, 1.03))
    for ax in (left, right):
        ax.set_xticks(range(len(exposures)), exposures, rotation=25, ha="right")
    left.legend()
    return figure


def plot_accuser(table: pd.DataFrame, *, alpha: float) -> Figure:
    """Innocent models accused by somebody who tries again and again.

    Parameters
    ----------
    table : DataFrame
        kind (of the twin), tries, accused and shared (shares of innocent models: he reports the
        best p alone; he shares alpha among his tries).
    alpha : float
        The dashed line.

    Returns
    -------
    Figure
        A panel for each kind.
    """
    figure, axes = _panels(table["kind"].unique(), 4.2, 3)
    for ax in axes:
        rows = table[table["kind"] == ax.get_title(loc="left")]
        ax.plot(
            rows["tries"], rows["accused"], "o-", color=COLORS["wrong"], label="reports the best"
        )
        ax.plot(
            rows["tries"], rows["shared"], "o-", color=COLORS["non-member"], label="shares alpha"
        )
        ax.axhline(alpha, color=COLORS["line"], linestyle="--", linewidth=1)
        ax.set(xlabel="tries", ylabel="innocents accused", ylim=(-0.03, 1.03))
        style.whole_numbers(ax.xaxis)
    axes[0].legend()
    return figure


def plot_beside(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Whom each method accuses.

    Parameters
    ----------
    table : DataFrame
        model, kind (what it was tuned on), method, accused (bool); a method that cannot see a model
        has no row.
    ax : Axes, optional
        Where to draw; new axes by default.

    Returns
    -------
    Axes
        A row for each model, a column for each method: orange = accused, blue = not, white = cannot
        be seen. A line parts the kinds.
    """
    models = table.drop_duplicates("model").set_index("model")["kind"]
    models = models.sort_values(key=lambda kinds: kinds.map(list(kinds.unique()).index))
    methods = list(table["method"].unique())
    ax = style.axes(ax, 3.2 + 0.75 * len(methods), 1.8 + 0.26 * len(models))
    grid = np.full((len(models), len(methods)), np.nan)
    places = _places(table["model"], list(models.index)), _places(table["method"], methods)
    grid[places] = table["accused"].astype(float)
    palette = ListedColormap([COLORS["non-member"], COLORS["member"]])
    ax.imshow(grid, cmap=palette, vmin=0, vmax=1, alpha=0.6, aspect="auto")
    changes = np.flatnonzero(models.to_numpy()[1:] != models.to_numpy()[:-1])
    for y in changes:
        ax.axhline(y + 0.5, color="white", linewidth=3)
    ax.set_xticks(range(len(methods)), methods, rotation=35, ha="right")
    ax.set_yticks(range(len(models)), [f"{m} ({k})" for m, k in models.items()], fontsize=8)
    ax.set_title("orange: accused, blue: not, white: cannot be seen")
    ax.grid(False)
    return ax


def _panels(titles: Iterable[str], width: float, height: float) -> tuple[Figure, list[Axes]]:
    """Axes beside each other, each with a title."""
    titles = list(titles)
    size = (width * len(titles), height)
    figure, axes = plt.subplots(
        1, len(titles), figsize=size, layout="constrained", squeeze=False, sharey=True
    )
    for ax, title in zip(axes[0], titles, strict=True):
        ax.set_title(title, loc="left")
    return figure, list(axes[0])


def _places(values: pd.Series, names: list[str]) -> np.ndarray:
    """Where in `names` each value stands."""
    return np.array([names.index(value) for value in values], int)


def _interval(
    ax: Axes,
    x: ArrayLike,
    y: ArrayLike,
    rows: pd.DataFrame,
    color: str | tuple,
    label: str,
    *,
    across: bool = False,
) -> None:
    """Dots with the interval of the effect, across or upright; none where it is NaN."""
    error = np.nan_to_num([rows["effect"] - rows["low"], rows["high"] - rows["effect"]])
    xerr, yerr = (error, None) if across else (None, error)
    ax.errorbar(x, y, yerr, xerr, fmt="o", color=color, capsize=2, markersize=5, label=label)
