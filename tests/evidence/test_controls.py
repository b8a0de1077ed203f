"""Against control models: the lean, its rank, and that stopping early is as safe as waiting."""

import numpy as np
import pandas as pd
import pytest

from dsi_core.evidence import controls


def test_lean_by_hand():
    """sqrt(t) x mean, from the fifth sample with evidence, and never falling."""
    evidence = [0.2, 0.4, np.nan, 0.6, 0.8, 0.5, -3.0]
    mean, root = 2.5 / 5, np.sqrt(5)
    assert controls.lean(evidence) == pytest.approx([-np.inf] * 5 + [mean * root, mean * root])
    assert controls.lean([]).size == 0 and controls.lean([np.nan]).tolist() == [-np.inf]


def test_p_values_count_controls_at_least_as_high():
    assert controls.p_values([-np.inf, 1.0, 2.0, 9.0], [1.0, 2.0, 3.0]) == pytest.approx(
        [1.0, 1.0, 0.75, 0.25]
    )


def test_a_suspect_that_says_nothing_is_not_accused():
    found = controls.test(np.array([np.nan] * 9), pd.Series({"a": 1.0, "b": -np.inf}), 0.5)
    assert found["p"] == 1.0 and found["lean"] == -np.inf


def test_facts_of_the_test():
    found = controls.test(np.full(9, 0.5), pd.Series({"a": 0.1, "b": 0.2, "c": 9.0}), 0.5)
    assert (found["controls"], found["smallest_p"], found["can_reach_alpha"]) == (3, 0.25, True)
    assert found["p"] == 0.5  # only c leans more than 0.5 x sqrt(9)
    assert found["false_positives"] == pytest.approx(1 / 3)  # left out, c has p = 1/3, b 2/3, a 1
    assert not controls.test(np.full(9, 0.5), pd.Series({"a": 0.1}), 0.05)["can_reach_alpha"]


def test_stopping_early_errs_no_more_than_waiting():
    """Exchangeable models with leans of their own, 9 controls, alpha = 0.1: whoever stops at the first p <= alpha has the same p at the
    end, so the share of errors is that of the rank test, 1 in 10."""
    rng, early, late = np.random.default_rng(0), 0, 0
    for _ in range(1000):
        models = rng.normal(rng.normal(0, 0.2, size=(10, 1)), 0.3, size=(10, 30))
        leans = [controls.lean(m) for m in models]
        path = controls.p_values(leans[0], [m[-1] for m in leans[1:]])
        assert (np.diff(path) <= 0).all()
        early, late = early + (path <= 0.1).any(), late + (path[-1] <= 0.1)
    assert early == late and abs(early / 1000 - 0.1) < 3 * np.sqrt(0.09 / 1000)


def test_left_out_and_final_leans():
    table = pd.DataFrame({"model": ["a"] * 5 + ["b"] * 5, "evidence": [0.1] * 5 + [0.4] * 5})
    leans = controls.final_leans(table)
    assert leans.to_dict() == pytest.approx({"a": 0.1 * np.sqrt(5), "b": 0.4 * np.sqrt(5)})
    assert controls.left_out(leans).to_dict() == {"a": 1.0, "b": 0.5}
