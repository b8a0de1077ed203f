"""A kit: what its owner publishes, what he keeps, and the commitment that binds both.

A kit is made once: tossing again until the coin pleases is no toss.
"""

import secrets
import stat
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import pandas as pd

from dsi_core.data.pairs import BLOCK
from dsi_core.data.records import read_records, sample_id
from dsi_core.evidence.power import Twin
from dsi_core.protect import coins
from dsi_core.protect.draft import Draft, draft
from dsi_core.protect.kit_files import (
    COLUMNS,
    COMMITMENT,
    PRIVATE,
    PUBLISHED,
    SAID,
    Commitment,
    Hashed,
    Header,
    as_line,
    parsed,
    private_of,
    refuse_other,
    replaced,
    rows_of,
)
from dsi_core.runtime import disk, locks, provenance

KITS = Path("kits")
SALT_BYTES = 32


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
        lines = Hashed(self.folder / PRIVATE)
        rows = rows_of(iter(lines), self.folder / PRIVATE)[1]
        blocks = []
        while block := list(islice(rows, BLOCK)):
            blocks.append(pd.DataFrame(block, columns=COLUMNS))
        refuse_other(self.folder / PRIVATE, lines.sha256, self.commitment.private_sha256)
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
        For tests and demonstrations, which need the same kit again. None = random and
        secret, as a kit that is to convince anybody needs.

    Raises
    ------
    ValueError
        Where the name cannot be that of the folder, too; where the folder holds a kit, finished or
        of another draft, or other files of such names;
        where the kit could not be read again: then nothing is committed to.
    """
    if out is None and ("/" in draft.name or draft.name in (".", "..")):
        raise ValueError(
            f"--name {draft.name!r}: no folder in {KITS}/ can be called so; choose one with --out"
        )
    folder = KITS / draft.name if out is None else out
    _refuse_occupied(folder)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with locks.held(folder):
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
        return _write(folder, header, draft, _tossed(draft.table, header))


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
            helps = "look for its copy, it cannot be made again"
            if name == COMMITMENT:
                helps = "`dsi protect` makes a kit"
            raise ValueError(f"{folder / name}: no such file; {helps}")
    committed = parsed(Commitment, (folder / COMMITMENT).read_bytes(), folder / COMMITMENT)
    return _checked(folder, committed)


def _checked(folder: Path, committed: Commitment) -> Kit:
    """The kit of a commitment, whose file need not be there yet; raises and warns as `read`."""
    private = Hashed(folder / PRIVATE)
    header, table = private_of(private)
    refuse_other(private.path, private.sha256, committed.private_sha256)
    published = folder / PUBLISHED
    refuse_other(published, disk.sha256_of(published), committed.published_sha256)
    said = committed.model_dump(include=set(_counts(header, table)))
    if said != _counts(header, table):
        raise ValueError(
            f"{folder / COMMITMENT} says {said}, but {PRIVATE} holds {_counts(header, table)}"
        )
    _check_coin(private.path, header, table)
    found = read_records(header.source(published), Counter())
    chosen = sorted(table.loc[table["published"], "pair"])
    if sorted(sample_id(record.prompt, record.output) for record in found) != chosen:
        raise ValueError(f"{published} does not hold what the coin of {PRIVATE} chose")
    kit = Kit(folder, committed.kind, committed.name, committed)
    if kit.readable_by_others:
        warnings.warn(
            f"others than its owner may read {folder / PRIVATE} (chmod 600 it): from when it has "
            "leaked, a model may be trained on what it holds, and a test of it is exact no more",
            stacklevel=3,
        )
    return kit


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


def _write(folder: Path, header: Header, draft: Draft, tossed: pd.DataFrame) -> Kit:
    """The private file first, so that a coin that fell stays, and the commitment last."""
    private = replaced(folder / PRIVATE, _private_lines(header, draft, tossed), private=True)
    published = replaced(folder / PUBLISHED, _published_lines(draft, tossed))
    commitment = Commitment(
        **_counts(header, tossed),
        dropped=draft.dropped,
        private_sha256=private,
        published_sha256=published,
        made=provenance.now(),
    )
    try:
        kit = _checked(folder, commitment)
    except ValueError as error:
        raise ValueError(
            f"{folder}: what would be published cannot be read again, so nothing was committed to "
            f"({error}); change the data, and choose another folder with --out"
        ) from None
    disk.write_text(folder / COMMITMENT, commitment.model_dump_json(indent=1) + "\n")
    return kit


def _private_lines(header: Header, draft: Draft, tossed: pd.DataFrame) -> Iterator[str]:
    yield header.model_dump_json()
    for place, *facts in tossed.itertuples(name=None):
        row, said = draft.rows[place], dict(zip(tossed.columns, facts, strict=True))
        texts = {"prompt": row.prompt, "text": row.first, "other": None}
        if header.kind == Twin.WORDING:
            texts |= {"text": row.first, "other": row.second}
            if not said["first_published"]:
                texts |= {"text": row.second, "other": row.first}
        whole = said | texts
        yield as_line({name: whole[name] for name in COLUMNS})


def _published_lines(draft: Draft, tossed: pd.DataFrame) -> Iterator[str]:
    """The published rows with all columns of their owner's, in the owner's order.

    A prompt's column that a row lacks is null: one that no row had could not be read again.
    """
    source, chosen = draft.source, tossed[tossed["published"]].sort_index()
    for place, first in zip(chosen.index, chosen["first_published"], strict=True):
        row = draft.rows[place]
        fields = row.fields | {c: None for c in source.prompt if c not in row.fields}
        if first is not None:
            assert source.output is not None, "a wording is published in a column"
            fields[source.output] = row.first if first else row.second
        yield as_line(fields)


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
            "it pleases is none. The same command with --dry-run says again what an audit can "
            "find; choose another folder with --out for other data"
        )
    if (folder / PUBLISHED).exists() and not (folder / PRIVATE).exists():
        raise ValueError(f"{folder / PUBLISHED} is there already; choose another folder with --out")


def _fallen(folder: Path) -> bytes | None:
    """The salt of a kit whose making was interrupted; None = no coin has been tossed there."""
    path = folder / PRIVATE
    return bytes.fromhex(rows_of(iter(Hashed(path)), path)[0].salt) if path.exists() else None


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
