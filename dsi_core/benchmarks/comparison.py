"""Stock beside ours, a row for each comparison: rates, their ratio, the share of the peak."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import pandas as pd

COLUMNS = [
    "what",
    "model",
    "unit",
    "stock",
    "ours",
    "ratio",
    "target",
    "same",
    "share_of_peak",
    "workload",
    "threads",
]


@dataclass(frozen=True)
class Comparison:
    """Stock beside ours.

    Parameters
    ----------
    what, model
        What is compared, with which model.
    unit
        Of the two rates.
    stock, ours
        Higher = better.
    same
        How equal the results are.
    workload
        In words.
    target
        Of the ratio; None = none.
    gflops
        Our 10^9 needed operations per second; None where they are not counted.
    threads
        Of each process.
    """

    what: str
    model: str
    unit: str
    stock: float
    ours: float
    same: str
    workload: str
    target: float | None = None
    gflops: float | None = None
    threads: int = 1

    @property
    def ratio(self) -> float:
        """How many times faster ours is."""
        return self.ours / self.stock

    def share_of_peak(self, peak_gflops: float) -> float | None:
        """Our operations per second over those of the peak, 0 to 1; None if not counted."""
        return None if self.gflops is None else self.gflops / peak_gflops


def table(comparisons: Sequence[Comparison], peak_gflops: float) -> pd.DataFrame:
    """Show comparisons, one a row.

    Returns
    -------
    pandas.DataFrame
        what, model, unit, stock, ours (both in unit, higher is better), ratio = ours / stock,
        target (of the ratio), same (how equal the results are), share_of_peak (0 to 1: our
        operations per second over those of a matrix product on one core; missing for two cores),
        workload, threads (of each process).
    """
    rows = [
        {**asdict(c), "ratio": c.ratio, "share_of_peak": c.share_of_peak(peak_gflops)}
        for c in comparisons
    ]
    return pd.DataFrame(rows, columns=COLUMNS).astype({"target": float, "share_of_peak": float})
