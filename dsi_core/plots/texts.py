"""Texts: a sample's prompt, oracle and responses with shared words shaded, and safe tables."""

import pandas as pd
from IPython.display import HTML
from matplotlib.axes import Axes

from dsi_core.plots import style
from dsi_core.plots.findings.words import share
from dsi_core.plots.tables import shown_as_they_are, straight

CHARACTER = 0.0753  # inches: the advance of matplotlib's monospace font at 9 points
EMPTY = "(empty)"


def plot_example(pieces: pd.DataFrame, *, ax: Axes | None = None, width: int = 100) -> Axes:
    """One sample as blocks of text, one under another; shared words shaded (Fig. 2 and 3).

    Text is drawn literally (no markup, no mathematics).

    Parameters
    ----------
    pieces : DataFrame
        As `observations.side_by_side`: part (the heading), piece, shared; in order.
    ax : Axes, optional
        Where to draw; new axes that fit the text by default.
    width : int
        Characters in a line.

    Returns
    -------
    Axes
    """
    blocks = {
        str(part): _wrapped(list(zip(rows["piece"], rows["shared"], strict=True)), width)
        for part, rows in pieces.groupby("part", sort=False)
    }
    height = sum(1.5 + len(lines) for lines in blocks.values())
    ax = style.axes(ax, width * CHARACTER + 0.083, 0.24 * height + 0.4)
    ax.set_axis_off()
    ax.set(xlim=(0, width), ylim=(height, -0.3))
    y = 0.0
    for part, lines in blocks.items():
        y += 0.5
        ax.text(0, y, part, weight="bold", fontsize=9, va="center", parse_math=False)
        y += 1
        for line in lines:
            _write(ax, y, line)
            y += 1
    drawn = "Texts under each other, shared words shaded"
    style.says(ax, shared_words(pieces), drawn)
    return ax


def shared_words(pieces: pd.DataFrame) -> str:
    """How much of the last text stands in the oracle. Columns part, piece, shared; in order."""
    last = pieces[pieces["part"] == pieces["part"].iloc[-1]]
    words = last[~last["piece"].str.isspace() & (last["piece"] != "")]
    said = share(int(words["shared"].sum()), len(words), "words and marks")
    part = str(last["part"].iloc[0])
    head = part.rpartition(" (raw similarity ")[0] or part  # a name may hold brackets
    return f"{head}: {said} stand in the oracle output, in its order"


def _write(ax: Axes, y: float, line: list[tuple[int, str, bool]]) -> None:
    """Draw a line of (column, piece, shared)."""
    shade = {"facecolor": style.COLORS["shared words"], "edgecolor": "none", "pad": 0.8}
    for x, piece, shared in line:
        ax.text(
            x,
            y,
            piece,
            fontsize=9,
            family="monospace",
            va="center",
            bbox=shade if shared and not piece.isspace() else None,
            parse_math=False,
        )


def _wrapped(pieces: list[tuple[str, bool]], width: int) -> list[list[tuple[int, str, bool]]]:
    """Lines of (column, piece, shared) at most `width` wide; a longer piece is cut."""
    lines: list[list[tuple[int, str, bool]]] = [[]]
    x = 0
    for whole, shared in pieces:
        piece = " " if whole.isspace() else whole
        for start in range(0, len(piece), width):
            part = piece[start : start + width]
            if x + len(part) > width:
                lines.append([])
                x = 0
            if part == " " and x == 0:
                continue  # a line begins with a word
            lines[-1].append((x, part, shared))
            x += len(part)
    return lines if any(lines) else [[(0, EMPTY, False)]]


def as_table(table: pd.DataFrame) -> HTML:
    """A table of texts for a notebook: nothing is cut, every cell is escaped."""
    with shown_as_they_are():
        return HTML(straight(table.to_html(index=False, escape=True)))
