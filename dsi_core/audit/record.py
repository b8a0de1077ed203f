"""The record of an audit: audit.json and the tables behind its numbers.

The tables, which say what was withheld and hold the answers, may be read by the folder's owner
alone.
"""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from dsi_core.audit import audit_json, prepared, prepared_json
from dsi_core.audit.audit_json import (
    AuditFacts,
    BudgetFacts,
    ControlsFacts,
    DatasetFacts,
    Manner,
    Queried,
    SettingsFacts,
    SuspectFacts,
    TwinFacts,
)
from dsi_core.audit.judgement import DecidedBy, Judgement, known_evidence
from dsi_core.audit.plan import Plan
from dsi_core.audit.prepared import Prepared
from dsi_core.audit.run import RESPONSES, Outcome
from dsi_core.evidence import controls
from dsi_core.models import endpoint
from dsi_core.runtime import store

ANSWERS = "answers.jsonl"
EVIDENCE, CURVE, KNOWN = "evidence.csv", "curve.csv", "known.csv"
SUSPECT = "the suspect"  # its kind among the known models

ASSUMPTIONS = {
    "vote": (
        "None is needed to count, but the count has no known error rate: the thresholds are the "
        "paper's conventions."
    ),
    "controls": (
        "An innocent model is like one more of the control models: each of them all is equally "
        "likely to lean most. That is a choice of controls, not a fact; a model tuned on data much "
        "like the dataset is only covered if some controls were, too."
    ),
    "twin": (
        "A fair coin, thrown before the release, decided which samples were withheld, and nobody "
        "else has them. Nothing else is assumed, about the model or the data."
    ),
}
LIMITS = [
    "A p-value is the chance of evidence at least this strong from an innocent model, under the "
    "assumption beside it. It is not the chance that the model is innocent.",
    "No finding does not show that the model was not trained on the dataset: it may have learnt it "
    "too weakly, from another wording, or hide it behind a filter.",
    "A finding says that the model answers like one trained on these samples. How they came to its "
    "maker (a licence, another publication of the same texts) is not visible in its answers.",
    "Asking shows the prompts to whoever runs the service, those of withheld samples too (not "
    "their outputs): for the next audit they are no longer private.",
    "The service may change the model behind a name at any time; the answers are those of the "
    "times given here.",
]
AGAINST = {DecidedBy.TWIN: "the private twin", DecidedBy.CONTROLS: "the control models"}


@dataclass(frozen=True)
class Audit:
    """What `write` left in an audit's folder.

    Attributes
    ----------
    facts
        audit.json.
    prepared
        The dataset.
    answers
        With status, and gap to each reference.
    evidence
        sample_id, part, evidence, status of each sample that counts, in the order of asking.
    curve
        As `judgement.curve`.
    known
        As `judgement.known_evidence`, of all samples of the plan.
    """

    folder: Path
    facts: AuditFacts
    prepared: Prepared
    answers: pd.DataFrame
    evidence: pd.DataFrame
    curve: pd.DataFrame
    known: pd.DataFrame


def headline(plan: Plan, judged: Judgement) -> str:
    """Say the outcome in one sentence, the vote in another."""
    vote, alpha = judged.vote, f"{plan.alpha:g}"
    if judged.p is None or judged.decided_by is None:
        first = "No error rate can be given: there are neither control models nor a private twin."
    else:
        tested = f"p = {judged.p:.3g} against {AGAINST[judged.decided_by]}"
        if judged.p <= plan.alpha:
            first = f"{plan.suspect} answers like a model that was trained on the dataset "
            first += f"({tested}, alpha = {alpha})."
        else:
            first = f"No finding at alpha = {alpha} ({tested}); that does not show that "
            first += f"{plan.suspect} was not trained on the dataset."
    return (
        f"{first} The paper's vote: {vote.verdict}, {vote.positive} positive and "
        f"{vote.negative} negative samples of {judged.samples} asked."
    )


def write(plan: Plan, outcome: Outcome) -> Audit:
    """Write audit.json and the tables into the audit's folder, and read them back."""
    folder, judged = plan.folder, outcome.judgement
    known = known_evidence(plan.prepared, plan.samples, plan.draws)
    answers = prepared.wide(judged.table)
    tables = {
        ANSWERS: answers.to_json(orient="records", lines=True, force_ascii=False),
        EVIDENCE: _csv(judged.evidence[["sample_id", "part", "evidence", "status"]]),
        CURVE: _csv(judged.curve),
        KNOWN: _csv(known),
    }
    for name, text in tables.items():
        store.write_text(folder / name, text, private=True)
    hashes = {
        prepared_json.NAME: _hash(plan.prepared.folder / prepared_json.NAME),
        **plan.prepared.facts.sha256,
        **{name: _hash(folder / name) for name in [RESPONSES, *tables]},
    }
    audit_json.write(folder, _facts(plan, outcome).changed(sha256=hashes))
    return read(folder)


def add_hash(audit: Audit, name: str) -> None:
    """Enter the SHA-256 of a file of the audit's folder into audit.json."""
    hashes = {**audit.facts.sha256, name: _hash(audit.folder / name)}
    audit_json.write(audit.folder, audit.facts.changed(sha256=hashes))


