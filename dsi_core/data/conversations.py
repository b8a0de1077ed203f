"""Conversations: which turns of a dialogue are the prompt, and which is the oracle output."""

import ast
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import product
from typing import Any

from dsi_core.data.fields import text_of


class Role(StrEnum):
    """Who speaks."""

    USER = "user"
    ASSISTANT = "assistant"
    SYSTEM = "system"
    TOOL = "tool"
    CALL = "call"  # the assistant's, of a tool: no answer in text


SPEAKERS = {
    "human": Role.USER,
    "user": Role.USER,
    "prompter": Role.USER,
    "customer": Role.USER,
    "question": Role.USER,
    "instruction": Role.USER,
    "gpt": Role.ASSISTANT,
    "assistant": Role.ASSISTANT,
    "model": Role.ASSISTANT,
    "chatgpt": Role.ASSISTANT,
    "bing": Role.ASSISTANT,
    "bard": Role.ASSISTANT,
    "bot": Role.ASSISTANT,
    "chatbot": Role.ASSISTANT,
    "ai": Role.ASSISTANT,
    "gpt4": Role.ASSISTANT,
    "gpt-4": Role.ASSISTANT,
    "claude": Role.ASSISTANT,
    "agent": Role.ASSISTANT,
    "answer": Role.ASSISTANT,
    "response": Role.ASSISTANT,
    "system": Role.SYSTEM,
    "developer": Role.SYSTEM,
    "tool": Role.TOOL,
    "function": Role.TOOL,
    "observation": Role.TOOL,
    "ipython": Role.TOOL,
    "tool_response": Role.TOOL,
    "function_call": Role.CALL,
    "tool_call": Role.CALL,
}
WHO = ("role", "from", "speaker")
WHAT = ("content", "value", "text", "parts")
CHAT = re.compile(  # how a list of messages begins that is written as text
    rf"\s*\[\s*\{{(?=.*?['\"]({'|'.join(WHAT)})['\"]\s*:)"
    rf".*?['\"]({'|'.join(WHO)})['\"]\s*:\s*['\"](?i:{'|'.join(SPEAKERS)})['\"]",
    re.DOTALL,
)
# A question and its answer in one object, without speakers
EXCHANGES = (("input", "output"), ("human", "assistant"), ("user", "assistant"))
TEXTS = ("text", "input_text", "output_text")  # types of the parts that are text
THOUGHTS = ("thinking", "redacted_thinking", "reasoning")  # that are no part of what is said
CALLS = ("tool_use", "tool_call", "function_call")  # by which the assistant asks a tool
# Fields of a message by which trainers leave an answer out: 0 or false
WEIGHTS = ("weight", "train", "loss")


class Unusable(StrEnum):
    """Why a conversation holds no pair."""

    NO_MESSAGES = "no messages"
    BEGINS_WITH_ANSWER = "begins with an answer"
    NO_ANSWER = "no text answer"
    NOT_TRAINED = "no answer with a weight"
    MEDIA = "images or other media"
    ONE_SIDE = "chosen or rejected is absent"  # then nobody knows where the prompt ends
    ALIKE = "chosen has nothing of its own"  # it is rejected, or its beginning


@dataclass(frozen=True)
class Turn:
    """One message; `trained`: whether an answer counts when a model is tuned on it."""

    role: Role
    text: str
    trained: bool = True
    media: bool = False


@dataclass(frozen=True)
class Exchange:
    """The pair of a conversation, and how many answers in text there are in it."""

    prompt: str
    output: str
    answers: int


def exchange(turns: Sequence[Turn], joined_by: str, start: int = 0) -> Exchange | Unusable:
    """Give the first trained answer in text, and all turns before it as its prompt.

    Parameters
    ----------
    turns
        In their order.
    joined_by
        What stands between the turns of the prompt.
    start
        The first turn that may be the answer.
    """
    if not turns:
        return Unusable.NO_MESSAGES
    answers = [i for i, t in enumerate(turns) if t.role is Role.ASSISTANT and t.text]
    trained = [i for i in answers if turns[i].trained and i >= start]
    if not trained:
        return Unusable.NOT_TRAINED if answers else Unusable.NO_ANSWER
    before = turns[: trained[0]]
    if all(turn.role is Role.SYSTEM for turn in before):
        return Unusable.BEGINS_WITH_ANSWER
    if any(turn.media for turn in before):
        return Unusable.MEDIA
    prompt = joined_by.join(turn.text for turn in before if turn.text)
    return Exchange(prompt, turns[trained[0]].text, len(answers))


