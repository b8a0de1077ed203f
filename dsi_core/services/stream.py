"""The body of a reply: JSON, or a stream whose pieces are joined to one reply."""

import json
import re
from typing import Any

_SSE = re.compile(r"(data|event|id|retry)?:")  # the first line of a stream; a comment, too
_LINE = re.compile("\r\n|\r|\n")  # its lines end there alone, and texts hold other separators


def body(raw: bytes) -> Any:
    """Read a reply's JSON; of a stream, its pieces put together.

    Raises
    ------
    ValueError, RecursionError
        It is not UTF-8, not JSON, or brackets without end.
    """
    text = raw.decode("utf-8-sig").strip()
    if not _SSE.match(text):
        return json.loads(text)
    lines = _LINE.split(text)
    said = [line for line in lines if not line.startswith(":")]  # comments keep a line open
    whole = "\n".join(said).strip()
    return json.loads(whole) if whole.startswith("{") else _joined(said)


def _joined(stream: list[str]) -> dict[str, Any]:
    """A stream of server-sent events as the one reply that it would have been."""
    body: dict[str, Any] = {}
    message: dict[str, Any] = {}
    choice: dict[str, Any] = {"message": message, "finish_reason": None}
    for line in stream:
        data = line.removeprefix("data:").strip()
        if not line.startswith("data:") or data == "[DONE]":
            continue
        piece = json.loads(data)
        if not isinstance(piece, dict):
            continue
        body |= {name: value for name, value in piece.items() if value is not None}
        choices = piece.get("choices")
        for part in choices if isinstance(choices, list) else ():
            if not isinstance(part, dict) or part.get("index"):
                continue
            choice |= {k: v for k, v in part.items() if k not in ("delta", "message") and v}
            _extend(message, part.get("delta") or _rest(message, part))
    return {**body, "choices": [choice] if message else []}


def _rest(message: dict[str, Any], part: dict[str, Any]) -> Any:
    """What a piece without a delta adds: a text of its own, or the whole message once more."""
    whole = part.get("message")
    if not isinstance(whole, dict) or not whole:
        return {"content": part.get("text")}
    before, all_of_it = (one.get("content") for one in (message, whole))
    if not (before and isinstance(before, str) and isinstance(all_of_it, str)):
        return whole
    return {**whole, "content": all_of_it.removeprefix(before)}


def _extend(message: dict[str, Any], delta: Any) -> None:
    for name, value in delta.items() if isinstance(delta, dict) else ():
        before = message.get(name)
        if name != "role" and isinstance(before, str | list) and isinstance(value, str | list):
            if type(before) is not type(value):  # a text, and parts
                before, value = ([x] if isinstance(x, str) else x for x in (before, value))
            value = before + value
        if value is not None:
            message[name] = value
