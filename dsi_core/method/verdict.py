"""Step 6, the verdict: is the suspect closer to the references that trained on D, or to those that did not? (§5.4, Eq. 2)"""

import pandas as pd

SAMPLE = ["dataset", "suspect", "sample_id"]
SUSPECT = ["dataset", "suspect"]


def evidence(answers: pd.DataFrame, delta_s: float, mu: int) -> pd.DataFrame:
    """Positive, negative or filtered, for each sample of each suspect.

    answers: one row per (dataset, suspect, sample_id, draw, reference) with columns response and
    gap = h_{i,r} = sim(R_i^t(x), m_r) - sim(R_i(x), m_r). Responses under `mu` UTF-8 bytes are dropped (§5.3, pre-filtering), and so
    are those with a status, where there is such a column, other than "answered". Returns one row per sample: evidence =
    max_r min_i h_{i,r} (higher = closer to the tuned references; NaN when no response is left), status = "positive" iff
    evidence > delta_s, "filtered" iff no response is left, else "negative". Raises `ValueError` if an answer lacks a reference or a gap. Source: Eq. 2.
    Differs: "the largest delta_s" of three responses is read as the response whose weakest reference gap is largest.
    """
    if not len(answers):
        return pd.DataFrame(columns=[*SAMPLE, "evidence", "status"])
    counts = answers.groupby([*SAMPLE, "draw"])["reference"].nunique()
    if (counts < answers["reference"].nunique()).any() or answers["gap"].isna().any():
        raise ValueError(
            f"answers need a gap to each of {answers['reference'].nunique()} references; see {counts.idxmin()}"
        )
    usable = answers["response"].str.encode("utf-8").str.len() >= mu
    if "status" in answers:
        usable &= answers["status"] == "answered"
    per_response = answers[usable].groupby([*SAMPLE, "draw"], sort=False)["gap"].min()
    best = per_response.groupby(SAMPLE, sort=False).max().rename("evidence")
    table = answers[SAMPLE].drop_duplicates().merge(best.reset_index(), how="left", on=SAMPLE)
    status = pd.Series("negative", index=table.index).mask(table["evidence"] > delta_s, "positive")
    return table.assign(status=status.mask(table["evidence"].isna(), "filtered"))


def verdicts(evidence: pd.DataFrame, suspects: pd.DataFrame) -> pd.DataFrame:
    """The vote (§5.4): member iff positives > negatives; a tie is non-member; nothing to count is inconclusive.

    evidence: rows of tainted samples only. suspects: columns dataset, suspect (others are kept). Returns
    `suspects` with columns positive, negative, filtered (counts) and verdict.
    """
    counts = evidence.groupby([*SUSPECT, "status"]).size().unstack(fill_value=0)
    counts = counts.reindex(
        columns=["positive", "negative", "filtered"], fill_value=0
    ).reset_index()
    table = suspects.merge(counts, how="left", on=SUSPECT).fillna(
        {"positive": 0, "negative": 0, "filtered": 0}
    )
    table = table.astype({"positive": int, "negative": int, "filtered": int})
    vote = (table["positive"] > table["negative"]).map({True: "member", False: "non-member"})
    return table.assign(
        verdict=vote.mask(table["positive"] + table["negative"] == 0, "inconclusive")
    )


def judge(
    answers: pd.DataFrame, tainted: pd.DataFrame, suspects: pd.DataFrame, delta_s: float, mu: int
) -> pd.DataFrame:
    """`verdicts` over the tainted samples: `tainted` has columns dataset, sample_id, tainted."""
    chosen = tainted.loc[tainted["tainted"], ["dataset", "sample_id"]]
    return verdicts(
        evidence(answers.merge(chosen, on=["dataset", "sample_id"]), delta_s, mu), suspects
    )
