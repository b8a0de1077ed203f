"""Draws: which pairs are D, and what coins published of them. Many draws stand for many owners.

The pool is small, so draws share rows; each draw has coins, models and seeds of its own.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import pandas as pd

from dsi_core.data.files import read_file
from dsi_core.protect import coins
from dsi_core.runtime.paths import ROOT

COLUMNS = ["q", "first", "second", "part"]


@dataclass(frozen=True)
class Draw:
    """One owner's data and coins.

    Attributes
    ----------
    number
        Decides everything else, with the pool.
    rows
        row (what no coin changes, `coins.row_key`), prompt, first, second, group, first_published
        (the wording twin's coin), text and other (the wording that it chose, and the one that it
        did not), published (the private twin's coin).
    """

    number: int
    rows: pd.DataFrame

    @property
    def published(self) -> pd.DataFrame:
        """D: the rows that both coins published, as they were published."""
        return self.rows[self.rows["published"]]


def pool(path: str) -> pd.DataFrame:
    """Read both wordings of a file's answers: row, prompt, first, second, part.

    Raises
    ------
    ValueError
        For a line that lacks one of `COLUMNS`.
    """
    records = read_file(ROOT / path)
    for i, record in enumerate(records, start=1):
        if missing := [name for name in COLUMNS if name not in record]:
            raise ValueError(f"{path}, row {i}: lacks {', '.join(missing)}")
    table = pd.DataFrame(records)[COLUMNS].rename(columns={"q": "prompt"})
    keys = [coins.row_key(p, f) for p, f in zip(table["prompt"], table["first"], strict=True)]
    return table.assign(row=keys)


def draw(pool: pd.DataFrame, number: int) -> Draw:
    """Throw the coins of a draw.

    Its rows are two neighbouring parts of the pool, beginning at part `number`. A coin chooses the
    wording of each row, another which half of the rows is published. So one model, tuned on that
    half as it was published, shows what both twins find.
    """
    parts = sorted(pool["part"].unique())
    within = [parts[(number + i) % len(parts)] for i in range(2)]
    rows = pool[pool["part"].isin(within)].drop(columns="part").reset_index(drop=True)
    keys = coins.groups(rows)
    first = keys.map(lambda key: coins.toss(f"wording {number}".encode(), key)).astype(bool)
    published = coins.published(f"twin {number}".encode(), keys)
    return Draw(
        number,
        rows.assign(
            group=keys,
            first_published=first,
            text=rows["first"].where(first, rows["second"]),
            other=rows["second"].where(first, rows["first"]),
            published=keys.isin(published),
        ),
    )


def apart(one: Draw, others: Iterable[Draw]) -> Draw:
    """Give a draw with only those of its rows that are in none of the others."""
    theirs = {row for other in others for row in other.rows["row"]}
    return replace(one, rows=one.rows[~one.rows["row"].isin(theirs)].reset_index(drop=True))
