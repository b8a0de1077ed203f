"""Blind ratings (after Gudibande 2023): people rate answers from 1 to 5 without knowing whose they are; every rating is stored, agreement reported."""

import json
import re
from pathlib import Path

import krippendorff
import numpy as np
import pandas as pd

from dsi_core.runtime import store

STARS = range(1, 6)  # 1 = useless, 5 = of the best quality and correct
RATER = r"[A-Za-z0-9_-]{1,40}"


def sheet(scores: pd.DataFrame, samples: int, seed: int) -> pd.DataFrame:
    """What is rated: the answers of every model to `samples` random instructions, in random order: item, category, instruction, response, model.

    scores: as `imitation.held_out`; the target's own stored answers are among them. An item's name does not tell its model.
    """
    columns = ["sample_id", "category", "instruction", "response", "model"]
    stored = scores.drop_duplicates("sample_id").assign(
        response=lambda t: t["answer"], model="the target"
    )
    every = pd.concat([scores[columns], stored[columns]])
    ids = every["sample_id"].drop_duplicates()
    chosen = ids.sample(min(samples, len(ids)), random_state=seed)
    table = every[every["sample_id"].isin(chosen)]
    table = table.assign(
        item=[store.key([seed, r.sample_id, r.model, r.response]) for r in table.itertuples()]
    )
    return table.sample(frac=1, random_state=seed).drop(columns="sample_id").reset_index(drop=True)


def folder(sheet: pd.DataFrame) -> Path:
    """Where the ratings of this sheet lie, a file for each rater; another sheet has another folder."""
    return store.entry("ratings", "imitation", {"items": sheet["item"].tolist()})


def rate(sheet: pd.DataFrame, rater: str, item: str, rating: int) -> None:
    """Store one rating; a later one of the same item by the same rater replaces it. Raises `ValueError` for a name, item or rating that is
    not allowed.
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
    with store.lock(place):
        there = path.read_text(encoding="utf-8") if path.exists() else ""
        store.write_text(
            path,
            there + json.dumps({"item": item, "rating": int(rating), "when": store.now()}) + "\n",
        )


def read(sheet: pd.DataFrame) -> pd.DataFrame:
    """The stored ratings of this sheet, the last of each rater and item: rater, item, rating.

    Raises `ValueError` naming file and line of a broken one.
    """
    rows, known = [], set(sheet["item"])
    for path in sorted(folder(sheet).glob("*.jsonl")):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            try:
                told = json.loads(line)
                item, rating = told["item"], told["rating"]
            except (ValueError, TypeError, KeyError):
                raise ValueError(
                    f"{path}, line {number}: no rating in {line[:80]!r}; needs item and rating"
                ) from None
            if item not in known or rating not in STARS:
                raise ValueError(
                    f"{path}, line {number}: item {item!r} with rating {rating!r}; needs an item of the sheet and 1 to 5"
                )
            rows.append((path.stem, item, rating))
    return pd.DataFrame(rows, columns=["rater", "item", "rating"]).drop_duplicates(
        ["rater", "item"], keep="last", ignore_index=True
    )


def means(sheet: pd.DataFrame, rated: pd.DataFrame) -> pd.DataFrame:
    """Each model's mean rating (1 to 5, higher = better): model, items, ratings, raters, mean; NaN where nobody rated."""
    table = sheet.merge(rated, on="item", how="left")
    return (
        table.groupby("model", sort=True)
        .agg(
            items=("item", "nunique"),
            ratings=("rating", "count"),
            raters=("rater", "nunique"),
            mean=("rating", "mean"),
        )
        .reset_index()
    )


def agreement(rated: pd.DataFrame) -> dict:
    """Krippendorff's alpha for ordinal ratings: raters, items (rated by two or more), alpha (1 = agree, 0 = as by chance, below = worse).

    It takes any number of raters who rated different items. NaN with fewer than two raters, no common item, or when all gave one and the same rating.
    """
    table = rated.pivot(index="rater", columns="item", values="rating")
    common = table.loc[:, table.notna().sum() > 1] if len(table) else table
    values = common.to_numpy(dtype=float)
    usable = len(np.unique(values[~np.isnan(values)])) > 1
    alpha = (
        krippendorff.alpha(reliability_data=values, level_of_measurement="ordinal")
        if usable
        else np.nan
    )
    return {"raters": len(table), "items": common.shape[1], "alpha": float(alpha)}
