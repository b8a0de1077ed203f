"""The share of a dataset that was used: by hand, and on mixtures of known shares."""

import numpy as np
import pytest
from scipy import stats

from dsi_core.evidence import share


def guesses(right, total):
    return np.arange(total) < right


def test_guesses_by_hand():
    # 0.8 s + 0.1 (1 - s) = 0.45
    found = share.of_guesses(guesses(9, 20), guesses(8, 10), guesses(1, 10), seed=0)
    assert found.share == pytest.approx(0.5)
    assert 0 <= found.low < 0.5 < found.high <= 1
    assert share.of_guesses(guesses(9, 20), guesses(8, 10), guesses(1, 10), seed=0) == found


def test_means_by_hand():
    used, unused = np.array([0.9, 0.7, 0.8]), np.array([0.1, 0.3, 0.2])
    found = share.of_means(np.array([0.9, 0.3, 0.3]), used, unused, seed=0)
    assert found.share == pytest.approx((0.5 - 0.2) / 0.6)
    # A sample that somebody gave nothing to is left out for all
    with_gap = share.of_means(
        np.array([0.9, 0.3, 0.3, 0.9]), np.append(used, np.nan), np.append(unused, 0), seed=0
    )
    assert with_gap == found


def test_a_share_lies_between_nothing_and_all():
    none = share.of_guesses(guesses(0, 20), guesses(10, 10), guesses(1, 10), seed=0)
    assert (none.share, none.low) == (0, 0) and 0 < none.high < 0.3
    every = share.of_guesses(guesses(20, 20), guesses(9, 10), guesses(0, 10), seed=0)
    assert (every.share, every.high) == (1, 1) and 0.6 < every.low < 1


def test_guesses_that_never_err_leave_the_interval_of_a_proportion():
    """Jeffreys' of 6 of 20, but for what 2,000 draws leave to chance: the mean of ten intervals."""
    always, never = np.ones(10**5, bool), np.zeros(10**5, bool)
    found = [share.of_guesses(guesses(6, 20), always, never, seed) for seed in range(10)]
    ends = np.mean([(one.low, one.high) for one in found], axis=0)
    assert ends == pytest.approx(stats.beta.ppf([0.025, 0.975], 6.5, 14.5), abs=0.01)


def test_what_tells_nothing_allows_every_share():
    same = guesses(5, 10)
    found = share.of_guesses(same, same, same, seed=0)
    assert np.isnan(found.share) and (found.low, found.high) == (0, 1)
    nothing = share.of_means(*np.full((3, 4), np.nan), seed=0)
    assert np.isnan(nothing.share) and (nothing.low, nothing.high) == (0, 1)


@pytest.mark.parametrize("true", [0.0, 0.1, 0.5, 1.0])
def test_intervals_hold_the_true_share(true):
    """Of 200 datasets of 60 samples; an attack that finds 70% of the used and 10% of the others."""
    rng = np.random.default_rng(1)
    count, estimates, held = 60, [], 0
    for seed in range(200):
        is_used = guesses(round(true * count), count)
        found = rng.random(count) < np.where(is_used, 0.7, 0.1)
        one = share.of_guesses(found, rng.random(60) < 0.7, rng.random(60) < 0.1, seed)
        estimates.append(one.share)
        held += one.low <= true <= one.high
    assert held >= 185  # 95% of 200, less what chance takes; the true share is of this dataset
    assert np.mean(estimates) == pytest.approx(true, abs=0.05)


@pytest.mark.parametrize("true", [0.25, 0.75])
def test_intervals_of_means_hold_the_true_share(true):
    rng = np.random.default_rng(2)
    held, estimates = 0, []
    for seed in range(200):
        hard = rng.normal(0, 0.1, 40)  # a sample is as hard for every model
        used, unused = (level + hard + rng.normal(0, 0.1, 40) for level in (0.7, 0.3))
        level = np.where(guesses(round(true * 40), 40), 0.7, 0.3)
        one = share.of_means(level + hard + rng.normal(0, 0.1, 40), used, unused, seed)
        estimates.append(one.share)
        held += one.low <= true <= one.high
    assert held >= 185
    assert np.mean(estimates) == pytest.approx(true, abs=0.02)
