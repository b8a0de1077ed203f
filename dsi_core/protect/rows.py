"""What an owner gives: rows with one wording or two, or in two parts, from one file or from two.

Their texts lie on disk; only what is needed of all rows at once is a table.
"""

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from rapidfuzz import fuzz, process

from dsi_core.data import columns
from dsi_core.data.fields import composed, field, text_of
from dsi_core.data.pairs import said_of, unused
from dsi_core.data.records import Placed, Record, Rows, read_records, sample_id, usable
from dsi_core.data.spool import Spool
from dsi_core.protect.kit_files import as_line
from dsi_core.protect.texts import plain
from dsi_core.settings import defaults
from dsi_core.settings.schema import Data, Left

ALIKE = 90  # of 100: from which a prompt that fits none is taken for another one, mistyped
NAMED = 10  # so many rows are named in an error
NOT_DRAWN = "not drawn (--rows)"


class Row(NamedTuple):
    """A row: its place (file and row), its fields as they would be published, its wordings.

    first: its output. second: the other wording, if there is one. answers: how many its
    conversation has, of which it uses one.
    """

    place: str
    fields: dict[str, Any]
    prompt: str
    first: str
    second: str | None = None
    answers: int = 1


@dataclass(frozen=True)
class Given:
    """What is to be protected.

    Parameters
    ----------
    rows
        Of `Row`, on disk.
    table
        A line for each row: sample_id, by what no coin changes (prompt and first wording), answers
        (of its conversation), and perhaps published (bool, of a split that exists already) and
        document (the value of a column, as it is read; None = the row stands alone).
    source
        The file, and which columns hold prompt and output.
    dropped
        Why rows of the data are not among these -> how many.
    left_out
        Why -> file and row of the first `NAMED` of them, of all that were read and not used.
    unused
        The columns of the data that are neither prompt nor output, nor decide anything.
    """

    rows: Spool[Row]
    table: pd.DataFrame
    source: Data
    dropped: dict[str, int]
    left_out: dict[str, list[str]]
    unused: tuple[str, ...]


def read(
    data: str | Path,
    *,
    prompt: tuple[str, ...] = (),
    output: str | None = None,
    wordings: str | None = None,
    withheld: str | Path | None = None,
    group: str | None = None,
    sample: int | None = None,
    **reading: Any,
) -> Given:
    """Read what is to be protected.

    Parameters
    ----------
    data
        A file (`data.files`), or "hub:owner/name".
    prompt, output
        Its columns; where there are two wordings, output is the column that is published.
    wordings
        "first,second" = two output columns of the file, of which the first one is published; or a
        file with the same prompts in any order, and other outputs.
    withheld
        The part that was kept back, of a split that exists already.
    group
        A column: rows with an equal value share a coin.
    sample
        A random sample of this many rows, always the same one; the others are left out.
    reading
        More settings, as `columns.outside` takes them, of every file.

    Raises
    ------
    ValueError
        Naming file, row, field and value: for a file or column that cannot be read, a value that
        could not be published, a row that comes twice or is in both parts, prompts of two files
        that do not match; and where no row is left.
    """
    if wordings and withheld:
        raise ValueError(
            "--wordings and --withheld make two different kits: one publishes every prompt, the "
            "other does not; give one of them"
        )
    if sample is not None and withheld:
        raise ValueError(
            "--rows is drawn before a coin is tossed, and with --withheld it was tossed already: "
            "give all rows of both parts"
        )
    two = _two_columns(wordings)
    if two and output not in (None, two[0]):
        raise ValueError(
            f"--output {output!r}: the column that is published is the first of "
            f"--wordings {wordings!r}"
        )
    if two and prompt:
        output = two[0]
    source = columns.outside(data, prompt=prompt, output=output, **reading)
    if two and source.output != two[0]:
        raise ValueError(
            f"{data}: its output column was taken to be {source.output!r}, which is not the first "
            f"of --wordings {wordings!r}; name the prompt's columns with --prompt"
        )
    if two and two[1] in source.prompt:
        raise ValueError(
            f"--wordings {wordings!r}: {two[1]!r} is a column of the prompt, which is "
            f"{', '.join(source.prompt)}; name the prompt's columns with --prompt"
        )
    if Left.TOO_LONG in source.drop:
        raise ValueError(
            "--drop too-long: a kit has no models by which to measure; `dsi prepare` has"
        )
    dropped: Counter = Counter()
    left_out: dict[str, list[str]] = {}
    whole = _Followed(source, dropped, left_out, two or ())
    records = usable(whole, dropped, twice=True)
    parts: list[Iterator[Row]] = [map(_row, records)]
    if two:
        parts = [_with_column(records, two[1], source, dropped)]
    elif wordings:
        other = columns.outside(wordings, prompt=prompt, output=output, **reading)
        parts = [_with_file(records, read_records(other, Counter()), source)]
    elif withheld:
        other = columns.outside(withheld, prompt=prompt, output=output, **reading)
        behind = _Followed(other, dropped, left_out)
        parts.append(map(_row, usable(behind, dropped, twice=True)))
    rows, table = _collected(parts, group)
    if table.empty:
        raise ValueError(f"{data}: no row left ({said_of(dropped)})")
    if not withheld:
        table = table.drop(columns="published")
    if sample is not None:
        chosen = _sample(len(rows), sample, source)
        dropped[NOT_DRAWN] = len(rows) - len(chosen)
        rows, table = Spool(rows[i] for i in chosen), table.iloc[chosen].reset_index(drop=True)
    some = {why: count for why, count in dropped.items() if count}
    free = tuple(c for c in unused(whole.columns, source) if c not in (group, *(two or ())))
    return Given(rows, table, source, some, left_out, free)


