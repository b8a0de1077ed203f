"""What scores say of a base: decisions, votes, and the choice of a method, by hand."""

import math

import pandas as pd
import pytest

from dsi_core.attribution import tables

BASES = ["a", "b", "c"]


@pytest.fixture(scope="module")
def rows(scored):
    return scored(
        ("x", "a", True, True, "D", [3, 2, 0]),
        ("x", "a", True, True, "other", [0, 4, 1]),
        ("y", "c", True, False, "D", [1, 1, 5]),
        ("y", "c", True, False, "other", [math.nan] * 3),
        ("z", "b", True, False, "D", [math.nan] * 3),
    )


def test_the_highest_mean_score_decides(rows):
    calls = tables.attributed(rows, BASES, ["model", "base"]).set_index("model")
    assert calls["attributed"].tolist()[:2] == ["b", "c"]
    assert pd.isna(calls.loc["z", "attributed"])
    assert calls["right"].tolist() == [False, True, False]
    assert calls["replies"].tolist() == [2, 2, 1]
    assert calls.loc["x", "margin"] == 3 - 1.5
    assert calls.loc["y", "margin"] == 4


def test_the_mean_of_the_scores_decides_not_most_of_them(scored):
    rows = scored(*[("x", "a", True, None, "D", pair) for pair in ([9, 0], [0, 1], [0, 1])])
    (call,) = tables.attributed(rows, ["a", "b"], ["model", "base"]).to_dict("records")
    assert (call["attributed"], call["margin"]) == ("a", pytest.approx(3 - 2 / 3))


def test_votes_are_shared_in_a_tie(scored):
    rows = scored(
        ("x", "a", True, True, "D", [3, 3, 0]),
        ("x", "a", True, True, "D", [1, 2, 0]),
        ("x", "a", True, True, "D", [math.nan] * 3),
    )
    assert tables.votes_of(rows, BASES).tolist() == [[0.5, 0.5, 0], [0, 1, 0], [0, 0, 0]]


def test_groups_and_votes(rows):
    groups = tables.groups_table(rows, BASES, "heuristics").set_index(["prompts", "models"])
    assert groups["correct"].to_dict() == {
        ("D", "members"): 1,
        ("other", "members"): 0,
        ("D", "non-members"): 1,
        ("other", "non-members"): 0,
    }
    assert groups["total"].tolist() == [1, 1, 2, 1]
    assert groups["chosen"].all()
    # Wilson for 1 of 2: (1/2 +- z sqrt(1/8 + z^2/16) ...) / (1 + z^2/2) with z = 1.96
    ends = groups.loc[("D", "non-members"), ["low", "high"]].tolist()
    assert ends == pytest.approx([0.0945, 0.9055], abs=1e-3)
    votes = tables.votes_table(rows, BASES, "heuristics").set_index(["model", "voted"])["share"]
    assert votes["x"].to_dict() == {"a": 0.5, "b": 0.5, "c": 0}
    assert votes["y"].tolist() == [0, 0, 0.5]


def test_mean_auroc_by_hand(scored):
    rows = scored(
        ("x", "a", True, None, "D", [3, 0]),
        ("x", "a", True, None, "D", [0, 1]),
        ("y", "b", True, None, "D", [5, 4]),
        ("y", "b", True, None, "D", [0, 9]),
    )
    # Less the row's mean, column a: 1.5, -0.5, 0.5, -4.5; of the four (a, b) pairs three are in
    # order; column b is its negative
    assert tables.mean_auroc(rows, ["a", "b"]) == 3 / 4
    assert math.isnan(tables.mean_auroc(rows[:2], ["a", "b"]))


def test_a_base_without_models_has_no_auroc_in_the_mean(scored):
    rows = scored(("x", "a", True, None, "D", [3, 0, 0]), ("y", "b", True, None, "D", [0, 3, 0]))
    assert tables.mean_auroc(rows, BASES) == 1.0


def test_permutations_do_not_reward_the_commoner_base(scored):
    """Always "a" for seven of a and one of b: 7 of 8 by any deal of the truths."""
    rows = [(f"m{i}", "b" if i == 7 else "a", True, None, "D", [1, 0]) for i in range(8)]
    held = [("a", "a", False, None, "D", [1, 0])]
    row = tables.methods_table(scored(*rows, *held), ["a", "b"], 0).iloc[0]
    assert (row["correct"], row["total"], row["p_permuted"]) == (7, 8, 1.0)
    assert row["p_binomial"] == pytest.approx((8 + 1) / 2**8)


def test_the_bases_choose_the_method(scored):
    def rows(method, level, split, model, *right):
        kept = scored(
            *[(model, "a", model != "a", None, "D", [1, 0] if ok else [0, 1]) for ok in right]
        )
        return kept.assign(method=method, level=level, split=split)

    def fold(method, one, two):
        return [rows(method, "k3", "fold 1", "a", *one), rows(method, "k3", "fold 2", "a", *two)]

    def tuned(method, level, ok):
        return [rows(method, level, "tuned", "t", ok)]

    parts = [
        *fold("TF-IDF words", [1, 1], [1, 1]),
        *tuned("TF-IDF words", "k3", 0),
        *fold("heuristics", [1, 1], [0, 0]),
        *tuned("heuristics", "k3", 1),
        *tuned("heuristics", "k2", 1),
        *fold("transformer", [1, 1], [1, 1]),
        *tuned("transformer", "k3", 1),
        *tuned("TF-IDF words, same prompt", "k3", 1),
    ]
    table = tables.methods_table(pd.concat(parts, ignore_index=True), ["a", "b"], 0)
    table = table.set_index(["method", "level"])
    assert table.index.tolist() == [
        ("TF-IDF words, same prompt", "k3"),
        ("heuristics", "k3"),
        ("TF-IDF words", "k3"),
        ("transformer", "k3"),
        ("heuristics", "k2"),
    ]
    # As good on the bases as the transformer, and simpler; wrong on t
    assert table.index[table["chosen"]].tolist() == [("TF-IDF words", "k3")]
    row = table.loc["TF-IDF words", "k3"]
    assert row[["cv_correct", "cv_total", "cv_replies"]].tolist() == [2, 2, 1.0]
    assert row[["correct", "total", "chance"]].tolist() == [0, 1, 0.5]
    assert (row["low"], row["high"]) == pytest.approx((0, 0.7935), abs=1e-3)  # z^2 / (1 + z^2)
    other = table.loc["heuristics", "k3"]
    assert other[["cv_correct", "cv_replies", "correct"]].tolist() == [1, 0.5, 1]
    assert table["p_binomial"].tolist() == [0.5, 0.5, 1.0, 0.5, 0.5]
    assert table.loc[("heuristics", "k2"), "knows"] == "bases, tuned models of other bases"
