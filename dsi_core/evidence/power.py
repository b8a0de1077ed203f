"""What an exact test can find: the smallest p-value it allows, and how often it finds a member.

By simulation of the tests themselves on normal evidence, so that the answer is known before the
first question, from the number of samples and the looks alone.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from dsi_core.evidence import intervals, twin, wording
from dsi_core.evidence.looks import DEALS, ExactTest, Looks

COARSE = 499  # deals of a simulated audit, where alpha is at least `REJECTED` of them
REJECTED = 5


class Twin(StrEnum):
    """What a coin decided before publication."""

    PRIVATE = "private twin"  # which samples are published
    WORDING = "wording twin"  # which of two wordings of each sample is


@dataclass(frozen=True)
class Power:
    """How often a test finds a member.

    Attributes
    ----------
    found
        Share of the simulated audits that found.
    low, high
        Its 95% Wilson interval.
    median_samples
        Samples asked until found, median of all audits; None where under half of them found.
    """

    found: float
    low: float
    high: float
    median_samples: float | None


def attainable(kind: str, groups: int, deals: int = DEALS) -> float:
    """Give the smallest p-value that so many groups allow, whatever is answered.

    kind: a `Twin`; of a private one half of the groups are published.
    """
    if Twin(kind) is Twin.WORDING:
        return wording.attainable(groups, deals)
    return twin.attainable(groups, groups // 2, deals)


def power(
    kind: str,
    samples: int,
    effect: float,
    looks: Looks,
    runs: int,
    seed: int,
    published: int | None = None,
) -> Power:
    """Simulate audits of members that learnt this strongly.

    A simulated audit has fewer deals than a real one, for speed. That hardly changes how often it
    finds, as long as a few of them are rejected.

    Parameters
    ----------
    kind
        A `Twin`.
    samples
        How many, each with a coin of its own; as many as `looks` are planned over.
    effect
        How strongly the evidence follows the coin. Wording twin: mean preference for the published
        wording / standard deviation of the centred preference about it. Private twin: difference of
        the two means / standard deviation within the parts. 0 = an innocent model.
    looks
        The looks, with their alpha.
    runs
        Simulated audits.
    seed
        Of all draws.
    published
        Of a private twin: how many of the samples were published; None = half of them.
    """
    kind, rng = Twin(kind), np.random.default_rng(seed)
    published = samples // 2 if published is None else published
    audits = [_audit(kind, samples, effect, looks, rng, published) for _ in range(runs)]
    after = np.array([np.inf if a.found_after is None else a.found_after for a in audits])
    found = int(np.isfinite(after).sum())
    low, high = intervals.wilson(found, runs)
    median = float(np.median(after)) if 2 * found > runs else None
    return Power(found / runs, low, high, median)


def _audit(
    kind: Twin, samples: int, effect: float, looks: Looks, rng: np.random.Generator, published: int
) -> ExactTest:
    """One simulated audit that asks all."""
    deals = min(DEALS, max(COARSE, round(REJECTED / looks.alpha) - 1))
    noise, own, seed = rng.normal(size=samples), np.arange(samples), int(rng.integers(2**31))
    if kind is Twin.WORDING:
        first = rng.random(samples) < 0.5
        preference = noise + np.where(first, effect, -effect)
        return wording.test(preference, first, own, looks, seed, deals)
    labels = rng.permutation(own < published)
    return twin.test(noise + effect * labels, labels, own, looks, seed, deals)
