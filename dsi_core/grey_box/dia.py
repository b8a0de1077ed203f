"""DIA, LLM dataset inference: features, a linear model, a one-sided t-test.

The owner has a suspect set and a validation set of the same distribution that nobody could train
on. Half of each fits a linear model that tells the two apart by features of the suspect model's
token losses; on the other halves its scores are compared. If the model never saw either set,
nothing tells them apart, and the p-value is small no more often than by chance.

All rests on an unseen validation set: a model that saw both sets is missed, and one that saw only
the *validation* set is accused, as the linear model learns that the sets differ and not which of
them should be the familiar one (see `leak`).

Source: Maini et al. 2024 (arXiv 2406.06443). Differs from the released code: statistics of the
features (outliers, mean, standard deviation) come from the fitting halves alone, of both classes
together, and are applied to the other halves; few rows do not break the outlier step; the linear
model has an L2 penalty and is fitted to its optimum (released: 1,000 steps of Adam without a
penalty); seeds are arguments; a higher score means a likelier member.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.linear_model import LogisticRegression

from dsi_core.grey_box import attacks
from dsi_core.grey_box.attacks import Access, Needs

SHARES = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
TRIMMED = 0.025  # at either end, of a feature's values in the fitting halves
NEEDS = Needs(Access.PROBABILITIES, f"{attacks.PROBABILITIES}; {attacks.UNSEEN}")
FEWEST = 4  # samples of a set
TOLERANCE = 1e-8  # of the gradient: at scikit-learn's own p is off by up to a tenth


@dataclass(frozen=True)
class Split:
    """What one random split says.

    Parameters
    ----------
    p
        Of the one-sided Student t-test: do the suspect set's held-out scores lie above the
        validation set's?
    d
        Cohen's d of the held-out scores; positive = the suspect set looks more like a member.
    held_out
        How many scores of the suspect set and of the validation set were compared.
    """

    p: float
    d: float
    held_out: tuple[int, int]


def features(logprobs: np.ndarray, mask: np.ndarray, texts: Sequence[str]) -> pd.DataFrame:
    """Give the released code's 16 features of a text's own losses (nats), a row for each text.

    Columns ppl, k_min_probs_K (the mean of the share K of *smallest losses*, the likeliest tokens),
    k_max_probs_K (of the largest, which is Min-K% Prob with its sign changed), zlib_ratio.
    """
    smallest = {f"k_min_probs_{k:g}": attacks.min_k(-logprobs, mask, k) for k in SHARES}
    largest = {f"k_max_probs_{k:g}": -attacks.min_k(logprobs, mask, k) for k in SHARES}
    return pd.DataFrame(
        {
            "ppl": np.exp(-attacks.mean_logprob(logprobs, mask)),
            **smallest,
            **largest,
            "zlib_ratio": -attacks.per_zlib_byte(logprobs, mask, texts),
        }
    )


def halves(count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Deal the positions of `count` rows into two random halves, the first one no larger."""
    order = rng.permutation(count)
    return order[: count // 2], order[count // 2 :]


def test(suspect: np.ndarray, validation: np.ndarray, *, seed: int, ridge: float = 1.0) -> Split:
    """Split both sets at random, fit on one half of each and compare the other halves.

    Parameters
    ----------
    suspect, validation
        Features, shapes (n, features) and (m, features), n and m at least 4.
    seed
        Of the halves.
    ridge
        L2 penalty: 1 / scikit-learn's C.

    Raises
    ------
    ValueError
        For fewer rows, or values that are not finite.
    """
    suspect, validation = np.asarray(suspect, float), np.asarray(validation, float)
    if min(len(suspect), len(validation)) < FEWEST:
        raise ValueError(
            f"DIA needs at least {FEWEST} samples on either side, "
            f"got {len(suspect)} and {len(validation)}"
        )
    if not (np.isfinite(suspect).all() and np.isfinite(validation).all()):
        raise ValueError("DIA's features must be finite numbers")
    rng = np.random.default_rng(seed)
    fit_suspect, held_suspect = halves(len(suspect), rng)
    fit_validation, held_validation = halves(len(validation), rng)
    fit = np.concatenate([suspect[fit_suspect], validation[fit_validation]])
    labels = np.repeat([1, 0], [len(fit_suspect), len(fit_validation)])
    scale = scaler(fit)
    model = LogisticRegression(C=1 / ridge, solver="newton-cholesky", tol=TOLERANCE)
    model.fit(scale(fit), labels)
    of_suspect = model.decision_function(scale(suspect[held_suspect]))
    of_validation = model.decision_function(scale(validation[held_validation]))
    return Split(
        p=t_test(of_suspect, of_validation),
        d=cohens_d(of_suspect, of_validation),
        held_out=(len(of_suspect), len(of_validation)),
    )


def scaler(fit: np.ndarray):
    """Give a function that treats features by the statistics of the fitting rows.

    Values beyond their trimmed range become the mean of what lies in it, and every feature gets
    mean 0 and standard deviation 1 there. With fewer than 1 / `TRIMMED` fitting rows nothing is
    trimmed. Features: shape (rows, features).
    """
    cut, ordered = int(TRIMMED * len(fit)), np.sort(fit, axis=0)
    low, high = ordered[cut], ordered[len(fit) - 1 - cut]
    inside = ordered[cut : len(fit) - cut]
    mean, std = inside.mean(axis=0), inside.std(axis=0)

    def scale(rows: np.ndarray) -> np.ndarray:
        trimmed = np.where((rows < low) | (rows > high), mean, rows) if cut else rows
        return (trimmed - mean) / np.where(std > 0, std, 1.0)

    return scale


def t_test(suspect: np.ndarray, validation: np.ndarray) -> float:
    """Give the p-value of Student's t-test, pooled variance: are the suspect set's scores higher?

    0.5 where no score differs from another.
    """
    if np.ptp(np.concatenate([suspect, validation])) == 0:
        return 0.5
    # From moments: `ttest_ind` takes ten times as long to prepare two rows of numbers
    moments = [(np.mean(s), np.std(s, ddof=1), len(s)) for s in (suspect, validation)]
    found = stats.ttest_ind_from_stats(*moments[0], *moments[1], alternative="greater")
    return float(found.pvalue)


def cohens_d(one: np.ndarray, other: np.ndarray) -> float:
    """Give the difference of means in pooled standard deviations; positive = `one` is higher.

    NaN without any spread.
    """
    n, m = len(one), len(other)
    pooled = ((n - 1) * np.var(one, ddof=1) + (m - 1) * np.var(other, ddof=1)) / (n + m - 2)
    return float((np.mean(one) - np.mean(other)) / np.sqrt(pooled)) if pooled > 0 else float("nan")


def control(validation: np.ndarray, *, seed: int, ridge: float = 1.0) -> Split:
    """Give `test` of one random half of the validation set against the other.

    That is what p looks like where there is nothing to find. Needs 8 samples.
    """
    one, other = halves(len(validation), np.random.default_rng([seed, 1]))
    return test(validation[one], validation[other], seed=seed, ridge=ridge)
