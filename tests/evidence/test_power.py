"""What the exact tests can find: against the z-test's power, and by the labels alone."""

import numpy as np
import pytest
from scipy import stats

from dsi_core.evidence import looks
from dsi_core.evidence.looks import Looks
from dsi_core.evidence.power import Twin, attainable, power

RUNS = 200
BAND = 0.1  # three standard errors of a share of 200


def test_attainable_counts_the_ways_the_coins_can_fall():
    assert attainable(Twin.WORDING, 4) == 1 / 16
    assert attainable("private twin", 4) == 1 / 6
    assert attainable("private twin", 5) == 1 / 10
    assert [attainable(twin, 40) for twin in Twin] == [1 / 10_000] * 2
    with pytest.raises(ValueError, match="after the fact"):
        attainable("after the fact", 4)


@pytest.mark.parametrize("twin, samples, scale", [(Twin.WORDING, 40, 1), (Twin.PRIVATE, 60, 1 / 2)])
@pytest.mark.parametrize("effect", [0.0, 0.3, 0.5])
def test_at_one_look_it_is_the_z_test_s(twin, samples, scale, effect):
    """The mean's standard error is 1 / sqrt(n); that of a difference of two halves twice that."""
    one = Looks((samples,), 0.05, 1.0)
    expected = stats.norm.sf(stats.norm.isf(0.05) - effect * scale * np.sqrt(samples))
    result = power(twin, samples, effect, one, RUNS, 0)
    assert result.found == pytest.approx(expected, abs=BAND)
    assert 0 <= result.low < result.found < result.high <= 1


@pytest.mark.parametrize("published", [6, 12])
def test_from_parts_of_other_sizes_less_is_found(published):
    share, samples, effect = published / 60, 60, 1.0
    one, scale = Looks((samples,), 0.05, 1.0), np.sqrt(share * (1 - share))
    expected = stats.norm.sf(stats.norm.isf(0.05) - effect * scale * np.sqrt(samples))
    result = power(Twin.PRIVATE, samples, effect, one, RUNS, 0, published)
    assert result.found == pytest.approx(expected, abs=BAND)


@pytest.mark.parametrize("alpha", [0.005, 0.001])
def test_at_a_small_alpha_members_are_found_too(alpha):
    """There a few hundred deals could reject none."""
    one, samples, effect = Looks((40,), alpha, 1.0), 40, 0.6
    expected = stats.norm.sf(stats.norm.isf(alpha) - effect * np.sqrt(samples))
    result = power(Twin.WORDING, samples, effect, one, 200, 0)
    assert result.found == pytest.approx(expected, abs=0.12)


def test_a_strong_member_is_found_with_few_samples():
    plan = looks.planned(48, 0.05)
    strong, weak = (power(Twin.WORDING, 48, effect, plan, RUNS, 0) for effect in (1.0, 0.1))
    assert strong.found > 0.98 and strong.median_samples <= 16
    assert weak.found < 0.4 and weak.median_samples is None


def test_too_few_samples_find_nothing():
    plan = looks.planned(4, 0.05)
    assert power(Twin.WORDING, 4, 9.0, plan, 20, 0).found == 0.0


def test_the_same_seed_gives_the_same_power():
    plan = looks.planned(12, 0.05, count=3)
    first, again, other = (power(Twin.PRIVATE, 12, 1.5, plan, 50, seed) for seed in (1, 1, 2))
    assert first == again and first != other
