"""What imitation draws: imitators over their budgets, the line, and the levels of others."""

import math

import pytest
from drawing import legend, ticks, title
from helpers import table

from dsi_core.plots.imitation import plot_budgets

MEANS = table(
    "metric model budget mean low high",
    ("rouge_l", "base", 0.0, 0.05, 0.0, 0.1),
    ("rouge_l", "of 10", 10.0, 0.2, 0.1, 0.3),
    ("rouge_l", "of 100", 100.0, 0.3, 0.25, 0.4),
    ("rouge_l", "of 1000", 1000.0, 0.45, 0.4, 0.5),
    ("rouge_l", "target", math.nan, 0.6, 0.5, 0.7),
)


def fits(low):
    rows = [("rouge_l", 0.07, 0.125, low, 0.2)]
    return table("metric intercept slope low high", *rows)


def lines(ax):
    return {line.get_label(): line for line in ax.lines}


def test_imitators_have_intervals_and_others_are_levels():
    (ax,) = plot_budgets(MEANS, fits(-0.1), levels={"base": "--", "target": "-"}).axes
    (imitators,) = ax.containers
    assert imitators.lines[0].get_xdata().tolist() == [10, 100, 1000]
    assert imitators.lines[0].get_ydata().tolist() == [0.2, 0.3, 0.45]
    intervals = [segment[:, 1].tolist() for segment in imitators.lines[2][0].get_segments()]
    assert intervals == [pytest.approx(i) for i in ([0.1, 0.3], [0.25, 0.4], [0.4, 0.5])]
    drawn = lines(ax)
    assert {name: drawn[name].get_ydata()[0] for name in ("base", "target")} == {
        "base": 0.05,
        "target": 0.6,
    }
    assert (drawn["base"].get_linestyle(), drawn["target"].get_linestyle()) == ("--", "-")
    assert set(legend(ax)) == {"imitators", "log-linear fit", "base", "target"}
    assert ticks(ax.xaxis) == ["10", "100", "1000"]
    assert ax.get_ylabel() == "ROUGE-L with the target"
    assert "slope +0.125 per tenfold budget" in title(ax)


def test_the_line_is_the_fit_and_ends_where_the_slope_may_be_none():
    drawn = lines(plot_budgets(MEANS, fits(-0.1), levels={}).axes[0])
    assert list(drawn["log-linear fit"].get_xdata()) == [10, 1000]
    assert drawn["log-linear fit"].get_ydata() == pytest.approx([0.07 + 0.125, 0.07 + 3 * 0.125])
    assert "extrapolated" not in drawn


def test_a_slope_that_is_surely_above_zero_is_extrapolated():
    drawn = lines(plot_budgets(MEANS, fits(0.01), levels={}).axes[0])
    assert list(drawn["extrapolated"].get_xdata()) == [1000, 10000]
    assert drawn["extrapolated"].get_ydata() == pytest.approx([0.07 + 3 * 0.125, 0.07 + 4 * 0.125])
    assert drawn["extrapolated"].get_linestyle() == ":"
