"""Where an audit's data is read from: usual columns are recognised, others never guessed."""

import json

import pandas as pd
import pytest
from helpers import write_jsonl

from dsi_core.data import columns
from dsi_core.data.pairs import Dataset, described, load_pairs
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
        ({"Prompt": "a", "Response": "b"}, ["Prompt"], "Response"),
        ({"query": "a", "response": "b"}, ["query"], "response"),
        ({"input": "a", "output": "b"}, ["input"], "output"),
        ({"prompt": "a", "chosen": "b", "rejected": "c"}, ["prompt"], "chosen"),
        (
            {"system_prompt": "a", "question": "b", "response": "c"},
            ["system_prompt", "question"],
            "response",
        ),
        (
            {"instruction": "a", "input": "b", "output": "c", "system": "d", "history": []},
            ["system", "history", "instruction", "input"],
            "output",
        ),
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
        ({" prompt": 1, "y": 2}, "columns ' prompt', y fit 0"),
        ({"q": "a", "a": "b", "prompt": "c", "response": "d"}, "fit 2 of the known layouts"),
        (["a"], "record 1 is str"),
        ({"q": "a", "A": "b", "a": "c"}, "q, A, a, of which some differ by case alone"),
        ({"text": "a"}, "running text .* and no pairs"),
        ({"prompt": "a", "chosen": "b", "messages": []}, "fit 2 of the known layouts"),
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
        ("hub:a/b", {"output": "y", "quotes": "text"}, "a hub dataset, which has no --quotes"),
        ("dozen", {"encoding": "cp1252"}, "whose columns are set there"),
        ("dozen", {"output": "y"}, "whose columns are set there"),
        ("nowhere", {}, "neither a file, nor hub"),
    ],
)
def test_what_is_no_source(smoke, given, how, words):
    with pytest.raises(ValueError, match=words):
        columns.source(given, smoke, **how)


def pairs_of(smoke, tmp_path, *records, **reading):
    """The pairs of these records, and what was dropped."""
    file = write_jsonl(tmp_path / "d.jsonl", list(records))
    table = load_pairs(Dataset("d", columns.source(str(file), smoke, **reading), seed=0))
    return list(zip(table["prompt"], table["output"], strict=True)), table


def said(role: str, content: str) -> list[dict]:
    return [{"role": role, "content": content}]


@pytest.mark.parametrize(
    ("record", "pair"),
    [
        ({"prompt": said("user", "a"), "completion": said("assistant", "b")}, ("a", "b")),
        ({"prompt": "a", "chosen": said("user", "a") + said("assistant", "b"), "rejected": []},
         ("a", "b")),
        ({"prompt": said("user", "a"), "chosen": said("assistant", "b"), "rejected": []},
         ("a", "b")),
        ({"chosen": said("user", "a") + said("assistant", "b"),
          "rejected": said("user", "a") + said("assistant", "c")}, ("a", "b")),
        ({"chosen": "\n\nHuman: a\n\nAssistant: b", "rejected": "\n\nHuman: a\n\nAssistant: c"},
         ("a", "b")),
        ({"input": {"messages": said("user", "a"), "tools": []},
          "preferred_output": said("assistant", "b"),
          "non_preferred_output": said("assistant", "c")}, ("a", "b")),
        ({"contents": [{"role": "user", "parts": [{"text": "a"}]},
                       {"role": "model", "parts": [{"text": "b"}]}],
          "systemInstruction": {"role": "system", "parts": [{"text": "s"}]}}, ("s\n\na", "b")),
        ({"system": "s", "messages": said("user", "a") + said("assistant", "b")}, ("s\n\na", "b")),
        ({"system": float("nan"), "messages": said("user", "a") + said("assistant", "b")},
         ("a", "b")),
        ({"contents": [{"role": "user", "parts": [{"text": "a"}]},
                       {"role": "model", "parts": [{"text": "b"}]}],
          "system_instruction": {"role": None, "parts": [{"text": "s"}]}}, ("s\n\na", "b")),
        ({"prompt": "a", "rejected": [],
          "chosen": said("system", "s") + said("user", "a") + said("assistant", "b")},
         ("s\n\na", "b")),
        ({"system": "s", "prompt": "a", "rejected": [],
          "chosen": said("user", "a") + said("assistant", "b")}, ("s\n\na", "b")),
        ({"system": "s", "prompt": "a", "rejected": [],
          "chosen": said("system", "s") + said("user", "a") + said("assistant", "b")},
         ("s\n\na", "b")),
        ({"prompt": said("user", "a"), "rejected": [], "chosen": said("assistant", "a")},
         ("a", "a")),
        ({"conversation": [{"system": "s", "input": "a", "output": "b"}]}, ("s\n\na", "b")),
        ({"system": "s", "history": [["q", "r"]], "instruction": "a", "input": "", "output": "b"},
         ("s\n\nq\n\nr\n\na", "b")),
        ({"system": "", "history": [], "instruction": "a", "input": "c", "output": "b"},
         ("a\n\nc", "b")),
    ],
)  # fmt: skip
def test_pairs_of_trainers_own_formats(smoke, tmp_path, record, pair):
    assert pairs_of(smoke, tmp_path, record)[0] == [pair]