class _Followed(Rows):
    """Rows that note which of them are left out, by what is counted of them in `dropped`."""

    def __init__(
        self,
        source: Data,
        dropped: Counter,
        left_out: dict[str, list[str]],
        also: Iterable[str] = (),
    ):
        super().__init__(source, also)
        self._dropped, self._left_out = dropped, left_out

    def __iter__(self) -> Iterator[Placed]:
        for place, record in super().__iter__():
            before = dict(self._dropped)
            yield place, record
            # by now all is done with it: who asks for the next one has used it or counted it
            for why, count in self._dropped.items():
                if count > before.get(why, 0):
                    named = self._left_out.setdefault(why, [])
                    named += [place] if len(named) < NAMED else []


def _collected(parts: list[Iterator[Row]], group: str | None) -> tuple[Spool[Row], pd.DataFrame]:
    """All rows, of which the first part is published, and their table."""
    rows, keys, published, documents = Spool[Row](), [], [], []
    answers, ids = array("L"), array("Q")
    for i, part in enumerate(parts):
        for row in part:
            try:
                as_line(row.fields)  # what cannot be written is refused before a coin falls
            except ValueError as error:
                raise ValueError(f"{row.place}, {error}") from None
            rows.append(row)
            keys.append(sample_id(row.prompt, row.first))
            published.append(i == 0)
            answers.append(row.answers)
            ids.append(int(keys[-1], 16))
            if row.second is not None:
                ids.append(int(sample_id(row.prompt, row.second), 16))
            if group is not None:
                documents.append(_document(field(row.fields, group, row.place)))
    _refuse_twice(rows, np.array(ids), published)
    table = pd.DataFrame(
        {"sample_id": pd.Series(keys, dtype=str), "published": published, "answers": answers}
    )
    return rows, table if group is None else table.assign(
        document=pd.Series(documents, dtype=object)
    )


def _sample(count: int, sample: int, source: Data) -> list[int]:
    """The places of so many random rows, in their order."""
    if not 0 < sample <= count:
        raise ValueError(
            f"--rows {sample}: allowed is 1 to {count}, the rows of {source.path or source.hub}"
        )
    drawn = np.random.default_rng(defaults.SEED).choice(count, sample, replace=False)
    return np.sort(drawn).tolist()


def listed(lines: Iterable[str]) -> str:
    """Say the first lines of many, and how many more there are."""
    lines = list(lines)
    rest = [f"and {len(lines) - NAMED} more"] if len(lines) > NAMED else []
    return "; ".join(lines[:NAMED] + rest)


def _two_columns(wordings: str | None) -> tuple[str, str] | None:
    """The names in "first,second"; None for a file."""
    if wordings is None or Path(wordings).is_file():
        return None
    names = [name.strip() for name in wordings.split(",")]
    if len(names) != 2 or not all(names) or names[0] == names[1]:
        raise ValueError(
            f"--wordings {wordings!r} is neither a file nor two columns, e.g. answer,answer2"
        )
    return names[0], names[1]


def _row(record: Record) -> Row:
    """A row of one wording."""
    return Row(record.place, record.fields, record.prompt, record.output, answers=record.answers)


