"""The blind check: how well a classifier that queries no model tells two sets of texts apart.

If it can tell D from what the control models were tuned on, a model may answer the two differently
without having seen either, and those controls are easy ones. The p-value is exact: had a coin
decided which pair is of which set, the classifier, fitted anew to labels dealt anew, would do as
well as it did in a share p of the deals.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from dsi_core.evidence import intervals
from dsi_core.evidence.permutation import TIE, needed

ALPHA = 0.05  # the p-value up to which sets are told apart


@dataclass(frozen=True)
class BlindCheck:
    """How well a classifier's scores tell one set of pairs from another.

    Attributes
    ----------
    auc
        AUROC: 0.5 or less = cannot tell, 1 = tells every pair. Each pair is scored by a classifier
        that did not see it. With few pairs, leaving one out lowers the share of its own set, so
        that the AUROC may fall far below 0.5. NaN where there were too few pairs for a classifier.
    low, high
        Its 95% interval (`intervals.newcombe`), or NaN.
    p
        Share of the deals of labels, the true one counted, with as large an AUROC; NaN with `auc`.
        Close to 1: the sets are more alike than sets drawn at random, an atypical draw.
    noticed
        The smallest true AUROC, at most 1, that this check detects (p <= `ALPHA`) with probability
        `POWER`; a smaller difference may go unnoticed. NaN with `auc`.
    pairs
        How many, of (one set, the other).
    """

    auc: float
    low: float
    high: float
    p: float
    noticed: float
    pairs: tuple[int, int]


def check(auc: float, relabelled: ArrayLike, pairs: tuple[int, int]) -> BlindCheck:
    """Compare an AUROC with those of the same pairs under labels dealt anew.

    Parameters
    ----------
    auc
        In [0, 1], of `pairs`; NaN of sets too small for a classifier.
    relabelled
        Shape (deals,): the AUROC that came out of each, each by a classifier of its own.
    pairs
        How many, of (one set, the other).
    """
    low, high = intervals.newcombe(auc, *pairs)
    if np.isnan(auc):
        return BlindCheck(auc, low, high, np.nan, np.nan, pairs)
    values = np.asarray(relabelled, float)
    deals = len(values) + 1  # with the true one
    p = (1 + np.count_nonzero(values >= auc - TIE)) / deals
    noticed = min(1.0, needed(values, deals, ALPHA))
    return BlindCheck(auc, low, high, float(p), noticed, pairs)
