"""Which texts stand in which others, found by an index over their words.

A text stands in another that consists of the same words, or, if it has `RUN` words or more, holds
all of them in a row. Texts that are not long (`texts.is_long`) stand in others by chance: they are
not looked for. A run of words, however long, is compared as one number (a hash of 64 bits), so that
work grows with the words of all texts, and memory with the number of texts that are looked for.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import TypeVar

import numpy as np

from dsi_core.protect.texts import is_long

RUN = 8  # words in a row that two texts hardly share by chance
BLOCK = 500  # texts at once
BASE = 0x9E3779B97F4A7C15  # of the hash, odd

Tag = TypeVar("Tag")
Words = list[str]


def find(sought: Iterable[Words], within: Iterable[tuple[Tag, Words]]) -> Iterator[tuple[Tag, int]]:
    """Find which texts stand in which.

    Parameters
    ----------
    sought
        Texts that are looked for, by their words (`texts.words`).
    within
        Texts that are looked through, each with what it is called.

    Yields
    ------
    (tag, int)
        What a text is called, and the place of a text that stands in it; of several with the same
        words the first one. A text is found in itself.
    """
    index, texts = _Index(sought), iter(within)
    while block := list(islice(texts, BLOCK)):
        inside = _Stretches([words for _, words in block])
        for text, place in sorted({*index.equal(inside), *index.longer(inside)}):
            yield block[text][0], place


class _Stretches:
    """Texts one after the other, of which any words in a row make one number.

    starts, sizes: of each text, in words.
    """

    def __init__(self, texts: Sequence[Words]):
        self.sizes = np.array([len(words) for words in texts], dtype=int)
        self.starts = np.cumsum(self.sizes) - self.sizes
        hashed = np.fromiter(map(hash, chain.from_iterable(texts)), np.int64).view(np.uint64)
        self.sums = np.zeros(len(hashed) + 1, np.uint64)
        np.cumsum(hashed * _powers(BASE, len(hashed)), out=self.sums[1:])
        self.back = _powers(pow(BASE, -1, 2**64), len(hashed) + 1)

    def number(self, starts: np.ndarray, sizes: np.ndarray | int) -> np.ndarray:
        """Make one number (uint64) of so many words from each start: the same for the same."""
        return (self.sums[starts + sizes] - self.sums[starts]) * self.back[starts]


def _powers(base: int, count: int) -> np.ndarray:
    """1, base, base^2, ... mod 2^64."""
    powers = np.full(count, base, np.uint64)
    powers[:1] = 1
    return np.cumprod(powers)


class _Index:
    """The texts that are looked for: their numbers, and those of their first `RUN` words."""

    def __init__(self, texts: Iterable[Words]):
        empty = np.array([], np.uint64)
        whole, runs, sizes, places = [empty], [empty], [empty.astype(int)], [empty.astype(int)]
        texts, before = iter(texts), 0
        while block := list(islice(texts, BLOCK)):
            long = np.flatnonzero([is_long(words) for words in block])
            found = _Stretches(block)
            start, size = found.starts[long], found.sizes[long]
            whole.append(found.number(start, size))
            runs.append(found.number(start, np.minimum(size, RUN)))
            sizes.append(size)
            places.append(before + long)
            before += len(block)
        self.whole, first = np.unique(np.concatenate(whole), return_index=True)
        self.places = np.concatenate(places)[first]
        run, size = np.concatenate(runs)[first], np.concatenate(sizes)[first]
        run, size = run[size >= RUN], size[size >= RUN]
        order = np.lexsort((size, run))
        run, size = run[order], size[order]
        new = np.append(True, (np.diff(run) != 0) | (np.diff(size) != 0))[: len(run)]
        self.runs, self.sizes = run[new], size[new]  # no two alike in both

    def equal(self, texts: _Stretches) -> Iterator[tuple[int, int]]:
        """Which of the texts are one that is looked for: (place of the text, of what it is)."""
        return self._among(np.arange(len(texts.sizes)), texts.number(texts.starts, texts.sizes))

    def longer(self, texts: _Stretches) -> Iterator[tuple[int, int]]:
        """Which of the texts hold one that is looked for, in a row: as `equal`."""
        if not len(self.runs):
            return
        text = np.repeat(np.arange(len(texts.sizes)), texts.sizes)
        start = np.arange(len(text))
        left = (texts.starts + texts.sizes)[text] - start  # words from there to the text's end
        start = start[left >= RUN]
        run = texts.number(start, RUN)
        known = np.searchsorted(self.runs, run)
        begins = self.runs[known.clip(max=len(self.runs) - 1)] == run
        start, known, run = start[begins], known[begins], run[begins]
        last = np.searchsorted(self.runs, run, "right")
        while len(start):  # one step for each length of the texts that begin so
            size = self.sizes[known]
            fits = size <= left[start]
            yield from self._among(text[start[fits]], texts.number(start[fits], size[fits]))
            more = known + 1 < last
            start, known, last = start[more], known[more] + 1, last[more]

    def _among(self, text: np.ndarray, number: np.ndarray) -> Iterator[tuple[int, int]]:
        if not len(self.whole):
            return
        place = np.searchsorted(self.whole, number).clip(max=len(self.whole) - 1)
        found = self.whole[place] == number
        yield from zip(text[found].tolist(), self.places[place[found]].tolist(), strict=True)
