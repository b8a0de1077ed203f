"""Looks at a test: when they are, what is rejected at each, and what p says."""

import numpy as np
import pytest

from dsi_core.evidence import looks
from dsi_core.evidence.looks import Looks


def test_looks_are_spread_evenly_and_end_with_all():
    assert looks.planned(48, 0.05).after == (4, 8, 12, 16, 20, 24, 28, 32, 36, 40, 44, 48)
    assert looks.planned(10, 0.05, count=4).after == (2, 5, 7, 10)
    assert looks.planned(3, 0.05).after == (1, 2, 3)
    assert looks.planned(3, 0.05, count=1).after == (3,)
    assert looks.planned(1, 0.05).after == (1,)


def test_alpha_is_spent_by_the_share_asked():
    evenly, late = Looks((5, 10, 20), 0.04, 1.0), Looks((5, 10, 20), 0.04, 2.0)
    assert [evenly.spent(k) for k in range(3)] == pytest.approx([0.01, 0.02, 0.04])
    assert [late.spent(k) for k in range(3)] == pytest.approx([0.0025, 0.01, 0.04])
    assert [evenly.taken(asked) for asked in (0, 4, 5, 19, 20)] == [0, 0, 1, 2, 3]


@pytest.mark.parametrize(
    "after, alpha, exponent",
    [((), 0.05, 1), ((2, 2), 0.05, 1), ((0, 3), 0.05, 1), ((3,), 1.0, 1), ((3,), 0.05, 0)],
)
def test_looks_that_are_none(after, alpha, exponent):
    with pytest.raises(ValueError, match="looks after"):
        Looks(after, alpha, exponent)


def test_nothing_is_planned_over_nothing():
    with pytest.raises(ValueError, match="0 samples"):
        looks.planned(0, 0.05)


def columns(*values):
    return np.array(values, float).T


TWO = Looks((5, 10), 0.4, 1.0)  # of ten deals two by the first look, four by the second


def test_what_was_rejected_earlier_stays_spent():
    """The true deal is third at the first look and third of those left at the second: 2 + 3."""
    first = [7, 9, 8, 6, 5, 4, 3, 2, 1, 0]
    second = [7, 0, 0, 9, 8, 6, 5, 4, 3, 2]
    result = looks.test(columns(first, second), TWO, 10, 0.1)
    assert [step.p for step in result.looks] == [0.3, 0.5]
    assert [step.spent for step in result.looks] == [0.2, 0.4]
    assert (result.p, result.found, result.found_after) == (0.5, False, None)
    # second of those left: 2 + 2
    found = looks.test(columns(first, [8.5, 0, 0, 9, 8, 6, 5, 4, 3, 2]), TWO, 10, 0.1)
    assert (found.p, found.found, found.found_after) == (0.4, True, 10)
    assert (found.usable, found.planned, found.attainable) == (10, 10, 0.1)


def test_what_a_statistic_needs_is_the_smallest_that_is_rejected():
    """Two of ten deals, the 9 and the 8, then two more; none where the ties are too many."""
    first = [7, 9, 8, 6, 5, 4, 3, 2, 1, 0]
    steps = looks.test(columns(first, [7, 0, 0, 9, 8, 6, 5, 4, 3, 2]), TWO, 10, 0.1).looks
    assert [step.needed for step in steps] == [8, 8]
    assert np.isnan(
        looks.test(columns([9, 9, 9, 6, 5, 4, 3, 2, 1, 0]), TWO, 5, 0.1).looks[0].needed
    )


def test_a_finding_stands_whatever_follows():
    result = looks.test(columns(range(10, 0, -1), range(10)), TWO, 10, 0.1)
    assert (result.p, result.found_after) == (0.1, 5)
    assert [(step.statistic, step.p, step.crossed) for step in result.looks] == [
        (10.0, 0.1, True),
        (0.0, 0.1, True),
    ]


def test_ties_count_against_finding():
    """Two others as large: three deals, where two may be rejected; they are not spent either."""
    first = [9, 9, 9, 6, 5, 4, 3, 2, 1, 0]
    alone = looks.test(columns(first), TWO, 5, 0.1)
    assert not alone.found and alone.looks[0].p == 0.3
    assert looks.test(columns(first, first), TWO, 10, 0.1).looks[1].p == 0.3
    nearly = looks.test(columns([9, 9 + 1e-14, 9 - 1e-14, *first[3:]]), TWO, 5, 0.1)
    assert nearly.looks[0].p == 0.3


def test_p_before_the_last_look_is_what_alpha_would_have_had_to_be():
    """p = 0.3 where a half of alpha is spent: an alpha of 0.6 would have found by now."""
    early = looks.test(columns([7, 9, 8, 6, 5, 4, 3, 2, 1, 0]), TWO, 5, 0.1)
    assert early.p == pytest.approx(0.6)
    assert looks.test(columns(range(10)), TWO, 5, 0.1).p == 1.0


def test_before_the_first_look_nothing_is_said():
    result = looks.test(np.empty((10, 0)), TWO, 0, 0.1)
    assert (result.p, result.found, result.looks) == (1.0, False, ())


def test_a_deal_with_nothing_to_compare_is_the_smallest():
    nothing = looks.test(columns([np.nan, *range(9)]), TWO, 5, 0.1)
    assert nothing.looks[0].p == 1.0 and np.isnan(nothing.looks[0].statistic)
    assert looks.test(columns([0, *[np.nan] * 9]), TWO, 5, 0.1).looks[0].p == 0.1


def test_whichever_deal_is_the_true_one_at_most_alpha_of_them_are_rejected():
    """Each of 200 deals in turn: as many are found as alpha allows, by every look."""
    rng = np.random.default_rng(0)
    paths = np.cumsum(rng.normal(size=(200, 6)), axis=1)
    plan = Looks((1, 2, 3, 4, 5, 6), 0.06, 1.0)
    results = [looks.test(np.roll(paths, -k, axis=0), plan, 6, 0.005) for k in range(200)]
    for look in range(6):
        crossed = sum(result.looks[look].crossed for result in results)
        assert crossed == 2 * (look + 1)  # 0.01 of 200 more at each
    assert all((result.p <= 0.06) == result.found for result in results)
    assert sorted(result.p for result in results) == pytest.approx(np.arange(1, 201) / 200)


@pytest.mark.parametrize("alpha", [0.05, 0.01, 0.07])
def test_p_is_at_most_alpha_exactly_when_found(alpha):
    """Over random paths of 999 deals and the true one, at each of the looks."""
    rng, plan = np.random.default_rng(1), looks.planned(12, alpha, count=5)
    for _ in range(100):
        paths = np.cumsum(np.round(rng.normal(size=(1000, 5)), 1), axis=1)
        paths[0] += rng.uniform(0, 6)
        for taken in range(6):
            result = looks.test(paths[:, :taken], plan, 12, 0.001)
            assert (result.p <= alpha) == result.found
