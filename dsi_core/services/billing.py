"""What a request cost, in tokens as services count and bill them."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

ROUNDING = 1e-9  # of a request's cost
# Of a prompt, counted apart; where others pass the last two on, prompt_tokens holds them
ANTHROPIC = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")


@dataclass(frozen=True)
class Usage:
    """Tokens by the service's count, as it bills them; 0 = it keeps none.

    Attributes
    ----------
    read, cached
        Of the prompt, and how many of these it had read before.
    written, thought
        All that was written, and how many of these were a thought.
    """

    read: int = 0
    written: int = 0
    thought: int = 0
    cached: int = 0


@dataclass(frozen=True)
class Lost:
    """What requests took that led to no answer, though they were or may have been billed.

    Attributes
    ----------
    requests
        How many.
    uncounted
        Those among them of which the service counted no tokens.
    read, written
        Tokens of the other ones.
    """

    requests: int = 0
    uncounted: int = 0
    read: int = 0
    written: int = 0

    def __add__(self, other: "Lost") -> "Lost":
        """Add them up."""
        return Lost(
            self.requests + other.requests,
            self.uncounted + other.uncounted,
            self.read + other.read,
            self.written + other.written,
        )


@dataclass
class Allowance:
    """What may still be billed, shared by the threads that ask; repeats take their part of it.

    Attributes
    ----------
    left
        In any unit.
    cost
        The most that a request with a prompt may be billed, in the same unit.
    """

    left: float
    cost: Callable[[str], float]
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, prompt: str) -> bool:
        """Take a request's cost off; False: it may be more than is left, and nothing is taken."""
        cost = self.cost(prompt)
        with self._lock:
            if cost * (1 - ROUNDING) > self.left:
                return False
            self.left -= cost
        return True

    def give_back(self, prompt: str) -> None:
        """Add the cost of a request that was not billed."""
        with self._lock:
            self.left += self.cost(prompt)


def took(usage: Usage) -> Lost:
    """Say what a request took that got a reply, but not the answer that was asked for."""
    counted = usage.read or usage.written
    return Lost(1, 0, usage.read, usage.written) if counted else Lost(1, 1)


def usage(body: dict[str, Any]) -> Usage | None:
    """Read what a service counts; None = nothing.

    Some services count a thought only in the total, not in the tokens written.
    """
    said = body.get("usage")
    if not isinstance(said, dict):
        return None
    read = _count(said, "prompt_tokens") or sum(_count(said, name) for name in ANTHROPIC)
    written = _count(said, "completion_tokens", "output_tokens")
    thought = max(
        _count(said.get(name), "reasoning_tokens")
        for name in ("completion_tokens_details", "output_tokens_details")
    ) or _count(said, "reasoning_tokens", "thoughts_tokens")
    cached = _count(said.get("prompt_tokens_details"), "cached_tokens") or _count(
        said, "prompt_cache_hit_tokens", "cached_tokens", "cache_read_input_tokens"
    )
    total = _count(said, "total_tokens")
    if thought > written or (thought and total == read + written + thought):
        written += thought
    if not (read or written):
        return None
    return Usage(read, written, thought, cached)


def _count(said: Any, *names: str) -> int:
    """The first of a service's counts that makes sense; 0 = none does."""
    for name in names if isinstance(said, dict) else ():
        count = said.get(name)
        if isinstance(count, str) and count.isascii() and count.isdigit():
            count = float(count)
        if isinstance(count, int | float) and not isinstance(count, bool) and 0 < count < 2**53:
            return int(count)
    return 0
