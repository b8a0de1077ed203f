"""The blind check's numbers from AUROCs: its interval, its p-value and what it would notice."""

import dataclasses

import numpy as np
import pytest

from dsi_core.evidence import blind

RELABELLED = np.linspace(0.30, 0.66, 19)  # 0.30, 0.32, ... 0.66


def test_p_counts_the_deals_with_as_large_an_auroc():
    """0.60 to 0.66 are four of 19, and the true deal: 5 of 20."""
    result = blind.check(0.6, RELABELLED, (20, 30))
    assert result.p == 5 / 20 and (result.auc, result.pairs) == (0.6, (20, 30))
    assert result.low < 0.5 < 0.6 < result.high
    assert blind.check(0.9, RELABELLED, (20, 30)).p == 1 / 20 == blind.ALPHA
    assert blind.check(0.1, RELABELLED, (20, 30)).p == 1.0


def test_what_would_be_noticed_lies_above_all_but_what_alpha_allows():
    """Of 20 deals one, the true one, may be as large: 0.66 must be reached, by 0.84 of an SD."""
    result = blind.check(0.5, RELABELLED, (20, 30))
    assert result.noticed == pytest.approx(0.66 + 0.8416 * RELABELLED.std(), abs=1e-4)
    assert blind.check(0.5, RELABELLED + 0.3, (20, 30)).noticed == 1.0
    assert blind.check(0.5, RELABELLED[:9], (20, 30)).noticed == 1.0  # of 10 deals none


def test_no_scores_no_answer():
    numbers = dataclasses.asdict(blind.check(np.nan, [], (3, 40)))
    assert numbers.pop("pairs") == (3, 40)
    assert list(numbers) == ["auc", "low", "high", "p", "noticed"]
    assert np.isnan(list(numbers.values())).all()
