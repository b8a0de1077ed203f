"""What the answers so far say of a suspect.

Three numbers: the vote (Eq. 2), the rank among the controls, the private twin.
"""

import json
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import pandas as pd

from dsi_core.audit import suspect
from dsi_core.audit.plan import Plan
from dsi_core.audit.prepared import RESPONSE, Prepared
from dsi_core.audit.prepared_json import Part
from dsi_core.audit.suspect import AnswerFacts, AnswerStatus
from dsi_core.evidence import controls, sequential, twin
from dsi_core.evidence.controls import RankTest
from dsi_core.evidence.twin import TwinTest
from dsi_core.method import study, verdict
from dsi_core.method.participants import Membership
from dsi_core.method.verdict import Status

FIRST_PLAN = "first_plan.json"  # how many samples were planned when the audit began
ANSWER = ["sample_id", "draw"]
FACTS = list(AnswerFacts.__dataclass_fields__)


class DecidedBy(StrEnum):
    """Which number decides: the twin where there is one, else the controls."""

    TWIN = "twin"
    CONTROLS = "controls"


@dataclass(frozen=True)
class Vote:
    """Eq. 2 over the samples: positive, negative and filtered (no usable answer) ones."""

    verdict: Membership
    positive: int
    negative: int
    filtered: int


@dataclass(frozen=True)
class Judgement:
    """All that the answers so far say.

    Only samples in the order of asking, up to the first that lacks an answer, count.

    Attributes
    ----------
    samples, answers
        How many samples count, and how many answers there are in all.
    vote, controls, twin
        The three numbers; None where there are no controls, or no withheld part.
    statuses
        Answers by what became of them.
    table
        Answers with status and their gap to each reference.
    evidence
        Of each sample that counts: sample_id, part, evidence, status (a `verdict.Status`).
    control_statistics
        The controls' `controls.final_statistics`, over all samples of the plan.
    curve
        As `curve` gives it.
    """

    samples: int
    answers: int
    vote: Vote
    controls: RankTest | None
    twin: TwinTest | None
    statuses: dict[AnswerStatus, int]
    table: pd.DataFrame
    evidence: pd.DataFrame
    control_statistics: pd.Series
    curve: pd.DataFrame

    @property
    def decided_by(self) -> DecidedBy | None:
        """Which number `p` is of; None = there is neither."""
        if self.twin is not None:
            return DecidedBy.TWIN
        return DecidedBy.CONTROLS if self.controls is not None else None

    @property
    def p(self) -> float | None:
        """The twin's p-value, else the controls', else None."""
        deciding = self.twin or self.controls
        return None if deciding is None else deciding.p


def judge(plan: Plan, answers: pd.DataFrame) -> Judgement:
    """Say what the answers so far (as `plan.answers`) tell."""
    prepared = plan.prepared
    samples = _complete(plan, answers)
    outputs = samples[["sample_id", "prompt", "output"]]
    table = _with_gaps(plan, answers.merge(outputs, on="sample_id"))
    mu = prepared.study.profile.decision.mu
    judged = verdict.evidence(table, prepared.study.delta_s, mu)
    judged = judged[["sample_id", "evidence", "status"]]
    evidence = samples.merge(judged, on="sample_id", how="left")
    known = known_evidence(prepared, plan.samples, plan.draws)
    statistics = controls.final_statistics(known[~known["member"]])
    ranked = None
    if len(statistics):
        ranked = controls.test(evidence["evidence"].to_numpy(), statistics, plan.alpha)
    return Judgement(
        samples=len(samples),
        answers=len(answers),
        vote=_vote(evidence["status"]),
        controls=ranked,
        twin=_twin(plan, evidence) if prepared.in_parts[1] else None,
        statuses=_statuses(table),
        table=table,
        evidence=evidence,
        control_statistics=statistics,
        curve=curve(plan, evidence, statistics),
    )


def _complete(plan: Plan, answers: pd.DataFrame) -> pd.DataFrame:
    """The samples, in order, before the first that lacks an answer."""
    counts = answers.groupby("sample_id")["draw"].nunique()
    enough = counts.reindex(plan.samples["sample_id"], fill_value=0) >= plan.draws
    return plan.samples[enough.to_numpy().cumprod().astype(bool)]


