"""The body of a request: one question, as this service takes it.

Services refuse fields that others need. What a refusal teaches is kept for the run and, in an
audit's folder, for its reruns, so that a service is asked in one way.
"""

import hashlib
import json
from collections.abc import Iterable
from typing import Any, Literal, Protocol, Self

from pydantic import BaseModel, ConfigDict

from dsi_core.services.troubles import LIMITS, SYSTEM
from dsi_core.settings.schema import Endpoint

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


class Taken(BaseModel):
    """What a service takes of a request, as far as its refusals taught.

    Attributes
    ----------
    limit
        The field that limits new tokens.
    seed, temperature
        Whether they are sent. A seed is also sent while no answer to one came yet (None).
    stream
        What is sent: no, please; None = the field is left out.
    system
        The role that a system prompt has; "user" = it stands in front of the user's text.
    answered
        Whether the service has ever answered.
    batched
        Whether a batch of it ever brought answers.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    limit: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    seed: bool | None = None
    temperature: bool = True
    stream: bool | None = False
    system: Literal["system", "developer", "user"] = "system"
    answered: bool = False
    batched: bool = False

    def without(self, fields: Iterable[str], message: str) -> Self | None:
        """Give what is left when a service refuses fields; None = there is no other way.

        message: what it says, which may name another way.
        """
        words = message.lower()
        changes: dict[str, Any] = {}
        for name in fields:
            if name in LIMITS and self.limit == "max_tokens":
                changes["limit"] = "max_completion_tokens"
            elif name in ("seed", "temperature"):
                changes[name] = False
            elif name == "stream" and self.stream is False:
                wanted = any(word in words for word in ("only", "must be", "enable", "required"))
                changes["stream"] = True if wanted else None
            elif name == SYSTEM and self.system != "user":
                developer = self.system == "system" and "developer" in words
                changes["system"] = "developer" if developer and "instruct" not in words else "user"
        return self.model_copy(update=changes) if changes else None

    @property
    def differences(self) -> list[str]:
        """Say how requests differ from the usual ones."""
        said = []
        if self.limit != "max_tokens":
            said.append("max_completion_tokens is sent instead of max_tokens")
        if self.seed is False:
            said.append("no seed is sent: its answers cannot be drawn again")
        if not self.temperature:
            said.append("no temperature is sent: the service's own (usually 1) holds")
        if self.stream is not False:
            said.append("a stream is read" if self.stream else "the field stream is not sent")
        if self.system != "system":
            where = "is the developer's" if self.system == "developer" else "begins the user's text"
            said.append(f"the system prompt {where}")
        return said


def turns(prompt: str, system: str | None = None, role: str = "system") -> list[Turn]:
    """Give the messages of one question: the system's, if there is one, and the user's.

    role: whose text a system prompt is; "user" puts it in front of the prompt.
    """
    if system is not None and role == "user":
        prompt, system = f"{system}\n\n{prompt}", None
    user: Turn = {"role": "user", "content": prompt}
    return [user] if system is None else [{"role": role, "content": system}, user]


def body(
    endpoint: Endpoint, prompt: str, asking: Asking, seed: int, taken: Taken | None = None
) -> dict[str, Any]:
    """Give the body of one request.

    What `endpoint.extra` names replaces ours, what `endpoint.omit` names is left out. The limit
    holds for answer and thought together: services know no other.
    """
    way = taken or Taken()
    ours = {
        "model": endpoint.model,
        "messages": turns(prompt, asking.system, way.system),
        "temperature": asking.temperature if way.temperature else None,
        way.limit: asking.max_new_tokens + endpoint.reasoning_tokens,
        "seed": seed if way.seed is not False else None,
        "stream": way.stream,
    }
    left_out = {*endpoint.omit, *(LIMITS if set(LIMITS) & set(endpoint.extra) else ())}
    if set(LIMITS) & set(endpoint.omit):
        left_out |= set(LIMITS)
    kept = {k: v for k, v in ours.items() if v is not None and k not in left_out}
    return kept | endpoint.extra


def changeable(endpoint: Endpoint, sent: dict[str, Any], asking: Asking) -> set[str]:
    """Name the fields of a request that may be changed when a service refuses them: only ours."""
    ours = {*LIMITS, "seed", "temperature", "stream"} & set(sent) - set(endpoint.extra)
    return ours | ({SYSTEM} if asking.system is not None else set())


def most_new_tokens(endpoint: Endpoint, max_new_tokens: int) -> int | None:
    """Give the limit of new tokens that a request names; None = it names none."""
    named = [endpoint.extra[name] for name in LIMITS if name in endpoint.extra]
    if named:
        return max((n for n in named if isinstance(n, int)), default=None)
    if set(LIMITS) & set(endpoint.omit):
        return None
    return max_new_tokens + endpoint.reasoning_tokens


def draw_seed(seed: int, sample_id: str, draw: int) -> int:
    """Give the seed sent with one question: 0 to 2**31 - 1, as servers differ in their bits.

    A sample's id is a hash of its texts: somebody who knows `seed` can verify texts that he
    guesses.
    """
    return int.from_bytes(_digest(seed, sample_id, draw)[:4], "big") >> 1


def question_name(seed: int, sample_id: str, draw: int) -> str:
    """Name one question in the files of a batch, by 32 hex digits that `draw_seed` never shows."""
    return _digest(seed, sample_id, draw)[16:].hex()


def _digest(seed: int, sample_id: str, draw: int) -> bytes:
    identity = json.dumps([str(seed), str(sample_id), str(int(draw))])
    return hashlib.sha256(identity.encode()).digest()
