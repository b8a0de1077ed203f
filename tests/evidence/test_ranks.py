"""AUROC and Mann-Whitney test by hand, and beside scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from dsi_core.evidence import ranks


def test_the_auroc_by_hand():
    one, other = np.array([3.0, 2.0, np.inf]), np.array([1.0, 2.0, 0.0, 2.5])
    assert ranks.auroc(one, other) == pytest.approx((4 + 2.5 + 4) / 12)
    assert ranks.auroc(other, one) == pytest.approx(1 - 10.5 / 12)
    assert ranks.auroc(np.ones(3), np.ones(4)) == 0.5


def test_the_auroc_is_scikit_learns():
    scores = np.random.default_rng(0).integers(0, 9, 50)  # with ties
    labels = np.arange(50) % 3 == 0
    wanted = roc_auc_score(labels, scores)
    assert ranks.auroc(scores[labels], scores[~labels]) == pytest.approx(wanted, abs=1e-12)


def test_nothing_to_compare_has_no_auroc():
    assert np.isnan(ranks.auroc(np.ones(3), np.array([])))
    assert np.isnan(ranks.auroc(np.array([1.0, np.nan]), np.ones(2)))


def test_mann_whitney_by_hand():
    best = ranks.mann_whitney(np.array([4.0, 5.0]), np.array([1.0, 2.0, 3.0]))
    assert best == pytest.approx(1 / 10)  # the best of C(5, 2) rankings
    assert ranks.mann_whitney(np.ones(3), np.ones(4)) == 0.5
