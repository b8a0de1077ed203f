"""What audit.json says of an audit: what was planned, asked and answered, and what it comes to."""

import hashlib
import os
import platform
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

import pandas as pd

from dsi_core.audit import caveats, conclusion, plan_file, put_before, reach
from dsi_core.audit.asking import log, same_model, unanswered
from dsi_core.audit.asking.cost import neutral_left_out
from dsi_core.audit.asking.run import Outcome, entry
from dsi_core.audit.asking.same_model import SameModelFacts
from dsi_core.audit.asking.storage import answers as stored_answers
from dsi_core.audit.asking.storage import answers_in, beside
from dsi_core.audit.judging import judgement, kit
from dsi_core.audit.judging.judgement import Answer, Judgement
from dsi_core.audit.plan import Plan
from dsi_core.audit.preparation import prepared, prepared_json
from dsi_core.audit.reach import Power
from dsi_core.audit.report.audit_json import (
    AuditFacts,
    AuditsFacts,
    BudgetFacts,
    CommitmentFacts,
    DatasetFacts,
    ExactFacts,
    LoadedFacts,
    Manner,
    Queried,
    RankFacts,
    SettingsFacts,
    SuspectFacts,
    ThresholdFacts,
)
from dsi_core.audit.suspect import AnswerStatus
from dsi_core.data.fields import text_of
from dsi_core.evidence.controls import RankTest
from dsi_core.models import load
from dsi_core.runtime import provenance
from dsi_core.runtime.disk import sha256_of
from dsi_core.services import address
from dsi_core.services.endings import Ending
from dsi_core.services.service import remembered
from dsi_core.services.thoughts import Thought


@dataclass(frozen=True)
class Occasion:
    """What an audit is for, as its report quotes it: free texts, and what was run."""

    case: str | None = None
    examiner: str | None = None
    command: str | None = None

    def __post_init__(self) -> None:
        """Refuse what no file could take, before anything is asked."""
        text_of(self.case, "--case")
        text_of(self.examiner, "--examiner")
        for word in (self.command or "").split():
            text_of(word, "the command line")


def relative(folder: Path, other: Path) -> str:
    """Say where `other` lies, from `folder`, without naming this machine."""
    return Path(os.path.relpath(other.resolve(), folder.resolve())).as_posix()


def facts(plan: Plan, outcome: Outcome, occasion: Occasion) -> AuditFacts:
    """Put together what audit.json says, but for the hashes of the files beside it."""
    judged, kind = outcome.judgement, plan.subject.kind
    power, power_of_leaning = _powers(plan, judged)
    assumptions = {str(kind): caveats.assumption(plan)}
    if judged.vote is not None:
        assumptions["vote"] = caveats.vote_assumes(plan)
    limits = caveats.limits(plan)
    if plan.prepared is not None and not _sets_temperature(plan):
        limits = [caveats.NO_TEMPERATURE, *limits]
    limits = [*limits, *filter(None, [neutral_left_out(plan)])]
    return AuditFacts(
        kind=kind,
        letter=kind.letter,
        headline=conclusion.headline(plan, judged),
        conclusion=conclusion.after(plan, judged, power, power_of_leaning),
        answer=judged.answer,
        p=judged.p,
        alpha=plan.alpha,
        reach=judged.reach,
        planned=reach.reach(plan, plan.samples, len(plan.samples)),
        exact=None if judged.exact is None else ExactFacts.model_validate(judged.exact),
        sensitivity=_sensitivity(plan, judged),
        without_controls=_without_controls(plan, judged),
        power=power,
        power_of_leaning=power_of_leaning,
        shared_before=put_before.shared(plan),
        vote=judged.vote,
        rank=_ranked(judged.rank),
        rank_of_all=_ranked(judged.rank_of_all),
        suspect=_suspect(plan, judged),
        dataset=_dataset(plan),
        commitment=_commitment(plan),
        audits=_audits(plan),
        queried=_queried(plan, outcome),
        settings=_settings(plan),
        statuses=judged.statuses,
        blind_check=[] if plan.prepared is None else plan.prepared.facts.blind,
        assumptions=assumptions,
        limits=limits,
        hints=hints(judged, plan),
        same_model=_same_model(plan),
        case=occasion.case,
        examiner=occasion.examiner,
        command=occasion.command,
        commit=provenance.commit(),
        machine=f"{provenance.cpu()}; {platform.system()} {platform.machine()}",
        versions=provenance.versions(),
        made=provenance.now(),
    )


def _powers(plan: Plan, judged: Judgement) -> tuple[dict[str, Power], dict[str, Power]]:
    """What would have been found: over samples with a usable answer, and over those that lean.

    The latter where these are fewer; both empty after anything but no finding of an exact test.
    """
    if judged.answer is not Answer.NO_FINDING or judged.exact is None:
        return {}, {}
    asked, usable = plan.samples.head(judged.samples), judged.evidence["evidence"].notna()
    power = reach.power(plan, asked[usable.to_numpy()], judged.samples)
    leaning = judgement.leaning(judged)
    if leaning.sum() == usable.sum():
        return power, {}
    return power, reach.power(plan, asked[leaning], judged.samples)


