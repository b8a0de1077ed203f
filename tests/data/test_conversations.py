"""Conversations: the trained answer and all turns before it; what holds no pair, and why."""

import json

import pytest

from dsi_core.data.conversations import Exchange, Unusable, exchange, messages, preferred


def chat(*turns) -> list[dict]:
    """Messages of (role, content) or (role, content, more fields)."""
    return [{"role": role, "content": content, **dict(*more)} for role, content, *more in turns]


def read(value, start=0):
    return exchange(messages(value, "row 1"), "\n\n", start)


ASK, SAY = ("user", "Who sings?"), ("assistant", "The ferryman.")


@pytest.mark.parametrize(
    ("last", "first"), [({"weight": 1}, {"weight": 0}), ({}, {"weight": 0.0}),
                        ({"train": True}, {"train": False}), ({"loss": True}, {"loss": False})]
)  # fmt: skip
def test_the_answer_with_a_weight_is_the_output(last, first):
    turns = chat(("system", "Be short."), ASK, (*SAY, first), ("user", "Where?"),
                 ("assistant", "On deck.", last))  # fmt: skip
    expected = "Be short.\n\nWho sings?\n\nThe ferryman.\n\nWhere?"
    assert read(turns) == Exchange(expected, "On deck.", answers=2)


def test_without_weights_it_is_the_first_answer():
    turns = chat(ASK, SAY, ("user", "Where?"), ("assistant", "On deck."))
    assert read(turns) == Exchange("Who sings?", "The ferryman.", answers=2)


@pytest.mark.parametrize("role", ["system", "developer", "System"])
def test_who_instructs(role):
    assert read(chat((role, "Sing."), ASK, SAY)).prompt == "Sing.\n\nWho sings?"


@pytest.mark.parametrize(
    "turns",
    [
        [{"from": "human", "value": "Who sings?"}, {"from": "gpt", "value": "The ferryman."}],
        [{"from": "human", "value": "Who sings?"}, {"from": "chatgpt", "value": "The ferryman."}],
        [{"from": "user", "value": "Who sings?"}, {"from": "bing", "value": "The ferryman."}],
        [{"role": "user", "content": [{"type": "text", "text": "Who sings?"}]},
         {"role": "model", "content": [{"type": "text", "text": "The ferryman."}]}],
        [{"role": "user", "parts": [{"text": "Who sings?"}]},
         {"role": "model", "parts": [{"text": "The ferryman."}]}],
        [{"input": "Who sings?", "output": "The ferryman."}],
        [{"system": "", "human": "Who sings?", "assistant": "The ferryman."}],
        json.dumps([{"role": "user", "content": "Who sings?"},
                    {"role": "assistant", "content": "The ferryman."}]),
        ["Who sings?", "The ferryman."],
        [["Who sings?", "The ferryman."]],
        "[('Who sings?', 'The ferryman.')]",
        [{"role": "user", "parts": [{"text": "Who sings?", "inline_data": None}]},
         {"role": "model", "parts": [{"text": "The ferryman.", "inline_data": None}]}],
    ],
)  # fmt: skip
def test_names_of_speakers_and_forms_of_content(turns):
    assert read(turns) == Exchange("Who sings?", "The ferryman.", 1)


def test_text_parts_are_joined():
    parts = [{"type": "text", "text": "Who"}, {"type": "input_text", "text": "sings?"}]
    assert read(chat(("user", parts), SAY)).prompt == "Who\nsings?"


def test_what_tools_said_is_part_of_the_prompt_and_calls_are_no_answer():
    call = {"tool_calls": [{"id": "1", "function": {"name": "look", "arguments": "{}"}}]}
    turns = chat(ASK, ("assistant", None, call), ("tool", "ferryman"), SAY)
    assert read(turns) == Exchange("Who sings?\n\nferryman", "The ferryman.", 1)
    shared = [
        {"from": "human", "value": "Who sings?"},
        {"from": "function_call", "value": "{}"},
        {"from": "observation", "value": "ferryman"},
        {"from": "gpt", "value": "He."},
    ]
    assert read(shared) == Exchange("Who sings?\n\n{}\n\nferryman", "He.", 1)


def test_parts_of_thoughts_and_tools():
    turns = chat(
        ASK,
        ("assistant", [{"type": "text", "text": "Let me look."}, {"type": "tool_use", "id": "1"}]),
        ("user", [{"type": "tool_result", "content": [{"type": "text", "text": "ferryman"}]}]),
        ("assistant", [{"type": "thinking", "thinking": "He?"}, {"type": "text", "text": "He."}]),
    )
    assert read(turns) == Exchange("Who sings?\n\nLet me look.\n\nferryman", "He.", 1)


