"""What services send in reply, and what of it is an answer."""

import json

import pytest

from dsi_core.services.billing import Lost, Usage
from dsi_core.services.endings import Ending, meaning
from dsi_core.services.reply import Failure, Reply, read
from dsi_core.services.thoughts import Thought

ANSWER = "The shed needs no permit."
USAGE = {"prompt_tokens": 12, "completion_tokens": 30, "total_tokens": 42}


def body(content=ANSWER, finish="stop", usage=USAGE, *, more=(), choice=(), **message) -> bytes:
    first = {"message": {"role": "assistant", "content": content, **message}}
    first |= {"finish_reason": finish, **dict(choice)}
    said = {"choices": [first], "model": "served-1", "usage": usage, **dict(more)}
    return json.dumps(said).encode()


def of(*args, **how) -> Reply:
    said = read(body(*args, **how), 64)
    assert isinstance(said, Reply), said
    return said


def failure(raw: bytes | dict) -> Failure:
    said = read(raw if isinstance(raw, bytes) else json.dumps(raw).encode(), 64)
    assert isinstance(said, Failure), said
    return said


def test_a_plain_answer():
    usage = Usage(read=12, written=30)
    assert of(f" {ANSWER}\n") == Reply(ANSWER, "stop", Ending.COMPLETE, usage, model="served-1")


CONTENTS = {
    "one part": [{"type": "text", "text": ANSWER}],
    "two parts": [{"type": "text", "text": ANSWER[:9]}, {"type": "text", "text": ANSWER[9:]}],
    "with a value": [{"type": "text", "text": {"value": ANSWER, "annotations": []}}],
    "of the Responses API": [{"type": "output_text", "text": ANSWER}],
    "bare texts": [ANSWER],
    "a part alone": {"type": "text", "text": ANSWER},
    "with a source": [{"type": "text", "text": ANSWER}, {"type": "reference", "ids": [1]}],
}


@pytest.mark.parametrize("how", CONTENTS)
def test_content_in_parts_is_its_texts_joined(how):
    said = of(CONTENTS[how])
    assert (said.text, said.thought, said.ending) == (ANSWER, Thought.NONE, Ending.COMPLETE)


THOUGHTS = {
    "reasoning_content": {"reasoning_content": "Is it a shed?"},
    "reasoning": {"reasoning": "Is it a shed?"},
    "details": {"reasoning_details": [{"type": "reasoning.text", "text": "Is it a shed?"}]},
    "sealed": {"reasoning_details": [{"type": "reasoning.encrypted", "data": "xyz"}]},
    "thinking": {"thinking": "Is it a shed?"},
    "blocks": {"thinking_blocks": [{"type": "thinking", "thinking": "Is it a shed?"}]},
    "in the text": {"content": f"<think>Is it a shed?</think>{ANSWER}"},
    "a part": {
        "content": [
            {"type": "thinking", "thinking": [{"type": "text", "text": "Is it a shed?"}]},
            {"type": "text", "text": ANSWER},
        ]
    },
}


@pytest.mark.parametrize("how", THOUGHTS)
def test_a_thought_is_no_part_of_the_answer(how):
    said = of(**{"content": ANSWER, **THOUGHTS[how]})
    assert (said.text, said.thought, said.ending) == (ANSWER, Thought.BEFORE, Ending.COMPLETE)


@pytest.mark.parametrize("how", [name for name in THOUGHTS if "content" not in THOUGHTS[name]])
@pytest.mark.parametrize("content", [None, "", "\n"])
def test_a_thought_alone_is_one_reply_without_an_answer(how, content):
    for finish in ("stop", "length"):
        said = of(content, finish, **THOUGHTS[how])
        assert (said.text, said.thought) == ("", Thought.INSTEAD)


def test_nothing_said_until_the_limit_came_was_a_thought():
    assert of("", "length").thought is Thought.INSTEAD
    assert of(None, "length").thought is Thought.INSTEAD
    assert of("", "stop").thought is Thought.NONE
    counted = USAGE | {"completion_tokens_details": {"reasoning_tokens": 30}}
    assert of(None, "stop", counted).thought is Thought.INSTEAD
    assert of(ANSWER, "stop", counted).thought is Thought.BEFORE


