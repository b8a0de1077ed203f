"""Which texts stand in others: by hand, and as a search of each in each finds them."""

import random

from dsi_core.protect.standing import BLOCK, RUN, find

LONG = [f"word{i}" for i in range(RUN)]  # as many words as are looked for within others


def found(sought, within):
    return sorted(find(sought, enumerate(within)))


def test_by_hand():
    short = LONG[:-1]  # of too few words to be looked for within others
    texts = [
        ["so", *LONG, "then"],
        [*LONG[:3], "else", *LONG[3:]],
        short,
        ["so", *short],
        [],
        LONG * 2,
    ]
    assert found([LONG, short, ["no"], LONG], texts) == [(0, 0), (2, 1), (5, 0)]
    assert found([], texts) == found([["no"], []], texts) == []
    assert found([short], [short, [*short, "more"]]) == [(0, 0)]  # none of RUN words


def test_texts_that_begin_alike_are_told_apart():
    sought = [[*LONG, *(f"more{i}" for i in range(n))] for n in (3, 0, 1, 7)]
    assert found(sought, [sought[0]]) == [(0, 0), (0, 1), (0, 2)]
    assert found(sought, [["so", *LONG, "more0", "end"]]) == [(0, 1), (0, 2)]


def holds(text, other):
    if len(other) < RUN:
        return text == other
    return any(text[i : i + len(other)] == other for i in range(len(text)))


def test_nothing_is_lost_in_blocks():
    rng = random.Random(0)
    letters = ["alpha", "beta"]  # of so few words that many texts stand in others
    sought = [rng.choices(letters, k=rng.randint(4, 12)) for _ in range(40)]
    within = [rng.choices(letters, k=rng.randint(0, 40)) for _ in range(BLOCK + 50)]
    first = {tuple(text): i for i, text in reversed(list(enumerate(sought)))}
    expected = [
        (i, place)
        for i, text in enumerate(within)
        for other, place in first.items()
        if len(" ".join(other)) >= 20 and holds(text, list(other))
    ]
    assert found(sought, within) == sorted(expected) and len(expected) > 100
