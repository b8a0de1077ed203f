"""DIA, LLM dataset inference (Maini et al. 2024, arXiv 2406.06443): features -> linear model -> one-sided t-test.

The owner has a suspect set and a validation set of the same distribution that nobody could train on. Half of each fits a linear model that
tells the two apart by features of the suspect model's token losses; on the other halves its scores are compared. If the model never saw
either set, nothing tells them apart, and the p-value is small no oftener than by chance. All rests on the validation set's being unseen: a model
that saw both sets is missed, and one that saw the *validation* set alone is accused, for the linear model learns that the sets differ and not
which of them should be the familiar one (`validation_leak`).

Differs from the released code: statistics of the features (outliers, mean, standard deviation) come from the fitting halves alone, of both
classes together, and are applied to the other halves; few rows do not break the outlier step; the linear model has an L2 penalty and is
fitted to its optimum (released: 1,000 steps of Adam without a penalty); seeds are arguments; a higher score means a likelier member.
"""

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.linear_model import LogisticRegression

from dsi_core.grey_box import mia_loss

SHARES = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
TRIMMED = 0.025  # at either end, of a feature's values in the fitting halves
NEEDS = "the probability of every token of a given text; pairs of D's own distribution that no model can have seen"


def features(logprobs: np.ndarray, mask: np.ndarray, texts: list[str]) -> pd.DataFrame:
    """The released code's 16 features of a text's own losses (nats), one row per text: ppl, k_min_probs_K, k_max_probs_K, zlib_ratio.

    k_min: the mean of the share K of *smallest losses*, the likeliest tokens; k_max: of the largest, which is Min-K% Prob with its sign
    changed.
    """
    mean = -mia_loss.loss(logprobs, mask)
    smallest = {f"k_min_probs_{k:g}": mia_loss.min_k(-logprobs, mask, k) for k in SHARES}
    largest = {f"k_max_probs_{k:g}": -mia_loss.min_k(logprobs, mask, k) for k in SHARES}
    return pd.DataFrame(
        {
            "ppl": np.exp(mean),
            **smallest,
            **largest,
            "zlib_ratio": -mia_loss.zlib(logprobs, mask, texts),
        }
    )


def halves(count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Positions of `count` rows in two random halves, the first one no larger."""
    order = rng.permutation(count)
    return order[: count // 2], order[count // 2 :]


def test(suspect: np.ndarray, validation: np.ndarray, *, seed: int, ridge: float = 1.0) -> dict:
    """One split. suspect, validation: features, shapes (n, features) and (m, features), n and m at least 4.

    Returns p (one-sided Student t-test: do the suspect set's held-out scores lie above the validation set's?), d (Cohen's d of the held-out
    scores; positive = the suspect set looks more like a member), held_out (how many of each were compared). Raises `ValueError` for fewer
    rows or values that are not finite.
    """
    both = (np.asarray(suspect, float), np.asarray(validation, float))
    if min(map(len, both)) < 4:
        raise ValueError(
            f"DIA needs at least 4 samples on either side, got {len(suspect)} and {len(validation)}"
        )
    if not all(np.isfinite(x).all() for x in both):
        raise ValueError("DIA's features must be finite numbers")
    rng = np.random.default_rng(seed)
    fitted, held = zip(*(halves(len(x), rng) for x in both))
    fit = np.concatenate([x[i] for x, i in zip(both, fitted)])
    scale = scaler(fit)
    model = LogisticRegression(C=1 / ridge, max_iter=10_000).fit(
        scale(fit), np.repeat([1, 0], [len(i) for i in fitted])
    )
    ours, theirs = (model.decision_function(scale(x[i])) for x, i in zip(both, held))
    return {
        "p": t_test(ours, theirs),
        "d": cohens_d(ours, theirs),
        "held_out": (len(ours), len(theirs)),
    }


def scaler(fit: np.ndarray):
    """A function that treats features, shape (rows, features), by the statistics of the fitting rows: values beyond their trimmed range
    become the mean of what lies in it, and every feature gets mean 0 and standard deviation 1 there. With fewer than 1 / `TRIMMED` fitting
    rows nothing is trimmed.
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
    """p-value of Student's t-test with pooled variance: are the suspect set's scores higher? 0.5 where no score differs from another."""
    if np.ptp(np.concatenate([suspect, validation])) == 0:
        return 0.5
    return float(stats.ttest_ind(suspect, validation, alternative="greater").pvalue)


def cohens_d(one: np.ndarray, other: np.ndarray) -> float:
    """Difference of means in pooled standard deviations; positive = `one` is higher. NaN without any spread."""
    n, m = len(one), len(other)
    pooled = ((n - 1) * np.var(one, ddof=1) + (m - 1) * np.var(other, ddof=1)) / (n + m - 2)
    return float((np.mean(one) - np.mean(other)) / np.sqrt(pooled)) if pooled > 0 else float("nan")


def control(validation: np.ndarray, *, seed: int, ridge: float = 1.0) -> dict:
    """`test` of one random half of the validation set against the other: what p looks like where there is nothing to find. Needs 8
    samples.
    """
    one, other = halves(len(validation), np.random.default_rng([seed, 1]))
    return test(validation[one], validation[other], seed=seed, ridge=ridge)