def test_no_text_at_all_is_one_reply():
    said = of(None)
    assert (said.text, said.thought, said.ending) == ("", Thought.NONE, Ending.COMPLETE)


@pytest.mark.parametrize(
    "message",
    [
        {"content": None, "refusal": "I cannot."},
        {"content": "", "refusal": "I cannot."},
        {"content": [{"type": "refusal", "refusal": "I cannot."}]},
    ],
)
def test_refusals(message):
    said = of(**message)
    assert (said.text, said.refused) == ("I cannot.", True)
    assert not of(ANSWER, refusal=None).refused
    assert of(ANSWER, refusal="I cannot.").text == ANSWER


@pytest.mark.parametrize(
    "how",
    [
        {"content": None, "tool_calls": [{"id": "1", "function": {"name": "f"}}]},
        {"content": None, "function_call": {"name": "f", "arguments": "{}"}},
        {"content": ANSWER, "finish": "tool_calls"},
        {"content": [{"type": "tool_use", "name": "f"}]},
        {"content": '<tool_call>{"name": "f"}</tool_call>'},
    ],
)
def test_tool_calls(how):
    assert of(**how).ending is Ending.TOOL
    assert of(ANSWER, tool_calls=[], function_call=None).ending is Ending.COMPLETE


REASONS = {
    Ending.COMPLETE: "stop STOP eos eos_token end_turn stop_sequence COMPLETE STOP_SEQUENCE "
    "FINISH_REASON_STOP FinishReason.STOP endoftext REASON_STOP eosFound",
    Ending.LENGTH: "length max_tokens MAX_TOKENS model_length model_context_window_exceeded "
    "max_output_tokens LENGTH contextLengthReached REASON_MAX_LEN ERROR_LIMIT max-tokens",
    Ending.FILTERED: "content_filter sensitive SAFETY RECITATION PROHIBITED_CONTENT BLOCKLIST "
    "SPII guardrail_intervened content_filtered ERROR_TOXIC refusal content-filter",
    Ending.TOOL: "tool_calls function_call tool_use TOOL_CALL MALFORMED_FUNCTION_CALL toolCalls",
    Ending.ERROR: "error abort ERROR network_error insufficient_system_resource load cancelled "
    "TIMEOUT USER_CANCEL not_finished",
    Ending.UNKNOWN: "other OTHER null pause_turn LANGUAGE repetition future_reason compaction",
}


@pytest.mark.parametrize("wanted", REASONS)
def test_every_reason_to_end(wanted):
    assert {reason: meaning(reason) for reason in REASONS[wanted].split()} == dict.fromkeys(
        REASONS[wanted].split(), wanted
    )


def test_reasons_that_are_no_words():
    assert meaning({"type": "length", "length": 64}) is Ending.LENGTH
    assert meaning("content_filter: PROHIBITED_CONTENT") is Ending.FILTERED
    for nothing in (None, 3, [], {}):
        assert meaning(nothing) is Ending.UNKNOWN
    without = json.dumps({"choices": [{"message": {"content": ANSWER}}]}).encode()
    assert read(without, 64) == Reply(ANSWER, "", Ending.UNSAID)


def test_half_a_text():
    assert of("The shed ne", "sensitive").ending is Ending.FILTERED
    assert of("The shed ne", "max_tokens").ending is Ending.LENGTH
    assert of("The shed ne", "who_knows").ending is Ending.UNKNOWN
    broken = failure(body("The shed ne", "error"))
    assert broken.again and "error" in broken.message
    assert broken.lost == Lost(requests=1, read=12, written=30)


@pytest.mark.parametrize(
    ("native", "wanted"),
    [("MAX_TOKENS", Ending.LENGTH), ("SAFETY", Ending.FILTERED), ("completed", Ending.COMPLETE)],
)
def test_the_reason_of_the_models_own_provider_counts(native, wanted):
    said = of(ANSWER, choice={"native_finish_reason": native})
    assert said.ending is wanted and said.finish == f"stop / {native}"


