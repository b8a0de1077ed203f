"""Every figure of a test is drawn, and then closed."""

import matplotlib.pyplot as plt
import pytest
from matplotlib.figure import Figure


@pytest.fixture(autouse=True)
def drawn():
    """Every figure of a test is rendered, so that what only fails at drawing fails."""
    yield
    figures = [plt.figure(number) for number in plt.get_fignums()]
    for figure in figures:
        figure.canvas.draw()
    plt.close("all")
    cut = [words for figure in figures for words in cut_words(figure)]
    assert not cut, f"titles or legends beyond the figure's edge: {cut}"


def cut_words(figure: Figure) -> list[str]:
    """Titles and legends that do not fit the width of a figure that lays itself out."""
    if figure.get_layout_engine() is None:
        return []
    texts = [text for ax in figure.axes for text in (ax.title, ax._left_title)]
    texts += [figure._suptitle] if figure._suptitle else []
    legends = [ax.get_legend() for ax in figure.axes if ax.get_legend()]
    texts += [text for legend in (*legends, *figure.legends) for text in legend.get_texts()]
    width = figure.bbox.width + 1  # a pixel for rounding
    return [t.get_text() for t in texts if t.get_text() and t.get_window_extent().x1 > width]
