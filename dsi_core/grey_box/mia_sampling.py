"""Black-box membership inference attacks on sampled answers: SaMIA and CDD. Scores in [0, 1]; higher = member."""

import re
from collections import Counter

import numpy as np

NEEDS = {
    "samia": "text alone: several answers to a text's prompt",
    "cdd": "text alone: several answers to a text's prompt and a greedy one",
}


def samia(answers: list[str], truth: str) -> float:
    """Mean over the answers of the share of the truth's words that the answer repeats (ROUGE-1 recall, words as between spaces). Source:
    Kaneko et al. 2024.

    Differs: an instruction's prompt is the prefix and its output the suffix, instead of the halves of a text. No answer or no word: 0.
    """
    wanted = Counter(truth.split())
    total = wanted.total()
    return (
        float(np.mean([(Counter(a.split()) & wanted).total() / total for a in answers]))
        if answers and total
        else 0.0
    )


def cdd(answers: list[str], greedy: str, peak: float = 0.05, limit: int = 100) -> float:
    """Share of the sampled answers within `peak` times the longest one's length of the greedy answer, in edits of tokens. Source: Dong et
    al. 2024.

    Of every answer the first `limit` tokens count. Differs: tokens are words and punctuation marks, as a black box has no tokenizer to
    show. No answer: 0.
    """
    centre, *others = [tokens(t)[:limit] for t in (greedy, *answers)]
    longest = max(map(len, (centre, *others)))
    return float(np.mean([edits(centre, o) <= peak * longest for o in others])) if others else 0.0


def tokens(text: str) -> list[str]:
    """Words and punctuation marks."""
    return re.findall(r"\w+|[^\w\s]", text)


def edits(a: list, b: list) -> int:
    """Levenshtein distance: how many items to insert, delete or replace to make `b` of `a`."""
    before = list(range(len(b) + 1))
    for i, x in enumerate(a, start=1):
        row = [i]
        for j, y in enumerate(b, start=1):
            row.append(min(before[j] + 1, row[-1] + 1, before[j - 1] + (x != y)))
        before = row
    return before[-1]
