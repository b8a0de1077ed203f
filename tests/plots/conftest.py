"""Every figure of a test is drawn, and then closed; a browser, where there is one."""

import matplotlib.pyplot as plt
import pytest
from explorer_speed import CHROMIUM, QUIET
from matplotlib.figure import Figure
from playwright.sync_api import sync_playwright


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


@pytest.fixture(scope="module")
def browser():
    if not CHROMIUM:
        pytest.skip("no chromium on this machine")
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture
def page(browser):
    """A tab in which any error, and any request beyond its file, fails the test."""
    page = browser.new_page(viewport={"width": 1024, "height": 768})
    wrong = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    page.on("request", lambda asked: wrong.append(asked.url) if asked.url[:4] == "http" else None)
    yield page
    page.close()
    assert wrong == []