@pytest.mark.parametrize(
    ("record", "pair"),
    [
        ({"prompt": said("user", "a"), "completion": said("assistant", "b")}, ("a", "b")),
        ({"chosen": said("user", "a") + said("assistant", "b"),
          "rejected": said("user", "a") + said("assistant", "c")}, ("a", "b")),
        ({"prompt": "a", "rejected": [], "chosen": said("user", "a") + said("assistant", "b")},
         ("a", "b")),
        ({"history": [["q", "r"]], "instruction": "a", "output": "b"}, ("q\n\nr\n\na", "b")),
        ({"history": [], "instruction": "a", "output": "b"}, ("a", "b")),
        ({"instruction": "[]", "output": '[{"name": "a", "role": "user"}]'},
         ("[]", '[{"name": "a", "role": "user"}]')),
        ({"instruction": "a", "output": "[['q', 'r']]"}, ("a", "[['q', 'r']]")),
    ],
)  # fmt: skip
def test_chats_in_cells_of_csv_are_read_and_other_lists_are_text(smoke, tmp_path, record, pair):
    file = tmp_path / "d.csv"
    pd.DataFrame([record]).to_csv(file, index=False)
    table = load_pairs(Dataset("d", columns.source(str(file), smoke), seed=0))
    assert list(zip(table["prompt"], table["output"], strict=True)) == [pair]


def test_a_chat_that_is_written_as_text_is_text_but_in_csv(smoke, tmp_path):
    """Code data asks for such lists, and Parquet and JSON have lists of their own."""
    chat = json.dumps(said("user", "Hi cat") + said("assistant", "Meow"))
    record = {"prompt": f"{chat}\nSummarise this chat.", "completion": chat}
    assert pairs_of(smoke, tmp_path, record)[0] == [tuple(record.values())]
    chosen, rejected = (
        json.dumps(said("user", "Hi cat") + said("assistant", answer)) for answer in ("Meow", "No")
    )
    preference = {"chosen": chosen, "rejected": rejected}  # chats by their columns
    reading = {"conversations": "chosen", "rejected": "rejected"}
    assert pairs_of(smoke, tmp_path, preference, **reading)[0] == [("Hi cat", "Meow")]


def test_a_chat_in_a_cell_of_csv_that_is_cut_is_refused(smoke, tmp_path):
    file = tmp_path / "d.csv"
    cut = str(said("user", "a") + said("assistant", "b"))[:-9]
    pd.DataFrame([{"prompt": "a", "completion": cut}]).to_csv(file, index=False)
    with pytest.raises(
        ValueError, match=r"d.csv, row 1, field 'completion': .* is no list of JSON"
    ):
        load_pairs(Dataset("d", columns.source(str(file), smoke), seed=0))


def test_a_conversation_may_lack_its_column_of_a_system_message(smoke, tmp_path):
    talk = {"messages": said("user", "a") + said("assistant", "b")}
    pairs, _ = pairs_of(smoke, tmp_path, {**talk, "system": "s"}, talk)
    assert pairs == [("s\n\na", "b"), ("a", "b")]


@pytest.mark.parametrize("value", [7, ["s"]])
def test_a_system_message_that_is_none(smoke, tmp_path, value):
    talk = {"messages": said("user", "a") + said("assistant", "b")}
    with pytest.raises(ValueError, match=r"d.jsonl, row 2, field 'system': .* needs text"):
        pairs_of(smoke, tmp_path, {**talk, "system": "s"}, {**talk, "system": value})


@pytest.mark.parametrize(
    ("chosen", "rejected"),
    [
        (said("user", "a") + said("assistant", "b"), said("user", "a") + said("assistant", "c")),
        ("\n\nHuman: a\n\nAssistant: b", "\n\nHuman: a\n\nAssistant: c"),
    ],
)
def test_a_system_message_beside_what_was_preferred(tmp_path, chosen, rejected):
    record = {"system": "s", "good": chosen, "bad": rejected}
    file = write_jsonl(tmp_path / "d.jsonl", [record])
    source = Data(path=str(file), conversations="good", rejected="bad", system="system")
    table = load_pairs(Dataset("d", source, seed=0))
    assert (table["prompt"][0], table["output"][0]) == ("s\n\na", "b")


def test_answers_that_a_model_is_tuned_not_to_give_are_left_out(smoke, tmp_path):
    """Of prompt, completion and label (KTO)."""
    rows = [{"prompt": f"a{i}", "completion": "b", "label": i % 2 == 0} for i in range(3)]
    pairs, table = pairs_of(smoke, tmp_path, *rows)
    assert pairs == [("a0", "b"), ("a2", "b")] and table.attrs["dropped"]["label False"] == 1


