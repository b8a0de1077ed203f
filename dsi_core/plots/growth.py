"""How time and memory grow with the size of what is done."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dsi_core.plots import style
from dsi_core.plots.findings.words import capital
from dsi_core.plots.style import COLORS

LEAST = 0.01  # seconds; less is not told apart
PANELS = {"seconds": "seconds of a core", "memory_mb": "most memory held, MB"}


def plot_growth(table: pd.DataFrame, *, limit_mb: float | None = None) -> Figure:
    """Seconds and memory of every step, by its size, on logarithmic scales.

    Parameters
    ----------
    table : DataFrame
        step, unit (of the size), size, seconds, memory_mb; a row for each step and size.
    limit_mb : float, optional
        Memory that is not to be exceeded, a line.

    Returns
    -------
    Figure
        A panel for seconds and one for memory, in a row for each unit. Dashed: ten times the time
        for ten times the size, through the largest.
    """
    units = table["unit"].unique()
    figure, panels = plt.subplots(
        len(units), 2, figsize=(10, 3 * len(units)), layout="constrained", squeeze=False
    )
    markers = style.markers_of(table["step"])
    for row, (unit, part) in zip(panels, table.groupby("unit", sort=False), strict=True):
        for ax, column in zip(row, PANELS, strict=True):
            _lines(ax, part, column, markers)
            ax.set(xlabel=str(unit), ylabel=PANELS[column])
        _linear(row[0], part)
        row[0].legend(**style.OUTSIDE)
        most = part["memory_mb"].max()
        if limit_mb is not None:
            most = max(most, limit_mb)
            style.decides(row[1], limit_mb, f"{limit_mb:,.0f} MB", across=True)
        row[1].set_ylim(0, 1.15 * most)
    drawn = "A line with a marker for each step; dashed, ten times the time for ten times the size"
    style.says(figure, _finding(table), drawn)
    return figure


def _lines(ax: Axes, table: pd.DataFrame, column: str, markers: dict[str, str]) -> None:
    steps = table["step"].unique()
    shades = np.linspace(0.0, 0.75, len(steps))
    for shade, step in zip(shades, steps, strict=True):
        own = table[table["step"] == step]
        values = own[column].clip(lower=LEAST if column == "seconds" else 0)
        ax.plot(own["size"], values, marker=markers[step], color=plt.cm.cividis(shade), label=step)
    ax.set(xscale="log", yscale="log" if column == "seconds" else "linear")


def _linear(ax: Axes, table: pd.DataFrame) -> None:
    """A line of slope 1 through the largest value."""
    last = table.sort_values("seconds").iloc[-1]
    sizes = np.array([table["size"].min(), table["size"].max()])
    times = last["seconds"] * sizes / last["size"]
    (line,) = ax.plot(sizes, times, linestyle="--", linewidth=1, color=COLORS["caption"])
    line.set_label("ten times the time\nfor ten times the size")


def _finding(table: pd.DataFrame) -> str:
    """How much longer ten times as much took, at worst, and the most memory."""
    held = f"no step holds more than {table['memory_mb'].max() / 1000:.1f} GB"
    longer = [worst_tenfold(own) for _, own in table.groupby("step") if len(own) > 1]
    if not longer:
        return capital(held)
    return f"Ten times as much takes {max(longer):.0f} times as long at most; {held}"


def worst_tenfold(table: pd.DataFrame) -> float:
    """The worst factor by which time grew for ten times the size, from one size to the next."""
    ordered = table.sort_values("size")
    times, sizes = np.log10(ordered["seconds"].clip(lower=LEAST)), np.log10(ordered["size"])
    return float(10 ** (times.diff() / sizes.diff()).max())
