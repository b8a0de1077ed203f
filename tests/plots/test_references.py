"""The vote with more references: rows, bars and words are those of the table."""

import math

import numpy as np
import pandas as pd
from drawing import (
    color,
    draws_four_datasets,
    draws_on_the_axes_given,
    legend,
    levels,
    ticks,
    title,
    words,
)
from helpers import table

from dsi_core.plots import references, style

NAN = math.nan
POSITIVE, NEGATIVE, MEMBER, OTHER = (
    style.LOOKS[k].color.lower() for k in ("positive", "negative", "member", "other data")
)

# Fig. 9 and 10

DETECTED = table(
    "references group correct total low high",
    ("one", "(1)", 1, 2, 9.5, 90.5),
    ("one", "(2)", 0, 3, 0.0, 56.1),
    ("both", "(1)", 2, 2, 34.2, 100.0),
    ("both", "(2)", 3, 3, 43.9, 100.0),
)


def squares(ax):
    """(share, row, filled?) of every square."""
    marks = [line for line in ax.lines if line.get_marker() == "s"]
    return [
        (line.get_xdata()[0], round(line.get_ydata()[0], 2), line.get_markerfacecolor() != "white")
        for line in marks
    ]


def test_detection_has_a_row_for_each_set_and_a_square_for_each_group():
    ax = references.plot_detection(DETECTED)
    assert squares(ax) == [
        (50, -0.14, True),
        (0, 0.14, False),
        (100, 0.86, True),
        (100, 1.14, False),
    ]
    assert words(ax) == ["1 of 2", "0 of 3", "2 of 2", "3 of 3"]
    spans = [line.get_xdata() for line in ax.lines if line.get_marker() == "None"]
    assert np.allclose(spans, [(9.5, 90.5), (0, 56.1), (34.2, 100), (43.9, 100)])
    assert ticks(ax.yaxis) == ["one", "both"]
    assert legend(ax) == ["(1)", "(2)"]
    assert title(ax) == ("One clears 1 of 5 models that trained on data like D; both clears all")


def test_detection_of_a_group_that_one_set_lacks():
    ax = references.plot_detection(DETECTED.drop(index=0))
    assert words(ax) == ["0 of 3", "2 of 2", "3 of 3"]
    assert legend(ax) == ["(2)", "(1)"]


SETS = table(
    "references suspect positive negative",
    ("one", "full", 30, 5),
    ("one", "chat", 2, 33),
    ("both", "full", 12, 1),
    ("both", "chat", 0, 13),
).assign(dataset="faq")


def test_votes_by_references_have_a_panel_for_each_set_and_a_line_at_half():
    figure = references.plot_votes_by_references(SETS)
    one, both = figure.axes
    assert [title(ax) for ax in figure.axes] == ["one", "both"]
    assert levels(one, "width") == [30, 2, 5, 33]
    assert levels(both, "x") == [0, 0, 12, 0]
    looks = [(color(p), p.get_hatch()) for p in one.patches]
    assert looks == [(POSITIVE, "")] * 2 + [(NEGATIVE, "///")] * 2
    assert words(one) == ["30 of 35 ✗", "2 of 35"]
    assert [line.get_xdata()[0] for line in both.lines] == [6.5, 6.5]
    assert ticks(one.yaxis) == ["full", "chat"]
    assert one.get_xlim() == both.get_xlim()
    assert legend(both) == ["positive", "negative", "half: beyond it accused"]
    assert figure.get_suptitle().replace("\n", " ").endswith("arises only with one and both")


def test_a_tie_is_accused_by_the_released_rule_alone():
    tied = SETS[:1].assign(positive=5)
    for rule, said in (("text", "5 of 10"), ("released", "5 of 10 ✗")):
        (ax,) = references.plot_votes_by_references(tied, rule=rule).axes
        assert words(ax) == [said]
    assert legend(ax)[-1] == "half: from it on accused"


def test_votes_of_one_suspect_by_one_set():
    (ax,) = references.plot_votes_by_references(SETS[3:]).axes
    assert levels(ax, "width") == [0, 13]


def test_votes_by_references_of_two_datasets_are_rows():
    two = pd.concat([SETS, SETS.assign(dataset="chess")])
    axes = references.plot_votes_by_references(two).axes
    assert [title(ax) for ax in axes] == ["faq: one", "faq: both", "chess: one", "chess: both"]


def test_the_axes_given_are_drawn_on():
    draws_on_the_axes_given(lambda ax: references.plot_detection(DETECTED, ax=ax))


def test_the_paper_has_four_datasets():
    draws_four_datasets(references.plot_detection, DETECTED)
