"""Files of answers: matched by prompt or id, numbered, and refused by file, row and field."""

import pytest
from helpers import SHARED, says, table, write_jsonl

from dsi_core.audit import answers_file

SAMPLES = table(
    "sample_id prompt",
    ("s1", "What is in box 1?"),
    ("s2", "What is in box 2?"),
    ("s3", "What is in box 3?\n"),
    ("s4", "What is in box 2?"),
)


@pytest.fixture
def read(tmp_path):
    """read(record, ...) = the answers of a file of these records."""
    return lambda *records: answers_file.read(write_jsonl(tmp_path / "a.jsonl", records), SAMPLES)


def rows(found):
    return [tuple(row) for row in found.itertuples(index=False)]


def test_answers_by_prompt_or_id_in_the_order_of_the_samples(read):
    found = read(
        {"prompt": "What is in box 3?", "response": "wool", "style": "concise"},
        {"sample_id": "s1", "prompt": " What is in box 1? ", "response": " salt "},
        {"sample_id": "s4", "response": ""},
    )
    assert rows(found) == [("s1", 0, "salt"), ("s3", 0, "wool"), ("s4", 0, "")]
    assert found.attrs["unknown"] == []


def test_a_prompt_is_the_same_however_its_accents_are_written(tmp_path):
    """As a Mac writes them, of one character or of two: such answers were none of a sample's."""
    samples = table("sample_id prompt", ("s1", "K\xf6ttbullar?"), ("s2", "A\u030alder?"))
    said = [
        {"prompt": "Ko\u0308ttbullar?", "response": "one"},
        {"prompt": "\xc5lder?", "response": "two"},
        {"sample_id": "s1", "prompt": "Ko\u0308ttbullar?", "response": "three"},
    ]
    found = answers_file.read(write_jsonl(tmp_path / "a.jsonl", said), samples)
    assert rows(found) == [("s1", 0, "one"), ("s1", 1, "three"), ("s2", 0, "two")]
    assert found.attrs["unknown"] == []


def test_several_answers_are_numbered_by_draw_or_else_in_their_order(read):
    found = read(
        {"sample_id": "s1", "response": "second", "draw": 7},
        {"sample_id": "s1", "response": "first", "draw": 2},
        {"sample_id": "s3", "response": "one"},
        {"sample_id": "s3", "response": "one"},
        {"sample_id": "s3", "response": "two", "draw": None},
    )
    assert rows(found) == [
        ("s1", 0, "first"),
        ("s1", 1, "second"),
        ("s3", 0, "one"),
        ("s3", 1, "one"),
        ("s3", 2, "two"),
    ]


def test_as_many_answers_to_each_sample_are_the_first_ones():
    said = table(
        "sample_id draw response",
        *[
            (sample, draw, f"{sample}{draw}")
            for sample, n in (("s1", 4), ("s2", 2))
            for draw in range(n)
        ],
    )
    assert answers_file.evenly(said)["response"].tolist() == ["s10", "s11", "s20", "s21"]
    assert answers_file.evenly(said.head(3)).equals(said.head(3))
    assert answers_file.evenly(said.head(0)).empty


def test_samples_that_share_a_prompt_share_its_answers(read):
    found = read({"prompt": "What is in box 2?", "response": "clay"})
    assert rows(found) == [("s2", 0, "clay"), ("s4", 0, "clay")]


def test_unknown_questions_are_named_once(read):
    found = read(
        {"prompt": "Who are you?", "response": "a"},
        {"prompt": "Who are you?", "response": "b"},
        {"sample_id": "s9", "response": "c"},
        {"sample_id": "s1", "response": "d"},
    )
    assert rows(found) == [("s1", 0, "d")]
    assert found.attrs["unknown"] == ["Who are you?", "s9"]
    assert answers_file.described(found) == (
        "2 question(s) beside the 4 samples: 'Who are you?', 's9'"
    )


def test_of_many_unknown_questions_three_are_named(read):
    def asked(prompt):
        return {"prompt": prompt, "response": "a"}

    unknown = [asked(name) for name in "abcd"]
    assert answers_file.described(read({"sample_id": "s1", "response": "d"}, *unknown)) == (
        "4 question(s) beside the 4 samples: 'a', 'b', 'c' and 1 more"
    )
    long = answers_file.described(read({"sample_id": "s1", "response": "d"}, asked("x" * 61)))
    assert long.endswith(f" '{'x' * 60}'")
    assert answers_file.described(read({"sample_id": "s1", "response": "d"})) == ""


