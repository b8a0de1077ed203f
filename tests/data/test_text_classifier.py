"""The text classifier: right on texts that differ, undecided on texts that do not."""

import numpy as np
import pandas as pd
import pytest
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
    check = text_classifier.blind_check(pairs(30, WORDS[:6], 0), pairs(40, WORDS[6:], 1))
    assert check.auc == 1.0 and check.pairs == (30, 40)
    assert 0.9 < check.low < check.high == 1.0  # an interval, though every pair was told
    assert check.p == 1 / (1 + text_classifier.RELABELLED)
    assert 0.6 < check.noticed < 0.9


def test_tells_draws_of_one_source_apart_no_more_often_than_by_chance(monkeypatch):
    monkeypatch.setattr(text_classifier, "RELABELLED", 99)
    checks = [
        text_classifier.blind_check(pairs(20, WORDS, seed), pairs(20, WORDS, 100 + seed))
        for seed in range(40)
    ]
    assert 0.4 < np.mean([c.auc for c in checks]) < 0.6
    assert np.mean([c.p for c in checks]) == pytest.approx(0.5, abs=0.14)  # three standard errors
    assert sum(c.p <= 0.05 for c in checks) <= 6  # P(more) = 0.003


def test_characters_of_scripts_without_spaces_are_words():
    sets = [
        pairs(30, [*own, *"的一是不了人我在"], seed)
        for seed, own in enumerate(["船夫河", "病医药"])
    ]
    check = text_classifier.blind_check(*(one.replace(" ", "", regex=True) for one in sets))
    assert check.auc > 0.9 and check.p < 0.05


def test_too_few_pairs_have_no_answer():
    check = text_classifier.blind_check(pairs(4, WORDS, 0), pairs(40, WORDS, 1))
    assert np.isnan([check.auc, check.p, check.noticed]).all() and check.pairs == (4, 40)


def test_of_many_pairs_some_are_drawn(monkeypatch):
    monkeypatch.setattr(text_classifier, "MOST", 20)
    check = text_classifier.blind_check(pairs(30, WORDS, 0), pairs(10, WORDS, 1))
    assert check.pairs == (20, 10)


def test_a_text_is_scored_by_what_was_fitted_without_it():
    """The same text in both sets: each copy is scored by the label of the other."""
    texts = pd.Series([f"{word} {word}{word}" for word in WORDS[:10] for _ in range(2)])
    labels = np.array([[True, False] * 10, [False, True] * 10])
    scored = text_classifier.scores(texts, labels, np.random.default_rng(0))
    apart = scored[0, ::2] != scored[0, 1::2]  # copies in different folds
    assert apart.sum() >= 5 and (scored[0, ::2] < scored[0, 1::2])[apart].all()
    assert scored[1] == pytest.approx(-scored[0])  # the labels exchanged


def test_the_same_seed_gives_the_same_check():
    sets = pairs(20, WORDS, 0), pairs(20, WORDS, 1)
    first, again, other = (text_classifier.blind_check(*sets, seed) for seed in (1, 1, 2))
    assert first == again and first != other
