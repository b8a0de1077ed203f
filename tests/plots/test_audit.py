"""What an audit draws: samples, growth, known models and power are those of the table."""

import math

import numpy as np
import pandas as pd
import pytest
from drawing import legend, points, ticks, title
from helpers import table
from matplotlib.colors import to_hex

from dsi_core.plots import audit

NAN = math.nan
ORANGE, BLUE = "#d55e00", "#0072b2"

SAMPLES = table(
    "part evidence status",
    ("published", 0.5, "positive"),
    ("withheld", 0.1, "negative"),
    ("published", NAN, "filtered"),
    ("published", -0.2, "negative"),
    ("withheld", 0.7, "positive"),
)


def test_samples_are_sorted_and_coloured_by_what_they_count_for():
    ax = audit.plot_samples(SAMPLES, delta_s=0.3)
    published, withheld = ax.collections
    assert points(published) == [[2, 0.5], [4, -0.2]]
    assert points(withheld) == [[1, 0.7], [3, 0.1]]
    assert [to_hex(c) for c in published.get_facecolor()] == [ORANGE, BLUE]
    assert legend(ax) == ["published", "withheld"]
    said = "2 positive (above delta_s = 0.3), 2 negative, 1 without a usable answer"
    assert title(ax) == said
    assert [line.get_ydata()[0] for line in ax.lines] == [0.3, 0]


def test_samples_of_one_part_need_no_legend():
    ax = audit.plot_samples(SAMPLES[SAMPLES["part"] == "published"], delta_s=0.3)
    assert len(ax.collections) == 1
    assert ax.get_legend() is None


def test_samples_without_any_usable_answer():
    ax = audit.plot_samples(SAMPLES[2:3], delta_s=0.3)
    assert not ax.collections
    assert title(ax).endswith("1 without a usable answer")


CURVE = pd.DataFrame(
    {
        "queries": [3, 6, 9],
        "positive": [1, 1, 2],
        "negative": [0, 1, 1],
        "p_controls": [0.5, 0.25, 0.04],
        "wealth": [1.0, 4.0, 50.0],
    }
)


@pytest.mark.parametrize("stop, wealth", [(True, 40), (False, 20)])
def test_the_curve_has_the_vote_and_both_tests(stop, wealth):
    vote, controls, twin = audit.plot_curve(CURVE, alpha=0.05, stop=stop).axes
    assert [list(line.get_ydata()) for line in vote.lines] == [[1, 1, 2], [0, 1, 1]]
    assert [to_hex(line.get_color()) for line in vote.lines] == [ORANGE, BLUE]
    assert list(controls.lines[0].get_ydata()) == [0.5, 0.25, 0.04]
    assert list(twin.lines[0].get_xdata()) == [3, 6, 9]
    assert controls.lines[1].get_ydata()[0] == 0.05
    assert twin.lines[1].get_ydata()[0] == pytest.approx(wealth)  # 2 / alpha where it may stop
    assert [ax.get_ylabel() for ax in (vote, controls, twin)] == ["samples", "p-value", "wealth"]
    assert controls.get_yscale() == twin.get_yscale() == "log"


def test_the_curve_of_an_audit_with_the_vote_alone():
    (ax,) = audit.plot_curve(CURVE.assign(p_controls=NAN, wealth=NAN), alpha=0.05).axes
    assert legend(ax) == ["positive", "negative"]


def test_the_curve_with_a_twin_and_no_controls():
    _, twin = audit.plot_curve(CURVE.assign(p_controls=NAN), alpha=0.05).axes
    assert twin.get_ylabel() == "wealth"


KNOWN = table(
    "model kind member lean",
    ("M", "the suspect", None, 1.5),
    ("a", "members", True, 2.0),
    ("b", "untuned", False, -np.inf),
    ("c", "untuned", False, 0.5),
)


def test_known_models_are_sorted_and_the_suspect_stands_out():
    ax = audit.plot_known_models(KNOWN)
    assert ticks(ax.yaxis) == ["c", "M", "a", "b"]  # b has too few samples for a lean
    dots = dict(zip(legend(ax), ax.collections, strict=True))
    assert points(dots["the suspect"]) == [[1.5, 1]]
    assert points(dots["members"]) == [[2.0, 2]]
    assert points(dots["untuned"])[0] == [0.5, 0]
    assert to_hex(dots["the suspect"].get_facecolor()[0]) == "#000000"
    assert len({to_hex(c.get_facecolor()[0]) for c in ax.collections}) == 3
    weights = [label.get_fontweight() for label in ax.get_yticklabels()]
    assert weights == ["normal", "bold", "normal", "normal"]


POWER = table(
    "test learnt found low high samples samples_all alpha",
    ("control models", 0.0, 0.04, 0.02, 0.08, 48, 48, 0.05),
    ("control models", 0.5, 0.9, 0.8, 0.95, 12, 48, 0.05),
    ("private twin", 0.0, 0.01, 0.0, 0.04, 96, 96, 0.05),
    ("private twin", 0.5, 1.0, 0.98, 1.0, 24, 96, 0.05),
)


def test_power_has_a_line_for_each_test():
    left, right = audit.plot_power(POWER).axes
    shares = [container.lines[0].get_ydata().tolist() for container in left.containers]
    assert shares == [[0.04, 0.9], [0.01, 1.0]]
    intervals = [c.lines[2][0].get_segments()[1][:, 1] for c in left.containers]
    assert np.allclose(intervals, [(0.8, 0.95), (0.98, 1.0)])
    assert [line.get_ydata().tolist() for line in right.lines] == [[1.0, 0.25], [1.0, 0.25]]
    assert legend(left) == ["control models", "private twin"]
    assert left.lines[-1].get_ydata()[0] == 0.05
    pairs = zip(left.containers, right.lines, strict=True)
    assert all(c.lines[0].get_color() == line.get_color() for c, line in pairs)


def test_a_test_keeps_its_colour_where_it_is_alone():
    def color(rows):
        lines = dict(zip(rows["test"].unique(), audit.plot_power(rows).axes[1].lines, strict=True))
        return to_hex(lines["private twin"].get_color())

    assert color(POWER) == color(POWER[2:])
