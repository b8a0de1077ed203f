"""Step 6, the verdict: which set of references does the suspect answer like? (§5.4, Eq. 2)."""

from enum import StrEnum

import pandas as pd

from dsi_core.evidence import intervals
from dsi_core.method.participants import Membership

SAMPLE = ["dataset", "suspect", "sample_id"]
SUSPECT = ["dataset", "suspect"]


class Status(StrEnum):
    """What Eq. 2 says of a sample."""

    POSITIVE = "positive"  # some answer is closer to every tuned reference by more than delta_s
    NEGATIVE = "negative"
    FILTERED = "filtered"  # no usable answer is left


def evidence(answers: pd.DataFrame, delta_s: float, mu: int) -> pd.DataFrame:
    """Call each sample of each suspect positive, negative or filtered.

    Responses under `mu` UTF-8 bytes are dropped (§5.3, pre-filtering), and so are those with a
    status, where there is such a column, other than "answered".

    Parameters
    ----------
    answers
        One row per (dataset, suspect, sample_id, draw, reference) with columns response and
        gap = h_{i,r} = sim(R_i^t(x), m_r) - sim(R_i(x), m_r).
    delta_s
        On the scale of the gaps.

    Returns
    -------
    pandas.DataFrame
        One row per sample: evidence = max_r min_i h_{i,r} (higher = closer to the tuned references;
        NaN when no response is left), and status, a `Status`: positive iff evidence > delta_s.

    Raises
    ------
    ValueError
        If an answer lacks a reference or a gap.

    References
    ----------
    Eq. 2. Differs: "the largest delta_s" of three responses is read as the response whose weakest
    reference gap is largest.
    """
    if not len(answers):
        return pd.DataFrame(columns=[*SAMPLE, "evidence", "status"])
    references = answers["reference"].nunique()
    counts = answers.groupby([*SAMPLE, "draw"])["reference"].nunique()
    if (counts < references).any() or answers["gap"].isna().any():
        raise ValueError(
            f"answers need a gap to each of {references} references; see {counts.idxmin()}"
        )
    usable = answers["response"].map(lambda text: len(text.encode())) >= mu
    if "status" in answers:
        usable &= answers["status"] == "answered"
    weakest = answers[usable].groupby([*SAMPLE, "draw"], sort=False)["gap"].min()
    best = weakest.groupby(SAMPLE, sort=False).max().rename("evidence").reset_index()
    table = answers[SAMPLE].drop_duplicates().merge(best, how="left", on=SAMPLE)
    status = pd.Series(str(Status.NEGATIVE), index=table.index)
    status = status.mask(table["evidence"] > delta_s, str(Status.POSITIVE))
    return table.assign(status=status.mask(table["evidence"].isna(), str(Status.FILTERED)))


def verdicts(evidence: pd.DataFrame, suspects: pd.DataFrame) -> pd.DataFrame:
    """Count the vote: member iff positives > negatives; a tie is non-member (§5.4).

    Nothing to count is inconclusive.

    Parameters
    ----------
    evidence
        Rows of tainted samples only: dataset, suspect, status.
    suspects
        Columns dataset, suspect (others are kept).

    Returns
    -------
    pandas.DataFrame
        `suspects` with columns positive, negative, filtered (counts) and verdict.
    """
    kinds = [str(status) for status in Status]
    counts = evidence.groupby([*SUSPECT, "status"]).size().unstack(fill_value=0)
    counts = counts.reindex(columns=kinds, fill_value=0).reset_index()
    table = suspects.merge(counts, how="left", on=SUSPECT)
    table = table.fillna(dict.fromkeys(kinds, 0)).astype(dict.fromkeys(kinds, int))
    verdict = (table["positive"] > table["negative"]).map(lambda more: str(Membership.of(more)))
    nothing = table["positive"] + table["negative"] == 0
    return table.assign(verdict=verdict.mask(nothing, str(Membership.INCONCLUSIVE)))


def judge(
    answers: pd.DataFrame,
    tainted: pd.DataFrame,
    suspects: pd.DataFrame,
    delta_s: float,
    mu: int,
) -> pd.DataFrame:
    """Give `verdicts` over the tainted samples: `tainted` has dataset, sample_id, tainted."""
    chosen = tainted.loc[tainted["tainted"], ["dataset", "sample_id"]]
    table = evidence(answers.merge(chosen, on=["dataset", "sample_id"]), delta_s, mu)
    return verdicts(table, suspects)


def votes(verdicts: pd.DataFrame) -> pd.DataFrame:
    """Add the share of positive samples among those that count.

    Parameters
    ----------
    verdicts
        Columns positive, negative (counts).

    Returns
    -------
    pandas.DataFrame
        `verdicts` with share = positive / (positive + negative), in [0, 1], NaN where nothing
        counts, and its 95% Wilson interval: low, high.
    """
    counted = verdicts["positive"] + verdicts["negative"]
    table = intervals.with_wilson(verdicts.assign(counted=counted), "positive", "counted")
    share = table["positive"] / counted.where(counted > 0)
    return table.assign(share=share.round(4))[[*verdicts.columns, "share", "low", "high"]]