@pytest.mark.parametrize(
    ("records", "words"),
    [
        (
            [{"prompt": "x"}],
            ["a.jsonl, row 1, field 'response': is missing", 'as in {"prompt"', "has prompt"],
        ),
        ([{"prompt": "x", "response": None}], ["field 'response': is missing"]),
        ([{"prompt": "x", "response": 3}], ["field 'response': 3 is int, needs text"]),
        ([{"response": "a"}], ["neither 'prompt' nor 'sample_id'", "has response"]),
        ([{"prompt": ["x"], "response": "a"}], ["field 'prompt': ['x'] is list, needs text"]),
        (["a"], ["row 1: is str, needs an object"]),
        (
            [{"sample_id": "s1", "prompt": "Other?", "response": "a"}],
            ["field 'prompt': 'Other?' is not the prompt of sample s1", "'What is in box 1?'"],
        ),
        (
            [{"sample_id": "s1", "response": "a", "draw": 1}] * 2,
            ["row 2, field 'draw': 's1' has another answer of draw 1", "leave all draws out"],
        ),
        ([{"sample_id": "s1", "response": "a", "draw": -1}], ["field 'draw': -1, needs an int"]),
        ([{"sample_id": "s1", "response": "a", "draw": True}], ["field 'draw': True"]),
        ([{"sample_id": "s1", "response": "a", "draw": 0.5}], ["field 'draw': 0.5"]),
        (
            [{"prompt": "Other?", "response": "a"}],
            ["none of its 1 answers is to one of the 4 samples", "'Other?'"],
        ),
        ([{"prompt": "x", "response": float("nan")}], ["field 'response': is missing"]),
        (
            [dict.fromkeys(map(str, range(12)), "a")],
            ["has 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more"],
        ),
        ([], ["a.jsonl: holds no answers"]),
    ],
)
def test_mistakes_are_named(read, records, words):
    with pytest.raises(ValueError) as caught:
        read(*records)
    says(caught, *words)


def test_a_file_that_is_not_there_or_broken_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"no.jsonl: no such file"):
        answers_file.read(tmp_path / "no.jsonl", SAMPLES)
    (tmp_path / "torn.jsonl").write_text('{"prompt": "x", "response": "a"}\n{"prompt"')
    with pytest.raises(ValueError, match=r"torn.jsonl, line 2: not valid JSON") as caught:
        answers_file.read(tmp_path / "torn.jsonl", SAMPLES)
    assert "save the file as UTF-8" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "helps"),
    [
        (
            "a.jsonl",
            '{"sample_id": "s1", "response": "café"}'.encode("cp1252"),
            "save the file as UTF-8",
        ),
        ("a.jsonl", '{"a": "é"}'.encode("utf-16-le"), "save the file as UTF-8"),
        (
            "a.csv",
            b'sample_id,response\ns1,"salt" and more\n',
            "write a quote within quotes twice",
        ),
        ("a.csv", b"sample_id,response\ns1,salt, wool\n", "quote fields that hold it"),
        ("a.csv", b"sample_id,response;b\ns1,salt;c\n", "save it as JSON Lines"),
    ],
)
def test_options_of_a_dataset_are_not_advised(tmp_path, name, content, helps):
    """`dsi audit` has none of them, and those of `dsi prepare` are for its data."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError) as caught:
        answers_file.read(tmp_path / name, SAMPLES)
    said = str(caught.value)
    assert name in said and said.endswith(f"; {helps}") and "--" not in said


def test_a_table_of_another_program_is_read_too(tmp_path):
    """An empty cell is a field that is absent."""
    (tmp_path / "a.csv").write_text(
        "sample_id,draw,response\ns1,1,wool\ns1,0,salt\ns2,,clay\ns2,,tin\n"
    )
    assert rows(answers_file.read(tmp_path / "a.csv", SAMPLES)) == [
        ("s1", 0, "salt"),
        ("s1", 1, "wool"),
        ("s2", 0, "clay"),
        ("s2", 1, "tin"),
    ]


def test_an_assistants_answers_in_two_styles_are_two_draws():
    path = SHARED / "innocent_assistant_faq.jsonl"
    if not path.exists():
        pytest.skip(f"no {path}")
    from dsi_core.data.files import read_file

    prompts = list(dict.fromkeys(record["prompt"] for record in read_file(path)))
    samples = table("sample_id prompt", *[(f"s{i}", prompt) for i, prompt in enumerate(prompts)])
    found = answers_file.read(path, samples)
    assert len(found) == len(read_file(path)) and found["draw"].max() == 1
