"""The text classifier: right on texts that differ, undecided on texts that do not."""

import numpy as np
from helpers import WORDS, table

from dsi_core.data import text_classifier


def pairs(count, words, seed):
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(count):
        prompt = f"Tell me of {' '.join(rng.choice(words, 3))}."
        rows.append((prompt, " ".join(rng.choice(words, 12))))
    return table("prompt output", *rows)


def test_tells_other_words_apart():
    one, other = text_classifier.scores(pairs(30, WORDS[:6], 0), pairs(40, WORDS[6:], 1))
    assert (len(one), len(other)) == (30, 40) and one.min() > 0.5 > other.max()
    check = text_classifier.blind_check(pairs(30, WORDS[:6], 0), pairs(40, WORDS[6:], 1))
    assert check.auc == 1.0 and check.pairs == (30, 40)
    assert 0.9 < check.low < check.high == 1.0  # an interval, though every pair was told


def test_cannot_tell_draws_of_one_source_apart():
    checks = [
        text_classifier.blind_check(pairs(40, WORDS, seed), pairs(40, WORDS, 100 + seed))
        for seed in range(12)
    ]
    assert 0.4 < np.mean([c.auc for c in checks]) < 0.6
    assert np.mean([c.low <= 0.5 <= c.high for c in checks]) > 0.6


def test_too_few_pairs_have_no_scores():
    one, other = text_classifier.scores(pairs(4, WORDS, 0), pairs(40, WORDS, 1))
    assert np.isnan(one).all() and np.isnan(other).all()
    check = text_classifier.blind_check(pairs(4, WORDS, 0), pairs(40, WORDS, 1))
    assert np.isnan(check.auc) and check.pairs == (4, 40)


def test_the_folds_are_the_seeds():
    sets = pairs(20, WORDS, 0), pairs(20, WORDS, 1)
    first, again, other = (text_classifier.scores(*sets, seed)[0] for seed in (1, 1, 2))
    assert (first == again).all() and (first != other).any()
