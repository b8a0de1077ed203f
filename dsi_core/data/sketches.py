"""Sketches: which texts of many may be near-duplicates, without comparing each with each.

A row's sketch is a byte of each of `COLUMNS` MinHashes of its words. The chance that two rows agree
in a column is their Jaccard similarity, so rows which agree in a few columns drawn at random (a
band) are candidates. Each of `BANDS` bands costs time and memory in proportion to the rows. Where
many rows agree in a band, `near_duplicates` compares only the nearest of them, or work would grow
with the square of the rows.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import chain, islice

import numpy as np
import pandas as pd

COLUMNS = 128
BANDS = 160
AGREE = 0.13  # chance that two rows at the threshold agree in one band, about
DEVIATIONS = 6  # below what is expected at the threshold, to which agreeing columns may fall
BLOCK = 2000  # rows sketched at once
SEED = 20240507

Words = Sequence[str]


def sketch(rows: Iterable[tuple[Words, Words]], count: int) -> np.ndarray:
    """Sketch `count` rows by the words of their two sides; a word on both sides is two words.

    Returns
    -------
    numpy.ndarray
        Shape (count, `COLUMNS`), uint8.
    """
    found = np.empty((count, COLUMNS), dtype=np.uint8)
    rows = iter(rows)
    for start in range(0, count, BLOCK):
        found[start : start + BLOCK] = _sketched(list(islice(rows, BLOCK)))
    return found


def _sketched(rows: list[tuple[Words, Words]]) -> np.ndarray:
    sides = [side or ("",) for row in rows for side in row]  # a side without words has a mark
    lengths = np.array([len(side) for side in sides])
    words = pd.util.hash_array(np.array([*chain.from_iterable(sides)], dtype=object))
    words ^= np.repeat(np.arange(len(sides)) % 2, lengths).astype(np.uint64) * np.uint64(SEED)
    hashed = (words ^ (words >> np.uint64(32))).astype(np.uint32)
    starts = np.concatenate([[0], np.cumsum(lengths)])[:-1][::2]
    found = np.empty((len(rows), COLUMNS), dtype=np.uint8)
    for column, (times, plus) in enumerate(_hashes()):
        found[:, column] = np.minimum.reduceat(hashed * times + plus, starts) & 0xFF
    return found


@cache
def _hashes() -> np.ndarray:
    """An odd factor and a summand for each column, uint32: h -> factor h + summand mod 2^32."""
    rng = np.random.default_rng(SEED)
    drawn = rng.integers(0, 2**32, size=(COLUMNS, 2), dtype=np.uint32)
    drawn[:, 0] |= 1
    return drawn


def width(threshold: float) -> int:
    """Give the columns of a band: at most 8, which make one number."""
    return min(8, round(np.log(AGREE) / np.log(threshold))) if threshold < 1 else 8


def missed(threshold: float) -> float:
    """Give the chance that two rows exactly at the threshold are no candidates of each other."""
    from scipy.stats import binom

    agree = np.arange(COLUMNS + 1)
    chance = binom.pmf(agree, COLUMNS, threshold)
    in_no_band = (1 - (agree / COLUMNS) ** width(threshold)) ** BANDS
    return float(chance @ np.where(agree < _least(threshold), 1.0, in_no_band))


def _least(threshold: float) -> int:
    """In how many columns candidates agree at least."""
    deviation = np.sqrt(COLUMNS * threshold * (1 - threshold))
    return int(np.ceil(COLUMNS * threshold - DEVIATIONS * deviation))


def alike(sketches: np.ndarray, one: np.ndarray, other: np.ndarray, threshold: float) -> np.ndarray:
    """Tell which rows agree in so many columns that they may be near-duplicates.

    one, other: places of rows, shape (candidates,). Returns bool of that shape.
    """
    enough = np.empty(len(one), dtype=bool)
    for start in range(0, len(one), 100_000):
        part = slice(start, start + 100_000)
        agree = (sketches[one[part]] == sketches[other[part]]).sum(axis=1)
        enough[part] = agree >= _least(threshold)
    return enough


def bands(sketches: np.ndarray, threshold: float) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Give each band: the rows' numbers, equal where they agree, and the columns of further ones.

    Sorted by both, rows that agree stand together, and those that agree in more are neighbours
    (`numbers` of the further columns, of those rows that agree with any).
    """
    rng = np.random.default_rng(SEED)
    wide = width(threshold)
    for _ in range(BANDS):
        drawn = rng.choice(COLUMNS, 16, replace=False)
        yield numbers(sketches, drawn[:wide]), drawn[8:]


def numbers(sketches: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Make one number (uint64) of up to eight columns of each row."""
    both = np.zeros((len(sketches), 8), dtype=np.uint8)
    both[:, : len(columns)] = sketches.take(columns, axis=1)
    return both.view(np.uint64)[:, 0]
