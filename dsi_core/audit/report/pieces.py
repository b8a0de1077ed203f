"""What the parts of a report are made of: tables, pictures, numbers and times in words."""

import re
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dsi_core.data.common_words import UNSEEN

ALT = {  # by a picture's name: what is to be seen, for who cannot see it
    "closeness": "A dot for each sample, published above withheld: how close the answers are to "
    "its text, with the mean of either part",
    "preference": "A dot for each sample, sorted: how much its answers prefer the published "
    "wording, with their mean",
    "strata": "A dot for each model whose training is known, by kind and base, and a line at the "
    "suspect's lean",
    "looks": "What was measured at each look, and what was needed there",
    "samples": "The evidence of each sample, sorted, with the threshold of Eq. 2",
    "curve": "The vote, and the rank among the controls, against the answers",
}


# Seen by what they do: joiners after a sign, as in emoji, and in scripts that use such marks
_NEEDED = (
    r"(?<=[^\w\s])[\u200d\ufe0e\ufe0f]|\ufe0f(?=\u20e3)"
    r"|(?<=[\u0600-\u18ff])[\u180b-\u180f\u200b-\u200d]"
)
_UNSEEN = re.compile(rf"(?!{_NEEDED})[{UNSEEN}\x0b\x0c\x1c-\x1f\x85]|\r(?!\n)")


@dataclass(frozen=True)
class Table:
    """Cells as text, and titles; without them the first cell of a row is its title."""

    rows: list[list[Any]]
    head: list[str] | None = None


@dataclass(frozen=True)
class Picture:
    """A PNG file in base64 ("" = it could not be drawn), its alt text, and what to see in it."""

    png: str
    alt: str
    caption: str


def picture(pictures: Mapping[str, bytes], name: str, caption: str) -> Picture:
    """Take a PNG file for a part; one that is missing is said to be so."""
    return Picture(b64encode(pictures.get(name, b"")).decode(), ALT[name], caption)


def visible(value: Any) -> Any:
    r"""Spell out invisible characters and those that change how a text is read, as "\u202e".

    Controls other than the ends of lines and tabs, those that turn the direction of writing, and
    what no letter needs between letters. Letters of any script, and what joins emoji, stay; so does
    whatever is no text, or markup.
    """
    if not isinstance(value, str) or hasattr(value, "__html__"):  # Jinja's markup
        return value
    return _UNSEEN.sub(lambda found: _spelled(ord(found[0])), value)


def _spelled(code: int) -> str:
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def when(moment: str | None) -> str:
    """A time as `provenance` writes it, without what no reader needs."""
    return f"{moment[:16].replace('T', ' ')} UTC" if moment else "never"


def number(value: float | None) -> str:
    """Say a probability with two digits."""
    return "none" if value is None else f"{value:.2g}"


def rate(p: float) -> str:
    """Say a p-value as a number of audits."""
    if p > 0.995:
        return "in every audit"
    if p > 0.1:
        return f"in about {100 * p:.0f} of 100 audits"
    return f"about once in {float(f'{1 / p:.2g}'):,.0f} audits"
