"""What grey-box methods come to: rates, p-values and verdicts worked out by hand."""

import numpy as np
import pandas as pd
import pytest
from helpers import table

from dsi_core.grey_box import dia, scoring, tables

TRUTH = {"dataset": "dozen", "group": "g", "member": True}


def test_rates_by_hand():
    one, other = np.array([3.0, 2.0, np.inf]), np.array([1.0, 2.0, 0.0, 2.5])
    assert tables.tpr(one, other, 0.05) == pytest.approx(2 / 3)
    assert tables.tpr(one, other, 0.25) == pytest.approx(2 / 3)
    assert tables.tpr(one, other, 0.5) == 1
    assert tables.tpr(other, other, 0.01) == 0


def test_groups_stand_side_by_side_and_innocents_on_either_side_of_a_half():
    measured = table(
        "view attack group member auc",
        ("answer", "zlib", "members", True, 0.9),
        ("answer", "zlib", "others", False, 0.6),
        ("answer", "zlib", "others", False, 0.7),
        ("answer", "loss", "members", True, 0.8),
        ("answer", "loss", "others", False, 0.5),
        ("answer", "loss", "others", False, 0.4),
    )
    shown = tables.side_by_side(tables.by_group(measured), measured)
    assert shown.columns.tolist() == [
        *("attack", "members", "others", "above 0.5", "at 0.5", "below 0.5"),
    ]
    assert shown.to_numpy().tolist() == [
        ["zlib", "0.90", "0.65 (0.60 to 0.70)", 2, 0, 0],
        ["loss", "0.80", "0.45 (0.40 to 0.50)", 0, 1, 1],
    ]


def test_measures_of_an_attack(run):
    named = {**TRUTH, "suspect": "s", "view": "answer", "attack": "loss"}
    sets = {"D": [1.0, 2, 3, 4], "validation": [0.0, 1.5, 0.5, -1, 0.2]}
    scores = [pd.DataFrame({**named, "part": p, "score": values}) for p, values in sets.items()]
    row = tables.measured(run, pd.concat(scores)).iloc[0]
    assert (row["samples"], row["validation"]) == (4, 5)
    assert row["auc"] == 19 / 20  # 1 is not above 1.5
    assert (row["low"], row["high"]) == pytest.approx((0.5525, 0.9960), abs=1e-4)  # Newcombe
    assert (row["tpr_at_1"], row["tpr_at_5"]) == (0.75, 0.75)
    assert row["p"] == pytest.approx(2 / 126)  # second best of C(9, 4) rankings
    # Means 2.5 and 0.24; squares about them 5 and 3.252, of 4 + 5 - 2 degrees of freedom
    assert row["d"] == pytest.approx(2.26 / np.sqrt(8.252 / 7))
    # Halves (0.5, 0.2) and (-1, 0, 1.5): four of six pairs; as many in 4 of C(5, 2) rankings
    assert row["p_control"] == pytest.approx(4 / 10)


# DIA


def test_dia_on_a_member_and_on_a_stranger(run, values_of, responses_of):
    rng = np.random.default_rng(0)
    suspects = ["llama-full", "llama-untuned"]
    noise = {
        (suspect, part, i): 0.3 * rng.normal()
        for suspect in suspects
        for part in ("D", "validation")
        for i in range(40)
    }
    values = values_of(
        {
            "llama-full": lambda part, version, i: (
                -3 + 1.5 * (part == "D") + noise["llama-full", part, i]
            ),
            "llama-untuned": lambda part, version, i: -3 + noise["llama-untuned", part, i],
            "reference llama": lambda part, version, i: -3.0,
        },
        samples=40,
    )
    scores = scoring.scores([run], values, responses_of(suspects))
    splits = tables.dataset_inference([run], values, scores)
    # Two suspects, two views, two kinds of features, three splits
    assert len(splits) == 2 * 2 * 2 * 3
    assert splits["seed"].unique().tolist() == [0, 1, 2]
    inferred = tables.over_splits(splits, 0.1).set_index(["suspect", "view", "features"])
    assert (inferred.loc["llama-full", "p"] < 0.001).all()
    assert (inferred.loc["llama-full", "verdict"] == "member").all()
    assert (inferred.loc["llama-untuned", "p"] > 0.02).all()
    assert (inferred["p_control"] > 0.02).all()
    again = tables.dataset_inference([run], values, scores)
    pd.testing.assert_frame_equal(again, splits)


