"""The private twin: p by hand, against scipy, and of innocents under many deals of the labels."""

from itertools import combinations, product
from math import comb

import numpy as np
import pytest
from innocents import CASES, DEALS, band, share_accused
from scipy import stats

from dsi_core.evidence import looks, twin
from dsi_core.evidence.looks import Looks

EVIDENCE = np.array([0.9, 0.1, 0.7, 0.2, 0.4, 0.0])
PUBLISHED = np.array([True, False, True, False, True, False])
ONE_LOOK = Looks((6,), 0.05, 1.0)
MANY_TIES = ("ties", "groups", "all of it")  # and so fewer accused


def test_p_of_six_samples_by_hand():
    """All three published samples lead: 1 of 20 deals, as many as alpha allows."""
    result = twin.test(EVIDENCE, PUBLISHED, range(6), ONE_LOOK, 0)
    assert result.p == result.attainable == 1 / 20 and result.found
    assert result.looks[0].statistic == pytest.approx(2 / 3 - 0.1)
    # 0.9 + 0.2 + 0.0 = 1.1 or more: all but eight sums of three
    labels = np.array([True, False, False, True, False, True])
    as_large = sum(sum(c) >= 1.1 - 1e-9 for c in combinations(EVIDENCE, 3))
    assert twin.test(EVIDENCE, labels, range(6), ONE_LOOK, 0).p == as_large / 20


def test_ties_count_against_finding():
    """0.4 again among the withheld: two deals have as large a difference."""
    evidence = [0.9, 0.4, 0.7, 0.2, 0.4, 0.0]
    result = twin.test(evidence, PUBLISHED, range(6), ONE_LOOK, 0)
    assert result.p == 2 / 20 and not result.found


def test_samples_of_one_group_share_a_label():
    """Four groups, two published: 1 of 6 deals of them."""
    groups = ["a", "b", "a", "b", "c", "d"]
    result = twin.test(EVIDENCE, PUBLISHED, groups, ONE_LOOK, 0)
    assert result.p == result.attainable == 1 / 6
    with pytest.raises(ValueError, match="share a label"):
        twin.test(EVIDENCE, PUBLISHED, ["a", "a", *"bcde"], ONE_LOOK, 0)


def test_labels_are_dealt_over_all_planned_samples_when_fewer_were_asked():
    """Asked: 0.9 published, 0.1 withheld. Of 20 deals 6 label them so, 4 both published and 4
    both withheld, which leaves nothing to compare, 6 the other way."""
    plan = Looks((2, 6), 0.8, 1.0)
    result = twin.test(EVIDENCE[:2], PUBLISHED, range(6), plan, 0)
    assert result.looks[0].p == 6 / 20 and result.looks[0].statistic == pytest.approx(0.8)
    assert not result.found and result.p == pytest.approx(6 / 20 * 6 / 2)


def test_what_was_not_usable_is_passed_over():
    """The labels are dealt over all six, the means are of 0.7, 0.2, 0.4 and 0.0."""
    evidence = np.where([True, True, False, False, False, False], np.nan, EVIDENCE)
    result = twin.test(evidence, PUBLISHED, range(6), ONE_LOOK, 0)
    assert result.usable == 4
    assert result.looks[0].statistic == pytest.approx(0.55 - 0.1)
    differences = []
    for chosen in combinations(range(6), 3):
        inside = [EVIDENCE[i] for i in range(2, 6) if i in chosen]
        outside = [EVIDENCE[i] for i in range(2, 6) if i not in chosen]
        differences.append(np.mean(inside) - np.mean(outside))
    assert result.p == np.mean(np.array(differences) >= 0.45 - 1e-9)


