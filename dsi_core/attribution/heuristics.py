"""Attribution, what an expert looks at in a reply: language, code, dialogue, length, repetition.

General marks of text, none for a certain model: the list was fixed before any tuned model was attributed with it, and the bases alone
decide whether it is used (`attribution.compare`).
"""

import re
import zlib

import numpy as np
import pandas as pd

SHARES = {  # share of the reply's characters
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
WORDS = {  # share of the reply's words
    "english": "the of and to in is that it for was with as on be you i",
    "german": "der die das und ist nicht ein eine zu den von mit ich auf",
    "romance": "de la le les el los que et en un une por y des",
    "code": "def return import class self int void public if else for print var function const",
    "dialogue": "i you me my your yes no ok hi hello thanks lol haha user person",
}
LENGTH = ["log_length", "blank", "compressibility"]


def features(replies: pd.Series) -> pd.DataFrame:
    """The marks of each reply, one row each: shares in [0, 1], log_length = ln(1 + characters), mean_word in characters,
    speaker_lines = lines that begin with a name and a colon, compressibility = bytes after zlib / before (low = repetitive), longest_run =
    the longest run of one character as a share of all, repeated_words = 1 - different words / words. A blank reply has zeros elsewhere.
    """
    return pd.DataFrame([_marks(text) for text in replies], index=replies.index)


def _marks(text: str) -> dict[str, float]:
    size, words = max(1, len(text)), re.findall(r"[^\W\d_]+", text.lower())
    count, raw = max(1, len(words)), text.encode("utf-8", "replace")
    return {
        "log_length": np.log1p(len(text)),
        "blank": float(not text.strip()),
        "compressibility": len(zlib.compress(raw)) / max(1, len(raw)) if raw else 0.0,
        **{name: len(re.findall(pattern, text)) / size for name, pattern in SHARES.items()},
        **{name: sum(w in listed.split() for w in words) / count for name, listed in WORDS.items()},
        "mean_word": len("".join(words)) / count,
        "repeated_words": 1 - len(set(words)) / count if words else 0.0,
        "longest_run": max((len(m.group()) for m in re.finditer(r"(.)\1*", text, re.S)), default=0)
        / size,
        "speaker_lines": len(re.findall(r"^\s*\w[\w ]{0,20}:", text, re.M))
        / (1 + text.count("\n")),
        "links": float("http" in text or "www." in text),
        "starts_with_space": float(text[:1].isspace()),
        "starts_new_line": float(text.lstrip(" ").startswith("\n")),
        "ends_a_sentence": float(text.rstrip().endswith((".", "!", "?"))),
    }
