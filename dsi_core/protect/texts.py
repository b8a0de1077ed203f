"""Texts as they are compared: what a reader takes for the same text is the same."""

import html
import unicodedata

from dsi_core.data.common_words import in_order, seen

LONG = 20  # characters, of the words and blanks between them, that mean something by themselves


def read(text: str) -> str:
    """Give a text as it is read, in Unicode's plain forms (NFKC) and without invisible characters.

    HTML entities are what they stand for, and underscores are blanks.
    """
    text = html.unescape(text)
    if not (text.isascii() and text.isprintable()):  # else it is that already
        text = seen(unicodedata.normalize("NFKC", text))
    return text.replace("_", " ")


def plain(text: str) -> str:
    """Give a text as it is read, with one blank for every run of white space."""
    return " ".join(read(text).split())


def words(text: str) -> list[str]:
    """Give the words of a text in their order, as it is read, without case and punctuation."""
    return in_order(read(text))


def is_long(words: list[str]) -> bool:
    """Tell whether a text of these words means something by itself; No and 42 crowns do not."""
    return sum(map(len, words)) + len(words) > LONG


def spaced(words: list[str]) -> str:
    """Give words as a text of which only whole words are parts."""
    return f" {' '.join(words)} "
