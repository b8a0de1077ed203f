"""The coin: what shares one, by hand; that it is fair, and fixed by its salt alone."""

import hashlib
import hmac
from collections import Counter

import pytest
from helpers import table
from scipy.stats import binomtest

from dsi_core.protect import coins

SALT = b"0123456789abcdef0123456789abcdef"


def keys(rows) -> list[str]:
    return [coins.row_key(p, f) for p, f in zip(rows["prompt"], rows["first"], strict=True)]


def sets(found) -> set[frozenset]:
    """The positions of the rows of each group."""
    return {
        frozenset(rows)
        for rows in found.reset_index(drop=True).groupby(found.values).groups.values()
    }


def test_the_key_of_a_row_by_hand():
    assert coins.row_key("Who?", "Maren.") == hashlib.sha256(b"Who?\0Maren.").hexdigest()[:16]


def test_near_duplicates_and_documents_share_a_coin_transitively():
    rows = table(
        "prompt first source",
        ("one two three four five", "a b c d e", "x"),
        ("one two three four", "a b c d", None),  # near row 0: 4 of 5 words on both sides
        ("one two three", "a b c", None),  # near row 1 (3 of 4 is below 0.8): not
        ("What?", "Something else.", "x"),  # of row 0's document
        ("one two three four five", "f g h", "y"),  # its prompt alone repeats row 0's
        ("Where?", "There.", None),
    )
    found = coins.groups(rows, "source")
    assert sets(found) == {frozenset({0, 1, 3}), frozenset({2}), frozenset({4}), frozenset({5})}
    assert found[0] == min(keys(rows)[i] for i in (0, 1, 3))
    assert sets(coins.groups(rows)) == {frozenset({0, 1}), *(frozenset({i}) for i in (2, 3, 4, 5))}


def test_a_chain_of_near_duplicates_is_one_group():
    text = [f"w{i}" for i in range(14)]
    rows = table("prompt first", *((" ".join(text[i : i + 10]), "So.") for i in range(5)))
    # neighbours have 9 of 11 words in common (0.82), rows two apart 8 of 12 (0.67)
    assert sets(coins.groups(rows)) == {frozenset(range(5))}


def test_either_wording_may_repeat():
    rows = table(
        "prompt first second",
        ("Who has it?", "Maren has it.", "It is with Maren."),
        ("who has it", "Nobody knows.", "It is with Maren!"),
        ("Who has it?", "It is with Maren", "Ask somebody else."),  # row 0's other wording
    )
    assert sets(coins.groups(rows)) == {frozenset({0, 1}), frozenset({2})}


@pytest.mark.parametrize(
    "change",
    [
        lambda text: "\u00ad".join(text),
        lambda text: text.replace("i", "i\u200b"),
        lambda text: text.replace("e", "&#101;"),
        lambda text: text.replace("s", "\uff53"),
        lambda text: text.replace(" ", "_"),
    ],
)
def test_near_duplicates_are_told_by_what_is_seen(change):
    texts = [(f"What is the price of item{i}?", f"It is twice {i + 100} crowns.") for i in range(3)]
    texts.append(tuple(map(change, texts[1])))
    assert frozenset({1, 3}) in sets(coins.groups(table("prompt first", *texts)))


def test_groups_are_joined_transitively():
    given = table("key", *"dbcae")["key"]
    assert coins.joined(given, [(0, 1), (4, 0)]).tolist() == ["b", "b", "c", "a", "b"]
    again = coins.joined(given, [(0, 1)])
    assert coins.joined(again, [(1, 2), (2, 3)]).tolist() == ["a", "a", "a", "a", "e"]
    assert coins.joined(given, []).tolist() == list("dbcae")


def test_groups_keep_the_index_and_do_not_depend_on_the_order():
    rows = table("prompt first", *((f"Question {i}?", f"Answer {i}.") for i in range(6)))
    rows.index = list("fedcba")
    found = coins.groups(rows)
    assert found.index.tolist() == list("fedcba")
    assert coins.groups(rows[::-1]).to_dict() == found.to_dict()


def test_the_toss_by_hand():
    digest = hmac.new(SALT, b"0011223344556677", hashlib.sha256).digest()
    assert coins.toss(SALT, "0011223344556677") == (digest[0] % 2 == 1)


def test_the_toss_is_fair_over_keys_and_over_salts():
    over_keys = sum(coins.toss(SALT, str(i)) for i in range(4000))
    over_salts = sum(coins.toss(str(i).encode(), "key") for i in range(4000))
    for heads in (over_keys, over_salts):
        assert binomtest(heads, 4000).pvalue > 0.01


@pytest.mark.parametrize(
    "count, share, drawn", [(10, 0.5, 5), (10, 0.3, 3), (4, 0.01, 1), (4, 0.99, 3)]
)
def test_so_many_groups_are_published(count, share, drawn):
    names = [str(i) for i in range(count)]
    found = coins.published(SALT, names * 2, share)
    assert len(found) == drawn and found <= set(names)
    assert found == coins.published(SALT, names[::-1], share)


def test_every_choice_is_equally_likely():
    """Of 4 groups 2: each of the 6 choices 500 times of 3,000 salts, within 5 SD."""
    drawn = Counter(frozenset(coins.published(str(salt).encode(), "abcd")) for salt in range(3000))
    assert len(drawn) == 6 and all(400 <= count <= 600 for count in drawn.values())
