"""Innocent models under coins thrown anew, and somebody who tries until he finds."""

import numpy as np
import pandas as pd
import pytest
from helpers import table

from dsi_core.calibration import null
from dsi_core.calibration.null import Circumstance, Innocent


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
    assert counted["inside"].sum() >= 8 and (counted["share"] < 0.15).all()
    assert 0.02 < (tested["p"] <= 0.05).mean() < 0.07


def test_the_share_of_errors_and_its_band_by_hand():
    tested = pd.DataFrame(
        {"kind": "k", "circumstance": "c", "p": [0.005, 0.03, *[0.5] * 98], "model": "m"}
    )
    five, one = null.errors(tested).to_dict("records")
    assert (five["errors"], one["errors"]) == (2, 1)
    assert five["share"] == 0.02 and five["inside"] and one["inside"]
    # of 100 fair tests at 0.05, 95% have 1 to 10 errors
    assert (five["band_low"], five["band_high"]) == (pytest.approx(0.01), pytest.approx(0.10))


def test_whoever_reports_his_best_of_many_tries_accuses_more_and_who_shares_does_not():
    tested = pd.DataFrame(
        {"kind": "k", "model": "m", "coin": range(4), "p": [0.04, 0.5, 0.02, 0.6]}
    )
    one, two = null.accuser(tested, (1, 2)).to_dict("records")
    assert (one["accused"], one["shared"]) == (0.5, 0.5)
    assert (two["accused"], two["shared"]) == (1.0, 0.5)
