"""The private twin: which p-value is reported, when stopping is allowed and when it is not."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from dsi_core.evidence import twin

EVIDENCE = np.array([0.9, 0.1, 0.7, 0.2, 0.4, 0.0])
PUBLISHED = np.array([True, False, True, False, True, False])


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


def test_one_part_alone_decides_nothing():
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
