"""Blind ratings: nobody sees whose an answer is, all are kept, agreement by hand."""

import math

import pandas as pd
import pytest
from helpers import says, table

from dsi_core.imitation import ratings
from dsi_core.imitation.ratings import Agreement


@pytest.fixture
def scores():
    rows = [
        (m, f"s{i}", "songs", f"sing {i}", f"target {i}", f"{m} {i}")
        for m in ("alpha", "beta")
        for i in range(4)
    ]
    return table("model sample_id category instruction answer response", *rows)


@pytest.fixture
def sheet(scores, empty_store):
    return ratings.sheet(scores, 3, 0)


def test_the_sheet_holds_every_model_and_the_target(scores, sheet):
    assert len(sheet) == 9
    assert sheet["item"].is_unique
    assert sheet["instruction"].nunique() == 3
    assert sheet["model"].value_counts().to_dict() == {"alpha": 3, "beta": 3, "the target": 3}
    assert all(
        r.response == f"{r.model.removeprefix('the ')} {r.instruction[-1]}"
        for r in sheet.itertuples()
    )
    again, other = ratings.sheet(scores, 3, 0), ratings.sheet(scores, 3, 1)
    pd.testing.assert_frame_equal(again, sheet)
    assert other["model"].tolist() != sheet["model"].tolist()  # another order
    assert sheet["model"].tolist() != sorted(sheet["model"])
    assert len(ratings.sheet(scores, 99, 0)) == 12


def test_ratings_are_kept_and_the_last_one_counts(sheet):
    first, second = sheet["item"][:2]
    for rater, item, rating in (
        ("Ann", first, 2),
        ("ben_2", first, 5),
        ("Ann", second, 3),
        ("Ann", first, 4),
    ):
        ratings.rate(sheet, rater, item, rating)
    assert ratings.read(sheet).values.tolist() == [
        ["Ann", second, 3],
        ["Ann", first, 4],
        ["ben_2", first, 5],
    ]
    assert sorted(p.name for p in ratings.folder(sheet).glob("*.jsonl")) == [
        "Ann.jsonl",
        "ben_2.jsonl",
    ]
    lines = (ratings.folder(sheet) / "Ann.jsonl").read_text().splitlines()
    assert len(lines) == 3  # what was replaced is still there


def test_another_sheet_has_other_ratings(scores, sheet):
    ratings.rate(sheet, "Ann", sheet["item"][0], 2)
    other = ratings.sheet(scores, 3, 5)
    assert len(ratings.read(other)) == 0


@pytest.mark.parametrize(
    "rater, item, rating, parts",
    [
        ("", 0, 3, ["rater ''", "letters"]),
        ("../me", 0, 3, ["'../me'"]),
        ("Ann", "nothing", 3, ["'nothing'", "not on the sheet"]),
        ("Ann", 0, 0, ["rating 0", "1 to 5"]),
        ("Ann", 0, 6, ["rating 6"]),
        ("Ann", 0, 2.5, ["rating 2.5"]),
    ],
)
def test_what_is_no_rating_is_refused(sheet, rater, item, rating, parts):
    with pytest.raises(ValueError) as error:
        ratings.rate(sheet, rater, sheet["item"][item] if item == 0 else item, rating)
    says(error, *parts)
    assert not len(ratings.read(sheet))


@pytest.mark.parametrize(
    "line",
    [
        "half a li",
        '{"item": "x"}',
        "[]",
        '{"item": "x", "rating": 3}',
        '{"item": ["ITEM"], "rating": 3}',
        '{"item": "ITEM", "rating": "3"}',
        '{"item": "ITEM", "rating": 9}',
    ],
)
def test_a_broken_file_is_named(sheet, line):
    ratings.rate(sheet, "Ann", sheet["item"][0], 3)
    with open(ratings.folder(sheet) / "Ann.jsonl", "a") as file:
        file.write(line.replace("ITEM", sheet["item"][1]) + "\n")
    with pytest.raises(ValueError) as error:
        ratings.read(sheet)
    says(error, "Ann.jsonl, line 2")


def test_means_of_each_model(sheet):
    items = sheet.groupby("model")["item"].apply(list)
    for rater, model, number, rating in (
        ("Ann", "alpha", 0, 2),
        ("Ann", "alpha", 1, 5),
        ("Ben", "alpha", 0, 5),
        ("Ben", "the target", 2, 1),
    ):
        ratings.rate(sheet, rater, items[model][number], rating)
    means = ratings.means(sheet, ratings.read(sheet)).set_index("model")
    assert means.loc["alpha"].tolist() == [3, 3, 2, 4.0]
    assert means.loc["the target"].tolist() == [3, 1, 1, 1.0]
    assert means.loc["beta", ["items", "ratings", "raters"]].tolist() == [3, 0, 0]
    assert math.isnan(means.loc["beta", "mean"])


def rated(*rows):
    return table("rater item rating", *rows)


def test_agreement_by_hand():
    """Of three items two agree; between two values the ordinal difference is one constant.

    So alpha = 1 - (2/6) / (2 * 3 * 3 / (6 * 5)) = 4/9.
    """
    two = rated(
        ("A", "x", 1),
        ("B", "x", 1),
        ("A", "y", 2),
        ("B", "y", 2),
        ("A", "z", 1),
        ("B", "z", 2),
        ("A", "alone", 5),
    )
    assert ratings.agreement(two) == Agreement(2, 3, pytest.approx(4 / 9))
    same = rated(*[(r, i, s) for r in "ABC" for i, s in (("x", 1), ("y", 3), ("z", 5))])
    assert ratings.agreement(same) == Agreement(3, 3, pytest.approx(1.0))
    near = rated(
        ("A", "x", 1), ("B", "x", 2), ("A", "y", 4), ("B", "y", 5), ("A", "z", 2), ("B", "z", 1)
    )
    far = rated(
        ("A", "x", 1), ("B", "x", 5), ("A", "y", 4), ("B", "y", 1), ("A", "z", 2), ("B", "z", 2)
    )
    assert ratings.agreement(near).alpha > 0 > ratings.agreement(far).alpha


@pytest.mark.parametrize(
    "rows, raters, items",
    [
        ([], 0, 0),
        ([("A", "x", 1), ("A", "y", 2)], 1, 0),
        ([("A", "x", 1), ("B", "y", 2)], 2, 0),
        ([("A", "x", 3), ("B", "x", 3)], 2, 1),
    ],
)
def test_no_agreement_without_something_to_compare(rows, raters, items):
    agreement = ratings.agreement(rated(*rows))
    assert (agreement.raters, agreement.items) == (raters, items)
    assert math.isnan(agreement.alpha)
    assert "nan" not in str(agreement)


def test_an_agreement_says_who_agrees():
    assert str(Agreement(2, 14, 0.444)) == "alpha 0.44 of 2 raters on 14 answers"
