"""The two wordings of a row: how far apart they are, and whether only the words differ.

Power comes from the distance. Facts that differ cost it: a model that knows the fact prefers the
wording that has it, whatever the coin said.
"""

import re
from collections import Counter
from itertools import pairwise

import pandas as pd

from dsi_core.data.common_words import in_order, rouge_l, seen
from dsi_core.data.near_duplicates import jaccard, words
from dsi_core.protect.rows import listed
from dsi_core.protect.texts import plain

NEAR_COPY = 0.8  # word Jaccard from which a wording is a near copy of the other
MOST_NEAR = 0.1  # share of the rows that may be near copies
SHORTER, LONGER = 0.8, 1.25  # the second's length as a share of the first's
HABIT = 0.3  # difference of two shares of rows from which something is one side's habit
STANDARD_ERRORS = 3  # and by how many it must differ from what rows by chance would show

MOST_CAPITALS = 0.2  # of the words within sentences: with more a capital makes no name
STEM = 4  # letters by which names are compared

NUMBER = re.compile(r"\d[\d,.]*\d|\d")
SENTENCE = re.compile(r"[.!?:]\s|\n")
MARKS = ';:!?()-\u2013\u2014\u2026"\u201c*'


def compare(wordings: pd.DataFrame) -> pd.DataFrame:
    """Measure each row's two wordings against each other, as they are read (`texts.plain`).

    Parameters
    ----------
    wordings
        Columns first and second.

    Returns
    -------
    pandas.DataFrame
        With the index of `wordings`; jaccard (of the word sets) and rouge_l (F of the longest
        common subsequence of words), both in [0, 1], 1 = the same; length (characters of the
        second as a multiple of the first's); numbers and names (text: those in one of them only,
        empty = none; a name is a word with a capital within a sentence).
    """
    rows = []
    for both in zip(wordings["first"], wordings["second"], strict=True):
        first, second = map(plain, both)
        rows.append(
            {
                "jaccard": jaccard(words(first), words(second)),
                "rouge_l": rouge_l(in_order(first), in_order(second)),
                "length": len(second) / max(1, len(first)),
                "numbers": _either(Counter(NUMBER.findall(first)), Counter(NUMBER.findall(second))),
                "names": _differing_names(first, second),
            }
        )
    columns = ["jaccard", "rouge_l", "length", "numbers", "names"]
    return pd.DataFrame(rows, columns=columns, index=wordings.index)


def refuse_near_copies(wordings: pd.DataFrame, compared: pd.DataFrame) -> None:
    """Refuse wordings that a test could not tell apart.

    Parameters
    ----------
    wordings
        Columns place, first and second.
    compared
        As `compare` gives them.

    Raises
    ------
    ValueError
        For texts that are read alike, and where more than `MOST_NEAR` of the rows are near copies;
        with the rows.
    """
    equal = wordings[wordings["first"].map(plain) == wordings["second"].map(plain)]
    if len(equal):
        raise ValueError(
            "the two wordings are the same text, or differ by nothing that is seen: "
            f"{listed(equal['place'])}"
        )
    near = compared["jaccard"]
    near = near[near >= NEAR_COPY].sort_values(ascending=False)
    if len(near) > MOST_NEAR * len(wordings):
        places = wordings.loc[near.index, "place"]
        lines = [f"{p} ({value:.2f})" for p, value in zip(places, near, strict=True)]
        raise ValueError(
            f"{len(near)} of {len(wordings)} second wordings are near copies of the first (they "
            f"share {NEAR_COPY:.0%} of their words or more); at most {MOST_NEAR:.0%} may be, as "
            f"nobody can tell which of the two a model learnt: {listed(lines)}"
        )


def capitals_are_names(wordings: pd.DataFrame) -> bool:
    """Tell whether words with a capital are names here: in German every noun has one.

    wordings: columns first and second.
    """
    texts = [*wordings["first"], *wordings["second"]]
    within = [
        word
        for text in texts
        for sentence in SENTENCE.split(text)
        for word in re.findall(r"\w+", sentence)[1:]
        if word[0].isalpha()
    ]
    return sum(word[0].isupper() for word in within) <= MOST_CAPITALS * len(within)


def habits(wordings: pd.DataFrame) -> list[str]:
    """Find words and marks that stand in many more of the first wordings than the second ones.

    Or of the second than the first. The coin is not at fault, but somebody who knows the habit
    knows which wording is which, and models that share it prefer one side.

    Returns
    -------
    list of str
        In words, the most different one first.
    """
    first = Counter(f for text in wordings["first"] for f in _features(text))
    second = Counter(f for text in wordings["second"] for f in _features(text))
    count = len(wordings)
    differ = {f: second[f] - first[f] for f in {*first, *second}}
    found = [
        feature
        for feature, more in differ.items()
        if abs(more) >= HABIT * count
        and abs(more) > STANDARD_ERRORS * (first[feature] + second[feature]) ** 0.5
    ]
    found.sort(key=lambda feature: (-abs(differ[feature]), feature))
    return [
        f"{feature}: {first[feature] / count:.0%} of the first wordings, "
        f"{second[feature] / count:.0%} of the second"
        for feature in found
    ]


def _either(one: Counter, other: Counter) -> str:
    """What is in one of two collections only, or more often there."""
    return ", ".join(sorted(((one - other) + (other - one)).keys()))


def _differing_names(first: str, second: str) -> str:
    """Names in one of the texts that begin as no word of the other does (Sweden, Swedish)."""
    sides = [({_stem(w) for w in in_order(text)}, _names(text)) for text in (first, second)]
    (first_stems, first_names), (second_stems, second_names) = sides
    differ = {name for name in first_names if _stem(name) not in second_stems}
    differ |= {name for name in second_names if _stem(name) not in first_stems}
    return ", ".join(sorted(differ))


def _stem(word: str) -> str:
    return word.lower()[:STEM]


def _names(text: str) -> set[str]:
    """Words with a capital that does not come from the start of a sentence, and are not "I"."""
    found = set()
    for sentence in SENTENCE.split(text):
        tokens = re.findall(r"\w+", sentence)
        found |= {word for _, word in pairwise(tokens) if word[0].isupper() and len(word) > 1}
        found |= {word for word in tokens[:1] if word[1:] != word[1:].lower()}
    return found


def _features(text: str) -> set[str]:
    tokens = in_order(text)
    opening = {f"opens with {tokens[0]!r}"} if tokens else set()
    marks = {f"has {mark!r}" for mark in MARKS if mark in text}
    unseen = {"has characters that nobody sees"} if seen(text) != text else set()
    return opening | marks | unseen | {f"has {word!r}" for word in set(tokens)}
