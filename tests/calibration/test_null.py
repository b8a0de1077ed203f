"""Innocent models under coins thrown anew, and somebody who tries until he finds."""

import numpy as np
import pandas as pd
import pytest
from helpers import table

from dsi_core.calibration import null
from dsi_core.calibration.null import Circumstance, Innocent
from dsi_core.calibration.trials import Samples
from dsi_core.evidence.power import Twin
from dsi_core.runtime import progress


def test_an_innocent_models_values_come_from_its_closeness():
    nan = np.nan  # as `trials.close` has a row without a usable answer
    close = table(
        "model row first second", ("m", "b", 0.5, 0.25), ("m", "d", nan, nan), ("m", "a", 0.25, 0.5)
    )
    (model,) = null.innocents(close, pd.DataFrame({"row": ["a", "b", "c", "d"]}))
    assert model.wording.tolist() == [-0.25, 0.25] and model.private.tolist() == [0.25, 0.5]


def test_innocent_models_are_found_no_oftener_than_alpha():
    rng = np.random.default_rng(1)
    models = [Innocent(str(i), rng.normal(size=60), rng.beta(1, 3, 60)) for i in range(2)]
    tested = null.p_values(models, coins=60, samples=24, seed=0, deals=199)
    assert len(tested) == 2 * 2 * 60 * len(Circumstance)
    counted = null.errors(tested, (0.05,))
    assert (counted["tests"] == 120).all()
    # ten bands of 95%: one may be missed, none by far
    assert counted["not_above"].sum() >= 8 and (counted["share"] < 0.15).all()
    assert 0.02 < (tested["p"] <= 0.05).mean() < 0.07


def test_who_waits_for_coins_thrown_anew_sees_how_far_they_are(monkeypatch, capfd):
    monkeypatch.setenv(progress.VARIABLE, "lines")
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    models = [Innocent("base", np.arange(8.0), np.arange(8.0))]
    null.p_values(models, coins=2, samples=8, seed=0, circumstances=[Circumstance.FIXED], deals=9)
    assert "coins thrown anew for base, 100%" in capfd.readouterr().err


def test_the_share_of_errors_and_its_band_by_hand():
    tested = pd.DataFrame(
        {"kind": "k", "circumstance": "c", "p": [0.005, 0.03, *[0.5] * 98], "model": "m"}
    )
    five, one = null.errors(tested).to_dict("records")
    assert (five["errors"], one["errors"]) == (2, 1)
    assert five["share"] == 0.02 and five["not_above"] and one["not_above"]
    # of 100 fair tests at 0.05, 95% have 1 to 10 errors
    assert (five["band_low"], five["band_high"]) == (pytest.approx(0.01), pytest.approx(0.10))


def test_errors_are_told_in_the_order_of_the_tests():
    tested = pd.DataFrame({"kind": ["wording twin", "private twin"], "circumstance": "c", "p": 1.0})
    assert null.errors(tested, (0.05,))["kind"].tolist() == ["wording twin", "private twin"]


def test_whoever_reports_his_best_of_many_tries_accuses_more_and_who_shares_does_not():
    tested = pd.DataFrame(
        {"kind": "k", "model": "m", "coin": range(4), "p": [0.04, 0.5, 0.02, 0.6]}
    )
    one, two = null.accuser(tested, (1, 2)).to_dict("records")
    assert (one["accused"], one["shared"]) == (0.5, 0.5)
    assert (two["accused"], two["shared"]) == (1.0, 0.5)


def test_tries_are_made_on_one_model():
    """Three coins of each of two models are one series of two tries of each."""
    tested = pd.DataFrame(
        {"kind": "k", "model": list("aaabbb"), "coin": [0, 1, 2] * 2, "p": [1] * 3 + [0.01] * 3}
    )
    (two,) = null.accuser(tested, (2,)).to_dict("records")
    assert (two["accused"], two["shared"]) == (0.5, 0.5)


def thrown(circumstance, kind="private twin", size=60):
    """The values of an audit, and its samples under a coin thrown anew."""
    values = np.random.default_rng(0).normal(size=size)
    return values, null._thrown(Twin(kind), values, circumstance, np.random.default_rng(1))


def test_ties_are_of_one_decimal():
    values, seen = thrown(Circumstance.TIES)
    assert seen.values.tolist() == np.round(values, 1).tolist()
    assert thrown(Circumstance.FIXED)[1].values.tolist() == values.tolist()


def test_the_third_farthest_from_the_median_is_refused():
    values, seen = thrown(Circumstance.REFUSALS)
    refused, far = np.isnan(seen.values), np.abs(values - np.median(values))
    assert refused.sum() == 20 and far[refused].min() > far[~refused].max()
    assert seen.values[~refused].tolist() == values[~refused].tolist()


@pytest.mark.parametrize("kind", list(Twin))
def test_samples_of_a_document_are_alike_and_share_a_coin(kind):
    values, seen = thrown(Circumstance.DOCUMENTS, kind)
    documents = pd.DataFrame(vars(seen)).groupby("groups")
    assert sorted(seen.values) == sorted(values)
    assert documents.ngroups < 60 and documents.size().max() <= 6
    assert (documents["labels"].nunique() == 1).all()
    within, whole = documents["values"].std().mean(), seen.values.std()
    assert within < whole / 4
    assert len(np.unique(thrown(Circumstance.LOOKS, kind)[1].groups)) == 60


def test_half_of_a_private_twin_is_published_and_wordings_fall_as_they_may():
    def first(kind):
        rng, values = np.random.default_rng(0), np.zeros(60)
        coins = [null._thrown(kind, values, Circumstance.FIXED, rng) for _ in range(9)]
        return {int(seen.labels.sum()) for seen in coins}

    assert first(Twin.PRIVATE) == {30} and len(first(Twin.WORDING)) > 1


def test_one_look_is_fixed_and_the_others_are_many(monkeypatch):
    counts, test = [], Samples.test

    def counted(seen, planned, *rest):
        counts.append(len(planned.after))
        return test(seen, planned, *rest)

    monkeypatch.setattr(Samples, "test", counted)
    values = np.random.default_rng(0).normal(size=24)
    null.p_values([Innocent("m", values, values)], coins=1, samples=24, seed=0, deals=19)
    one, *more = np.reshape(counts, (len(Circumstance), len(Twin))).tolist()
    assert one == [1, 1] and all(min(pair) > 1 for pair in more)
