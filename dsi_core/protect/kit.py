"""A kit: what its owner publishes, what he keeps, and the commitment that binds both.

    published.jsonl    the owner's own columns, with what the coin chose; for everybody
    commitment.json    hashes, counts and date, nothing private; to be published before it
    private.jsonl      the salt, every row, what the coin said; for its owner alone

A kit is made once: who may toss again until the coin pleases has tossed no coin.
"""

import hashlib
import json
import secrets
import stat
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Final, Literal, Self, TypeVar

import pandas as pd
from pydantic import Field, ValidationError, model_validator

from dsi_core.data.pairs import BLOCK
from dsi_core.data.records import read_records, sample_id
from dsi_core.evidence.power import Twin
from dsi_core.protect import coins
from dsi_core.protect.draft import Draft, draft
from dsi_core.runtime import released, store
from dsi_core.settings.profile import explain
from dsi_core.settings.schema import Data, Strict

FORMAT: Final = 1
KITS = Path("kits")
PUBLISHED, PRIVATE, COMMITMENT = "published.jsonl", "private.jsonl", "commitment.json"
SALT_BYTES = 32
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
        The split was there before, thrown by a coin of its owner's: the kit cannot show which.
    rows, groups
        How many, and how many of them got a coin of their own.
    published
        Rows in published.jsonl.
    dropped
        Rows of the data that are not in the kit: why, how many.
    private_sha256
        Of private.jsonl, whose salt keeps it from being guessed.
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


@dataclass(frozen=True)
class Kit:
    """A kit as its owner has it, checked against its commitment.

    Parameters
    ----------
    folder
        Where it lies.
    kind
        What its coin decided.
    name
        Of the dataset.
    commitment
        What was published of it.
    """

    folder: Path
    kind: Twin
    name: str
    commitment: Commitment

    @cached_property
    def rows(self) -> pd.DataFrame:
        """All rows in the order of the data, read when they are asked for.

        Columns sample_id, group (of rows that share a coin), prompt, text (the output that is
        published, or would be), other (of a wording twin: the wording that was kept back),
        published (bool) and first_published (of a wording twin, bool).
        """
        lines = _Hashed(self.folder / PRIVATE)
        rows = _rows(iter(lines), self.folder / PRIVATE)[1]
        blocks = []
        while block := list(islice(rows, BLOCK)):
            blocks.append(pd.DataFrame(block, columns=COLUMNS))
        _refuse_other(self.folder / PRIVATE, lines.sha256, self.commitment.private_sha256)
        return pd.concat(blocks, ignore_index=True)

    @property
    def readable_by_others(self) -> bool:
        """Whether others than its owner may read the private file on this machine."""
        return bool(stat.S_IMODE((self.folder / PRIVATE).stat().st_mode) & 0o077)

    @property
    def wordings(self) -> pd.DataFrame:
        """Of a wording twin the rows' prompt, first and second, as they were before the coin."""
        first = self.rows["first_published"].astype(bool)
        return pd.DataFrame(
            {
                "prompt": self.rows["prompt"],
                "first": self.rows["text"].where(first, self.rows["other"]),
                "second": self.rows["other"].where(first, self.rows["text"]),
            }
        )


def make(
    data: str | Path, out: Path | None = None, *, salt: bytes | None = None, **options: Any
) -> Kit:
    """Make a kit of a file: `toss` the coin of its `draft`, which takes the options."""
    return toss(draft(data, **options), out, salt=salt)


def toss(draft: Draft, out: Path | None = None, *, salt: bytes | None = None) -> Kit:
    """Toss the coin and write the kit, or finish one whose writing was interrupted.

    Parameters
    ----------
    draft
        What the coin is tossed for.
    out
        A new folder; None = kits/<name of the dataset> in the working directory.
    salt
        For tests and demonstrations, where a kit must come out alike again. None = secret and by
        chance, as a kit needs it that shall convince anybody.

    Raises
    ------
    ValueError
        Where the folder holds a kit, finished or of another draft, or other files of such names.
    """
    folder = KITS / draft.name if out is None else out
    _refuse_occupied(folder)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with store.lock(folder):
        _refuse_occupied(folder)  # by a run beside this one
        salt = salt or _fallen(folder) or secrets.token_bytes(SALT_BYTES)
        header = Header(
            kind=draft.kind,
            name=draft.name,
            late=draft.late,
            salt=salt.hex(),
            share=draft.share,
            prompt=draft.source.prompt,
            may_be_empty=draft.source.may_be_empty,
            output=draft.source.output,
            conversations=draft.source.conversations,
            system=draft.source.system,
            rejected=draft.source.rejected,
        )
        _write(folder, header, draft, _tossed(draft.table, header))
    return read(folder)


