"""A classifier that tells two sets of pairs apart by their texts alone, for the blind check."""

import numpy as np
import pandas as pd

from dsi_core.data.common_words import WORD
from dsi_core.evidence import blind, ranks
from dsi_core.evidence.blind import BlindCheck

FOLDS = 5
MOST = 1000  # pairs of a set; with so many an AUROC of 0.54 is noticed
PENALTY = 1.0
RELABELLED = 399


def blind_check(one: pd.DataFrame, other: pd.DataFrame, seed: int = 0) -> BlindCheck:
    """Check whether two sets of pairs can be told apart without asking a model.

    Parameters
    ----------
    one, other
        Pairs, columns prompt and output; `MOST` of each, drawn at random, where there are more.
    seed
        Of the pairs drawn, the folds and the labels dealt anew.

    Returns
    -------
    check
        All NaN with under `FOLDS` pairs on a side.
    """
    rng = np.random.default_rng(seed)
    sets = [pairs.sample(min(MOST, len(pairs)), random_state=rng) for pairs in (one, other)]
    count = (len(sets[0]), len(sets[1]))
    if min(count) < FOLDS:
        return blind.check(np.nan, [], count)
    labels = np.repeat([True, False], count)
    dealt = np.array([labels, *(rng.permutation(labels) for _ in range(RELABELLED))])
    texts = pd.concat(sets)
    scored = scores(texts["prompt"] + "\n" + texts["output"], dealt, rng)
    aucs = [ranks.auroc(row[own], row[~own]) for row, own in zip(scored, dealt, strict=True)]
    return blind.check(aucs[0], aucs[1:], count)


def scores(texts: pd.Series, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Score each text under every labelling, by ridge regression on TF-IDF, cross-validated.

    Parameters
    ----------
    texts
        Shape (texts,).
    labels
        Shape (labellings, texts), bool.
    rng
        Of the folds, which are the same for every labelling and know none.

    Returns
    -------
    scores
        Shape (labellings, texts), higher = likelier of the set marked True: by a classifier that
        did not see the text. Without an intercept, which would tell how many of the set it saw.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=WORD)
    features = words.fit_transform(texts)
    alike = (features @ features.T).toarray()
    fold_of = rng.permutation(np.arange(len(texts)) % FOLDS)
    scored = np.empty(labels.shape)
    for fold in range(FOLDS):
        seen, left_out = fold_of != fold, fold_of == fold
        centred = labels[:, seen] - labels[:, seen].mean(axis=1, keepdims=True)
        ridge = alike[np.ix_(seen, seen)] + PENALTY * np.eye(seen.sum())
        scored[:, left_out] = (alike[np.ix_(left_out, seen)] @ np.linalg.solve(ridge, centred.T)).T
    return scored
