"""The vote under evasions: marks, bars and words are those of the table."""

import math

import numpy as np
import pandas as pd
import pytest
from drawing import (
    color,
    draws_four_datasets,
    draws_on_the_axes_given,
    legend,
    ticks,
    title,
    words,
)
from helpers import table
from matplotlib.colors import to_hex

from dsi_core.plots import evasions, style

NAN = math.nan
POSITIVE, NEGATIVE, MEMBER, OTHER = (
    style.LOOKS[k].color.lower() for k in ("positive", "negative", "member", "other data")
)

# Fig. 11 and 12

EVADED = table(
    "setting suspect share low high correct",
    ("none", "full", 1.0, 0.7, 1.0, True),
    ("none", "lora", 0.75, 0.5, 0.9, True),
    ("llama", "full", 0.25, 0.1, 0.5, False),
    ("llama", "lora", NAN, NAN, NAN, False),
)


def points(ax):
    """The dots (x, y) of each suspect."""
    return [c.lines[0].get_xydata().tolist() for c in ax.containers]


def test_evasion_has_a_point_per_member_and_setting():
    ax = evasions.plot_evasion(EVADED, how="Rephrasing", xlabel="who")
    full, lora = points(ax)
    assert full == [[-0.06, 1.0], [0.94, 0.25]]
    assert lora[0] == [0.06, 0.75]
    assert np.isnan(lora[1][1])
    intervals = ax.containers[0].lines[2][0].get_segments()
    assert [s[:, 1].tolist() for s in intervals] == [[0.7, 1.0], [0.1, 0.5]]
    assert words(ax) == ["2 of 2 caught", "0 of 2 caught", "above half:\nmember"]
    assert [c.lines[0].get_marker() for c in ax.containers] == ["o", "s"]
    assert {to_hex(c.lines[0].get_color()) for c in ax.containers} == {MEMBER}
    assert ticks(ax.xaxis) == ["none", "llama"]
    assert legend(ax) == ["full", "lora"]
    assert title(ax) == "Rephrasing hides both members that are found without it (llama)"
    assert ax.get_xlabel() == "who"
    assert ax.lines[-1].get_ydata()[0] == 0.5


def test_an_evasion_may_not_begin_with_the_setting_that_is_none():
    turned = EVADED.iloc[::-1]
    said = title(evasions.plot_evasion(turned, how="Rephrasing", without="none"))
    assert said == "Rephrasing hides both members that are found without it (llama)"


def test_evasion_of_one_member_without_a_share():
    ax = evasions.plot_evasion(EVADED[3:], how="Rephrasing")
    assert words(ax)[0] == "0 of 1 caught"
    assert np.isnan(points(ax)[0][0][1])


def test_an_end_rounded_past_its_share_draws_no_negative_bar():
    """Shares have four digits and ends three; matplotlib refuses a bar from 0.0004 to 0.001."""
    some = table("setting suspect share low high correct", ("a", "m", 0.0004, 0.001, 0.02, False))
    assert points(evasions.plot_evasion(some, how="Anything")) == [[[0, 0.0004]]]


def test_shares_of_d_say_where_the_vote_breaks():
    halves = EVADED.assign(setting=["100%", "100%", "50%", "50%"])
    assert title(evasions.plot_evasion(halves)).startswith("Below 100% of D the vote breaks")


def test_twenty_members_stay_within_their_setting():
    """The paper has ten local members and ten wild ones."""
    names = [(f"m{i}", setting) for setting in ("a", "b") for i in range(20)]
    many = pd.concat([EVADED[:1].assign(suspect=name, setting=s) for name, s in names])
    dots = points(evasions.plot_evasion(many, how="Anything"))
    assert len(dots) == 20
    assert all(abs(x - i) < 0.5 for of_member in dots for i, (x, _) in enumerate(of_member))


OVERLAP = table(
    "suspect status removed samples",
    ("full", "positive", True, 12),
    ("full", "positive", False, 9),
    ("full", "negative", False, 3),
    ("lora", "positive", True, 5),
    ("lora", "negative", True, 2),
)


def test_overlap_puts_the_kept_behind_the_removed():
    ax = evasions.plot_overlap(OVERLAP)
    bars = [(color(p), p.get_hatch() == "xxx", p.get_x(), p.get_width()) for p in ax.patches]
    assert bars == [
        (POSITIVE, True, 0, 12),
        (POSITIVE, True, 0, 5),
        (POSITIVE, False, 12, 9),
        (POSITIVE, False, 5, 0),
        (NEGATIVE, True, 0, 0),
        (NEGATIVE, True, 0, 2),
        (NEGATIVE, False, 0, 3),
        (NEGATIVE, False, 2, 0),
    ]
    assert ticks(ax.yaxis) == ["full", "lora"]
    assert ax.yaxis_inverted()
    removed, kept = "removed by the adversary", "kept"
    named = [f"{s}, {r}" for s in ("positive", "negative") for r in (removed, kept)]
    assert legend(ax) == named


def test_overlap_where_only_the_negative_are_kept():
    widths = [p.get_width() for p in evasions.plot_overlap(OVERLAP[2:3]).patches]
    assert widths == [0, 0, 0, 3]


@pytest.mark.parametrize(
    "plot",
    [
        lambda ax: evasions.plot_evasion(EVADED, how="Anything", ax=ax),
        lambda ax: evasions.plot_overlap(OVERLAP, ax=ax),
    ],
)
def test_the_axes_given_are_drawn_on(plot):
    draws_on_the_axes_given(plot)


@pytest.mark.parametrize(
    "plot, some, options",
    [
        (evasions.plot_overlap, OVERLAP, {}),
        (evasions.plot_evasion, EVADED, {"how": "Anything"}),
    ],
)
def test_the_paper_has_four_datasets(plot, some, options):
    draws_four_datasets(plot, some, **options)
