"""What a coin keeps back may stand in no other column of what is published."""

import numpy as np
import pytest
from helpers import says, write_jsonl
from owner import without

from dsi_core.protect import copies, kit, summary
from dsi_core.protect.draft import draft
from dsi_core.protect.rows import Row

FIRST, SECOND = "Doors open at eight.", "No"  # of 20 characters, and of fewer


def holds(value, first=FIRST) -> bool:
    row = Row("my, row 1", {"answer": first, "other": value}, "q", first, SECOND)
    return copies.of_wordings([row], "answer") == {"other": [0]}


@pytest.mark.parametrize(
    "value",
    [
        f"<p>{FIRST}</p>",
        "Doors  open\nat eight. Then",
        {"turns": [{"text": f"So: {FIRST}"}]},
        {FIRST: 1},
        np.array([FIRST], dtype=object),
        ["Doors open", "at eight."],
        "No",
        ["Yes", " No "],
    ],
)
def test_a_wording_in_another_column(value):
    assert holds(value)


@pytest.mark.parametrize("value", ["Doors open", "Nobody. No", None, 7, [], FIRST.lower()])
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
    says(error, "'html' in 12 of 12 rows (the first: my.jsonl, row 1); "
         "'note' in 1 of 12 rows (the first: my.jsonl, row 5)", "take these columns")  # fmt: skip
    assert not (tmp_path / "kit").exists()
    kept = write_jsonl(tmp_path / "kept.jsonl", [without(r, "html", "note") for r in rows])
    assert draft(kept, wordings="answer,answer2").copied == {}


def test_a_second_file_whose_outputs_the_first_has_too(one_file, second):
    with pytest.raises(ValueError, match="'answer2' in 12 of 12 rows"):
        draft(one_file, prompt=("question",), output="answer", wordings=str(second))


def related(rows):
    """Rows of one wording whose column `related` is another row's output, in the first two."""
    outputs = [rows[1]["answer"], rows[7]["answer"]]
    more = [{"related": [text]} for text in outputs] + [{}] * len(rows)
    return [without(r, "answer2") | also for r, also in zip(rows, more, strict=False)]


def test_an_output_in_a_row_with_another_coin_is_refused(rows, tmp_path):
    path = write_jsonl(tmp_path / "my.jsonl", related(rows))
    with pytest.raises(ValueError) as error:
        draft(path)
    says(error, "'related' in 2 of 12 rows (the first: my.jsonl, row 1)", "--group")
    with pytest.raises(ValueError, match=r"'related' in 1 of 12 rows .*my.jsonl, row 2"):
        draft(path, group="source")  # rows 1 and 2 are of one page
    ids = write_jsonl(tmp_path / "ids.jsonl", [without(r, "related") for r in related(rows)])
    assert draft(ids).copied == {}


def test_an_output_of_several_coins_is_a_stock_phrase():
    rows = [Row("", {"note": "I cannot say that."}, f"q{i}", "I cannot say that.") for i in "abc"]
    texts = [row._replace(first=row.first * 2, fields={"note": row.first * 2}) for row in rows]
    assert copies.of_outputs(texts, ["note"], ["a", "b", "c"]) == {}
    assert copies.of_outputs(rows[:1] + texts[1:], ["note"], ["a", "b", "b"]) == {}
    texts[0] = texts[0]._replace(first="Something else that is long.")
    assert copies.of_outputs(texts, ["note"], ["a", "b", "b"]) == {"note": [0]}


def test_of_a_split_that_exists_it_is_told(rows, tmp_path):
    """Only of rows that are published, and of outputs that are withheld."""
    given = related(rows)
    given[9]["related"] = given[0]["answer"]
    parts = [write_jsonl(tmp_path / f"{i}.jsonl", part) for i, part in enumerate(
        (given[:6], given[6:]))]  # fmt: skip
    (said,) = summary.warnings(draft(parts[0], withheld=parts[1]))
    assert said.endswith("a withheld one: 'related' in 1 of 12 rows (the first: 0.jsonl, row 2)")
