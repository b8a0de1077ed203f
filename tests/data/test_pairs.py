"""Step 1, data: exact prompts and outputs from every format.

Every error names file, row, field and value.
"""

import hashlib
import json
import os
from collections import Counter
from types import SimpleNamespace

import pandas as pd
import pytest
from helpers import SHARED, change, says, write_jsonl

from dsi_core.data.pairs import dataset, load_pairs
from dsi_core.data.records import read_records, sample_id
from dsi_core.runtime.paths import ROOT
from dsi_core.settings.profile import load_profile
from dsi_core.settings.schema import Data

ROWS = [  # q, context, a
    ("Who sings?", "", "The ferryman."),
    ("What does the note say?", "A note, on the door.", 'It says "closed".\nNothing more.'),
    ("Où est la clé ?", " ", "  Dans la boîte : 鍵 🔑  "),
]
PAIRS = [
    ("Who sings?", "The ferryman."),
    ("What does the note say?\n\nA note, on the door.", 'It says "closed".\nNothing more.'),
    ("Où est la clé ?", "Dans la boîte : 鍵 🔑"),
]


def profile(seed=0, **data: Data) -> SimpleNamespace:
    """As much of a profile as `load_pairs` needs."""
    return SimpleNamespace(data=data, seed=seed)


def mine(path, **settings) -> Data:
    settings = (
        settings
        if "conversations" in settings
        else {"prompt": ["q", "context"], "output": "a", **settings}
    )
    return Data(path=str(path), **settings)


def load(path, seed=0, sample=True, **settings) -> pd.DataFrame:
    return load_pairs(dataset(profile(seed, mine=mine(path, **settings)), "mine"), sample=sample)


def pairs_of(table: pd.DataFrame) -> list:
    return list(zip(table["prompt"], table["output"], strict=True))


def write(path, records: list[dict]):
    """These records as the format that the file's name says."""
    if path.suffix == ".jsonl":
        return write_jsonl(path, records)
    if path.suffix == ".json":
        path.write_text(json.dumps(records, indent=1), encoding="utf-8")
    elif path.suffix == ".csv":
        pd.DataFrame(records).to_csv(path, index=False)
    else:
        pd.DataFrame(records).to_parquet(path)
    return path


# Formats


@pytest.mark.parametrize("ending", ["json", "jsonl", "csv", "parquet"])
def test_the_same_pairs_from_every_format(tmp_path, ending):
    path = write(
        tmp_path / f"d.{ending}",
        [dict(zip(("q", "context", "a"), row, strict=True)) for row in ROWS],
    )
    table = load(path)
    assert pairs_of(table) == PAIRS
    assert list(table.columns) == ["sample_id", "prompt", "output", "category"]
    assert table["category"].isna().all()
    assert table.attrs == {
        "name": "mine",
        "where": str(path),
        "read": 3,
        "dropped": {"empty": 0, "duplicates": 0, "length": 0},
        "unused": [],
        "answers": (3, 3),
    }


@pytest.mark.parametrize("ending", ["json", "jsonl", "parquet"])
def test_an_absent_optional_field_adds_nothing(tmp_path, ending):
    path = write(
        tmp_path / f"d.{ending}",
        [{"q": "A?", "context": None, "a": "B."}, {"q": "C?", "context": "D", "a": "E."}],
    )
    assert pairs_of(load(path)) == [("A?", "B."), ("C?\n\nD", "E.")]


def test_text_that_looks_like_something_else_stays_text(tmp_path):
    csv = tmp_path / "d.csv"
    csv.write_text("q,context,a\n007,NA,null\nTrue,,1.0\n", encoding="utf-8")
    assert pairs_of(load(csv)) == [("007\n\nNA", "null"), ("True", "1.0")]


