"""Step 5, tainted samples: those that change every reference that trains on them (§5.3, Eq. 1)."""

import pandas as pd

from dsi_core.data.common_words import is_blank

SAID = ["response_before", "response_after"]


def gaps(scores: pd.DataFrame) -> pd.DataFrame:
    """Find the weakest reference gap of each sample.

    Parameters
    ----------
    scores
        One row per (dataset, sample_id, reference) with columns before = s_i = sim(R_i(x), y) and
        after = s_i^t = sim(R_i^t(x), y); response_before and response_after, where texts are known.

    Returns
    -------
    pandas.DataFrame
        One row per (dataset, sample_id): min_gap = min_i (s_i^t - s_i), higher = training on the
        sample changes every reference more. Differs: if a reference is `silent`, it is at most 0,
        as nothing is known of its change, and any text is closer to an answer than no text.

    Raises
    ------
    ValueError
        If a sample lacks a reference or a score.
    """
    gap = scores["after"] - scores["before"]
    table = scores.assign(gap=gap.mask(silent(scores) & (gap > 0), 0.0))
    if table["gap"].isna().any():
        first = table[table["gap"].isna()].iloc[0]
        raise ValueError(
            f"{first['dataset']}: sample {first['sample_id']} "
            f"has no score for reference {first['reference']}"
        )
    for dataset, part in table.groupby("dataset"):
        counts, references = part.groupby("sample_id")["reference"].nunique(), part["reference"]
        if (counts < references.nunique()).any():
            raise ValueError(
                f"{dataset}: sample {counts.idxmin()} has scores of {counts.min()} references, "
                f"others of {references.nunique()}"
            )
    weakest = table.groupby(["dataset", "sample_id"], sort=False)["gap"].min()
    return weakest.rename("min_gap").reset_index()


def silent(scores: pd.DataFrame) -> pd.Series:
    """Tell for each row of `gaps`' scores whether the reference gave no text, before or after.

    A text of invisible characters is none.
    """
    return scores.reindex(columns=SAID).map(is_blank, na_action="ignore").eq(True).any(axis=1)


def tainted(scores: pd.DataFrame, delta_t: float) -> pd.DataFrame:
    """Give `gaps` with a column tainted: min_gap > delta_t (Eq. 1; strictly greater).

    Of two references of one architecture, both must pass, as in the authors' released code, which
    also takes a gap of exactly delta_t.
    """
    table = gaps(scores)
    return table.assign(tainted=table["min_gap"] > delta_t)
