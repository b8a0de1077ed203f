"""The wording twin: p by hand, against scipy, and of innocents under many coins."""

from itertools import product

import numpy as np
import pytest
from innocents import CASES, DEALS, band, share_accused
from scipy import stats

from dsi_core.evidence import looks, wording
from dsi_core.evidence.looks import Looks

ONE_LOOK = Looks((4,), 0.05, 1.0)
MANY_TIES = ("ties", "groups", "all of it")  # and so fewer accused


def published(*signs):
    return np.array(signs) > 0


def test_p_of_four_samples_by_hand():
    """Centred -0.3, -0.1, 0.1, 0.3: of 16 ways that coins fall the true one alone comes to 0.2."""
    result = wording.test([0.2, 0.4, 0.6, 0.8], published(-1, -1, 1, 1), range(4), ONE_LOOK, 0)
    assert result.p == result.attainable == 1 / 16
    assert result.looks[0].statistic == pytest.approx(0.2)
    assert not result.found and result.usable == 4
    # with the second coin the other way three come to 0.15 or more: those of 0.2, 0.15 and 0.15
    other = wording.test([0.2, 0.4, 0.6, 0.8], published(-1, 1, 1, 1), range(4), ONE_LOOK, 0)
    assert other.looks[0].statistic == pytest.approx(0.15) and other.p == 3 / 16


def test_samples_of_one_group_share_a_coin():
    """Three coins, of which the middle one is thrown for two samples: 1 of 8."""
    groups = ["a", "b", "b", "c"]
    result = wording.test([0.1, 0.7, 0.9, 0.3], published(-1, 1, 1, -1), groups, ONE_LOOK, 0)
    assert result.p == result.attainable == 1 / 8
    with pytest.raises(ValueError, match="share a coin"):
        wording.test([0.1, 0.7, 0.9, 0.3], published(-1, 1, -1, -1), groups, ONE_LOOK, 0)


def test_what_was_not_usable_is_passed_over():
    """The other two are centred at -0.2 and 0.2: 1 of 4 ways, whatever the missing ones' coins."""
    preference = [np.nan, 0.2, np.nan, 0.6]
    result = wording.test(preference, published(1, -1, -1, 1), range(4), ONE_LOOK, 0)
    assert result.p == 1 / 4 and result.usable == 2
    nothing = wording.test([np.nan] * 4, published(1, -1, -1, 1), range(4), ONE_LOOK, 0)
    assert nothing.p == 1.0 and np.isnan(nothing.looks[0].statistic)


def test_an_equal_preference_throughout_says_nothing():
    assert wording.test([0.3] * 4, published(1, 1, 1, 1), range(4), ONE_LOOK, 0).p == 1.0


@pytest.mark.parametrize("coins, p", [(1, 1.0), (2, 1 / 4), (5, 1 / 32), (14, 1 / 10_000)])
def test_attainable(coins, p):
    assert wording.attainable(coins) == p


@pytest.mark.parametrize("seed", range(5))
def test_attained_is_the_p_of_the_clearest_answers(seed):
    """Of 40 coins seven have evidence: about 1 of 128 random deals, the very ones of the test."""
    first, kept = np.arange(40) % 2 == 0, np.arange(40) < 7
    plan = Looks((1, 4, 40), 0.05, 1.0)
    by_look = wording.attained(range(40), kept, plan, seed)
    result = wording.test(np.where(kept, first, np.nan), first, range(40), plan, seed)
    assert [look.p for look in result.looks] == by_look.tolist()
    assert by_look == pytest.approx([1.0, 1 / 16, 1 / 128], rel=0.4)
    assert wording.attained(range(8), kept[:8], Looks((8,), 0.05, 1.0), seed) == 1 / 128


def test_the_shapes_fit_the_looks():
    with pytest.raises(ValueError, match="first_published of 3 samples"):
        wording.test([0.1], published(1, 1, 1), range(4), ONE_LOOK, 0)
    with pytest.raises(ValueError, match="5 samples asked"):
        wording.test([0.1] * 5, published(1, 1, 1, 1), range(4), ONE_LOOK, 0)


