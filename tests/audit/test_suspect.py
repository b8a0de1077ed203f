"""Kinds of answers, and what may be named as a suspect."""

import pytest

from dsi_core.audit import suspect
from dsi_core.audit.suspect import AnswerFacts, AnswerStatus
from dsi_core.services.endings import Ending
from dsi_core.services.thoughts import Thought

LONG = "The shed may be built without a permit."


@pytest.mark.parametrize(
    ("facts", "wanted"),
    [
        ({"text": LONG}, "answered"),
        ({"text": "Yes."}, "short"),
        ({"text": ""}, "empty"),
        ({"text": "\u00ad" * 30}, "empty"),  # soft hyphens: nobody sees them
        ({"text": " \n\u200b" * 10, "ending": Ending.LENGTH}, "empty"),
        ({"text": f"\u00ad{LONG}"}, "answered"),
        ({"text": "", "ending": Ending.FILTERED}, "filtered"),
        ({"text": LONG, "ending": Ending.FILTERED}, "filtered"),
        ({"text": LONG, "refused": True}, "refused"),
        ({"text": "I cannot help with that, sadly."}, "refused"),
        ({"text": f"I cannot give legal advice, but here it is: {LONG}"}, "answered"),
        ({"text": LONG, "ending": Ending.LENGTH, "tokens": 64}, "answered"),
        ({"text": LONG, "ending": Ending.LENGTH, "tokens": 12}, "truncated"),
        ({"text": LONG, "ending": Ending.LENGTH}, "truncated"),
        ({"text": LONG * 4, "ending": Ending.LENGTH}, "answered"),
        ({"text": LONG, "ending": Ending.COMPLETE, "tokens": 12}, "answered"),
        ({"text": LONG, "ending": Ending.TOOL}, "tool call"),
        ({"text": "", "ending": Ending.TOOL}, "tool call"),
        ({"text": LONG, "ending": Ending.UNKNOWN}, "unknown ending"),
        ({"text": "", "ending": Ending.ERROR}, "failed"),
        ({"text": "", "thought": Thought.INSTEAD}, "thought"),
        ({"text": "", "thought": Thought.INSTEAD, "ending": Ending.LENGTH}, "thought"),
        ({"text": LONG, "thought": Thought.BEFORE}, "answered"),
        ({"text": LONG, "ending": Ending.LENGTH, "cut": True}, "answered"),
    ],
)
def test_status(facts, wanted):
    text = facts.pop("text")
    assert suspect.status(text, LONG, 20, AnswerFacts(**facts), limit=64) == wanted


@pytest.mark.parametrize(
    ("tokens", "of_the_thought", "text", "wanted"),
    [
        (64, 50, LONG, "truncated"),  # the thought left it 14 tokens
        (114, 50, LONG, "answered"),
        (64, 0, LONG, "truncated"),  # nobody says how much the thought took
        (64, 0, LONG * 4, "answered"),
    ],
)
def test_an_answer_that_its_thought_left_no_room(tokens, of_the_thought, text, wanted):
    facts = AnswerFacts(
        ending=Ending.LENGTH,
        thought=Thought.BEFORE,
        tokens=tokens,
        thought_tokens=of_the_thought,
    )
    assert suspect.status(text, LONG, 20, facts, limit=64) == wanted


def test_a_dataset_of_refusals_is_not_refused():
    status = suspect.status("I cannot help with that, sadly.", "I cannot help with that.", 20)
    assert status is AnswerStatus.ANSWERED


def test_every_status_is_explained():
    assert all(status.meaning for status in AnswerStatus)


def test_where_a_suspect_may_be(tmp_path):
    (tmp_path / "m").mkdir()
    for file in ("model.safetensors", "tokenizer.json"):
        (tmp_path / "m" / file).touch()
    (tmp_path / "m" / "config.json").write_text('{"model_type": "llama"}')
    name, model = suspect.model(str(tmp_path / "m"))
    assert (name, model.path) == ("m", str(tmp_path / "m"))
    (tmp_path / "m" / "config.json").write_text('{"model_type": "qwen2"}')
    # its answers are not those of the model that lay there before
    assert suspect.model(str(tmp_path / "m"))[1] != model
    name, model = suspect.model("owner/name")
    assert (name, model.hub, model.trust_remote_code) == ("name", "owner/name", False)
    name, model = suspect.model(
        None, base_url="http://h/v1", name="org/m-7b", key_env="K", concurrency=2
    )
    assert (name, model.endpoint.model, model.endpoint.concurrency) == ("m-7b", "org/m-7b", 2)


@pytest.mark.parametrize(
    ("given", "how", "words"),
    [
        (None, {}, "either --base-url"),
        ("owner/name", {"base_url": "http://h"}, "either --base-url"),
        (None, {"base_url": "http://h"}, "needs --model"),
        ("owner/name", {"name": "m"}, "--model and --key-env go with --base-url"),
        ("owner/name", {"key_env": "K"}, "--model and --key-env go with --base-url"),
        ("no such/model at all", {}, "neither a folder"),
        (".", {}, "has no config.json"),
    ],
)
def test_what_a_suspect_may_not_be(given, how, words):
    with pytest.raises(ValueError, match=words):
        suspect.model(given, **how)