def _same_model(plan: Plan) -> SameModelFacts | None:
    """Compare its neutral answers with those of earlier audits that asked in the same way."""
    place, this = plan.subject.folder, entry(plan)
    known = log.of_suspect(place, plan.suspect_key)
    places = {one.place: None for one in takewhile(lambda one: one.audit != this.audit, known)}
    earlier = [
        answers_in(place / there / same_model.FOLDER)
        for there in places
        if there not in ("", this.place)  # its own, begun anew
        and _of_requests(place / there) == _of_requests(plan.folder)
    ]
    return same_model.judge(beside(plan), [table for table in earlier if len(table)])


def _of_requests(folder: Path) -> tuple | None:
    """What neutral questions take over of an audit's plan; None = there is no plan any more."""
    if not plan_file.lies_in(folder):
        return None
    fixed = plan_file.read(folder)
    return fixed.extra, fixed.omit, fixed.reasoning_tokens


def hints(judged: Judgement, plan: Plan) -> list[str]:
    """Say what another audit should do otherwise."""
    once = judgement.once(judged.table)
    instead = once["status"] == AnswerStatus.THOUGHT
    ended = instead & (once["ending"] == Ending.COMPLETE)
    short = (once["status"] == AnswerStatus.TRUNCATED) & (once["thought"] == Thought.BEFORE)
    lost = int((instead & ~ended).sum() + short.sum())
    if plan.remote is None:
        return []
    more = plan.remote.reasoning_tokens
    room = f"more than {more}" if more else "for instance 2000"
    said = {
        f"The model reasons before it answers: {lost} of {len(once)} replies ran out of room in "
        "the thought or soon after it, and are no evidence. --reasoning-tokens gives thoughts room "
        f"of their own ({room}), in another audit (--out).": lost,
        f"{ended.sum()} of {len(once)} replies ended as a thought, without an answer and without "
        "running out of room: no setting of an audit changes that.": ended.sum(),
    }
    return [hint for hint, count in said.items() if count]


def _sets_temperature(plan: Plan) -> bool:
    if plan.remote is None:
        return True
    return "temperature" not in plan.remote.omit and remembered(plan.folder).temperature


def _sensitivity(plan: Plan, judged: Judgement) -> ExactFacts | None:
    if judged.exact is None:
        return None
    return ExactFacts.model_validate(kit.sensitivity(plan, judged))


def _without_controls(plan: Plan, judged: Judgement) -> ExactFacts | None:
    if not plan.control_files:
        return None
    return ExactFacts.model_validate(kit.without_controls(plan, judged))


def _ranked(rank: RankTest | None) -> RankFacts | None:
    return None if rank is None else RankFacts.model_validate(rank)


def _suspect(plan: Plan, judged: Judgement) -> SuspectFacts:
    called_itself = sorted(set(judgement.once(judged.table)["model"]) - {""})
    facts = SuspectFacts(name=plan.suspect, called_itself=called_itself)
    if plan.answers_file is not None:
        return facts.changed(answers=sha256_of(plan.answers_file))
    if plan.remote is not None:
        api, taken = address.place(plan.remote), remembered(plan.folder)
        return facts.changed(
            api=api,
            model=plan.remote.model,
            extra=plan.remote.extra,
            omit=list(plan.remote.omit),
            asked_otherwise=[
                *taken.differences,
                *(["asked in batches"] if taken.batched else []),
            ],
        )
    assert plan.model is not None
    return facts.changed(folder=plan.model.path, hub=plan.model.hub, loaded=_loaded(plan))


def _loaded(plan: Plan) -> LoadedFacts:
    model = plan.base.source
    try:
        template = load.tokenizer_of(plan.base).get_chat_template()
    except ValueError:  # all was asked before; the record is written without it
        template = None
    return LoadedFacts(
        **model.model_dump(include={"revision", "gguf", "adapter", "adapter_sha256"}),
        dtype=load.dtype_of(plan.base, plan.training.precision),
        in_4_bits=model.load_in_4bit,
        in_8_bits=model.load_in_8bit,
        chat_template=template,
        chat_template_sha256=template and hashlib.sha256(template.encode()).hexdigest(),
    )


def _dataset(plan: Plan) -> DatasetFacts:
    subject = plan.subject
    samples, dropped, made = len(subject.samples), {}, ""
    if plan.prepared is not None:
        samples, made = len(plan.prepared.samples), plan.prepared.facts.made
        dropped = plan.prepared.facts.dropped
    elif plan.kit is not None:
        made = plan.kit.commitment.made
    return DatasetFacts(
        name=subject.name,
        samples=samples,
        to_ask=len(subject.samples),
        dropped=dropped,
        made=made,
        folder=relative(plan.folder, subject.folder),
        split="" if plan.prepared is None else prepared.halves(plan.prepared),
    )


