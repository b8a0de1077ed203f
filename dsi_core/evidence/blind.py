"""The blind check: can a text-only classifier, which asks no model, tell one set of pairs from another?

If it can tell the published part from its withheld twin, the twin is no twin, and a model may answer the two differently without having
seen either. If it can tell D from what the control models were tuned on, those controls are easy ones.
"""

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline

FOLDS = 5
WARN_ABOVE = 0.6


def auc(one: pd.DataFrame, other: pd.DataFrame, seed: int = 0) -> dict:
    """TF-IDF and logistic regression over prompt and output, cross-validated. one, other: columns prompt, output.

    Returns auc (0.5 or less = cannot tell, 1 = tells every pair; each pair is scored by a classifier that did not see it, so that with
    few pairs, where one left out is one less of its kind, it may fall far below 0.5), low and high (95%, Hanley and McNeil 1982),
    pairs (in one, in other). With under `FOLDS` pairs on a side all three numbers are NaN.
    """
    count = (len(one), len(other))
    if min(count) < FOLDS:
        return {"auc": np.nan, "low": np.nan, "high": np.nan, "pairs": count}
    texts = pd.concat([one, other])
    labels = np.repeat([1, 0], count)
    classifier = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"(?u)\b\w+\b"),
        LogisticRegression(C=10.0, class_weight="balanced", max_iter=1000),
    )
    scores = cross_val_predict(
        classifier,
        texts["prompt"] + "\n" + texts["output"],
        labels,
        method="predict_proba",
        cv=StratifiedKFold(FOLDS, shuffle=True, random_state=seed),
    )[:, 1]
    found = float(roc_auc_score(labels, scores))
    low, high = interval(found, *count)
    return {"auc": found, "low": low, "high": high, "pairs": count}


def interval(area: float, n: int, m: int) -> tuple[float, float]:
    """95% interval of an AUC of n against m independent samples, kept in [0, 1]."""
    both_n, both_m = (
        area / (2 - area),
        2 * area**2 / (1 + area),
    )  # two of n (of m) rank right against one of the others
    error = np.sqrt(
        (area * (1 - area) + (n - 1) * (both_n - area**2) + (m - 1) * (both_m - area**2)) / (n * m)
    )
    reach = stats.norm.ppf(0.975) * error
    return max(0.0, area - reach), min(1.0, area + reach)
