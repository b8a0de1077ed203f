"""What the answers so far say of a suspect: an exact test (A, B), or vote and rank (C)."""

from dataclasses import dataclass, fields
from enum import StrEnum
from functools import cache

import numpy as np
import pandas as pd

from dsi_core.audit import reach, suspect
from dsi_core.audit.asking.storage import complete
from dsi_core.audit.plan import Plan
from dsi_core.audit.preparation.prepared import RESPONSE, known_evidence
from dsi_core.audit.reach import Reach
from dsi_core.audit.refusals import refuses
from dsi_core.audit.subject import Kind
from dsi_core.audit.suspect import AnswerFacts, AnswerStatus
from dsi_core.data.common_words import in_order, is_blank, seen
from dsi_core.evidence import controls, twin, wording
from dsi_core.evidence.controls import RankTest
from dsi_core.evidence.looks import ExactTest, Look
from dsi_core.method import closeness, study, verdict
from dsi_core.method.participants import Membership
from dsi_core.method.verdict import Status
from dsi_core.services import thoughts

ANSWER = ["sample_id", "draw"]
FACTS = [field.name for field in fields(AnswerFacts)]
SAME = 3  # prompts that bring the same answer by chance, as data of one template may
LABEL = {Kind.PRIVATE: "published", Kind.WORDING: "first_published"}  # what the coin decided
# The texts that an answer is compared with: its closeness to them, by the sample's column
TEXTS = {
    Kind.PRIVATE: {"close": "output"},
    Kind.WORDING: {"close_first": "first", "close_second": "second"},
}


