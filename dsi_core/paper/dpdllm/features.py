"""DPDLLM's features: what a language model thinks of each token of an answer (§6.1)."""

from collections.abc import Sequence

import numpy as np

from dsi_core.models import load, token_logprobs
from dsi_core.models.token_logprobs import Text
from dsi_core.paper.dpdllm.roles import Mode


def tokens(
    tokenizer, prompt: str, response: str, mode: Mode | str, length: int, limit: int
) -> Text:
    """Give the token ids of an answer and of what stands before it.

    Parameters
    ----------
    mode
        "clean": the answer given the prompt. "faithful": prompt and answer are one text, whose
        first token is given, and padding counts as text.
    length
        At most so many tokens are scored; in mode faithful exactly so many.
    limit
        In mode clean, the most tokens of prompt and answer; the prompt's last ones are kept.
    """
    if mode == Mode.CLEAN:
        return token_logprobs.encode(tokenizer, prompt, response, length, limit)
    before, after = load.encode_prompt(tokenizer, prompt), load.encode_answer(tokenizer, response)
    text = (before + after)[: length + 1]
    text += [tokenizer.pad_token_id] * (length + 1 - len(text))
    return Text(text[:1], text[1:])


def token_probabilities(model, texts: Sequence[Text]) -> list[np.ndarray]:
    """Give P(token | all before it) of each scored token.

    Parameters
    ----------
    texts
        As `tokens` gives them.

    Returns
    -------
    list of numpy.ndarray
        For each text an array of shape (scored,), in [0, 1].
    """
    return [np.exp(logprobs) for logprobs in token_logprobs.logprobs(model, texts)]


def filled(probabilities: list[np.ndarray], length: int) -> np.ndarray:
    """Give features, shape (rows, length): the first `length` probabilities of each row.

    A shorter row is filled up with its mean, an empty one is NaN.
    """
    features = np.full((len(probabilities), length), np.nan)
    for row, some in zip(features, probabilities, strict=True):
        if len(some):
            row[:] = np.mean(some[:length])
            row[: len(some)] = some[:length]
    return features
