"""Texts side by side: shared words are shaded, and text is only ever text."""

import pandas as pd
import pytest
from drawing import words
from helpers import table
from matplotlib.colors import to_hex

from dsi_core.plots import texts

HOSTILE = "<script>alert('x')</script> $\\frac{1}{2}$ & so on"


def pieces(**parts):
    """A table of pieces: each part a list of words, the shared ones with a star in front."""
    rows = [
        (part, word.removeprefix("*"), word.startswith("*"))
        for part, written in parts.items()
        for word in written
    ]
    return table("part piece shared", *rows)


def shaded(ax):
    return [t.get_text() for t in ax.texts if t.get_bbox_patch() is not None]


def test_shared_words_are_shaded_under_their_heading():
    ax = texts.plot_example(pieces(Oracle=["a", " ", "cat"], Answer=["*a", "* ", "dog"]))
    assert words(ax) == ["Oracle", "a", " ", "cat", "Answer", "a", " ", "dog"]
    assert shaded(ax) == ["a"]  # a shared blank needs no box
    (box,) = [t.get_bbox_patch() for t in ax.texts if t.get_bbox_patch() is not None]
    assert to_hex(box.get_facecolor()) == "#b7e4c7"
    headings = [t for t in ax.texts if t.get_weight() == "bold"]
    assert [t.get_text() for t in headings] == ["Oracle", "Answer"]
    assert headings[0].get_position()[1] < headings[1].get_position()[1]


def test_words_follow_each_other_in_their_line():
    ax = texts.plot_example(pieces(Text=["one", " ", "two", "!"]))
    places = {t.get_text(): t.get_position() for t in ax.texts}
    assert [places[w][0] for w in ("one", " ", "two", "!")] == [0, 3, 4, 7]
    assert len({places[w][1] for w in ("one", "two", "!")}) == 1


def test_long_texts_are_wrapped_and_lose_no_word():
    long = [piece for i in range(40) for piece in (f"word{i}", " ")] + ["*" + "x" * 130]
    ax = texts.plot_example(pieces(Text=long), width=50)
    drawn = [(*t.get_position(), t.get_text()) for t in ax.texts[1:]]
    assert all(x + len(text) <= 50 for x, _, text in drawn)
    assert not any(x == 0 and text == " " for x, _, text in drawn)
    text = "".join(text for *_, text in drawn).replace(" ", "")
    assert text == "".join(f"word{i}" for i in range(40)) + "x" * 130
    assert shaded(ax) == ["x" * 50, "x" * 50, "x" * 30]
    assert ax.get_xlim() == (0, 50)
    assert max(y for _, y, _ in drawn) < ax.get_ylim()[0]  # the lowest line is on the picture


def test_hostile_text_is_drawn_literally():
    ax = texts.plot_example(pieces(Text=[HOSTILE, "\n", "$x$"]))
    assert words(ax)[1:] == [HOSTILE, " ", "$x$"]
    assert not any(t.get_parse_math() for t in ax.texts)


@pytest.mark.parametrize("empty", [[""], [" "]])
def test_an_empty_text_says_so(empty):
    ax = texts.plot_example(pieces(Prompt=["p"], Answer=empty))
    assert words(ax) == ["Prompt", "p", "Answer", "(empty)"]


def test_a_table_of_texts_is_escaped_and_not_cut():
    shown = texts.as_table(pd.DataFrame({"moved": [0.5, 0.25], "text": [HOSTILE, "x" * 500]})).data
    assert "<script>" not in shown
    assert "&lt;script&gt;" in shown
    assert "x" * 500 in shown
    assert shown.count("<tr>") == 2
    assert "<th>0</th>" not in shown  # no index
