"""What a model thinks in its text before it answers, separated from the answer.

A thought is cut off only where it is certain: after an opening mark at the start of a text, or
before a closing mark without an opening one (which stood in the prompt) that is no word of a
sentence, no quotation and no code. A text that begins with a thought and never ends it holds no
answer. Everything else is the answer, to the letter.
"""

import re
from dataclasses import dataclass
from enum import StrEnum


class Thought(StrEnum):
    """Whether a model thought before it answered."""

    NONE = "none"
    BEFORE = "before the answer"
    INSTEAD = "instead of an answer"  # nothing came after it: cut at the limit, or not closed


@dataclass(frozen=True)
class Said:
    """A text in its parts: the thought, the answer without marks; tool: it is the call of one."""

    thought: str
    answer: str
    kind: Thought
    tool: bool = False


# Names of tags <name> ... </name>, also in brackets as Mistral's models write them
_NAMES = (
    r"(?:\w+:)?think(?:ing)?|thoughts?|thought_process|reasoning|reason|reflection|analysis"
    r"|scratchpad|inner_monologue|cot"
)
# (opening, closing) of each way to mark a thought
_MARKS = [
    (rf"<(?:{_NAMES})(?: [^<>]*)?>", rf"</(?:{_NAMES})\s*>"),
    (r"\[(?:THINK|THINKING|REASONING)\]", r"\[/(?:THINK|THINKING|REASONING)\]"),
    (r"◁think▷", r"◁/think▷"),
    (r"<\|(?:think|thinking)\|>", r"</?\|?/?(?:think|thinking)\|>"),
    (r"<\|begin_of_thought\|>", r"<\|end_of_thought\|>"),
    (r"<\|START_THINKING\|>", r"<\|END_THINKING\|>"),
    (r"<\|inner_prefix\|>", r"<\|inner_suffix\|>"),
    (r"<\|channel>\s*(?:thought|thinking|analysis)?", r"<channel\|>"),
    (r"<unused94>\s*(?:thought)?", r"<unused95>"),
]
# The same, but words and <details> close nothing by themselves: texts of people have them
_MARKS_IN_WORDS = [
    (r"<details type=\"reasoning\"[^>]*>", r"</details>"),
    (r"Thinking\.\.\.\s*\n(?s:(?=.*\.\.\.done thinking\.))", r"\.\.\.done thinking\."),
    (r"Here(?: is|'s) my thought process:", r"Here(?: is|'s) my response:"),
    (r"Here are my reasoning steps:", r"\[BEGIN FINAL RESPONSE\]"),
]
_OPENING = [
    (re.compile(rf"\s*{one}", re.I), re.compile(other, re.I))
    for one, other in [*_MARKS, *_MARKS_IN_WORDS]
]
_CLOSING = re.compile("|".join(other for _, other in _MARKS), re.I)
_ANY_OPENING = re.compile("|".join(one for one, _ in _MARKS), re.I)

