"""What axes show, read back from what was drawn."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_hex

from dsi_core.plots import vote


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


def draws_on_the_axes_given(plot) -> None:
    """plot(ax) draws there and makes no figure of its own."""
    figure, ax = plt.subplots()
    before = len(ax.get_children())
    assert plot(ax) is ax
    assert plt.get_fignums() == [figure.number]
    assert len(ax.get_children()) > before


def draws_four_datasets(plot, some, **options) -> None:
    """A table of four datasets gives four axes, each as the table of one would."""
    names = ["dolly", "alpaca", "slimorca", "openhermes"]
    everything = pd.concat([some.assign(dataset=d) for d in names], ignore_index=True)
    axes = vote.per_dataset(plot, everything, **options).axes
    assert [title(ax).split(":")[0] for ax in axes] == names
    alone = vote.per_dataset(plot, some.assign(dataset="dolly"), **options).axes[0]
    assert {len(ax.patches) for ax in axes} == {len(alone.patches)}
    assert not title(alone).startswith("dolly")
