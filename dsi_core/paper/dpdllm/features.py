"""DPDLLM's features: what a language model thinks of each token of an answer (§6.1)."""

import numpy as np

from dsi_core.models import load
from dsi_core.paper.dpdllm.roles import Mode
from dsi_core.runtime import jobs

LOGITS = 2**26  # scored at once (256 MB in fp32): Gemma's vocabulary makes a token as large as 1 MB


def tokens(
    tokenizer, prompt: str, response: str, mode: Mode | str, length: int, limit: int
) -> tuple[list[int], list[int]]:
    """Give the token ids of an answer and of what stands before it.

    Parameters
    ----------
    mode
        "clean": the answer given the prompt. "faithful": prompt and answer are one text, whose
        first token is given, and padding counts as text.
    length
        At most so many tokens are scored; in mode faithful exactly so many.
    limit
        In mode clean there are at most so many of both: the prompt's last ones.

    Returns
    -------
    given, scored
    """
    before = load.encode_prompt(tokenizer, prompt)
    after = load.encode_answer(tokenizer, response)
    if mode == Mode.CLEAN:
        scored = after[:-1][:length]  # without the end token
        return before[-max(1, limit - len(scored)) :], scored
    text = (before + after)[: length + 1]
    text += [tokenizer.pad_token_id] * (length + 1 - len(text))
    return text[:1], text[1:]


def token_probabilities(
    model, tokenizer, rows: list[tuple[list[int], list[int]]]
) -> list[np.ndarray]:
    """Give P(token | all before it) of each scored token.

    Texts of similar length go together, and logits are computed for the longest scored part of a
    batch only.

    Parameters
    ----------
    rows
        Token ids: (given, scored), as `tokens` gives them.

    Returns
    -------
    list of numpy.ndarray
        For each row an array of shape (len(scored),), in [0, 1].
    """
    import torch

    result = [np.zeros(0, np.float32) for _ in rows]
    order = sorted(
        (i for i, (_, scored) in enumerate(rows) if scored),
        key=lambda i: (len(rows[i][1]), len(rows[i][0])),
    )
    widest = max((len(rows[i][1]) + 1 for i in order), default=1)
    size = max(1, LOGITS // (widest * model.config.get_text_config().vocab_size))
    for start in range(0, len(order), size):
        batch = order[start : start + size]
        # On the left, so that the scored parts end together. Padding that is part of a text (mode
        # faithful) is not masked.
        inputs = tokenizer.pad(
            {"input_ids": [rows[i][0] + rows[i][1] for i in batch]},
            padding_side="left",
            return_tensors="pt",
        )
        ids, mask = inputs["input_ids"].to(model.device), inputs["attention_mask"].to(model.device)
        keep = max(len(rows[i][1]) for i in batch) + 1
        with torch.inference_mode():
            logits = (
                model(
                    input_ids=ids,
                    attention_mask=mask,
                    position_ids=(mask.cumsum(dim=1) - 1).clamp(min=0),
                    use_cache=False,
                    logits_to_keep=keep,
                )
                .logits[:, -keep:-1]
                .float()
            )
            found = (
                logits.log_softmax(dim=-1)
                .gather(2, ids[:, 1 - keep :, None])[:, :, 0]
                .exp()
                .cpu()
                .numpy()
            )
        for i, row in zip(batch, found, strict=True):
            result[i] = row[-len(rows[i][1]) :]
        jobs.report((start + len(batch)) / len(order))
    return result


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
