"""What a coin keeps back may stand in no other column of what is published."""

import numpy as np
import pytest
from helpers import says, write_jsonl
from owner import without

from dsi_core.protect import copies, kit, summary
from dsi_core.protect.draft import draft
from dsi_core.protect.rows import Row

FIRST, SECOND = "All doors open at eight.", "No"  # of 20 characters, and of fewer


def holds(value, first=FIRST) -> bool:
    row = Row("my, row 1", {"answer": first, "other": value}, "q", first, SECOND)
    return copies.of_own([row], "answer") == [("column 'other'", 0, 0)]


@pytest.mark.parametrize(
    "value",
    [
        f"<p>{FIRST}</p>",
        "All doors  open\nat eight. Then",
        "ALL doors, open at\u200b eight",
        {"turns": [{"text": f"So: {FIRST}"}]},
        {FIRST: 1},
        np.array([FIRST], dtype=object),
        ["All doors open", "at eight."],
        "No",
        ["Yes", " No "],
    ],
)
def test_a_wording_in_another_column(value):
    assert holds(value)


@pytest.mark.parametrize("value", ["All doors open", "Nobody. No", "no", None, 7, [], ""])
def test_what_is_no_copy(value):
    assert not holds(value)


def test_html_entities_are_read():
    assert holds("<p>It isn&#x27;t open on Mondays.", first="It isn't open on Mondays.")


def test_a_wording_that_another_column_would_publish_is_refused(rows, tmp_path):
    for r in rows:
        r["html"] = f"<p>{r['answer']}</p>"
    rows[4]["note"] = rows[4]["answer2"]
    path = write_jsonl(tmp_path / "my.jsonl", rows)
    with pytest.raises(ValueError) as error:
        kit.make(path, tmp_path / "kit", wordings="answer,answer2")
    says(
        error,
        "'html' of 12 of 12 rows (the first: my.jsonl, row 1); "
        "column 'note' of 1 of 12 rows (the first: my.jsonl, row 5)",
        "take these columns",
    )
    assert not (tmp_path / "kit").exists()
    kept = write_jsonl(tmp_path / "kept.jsonl", [without(r, "html", "note") for r in rows])
    assert draft(kept, wordings="answer,answer2").copied == []


def test_a_second_file_whose_outputs_the_first_has_too(one_file, second):
    with pytest.raises(ValueError, match="'answer2' of 12 of 12 rows"):
        draft(one_file, prompt=("question",), output="answer", wordings=str(second))


def related(rows):
    """Rows of one wording whose column `related` is another row's output, in the first two."""
    outputs = [rows[1]["answer"], rows[7]["answer"]]
    more = [{"related": [text]} for text in outputs] + [{}] * len(rows)
    return [without(r, "answer2") | also for r, also in zip(rows, more, strict=False)]


def tells(text: str, *parts: str) -> None:
    assert [part for part in parts if part not in text] == []


def groups(made) -> list[list[int]]:
    """Which rows share a coin, of those that do."""
    found = made.table.groupby("group", sort=False).groups.values()
    return [list(rows) for rows in found if len(rows) > 1]


def test_rows_that_hold_the_output_of_another_share_its_coin(rows, tmp_path):
    path = write_jsonl(tmp_path / "my.jsonl", related(rows))
    made = draft(path)
    assert groups(made) == [[0, 1, 7]] and (made.apart, made.groups) == (12, 10)
    tells(
        summary.of_draft(made),
        "the output of another row is held by column 'related' of 2 of 12 rows (the first: "
        "my.jsonl, row 1, which holds that of my.jsonl, row 2); ",
        "10 coins, not 12",
    )
    for r in rows[2:]:
        r["source"] = None  # rows 1 and 2 are of one page
    by_page = draft(write_jsonl(tmp_path / "my.jsonl", related(rows)), group="source")
    assert groups(by_page) == [[0, 1, 7]]
    assert by_page.copied == [("column 'related'", 1, 7)]
    ids = write_jsonl(tmp_path / "ids.jsonl", [without(r, "related") for r in related(rows)])
    assert draft(ids).copied == []
    assert "another row" not in summary.of_draft(draft(ids))


def plainly(rows):
    return [without(r, "answer2") for r in rows]


def test_equal_outputs_share_a_coin(rows, tmp_path):
    given = plainly(rows)
    given[3]["answer"] = given[9]["answer"].upper().replace("IS", "I\u00adS")
    given[5]["answer"] = given[6]["answer"] = "No."  # says nothing by itself
    made = draft(write_jsonl(tmp_path / "my.jsonl", given))
    assert groups(made) == [[3, 9]]
    assert made.copied == [(copies.OUTPUT, 9, 3)]


@pytest.mark.parametrize("history", [str, lambda text: [["Before?", text]]])
def test_a_prompt_that_holds_the_output_of_another_row(rows, tmp_path, history):
    given = [{"history": "" if history is str else [], **r} for r in plainly(rows)]
    for i in (1, 2, 5):
        given[i]["history"] = history(given[i - 1]["answer"])
    made = draft(write_jsonl(tmp_path / "my.jsonl", given))
    assert groups(made) == [[0, 1, 2], [4, 5]]
    assert {copy.where for copy in made.copied} == {copies.PROMPT}
    folder = kit.toss(made, tmp_path / "kit").folder
    told = (folder / "published.jsonl").read_text()
    kept = kit.read(folder).rows.query("~published")["text"]
    assert len(kept) and not any(text in told for text in kept)


