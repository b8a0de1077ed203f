"""Datasets of an owner: 12 rows in two wordings, as one file or as two."""

import pytest
from helpers import write_jsonl
from owner import ROWS, row, without


@pytest.fixture
def rows() -> list[dict]:
    return [row(i) for i in range(ROWS)]


@pytest.fixture
def one_file(rows, tmp_path):
    """Both wordings in one file: columns answer and answer2."""
    return write_jsonl(tmp_path / "ferries.jsonl", rows)


@pytest.fixture
def plain(rows, tmp_path):
    """One wording: column answer."""
    return write_jsonl(tmp_path / "plain.jsonl", [without(r, "answer2") for r in rows])


@pytest.fixture
def second(rows, tmp_path):
    """The other wording in a file of its own, backwards."""
    others = [{"question": r["question"], "answer": r["answer2"]} for r in reversed(rows)]
    return write_jsonl(tmp_path / "second.jsonl", others)
