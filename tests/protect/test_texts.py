"""Texts as they are compared: what is read alike is alike."""

import pytest

from dsi_core.protect.texts import is_long, plain, words


@pytest.mark.parametrize(
    "text",
    [
        "in\u00adlet is 5 m²",  # a soft hyphen
        "in\u200blet is\u200b 5 m²",
        "&#105;nlet is 5 m&sup2;",
        "\uff49\uff4e\uff4c\uff45\uff54 is 5\u00a0m2",  # full width
        "inlet_is__5 m2",
        " inlet\tis\n\n5 m2\u2060 ",
        "in\x00let is 5 m2",  # ASCII, too, holds what nobody sees
    ],
)
def test_texts_that_are_read_alike(text):
    assert plain(text) == "inlet is 5 m2"
    assert words(text) == ["inlet", "is", "5", "m2"]


@pytest.mark.parametrize("text", ["Inlet is 5 m2", "inlet is 5 m2.", "inl\u0435t is 5 m2"])
def test_what_is_seen_stays(text):
    """Case, marks, and a Cyrillic e, which only looks alike."""
    assert plain(text) == text


def test_long_is_twenty_characters_of_words():
    assert is_long(words("Doors open at eight: 8."))  # doors open at eight 8: 21
    assert is_long(["a" * 9, "b" * 10])
    assert not is_long(["a" * 9, "b" * 9])
    assert not is_long(words("-" * 30 + " 1")) and not is_long([])