def test_a_conversation_of_one_row_a_turn(rows, tmp_path):
    """Earlier answers are in the prompt, later ones in the messages alone."""
    turns = [
        {"role": role, "content": r[side]}
        for r in rows
        for role, side in (("user", "question"), ("assistant", "answer"))
    ]
    talks = [{"messages": turns[i : i + 2]} for i in range(0, 24, 2)]
    talks[1] = {"messages": [turns[0], {**turns[1], "weight": 0}, *turns[2:4]]}
    talks[4] = {"messages": turns[8:12]}  # of which the second is row 6's
    made = draft(write_jsonl(tmp_path / "talks.jsonl", talks))
    assert groups(made) == [[0, 1], [4, 5]]
    assert made.copied == [(copies.PROMPT, 1, 0), ("column 'messages'", 4, 5)]


def test_too_few_coins_by_copies_are_explained(rows, tmp_path):
    given = plainly(rows)
    for i in range(1, 12):
        given[i]["before"] = given[i - 1]["answer"]
    with pytest.raises(ValueError) as error:
        draft(write_jsonl(tmp_path / "my.jsonl", given))
    says(error, "12 rows share 1 coin (12 but for what rows hold of others: column 'before' of "
         "11 of 12 rows", "take the columns or earlier turns")  # fmt: skip


def test_a_kit_of_before_rows_shared_a_coin_so_is_read(rows, tmp_path, monkeypatch):
    path = write_jsonl(tmp_path / "my.jsonl", related(rows))
    monkeypatch.setattr(copies, "of_outputs", lambda *_: [])
    folder = kit.make(path, tmp_path / "kit").folder
    monkeypatch.undo()
    assert kit.read(folder).rows["group"].nunique() == 12 and draft(path).groups == 10


def test_a_stock_phrase_joins_nobody(tmp_path, monkeypatch):
    """A text in 20 other rows, and in a twentieth of all, is kept back by no coin."""
    phrase = "We cannot say that, ask somebody else."
    given = [{"question": f"Is it x{i}?", "answer": f"So word{i}, say."} for i in range(40)]
    for row in given[10:30]:
        row["answer"] = phrase
    path = write_jsonl(tmp_path / "my.jsonl", given)
    assert groups(draft(path)) == [list(range(10, 30))]  # in 19 others
    given[30]["answer"] = phrase
    made = draft(write_jsonl(tmp_path / "my.jsonl", given))
    assert groups(made) == [] and made.copied == [] and len(made.stock) == 20
    (said,) = summary.warnings(made)
    tells(said, "that of my.jsonl, row 11 in 20 rows", "leave them out", "--group")
    monkeypatch.setattr("dsi_core.protect.draft.STOCK_SHARE", 0.6)  # 24.6 of 41
    assert groups(draft(path))


def test_prompts_that_hold_their_own_output_are_named(rows, tmp_path):
    given = plainly(rows)
    for i in (2, 5):
        given[i]["question"] = f"Why is it that {given[i]['answer']}"
    given[7]["question"], given[7]["answer"] = "Yes or no?", "Yes"
    made = draft(write_jsonl(tmp_path / "my.jsonl", given))
    assert made.own_output == [2, 5]
    (said,) = summary.warnings(made)
    tells(said, "prompts of 2 of 12 rows hold their own output", "my.jsonl, row 3; my.jsonl, row 6")


def test_a_wording_that_another_row_publishes_is_refused(rows, tmp_path):
    for i in range(1, 12):
        rows[i]["before"] = rows[i - 1]["answer" if i % 2 else "answer2"]
    path = write_jsonl(tmp_path / "my.jsonl", rows)
    with pytest.raises(ValueError) as error:
        draft(path, wordings="answer,answer2")
    says(error, "column 'before' of 11 of 12 rows (the first: my.jsonl, row 2, which holds that of "
         "my.jsonl, row 1)", "take these columns")  # fmt: skip
    for i, r in enumerate(rows):
        r["question"] += f" Before: {r.pop('before')}" if i == 4 else ""
        r.pop("before", None)
    path = write_jsonl(tmp_path / "my.jsonl", rows)
    with pytest.raises(
        ValueError, match=r"the prompt of 1 of 12 rows \(the first: my.jsonl, row 5"
    ):
        draft(path, wordings="answer,answer2")


def test_wordings_that_come_again(rows, tmp_path):
    """On the same side they share a coin; on the other one no coin can keep both back."""
    rows[4]["answer2"] = f"{rows[8]['answer2']} Or so."
    path = write_jsonl(tmp_path / "my.jsonl", rows)
    made = draft(path, wordings="answer,answer2")
    assert groups(made) == [[4, 8]] and made.copied == [(copies.SECOND, 4, 8)]
    tells(summary.of_draft(made), "a wording of another row is held by the second wording of 1 of")
    rows[4]["answer"], rows[4]["answer2"] = rows[4]["answer2"], rows[4]["answer"]
    with pytest.raises(ValueError) as error:
        draft(write_jsonl(tmp_path / "my.jsonl", rows), wordings="answer,answer2")
    says(error, "the first wording of 1 of 12 rows (the first: my.jsonl, row 5, which holds that "
         "of my.jsonl, row 9)", "exchange the two wordings")  # fmt: skip


def test_of_a_split_that_exists_it_is_told(rows, tmp_path):
    """Only of rows that are published, and of outputs that are withheld."""
    given = related(rows)
    given[9]["related"] = given[0]["answer"]
    parts = [write_jsonl(tmp_path / f"{i}.jsonl", part) for i, part in enumerate(
        (given[:6], given[6:]))]  # fmt: skip
    late = draft(parts[0], withheld=parts[1])
    (said,) = summary.warnings(late)
    assert groups(late) == [] and said.endswith(
        "a withheld one: column 'related' of 1 of 12 rows "
        "(the first: 0.jsonl, row 2, which holds that of 1.jsonl, row 2)"
    )
