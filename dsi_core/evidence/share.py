"""The share of a dataset that a model was trained on, with an interval.

A measure that tells used samples from unused ones a little, such as a guess of a membership attack
or the closeness of an answer to its sample, has one mean over used samples and another over unused
ones. Over a dataset of which the share s was used, its mean is s * used + (1 - s) * unused, so that
s = (found - unused) / (used - unused).

Both means come from other models or other samples. The share is as good as they fit: a suspect
that learnt all of a dataset, but less well than the model whose mean is taken for used samples,
looks like one that learnt a part of it.

References
----------
Tong et al. 2025 (dataset usage cardinality inference, DUCI, ICLR), who debias an attack's guesses
by its true and false positive rates on reference models.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

DRAWS = 2000
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Share:
    """An estimated share, in [0, 1], and the ends of its 95% interval.

    If the measure does not tell used samples from unused ones, it is NaN, with the ends 0 and 1.
    """

    share: float
    low: float
    high: float


def of_guesses(found: np.ndarray, used: np.ndarray, unused: np.ndarray, seed: int) -> Share:
    """Estimate the share from an attack's guesses.

    Parameters
    ----------
    found, used, unused
        Guesses (True = "was used") on the dataset, on samples that a model of the suspect's kind is
        known to have trained on, and on samples that the suspect cannot have seen; shapes (n,),
        (m,) and (k,).
    seed
        Of the interval: each rate is drawn from its Beta posterior (Jeffreys' prior), which has a
        width at 0 and at 1 too, where a bootstrap of the guesses has none.
    """
    rng = np.random.default_rng(seed)
    drawn = [
        rng.beta(guesses.sum() + 0.5, (~guesses).sum() + 0.5, DRAWS)
        for guesses in (found, used, unused)
    ]
    return _share(*(guesses.mean() for guesses in (found, used, unused)), *drawn)


def of_means(found: np.ndarray, used: np.ndarray, unused: np.ndarray, seed: int) -> Share:
    """Estimate the share from a number for each sample of the dataset, higher = likelier used.

    Parameters
    ----------
    found, used, unused
        Of the suspect, of a model that was trained on all samples, of one that saw none; each of
        shape (samples,), in one order, NaN where there is none.
    seed
        Of the interval: a bootstrap of the samples, the same ones of all three.
    """
    beside = np.stack([found, used, unused])
    beside = beside[:, ~np.isnan(beside).any(axis=0)]
    if not beside.shape[1]:
        return Share(np.nan, 0.0, 1.0)
    rng = np.random.default_rng(seed)
    chosen = rng.integers(beside.shape[1], size=(DRAWS, beside.shape[1]))
    return _share(*beside.mean(axis=1), *beside[:, chosen].mean(axis=2))


def _share(
    found: float,
    used: float,
    unused: float,
    drawn_found: np.ndarray,
    drawn_used: np.ndarray,
    drawn_unused: np.ndarray,
) -> Share:
    drawn = _solved(drawn_found, drawn_used, drawn_unused)
    tail = (1 - CONFIDENCE) / 2
    # A draw in which nothing tells the two apart allows every share
    low = np.quantile(np.where(np.isnan(drawn), 0, drawn), tail)
    high = np.quantile(np.where(np.isnan(drawn), 1, drawn), 1 - tail)
    return Share(float(_solved(found, used, unused)), float(low), float(high))


def _solved(found: ArrayLike, used: ArrayLike, unused: ArrayLike) -> np.ndarray:
    found, used, unused = (np.asarray(values, float) for values in (found, used, unused))
    apart = np.where(used > unused, used - unused, np.nan)
    return np.clip((found - unused) / apart, 0, 1)
