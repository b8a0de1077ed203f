"""The record of an audit: audit.json and the tables behind its numbers.

The tables, which say what the coin decided and hold the answers, may be read by the folder's owner
alone. `SUMS` lists the SHA-256 of every file behind the numbers, as the command `sha256sum -c`
reads it; its own SHA-256 stands for all of them.
"""

import hashlib
import os
import platform
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from dsi_core.audit import (
    audit_json,
    conclusion,
    log,
    plan_file,
    prepared,
    prepared_json,
    reach,
    same_model,
    unanswered,
)
from dsi_core.audit.audit_json import (
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
from dsi_core.audit.judgement import Judgement, known_evidence, sensitivity
from dsi_core.audit.plan import Plan
from dsi_core.audit.prepared import Prepared
from dsi_core.audit.run import RESPONSES, Outcome, entry
from dsi_core.audit.same_model import SameModelFacts
from dsi_core.audit.storage import answers as stored_answers
from dsi_core.audit.storage import answers_in, beside
from dsi_core.audit.subject import Kind
from dsi_core.audit.suspect import AnswerStatus
from dsi_core.evidence import controls
from dsi_core.models import load
from dsi_core.protect import kit as kits
from dsi_core.protect.kit import Kit
from dsi_core.protect.kit_files import COMMITMENT
from dsi_core.runtime import disk, provenance
from dsi_core.runtime.released import sha256_of
from dsi_core.services import client
from dsi_core.services.service import remembered
from dsi_core.services.thoughts import Thought

ANSWERS = "answers.jsonl"
EVIDENCE, CURVE, KNOWN = "evidence.csv", "curve.csv", "known.csv"
SUMS = "files.sha256"
REPORT = "report.html"
SUSPECT = "the suspect"  # its kind among the known models


@dataclass(frozen=True)
class Occasion:
    """What an audit is for, as its report quotes it: free texts, and what was run."""

    case: str | None = None
    examiner: str | None = None
    command: str | None = None


@dataclass(frozen=True)
class Audit:
    """What `write` left in an audit's folder.

    Attributes
    ----------
    facts
        audit.json.
    kit, prepared
        What it was about; the other is None.
    answers, evidence, curve
        As `Judgement` has table, evidence and curve.
    known
        C: as `judgement.known_evidence`; else None.
    """

    folder: Path
    facts: AuditFacts
    kit: Kit | None
    prepared: Prepared | None
    answers: pd.DataFrame
    evidence: pd.DataFrame
    curve: pd.DataFrame
    known: pd.DataFrame | None


def write(plan: Plan, outcome: Outcome, occasion: Occasion | None = None) -> Audit:
    """Write audit.json and the tables into the audit's folder, and read them back."""
    folder, judged = plan.folder, outcome.judgement
    answers = judged.table if plan.prepared is None else prepared.wide(judged.table)
    tables = {
        ANSWERS: answers.to_json(orient="records", lines=True, force_ascii=False),
        EVIDENCE: _csv(judged.evidence),
        CURVE: _csv(judged.curve),
    }
    if plan.prepared is not None:
        tables[KNOWN] = _csv(known_evidence(plan.prepared, plan.draws))
    for name, text in tables.items():
        disk.write_text(folder / name, text, private=True)
    there = _from(folder, plan.subject.folder)
    hashes = {f"{there}/{name}": value for name, value in plan.subject.hashes.items()}
    others = [f"{same_model.FOLDER}/{RESPONSES}"]
    others = [name for name in others if (folder / name).is_file()]
    files = [plan_file.NAME, RESPONSES, *others, *tables]
    hashes |= {name: sha256_of(folder / name) for name in files}
    sums = "".join(f"{value}  {name}\n" for name, value in sorted(hashes.items()))
    disk.write_text(folder / SUMS, sums)
    facts = _facts(plan, outcome, occasion or Occasion())
    audit_json.write(folder, facts.changed(sha256=hashes, root=sha256_of(folder / SUMS)))
    log.end(plan.subject.folder, entry(plan).audit, str(judged.answer), judged.p)
    return read(folder)


def add_hash(audit: Audit, name: str) -> None:
    """Enter the SHA-256 of a file of the audit's folder into audit.json."""
    hashes = {**audit.facts.sha256, name: sha256_of(audit.folder / name)}
    audit_json.write(audit.folder, audit.facts.changed(sha256=hashes))


def read(folder: str | Path) -> Audit:
    """Read an audit's folder, and what it was about from where audit.json says that it is.

    Raises
    ------
    ValueError
        Where there is no audit.json, where its format is another, where its kit or preparation is
        not where it was or not what it was.
    """
    folder = Path(str(folder))  # papermill takes a name of digits for a number
    facts = audit_json.read(folder)
    place = (folder.resolve() / facts.dataset.folder).resolve()
    kit = dataset = known = None
    if facts.kind is Kind.AFTER:
        dataset, name = prepared.read(place), prepared_json.NAME
    else:
        kit, name = kits.read(place), COMMITMENT
    if facts.sha256[f"{facts.dataset.folder}/{name}"] != sha256_of(place / name):
        what = "kit" if dataset is None else "preparation"
        raise ValueError(f"{place} is not the {what} that {folder / audit_json.NAME} was made with")
    answers = prepared.lines((folder / ANSWERS).read_text(encoding="utf-8"))
    if dataset is not None:
        answers = prepared.long(answers, dataset.study.profile)
        known = _read(folder / KNOWN)
    return Audit(
        folder, facts, kit, dataset, answers, _read(folder / EVIDENCE), _read(folder / CURVE), known
    )


def known_models(audit: Audit) -> pd.DataFrame:
    """C: put the suspect among the known models, `controls.compare` over all tainted samples."""
    assert audit.known is not None, "an exact test has no known models"
    known = audit.known.astype({"member": object})
    name = f"{audit.facts.suspect.name} ({SUSPECT})"
    suspect = audit.evidence.assign(model=name, group=SUSPECT, base=None, member=None)
    return controls.compare(pd.concat([known, suspect]))


def _csv(table: pd.DataFrame) -> str:
    return table.to_csv(index=False)


def _read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, dtype={"sample_id": str, "group": str})


