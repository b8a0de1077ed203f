"""What an owner gives: matched by prompt; what is missing, doubled or differing is named."""

from decimal import Decimal

import pandas as pd
import pytest
from helpers import says, write_jsonl
from owner import without

from dsi_core.protect import kit
from dsi_core.protect import rows as given
from dsi_core.protect.draft import draft
from dsi_core.protect.summary import of_draft
from dsi_core.settings.schema import Left


def read(*sources, **options):
    """The rows as a table, with what there is of each beside."""
    found = given.read(*sources, **options)
    return pd.DataFrame(found.rows[:], columns=given.Row._fields).join(
        found.table.drop(columns="answers")
    )


def test_two_columns(one_file, rows):
    table = read(one_file, wordings="answer,answer2")
    assert table["first"].tolist() == [r["answer"] for r in rows]
    assert table["second"].tolist() == [r["answer2"] for r in rows]
    assert list(table["fields"][0]) == ["id", "question", "source", "answer"]
    assert table["place"][2] == "ferries.jsonl, row 3"


def test_a_second_file_in_any_order_is_matched_by_prompt(plain, second, one_file):
    two = read(plain, wordings=str(second))
    one = read(one_file, wordings="answer,answer2")
    assert two[["prompt", "first", "second"]].equals(one[["prompt", "first", "second"]])


def test_the_first_wording_is_the_column_that_is_published(one_file):
    table = read(one_file, wordings="answer2,answer", prompt=("question",))
    assert table["first"][0].startswith("Buy one")
    assert list(table["fields"][0]) == ["id", "question", "source", "answer2"]


def test_prompts_that_do_not_match_are_named(plain, rows, tmp_path):
    others = [{"question": r["question"], "answer": r["answer2"]} for r in rows]
    others[0]["question"] = others[0]["question"].replace("cost?", "costs?")
    others[1]["question"] = "Is there any soup?"
    others[3]["question"] = others[2]["question"]
    path = write_jsonl(tmp_path / "second.jsonl", others)
    with pytest.raises(ValueError) as error:
        read(plain, wordings=str(path))
    says(
        error,
        "second.jsonl, row 4: same prompt as second.jsonl, row 3",
        "second.jsonl, row 1: its prompt 'What does the ferry to island0 costs?' differs from "
        "that of plain.jsonl, row 1",
        "second.jsonl, row 2: no row of the data has its prompt 'Is there any soup?'",
        "plain.jsonl, row 2: no second wording has its prompt",
        "plain.jsonl, row 4: no second wording",
    )


def test_prompts_of_two_files_match_however_their_accents_are_written(rows, tmp_path):
    whole = [{"question": f"K\xf6ttbullar {i}?", "answer": r["answer"]} for i, r in enumerate(rows)]
    parts = [
        {"question": f"Ko\u0308ttbullar {i}?", "answer": r["answer2"]} for i, r in enumerate(rows)
    ]
    one, two = (write_jsonl(tmp_path / f"{n}.jsonl", r) for n, r in ((1, whole), (2, parts)))
    found = read(one, wordings=str(two))
    assert found["second"].tolist() == [r["answer2"] for r in rows]
    assert found["fields"][0]["question"] == "K\xf6ttbullar 0?"  # what is published stays as it was


def test_a_row_that_is_empty_in_one_of_two_files_is_named(plain, rows, tmp_path):
    others = [{"question": r["question"], "answer": r["answer2"]} for r in rows]
    others[3]["answer"] = ""
    path = write_jsonl(tmp_path / "second.jsonl", others)
    with pytest.raises(ValueError) as error:
        read(plain, wordings=str(path), drop=[Left.EMPTY])
    says(error, "plain.jsonl, row 4: no second wording", "has to be taken out of the other")
    both = write_jsonl(tmp_path / "both.jsonl", [*rows[:3], {**rows[3], "answer": ""}, *rows[4:]])
    found = given.read(both, wordings=str(path), drop=[Left.EMPTY])
    assert (len(found.rows), found.dropped) == (len(rows) - 1, {"empty": 1})


def test_at_most_ten_rows_are_listed():
    assert given.listed(["a", "b"]) == "a; b"
    assert given.listed(map(str, range(12))) == "0; 1; 2; 3; 4; 5; 6; 7; 8; 9; and 2 more"


