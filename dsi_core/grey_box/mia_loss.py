"""Membership inference attacks on a text's own token log-probabilities: loss, zlib, Min-K% Prob, Min-K%++.

Everywhere: logprobs = log p(token | before) in nats, mask = True where there is a token, both of shape (texts, tokens); the score, shape
(texts,), is higher for a likelier member.
"""

import zlib as compression

import numpy as np

NEEDS = {  # what each has to know about the model, beside texts that it surely has not seen
    "loss": "the probability of every token of a given text",
    "zlib": "the probability of every token of a given text",
    "min_k": "the probability of every token of a given text",
    "min_k_plus_plus": "the probability of every token of the vocabulary at each place of a given text",
}


def loss(logprobs: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Mean log-probability of a text's tokens, at most 0: minus its loss, minus the logarithm of its perplexity. Source: Yeom et al. 2018."""
    return np.where(mask, logprobs, 0.0).sum(axis=1) / mask.sum(axis=1)


def zlib(logprobs: np.ndarray, mask: np.ndarray, texts: list[str]) -> np.ndarray:
    """`loss` over the bytes of the text compressed by zlib (default level, UTF-8), at most 0. Source: Carlini et al. 2021.

    The bytes depend a little on the build of zlib.
    """
    return loss(logprobs, mask) / np.array(
        [len(compression.compress(t.encode("utf-8"))) for t in texts]
    )


def min_k(values: np.ndarray, mask: np.ndarray, k: float = 0.2) -> np.ndarray:
    """Mean of the share `k` of a text's smallest values, at least one of them; of log-probabilities: Min-K% Prob. k = 1 is `loss`.

    Source: Shi et al. 2024. Differs: of fewer than 1/k tokens it takes the smallest one, where the released code divides by none.
    """
    count = np.maximum(1, np.floor(k * mask.sum(axis=1)).astype(int))
    lowest = np.sort(np.where(mask, values, np.inf), axis=1)
    kept = np.arange(values.shape[1]) < count[:, None]
    return np.where(kept, lowest, 0.0).sum(axis=1) / count


def min_k_plus_plus(
    logprobs: np.ndarray, means: np.ndarray, stds: np.ndarray, mask: np.ndarray, k: float = 0.2
) -> np.ndarray:
    """`min_k` of (logprob - mean) / std, with mean and standard deviation over the vocabulary, weighted by p. Source: Zhang et al. 2025.

    Where the distribution has no spread, uniform or all on one token, its value is 0 (0 / 0 in the released code).
    """
    spread = stds > 1e-6
    return min_k(np.where(spread, (logprobs - means) / np.where(spread, stds, 1.0), 0.0), mask, k)