def read(folder: str | Path) -> Audit:
    """Read an audit's folder, and the preparation from where audit.json says that it is.

    Raises
    ------
    ValueError
        Where there is no audit.json, where its format is another, where its preparation is not
        where it was or not what it was.
    """
    folder = Path(folder)
    facts = audit_json.read(folder)
    place = (folder.resolve() / facts.dataset.folder).resolve()
    dataset = prepared.read(place)
    if facts.sha256[prepared_json.NAME] != _hash(place / prepared_json.NAME):
        raise ValueError(
            f"{place} is not the preparation that {folder / audit_json.NAME} was made with"
        )
    text = (folder / ANSWERS).read_text(encoding="utf-8")
    answers = prepared.long(prepared.lines(text), dataset.study.profile)
    evidence, curve, known = (
        pd.read_csv(folder / name, dtype={"sample_id": str}) for name in (EVIDENCE, CURVE, KNOWN)
    )
    return Audit(folder, facts, dataset, answers, evidence, curve, known)


def known_models(audit: Audit) -> pd.DataFrame:
    """Put the suspect among the known models: `controls.compare` over the samples asked about."""
    asked = audit.known["sample_id"].isin(audit.evidence["sample_id"])
    known = audit.known[asked].astype({"member": object})
    name = f"{audit.facts.suspect.name} ({SUSPECT})"
    suspect = audit.evidence.assign(model=name, group=SUSPECT, member=None)
    return controls.compare(pd.concat([known, suspect]))


def _csv(table: pd.DataFrame) -> str:
    return table.to_csv(index=False)


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _facts(plan: Plan, outcome: Outcome) -> AuditFacts:
    judged, dataset = outcome.judgement, plan.prepared
    return AuditFacts(
        conclusion=headline(plan, judged),
        suspect=_suspect(plan, judged),
        dataset=DatasetFacts(
            name=dataset.facts.name,
            samples=len(dataset.samples),
            tainted=len(dataset.tainted),
            dropped=dataset.facts.dropped,
            prepared=dataset.facts.made,
            folder=_from(plan.folder, dataset.folder),
        ),
        queried=_queried(plan, outcome),
        settings=_settings(plan),
        vote=judged.vote,
        controls=_if_any(ControlsFacts.model_validate, judged.controls),
        twin=_if_any(TwinFacts.model_validate, judged.twin),
        p=judged.p,
        decided_by=judged.decided_by,
        statuses=judged.statuses,
        blind_check=dataset.facts.blind,
        assumptions=ASSUMPTIONS,
        limits=LIMITS,
        versions=store.versions(),
        made=store.now(),
    )


def _if_any(make: Callable[[Any], Any], value: Any) -> Any:
    return None if value is None else make(value)


def _from(folder: Path, other: Path) -> str:
    """Where `other` lies, from `folder`, without naming this machine."""
    return Path(os.path.relpath(other.resolve(), folder.resolve())).as_posix()


def _once(judged: Judgement) -> pd.DataFrame:
    return judged.table.drop_duplicates(["sample_id", "draw"])


def _suspect(plan: Plan, judged: Judgement) -> SuspectFacts:
    called_itself = sorted(set(_once(judged)["model"]) - {""})
    remote = plan.model.endpoint
    if remote is None:
        return SuspectFacts(
            name=plan.suspect,
            folder=plan.model.path,
            hub=plan.model.hub,
            called_itself=called_itself,
        )
    return SuspectFacts(
        name=plan.suspect,
        api=endpoint.place(remote),
        model=remote.model,
        extra=remote.extra,
        called_itself=called_itself,
    )


def _queried(plan: Plan, outcome: Outcome) -> Queried:
    judged, once = outcome.judgement, _once(outcome.judgement)
    return Queried(
        first=min(once["at"], default=None),
        last=max(once["at"], default=None),
        samples=judged.samples,
        of_at_most=len(plan.samples),
        answers=judged.answers,
        requests=sum(once["requests"]),
        tokens_read=sum(once["prompt_tokens"]),
        tokens_written=sum(once["tokens"]),
        cost=outcome.cost,
        ended=outcome.ended,
    )


def _settings(plan: Plan) -> SettingsFacts:
    study = plan.prepared.study
    profile, queried = study.profile, plan.sampling
    controls_asked = profile.responses
    similarity = profile.similarity.model_dump(exclude_none=True)
    if "path" in similarity:
        similarity["path"] = prepared_json.portable(similarity["path"], plan.prepared.folder)
    return SettingsFacts(
        alpha=plan.alpha,
        stops_early=plan.stops_early,
        budget=BudgetFacts.of(plan.budget),
        answers_to_a_prompt=queried.draws,
        temperature=queried.temperature,
        max_new_tokens=queried.max_new_tokens,
        system_prompt=queried.system,
        controls_were_asked_with=Manner(
            temperature=controls_asked.temperature, system=controls_asked.system
        ),
        seed=queried.seed,
        delta_t=profile.decision.delta_t,
        delta_s=study.delta_s,
        mu=profile.decision.mu,
        similarity=similarity,
        references=[r.name for r in profile.references],
    )
