"""The samples of §4 are chosen by a rule, and their texts are cut and compared."""

import pandas as pd
from helpers import table

from dsi_core.paper import observations

SCORES = table(
    "sample_id gap raw_before",
    ("b", 0.5, 0.9),
    ("a", 0.5, 0.1),
    ("c", 0.1, 0.9),
    ("d", 0.2, 0.2),
)


def test_the_most_changed_sample_has_the_largest_gap_then_the_lowest_id():
    assert observations.most_changed(SCORES)["sample_id"].tolist() == ["a"]


def test_the_closest_sample_before_tuning_has_the_largest_score_then_the_lowest_id():
    assert observations.already_close(SCORES)["sample_id"].tolist() == ["b"]


ROW = pd.DataFrame(
    [
        {
            "reference": "R",
            "prompt": "Who? ",
            "output": "The cat.",
            "response_before": "",
            "response_after": "the dog.",
            "raw_before": 0.123,
            "raw_after": 0.875,
        }
    ]
)


def test_texts_are_cut_and_words_shared_with_the_oracle_marked():
    table = observations.side_by_side(ROW)
    after = "R after tuning on D (raw similarity 0.88)"
    before = "R before tuning on D (raw similarity 0.12)"
    assert table["part"].unique().tolist() == ["Prompt", "Oracle output", before, after]
    parts = {
        part: rows[["piece", "shared"]].values.tolist() for part, rows in table.groupby("part")
    }
    assert parts["Prompt"] == [["Who", False], ["?", False], [" ", False]]
    assert parts["Oracle output"] == [["The", False], [" ", False], ["cat", False], [".", False]]
    assert parts[before] == [["", False]]
    assert parts[after] == [["the", True], [" ", False], ["dog", False], [".", True]]


def test_without_the_response_after_tuning():
    parts = observations.side_by_side(ROW, with_after=False)["part"].unique()
    assert parts.tolist() == [
        "Prompt",
        "Oracle output",
        "R before tuning on D (raw similarity 0.12)",
    ]


def test_losses_are_means_over_each_epoch():
    steps = table(
        "model_id epoch loss",
        *[
            ("R^t b", epoch, loss)
            for epoch, loss in ((0.5, 4.0), (1.0, 2.0), (1.5, 1.0), (2.0, 0.0))
        ],
        ("R^t a", 1.0, 7.0),
    ).assign(dataset="D")
    steps.loc[3, "dataset"] = "another"
    per_epoch = observations.loss_per_epoch(steps)
    assert list(per_epoch) == ["dataset", "model_id", "epoch", "loss"]
    assert per_epoch.values.tolist() == [
        ["D", "R^t b", 1, 3.0],
        ["D", "R^t b", 2, 1.0],
        ["another", "R^t b", 2, 0.0],
        ["D", "R^t a", 1, 7.0],
    ]
