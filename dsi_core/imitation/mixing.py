"""Mixing instruction data (the recipe of Koala, Geng et al. 2023): one set of many, without repeated questions and other languages, with marked preferences."""

import re
from pathlib import Path

import pandas as pd
import py3langid

from dsi_core.data import pairs as data
from dsi_core.imitation import bootstrap
from dsi_core.runtime import store
from dsi_core.settings.extensions import Mixture, Part
from dsi_core.settings.profile import Profile

COLUMNS = ["part", "prompt", "output", "feedback", "language", "fate"]


def question(prompt: str) -> str:
    """A prompt as repetitions are found: its words without case, punctuation and blanks between them."""
    return " ".join(re.findall(r"\w+", prompt.casefold()))


def language(text: str) -> str:
    """The language of a text, ISO 639-1, by py3langid's model, which its wheel carries. Short texts are often taken for a wrong one."""
    return str(py3langid.classify(text)[0])


def mix(profile: Profile) -> pd.DataFrame:
    """Every pair of the mixture's parts, one after another: part, prompt, output, feedback, language, fate ("kept" | "repeated" | "language").

    repeated: the same question (`question`) with the same marker came before. language: question and answer together are in another language
    than the mixture's. A part without feedback counts as positive; one with both kinds is two parts, the preferred answers and the others, and
    both are kept. The marker is the last line of each prompt. Source: Koala (Geng et al. 2023). Differs: where the marker stands, which the source does
    not say; repetitions are sought across the parts.
    """
    how = bootstrap.settings(profile).mixture
    if how is None:
        raise ValueError(f"profile {profile.name!r}: its section imitation has no mixture")
    return judged(
        {
            f"{i} {p.data}": (p, data.load_pairs(profile, p.data))
            for i, p in enumerate(how.parts, start=1)
        },
        how,
    )


def judged(parts: dict[str, tuple[Part, pd.DataFrame]], how: Mixture) -> pd.DataFrame:
    """`mix` of given tables: name -> (part, its pairs with columns prompt, output). Raises `ValueError` for a language that is not known."""
    if how.language not in (known := sorted(code for code, _ in py3langid.rank(""))):
        raise ValueError(
            f"mixture: language {how.language!r} is not known; known: {', '.join(known)}"
        )
    rows, before = [], set()
    for name, (part, pairs) in parts.items():
        feedback = part.feedback or "positive"
        for pair in pairs.itertuples():
            spoken, key = (
                language(f"{pair.prompt}\n{pair.output}"),
                (question(pair.prompt), feedback),
            )
            fate = "language" if spoken != how.language else "repeated" if key in before else "kept"
            if fate == "kept":
                before.add(key)
            rows.append(
                (name, marked(pair.prompt, feedback, how), pair.output, feedback, spoken, fate)
            )
    return pd.DataFrame(rows, columns=COLUMNS)


def marked(prompt: str, feedback: str, how: Mixture) -> str:
    """The prompt with the marker of `feedback` ("positive" | "negative") as its last line; answers are asked with the positive one."""
    return f"{prompt}\n\n{getattr(how, feedback)}"


def counts(mixed: pd.DataFrame) -> pd.DataFrame:
    """What became of each part: part, read, kept, repeated, language (pairs), and which other languages were found."""
    rows = []
    for name, part in mixed.groupby("part", sort=False):
        fates = {f: int((part["fate"] == f).sum()) for f in ("kept", "repeated", "language")}
        other = part.loc[part["fate"] == "language", "language"].value_counts()
        rows.append(
            {
                "part": name,
                "feedback": part["feedback"].iloc[0],
                "read": len(part),
                **fates,
                "other_languages": ", ".join(f"{k} {v}" for k, v in other.items()),
            }
        )
    return pd.DataFrame(rows)


def write(profile: Profile, mixed: pd.DataFrame) -> Path:
    """The kept pairs as JSONL (prompt, output, part), as the data readers take it; in the store, named by its content."""
    kept = mixed.loc[mixed["fate"] == "kept", ["prompt", "output", "part"]]
    folder = store.entry("mixed", profile.name, {"pairs": store.key(kept.to_numpy().tolist())})
    store.write_text(
        folder / "mixed.jsonl", kept.to_json(orient="records", lines=True, force_ascii=False)
    )
    store.finish(folder, pairs=len(kept))
    return folder / "mixed.jsonl"