@pytest.mark.parametrize("first", [None, float("nan")])
def test_such_answers_are_known_by_the_first_label_that_is_there(smoke, tmp_path, first):
    rows = [{"prompt": f"a{i}", "completion": "b", "label": i % 2 == 0} for i in range(3)]
    pairs, _ = pairs_of(smoke, tmp_path, {"prompt": "a", "completion": "b", "label": first}, *rows)
    assert pairs == [("a", "b"), ("a0", "b"), ("a2", "b")]


@pytest.mark.parametrize("name", ["label", "Label"])
@pytest.mark.parametrize("said", ["False", "false", "FALSE"])
def test_such_answers_of_a_table(smoke, tmp_path, name, said):
    file = tmp_path / "d.csv"
    file.write_text(f"prompt,completion,{name}\na0,b,{said}\na1,c,True\na2,d,true\n")
    table = load_pairs(Dataset("d", columns.source(str(file), smoke), seed=0))
    assert list(table["prompt"]) == ["a1", "a2"]


@pytest.mark.parametrize("more", [{}, {"drop": ["duplicates"]}])
def test_an_empty_message_is_no_prompt(smoke, tmp_path, more):
    good = {"prompt": said("user", "a"), "completion": "b"}
    bad = {"prompt": said("user", " "), "completion": "c"}
    with pytest.raises(ValueError, match="row 2: field 'prompt' is empty"):
        pairs_of(smoke, tmp_path, good, bad, **more)
    pairs, table = pairs_of(smoke, tmp_path, good, bad, drop=["empty"])
    assert pairs == [("a", "b")] and table.attrs["dropped"]["empty"] == 1


def test_what_is_left_out_and_not_used_is_said(smoke, tmp_path):
    talk = said("user", "a") + said("assistant", "b")
    records = [
        {"messages": talk + said("user", "c") + said("assistant", "d"), "id": 1, "source": "x"},
        {"messages": talk, "id": 2, "source": "x"},
        {"messages": said("assistant", "b"), "id": 3, "source": "x"},
        {"messages": said("user", "a"), "id": 4, "source": "x"},
        {"messages": [], "id": 5, "source": "x"},
    ]
    pairs, table = pairs_of(smoke, tmp_path, *records, drop=["duplicates"])
    assert pairs == [("a", "b")]
    dropped = {"begins with an answer": 1, "no text answer": 1, "no messages": 1, "duplicates": 1}
    assert {why: n for why, n in table.attrs["dropped"].items() if n} == dropped
    text = "\n".join(described(table))
    assert "5 rows read, 1 pairs; left out: 1 duplicates" in text
    assert "columns that are not used: id, source" in text
    assert "1 of 2 answers are used" in text


def test_an_optional_column_that_the_first_rows_lack(smoke, tmp_path):
    rows = [{"instruction": f"a{i}", "output": "b"} for i in range(3)]
    rows += [{"instruction": "c", "input": "d", "output": "e", "note": "f"}]
    pairs, table = pairs_of(smoke, tmp_path, *rows)
    assert pairs[2:] == [("a2", "b"), ("c\n\nd", "e")]
    assert table.attrs["unused"] == ["note"]


def test_rows_to_drop(smoke, tmp_path):
    records = [{"q": "a", "a": "b"}, {"q": "a", "a": "b"}, {"q": "c", "a": ""}, {"q": "", "a": "d"}]
    pairs, table = pairs_of(smoke, tmp_path, *records, drop=columns.to_drop("empty,duplicates"))
    assert pairs == [("a", "b")]
    assert table.attrs["dropped"] == {"empty": 2, "duplicates": 1, "length": 0}
    for left, rest in (("duplicates", "row 3: field 'a' is empty.*--drop empty"),
                       ("duplicates,no-answer", "row 4: field 'q' is empty.*--drop empty"),
                       ("empty", "row 2: same prompt.*--drop duplicates")):  # fmt: skip
        with pytest.raises(ValueError, match=rest):
            pairs_of(smoke, tmp_path, *records, drop=columns.to_drop(left))
    with pytest.raises(ValueError, match="--drop 'longest'; allowed: empty, duplicates, too-long"):
        columns.to_drop("longest,empty")


def test_a_file_has_no_revision_and_what_stands_beside_d_takes_what_it_has(smoke, tmp_path):
    file = str(write_jsonl(tmp_path / "d.jsonl", [{"q": "1", "a": "2"}]))
    with pytest.raises(ValueError, match="a file, which has no --split, --revision"):
        columns.source(file, smoke, split="test", revision="v2")
    how = {"split": "test", "encoding": "cp1252", "drop": ["empty"]}
    assert columns.fitting(file, how) == {"encoding": "cp1252", "drop": ["empty"]}
    assert columns.fitting("hub:a/b", how) == {"split": "test", "drop": ["empty"]}
    assert columns.fitting("dozen", how) == {}
    on_hub = columns.source("hub:a/b", smoke, prompt=("x",), output="y", split="test", config="c")
    assert (on_hub.split, on_hub.config) == ("test", "c")
