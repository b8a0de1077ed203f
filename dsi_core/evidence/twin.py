"""Number 3 of a private twin: does M know the published samples better than the withheld ones?

The owner kept a random part of the data unpublished. To a model that never saw D both parts are
alike, or some samples are easier: which of them were published says nothing about its answers.
Exact, for any model, any data and any number of samples, and no other model is needed.
"""

from collections.abc import Iterator
from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import ArrayLike

from dsi_core.evidence import looks as at_looks
from dsi_core.evidence.looks import DEALS, ExactTest, Looks


def test(
    evidence: ArrayLike,
    published: ArrayLike,
    groups: ArrayLike,
    looks: Looks,
    seed: int,
    deals: int = DEALS,
) -> ExactTest:
    """Test the evidence so far against the labels, dealt anew.

    Parameters
    ----------
    evidence
        How close the answers are to the sample's own text, shape (samples asked,), in the order of
        asking; higher = closer; NaN (nothing usable was answered) is passed over.
    published
        Whether a sample was published, shape (samples planned,), in that order: the labels of all,
        as they are dealt anew over all.
    groups
        Shape (samples planned,): samples of one group share a label.
    looks
        Planned over these samples. Looks and order of asking must not depend on the labels.
    seed
        Of the random deals.
    deals
        How many; where there are fewer ways to deal the labels each is counted once.

    Returns
    -------
    test
        Its statistic: the mean evidence of the published samples less that of the withheld ones so
        far; higher = knows the published part better. NaN while a part has none.

    Raises
    ------
    ValueError
        Where the shapes do not fit the looks, or a group has both labels.

    References
    ----------
    Fisher's randomisation test.
    """
    evidence, groups = np.asarray(evidence, float), np.asarray(groups)
    labels = np.asarray(published, bool)
    at_looks.check_samples(looks, len(evidence), published=len(labels), groups=len(groups))
    _, first, group_of = np.unique(groups, return_index=True, return_inverse=True)
    if (labels != labels[first][group_of]).any():
        raise ValueError("samples of one group share a label, but some were published, some not")
    dealt = _dealt(labels[first], deals, np.random.default_rng(seed))
    usable = np.flatnonzero(~np.isnan(evidence))
    kept, group_of = evidence[usable], group_of[usable]
    taken = looks.taken(len(evidence))
    sums = np.zeros((2, len(first), taken))  # of evidence, of samples: by group, at each look
    for look, after in enumerate(looks.after[:taken]):
        so_far = slice(usable.searchsorted(after))
        sums[0, :, look] = np.bincount(group_of[so_far], kept[so_far], len(first))
        sums[1, :, look] = np.bincount(group_of[so_far], minlength=len(first))
    total, count = sums.sum(axis=1)
    inside, count_inside = np.concatenate([block @ sums for block in dealt], axis=1)
    one_part_alone = (count_inside == 0) | (count_inside == count)
    with np.errstate(invalid="ignore", divide="ignore"):
        difference = inside / count_inside - (total - inside) / (count - count_inside)
    statistics = np.where(one_part_alone, np.nan, difference)
    smallest = attainable(len(first), int(labels[first].sum()), deals)
    return at_looks.test(statistics, looks, len(usable), smallest)


def attainable(groups: int, published: int, deals: int = DEALS) -> float:
    """Give the smallest p-value that so many groups, of which these are published, allow.

    1 / (ways to deal the labels), at least 1 / (deals + 1); 1 for one part alone.
    """
    return max(1 / comb(groups, published), 1 / (deals + 1))


def attained(
    published: ArrayLike,
    groups: ArrayLike,
    usable: ArrayLike,
    looks: Looks,
    seed: int,
    deals: int = DEALS,
) -> np.ndarray:
    """Give the smallest p-value that each look can have, whatever is answered.

    Parameters
    ----------
    usable
        Which samples have evidence, shape (samples asked,), in the order of asking.
    published, groups, looks, seed, deals
        As for `test`.

    Returns
    -------
    p
        Shape (looks taken,). By `test`'s own deals: where these are random, a few more or fewer
        than by all ways to deal the labels. 1 where one part alone has evidence.
    """
    _, first, group_of = np.unique(np.asarray(groups), return_index=True, return_inverse=True)
    labels = np.asarray(published, bool)[first]
    seen = at_looks.seen(group_of, np.asarray(usable, bool), looks)
    dealt = _dealt(labels, deals, np.random.default_rng(seed))
    inside = labels @ seen.astype(int)
    one_part_alone = (inside == 0) | (inside == seen.sum(axis=0))
    return np.where(one_part_alone, 1.0, at_looks.agreeing(dealt, seen))


def _dealt(labels: np.ndarray, deals: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """The true labels of the groups, then others: all there are, or random ones.

    In blocks, together of shape (deals + 1, groups), 1 = published.
    """
    size, published = len(labels), int(labels.sum())
    if comb(size, published) > deals + 1:
        true = labels[None]
        for count in at_looks.blocks(deals, size):
            lots = rng.random((count, size))  # the groups with the smallest are published
            random = lots <= np.partition(lots, published - 1, axis=1)[:, [published - 1]]
            yield np.vstack([true, random]).astype(float)
            true = true[:0]  # in the first block alone
        return
    every = np.array(list(combinations(range(size), published)), int)  # (ways, published)
    ways = np.zeros((len(every), size), bool)
    np.put_along_axis(ways, every, True, axis=1)
    others = ways[(ways != labels).any(axis=1)]
    yield np.vstack([labels, others]).astype(float)