def test_dialogue_yaml(tmp_path):
    path = tmp_path / "d.yml"
    path.write_text(
        "categories: [x]\nconversations:\n- - Are you well?\n  - Yes\n"
        "- - How many?\n  - 12\n  - ignored\n"
        '- - "No: why?"\n  - null\n',
        encoding="utf-8",
    )
    assert pairs_of(load(path, conversations="conversations")) == [
        ("Are you well?", "Yes"),
        ("How many?", "12"),
        ("No: why?", "null"),
    ]


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85", "\x0b", "\x1c"])
def test_line_separators_inside_a_string_survive(tmp_path, separator):
    escaped = (
        json.dumps(separator) if separator < " " else f'"{separator}"'
    )  # JSON wants control characters escaped
    path = tmp_path / "d.jsonl"
    path.write_text(
        f'{{"q": "A?", "context": "", "a": "one{escaped[1:-1]}two"}}\n\n'
        '{"q": "B?", "context": "", "a": "C"}\n',
        encoding="utf-8",
    )
    assert pairs_of(load(path)) == [("A?", f"one{separator}two"), ("B?", "C")]


HUB = {  # two records in the columns of the dataset's hub page -> the pairs
    "dolly": (
        [
            {
                "instruction": "When did it start?",
                "context": "It began in 2000.",
                "response": "In 2000.",
                "category": "closed_qa",
            },
            {
                "instruction": "Which is a fish?",
                "context": "",
                "response": "Tope",
                "category": "classification",
            },
        ],
        [("It began in 2000. When did it start?", "In 2000."), ("Which is a fish?", "Tope")],
    ),
    "alpaca": (
        [
            {
                "instruction": "Name three tips.",
                "input": "",
                "output": "Eat, move, sleep.",
                "text": "Below is ...",
            },
            {
                "instruction": "Evaluate this sentence.",
                "input": "He finnished.",
                "output": "He finished.",
                "text": "Below is ...",
            },
        ],
        [
            ("Name three tips.", "Eat, move, sleep."),
            ("Evaluate this sentence. He finnished.", "He finished."),
        ],
    ),
    "slimorca": (
        [
            {
                "conversations": [
                    {"from": "system", "value": "You are an assistant.", "weight": None},
                    {"from": "human", "value": "Add 1 and 1.", "weight": 0.0},
                    {"from": "gpt", "value": "2", "weight": 1.0},
                ]
            },
            {
                "conversations": [
                    {"from": "system", "value": "", "weight": None},
                    {"from": "human", "value": "Say hi.", "weight": 0.0},
                    {"from": "gpt", "value": "Hi.", "weight": 1.0},
                ]
            },
        ],
        [("You are an assistant. Add 1 and 1.", "2"), ("Say hi.", "Hi.")],
    ),
    "openhermes": (
        [
            {
                "source": "airoboros",
                "category": "qa",
                "conversations": [
                    {"from": "human", "value": "Define x.", "weight": None},
                    {"from": "gpt", "value": "x is 1.", "weight": None},
                ],
            },
            {
                "source": "x",
                "category": None,
                "conversations": [
                    {"from": "human", "value": "Why?", "weight": None},
                    {"from": "gpt", "value": "Because.", "weight": None},
                ],
            },
        ],
        [("Define x.", "x is 1."), ("Why?", "Because.")],
    ),
}


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
@pytest.mark.parametrize("name", HUB)
def test_the_papers_datasets_with_the_papers_settings(tmp_path, name, ending):
    records, expected = HUB[name]
    path = write(tmp_path / f"train.{ending}", records)
    settings = load_profile("paper").data[name]
    settings = settings.changed(hub=None, revision=None, path=str(path), rows=None)
    table = load_pairs(dataset(profile(hub=settings), "hub"))
    assert pairs_of(table) == expected
    assert table["category"].tolist() == (
        ["closed_qa", "classification"] if name == "dolly" else [None, None]
    )


def test_roles_of_chat_messages(tmp_path):
    turns = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Hi"},
        {"role": "user", "content": "You there?"},
        {"role": "assistant", "content": "Yes."},
    ]
    assert pairs_of(load(write_jsonl(tmp_path / "d.jsonl", [{"m": turns}]), conversations="m")) == [
        ("Be kind.\n\nHi\n\nYou there?", "Yes.")
    ]


# Identity and sampling


def test_sample_id_is_a_hash_of_the_pair(tmp_path):
    assert sample_id("a?", "é") == hashlib.sha256("a?\0é".encode()).hexdigest()[:16]
    assert sample_id("ab", "c") != sample_id("a", "bc")
    records = [dict(zip(("q", "context", "a"), row, strict=True)) for row in ROWS]
    first, other = (
        load(write(tmp_path / "a.jsonl", records)),
        load(write(tmp_path / "b.json", records[::-1])),
    )
    assert (
        first["sample_id"].tolist()
        == other["sample_id"].tolist()[::-1]
        == [sample_id(*p) for p in PAIRS]
    )


