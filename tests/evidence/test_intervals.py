"""Intervals against closed formulas, hand-computed ends, and the share of truths that they hold."""

import math

import numpy as np
import pandas as pd
import pytest

from dsi_core.evidence import intervals, ranks

Z = 1.959963984540054


def wilson(k, n, z=Z):
    """The closed formula (Wilson 1927): the p with |k/n - p| = z * sqrt(p (1 - p) / n)."""
    middle = (k + z * z / 2) / (n + z * z)
    half = z / (n + z * z) * math.sqrt(k * (n - k) / n + z * z / 4)
    return middle - half, middle + half


# Proportions


@pytest.mark.parametrize(
    "k, n",
    [(0, 1), (1, 1), (0, 4), (1, 4), (4, 4), (7, 10), (18, 20), (20, 20), (12, 48), (869, 2136)],
)
def test_wilson_is_the_closed_formula(k, n):
    low, high = intervals.wilson(k, n)
    assert (low, high) == pytest.approx(wilson(k, n), abs=1e-9)
    assert 0 <= low <= k / n <= high <= 1


def test_wilson_by_hand():
    """1 of 4: (1 + 1.9207) / 7.8415 = 0.3725 and 1.96 / 7.8415 * sqrt(0.75 + 0.9604) = 0.3269.

    None of n: z^2 / (n + z^2).
    """
    assert intervals.wilson(1, 4) == pytest.approx((0.0456, 0.6994), abs=1e-4)
    assert intervals.wilson(0, 20) == pytest.approx((0, 3.8415 / 23.8415), abs=1e-5)
    at_90 = wilson(3, 4, z=1.6448536269514722)
    assert intervals.wilson(3, 4, confidence=0.9) == pytest.approx(at_90, abs=1e-9)
    low, high = intervals.wilson(np.int64(3), np.int64(4))
    assert type(low) is type(high) is float
    assert intervals.wilson(1, 4)[1] == pytest.approx(1 - low)  # k and n - k mirror each other


def test_no_case_has_no_interval():
    assert all(math.isnan(end) for end in intervals.wilson(0, 0))


def test_with_wilson_adds_two_columns_to_each_row():
    counts = pd.DataFrame({"k": [1, 0, 5], "n": [4, 0, 5], "name": list("abc")}, index=[7, 7, 2])
    table = intervals.with_wilson(counts, "k", "n")
    assert table.columns.tolist() == ["k", "n", "name", "low", "high"]
    assert table.index.tolist() == [7, 7, 2]
    assert table["low"].tolist()[::2] == [0.046, round(wilson(5, 5)[0], 3)]
    assert table["high"].tolist()[::2] == [0.699, 1.0]
    assert table.iloc[1][["low", "high"]].isna().all()
    percent = intervals.with_wilson(counts, "k", "n", 100)
    assert percent.iloc[0][["low", "high"]].tolist() == [4.559, 69.936]
    nothing = intervals.with_wilson(counts.head(0), "k", "n")
    assert nothing.columns.tolist() == ["k", "n", "name", "low", "high"]


# Means


def test_a_mean_by_hand():
    """1, 2, 3: mean 2, standard error 1 / sqrt(3); t at 0.975 with two degrees is 4.3027."""
    half = 4.302653 / math.sqrt(3)
    assert intervals.of_mean(np.array([1.0, 2.0, 3.0])) == pytest.approx((2 - half, 2 + half))
    assert all(math.isnan(end) for end in intervals.of_mean(np.array([1.0])))


def test_student_by_hand():
    """t at 0.95 with one degree is tan(0.45 pi) = 6.3138."""
    ends = intervals.student(10.0, 2.0, 1, confidence=0.9)
    assert ends == pytest.approx((10 - 12.627503, 10 + 12.627503))


# AUROCs


def newcombe(auroc, n, m, z=Z):
    """Newcombe's quartic: (a - t)^2 n m (2 - t) (1 + t) = z^2 t (1 - t) (...), solved for t."""
    t = np.polynomial.Polynomial([0, 1])
    others = (n + m) / 2 - 1
    shared = (2 - t) * (1 + t) + others * ((1 - t) * (1 + t) + t * (2 - t))
    quartic = (auroc - t) ** 2 * n * m * (2 - t) * (1 + t) - z * z * t * (1 - t) * shared
    roots = quartic.roots()
    real = roots[abs(roots.imag) < 1e-9].real
    inside = sorted(r for r in real if -1e-9 <= r <= 1 + 1e-9)
    return inside[0], inside[-1]


@pytest.mark.parametrize("auroc", [0.0, 0.05, 0.5, 0.7, 0.9375, 1.0])
@pytest.mark.parametrize("n, m", [(1, 1), (4, 4), (4, 5), (48, 48), (12, 100)])
def test_newcombe_is_the_root_of_the_quartic(auroc, n, m):
    low, high = intervals.newcombe(auroc, n, m)
    assert (low, high) == pytest.approx(newcombe(auroc, n, m), abs=1e-6)
    assert 0 <= low <= auroc <= high <= 1 and high - low > 0.01
    mirrored = intervals.newcombe(1 - auroc, n, m)
    assert mirrored == pytest.approx((1 - high, 1 - low), abs=1e-9)


def test_newcombe_of_one_against_one_is_wilson_of_one():
    assert intervals.newcombe(1.0, 1, 1) == pytest.approx((1 / (1 + Z * Z), 1.0))
    assert intervals.newcombe(0.0, 1, 1) == pytest.approx((0.0, Z * Z / (1 + Z * Z)))


def test_newcombe_by_hand_where_the_wald_interval_has_no_width():
    """1.0 of 4 against 4 at t = 0.5823: 0.4177 / 1.4177 + 0.5823 / 1.5823 = 0.66264.

    Variance 0.5823 * 0.4177 * (1 + 3 * 0.66264) / 16 = 0.045421; 1.96 errors of 0.21312 = 0.4177.
    """
    low, high = intervals.newcombe(1.0, 4, 4)
    assert (low, high) == pytest.approx((0.5823, 1.0), abs=1e-4)
    assert intervals.newcombe(1.0, 48, 48)[0] == pytest.approx(0.9587, abs=1e-4)
    assert intervals.newcombe(1.0, 4, 4, confidence=0.9)[0] > low


def test_newcombe_holds_the_truth_near_one():
    """Normal scores with a true AUROC of 0.95, 8 against 8: 95 of 100 intervals hold it, or more.

    The Wald interval of Hanley and McNeil holds it in fewer than 80.
    """
    rng, true, kept, kept_wald = np.random.default_rng(0), 0.95, 0, 0
    shift = np.sqrt(2) * 1.6448536269514722
    for _ in range(400):
        auroc = ranks.auroc(rng.normal(shift, size=8), rng.normal(size=8))
        low, high = intervals.newcombe(auroc, 8, 8)
        kept += low <= true <= high
        q1, q2 = auroc / (2 - auroc), 2 * auroc**2 / (1 + auroc)
        variance = (auroc * (1 - auroc) + 7 * (q1 + q2 - 2 * auroc**2)) / 64
        kept_wald += abs(auroc - true) <= Z * np.sqrt(variance)
    assert kept / 400 > 0.93 and kept_wald / 400 < 0.8


def test_newcombe_refuses_what_is_no_auroc():
    assert all(math.isnan(end) for end in intervals.newcombe(np.nan, 0, 3))
    for auroc, n, m in ((1.1, 4, 4), (-0.1, 4, 4), (0.5, 0, 4), (0.5, 4, 0)):
        with pytest.raises(ValueError, match=r"lies in \[0, 1\]"):
            intervals.newcombe(auroc, n, m)
