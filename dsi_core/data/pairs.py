"""Step 1, data: input-output pairs from the hub, a file or a package, checked field by field."""

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd

from dsi_core.data import near_duplicates
from dsi_core.data.fields import field
from dsi_core.data.records import Record, Rows, sample_id, usable
from dsi_core.data.spool import Mapped, Spool
from dsi_core.runtime import store
from dsi_core.runtime.paths import ROOT
from dsi_core.settings.profile import Profile
from dsi_core.settings.schema import Data

COLUMNS = ["sample_id", "prompt", "output", "category"]
LARGE = 20_000_000  # characters of a source that is not used whole where a part is enough
BLOCK = 50_000  # pairs that are put into a table at once


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


def dataset(profile: Profile, name: str) -> Dataset:
    """Find the dataset that a profile calls `name`."""
    source = profile.data[name]
    other = None if source.apart_from is None else dataset(profile, source.apart_from)
    return Dataset(name, source, profile.seed, other)


def load_pairs(dataset: Dataset, *, sample: bool = True) -> pd.DataFrame:
    """Read the pairs of a dataset.

    Prompt = the non-empty prompt columns joined by a blank line, or the user's turns before the
    first answer. `rows` pairs are drawn at random (all with sample=False) and kept in file order;
    with `apart_from`, from what that dataset did not draw, less the near-duplicates of its pairs.
    With `shuffle_seed`, records are drawn before any is dropped, so that fewer than `rows` may be
    left; those that `leave_out` names, as too long, are also dropped after the draw. A source is
    read once, as a stream, and its pairs lie on disk (`Spool`), so that memory does not grow with
    the texts that are not drawn.

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
    also = np.isin(scan.ids, _numbers(taken)).sum()
    if also and origin(dataset.source) != origin(dataset.apart_from.source):  # no part of one draw
        pairs.attrs["dropped"][f"also in {beside}"] = int(also)
    pairs.attrs["dropped"][f"near-duplicates of {beside}"] = int(near.sum())
    if pairs.empty:
        raise ValueError(
            f"{scan.attrs['where']}: no pair left apart from {beside!r}, which holds {also:,} of "
            f"its {len(scan.ids):,} ({said_of(pairs.attrs['dropped'])})"
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


def sides(source: Data) -> str:
    """Say which columns hold prompt and output."""
    if source.conversations:
        return f"prompt and output from {source.conversations}"
    return f"prompt = {' + '.join(source.prompt)}, output = {source.output}"


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
    said = {"length": "by length (min_output_chars, max_output_chars)"}
    some = [f"{count:,} {said.get(why, why)}" for why, count in dropped.items() if count]
    return f"left out: {', '.join(some)}" if some else "none left out"


def unused(columns: Iterable[str], source: Data) -> list[str]:
    """Give the columns that no setting names."""
    named = {*source.prompt, *source.without, source.output, source.conversations}
    named |= {source.system, source.rejected, source.category}
    return [str(c) for c in columns if c not in named]


def untouched(dataset: Dataset, others: Sequence[Dataset]) -> pd.DataFrame:
    """Draw `rows` random pairs (or all) of a dataset that are in none of `others` of its source.

    Drawn at random from what the others left, as they were drawn, it is exchangeable with them.
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
    path = store.here(ROOT / source.path) if source.path else None
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
    rows, dropped = Rows(source), Counter[str]()
    kept, ids, characters, answers = Spool[tuple](), array("Q"), 0, 0
    for record, category in _within(rows, dropped):
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
        "unused": unused(rows.columns, source),
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


def _within(rows: Rows, dropped: Counter) -> Iterator[tuple[Record, Any]]:
    """The records that are pairs of a dataset, by length too, each with its category."""
    source = rows.source
    dropped.update({"empty": 0, "duplicates": 0, "length": 0})
    for record in usable(rows, dropped):
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