_INVISIBLE = "\ufeff\u200b\u200c\u2060 \t\r\n"
_ROLE = r"(?:assistant|model|chatbot|final)"
_BEGINS = re.compile(  # what a chat format writes before an answer
    rf"\s*(?:<\|im_start\|>\s*{_ROLE}?|<\|start_header_id\|>\s*{_ROLE}\s*<\|end_header_id\|>"
    rf"|<start_of_turn>\s*{_ROLE}?|<\|turn>\s*{_ROLE}?|<\|assistant\|>|<\|Assistant\|>"
    r"|<｜Assistant｜>|<｜begin▁of▁sentence｜>|<\|begin_of_text\|>|<\|startoftext\|>|<bos>"
    r"|<\|START_OF_TURN_TOKEN\|>|<\|CHATBOT_TOKEN\|>|<\|START_RESPONSE\|>|<\|START_TEXT\|>"
    r"|\[/INST\]|<\|begin_of_box\|>|<s>)"
)
_ENDS = (  # and after it
    *("<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<|end_of_text|>", "<|endoftext|>", "<|end|>"),
    *("<|return|>", "<|endofturn|>", "<|end_of_turn|>", "<end_of_turn>", "<turn|>", "<eos>"),
    *("<|eos|>", "<|END_OF_TURN_TOKEN|>", "<|END_RESPONSE|>", "<|END_TEXT|>", "<|role_end|>"),
    *("<｜end▁of▁sentence｜>", "<|im_start|>", "<|user|>", "<|observation|>", "[INST]", "[/INST]"),
    *("<|end_of_box|>", "[EOS]", "[END FINAL RESPONSE]", "</s>"),
)
_NEXT_TURN = re.compile(  # where a model that does not stop goes on with a turn of somebody else
    r"(?:<\|im_end\|>\s*<\|im_start\|>|<\|eot_id\|>\s*<\|start_header_id\|>"
    r"|<end_of_turn>\s*<start_of_turn>|<turn\|>\s*<\|turn>).*\Z",
    re.S,
)
_WRAPPED = re.compile(  # an answer's own marks, after a thought
    r"\s*(?:<(answer|output|response|final|final_answer|solution)>(.*?)(?:</\1>\s*)?"
    r"|<\|begin_of_solution\|>(.*?)(?:<\|end_of_solution\|>\s*)?)\Z",
    re.S | re.I,
)
_TOOL = re.compile(
    r"\s*(?:<tool_call>|<\|tool_call\|?>|\[TOOL_CALLS\]|<\|python_tag\|>|<function=|<function_calls>"
    r"|<\|tool_calls_section_begin\|>|<｜tool▁calls▁begin｜>|<\|START_ACTION\|>|<minimax:tool_call>)"
)

_CHANNEL = re.compile(  # harmony: the header of a message
    r"(?:<\|start\|>\s*(?P<role>[^<]*?)\s*)?"
    r"<\|channel\|>\s*(?P<name>analysis|commentary|final)\b(?P<more>[^<]*(?:<\|constrain\|>[^<]*)?)"
    r"(?:<\|message\|>|(?=\s))"
)
_END_OF_MESSAGE = re.compile(r"(?:<\|(?:end|return|call)\|>|<\|start\|>[^<]*)\s*")
# The same without its marks: a server that drops them leaves only the words
_BARE_ANALYSIS = re.compile(r"\s*analysis(?=[A-Z][\w'’]*,? [\w'’]+ )")
_BARE_BEGIN = re.compile(r"\s*analysis(?=\s?[^\Wa-z_])")
_BARE_FINAL = re.compile(r"assistant(?:final|\sfinal(?![a-z]))(?:\s?json)?")
_GLUED = re.compile(r"assistantfinal(?:\s?json)?[^\sa-z]")  # that no text of people has


def apart(text: str) -> Said:
    """Tell thought and answer of a text apart.

    Several thoughts before the answer are one; an empty one is none.
    """
    thoughts: list[str] = []
    rest, tool, open_ended = _without_beginnings(text.lstrip(_INVISIBLE)), False, False
    for _ in range(100):  # a text of nothing but tags ends, too
        found = _harmony(rest) or _bare_harmony(rest) or _marked(rest) or _closed(rest)
        if found is None:
            break
        thoughts.append(found.thought.strip())
        rest, tool = _without_beginnings(found.answer), tool or found.tool
        if open_ended := found.kind is Thought.INSTEAD:
            break
    thought = "\n".join(filter(None, thoughts))
    answer = _without_ends(rest)
    if thought and (wrapped := _WRAPPED.match(answer)):
        answer = next(part for part in wrapped.groups()[1:] if part is not None)
    answer, kind = answer.strip() if answer.strip(_INVISIBLE) else "", Thought.NONE
    if thought or open_ended:
        kind = Thought.BEFORE if answer else Thought.INSTEAD
    return Said(thought, answer, kind, tool or bool(_TOOL.match(answer)))


def _marked(text: str) -> Said | None:
    """A thought that the text begins with."""
    for opening, closing in _OPENING:
        if begun := opening.match(text):
            ends = (end for end in closing.finditer(text, begun.end()) if not _quoted(text, end))
            end = next(ends, None)
            if end is None:
                return Said(text[begun.end() :], "", Thought.INSTEAD)
            return Said(text[begun.end() : end.start()], text[end.end() :], Thought.BEFORE)
    return None


