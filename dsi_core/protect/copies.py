"""Columns that no coin touches, but that hold a text which one may keep back.

Texts are compared with HTML entities read and every run of white space as one space. A text of
`LONG` characters or more stands in a longer one by no chance; a shorter one (No, 42 crowns) does,
so that it counts only where a field, or an entry of a list in it, is nothing else.
"""

import html
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from dsi_core.protect.rows import Row

LONG = 20

Copies = dict[str, list[int]]  # a column -> in which rows


def of_wordings(rows: Iterable[Row], output: str | None) -> Copies:
    """Find rows where a column but `output` holds one of the row's two wordings, or both."""
    found = defaultdict(list)
    for i, row in enumerate(rows):
        wordings = [_plain(row.first), _plain(row.second or "")]
        for column, value in row.fields.items():
            if column != output and _holds(value, wordings):
                found[column].append(i)
    return dict(found)


def of_outputs(rows: Sequence[Row], columns: Sequence[str], units: Sequence[Any]) -> Copies:
    """Find rows where a column holds, as a whole text, the output of a row of another unit.

    Parameters
    ----------
    columns
        Where to look: those that are neither prompt nor output.
    units
        Of each row: rows of one unit are published together, or withheld.

    An output of several units is a stock phrase, and one shorter than `LONG` may be: not counted.
    """
    if not columns:
        return {}
    stock, unit_of = object(), dict[int, Any]()
    for row, unit in zip(rows, units, strict=True):
        text = _plain(row.first)
        if len(text) >= LONG and unit_of.setdefault(hash(text), unit) != unit:
            unit_of[hash(text)] = stock
    found = defaultdict(list)
    for i, (row, unit) in enumerate(zip(rows, units, strict=True)):
        for column in columns:
            texts = _texts(row.fields.get(column))
            if any(unit_of.get(hash(text), unit) not in (unit, stock) for text in texts):
                found[column].append(i)
    return dict(found)


def said(found: Copies, places: Sequence[str]) -> str:
    """Say which columns they are, and in how many rows. places: file and row of every row."""
    return "; ".join(
        f"{column!r} in {len(rows)} of {len(places)} rows (the first: {places[rows[0]]})"
        for column, rows in found.items()
    )


def _holds(value: Any, wordings: Iterable[str]) -> bool:
    texts = list(_texts(value))
    whole = " ".join(texts)
    return any(text in whole if len(text) >= LONG else text in texts for text in wordings)


def _texts(value: Any) -> Iterator[str]:
    """All texts in a field, however deep."""
    if isinstance(value, str):
        yield _plain(value)
    elif isinstance(value, dict):
        for entry in value.items():
            yield from _texts(entry)
    elif isinstance(value, list | tuple | np.ndarray):
        for one in value:
            yield from _texts(one)


def _plain(text: str) -> str:
    return " ".join(html.unescape(text).split())