@pytest.mark.parametrize(
    "options, words",
    [
        ({"wordings": "answer,answer3"}, "no column 'answer3' in any row; has id, question"),
        ({"wordings": "answer,answer3", "drop": [Left.EMPTY]}, "no column 'answer3' in any row"),
        ({"wordings": "answer"}, "neither a file nor two columns"),
        ({"wordings": "answer,answer"}, "neither a file nor two columns"),
        ({"wordings": "nowhere.jsonl"}, "neither a file nor two columns"),
        ({"wordings": "answer2,answer"}, "name the prompt's columns with --prompt"),
        ({"wordings": "answer,answer2", "output": "id"}, "--output 'id'"),
        ({"wordings": "answer,answer2", "withheld": "x.jsonl"}, "give one of them"),
        ({"group": "author"}, "row 1: no column 'author'"),
        ({"prompt": ("question",), "output": "question"}, "'question' is given as --prompt and as"),
    ],
)
def test_what_is_refused(one_file, options, words):
    with pytest.raises(ValueError) as error:
        read(one_file, **options)
    says(error, words)


def test_a_group_is_told_by_what_is_seen(rows, tmp_path):
    for r, value in zip(rows, ["a", "a ", "\u200ba", " ", "\u200b", None, 7], strict=False):
        r["source"] = value
    path = write_jsonl(tmp_path / "my.jsonl", rows)
    found = read(path, group="source", wordings="answer,answer2")["document"].tolist()
    assert found[:7] == ["a", "a", "a", None, None, None, "7"]


def test_rows_that_are_left_out_are_named(rows, tmp_path):
    records = [without(r, "answer2") for r in rows]
    records[3]["answer"], records[11]["question"] = "", ""
    records.insert(6, records[0])
    path = write_jsonl(tmp_path / "my.jsonl", records)
    found = given.read(path, drop=[Left.EMPTY, Left.DUPLICATES])
    assert found.dropped == {"empty": 2, "duplicates": 1}
    assert found.left_out == {
        "empty": ["my.jsonl, row 4", "my.jsonl, row 13"],
        "duplicates": ["my.jsonl, row 7"],
    }
    assert "  empty: my.jsonl, row 4; my.jsonl, row 13\n" in of_draft(
        draft(path, drop=[Left.EMPTY, Left.DUPLICATES])
    )
    records += [{**r, "answer": ""} for r in records] * 2
    path = write_jsonl(tmp_path / "my.jsonl", records)
    found = draft(path, drop=[Left.EMPTY, Left.DUPLICATES])
    assert found.dropped["empty"] == 28 and len(found.left_out["empty"]) == 10
    assert "my.jsonl, row 21; and 18 more\n" in of_draft(found)


@pytest.mark.parametrize("unwanted", [0, 1])
def test_answers_that_are_marked_as_bad_are_named(rows, tmp_path, unwanted):
    records = [
        {"prompt": r["question"], "completion": r["answer"], "label": i >= unwanted}
        for i, r in enumerate(rows)
    ]
    found = draft(write_jsonl(tmp_path / "my.jsonl", records))
    assert found.left_out == ({"label False": ["my.jsonl, row 1"]} if unwanted else {})
    assert ("  label False: my.jsonl, row 1\n" in of_draft(found)) == bool(unwanted)


def test_second_wordings_and_withheld_rows_that_are_left_out_are_named(rows, tmp_path):
    rows[4]["answer2"] = " "
    path = write_jsonl(tmp_path / "my.jsonl", rows)
    found = given.read(path, wordings="answer,answer2", drop=[Left.EMPTY])
    assert found.left_out == {"empty": ["my.jsonl, row 5"]}
    kept = write_jsonl(tmp_path / "kept.jsonl", [{"question": "", "answer": "So."}])
    plain = [without(r, "answer2") for r in rows]
    path = write_jsonl(tmp_path / "my.jsonl", [*plain, {**plain[0], "question": ""}])
    found = given.read(path, withheld=kept, drop=[Left.EMPTY])
    assert found.left_out == {"empty": ["my.jsonl, row 13", "kept.jsonl, row 1"]}


def test_a_second_wording_that_was_taken_for_a_column_of_the_prompt(rows, tmp_path):
    records = [
        {"question": r["question"], "answer": r["answer"], "context": r["answer2"]} for r in rows
    ]
    path = write_jsonl(tmp_path / "my.jsonl", records)
    with pytest.raises(ValueError) as error:
        read(path, wordings="answer,context")
    says(error, "'context' is a column of the prompt", "question, context", "--prompt")
    assert len(read(path, wordings="answer,context", prompt=("question",))) == len(rows)


