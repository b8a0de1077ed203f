"""Step 5, tainted samples: which samples change the answers of every reference that trains on them (§5.3, Eq. 1)."""

import pandas as pd


def gaps(scores: pd.DataFrame) -> pd.DataFrame:
    """The weakest reference gap of each sample.

    scores: one row per (dataset, sample_id, reference) with columns before = s_i = sim(R_i(x), y) and
    after = s_i^t = sim(R_i^t(x), y). Returns one row per (dataset, sample_id): min_gap = min_i (s_i^t - s_i),
    higher = training on the sample changes every reference more. Raises `ValueError` if a sample lacks a reference or score.
    """
    per_reference = scores.assign(gap=scores["after"] - scores["before"])
    if per_reference["gap"].isna().any():
        first = per_reference[per_reference["gap"].isna()].iloc[0]
        raise ValueError(
            f"{first['dataset']}: sample {first['sample_id']} has no score for reference {first['reference']}"
        )
    for dataset, part in per_reference.groupby("dataset"):
        counts = part.groupby("sample_id")["reference"].nunique()
        if (counts < part["reference"].nunique()).any():
            raise ValueError(
                f"{dataset}: sample {counts.idxmin()} has scores of {counts.min()} references, "
                f"others of {part['reference'].nunique()}"
            )
    return (
        per_reference.groupby(["dataset", "sample_id"], sort=False)["gap"]
        .min()
        .rename("min_gap")
        .reset_index()
    )


def tainted(scores: pd.DataFrame, delta_t: float) -> pd.DataFrame:
    """`gaps` with a column tainted: min_gap > delta_t, for every reference (Eq. 1; strictly greater)."""
    table = gaps(scores)
    return table.assign(tainted=table["min_gap"] > delta_t)
