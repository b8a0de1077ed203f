"""Two texts token by token: who is whose best match, as BERTScore sees it."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from dsi_core.plots import style

SIZE = 0.44  # inches of a cell
DARK = 0.6  # a cosine above it is written in white


def plot_matching(cosines: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Cosines of the tokens of two texts; the best match of each row and column is framed.

    Parameters
    ----------
    cosines : DataFrame
        As `Matching.table`: a row for each token of one text, a column for each of the other.
    ax : Axes, optional
        Where to draw; new axes by default.

    Returns
    -------
    Axes
        A solid frame: best of its row (their mean is the precision); a dashed one: best of its
        column (their mean is the recall).
    """
    values = cosines.to_numpy()
    height, width = values.shape
    ax = style.axes(ax, SIZE * width + 1.6, SIZE * height + 1.2)
    ax.imshow(values, cmap="Greys", vmin=0, vmax=1)
    for (y, x), value in np.ndenumerate(values):
        shade = "white" if value > DARK else "black"
        ax.text(x, y, f"{value:.2f}", ha="center", va="center", fontsize=8, color=shade)
    for y, x in enumerate(values.argmax(axis=1)):
        _frame(ax, int(x), y, 0.47, style.LOOKS["tuned reference"].color, "-")
    for x, y in enumerate(values.argmax(axis=0)):
        _frame(ax, x, int(y), 0.38, style.LOOKS["untuned reference"].color, "--")
    ax.set_xticks(range(width), list(cosines.columns), rotation=45, ha="left", parse_math=False)
    ax.set_yticks(range(height), list(cosines.index), parse_math=False)
    ax.xaxis.tick_top()
    ax.tick_params(length=0)
    ax.grid(visible=False)
    for side in ax.spines.values():
        side.set_visible(False)
    style.says(ax, "", f"Cosines of tokens, a row for each of one text; best: {_best(cosines)}")
    return ax


def _best(cosines: pd.DataFrame) -> str:
    """In words, of each row the column with the highest value."""
    best = zip(cosines.index, cosines.idxmax(axis=1), cosines.max(axis=1), strict=True)
    return ", ".join(f"{token} with {other} ({value:.2f})" for token, other, value in best)


def _frame(ax: Axes, x: int, y: int, half: float, color: str, line: str) -> None:
    corner = (x - half, y - half)
    ax.add_patch(
        Rectangle(
            corner, 2 * half, 2 * half, fill=False, edgecolor=color, linewidth=2, linestyle=line
        )
    )
