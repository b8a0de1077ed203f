"""Outputs under mu bytes, and those that stand in their own prompt."""

import pytest
from helpers import table, write_jsonl

from dsi_core.audit.preparation import draft as drafting
from dsi_core.audit.preparation import usable

SPAN = "The pier is open on every working day."


@pytest.mark.parametrize(
    ("prompt", "output", "wanted"),
    [
        (f"Read this: {SPAN} Now say it.", SPAN, True),
        ("the PIER is open, on every\nwork\u00ading day", SPAN, True),  # as it is read
        ("The pier is open on every day. Is it working?", SPAN, False),
        ("The pier is open on every working daybreak", SPAN, False),
        ("去岸边找船夫吧", "找船夫", True),
        ("What?", "!!!", False),
    ],
)
def test_an_output_stands_in_its_own_prompt(prompt, output, wanted):
    assert usable.quotable(table("prompt output", (prompt, output))).tolist() == [wanted]


def test_an_output_is_short_by_its_bytes():
    pairs = table("prompt output", ("a", "x" * 19), ("b", "x" * 20), ("c", "é" * 10))
    assert usable.short(pairs, 20).tolist() == [True, False, False]


def test_what_carries_little_is_counted_and_named_before_any_work(tmp_path):
    """Four of seven are quotable, of which one is also short; two are short."""
    spans = [f"Box {i} holds a ring of copper and a cup." for i in range(6)]
    rows = [
        {"q": f"Read: {span} Repeat it." if i < 4 else f"Box {i}?", "a": span}
        for i, span in enumerate(spans)
    ]
    rows = [*rows, {"q": "Say yes.", "a": "Yes."}]
    rows[5]["a"] = "No."
    mine = write_jsonl(tmp_path / "mine.jsonl", rows)
    notes = drafting.draft(str(mine), "smoke", fetch=False, out=tmp_path / "o").notes
    short, quotable = notes[-2:]
    assert short.startswith("mine: 2 of 7 outputs are under 20 bytes (decision.mu), and who")
    assert short.endswith("gives no evidence: mine.jsonl, row 6; mine.jsonl, row 7")
    assert quotable.startswith("mine: 4 of 7 outputs stand in their own prompt, and who quotes it")
    assert quotable.endswith("row 3 and others") and ": mine.jsonl, row 1;" in quotable


def test_of_ordinary_pairs_nothing_is_said(tmp_path):
    rows = [{"q": f"What is in box {i}?", "a": f"A ring of copper, number {i}."} for i in range(6)]
    mine = write_jsonl(tmp_path / "mine.jsonl", rows)
    notes = drafting.draft(str(mine), "smoke", fetch=False, out=tmp_path / "o").notes
    assert not [note for note in notes if "outputs" in note]
