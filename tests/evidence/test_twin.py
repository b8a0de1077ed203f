"""The private twin: p by hand, against scipy, and of innocents under many deals of the labels."""

import dataclasses
from itertools import combinations

import numpy as np
import pandas as pd
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


@pytest.mark.parametrize("missing", [PUBLISHED, ~PUBLISHED, PUBLISHED | True])
def test_one_part_alone_decides_nothing(missing):
    result = twin.test(np.where(missing, np.nan, EVIDENCE), PUBLISHED, range(6), ONE_LOOK, 0)
    assert result.p == 1.0 and np.isnan(result.looks[0].statistic)
    assert twin.test(EVIDENCE, PUBLISHED | True, range(6), ONE_LOOK, 0).p == 1.0


def test_attainable():
    assert twin.attainable(6, 3) == 1 / 20 and twin.attainable(6, 0) == 1.0
    assert twin.attainable(48, 24) == 1 / 10_000


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


def labelled(evidence, published):
    return pd.DataFrame({"evidence": evidence, "published": published})


def test_difference_by_hand():
    assert twin.difference(EVIDENCE, PUBLISHED) == pytest.approx(2 / 3 - 0.1)
    assert np.isnan(twin.difference(EVIDENCE, np.ones(6, bool)))


def test_p_is_the_permutation_test_when_nothing_may_stop():
    result = twin.betting_test(labelled(EVIDENCE, PUBLISHED), (3, 3), 6, may_stop=False)
    assert result.p == result.p_permutation == pytest.approx(0.05)
    assert (result.published, result.withheld) == (3, 3)
    assert result.difference == pytest.approx(2 / 3 - 0.1)


def test_p_with_stopping_is_twice_the_smaller():
    table = labelled(EVIDENCE, PUBLISHED)
    early = twin.betting_test(table.head(4), (3, 3), 6, may_stop=True)
    end = twin.betting_test(table, (3, 3), 6, may_stop=True)
    assert early.p == pytest.approx(min(1, 2 / early.largest))
    assert early.p_sequential == pytest.approx(1 / early.largest)
    assert end.p == pytest.approx(2 * min(1 / end.largest, 0.05))


def test_the_permutation_is_of_what_was_planned_at_first():
    """The first four labels (published, published, withheld, withheld by evidence 4, 3, 2, 1):
    1 of 6 deals, however many follow."""
    table = labelled([4.0, 3.0, 2.0, 1.0, 9.0, 8.0], [True, True, False, False, False, False])
    raised = twin.betting_test(table, (2, 4), 4, may_stop=True)
    assert raised.p_permutation == pytest.approx(1 / 6) and raised.planned == 4
    assert raised.p == pytest.approx(2 * min(1 / raised.largest, 1 / 6))
    assert np.isnan(twin.betting_test(table.head(3), (2, 4), 4, may_stop=True).p_permutation)


def test_one_part_alone_wins_no_bet():
    result = twin.betting_test(labelled([0.5, np.nan], [True, False]), (1, 1), 2, may_stop=True)
    assert result.p == 1.0
    assert np.isnan(result.p_permutation) and np.isnan(result.difference)


def test_the_record_keeps_the_names_that_reports_know():
    result = twin.betting_test(labelled(EVIDENCE, PUBLISHED), (3, 3), 6, may_stop=True)
    assert list(dataclasses.asdict(result)) == [
        *("published", "withheld", "difference", "wealth", "largest"),
        *("p_sequential", "p_permutation", "planned", "p"),
    ]


def test_compare_says_when_the_queries_could_have_stopped():
    """Evidence that follows the labels crosses 2 / 0.2 on the way; constant evidence never."""
    part = ["published", "withheld"] * 10
    clear = pd.DataFrame({"model": "clear", "member": True, "part": part})
    clear["evidence"] = np.where(clear["part"] == "published", 1.0, 0.0)
    flat = clear.assign(model="flat", member=False, evidence=0.5)
    table = twin.compare(pd.concat([clear, flat]), (10, 10), 0.2).set_index("model")
    assert table["of"].tolist() == [20, 20] and table["published"].tolist() == [10, 10]
    assert 2 < table.loc["clear", "sure_after"] < 20
    assert np.isnan(table.loc["flat", "sure_after"])
    assert table.loc["flat", "p"] == 1.0 and table.loc["clear", "p"] < 0.001
