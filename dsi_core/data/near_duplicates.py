"""Near-duplicates: pairs whose input and output both nearly repeat those of another (§6.1)."""

import re

import pandas as pd
from datasketch import MinHash, MinHashLSH

from dsi_core.runtime import released, store

# Of pairs at Jaccard 0.8 the sketch loses one in 10^13 as candidates, at 0.5 one in 300
BANDS, ROWS = 42, 3


def words(text: str) -> frozenset[str]:
    """Give the set of a text's words, without case and punctuation."""
    return frozenset(re.findall(r"\w+", text.lower()))


def jaccard(a: frozenset, b: frozenset) -> float:
    """Give |a and b| / |a or b|, in [0, 1]; 1 for two empty sets."""
    return len(a & b) / len(a | b) if a or b else 1.0


def find(pairs: pd.DataFrame, others: pd.DataFrame, threshold: float) -> pd.Series:
    """Mark the rows of `pairs` whose input and output both nearly repeat those of one other pair.

    MinHash over the prompts finds the candidates, the exact value decides.

    Parameters
    ----------
    pairs, others
        Columns prompt, output.
    threshold
        Jaccard similarity of the word sets, in [0, 1], from which two texts are near-duplicates.

    Returns
    -------
    pandas.Series
        Of bool, with the index of `pairs`.

    References
    ----------
    §6.1, footnote 3. The paper does not say what its sets hold: words here.
    """
    index = MinHashLSH(num_perm=BANDS * ROWS, params=(BANDS, ROWS))
    for i, prompt in enumerate(others["prompt"]):
        index.insert(i, _sketch(words(prompt)))
    sides = [(words(p), words(o)) for p, o in zip(others["prompt"], others["output"], strict=True)]

    def is_near(prompt: str, output: str) -> bool:
        inputs, outputs = words(prompt), words(output)
        return any(
            jaccard(inputs, sides[i][0]) >= threshold and jaccard(outputs, sides[i][1]) >= threshold
            for i in index.query(_sketch(inputs))
        )

    marks = [is_near(p, o) for p, o in zip(pairs["prompt"], pairs["output"], strict=True)]
    return pd.Series(marks, index=pairs.index, dtype=bool)


def within(pairs: pd.DataFrame, threshold: float) -> list[tuple[int, int]]:
    """Find the near-duplicates of a table in itself, as `find` tells them.

    Returns
    -------
    list of (int, int)
        Positions of two rows, the later one first.
    """
    index = MinHashLSH(num_perm=BANDS * ROWS, params=(BANDS, ROWS))
    sides = [(words(p), words(o)) for p, o in zip(pairs["prompt"], pairs["output"], strict=True)]
    found = []
    for i, (prompt, output) in enumerate(sides):
        # sets of both sides at once are at least as near as the less near side
        sketch = _sketch(frozenset(f"p{w}" for w in prompt) | frozenset(f"o{w}" for w in output))
        for j in sorted(index.query(sketch)):
            other_prompt, other_output = sides[j]
            if (
                jaccard(prompt, other_prompt) >= threshold
                and jaccard(output, other_output) >= threshold
            ):
                found.append((i, j))
        index.insert(i, sketch)
    return found


def stored(pairs: pd.DataFrame, others: pd.DataFrame, threshold: float, name: str) -> pd.Series:
    """`find`, searched once and kept in the store: at 50,000 pairs it takes an hour.

    pairs, others: columns sample_id, prompt, output; name: of the entry.
    """
    sides = {"pairs": pairs, "others": others}
    spec = {side: store.key(table["sample_id"].tolist()) for side, table in sides.items()}
    folder = released.entry("near_duplicates", name, {**spec, "threshold": threshold})
    with store.lock(folder):
        if store.manifest(folder) is None:
            near = find(pairs, others, threshold)
            # a new table: that of the pairs says where on this machine they come from
            ids = pd.DataFrame({"sample_id": pairs.loc[near, "sample_id"].tolist()}, dtype=object)
            store.write_table(folder / "near.parquet", ids)
            store.finish(folder, pairs=len(pairs), near_duplicates=int(near.sum()))
    found = pd.read_parquet(folder / "near.parquet")["sample_id"]
    return pairs["sample_id"].isin(found)


def _sketch(words: frozenset[str]) -> MinHash:
    sketch = MinHash(num_perm=BANDS * ROWS, seed=1)
    sketch.update_batch([w.encode() for w in sorted(words)])
    return sketch
