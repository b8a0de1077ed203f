"""What an exact test can find: the smallest p-value it allows, and how often it finds a member.

The tests themselves are simulated on normal evidence, so that the answer is known before the first
question, from the number of samples and the looks alone.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from dsi_core.evidence import intervals, twin, wording
from dsi_core.evidence import looks as at_looks
from dsi_core.evidence.looks import DEALS, ExactTest, Looks

COARSE = 499  # deals of a simulated audit, where alpha is at least `REJECTED` of them
REJECTED = 5
MANY = 100  # samples beyond which deals are drawn by their sums


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
        Samples asked until found, median of all audits; None where at most half of them found.
    """

    found: float
    low: float
    high: float
    median_samples: float | None


def power(
    kind: str,
    samples: int,
    effect: float,
    looks: Looks,
    runs: int,
    seed: int,
    published: int | None = None,
    asked: int | None = None,
) -> Power:
    """Simulate audits of members that learnt this strongly.

    A simulated audit has fewer deals than a real one, for speed. That hardly changes how often it
    finds, as long as a few of them are rejected. With more than `MANY` samples, only the sums that
    the statistic is made of are drawn, not each label (`_by_sums`); it finds as often.

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
    asked
        How many of the samples are asked about, in their order: later looks are not taken. None =
        all.
    """
    kind, rng = Twin(kind), np.random.default_rng(seed)
    published = samples // 2 if published is None else published
    audits = [_audit(kind, samples, effect, looks, rng, published, asked) for _ in range(runs)]
    after = np.array([np.inf if a.found_after is None else a.found_after for a in audits])
    found = int(np.isfinite(after).sum())
    low, high = intervals.wilson(found, runs)
    median = float(np.median(after)) if 2 * found > runs else None
    return Power(found / runs, low, high, median)


def _audit(
    kind: Twin,
    samples: int,
    effect: float,
    looks: Looks,
    rng: np.random.Generator,
    published: int,
    asked: int | None,
) -> ExactTest:
    """One simulated audit that asks so many."""
    deals = min(DEALS, max(COARSE, round(REJECTED / looks.alpha) - 1))
    noise, own, seed = rng.normal(size=samples), np.arange(samples), int(rng.integers(2**31))
    if kind is Twin.WORDING:
        labels = rng.random(samples) < 0.5
        evidence = noise + np.where(labels, effect, -effect)
    else:
        labels = rng.permutation(own < published)
        evidence = noise + effect * labels
    if samples > MANY and looks.taken(len(evidence[:asked])):
        return _by_sums(kind, evidence[:asked], labels, looks, rng, deals)
    test = wording.test if kind is Twin.WORDING else twin.test
    return test(evidence[:asked], labels, own, looks, seed, deals)


def _by_sums(
    kind: Twin,
    evidence: np.ndarray,
    labels: np.ndarray,
    looks: Looks,
    rng: np.random.Generator,
    deals: int,
) -> ExactTest:
    """The same test, with each deal's sums between looks drawn instead of all its labels.

    How many samples of a part are labelled is drawn exactly; the sum of their evidence then, of
    some out of many, as a normal number with the mean and the variance that it has.
    """
    after = np.array(looks.after[: looks.taken(len(evidence))])
    parts = np.split(evidence[: after[-1]], after[:-1])
    sizes = np.array([len(part) for part in parts])
    means, variances = (np.array([of(part) for part in parts]) for of in (np.mean, np.var))
    if kind is Twin.WORDING:
        counts = rng.binomial(sizes, 0.5, (deals, len(sizes)))
    else:
        left = len(labels) - after[-1]
        every = rng.multivariate_hypergeometric([*sizes, left], int(labels.sum()), deals)
        counts = every[:, :-1]
    spread = np.sqrt(counts * (sizes - counts) / np.maximum(sizes - 1, 1) * variances)
    sums = counts * means + spread * rng.normal(size=counts.shape)
    true = np.split(labels[: after[-1]], after[:-1])
    counts = np.vstack([[part.sum() for part in true], counts]).cumsum(axis=1)
    own = [part[label].sum() for part, label in zip(parts, true, strict=True)]
    sums, total = np.vstack([own, sums]).cumsum(axis=1), (sizes * means).cumsum()
    if kind is Twin.WORDING:
        statistics = 2 * (sums - counts * total / after) / after
    else:
        with np.errstate(invalid="ignore", divide="ignore"):
            statistics = sums / counts - (total - sums) / (after - counts)
    return at_looks.test(statistics, looks, len(evidence), 1 / (deals + 1))