def _with_column(
    records: Iterable[Record], column: str, source: Data, dropped: Counter
) -> Iterator[Row]:
    """Rows whose second wording is a column, which will not be published."""
    helps = " (--drop empty leaves such rows out)"
    for record in records:
        known = record.fields
        if column not in known and _may_lack(source):
            known = {**known, column: None}
        value = field(known, column, record.place, helps)
        second = text_of(value, f"{record.place}, field {column!r}")
        if second:
            others = {k: v for k, v in record.fields.items() if k != column}
            yield _row(record)._replace(fields=others, second=second)
        elif _may_lack(source):
            dropped["empty"] += 1
        else:
            raise ValueError(f"{record.place}: field {column!r} is empty; needs text{helps}")


def _may_lack(source: Data) -> bool:
    """Whether rows without an output are left out."""
    return bool({Left.EMPTY, Left.NO_ANSWER} & set(source.drop))


def _with_file(records: Iterable[Record], others: Iterable[Record], source: Data) -> Iterator[Row]:
    """Rows whose second wording is the output in `others` for their prompt; these are held."""
    if source.output is None:
        raise ValueError(
            f"{source.path}: a conversation has no column in which a wording could be published; "
            "write it as columns and name them with --prompt and --output"
        )
    mine = Spool(records)
    second = _matched(mine, others, source)
    for record in mine:
        yield _row(record)._replace(second=second[composed(record.prompt)])


def _matched(records: Iterable[Record], others: Iterable[Record], source: Data) -> dict[str, str]:
    """The output in `others` for the prompt of each record; all that does not match is named."""
    mine, twice = _by_prompt(record._replace(fields={}, output="") for record in records)
    theirs, also_twice = _by_prompt(others)
    wrong = twice + also_twice
    missing = {prompt: r for prompt, r in mine.items() if prompt not in theirs}
    for prompt, other in theirs.items():
        if prompt in mine:
            continue
        near = None
        if len(wrong) < NAMED:  # more are not named, and comparing all takes for ever
            near = process.extractOne(prompt, list(missing), scorer=fuzz.ratio, score_cutoff=ALIKE)
        if near is None:
            wrong.append(f"{other.place}: no row of the data has its prompt {prompt[:60]!r}")
        else:
            record = missing.pop(near[0])
            wrong.append(
                f"{other.place}: its prompt {prompt[:60]!r} differs from that of {record.place}, "
                f"{record.prompt[:60]!r}"
            )
    wrong += [
        f"{record.place}: no second wording has its prompt {prompt[:60]!r}"
        for prompt, record in missing.items()
    ]
    if wrong:
        helps = " (a row that --drop leaves out of one file has to be taken out of the other)"
        raise ValueError(
            f"the prompts of the two files must be the same: {listed(wrong)}"
            f"{helps if _may_lack(source) else ''}"
        )
    return {prompt: record.output for prompt, record in theirs.items()}


def _by_prompt(records: Iterable[Record]) -> tuple[dict[str, Record], list[str]]:
    """The records by prompt, and what is to be said of prompts that come again."""
    found: dict[str, Record] = {}
    twice = []
    for record in records:
        first = found.setdefault(composed(record.prompt), record)
        if first is not record:
            twice.append(f"{record.place}: same prompt as {first.place} ({record.prompt[:60]!r})")
    return found, twice


def _document(value: object) -> str | None:
    """A value of the group column as it is read; None = the row stands alone."""
    if value is None or value != value:
        return None
    return plain(str(value)) or None


def _refuse_twice(rows: Spool[Row], ids: np.ndarray, published: list[bool]) -> None:
    """No text may come twice to one prompt: a coin could publish it in one row and not in another.

    A row whose two wordings are the same text is refused later. ids: of each row's wordings.
    """
    wordings = len(ids) // max(1, len(rows))
    found = pd.Series(ids, index=np.repeat(np.arange(len(rows)), wordings))
    if wordings == 2:
        equal = np.append(False, np.diff(ids) == 0) & (np.arange(len(ids)) % 2 == 1)
        found = found[~equal]
    again = found[found.duplicated()]
    if again.empty:
        return
    first = found[~found.duplicated() & found.isin(again)]
    there = dict(zip(first, first.index, strict=True))
    lines = []
    keep = " (or keep the first: --drop duplicates)" if wordings == 1 else ""
    for i, number in zip(again.index.tolist(), again, strict=True):
        other = there[number]
        both = published[i] != published[other]
        what = "both published and withheld" if both else "the same prompt and output"
        keep = "" if both else keep
        lines.append(f"{rows[i].place} and {rows[other].place}: {what} ({rows[i].prompt[:60]!r})")
    raise ValueError(f"a pair may be there once: {listed(lines)}{keep}")
