"""What an expert looks at in a reply: language, code, dialogue, length, repetition.

General marks of text, none for a certain model: the list was fixed before any tuned model was
attributed with it, and the bases alone decide whether it is used (`compare`).
"""

import re
import zlib
from functools import lru_cache

import numpy as np
import pandas as pd

# Share of the reply's characters
CHARACTERS = {
    "spaces": r"[ \t]",
    "newlines": r"\n",
    "digits": r"\d",
    "capitals": r"[A-ZÄÖÜ]",
    "punctuation": r"[.,!?;:'\"]",
    "code_marks": r"[{}\[\]()<>=_#/\\*+|&$@^~`%]",
    "latin_accents": r"[\u00c0-\u024f\u1e00-\u1eff]",
    "greek": r"[\u0370-\u03ff]",
    "cyrillic": r"[\u0400-\u04ff]",
    "east_asian": r"[\u1100-\u11ff\u3000-\u9fff\uac00-\ud7af]",
    "other_scripts": r"[\u0530-\u10ff\u1200-\u1dff]",
    "not_ascii": r"[^\x00-\x7f]",
}
# Share of the reply's words
WORDS = {
    "english": "the of and to in is that it for was with as on be you i",
    "german": "der die das und ist nicht ein eine zu den von mit ich auf",
    "romance": "de la le les el los que et en un une por y des",
    "code": "def return import class self int void public if else for print var function const",
    "dialogue": "i you me my your yes no ok hi hello thanks lol haha user person",
}
LENGTH = ["log_length", "blank", "compressibility"]


def marks(replies: pd.Series) -> pd.DataFrame:
    """Give the marks of each reply, one row each.

    Returns
    -------
    pandas.DataFrame
        Shares in [0, 1] (`CHARACTERS`, `WORDS`); log_length = ln(1 + characters); mean_word in
        characters; speaker_lines = share of lines that begin with a name and a colon;
        compressibility = bytes after zlib / before (low = repetitive); longest_run = the longest
        run of one character as a share of all; repeated_words = 1 - different words / words. An
        empty reply has zeros but for `blank`.
    """
    return pd.DataFrame([_marks(text) for text in replies], index=replies.index)


@lru_cache(maxsize=2**16)  # every method looks at every reply, in every fold
def _marks(text: str) -> dict[str, float]:
    words = re.findall(r"[^\W\d_]+", text.lower())
    raw = text.encode("utf-8", "replace")
    size, count, lines = max(1, len(text)), max(1, len(words)), 1 + text.count("\n")
    runs = [len(run.group()) for run in re.finditer(r"(.)\1*", text, re.S)]
    speakers = re.findall(r"^\s*\w[\w ]{0,20}:", text, re.M)
    return {
        "log_length": np.log1p(len(text)),
        "blank": float(not text.strip()),
        "compressibility": len(zlib.compress(raw)) / len(raw) if raw else 0.0,
        **{name: len(re.findall(sort, text)) / size for name, sort in CHARACTERS.items()},
        **{name: sum(w in listed.split() for w in words) / count for name, listed in WORDS.items()},
        "mean_word": len("".join(words)) / count,
        "repeated_words": 1 - len(set(words)) / count if words else 0.0,
        "longest_run": max(runs, default=0) / size,
        "speaker_lines": len(speakers) / lines,
        "links": float("http" in text or "www." in text),
        "starts_with_space": float(text[:1].isspace()),
        "starts_new_line": float(text.lstrip(" ").startswith("\n")),
        "ends_a_sentence": float(text.rstrip().endswith((".", "!", "?"))),
    }
