"""What a message of a service holds: text, thoughts, refusals, tool calls, in fields or parts."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from dsi_core.services import thoughts
from dsi_core.services.thoughts import Thought

_THOUGHTS = (  # a message's fields that hold one
    "reasoning_content",
    "reasoning",
    "reasoning_details",
    "reasoning_text",
    "thinking",
    "thinking_blocks",
    "thought",
    "thoughts",
)
_THOUGHT_PARTS = ("thinking", "reasoning", "thought", "redacted_thinking", "summary")
_TEXT_PARTS = ("text", "output_text", "markdown", "")
_TOOL_PARTS = ("tool_use", "tool_call", "function_call", "server_tool_use")


@dataclass(frozen=True)
class Parts:
    """What a message holds.

    whole: the text with the thoughts in it; cut: it went on; unread: there is nothing but parts of
    unknown kinds.
    """

    whole: str = ""
    cut: bool = False
    answer: str = ""
    thought: str = ""
    kind: Thought = Thought.NONE
    refusal: str = ""
    tool: bool = False
    unread: bool = False

    @classmethod
    def of(cls, message: dict[str, Any], most: int, hide: Callable[[str], str] = str) -> "Parts":
        """Read a message, at most so many bytes of its text, once `hide` took out what is secret.

        Secrets go before the cut: half a key is too much.
        """
        content, found = message.get("content"), _Found()
        found.add(content)
        fields = [message[name] for name in _THOUGHTS if message.get(name)]
        found.thoughts += [_inner(value) for value in fields]
        refusal = message.get("refusal")
        if isinstance(refusal, str) and refusal.strip():
            found.refusals.append(refusal)
        tool = found.tool or bool(message.get("tool_calls") or message.get("function_call"))
        everything = hide(clean("".join(found.texts))).encode()
        whole = everything[:most].decode(errors="ignore")
        said = thoughts.apart(whole)
        kind = said.kind
        if found.thoughts and kind is Thought.NONE:
            kind = Thought.BEFORE if said.answer else Thought.INSTEAD
        thought = clean("\n".join([*filter(None, found.thoughts), said.thought]))
        refusal = hide(clean("\n".join(found.refusals))).strip()[:most]
        unread = found.unread and not (whole or thought or refusal or tool)
        cut = len(everything) > most
        return cls(whole, cut, said.answer, thought, kind, refusal, tool or said.tool, unread)


@dataclass
class _Found:
    """The pieces of a content."""

    texts: list[str] = field(default_factory=list)
    thoughts: list[str] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    tool: bool = False
    unread: bool = False

    def add(self, content: Any) -> None:
        """Take a text, a part or a list of parts."""
        if isinstance(content, str):
            self.texts.append(content)
        elif isinstance(content, list):
            for part in content:
                self.add(part)
        elif isinstance(content, dict):
            self._add_part(content)
        elif content is not None:  # somebody read the model's text as JSON
            self.texts.append(json.dumps(content))

    def _add_part(self, part: dict[str, Any]) -> None:
        kind = string(part.get("type"))
        if kind in _THOUGHT_PARTS or part.get("thought") is True:
            self.thoughts.append(_inner(part))
        elif kind == "refusal":
            self.refusals.append(_inner(part))
        elif kind in _TEXT_PARTS:
            text = next((part[n] for n in ("text", "content", "parts") if n in part), None)
            self.unread |= text is None
            self.add(text.get("value") if isinstance(text, dict) else text)
        elif kind in _TOOL_PARTS:
            self.tool = True
        else:
            self.unread = True


def _inner(value: Any) -> str:
    """All text in a thought or a refusal, however it is nested; sealed ones have a mark."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "".join(_inner(one) for one in value)
    if not isinstance(value, dict):
        return ""
    names = ("thinking", "reasoning", "text", "content", "summary", "refusal")
    said = next((value[name] for name in names if value.get(name)), None)
    return _inner(said) if said is not None else "[sealed]" if value.get("data") else ""


def clean(text: str) -> str:
    """Give a text without halves of surrogate pairs: JSON may hold them, and no file takes them."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def string(value: Any) -> str:
    """Give a value that is a text; "" for any other."""
    return value if isinstance(value, str) else ""