def test_a_providers_clean_end_does_not_hide_that_the_limit_came():
    assert (
        of(ANSWER, "length", choice={"native_finish_reason": "completed"}).ending is Ending.LENGTH
    )


def test_a_filter_that_leaves_no_message():
    withheld = {"choices": [{"finish_reason": "content_filter"}]}
    assert read(json.dumps(withheld).encode(), 64).ending is Ending.FILTERED


@pytest.mark.parametrize(
    "more",
    [
        {"prompt_filter_results": [{"content_filter_results": {"hate": {"filtered": True}}}]},
        {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}},
    ],
)
def test_a_prompt_that_a_filter_held_back_is_a_definite_reply(more):
    said = read(json.dumps({"choices": [], "usage": USAGE, **more}).encode(), 64)
    assert (said.text, said.ending, said.usage.read) == ("", Ending.FILTERED, 12)
    passed = {"prompt_filter_results": [{"content_filter_results": {"hate": {"filtered": False}}}]}
    assert of(more=passed).ending is Ending.COMPLETE
    assert failure({"choices": [], **passed}).again


# (body, its status, whether asking again may help)
ERRORS = {
    "an error": ({"error": {"message": "upstream is gone"}}, 200, True),
    "with a code": ({"error": {"message": "slow down", "code": 429}}, 429, True),
    "of the server": ({"error": {"message": "x", "code": 502}}, 502, True),
    "for good": ({"error": {"message": "who?", "code": 401}}, 401, False),
    "no money": ({"error": {"message": "x", "code": "insufficient_quota"}}, 200, False),
    "a text": ({"error": "model is loading"}, 200, True),
    "in the choice": (
        {"choices": [{"error": {"code": 502, "message": "x"}, "message": {"content": "ha"}}]},
        502,
        True,
    ),
    "no choice": ({"choices": []}, 200, True),
    "null": ({"choices": None}, 200, True),
    "no message": ({"choices": [{"message": None, "finish_reason": "stop"}]}, 200, True),
    "an object of errors": ({"object": "error", "message": "x", "code": 40303}, 200, True),
    "a detail": ({"detail": "not found"}, 200, True),
    "a base": (
        {"base_resp": {"status_code": 1004, "status_msg": "who?"}, "choices": None},
        200,
        True,
    ),
    "a list": ([1], 200, True),
    "a code in a text": ({"error": {"message": "x", "code": "503"}}, 503, True),
    "a limit by name": ({"error": {"message": "x", "type": "rate_limit_exceeded"}}, 429, True),
}


@pytest.mark.parametrize("how", ERRORS)
def test_errors_with_status_200(how):
    sent, status, again = ERRORS[how]
    said = failure(sent)
    assert (said.status, said.again) == (status, again)
    assert said.lost == (Lost(1, 1) if status == 200 else Lost())


def test_what_was_billed_for_an_error_is_counted():
    said = failure({"error": {"message": "x", "code": 502}, "usage": USAGE})
    assert said.lost == Lost(requests=1, read=12, written=30)
    assert failure({"choices": [], "usage": USAGE}).lost == Lost(requests=1, read=12, written=30)


@pytest.mark.parametrize("raw", [b"<html>", b"{", b"[" * 100_000])
def test_no_json(raw):
    assert failure(raw).message.startswith("not JSON")


def test_json_in_another_encoding_is_not_called_no_json():
    said = failure('{"choices": "Straße"}'.encode("latin-1"))
    assert (said.message, said.nonsense) == ('not UTF-8: {"choices": "Stra\ufffde"}', True)


@pytest.mark.parametrize("raw", [b"", b"\n\n \n"])
def test_an_empty_reply(raw):
    assert failure(raw).message == "an empty reply" and failure(raw).nonsense


@pytest.mark.parametrize("content, text", [(42, "42"), (2.5, "2.5"), (True, "true")])
def test_a_value_that_somebody_read_from_the_text_is_its_text(content, text):
    assert of(content).text == text


@pytest.mark.parametrize("content", [{"result": "x"}, [{"type": "widget", "body": "x"}]])
def test_content_of_unknown_kinds_is_no_evidence(content):
    assert of(content).ending is Ending.UNKNOWN


