"""Imitators' scores, curves and lines by hand."""

import numpy as np
import pytest
from helpers import table

from dsi_core.imitation import scores
from dsi_core.imitation.scores import LogLinear, log_linear
from dsi_core.paper import tables


def test_a_line_by_hand():
    """0, 2, 1 at 1, 10, 100: slope 1/2, residuals -1/2, 1, -1/2, standard error sqrt(1.5 / 2).

    t at 0.975 with one degree of freedom is 12.706.
    """
    half = 12.706205 * np.sqrt(1.5 / 2)
    assert log_linear([1, 10, 100], [0, 2, 1]) == LogLinear(
        points=3,
        intercept=pytest.approx(0.5),
        slope=pytest.approx(0.5),
        low=pytest.approx(0.5 - half, rel=1e-6),
        high=pytest.approx(0.5 + half, rel=1e-6),
        r2=pytest.approx(0.25),
    )


def test_a_line_without_an_error():
    exact = log_linear([1000, 10, 100], [0.3, 0.1, 0.2])
    assert (exact.slope, exact.low) == (pytest.approx(0.1), pytest.approx(0.1))
    assert exact.budget_for(0.5) == pytest.approx(1e5)
    assert log_linear([1, 10, 100], [3, 2, 1]).budget_for(5) == np.inf


@pytest.mark.parametrize("budgets", [[1, 10], [10, 10, 100], [0, 10, 100]])
def test_a_line_needs_three_budgets(budgets):
    with pytest.raises(ValueError, match="three different"):
        log_linear(budgets, budgets)


def test_the_sources_rounded_ratings_do_not_give_its_parity():
    """By hand: dollars 20, 100, 200, 500 and ratings 3.4 to 3.7 give a slope of 0.215.

    That is parity with 4.0 at 10^4.17, not at the $2500 that the source states.
    """
    rows = tables.reported("imitation_ratings").query("model == 'imitator'")
    fit = log_linear(rows["dollars"], rows["rating"])
    assert fit.slope == pytest.approx(0.215, abs=5e-4)
    assert np.log10(fit.budget_for(4.0)) == pytest.approx(4.17, abs=0.01)
    assert tables.reported("imitation_data")["parity_dollars"].tolist() == [2500]


VALUES = {
    ("base", 0.0): [0, 0.1],
    ("of 10", 10.0): [0.1, 0.3],
    ("of 100", 100.0): [0.3, 0.3],
    ("of 1000", 1000.0): [0.4, 0.4],
    ("target", np.nan): [0.5, 0.7],
}


def curve_of(values):
    """{(model, budget): ROUGE-L of each instruction}; BERTScore falls where ROUGE-L rises."""
    rows = [
        (model, budget, f"s{i}", value, -value)
        for (model, budget), instructions in values.items()
        for i, value in enumerate(instructions)
    ]
    return scores.curve(table("model budget sample_id rouge_l bertscore", *rows))


def test_the_curve():
    means = curve_of(VALUES)
    rouge = means[means["metric"] == "rouge_l"].set_index("model")
    assert rouge["mean"].tolist() == pytest.approx([0.05, 0.2, 0.3, 0.4, 0.6])
    assert rouge["samples"].tolist() == [2] * 5
    half = 12.706205 * 0.1  # the standard error is 0.1
    ends = rouge.loc["of 10", ["low", "high"]].tolist()
    assert ends == pytest.approx([0.2 - half, 0.2 + half], rel=1e-6)


def test_a_curve_is_of_means_in_the_order_of_the_models():
    means = curve_of({("of 20", 20.0): [0, 0, 0.6], ("of 100", 100.0): [0.3, 0.3, 0.9]})
    rouge = means[means["metric"] == "rouge_l"]
    assert rouge["model"].tolist() == ["of 20", "of 100"]
    assert rouge["mean"].tolist() == pytest.approx([0.2, 0.5])


def test_the_lines_of_a_curve():
    fits = scores.fits(curve_of(VALUES), "target").set_index("metric")
    assert fits.loc["rouge_l", ["slope", "target"]].tolist() == pytest.approx([0.1, 0.6])
    assert fits.loc["rouge_l", "parity"] == pytest.approx(1e5)
    assert fits.loc["bertscore", "slope"] == pytest.approx(-0.1)
    assert np.isnan(fits.loc["bertscore", "parity"])  # no line that rises


def test_no_parity_where_the_slope_may_be_zero():
    fits = scores.fits(curve_of({**VALUES, ("of 100", 100.0): [0.9, 0.9]}), "target")
    assert fits["slope"].iloc[0] > 0 > fits["low"].iloc[0]
    assert fits["parity"].isna().all()
