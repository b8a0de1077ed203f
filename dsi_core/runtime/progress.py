"""What a long run says on stderr: its phase, how far it is, what it is doing, the time left.

On a terminal and in a notebook a bar; elsewhere a line every `LINE_SECONDS`. `$DSI_PROGRESS` sets
it (bar, lines, none), also for the kernels and workers that a command starts; such a kernel writes
to the command's stderr, not into its notebook's cells.
"""

import os
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from typing import TextIO

from tqdm import tqdm

from dsi_core.runtime.environment import printable

VARIABLE = "DSI_PROGRESS"
LINE_SECONDS = 30.0
LEAST_SHARE = 0.02  # of the whole, before which nobody can tell what is left
LONGEST = 120  # characters of what is at hand
BAR = "{desc} {percentage:3.0f}%|{bar:20}| {elapsed} left {remaining}{postfix}"
BAR_AT_THE_END = "{desc} {percentage:3.0f}%|{bar:20}| took {elapsed}{postfix}"


class How(StrEnum):
    """How progress is shown."""

    BAR = "bar"
    LINES = "lines"
    NONE = "none"


def how() -> How:
    """Tell how progress is shown here.

    Raises
    ------
    ValueError
        `$DSI_PROGRESS` is none of them.
    """
    said = os.environ.get(VARIABLE, "").strip()
    if said:
        if said not in list(How):
            raise ValueError(f"${VARIABLE} is {said!r}; allowed: {', '.join(How)}")
        return How(said)
    return How.BAR if _in_notebook() or sys.stderr.isatty() else How.LINES


def where() -> TextIO | None:
    """Give where progress is written: stderr, or, in a command's kernel, the command's own."""
    told = os.environ.get(VARIABLE, "").strip()
    return sys.__stderr__ if told and _in_notebook() else sys.stderr


def _in_notebook() -> bool:
    return type(sys.stderr).__module__.startswith("ipykernel")


def say(line: str) -> None:
    """Say a line on stderr, unless nothing is to be said."""
    if how() is not How.NONE:
        tqdm.write(printable(line), file=where())


class Phases:
    """The phases of a run, in order, each with its part of the whole work.

    Attributes
    ----------
    shares
        By name, in any unit that they share; None = not known, so neither is the time for all.
    """

    def __init__(self, shares: Mapping[str, float | None]):
        self.shares = dict(shares)
        self.number = 0
        self.began = time.monotonic()

    def begin(self, name: str) -> None:
        """Begin a phase; says which of how many it is."""
        self.number = list(self.shares).index(name) + 1
        say(f"{self.place} {name}")

    @property
    def place(self) -> str:
        """Which of how many the one at hand is."""
        return f"{self.number} of {len(self.shares)}:"

    def left_seconds(self, part: float) -> float | None:
        """Estimate the time until all phases have ended, by what passed until now.

        part: of the phase at hand that is done, 0 to 1. None = nobody can tell.
        """
        shares = [share for share in self.shares.values() if share is not None]
        if not self.number or len(shares) < len(self.shares) or not sum(shares):
            return None
        before, at_hand = sum(shares[: self.number - 1]), shares[self.number - 1]
        done = (before + part * at_hand) / sum(shares)
        if done < LEAST_SHARE:
            return None
        return (time.monotonic() - self.began) * (1 - done) / done


_phases: Phases | None = None  # of the run at hand in this process


def begin(name: str, shares: Mapping[str, float | None] | None = None) -> None:
    """Begin a phase of the run at hand, if it has any. shares: of phases, now that one knows."""
    if _phases is not None:
        _phases.shares.update(shares or {})
        _phases.begin(name)


@contextmanager
def phases(shares: Mapping[str, float | None]) -> Iterator[Phases]:
    """Say of what follows that it is made of these phases (`Phases`)."""
    global _phases
    before, _phases = _phases, Phases(shares)
    try:
        yield _phases
    finally:
        _phases = before


class Progress:
    """How far one piece of work is: a bar, or a line now and then.

    total, done: in any unit; done: of it before this began.
    """

    def __init__(self, total: float, done: float = 0.0, text: str = ""):
        self.total, self.done, self.first, self.text = total, done, done, text
        self.began = time.monotonic()
        self.how = how()
        self.closed = threading.Event()
        self.bar: tqdm | None = None

    def __enter__(self) -> "Progress":
        if self.how is How.BAR:
            self.bar = tqdm(
                total=self.total,
                initial=self.done,
                bar_format=BAR,
                mininterval=2,
                smoothing=0,
                file=where(),
            )
        elif self.how is How.LINES:
            threading.Thread(target=self._now_and_then, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closed.set()
        if self.bar is not None:
            if self._is_done():
                self.bar.bar_format = BAR_AT_THE_END
            self.bar.close()
        elif self.how is How.LINES and time.monotonic() - self.began >= LINE_SECONDS:
            say(self.line())

    def show(self, done: float, text: str | None = None) -> None:
        """Say how much is done, and what is at hand."""
        self.done, self.text = done, self.text if text is None else text
        if self.bar is not None:
            place = f"{_phases.place} " if _phases is not None and _phases.number else ""
            self.bar.set_description_str(f"{place}{self.text[:LONGEST]}", refresh=False)
            if (left := self._all_left()) is not None:
                self.bar.set_postfix_str(f"all {_time(left)}", refresh=False)
            self.bar.update(done - self.bar.n)

    def line(self) -> str:
        """The same in one line."""
        passed = time.monotonic() - self.began
        place = f"{_phases.place} " if _phases is not None and _phases.number else ""
        took = f"took {_time(passed)}" if self._is_done() else f"{_time(passed)} so far"
        parts = [f"{self._part():.0%}", took]
        if self.text:  # nothing is at hand before the first job
            parts.insert(0, self.text[:LONGEST])
        here = self.done - self.first
        if here > 0 and not self._is_done():
            parts.append(f"about {_time(passed * (self.total - self.done) / here)} left")
        if (left := self._all_left()) is not None:
            parts.append(f"about {_time(left)} until all is done")
        return place + ", ".join(parts)

    def _is_done(self) -> bool:
        return self.done >= self.total

    def _part(self) -> float:
        return self.done / self.total if self.total else 1.0

    def _all_left(self) -> float | None:
        return None if _phases is None else _phases.left_seconds(self._part())

    def _now_and_then(self) -> None:
        while not self.closed.wait(LINE_SECONDS):
            say(self.line())


def _time(seconds: float) -> str:
    return tqdm.format_interval(round(seconds))
