"""Membership inference attacks that compare a text's mean log-probability (`mia_loss.loss`, at most 0) with another one: of the text in
lower case, under a reference model, of neighbouring texts, after other texts. Arguments and scores have the shape (texts,);
higher = member.
"""

import numpy as np

from dsi_core.runtime import store

PROBABILITIES = "the probability of every token of a given text"
NEEDS = {
    "lowercase": f"{PROBABILITIES}, in lower case too",
    "reference": f"{PROBABILITIES}, under a reference model too",
    "neighbours": f"{PROBABILITIES}, of its neighbours too",
    "recall": f"{PROBABILITIES}, after a prefix too",
}


def lowercase(own: np.ndarray, lowered: np.ndarray) -> np.ndarray:
    """Log-perplexity of the text in lower case over that of the text, at least 0: a memorised text suffers from the change. Source: Carlini
    et al. 2021.

    A text known for certain (own = 0) scores infinity.
    """
    return _ratio(lowered, own)


def reference(own: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """How much likelier a token is on average than under a reference model, in nats. Source: Carlini et al. 2021, as the released codes
    have it: a difference.

    Each model reads the text with its own tokenizer, so that across tokenizers "a token" is not the same thing; the ranking of texts is
    what counts.
    """
    return own - theirs


def neighbours(own: np.ndarray, nearby: np.ndarray) -> np.ndarray:
    """How much likelier a token is on average than in neighbouring texts, in nats; nearby: shape (texts, neighbours). Source: Mattern et
    al. 2023.
    """
    return own - nearby.mean(axis=1)


def recall(own: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Log-perplexity after a prefix of known non-members over that without it, at least 0: a prefix helps an unknown text more. Source: Xie
    et al. 2024.
    """
    return _ratio(after, own)


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return np.where(below == 0, np.inf, above / np.where(below == 0, 1.0, below))


def neighbour(text: str, changed: float, *seed) -> str:
    """A text like `text`: a share `changed` of its words, at least one, is dropped or swapped with the next one, chosen at random by `seed`.

    Source: Mattern et al. 2023, who let a masked language model replace words; none is at hand here. A single word stays as it is.
    """
    rng, words = np.random.default_rng(int(store.key([str(s) for s in seed]), 16)), text.split()
    for _ in range(max(1, round(changed * len(words)))):
        if len(words) < 2:
            break
        place, swap = int(rng.integers(len(words) - 1)), rng.random() < 0.5
        words[place : place + 2] = (
            words[place : place + 2][::-1] if swap else words[place + 1 : place + 2]
        )
    return " ".join(words)