def test_a_deal_that_leaves_one_part_alone_never_counts_as_large():
    """Every deal of seven labels by hand, of which three samples were asked about."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        evidence, published = rng.random(3), np.isin(range(7), rng.permutation(7)[:4])

        def difference(labels, evidence=evidence):
            asked = labels[:3]
            alone = asked.all() or not asked.any()
            return -np.inf if alone else evidence[asked].mean() - evidence[~asked].mean()

        every = [difference(np.isin(range(7), c)) for c in combinations(range(7), 4)]
        p = np.mean(np.array(every) >= difference(published) - 1e-9)
        result = twin.test(evidence, published, range(7), Looks((3, 7), 0.9, 1.0), 0)
        assert result.looks[0].p == p


@pytest.mark.parametrize("missing", [PUBLISHED, ~PUBLISHED, PUBLISHED | True])
def test_one_part_alone_decides_nothing(missing):
    result = twin.test(np.where(missing, np.nan, EVIDENCE), PUBLISHED, range(6), ONE_LOOK, 0)
    assert result.p == 1.0 and np.isnan(result.looks[0].statistic)
    assert twin.test(EVIDENCE, PUBLISHED | True, range(6), ONE_LOOK, 0).p == 1.0


@pytest.mark.parametrize("samples", [1, 3])
def test_where_nothing_or_all_of_it_was_published_there_is_one_deal(samples):
    for published in (False, True):
        labels = np.full(samples, published)
        result = twin.test(
            EVIDENCE[:samples], labels, range(samples), Looks((samples,), 0.05, 1.0), 0
        )
        assert (result.p, result.attainable, result.found) == (1.0, 1.0, False)


def test_attainable():
    assert twin.attainable(6, 3) == 1 / 20 and twin.attainable(6, 0) == 1.0
    assert twin.attainable(48, 24) == 1 / 10_000


def test_attained_counts_the_deals_that_label_what_is_usable_alike():
    """Three published and two withheld of twelve: 35 of 924; of 60: about 3%, by random deals."""
    usable = np.isin(range(12), (0, 1, 2, 3, 4))
    published = np.arange(12) % 2 == 0
    plan = Looks((2, 12), 0.05, 1.0)
    by_look = twin.attained(published, range(12), usable, plan, 0)
    assert by_look == pytest.approx([comb(10, 5) / 924, 35 / 924])
    published, usable = np.arange(60) % 2 == 0, np.arange(60) < 5
    ways = comb(55, 27) / comb(60, 30)
    (p,) = twin.attained(published, range(60), usable, Looks((60,), 0.05, 1.0), 0)
    assert p == pytest.approx(ways, abs=4 * (ways / 9999) ** 0.5) and p != ways


def test_attained_is_the_p_of_the_clearest_answers():
    """Whichever of six samples are usable, and nothing else that they show comes below it."""
    rng = np.random.default_rng(0)
    for kept in product([True, False], repeat=6):
        (smallest,) = twin.attained(PUBLISHED, range(6), kept, ONE_LOOK, 0)
        for evidence, fits in ((PUBLISHED, np.equal), (rng.random(6), np.greater_equal)):
            usable = np.where(kept, evidence, np.nan)
            assert fits(twin.test(usable, PUBLISHED, range(6), ONE_LOOK, 0).p, smallest)


@pytest.mark.parametrize("seed", range(5))
def test_attained_is_that_p_where_deals_are_random(seed):
    """Of 40 samples eight are usable: no drawn p comes below what is said to be possible."""
    published, kept = np.arange(40) % 2 == 0, np.arange(40) % 5 == 0
    (smallest,) = twin.attained(published, range(40), kept, Looks((40,), 0.05, 1.0), seed)
    clearest = np.where(kept, published, np.nan)
    result = twin.test(clearest, published, range(40), Looks((40,), 0.05, 1.0), seed)
    assert result.p == smallest


@pytest.mark.parametrize("size", [12, 40])
def test_at_one_look_it_is_scipys_permutation_test(size):
    """12 samples: all 924 deals, equal; 40: two draws of 9,999, standard error 0.003."""
    rng = np.random.default_rng(size)
    published = rng.permutation(np.arange(size) % 2 == 0)
    evidence = rng.normal(size=size) + np.where(published, 0.4, 0.0)
    ours = twin.test(evidence, published, range(size), Looks((size,), 0.05, 1.0), 0)
    scipys = stats.permutation_test(
        (evidence[published], evidence[~published]),
        lambda a, b, axis: np.mean(a, axis=axis) - np.mean(b, axis=axis),
        vectorized=True,
        alternative="greater",
        n_resamples=9999,
        rng=rng,
    )
    assert ours.p == pytest.approx(scipys.pvalue, abs=1e-12 if size == 12 else 0.015)
    assert 0.02 < ours.p < 0.5


def test_labels_that_are_dealt_in_blocks_are_the_same(monkeypatch):
    """30 groups: 4 deals at once instead of all 9,999."""
    rng = np.random.default_rng(0)
    published, evidence = rng.permutation(np.arange(30) % 2 == 0), rng.normal(size=30)
    plan = looks.planned(30, 0.05, count=5)
    (whole,) = twin._dealt(published, 99, np.random.default_rng(1))
    ps = [look.p for look in twin.test(evidence, published, range(30), plan, 1).looks]
    monkeypatch.setattr(looks, "BLOCK", 125)
    dealt = list(twin._dealt(published, 99, np.random.default_rng(1)))
    assert [len(block) for block in dealt] == [5, *[4] * 23, 3]
    assert (np.vstack(dealt) == whole).all() and (whole[0] == published).all()
    assert [look.p for look in twin.test(evidence, published, range(30), plan, 1).looks] == ps


def test_more_answers_change_no_earlier_look():
    rng = np.random.default_rng(0)
    published, evidence = rng.permutation(np.arange(30) % 2 == 0), rng.normal(size=30)
    plan = looks.planned(30, 0.05, count=5)
    ps = [look.p for look in twin.test(evidence, published, range(30), plan, 1).looks]
    for asked in (5, 6, 17, 24):
        so_far = twin.test(evidence[:asked], published, range(30), plan, 1)
        assert [look.p for look in so_far.looks] == ps[: plan.taken(asked)]


def test_a_member_is_found_early():
    rng = np.random.default_rng(1)
    published = rng.permutation(np.arange(96) % 2 == 0)
    evidence = np.where(published, 0.5, 0.2) + rng.normal(0, 0.2, 96)
    plan = looks.planned(96, 0.05)
    result = twin.test(evidence, published, range(96), plan, 0)
    assert result.found and result.found_after <= 24
    assert not twin.test(evidence, ~published, range(96), plan, 0).found


def test_under_every_deal_exactly_alpha_of_an_innocent_s_audits_accuse():
    """All 252 deals of ten labels, with looks: 12 are found, as floor(0.05 x 252)."""
    evidence = np.random.default_rng(3).normal(size=10)
    plan = looks.planned(10, 0.05, count=3)
    deals = [np.isin(range(10), chosen) for chosen in combinations(range(10), 5)]
    results = [twin.test(evidence, published, range(10), plan, 0) for published in deals]
    assert sum(result.found for result in results) == 12


@pytest.mark.parametrize("kind, alpha", CASES)
def test_innocents_are_accused_as_often_as_alpha_says(kind, alpha):
    """With looks, drift, ties, refusals that depend on the evidence, and groups."""

    def audit(evidence, groups, alpha, seed, rng):
        count = groups.max() + 1
        published = rng.permutation(np.arange(count) < count // 2)[groups]
        plan = looks.planned(24, alpha, count=6)
        return twin.test(evidence, published, groups, plan, seed, DEALS)

    share, (low, high) = share_accused(kind, alpha, audit), band(alpha)
    assert share <= high and (share >= low or kind in MANY_TIES)
