"""What the answers say of who was given one side of a kit: an exact test (A, B)."""

from dataclasses import fields
from functools import cache

import numpy as np
import pandas as pd

from dsi_core.audit import reach
from dsi_core.audit.asking.storage import complete
from dsi_core.audit.judging.judgement import Answer, Judgement, with_evidence
from dsi_core.audit.judging.status import counted, status_of
from dsi_core.audit.plan import Plan
from dsi_core.audit.refusals import refuses
from dsi_core.audit.subject import Kind
from dsi_core.audit.suspect import AnswerStatus
from dsi_core.data.common_words import is_blank
from dsi_core.evidence import controls, twin, wording
from dsi_core.evidence.looks import ExactTest, Look
from dsi_core.method import closeness
from dsi_core.services import thoughts

LABEL = {Kind.PRIVATE: "published", Kind.WORDING: "first_published"}  # what the coin decided
# The texts that an answer is compared with: its closeness to them, by the sample's column
TEXTS = {
    Kind.PRIVATE: {"close": "output"},
    Kind.WORDING: {"close_first": "first", "close_second": "second"},
}


def judge(plan: Plan, answers: pd.DataFrame) -> Judgement:
    """Test by how answers to the sample's prompts follow what the coin decided."""
    samples = complete(plan, answers)
    columns = list(dict.fromkeys(["sample_id", *TEXTS[plan.subject.kind].values()]))
    table = _with_closeness(plan, answers.merge(samples[columns], on="sample_id"))
    evidence = _of_samples(plan, samples, table[table["status"] == AnswerStatus.ANSWERED])
    exact = _tested(plan, evidence)
    usable = samples[evidence["evidence"].notna().to_numpy()]
    allowed = reach.reach(plan, usable, len(samples))
    possible = reach.reach(plan, samples[with_evidence(evidence)], len(samples)).can_reach_alpha
    answer = Answer.NO_FINDING if possible else Answer.CANNOT
    return Judgement(
        samples=len(samples),
        answers=len(answers),
        answer=Answer.FOUND if exact.found else answer,
        p=exact.p,
        reach=allowed,
        exact=exact,
        vote=None,
        rank=None,
        rank_of_all=None,
        statuses=counted(table),
        table=table.drop(columns=columns[1:]),
        evidence=evidence,
        curve=pd.DataFrame(exact.looks, columns=[f.name for f in fields(Look)]),
    )


def at_sight(plan: Plan, answers: pd.DataFrame) -> pd.DataFrame:
    """Say of each answer whether it can be evidence, as `judge.at_sight`."""
    texts = TEXTS[plan.subject.kind]
    answers = answers.merge(plan.samples[["sample_id", *texts.values()]], on="sample_id")
    table = _with_closeness(plan, answers)
    shared = (table[list(texts)] > 0).any(axis=1)
    return table.assign(can_be_evidence=(table["status"] == AnswerStatus.ANSWERED) & shared)


def sensitivity(plan: Plan, judged: Judgement) -> ExactTest:
    """Test once more with every answer counted that is a text, refusals among them (A and B)."""
    texts = judged.table[~judged.table["response"].map(is_blank).astype(bool)]
    return _tested(plan, _of_samples(plan, plan.samples.head(judged.samples), texts))


def without_controls(plan: Plan, judged: Judgement) -> ExactTest:
    """Test once more as if there were no control answers (A and B)."""
    return _tested(plan, judged.evidence.assign(evidence=judged.evidence["value"]))


def _with_closeness(plan: Plan, answers: pd.DataFrame) -> pd.DataFrame:
    """Answers with status and closeness to each text; neither depends on what the coin decided."""
    texts = TEXTS[plan.subject.kind]
    own = answers[list(texts.values())].to_numpy().tolist()
    oracles = [next(filter(refuses, both), both[0]) for both in own]
    table = answers.assign(status=status_of(plan, answers, oracles))
    for column, text in texts.items():
        wanted = answers[text].map(_spoken)
        close = closeness.closeness(closeness.DEFAULT.measure, answers["response"], wanted)
        table[column] = close
    return table


def _of_samples(plan: Plan, samples: pd.DataFrame, answers: pd.DataFrame) -> pd.DataFrame:
    """One row per sample, in order.

    Columns sample_id, group, what the coin decided (`LABEL`), the closeness of its answers to each
    text, value (B: preference for the first wording; A: closeness to its own output), of_controls
    (NaN = none), and evidence, which is tested: value less of_controls. NaN where there is no
    answer.
    """
    kind, whole = plan.subject.kind, plan.samples[["sample_id"]]
    columns = list(TEXTS[kind])
    by_sample = answers.groupby("sample_id")[columns].agg(str(closeness.DEFAULT.combine))
    values = _value(kind, by_sample).reindex(whole["sample_id"]).to_numpy()
    of_controls = _of_controls(plan)
    table = samples[["sample_id", "group", LABEL[kind]]].reset_index(drop=True)
    table = table.merge(by_sample.reset_index(), on="sample_id", how="left", validate="1:1")
    table["value"] = values[: len(table)]
    corrected = controls.less_controls(values, of_controls)
    table["of_controls"] = (values - corrected)[: len(table)] if len(of_controls) else np.nan
    table["evidence"] = corrected[: len(table)]
    return table


def _value(kind: Kind, by_sample: pd.DataFrame) -> pd.Series:
    """A: closeness to the sample's text; B: preference for the first wording."""
    if kind is Kind.PRIVATE:
        return by_sample["close"]
    return by_sample["close_first"] - by_sample["close_second"]


def _of_controls(plan: Plan) -> np.ndarray:
    """The value of each control on each planned sample, shape (controls, samples)."""
    texts = plan.samples.set_index("sample_id")
    values = []
    for _, said in plan.controls.groupby("control"):
        columns = {
            column: closeness.per_sample(closeness.DEFAULT, said, texts[text].map(_spoken))
            for column, text in TEXTS[plan.subject.kind].items()
        }
        values.append(_value(plan.subject.kind, pd.DataFrame(columns)).to_numpy())
    return np.array(values).reshape(len(values), len(texts))


@cache
def _spoken(text: str) -> str:
    """A text without its own thought, as answers are compared; one that is only a thought whole."""
    return thoughts.apart(text).answer or text


def _tested(plan: Plan, evidence: pd.DataFrame) -> ExactTest:
    assert plan.looks is not None
    kind = plan.subject.kind
    test = wording.test if kind is Kind.WORDING else twin.test
    return test(
        evidence["evidence"].to_numpy(),
        plan.samples[LABEL[kind]].to_numpy(),
        plan.samples["group"].to_numpy(),
        plan.looks,
        plan.subject.seed,
    )
