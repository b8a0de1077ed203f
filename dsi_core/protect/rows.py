"""What an owner gives: rows with one wording or two, or in two parts, from one file or from two."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd
from rapidfuzz import fuzz, process

from dsi_core.data import columns
from dsi_core.data.fields import field, text_of
from dsi_core.data.pairs import Record, read_records, sample_id
from dsi_core.settings.schema import Data, Left

COLUMNS = ["place", "fields", "prompt", "first"]
ALIKE = 90  # of 100: from which a prompt that fits none is taken for another one, mistyped
NAMED = 10  # so many rows are named in an error


def read(
    data: str | Path,
    *,
    prompt: tuple[str, ...] = (),
    output: str | None = None,
    wordings: str | None = None,
    withheld: str | Path | None = None,
    group: str | None = None,
    **reading: Any,
) -> tuple[pd.DataFrame, Data]:
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
    reading
        More settings, as `columns.outside` takes them, of every file.

    Returns
    -------
    table
        Columns place (file and row), fields (as they would be published, a dict), prompt, first
        (the output, its first wording), and perhaps second (the other wording), published (bool,
        of a split that exists already) and document (the value of `group`). Its attrs hold dropped
        (why -> how many rows are not in it) and answers (that all its conversations have).
    source
        The file, and which columns hold prompt and output.

    Raises
    ------
    ValueError
        Naming file, row, field and value: for a file or column that cannot be read, a row that
        comes twice or is in both parts, prompts of two files that do not match.
    """
    if wordings and withheld:
        raise ValueError(
            "--wordings and --withheld make two different kits: one publishes every prompt, the "
            "other does not; give one of them"
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
    if Left.TOO_LONG in source.drop:
        raise ValueError(
            "--drop too-long: a kit has no models by which to measure; `dsi prepare` has"
        )
    records, left_out = read_records(source)
    dropped = Counter(left_out)
    if two and {Left.EMPTY, Left.NO_ANSWER} & set(source.drop):
        whole = [record for record in records if _second(record, two[1])]
        dropped["empty"] += len(records) - len(whole)
        records = whole
    table = _table(records)
    if two:
        table = _with_second(table, [_text(record, two[1]) for record in records], source, two[1])
    elif wordings:
        other = columns.outside(wordings, prompt=prompt, output=output, **reading)
        second, _ = read_records(other)
        table = _with_second(table, _matched(records, second), source)
    elif withheld:
        other = columns.outside(withheld, prompt=prompt, output=output, **reading)
        back, also_left_out = read_records(other)
        dropped.update(also_left_out)
        records = [*records, *back]
        kept = _table(back)
        table = pd.concat(
            [table.assign(published=True), kept.assign(published=False)], ignore_index=True
        )
    if group is not None:
        table["document"] = [
            _document(field(record, group, place))
            for record, place in zip(table["fields"], table["place"], strict=True)
        ]
    _refuse_twice(table)
    table.attrs["dropped"] = {why: count for why, count in dropped.items() if count}
    table.attrs["answers"] = sum(record.answers for record in records)
    return table, source


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


def _table(records: list[Record]) -> pd.DataFrame:
    rows = [(record.place, record.fields, record.prompt, record.output) for record in records]
    return pd.DataFrame(rows, columns=COLUMNS)


def _text(record: Record, column: str) -> str:
    text = _second(record, column)
    if not text:
        raise ValueError(
            f"{record.place}: field {column!r} is empty; needs text (--drop empty leaves such rows "
            "out)"
        )
    return text


def _second(record: Record, column: str) -> str:
    return text_of(field(record.fields, column, record.place), f"{record.place}, field {column!r}")


def _with_second(
    table: pd.DataFrame, second: list[str], source: Data, column: str | None = None
) -> pd.DataFrame:
    """The rows with their second wordings; the column that held them will not be published."""
    if source.output is None:
        raise ValueError(
            f"{source.path}: a conversation has no column in which a wording could be published; "
            "write it as columns and name them with --prompt and --output"
        )
    fields = table["fields"].map(lambda record: {k: v for k, v in record.items() if k != column})
    return table.assign(fields=fields, second=second)


def _matched(records: list[Record], others: list[Record]) -> list[str]:
    """The output in `others` for the prompt of each record; all that does not match is named."""
    mine, twice = _by_prompt(records)
    theirs, also_twice = _by_prompt(others)
    wrong = twice + also_twice
    missing = {prompt: r for prompt, r in mine.items() if prompt not in theirs}
    for prompt, other in theirs.items():
        if prompt in mine:
            continue
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
        raise ValueError(f"the prompts of the two files must be the same: {listed(wrong)}")
    return [theirs[record.prompt].output for record in records]


def _by_prompt(records: list[Record]) -> tuple[dict[str, Record], list[str]]:
    """The records by prompt, and what is to be said of prompts that come again."""
    found: dict[str, Record] = {}
    twice = []
    for record in records:
        first = found.setdefault(record.prompt, record)
        if first is not record:
            twice.append(f"{record.place}: same prompt as {first.place} ({record.prompt[:60]!r})")
    return found, twice


def _document(value: object) -> str | None:
    """A value of the group column as text; None = the row stands alone."""
    if value is None or value == "" or value != value:
        return None
    return str(value)


def _refuse_twice(table: pd.DataFrame) -> None:
    """No text may come twice to one prompt: a coin could publish it in one row and not in another.

    A row whose two wordings are the same text is refused later.
    """
    seen: dict[str, int] = {}
    lines = []
    second = table["second"] if "second" in table else table["first"]
    texts = zip(table["prompt"], table["first"], second, strict=True)
    for i, (prompt, *wordings) in enumerate(texts):
        for wording in set(wordings):
            other = seen.setdefault(sample_id(prompt, wording), i)
            if other == i:
                continue
            here, there = table.iloc[i], table.iloc[other]
            both = here.get("published") != there.get("published")
            what = "both published and withheld" if both else "the same prompt and output"
            lines.append(f"{here['place']} and {there['place']}: {what} ({prompt[:60]!r})")
    if lines:
        raise ValueError(f"a pair may be there once: {listed(lines)}")