def _closed(text: str) -> Said | None:
    """A thought that began in the prompt: nothing opens it, and a mark ends it."""
    for end in _CLOSING.finditer(text):
        if _quoted(text, end) or _in_code(text, end.start()) or _in_sentence(text, end):
            continue
        if _ANY_OPENING.search(text, 0, end.start()):
            return None  # a text that speaks of such tags
        return Said(text[: end.start()], text[end.end() :], Thought.BEFORE)
    return None


def _quoted(text: str, mark: re.Match) -> bool:
    """Whether it stands between quotation marks or in `code`."""
    before, after = text[: mark.start()][-1:], text[mark.end() :][:1]
    return bool(before) and before in "`'\"“‘«„" and bool(after) and after in "`'\"”’»“"


def _in_code(text: str, place: int) -> bool:
    """Whether it stands in a fenced block, or in a line's `code`."""
    fences = [fence.start() for fence in re.finditer("```|~~~", text)]
    if sum(fence < place for fence in fences) % 2 and any(fence > place for fence in fences):
        return True
    line = text[text.rfind("\n", 0, place) + 1 : place]
    return line.count("`") % 2 == 1


def _in_sentence(text: str, mark: re.Match) -> bool:
    """Whether it is used like a word: "end it with </think> and go on"."""
    before, after = text[: mark.start()], text[mark.end() :]
    if not before.strip() or not after.strip() or before[-1:] == "\n" or after[:1] == "\n":
        return False
    ended = before.rstrip()[-1] in '.!?…:;。！？)]"”’*'
    begins = re.match(r"\s*[^\Wa-z_]", after) and not after[0].islower()
    if before[-1].isspace() and re.match(r"\s|[,.;:)?!]", after):
        return not ended and not begins
    return bool(re.match(r"[,.;:)?!]", after)) and not ended


def _harmony(text: str) -> Said | None:
    """The channels of OpenAI's open models: the final one is the answer."""
    headers = [head for head in _CHANNEL.finditer(text) if not _in_code(text, head.start())]
    if not headers:
        return None
    first = headers[0]
    if text[: first.start()].strip() and not any(h["name"] == "final" for h in headers):
        return None  # in the middle, and no answer follows: a text that speaks of channels
    thoughts, tool = [text[: first.start()]], False
    answers: list[str] = []
    for head, following in zip(headers, [*headers[1:], None], strict=True):
        content = text[head.end() : following.start() if following else len(text)]
        content = _END_OF_MESSAGE.split(content)[0]
        final = head["name"] == "final"
        tool = tool or (not final and "to=" in f"{head['role'] or ''}{head['more']}")
        (answers if final else thoughts).append(content)
    marks = re.compile(r"<\|(?:start|end)\|>(?:assistant)?")
    thought = "\n".join(marks.sub("", part).strip() for part in thoughts)
    kind = Thought.BEFORE if answers else Thought.INSTEAD
    return Said(thought, "".join(answers), kind, tool and not answers)


def _bare_harmony(text: str) -> Said | None:
    """The same where the marks were dropped: "analysisWe need ... assistantfinalThe answer"."""
    finals = [m for m in _BARE_FINAL.finditer(text) if not _in_code(text, m.start())]
    begun = _BARE_BEGIN.match(text)
    glued = [m for m in finals if begun or _GLUED.match(text, m.start())]
    if glued and not _quoted(text, glued[-1]):
        thought = text[begun.end() if begun else 0 : glued[-1].start()]
        return Said(thought, text[glued[-1].end() :], Thought.BEFORE)
    if begun := _BARE_ANALYSIS.match(text):
        return Said(text[begun.end() :], "", Thought.INSTEAD)
    return None


def _without_beginnings(text: str) -> str:
    place, struck = 0, "</s>" in text.rstrip().removesuffix("</s>")  # <s> in a text of people
    while (begun := _BEGINS.match(text, place)) and not (struck and begun[0].endswith("<s>")):
        place = begun.end()
    return text[place:]


def _without_ends(text: str) -> str:
    text = _NEXT_TURN.sub("", text)
    struck = "<s>" in text
    while end := next(filter(text.rstrip().endswith, _ENDS), None):
        if end == "</s>" and struck:
            break
        text = text.rstrip().removesuffix(end)
    return text