def read(folder: Path) -> Kit:
    """Read a kit and check it against its commitment.

    The hashes; that the coin fell as its salt says; that published.jsonl holds what the coin chose.
    Warns where others may read the private file.

    Raises
    ------
    ValueError
        Naming the file that is missing, of another format, or does not match.
    """
    for name in (COMMITMENT, PRIVATE, PUBLISHED):
        if not (folder / name).is_file():
            raise ValueError(f"{folder / name}: no such file; `dsi protect` makes a kit")
    committed = _parsed(Commitment, (folder / COMMITMENT).read_bytes(), folder / COMMITMENT)
    private = _Hashed(folder / PRIVATE)
    header, table, chosen = _private(private)
    _refuse_other(private.path, private.sha256, committed.private_sha256)
    published = folder / PUBLISHED
    _refuse_other(published, released.sha256_of(published), committed.published_sha256)
    said = committed.model_dump(include=set(_counts(header, table)))
    if said != _counts(header, table):
        raise ValueError(
            f"{folder / COMMITMENT} says {said}, but {PRIVATE} holds {_counts(header, table)}"
        )
    _check_coin(private.path, header, table)
    found = read_records(header.source(published), Counter())
    if sorted(sample_id(record.prompt, record.output) for record in found) != sorted(chosen):
        raise ValueError(f"{published} does not hold what the coin of {PRIVATE} chose")
    kit = Kit(folder, committed.kind, committed.name, committed)
    if kit.readable_by_others:
        warnings.warn(
            f"others than its owner may read {folder / PRIVATE} (chmod 600 it): from when it has "
            "leaked, a model may be trained on what it holds, and a test of it is exact no more",
            stacklevel=2,
        )
    return kit


def questions(kit: Kit) -> pd.DataFrame:
    """Give what a suspect is asked: columns sample_id and prompt, of every row.

    Of a private twin that shows it the prompts that were withheld, and never an output.
    """
    return kit.rows[["sample_id", "prompt"]].copy()


def _tossed(table: pd.DataFrame, header: Header) -> pd.DataFrame:
    """What the coin said of each row, in the order of the private file; the index is its place.

    Columns `SAID`.
    """
    tossed = table.assign(first_published=None)
    if header.kind == Twin.WORDING:
        tossed["published"] = True
        tossed["first_published"] = _first_published(table["group"], header)
    elif not header.late:
        tossed["published"] = _published(table["group"], header)
    if header.late:  # an order that does not show which is which
        tossed = tossed.sort_values("sample_id")
    return tossed[SAID]


def _first_published(units: pd.Series, header: Header) -> pd.Series:
    heads = {key: coins.toss(bytes.fromhex(header.salt), key) for key in units.unique()}
    return units.map(heads).astype(bool)


def _published(units: pd.Series, header: Header) -> pd.Series:
    assert header.share is not None, "a private twin that was tossed here has a share"
    return units.isin(coins.published(bytes.fromhex(header.salt), units, header.share))


def _write(folder: Path, header: Header, draft: Draft, tossed: pd.DataFrame) -> None:
    """The private file first, so that a coin that fell stays, and the commitment last."""
    private = _replaced(folder / PRIVATE, _private_lines(header, draft, tossed), private=True)
    published = _replaced(folder / PUBLISHED, _published_lines(draft, tossed, header.output))
    commitment = Commitment(
        **_counts(header, tossed),
        dropped=draft.dropped,
        private_sha256=private,
        published_sha256=published,
        made=store.now(),
    )
    store.write_text(folder / COMMITMENT, commitment.model_dump_json(indent=1) + "\n")


def _replaced(path: Path, lines: Iterable[str], *, private: bool = False) -> str:
    """Write a file, and give its SHA-256; a private one that is there must be the same."""
    digest = hashlib.sha256()
    with store.replacing(path, private=private) as file:
        for line in lines:
            content = f"{line}\n".encode()
            digest.update(content)
            file.write(content)
        if private and path.exists() and released.sha256_of(path) != digest.hexdigest():
            raise ValueError(
                f"{path.parent} holds a kit that was begun with other data or options, and its "
                "coin has fallen; choose another folder with --out"
            )
    return digest.hexdigest()


def _private_lines(header: Header, draft: Draft, tossed: pd.DataFrame) -> Iterator[str]:
    yield header.model_dump_json()
    for place, *said in tossed.itertuples(name=None):
        row, said = draft.rows[place], dict(zip(tossed.columns, said, strict=True))
        texts = {"prompt": row.prompt, "text": row.first, "other": None}
        if header.kind == Twin.WORDING:
            texts |= {"text": row.first, "other": row.second}
            if not said["first_published"]:
                texts |= {"text": row.second, "other": row.first}
        whole = said | texts
        yield _line({name: whole[name] for name in COLUMNS})