@pytest.mark.parametrize("size", [10, 40])
def test_at_one_look_it_is_scipys_sign_flip(size):
    """10 samples: all 1024 ways, equal; 40: two draws of 9,999, standard error 0.002."""
    rng = np.random.default_rng(size)
    first = rng.random(size) < 0.5
    preference = rng.normal(size=size) + np.where(first, 0.15, -0.15)
    ours = wording.test(preference, first, range(size), Looks((size,), 0.05, 1.0), 0)
    signed = np.where(first, 1, -1) * (preference - preference.mean())
    scipys = stats.permutation_test(
        (signed,),
        lambda x, axis: np.mean(x, axis=axis),
        permutation_type="samples",
        vectorized=True,
        alternative="greater",
        n_resamples=9999,
        rng=rng,
    )
    assert ours.p == pytest.approx(scipys.pvalue, abs=1e-12 if size == 10 else 0.012)
    assert 0.02 < ours.p < 0.5


def test_coins_that_are_flipped_in_blocks_are_the_same(monkeypatch):
    """30 coins: 4 deals at once instead of all 9,999."""
    rng = np.random.default_rng(0)
    first, preference = rng.random(30) < 0.5, rng.normal(size=30)
    plan, signs = looks.planned(30, 0.05, count=5), np.where(first, 1.0, -1.0)
    (whole,) = wording._flipped(signs, 99, np.random.default_rng(1))
    ps = [look.p for look in wording.test(preference, first, range(30), plan, 1).looks]
    monkeypatch.setattr(looks, "BLOCK", 125)
    flipped = list(wording._flipped(signs, 99, np.random.default_rng(1)))
    assert [len(block) for block in flipped] == [5, *[4] * 23, 3]
    assert (np.vstack(flipped) == whole).all() and (whole[0] == signs).all()
    assert [look.p for look in wording.test(preference, first, range(30), plan, 1).looks] == ps


def test_more_answers_change_no_earlier_look():
    rng = np.random.default_rng(0)
    first, preference = rng.random(30) < 0.5, rng.normal(size=30)
    plan = looks.planned(30, 0.05, count=5)
    ps = [look.p for look in wording.test(preference, first, range(30), plan, 1).looks]
    for asked in (5, 6, 17, 24):
        so_far = wording.test(preference[:asked], first, range(30), plan, 1)
        assert [look.p for look in so_far.looks] == ps[: plan.taken(asked)]


def test_a_member_is_found_early():
    first = np.random.default_rng(1).random(48) < 0.5
    preference = np.where(first, 0.2, -0.2) + np.random.default_rng(2).normal(0, 0.2, 48)
    result = wording.test(preference, first, range(48), looks.planned(48, 0.05), 0)
    assert result.found and result.found_after <= 16
    assert not wording.test(preference, ~first, range(48), looks.planned(48, 0.05), 0).found


def test_under_every_coin_exactly_alpha_of_an_innocent_s_audits_accuse():
    """All 256 ways that eight coins can fall, with looks: 12 are found, as floor(0.05 x 256)."""
    preference = np.random.default_rng(3).normal(size=8)
    plan = looks.planned(8, 0.05, count=4)
    ways = [published(*signs) for signs in product([1, -1], repeat=8)]
    results = [wording.test(preference, first, range(8), plan, 0) for first in ways]
    assert sum(result.found for result in results) == 12


@pytest.mark.parametrize("kind, alpha", CASES)
def test_innocents_are_accused_as_often_as_alpha_says(kind, alpha):
    """With looks, drift, ties, refusals that depend on the preference, and groups."""

    def audit(preference, groups, alpha, seed, rng):
        first = (rng.random(24) < 0.5)[groups]
        plan = looks.planned(24, alpha, count=6)
        return wording.test(preference, first, groups, plan, seed, DEALS)

    share, (low, high) = share_accused(kind, alpha, audit), band(alpha)
    assert share <= high and (share >= low or kind in MANY_TIES)