def _commitment(plan: Plan) -> CommitmentFacts | None:
    if plan.kit is None:
        return None
    said = plan.kit.commitment
    return CommitmentFacts(
        late=said.late,
        rows=said.rows,
        groups=said.groups,
        published=said.published,
        made=said.made,
        sha256=dict(plan.subject.hashes),
    )


def _audits(plan: Plan) -> AuditsFacts:
    place, this = plan.subject.folder, entry(plan).audit
    if not log.may_be_read(place):
        return AuditsFacts(
            counted=False, number=None, of=None, of_all=None, at_most=None, earlier=[]
        )
    every, known = log.read(place), log.of_suspect(place, plan.suspect_key)
    ids = [one.audit for one in known]
    not_entered = 0 if this in ids else plan.alpha
    return AuditsFacts(
        counted=this in ids,
        number=ids.index(this) + 1 if this in ids else None,
        of=len(ids),
        of_all=len(every),
        at_most=min(1.0, sum(one.alpha for one in known) + not_entered),
        at_most_of_all=min(1.0, sum(one.alpha for one in every) + not_entered),
        earlier=[one for one in known if one.audit != this],
    )


def _queried(plan: Plan, outcome: Outcome) -> Queried:
    judged, once = outcome.judgement, stored_answers(plan)
    every, vain = pd.concat([once, beside(plan)]), unanswered.read(plan.folder)
    return Queried(
        first=min(once["at"], default=None),
        last=max(once["at"], default=None),
        samples=judged.answered,
        of_at_most=len(plan.samples),
        answers=judged.answers,
        requests=int(every["requests"].sum() + vain["requests"].sum()),
        without_answer=int(every["lost_requests"].sum() + vain["requests"].sum()),
        tokens_read=int(every[["prompt_tokens", "lost_prompt_tokens"]].sum().sum())
        + int(vain["read"].sum()),
        tokens_read_cached=int(every["cached_tokens"].sum()),
        tokens_written=int(every[["tokens", "lost_tokens"]].sum().sum())
        + int(vain["written"].sum()),
        tokens_of_thoughts=int(every["thought_tokens"].sum()),
        thoughts=int((once["thought"] != Thought.NONE).sum()),
        only_thoughts=judged.statuses[AnswerStatus.THOUGHT],
        longer=_longer(once, plan.responses.max_new_tokens),
        uncounted=_uncounted(every) + int(vain["uncounted"].sum()),
        left_out=len(answers_in(plan.folder)) - len(once),
        cost=outcome.cost,
        ended=outcome.ended,
    )


def _longer(answers: pd.DataFrame, limit: int) -> int:
    """Answers of which the service wrote more than so many tokens, by its count or by their cut."""
    counted = answers["tokens"] - answers["thought_tokens"] > limit
    return int((answers["cut"] | (counted & (answers["thought"] == Thought.NONE))).sum())


def _uncounted(answers: pd.DataFrame) -> int:
    """Requests that were billed without a count of all tokens, as `cost.spent` reckons them."""
    nothing = (answers["tokens"] == 0) | (answers["prompt_tokens"] == 0)
    return int((answers["billed"] & nothing).sum() + answers["lost_uncounted"].sum())


def _settings(plan: Plan) -> SettingsFacts:
    fixed = plan_file.read(plan.folder)
    return SettingsFacts(
        alpha=fixed.alpha,
        stops_early=fixed.stops_early,
        looks=list(fixed.looks),
        exponent=fixed.exponent,
        statistic=fixed.statistic,
        budget=BudgetFacts.of(plan.budget),
        answers_to_a_prompt=fixed.answers_to_a_prompt,
        temperature=fixed.temperature,
        max_new_tokens=fixed.max_new_tokens,
        reasoning_tokens=fixed.reasoning_tokens,
        system_prompt=fixed.system_prompt,
        seed=fixed.seed,
        mu=plan.subject.mu,
        begun=fixed.begun,
        control_answers={path.name: sha256_of(path) for path in plan.control_files},
        method=_method(plan),
    )


def _method(plan: Plan) -> ThresholdFacts | None:
    if plan.prepared is None:
        return None
    study = plan.prepared.study
    profile = study.profile
    similarity = profile.similarity.model_dump(exclude_none=True)
    if "path" in similarity:
        similarity["path"] = prepared_json.portable(similarity["path"], plan.prepared.folder)
    return ThresholdFacts(
        delta_t=profile.decision.delta_t,
        delta_s=study.delta_s,
        similarity=similarity,
        references=[r.name for r in profile.references],
        controls_were_asked_with=Manner(
            temperature=profile.responses.temperature, system=profile.responses.system
        ),
    )
