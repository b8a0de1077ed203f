"""The body of a request: one question, as a chat API takes it."""

from typing import Literal, Protocol

Turn = dict[Literal["role", "content"], str]


class Asking(Protocol):
    """How questions are put (`models.sampling.Sampling` is one way to say it)."""

    @property
    def temperature(self) -> float:
        """0 = greedy."""

    @property
    def max_new_tokens(self) -> int:
        """An answer is cut there."""

    @property
    def system(self) -> str | None:
        """System prompt; None = none."""

    @property
    def seed(self) -> int:
        """Of the random numbers: each draw's own comes from it."""


def turns(prompt: str, system: str | None = None) -> list[Turn]:
    """Give the messages of one question: the system's, if there is one, and the user's."""
    user: Turn = {"role": "user", "content": prompt}
    return [user] if system is None else [{"role": "system", "content": system}, user]
