"""The blind check's numbers from scores: the AUROC, its interval, and when to warn."""

import dataclasses

import numpy as np
import pytest

from dsi_core.evidence import blind


def test_check_by_hand():
    """0.8 beats all three, 0.4 two, 0.6 all three: 8 of 9 pairs."""
    result = blind.check(np.array([0.8, 0.4, 0.6]), np.array([0.1, 0.5, 0.2]))
    assert result.auc == pytest.approx(8 / 9) and result.pairs == (3, 3)
    assert 0 < result.low < 8 / 9 < result.high < 1


def test_a_perfect_score_of_few_pairs_is_no_certainty():
    result = blind.check(np.arange(4) + 10.0, np.arange(4))
    assert result.auc == 1.0 and result.low == pytest.approx(0.5823, abs=1e-4)
    assert result.high == 1.0


def test_no_scores_no_answer():
    result = blind.check(np.full(3, np.nan), np.full(40, np.nan))
    numbers = dataclasses.asdict(result)
    assert numbers.pop("pairs") == (3, 40)
    assert list(numbers) == ["auc", "low", "high"] and np.isnan(list(numbers.values())).all()


@pytest.mark.parametrize(
    "auc, warns", [(0.61, True), (0.6, False), (0.2, False), (None, False), (np.nan, False)]
)
def test_when_to_warn(auc, warns):
    assert blind.tells_apart(auc) is warns