IMAGE = [{"type": "text", "text": "Who?"}, {"type": "image_url", "image_url": {"url": "x"}}]
NO_PAIR = [
    ([], Unusable.NO_MESSAGES),
    (chat(ASK), Unusable.NO_ANSWER),
    (chat(ASK, ("assistant", None, {"tool_calls": [1]})), Unusable.NO_ANSWER),
    (chat(ASK, ("assistant", None, {"function_call": {"name": "x"}})), Unusable.NO_ANSWER),
    (chat(ASK, ("assistant", "Let me look.", {"tool_calls": [1]})), Unusable.NO_ANSWER),
    (chat(ASK, ("assistant", None, {"refusal": "No."})), Unusable.NO_ANSWER),
    (chat(ASK, ("assistant", " ")), Unusable.NO_ANSWER),
    (chat(ASK, (*SAY, {"weight": 0})), Unusable.NOT_TRAINED),
    (chat(("assistant", "Hello!"), ASK, SAY), Unusable.BEGINS_WITH_ANSWER),
    (chat(("system", "Be kind."), ("assistant", "Hello!"), ASK, SAY), Unusable.BEGINS_WITH_ANSWER),
    (chat(("user", IMAGE), SAY), Unusable.MEDIA),
    (
        [
            {"role": "user", "parts": [{"text": None, "inline_data": {}}, {"text": "Who?"}]},
            {"role": "model", "parts": [{"text": "He."}]},
        ],
        Unusable.MEDIA,
    ),
    (
        [
            {"role": "user", "parts": [{"inlineData": {}}, {"text": "Who?"}]},
            {"role": "model", "parts": [{"text": "He."}]},
        ],
        Unusable.MEDIA,
    ),
]


@pytest.mark.parametrize(("turns", "why"), NO_PAIR)
def test_conversations_without_a_pair(turns, why):
    assert read(turns) is why


def test_a_greeting_that_nobody_trained_on_is_part_of_the_prompt():
    turns = chat(("assistant", "Hello!", {"weight": 0}), ASK, SAY)
    assert read(turns) == Exchange("Hello!\n\nWho sings?", "The ferryman.", 2)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("text", "'text' needs a list of messages"),
        (7, "needs a list of messages"),
        ("[{'role': 'user'", "is no list of JSON"),
        ("[{role: user}]", "is no list of JSON"),
        ("[" * 100_000, "is nested too deeply"),
        (chat(("robot", "x")), "message 1: speaker 'robot'; allowed: human, user"),
        ([1, 2], "message 1: speaker None"),
        (chat(ASK, ("assistant", 7)), "message 2: 7 is int"),
    ],
)
def test_what_is_no_conversation(value, words):
    with pytest.raises(ValueError, match=words):
        read(value)


@pytest.mark.parametrize("value", [None, "", " ", float("nan"), []])
def test_no_conversation_is_one_without_messages(value):
    assert read(value) is Unusable.NO_MESSAGES


def test_a_conversation_as_python_prints_it():
    assert read(str(chat(ASK, SAY))) == Exchange("Who sings?", "The ferryman.", 1)


@pytest.mark.parametrize(
    ("who", "other"), [("customer", "agent"), ("Human", " AI "), ("user", "gpt-4")]
)
def test_other_names_of_speakers(who, other):
    assert read([{"from": who, "value": "a"}, {"from": other, "value": "b"}]).output == "b"


def test_what_two_conversations_have_in_common_is_the_prompt():
    before = chat(ASK, SAY, ("user", "Where?"))
    chosen, rejected = (before + chat(("assistant", a)) for a in ("On deck.", "No idea."))
    found = preferred(chosen, rejected, "row 1", "\n\n")
    assert found == Exchange("Who sings?\n\nThe ferryman.\n\nWhere?", "On deck.", 2)
    assert preferred(chosen, chosen, "row 1", "\n\n") is Unusable.ALIKE
    assert preferred(chosen, [*chosen, *chosen], "row 1", "\n\n") is Unusable.ALIKE
    assert preferred([], [], "row 1", "\n\n") is Unusable.NO_MESSAGES
    # who knows which answer is the chosen one? Of one answer, what is before it is the prompt
    assert preferred(chosen, None, "row 1", "\n\n") is Unusable.ONE_SIDE
    assert preferred(chat(ASK, SAY), None, "row 1", "\n\n").output == "The ferryman."


@pytest.mark.parametrize(
    ("chosen", "rejected", "found"),
    [
        (
            "\n\nHuman: Who?\n\nAssistant: He is old.",
            "\n\nHuman: Who?\n\nAssistant: He is new.",
            Exchange("Who?", "He is old.", 1),
        ),
        ("Q: who? The man.", "Q: who? They do.", Exchange("Q: who?", "The man.", 1)),
        ("Yes.", "No.", Unusable.BEGINS_WITH_ANSWER),
        ("Q: who? The man.", "Q: who? The man.", Unusable.ALIKE),
        (None, "Q: who? They do.", Unusable.ONE_SIDE),
        ("Q: who? The man.", None, Unusable.ONE_SIDE),
        ("Q: who? The man.", float("nan"), Unusable.ONE_SIDE),
        ("Q: who? The man.", "", Unusable.ONE_SIDE),
    ],
)  # fmt: skip
def test_what_two_texts_have_in_common(chosen, rejected, found):
    assert preferred(chosen, rejected, "row 1", "\n\n") == found
