"""Alt texts: what a figure shows, in words, and how a notebook shows it."""

import re

import matplotlib.pyplot as plt
import nbformat
from nbclient import NotebookClient

from dsi_core.plots import alt, style


def figure_of(panels: int):
    figure, axes = plt.subplots(1, panels, squeeze=False)
    for number, ax in enumerate(axes[0], 1):
        ax.plot([0, 1], [0, 1], label="a line")
        ax.set(title=f"panel {number}", xlabel="share\nof D", ylabel="loss")
    axes[0, 0].legend()
    return figure


def test_a_figure_of_one_plot_says_finding_marks_axes_and_legend():
    figure = figure_of(1)
    style.says(figure.axes[0], "Loss & share rise together.", "A line")
    said = (
        "Loss & share rise together. A line. Across: share of D. Upwards: loss. Told apart: a line."
    )
    assert alt.text(figure) == said


def test_a_figure_of_panels_names_them_behind_what_it_finds():
    figure = figure_of(2)
    style.says(figure, "Both rise", "A line each")
    assert alt.text(figure).startswith("Both rise. A line each. Panels: panel 1, panel 2. Across:")


def test_plots_under_each_other_say_a_finding_each():
    assert alt.text(figure_of(2)).startswith("panel 1. panel 2. Across: share of D.")


def test_an_image_is_described_and_escaped():
    figure = figure_of(1)
    style.says(figure.axes[0], 'a < b & "c"', "")
    shown = alt.as_html(figure)
    assert shown.startswith('<img alt="a &lt; b &amp; &quot;c&quot;. Across:')
    assert "max-width: 100%" in shown


def test_a_notebook_shows_figures_as_images_with_their_words():
    cell = """
import matplotlib.pyplot as plt
from dsi_core.plots import style
style.use()
ax = plt.subplots()[1]
style.says(ax, "Nothing is drawn", "Empty axes");
"""
    page = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell)])
    NotebookClient(page, kernel_name="python3").execute()
    (output,) = page.cells[0].outputs
    assert re.match(r'<img alt="Nothing is drawn. Empty axes." ', output.data["text/html"])
    assert "image/png" not in output.data


def test_a_figure_may_be_shown_above_the_rest_of_its_cell_and_is_shown_once():
    cell = """
import matplotlib.pyplot as plt
from dsi_core.plots import alt, style
style.use()
ax = plt.subplots()[1]
style.says(ax, "Nothing is drawn", "Empty axes")
alt.show(ax.figure)
"below"
"""
    page = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell)])
    NotebookClient(page, kernel_name="python3").execute()
    figure, below = page.cells[0].outputs
    assert figure.data["text/html"].startswith('<img alt="Nothing is drawn.')
    assert below.data["text/plain"] == "'below'"
