"""Near-duplicates: pairs whose input and output both nearly repeat those of another (§6.1)."""

import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import chain

import numpy as np
import pandas as pd

from dsi_core.data import sketches
from dsi_core.data.common_words import in_order
from dsi_core.runtime import disk, locks, released, store

SIDES = ["prompt", "output"]
THRESHOLD = 0.8  # Jaccard similarity of word sets from which two texts count as one
# Rows that are compared with one in a band, and in vain in all: of many rows so many, ...
NEIGHBOURS = 32
COMPARED = 1_000_000  # ... of few as many as make so many comparisons, of up to 1,000 rows all
KEPT = 1_000_000  # words that are remembered, of the rows that were compared last
QUICK = 20_000  # rows among which near-duplicates are sooner found than stored

Sides = tuple[str, str]
Rows = pd.DataFrame | Sequence[Sides]  # columns prompt and output, or both of each row


def words(text: str) -> frozenset[str]:
    """Give the set of a text's words, without case and punctuation."""
    return frozenset(map(sys.intern, in_order(text)))


def jaccard(a: frozenset, b: frozenset) -> float:
    """Give |a and b| / |a or b|, in [0, 1]; 1 for two empty sets."""
    shared = len(a & b)
    return shared / (len(a) + len(b) - shared) if a or b else 1.0


