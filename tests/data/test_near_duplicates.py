"""Step 1, near-duplicates.

Jaccard values by hand, both sides against one and the same row, and none lost.
"""

import random
from fractions import Fraction

import pandas as pd
import pytest
from helpers import table

from dsi_core.data import near_duplicates, sketches
from dsi_core.data.near_duplicates import jaccard, words


def pairs(*rows) -> pd.DataFrame:
    return table("prompt output", *rows)


def of(mine: list, theirs: list, threshold: float = 0.8) -> list:
    return near_duplicates.find(pairs(*mine), pairs(*theirs), threshold).tolist()


def first(count: int) -> str:
    """`count` words; of first(m) and first(n), m <= n, m are common: Jaccard similarity m / n."""
    return " ".join(f"w{i}" for i in range(count))


def test_words_and_jaccard_by_hand():
    assert words("Don't stop, STOP!\n\n3 stops?") == {"don", "t", "stop", "3", "stops"}
    assert words("Où est 鍵 ?") == {"où", "est", "鍵"}
    assert words("") == words(" ?!\n🔑") == frozenset()
    assert words("Wie 今天天气 v2?") == {"wie", "今", "天", "气", "v2"}  # no spaces between words
    a, b = frozenset("abc"), frozenset("bcd")
    assert (jaccard(a, b), jaccard(a, a), jaccard(a, frozenset("xyz"))) == (0.5, 1.0, 0.0)
    assert (
        jaccard(frozenset(), frozenset()),
        jaccard(frozenset(), a),
        jaccard(a, frozenset()),
    ) == (1.0, 0.0, 0.0)


@pytest.mark.parametrize(
    "few, many, threshold, near",
    [
        (4, 5, 0.8, True),
        (16, 20, 0.8, True),
        (79, 99, 0.8, False),
        (80, 99, 0.8, True),  # 0.798, 0.808
        (7, 10, 0.7, True),
        (11, 20, 0.55, True),
        (2, 3, 0.67, False),
        (9, 10, 1.0, False),
        (10, 10, 1.0, True),
    ],
)
def test_exactly_the_threshold_counts(few, many, threshold, near):
    """On either side, whichever text is the longer one; the other side repeats its text."""
    for a, b in ((first(few), first(many)), (first(many), first(few))):
        assert of([(a, "So."), ("Why?", a), (a, a)], [(b, "So."), ("Why?", b)], threshold) == [
            near,
            near,
            False,
        ]


def test_input_and_output_must_be_near_to_the_same_row():
    split = [("Who has the key?", "Nobody."), ("Where is the cat?", "Maren has it.")]
    assert of([("Who has the key?", "Maren has it.")], split) == [False]
    assert of(
        [("Who has the key?", "Maren has it.")], [*split, ("who has THE key", "Maren has it")]
    ) == [True]


def test_only_what_is_near_some_other_row():
    mine = [
        ("What is a tide?", "The sea rises and falls."),
        ("What is a tide?", "A wave."),
        ("What is a tie?", "The sea rises and falls."),
    ]
    assert of(
        mine, [("Name a fish.", "Tope"), ("What is a tide?", "The sea falls and rises!")]
    ) == [True, False, False]


def test_texts_without_words():
    """Two texts without a word are the same set; one is not near any text with words."""
    mine = [("", ""), ("?!", "A."), ("?!", "🔑"), ("Why?", ""), ("Why?", "A.")]
    assert of(mine, [("🔑", "")]) == [True, False, True, False, False]
    assert of(mine, [("", "a")]) == [False, True, False, False, False]
    assert of(mine, [("why", "?")]) == [False, False, False, True, False]


def test_one_answer_for_each_row_under_its_own_index():
    found = near_duplicates.find(
        pairs(("A?", "B"), ("C?", "D")).set_index(pd.Index([7, 3])), pairs(("C?", "D")), 0.8
    )
    assert found.dtype == bool and found.to_dict() == {7: False, 3: True}
    nothing = near_duplicates.find(pairs(), pairs(("A?", "B")), 0.8)
    assert nothing.dtype == bool and nothing.empty
    assert of([("A?", "B")], []) == [False]