def answered(before: Sequence[Turn], after: Sequence[Turn], joined_by: str) -> Exchange | Unusable:
    """Give the pair of a prompt and what follows it, which may hold the prompt once more.

    It may hold all of it or its end, also after a system message.
    """
    told = [[(t.text, t.role is Role.ASSISTANT) for t in turns] for turns in (before, after)]
    system = next((i for i, t in enumerate(after) if t.role is not Role.SYSTEM), 0)
    for begin, apart in product((0, system), range(len(before))):
        end = begin + len(before) - apart
        if told[1][begin:end] == told[0][apart:]:
            return exchange([*before[:apart], *after], joined_by, start=apart + end)
    return exchange([*before, *after], joined_by, start=len(before))


def preferred(
    chosen: Any, rejected: Any, place: str, joined_by: str, system: Sequence[Turn] = ()
) -> Exchange | Unusable:
    """Give the pair of preference data without a prompt: both sides begin with it.

    system: what stands before it, in a column of its own.

    References
    ----------
    The same reading as trl's `extract_prompt`; of texts, what ends in its last "Assistant:" (as in
    the data of Bai et al., 2022) or at a space is the prompt.
    """
    texts = [isinstance(side, str) for side in (chosen, rejected)]
    if any(texts) and (_absent(chosen) or _absent(rejected)):
        return Unusable.ONE_SIDE
    if all(texts):
        found = _of_texts(chosen, rejected)
        if isinstance(found, Unusable):
            return found
        return replace(found, prompt=joined_by.join([*(t.text for t in system), found.prompt]))
    sides = [messages(side, place) for side in (chosen, rejected)]
    if not sides[1] and sum(turn.role is Role.ASSISTANT for turn in sides[0]) > 1:
        return Unusable.ONE_SIDE
    start = _common(*sides)
    if sides[0] and start == len(sides[0]):
        return Unusable.ALIKE
    return exchange([*system, *sides[0]], joined_by, len(system) + start)


def _common(one: Sequence, other: Sequence) -> int:
    """How many members two sequences begin with alike."""
    both = enumerate(zip(one, other, strict=False))
    return next((i for i, (a, b) in both if a != b), min(len(one), len(other)))


def _of_texts(chosen: str, rejected: str) -> Exchange | Unusable:
    alike = chosen[: _common(chosen, rejected)]
    mark = "\n\nAssistant:"
    if mark in alike:
        cut = alike.rindex(mark) + len(mark)
        prompt = chosen[:cut].removesuffix(mark).strip().removeprefix("Human:")
    else:
        if alike == chosen:
            return Unusable.ALIKE
        cut = max(alike.rfind(space) for space in " \n\t") + 1
        prompt = chosen[:cut]
    if not prompt.strip():
        return Unusable.BEGINS_WITH_ANSWER
    if not chosen[cut:].strip():
        return Unusable.NO_ANSWER
    return Exchange(prompt.strip(), chosen[cut:].strip(), 1)


