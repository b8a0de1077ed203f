"""What the grey box draws: a row for each suspect, a panel for each attack or set of features."""

import pandas as pd
import pytest
from drawing import legend, ticks, title, words
from helpers import table
from matplotlib.colors import to_hex

from dsi_core.plots import grey_box, style

MEMBER, OTHER, GREY = (style.LOOKS[k].color.lower() for k in ("member", "other data", "filtered"))
SUSPECTS = table("suspect member", ("m", True), ("n", False))
AUROC = SUSPECTS.merge(
    table("attack auc low high", ("loss", 0.9, 0.8, 1.0), ("Min-K%", 0.5, 0.3, 0.7)), how="cross"
)


def test_auroc_has_a_panel_for_each_attack_and_a_row_for_each_suspect():
    loss, min_k = (figure := grey_box.plot_auroc(AUROC)).axes
    assert [title(ax) for ax in (loss, min_k)] == ["loss", "Min-K%"]
    interval, dot, other, _, toss = loss.lines
    assert (list(interval.get_xdata()), list(interval.get_ydata())) == ([0.8, 1.0], [0, 0])
    assert (list(dot.get_xdata()), list(other.get_ydata())) == ([0.9], [1, 1])
    assert (to_hex(dot.get_color()), to_hex(other.get_color())) == (MEMBER, OTHER)
    assert toss.get_xdata()[0] == 0.5
    assert ticks(loss.yaxis) == ["m", "n"]
    assert loss.yaxis_inverted()
    assert legend(min_k) == ["member: trained on D", "tuned on other data"]
    assert figure.get_suptitle().startswith("None of 2 attacks rank every member")


def test_auroc_wraps_panels_and_leaves_the_rest_empty():
    three = AUROC.merge(table("again", (1,), (2,)), how="cross")
    three["attack"] += three["again"].astype(str)
    figure = grey_box.plot_auroc(three[three["attack"] != "Min-K%2"], columns=2)
    assert len(figure.axes) == 4
    assert [ax.axison for ax in figure.axes] == [True, True, True, False]


def test_auroc_with_one_panel_left_has_its_legend_beside():
    """A legend that is wider than the free panel was cut; conftest looks at its words."""
    nine = AUROC.merge(table("again", *((i,) for i in range(9))), how="cross")
    nine["attack"] += nine["again"].astype(str)
    figure = grey_box.plot_auroc(nine.query("attack.str.startswith('loss')"))
    assert legend(figure.axes[4]) == ["member: trained on D", "tuned on other data"]


SPLITS = SUSPECTS.merge(
    table("features p p_control", ("few", 0.01, 0.5), ("few", 0.04, 0.3), ("released", 0.3, 0.6)),
    how="cross",
)


def test_p_values_stand_above_those_of_their_control():
    few, released = grey_box.plot_p_values(SPLITS, alpha=0.1).axes
    assert [title(ax) for ax in (few, released)] == ["features: few", "features: released"]
    dots, median, control, control_median = few.lines[:4]
    assert list(dots.get_xdata()) == [0.01, 0.04]
    assert dots.get_ydata() == pytest.approx([-0.17, -0.17])
    assert list(median.get_xdata()) == [pytest.approx(0.025)]
    assert list(control.get_xdata()) == [0.5, 0.3]
    assert list(control_median.get_xdata()) == [pytest.approx(0.4)]
    assert [to_hex(line.get_color()) for line in (dots, control)] == [MEMBER, GREY]
    assert to_hex(few.lines[4].get_color()) == OTHER  # the next suspect, no member
    assert few.lines[-1].get_xdata()[0] == 0.05  # twice the median is held against 0.1
    assert words(few) == ["median 0.05"]
    assert len(few.lines) == 2 * 4 + 1
    assert few.get_xscale() == "log"


def test_shares_stand_against_the_true_ones():
    shares = table(
        "attack suspect true share low high",
        ("loss", "m", 0.5, 0.4, 0.3, 0.6),
        ("loss", "n", 0.5, 0.5, 0.2, 0.7),
        ("WBC", "m", 1.0, 0.9, 0.8, 1.0),
    )
    loss, wbc = (figure := grey_box.plot_shares(shares, "attack")).axes
    assert [title(ax) for ax in (loss, wbc)] == ["loss", "WBC"]
    right, interval, dot, _, other = loss.lines
    assert (list(right.get_xdata()), list(right.get_ydata())) == ([0, 1], [0, 1])
    assert list(interval.get_ydata()) == [0.3, 0.6]
    assert (dot.get_xdata()[0], dot.get_ydata()[0]) == (pytest.approx(0.491), 0.4)
    assert other.get_xdata()[0] == pytest.approx(0.509)
    assert len(wbc.lines) == 3
    assert legend(wbc) == ["m (member)", "n (member)"]
    assert dot.get_marker() != other.get_marker()
    assert figure.get_suptitle() == "The true share lies in all 3 intervals"


BESIDE = table(
    "suspect member method verdict correct",
    ("m", True, "vote", "member", True),
    ("m", True, "Min-K%", "non-member", False),
    ("n", False, "vote", "inconclusive", False),
    ("n", False, "Min-K%", "non-member", True),
)


def test_verdicts_are_cells_and_the_wrong_ones_crossed():
    ax = grey_box.plot_beside(BESIDE)
    cells = [(round(p.get_x() + 0.46), round(p.get_y() + 0.46)) for p in ax.patches]
    assert cells == [(0, 0), (1, 0), (0, 1), (1, 1)]
    assert [to_hex(p.get_facecolor()) for p in ax.patches] == [MEMBER, OTHER, GREY, OTHER]
    assert [p.get_alpha() for p in ax.patches] == [0.3, 1, 1, 0.3]
    assert words(ax) == ["M", "n ✗", "? ✗", "n"]  # read without colours
    assert "?: inconclusive" in ax.get_xlabel()
    assert title(ax) == "No method judges both suspects rightly; vote: 1"
    assert ticks(ax.xaxis) == ["vote", "Min-K%"]
    assert ticks(ax.yaxis) == ["m (member)", "n (non-member)"]


def of_two(rows):
    """The same rows of dataset a and of b."""
    return pd.concat([rows.assign(dataset=name) for name in "ab"], ignore_index=True)


def test_a_suspect_of_two_datasets_has_two_rows():
    auroc = grey_box.plot_auroc(of_two(AUROC[:1])).axes[0]
    beside = grey_box.plot_beside(of_two(BESIDE[:1]))
    assert ticks(auroc.yaxis) == ["a: m", "b: m"]
    assert ticks(beside.yaxis) == ["a: m (member)", "b: m (member)"]
    shares = table("attack suspect true share low high", ("loss", "m", 0.5, 0.4, 0.3, 0.6))
    assert legend(grey_box.plot_shares(of_two(shares), "attack").axes[0]) == [
        "a: m (member)",
        "b: m (member)",
    ]


def test_a_median_p_is_of_one_dataset():
    splits = of_two(SPLITS[:1]).assign(p=[1e-9, 0.6])
    figure = grey_box.plot_p_values(splits, alpha=0.1)
    medians = [line.get_xdata()[0] for line in figure.axes[0].lines if line.get_marker() == "d"]
    assert medians == [1e-9, 0.5, 0.6, 0.5]
    assert figure.get_suptitle() == "DIA with few features finds 1 of 2 members"
