"""Draws: the coins of many owners, by their numbers."""

import json

import pytest

from dsi_core.calibration import draws


@pytest.fixture
def pool(tmp_path):
    rows = [
        {
            "q": f"Question {i}?",
            "first": f"One answer, {i}.",
            "second": f"Other, {i}.",
            "part": i % 3,
        }
        for i in range(30)
    ]
    path = tmp_path / "wordings.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return draws.pool(str(path))


def test_a_draw_is_of_two_neighbouring_parts(pool):
    parts = pool.set_index("row")["part"]
    for number, expected in ((0, {0, 1}), (1, {1, 2}), (2, {2, 0}), (3, {0, 1})):
        rows = draws.draw(pool, number).rows
        assert set(rows["row"].map(parts)) == expected and len(rows) == 20


def test_the_coins_choose_a_wording_of_each_row_and_half_of_the_rows(pool):
    drawn = draws.draw(pool, 0)
    rows = drawn.rows
    first = rows[rows["first_published"]]
    assert (first["text"] == first["first"]).all() and (first["other"] == first["second"]).all()
    second = rows[~rows["first_published"]]
    assert (second["text"] == second["second"]).all() and len(first) and len(second)
    assert len(drawn.published) == 10


def test_draws_of_the_same_rows_have_other_coins_and_the_same_number_the_same(pool):
    one, again, other = (draws.draw(pool, number).rows for number in (0, 0, 3))
    assert one.equals(again)
    assert one["row"].tolist() == other["row"].tolist()
    assert one["first_published"].tolist() != other["first_published"].tolist()
    assert one["published"].tolist() != other["published"].tolist()


def test_rows_that_other_draws_have_are_taken_away(pool):
    parts = pool.set_index("row")["part"]
    zero, one, three = (draws.draw(pool, number) for number in (0, 1, 3))
    new = draws.apart(one, [zero])
    assert new.number == 1 and set(new.rows["row"].map(parts)) == {2} and len(new.rows) == 10
    kept = one.rows[one.rows["row"].isin(new.rows["row"])].reset_index(drop=True)
    assert new.rows.equals(kept)
    assert draws.apart(three, [zero]).rows.empty and draws.apart(one, []).rows.equals(one.rows)


def test_a_line_without_a_wording_is_refused(tmp_path):
    path = tmp_path / "wordings.jsonl"
    path.write_text('{"q": "a", "first": "b", "part": 0}\n', encoding="utf-8")
    with pytest.raises(ValueError, match=r"row 1: lacks second"):
        draws.pool(str(path))