def messages(value: Any, place: str) -> list[Turn]:
    """Give the turns of a conversation.

    Parameters
    ----------
    value
        Messages with from and value, or role and content or parts; or texts, pairs of texts or
        objects of `EXCHANGES`, question first; or a text that holds these as JSON, or as Python
        prints them; or nothing. A message's content may be text, a list of parts, or absent.
    place
        File, row and field, for errors.

    Raises
    ------
    ValueError
        For anything else, and for an unknown speaker.
    """
    if _absent(value):
        return []
    if isinstance(value, str) and value.lstrip().startswith("["):
        value = of_cell(value, place)
    if not isinstance(value, list | tuple):
        raise ValueError(f"{place}: {str(value)[:80]!r} needs a list of messages")
    if any(isinstance(turn, list | tuple) for turn in value):  # [[question, answer], ...]
        pairs = [pair if isinstance(pair, list | tuple) else [pair] for pair in value]
        value = [text for pair in pairs for text in pair]
    if value and all(isinstance(turn, str) for turn in value):  # [question, answer, ...]
        who = (Role.USER, Role.ASSISTANT)
        return [Turn(who[i % 2], text_of(text, place)) for i, text in enumerate(value)]
    return [
        turn
        for i, one in enumerate(value, start=1)
        for turn in _turns(one, f"{place}, message {i}")
    ]


def _absent(value: Any) -> bool:
    return value is None or (isinstance(value, str | float) and str(value).strip() in ("", "nan"))


def of_cell(text: str, place: str) -> Any:
    """Read a list that a cell of CSV holds as text. Raises `ValueError` where it is none."""
    try:
        return _written(text)
    except (ValueError, SyntaxError) as error:
        raise ValueError(f"{place}: {text[:60]!r} is no list of JSON ({error})") from None
    except RecursionError:
        raise ValueError(f"{place}: {text[:60]!r} is nested too deeply") from None


def _written(text: str) -> Any:
    """What a text holds: JSON, or a list as Python prints it and pandas writes it to CSV."""
    try:
        return json.loads(text)
    except ValueError:
        if "'" not in text:
            raise
        return ast.literal_eval(text.strip())


def system_turn(value: Any, place: str) -> list[Turn]:
    """Give the system message that stands in a column of its own: text, or a message; or none."""
    said = isinstance(value, dict)
    text = _message({**value, "role": "system"}, place).text if said else text_of(value, place)
    return [Turn(Role.SYSTEM, text)] if text else []


def _turns(one: Any, place: str) -> list[Turn]:
    fields = one if isinstance(one, dict) else {}
    if not set(WHO) & set(fields):
        for question, answer in EXCHANGES:
            if {question, answer} <= set(fields):
                before = system_turn(fields.get("system"), place)
                asked = Turn(Role.USER, text_of(fields[question], place))
                return [*before, asked, Turn(Role.ASSISTANT, text_of(fields[answer], place))]
    return [_message(one, place)]


def _message(message: Any, place: str) -> Turn:
    fields = message if isinstance(message, dict) else {}
    speaker = next((fields[name] for name in WHO if fields.get(name) is not None), None)
    role = SPEAKERS.get(speaker.strip().lower()) if isinstance(speaker, str) else None
    if role is None:
        raise ValueError(f"{place}: speaker {speaker!r}; allowed: {', '.join(SPEAKERS)}")
    content = next((fields[name] for name in WHAT if fields.get(name) is not None), None)
    text, media = _content(content, place)
    called = any(isinstance(p, dict) and p.get("type") in CALLS for p in _parts(content))
    if role is Role.ASSISTANT and (
        called or fields.get("tool_calls") or fields.get("function_call")
    ):
        role = Role.CALL
    weights = [fields[name] for name in WEIGHTS if fields.get(name) is not None]
    return Turn(role, text, trained=all(weights), media=media)


def _parts(content: Any) -> Sequence:
    return content if isinstance(content, list | tuple) else ()


def _content(content: Any, place: str) -> tuple[str, bool]:
    """(the text of a message, whether it holds anything else)."""
    if not isinstance(content, list | tuple):
        return text_of(content, place), False
    texts, media = [], False
    for part in content:
        fields = part if isinstance(part, dict) else {}
        kind, said = fields.get("type"), fields.get("text")
        if isinstance(part, str):
            texts.append(part)
        elif kind in THOUGHTS or kind in CALLS:
            continue
        elif kind == "tool_result":
            text, more = _content(fields.get("content"), place)
            texts.append(text)
            media |= more
        elif (kind is None and said is not None) or (kind in TEXTS and "text" in fields):
            texts.append(text_of(said, place))
        else:
            media = True
    return text_of("\n".join(texts), place), media
