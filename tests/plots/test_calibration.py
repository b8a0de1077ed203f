"""What calibration draws: statistics, p-values, power and accusations are those of the table."""

import math

import numpy as np
from drawing import legend, ticks
from helpers import table

from dsi_core.plots import calibration

NAN = math.nan
A, B = "private twin", "wording twin"

STATISTICS = table(
    "draws measure combine twin effect low high",
    ("development", "rouge_l", "mean", B, 0.9, 0.5, 1.3),
    ("development", "containment", "max", B, 0.4, 0.1, 0.7),
    ("confirmation", "rouge_l", "mean", B, 0.8, 0.6, 1.0),
    ("confirmation", "containment", "max", B, 0.3, NAN, NAN),
    ("development", "rouge_l", "mean", A, 0.5, 0.2, 0.8),
)


def test_statistics_have_a_row_each_and_a_colour_for_each_use():
    wording, private = calibration.plot_statistics(STATISTICS).axes
    assert ticks(wording.yaxis) == ["rouge_l, mean", "containment, max"]
    assert legend(wording) == ["development", "confirmation"]
    dots = [container.lines[0].get_xydata().tolist() for container in wording.containers]
    assert np.allclose(dots, [[[0.9, -0.1], [0.4, 0.9]], [[0.8, 0.1], [0.3, 1.1]]])
    spans = [c.lines[2][0].get_segments()[0][:, 0] for c in wording.containers]
    assert np.allclose(spans, [(0.5, 1.3), (0.6, 1.0)])
    assert private.containers[0].lines[0].get_xdata().tolist() == [0.5]


NULL = table(
    "model kind level share",
    ("m", A, 0.5, 0.4),
    ("m", A, 1.0, 1.0),
    ("n", A, 0.5, 0.6),
    ("n", A, 1.0, 1.0),
    ("m", B, 0.5, 0.5),
    ("m", B, 1.0, 1.0),
)


def test_each_models_p_values_are_beside_the_diagonal():
    figure = calibration.plot_null(NULL)
    private, wording = figure.axes
    assert [line.get_ydata().tolist() for line in private.lines] == [[0.4, 1], [0.6, 1], [0, 1]]
    assert private.lines[-1].get_xdata().tolist() == [0, 1]
    assert private.lines[0].get_color() == wording.lines[0].get_color()
    assert legend(figure) == ["m", "n"]


P_VALUES = table(
    "twin who model p",
    (A, "weak", "one", 0.01),
    (A, "weak", "two", 0.001),
    (A, "innocent", "one", 0.4),
    (B, "innocent", "one", 0.7),
)


def test_p_values_are_in_the_row_of_their_kind_left_of_alpha_where_found():
    figure = calibration.plot_p_values(P_VALUES, alpha=0.05, rows="who", colors="who")
    private, wording = figure.axes
    assert ticks(private.yaxis) == ["weak", "innocent"]
    assert private.lines[0].get_xdata().tolist() == [0.01, 0.001]
    assert [round(y) for y in private.lines[1].get_ydata()] == [1]
    assert private.lines[-1].get_xdata()[0] == 0.05 and private.get_xscale() == "log"
    assert wording.lines[0].get_xdata().tolist() == [0.7]
    assert not figure.legends  # the rows say it


def test_rows_of_one_thing_and_colours_of_another_have_a_legend():
    figure = calibration.plot_p_values(P_VALUES, alpha=0.05, rows="who", colors="model")
    assert legend(figure) == ["one", "two"]
    private, wording = figure.axes
    assert private.lines[0].get_color() == wording.lines[0].get_color()


MODELS = table(
    "twin group final_loss effect found",
    (A, "small", 2.0, 0.1, 0.0),
    (A, "small", 1.0, 0.5, 0.9),
    (A, "small", 0.8, 0.7, 1.0),
)
AVERAGED = table(
    "twin group final_loss effect low high found",
    (A, "small", 2.0, 0.1, NAN, NAN, 0.0),
    (A, "small", 0.9, 0.6, 0.4, 0.8, 0.95),
)


def test_strengths_have_dots_of_models_and_a_line_of_means():
    effect, found = calibration.plot_strengths(MODELS, AVERAGED).axes
    dots, line = effect.lines
    assert dots.get_xydata().tolist() == [[0.8, 0.7], [1.0, 0.5], [2.0, 0.1]]
    assert line.get_xydata().tolist() == [[0.9, 0.6], [2.0, 0.1]]
    assert found.lines[1].get_ydata().tolist() == [0.95, 0.0]
    assert effect.xaxis_inverted() and legend(effect) == ["small"]


def test_exposures_are_in_their_order_with_intervals_where_there_are_several_draws():
    rows = table(
        "twin exposure effect low high found",
        (A, "100% of D", 1.0, 0.8, 1.2, 1.0),
        (A, "10% of D", 0.1, NAN, NAN, 0.2),
        (B, "100% of D", 2.0, 1.9, 2.1, 1.0),
    )
    left, right = calibration.plot_exposures(rows).axes
    assert ticks(left.xaxis) == ["100% of D", "10% of D"]
    one, other = left.containers
    assert one.lines[0].get_ydata().tolist() == [1.0, 0.1]
    assert np.allclose(one.lines[2][0].get_segments()[1][:, 1], (0.1, 0.1))
    assert np.allclose(other.lines[2][0].get_segments()[0][:, 1], (1.9, 2.1))
    assert [line.get_ydata().tolist() for line in right.lines] == [[1.0, 0.2], [1.0]]


def test_the_accuser_has_two_lines_and_alpha():
    rows = table("kind tries accused shared", (B, 1, 0.05, 0.05), (B, 20, 0.6, 0.04))
    (ax,) = calibration.plot_accuser(rows, alpha=0.05).axes
    assert [line.get_ydata().tolist() for line in ax.lines[:2]] == [[0.05, 0.6], [0.05, 0.04]]
    assert ax.lines[2].get_ydata()[0] == 0.05
    assert legend(ax) == ["reports the best", "shares alpha"]


BESIDE = table(
    "model kind method accused",
    ("a", "member", B, True),
    ("b", "innocent", B, False),
    ("c", "member", B, True),
    ("a", "member", "DIA", True),
    ("b", "innocent", "DIA", True),
)


def test_methods_accuse_in_columns_models_of_a_kind_stand_together():
    ax = calibration.plot_beside(BESIDE)
    assert ticks(ax.yaxis) == ["a (member)", "c (member)", "b (innocent)"]
    assert ticks(ax.xaxis) == [B, "DIA"]
    grid = np.asarray(ax.images[0].get_array().filled(np.nan))
    assert np.array_equal(grid, [[1, 1], [1, NAN], [0, 1]], equal_nan=True)
    assert [line.get_ydata()[0] for line in ax.lines] == [1.5]  # between the kinds
