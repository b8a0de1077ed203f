"""Blind ratings (after Gudibande 2023): people rate answers without knowing whose they are.

From 1 to 5. Every rating is stored, and how far raters agree is reported.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path

import krippendorff
import numpy as np
import pandas as pd

from dsi_core.runtime import disk, locks, provenance, store

STARS = range(1, 6)  # 1 = useless, 5 = of the best quality and correct
RATER = r"[A-Za-z0-9_-]{1,40}"
TARGET = "the target"  # the model whose stored answers are rated, too


@dataclass(frozen=True)
class Agreement:
    """How far raters agree: Krippendorff's alpha for ordinal ratings.

    Parameters
    ----------
    raters
        Who rated anything.
    items
        Rated by two or more.
    alpha
        1 = agree, 0 = as by chance, below = worse; NaN where there is nothing to compare.
    """

    raters: int
    items: int
    alpha: float

    def __str__(self) -> str:
        if not self.raters:
            return "nobody has rated yet"
        if np.isnan(self.alpha):
            return f"of {self.raters} raters nothing can be compared"
        return f"alpha {self.alpha:.2f} of {self.raters} raters on {self.items} answers"


def sheet(scores: pd.DataFrame, samples: int, seed: int) -> pd.DataFrame:
    """Give what is rated: every model's answers to `samples` random instructions, shuffled.

    Parameters
    ----------
    scores
        As `dataset.held_out` returns; the target's own stored answers are rated with the others.

    Returns
    -------
    pandas.DataFrame
        Columns item (a name that does not tell its model), category, instruction, response, model.
    """
    columns = ["sample_id", "category", "instruction", "response", "model"]
    stored = scores.drop_duplicates("sample_id")
    stored = stored.assign(response=stored["answer"], model=TARGET)
    every = pd.concat([scores[columns], stored[columns]])
    ids = every["sample_id"].drop_duplicates()
    chosen = ids.sample(min(samples, len(ids)), random_state=seed)
    table = every[every["sample_id"].isin(chosen)]
    items = [store.key([seed, r.sample_id, r.model, r.response]) for r in table.itertuples()]
    table = table.assign(item=items).sample(frac=1, random_state=seed)
    return table.drop(columns="sample_id").reset_index(drop=True)


def folder(sheet: pd.DataFrame) -> Path:
    """Find where the ratings of this sheet lie: a file for each rater, a folder for each sheet."""
    return store.entry("ratings", "imitation", {"items": sheet["item"].tolist()})


def rate(sheet: pd.DataFrame, rater: str, item: str, rating: int) -> None:
    """Store one rating; a later one of the same item by the same rater replaces it.

    Raises
    ------
    ValueError
        For a name, an item or a rating that is not allowed.
    """
    if not re.fullmatch(RATER, rater):
        raise ValueError(
            f"rater {rater!r}: allowed are 1 to 40 letters without accents, digits, _ and -"
        )
    if item not in set(sheet["item"]):
        raise ValueError(f"item {item!r} is not on the sheet")
    if rating not in STARS:
        raise ValueError(f"rating {rating!r}: allowed are whole numbers from 1 to 5")
    place = folder(sheet)
    path = place / f"{rater}.jsonl"
    line = json.dumps({"item": item, "rating": int(rating), "when": provenance.now()})
    with locks.held(place):
        before = path.read_text(encoding="utf-8") if path.exists() else ""
        disk.write_text(path, f"{before}{line}\n")


def read(sheet: pd.DataFrame) -> pd.DataFrame:
    """Read the ratings of this sheet, the last of each rater and item: rater, item, rating.

    Raises
    ------
    ValueError
        Naming file and line of a broken one.
    """
    known = set(sheet["item"])
    rows = []
    for path in sorted(folder(sheet).glob("*.jsonl")):
        lines = path.read_text(encoding="utf-8").splitlines()
        for number, line in enumerate(lines, start=1):
            item, rating = _rating(line, known, f"{path}, line {number}")
            rows.append((path.stem, item, rating))
    table = pd.DataFrame(rows, columns=["rater", "item", "rating"])
    return table.drop_duplicates(["rater", "item"], keep="last", ignore_index=True)


def _rating(line: str, known: set[str], where: str) -> tuple[str, int]:
    """(item, rating) of a line of a rater's file."""
    try:
        record = json.loads(line)
        item, rating = record["item"], record["rating"]
    except (ValueError, TypeError, KeyError):
        raise ValueError(f"{where}: no rating in {line[:80]!r}; needs item and rating") from None
    if not isinstance(item, str) or item not in known or rating not in STARS:
        raise ValueError(
            f"{where}: item {item!r} with rating {rating!r}; needs an item of the sheet and 1 to 5"
        )
    return item, rating


def means(sheet: pd.DataFrame, rated: pd.DataFrame) -> pd.DataFrame:
    """Average the ratings of each model.

    Parameters
    ----------
    rated
        As `read` returns.

    Returns
    -------
    pandas.DataFrame
        Columns model, items, ratings, raters (all counts), mean (1 to 5, higher = better; NaN
        where nobody rated).
    """
    models = sheet.merge(rated, on="item", how="left").groupby("model", sort=True)
    table = models.agg(
        items=("item", "nunique"),
        ratings=("rating", "count"),
        raters=("rater", "nunique"),
        mean=("rating", "mean"),
    )
    return table.reset_index()


def agreement(rated: pd.DataFrame) -> Agreement:
    """Tell how far raters agree; any number of them, who need not have rated the same items.

    alpha is NaN with fewer than two raters, no common item, or when all gave one and the same
    rating.
    """
    table = rated.pivot(index="rater", columns="item", values="rating")
    common = table.loc[:, table.notna().sum() > 1] if len(table) else table
    values = common.to_numpy(dtype=float)
    alpha = np.nan
    if len(np.unique(values[~np.isnan(values)])) > 1:
        alpha = krippendorff.alpha(reliability_data=values, level_of_measurement="ordinal")
    return Agreement(len(table), common.shape[1], float(alpha))
