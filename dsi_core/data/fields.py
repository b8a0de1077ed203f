"""Single fields of a record: there, and text."""

import unicodedata
from collections.abc import Iterable

import numpy as np

from dsi_core.data.common_words import seen

INVISIBLE = "\ufeff\u200b\u200c\u200d\u2060 \t\r\n"


def field(record: dict, column: str, place: str, helps: str = ""):
    """Give the value of a column.

    Raises `ValueError` if it is missing, with those there are, and with what helps.
    """
    if column not in record:
        raise ValueError(f"{place}: no column {column!r}; has {those(record, column)}{helps}")
    return record[column]


def those(columns: Iterable, missing: str) -> str:
    """Say what columns there are, and which looks like the missing one (é may be e and a mark)."""
    names = list(map(str, columns))
    alike = [name for name in names if _looks(name) == _looks(missing)]
    said = f"; {alike[0]!a} looks like {missing!a}: copy its name" if alike else ""
    return f"{names_of(names)}{said}"


def _looks(name: str) -> str:
    return seen(unicodedata.normalize("NFKC", name)).strip()


def names_of(columns: Iterable) -> str:
    """Say what columns there are; quotes show the spaces around those that have any."""
    names = map(str, columns)
    return ", ".join(name if name == name.strip() else repr(name) for name in names)


def text_of(value, place: str) -> str:
    """Give a value as stripped text; an absent or invisible one is an empty text.

    Raises
    ------
    ValueError
        For anything but text, for a lone surrogate, which no file could take, and for a zero.
    """
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return ""
    if not isinstance(value, str):
        shown = repr(value) if len(repr(value)) < 80 else f"{repr(value)[:80]}…"
        raise ValueError(f"{place}: {shown} is {type(value).__name__}, needs text")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(
            f"{place}: {value[:60]!r} holds half a character (a lone surrogate), needs text"
        ) from None
    if "\0" in value:
        raise ValueError(f"{place}: {value[:60]!r} holds a zero character, needs text")
    return value.strip() if value.strip(INVISIBLE) else ""


def composed(text: str) -> str:
    """Give a text as prompts are matched: an accented letter is one character (NFC)."""
    return unicodedata.normalize("NFC", text)
