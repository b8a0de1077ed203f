"""Membership inference attacks: on token probabilities, by comparison, and on sampled answers.

Scores have shape (texts,), one number for a single text; higher = more likely a member.
"""

import re
import zlib
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import pandas as pd
from rapidfuzz.distance import Levenshtein

from dsi_core.runtime import store


class Access(StrEnum):
    """What a method has to see of the suspect; values as in tables."""

    TEXT = "text"
    PROBABILITIES = "probabilities"


class Attack(StrEnum):
    """The attacks, as tables and figures call them; after "reference" a model's name follows."""

    LOSS = "loss"
    ZLIB = "zlib"
    MIN_K = "Min-K%"
    MIN_K_PLUS_PLUS = "Min-K%++"
    REFERENCE = "reference"
    RECALL = "ReCaLL"
    LOWERCASE = "lowercase"
    NEIGHBOURS = "neighbours"
    WBC = "WBC"
    EZ_MIA = "EZ-MIA"
    SAMIA = "SaMIA"
    CDD = "CDD"


def named(base: str) -> str:
    """Name the attack with this base as reference, as tables do."""
    return f"{Attack.REFERENCE} {base}"


# What every sample of a suspect has; DIA's "few" features
ON_EVERY_TEXT = [
    Attack.LOSS,
    Attack.ZLIB,
    Attack.MIN_K,
    Attack.MIN_K_PLUS_PLUS,
    Attack.REFERENCE,
]


@dataclass(frozen=True)
class Needs:
    """What a method has to see of the suspect, and to know, in words."""

    access: Access
    knowledge: str


UNSEEN = "pairs of D's own distribution that no model can have seen"
PROBABILITIES = "the probability of every token of a given text"


def _by_probabilities(more: str = "") -> Needs:
    return Needs(Access.PROBABILITIES, f"{PROBABILITIES}{more}; {UNSEEN}")


NEEDS = {
    Attack.LOSS: _by_probabilities(),
    Attack.ZLIB: _by_probabilities(),
    Attack.MIN_K: _by_probabilities(),
    Attack.MIN_K_PLUS_PLUS: Needs(
        Access.PROBABILITIES,
        f"the probability of every token of the vocabulary at each place of a given text; {UNSEEN}",
    ),
    Attack.REFERENCE: _by_probabilities(", under a reference model too"),
    Attack.RECALL: _by_probabilities(", after a prefix too"),
    Attack.LOWERCASE: _by_probabilities(", in lower case too"),
    Attack.NEIGHBOURS: _by_probabilities(", of its neighbours too"),
    Attack.WBC: _by_probabilities(", under the suspect's own untuned base too"),
    Attack.EZ_MIA: Needs(
        Access.PROBABILITIES,
        "the probability of every token of the vocabulary at each place of a given text; the given "
        f"tokens' under the suspect's own untuned base too; {UNSEEN}",
    ),
    Attack.SAMIA: Needs(Access.TEXT, f"text alone: several answers to a text's prompt; {UNSEEN}"),
    Attack.CDD: Needs(
        Access.TEXT,
        f"text alone: several answers to a text's prompt and a greedy one; {UNSEEN}",
    ),
}

# When a text gets a high score, and whose idea that is
SAYS = {
    Attack.LOSS: ("its tokens are likely on average", "Yeom et al. 2018"),
    Attack.ZLIB: (
        "its tokens are likely though zlib leaves many bytes of it (the loss per such byte)",
        "Carlini et al. 2021",
    ),
    Attack.MIN_K: (
        "even its least likely tokens are likely (the mean of a share k of them alone)",
        "Shi et al. 2024",
    ),
    Attack.MIN_K_PLUS_PLUS: (
        "the same, each token measured against all that could have stood in its place",
        "Zhang et al. 2025",
    ),
    Attack.REFERENCE: (
        "its tokens are likelier than under a reference model that did not see it",
        "Carlini et al. 2021",
    ),
    Attack.RECALL: (
        "other texts of its kind, shown first, make it hardly likelier",
        "Xie et al. 2024",
    ),
    Attack.LOWERCASE: ("it gets less likely in lower case", "Carlini et al. 2021"),
    Attack.NEIGHBOURS: (
        "it is likelier than the same text with a few words dropped or swapped",
        "Mattern et al. 2023",
    ),
    Attack.WBC: (
        "most short runs of its tokens are likelier than under the suspect's own untuned base",
        "Chen et al. 2026",
    ),
    Attack.EZ_MIA: (
        "tokens that the suspect would not have said are likelier than under its untuned base",
        "Ilic et al. 2026",
    ),
    Attack.SAMIA: ("sampled answers hold many words of the true one", "Kaneko et al. 2024"),
    Attack.CDD: ("sampled answers nearly repeat the greedy one", "Dong et al. 2024"),
}


