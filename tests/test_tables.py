"""Metrics and tables against counts made by hand."""

import pandas as pd
import pytest

from dsi_core import tables


def judged(*rows):
    return pd.DataFrame(rows, columns=["dataset", "group", "member", "verdict"]).assign(
        correct=lambda t: t["verdict"] == t["member"].map({True: "member", False: "non-member"}))


def test_recall_precision_f1_by_hand():
    table = judged(("d", "m", True, "member"), ("d", "m", True, "member"), ("d", "m", True, "non-member"), ("d", "m", True, "inconclusive"),
                   ("d", "n", False, "member"), ("d", "n", False, "non-member"), ("d", "n", False, "inconclusive"))
    # TP 2, FN 2 (the inconclusive one too), FP 1: recall 2/4, precision 2/3, F1 = 2*50*66.67/116.67
    assert tables.scores_of(table) == {"recall": 50.0, "precision": 66.7, "f1": 57.1}
    rows = tables.table6(table)
    assert rows[["group", "correct", "total"]].values.tolist() == [["m", 2, 4], ["n", 1, 3]]


def test_undefined_is_nan():
    scores = tables.scores_of(judged(("d", "m", True, "non-member")))
    assert scores["recall"] == 0.0 and pd.isna(scores["precision"]) and pd.isna(scores["f1"])
    assert pd.isna(tables.scores_of(judged(("d", "n", False, "non-member")))["recall"])


def test_copies_by_category_by_hand(smoke):
    from dsi_core.study import Study

    categories = ["a"] * 3 + ["b"] * 2 + ["c"] * 2 + ["d"] * 2 + ["e", "f", None]
    scores = pd.DataFrame({"dataset": "d", "reference": "r", "category": categories, "raw_after": [0.96, 0.95, 0.2] + [0.99] * 9})
    table = tables.copies(Study(smoke, scores), scores, "after").set_index("category")
    assert table.loc["a", ["total", "tainted"]].tolist() == [3, 1]  # 0.95 itself is not over 0.95
    assert table.loc["other (3 categories)", ["total", "tainted"]].tolist() == [3, 3]  # e, f and "(no category)"
    assert table.loc["all", ["total", "tainted", "share"]].tolist() == [12, 10, 0.833]


@pytest.mark.parametrize("item", ["table1", "table2", "table6", "table8"])
def test_the_papers_rows_are_marked_as_theirs(item):
    both = tables.beside_paper(pd.DataFrame({"dataset": ["ours"], "total": [1]}), item)
    assert both["from"].tolist()[0] == "this run" and both["from"].iloc[1:].str.contains("Zhou et al.").all()
    assert len(both) == 1 + len(tables.reported(item))
