"""The private twin: the exact test, the bets, and that neither errs too often when the labels are a coin's."""

from itertools import combinations
from math import comb

import numpy as np
import pandas as pd
import pytest

from dsi_core.evidence import twin

EVIDENCE = np.array([0.9, 0.1, 0.7, 0.2, 0.4, 0.0])
PUBLISHED = np.array([True, False, True, False, True, False])


def test_permutation_counts_every_deal():
    """All three published samples lead: 1 of the 20 deals is as extreme; with the fifth and second swapped, 4 are."""
    assert twin.difference(EVIDENCE, PUBLISHED) == pytest.approx(2 / 3 - 0.1)
    assert twin.permutation(EVIDENCE, PUBLISHED) == pytest.approx(1 / comb(6, 3))
    labels = np.array([True, True, True, False, False, False])
    sums = [EVIDENCE[list(c)].sum() for c in combinations(range(6), 3)]
    wanted = np.mean([s >= EVIDENCE[labels].sum() - 1e-12 for s in sums])
    assert twin.permutation(EVIDENCE, labels) == pytest.approx(wanted) and wanted > 1 / 20


def test_permutation_of_many_samples_is_never_zero():
    evidence = np.r_[np.ones(40), np.zeros(40)] + np.arange(80) / 1e6
    assert twin.permutation(evidence, evidence >= 1, permutations=999) == pytest.approx(1 / 1000)
    assert np.isnan(twin.permutation(evidence, np.ones(80, bool)))


def test_wealth_by_hand():
    """Two published, two withheld. The first sample has rank 0: no bet. The second is higher (z = 1/2) and published: the chance of
    that is 1 of the 3 labels left."""
    path = twin.wealth([0.1, 0.5], [True, True], (2, 2))
    odds = np.exp(twin.BETS * (2 * 0.75 - 1))
    assert path == pytest.approx([1.0, (odds / (odds / 3 + 2 / 3)).mean()])


def test_no_answer_means_no_bet_and_counts_as_seen():
    path = twin.wealth([0.1, np.nan, 0.5], [True, False, True], (2, 2))
    odds = np.exp(twin.BETS * 0.5)
    assert path == pytest.approx([1.0, 1.0, (odds / (odds / 2 + 1 / 2)).mean()])


def test_a_label_that_is_certain_wins_nothing():
    assert twin.wealth([0.5, 0.6, 0.7], [False, True, True], (2, 1)) == pytest.approx(
        [1.0, 1.0, 1.0], abs=1e-12
    )
    with pytest.raises(ValueError, match="more samples than"):
        twin.wealth([0.5, 0.6, 0.7], [False, False, True], (2, 1))


def test_wealth_is_fair_for_every_deal():
    """A martingale: over all ways to deal the labels, the mean wealth after each sample is 1."""
    evidence = np.array([0.3, 0.8, 0.1, 0.9, 0.5, 0.7])
    paths = [twin.wealth(evidence, np.isin(range(6), c), (3, 3)) for c in combinations(range(6), 3)]
    assert np.mean(paths, axis=0) == pytest.approx(np.ones(6))
    assert np.std([p[-1] for p in paths]) > 0.5  # and it does bet


@pytest.mark.parametrize("alpha", [0.05, 0.2])
def test_errors_stay_below_alpha(alpha):
    """A coin's labels on skewed evidence: stopping at the first crossing errs in at most alpha of 600 runs (three standard errors)."""
    rng, wrong = np.random.default_rng(1), 0
    for _ in range(600):
        published = rng.permutation(np.repeat([True, False], 12))
        wrong += twin.wealth(rng.exponential(size=24), published, (12, 12)).max() >= 1 / alpha
    assert wrong / 600 <= alpha + 3 * np.sqrt(alpha * (1 - alpha) / 600)


def told(evidence, published):
    return pd.DataFrame({"evidence": evidence, "published": published})


def test_p_is_the_permutation_test_when_nothing_may_stop():
    found = twin.test(told(EVIDENCE, PUBLISHED), (3, 3), 6, may_stop=False)
    assert found["p"] == found["p_permutation"] == pytest.approx(0.05) and (
        found["published"],
        found["withheld"],
    ) == (3, 3)


def test_p_with_stopping_is_twice_the_smaller():
    table = told(EVIDENCE, PUBLISHED)
    early, end = (
        twin.test(table.head(4), (3, 3), 6, may_stop=True),
        twin.test(table, (3, 3), 6, may_stop=True),
    )
    assert early["p"] == pytest.approx(min(1, 2 / early["largest"])) and early[
        "p_sequential"
    ] == pytest.approx(1 / early["largest"])
    assert end["p"] == pytest.approx(2 * min(1 / end["largest"], 0.05))


def test_the_permutation_is_of_what_was_planned_at_first():
    """The first four labels (published, published, withheld, withheld by evidence 4, 3, 2, 1): 1 of 6 deals, however many follow."""
    table = told([4.0, 3.0, 2.0, 1.0, 9.0, 8.0], [True, True, False, False, False, False])
    raised = twin.test(table, (2, 4), 4, may_stop=True)
    assert raised["p_permutation"] == pytest.approx(1 / 6) and raised["planned"] == 4
    assert raised["p"] == pytest.approx(2 * min(1 / raised["largest"], 1 / 6))
    assert np.isnan(twin.test(table.head(3), (2, 4), 4, may_stop=True)["p_permutation"])


def test_one_part_alone_decides_nothing():
    found = twin.test(told([0.5, np.nan], [True, False]), (1, 1), 2, may_stop=True)
    assert found["p"] == 1.0 and np.isnan(found["p_permutation"]) and np.isnan(found["difference"])
