"""What to do when a service answers with an error: wait, ask in another way, go on, or end.

Services agree on the status and on little else. What an error says is read as OpenAI, Azure,
Mistral, Google, Anthropic, OpenRouter, vLLM, TGI, llama.cpp, FastAPI and others write it: by its
codes first, by its words where it has none.
"""

import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from dsi_core.services import pace

LIMITS = ("max_tokens", "max_completion_tokens")
MOST = 2**18  # bytes of an error that are read: prompts of any length are quoted in fewer
SHORT = 12  # characters: what such a prompt says may be an error's own words
SYSTEM = "system prompt"  # a refused role is told like a refused field


class Meaning(StrEnum):
    """What can be done about an error."""

    AGAIN = "again"  # on the service's side: it may pass
    SLOWER = "slower"  # too many requests, or too much load
    FIELDS = "fields"  # fields of the request are refused
    FILTERED = "content_filter"  # this prompt is refused for good
    TOO_LONG = "too long"  # the same
    REFUSED = "refused"  # perhaps for this prompt, perhaps for every one
    FAILED = "failed"  # again and again for this prompt, and others are answered
    QUOTA = "quota"  # there is no money left
    FINAL = "final"  # key, address, model


@dataclass(frozen=True)
class Error:
    """An error as it was understood.

    Attributes
    ----------
    message
        What the service says.
    fields
        Of the request, those refused; `SYSTEM` for the role of the system prompt.
    lacking
        Fields that it wants and that no request of ours has.
    pause_s
        The shortest wait that it asks for; 0 = it asks for none.
    """

    meaning: Meaning
    message: str
    fields: tuple[str, ...] = ()
    pause_s: float = 0.0
    lacking: tuple[str, ...] = ()


def read(
    status: int,
    headers: Mapping[str, str],
    raw: bytes,
    sent: Collection[str] = (),
    prompt: str = "",
) -> Error:
    """Understand an error, of which `MOST` bytes are read.

    Parameters
    ----------
    sent
        The request's fields that may be changed, and `SYSTEM`.
    prompt
        What was asked: if an error quotes it, these words mean nothing.
    """
    text = raw[:MOST].decode("utf-8", "replace")
    try:
        return _of(json.loads(text), status, headers, sent, prompt)
    except (ValueError, RecursionError):  # not JSON, or nested without end: its words alone count
        return _of(text, status, headers, sent, prompt)


def _of(
    body: Any, status: int, headers: Mapping[str, str], sent: Collection[str], prompt: str
) -> Error:
    said = message(body)
    words, text = json.dumps(_unquoted(body), ensure_ascii=False).lower(), said.lower()
    quoted = prompt.lower() if len(prompt) > SHORT else ""
    for form in {quoted, json.dumps(quoted, ensure_ascii=False)[1:-1]} - {""}:
        words, text = words.replace(form, " "), text.replace(form, " ")
    fields = tuple(refused(body, text, sent)) if status not in (401, 402, 403, 429) else ()
    pause = pace.asked(headers, said)
    meaning = _meaning(status, words, bool(fields), pause)
    missing = lacking(body, text, sent) if meaning is Meaning.REFUSED else ()
    return Error(meaning, said, fields, pause, missing)


def _meaning(status: int, words: str, fields: bool, pause_s: float) -> Meaning:
    if status == 402 or _QUOTA_CODE.search(words):
        return Meaning.QUOTA
    if status in (429, 403) and _QUOTA.search(words) and not pause_s:
        return Meaning.QUOTA
    if status in (400, 403, 422, 451) and _FILTER.search(words):
        return Meaning.FILTERED
    if status == 451 or (status in (403, 406) and _FIREWALL.search(words)):
        return Meaning.REFUSED
    if status == 429 and _NEVER.search(words):
        return Meaning.TOO_LONG
    if status in (400, 422) and _MODEL.search(words):
        return Meaning.FINAL
    if status in (429, 503, 529) or (status == 498 and "flex" in words):
        return Meaning.SLOWER
    if fields and (status < 500 or _EXPLICIT.search(words)):
        return Meaning.FIELDS
    if status == 413 or (status in (400, 422, 500) and _LONG.search(words)):
        return Meaning.TOO_LONG
    if status in (408, 409, 423, 424, 425, 499) or status >= 500:
        return Meaning.AGAIN
    return Meaning.REFUSED if status in (400, 422) else Meaning.FINAL


_QUOTA_CODE = re.compile(
    r"insufficient[_ ](quota|balance|funds|credits?)|billing[_ ](hard[_ ]limit|not[_ ]active)|"
    r"credit balance is too low|out of credits|no credits? (left|remaining)|payment required|"
    r"arrearage|per[_ ]?day[\w-]{0,99}\"|exceeded_current_quota|余额不足|欠费"
)
_QUOTA = re.compile(r"quota|billing|credits?\b|balance|spending limit|usage limit")
_FILTER = re.compile(
    r"content[_ -]?(filter|policy|moderation|management policy)|responsible_?ai_?policy|"
    r"data_?inspection_?failed|\bflagged\b|moderation|prohibited_content|usage polic|"
    r"safety (system|polic|filter|check)|inappropriate content|sensitive|unsafe|risk_control|"
    r"guardrail|llama ?guard|safety_check|usage guidelines|content exists risk|"
    r"\"code\": ?\"?1301\b|敏感|不安全"
)
_LONG = re.compile(
    r"context[_ ](length|window|size)|too many (input |prompt )?tokens|prompt is too long|"
    r"maximum (context|input|prompt|sequence)|input (is )?too long|(input|prompt)[\w ]{0,20} "
    r"exceed|"
    r"string_above_max_length|request_too_large|payload too large|reduce the length|"
    r"must have less than \d+ tokens|range of input length|exceed\w{0,9} (the |model |maximum )*"
    r"(token limit|(number|amount) of tokens)|tokens`? \+ `?max_(new_)?tokens|超长|"
    r"context shift is disabled|tokens to keep"
)
# A minute's limit that one request alone is beyond: no wait helps
_NEVER = re.compile(r"request too large|must be reduced in order to run")
# What stands before an API and dislikes a prompt, for code or SQL in it; or whoever asks
_FIREWALL = re.compile(
    r"you have been blocked|attention required|web application firewall|mod_security|"
    r"not acceptable!|request (was )?blocked|requested url was rejected|incident id"
)
_MODEL = re.compile(
    r"model_not_found|invalid_model|model_not_exist|invalid model name|unknown model|"
    r"model ['\"`\\]*[\w./:-]+['\"`\\]* (does not exist|(is |was )?not found)"
)
_EXPLICIT = re.compile(r"unexpected keyword|unknown field|extra_forbidden|role not supported")

