"""What a service sent in reply to one question, read once and for all.

Services agree on a field or two. The rest is read as the large ones write it in 2026: text or a
list of parts, thoughts in fields of their own or in the text, refusals, tool calls, forty reasons
to end, errors with status 200. Only what is certainly the model's answer becomes a text; an ending
that is not known is said to be unknown.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from dsi_core.services import billing, stream
from dsi_core.services.billing import Lost, Usage
from dsi_core.services.endings import UNSAID, Ending, meaning
from dsi_core.services.message import Parts, clean, string
from dsi_core.services.thoughts import Thought

# No tokenizer writes more bytes a token in a text of people: beyond, a limit was ignored
MOST_BYTES_PER_TOKEN = 64
LIKELY_BYTES_PER_TOKEN = 4
NAME = 200  # characters that are kept of a model's name and of a reason to end


@dataclass(frozen=True)
class Reply:
    """What a service said to one question.

    Attributes
    ----------
    text
        The answer alone, stripped, and cut where the compared length ends.
    finish, ending
        The reason to end as the service says it ("" = it gave none), up to `NAME` characters, and
        what that means.
    usage
        Tokens of this request.
    thought
        Whether the model thought before it answered.
    cut
        Whether the answer went on beyond the compared length.
    model
        The name by which the service calls it, up to `NAME` characters, or "".
    refused
        Whether the service marks the text as a refusal.
    requests
        How many it took.
    lost
        What the requests without an answer among these took.
    billed
        Whether the request that brought it may have been billed: not where an error is the reply.
    """

    text: str
    finish: str
    ending: Ending = Ending.COMPLETE
    usage: Usage = field(default_factory=Usage)
    thought: Thought = Thought.NONE
    cut: bool = False
    model: str = ""
    refused: bool = False
    requests: int = 1
    lost: Lost = field(default_factory=Lost)
    billed: bool = True


@dataclass(frozen=True)
class Failure:
    """What became of one request that brought no answer.

    Attributes
    ----------
    message
        What the service said, or what was wrong with it.
    status
        Of HTTP, or the one that the reply itself names; None = none came.
    again
        Whether another try makes sense.
    pause_s
        Seconds to wait before it, at least.
    usage
        What it was billed; None = not said.
    nonsense
        Whether the reply is not a service's: it comes from elsewhere, or from no such service.
    bare
        Whether a service's reply has no choice, as some send for a prompt that they hold back.
    """

    message: str
    status: int | None = None
    again: bool = True
    pause_s: float = 0.0
    usage: Usage | None = None
    nonsense: bool = False
    bare: bool = False

    @property
    def lost(self) -> Lost:
        """What it took: a reply with an error's status is not billed, any other may be."""
        if self.usage is None and self.status not in (None, 200):
            return Lost()
        return billing.took(self.usage or Usage())


# What an error's code or type says that no other try would change
_FOR_GOOD = ("quota", "api_key", "authentication", "permission", "not_found", "billing", "balance")


def models(raw: bytes) -> list[str]:
    """Read the names in a service's list of models; none where it is no such list."""
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        return []
    listed = body.get("data") if isinstance(body, dict) else body
    listed = listed if isinstance(listed, list) else []
    names = [one.get("id") for one in listed if isinstance(one, dict)]
    return [name for name in names if isinstance(name, str) and name]


def read(
    raw: bytes, tokens: int, thought_tokens: int = 0, hide: Callable[[str], str] = str
) -> Reply | Failure:
    """Read the reply to one request; what cannot be read is nonsense, and raises nothing.

    Parameters
    ----------
    raw
        Its body: the JSON of a chat completion, or the stream of its pieces.
    tokens
        How many new ones of an answer are compared.
    thought_tokens
        How many more were allowed for a thought.
    hide
        Takes what is secret out of each text that a `Reply` keeps. A `Failure` says what was sent.
    """
    try:
        return _read(raw, tokens, thought_tokens, hide)
    except Exception as error:  # brackets without end, or a shape that nobody thought of
        why = f"a reply that cannot be read ({type(error).__name__})"
        return Failure(why, 200, nonsense=True)


def _read(
    raw: bytes, tokens: int, thought_tokens: int, hide: Callable[[str], str]
) -> Reply | Failure:
    try:
        body = stream.body(raw)
    except (ValueError, RecursionError) as error:  # the latter: brackets without end
        if not raw.strip():
            return Failure("an empty reply", 200, nonsense=True)
        what = "not UTF-8" if isinstance(error, UnicodeDecodeError) else "not JSON"
        return Failure(f"{what}: {raw.decode('utf-8', 'replace')}", 200, nonsense=True)
    if not isinstance(body, dict):
        return Failure(f"no message in {plain(body)}", 200, nonsense=True)
    usage = billing.usage(body)
    if (failed := _error(body)) is not None:
        return replace(failed, usage=usage)
    choice = _choice(body)
    message = _message(choice) if choice or not _blocked(body) else {}
    if message is None:
        bare = "choices" in body and not body["choices"]
        return Failure(f"no message in {plain(body)}", 200, usage=usage, nonsense=True, bare=bare)
    finish = _reason(choice)
    try:
        parts = Parts.of(message, MOST_BYTES_PER_TOKEN * (tokens + thought_tokens), hide)
    except RecursionError:
        return Failure("a message that is nested too deeply", 200, usage=usage, nonsense=True)
    end = ending(choice, message, parts) if choice else Ending.FILTERED
    if parts.unread and end in (Ending.COMPLETE, Ending.UNSAID):
        end = Ending.UNKNOWN
    if end is Ending.ERROR:
        return Failure(f"the service broke off: {finish or plain(body)}", 200, usage=usage)
    counted = usage or Usage()
    thought, text = _thought(parts, end, counted), parts.answer
    if parts.refusal and not text:
        text, thought = parts.refusal, Thought.NONE
    shown = _compared(text, parts, counted, tokens) if thought_tokens else text
    shown = shown.encode()[: MOST_BYTES_PER_TOKEN * tokens].decode(errors="ignore")
    return Reply(
        text=shown,
        finish=hide(clean(finish))[:NAME],
        ending=end,
        usage=counted,
        thought=thought,
        cut=len(shown) < len(text) or bool(parts.cut and parts.answer),
        model=hide(clean(string(body.get("model"))))[:NAME],
        refused=bool(parts.refusal),
    )


