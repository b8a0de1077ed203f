"""What axes show, read back from what was drawn."""

from matplotlib.axes import Axes
from matplotlib.colors import to_hex


def words(ax: Axes) -> list[str]:
    return [t.get_text() for t in ax.texts]


def title(ax: Axes) -> str:
    return ax.get_title(loc="left") + ax.get_title()


def legend(of) -> list[str]:
    """The words of the legend of axes, or of a figure."""
    box = of.get_legend() if isinstance(of, Axes) else of.legends[0]
    return [t.get_text() for t in box.get_texts()]


def ticks(axis) -> list[str]:
    return [t.get_text() for t in axis.get_ticklabels()]


def levels(ax: Axes, value: str = "height") -> list[float]:
    """One number (height, width, x, y) of every bar."""
    return [getattr(p, f"get_{value}")() for p in ax.patches]


def color(patch) -> str:
    return to_hex(patch.get_facecolor())


def points(collection) -> list[list[float]]:
    """The places of the dots of a scatter."""
    return collection.get_offsets().tolist()
