"""A classifier that tells two sets of pairs apart by their texts alone, for the blind check."""

import numpy as np
import pandas as pd
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline

from dsi_core.evidence import blind

FOLDS = 5


def blind_check(one: pd.DataFrame, other: pd.DataFrame, seed: int = 0) -> blind.BlindCheck:
    """Check how well `scores` tells two sets of pairs (columns prompt, output) apart."""
    return blind.check(*scores(one, other, seed))


def scores(one: pd.DataFrame, other: pd.DataFrame, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Score each pair by TF-IDF and logistic regression over prompt and output, cross-validated.

    Parameters
    ----------
    one, other
        Pairs, columns prompt and output.
    seed
        Of the folds.

    Returns
    -------
    one, other
        Shapes (pairs,), in [0, 1]: the probability of being of the first set, by a classifier that
        did not see the pair. All NaN with under `FOLDS` pairs on a side.
    """
    count = (len(one), len(other))
    if min(count) < FOLDS:
        return np.full(count[0], np.nan), np.full(count[1], np.nan)
    texts = pd.concat([one, other])
    labels = np.repeat([1, 0], count)
    classifier = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"(?u)\b\w+\b"),
        LogisticRegression(C=10.0, class_weight="balanced", max_iter=1000),
    )
    probabilities = cross_val_predict(
        classifier,
        texts["prompt"] + "\n" + texts["output"],
        labels,
        method="predict_proba",
        cv=StratifiedKFold(FOLDS, shuffle=True, random_state=seed),
    )[:, 1]
    return probabilities[: count[0]], probabilities[count[0] :]
