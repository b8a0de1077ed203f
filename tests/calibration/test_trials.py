"""Trials of the exact tests on models whose training is known."""

import numpy as np
import pandas as pd
import pytest
from helpers import table

from dsi_core.calibration import trials
from dsi_core.calibration.draws import Draw
from dsi_core.calibration.trials import Samples
from dsi_core.evidence import looks
from dsi_core.evidence.power import Twin
from dsi_core.method.closeness import Combine, Measure, Statistic


def seen(kind, values, labels):
    return Samples(kind, np.array(values, float), np.array(labels, bool), np.arange(len(values)))


def test_the_effect_of_a_wording_twin_by_hand():
    # centred 1, -1, 1, -1; towards what was published 1, 1, 1, -1
    one = seen(Twin.WORDING, [2, 0, 2, 0], [1, 0, 1, 1])
    assert one.effect == pytest.approx(0.5 / 1.0)


def test_the_effect_of_a_private_twin_by_hand():
    # means 3 and 1, deviations within the parts 1, -1, 1, -1
    one = seen(Twin.PRIVATE, [4, 2, 2, 0], [1, 1, 0, 0])
    assert one.effect == pytest.approx(2 / np.sqrt(4 / 2))


def test_what_was_not_answered_has_no_effect():
    whole = seen(Twin.PRIVATE, [4, 2, 2, 0], [1, 1, 0, 0])
    with_gap = seen(Twin.PRIVATE, [4, 2, 2, 0, np.nan], [1, 1, 0, 0, 1])
    assert with_gap.effect == pytest.approx(whole.effect)


@pytest.fixture
def drawn():
    rows = pd.DataFrame(
        {
            "row": ["a", "b", "c", "d"],
            "prompt": ["1", "2", "3", "4"],
            "first": ["red stone", "blue sea", "green hill", "white snow"],
            "second": ["dark wood", "cold wind", "long road", "old house"],
            "group": ["a", "b", "c", "d"],
            "first_published": [True, False, True, True],
            "published": [True, True, False, False],
        }
    )
    text = rows["first"].where(rows["first_published"], rows["second"])
    return Draw(0, rows.assign(text=text))


@pytest.fixture
def close(drawn):
    answers = pd.DataFrame(
        {
            "model": ["m"] * 4 + ["control"] * 4,
            "row": ["a", "b", "c", "d"] * 2,
            "draw": 0,
            "response": ["red stone", "cold wind", "nothing", "old house"] + ["red stone"] * 4,
        }
    )
    return trials.close(Statistic(Measure.ROUGE_L, Combine.MEAN), answers, drawn.rows)


def test_a_wording_twin_sees_the_preference_of_the_published_rows(close, drawn):
    got = trials.samples(Twin.WORDING, close[close["model"] == "m"], drawn)
    assert got.values.tolist() == [1.0, -1.0] and got.labels.tolist() == [True, False]


def test_a_private_twin_sees_how_close_every_row_is_to_what_would_be_published(close, drawn):
    got = trials.samples(Twin.PRIVATE, close[close["model"] == "m"], drawn)
    assert got.values.tolist() == [1.0, 1.0, 0.0, 0.0]
    assert got.labels.tolist() == [True, True, False, False]


def test_a_model_that_knows_is_found_in_every_order_and_one_that_does_not_in_few():
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.repeat([True, False], 20))
    noise = rng.normal(size=40)
    for kind in Twin:
        knows = seen(kind, noise + np.where(labels, 3.0, -3.0), labels)
        found = trials.in_orders(knows, 0.05, runs=10, seed=0)
        assert found.found == 1 and found.samples_to_find <= 20 and found.p < 0.001
        ignorant = seen(kind, noise, rng.permutation(labels))
        assert trials.in_orders(ignorant, 0.05, runs=10, seed=0).samples_to_find == np.inf


def test_a_summary_takes_draws_for_what_varies():
    tried = table(
        "kind model draw effect found samples_to_find",
        ("a", "m", 1, 0.0, 0.5, 20.0),
        ("a", "n", 1, 2.0, 1.0, np.inf),
        ("a", "m", 2, 3.0, 1.0, np.inf),
        ("b", "m", 1, 5.0, 0.0, 7.0),
        ("b", "n", 1, 4.0, 0.0, 7.0),
    )
    both, single = trials.summary(tried, ["kind"]).to_dict("records")
    # means of the draws 1 and 3; t with one degree of freedom: 12.706 x the standard error of 1
    assert (both["models"], both["effect"]) == (2, 2.0)
    assert (both["low"], both["high"]) == pytest.approx((2 - 12.7062, 2 + 12.7062), abs=1e-3)
    assert (both["found"], both["found_least"]) == (pytest.approx(2.5 / 3), 0.5)
    assert both["samples_to_find"] == np.inf
    assert (single["models"], single["effect"]) == (2, 4.5) and np.isnan(single["low"])


def test_a_trial_is_the_audits_own_test():
    one = seen(Twin.WORDING, np.arange(8), [1, 0, 1, 0, 1, 1, 0, 1])
    planned = looks.planned(8, 0.05, 1)
    assert (
        one.test(planned, 0, deals=255).p
        == trials.wording.test(one.values, one.labels, one.groups, planned, 0, 255).p
    )