# -------------------------------------------------------------------------------- which field it is

_REFUSES = re.compile(
    r"un(known|supported|recogni[sz]ed|expected)|not? (longer )?(be )?(supported?|permitted|"
    r"allowed|available|accepted|enabled|valid|compatible)|does ?n[o']t support|can ?not|invalid|"
    r"extra|"
    r"extraneous|additional|deprecated|cannot find|only |must |not in|range|should|forbidden|remove"
)
_LACKS = re.compile(r"\b(required|missing)\b")
_PROMPT = {"messages", "model", "prompt", "input", "inputs", "content", "contents", "text"}
_ROLE = re.compile(
    r"(system|developer)['\"`]?[ _](role|message|prompt|instruction)s?|"
    r"role[^.]{0,40}\W(system|developer)\W|"
    r"(variant|value|role)s?[:=]? ?[`'\"\\]+(system|developer)|"
    r"roles must alternate|"
    r"does not support ['\"`]?(system|developer)|unexpected role"
)


def refused(body: Any, text: str, sent: Collection[str]) -> Iterator[str]:
    """Yield those of the request's fields that an error refuses, as its shape or words say."""
    places = list(_places(body))
    if SYSTEM in sent and _REFUSES.search(text):
        role = any(re.search(r"role", place) and "messages" in place for place in places)
        if role or _ROLE.search(text):
            yield SYSTEM
            return
    named = sorted(name for name in sent if name in places)
    if not named and _REFUSES.search(text):
        spots = {name: re.search(rf"(?<![\w.-]){name}(?![\w-])", text) for name in sent}
        found = sorted((spot.start(), name) for name, spot in spots.items() if spot)
        named = [name for _, name in found[:1]]  # what follows may be the fields it does know
    for name in named:
        large = re.search(r"too (large|high|big|many)|exceed|at most|less than|range of", text)
        if not (name in LIMITS and large):
            yield name


def lacking(body: Any, text: str, sent: Collection[str]) -> tuple[str, ...]:
    """Name the fields of a request's body that an error says are missing, but for the prompt's."""
    if not _LACKS.search(text):
        return ()
    return tuple(sorted({n for n in _wanted(body) if n.lower() not in _PROMPT} - set(sent)))


def _wanted(body: Any) -> Iterator[str]:
    """What an error names as a field of its own, as OpenAI and FastAPI do."""
    for name, value in _said_in(body):
        if name == "param" and isinstance(value, str) and re.fullmatch(r"[A-Za-z_][\w-]*", value):
            yield value
        elif name == "loc" and isinstance(value, list) and len(value) > 1 and value[0] == "body":
            yield str(value[1])


def _places(body: Any) -> Iterator[str]:
    """Where an error says that it lies: in fields made for it."""
    for name, value in _said_in(body):
        if name in ("param", "field", "additionalProperty", "parameter") and isinstance(value, str):
            yield value
        elif name in ("loc", "path") and isinstance(value, list):
            steps = [str(step) for step in value if step not in ("body", "query")]
            yield from {".".join(steps), *steps[:1]}
        elif name == "keys" and isinstance(value, list):
            yield from map(str, value)
        elif name == "errors" and isinstance(value, dict):
            yield from value
        elif name == "message" and isinstance(value, str):  # a list of Python's, printed
            for place in re.findall(r"'loc': \('body', ([^)]{0,300})\)", value):
                steps = [step.strip(" '") for step in place.split(",") if step.strip(" '")]
                yield from {".".join(steps), *steps[:1]}


def _said_in(body: Any) -> Iterator[tuple[str, Any]]:
    """Every field of an error with its value, however deep."""
    if isinstance(body, list):
        for one in body:
            yield from _said_in(one)
    elif isinstance(body, dict):
        for name, value in body.items():
            yield name, value
            yield from _said_in(value)


def _unquoted(body: Any) -> Any:
    """An error without what it quotes of the request."""
    if isinstance(body, list):
        return [_unquoted(one) for one in body]
    if isinstance(body, dict):
        return {k: _unquoted(v) for k, v in body.items() if k not in ("input", "ctx")}
    return body


def message(body: Any) -> str:
    """Find an error's message, wherever it stands; the whole error if there is none."""
    found = body
    while True:
        if isinstance(found, list) and len(found) == 1:
            found = found[0]
        elif isinstance(found, dict):
            inner = (found.get(name) for name in ("error", "message", "detail", "msg", "errors"))
            said = next((one for one in inner if one), None)
            if said is None:
                break
            place = found.get("loc")
            if isinstance(said, str) and isinstance(place, list):  # FastAPI's words name no field
                steps = [str(step) for step in place if step != "body"]
                said = f"{'.'.join(steps)}: {said}" if steps else said
            found = said
        else:
            break
    return found if isinstance(found, str) else json.dumps(found, ensure_ascii=False)