def _with_gaps(plan: Plan, answers: pd.DataFrame) -> pd.DataFrame:
    """Answers (sample_id, draw, response, output, `FACTS`), with status and gaps."""
    prepared, limit = plan.prepared, plan.responses.max_new_tokens
    mu = prepared.study.profile.decision.mu
    statuses = []
    for answer in answers.to_dict("records"):
        said = AnswerFacts(**{name: answer[name] for name in FACTS})
        status = suspect.status(answer["response"], answer["output"], mu, said, limit)
        statuses.append(str(status))
    answers = answers.assign(
        dataset=prepared.facts.name,
        suspect=plan.suspect,
        status=pd.Series(statuses, index=answers.index, dtype=object),
    )
    if answers.empty:
        return answers.assign(reference=None, gap=np.nan)
    return study.gaps_to(prepared.study, prepared.scores, answers[[*RESPONSE, *FACTS]])


def _vote(statuses: pd.Series) -> Vote:
    positive, negative, filtered = (int((statuses == str(status)).sum()) for status in Status)
    verdict = Membership.of(positive > negative)
    if not positive + negative:
        verdict = Membership.INCONCLUSIVE
    return Vote(verdict, positive, negative, filtered)


def _twin(plan: Plan, evidence: pd.DataFrame) -> TwinTest:
    planned = first_planned(plan)
    return twin.betting_test(
        evidence.assign(published=evidence["part"] == Part.PUBLISHED),
        plan.prepared.in_parts,
        planned,
        plan.sampling.seed,
        may_stop=plan.stops_early or planned != len(plan.samples),
    )


def _statuses(table: pd.DataFrame) -> dict[AnswerStatus, int]:
    counts = table.drop_duplicates(ANSWER)["status"].value_counts()
    return {status: int(counts.get(str(status), 0)) for status in AnswerStatus}


def known_evidence(prepared: Prepared, samples: pd.DataFrame, draws: int) -> pd.DataFrame:
    """Give the known models' evidence on samples, from so many responses to each.

    Returns
    -------
    pandas.DataFrame
        Columns model, member, group, sample_id, part, evidence, status; each model's samples in
        the given order.
    """
    known = prepared.known
    known = known[(known["draw"] < draws) & known["sample_id"].isin(samples["sample_id"])]
    if known.empty:
        columns = ["model", "member", "group", "sample_id", "part", "evidence", "status"]
        return pd.DataFrame(columns=columns).astype({"member": bool})
    mu = prepared.study.profile.decision.mu
    judged = verdict.evidence(known, prepared.study.delta_s, mu)
    models = known[["suspect", "member", "group"]].drop_duplicates()
    each = models.merge(samples[["sample_id", "part"]], how="cross")
    table = each.merge(judged, on=["suspect", "sample_id"], how="left", validate="1:1")
    return table.rename(columns={"suspect": "model"}).astype({"member": bool})


def curve(plan: Plan, evidence: pd.DataFrame, statistics: pd.Series) -> pd.DataFrame:
    """Tell how the evidence grew.

    Parameters
    ----------
    evidence
        Columns evidence, status and part, in the order of asking.
    statistics
        The controls'.

    Returns
    -------
    pandas.DataFrame
        A row per sample: sample (1, 2, ...), queries, positive, negative (so far), p_controls and
        wealth (NaN throughout where there is no such test).
    """
    count = np.arange(1, len(evidence) + 1)
    values = evidence["evidence"].to_numpy()
    p_controls = wealth = np.full(len(evidence), np.nan)
    if len(statistics):
        path = controls.running_statistic(values)
        p_controls = controls.p_values(path, statistics.to_numpy())
    in_parts = plan.prepared.in_parts
    if in_parts[1]:
        wealth = sequential.wealth(values, evidence["part"] == Part.PUBLISHED, in_parts)
    return pd.DataFrame(
        {
            "sample": count,
            "queries": count * plan.draws,
            "positive": (evidence["status"] == str(Status.POSITIVE)).cumsum().to_numpy(),
            "negative": (evidence["status"] == str(Status.NEGATIVE)).cumsum().to_numpy(),
            "p_controls": p_controls,
            "wealth": wealth,
        }
    )


def first_planned(plan: Plan) -> int:
    """Tell how many samples were planned when this audit began.

    The permutation test is over these: were it made again after each raise of the budget, its
    error would grow with every look.
    """
    path = plan.folder / FIRST_PLAN
    if not path.exists():
        return len(plan.samples)
    return json.loads(path.read_text(encoding="utf-8"))["samples"]
