"""Where an audit's data is read from: usual columns are recognised, others never guessed."""

import pytest
from helpers import write_jsonl

from dsi_core.data import columns
from dsi_core.settings.schema import Data


@pytest.mark.parametrize(
    ("record", "prompt", "output"),
    [
        ({"instruction": "a", "input": "b", "output": "c"}, ["instruction", "input"], "output"),
        (
            {"instruction": "a", "context": "b", "response": "c", "category": "d"},
            ["instruction", "context"],
            "response",
        ),
        ({"q": "a", "a": "b"}, ["q"], "a"),
        ({"question": "a", "answer": "b"}, ["question"], "answer"),
        ({"prompt": "a", "completion": "b"}, ["prompt"], "completion"),
    ],
)
def test_usual_columns_need_no_names(smoke, tmp_path, record, prompt, output):
    source = columns.source(str(write_jsonl(tmp_path / "d.jsonl", [record])), smoke)
    assert (source.prompt, source.output) == (prompt, output)


def test_conversations_need_no_names(smoke, tmp_path):
    file = write_jsonl(tmp_path / "d.jsonl", [{"messages": [{"role": "user", "content": "a"}]}])
    assert columns.source(str(file), smoke).conversations == "messages"


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ({"x": 1, "y": 2}, "columns x, y fit 0 of the known layouts; name them with --prompt"),
        ({"q": "a", "a": "b", "prompt": "c", "response": "d"}, "fit 2 of the known layouts"),
        (["a"], "its first record is str"),
    ],
)
def test_other_columns_are_never_guessed(smoke, tmp_path, record, words):
    file = write_jsonl(tmp_path / "d.jsonl", [record])
    with pytest.raises(ValueError, match=words):
        columns.source(str(file), smoke)


def test_named_columns_names_and_hubs(smoke, tmp_path):
    file = str(write_jsonl(tmp_path / "d.jsonl", [{"x": "1", "y": "2"}]))
    named = columns.source(file, smoke, prompt=("x",), output="y")
    assert named == Data(path=file, prompt=["x"], output="y")
    assert columns.source("hub:a/b", smoke, prompt=("x",), output="y").hub == "a/b"
    assert columns.source("dozen", smoke) == smoke.data["dozen"]
    assert columns.source("dozen", smoke, rows=5).rows == 5


@pytest.mark.parametrize(
    ("given", "how", "words"),
    [
        ("hub:a/b", {}, "name its columns"),
        ("dozen", {"output": "y"}, "whose columns are set there"),
        ("nowhere", {}, "neither a file, nor hub"),
    ],
)
def test_what_is_no_source(smoke, given, how, words):
    with pytest.raises(ValueError, match=words):
        columns.source(given, smoke, **how)
