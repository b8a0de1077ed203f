"""Step 1, near-duplicates: pairs whose input and output both nearly repeat those of one other pair (§6.1, footnote 3)."""

import re

import pandas as pd
from datasketch import MinHash, MinHashLSH

BANDS, ROWS = (
    42,
    3,
)  # of the sketch: of pairs at Jaccard 0.8 it loses one in 10^13 as candidates, at 0.5 one in 300


def words(text: str) -> frozenset[str]:
    """The set of a text's words, without case and punctuation."""
    return frozenset(re.findall(r"\w+", text.lower()))


def jaccard(a: frozenset, b: frozenset) -> float:
    """|a and b| / |a or b|, in [0, 1]; 1 for two empty sets."""
    return len(a & b) / len(a | b) if a or b else 1.0


def of(pairs: pd.DataFrame, others: pd.DataFrame, threshold: float) -> pd.Series:
    """For each row of `pairs`: whether some single row of `others` has both an input and an output that similar.

    pairs, others: columns prompt, output. Similar = Jaccard similarity of the word sets >= `threshold`. MinHash over the prompts
    finds the candidates, the exact value decides. Source: §6.1, footnote 3. The paper does not say what its sets hold: words here.
    """
    index = MinHashLSH(num_perm=BANDS * ROWS, params=(BANDS, ROWS))
    for i, prompt in enumerate(others["prompt"]):
        index.insert(i, _sketch(words(prompt)))
    sides = [(words(p), words(o)) for p, o in zip(others["prompt"], others["output"])]

    def near(prompt: str, output: str) -> bool:
        asked, told = words(prompt), words(output)
        return any(
            jaccard(asked, sides[i][0]) >= threshold and jaccard(told, sides[i][1]) >= threshold
            for i in index.query(_sketch(asked))
        )

    return pd.Series(
        [near(p, o) for p, o in zip(pairs["prompt"], pairs["output"])],
        index=pairs.index,
        dtype=bool,
    )


def _sketch(words: frozenset[str]) -> MinHash:
    sketch = MinHash(num_perm=BANDS * ROWS, seed=1)
    sketch.update_batch([w.encode() for w in sorted(words)])
    return sketch
