"""Files of records: JSON, CSV, Parquet and dialogue YAML, packed or not."""

import lzma
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from dsi_core.data import csv_files, json_files, text
from dsi_core.runtime import unique_keys
from dsi_core.runtime.environment import one_line
from dsi_core.settings.schema import Quotes

FORMATS = {  # ending, in any case -> format; JSON and JSON Lines are told apart by content
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
    ".yml": "yaml",
    ".yaml": "yaml",
}
SHEETS = (".xlsx", ".xlsm", ".xls", ".ods", ".numbers")
TABLES = {  # ending -> what reads it, to be written as Parquet
    ".feather": "pandas.read_feather(file)",
    ".arrow": "datasets.Dataset.from_file(file)",
    ".orc": "pandas.read_orc(file)",
    ".pkl": "pandas.read_pickle(file)",
    ".pickle": "pandas.read_pickle(file)",
}
ARCHIVES = (".zip", ".7z", ".rar", ".tar", ".tgz")
LOADER = unique_keys.of(yaml.BaseLoader)  # every value is text: an answer "Yes" is not True
UNREADABLE = (OSError, EOFError, zlib.error, lzma.LZMAError)  # a file that is gone or damaged
BATCH = 1024  # rows of a Parquet file that are read at a time


@dataclass(frozen=True)
class Reading:
    """How a file of text is read, where its content does not say it.

    Parameters
    ----------
    encoding
        None = UTF-8, or as a byte-order mark says.
    separator
        Of CSV; None = found.
    quotes
        Of CSV.
    """

    encoding: str | None = None
    separator: str | None = None
    quotes: Quotes = Quotes.CHECKED


PLAIN = Reading()


def read_file(path: Path, reading: Reading = PLAIN) -> list:
    """Read all `records` of a file."""
    return list(records(path, reading))


def records(path: Path, reading: Reading = PLAIN) -> Iterator[Any]:
    """Read the records of a file, one for each row, object or dialogue; never all at once.

    Yields
    ------
    dict
        By column (or what else a JSON file holds); dialogues (YAML) have one column
        "conversations". Values are as the file has them; in CSV and YAML every value is text.

    Raises
    ------
    ValueError
        For an unknown format, a missing file, or one that cannot be read: with path, line, reason.
    """
    kind = _kind(path)
    try:
        if kind == "parquet":
            yield from _parquet(path)
            return
        newline = "" if kind == "csv" else None
        with text.opened(path, reading.encoding, newline) as file:
            if kind == "json":
                yield from json_files.records(file, path)
            elif kind == "csv":
                yield from csv_files.records(
                    file, path, separator=reading.separator, quotes=reading.quotes
                )
            else:
                yield from _dialogues(file, path)
    except (*UNREADABLE, yaml.YAMLError, pa.ArrowException) as e:
        why = one_line(e)
        raise ValueError(f"{path}: cannot be read as {kind}: {why}") from None


def is_csv(path: Path) -> bool:
    """Tell whether a file is CSV or TSV."""
    return _kind(path) == "csv"


def called(given: str | Path) -> str:
    """Name a dataset after its file (without the endings of format and packing) or hub address."""
    path = Path(given)
    if str(given).startswith("hub:"):
        return path.name
    packed = path.suffix.lower() in text.PACKED
    return Path(path.stem).stem if packed else path.stem


def _kind(path: Path) -> str:
    """The format of a file: what its ending says, but for a Parquet file of another name."""
    said = _format(path)
    try:
        return "parquet" if text.head_of(path).startswith(b"PAR1") else said
    except UNREADABLE:  # said where it is read
        return said


def _format(path: Path) -> str:
    """The format that a file's ending says."""
    if path.is_dir() and (path / "dataset_info.json").exists():
        raise ValueError(
            f"{path} is a folder of datasets.save_to_disk; give one file "
            "(datasets.load_from_disk(folder).to_parquet(file))"
        )
    if path.is_dir():
        raise ValueError(
            f"{path} is a folder; give one file (pandas joins the Parquet files of a folder: "
            "pandas.read_parquet(folder).to_parquet(file))"
        )
    endings = [ending.lower() for ending in path.suffixes]
    if endings and endings[-1] in text.PACKED:
        endings.pop()
    ending = endings[-1] if endings else ""
    if ending in SHEETS:
        raise ValueError(
            f"{path}: a spreadsheet is not read; save the sheet with the data as CSV UTF-8 "
            "(File > Save As or Export) and give that file"
        )
    if ending in ARCHIVES:
        raise ValueError(f"{path}: an archive is not read; unpack it, and give one file of it")
    if ending in TABLES:
        raise ValueError(
            f"{path}: format {ending!r} is not read; write it as Parquet: "
            f"{TABLES[ending]}.to_parquet(new)"
        )
    if ending not in FORMATS:
        raise ValueError(
            f"{path}: format {ending!r} is not known; allowed: {', '.join(FORMATS)}, each also "
            f"with {', '.join(text.PACKED)}"
        )
    if path.exists() and not path.is_file():
        raise ValueError(
            f"{path} is a pipe or device, and data is read more than once: write a file"
        )
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    return FORMATS[ending]


def _parquet(path: Path) -> Iterator[dict[str, Any]]:
    with pq.ParquetFile(path) as file:
        csv_files.refuse_twice(file.schema_arrow.names, path)
        for batch in file.iter_batches(batch_size=BATCH):
            yield from batch.to_pylist()


def _dialogues(file: Any, path: Path) -> list:
    try:
        read = yaml.load(file, Loader=LOADER)
    except RecursionError:
        raise ValueError(f"{path}: cannot be read as yaml: it is nested too deeply") from None
    if isinstance(read, list):
        return read
    if not isinstance(read, dict) or not isinstance(read.get("conversations"), list):
        raise ValueError(
            f"{path}: cannot be read as yaml: needs a list of records, or of dialogues under "
            "'conversations'"
        )
    return [{"conversations": turns} for turns in read["conversations"]]