def _from(folder: Path, other: Path) -> str:
    """Where `other` lies, from `folder`, without naming this machine."""
    return Path(os.path.relpath(other.resolve(), folder.resolve())).as_posix()


def _facts(plan: Plan, outcome: Outcome, occasion: Occasion) -> AuditFacts:
    judged, kind = outcome.judgement, plan.subject.kind
    without = judged.evidence.loc[judged.evidence["evidence"].isna(), "sample_id"]
    power = {} if judged.found else reach.power(plan, without.tolist())
    assumptions = {str(kind): conclusion.ASSUMPTIONS[kind]}
    if judged.vote is not None:
        assumptions["vote"] = conclusion.VOTE_ASSUMES
    limits = conclusion.LIMITS[kind]
    if plan.kit is not None and plan.kit.commitment.late:
        limits = [conclusion.LATE, *limits]
    if plan.prepared is not None and not _sets_temperature(plan):
        limits = [conclusion.NO_TEMPERATURE, *limits]
    return AuditFacts(
        kind=kind,
        letter=kind.letter,
        headline=conclusion.headline(plan, judged),
        conclusion=conclusion.after(plan, judged, power),
        answer=judged.answer,
        p=judged.p,
        alpha=plan.alpha,
        reach=judged.reach,
        planned=reach.reach(plan, plan.samples),
        exact=None if judged.exact is None else ExactFacts.model_validate(judged.exact),
        sensitivity=_sensitivity(plan, judged),
        power=power,
        vote=judged.vote,
        rank=None if judged.rank is None else RankFacts.model_validate(judged.rank),
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


def _same_model(plan: Plan) -> SameModelFacts | None:
    """Compare its neutral answers with those of earlier audits that asked in the same way."""
    place, this = plan.subject.folder, entry(plan)
    earlier = [
        answers_in(place / one.place / same_model.FOLDER)
        for one in log.of_suspect(place, plan.suspect_key)
        if one.place and one.audit != this.audit and one.settings.get("extra") == _extra(plan)
    ]
    return same_model.judge(beside(plan), [table for table in earlier if len(table)])


def _extra(plan: Plan) -> dict:
    return {} if plan.remote is None else plan.remote.extra


def hints(judged: Judgement, plan: Plan) -> list[str]:
    """Say what another audit should do otherwise."""
    once, statuses = _once(judged), judged.statuses
    short = (once["status"] == AnswerStatus.TRUNCATED) & (once["thought"] == Thought.BEFORE)
    lost = statuses[AnswerStatus.THOUGHT] + int(short.sum())
    if not lost or plan.remote is None:
        return []
    more = plan.remote.reasoning_tokens
    room = f"more than {more}" if more else "for instance 2000"
    return [
        f"The model reasons before it answers: {lost} of {len(once)} replies ran out of room in "
        "the thought or soon after it, and are no evidence. --reasoning-tokens gives thoughts room "
        f"of their own ({room}), in another audit (--out)."
    ]


def _sets_temperature(plan: Plan) -> bool:
    if plan.remote is None or "temperature" in plan.remote.omit:
        return plan.remote is None
    return remembered(plan.folder).temperature


def _sensitivity(plan: Plan, judged: Judgement) -> ExactFacts | None:
    if judged.exact is None:
        return None
    return ExactFacts.model_validate(sensitivity(plan, judged))


def _once(judged: Judgement) -> pd.DataFrame:
    return judged.table.drop_duplicates(["sample_id", "draw"])


def _suspect(plan: Plan, judged: Judgement) -> SuspectFacts:
    called_itself = sorted(set(_once(judged)["model"]) - {""})
    facts = SuspectFacts(name=plan.suspect, called_itself=called_itself)
    if plan.answers_file is not None:
        return facts.changed(answers=sha256_of(plan.answers_file))
    if plan.remote is not None:
        api = client.place(plan.remote)
        return facts.changed(
            api=api,
            model=plan.remote.model,
            extra=plan.remote.extra,
            omit=list(plan.remote.omit),
            asked_otherwise=[
                *remembered(plan.folder).differences,
                *(["asked in batches"] if plan.remote.batch else []),
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
        folder=_from(plan.folder, subject.folder),
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
    known = log.of_suspect(place, plan.suspect_key)
    ids = [one.audit for one in known]
    return AuditsFacts(
        counted=this in ids,
        number=ids.index(this) + 1 if this in ids else None,
        of=len(ids),
        of_all=len(log.read(place)),
        at_most=min(1.0, sum(one.alpha for one in known) or plan.alpha),
        earlier=[one for one in known if one.audit != this],
    )


def _queried(plan: Plan, outcome: Outcome) -> Queried:
    judged, once = outcome.judgement, stored_answers(plan)
    vain = unanswered.read(plan.folder)
    return Queried(
        first=min(once["at"], default=None),
        last=max(once["at"], default=None),
        samples=judged.samples,
        of_at_most=len(plan.samples),
        answers=judged.answers,
        requests=int(once["requests"].sum() + vain["requests"].sum()),
        without_answer=int(once["lost_requests"].sum() + vain["requests"].sum()),
        tokens_read=int(once[["prompt_tokens", "lost_prompt_tokens"]].sum().sum())
        + int(vain["read"].sum()),
        tokens_read_cached=int(once["cached_tokens"].sum()),
        tokens_written=int(once[["tokens", "lost_tokens"]].sum().sum())
        + int(vain["written"].sum()),
        tokens_of_thoughts=int(once["thought_tokens"].sum()),
        thoughts=int((once["thought"] != Thought.NONE).sum()),
        only_thoughts=judged.statuses[AnswerStatus.THOUGHT],
        cost=outcome.cost,
        ended=outcome.ended,
    )


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