def find(pairs: pd.DataFrame, others: Rows, threshold: float = THRESHOLD) -> pd.Series:
    """Mark the rows of `pairs` whose input and output both nearly repeat those of one other pair.

    Sketches find the candidates, the exact value decides. A pair exactly at the threshold of a
    single other one is missed with the chance `sketches.missed`: 2 in a million at 0.8. A row with
    very many candidates is compared with the nearest of them only (`NEIGHBOURS`), so that more may
    be missed; a warning says how many rows that concerns.

    Parameters
    ----------
    pairs
        Columns prompt, output.
    others
        As `pairs`, or a sequence of (prompt, output), which may lie on disk: only its sketches are
        held.
    threshold
        Jaccard similarity of the word sets, in [0.5, 1], from which two texts are near-duplicates.

    Returns
    -------
    pandas.Series
        Of bool, with the index of `pairs`.

    References
    ----------
    §6.1, footnote 3. The paper does not say what its sets hold; ours hold words.
    """
    texts = _Texts([others, pairs], threshold)
    marked = np.zeros(len(texts.sketches), dtype=bool)
    for key, further in sketches.bands(texts.sketches, threshold):
        left = key[len(others) :][~marked[len(others) :]]
        agree = np.flatnonzero(pd.Series(key).isin(left))
        order = texts.in_order(agree, key, further)
        is_other = order < len(others)
        other, mine = order[is_other], order[~is_other]
        before = np.cumsum(is_other)[~is_other][~marked[mine]]
        mine = mine[~marked[mine]]
        low, high = (np.searchsorted(key[other], key[mine], side) for side in ("left", "right"))
        first = np.clip(before - texts.nearest // 2, low, np.maximum(low, high - texts.nearest))
        texts.crowds[mine] += high - low > texts.nearest
        for i, j in texts.candidates(mine, other, first, np.minimum(high, first + texts.nearest)):
            marked[i] = marked[i] or texts.near(i, j)
    texts.warn(~marked)
    return pd.Series(marked[len(others) :], index=pairs.index, dtype=bool)


def within(pairs: Rows, threshold: float = THRESHOLD) -> list[tuple[int, int]]:
    """Find the near-duplicates of rows among themselves, as `find` tells them.

    Returns
    -------
    list of (int, int)
        Positions of two rows, the later one first. Not all such pairs of rows, but enough that a
        chain connects any two near-duplicates.
    """
    texts = _Texts([pairs], threshold)
    chains = _Chains(len(pairs))
    for key, further in sketches.bands(texts.sketches, threshold):
        order = texts.in_order(_not_alone(key), key, further)
        first = np.arange(1, len(order) + 1)
        last = np.searchsorted(key[order], key[order], "right")
        near_last = np.minimum(last, first + texts.nearest)
        for i, j in texts.candidates(order, order, first, near_last, chains.apart):
            if chains.end(i) != chains.end(j) and texts.near(i, j):
                chains.join(i, j)
        far = last > near_last
        texts.crowds[order[far]] += chains.apart(order[far], order[near_last[far] - 1])
    texts.warn(np.ones(len(pairs), dtype=bool))
    return sorted(chains.joined)


class _Texts:
    """Rows of prompts and outputs, their sketches, and what is known of them.

    Attributes
    ----------
    count
        Of words.
    nearest
        With how many rows a row is compared in each band, and in vain altogether.
    crowds
        For each row, in how many bands more rows agree with it than are compared.
    tried
        For each row, with how many it was compared in vain.
    failed
        Rows that were compared and are no near-duplicates, as one number for two rows.
    """

    def __init__(self, parts: Sequence[Rows], threshold: float):
        self.threshold = threshold
        self.parts = [_Table(part) if isinstance(part, pd.DataFrame) else part for part in parts]
        self.count = 0
        self.sketches = sketches.sketch(self._words(), sum(map(len, self.parts)))
        self.crowds = np.zeros(len(self.sketches), dtype=np.int16)
        self.tried = np.zeros(len(self.sketches), dtype=np.int32)
        self.nearest = max(NEIGHBOURS, COMPARED // max(1, len(self.sketches)))
        self.failed: set[int] = set()
        self.sets = _sets_of(self.parts, KEPT * len(self.sketches) // max(1, self.count))

    def _words(self) -> Iterator[tuple[list[str], list[str]]]:
        """Give the words of both sides of each row, and count them."""
        for prompt, output in chain.from_iterable(self.parts):
            both = in_order(prompt), in_order(output)
            self.count += len(both[0]) + len(both[1])
            yield both

    def in_order(self, rows: np.ndarray, key: np.ndarray, further: np.ndarray) -> np.ndarray:
        """Rows by their numbers in a band, then by its further columns."""
        more = sketches.numbers(self.sketches[rows], further)
        return rows[np.lexsort((more, key[rows]))]

    def candidates(
        self,
        mine: np.ndarray,
        other: np.ndarray,
        first: np.ndarray,
        last: np.ndarray,
        wanted: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None,
    ) -> Iterator[tuple[int, int]]:
        """Pairs of a row of `mine` and one of `other` from place `first` to before `last`.

        They may be near-duplicates by their sketches; the nearest places come first.
        """
        place = first
        while (there := (place < last) & (self.tried[mine] < self.nearest)).any():
            mine, place, last = mine[there], place[there], last[there]
            one, two = mine, other[place]
            if wanted is not None:
                chosen = wanted(one, two)
                one, two = one[chosen], two[chosen]
            likely = sketches.alike(self.sketches, one, two, self.threshold)
            yield from zip(one[likely].tolist(), two[likely].tolist(), strict=True)
            place = place + 1

    def near(self, i: int, j: int) -> bool:
        """Whether both sides of two rows are near-duplicates, as far as they are compared."""
        both = min(i, j) * len(self.sketches) + max(i, j)
        if self.tried[i] >= self.nearest or both in self.failed:
            return False
        (prompt, output), (other_prompt, other_output) = self.sets(i), self.sets(j)
        if (
            jaccard(prompt, other_prompt) >= self.threshold
            and jaccard(output, other_output) >= self.threshold
        ):
            return True
        self.failed.add(both)
        self.tried[i] += 1
        return False

    def warn(self, rows: np.ndarray) -> None:
        """Warn of those among `rows` (bool) of which near-duplicates may have been missed."""
        crowded = int(
            ((self.tried >= self.nearest) | (self.crowds > sketches.BANDS // 2))[rows].sum()
        )
        if crowded:
            warnings.warn(
                f"{crowded} of {len(rows)} rows resemble so many others, as the rows of one "
                f"template do, that each was compared with the {self.nearest} nearest of each of "
                f"{sketches.BANDS} groupings: some near-duplicates of them may have been missed",
                stacklevel=3,
            )


def _sets_of(
    parts: Sequence[Sequence[Sides]], kept: int
) -> Callable[[int], tuple[frozenset[str], frozenset[str]]]:
    """Give what tells the words of a row's sides; it remembers those of the last `kept` rows."""

    @lru_cache(maxsize=kept)
    def sets(i: int) -> tuple[frozenset[str], frozenset[str]]:
        for part in parts:
            if i < len(part):
                prompt, output = part[i]
                return words(prompt), words(output)
            i -= len(part)
        raise IndexError(i)

    return sets


class _Table(Sequence[Sides]):
    """Prompt and output of each row of a table, without a list of them all."""

    def __init__(self, table: pd.DataFrame):
        self.columns = [table[side].array for side in SIDES]

    def __len__(self) -> int:
        return len(self.columns[0])

    def __getitem__(self, i):
        return tuple(column[i] for column in self.columns)

    def __iter__(self) -> Iterator[Sides]:
        return zip(*self.columns, strict=True)


def _not_alone(key: np.ndarray) -> np.ndarray:
    """The places (increasing) of numbers that are there more than once."""
    order = np.argsort(key)
    same = np.diff(key[order]) == 0
    return np.sort(order[np.append(same, False) | np.append(False, same)])


class _Chains:
    """Rows joined to chains: `end` is the same for two rows of one chain."""

    def __init__(self, rows: int):
        self.ends = np.arange(rows)
        self.joined: list[tuple[int, int]] = []

    def end(self, i: int) -> int:
        ends = self.ends
        while ends[i] != i:
            ends[i] = i = ends[ends[i]]
        return i

    def join(self, i: int, j: int) -> None:
        self.ends[self.end(i)] = self.end(j)
        self.joined.append((max(i, j), min(i, j)))

    def apart(self, one: np.ndarray, two: np.ndarray) -> np.ndarray:
        return self._ends_of(one) != self._ends_of(two)

    def _ends_of(self, rows: np.ndarray) -> np.ndarray:
        """`end` of many rows, which then lead to it in one step."""
        found = self.ends[rows]
        while ((further := self.ends[found]) != found).any():
            found = further
        self.ends[rows] = found
        return found


@lru_cache(maxsize=32)
def _found(pairs: tuple, others: tuple, threshold: float) -> tuple[bool, ...]:
    mine, theirs = (pd.DataFrame(t, columns=SIDES, dtype=object) for t in (pairs, others))
    return tuple(find(mine, theirs, threshold))


def stored(pairs: pd.DataFrame, others: pd.DataFrame, threshold: float, name: str) -> pd.Series:
    """`find`, searched once and kept in the store: it takes minutes at a million pairs.

    Of few pairs nothing is written. pairs, others: columns sample_id, prompt, output; name: of the
    entry.
    """
    if len(pairs) + len(others) < QUICK:
        mine, theirs = (
            tuple(zip(table["prompt"], table["output"], strict=True)) for table in (pairs, others)
        )
        return pd.Series(_found(mine, theirs, threshold), index=pairs.index, dtype=bool)
    sides = {"pairs": pairs, "others": others}
    spec = {side: store.key(table["sample_id"].tolist()) for side, table in sides.items()}
    folder = released.entry("near_duplicates", name, {**spec, "threshold": threshold})
    with locks.held(folder):
        if store.manifest(folder) is None:
            near = find(pairs, others, threshold)
            # a new table: that of the pairs says where on this machine they come from
            ids = pd.DataFrame({"sample_id": pairs.loc[near, "sample_id"].tolist()}, dtype=object)
            disk.write_table(folder / "near.parquet", ids)
            store.finish(folder, pairs=len(pairs), near_duplicates=int(near.sum()))
    found = disk.read_table(folder / "near.parquet")["sample_id"]
    return pairs["sample_id"].isin(found)