@pytest.mark.parametrize("threshold", ["0.5", "0.6", "0.7", "0.8", "1"])
def test_the_same_as_comparing_every_pair(threshold):
    """200 random pairs of short texts with 200 others, in exact fractions."""
    rng = random.Random(threshold)

    def some():
        return [
            tuple(
                " ".join(
                    rng.choices(
                        ["one", "two", "three", "four", "five", "six", "seven"], k=rng.randint(0, 7)
                    )
                )
                for _ in "pq"
            )
            for _ in range(200)
        ]

    def near(a, b):
        a, b = set(a.split()), set(b.split())
        return a == b or Fraction(len(a & b), len(a | b)) >= Fraction(threshold)

    mine, theirs = some(), some()
    expected = [any(near(p, q) and near(o, r) for q, r in theirs) for p, o in mine]
    assert 0 < sum(expected) < 200
    assert of(mine, theirs, float(threshold)) == expected


@pytest.mark.parametrize("common, size", [(3, 5), (7, 10), (4, 5), (19, 20)])
def test_none_is_lost(common, size):
    """1,000 pairs, each exactly at the threshold of one row and far from all others."""
    own = [[f"r{row}w{i}" for i in range(size)] for row in range(1000)]
    mine, theirs = [(" ".join(w), "So.") for w in own], [(" ".join(w[:common]), "So.") for w in own]
    assert sum(of(mine, theirs, common / size)) == 1000


def test_few_are_searched_once_and_nothing_is_written(empty_store, monkeypatch):
    mine = pairs(("a b c d", "Few."), ("Why?", "w x y z")).assign(sample_id=["one", "two"])
    theirs = pairs(("a b c d", "Few.")).assign(sample_id=["three"])
    assert near_duplicates.stored(mine, theirs, 0.8, "mine").tolist() == [True, False]
    monkeypatch.setattr(near_duplicates, "find", None)
    assert near_duplicates.stored(mine, theirs, 0.8, "mine").tolist() == [True, False]
    assert not list(empty_store.glob("near_duplicates/*"))


def test_many_are_searched_once_and_the_entry_keeps_no_place(empty_store, monkeypatch):
    monkeypatch.setattr(near_duplicates, "QUICK", 0)
    mine = pairs(("a b c d", "So."), ("Why?", "w x y z")).assign(sample_id=["one", "two"])
    theirs = pairs(("a b c d", "So.")).assign(sample_id=["three"])
    mine.attrs["where"] = "/home/somebody/pairs.jsonl"
    assert near_duplicates.stored(mine, theirs, 0.8, "mine").tolist() == [True, False]
    monkeypatch.setattr(near_duplicates, "find", None)
    assert near_duplicates.stored(mine, theirs, 0.8, "mine").tolist() == [True, False]
    (path,) = empty_store.glob("near_duplicates/*/near.parquet")
    assert b"somebody" not in path.read_bytes()


@pytest.mark.parametrize("threshold", ["0.8", "1"])
def test_within_a_table_the_same_as_comparing_every_pair(threshold):
    rng = random.Random(threshold)
    words = ["one", "two", "three", "four", "five"]
    rows = [
        tuple(" ".join(rng.choices(words, k=rng.randint(0, 6))) for _ in "po") for _ in range(150)
    ]

    def near(a, b):
        a, b = set(a.split()), set(b.split())
        return a == b or Fraction(len(a & b), len(a | b)) >= Fraction(threshold)

    expected = [
        (i, j)
        for i in range(150)
        for j in range(i)
        if near(rows[i][0], rows[j][0]) and near(rows[i][1], rows[j][1])
    ]
    found = near_duplicates.within(pairs(*rows), float(threshold))
    assert expected and set(found) <= set(expected)
    assert chains(found, 150) == chains(expected, 150)
    assert len(found) == 150 - len(set(chains(found, 150)))  # none joins what is joined


def chains(near: list, rows: int) -> list[int]:
    """The lowest row of the chain of each."""
    chain = list(range(rows))
    for _ in range(rows):
        for i, j in near:
            chain[i] = chain[j] = min(chain[i], chain[j])
    return chain


def test_few_rows_at_the_threshold_are_no_candidates():
    chances = {at: sketches.missed(at) for at in (0.5, 0.65, 0.8, 1.0)}
    assert {at: round(1e6 * chance) for at, chance in chances.items()} == {
        0.5: 2,
        0.65: 16,
        0.8: 2,
        1.0: 0,
    }
