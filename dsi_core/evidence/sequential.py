"""Bets on labels: a test that may be looked at after every sample and stopped at any."""

from bisect import bisect_left, bisect_right

import numpy as np
from numpy.typing import ArrayLike

# How strongly high evidence is taken for "published"; the wealth is spread over them evenly.
BETS = np.array([0.5, 1.0, 2.0, 4.0, 8.0])


def wealth(evidence: ArrayLike, published: ArrayLike, in_all: tuple[int, int]) -> np.ndarray:
    """Wealth of a gambler who bets on each label after seeing the sample's evidence.

    Before label t an innocent model's is "published" with chance q = published left / all left,
    whatever the evidence. The gambler's odds are those of logit(p) = logit(q) + b z, where z in
    [-1, 1] is the rank of the evidence among that seen so far and b one of `BETS`. So his wealth
    is a martingale, and the chance that it ever reaches 1 / alpha is at most alpha (Ville 1939).

    Parameters
    ----------
    evidence
        Shape (samples,), in the order queried, which must be random; NaN (nothing usable was
        answered) = no bet.
    published
        Shape (samples,), bool: the labels.
    in_all
        How many samples could be queried, (published, withheld), whether or not they were.

    Returns
    -------
    wealth
        After each sample, shape (samples,); 1 at the start, higher = against innocence.

    Raises
    ------
    ValueError
        Where there are more samples of a part than `in_all` says.

    References
    ----------
    Betting on labels: Podkopaev and Ramdas, "Sequential predictive two-sample and independence
    testing" (2023). Without replacement: Waudby-Smith and Ramdas (2020). Differs: the predictor
    is a rank, and one-sided.
    """
    evidence, published = np.asarray(evidence, float), np.asarray(published, bool)
    counts = (int(published.sum()), int((~published).sum()))
    if counts[0] > in_all[0] or counts[1] > in_all[1]:
        raise ValueError(
            f"more samples than in_all says there are (published, withheld): {counts} > {in_all}"
        )
    published_left, withheld_left = in_all
    money = np.ones(len(BETS))
    path: list[float] = []
    seen: list[float] = []  # sorted
    for value, is_published in zip(evidence, published, strict=True):
        q = published_left / (published_left + withheld_left)
        if is_published:
            published_left -= 1
        else:
            withheld_left -= 1
        if not np.isnan(value):
            rank = (bisect_left(seen, value) + bisect_right(seen, value) + 1) / (2 * len(seen) + 2)
            seen.insert(bisect_right(seen, value), value)
            odds = np.exp(BETS * (2 * rank - 1))
            money = money * (odds if is_published else 1.0) / (q * odds + 1 - q)
        path.append(money.mean())
    return np.array(path)


def stopped_after(reached: ArrayLike) -> int | None:
    """How many samples were queried when `reached` (bool, shape (samples,)) was first true.

    None = never.
    """
    hits = np.flatnonzero(reached)
    return int(hits[0]) + 1 if len(hits) else None