def _published_lines(draft: Draft, tossed: pd.DataFrame, output: str | None) -> Iterator[str]:
    """The published rows with all columns of their owner's, in the owner's order."""
    chosen = tossed[tossed["published"]].sort_index()
    for place, first in zip(chosen.index, chosen["first_published"], strict=True):
        row = draft.rows[place]
        if first is None:
            yield _line(row.fields)
        else:
            assert output is not None, "a wording is published in a column"
            yield _line({**row.fields, output: row.first if first else row.second})


def _counts(header: Header, table: pd.DataFrame) -> dict[str, Any]:
    """What a commitment says of a private file beside its hash."""
    return {
        "kind": header.kind,
        "name": header.name,
        "late": header.late,
        "rows": len(table),
        "groups": table["group"].nunique(),
        "published": int(table["published"].sum()),
    }


def _refuse_occupied(folder: Path) -> None:
    """Nothing is replaced: neither a kit nor a file that only has the name of one of its files."""
    if (folder / COMMITMENT).exists():
        raise ValueError(
            f"{folder} holds a kit already, which is never made again: a coin that is tossed until "
            "it pleases is none. Choose another folder with --out for other data"
        )
    if (folder / PUBLISHED).exists() and not (folder / PRIVATE).exists():
        raise ValueError(f"{folder / PUBLISHED} is there already; choose another folder with --out")


def _fallen(folder: Path) -> bytes | None:
    """The salt of a kit whose making was interrupted; None = no coin has been tossed there."""
    path = folder / PRIVATE
    return bytes.fromhex(_rows(iter(_Hashed(path)), path)[0].salt) if path.exists() else None


class _Hashed:
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
        return self._digest.hexdigest()


def _rows(lines: Iterator[bytes], path: Path) -> tuple[Header, Iterator[dict[str, Any]]]:
    """The header of a private file, and its rows one by one."""

    def rows() -> Iterator[dict[str, Any]]:
        for line in lines:
            try:
                row = json.loads(line)
                yield {name: row[name] for name in COLUMNS}
            except (ValueError, LookupError, TypeError) as error:
                raise ValueError(f"{path} is not a kit's private file: {error!r}") from None

    return _parsed(Header, next(lines, b""), path), rows()


def _private(lines: _Hashed) -> tuple[Header, pd.DataFrame, list[str]]:
    """What a private file holds, but for its texts.

    Returns
    -------
    header
        Its first line.
    table
        Columns `SAID`, and key: the `coins.row_key` of the texts.
    chosen
        The `sample_id` of each published pair.
    """
    header, rows = _rows(iter(lines), lines.path)
    found: dict[str, list] = {name: [] for name in [*SAID, "key"]}
    chosen = []
    for row in rows:
        first = row["text"]
        if header.kind == Twin.WORDING and not row["first_published"]:
            first = row["other"]
        for name in SAID:
            found[name].append(row[name])
        found["key"].append(coins.row_key(row["prompt"], first))
        if row["published"]:
            chosen.append(sample_id(row["prompt"], row["text"]))
    return header, pd.DataFrame(found).astype({"published": bool}), chosen


def _refuse_other(path: Path, found: str, expected: str) -> None:
    if found != expected:
        raise ValueError(
            f"{path} is not the file that {COMMITMENT} commits to: its SHA-256 is {found}, "
            f"committed is {expected}"
        )


def _parsed(record: type[Said], text: bytes, path: Path) -> Said:
    try:
        return record.model_validate_json(text)
    except ValidationError as error:
        raise ValueError(explain(error, str(path))) from None


def _check_coin(path: Path, header: Header, table: pd.DataFrame) -> None:
    """The keys are those of the texts, and the coin fell as the salt says."""
    smallest = coins.smallest(table["sample_id"], pd.factorize(table["group"])[0])
    if (table["sample_id"] != table["key"]).any() or (smallest != table["group"]).any():
        raise ValueError(f"{path}: a sample_id or group is not the one that its texts give")
    if header.late:
        return  # its owner's coin
    if header.kind == Twin.WORDING:
        right = _first_published(table["group"], header) == table["first_published"].astype(bool)
    else:
        right = _published(table["group"], header) == table["published"]
    if not right.all():
        raise ValueError(
            f"{path}: in {(~right).sum()} of {len(right)} rows the coin is not what the salt "
            f"gives, the first: sample_id {table['sample_id'][~right].iloc[0]}"
        )


def _line(record: dict) -> str:
    """A record as a line of JSON; a number that is none, as a Parquet file has it, is null."""
    plain = {k: None if isinstance(v, float) and v != v else v for k, v in record.items()}
    return _ENCODER.encode(plain)


def _plain(value: Any) -> Any:
    """What JSON does not know, as text or as what it is made of: dates, NumPy's values."""
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if hasattr(value, "tolist"):
        return value.tolist()
    raise ValueError(
        f"a column holds {type(value).__name__} ({str(value)[:40]!r}), which no JSON can hold; "
        "take it out of the data"
    )


_ENCODER = json.JSONEncoder(ensure_ascii=False, default=_plain)