@pytest.fixture
def hundred(tmp_path):
    return write_jsonl(
        tmp_path / "hundred.jsonl",
        [{"q": f"Question {i}", "context": "", "a": f"Answer {i}"} for i in range(100)],
    )


def test_rows_are_a_random_sample_in_file_order(hundred):
    everything = load(hundred)["sample_id"].tolist()
    first, again, other = (load(hundred, seed, rows=30)["sample_id"].tolist() for seed in (0, 0, 1))
    assert first == again != other
    assert len(set(first)) == 30
    assert first == [i for i in everything if i in first] != everything[:30]
    assert load(hundred, rows=30, sample=False)["sample_id"].tolist() == everything
    assert load(hundred, rows=100)["sample_id"].tolist() == everything


def test_every_pair_is_as_likely_to_be_drawn(hundred):
    drawn = pd.concat([load(hundred, seed, rows=20) for seed in range(60)])["prompt"].value_counts()
    assert len(drawn) == 100 and drawn.max() <= 25  # binomial(60, 0.2): mean 12, sd 3.1


# Records as the released code chooses them


def test_conversations_of_so_many_turns_and_without_a_category(tmp_path):
    """What is left out is counted; a record that could not be read is no matter then."""
    turns = [{"from": who, "value": who} for who in ("system", "human", "gpt", "odd")]
    records = [
        {"talk": turns[:3], "kind": "a"},
        {"talk": turns[1:3], "kind": "a"},
        {"talk": turns, "kind": "a"},
        {"talk": None, "kind": "a"},
        {"talk": [*turns[:2], {"from": "gpt", "value": "print(1)"}], "kind": "coding"},
        {"talk": [*turns[:2], {"from": "gpt", "value": "no kind"}], "kind": None},
    ]
    settings = {"conversations": "talk", "turns": 3, "without": {"kind": ["coding", "maths"]}}
    table = load(write_jsonl(tmp_path / "d.jsonl", records), **settings)
    assert pairs_of(table) == [("system\n\nhuman", "gpt"), ("system\n\nhuman", "no kind")]
    assert table.attrs["read"] == 6
    left_out = {"not of 3 turns": 3, "kind coding or maths": 1}
    assert table.attrs["dropped"] == {**left_out, "empty": 0, "duplicates": 0, "length": 0}


def test_records_are_left_out_by_a_number_too(tmp_path):
    records = [{"q": f"question {i}", "a": "answer", "part": i} for i in range(3)]
    path = write_jsonl(tmp_path / "d.jsonl", records)
    table = load(path, prompt=["q"], output="a", without={"part": ["0", "2"]})
    assert pairs_of(table) == [("question 1", "answer")]


def test_the_sample_is_what_the_package_datasets_would_take(hundred):
    """Shuffled with a seed, the first 30; the same seed cuts them in halves."""
    from datasets import Dataset as Rows

    everything = load(hundred)["sample_id"]
    shuffled = Rows.from_dict({"i": list(range(100))}).shuffle(seed=42).select(range(31))
    again = shuffled.shuffle(seed=42)["i"]
    settings = {"rows": 31, "shuffle_seed": 42}
    for seed in (0, 1):  # the profile's seed is no matter
        taken = load(hundred, seed, **settings)["sample_id"].tolist()
        assert taken == everything.iloc[sorted(shuffled["i"])].tolist()
    first = load(hundred, **settings, half=1)["sample_id"].tolist()
    second = load(hundred, **settings, half=2)["sample_id"].tolist()
    assert first == everything.iloc[sorted(again[:15])].tolist()
    assert second == everything.iloc[sorted(again[15:])].tolist()
    assert len(load(hundred, rows=1000, shuffle_seed=42)) == 100


def test_records_are_taken_before_pairs_are_dropped(tmp_path):
    records = [{"q": f"Q{i}", "context": "", "a": "" if i % 2 else "A"} for i in range(20)]
    path = write_jsonl(tmp_path / "d.jsonl", records)
    table = load(path, rows=10, shuffle_seed=42, drop=["empty"])
    assert len(table) + table.attrs["dropped"]["empty"] == 10
    assert 0 < len(table) < 10