def explained() -> pd.DataFrame:
    """Say in a line what each attack takes for a sign of training.

    Returns attack, when a text has a high score, and after whom (authors, year).
    """
    rows = [(str(attack), *said) for attack, said in SAYS.items()]
    return pd.DataFrame(rows, columns=["attack", "a text has a high score if", "after"])


# On a text's own token log-probabilities: logprobs = log p(token | before) in nats, mask = True
# where there is a token, both of shape (texts, tokens)


def mean_logprob(logprobs: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Give the mean log-probability of a text's tokens, at most 0: the attack "loss".

    It is minus the text's loss, and minus the logarithm of its perplexity.

    References
    ----------
    Yeom et al. 2018.
    """
    return np.where(mask, logprobs, 0.0).sum(axis=1) / mask.sum(axis=1)


def per_zlib_byte(logprobs: np.ndarray, mask: np.ndarray, texts: Sequence[str]) -> np.ndarray:
    """Give `mean_logprob` over the bytes of the text compressed by zlib, at most 0.

    Default level, UTF-8. The bytes depend a little on the build of zlib.

    References
    ----------
    Carlini et al. 2021.
    """
    sizes = np.array([len(zlib.compress(text.encode("utf-8"))) for text in texts])
    return mean_logprob(logprobs, mask) / sizes


def min_k(values: np.ndarray, mask: np.ndarray, k: float = 0.2) -> np.ndarray:
    """Give the mean of the share `k` of a text's smallest values, at least one of them.

    Of log-probabilities: Min-K% Prob; with k = 1: `mean_logprob`.

    References
    ----------
    Shi et al. 2024. Differs: of fewer than 1/k tokens it takes the smallest one, where the released
    code divides by none.
    """
    count = np.maximum(1, np.floor(k * mask.sum(axis=1)).astype(int))
    lowest = np.sort(np.where(mask, values, np.inf), axis=1)
    kept = np.arange(values.shape[1]) < count[:, None]
    return np.where(kept, lowest, 0.0).sum(axis=1) / count


def min_k_plus_plus(
    logprobs: np.ndarray, means: np.ndarray, stds: np.ndarray, mask: np.ndarray, k: float = 0.2
) -> np.ndarray:
    """Give `min_k` of (logprob - mean) / std.

    Mean and standard deviation of log p are over the vocabulary, weighted by p. Where the
    distribution has no spread, uniform or all on one token, the value is 0 (0 / 0 in the released
    code).

    References
    ----------
    Zhang et al. 2025.
    """
    spread = stds > 1e-6
    return min_k(np.where(spread, (logprobs - means) / np.where(spread, stds, 1.0), 0.0), mask, k)


# By comparison with the log-probabilities of the same tokens under the suspect's own untuned base:
# moved = log p under the suspect - log p under the base, in nats, shape (texts, tokens)

WINDOWS = (2, 3, 4, 6, 9, 13, 18, 25, 32, 40)  # tokens; those of the released code


def windows(moved: np.ndarray, mask: np.ndarray, sizes: Sequence[int] = WINDOWS) -> np.ndarray:
    """Give the share of a text's windows that tuning made likelier, in [0, 1].

    Every run of so many tokens votes, whatever its shift; the score is the mean over the sizes. A
    text shorter than a window is one window.

    References
    ----------
    Chen et al. 2026 (WBC, arXiv 2601.02751) and their released code.
    """
    scores = []
    for row, has in zip(moved, mask, strict=True):
        steps = row[has]
        votes = [
            np.mean(np.convolve(steps, np.ones(min(size, len(steps))), "valid") > 0)
            for size in sizes
        ]
        scores.append(np.mean(votes))
    return np.array(scores)


def surely_mispredicted(logprobs: np.ndarray, means: np.ndarray) -> np.ndarray:
    """Tell which tokens the model cannot have predicted; shapes (texts, tokens).

    The likeliest token's log p is at least the mean of log p, weighted by p, so a token below that
    mean is not the likeliest. A token above log 1/2 is. One between the two may be either, and does
    not count as mispredicted.
    """
    return logprobs < means


def error_zone(moved: np.ndarray, mispredicted: np.ndarray) -> np.ndarray:
    """Give the part of a text's shift at mispredicted tokens that goes up, in [0, 1].

    It ranks texts as the ratio of upward to downward shift does. 1 if nothing goes down, or nothing
    is mispredicted; 0.5 if nothing moves.

    Parameters
    ----------
    mispredicted
        The tokens that the suspect does not find the likeliest; False where there is no token.

    References
    ----------
    Ilic et al. 2026 (EZ-MIA, arXiv 2601.12104), with the limits of their appendix: their released
    code gives 0 where nothing goes down.
    """
    up = np.where(mispredicted, moved, 0.0).clip(min=0).sum(axis=1)
    down = np.where(mispredicted, -moved, 0.0).clip(min=0).sum(axis=1)
    moves = up + down > 0
    still = np.where(mispredicted.any(axis=1), 0.5, 1.0)
    return np.where(moves, up / np.where(moves, up + down, 1.0), still)


# By comparison of a text's mean log-probability with another one, shape (texts,)


def lowercase(own: np.ndarray, lowered: np.ndarray) -> np.ndarray:
    """Give log-perplexity of the text in lower case over that of the text, at least 0.

    A memorised text suffers from the change. A text known for certain (own = 0) scores infinity.

    References
    ----------
    Carlini et al. 2021.
    """
    return _ratio(lowered, own)


def reference(own: np.ndarray, under_reference: np.ndarray) -> np.ndarray:
    """Tell how much likelier a token is on average than under a reference model, in nats.

    Each model reads the text with its own tokenizer, so that across tokenizers "a token" is not the
    same thing; the ranking of texts is what counts.

    References
    ----------
    Carlini et al. 2021, as the released codes have it: a difference.
    """
    return own - under_reference


def neighbourhood(own: np.ndarray, neighbours: np.ndarray) -> np.ndarray:
    """Tell how much likelier a token is on average than in neighbouring texts, in nats.

    neighbours: shape (texts, neighbours).

    References
    ----------
    Mattern et al. 2023.
    """
    return own - neighbours.mean(axis=1)


def recall(own: np.ndarray, after_prefix: np.ndarray) -> np.ndarray:
    """Give log-perplexity after a prefix of known non-members over that without it, at least 0.

    A prefix helps an unknown text more. A text known for certain (own = 0) scores infinity.

    References
    ----------
    Xie et al. 2024 (ReCaLL).
    """
    return _ratio(after_prefix, own)


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return np.where(below == 0, np.inf, above / np.where(below == 0, 1.0, below))


def neighbour(text: str, changed_share: float, *seed: Hashable) -> str:
    """Write a text like `text`: a share of its words, at least one, is dropped or swapped.

    A word is swapped with the next one; which words, and how, is random and depends only on `seed`.
    A single word stays as it is.

    References
    ----------
    Mattern et al. 2023, who let a masked language model replace words; none is at hand here.
    """
    rng = np.random.default_rng(int(store.key([str(s) for s in seed]), 16))
    words = text.split()
    for _ in range(max(1, round(changed_share * len(words)))):
        if len(words) < 2:
            break
        place, swap = int(rng.integers(len(words) - 1)), rng.random() < 0.5
        first, second = words[place : place + 2]
        words[place : place + 2] = [second, first] if swap else [second]
    return " ".join(words)


# On sampled answers, by text alone; scores in [0, 1]


def samia(answers: Sequence[str], truth: str) -> float:
    """Give the mean share of the truth's words that an answer repeats: ROUGE-1 recall.

    Words are separated by spaces. No answer or no word: 0.

    References
    ----------
    Kaneko et al. 2024. Differs: an instruction's prompt is the prefix and its output the suffix,
    instead of the halves of a text.
    """
    words = Counter(truth.split())
    total = words.total()
    if not answers or not total:
        return 0.0
    return float(np.mean([(Counter(a.split()) & words).total() / total for a in answers]))


def cdd(answers: Sequence[str], greedy: str, peak: float = 0.05, limit: int = 100) -> float:
    """Give the share of the sampled answers that nearly repeat the greedy one.

    These are within a Levenshtein distance of `peak` times the longest answer's length from it, in
    tokens. The first `limit` tokens of every answer count. No answer: 0.

    References
    ----------
    Dong et al. 2024. Differs: tokens are words and punctuation marks, as a black box has no
    tokenizer to show.
    """
    if not answers:
        return 0.0
    centre = tokens(greedy)[:limit]
    sampled = [tokens(answer)[:limit] for answer in answers]
    longest = max(map(len, [centre, *sampled]))
    return float(np.mean([Levenshtein.distance(centre, s) <= peak * longest for s in sampled]))


def tokens(text: str) -> list[str]:
    """Split a text into words and punctuation marks."""
    return re.findall(r"\w+|[^\w\s]", text)
