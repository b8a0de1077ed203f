"""BERTScore by hand: which token of one text is matched with which token of another, and how well.

A study needs only the score (`similarity`); this module shows where it comes from.
"""

import json
from collections import defaultdict
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from dsi_core.method import similarity
from dsi_core.method.similarity import Backbone
from dsi_core.runtime import disk, released, store

FILE = "cosines.json"


@dataclass(frozen=True)
class Matching:
    """Two texts, token by token.

    Attributes
    ----------
    a, b
        Tokens, as the backbone cuts the texts; with the marks of beginning and end that it adds.
    counted_a, counted_b
        Whether a token counts: the marks may be matched, but have no part in the means.
    cosines
        Shape (tokens of a, tokens of b), in [-1, 1]: of the tokens' vectors, each in its context.
    """

    a: list[str]
    b: list[str]
    counted_a: list[bool]
    counted_b: list[bool]
    cosines: list[list[float]]

    @property
    def precision(self) -> float:
        """Mean over the tokens of a of the cosine with their best match in b; at most 1."""
        return float(np.mean(np.max(self.cosines, axis=1)[self.counted_a]))

    @property
    def recall(self) -> float:
        """The same of the tokens of b and their best match in a."""
        return float(np.mean(np.max(self.cosines, axis=0)[self.counted_b]))

    @property
    def f1(self) -> float:
        """Their harmonic mean: the raw BERTScore F1 of the two texts; higher = closer."""
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else 0.0

    @property
    def table(self) -> pd.DataFrame:
        """The cosines of the tokens that count: a row for each of a, a column for each of b."""
        whole = pd.DataFrame(self.cosines, index=self.a, columns=self.b)
        return whole.loc[self.counted_a, self.counted_b]

    @property
    def summary(self) -> str:
        """The three numbers in a line."""
        parts = f"precision {self.precision:.3f}, recall {self.recall:.3f}"
        return f"{parts}: BERTScore F1 (raw) {self.f1:.3f}"


def match(backbone: Backbone, a: str, b: str) -> Matching:
    """Match every token of each text with the most similar one of the other, as BERTScore (§4.2).

    Matchings are kept in the store.

    Parameters
    ----------
    backbone
        Whose vectors are compared; of `study.start`, its `backbone`.
    a, b
        Two texts that are not blank.

    Raises
    ------
    ValueError
        A text is blank: it has no token to match.

    References
    ----------
    Zhang et al., "BERTScore" (2020), §3; the vectors are bert-score's own.
    """
    if not (a.strip() and b.strip()):
        raise ValueError(f"texts {a!r} and {b!r}: a blank text has no token to match")
    spec = {**backbone.spec, "texts to match": [a, b]}
    path = released.entry("matching", backbone.name, spec) / FILE
    if path.exists():
        return Matching(**disk.read_json(path))
    found = _matched(backbone, a, b)
    disk.write_text(path, json.dumps(asdict(found), ensure_ascii=False))
    store.finish(path.parent)
    return found


def _matched(backbone: Backbone, a: str, b: str) -> Matching:
    from bert_score.utils import get_bert_embedding, sent_encode

    scorer = similarity.scorer(backbone)
    tokenizer = scorer._tokenizer
    weights: dict[int, float] = defaultdict(lambda: 1.0)
    for mark in (tokenizer.sep_token_id, tokenizer.cls_token_id):
        weights[mark] = 0.0
    vectors, tokens, counted = [], [], []
    for text in (a, b):
        given = get_bert_embedding(
            [text], scorer._model, tokenizer, weights, device=scorer.device, all_layers=False
        )
        vector = given[0][0].double().cpu().numpy()
        vectors.append(vector / np.linalg.norm(vector, axis=1, keepdims=True))
        tokens.append(tokenizer.convert_ids_to_tokens(sent_encode(tokenizer, text)))
        counted.append((given[2][0] > 0).tolist())
    cosines = (vectors[0] @ vectors[1].T).round(6).tolist()
    return Matching(tokens[0], tokens[1], counted[0], counted[1], cosines)
