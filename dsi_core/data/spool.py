"""Rows on disk, read by their place: memory does not grow with the texts of a dataset."""

import os
import pickle
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from tempfile import TemporaryFile
from typing import Generic, TypeVar, overload

import numpy as np

HELD = 1 << 25  # bytes that are kept in memory before they are written

Row = TypeVar("Row")
Given = TypeVar("Given")


class Spool(Sequence[Row]):
    """Values in the order in which they were added.

    Beyond `HELD` bytes, values lie in a temporary file (in `$TMPDIR`) that has no name, is private
    to its owner, and ends with the process. Processes that are forked read the same file.
    """

    def __init__(self, rows: Iterable[Row] = ()):
        self._ends = array("Q")
        self._held = bytearray()
        self._written = 0
        for row in rows:
            self.append(row)

    def append(self, row: Row) -> None:
        """Add a value; anything that pickle knows."""
        self._held += pickle.dumps(row, pickle.HIGHEST_PROTOCOL)
        self._ends.append(self._written + len(self._held))
        if len(self._held) > HELD:
            self._write()

    def _write(self) -> None:
        if not self._written:
            self._file = TemporaryFile()  # noqa: SIM115 (as long as the rows)
        self._file.write(self._held)
        self._file.flush()
        self._written += len(self._held)
        self._held.clear()

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, place: int) -> Row: ...
    @overload
    def __getitem__(self, place: slice) -> list[Row]: ...
    def __getitem__(self, place):
        if isinstance(place, slice):
            return [self[i] for i in range(*place.indices(len(self)))]
        i = range(len(self))[place]  # from the end, too
        start, end = self._ends[i - 1] if i else 0, self._ends[i]
        if start < self._written:
            return pickle.loads(os.pread(self._file.fileno(), end - start, start))
        return pickle.loads(self._held[start - self._written : end - self._written])

    def __iter__(self) -> Iterator[Row]:
        return map(self.__getitem__, range(len(self)))


class Mapped(Sequence[Given], Generic[Row, Given]):
    """A function's values at some places of the rows, each computed when it is asked for."""

    def __init__(
        self,
        rows: Sequence[Row],
        give: Callable[[Row], Given],
        places: Sequence[int] | np.ndarray | None = None,
    ):
        self._rows, self._give = rows, give
        self._places = range(len(rows)) if places is None else places

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, place: int) -> Given: ...
    @overload
    def __getitem__(self, place: slice) -> list[Given]: ...
    def __getitem__(self, place):
        if isinstance(place, slice):
            return [self[i] for i in range(*place.indices(len(self)))]
        return self._give(self._rows[int(self._places[place])])

    def __iter__(self) -> Iterator[Given]:
        return (self._give(self._rows[int(i)]) for i in self._places)
