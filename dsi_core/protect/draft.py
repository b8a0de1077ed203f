"""What a coin will be tossed for: the rows of a dataset, and which of them share a coin."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dsi_core.data.fields import text_of
from dsi_core.data.files import called
from dsi_core.data.pairs import BLOCK
from dsi_core.data.spool import Mapped, Spool
from dsi_core.evidence import twin, wording
from dsi_core.evidence.power import Twin
from dsi_core.protect import coins, copies, rows
from dsi_core.protect.copies import Copy
from dsi_core.protect.rows import Row
from dsi_core.protect.texts import read
from dsi_core.protect.wordings import compare, refuse_near_copies
from dsi_core.settings.schema import Data

SHARE = 0.5
LEAST_P = 0.05  # a kit whose smallest possible p is above this could never find anything
# An output that stands in at least 20 other rows and 5% of all rows is a stock phrase: one coin for
# all these rows would cost more than it can show
STOCK, STOCK_SHARE = 20, 0.05


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
    dropped, left_out, unused
        As `Given` has them.
    rows
        What the coin is tossed for, on disk.
    table
        A line for each of them: as `Given` has it, with group (of rows that share a coin).
    copied
        Texts of a row that another row publishes too, so that both share a coin; for a split that
        is there already, withheld outputs that published rows hold.
    stock
        Stock phrases (`STOCK`): texts in so many rows that no coin keeps them back.
    apart
        How many coins there would be if rows did not share one because of `copied`.
    """

    name: str
    kind: Twin
    share: float | None
    source: Data
    dropped: dict[str, int]
    left_out: dict[str, list[str]]
    unused: tuple[str, ...]
    rows: Spool[Row]
    table: pd.DataFrame
    copied: list[Copy]
    stock: list[Copy]
    apart: int

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
    def own_output(self) -> list[int]:
        """Of a private twin the rows whose prompt holds their output."""
        return copies.in_own_prompt(self.rows) if self.kind is Twin.PRIVATE else []

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
        As `rows.read`; for a name that no file can hold, wordings that are near copies, wordings
        that would be published whatever the coin says, a group in both parts, and so few coins
        that no audit could find anything.
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
    table, places = given.table, Mapped(given.rows, lambda row: row.place)
    texts = [Mapped(given.rows, lambda row: (read(row.prompt), read(row.first)))]
    if wordings:
        texts.append(Mapped(given.rows, lambda row: (read(row.prompt), read(row.second or ""))))
    units = coins.shared(table["sample_id"], [] if withheld else texts, table.get("document"))
    apart, stock = units.nunique(), list[Copy]()
    if withheld:
        copied = _leaked(given.rows, table["published"].to_numpy())
    else:
        found = _alike(given, places) if wordings else copies.of_outputs(given.rows)
        copied, stock = _apart(found, units.tolist())
        units = coins.joined(units, [(copy.row, copy.of) for copy in copied])
    made = Draft(
        name=name,
        kind=Twin.WORDING if wordings else Twin.PRIVATE,
        share=None if wordings or withheld else SHARE if share is None else share,
        source=given.source,
        dropped=given.dropped,
        left_out=given.left_out,
        unused=given.unused,
        rows=given.rows,
        table=table.assign(group=units),
        copied=copied,
        stock=stock,
        apart=apart,
    )
    if wordings:
        refuse_near_copies(made.wordings, made.compared)
    if withheld:
        _refuse_torn(made)
    if made.smallest_p > LEAST_P:
        raise ValueError(f"{data}: {_too_few(made)}")
    return made


def _too_few(draft: Draft) -> str:
    """Say how many coins there are, why not more, and what helps."""
    documents, rows = draft.table.get("document"), len(draft.rows)
    units = rows if documents is None else documents.nunique() + int(documents.isna().sum())
    why, helps = [], ""
    if units < rows:
        why.append("rows with an equal value of --group share one")
    if draft.apart < units:
        why.append("near-duplicates share one")
    if draft.groups < draft.apart:
        held = copies.said(draft.copied, draft.places)
        why.append(f"{draft.apart} but for what rows hold of others: {held}")
        helps = "; take the columns or earlier turns that hold it out of the data, or these rows"
    reasons = f" ({'; '.join(why)})" if why else ""
    return (
        f"{rows} rows share {draft.groups} coin{'s' * (draft.groups != 1)}{reasons}, with which no "
        f"p-value can be below {draft.smallest_p:.2g}: it takes more rows, or more that share no "
        f"coin, to come to {LEAST_P}{helps}"
    )


def _leaked(rows: Spool[Row], published: np.ndarray) -> list[Copy]:
    """Published rows that hold the output of a withheld one."""
    kept, shown = (np.flatnonzero(part).tolist() for part in (~published, published))
    return copies.of_outputs(rows, kept, shown)


def _apart(found: list[Copy], units: list[str]) -> tuple[list[Copy], list[Copy]]:
    """Those of rows that share no coin yet, but for stock phrases; and these."""
    found = [copy for copy in found if units[copy.row] != units[copy.of]]
    holders = Counter(copy.of for copy in found)
    many = max(STOCK, STOCK_SHARE * len(units))
    stock = [copy for copy in found if holders[copy.of] >= many]
    return [copy for copy in found if holders[copy.of] < many], stock


def _alike(given: rows.Given, places: Sequence[str]) -> list[Copy]:
    """Rows with a wording of another row, which a coin can keep back if both share it.

    What no coin keeps back is refused.
    """
    output = given.source.output
    helps = (
        f"all but {output!r} are published as they are: take these columns, or these rows, "
        "out of the data"
    )
    if own := copies.of_own(given.rows, output):
        raise ValueError(
            "columns hold a wording of their row, which would be published whatever the coin "
            f"says: {copies.said(own, places)}; {helps}"
        )
    alike, there = copies.of_wordings(given.rows, output)
    sides = (copies.FIRST, copies.SECOND)
    if fixed := [copy for copy in there if copy.where not in sides]:
        raise ValueError(
            "columns hold a wording of another row, which would be published whatever the coin "
            f"says: {copies.said(fixed, places)}; {helps}"
        )
    if there:
        raise ValueError(
            "what is one wording of a row is the other wording of another, so that no coin keeps "
            f"it back: {copies.said(there, places)}; exchange the two wordings of one of these "
            "rows, so that both stand on the same side, or take one of them out of the data"
        )
    return alike


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
