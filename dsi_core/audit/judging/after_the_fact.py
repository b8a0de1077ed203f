"""What the answers say after the fact, against the reference models: vote and rank (C)."""

import numpy as np
import pandas as pd

from dsi_core.audit import reach
from dsi_core.audit.asking.storage import complete
from dsi_core.audit.judging.judgement import Answer, Judgement, Vote
from dsi_core.audit.judging.status import FACTS, counted, status_of
from dsi_core.audit.plan import Plan
from dsi_core.audit.preparation.prepared import RESPONSE, known_evidence
from dsi_core.audit.suspect import AnswerStatus
from dsi_core.evidence import controls
from dsi_core.method import study, verdict
from dsi_core.method.participants import Membership
from dsi_core.method.verdict import Status


def judge(plan: Plan, answers: pd.DataFrame) -> Judgement:
    """Vote by which references the answers are closer to, and rank them among the controls."""
    prepared = plan.prepared
    assert prepared is not None
    samples = complete(plan, answers)
    table = _with_gaps(plan, answers.merge(samples, on="sample_id"))
    judged = verdict.evidence(table, prepared.study.delta_s, plan.subject.mu)
    evidence = samples[["sample_id"]].merge(
        judged[["sample_id", "evidence", "status"]], on="sample_id", how="left"
    )
    evidence["status"] = evidence["status"].fillna(str(Status.FILTERED))  # a file may lack samples
    known = known_evidence(prepared, plan.draws)
    innocent = known[~known["member"]]
    rank = rank_of_all = None
    if len(innocent):
        own = evidence["evidence"].to_numpy()
        rank = controls.test(own, innocent)
        rank_of_all = controls.test(controls.at_least(own, innocent["evidence"]), innocent)
    usable = samples[evidence["evidence"].notna().to_numpy()]
    allowed = reach.reach(plan, usable, len(samples))
    answer = Answer.NO_FINDING if allowed.can_reach_alpha else Answer.CANNOT
    return Judgement(
        samples=len(samples),
        answers=len(answers),
        answer=Answer.FOUND if rank is not None and rank.p <= plan.alpha else answer,
        p=None if rank is None else rank.p,
        reach=allowed,
        exact=None,
        vote=_vote(evidence["status"]),
        rank=rank,
        rank_of_all=rank_of_all,
        statuses=counted(table),
        table=table,
        evidence=evidence,
        curve=curve(plan, evidence, innocent),
    )


def at_sight(plan: Plan, answers: pd.DataFrame) -> pd.DataFrame:
    """Say of each answer whether it can be evidence, as `judge.at_sight`."""
    table = answers.merge(plan.samples[["sample_id", "output"]], on="sample_id")
    status = status_of(plan, table, table["output"])
    return table.assign(status=status, can_be_evidence=status == AnswerStatus.ANSWERED)


def _with_gaps(plan: Plan, answers: pd.DataFrame) -> pd.DataFrame:
    """Answers (sample_id, draw, response, output, `FACTS`), with status and gaps."""
    prepared = plan.prepared
    assert prepared is not None
    answers = answers.assign(
        dataset=prepared.facts.name,
        suspect=plan.suspect,
        status=status_of(plan, answers, answers["output"]),
    )
    if answers.empty:
        return answers.assign(reference=None, gap=np.nan)
    return study.gaps_to(prepared.study, prepared.scores, answers[[*RESPONSE, *FACTS]])


def _vote(statuses: pd.Series) -> Vote:
    counts = {status: int((statuses == str(status)).sum()) for status in Status}
    positive, negative = counts[Status.POSITIVE], counts[Status.NEGATIVE]
    called = Membership(controls.vote(positive, negative))
    return Vote(called, positive, negative, counts[Status.FILTERED])


def curve(plan: Plan, evidence: pd.DataFrame, innocent: pd.DataFrame) -> pd.DataFrame:
    """Tell how vote and rank grew.

    Parameters
    ----------
    evidence
        Columns evidence and status, in the order of asking.
    innocent
        The controls', as `prepared.known_evidence`.

    Returns
    -------
    pandas.DataFrame
        A row per sample: sample (1, 2, ...), queries, positive, negative (so far), and p (NaN
        throughout where there are no controls).
    """
    count = np.arange(1, len(evidence) + 1)
    p = np.full(len(evidence), np.nan)
    if len(innocent):
        p = controls.path(evidence["evidence"].to_numpy(), innocent)
    return pd.DataFrame(
        {
            "sample": count,
            "queries": count * plan.draws,
            "positive": (evidence["status"] == str(Status.POSITIVE)).cumsum().to_numpy(),
            "negative": (evidence["status"] == str(Status.NEGATIVE)).cumsum().to_numpy(),
            "p": p,
        }
    )
