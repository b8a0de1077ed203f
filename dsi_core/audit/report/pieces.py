"""What the parts of a report are made of: tables, pictures, numbers and times in words."""

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

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


@dataclass(frozen=True)
class Table:
    """Cells as text, and titles; without them the first cell of a row is its title."""

    rows: list[list[Any]]
    head: list[str] | None = None


@dataclass(frozen=True)
class Picture:
    """A PNG file in base64 ("" = it could not be drawn), for who cannot see it, and what to see."""

    png: str
    alt: str
    caption: str


def picture(pictures: Mapping[str, bytes], name: str, caption: str) -> Picture:
    """Take a PNG file for a part; one that is missing is said to be so."""
    return Picture(b64encode(pictures.get(name, b"")).decode(), ALT[name], caption)


def when(moment: str | None) -> str:
    """A time as `provenance.now` writes it, without what no reader needs."""
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
