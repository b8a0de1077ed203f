"""Permutation tests against every deal counted, and the random deals of many labels."""

from itertools import permutations

import numpy as np
import pytest
from scipy import stats

from dsi_core.evidence import permutation


def test_p_of_matches_counts_every_deal():
    """Of the 4! orders of aabb 4 keep all four right; named abab, 20 give two or more."""
    assert permutation.p_of_matches(list("aabb"), list("aabb")) == pytest.approx(4 / 24)
    hits = [
        sum(a == b for a, b in zip(order, "abab", strict=True)) for order in permutations("aabb")
    ]
    wanted = np.mean(np.array(hits) >= 2)
    assert permutation.p_of_matches(list("aabb"), list("abab")) == pytest.approx(wanted)
    assert wanted == pytest.approx(20 / 24)


def test_p_of_matches_does_not_reward_the_commoner_truth():
    assert permutation.p_of_matches(["a"] * 7 + ["b"], ["a"] * 8) == 1.0


def test_an_answer_that_is_none_or_no_truth_is_wrong():
    """Only one order of the three truths has the b in the middle and so the one hit: 1 of 3."""
    truth, answer = ["a", "b", "a"], [None, "b", "c"]
    assert permutation.p_of_matches(truth, answer) == pytest.approx(1 / 3)
    assert permutation.p_of_matches(["a"], ["a"]) == 1.0


def test_p_of_matches_of_many_cases_is_of_random_deals():
    """Ten cases of ten names, all right: 1 of 10! deals, so none of 9,999 but the true one."""
    names = list("abcdefghij")
    assert permutation.p_of_matches(names, names) == pytest.approx(1 / 10_000)
    rng = np.random.default_rng(4)
    deals = np.array([rng.permutation(10) for _ in range(9999)])
    three = np.array([0, 1, 2, 4, 5, 6, 7, 8, 9, 3])
    wanted = (1 + ((deals == three).sum(axis=1) >= 3).sum()) / 10_000
    assert permutation.p_of_matches(np.arange(10), three, seed=4) == pytest.approx(wanted)
    assert wanted == pytest.approx(0.0803, abs=0.01)  # 1 - 5 / (2 e), the matches being Poisson


def test_what_a_true_value_must_exceed_to_be_noticed():
    """Of 100 deals p <= 0.05 allows five with the true one, so the fifth largest of others."""
    assert [permutation.allowed(n, 0.05) for n in (19, 20, 100, 200)] == [0, 1, 5, 10]
    values = np.arange(99.0)
    spread = stats.norm.ppf(0.8) * values.std()
    assert permutation.needed(values, 100, 0.05) == pytest.approx(94 + spread)
    assert permutation.needed(values[:18], 19, 0.05) == np.inf
