"""CSV as people write it: its separator is detected, and no quote swallows lines silently."""

import csv
import itertools
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Literal

from dsi_core.data.text import ReadOtherwise, tell_once
from dsi_core.settings.schema import Quotes

SEPARATORS = {",": "','", ";": "';'", "\t": "tab", "|": "'|'"}
SAMPLE = 2000  # lines that decide the separator
QUOTES_OF_TEXTS = "--quotes text if quotes are a text's own"
QUOTED = re.compile(r'"[^"]*"')


def records(
    file: IO[str], path: Path, *, separator: str | None = None, quotes: Quotes = Quotes.CHECKED
) -> Iterator[dict[str, str]]:
    """Read the rows of a CSV file by the names of its header; every value is text.

    Parameters
    ----------
    file
        Opened with newline="".
    separator
        None = the one of `SEPARATORS` with which rows have as many fields as the header.
    quotes
        What a quotation mark is; see `settings.schema.Quotes`.

    Raises
    ------
    ValueError
        With path and line for a row with more or fewer fields than the header, a quote that is not
        closed or takes rows into a field, and for two columns of one name.
    """
    csv.field_size_limit(sys.maxsize)
    head = list(itertools.islice(file, SAMPLE))
    for_excel = re.fullmatch(r'"?sep=(.)"?\s*', head[0]) if head else None
    if for_excel:
        separator = separator or for_excel[1]
        head = head[1:]
    separator = separator or _separator(head, path, quotes)
    spaced = bool(head) and 0 < head[0].count(separator) == head[0].count(f"{separator} ")
    lines = _Lines(itertools.chain(head, file), path, passed=1 if for_excel else 0)
    reader = csv.reader(
        lines, delimiter=separator, strict=True, skipinitialspace=spaced, quoting=_quoting(quotes)
    )
    names: list[str] = []
    rows, long, first_long = 0, 0, ""
    while True:
        lines.row = []
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise _quote(lines, str(error)) from None
        if row is None:
            break
        if len(row) < 2 and not "".join(row).strip():
            continue
        if not names:
            names = _names(row, path)
            continue
        if _stripped(row) == names:
            raise ValueError(
                f"{path}, line {lines.first}: the header comes again; take the line away "
                "(files that were joined?)"
            )
        if quotes is Quotes.CHECKED and len(lines.row) > 1:
            _refuse_swallowed(lines, separator, len(names), spaced)
        if len(row) != len(names):
            raise _fields(lines, row, names, separator)
        rows += 1
        if len(lines.row) > 1:
            first_long = first_long or f"lines {lines.first}-{lines.number}"
            long += 1
        yield dict(zip(names, row, strict=True))
    if long:
        tell_once(f"{path}: {long} of {rows} rows span several lines, the first: {first_long}")


class _Lines:
    """The lines of a file, with those of the row that is being read and their numbers."""

    def __init__(self, lines: Iterator[str], path: Path, passed: int):
        self.lines, self.path, self.number = lines, path, passed
        self.row: list[str] = []

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self.lines)
        self.number += 1
        if not self.row:  # files that were joined have such marks within
            line = line.removeprefix("\ufeff")
        if "\0" in line:
            raise ValueError(f"{self.path}, line {self.number}: holds a zero byte, needs text")
        self.row.append(line)
        return line

    @property
    def first(self) -> int:
        """The number of the row's first line."""
        return self.number - len(self.row) + 1

    @property
    def opening(self) -> int:
        """The number of the line whose quote is still open, or was last."""
        opened, found = False, 0
        for i, line in enumerate(self.row):
            if line.count('"') % 2:
                opened = not opened
                found = i if opened else found
        return self.first + found


def _quoting(quotes: Quotes) -> Literal[0, 3]:
    return csv.QUOTE_NONE if quotes is Quotes.TEXT else csv.QUOTE_MINIMAL


def _separator(head: list[str], path: Path, quotes: Quotes) -> str:
    """The separator with which most rows have as many fields as the header."""
    fits = []
    for separator in SEPARATORS:
        lines = head[:-1] if len(head) == SAMPLE else head  # the last row may go on
        reader = csv.reader(lines, delimiter=separator, quoting=_quoting(quotes))
        counts = [len(row) for row in reader if row]
        if counts and counts[0] > 1:
            alike = sum(count == counts[0] for count in counts) / len(counts)
            fits.append((alike, counts[0], separator))
    if not fits:
        return ","
    best = max(fits)
    also = [s for alike, count, s in fits if (alike, count) == best[:2]]
    if len(also) > 1:
        raise ReadOtherwise(
            f"{path}: could be separated by {' or '.join(SEPARATORS[s] for s in also)}",
            "save it as JSON Lines",
            "name it with --separator",
        )
    return best[2]


def _names(row: list[str], path: Path) -> list[str]:
    """The header's names; a column without one is called by its number."""
    names = _stripped(row)
    refuse_twice(names, path)
    return names


def _stripped(row: list[str]) -> list[str]:
    return [name.strip() or f"column {i}" for i, name in enumerate(row, start=1)]


def refuse_twice(names: list[str], path: Path) -> None:
    """Refuse two columns of one name: which of them was meant?"""
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(
            f"{path}: {names.count(twice[0])} columns are called {twice[0]!r}; "
            f"rename all but one (there are {', '.join(names)})"
        )


def _refuse_swallowed(lines: _Lines, separator: str, fields: int, spaced: bool) -> None:
    """Refuse a row whose every line looks like a row: a quote took the later ones into a field.

    In prose a separator stands before a space or at the end; between fields it does not.
    """

    def is_row(line: str) -> bool:
        closed, _, rest = line.partition('"')  # of further lines, what is in the open quote
        plain = QUOTED.sub("", line if line is shown[0] else closed + rest)
        as_in_prose = f"{separator} " in plain or plain.endswith(separator)
        as_in_prose |= line is not shown[0] and closed.endswith(separator)
        return plain.count(separator) == fields - 1 and (spaced or not as_in_prose)

    shown = [line.replace('""', "").rstrip("\r\n") for line in lines.row]
    shown = [line for line in shown if line.strip()]
    if len(shown) > 1 and fields > 1 and all(map(is_row, shown)):
        raise ReadOtherwise(
            f"{lines.path}, line {lines.opening}: a quote opens here, and {len(shown) - 1} more "
            f"line(s) up to line {lines.number} look like rows but are in its field",
            "take the quote away",
            f"give --quotes trusted if they are one field, {QUOTES_OF_TEXTS}",
        )


def _quote(lines: _Lines, why: str) -> ValueError:
    here = f"{lines.path}, line {lines.opening}"
    if "unexpected end" in why:
        return ReadOtherwise(
            f"{here}: a quote opens here and is not closed up to the end of the file",
            "take it away",
            f"give {QUOTES_OF_TEXTS}",
        )
    if "expected after" in why:
        return ReadOtherwise(
            f"{here}: a quote opens a field here, and after the quote that closes it, in line "
            f"{lines.number}, the field goes on",
            "write a quote within quotes twice",
            f"give {QUOTES_OF_TEXTS}",
        )
    return ValueError(f"{lines.path}, line {lines.number}: {why}")


def _fields(lines: _Lines, row: list[str], names: list[str], separator: str) -> ValueError:
    where = f"line {lines.first}" if len(lines.row) == 1 else f"lines {lines.first}-{lines.number}"
    return ReadOtherwise(
        f"{lines.path}, {where}: {len(row)} field(s), but the header has {len(names)} "
        f"({', '.join(names)}), separated by {SEPARATORS.get(separator, repr(separator))}",
        "quote fields that hold it",
        "name another with --separator",
    )