def test_an_empty_second_wording_is_named(rows, tmp_path):
    rows[4]["answer2"] = "  "
    path = write_jsonl(tmp_path / "my.jsonl", rows)
    with pytest.raises(ValueError, match=r"my.jsonl, row 5: field 'answer2' is empty"):
        read(path, wordings="answer,answer2")


@pytest.mark.parametrize("column", ["answer", "answer2", "question"])
def test_what_a_row_lacks_is_like_what_is_empty_in_it(rows, tmp_path, column):
    """Null, or not there at all: refused with the option that helps, or left out and counted."""
    lacks = {k: v for k, v in rows[4].items() if k != column}
    for row, words in (({**lacks, column: None}, "is empty"), (lacks, f"no column '{column}'")):
        path = write_jsonl(tmp_path / "my.jsonl", [*rows[:4], row, *rows[5:]])
        with pytest.raises(ValueError) as error:
            given.read(path, wordings="answer,answer2")
        says(error, "my.jsonl, row 5", words, "--drop empty")
        found = given.read(path, wordings="answer,answer2", drop=[Left.EMPTY])
        assert (len(found.rows), found.dropped) == (len(rows) - 1, {"empty": 1})


def test_a_column_that_no_row_has_is_named_though_empty_rows_are_left_out(plain):
    with pytest.raises(ValueError, match="no column 'anser' in any row; has id, question"):
        given.read(plain, prompt=("question",), output="anser", drop=[Left.EMPTY])


def test_a_column_that_looks_like_the_one_that_is_named_is_told(rows, tmp_path):
    """Macs and Windows write an accent as a character of its own, or not."""
    path = write_jsonl(tmp_path / "my.jsonl", [{"fr\xe5ga": r["question"], **r} for r in rows])
    with pytest.raises(ValueError) as error:
        given.read(path, prompt=("fra\u030aga",), output="answer")
    says(error, "has fr\xe5ga, id", r"; 'fr\xe5ga' looks like 'fra\u030aga': copy its name")
    with pytest.raises(ValueError, match=r"has fr\xe5ga, id, question, source, answer, answer2$"):
        given.read(path, prompt=("fruga",), output="answer")


def test_a_row_that_is_published_and_withheld_is_named(plain, rows, tmp_path):
    kept = write_jsonl(tmp_path / "kept.jsonl", [{"question": "q", "answer": "a"}, rows[3]])
    with pytest.raises(ValueError) as error:
        read(plain, withheld=kept)
    says(error, "kept.jsonl, row 2 and plain.jsonl, row 4: both published and withheld")


def test_where_rows_come_twice_the_option_that_helps_is_named(rows, tmp_path):
    path = write_jsonl(tmp_path / "my.jsonl", [*rows, rows[0]])
    how = {"prompt": ("question",), "output": "answer"}
    with pytest.raises(ValueError, match="--drop duplicates"):
        given.read(path, **how)
    kept = given.read(path, **how, drop=[Left.DUPLICATES])
    assert (len(kept.rows), kept.dropped) == (len(rows), {"duplicates": 1})


def test_a_pair_that_comes_twice_is_named_in_either_wording(rows, tmp_path):
    rows[5] = {**rows[2], "answer": "Something else entirely."}
    path = write_jsonl(tmp_path / "my.jsonl", rows)
    with pytest.raises(ValueError) as error:
        read(path, wordings="answer,answer2")
    says(error, "my.jsonl, row 6 and my.jsonl, row 3: the same prompt and output")
    rows[5]["answer2"], rows[5]["answer"] = rows[2]["answer"], "Something else entirely."
    path = write_jsonl(tmp_path / "other.jsonl", rows)
    with pytest.raises(ValueError, match=r"row 6 and other.jsonl, row 3"):
        read(path, wordings="answer,answer2")


def test_a_conversation_has_no_column_for_a_wording(tmp_path):
    talk = [
        [{"role": "user", "content": f"q{i}"}, {"role": "assistant", "content": "a"}] for i in "ab"
    ]
    path = write_jsonl(tmp_path / "talks.jsonl", [{"messages": turns} for turns in talk])
    assert read(path)["prompt"].tolist() == ["qa", "qb"]
    with pytest.raises(ValueError, match="a conversation has no column"):
        read(path, wordings=str(path))


