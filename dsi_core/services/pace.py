"""How fast a service is asked: waiting as it asks, and no more requests at a time than it takes."""

import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from email.utils import parsedate_to_datetime

LONGEST_PAUSE = 120.0  # seconds, whatever a service asks for
FIRST_PAUSE = 1.0  # seconds; each further one is twice as long, up to...
MOST_PAUSE = 60.0
EPOCH = 10**8  # a number beyond it is a date, not seconds to wait; beyond its 1000-fold, in ms
RESETS = (  # headers that say when a limit begins anew; {} is the limit's kind
    "x-ratelimit-reset-{}",
    "x-ratelimit-{}-reset",
    "anthropic-ratelimit-{}-reset",
)
KINDS = (
    "requests",
    "tokens",
    "input-tokens",
    "output-tokens",
    "requests-minute",
    "requests-day",
    "tokens-minute",
)


class Clock:
    """Time, as a test may replace it."""

    def now(self) -> float:
        """Give the seconds of a clock that only goes forward."""
        return time.monotonic()

    def wait(self, seconds: float, stop: threading.Event) -> None:
        """Wait, but no longer than until `stop` is set."""
        stop.wait(seconds)


CLOCK = Clock()


def backoff(failures: int, chance: float) -> float:
    """Give the pause after so many failures in a row. chance: 0 to 1, so that not all come back."""
    return min(FIRST_PAUSE * 2.0 ** min(failures - 1, 30), MOST_PAUSE) + chance


class Pace:
    """Lets requests through: at most `most` at a time, fewer while a service has too many.

    Halved when the service says so, one more after as many answers as are let through at a time:
    additive increase, multiplicative decrease, as in TCP.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.allowed = float(most)
        self._under_way = 0
        self._begun = 0  # requests so far; those begun before a decrease tell nothing new
        self._decreased = 0
        self._not_before = 0.0
        self._changed = threading.Condition()

    @contextmanager
    def turn(self, stop: threading.Event) -> Iterator[int]:
        """Wait for a place; gives the request's number."""
        with self._changed:
            while self._under_way >= max(1, int(self.allowed)) and not stop.is_set():
                self._changed.wait(0.1)
            self._under_way += 1
            self._begun += 1
            number = self._begun
        try:
            self._wait(stop)
            yield number
        finally:
            with self._changed:
                self._under_way -= 1
                self._changed.notify_all()

    def _wait(self, stop: threading.Event) -> None:
        seconds = self._not_before - CLOCK.now()
        if seconds > 0:
            CLOCK.wait(seconds, stop)

    def slower(self, number: int, pause_s: float) -> None:
        """Take it that a service has too many requests, and asks all of them to wait."""
        with self._changed:
            if number > self._decreased:
                self.allowed = max(1.0, self.allowed / 2)
                self._decreased = self._begun
            self._not_before = max(self._not_before, CLOCK.now() + pause_s)

    def answered(self) -> None:
        """Take it that a request was answered."""
        with self._changed:
            self.allowed = min(float(self.most), self.allowed + 1 / self.allowed)
            self._changed.notify_all()


def asked(headers: Mapping[str, str], text: str = "") -> float:
    """Give the seconds that a service asks to wait; 0 = it asks for nothing that can be read.

    In this order: retry-after-ms, Retry-After (seconds or a date), the words of its message, and
    the headers that tell when a limit is reset: that of an exhausted limit, or else the first
    reset.
    """
    try:
        milliseconds = float(headers.get("retry-after-ms", ""))
    except ValueError:
        milliseconds = 0.0
    if milliseconds > 0:
        return _bounded(milliseconds / 1000)
    return seconds(headers.get("retry-after", "")) or _told(text) or _bounded(_until_reset(headers))


def _until_reset(headers: Mapping[str, str]) -> float:
    found = {kind: [seconds(headers.get(r.format(kind), "")) for r in RESETS] for kind in KINDS}
    left = {
        kind: headers.get(f"x-ratelimit-remaining-{kind}")
        or headers.get(f"anthropic-ratelimit-{kind}-remaining")
        for kind in KINDS
    }
    plain = [seconds(headers.get(name, "")) for name in ("x-ratelimit-reset", "ratelimit-reset")]
    waits = {kind: max(times) for kind, times in found.items() if max(times) > 0}
    spent = [wait for kind, wait in waits.items() if (left[kind] or "").strip() in ("0", "0.0")]
    if spent:
        return max(spent)
    return min([*waits.values(), *filter(None, plain)], default=0.0)


def seconds(said: str) -> float:
    """Read a time: seconds, 1m30s, a date of HTTP or ISO, seconds or milliseconds since 1970.

    Returns 0 for none that makes sense, and for the past.
    """
    said = said.strip()
    try:
        number = float(said)
    except ValueError:
        return _bounded(_duration(said) or _date(said))
    if number > EPOCH * 1000 and number < float("inf"):
        number /= 1000
    return _bounded(number - time.time() if EPOCH < number < float("inf") else number)


_UNITS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001, "us": 1e-6, "µs": 1e-6}
_NUMBER = r"\d+(?:\.\d+)?"
_DURATION = rf"(?:{_NUMBER} ?(?:ms|µs|us|d|h|m|s))"


def _duration(said: str) -> float:
    if not re.fullmatch(rf"(?:{_DURATION} ?)+", said):
        return 0.0
    pieces = re.findall(rf"({_NUMBER}) ?(ms|µs|us|d|h|m|s)", said)
    return sum(float(number) * _UNITS[unit] for number, unit in pieces)


def _date(said: str) -> float:
    for read in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            return read(said).timestamp() - time.time()
        except (ValueError, OverflowError, TypeError):
            continue
    return 0.0


_ASKS = re.compile(
    r"(?:(?:again|retry(?:ing)?|wait|resets?|available)\W+(?:\w+ )??(?:in|after|for|at least)|"
    rf"wait|retrydelay\W+)\W*((?:{_DURATION} ?)+|{_NUMBER}(?=\W*$))",
    re.IGNORECASE,
)


def _told(text: str) -> float:
    """What a message asks for in words: "try again in 20s", "retry after 1 minute"."""
    spoken = re.sub(r"(?i)(?<=\d) ?(milli)?(second|minute|hour|day)s?\b", _short, text)
    found = _ASKS.search(spoken)
    return 0.0 if not found else seconds(found[1].strip())


def _short(unit: re.Match) -> str:
    return "ms" if unit[1] else unit[2][0].lower()


def _bounded(wait: float) -> float:
    return min(max(0.0, wait), LONGEST_PAUSE)  # max in this order: "nan" gives 0
