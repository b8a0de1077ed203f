"""Number 3 of a wording twin: does M prefer the wording that a coin chose for publication?

The owner wrote two wordings of every output, and a coin chose which was published. To a model that
never saw D both are alike, or it prefers one for reasons of its own: which of them was published
says nothing about its answers. A model trained on D prefers the published ones. Exact, for any
model, any data and any number of samples, and no other model is needed.
"""

from collections.abc import Iterator
from itertools import product

import numpy as np
from numpy.typing import ArrayLike

from dsi_core.evidence import looks as at_looks
from dsi_core.evidence.looks import DEALS, ExactTest, Looks


def test(
    preference: ArrayLike,
    first_published: ArrayLike,
    groups: ArrayLike,
    looks: Looks,
    seed: int,
    deals: int = DEALS,
) -> ExactTest:
    """Test the preferences so far against the coins' signs, flipped anew.

    Parameters
    ----------
    preference
        Similarity of the answers to the first wording less that to the second, shape (samples
        asked,), in the order of asking; NaN (nothing usable was answered) is passed over.
    first_published
        Whether the coin chose the first wording, shape (samples planned,), in that order.
    groups
        Which coin a sample's is, shape (samples planned,): samples of one group share it.
    looks
        Planned over these samples. Looks and order of asking must not depend on the coins.
    seed
        Of the random deals.
    deals
        How many; where there are fewer ways to throw the coins each is counted once.

    Returns
    -------
    test
        Its statistic: the mean of sign x (preference - mean preference so far), sign = 1 where the
        first wording was published, else -1; in similarity, higher = prefers what was published;
        NaN while there is none.
        (Every model prefers some wordings: without centring the statistic would depend on how many
        of those the coin chose.)

    Raises
    ------
    ValueError
        Where the shapes do not fit the looks.

    References
    ----------
    Fisher's randomisation test by sign flips. Two wordings, one published: Rastogi et al., "STAMP
    Your Content" (2025), which needs log-probabilities.
    """
    preference, groups = np.asarray(preference, float), np.asarray(groups)
    signs = np.where(np.asarray(first_published, bool), 1.0, -1.0)
    at_looks.check_samples(looks, len(preference), first_published=len(signs), groups=len(groups))
    _, first, coin_of = np.unique(groups, return_index=True, return_inverse=True)
    coins = _flipped(signs[first], deals, np.random.default_rng(seed))
    if (signs != signs[first][coin_of]).any():
        raise ValueError("samples of one group share a coin, but their wordings were chosen apart")
    usable = np.flatnonzero(~np.isnan(preference))
    kept, coin_of = preference[usable], coin_of[usable]
    weights = np.full((len(first), looks.taken(len(preference))), np.nan)
    for look, after in enumerate(looks.after[: weights.shape[1]]):
        count = usable.searchsorted(after)
        if count:
            centred = kept[:count] - kept[:count].mean()
            weights[:, look] = np.bincount(coin_of[:count], centred / count, len(first))
    statistics = np.concatenate([block @ weights for block in coins])
    return at_looks.test(statistics, looks, len(usable), attainable(len(first), deals))


def attainable(coins: int, deals: int = DEALS) -> float:
    """Give the smallest p-value that so many coins allow.

    1 / (ways that they can fall), at least 1 / (deals + 1). A single coin decides nothing, as the
    preferences are centred.
    """
    return 1.0 if coins < 2 else max(0.5**coins, 1 / (deals + 1))


def attained(
    groups: ArrayLike, usable: ArrayLike, looks: Looks, seed: int, deals: int = DEALS
) -> np.ndarray:
    """Give the smallest p-value that each look can have, whatever is answered.

    Parameters
    ----------
    usable
        Which samples have evidence, shape (samples asked,), in the order of asking.
    groups, looks, seed, deals
        As for `test`.

    Returns
    -------
    p
        Shape (looks taken,). By `test`'s own deals: where these are random, a few more or fewer
        than by all ways that the coins can fall.
    """
    _, coin_of = np.unique(np.asarray(groups), return_inverse=True)
    seen = at_looks.seen(coin_of, np.asarray(usable, bool), looks)
    flips = _flipped(np.ones(len(seen)), deals, np.random.default_rng(seed))
    return np.where(seen.sum(axis=0) < 2, 1.0, at_looks.agreeing(flips, seen))


def _flipped(signs: np.ndarray, deals: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """The true signs of the coins, then others: all there are, or random ones.

    In blocks, together of shape (deals + 1, coins).
    """
    if 2 ** len(signs) <= deals + 1:
        yield signs * np.array(list(product([1.0, -1.0], repeat=len(signs))))
        return
    signs = signs.astype(np.int8)
    true = signs[None]
    for count in at_looks.blocks(deals, len(signs)):
        random = rng.integers(0, 2, (count, len(signs)), dtype=np.int8)
        yield np.vstack([true, signs * (2 * random - 1)]).astype(float)
        true = true[:0]  # in the first block alone