def _thought(parts: Parts, end: Ending, usage: Usage) -> Thought:
    """Whether it thought; a service may count a thought that it keeps to itself."""
    if parts.answer:
        hidden = parts.kind is Thought.NONE and usage.thought
        return Thought.BEFORE if hidden else parts.kind
    if parts.kind is not Thought.NONE or usage.thought:
        return Thought.INSTEAD
    # Nothing was shown until the limit came: what was written was none of the answer
    silent = end is Ending.LENGTH and not parts.whole.strip() and not parts.tool
    return Thought.INSTEAD if silent else Thought.NONE


def _compared(text: str, parts: Parts, usage: Usage, tokens: int) -> str:
    """The part of an answer that a limit of so many tokens would have left.

    A limit for thought and answer together may leave an answer longer than others are. It is cut by
    its tokens (the service's count; for a thought in the text, its share of the text), or else by
    the four bytes that a token usually has.
    """
    size = len(text.encode())
    written = usage.written - usage.thought
    if not usage.thought and parts.thought:
        inner = len(parts.thought.encode())
        written = round(usage.written * size / max(1, size + inner))
    if usage.written <= 0:
        written = -(-size // LIKELY_BYTES_PER_TOKEN)
    if written <= tokens:
        return text
    return text.encode()[: size * tokens // written].decode(errors="ignore").rstrip()


def ending(choice: dict[str, Any], message: dict[str, Any], parts: Parts) -> Ending:
    """Say what a choice's reasons mean together: one that is no clean end decides."""
    own = choice.get("finish_reason", choice.get("stop_reason", UNSAID))
    native = choice.get("native_finish_reason")
    known = meaning(own)
    if known in (Ending.COMPLETE, Ending.UNSAID, Ending.LENGTH) and native:
        other = meaning(native)
        known = other if other not in (Ending.COMPLETE, Ending.UNKNOWN) else known
    if parts.tool and known in (Ending.COMPLETE, Ending.UNSAID, Ending.LENGTH):
        return Ending.TOOL
    return known


def _error(body: dict[str, Any]) -> Failure | None:
    """The error that a reply with status 200 is; None = none."""
    first = _choice(body)
    error = body.get("error") or first.get("error")
    if not error and body.get("choices") is None:
        base = body.get("base_resp")
        if isinstance(base, dict) and base.get("status_code"):
            error = {"code": base["status_code"], "message": string(base.get("status_msg"))}
        elif body.get("object") == "error" or "detail" in body:
            error = body
    if not error:
        return None
    said = error if isinstance(error, dict) else {}
    codes = [str(said.get(name)) for name in ("code", "status")]
    code = next((int(c) for c in codes if re.fullmatch("[45][0-9][0-9]", c)), None)
    words = f"{said.get('code')} {said.get('type')}".lower()
    code = 429 if code is None and "rate_limit" in words else code
    again = code in (None, 408, 409, 425, 429) or code >= 500
    again = again and not any(word in words for word in _FOR_GOOD)
    return Failure(plain(error), code or 200, again)


def _choice(body: dict[str, Any]) -> dict[str, Any]:
    choices = body.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else choices
    return first if isinstance(first, dict) else {}


def _blocked(body: dict[str, Any]) -> bool:
    """Whether a filter held the prompt back, and nothing else is said."""
    for name in ("promptFeedback", "prompt_feedback", "prompt_filter_results"):
        said = json.dumps(body.get(name)).lower()
        if "block" in said or '"filtered": true' in said:
            return True
    return False


def _message(choice: dict[str, Any]) -> dict[str, Any] | None:
    for name in ("message", "delta"):
        if isinstance(choice.get(name), dict):
            return choice[name]
    if isinstance(choice.get("text"), str):
        return {"content": choice["text"]}
    # A filter may leave nothing of a message but its reason
    return {} if meaning(choice.get("finish_reason")) is Ending.FILTERED else None


def _reason(choice: dict[str, Any]) -> str:
    """The reason as the service says it, with the one of the model's own provider."""
    names = ("finish_reason", "stop_reason", "native_finish_reason")
    said = [choice.get(name) for name in names]
    words = [one.get("type") if isinstance(one, dict) else one for one in said]
    return " / ".join(dict.fromkeys(word for word in words if isinstance(word, str) and word))


def plain(body: Any) -> str:
    """Give a server's message, or all that it sent."""
    message = body.get("message") if isinstance(body, dict) else body
    return message if isinstance(message, str) else json.dumps(body, ensure_ascii=False)