def test_what_is_nested_too_deeply_is_no_answer():
    said = failure(body(reasoning="x").replace(b'"x"', b"[" * 700 + b"]" * 700))
    assert "nested too deeply" in said.message and said.nonsense and said.usage == Usage(12, 30)


NESTED = b'{"a":' * 900 + b"1" + b"}" * 900


@pytest.mark.parametrize(
    "raw",
    [
        b'data: {"choices":5}\n',
        b'data: {"choices":{"a":1}}\n',
        b'{"choices":5}',
        b'{"error":' + NESTED + b"}",
        b'{"prompt_filter_results":' + NESTED + b"}",
        NESTED,
        b"[" * 100_000,
    ],
)
def test_whatever_a_service_sends_raises_nothing(raw):
    said = failure(raw)
    assert said.nonsense is (b"error" not in raw) and said.again and said.lost == Lost(1, 1)


def test_our_own_fault_in_reading_a_reply_ends_no_audit(monkeypatch):
    monkeypatch.setattr("dsi_core.services.reply.ending", lambda *_: 1 / 0)
    assert failure(body()).message == "a reply that cannot be read (ZeroDivisionError)"


def test_a_mark_of_byte_order_is_no_trouble():
    assert read(b"\xef\xbb\xbf" + body(), 64).text == ANSWER


def test_a_stream_is_put_together():
    pieces = [
        {"choices": [{"delta": {"role": "assistant", "reasoning_content": "Is it?"}}]},
        {"choices": [{"delta": {"content": "The shed"}, "finish_reason": None}]},
        {"choices": [{"delta": {"content": " needs no permit."}}]},
        {"choices": [{"delta": {}, "finish_reason": "stop"}], "model": "served-1"},
        {"choices": [], "usage": USAGE},
    ]
    lines = "".join(f"data: {json.dumps(piece)}\n\n" for piece in pieces)
    said = read(f": ping\n{lines}data: [DONE]\n\n".encode(), 64)
    assert (said.text, said.ending, said.thought) == (ANSWER, Ending.COMPLETE, Thought.BEFORE)
    assert said.usage == Usage(12, 30) and said.model == "served-1"


def stream(*pieces) -> bytes:
    return "".join(f"data: {json.dumps(p, ensure_ascii=False)}\n\n" for p in pieces).encode()


def piece(finish=None, **more):
    return {"choices": [{"index": 0, "finish_reason": finish, **more}]}


STREAMS = {
    "separators of lines in the text": stream(piece("stop", delta={"content": "a\u2028b\x85c"})),
    "a time to retry first": b"retry: 9\n\n" + stream(piece("stop", delta={"content": "abc"})),
    "an event's name first": b"id: 1\nevent: x\n" + stream(piece("stop", text="abc")),
    "the whole once more": stream(
        piece(delta={"content": "ab"}),
        piece(delta={"content": "c"}),
        piece("stop", message={"content": "abc"}),
    ),
    "a second choice": stream(
        piece(delta={"content": "ab"}),
        {"choices": [{"index": 1, "delta": {"content": "x"}, "finish_reason": "length"}]},
        piece("stop", delta={"content": "c"}),
    ),
    "texts": stream(piece(text="ab"), piece("stop", text="c")),
    "texts and parts": stream(
        piece(delta={"content": "a"}),
        piece(delta={"content": [{"type": "text", "text": "b"}]}),
        piece("stop", delta={"content": "c"}),
    ),
    "comments before the whole": b": wait\n\n: wait\n\n" + body("abc"),
}


@pytest.mark.parametrize("how", STREAMS)
def test_streams_of_many_kinds(how):
    said = read(STREAMS[how], 64)
    assert (said.text.translate({0x2028: None, 0x85: None}), said.ending) == (
        "abc",
        Ending.COMPLETE,
    )


@pytest.mark.parametrize("texts", [("1", "1", "1"), ("ha", "ha", "ha!"), ("1", "12")])
def test_texts_of_a_stream_are_pieces_though_one_begins_with_all_before(texts):
    assert read(stream(*(piece(text=text) for text in texts)), 64).text == "".join(texts)