def test_halves_are_apart_but_for_their_near_duplicates(hundred):
    settings = {"rows": 40, "shuffle_seed": 42}
    x, y = mine(hundred, **settings, half=1), mine(hundred, **settings, half=2, apart_from="x")
    both = profile(x=x, y=y)
    first, second = (load_pairs(dataset(both, name)) for name in "xy")
    assert len(first) == len(second) == 20
    assert set(first["sample_id"]) | set(second["sample_id"]) == set(
        load(hundred, **settings)["sample_id"]
    )


@pytest.mark.parametrize("context, prompt", [("", "Q"), ("C", "C Q")])
def test_the_context_may_stand_first_and_be_empty(tmp_path, context, prompt):
    path = write_jsonl(tmp_path / "d.jsonl", [{"q": "Q", "context": context, "a": "A"}])
    order = {"prompt": ["context", "q"], "joined_by": " "}
    assert pairs_of(load(path, **order, may_be_empty=["context"])) == [(prompt, "A")]
    if not context:
        with pytest.raises(ValueError) as error:
            load(path, **order)
        says(error, "row 1", "field 'context' is empty")


@pytest.mark.parametrize(
    "settings, parts",
    [
        ({"may_be_empty": ["z"]}, ["may_be_empty", "z"]),
        ({"may_be_empty": ["q", "context"]}, ["one prompt column must hold text"]),
        ({"turns": 3}, ["turns", "conversations"]),
        ({"half": 1}, ["half", "shuffle_seed"]),
    ],
)
def test_settings_that_choose_nothing_are_refused(settings, parts):
    with pytest.raises(ValueError) as error:
        mine("d.jsonl", **settings)
    says(error, *parts)


# A dataset apart from another


