"""DPDLLM's classifier against Bayes' rule and cross-validation by hand."""

import numpy as np
import pytest
from sklearn.model_selection import StratifiedKFold

from dsi_core.paper.dpdllm import classifier


def test_the_classifier_is_bayes_rule_with_gaussians():
    known = np.array([[0.9, 0.2], [0.7, 0.4], [0.2, 0.1], [0.4, 0.5], [0.3, 0.3]])
    labels = np.array([1, 1, 0, 0, 0])
    judged = np.array([[0.6, 0.3], [0.3, 0.4], [0.8, 0.3]])

    def likelihood(rows):
        mean, variance = rows.mean(axis=0), rows.var(axis=0) + 1e-9 * known.var(axis=0).max()
        exponent = -((judged - mean) ** 2) / (2 * variance)
        return (np.exp(exponent) / np.sqrt(2 * np.pi * variance)).prod(axis=1)

    member, other = 2 / 5 * likelihood(known[:2]), 3 / 5 * likelihood(known[2:])
    expected = member / (member + other)
    assert classifier.classify(known, labels, judged) == pytest.approx(expected, rel=1e-6)


def test_nothing_to_score_is_neither_member_nor_non_member():
    known = np.array([[0.9], [0.8], [0.1], [0.2], [np.nan]])
    labels = np.array([1, 1, 0, 0, 0])
    judged = np.array([[np.nan], [0.85]])
    probability = classifier.classify(known, labels, judged)
    assert np.isnan(probability[0])
    assert probability[1] > 0.99
    assert probability[1:] == classifier.classify(known[:4], labels[:4], judged[1:])
    assert np.isnan(classifier.classify(known, labels, judged[:1])).all()
    known[2:] = np.nan  # no known non-member left
    assert np.isnan(classifier.classify(known, labels, judged)).all()
    assert np.isnan(classifier.quality(known, labels, 0)).all()


def test_quality_is_cross_validated():
    rng = np.random.default_rng(0)
    labels = np.repeat([1, 0], [30, 20])
    for shift in (0.0, 0.5, 9.0):
        features = rng.normal(size=(50, 3)) + shift * labels[:, None]
        accuracy, auroc = classifier.quality(features, labels, 0)
        scores = np.zeros(50)
        for fit, held in StratifiedKFold(4, shuffle=True, random_state=0).split(features, labels):
            scores[held] = classifier.classify(features[fit], labels[fit], features[held])
        called = scores > 0.5
        rates = called[labels == 1].mean(), 1 - called[labels == 0].mean()
        pairs = scores[labels == 1][:, None] - scores[labels == 0]
        by_hand = (pairs > 0).mean() + (pairs == 0).mean() / 2
        assert accuracy == pytest.approx(sum(rates) / 2)
        assert auroc == pytest.approx(by_hand, abs=0.002)
    assert (accuracy, auroc) == (1, 1)


def test_one_of_each_leaves_nothing_to_hold_out():
    assert np.isnan(classifier.quality(np.array([[0.9], [0.1]]), np.array([1, 0]), 0)).all()
