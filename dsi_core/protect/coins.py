"""The coin of a kit: what shares one, and how it falls, from a salt that nobody knows beforehand.

Nobody can choose how it falls without choosing the salt, and the salt is committed to.
"""

import hashlib
import hmac
from collections.abc import Iterable

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from dsi_core.data import near_duplicates
from dsi_core.data.pairs import sample_id

NEAR_DUPLICATE = 0.8  # Jaccard similarity of prompts and outputs from which rows share a coin


def row_key(prompt: str, first: str) -> str:
    """Name a row, 16 hex digits, by what no coin changes: its prompt and its first wording."""
    return sample_id(prompt, first)


def groups(rows: pd.DataFrame, column: str | None = None) -> pd.Series:
    """Find which rows share a coin.

    Near-duplicates do (of the prompt and of the same wording), and equal values of `column`; all
    of it transitively: what shares a coin with one row shares it with all that the row does.

    Parameters
    ----------
    rows
        Columns prompt, first and, where there are two wordings, second.
    column
        Of `rows`: the document, author or source of each row. Rows without a value share nothing.

    Returns
    -------
    pandas.Series
        The group of each row, with the index of `rows`: the smallest `row_key` in it.
    """
    near = []
    for wording in ("first", "second"):
        if wording in rows:
            pairs = rows[["prompt", wording]].set_axis(["prompt", "output"], axis=1)
            near += near_duplicates.within(pairs, NEAR_DUPLICATE)
    return _joined(rows, near + _equal(rows, column))


def documents(rows: pd.DataFrame, column: str | None = None) -> pd.Series:
    """Find what shares a coin by `column` alone, as `groups` does with near-duplicates."""
    return _joined(rows, _equal(rows, column))


def _equal(rows: pd.DataFrame, column: str | None) -> list[tuple[int, int]]:
    """Each row with the first one that has its value in a column."""
    if column is None:
        return []
    first_seen: dict = {}
    some = [(i, value) for i, value in enumerate(rows[column]) if pd.notna(value)]
    return [(i, first_seen.setdefault(value, i)) for i, value in some]


def _joined(rows: pd.DataFrame, pairs: list[tuple[int, int]]) -> pd.Series:
    one, other = np.array(pairs, dtype=int).reshape(-1, 2).T
    graph = coo_array((np.ones(len(one)), (one, other)), shape=(len(rows), len(rows)))
    clusters = connected_components(graph, directed=False)[1]
    keys = [row_key(p, f) for p, f in zip(rows["prompt"], rows["first"], strict=True)]
    return pd.Series(keys, index=rows.index, dtype=str).groupby(clusters).transform("min")


def toss(salt: bytes, key: str) -> bool:
    """Toss the coin of a group: True = its first wording is published.

    The lowest bit of the first byte of HMAC-SHA256(salt, key).
    """
    return bool(_digest(salt, key)[0] & 1)


def published(salt: bytes, keys: Iterable[str], share: float = 0.5) -> set[str]:
    """Draw the groups of a private twin that are published: a fixed number of them, by the salt.

    Those with the smallest HMAC-SHA256(salt, key); every choice of so many is equally likely.

    Parameters
    ----------
    keys
        Of the groups; one that comes again counts once.
    share
        Of the groups, in (0, 1).
    """
    by_digest = sorted(set(keys), key=lambda key: _digest(salt, key))
    return set(by_digest[: drawn(len(by_digest), share)])


def drawn(groups: int, share: float) -> int:
    """Say how many of so many groups are published: a share, at least one and never all."""
    return min(max(round(share * groups), 1), groups - 1)


def _digest(salt: bytes, key: str) -> bytes:
    return hmac.digest(salt, key.encode(), hashlib.sha256)
