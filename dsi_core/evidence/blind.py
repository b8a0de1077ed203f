"""The blind check: how well a classifier that queries no model tells two sets of texts apart.

If it can tell the published part from its withheld twin, the twin is no twin, and a model may
answer the two differently without having seen either. If it can tell D from what the control models
were tuned on, those controls are easy ones.
"""

from dataclasses import dataclass

import numpy as np

from dsi_core.evidence import intervals, ranks

WARN_ABOVE = 0.6


@dataclass(frozen=True)
class BlindCheck:
    """How well a classifier's scores tell one set of pairs from another.

    Attributes
    ----------
    auc
        AUROC: 0.5 or less = cannot tell, 1 = tells every pair. Each pair is scored by a classifier
        that did not see it, so that with few pairs, where one left out is one less of its kind, it
        may fall far below 0.5. NaN where there were too few pairs for a classifier.
    low, high
        Its 95% interval (`intervals.newcombe`), or NaN.
    pairs
        How many, of (one set, the other).
    """

    auc: float
    low: float
    high: float
    pairs: tuple[int, int]


def check(one: np.ndarray, other: np.ndarray) -> BlindCheck:
    """Compare the scores of two sets: shapes (n,) and (m,), higher = likelier of the first set.

    Scores of NaN, of sets too small for a classifier, give NaN.
    """
    auc = ranks.auroc(one, other)
    low, high = intervals.newcombe(auc, len(one), len(other))
    return BlindCheck(auc, low, high, (len(one), len(other)))


def tells_apart(auc: float | None) -> bool:
    """Whether an AUROC is one to warn of: above `WARN_ABOVE`; not where there is none."""
    return auc is not None and auc > WARN_ABOVE
