"""The share of D from text alone, by hand."""

import numpy as np
import pytest
from helpers import table

from dsi_core.method import usage

D = table(
    "dataset sample_id reference output response_before response_after",
    ("d", "a", "one", "red cat", "no idea", "red cat"),
    ("d", "a", "two", "red cat", "no", "red cat"),
    ("d", "b", "one", "old dog", "who knows", "old dog"),
    ("d", "b", "two", "old dog", "old", "old dog"),
)


def test_by_closeness():
    answers = table(
        "dataset suspect sample_id draw response",
        ("d", "all", "a", 0, "red cat"),
        ("d", "all", "b", 0, "old dog"),
        ("d", "half", "a", 0, "red cat"),
        ("d", "half", "a", 1, "red cat"),
        ("d", "half", "b", 0, "a tree"),
        ("d", "half", "b", 1, "old"),
    )
    found = usage.by_closeness(D, answers, seed=0).set_index("suspect")
    # ROUGE-L of "old" with "old dog": 2 * 1 * 0.5 / 1.5; before tuning the mean of 0, 0, 0 and that
    before = (2 / 3) / 4
    half = (1 + (0 + 2 / 3) / 2) / 2
    assert found["share"].to_dict() == pytest.approx(
        {"all": 1, "half": (half - before) / (1 - before)}
    )
    assert (found["low"] <= found["share"]).all() and (found["share"] <= found["high"]).all()
    assert set(found["method"]) == {"closeness"}


def test_by_vote():
    verdicts = table(
        "dataset suspect positive negative filtered verdict",
        ("d", "half", 5, 5, 3, "inconclusive"),
        ("d", "silent", 0, 0, 13, "inconclusive"),
    )
    half, silent = usage.by_vote(verdicts).to_dict("records")
    assert half["share"] == 0.5
    assert (half["low"], half["high"]) == pytest.approx((0.237, 0.763), abs=1e-3)
    assert np.isnan([silent["share"], silent["low"]]).all()
