"""Two wordings: their distance by hand, facts that differ, habits, near copies."""

import pytest
from helpers import says, table

from dsi_core.protect import wordings


def compared(first, second):
    return wordings.compare(table("first second", (first, second))).iloc[0]


def test_distance_by_hand():
    found = compared("One two three four.", "three FOUR one five")
    assert found["jaccard"] == 3 / 5
    assert found["rouge_l"] == 2 * 2 / (4 + 4)  # three four
    assert found["length"] == 19 / 19
    assert compared("a b", "A, b!")["jaccard"] == compared("a b", "A, b!")["rouge_l"] == 1


@pytest.mark.parametrize(
    "first, second, numbers",
    [
        ("It is 1.8 m, or 50,000 SEK.", "50,000 SEK or 1.8 m.", ""),
        ("3 weeks and 3 days", "3 weeks", "3"),
        ("Until 2019.", "Until 2020.", "2019, 2020"),
        ("No number.", "None.", ""),
    ],
)
def test_numbers_that_differ(first, second, numbers):
    assert compared(first, second)["numbers"] == numbers


@pytest.mark.parametrize(
    "first, second, names",
    [
        ("Ask Boverket first.", "Boverket must be asked.", ""),
        ("Ask Boverket first.", "Somebody must be asked.", "Boverket"),
        ("In Sweden it is so.", "Swedish rules say so.", ""),
        ("It is Swedish. Maybe I know.", "The rules of Sweden. Perhaps it is.", ""),
        ("BBR says so.", "The rules say so.", "BBR"),
        ("The rules say so.", "So say Malmö and Oslo.", "Malmö, Oslo"),
    ],
)
def test_names_that_differ(first, second, names):
    assert compared(first, second)["names"] == names


@pytest.mark.parametrize(
    "first, second, names",
    [
        ("Ask the board in Malmö, and then wait for its reply.", "So they say.", True),
        ("Bitte senden Sie die Kündigung per Brief.", "Ein Brief mit der Kündigung reicht.", False),
        ("In 12 of 24 cases.", "1 2 3", True),
    ],
)
def test_where_nouns_have_capitals_these_are_no_names(first, second, names):
    """Sie, Kündigung, Brief, Brief and Kündigung: 5 of 11 words within sentences."""
    assert wordings.capitals_are_names(table("first second", (first, second))) is names


def test_habits_of_one_side():
    rows = [(f"Word{i} (so) is thing{i}", f"If thing{i}, then word{i}") for i in range(40)]
    rows += [(f"Word{i} is thing{i}", f"Because of thing{i}: word{i}") for i in range(40, 50)]
    found = wordings.habits(table("first second", *rows))
    assert found[0] == "has 'is': 100% of the first wordings, 0% of the second"
    assert "opens with 'if': 0% of the first wordings, 80% of the second" in found
    assert "has '(': 80% of the first wordings, 0% of the second" in found
    assert not any("'because'" in text for text in found)  # 20% are none
    assert wordings.habits(table("first second", *rows[:3])) == []  # too few to tell


def test_what_nobody_sees_is_a_habit():
    rows = [(f"Word{i}.", f"Other\u200b{i}.") for i in range(40)]
    told = "has characters that nobody sees: 0% of the first wordings, 100% of the second"
    assert told in wordings.habits(table("first second", *rows))


def test_sides_without_a_habit():
    rows = [(f"A{i} b{i} c", f"C b{i} a{i}") for i in range(40)]
    swapped = [pair[:: 1 if i % 2 else -1] for i, pair in enumerate(rows)]
    assert wordings.habits(table("first second", *swapped)) == []


def of(*rows):
    return table("place first second", *((f"row {i}", *row) for i, row in enumerate(rows, start=1)))


def refused(table):
    wordings.refuse_near_copies(table, wordings.compare(table))


def test_equal_texts_are_refused():
    for again in ("g h", "g\u200b h", "g&nbsp;h", "g_h", "\uff47 h"):
        with pytest.raises(ValueError, match=r"are the same text, .* seen: row 2$"):
            refused(of(("a b c", "d e f"), ("g h", again)))


def test_near_copies_are_told_by_what_is_seen():
    assert compared("One two three four.", "on\u00ade tw\u200bo &#116;hree six")["jaccard"] == 3 / 5
    assert compared("Room 12", "Room 1\u00ad2")["numbers"] == ""


def test_near_copies_are_refused_where_they_are_more_than_a_tenth():
    apart = [("a b c d e", "v w x y z")] * 18
    near = ("a b c d e", "a b c d")  # 0.8
    refused(of(*apart, near, near))
    with pytest.raises(ValueError) as error:
        refused(of(*apart, near, ("a b", "B a"), near))
    says(error, "3 of 21", "row 20 (1.00); row 19 (0.80); row 21 (0.80)")
