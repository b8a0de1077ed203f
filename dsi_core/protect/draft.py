"""What a coin will be tossed for: the rows of a dataset, and which of them share a coin."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from dsi_core.data.fields import text_of
from dsi_core.data.files import called
from dsi_core.data.pairs import BLOCK
from dsi_core.data.spool import Mapped, Spool
from dsi_core.evidence import twin, wording
from dsi_core.evidence.power import Twin
from dsi_core.protect import coins, copies, rows
from dsi_core.protect.rows import Row
from dsi_core.protect.wordings import compare, refuse_near_copies
from dsi_core.settings.schema import Data

SHARE = 0.5
LEAST_P = 0.05  # a kit whose smallest possible p is above this could never find anything


@dataclass(frozen=True)
class Draft:
    """A kit before its coin is tossed.

    Parameters
    ----------
    name
        Of the dataset.
    kind
        What the coin will decide.
    share
        Of the groups of a private twin, which are published; None = every row is, in one wording,
        or the split is there already.
    source
        The file, and which columns hold prompt and output.
    dropped, unused
        As `Given` has them.
    rows
        What the coin is tossed for, on disk.
    table
        A line for each of them: as `Given` has it, with group (of rows that share a coin).
    """

    name: str
    kind: Twin
    share: float | None
    source: Data
    dropped: dict[str, int]
    unused: tuple[str, ...]
    rows: Spool[Row]
    table: pd.DataFrame

    @property
    def places(self) -> Mapped[Row, str]:
        """File and row of each."""
        return Mapped(self.rows, lambda row: row.place)

    @cached_property
    def wordings(self) -> pd.DataFrame:
        """Of a wording twin: columns place, first and second."""
        parts = (self.rows[i : i + BLOCK] for i in range(0, len(self.rows), BLOCK))
        columns = ["place", "first", "second"]
        tables = [pd.DataFrame(part, columns=Row._fields)[columns] for part in parts]
        return pd.concat(tables, ignore_index=True)

    @cached_property
    def compared(self) -> pd.DataFrame:
        """Of a wording twin: its two wordings against each other, `wordings.compare`."""
        return compare(self.wordings)

    @cached_property
    def copied(self) -> copies.Copies:
        """Columns that are published as they are, with texts that are not, or may not be."""
        if self.kind is Twin.WORDING:
            return copies.of_wordings(self.rows, self.source.output)
        if not self.late:
            return copies.of_outputs(self.rows, self.unused, self.table["group"].tolist())
        published = self.table["published"]
        found = copies.of_outputs(self.rows, self.unused, published.tolist())
        found = {column: [i for i in places if published[i]] for column, places in found.items()}
        return {column: places for column, places in found.items() if places}

    @property
    def late(self) -> bool:
        """Whether the split is there already."""
        return "published" in self.table

    @property
    def groups(self) -> int:
        """How many coins there are."""
        return self.table["group"].nunique()

    @property
    def published_groups(self) -> int:
        """How many of them publish their rows: of a wording twin all."""
        if self.late:
            return self.table.loc[self.table["published"], "group"].nunique()
        return self.groups if self.share is None else coins.drawn(self.groups, self.share)

    @property
    def smallest_p(self) -> float:
        """The smallest p-value of an audit: one over the ways in which the coins can fall."""
        if self.kind is Twin.WORDING:
            return wording.attainable(self.groups)
        return twin.attainable(self.groups, self.published_groups)


def draft(
    data: str | Path,
    *,
    prompt: tuple[str, ...] = (),
    output: str | None = None,
    wordings: str | None = None,
    withheld: str | Path | None = None,
    group: str | None = None,
    share: float | None = None,
    name: str | None = None,
    sample: int | None = None,
    **reading: Any,
) -> Draft:
    """Read a dataset and find what shares a coin.

    Parameters
    ----------
    data, prompt, output, wordings, withheld, group, sample, reading
        As `rows.read` takes them. With `wordings` it is a wording twin, else a private twin; with
        `withheld` the split is the owner's own, and so is the unit of its coin: a row, or `group`.
    share
        Of the groups of a private twin, which are published, in (0, 1); None = `SHARE`.
    name
        What the dataset is called; None = as its file.

    Raises
    ------
    ValueError
        As `rows.read`; for a name that no file can hold, wordings that are near copies, columns
        that would publish what the coin keeps back, a group in both parts, and so few coins that
        no audit could find anything.
    """
    if share is not None and (wordings or withheld):
        raise ValueError("--share is that of a private twin whose coin is tossed now")
    if share is not None and not 0 < share < 1:
        raise ValueError(f"--share {share}: allowed is a number between 0 and 1, e.g. 0.5")
    if name is not None and not text_of(name, "--name"):
        raise ValueError("--name is empty; without it the dataset is called as its file")
    name = text_of(name, "--name") or text_of(called(data), "the file's name (--name: another)")
    given = rows.read(
        data,
        prompt=prompt,
        output=output,
        wordings=wordings,
        withheld=withheld,
        group=group,
        sample=sample,
        **reading,
    )
    table = given.table
    texts = [Mapped(given.rows, lambda row: (row.prompt, row.first))]
    if wordings:
        texts.append(Mapped(given.rows, lambda row: (row.prompt, row.second or "")))
    units = coins.shared(table["sample_id"], [] if withheld else texts, table.get("document"))
    made = Draft(
        name=name,
        kind=Twin.WORDING if wordings else Twin.PRIVATE,
        share=None if wordings or withheld else SHARE if share is None else share,
        source=given.source,
        dropped=given.dropped,
        unused=given.unused,
        rows=given.rows,
        table=table.assign(group=units),
    )
    if wordings:
        refuse_near_copies(made.wordings, made.compared)
    if withheld:
        _refuse_torn(made)
    else:
        _refuse_copied(made)
    if made.smallest_p > LEAST_P:
        raise ValueError(
            f"{len(made.rows)} rows share {made.groups} coins, with which no p-value can be below "
            f"{made.smallest_p:.2g}: it takes more rows, or more that share no coin, to come to "
            f"{LEAST_P}"
        )
    return made


def _refuse_copied(draft: Draft) -> None:
    """What stands in another column is not kept back."""
    if not draft.copied:
        return
    found = copies.said(draft.copied, draft.places)
    if draft.kind is Twin.WORDING:
        raise ValueError(
            "columns hold a wording of their row, which would be published whatever the coin "
            f"says: {found}; all but {draft.source.output!r} are published as they are: take "
            "these columns, or these rows, out of the data"
        )
    raise ValueError(
        "columns hold the output of a row with another coin, which would be published though the "
        f"coin withholds it: {found}; take these columns out of the data, or let both rows share "
        "a coin: --group with a column that has the same value in both"
    )


def _refuse_torn(draft: Draft) -> None:
    """A group in both parts had no coin of its own."""
    table = draft.table
    parts = table.groupby("group")["published"].transform("nunique")
    torn = table[parts > 1]
    if len(torn):
        one = torn[torn["group"] == torn["group"].iloc[0]].drop_duplicates("published")
        raise ValueError(
            f"{' and '.join(draft.places[i] for i in one.index)} have the same value of --group "
            f"({one['document'].iloc[0]!r}), but one is published and one withheld: the coin was "
            "not tossed for each of these groups"
        )
