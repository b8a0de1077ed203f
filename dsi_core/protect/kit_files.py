"""The files of a kit, written line by line and read so: their texts are never all held.

published.jsonl: the owner's own columns, with what the coin chose; for everybody.
commitment.json: hashes, counts and date, nothing private; to be published before it.
private.jsonl: the salt, every row, what the coin said; for its owner alone.
"""

import hashlib
import json
import math
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final, Literal, Self, TypeVar

import pandas as pd
from pydantic import Field, ValidationError, model_validator

from dsi_core.data.pairs import BLOCK
from dsi_core.data.records import sample_id
from dsi_core.evidence.power import Twin
from dsi_core.protect import coins
from dsi_core.runtime import disk
from dsi_core.settings.profile import explain
from dsi_core.settings.schema import Data
from dsi_core.settings.strict import Strict

FORMAT: Final = 1
PUBLISHED, PRIVATE, COMMITMENT = "published.jsonl", "private.jsonl", "commitment.json"
COLUMNS = ["sample_id", "group", "prompt", "text", "other", "published", "first_published"]
SAID = ["sample_id", "group", "published", "first_published"]  # of them, what is no text

Said = TypeVar("Said", bound=Strict)


class Commitment(Strict):
    """What commitment.json says: which private file there was, and when. Nothing private.

    Attributes
    ----------
    format, kind, name
        Of the file; of the kit; of the dataset.
    late
        Whether the owner made the split before, by a coin of his own, which the kit cannot show.
    rows, groups
        Rows, and groups of rows with a coin of their own.
    published
        Rows in published.jsonl.
    dropped
        Rows of the data that are not in the kit: why, how many.
    private_sha256
        Of private.jsonl, whose salt keeps its texts from being guessed by the hash.
    published_sha256
        Of published.jsonl.
    made
        When, by the clock of the machine: it proves nothing before somebody else has seen it.
    """

    format: Literal[1] = FORMAT
    kind: Twin
    name: str
    late: bool
    rows: int
    groups: int
    published: int
    dropped: dict[str, int] = {}
    private_sha256: str
    published_sha256: str
    made: str


class Header(Strict):
    """The first line of private.jsonl: the salt, in hex digits, and how the kit was made.

    share: of the groups, published; of a new private twin only. prompt, may_be_empty, output,
    conversations, system, rejected: the columns of published.jsonl, as in `Data`.
    """

    format: Literal[1] = FORMAT
    kind: Twin
    name: str
    late: bool
    salt: str = Field(pattern="^([0-9a-f]{2})+$")
    share: float | None
    prompt: list[str]
    may_be_empty: list[str] | None = None
    output: str | None
    conversations: str | None
    system: str | None = None
    rejected: str | None = None

    @model_validator(mode="after")
    def _share(self) -> Self:
        """Only where rows were drawn now there is a share of them."""
        if (self.share is not None) != (self.kind is Twin.PRIVATE and not self.late):
            raise ValueError("share belongs to a new private twin, and only to it")
        return self

    def source(self, path: Path) -> Data:
        """Say how published.jsonl is read."""
        columns = {"prompt", "may_be_empty", "output", "conversations", "system", "rejected"}
        given = self.model_dump(include=columns)
        return Data(path=str(path.resolve()), **given)


def replaced(path: Path, lines: Iterable[str], *, private: bool = False) -> str:
    """Write a file, and give its SHA-256; a private one that is there must be the same."""
    digest = hashlib.sha256()
    with disk.replacing(path, private=private) as file:
        for line in lines:
            content = f"{line}\n".encode()
            digest.update(content)
            file.write(content)
        if private and path.exists() and disk.sha256_of(path) != digest.hexdigest():
            raise ValueError(
                f"{path.parent} holds a kit that was begun with other data or options, and its "
                "coin has fallen; choose another folder with --out"
            )
    return digest.hexdigest()


def as_line(record: dict) -> str:
    """Give a record as a line of JSON; a number that is none, as a Parquet file has it, is null.

    Raises
    ------
    ValueError
        Naming the field, for a value that no JSON, or no file, can hold.
    """
    plain = {}
    for name, value in record.items():
        try:
            plain[_plain(name)] = _plain(value)
        except ValueError as error:
            raise ValueError(f"field {name!r}: {error}") from None
    return json.dumps(plain, ensure_ascii=False, allow_nan=False)


def _plain(value: Any) -> Any:
    """A value as JSON has it: dates as text, NumPy's values and lists as what they are made of."""
    if isinstance(value, dict):
        return {_plain(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, str):
        value.encode()  # refuses half a character (a lone surrogate)
        return value
    if value is None or isinstance(value, int):
        return value
    if isinstance(value, float) and not math.isinf(value):
        return None if math.isnan(value) else value
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    raise ValueError(
        f"holds {type(value).__name__} {str(value)[:40]!r}, which no JSON can hold; write it as "
        "text, or take it out of the data"
    )


class Hashed:
    """The lines of a file, hashed as they are read; sha256: once all are."""

    def __init__(self, path: Path):
        self.path = path
        self._digest = hashlib.sha256()

    def __iter__(self) -> Iterator[bytes]:
        with self.path.open("rb") as file:
            for line in file:
                self._digest.update(line)
                yield line

    @property
    def sha256(self) -> str:
        """Of all lines that were read, in hexadecimal digits."""
        return self._digest.hexdigest()


def rows_of(lines: Iterator[bytes], path: Path) -> tuple[Header, Iterator[dict[str, Any]]]:
    """Read the header of a private file, and give its rows one by one.

    Raises `ValueError`, naming the file, where it holds something else.
    """

    def rows() -> Iterator[dict[str, Any]]:
        for line in lines:
            try:
                row = json.loads(line)
                yield {name: row[name] for name in COLUMNS}
            except (ValueError, LookupError, TypeError) as error:
                raise ValueError(f"{path} is not a kit's private file: {error!r}") from None

    return parsed(Header, next(lines, b""), path), rows()


def private_of(lines: Hashed) -> tuple[Header, pd.DataFrame]:
    """Read what a private file holds, except its texts.

    Returns
    -------
    header
        Its first line.
    table
        Columns `SAID`; key, the `coins.row_key` of the texts; pair, the `sample_id` of what is
        published of them, or would be.
    """
    header, rows = rows_of(iter(lines), lines.path)
    blocks = [pd.DataFrame(columns=[*SAID, "key", "pair"])]
    while block := [_without_texts(row, header) for row in islice(rows, BLOCK)]:
        blocks.append(pd.DataFrame(block))
    return header, pd.concat(blocks[1:] or blocks, ignore_index=True).astype({"published": bool})


def _without_texts(row: dict[str, Any], header: Header) -> dict[str, Any]:
    first = row["text"]
    if header.kind == Twin.WORDING and not row["first_published"]:
        first = row["other"]
    said = {name: row[name] for name in SAID}
    key = coins.row_key(row["prompt"], first)
    return said | {"key": key, "pair": sample_id(row["prompt"], row["text"])}


def refuse_other(path: Path, found: str, expected: str) -> None:
    """Raise `ValueError` where a file's SHA-256 is not the one that was committed to."""
    if found != expected:
        raise ValueError(
            f"{path} is not the file that {COMMITMENT} commits to: its SHA-256 is {found}, "
            f"committed is {expected}"
        )


def parsed(record: type[Said], text: bytes, path: Path) -> Said:
    """Read a commitment or a header. Raises `ValueError`, naming file, field and value."""
    try:
        return record.model_validate_json(text)
    except ValidationError as error:
        raise ValueError(explain(error, str(path))) from None