USAGES = {
    "plain": ({"prompt_tokens": 7, "completion_tokens": 9}, Usage(7, 9)),
    "with a thought": (
        {
            "prompt_tokens": 7,
            "completion_tokens": 9,
            "completion_tokens_details": {"reasoning_tokens": 6},
            "total_tokens": 16,
        },
        Usage(7, 9, 6),
    ),
    "the thought beside": (
        {
            "prompt_tokens": 7,
            "completion_tokens": 9,
            "completion_tokens_details": {"reasoning_tokens": 6},
            "total_tokens": 22,
        },
        Usage(7, 15, 6),
    ),
    "a thought beyond it": (
        {"prompt_tokens": 7, "completion_tokens": 2, "reasoning_tokens": 6},
        Usage(7, 8, 6),
    ),
    "cached": (
        {"prompt_tokens": 7, "completion_tokens": 9, "prompt_tokens_details": {"cached_tokens": 4}},
        Usage(7, 9, cached=4),
    ),
    "cached, DeepSeek's own": (
        {"prompt_tokens": 7, "completion_tokens": 9, "prompt_cache_hit_tokens": 4},
        Usage(7, 9, cached=4),
    ),
    "cached, Anthropic's own": (
        {"input_tokens": 7, "output_tokens": 9, "cache_read_input_tokens": 4},
        Usage(11, 9, cached=4),
    ),
    "cached, passed on by LiteLLM": (
        {
            "prompt_tokens": 1100,
            "completion_tokens": 50,
            "cache_read_input_tokens": 600,
            "cache_creation_input_tokens": 400,
        },
        Usage(1100, 50, cached=600),
    ),
    "other names": ({"input_tokens": 7, "output_tokens": 9}, Usage(7, 9)),
    "nonsense": ({"prompt_tokens": "x", "completion_tokens": -9, "total_tokens": True}, Usage()),
    "as texts": ({"prompt_tokens": "7", "completion_tokens": "9"}, Usage(7, 9)),
    "none": (None, Usage()),
}


@pytest.mark.parametrize("how", USAGES)
def test_tokens_as_they_are_billed(how):
    sent, wanted = USAGES[how]
    assert of(usage=sent).usage == wanted


def test_half_a_character_in_a_thought():
    said = read(body(reasoning_content="hm \ud83d", usage=None), 64, 1000)
    assert (said.text, said.thought) == (ANSWER, Thought.BEFORE)


def test_room_for_a_thought_makes_no_answer_longer_than_others():
    """Of an answer of 128 tokens half is compared, whatever was allowed together."""
    words = " ".join(f"word{i:03}" for i in range(128))
    counted = {"completion_tokens": 500, "completion_tokens_details": {"reasoning_tokens": 372}}
    said = read(body(words, usage=counted, reasoning="x"), 64, 1000)
    assert said.cut and len(said.text) == len(words) // 2
    short = {"completion_tokens": 400, "completion_tokens_details": {"reasoning_tokens": 372}}
    assert read(body(words, usage=short, reasoning="x"), 64, 1000).text == words
    # without a count of the thought: its share of the text; without any, four bytes a token
    inner = f"<think>{words}</think>{words}"
    assert len(read(body(inner, usage={"completion_tokens": 256}), 64, 1000).text) == 511
    assert len(read(body(words, usage=None), 64, 1000).text) == 64 * 4 - 1  # a space at the end
    assert read(body(words, usage=None), 64).text == words  # the service's own limit holds


def test_an_answer_of_a_service_that_ignores_the_limit_is_cut_and_says_so():
    """Whatever the service counts: a megabyte of one token is longer than 64 tokens."""
    for usage in (None, {"completion_tokens": 1}):
        said = read(body("a" * 1_000_000, usage=usage), 64)
        assert (len(said.text), said.cut) == (64 * 64, True)
    assert not read(body("a" * 64 * 64, usage=None), 64).cut
    unending = read(body("<think>" + "a" * 1_000_000, usage=None), 64)
    assert (unending.text, unending.cut, unending.thought) == ("", False, Thought.INSTEAD)
