"""The blind check: right on texts that differ, undecided on texts that do not, and honest about its error."""

import numpy as np
import pytest
from helpers import WORDS, table

from dsi_core.evidence import blind


def pairs(count, words, seed):
    rng = np.random.default_rng(seed)
    return table(
        "prompt output",
        *[
            (f"Tell me of {' '.join(rng.choice(words, 3))}.", " ".join(rng.choice(words, 12)))
            for _ in range(count)
        ],
    )


def test_tells_other_words_apart():
    found = blind.auc(pairs(30, WORDS[:6], 0), pairs(40, WORDS[6:], 1))
    assert (
        found["auc"] == 1.0
        and (found["low"], found["high"]) == (1.0, 1.0)
        and found["pairs"] == (30, 40)
    )


def test_cannot_tell_draws_of_one_source_apart():
    aucs = [blind.auc(pairs(40, WORDS, seed), pairs(40, WORDS, 100 + seed)) for seed in range(12)]
    assert 0.4 < np.mean([a["auc"] for a in aucs]) < 0.6
    assert np.mean([a["low"] <= 0.5 <= a["high"] for a in aucs]) > 0.6


def test_too_few_pairs_have_no_answer():
    assert np.isnan(blind.auc(pairs(4, WORDS, 0), pairs(40, WORDS, 1))["auc"])


def test_interval_by_hand():
    """Hanley and McNeil with an AUC of 0.8 of 20 against 30."""
    q1, q2 = 0.8 / 1.2, 2 * 0.64 / 1.8
    error = np.sqrt((0.16 + 19 * (q1 - 0.64) + 29 * (q2 - 0.64)) / 600)
    assert blind.interval(0.8, 20, 30) == pytest.approx(
        (0.8 - 1.959964 * error, min(1, 0.8 + 1.959964 * error))
    )
