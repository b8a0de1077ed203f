"""Mixing instruction data (the recipe of Koala, Geng et al. 2023): one set of many.

Without repeated questions and other languages, with marked preferences.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import pandas as pd
import py3langid

from dsi_core.data import stored
from dsi_core.data.pairs import dataset, load_pairs
from dsi_core.imitation import bootstrap
from dsi_core.settings.extensions import Feedback, Mixture
from dsi_core.settings.profile import Profile

COLUMNS = ["part", "prompt", "output", "feedback", "language", "fate"]
# Of sentences; parentheses are none, as they change what a formula says
MARKS = ".,;:!?…¡¿。，、；：！？؟،؛۔।–—'\"‘’“”„‚«»‹›「」『』"


class Fate(StrEnum):
    """What became of a pair; values as in tables."""

    KEPT = "kept"
    REPEATED = "repeated"  # the same question with the same marker came before
    LANGUAGE = "language"  # question and answer together are in another than the mixture's


@dataclass(frozen=True)
class Ingredient:
    """One part of a mixture.

    Parameters
    ----------
    name
        Unique in the mixture.
    feedback
        On its answers.
    pairs
        Columns prompt, output.
    """

    name: str
    feedback: Feedback
    pairs: pd.DataFrame


def question(prompt: str) -> str:
    """Give a prompt as repetitions are found: without case, marks of sentences, other blanks.

    A hyphen alone is such a mark, too. What is made of marks only stays as it is.
    """
    words = re.findall(rf"[^\s{re.escape(MARKS)}]+", prompt.casefold())
    return " ".join(word for word in words if word != "-") or prompt.casefold().strip()


def language(text: str) -> str:
    """Guess the language of a text, ISO 639-1, by py3langid's model, which its wheel carries.

    Short texts are often taken for a wrong one.
    """
    return str(py3langid.classify(text)[0])


def mix(profile: Profile) -> pd.DataFrame:
    """Put the parts of the profile's mixture together, as `judged` does."""
    how = bootstrap.settings(profile).mixture
    if how is None:
        raise ValueError(f"profile {profile.name!r}: its section imitation has no mixture")
    parts = [
        Ingredient(
            f"{number} {part.data}",
            part.feedback or Feedback.POSITIVE,
            load_pairs(dataset(profile, part.data)),
        )
        for number, part in enumerate(how.parts, start=1)
    ]
    return judged(parts, how)


def judged(parts: list[Ingredient], how: Mixture) -> pd.DataFrame:
    """Judge every pair of the parts, one after another.

    A part without feedback counts as positive; one with both kinds is two parts, the preferred
    answers and the others, and both are kept.

    Returns
    -------
    pandas.DataFrame
        Columns part, prompt (the marker is its last line), output, feedback, language and fate (a
        `Fate`).

    Raises
    ------
    ValueError
        For a language that is not known; lists those that are.

    References
    ----------
    Koala (Geng et al. 2023). Differs: where the marker stands, which the source does not say;
    repetitions are sought across the parts.
    """
    known = sorted(code for code, _ in py3langid.rank(""))
    if how.language not in known:
        raise ValueError(
            f"mixture: language {how.language!r} is not known; known: {', '.join(known)}"
        )
    rows = []
    before: set[tuple[str, Feedback]] = set()
    for part in parts:
        for prompt, output in zip(part.pairs["prompt"], part.pairs["output"], strict=True):
            spoken = language(f"{prompt}\n{output}")
            key = question(prompt), part.feedback
            if spoken != how.language:
                fate = Fate.LANGUAGE
            elif key in before:
                fate = Fate.REPEATED
            else:
                fate = Fate.KEPT
                before.add(key)
            shown = marked(prompt, part.feedback, how)
            rows.append((part.name, shown, output, str(part.feedback), spoken, str(fate)))
    return pd.DataFrame(rows, columns=COLUMNS)


def marked(prompt: str, feedback: Feedback, how: Mixture) -> str:
    """Give the prompt with the marker of the feedback as its last line.

    Answers are asked for with the positive one.
    """
    marker = how.positive if feedback is Feedback.POSITIVE else how.negative
    return f"{prompt}\n\n{marker}"


def counts(mixed: pd.DataFrame) -> pd.DataFrame:
    """Count what became of each part.

    Parameters
    ----------
    mixed
        As `judged` returns.

    Returns
    -------
    pandas.DataFrame
        Columns part, feedback, read, kept, repeated, language (all pairs), and other_languages:
        which others were found, each with its number.
    """
    rows = []
    for name, part in mixed.groupby("part", sort=False):
        fates = {str(fate): int((part["fate"] == fate).sum()) for fate in Fate}
        others = part.loc[part["fate"] == Fate.LANGUAGE, "language"].value_counts()
        row = {
            "part": name,
            "feedback": part["feedback"].iloc[0],
            "read": len(part),
            **fates,
            "other_languages": ", ".join(f"{code} {count}" for code, count in others.items()),
        }
        rows.append(row)
    return pd.DataFrame(rows)


def write(profile: Profile, mixed: pd.DataFrame) -> Path:
    """Write the kept pairs as JSONL (prompt, output, part), as the data readers take it.

    In the store, named by its content.
    """
    kept = mixed.loc[mixed["fate"] == Fate.KEPT, ["prompt", "output", "part"]]
    return stored.write("mixed", profile.name, kept)
