"""The coin of a kit: what shares one, and how it falls, from a salt that nobody knows beforehand.

Nobody can choose how it falls without choosing the salt, and the salt is committed to.
"""

import hashlib
import hmac
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from dsi_core.data import near_duplicates
from dsi_core.data.records import sample_id
from dsi_core.protect.texts import read


def row_key(prompt: str, first: str) -> str:
    """Name a row, 16 hex digits, by what no coin changes: its prompt and its first wording."""
    return sample_id(prompt, first)


def groups(rows: pd.DataFrame, column: str | None = None) -> pd.Series:
    """Find which rows of a table share a coin, as `shared` does.

    Parameters
    ----------
    rows
        Columns prompt, first and, where there are two wordings, second.
    column
        Of `rows`: the document, author or source of each row.

    Returns
    -------
    pandas.Series
        The group of each row, with the index of `rows`.
    """
    keys = [row_key(p, f) for p, f in zip(rows["prompt"], rows["first"], strict=True)]
    texts = [
        rows[["prompt", wording]].set_axis(near_duplicates.SIDES, axis=1).map(read)
        for wording in ("first", "second")
        if wording in rows
    ]
    documents = None if column is None else rows[column]
    return shared(pd.Series(keys, index=rows.index, dtype=str), texts, documents)


def shared(
    keys: pd.Series,
    texts: Sequence[near_duplicates.Rows] = (),
    documents: Iterable[Any] | None = None,
) -> pd.Series:
    """Find which rows share a coin.

    Near-duplicates do (of the prompt and of the same wording), and equal values of `documents`;
    all of it transitively: what shares a coin with one row shares it with all that the row does.

    Parameters
    ----------
    keys
        The `row_key` of each row.
    texts
        (prompt, output) of each row as they are read (`texts.read`), once for each wording. Empty
        for a split that exists: its coin was tossed without a look at near-duplicates.
    documents
        The document, author or source of each row. Rows without a value share nothing.

    Returns
    -------
    pandas.Series
        The group of each row, with the index of `keys`: the smallest key in it.
    """
    near = [pair for rows in texts for pair in near_duplicates.within(rows)]
    return joined(keys, near + _equal(documents))


def joined(groups: pd.Series, pairs: Iterable[tuple[int, int]]) -> pd.Series:
    """Join groups of rows by pairs of rows, transitively.

    Parameters
    ----------
    groups
        Of each row: the smallest key in it.
    pairs
        Places of two rows.

    Returns
    -------
    pandas.Series
        The group of each row, as before.
    """
    labels, _ = pd.factorize(groups)
    one, other = labels[np.array(list(pairs), dtype=int).reshape(-1, 2)].T
    graph = coo_array((np.ones(len(one)), (one, other)), shape=(len(labels), len(labels)))
    return smallest(groups, connected_components(graph, directed=False)[1][labels])


def smallest(keys: pd.Series, groups: np.ndarray) -> pd.Series:
    """Give each row the smallest key in its group (any labels), with the index of `keys`."""
    order = np.argsort(keys.to_numpy())
    _, first, group = np.unique(groups[order], return_index=True, return_inverse=True)
    found = np.empty(len(keys), dtype=int)
    found[order] = order[first][group]
    return keys.take(found).set_axis(keys.index)


def _equal(documents: Iterable[Any] | None) -> list[tuple[int, int]]:
    """Each row with the first one of its document."""
    first_seen: dict = {}
    values = () if documents is None else documents
    some = [(i, value) for i, value in enumerate(values) if pd.notna(value)]
    return [(i, first_seen.setdefault(value, i)) for i, value in some]


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
