"""What the exact tests can find: against the z-test's power, and by the labels alone."""

import numpy as np
import pytest
from scipy import stats

from dsi_core.evidence import looks, twin, wording
from dsi_core.evidence import power as powers
from dsi_core.evidence.looks import Looks
from dsi_core.evidence.power import Twin, power

RUNS = 200
BAND = 0.1  # three standard errors of a share of 200


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
    strong, middling, weak = (
        power(Twin.WORDING, 48, effect, plan, RUNS, 0) for effect in (1.0, 0.25, 0.1)
    )
    assert strong.found > 0.98 and strong.median_samples <= 16
    assert 0.35 < middling.found <= 0.5 and middling.median_samples is None
    assert weak.found < 0.4 and weak.median_samples is None


SMALL = [  # kind, samples, effect, published, and what was found with every label dealt, as ever
    ("private twin", 96, 0.5, None, (0.61, 84.0)),
    ("private twin", 96, 0.7, 10, (0.51, 96.0)),
    ("wording twin", 48, 0.3, None, (0.55, 48.0)),
    ("wording twin", 100, 0.2, None, (0.55, 100.0)),
]


@pytest.mark.parametrize(("kind", "samples", "effect", "published", "found"), SMALL)
def test_small_kits_have_the_power_that_they_had(kind, samples, effect, published, found):
    result = power(kind, samples, effect, looks.planned(samples, 0.05), 100, 3, published)
    assert (result.found, result.median_samples) == found


@pytest.mark.parametrize(
    ("kind", "effect", "published", "asked"),
    [
        (Twin.WORDING, 0.0, None, None),
        (Twin.WORDING, 0.2, None, None),
        (Twin.WORDING, 0.3, None, 60),
        (Twin.PRIVATE, 0.0, None, None),
        (Twin.PRIVATE, 0.4, None, None),
        (Twin.PRIVATE, 0.5, 20, None),
        (Twin.PRIVATE, 0.5, None, 60),
    ],
)
def test_by_sums_it_is_found_as_often_as_by_labels(monkeypatch, kind, effect, published, asked):
    """At 120 samples, ten by the first look: of more, sums are nearer still to normal."""
    found, runs, plan = [], 300, looks.planned(120, 0.05)
    for many in (120, 119):
        monkeypatch.setattr(powers, "MANY", many)
        found.append(power(kind, 120, effect, plan, runs, 1, published, asked).found)
    share = max(sum(found) / 2, 0.05)
    assert abs(found[0] - found[1]) < 3 * np.sqrt(2 * share * (1 - share) / runs)


@pytest.mark.parametrize(("kind", "effect"), [(Twin.WORDING, 0.03), (Twin.PRIVATE, 0.06)])
def test_of_thousands_of_samples_no_label_is_dealt(monkeypatch, kind, effect):
    """That took a minute for an audit; it is the z-test's power, too."""
    for test in (wording, twin):
        monkeypatch.setattr(test, "test", lambda *_: pytest.fail("deals every label"))
    one, scale = Looks((5000,), 0.05, 1.0), 1 if kind is Twin.WORDING else 1 / 2
    expected = stats.norm.sf(stats.norm.isf(0.05) - effect * scale * np.sqrt(5000))
    assert power(kind, 5000, effect, one, RUNS, 0).found == pytest.approx(expected, abs=BAND)


@pytest.mark.parametrize(("kind", "scale"), [(Twin.WORDING, 1), (Twin.PRIVATE, 1 / 2)])
@pytest.mark.parametrize("samples", [80, 400])
def test_of_those_asked_about_alone_less_is_found(kind, scale, samples):
    """Half of them, at the first of two looks: half of alpha, and half of the evidence."""
    two, effect = looks.planned(samples, 0.05, 2), 2.5 / scale / np.sqrt(samples)
    expected = stats.norm.sf(stats.norm.isf(0.025) - effect * scale * np.sqrt(samples / 2))
    half = power(kind, samples, effect, two, RUNS, 0, asked=samples // 2)
    assert half.found == pytest.approx(expected, abs=BAND)
    assert half.found < power(kind, samples, effect, two, RUNS, 0).found - 0.2
    assert power(kind, samples, effect, two, 20, 0, asked=samples // 2 - 1).found == 0


def test_too_few_samples_find_nothing():
    plan = looks.planned(4, 0.05)
    assert power(Twin.WORDING, 4, 9.0, plan, 20, 0).found == 0.0


def test_the_same_seed_gives_the_same_power():
    plan = looks.planned(12, 0.05, count=3)
    first, again, other = (power(Twin.PRIVATE, 12, 1.5, plan, 50, seed) for seed in (1, 1, 2))
    assert first == again and first != other