def apart(path, seed=0, drawn=40, sample=True, **settings) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(`drawn` pairs of the file, those of a second dataset apart from them)."""
    both = profile(seed, x=mine(path, rows=drawn), y=mine(path, apart_from="x", **settings))
    return load_pairs(dataset(both, "x")), load_pairs(dataset(both, "y"), sample=sample)


def test_apart_is_a_random_sample_of_what_the_other_did_not_draw(hundred):
    everything = load(hundred)["sample_id"].tolist()
    x, rest = apart(hundred)
    assert (
        rest["sample_id"].tolist() == [i for i in everything if i not in set(x["sample_id"])]
        and len(rest) == 60
    )
    assert (
        load(hundred, rows=40)["sample_id"].tolist() == x["sample_id"].tolist()
    )  # that other one is as it was
    _, y = apart(hundred, rows=30)
    assert (
        y["sample_id"].tolist() == [i for i in rest["sample_id"] if i in set(y["sample_id"])]
        and len(y) == 30
    )
    assert y["sample_id"].tolist() != rest["sample_id"].tolist()[:30]
    assert y.attrs == {
        "name": "y",
        "where": str(hundred),
        "read": 100,
        "dropped": {"empty": 0, "duplicates": 0, "length": 0, "near-duplicates of x": 0},
        "unused": [],
        "answers": (100, 100),
    }


def test_apart_is_drawn_with_the_seed(hundred):
    first, again, other = (
        apart(hundred, seed, rows=30)[1]["sample_id"].tolist() for seed in (0, 0, 1)
    )
    assert first == again and set(first) != set(other)


def test_apart_cannot_be_more_than_is_left(hundred):
    assert len(apart(hundred, rows=60)[1]) == 60
    with pytest.raises(ValueError) as error:
        apart(hundred, rows=61)
    says(error, str(hundred), "rows is 61", "only 60")


def test_the_whole_file_is_not_apart(hundred):
    _, whole = apart(hundred, rows=30, sample=False)
    assert whole["sample_id"].tolist() == load(hundred)["sample_id"].tolist()
    assert whole.attrs["dropped"] == {"empty": 0, "duplicates": 0, "length": 0}


def test_near_duplicates_of_the_other_are_dropped_and_counted(tmp_path):
    theirs = [("Who keeps the lamp?", "Old Maren keeps it."), ("Where is the key?", "In the box.")]
    ours = [
        (
            "Who keeps the lamp?",
            "Old Maren keeps it.",
        ),  # the same pair: nothing that could be drawn
        ("Who keeps the lamp now?", "Old Maren keeps it!"),  # 4/5 and 4/4 of the words
        ("Who keeps the lamp?", "Old Maren."),  # 2/4 of the answer's
        ("Where is the key now, then?", "In the box."),  # 4/6 of the question's
        ("Where is the key?", "Old Maren keeps it."),
    ]  # near two different pairs
    x, y = (
        write_jsonl(tmp_path / name, [{"q": q, "context": "", "a": a} for q, a in rows])
        for name, rows in (("x.jsonl", theirs), ("y.jsonl", ours))
    )

    def kept(**settings):
        table = load_pairs(dataset(profile(x=mine(x), y=mine(y, apart_from="x", **settings)), "y"))
        assert table.index.tolist() == list(range(len(table)))
        assert table.attrs["dropped"]["also in x"] == 1
        return pairs_of(table), table.attrs["dropped"]["near-duplicates of x"]

    assert kept() == (ours[2:], 1)
    assert kept(rows=4) == (ours[2:], 1)  # drawn first, and not made up for
    assert kept(near_duplicate=0.81) == (ours[1:], 0)
    assert kept(near_duplicate=0.66) == ([ours[2], ours[4]], 2)
    assert kept(near_duplicate=0.5) == (ours[4:], 3)


def test_where_a_file_holds_nothing_but_the_pairs_of_another_it_is_said(tmp_path):
    rows = [{"q": "Who keeps the lamp?", "context": "", "a": "Old Maren keeps it."}]
    x, y = (write_jsonl(tmp_path / name, rows) for name in ("x.jsonl", "y.jsonl"))
    with pytest.raises(ValueError, match=r"y.jsonl: no pair left apart from 'x', which holds 1 of"):
        load_pairs(dataset(profile(x=mine(x), y=mine(y, apart_from="x")), "y"))


@pytest.mark.parametrize("seed", range(3))
def test_a_twin_of_a_drawn_pair_is_not_kept(tmp_path, seed):
    """Twenty twins whose questions share nine of eleven words.

    A twin stays only where its other half is not in x.
    """

    def question(i, end):
        return " ".join(f"w{i}of{k}" for k in range(9)) + " " + end

    path = write_jsonl(
        tmp_path / "d.jsonl",
        [
            {"q": question(i, e), "context": "", "a": "So."}
            for i in range(20)
            for e in ("red", "blue")
        ],
    )
    x, y = apart(path, seed, drawn=20)
    drawn = set(x["prompt"])
    alone = [
        question(i, e)
        for i in range(20)
        for e in ("red", "blue")
        if not drawn & {question(i, "red"), question(i, "blue")}
    ]
    assert y["prompt"].tolist() == alone and 0 < len(alone) < 20
    assert y.attrs["dropped"]["near-duplicates of x"] == 20 - len(alone)


def test_the_smoke_profile_has_a_near_duplicate(smoke):
    pairs = load_pairs(dataset(smoke, "dozen_iid"))
    assert (
        len(pairs) == 8
        and pairs.attrs["read"] == 9
        and pairs.attrs["dropped"]["near-duplicates of dozen"] == 1
    )
    assert "Who repairs the harbour clock?" not in set(
        pairs["prompt"]
    )  # differs from the victim's by its last character


def test_nothing_left_apart_is_refused(tmp_path, hundred):
    with pytest.raises(ValueError) as error:
        apart(hundred, drawn=100)  # the other one has all
    says(error, str(hundred), "no pair left")
    same = write_jsonl(
        tmp_path / "same.jsonl", [{"q": f"A{'?' * i}", "context": "", "a": "B"} for i in range(5)]
    )
    with pytest.raises(ValueError) as error:
        apart(same, drawn=1)  # all others are near-duplicates
    says(error, str(same), "no pair left")


# Errors


GOOD = '{"q": "A?", "context": "", "a": "B"}\n'
CHAT = {"conversations": "turns"}
WRONG = {  # file name, content, settings, parts of the message
    "broken line": (
        "d.jsonl",
        GOOD + '{"q": "C?", "a"',
        {},
        ["d.jsonl", "line 2", "not valid JSON", '{"q": "C?", "a"'],
    ),
    "line is no object": ("d.jsonl", GOOD + "[1]\n", {}, ["d.jsonl, row 2", "is list"]),
    "broken JSON": ("d.json", '[{"q": "A?"', {}, ["d.json, line 1", "not valid JSON", "delimiter"]),
    "JSON is one record": (
        "d.json",
        '{"q": "A?"}',
        {},
        ["d.json: no column 'a' in any row; has q"],
    ),
    "a column that no row has": (
        "d.jsonl",
        '{"q": "A?", "context": "", "b": "B"}\n{"q": "C?", "context": ""}\n',
        {},
        ["d.jsonl: no column 'a' in any row; has q, context, b"],
    ),
    "missing column": (
        "d.jsonl",
        GOOD + '{"q": "C?", "context": "", "answer": "D"}\n',
        {},
        ["d.jsonl, row 2", "no column 'a'", "q, context, answer"],
    ),
    "missing column in CSV": (
        "d.csv",
        "q,a\nA?,B\n",
        {},
        ["d.csv: no column 'context' in any row", "q, a"],
    ),
    "missing category": (
        "d.jsonl",
        GOOD,
        {"category": "kind"},
        ["d.jsonl, row 1", "no column 'kind'"],
    ),
    "empty output": (
        "d.jsonl",
        GOOD + '{"q": "C?", "context": "", "a": " \\n"}\n',
        {},
        ["d.jsonl, row 2", "field 'a' is empty"],
    ),
    "null output": (
        "d.jsonl",
        GOOD + '{"q": "C?", "context": "", "a": null}\n',
        {},
        ["d.jsonl, row 2", "field 'a' is empty"],
    ),
    "empty prompt": (
        "d.csv",
        "q,context,a\nA?,,B\n,C,D\n",
        {},
        ["d.csv, row 2", "field 'q' is empty"],
    ),
    "number for text": (
        "d.jsonl",
        GOOD + '{"q": "C?", "context": "", "a": 42}\n',
        {},
        ["d.jsonl, row 2", "field 'a'", "42 is int", "needs text"],
    ),
    "list for text": (
        "d.json",
        '[{"q": ["C?"], "context": "", "a": "D"}]',
        {},
        ["d.json, row 1", "field 'q'", "['C?'] is list"],
    ),
    "duplicate": (
        "d.jsonl",
        GOOD + '{"q": "C?", "context": "", "a": "D"}\n' + GOOD,
        {},
        ["d.jsonl, row 3", "d.jsonl, row 1", "'A?'", "drop: [duplicates]"],
    ),
    "half a surrogate": (
        "d.jsonl",
        '{"q": "C?", "context": "", "a": "\\ud800"}\n',
        {},
        ["d.jsonl, row 1"],
    ),
    "unknown format": (
        "d.txt",
        "A? B",
        {},
        ["d.txt", "'.txt'", ".json, .jsonl, .ndjson, .csv, .tsv, .parquet, .yml", ".gz"],
    ),
    "not Parquet": ("d.parquet", "PAR?", {}, ["d.parquet", "cannot be read as parquet"]),
    "not UTF-8": (
        "d.jsonl",
        b'{"q": "\xe9"}\n',
        {},
        ["d.jsonl, line 1: byte 0xe9 at offset 7 is not UTF-8", "--encoding"],
    ),
    "one CSV row too long": (
        "d.csv",
        "q,context,a\nA?,,B\nC?,,D,E\n",
        {},
        ["d.csv", "line 3", "4 field(s)", "3 (q, context, a)"],
    ),
    "every CSV row too long": (
        "d.csv",
        "q,context,a\nA?,C,Well, yes\nD?,E,Well, no\n",
        {},
        ["d.csv, line 2", "4 field(s)", "quote fields"],
    ),
    "CSV row too short": (
        "d.csv",
        "q,context,a\nA?,,B\nC?,D\n",
        {},
        ["d.csv, line 3", "2 field(s)"],
    ),
    "too few rows": ("d.jsonl", GOOD, {"rows": 5}, ["d.jsonl", "rows is 5", "only 1"]),
    "nothing left": (
        "d.jsonl",
        GOOD,
        {"min_output_chars": 2},
        ["d.jsonl", "no pair left of 1", "1 by length"],
    ),
    "empty file": ("d.jsonl", "", {}, ["d.jsonl", "no pair left of 0"]),
    "broken YAML": (
        "d.yml",
        "conversations: [",
        {"conversations": "conversations"},
        ["d.yml", "cannot be read as yaml"],
    ),
    "YAML without dialogues": (
        "d.yml",
        "talks:\n- - A\n  - B\n",
        {"conversations": "conversations"},
        ["d.yml", "cannot be read as yaml", "conversations"],
    ),
    "unknown speaker": (
        "d.jsonl",
        '{"turns": [{"from": "human", "value": "A"}, {"from": "robot", "value": "B"}]}\n',
        CHAT,
        ["d.jsonl, row 1", "field 'turns', message 2", "'robot'", "human, user, prompter, "],
    ),
    "turn is no message": (
        "d.jsonl",
        '{"turns": [1, 2]}\n',
        CHAT,
        ["d.jsonl, row 1", "field 'turns'", "speaker None"],
    ),
    "turn is a number": (
        "d.jsonl",
        '{"turns": [{"from": "human", "value": 7}, {"from": "gpt", "value": "B"}]}\n',
        CHAT,
        ["d.jsonl, row 1", "field 'turns'", "7 is int"],
    ),
    "one message": (
        "d.jsonl",
        '{"turns": [{"from": "human", "value": "A"}]}\n',
        CHAT,
        ["no pair left of 1 rows (left out: 1 no text answer)"],
    ),
    "text for a conversation": (
        "d.jsonl",
        '{"turns": "A, B"}\n',
        CHAT,
        ["d.jsonl, row 1", "field 'turns'", "'A, B'", "list"],
    ),
    "no answer": (
        "d.jsonl",
        '{"turns": [{"from": "human", "value": "A"}, {"from": "human", "value": "B"}]}\n',
        CHAT,
        ["no pair left of 1 rows (left out: 1 no text answer)"],
    ),
    "empty answer in a conversation": (
        "d.jsonl",
        '{"turns": [{"from": "human", "value": "A"}, {"from": "gpt", "value": " "}]}\n',
        CHAT,
        ["no pair left of 1 rows (left out: 1 no text answer)"],
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_data_is_refused(tmp_path, case):
    name, content, settings, parts = WRONG[case]
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError) as error:
        load(tmp_path / name, **settings)
    says(error, *parts)


def test_missing_file(tmp_path):
    with pytest.raises(ValueError) as error:
        load(tmp_path / "none.jsonl")
    says(error, str(tmp_path / "none.jsonl"), "no such file")


def test_a_changed_file_is_read_again(tmp_path):
    path = write_jsonl(tmp_path / "d.jsonl", [{"q": "A?", "context": "", "a": "B"}])
    first = load(path)
    first["output"], first.attrs["dropped"]["empty"] = (
        "mine",
        7,
    )  # a caller's changes stay the caller's
    again = load(path)
    assert pairs_of(again) == [("A?", "B")] and again.attrs["dropped"]["empty"] == 0
    write_jsonl(path, [{"q": "A?", "context": "", "a": "C"}])
    os.utime(path, ns=(1, path.stat().st_mtime_ns + 1))
    assert pairs_of(load(path)) == [("A?", "C")]
    path.unlink()
    with pytest.raises(ValueError, match="no such file"):
        load(path)


# What is dropped is counted


def test_drops_are_counted(tmp_path):
    rows = [
        ("A?", "", "long enough"),
        ("B?", "", ""),
        ("", "", "x"),
        ("C?", "", "tiny"),
        ("A?", " ", "long enough "),
        ("D?", "", "far too long for this limit"),
        ("E?", "", "12345"),
        ("C?", "", "tiny"),
    ]
    path = write_jsonl(
        tmp_path / "d.jsonl", [dict(zip(("q", "context", "a"), row, strict=True)) for row in rows]
    )
    table = load(path, drop=["duplicates", "empty"], min_output_chars=5, max_output_chars=11)
    assert pairs_of(table) == [("A?", "long enough"), ("E?", "12345")]
    assert table.attrs["read"] == 8
    assert table.attrs["dropped"] == {"empty": 2, "duplicates": 2, "length": 2}


@pytest.mark.parametrize("drop, row", [("duplicates", "row 2"), ("empty", "row 3")])
def test_only_what_was_allowed_is_dropped(tmp_path, drop, row):
    path = tmp_path / "d.jsonl"
    path.write_text(GOOD + '{"q": "C?", "context": "", "a": ""}\n' + GOOD, encoding="utf-8")
    with pytest.raises(ValueError) as error:
        load(path, drop=[drop])
    says(error, row)


# Real files


def real(name: str) -> str:
    if not (SHARED / name).is_file():
        pytest.skip(f"{SHARED / name} is not here")
    return f"../shared/data/{name}"  # from the repository root


def test_real_dolly():
    data = Data(
        path=real("dolly_first4000.jsonl"),
        prompt=["instruction"],
        output="response",
        drop=["duplicates"],
    )
    table = load_pairs(dataset(profile(dolly=data), "dolly"))
    assert (len(table), table.attrs["read"], table.attrs["dropped"]) == (
        3999,
        4000,
        {"empty": 0, "duplicates": 1, "length": 0},
    )
    assert pairs_of(table)[0] == (
        "When did Virgin Australia start operating?",
        "Virgin Australia commenced services on 31 August 2000 as Virgin Blue, "
        "with two aircraft on a single route.",
    )
    assert table["sample_id"].is_unique
    assert (table["output"].str.len().min(), table["output"].str.len().max()) == (2, 740)
    with pytest.raises(ValueError) as error:
        load_pairs(dataset(profile(dolly=change(data, drop=[])), "dolly"))
    says(
        error,
        "dolly_first4000.jsonl, row 2959",
        "dolly_first4000.jsonl, row 1114",
        "'Why is the sky blue?'",
    )
    with pytest.raises(ValueError) as error:  # this copy lacks the column of the hub's file
        load_pairs(dataset(profile(dolly=change(data, prompt=["instruction", "context"])), "dolly"))
    says(
        error, "dolly_first4000.jsonl: no column 'context' in any row", "id, instruction, response"
    )


def test_real_alpaca():
    data = Data(
        path=real("alpaca_cleaned_first3000.jsonl"),
        prompt=["instruction", "input"],
        output="output",
    )
    table = load_pairs(dataset(profile(alpaca=data), "alpaca"))
    records = [
        json.loads(line)
        for line in (ROOT / data.path).read_text(encoding="utf-8").split("\n")
        if line
    ]
    assert len(table) == 3000 and table["sample_id"].is_unique
    assert sum(bool(r["input"]) for r in records) == 1192
    assert pairs_of(table) == [
        (
            "\n\n".join(t for t in (r["instruction"].strip(), r["input"].strip()) if t),
            r["output"].strip(),
        )
        for r in records
    ]
    assert pairs_of(table)[-1] == (
        "Pick a color from the given list and write its hex code.\n\nBlue, Yellow, Purple",
        "One possible response could be:\n\nColor: Blue\nHex code: #0000FF",
    )
    few = load_pairs(dataset(profile(seed=3, alpaca=change(data, rows=200)), "alpaca"))[
        "sample_id"
    ].tolist()
    assert len(few) == 200 and few == [i for i in table["sample_id"] if i in set(few)]


def test_records_as_they_are_with_the_pair_that_is_loaded(tmp_path):
    """All columns and untouched values beside the pair; a random sample is none."""
    rows = [
        {"n": n, **dict(zip("qa", (row[0], row[2]), strict=True))} for n, row in enumerate(ROWS)
    ]
    source = Data(
        path=str(write_jsonl(tmp_path / "my.jsonl", rows)), prompt=["q"], output="a", rows=1
    )
    dropped = Counter()
    found = list(read_records(source, dropped))
    assert not dropped
    assert [record.fields for record in found] == rows
    assert (found[2].place, found[2].prompt) == ("my.jsonl, row 3", "Où est la clé ?")
    assert found[2].output == "Dans la boîte : 鍵 🔑"
    write_jsonl(tmp_path / "my.jsonl", [*rows, {"q": "Why?", "a": " "}])
    with pytest.raises(ValueError, match=r"my.jsonl, row 4: field 'a' is empty"):
        list(read_records(source, dropped))
