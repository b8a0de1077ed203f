"""DPDLLM's classifier: naive Bayes on what a language model thinks of an answer's tokens (§6.1)."""

import numpy as np
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.naive_bayes import GaussianNB

FOLDS = 4


def classify(known: np.ndarray, labels: np.ndarray, judged: np.ndarray) -> np.ndarray:
    """Give P(member) of each row of `judged`, by naive Bayes on the rows of `known`.

    Parameters
    ----------
    known, judged
        Features, shapes (rows, length); a row without features is NaN.
    labels
        Of `known`, shape (rows,): 1 = member.

    Returns
    -------
    numpy.ndarray
        Shape (rows of judged,), in [0, 1]. NaN for a row without features, and for every row if
        either class has none with features.
    """
    fit, scored = _has_features(known), _has_features(judged)
    result = np.full(len(judged), np.nan)
    if len(set(labels[fit])) == 2 and scored.any():
        model = GaussianNB().fit(known[fit], labels[fit])
        result[scored] = model.predict_proba(judged[scored])[:, 1]
    return result


def quality(features: np.ndarray, labels: np.ndarray, seed: int) -> tuple[float, float]:
    """Tell how well the classifier tells known members from known non-members.

    Cross-validated in `FOLDS` parts, or fewer where a class has fewer rows. This flatters: the LM
    was tuned on all known members, also the held-out ones, but on no judged sample (mode clean).

    Parameters
    ----------
    features, labels
        As `known` and `labels` of `classify`.
    seed
        Of the parts.

    Returns
    -------
    balanced_accuracy, auroc
        Both in [0, 1], 0.5 = chance: the AUROC of hard labels, which is (TPR + TNR) / 2, and that
        of the ranking by P(member). NaN with fewer than two of a class.
    """
    scored = _has_features(features)
    features, labels = features[scored], labels[scored]
    folds = min(FOLDS, int(np.bincount(labels, minlength=2).min()))
    if folds < 2:
        return np.nan, np.nan
    parts = StratifiedKFold(folds, shuffle=True, random_state=seed)
    logs = cross_val_predict(GaussianNB(), features, labels, cv=parts, method="predict_log_proba")
    odds = logs[:, 1] - logs[:, 0]  # ranks as P(member), which rounds to 0 and 1 over many tokens
    return roc_auc_score(labels, odds > 0), roc_auc_score(labels, odds)


def _has_features(rows: np.ndarray) -> np.ndarray:
    return ~np.isnan(rows[:, 0])
