"""What an audit draws: what the coins decided, looks, samples, known models."""

import math

import numpy as np
import pandas as pd
import pytest
from drawing import legend, points, ticks, title
from helpers import table
from matplotlib.collections import PathCollection
from matplotlib.colors import to_hex

from dsi_core.plots import audit, style

NAN = math.nan
POSITIVE, NEGATIVE, MEMBER, UNTUNED = (
    style.LOOKS[k].color.lower() for k in ("positive", "negative", "member", "untuned")
)

CONTRAST = table(
    "sample value published needed",
    (1, -0.2, True, 0.25),
    (2, 0.5, True, 0.25),
    (3, NAN, False, 0.25),
    (4, 0.3, False, 0.25),
)


def test_preferences_are_sorted_and_coloured_by_their_side():
    ax = audit.plot_preference(CONTRAST)
    above, below = (c for c in ax.collections if isinstance(c, PathCollection))
    assert (points(above), points(below)) == ([[1, 0.5], [2, 0.3]], [[3, -0.2]])
    assert [to_hex(c.get_facecolor()[0]) for c in (above, below)] == [POSITIVE, NEGATIVE]
    assert title(ax).startswith("2 of 3 samples lean to the published wording")
    lines = {line.get_label(): line.get_ydata()[0] for line in ax.lines}
    assert lines["mean"] == pytest.approx(0.2) and lines["needed"] == 0.25


def test_where_no_mean_would_do_no_line_says_what_is_needed():
    ax = audit.plot_preference(CONTRAST.assign(needed=NAN))
    assert legend(ax) == ["mean"]


def test_published_stands_above_withheld_with_their_means():
    ax = audit.plot_closeness(CONTRAST)
    published, withheld = ax.collections
    assert [x for x, _ in points(published)] == [-0.2, 0.5]
    assert [x for x, _ in points(withheld)] == [0.3]
    assert all(y > 0.5 for _, y in points(published)) and points(withheld)[0][1] < 0.5
    assert ticks(ax.yaxis) == ["published", "withheld"]
    means = [line.get_xdata()[0] for line in ax.lines]
    assert means == pytest.approx([0.15, 0.3, 0.3 + 0.25])  # the last: needed above withheld


LOOKS = table(
    "after statistic p spent crossed needed",
    (4, 0.1, 0.2, 0.01, False, NAN),
    (8, 0.3, 0.01, 0.02, True, 0.2),
)


def test_looks_show_what_was_measured_and_what_was_needed():
    ax = audit.plot_looks(LOOKS)
    assert legend(ax) == ["needed", "measured", "found"]
    assert [points(dots) for dots in ax.collections] == [[[4, 0.1]], [[8, 0.3]]]
    assert title(ax) == "Found after 8 samples"
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), [NAN, 0.2])


STRATA = table(
    "model kind base member lean",
    ("M", "the suspect", None, None, 1.5),
    ("a", "members", "llama", True, 2.0),
    ("b", "untuned", "llama", False, -np.inf),
    ("c", "untuned", "llama", False, 0.5),
    ("d", "untuned", "qwen2", False, 0.1),
)


def test_known_models_stand_in_rows_and_the_suspect_is_a_line():
    ax = audit.plot_strata(STRATA)
    rows = ["untuned (llama): 2", "untuned (qwen2): 1", "members (llama): 1, trained on it"]
    assert ticks(ax.yaxis) == rows
    leans = [[x for x, _ in points(dots)] for dots in ax.collections]
    assert leans[1:] == [[0.1], [2.0]] and leans[0][-1] == 0.5  # b has too few samples for a lean
    assert [to_hex(d.get_facecolor()[0]) for d in ax.collections] == [UNTUNED, UNTUNED, MEMBER]
    assert [line.get_xdata()[0] for line in ax.lines] == [1.5]


SAMPLES = table(
    "evidence status threshold",
    (0.5, "positive", 0.3),
    (0.1, "negative", 0.3),
    (NAN, "filtered", 0.3),
    (-0.2, "negative", 0.3),
    (0.7, "positive", 0.3),
)


def test_samples_are_sorted_and_coloured_by_what_they_count_for():
    ax = audit.plot_samples(SAMPLES)
    above, below = ax.collections
    assert (points(above), points(below)) == ([[1, 0.7], [2, 0.5]], [[3, 0.1], [4, -0.2]])
    assert [to_hex(c.get_facecolor()[0]) for c in (above, below)] == [POSITIVE, NEGATIVE]
    assert title(ax) == "2 positive, 2 negative, 1 without a usable answer"
    assert [line.get_ydata()[0] for line in ax.lines] == [0.3, 0]


def test_samples_without_any_usable_answer():
    ax = audit.plot_samples(SAMPLES[2:3])
    assert not points(ax.collections[0])
    assert title(ax).endswith("1 without a usable answer")


CURVE = pd.DataFrame(
    {
        "queries": [3, 6, 9],
        "positive": [1, 1, 2],
        "negative": [0, 1, 1],
        "p": [0.5, 0.25, 0.04],
        "alpha": 0.05,
    }
)


def test_the_curve_has_the_vote_and_the_rank():
    vote, rank = audit.plot_curve(CURVE).axes
    assert [list(line.get_ydata()) for line in vote.lines] == [[1, 1, 2], [0, 1, 1]]
    assert [to_hex(line.get_color()) for line in vote.lines] == [POSITIVE, NEGATIVE]
    assert list(rank.lines[0].get_ydata()) == [0.5, 0.25, 0.04]
    assert rank.lines[1].get_ydata()[0] == 0.05
    assert ticks(rank.yaxis) == ["1", "0.5", "0.2", "0.1", "0.05", "0.02"]


def test_the_curve_of_an_audit_with_the_vote_alone():
    (ax,) = audit.plot_curve(CURVE.assign(p=NAN)).axes
    assert legend(ax) == ["positive", "negative"]


def test_an_audit_that_asked_nothing_has_no_pictures():
    assert audit.pictures({"preference": CONTRAST[:0], "looks": LOOKS[:0]}) == {}
    assert audit.pictures({"looks": LOOKS})["looks"].startswith(b"\x89PNG")


KNOWN = table(
    "model kind member lean",
    ("M", "the suspect", None, 1.5),
    ("a", "members", True, 2.0),
    ("b", "untuned", False, -np.inf),
    ("c", "untuned", False, 0.5),
)


def test_known_models_are_sorted_within_their_kind_and_the_suspect_stands_out():
    ax = audit.plot_known_models(KNOWN)
    assert ticks(ax.yaxis) == ["a", "c", "b", "M"]  # b has too few samples for a lean
    member, untuned, suspect = ax.collections
    assert points(member) == [[2.0, 0]]
    assert points(untuned)[0] == [0.5, 1]
    assert points(suspect) == [[1.5, 3]]
    colors = [to_hex(dots.get_facecolor()[0]) for dots in ax.collections]
    assert colors == [MEMBER, UNTUNED, "#000000"]
    weights = [label.get_fontweight() for label in ax.get_yticklabels()]
    assert weights == ["normal", "normal", "normal", "bold"]
    assert legend(ax) == ["member: trained on D", "untuned", "the suspect"]
    assert ax.lines[0].get_xdata()[0] == 0.5  # the non-member that leans furthest
    assert title(ax) == "Beyond every non-member: the one member"
