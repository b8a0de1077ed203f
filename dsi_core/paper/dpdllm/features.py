"""DPDLLM's features, what a language model thinks of each token of an answer, and its classifier, naive Bayes (§6.1)."""

import numpy as np
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.naive_bayes import GaussianNB

from dsi_core.models import load as models
from dsi_core.runtime import jobs

LOGITS = 2**26  # scored at once (256 MB in fp32): Gemma's vocabulary makes a token as large as 1 MB


def tokens(
    tokenizer, prompt: str, response: str, mode: str, length: int, limit: int
) -> tuple[list[int], list[int]]:
    """Token ids (given, scored): at most `length` scored tokens; in mode clean at most `limit` of both, the prompt's last ones."""
    before, after = (
        models.encode_prompt(tokenizer, prompt),
        models.encode_answer(tokenizer, response),
    )
    if mode == "clean":
        scored = after[:-1][:length]  # without the end token
        return before[-max(1, limit - len(scored)) :], scored
    text = (before + after)[: length + 1]
    text += [tokenizer.pad_token_id] * (length + 1 - len(text))
    return text[:1], text[1:]


def token_probabilities(
    model, tokenizer, rows: list[tuple[list[int], list[int]]]
) -> list[np.ndarray]:
    """P(token | all before it) of each scored token: for each (given, scored) of `rows` an array of shape (len(scored),).

    Texts of similar length go together, and logits are computed for the longest scored part of a batch only.
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
        # On the left, so that the scored parts end together; padding that is part of a text (mode faithful) is not masked
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
        for i, row in zip(batch, found):
            result[i] = row[-len(rows[i][1]) :]
        jobs.report((start + len(batch)) / len(order))
    return result


def filled(probabilities: list[np.ndarray], length: int) -> np.ndarray:
    """Features, shape (rows, length): the first `length` probabilities, a shorter row filled up with its mean, an empty one NaN."""
    features = np.full((len(probabilities), length), np.nan)
    for row, some in zip(features, probabilities):
        if len(some):
            row[:] = np.mean(some[:length])
            row[: len(some)] = some[:length]
    return features


def classify(known: np.ndarray, labels: np.ndarray, judged: np.ndarray) -> np.ndarray:
    """P(member) of each row of `judged`, by naive Bayes on the rows of `known` (labels: 1 = member), all with (rows, length).

    NaN for a row without features, and for every row if either class has none with features.
    """
    fit, ask, result = ~np.isnan(known[:, 0]), ~np.isnan(judged[:, 0]), np.full(len(judged), np.nan)
    if len(set(labels[fit])) == 2 and ask.any():
        result[ask] = GaussianNB().fit(known[fit], labels[fit]).predict_proba(judged[ask])[:, 1]
    return result


def quality(
    features: np.ndarray, labels: np.ndarray, seed: int, folds: int = 4
) -> tuple[float, float]:
    """(AUC of hard labels = balanced accuracy, AUC of the ranking by P(member)), cross-validated; NaN with fewer than two of a class.

    Flattering: the LM was tuned on the held-out members too, as on every known member, but on no judged sample (mode clean).
    """
    scored = ~np.isnan(features[:, 0])
    features, labels = features[scored], labels[scored]
    folds = min(folds, int(np.bincount(labels, minlength=2).min()))
    if folds < 2:
        return np.nan, np.nan
    parts = StratifiedKFold(folds, shuffle=True, random_state=seed)
    logs = cross_val_predict(GaussianNB(), features, labels, cv=parts, method="predict_log_proba")
    odds = logs[:, 1] - logs[:, 0]  # ranks as P(member), which rounds to 0 and 1 over many tokens
    return roc_auc_score(labels, odds > 0), roc_auc_score(labels, odds)
