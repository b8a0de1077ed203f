"""The bets by hand, that they are fair, and that stopping at a crossing errs no more than alpha."""

from itertools import combinations

import numpy as np
import pytest

from dsi_core.evidence import sequential


def test_wealth_by_hand():
    """Two published, two withheld. The first sample has rank 0: no bet. The second is higher
    (z = 1/2) and published: the chance of that is 1 of the 3 labels left."""
    path = sequential.wealth([0.1, 0.5], [True, True], (2, 2))
    odds = np.exp(sequential.BETS * (2 * 0.75 - 1))
    assert path == pytest.approx([1.0, (odds / (odds / 3 + 2 / 3)).mean()])


def test_no_answer_means_no_bet_and_counts_as_seen():
    path = sequential.wealth([0.1, np.nan, 0.5], [True, False, True], (2, 2))
    odds = np.exp(sequential.BETS * 0.5)
    assert path == pytest.approx([1.0, 1.0, (odds / (odds / 2 + 1 / 2)).mean()])


def test_a_label_that_is_certain_wins_nothing():
    path = sequential.wealth([0.5, 0.6, 0.7], [False, True, True], (2, 1))
    assert path == pytest.approx([1.0, 1.0, 1.0], abs=1e-12)


@pytest.mark.parametrize(
    "published, in_all",
    [
        ([False, False, True], (2, 1)),
        ([True, False, True], (1, 1)),  # nothing is left before the third: 0 / 0
        ([True], (0, 0)),
    ],
)
def test_more_samples_than_there_are_is_refused(published, in_all):
    with pytest.raises(ValueError, match="more samples than in_all"):
        sequential.wealth([0.5] * len(published), published, in_all)


def test_wealth_is_fair_for_every_deal():
    """A martingale: over all ways to deal the labels, the mean wealth after each sample is 1."""
    evidence = np.array([0.3, 0.8, 0.1, 0.9, 0.5, 0.7])
    deals = [np.isin(range(6), c) for c in combinations(range(6), 3)]
    paths = [sequential.wealth(evidence, deal, (3, 3)) for deal in deals]
    assert np.mean(paths, axis=0) == pytest.approx(np.ones(6))
    assert np.std([p[-1] for p in paths]) > 0.5  # and it does bet


@pytest.mark.parametrize("alpha", [0.05, 0.2])
def test_errors_stay_below_alpha(alpha):
    """A coin's labels on skewed evidence, 600 runs: at most alpha cross (three standard errors)."""
    rng, wrong = np.random.default_rng(1), 0
    for _ in range(600):
        published = rng.permutation(np.repeat([True, False], 12))
        path = sequential.wealth(rng.exponential(size=24), published, (12, 12))
        wrong += path.max() >= 1 / alpha
    assert wrong / 600 <= alpha + 3 * np.sqrt(alpha * (1 - alpha) / 600)


def test_stopped_after_is_the_first_crossing():
    assert sequential.stopped_after([False, True, False, True]) == 2
    assert sequential.stopped_after([False, False]) is None
    assert sequential.stopped_after([]) is None
