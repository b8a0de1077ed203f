"""Texts that a coin may keep back, and that stand elsewhere in what is published.

Texts are compared by their words, as they are read (`texts`). A long one (`texts.LONG`) stands in
another field of its own row by no chance; a shorter one (No, 42 crowns) does, so that it counts
only where a field, or an entry of a list in it, is nothing else. In other rows a text counts where
`standing` finds it.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from dsi_core.protect import standing
from dsi_core.protect.rows import Row
from dsi_core.protect.texts import is_long, plain, spaced, words

PROMPT, OUTPUT = "the prompt", "the output"
FIRST, SECOND = "the first wording", "the second wording"


class Copy(NamedTuple):
    """A text of row `of` that stands in row `row`; where: in which of its fields, in words."""

    where: str
    row: int
    of: int


def of_own(rows: Iterable[Row], output: str | None) -> list[Copy]:
    """Find rows where a column but `output` holds one of the row's two wordings, or both."""
    found = []
    for i, row in enumerate(rows):
        wordings = [(text, words(text)) for text in (row.first, row.second or "")]
        for column, value in row.fields.items():
            if column != output and _holds(value, wordings):
                found.append(Copy(_column(column), i, i))
    return found


def in_own_prompt(rows: Iterable[Row]) -> list[int]:
    """Find rows whose prompt holds their own output, if that is long."""
    found = []
    for i, row in enumerate(rows):
        output = words(row.first)
        if is_long(output) and spaced(output) in spaced(words(row.prompt)):
            found.append(i)
    return found


def of_outputs(
    rows: Sequence[Row], kept: Sequence[int] | None = None, shown: Sequence[int] | None = None
) -> list[Copy]:
    """Find rows that hold the output of another one, in any of their fields.

    Parameters
    ----------
    kept
        Places of the rows whose outputs are looked for; None = all. Of equal outputs the first one
        is named.
    shown
        Places of the rows that are looked through; None = all.
    """
    kept, shown = (range(len(rows)) if places is None else places for places in (kept, shown))
    texts = ((Copy(where, i, i), words(text)) for i in shown for where, text in _fields(rows[i]))
    found = standing.find((words(rows[i].first) for i in kept), texts)
    return _others(copy._replace(of=kept[place]) for copy, place in found)


def of_wordings(rows: Sequence[Row], output: str | None) -> tuple[list[Copy], list[Copy]]:
    """Find rows that hold a wording of another one.

    Parameters
    ----------
    output
        The column in which a wording is published.

    Returns
    -------
    alike
        Rows one of whose wordings holds another row's of the same side: both are published or
        neither is, if the rows share a coin.
    open
        Those that hold one whatever the coin says: in a field that no coin touches, or in the other
        wording.
    """
    sides = (FIRST, SECOND)
    sought = (words(text) for row in rows for text in (row.first, row.second or ""))
    texts = (
        (Copy(where, i, i), words(text))
        for i, row in enumerate(rows)
        for where, text in [
            *_fields(row, without=output),
            *zip(sides, (row.first, row.second or ""), strict=True),
        ]
    )
    alike, there = list[Copy](), list[Copy]()
    for copy, place in standing.find(sought, texts):
        same = copy.where == sides[place % 2]
        (alike if same else there).append(copy._replace(of=place // 2))
    return _others(alike), _others(there)


def said(found: Sequence[Copy], places: Sequence[str]) -> str:
    """Say in which fields texts stand, and in how many rows. places: file and row of every row."""
    by_field = defaultdict(list)
    for copy in found:
        by_field[copy.where].append(copy)
    lines = [
        f"{where} of {len({copy.row for copy in those})} of {len(places)} rows "
        f"(the first: {_first(those[0], places)})"
        for where, those in by_field.items()
    ]
    of_others = Counter(copy.of for copy in found if copy.of != copy.row)
    for most, count in of_others.most_common(1):
        if count > 1:
            lines.append(f"that of {places[most]} in {count} rows")
    return "; ".join(lines)


def _first(copy: Copy, places: Sequence[str]) -> str:
    own = copy.row == copy.of
    return places[copy.row] + ("" if own else f", which holds that of {places[copy.of]}")


def _others(found: Iterable[Copy]) -> list[Copy]:
    """Those of two rows, each two once: by the first field."""
    first = {(copy.row, copy.of): copy for copy in reversed([c for c in found if c.row != c.of])}
    return sorted(first.values(), key=lambda copy: (copy.row, copy.of))


def _fields(row: Row, without: str | None = None) -> Iterator[tuple[str, str]]:
    """All texts of a row as it is published, each once, and where it stands.

    without: the column in which a coin chooses what is published; then there is no output, either.
    """
    texts = {row.prompt: PROMPT} | ({row.first: OUTPUT} if without is None else {})
    for column, value in row.fields.items():
        if column != without:
            for text in _texts(value):
                texts.setdefault(text, _column(column))
    return ((where, text) for text, where in texts.items())


def _column(name: str) -> str:
    return f"column {name!r}"


def _holds(value: Any, wordings: Sequence[tuple[str, list[str]]]) -> bool:
    """Whether a field holds one of some texts, each with its words."""
    texts = list(_texts(value))
    whole = spaced(words(" ".join(texts)))
    short = {plain(text) for text in texts} - {""}
    return any(
        spaced(found) in whole if is_long(found) else plain(text) in short
        for text, found in wordings
    )


def _texts(value: Any) -> Iterator[str]:
    """All texts in a field, however deep."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for entry in value.items():
            yield from _texts(entry)
    elif isinstance(value, list | tuple | np.ndarray):
        for one in value:
            yield from _texts(one)
