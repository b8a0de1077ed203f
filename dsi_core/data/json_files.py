"""JSON of records as people have it: a list, a record a line, or records one after another."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from dsi_core.data.text import tell_once

CHUNK = 1 << 20  # characters
NEARLY = 16  # an error so near to the end of what is read may be gone with the next characters
SPACE = re.compile(r"[ \t\n\r\ufeff]*")  # the last: files that were joined have it within
TRAILING = re.compile(r",\s*[}\]]\s*\Z")
# Names under which a single object is known to keep its records
WRAPPERS = ("data", "rows", "records", "examples", "instances", "items", "samples", "train")
AS_LINES = "write one record a line, or a list of records"


def records(file: IO[str], path: Path) -> Iterator[Any]:
    """Read the values of a file one by one, whatever its ending says.

    A list gives its members; an object that is alone in its file and keeps the records under one of
    `WRAPPERS` gives these, and a warning says so.

    Raises
    ------
    ValueError
        With path and line for what is no JSON, and for a name that an object has twice.
    """
    scan = _Scanner(file, path)
    if scan.next_character() == "[":
        yield from _members(scan)
        if scan.next_character():
            raise scan.wrong("more follows after the end of the list")
        return
    if not scan.next_character():
        return
    first = scan.value()
    if isinstance(first, dict) and not scan.next_character():
        yield from _inside(first, path)
        return
    yield first
    while mark := scan.next_character():
        if mark == ",":
            raise scan.wrong("a comma between records, but no brackets around them")
        yield scan.value()


def _members(scan: "_Scanner") -> Iterator[Any]:
    scan.at += 1
    if scan.next_character() == "]":
        scan.at += 1
        return
    while True:
        yield scan.value()
        mark = scan.next_character()
        if mark == "]":
            scan.at += 1
            return
        if mark != ",":
            raise scan.wrong("needs a comma or the end of the list")
        scan.at += 1
        if scan.next_character() == "]":
            raise scan.wrong("a comma before the end of the list")


def _inside(record: dict, path: Path) -> list:
    """The records that the only object of a file holds, or else itself."""
    values = list(record.values())
    if len(values) > 1 and (
        all(isinstance(v, list) and v and isinstance(v[0], str) for v in values)
        or all(isinstance(v, dict) and "0" in v for v in values)
    ):
        raise ValueError(
            f"{path}: holds columns ({', '.join(record)}), needs records; {AS_LINES} "
            "(pandas: to_json(path, orient='records', lines=True))"
        )
    lists = [name for name, value in record.items() if _of_records(value)]
    if not any(name.lower() in WRAPPERS for name in lists):
        return [record]
    if len(lists) > 1:
        raise ValueError(
            f"{path}: holds {len(lists)} lists of records, {', '.join(lists)}; "
            "write the one that is meant to a file of its own"
        )
    tell_once(f"{path}: its records are those of the field {lists[0]!r}")
    return record[lists[0]]


def _of_records(value: Any) -> bool:
    """Whether a value is a list of objects that are no messages of a conversation."""
    if not isinstance(value, list) or not value or not all(isinstance(v, dict) for v in value):
        return False
    return not {"role", "from"} & set(value[0])


class _Twice(Exception):
    """A name that an object has twice."""


def _object(members: list[tuple[str, Any]]) -> dict:
    found = dict(members)
    if len(found) < len(members):
        names = [name for name, _ in members]
        raise _Twice(next(name for name in names if names.count(name) > 1))
    return found


_DECODER = json.JSONDecoder(object_pairs_hook=_object)


class _Scanner:
    """Values of a text that is read in pieces; `at` is the place in the buffer."""

    def __init__(self, file: IO[str], path: Path):
        self.file, self.path = file, path
        self.buffer, self.at, self.line, self.ended = "", 0, 1, False

    def next_character(self) -> str:
        """Skip white space and give what stands there; "" at the end."""
        while True:
            found = SPACE.match(self.buffer, self.at)
            assert found is not None, "it matches nothing at all too"
            self.at = found.end()
            if self.at < len(self.buffer):
                return self.buffer[self.at]
            if not self._more():
                return ""

    def value(self) -> Any:
        """Give the value that begins here."""
        self.next_character()
        while True:
            try:
                value, end = _DECODER.raw_decode(self.buffer, self.at)
            except json.JSONDecodeError as error:
                may_go_on = (
                    error.pos > len(self.buffer) - NEARLY or "Unterminated string" in error.msg
                )
                after = error.pos - self.at  # reading on moves the buffer
                if not may_go_on or not self._more():
                    raise self._broken(error.msg, self.at + after) from None
            except _Twice as twice:
                raise self.wrong(f"the name {str(twice)!r} is there twice in one object") from None
            except RecursionError:
                raise self.wrong("is nested too deeply") from None
            except ValueError as error:  # a number of thousands of digits
                raise self.wrong(str(error).partition(";")[0]) from None
            else:
                if end < len(self.buffer) or not self._more():  # a number could go on
                    self.at = end
                    return value

    def _more(self) -> bool:
        """Read on; False at the end. What was passed is forgotten."""
        if self.ended:
            return False
        self.line += self.buffer.count("\n", 0, self.at)
        rest = self.buffer[self.at :]
        piece = self.file.read(max(CHUNK, len(rest)))
        self.ended = not piece
        self.buffer, self.at = rest + piece, 0
        return not self.ended

    def _broken(self, why: str, at: int) -> ValueError:
        if why.startswith("Invalid control character"):
            why = "a text goes on beyond the end of its line: a quote or the rest is missing"
        before = TRAILING.search(self.buffer, max(self.at, at - 200), at + 1)
        comma = before.start() if before else at  # from Python 3.13 on the comma is named itself
        if before or why.startswith("Illegal trailing comma"):
            return self.wrong("a comma before a closing bracket", comma)
        ends = not self.buffer[at:].strip()
        if at > self.at and (ends or self.buffer.startswith("\n{", at - 1)):
            return self.wrong(f"{why}: the record that begins here has no end")
        return self.wrong(why, at)

    def wrong(self, why: str, at: int | None = None) -> ValueError:
        """Say what is wrong, at a place of the buffer or here."""
        at = self.at if at is None else at
        line = self.line + self.buffer.count("\n", 0, at)
        begin = self.buffer.rfind("\n", 0, at) + 1
        text = self.buffer[begin:].split("\n", 1)[0]
        shown = text if len(text) <= 80 else "…" + text[max(0, at - begin - 40) :][:80]
        return ValueError(f"{self.path}, line {line}: not valid JSON ({why}): {shown!r}")
