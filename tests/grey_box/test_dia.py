"""DIA: the test by hand, fitting halves alone, no false alarms, and what breaks it."""

import numpy as np
import pytest
from helpers import says
from scipy import optimize, special

from dsi_core.grey_box import dia

LOGS = np.array([[-0.1, -2, -0.5, -3, -1, -0.2, -4, -0.05, -0.7, -1.5]])


def test_features_by_hand():
    found = dia.features(
        LOGS, np.ones(LOGS.shape, bool), ["The quick brown fox jumps over the lazy dog."]
    ).iloc[0]
    assert found["ppl"] == pytest.approx(3.6876890937) and found["zlib_ratio"] == pytest.approx(
        1.305 / 51, rel=0.03
    )
    expected = {
        "k_min_probs_0.05": 0.05,
        "k_min_probs_0.2": 0.075,
        "k_min_probs_0.6": 0.425,
        "k_max_probs_0.05": 4,
        "k_max_probs_0.2": 3.5,
        "k_max_probs_0.6": 12.2 / 6,
    }
    assert found[list(expected)].to_dict() == pytest.approx(expected)


def test_the_test_by_hand():
    """Student's t with pooled variance, one-sided; Welch's would be 0.0478."""
    low, high = np.array([0.1, 0.2, 0.3, 0.4, 0.5]), np.array([0.3, 0.4, 0.5, 0.6, 0.9])
    assert dia.t_test(high, low) == pytest.approx(0.0454498, abs=1e-7)
    assert dia.t_test(low, high) == pytest.approx(1 - 0.0454498, abs=1e-7)
    assert dia.cohens_d(high, low) == pytest.approx(0.24 / np.sqrt((0.1 + 0.212) / 8))
    assert dia.t_test(low * 0, high * 0) == 0.5
    assert np.isnan(dia.cohens_d(low * 0, high * 0))


def test_scaling_uses_the_fitting_rows_and_their_inner_range():
    # 80 rows: two are cut off at either end
    fit = np.concatenate([np.arange(1.0, 79), [1e6, -1e6]])[:, None]
    scale, inner = dia.scaler(fit), np.arange(2.0, 78)
    assert scale(np.array([[2.0], [77.0], [1.0], [1e9], [-1e9]]))[:, 0] == pytest.approx(
        [(2 - inner.mean()) / inner.std(), (77 - inner.mean()) / inner.std(), 0, 0, 0]
    )
    # A constant feature tells nothing
    assert dia.scaler(np.ones((50, 1)))(np.ones((2, 1))).tolist() == [[0], [0]]


def test_few_rows_are_not_trimmed():
    fit = np.arange(10.0)[:, None]
    assert dia.scaler(fit)(fit)[:, 0] == pytest.approx((fit[:, 0] - 4.5) / fit.std())


def test_the_linear_model_is_fitted_to_its_optimum():
    """Features as alike as shares of the smallest losses are: a solver that stops early shows."""
    rng = np.random.default_rng(0)

    def rows(shift):
        return rng.normal(shift, 1, (48, 1)) + np.geomspace(0.01, 0.1, 16) * rng.normal(
            size=(48, 16)
        )

    suspect, validation = rows(1.0), rows(0.0)
    deal = np.random.default_rng(3)
    (fit_a, held_a), (fit_b, held_b) = dia.halves(48, deal), dia.halves(48, deal)
    fit = np.concatenate([suspect[fit_a], validation[fit_b]])
    scale, labels = dia.scaler(fit), np.repeat([1.0, 0.0], 24)

    def cost(w):
        z = scale(fit) @ w[:-1] + w[-1]
        slope = special.expit(z) - labels
        gradient = np.append(scale(fit).T @ slope + w[:-1], slope.sum())
        return np.sum(np.logaddexp(0, z) - labels * z) + w[:-1] @ w[:-1] / 2, gradient

    best = optimize.minimize(cost, np.zeros(17), jac=True, method="BFGS", options={"gtol": 1e-9}).x
    high, low = (scale(x) @ best[:-1] + best[-1] for x in (suspect[held_a], validation[held_b]))
    found = dia.test(suspect, validation, seed=3)
    assert found.d == pytest.approx(dia.cohens_d(high, low), rel=1e-6)
    assert found.p == pytest.approx(dia.t_test(high, low), rel=1e-5)


def test_held_out_rows_do_not_touch_the_model(monkeypatch):
    rng = np.random.default_rng(0)
    one, other, seen = rng.normal(size=(20, 3)), rng.normal(size=(20, 3)), []
    real = dia.scaler
    monkeypatch.setattr(dia, "scaler", lambda fit: seen.append(fit.copy()) or real(fit))
    dia.test(one, other, seed=3)
    (fit,) = seen
    inside = [(fit == row).all(axis=1).any() for row in np.concatenate([one, other])]
    assert len(fit) == 20
    assert sum(inside[:20]) == 10 == sum(inside[20:])


def test_finds_a_difference_in_one_direction_only():
    rng = np.random.default_rng(1)
    validation = rng.normal(size=(60, 4))
    known = rng.normal([1.5, 0, 0, 0], size=(60, 4))
    found = dia.test(known, validation, seed=0)
    assert found.p < 1e-4
    assert found.d > 0.8
    assert found.held_out == (30, 30)
    assert dia.test(known, validation, seed=0) == found != dia.test(known, validation, seed=1)
    # The linear model learns which way is up
    assert dia.test(-known, -validation, seed=0).p < 1e-4


def test_no_false_alarms_on_one_distribution():
    """p is uniform: of 300 fresh data sets about a tenth lies at or below 0.1.

    Binomial: fewer than 46 with 99.8%; for the test and its control.
    """
    rng = np.random.default_rng(2)
    ps, controls = [], []
    for seed in range(300):
        # Heavy tails: the outlier step has something to do
        validation = rng.normal(size=(48, 6)) ** 3
        ps.append(dia.test(rng.normal(size=(48, 6)) ** 3, validation, seed=seed).p)
        controls.append(dia.control(validation, seed=seed).p)
    for found in (np.array(ps), np.array(controls)):
        assert (found <= 0.1).sum() < 46
        assert 0.42 < found.mean() < 0.58


def test_a_validation_set_that_was_trained_on_hides_a_member():
    """Its assumption: nobody trained on the validation set.

    If the suspect did, D's likeness to a member is no likelier than by chance.
    """
    rng = np.random.default_rng(3)
    known, fresh = rng.normal(size=(48, 4)) + 1, rng.normal(size=(48, 4))
    assert dia.test(known, fresh, seed=0).p < 0.01
    ps = [dia.test(known, rng.normal(size=(48, 4)) + 1, seed=s).p for s in range(15)]
    assert np.median(ps) > 0.1


def test_dia_accuses_who_knows_the_validation_set_alone():
    """Its linear model learns that the sets differ, not which should be the familiar one."""
    rng = np.random.default_rng(0)
    stranger, familiar = rng.normal(3, 1, (24, 1)), rng.normal(0, 1, (24, 1))  # losses
    assert dia.test(stranger, familiar, seed=0).p < 0.001
    assert dia.test(familiar, stranger, seed=0).p < 0.001


def test_what_does_not_fit_is_refused():
    few, some = np.zeros((3, 2)), np.zeros((8, 2))
    with pytest.raises(ValueError) as error:
        dia.test(few, some, seed=0)
    says(error, "at least 4", "3 and 8")
    with pytest.raises(ValueError, match="finite"):
        dia.test(some, some + np.inf, seed=0)
    with pytest.raises(ValueError, match="at least 4"):
        dia.control(np.zeros((7, 2)), seed=0)
