"""Eq. 1 on tables computed by hand."""

import pytest
from helpers import says, table

from dsi_core.method.tainted import gaps, tainted

COLUMNS = "dataset sample_id reference before after"


def test_the_weakest_reference_decides_strictly():
    scores = table(
        COLUMNS,
        ("d", "strong", "A", 0.00, 0.75),
        ("d", "strong", "B", 0.25, 1.00),  # gaps 0.75, 0.75
        ("d", "weak-B", "A", 0.00, 1.00),
        ("d", "weak-B", "B", 0.50, 0.625),  # 1.00, 0.125
        ("d", "exact", "A", 0.25, 0.50),
        ("d", "exact", "B", 0.25, 0.75),  # 0.25 = delta, 0.50
        ("d", "back", "A", 0.75, 0.50),
        ("d", "back", "B", 0.00, 1.00),
    )  # -0.25, 1.00
    found = tainted(scores, 0.25)
    assert found.columns.tolist() == ["dataset", "sample_id", "min_gap", "tainted"]
    assert found["sample_id"].tolist() == ["strong", "weak-B", "exact", "back"]
    assert found["min_gap"].tolist() == [0.75, 0.125, 0.25, -0.25]
    assert found["tainted"].tolist() == [True, False, False, False]
    assert tainted(scores, 0.249)["tainted"].tolist() == [True, False, True, False]
    assert tainted(scores, -1)["tainted"].all()


def test_a_reference_that_gave_no_text_is_no_evidence():
    """As where its server refuses a prompt: any text is closer to the oracle than none."""
    scores = table(
        f"{COLUMNS} response_before response_after",
        ("d", "both spoke", "A", 0.0, 0.75, "x", "y"),
        ("d", "none before", "A", -1.0, 0.75, "\u200b \u00ad", "y"),
        ("d", "none before, and little after", "A", 0.0, 0.5, "", "y"),
        ("d", "none after", "A", 0.75, -1.0, "x", ""),
        ("d", "none after what was worse", "A", -1.0, -0.5, "x", " "),
        ("d", "none at all", "A", -1.0, -1.0, "", ""),
    )
    found = tainted(scores, 0.25)
    assert found["min_gap"].tolist() == [0.75, 0.0, 0.0, -1.75, 0.0, 0.0]
    assert found["tainted"].tolist() == [True, *[False] * 5]


def test_datasets_are_kept_apart():
    """The same sample in two datasets: two rows, each with its own references."""
    scores = table(
        COLUMNS,
        ("one", "s", "A", 0.0, 0.5),
        ("one", "s", "B", 0.0, 0.25),
        ("two", "s", "A", 0.0, 0.125),
        ("two", "s", "C", 0.0, 0.75),
    )
    assert gaps(scores).values.tolist() == [["one", "s", 0.25], ["two", "s", 0.125]]


def test_order_of_rows_does_not_matter():
    scores = table(
        COLUMNS,
        ("d", "s", "A", 0.0, 0.5),
        ("d", "t", "B", 0.0, 0.25),
        ("d", "t", "A", 0.0, 0.75),
        ("d", "s", "B", 0.25, 0.5),
    )
    assert gaps(scores).values.tolist() == [["d", "s", 0.25], ["d", "t", 0.25]]


@pytest.mark.parametrize("after", [None, float("nan")])
def test_a_missing_reference_or_score_is_refused(after):
    """Without B, sample t would pass on A alone."""
    rows = [("d", "s", "A", 0.0, 0.5), ("d", "s", "B", 0.0, 0.5), ("d", "t", "A", 0.0, 0.9)]
    scores = table(COLUMNS, *rows, *([] if after is None else [("d", "t", "B", 0.0, after)]))
    with pytest.raises(ValueError) as error:
        tainted(scores, 0.3)
    says(error, "d", "sample t")
