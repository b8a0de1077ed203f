"""What calibration draws: statistics, p-values, power and accusations are those of the table."""

import math

import numpy as np
from drawing import legend, ticks, words
from helpers import table

from dsi_core.plots import calibration, style

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
    assert legend(private) == ["confirmation", "development"]
    dots = [container.lines[0].get_xydata().tolist() for container in wording.containers]
    assert np.allclose(dots, [[[0.8, 0.1], [0.3, 1.1]], [[0.9, -0.1], [0.4, 0.9]]])
    spans = [c.lines[2][0].get_segments()[0][:, 0] for c in wording.containers]
    assert np.allclose(spans, [(0.6, 1.0), (0.5, 1.3)])
    assert private.containers[1].lines[0].get_xdata().tolist() == [0.5]


NULL = table(
    "model kind level share",
    ("m", A, 0.5, 0.4),
    ("m", A, 1.0, 1.0),
    ("n", A, 0.5, 0.6),
    ("n", A, 1.0, 1.0),
    ("m", B, 0.5, 0.5),
    ("m", B, 1.0, 1.0),
)


def test_each_models_p_values_are_shown_as_their_distance_from_an_exact_test():
    models = table("model kind group", ("m", "innocent", "untuned"), ("n", "weak member", "x"))
    private, wording = calibration.plot_null(NULL, models, alpha=0.5).axes
    lines = [line.get_ydata() for line in private.lines[:2]]
    assert np.allclose(lines, [[-10, 0], [10, 0]])
    assert private.lines[-1].get_ydata()[0] == 0
    colors = [line.get_color() for line in private.lines[:2]]
    assert colors == [style.LOOKS[k].color for k in ("untuned", "member")]
    assert private.lines[0].get_color() == wording.lines[0].get_color()
    assert legend(wording) == ["member: trained on D", "untuned"]


P_VALUES = table(
    "twin who model p",
    (A, "weak member", "one", 0.01),
    (A, "weak member", "two", 0.001),
    (A, "innocent: written", "one", 0.4),
    (B, "innocent: written", "one", 0.7),
)


def test_p_values_are_in_the_row_and_look_of_their_kind_left_of_alpha_where_found():
    private, wording = calibration.plot_p_values(P_VALUES, alpha=0.05).axes
    written = "innocent: assistant or look-up, never saw D"
    assert ticks(private.yaxis) == ["weak member", written]
    assert private.lines[0].get_xdata().tolist() == [0.001, 0.01]
    assert [round(y) for y in private.lines[1].get_ydata()] == [1]
    looks = [(line.get_color(), line.get_marker()) for line in private.lines[:2]]
    assert looks == [(style.LOOKS[k].color, style.LOOKS[k].marker) for k in ("member", "assistant")]
    assert private.lines[-1].get_xdata()[0] == 0.05 and private.get_xscale() == "log"
    assert wording.lines[1].get_xdata().tolist() == [0.7]
    assert words(private) == ["0.05: found left of it"]
    assert calibration.as_drawn(P_VALUES)["who"].unique().tolist() == ["weak member", written]


def test_shifts_have_a_row_for_each_way_and_a_mark_for_each_model():
    rows = table(
        "twin shift model kind group p",
        (A, "usual", "w", "weak member", "x", 0.01),
        (A, "brief", "w", "weak member", "x", 0.02),
        (A, "usual", "u", "innocent", "untuned", 0.4),
    )
    (ax,) = calibration.plot_shifts(rows, alpha=0.05).axes
    assert ticks(ax.yaxis) == ["usual", "brief"]
    assert ax.lines[0].get_xdata().tolist() == [0.01, 0.02]
    assert np.allclose(ax.lines[0].get_ydata(), [-0.1, 0.9])
    assert legend(ax) == ["w", "u"]
    assert [line.get_color() for line in ax.lines[:2]] == [
        style.LOOKS[k].color for k in ("member", "untuned")
    ]


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
    assert effect.xaxis_inverted() and legend(found) == ["small (member)"]


def test_every_base_has_a_look_of_its_own():
    bases = [f"base {i}" for i in range(5)]
    models, averaged = (
        MODELS.merge(table("group", *((b,) for b in bases)), how="cross", suffixes=("_", ""))
        for _ in range(2)
    )
    figure = calibration.plot_strengths(models, averaged.assign(low=NAN, high=NAN))
    effect, found = figure.axes
    assert legend(found) == [f"{base} (member)" for base in bases]
    drawn = [line.get_marker() for line in effect.lines[::2]]
    looks = list(zip(drawn, [line.get_linestyle() for line in effect.lines[1::2]], strict=True))
    assert looks[:3] == [("o", "-"), ("s", "--"), ("^", ":")] and len(set(looks)) == 5


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
    assert words(ax) == ["alpha\n0.05"]
