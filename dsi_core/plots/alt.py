"""Alt texts: what a picture shows, in words, for those who do not see it.

A notebook shows a figure as an HTML image with that text, which JupyterLab, nbconvert and myst-nb
keep: no page has to be told the words again.
"""

import html
from base64 import b64encode
from io import BytesIO
from weakref import WeakKeyDictionary

import matplotlib.pyplot as plt
from IPython.core.getipython import get_ipython
from IPython.display import display
from matplotlib.axes import Axes
from matplotlib.figure import Figure

SCREEN = 96  # CSS pixels in an inch
_KEPT: WeakKeyDictionary[Figure, bytes] = WeakKeyDictionary()


def text(figure: Figure) -> str:
    """Say what a figure shows: its finding, what is drawn, the axes, and what is told apart.

    What is drawn is the figure's label (`style.says`); all else is read from the figure.
    """
    axes = [ax for ax in figure.axes if ax.axison or title_of(ax)]
    panels = _unique(title_of(ax) for ax in axes)
    finding = figure.get_suptitle()
    parts = [finding, *([] if finding and len(panels) > 1 else panels), str(figure.get_label())]
    if finding and len(panels) > 1:
        parts.append(f"Panels: {', '.join(panels)}")
    for name, labels in (
        ("Across", (ax.get_xlabel() for ax in axes if ax.axison)),
        ("Upwards", (ax.get_ylabel() for ax in axes if ax.axison)),
        ("Told apart", _told_apart(figure)),
    ):
        if words := _unique(labels):
            parts.append(f"{name}: {', '.join(words)}")
    return " ".join(f"{part.rstrip('.')}." for part in map(_one_line, parts) if part)


def keep(figure: Figure, png: bytes) -> None:
    """Let a notebook show this picture of a figure, until something on the figure changes."""
    figure.stale = False
    _KEPT[figure] = png


def as_html(figure: Figure) -> str:
    """A figure as an HTML image with its alt text, at most as wide as its page."""
    kept = None if figure.stale else _KEPT.get(figure)
    wide = round(SCREEN * figure.get_figwidth())
    return (
        f'<img alt="{html.escape(text(figure))}" style="width: {wide}px; max-width: 100%" '
        f'src="data:image/png;base64,{b64encode(kept or _png(figure)).decode()}">'
    )


def show(figure: Figure) -> None:
    """Show a figure here, not below everything else that the cell shows."""
    display(figure)
    plt.close(figure)


def _png(figure: Figure) -> bytes:
    file = BytesIO()
    figure.savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()


def in_notebooks() -> None:
    """Let the notebook that runs this, if any, show every figure as `as_html`."""
    shell = get_ipython()
    if shell is None or shell.display_formatter is None or not hasattr(shell, "kernel"):
        return
    plt.switch_backend(plt.get_backend())  # a backend registers its own formats: first that
    formatters = shell.display_formatter.formatters
    formatters["image/png"].pop(Figure, None)
    formatters["text/html"].for_type(Figure, as_html)


def title_of(ax: Axes) -> str:
    """The title of axes, wherever it stands."""
    return ax.get_title(loc="left") or ax.get_title()


def _told_apart(figure: Figure) -> list[str]:
    legends = [*figure.legends, *(ax.get_legend() for ax in figure.axes)]
    return [entry.get_text() for box in legends if box is not None for entry in box.get_texts()]


def _unique(words) -> list[str]:
    return [word for word in dict.fromkeys(_one_line(word) for word in words) if word]


def _one_line(words: str) -> str:
    return " ".join(words.split())