def test_dia_sees_few_features_of_every_text_and_no_others(run, values_of, responses_of):
    """Its p-value is that of a test on the five attacks that every sample has, by hand."""
    rng = np.random.default_rng(1)
    levels = {(p, i): rng.normal() for p in ("D", "validation") for i in range(10)}
    values = values_of(
        {
            "llama-full": lambda part, version, i: -3 + levels[part, i],
            "reference llama": lambda part, version, i: -2.0,
        },
        samples=10,
    )
    scores = scoring.scores([run], values, responses_of(["llama-full"]))
    splits = tables.dataset_inference([run], values, scores)
    few = splits.query("view == 'answer' and features == 'few' and seed == 2").iloc[0]
    sets = {}
    for part in ("D", "validation"):
        mean = np.array([-3 + levels[part, i] for i in range(10)])
        low = mean - 0.3  # the smallest of three tokens
        sets[part] = np.column_stack([mean, low, (low + 2) / 0.5, mean + 2, mean / 21])
    expected = dia.test(sets["D"], sets["validation"], seed=2, ridge=1.0)
    assert (few["p"], few["d"]) == pytest.approx((expected.p, expected.d), rel=1e-3)


def test_over_splits_by_hand():
    splits = table(
        "p p_control d d_control",
        (0.01, 0.5, 1.0, 0.0),
        (0.06, 0.04, 2.0, 0.1),
        (0.2, 0.9, 3.0, 0.2),
    )
    splits = splits.assign(**TRUTH, suspect="s", view="answer", features="few", seed=range(3))
    row = tables.over_splits(splits, 0.1).iloc[0]
    assert row["verdict"] == "non-member"
    numbers = row.drop([*TRUTH, "suspect", "view", "features", "verdict"]).to_dict()
    assert numbers == pytest.approx(
        {
            "p": 0.06,
            "d": 2,
            "p_control": 0.5,
            "d_control": 0.1,
            "share_below_0.05": 1 / 3,
            "share_below_0.1": 2 / 3,
            "control_below_0.1": 1 / 3,
            "p_valid": 0.12,
        }
    )
    assert tables.over_splits(splits, 0.12).iloc[0]["verdict"] == "member"


# Beside the black box


def test_beside_and_tally_by_hand(run):
    suspects = table("suspect group member", ("m", "members", True), ("n", "others", False))
    suspects = suspects.assign(dataset="dozen")
    attacks = table(
        "view attack",
        ("answer", "loss"),
        ("text", "loss"),
        ("answer", "reference llama"),
        ("sampled", "CDD"),
    )
    measured = suspects.merge(attacks, how="cross")
    measured = measured.assign(p=[0.01, 0.9, 0.1, 0.6, 0.05, 0.9, 0.5, 0.5])
    inferred = suspects.assign(
        view="answer", features="few", p=0.0, p_valid=[0.02, 1.0], verdict=["member", "non-member"]
    )
    verdicts = suspects.assign(verdict=["non-member", "inconclusive"])
    beside = tables.beside(run, measured, inferred, verdicts)
    columns = ["method", "suspect", "p", "verdict", "correct"]
    assert beside[columns].fillna(-1).to_numpy().tolist() == [
        ["black-box dataset inference", "m", -1, "non-member", False],
        ["black-box dataset inference", "n", -1, "inconclusive", False],
        ["DIA (few)", "m", 0.02, "member", True],
        ["DIA (few)", "n", 1.0, "non-member", True],
        ["loss", "m", 0.01, "member", True],
        ["reference llama", "m", 0.1, "member", True],
        ["CDD", "m", 0.6, "non-member", False],
        ["loss", "n", 0.05, "member", False],
        ["reference llama", "n", 0.5, "non-member", True],
        ["CDD", "n", 0.5, "non-member", True],
    ]
    tally = tables.tally(run, beside).set_index("method")
    assert tally[["members", "others"]].to_dict("list") == {
        "members": ["0/1", "1/1", "1/1", "1/1", "0/1"],
        "others": ["0/1", "1/1", "0/1", "1/1", "1/1"],
    }
    assert tally["access"].to_dict() == {
        "black-box dataset inference": "text",
        "DIA (few)": "probabilities",
        "loss": "probabilities",
        "reference llama": "probabilities",
        "CDD": "text",
    }
    assert tally.loc["reference llama", "needs"] == (
        "the probability of every token of a given text, under a reference model too; "
        "pairs of D's own distribution that no model can have seen"
    )
