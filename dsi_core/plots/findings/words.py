"""Small words for titles of figures: how many of how many, lists, spans."""

from collections.abc import Iterable

import pandas as pd


def share(part: int, whole: int, what: str) -> str:
    """So many of so many: "all 4 members", "none of 9 members", "3 of 4 members"."""
    if part == 0 and whole == 1:
        return f"no {what.removesuffix('s')} (of one)"
    if part == 0:
        return f"none of {whole} {what}"
    if part < whole:
        return f"{part} of {whole} {what}"
    if whole <= 2:
        return f"both {what}" if whole == 2 else f"the one {what.removesuffix('s')}"
    return f"all {whole} {what}"


def listed(words: Iterable[str]) -> str:
    """Join words as a sentence does: "a, b and c"."""
    *first, last = list(words)
    return f"{', '.join(first)} and {last}" if first else last


def capital(words: str) -> str:
    """Begin with a capital letter."""
    return words[:1].upper() + words[1:]


def span(values: pd.Series, form: str) -> str:
    """Give the ends: "0.12 to 0.34" (".2f"), "3% to 12%" (".0%"); one where they are the same."""
    low, high = format(values.min(), form), format(values.max(), form)
    return low if low == high else f"{low} to {high}"