class Answer(StrEnum):
    """What an audit answers."""

    FOUND = "found"
    NO_FINDING = "no finding"
    CANNOT = "cannot find"  # no answers could have been a finding


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

    The samples that count are those, in the order of asking, before the first without an answer.

    Attributes
    ----------
    samples, answers
        How many samples count, and how many answers there are in all.
    answer, p
        What is concluded, and the p-value that decides; None = there is no test.
    reach
        What the samples that count and have evidence allow.
    exact
        A and B: the test.
    vote, rank
        C: the two numbers; rank is None where there are no controls.
    rank_of_all
        C: the rank once more over all samples that count, those without a usable answer at the
        smallest evidence that any model has on any (`controls.at_least`); its p is never smaller.
        It decides nothing.
    statuses
        Answers by what became of them.
    table
        Answers with status and, A and B, their closeness to the kit's texts; C, their gap to each
        reference.
    evidence
        Of each sample that counts: A and B as `_of_samples`; C sample_id, evidence, status (a
        `verdict.Status`).
    curve
        How the evidence grew: A and B a row per look; C as `curve` gives it.
    """

    samples: int
    answers: int
    answer: Answer
    p: float | None
    reach: Reach
    exact: ExactTest | None
    vote: Vote | None
    rank: RankTest | None
    rank_of_all: RankTest | None
    statuses: dict[AnswerStatus, int]
    table: pd.DataFrame
    evidence: pd.DataFrame
    curve: pd.DataFrame

    @property
    def found(self) -> bool:
        """Whether it is a finding."""
        return self.answer is Answer.FOUND

    @property
    def says_nothing(self) -> bool:
        """A and B: whether samples have usable answers enough, but too few that are evidence."""
        return self.answer is Answer.CANNOT and self.reach.can_reach_alpha

    @property
    def leans(self) -> int:
        """A and B: how many samples have evidence other than 0."""
        return int(_leans(self.evidence).sum())

    @property
    def canned(self) -> int:
        """How many usable answers are texts that came to more than `SAME` prompts."""
        return len(repeated(self))

    @property
    def answered(self) -> int:
        """How many of the samples that count have an answer: of a file perhaps not all."""
        return self.table["sample_id"].nunique()


def judge(plan: Plan, answers: pd.DataFrame) -> Judgement:
    """Say what the answers so far (as `storage.answers`) tell."""
    return _exactly(plan, answers) if plan.prepared is None else _after_the_fact(plan, answers)


# ------------------------------------------------------------------------------- A and B: a kit


def _exactly(plan: Plan, answers: pd.DataFrame) -> Judgement:
    samples = complete(plan, answers)
    columns = list(dict.fromkeys(["sample_id", *TEXTS[plan.subject.kind].values()]))
    table = _with_closeness(plan, answers.merge(samples[columns], on="sample_id"))
    evidence = _of_samples(plan, samples, table[table["status"] == AnswerStatus.ANSWERED])
    exact = _tested(plan, evidence)
    usable = samples[evidence["evidence"].notna().to_numpy()]
    allowed = reach.reach(plan, usable, len(samples))
    possible = reach.reach(plan, samples[_leans(evidence)], len(samples)).can_reach_alpha
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
        statuses=_statuses(table),
        table=table.drop(columns=columns[1:]),
        evidence=evidence,
        curve=pd.DataFrame(exact.looks, columns=[f.name for f in fields(Look)]),
    )


def _leans(evidence: pd.DataFrame) -> np.ndarray:
    """Which samples have evidence that speaks for or against."""
    return evidence["evidence"].fillna(0.0).to_numpy() != 0


def at_sight(plan: Plan, answers: pd.DataFrame) -> pd.DataFrame:
    """Say of each answer, in whatever order they came, whether it can be evidence.

    Returns
    -------
    pandas.DataFrame
        Columns sample_id, response, status, can_be_evidence: a usable answer; A and B: with
        anything in common with one of the kit's texts, whichever the coin published.
    """
    texts = TEXTS.get(plan.subject.kind, {"": "output"})
    table = answers.merge(plan.samples[["sample_id", *texts.values()]], on="sample_id")
    shared: bool | pd.Series = True
    if plan.prepared is None:
        table = _with_closeness(plan, table)
        shared = (table[list(texts)] > 0).any(axis=1)
    else:
        table["status"] = _status_of(plan, table, table["output"])
    table["can_be_evidence"] = (table["status"] == AnswerStatus.ANSWERED) & shared
    return table[["sample_id", "response", "status", "can_be_evidence"]]


def sensitivity(plan: Plan, judged: Judgement) -> ExactTest:
    """Test once more with every answer counted that is a text, refusals among them (A and B)."""
    texts = judged.table[~judged.table["response"].map(is_blank).astype(bool)]
    return _tested(plan, _of_samples(plan, plan.samples.head(judged.samples), texts))


def without_controls(plan: Plan, judged: Judgement) -> ExactTest:
    """Test once more as if there were no control answers (A and B)."""
    return _tested(plan, judged.evidence.assign(evidence=judged.evidence["value"]))


def leaning(judged: Judgement) -> np.ndarray:
    """Tell which samples that count lean by themselves, whatever controls do (A and B).

    Shape (samples,), bool. A text that came to prompt after prompt (`repeated`) leans by chance.
    """
    usable = _usable(judged)
    own = usable.drop(repeated(judged).index)["sample_id"]
    leans = judged.evidence["value"].fillna(0.0) != 0
    return (leans & judged.evidence["sample_id"].isin(own)).to_numpy()


def repeated(judged: Judgement) -> pd.DataFrame:
    """Give the usable answers whose words came to more than `SAME` prompts, a row each."""
    usable = _usable(judged)
    words = usable["response"].map(lambda text: " ".join(in_order(seen(text))))
    prompts = usable["sample_id"].groupby(words).transform("nunique")
    return usable[prompts > SAME]


def once(table: pd.DataFrame) -> pd.DataFrame:
    """Give the first row of each answer: of C a table has one for each of its gaps."""
    return table.drop_duplicates(ANSWER)


def _usable(judged: Judgement) -> pd.DataFrame:
    """A row for each answer that can be evidence."""
    usable = judged.table[judged.table["status"] == AnswerStatus.ANSWERED]
    return once(usable)


def _with_closeness(plan: Plan, answers: pd.DataFrame) -> pd.DataFrame:
    """Answers with status and closeness to each text; neither depends on what the coin decided."""
    texts = TEXTS[plan.subject.kind]
    own = answers[list(texts.values())].to_numpy().tolist()
    oracles = [next(filter(refuses, both), both[0]) for both in own]
    table = answers.assign(status=_status_of(plan, answers, oracles))
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


# ----------------------------------------------------------------------------- C: after the fact


def _after_the_fact(plan: Plan, answers: pd.DataFrame) -> Judgement:
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
        statuses=_statuses(table),
        table=table,
        evidence=evidence,
        curve=curve(plan, evidence, innocent),
    )


def _with_gaps(plan: Plan, answers: pd.DataFrame) -> pd.DataFrame:
    """Answers (sample_id, draw, response, output, `FACTS`), with status and gaps."""
    prepared = plan.prepared
    assert prepared is not None
    answers = answers.assign(
        dataset=prepared.facts.name,
        suspect=plan.suspect,
        status=_status_of(plan, answers, answers["output"]),
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


# ----------------------------------------------------------------------------------------- both


def _status_of(plan: Plan, answers: pd.DataFrame, oracles) -> pd.Series:
    statuses = []
    for answer, oracle in zip(answers.to_dict("records"), oracles, strict=True):
        said = AnswerFacts(**{name: answer[name] for name in FACTS})
        limit = plan.responses.max_new_tokens
        status = suspect.status(answer["response"], oracle, plan.subject.mu, said, limit)
        statuses.append(str(status))
    return pd.Series(statuses, index=answers.index, dtype=object)


def _statuses(table: pd.DataFrame) -> dict[AnswerStatus, int]:
    counts = once(table)["status"].value_counts()
    return {status: int(counts.get(str(status), 0)) for status in AnswerStatus}
