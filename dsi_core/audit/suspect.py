"""The suspect of an audit: an API, a model's folder or a hub id; and what its answers are."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from dsi_core.audit import local
from dsi_core.audit.refusals import refuses
from dsi_core.data.common_words import is_blank
from dsi_core.data.fields import text_of
from dsi_core.services import thoughts
from dsi_core.services.endings import Ending
from dsi_core.services.thoughts import Thought
from dsi_core.settings.schema import Endpoint, Model


class AnswerStatus(StrEnum):
    """What became of a question; only "answered" can be evidence."""

    ANSWERED = "answered"
    SHORT = "short"
    EMPTY = "empty"
    REFUSED = "refused"
    FILTERED = "filtered"
    FAILED = "failed"
    TRUNCATED = "truncated"
    THOUGHT = "thought"
    TOOL = "tool call"
    UNKNOWN = "unknown ending"

    @property
    def meaning(self) -> str:
        """Explain it."""
        return MEANINGS[self]


MEANINGS = {
    AnswerStatus.ANSWERED: "a text of its own",
    AnswerStatus.SHORT: "under mu bytes (§5.3)",
    AnswerStatus.EMPTY: "no text that anybody sees",
    AnswerStatus.REFUSED: "a refusal without substance, or marked as one",
    AnswerStatus.FILTERED: "withheld by the service's content filter",
    AnswerStatus.FAILED: "the service failed on this prompt again and again, and answered another "
    "in between",
    AnswerStatus.TRUNCATED: "cut by the service before the length that is compared",
    AnswerStatus.THOUGHT: "a thought and no answer after it (--reasoning-tokens gives thoughts "
    "room of their own)",
    AnswerStatus.TOOL: "the call of a tool instead of an answer",
    AnswerStatus.UNKNOWN: "ended by the service for a reason that is not known",
}

# Those that a service alone brings: neither a model that is loaded here nor a file has them
OF_A_SERVICE = (
    AnswerStatus.FILTERED,
    AnswerStatus.FAILED,
    AnswerStatus.TRUNCATED,
    AnswerStatus.UNKNOWN,
)


@dataclass(frozen=True)
class AnswerFacts:
    """What is kept beside an answer's text.

    Attributes
    ----------
    finish
        The service's reason to end: stop, length, content_filter, ...; "" = it gave none.
    ending
        What that means.
    refused
        Whether the service marks the text as a refusal.
    thought
        Whether it thought before it answered; the thought is no part of the text.
    cut
        Whether the answer went on beyond the length that is compared.
    tokens, prompt_tokens
        Written and read, by the service's count; 0 = it keeps none.
    thought_tokens, cached_tokens
        Of these: of the thought; of the prompt, those that the service had read before.
    model
        What the service calls itself, or "".
    requests
        How many it took.
    billed
        Whether the one that brought it may have been billed.
    lost_requests, lost_uncounted, lost_tokens, lost_prompt_tokens
        Of these: those without an answer that were or may have been billed, as `services.Lost`.
    at
        When it came, as `provenance.moment` writes it.
    """

    finish: str = ""
    ending: Ending = Ending.UNSAID
    refused: bool = False
    thought: Thought = Thought.NONE
    cut: bool = False
    tokens: int = 0
    prompt_tokens: int = 0
    thought_tokens: int = 0
    cached_tokens: int = 0
    model: str = ""
    requests: int = 1
    billed: bool = True
    lost_requests: int = 0
    lost_uncounted: int = 0
    lost_tokens: int = 0
    lost_prompt_tokens: int = 0
    at: str = ""


SAYS_NOTHING = AnswerFacts()


def told_apart(text: str) -> tuple[str, AnswerFacts]:
    """Tell an answer from a thought before it, where the text is all that is known of it."""
    said = thoughts.apart(text)
    ending = Ending.TOOL if said.tool else Ending.UNSAID
    return said.answer, AnswerFacts(thought=said.kind, ending=ending)


def status(
    text: str, oracle: str, mu: int, facts: AnswerFacts = SAYS_NOTHING, limit: int = 0
) -> AnswerStatus:
    """Say what became of a question.

    An answer that ran into our limit is as long as the references' may be and counts; one that the
    service cut sooner does not. Without a count of its tokens, "sooner" means under two bytes for
    each token allowed, half of what a token usually holds. Bytes also decide if a thought came
    before the answer, unless the service counts the two apart.

    Parameters
    ----------
    oracle
        D's own output: if it is a refusal or a call itself, such answers are not taken for one.
    mu
        Shorter answers, in UTF-8 bytes, are no evidence (§5.3).
    facts
        What the service says of the answer; a local model says nothing.
    limit
        How many new tokens of an answer are compared.
    """
    size = len(text.encode())
    if facts.ending == Ending.FILTERED:
        return AnswerStatus.FILTERED
    if facts.ending == Ending.TOOL and not thoughts.apart(oracle).tool:
        return AnswerStatus.TOOL
    if facts.refused or (refuses(text) and not refuses(oracle)):
        return AnswerStatus.REFUSED
    if facts.thought == Thought.INSTEAD:
        return AnswerStatus.THOUGHT
    if is_blank(text):
        return AnswerStatus.FAILED if facts.ending == Ending.ERROR else AnswerStatus.EMPTY
    if facts.ending in (Ending.UNKNOWN, Ending.ERROR):
        return AnswerStatus.UNKNOWN
    apart = facts.thought == Thought.NONE or facts.thought_tokens
    counted = facts.tokens - facts.thought_tokens if apart else 0
    if facts.ending == Ending.LENGTH and not facts.cut and (counted or size / 2) < limit:
        return AnswerStatus.TRUNCATED
    return AnswerStatus.SHORT if size < mu else AnswerStatus.ANSWERED


def model(
    given: str | None,
    *,
    base_url: str | None = None,
    name: str | None = None,
    key_env: str | None = None,
    answers: Path | None = None,
    loading: Mapping[str, Any] | None = None,
    **endpoint,
) -> tuple[str, Model | None]:
    """Find the suspect: a short name, and where it is (None = a file holds its answers).

    Parameters
    ----------
    given
        As `local.model` takes it; or None, with the next three.
    base_url, name, key_env
        Of an API: its address, what it calls the model, the variable that holds the key.
    answers
        A file of its answers, which stands for it.
    loading
        The options of `local.model`.
    endpoint
        More fields of `settings.schema.Endpoint`.

    Raises
    ------
    ValueError
        For anything else, and for more than one.
    """
    if sum(one is not None for one in (base_url, given, answers)) != 1:
        raise ValueError(
            "a suspect is either --base-url with --model, or --suspect: a folder, a GGUF file or a "
            "hub id, or --answers: a file of what it said"
        )
    for option, value in {"--model": name, "--suspect": given, "--answers": answers}.items():
        text_of(value and str(value), option)  # what no file could take is refused before asking
    if base_url is None and (name or key_env):
        raise ValueError("--model and --key-env go with --base-url: the address of an API")
    how = {option: value for option, value in (loading or {}).items() if value}
    if how and given is None:
        wrong = ", ".join(local.OPTIONS[option] for option in how)
        raise ValueError(f"{wrong} goes with --suspect: a model that is loaded here")
    if answers is not None:
        if answers.is_dir():
            raise ValueError(f"--answers {answers}: is a folder; give one file of it")
        if not answers.is_file():
            raise ValueError(f"--answers {answers}: no such file")
        return answers.stem, None
    if base_url is not None:
        if not name:
            raise ValueError(
                "--base-url needs --model: the name by which the server knows the model"
            )
        remote = Endpoint(base_url=base_url, model=name, key_env=key_env, **endpoint)
        return Path(name).name, Model(endpoint=remote)
    assert given is not None
    return local.model(given, **how)
