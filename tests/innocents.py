"""Innocent answers for the exact tests: whatever they are, the labels are a coin's."""

from collections.abc import Callable

import numpy as np
from scipy import stats

COINS = 700
DEALS = 199
KINDS = ("even", "ties", "refusals", "groups", "all of it")
CASES = [*((kind, 0.05) for kind in KINDS), ("even", 0.01), ("all of it", 0.01)]


def innocent(kind: str, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Give (values, groups) of 24 samples: skewed values that drift over the samples asked.

    With ties they are rounded, with refusals the larger ones are mostly missing, with groups 1 to 6
    samples share a coin and nearly a value.
    """
    groups = np.arange(24)
    if kind in ("groups", "all of it"):
        groups = rng.permutation(np.repeat(np.arange(8), [1, 1, 2, 2, 3, 4, 5, 6]))
    shared = rng.exponential(1.0, 24)[groups]
    values = shared + 0.1 * rng.normal(size=24) + np.linspace(0, 1, 24)
    if kind in ("ties", "all of it"):
        values = np.round(values)
    if kind in ("refusals", "all of it"):
        values[rng.random(24) < np.clip(values - 1, 0, 0.9)] = np.nan
    return values, groups


def share_accused(kind: str, alpha: float, audit: Callable) -> float:
    """Give the share of `COINS` audits of innocents that find something.

    audit: from values, groups, alpha, seed and a generator for the coin to an `ExactTest`.
    """
    found = 0
    for number in range(COINS):
        rng = np.random.default_rng([KINDS.index(kind), number])
        values, groups = innocent(kind, rng)
        found += audit(values, groups, alpha, number, rng).found
    return found / COINS


def band(alpha: float) -> tuple[float, float]:
    """Give the shares of `COINS` between which 99.9% of the binomial draws with alpha lie."""
    low, high = stats.binom.interval(0.999, COINS, alpha)
    return low / COINS, high / COINS
