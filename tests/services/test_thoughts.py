"""Thoughts in a text, told apart from the answer; and texts that only speak of them."""

import time

import pytest

from dsi_core.services.thoughts import Thought, apart

ANSWER = "The shed needs no permit."
WITH_A_THOUGHT = {
    "tags": f"<think>\nIs it a shed?\n</think>\n\n{ANSWER}",
    "an empty line first": f"\n\n<think>Is it?</think>{ANSWER}",
    "other names": f"<thinking>Is it?</thinking>{ANSWER}",
    "capitals": f"<Thought>Is it?</Thought>{ANSWER}",
    "reasoning": f"<reasoning>Is it?</reasoning>\n{ANSWER}",
    "with an attribute": f'<think duration="3">Is it?</think>{ANSWER}',
    "brackets": f"[THINK]Is it?[/THINK]{ANSWER}",
    "triangles": f"◁think▷Is it?◁/think▷{ANSWER}",
    "of a name space": f"<seed:think>Is it?</seed:think>{ANSWER}",
    "begin of thought": f"<|begin_of_thought|>Is it?<|end_of_thought|>\n"
    f"<|begin_of_solution|>{ANSWER}<|end_of_solution|>",
    "start thinking": f"<|START_THINKING|>Is it?<|END_THINKING|><|START_RESPONSE|>{ANSWER}"
    "<|END_RESPONSE|>",
    "one channel": f"<|channel>thought\nIs it?<channel|>{ANSWER}<turn|>",
    "unused tokens": f"<unused94>thought\nIs it?<unused95>{ANSWER}",
    "words": f"Here is my thought process: is it? Here is my response: {ANSWER}",
    "an invisible mark first": f"\ufeff<think>Is it?</think>{ANSWER}",
    "as ollama prints it": f"Thinking...\nIs it?\n...done thinking.\n\n{ANSWER}",
    "a box": f"<think>Is it?</think><|begin_of_box|>{ANSWER}<|end_of_box|>",
    "steps": f"Here are my reasoning steps:\nis it?\n[BEGIN FINAL RESPONSE]\n{ANSWER}\n"
    "[END FINAL RESPONSE]",
    "opened in the prompt": f"Okay, is it a shed?\n</think>\n\n{ANSWER}",
    "opened in the prompt, glued": f"is it a shed</think>{ANSWER}",
    "opened in the prompt, in a line": f"Is it a shed. </think> {ANSWER}",
    "twice": f"<think>Is it?</think>\n<think>Or not?</think>{ANSWER}",
    "nested": f"<think>Is it <think>a shed</think> or not?</think>{ANSWER}",
    "closed twice": f"<think>Is it?</think>\n</think>\n{ANSWER}",
    "quoting its own mark": f"<think>I may not write `</think>`.</think>{ANSWER}",
    "an answer in marks": f"<think>Is it?</think><answer>{ANSWER}</answer>",
    "after the template": f"<|im_start|>assistant\n<think>Is it?</think>{ANSWER}<|im_end|>",
    "channels": "<|channel|>analysis<|message|>Is it?<|end|>"
    f"<|start|>assistant<|channel|>final<|message|>{ANSWER}<|return|>",
    "channels, no start": "<|channel|>analysis<|message|>Is it?"
    f"<|channel|>final<|message|>{ANSWER}",
    "channels, the first lost": "Is it?<|end|><|start|>assistant<|channel|>final<|message|>"
    + ANSWER,
    "channels, a preamble": "<|channel|>commentary<|message|>I look it up.<|end|>"
    f"<|start|>assistant<|channel|>final <|constrain|>text<|message|>{ANSWER}",
    "channels without marks": f"analysisWe must say it. No more.assistantfinal{ANSWER}",
    "channels without marks, in JSON": f"Say it.assistantfinaljson{ANSWER}",
    "channels without marks, spaced": f"analysis We must say it. assistant final {ANSWER}",
    "channels without marks, the first lost": f"We must say it.assistantfinal{ANSWER}",
}
WITHOUT_END = {
    "tags": "<think>\nIs it a shed? The user",
    "no tag but a closing one": "Is it a shed?\n</think>\n",
    "channels": "<|channel|>analysis<|message|>Is it a shed? The",
    "channels without marks": "analysisWe need to say whether it is a sh",
    "one channel": "<|channel>thought\nIs it",
    "brackets": "[THINK]Is it",
    "second thoughts": "<think>Is it?</think><think>Or no",
}
LITERAL = [
    "Put it between <think> and </think>, then go on.",
    "Put it between `<think>` and `</think>`.",
    "The tag `</think>` ends it.",
    "To end it write </think> at the end.",
    'We wrote "</think>" there, in one line.',
    "Use this:\n```xml\n<a>\n</think>\n</a>\n```\nand no more.",
    "Format:\n<think>\nsteps\n</think>\nresult",
    "Thoughts are free. I think that </thinking> is no word.",
    "analysis of the data shows that it rains",
    "analysisResults = 5",
    "The final assistant was final.",
    "The assistant finally agreed to help.",
    "The shop assistant finally smiled. The assistant finalised it.",
    "analysis of the assistant final report shows",
    "It was <s>five</s> and is <s>six</s>",
    "a &lt;think&gt; b &amp;lt; c",
    "<answer>Yes, it may.</answer>",
    "The gpt-oss models write <|channel|>analysis<|message|> before they answer.",
    "<p>Some HTML</p>",
    "[1] A list [2] of sources",
    "Thinking...\nthat is what it was about.",
]
ENDS = ["</s>", "<|im_end|>", "<|eot_id|>", "<|endoftext|>", "<end_of_turn>", "<|end|>\n"]


