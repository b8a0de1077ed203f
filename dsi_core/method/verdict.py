"""Step 6, the verdict: which set of references does the suspect answer like? (§5.4, Eq. 2)."""

from collections.abc import Iterable, Iterator
from enum import StrEnum

import pandas as pd

from dsi_core.evidence import intervals
from dsi_core.method.participants import Membership
from dsi_core.settings.schema import Rule

SAMPLE = ["dataset", "suspect", "sample_id"]
SUSPECT = ["dataset", "suspect"]
SIDES = ["before", "after"]


class Status(StrEnum):
    """What Eq. 2 says of a sample."""

    POSITIVE = "positive"  # some answer is closer to every tuned reference by more than delta_s
    NEGATIVE = "negative"
    FILTERED = "filtered"  # no usable answer is left


def evidence(
    answers: pd.DataFrame, delta_s: float, mu: int, rule: Rule = Rule.TEXT
) -> pd.DataFrame:
    """Call each sample of each suspect positive, negative or filtered.

    The text drops responses under `mu` UTF-8 bytes (§5.3, pre-filtering); the released code does
    not read it. Responses with a status, where there is such a column, other than "answered" are
    dropped in any case.

    Parameters
    ----------
    answers
        One row per (dataset, suspect, sample_id, draw, reference) with columns response and
        gap = h_{i,r} = sim(R_i^t(x), m_r) - sim(R_i(x), m_r); for the released rule also
        architecture, before = sim(R_i(x), m_r) and after = sim(R_i^t(x), m_r).
    delta_s
        On the scale of the gaps.
    rule
        text: evidence = max_r min_i h_{i,r}, one response leans to every tuned reference.
        released: evidence = min_i (max_r sim(R_i^t(x), m_r) - max_r sim(R_i(x), m_r)) over the
        architectures i, of whose references the best counts on either side: each maximum may be
        of another response.

    Returns
    -------
    pandas.DataFrame
        One row per sample: evidence (higher = closer to the tuned references; NaN when no response
        is left), and status, a `Status`: positive iff evidence > delta_s.

    Raises
    ------
    ValueError
        If an answer lacks a reference or a gap, or the table what the released rule reads.

    References
    ----------
    Eq. 2. Differs: "the largest delta_s" of three responses is read as the response whose weakest
    reference gap is largest. The released rule is that of rkzhou/LLM_dataset_detection
    (main/measurement.py at 4ca781d). Differs: there an R_i answers once, here once for each of its
    tuned references (`more_references`).
    """
    if not len(answers):
        return pd.DataFrame(columns=[*SAMPLE, "evidence", "status"])
    references = answers["reference"].nunique()
    known = answers.assign(reference=answers["reference"].where(answers["gap"].notna()))
    counts = known.groupby([*SAMPLE, "draw"])["reference"].nunique()
    if (counts < references).any():
        one = counts.rename("known").reset_index().sort_values("known").iloc[0]
        raise ValueError(
            f"{one['dataset']}: answer {one['draw']} of {one['suspect']} to sample "
            f"{one['sample_id']} has a gap to {one['known']} of {references} references"
        )
    arrived = answers[answers["status"] == "answered"] if "status" in answers else answers
    told = _of_released_code(arrived) if rule == Rule.RELEASED else _of_text(arrived, mu)
    found = told.rename("evidence").reset_index()
    return _called(answers[SAMPLE].drop_duplicates().merge(found, how="left", on=SAMPLE), delta_s)


def _called(table: pd.DataFrame, delta_s: float) -> pd.DataFrame:
    """Samples (column evidence) with their status at a threshold."""
    status = pd.Series(str(Status.NEGATIVE), index=table.index)
    status = status.mask(table["evidence"] > delta_s, str(Status.POSITIVE))
    return table.assign(status=status.mask(table["evidence"].isna(), str(Status.FILTERED)))


def _of_text(answers: pd.DataFrame, mu: int) -> pd.Series:
    long_enough = answers["response"].map(lambda text: len(text.encode())) >= mu
    weakest = answers[long_enough].groupby([*SAMPLE, "draw"], sort=False)["gap"].min()
    return weakest.groupby(SAMPLE, sort=False).max()


def _of_released_code(answers: pd.DataFrame) -> pd.Series:
    if missing := {"architecture", *SIDES} - set(answers):
        raise ValueError(
            f"rule: released needs columns {', '.join(sorted(missing))} of the answers; "
            "study.gaps_to gives them, a prepared folder does not hold them"
        )
    best = answers.groupby([*SAMPLE, "architecture"], sort=False)[SIDES].max()
    return (best["after"] - best["before"]).groupby(SAMPLE, sort=False).min()


def verdicts(
    evidence: pd.DataFrame, suspects: pd.DataFrame, rule: Rule = Rule.TEXT
) -> pd.DataFrame:
    """Count the vote: member iff positives > negatives (§5.4).

    A tie is non-member, and nothing to count is inconclusive. In the released code (main/
    measurement.py) both are member: there positives need only be as many as negatives.

    Parameters
    ----------
    evidence
        Rows of tainted samples only: dataset, suspect, status.
    suspects
        Columns dataset, suspect (others are kept).
    rule
        The text's or the released code's, as of `evidence`.

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
    positive, negative = table["positive"], table["negative"]
    called = positive >= negative if rule == Rule.RELEASED else positive > negative
    verdict = called.map(lambda member: str(Membership.of(member)))
    undecided = (positive + negative == 0) & (rule != Rule.RELEASED)
    return table.assign(verdict=verdict.mask(undecided, str(Membership.INCONCLUSIVE)))


def judge_at(
    deltas: Iterable[float],
    answers: pd.DataFrame,
    tainted: pd.DataFrame,
    suspects: pd.DataFrame,
    mu: int,
    rule: Rule,
) -> Iterator[pd.DataFrame]:
    """Yield `verdicts` over the tainted samples at each delta_s: only the counting is done anew.

    tainted: columns dataset, sample_id, tainted.
    """
    chosen = tainted.loc[tainted["tainted"], ["dataset", "sample_id"]]
    table = evidence(answers.merge(chosen, on=["dataset", "sample_id"]), 0.0, mu, rule)
    for delta_s in deltas:
        yield verdicts(_called(table, delta_s), suspects, rule)


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
