"""Whom each method accuses, of the same models."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from dsi_core.plots import style
from dsi_core.plots.calibration import kind_of
from dsi_core.plots.findings import calibration as findings
from dsi_core.plots.style import COLORS, LOOKS, Kind

# Who is judged, and the kinds that they look like
JUDGED = {
    "member": Kind.MEMBER,
    "on D's other wording": Kind.LIKE_D,
    "innocent": Kind.OTHER,
}


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
        A row for each model, a column for each method. Filled: accused; empty: not; no mark: the
        method cannot see the model. Kinds look as everywhere; an accused innocent is crossed.
    """
    models = table.drop_duplicates("model").set_index("model")["kind"]
    models = models.sort_values(key=lambda kinds: kinds.map(list(kinds.unique()).index))
    methods = list(table["method"].unique())
    ax = style.axes(ax, 4.4 + 0.75 * len(methods), 1.8 + 0.26 * len(models))
    places = {name: place for place, name in enumerate(models.index)}
    for row in table.to_dict("records"):
        x, y = methods.index(row["method"]), places[row["model"]]
        look = LOOKS[kind_of(row["kind"], "")]
        fill = look.color if row["accused"] else "white"
        ax.plot(x, y, "s", color=look.color, markerfacecolor=fill, markersize=10)
        if row["accused"] and row["kind"] == "innocent":
            ax.annotate("✗", (x, y), ha="center", va="center", color="white", fontsize=9)
    for change in np.flatnonzero(models.to_numpy()[1:] != models.to_numpy()[:-1]):
        ax.axhline(change + 0.5, color=COLORS["zero"], linewidth=0.8)
    ax.set_xticks(range(len(methods)), methods, rotation=35, ha="right")
    names = [f"{m} ({k})".replace("after 1 epochs", "after 1 epoch") for m, k in models.items()]
    ax.set_yticks(range(len(models)), names, fontsize=8)
    if len(table) < len(models) * len(methods):
        ax.set_xlabel("no square: the method cannot see the model", fontsize=9)
    ax.set(xlim=(-0.5, len(methods) - 0.5), ylim=(len(models) - 0.5, -0.5))
    ax.grid(visible=False)
    grey = COLORS["zero"]
    marks = [
        ("accused", grey, grey),
        ("not accused", grey, "white"),
        *((words, COLORS[kind], COLORS[kind]) for words, kind in JUDGED.items()),
    ]
    handles = [
        Line2D([], [], color=c, marker="s", markerfacecolor=fill, linestyle="none", label=words)
        for words, c, fill in marks
    ]
    ax.legend(handles=handles, **style.OUTSIDE)
    style.says(ax, findings.accused(table), "A square for each model and method, filled: accused")
    return ax
