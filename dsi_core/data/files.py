"""Files of records: JSON, JSONL, CSV, Parquet and dialogue YAML."""

import json
from pathlib import Path

import pandas as pd
import yaml

FORMATS = (".json", ".jsonl", ".csv", ".parquet", ".yml")


def read_file(path: Path) -> list:
    """Read the records of a file, one for each row, object or dialogue.

    Returns
    -------
    list
        Of dicts by column; dialogues (`.yml`) have one column "conversations". Values are as the
        file has them, but for CSV and YAML, whose every value is text.

    Raises
    ------
    ValueError
        For an unknown format, a missing file, or one that cannot be read: with path, line, reason.
    """
    if path.suffix not in FORMATS:
        raise ValueError(
            f"{path}: format {path.suffix!r} is not known; allowed: {', '.join(FORMATS)}"
        )
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    if path.suffix == ".jsonl":
        return _json_lines(path)
    try:
        return _READERS[path.suffix](path)
    except (ValueError, TypeError, KeyError, OSError, yaml.YAMLError) as error:
        # the errors of JSON, CSV and Arrow are ValueErrors
        raise ValueError(f"{path}: cannot be read as {path.suffix[1:]}: {error}") from None


def _json(path: Path) -> list:
    records = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(records, list):
        raise ValueError(f"is a JSON {type(records).__name__}, needs a list of objects")
    return records


def _csv(path: Path) -> list:
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    if not isinstance(table.index, pd.RangeIndex):  # pandas took the first field for a row name
        raise ValueError(
            f"rows have more fields than the header's {len(table.columns)}; "
            "quote fields that hold commas"
        )
    return table.to_dict("records")


def _parquet(path: Path) -> list:
    return pd.read_parquet(path).to_dict("records")


def _dialogues(path: Path) -> list:
    # BaseLoader: every scalar is text, so that an answer "Yes" does not become True
    read = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
    return [{"conversations": turns} for turns in read["conversations"]]


_READERS = {".json": _json, ".csv": _csv, ".parquet": _parquet, ".yml": _dialogues}


def _json_lines(path: Path) -> list:
    try:
        text = path.read_text(encoding="utf-8")
    except (ValueError, OSError) as error:
        raise ValueError(f"{path}: cannot be read as jsonl: {error}") from None
    records = []
    for number, line in enumerate(text.split("\n"), start=1):  # U+2028 may stand in a string
        if not line.strip():
            continue
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError as error:
            raise ValueError(
                f"{path}, line {number}: not valid JSON ({error}): {line[:80]!r}"
            ) from None
    return records
