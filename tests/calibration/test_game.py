"""Hits of the coin game: rows where an answer is closer to what a coin published."""

import pandas as pd
from helpers import table

from dsi_core.calibration import game
from dsi_core.calibration.calibrated import Calibrated
from dsi_core.calibration.draws import Draw

ROWS = table(
    "row prompt first second group first_published published",
    ("a", "1", "red stones lie here", "dark wood burns there", "a", True, True),
    ("b", "2", "blue sea is calm", "cold wind blows hard", "b", False, True),
    ("c", "3", "green hill is steep", "long road goes on", "c", True, True),
    ("d", "4", "white snow melts soon", "old house falls down", "c", True, True),
    ("e", "5", "one", "two", "e", True, False),
)
MODELS = table(
    "model kind of_draw",
    ("knows", "weak member", 1),
    ("of another draw", "weak member", 2),
    ("likes the first", "innocent", None),
    ("refused one", "innocent", None),
    ("was asked half", "innocent", None),
    ("says nothing", "innocent", None),
)


def said(model: str, **responses: str) -> pd.DataFrame:
    rows = [(model, row, 0, response) for row, response in responses.items()]
    return pd.DataFrame(rows, columns=["model", "row", "draw", "response"])


def test_hits_are_rows_whose_answer_is_closer_to_what_was_published():
    texts = ROWS.set_index("row")
    first = {row: texts.loc[row, "first"] for row in "abcd"}
    answers = pd.concat(
        [
            said("knows", **{**first, "b": texts.loc["b", "second"]}),
            said("likes the first", **first),
            said("refused one", **{row: first[row] for row in "abd"}),
            said("was asked half", a=first["a"], b=first["b"]),
            said("says nothing", **dict.fromkeys("abcd", "zzzzzzzzzzzz")),
        ]
    )
    run = Calibrated(None, None, {1: Draw(1, ROWS)}, MODELS, answers, answers)
    counted = game.hits(run, 1).set_index("model")
    # d shares c's coin: one toss
    assert counted[["samples", "hits"]].to_dict("index") == {
        "knows": {"samples": 3, "hits": 3},
        "likes the first": {"samples": 3, "hits": 2},
        "refused one": {"samples": 2, "hits": 1},  # c's coin is that of the refused one
        "says nothing": {"samples": 0, "hits": 0},
    }
    assert counted["kind"].tolist() == ["weak member", *["innocent"] * 3]
