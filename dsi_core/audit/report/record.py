"""The record of an audit: audit.json and the tables behind its numbers.

The tables, which say what the coin decided and hold the answers, may be read by the folder's owner
alone. `SUMS` lists the SHA-256 of every file behind the numbers, as the command `sha256sum -c`
reads it; its own SHA-256 stands for all of them.
"""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from dsi_core.audit import plan_file
from dsi_core.audit.asking import log, same_model, unanswered
from dsi_core.audit.asking.run import Outcome, entry
from dsi_core.audit.asking.storage import COLUMNS
from dsi_core.audit.plan import Plan
from dsi_core.audit.preparation import prepared, prepared_json
from dsi_core.audit.preparation.prepared import Prepared, known_evidence
from dsi_core.audit.report import audit_json
from dsi_core.audit.report.audit_json import AuditFacts
from dsi_core.audit.report.facts import Occasion, facts, relative
from dsi_core.audit.subject import Kind
from dsi_core.evidence import controls
from dsi_core.models import responses
from dsi_core.protect import kit as kits
from dsi_core.protect.kit import Kit
from dsi_core.protect.kit_files import COMMITMENT
from dsi_core.runtime import disk
from dsi_core.runtime.disk import sha256_of
from dsi_core.runtime.paths import found
from dsi_core.services import service

ANSWERS = "answers.jsonl"
EVIDENCE, CURVE, KNOWN = "evidence.csv", "curve.csv", "known.csv"
SUMS = "files.sha256"
REPORT = "report.html"
SUSPECT = "the suspect"  # its kind among the known models


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
        C: as `prepared.known_evidence`; else None.
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
    there = relative(folder, plan.subject.folder)
    hashes = {f"{there}/{name}": value for name, value in plan.subject.hashes.items()}
    others = [f"{same_model.FOLDER}/{responses.FILE}", unanswered.NAME, service.NAME]
    others = [name for name in others if (folder / name).is_file()]
    files = [plan_file.NAME, responses.FILE, *others, *tables]
    hashes |= {name: sha256_of(folder / name) for name in files}
    sums = "".join(f"{value}  {name}\n" for name, value in sorted(hashes.items()))
    disk.write_text(folder / SUMS, sums)
    told = facts(plan, outcome, occasion or Occasion())
    audit_json.write(folder, told.changed(sha256=hashes, root=sha256_of(folder / SUMS)))
    kept = (folder / responses.FILE).read_bytes()
    log.end(plan.subject.folder, entry(plan).audit, str(judged.answer), judged.p, kept)
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
    folder = found(folder)
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
    elif answers.empty:  # no line said which columns there are
        answers = pd.DataFrame(columns=[*COLUMNS, "status"])
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