@pytest.mark.parametrize(
    "value, words",
    [
        ("\ud83d", "surrogates not allowed"),
        ({"\ud83d": 1}, "surrogates not allowed"),
        ([{"score": float("-inf")}], "holds float '-inf', which no JSON can hold"),
        (Decimal("1.5"), "holds Decimal '1.5', which no JSON can hold"),
    ],
)
def test_a_value_that_could_not_be_published_is_named(rows, monkeypatch, value, words):
    records = [given.Record(f"my, row {i}", {**r, "note": i and value}, "q", f"{i}")
               for i, r in enumerate(rows)]  # fmt: skip
    monkeypatch.setattr(given, "usable", lambda rows, dropped, twice: iter(records))
    with pytest.raises(ValueError) as error:
        read("my.jsonl", prompt=("question",), output="answer")
    says(error, "my, row 1, field 'note': ", words)


@pytest.mark.parametrize("content, said", [("", "none left out"), (" ", "left out: 1 empty")])
def test_where_no_row_is_left_it_is_said(tmp_path, content, said):
    path = write_jsonl(tmp_path / "my.jsonl", [{"q": "Q", "a": content}] if content else [])
    with pytest.raises(ValueError) as error:
        read(path, prompt=("q",), output="a", drop=[Left.EMPTY])
    says(error, f"my.jsonl: no row left ({said})")


def test_values_of_the_group_column(rows, tmp_path):
    for r, value in zip(rows, ["a", None, "", 7, 7, float("nan")], strict=False):
        r["source"] = value
    found = read(write_jsonl(tmp_path / "my.jsonl", rows), group="source")["document"]
    assert found.dropna()[:5].to_dict() == {0: "a", 3: "7", 4: "7", 6: "page 3", 7: "page 3"}


def test_rows_to_drop_are_in_no_part_of_a_kit(rows, tmp_path):
    """Empty, twice, without the second wording: counted."""
    more = [*rows, rows[0], {**rows[1], "answer": " "}, {**rows[2], "id": 99, "answer2": ""}]
    path = write_jsonl(tmp_path / "ferries.jsonl", more)
    for left, words in (("empty", "row 13"), ("duplicates", "row 14.*--drop empty")):
        with pytest.raises(ValueError, match=words):
            read(path, drop=[left])
    with pytest.raises(ValueError, match="--drop too-long: a kit has no models"):
        read(path, drop=["too-long"])
    found = given.read(path, wordings="answer,answer2", drop=["empty", "duplicates"])
    assert len(found.rows) == len(rows)
    assert found.dropped == {"empty": 1, "duplicates": 2}


def test_a_kit_of_conversations(rows, tmp_path):
    """Rows without a pair are left out of it; published.jsonl is read as the data was."""
    turns = [
        [{"role": "developer", "content": "Be kind."},
         {"role": "user", "content": [{"type": "text", "text": r["question"]}]},
         {"role": "assistant", "content": "Wait.", "weight": 0},
         {"role": "user", "content": "Well?"},
         {"role": "assistant", "content": r["answer"], "weight": 1}]
        for r in rows
    ]  # fmt: skip
    records = [{"messages": one, "id": i} for i, one in enumerate([*turns, [], turns[0][:2]])]
    drafted = draft(write_jsonl(tmp_path / "talk.jsonl", records))
    assert [row.first for row in drafted.rows] == [r["answer"] for r in rows]
    assert drafted.rows[0].prompt == f"Be kind.\n\n{rows[0]['question']}\n\nWait.\n\nWell?"
    kit.toss(drafted, tmp_path / "kit")
    made = kit.read(tmp_path / "kit")
    assert made.commitment.dropped == {"no messages": 1, "no text answer": 1}
    assert len(made.rows) == len(rows)
    said = of_draft(drafted)
    assert "12 of 24 answers are used" in said
    assert "left out: 1 no messages, 1 no text answer; the kit neither publishes" in said


def test_optional_columns_before_the_prompt_come_back_from_a_kit(rows, tmp_path):
    records = [
        {"system": "Be kind." if i % 2 else "", "question": r["question"], "response": r["answer"]}
        for i, r in enumerate(rows)
    ]
    kit.toss(draft(write_jsonl(tmp_path / "talk.jsonl", records)), tmp_path / "kit")
    prompts = kit.read(tmp_path / "kit").rows["prompt"].tolist()
    assert rows[0]["question"] in prompts and f"Be kind.\n\n{rows[1]['question']}" in prompts


def test_a_sample_of_rows_keeps_their_order(plain):
    places = [int(place.split()[-1]) for place in read(plain, sample=8)["place"]]
    assert len(places) == 8 and places == sorted(places)