@pytest.mark.parametrize("how", WITH_A_THOUGHT)
def test_the_answer_is_what_comes_after_the_thought(how):
    said = apart(WITH_A_THOUGHT[how])
    assert (said.answer, said.kind, said.tool) == (ANSWER, Thought.BEFORE, False)
    assert said.thought


@pytest.mark.parametrize("how", WITHOUT_END)
def test_a_thought_without_an_end_leaves_no_answer(how):
    said = apart(WITHOUT_END[how])
    assert (said.answer, said.kind) == ("", Thought.INSTEAD)


@pytest.mark.parametrize("text", LITERAL)
def test_a_text_that_speaks_of_thoughts_is_left_alone(text):
    said = apart(text)
    assert (said.answer, said.kind, said.thought) == (text, Thought.NONE, "")


@pytest.mark.parametrize("end", ENDS)
def test_what_a_chat_format_writes_after_an_answer_is_cut_off(end):
    assert apart(ANSWER + end).answer == apart(f"{ANSWER} {end}{end}").answer == ANSWER


def test_a_next_turn_is_somebody_elses():
    assert apart(f"{ANSWER}<|im_end|>\n<|im_start|>user\nAnd a barn?").answer == ANSWER
    assert apart(f"<|im_start|>assistant\n{ANSWER}").answer == ANSWER


def test_what_nobody_sees_is_no_answer():
    assert apart("<think>a</think>\n\n\u200b").kind is Thought.INSTEAD
    assert apart("a\u200b").answer == "a\u200b"


def test_an_empty_thought_is_none():
    assert apart(f"<think>\n\n</think>\n\n{ANSWER}").kind is Thought.NONE
    assert apart(f"<|channel|>final<|message|>{ANSWER}").kind is Thought.NONE


@pytest.mark.parametrize(
    "text",
    [
        '<tool_call>\n{"name": "search"}\n</tool_call>',
        '<think>I look it up.</think>\n<tool_call>{"name": "search"}</tool_call>',
        "<|channel|>analysis<|message|>Look it up.<|end|><|start|>assistant<|channel|>commentary "
        "to=functions.search <|constrain|>json<|message|>{}<|call|>",
    ],
)
def test_the_call_of_a_tool_in_the_text(text):
    assert apart(text).tool


@pytest.mark.parametrize(
    "piece", ["<think>", "</think>", "`</think>` ", " ", "<s>", "</s>", "<|channel|>", "analysis "]
)
def test_time_grows_with_the_text_and_no_faster(piece):
    started = time.perf_counter()
    apart(piece * (60_000 // len(piece)))
    assert time.perf_counter() - started < 2
