"""The details of a report: the kit, other audits, refusals, and what it takes to check all that."""

import json
from typing import Any

from dsi_core.audit.judging import judgement
from dsi_core.audit.report import record, shown
from dsi_core.audit.report.audit_json import AuditFacts
from dsi_core.audit.report.pieces import Table, number, when
from dsi_core.audit.report.record import Audit
from dsi_core.audit.subject import Kind
from dsi_core.audit.suspect import OF_A_SERVICE, AnswerStatus

PAPER = (
    "Zhou et al., “Blackbox Dataset Inference for LLM”, 2025, arXiv 2507.03619: a model is judged "
    "by its texts alone; tainted samples, evidence and vote are this paper's."
)
TWINS = (
    "Huang, Gong and Reiter, “A General Framework for Data-Use Auditing of ML Models”, CCS 2024: "
    "what was published against twins of it that were not, at a rate of false findings set before."
)
LOOKS = (
    "Lan and DeMets, “Discrete sequential boundaries for clinical trials”, Biometrika 70, 1983: "
    "alpha spent over several looks."
)
STAMP = (
    "Rastogi, Maini and Pruthi, “STAMP Your Content: Proving Dataset Membership via Watermarked "
    "Rephrasings”, ICML 2025: several wordings of which one is published; there from "
    "log-probabilities, here from text alone."
)
RANK = (
    "The rank among control models, by kind and base of them, is this program's, after Barnard's "
    "Monte Carlo test (1963)."
)
SOURCES = {
    Kind.PRIVATE: (PAPER, TWINS, LOOKS),
    Kind.WORDING: (PAPER, STAMP, TWINS, LOOKS),
    Kind.AFTER: (PAPER, RANK),
}
SHOWN_ANSWERS = 20  # at most, of those that are no evidence...
SHOWN_CHARACTERS = 300  # ...and of each


def kit(audit: Audit) -> dict[str, Any] | None:
    """Give what the kit committed to; None without one."""
    facts = audit.facts
    said = facts.commitment
    if said is None:
        return None
    parts = f"{said.rows} samples with {said.groups} coins"
    if facts.kind is Kind.PRIVATE:
        parts += f"; {said.published} published, {said.rows - said.published} withheld"
    rows = [
        ["Kind", f"{facts.letter}, {facts.kind}"],
        ["Made", f"{when(said.made)}, by the clock of its owner's machine"],
        ["Samples", parts],
        ["Committed", "after the split (late)" if said.late else "when the coins were tossed"],
        *([f"SHA-256 of {name}", value] for name, value in said.sha256.items()),
    ]
    return {"table": Table(rows), "late": said.late}


def audits(audit: Audit) -> dict[str, Any]:
    """Give which audit of the suspect this is, and the other ones."""
    facts = audit.facts
    counted = facts.audits
    what = subject(facts)
    if counted.at_most is None:
        unknown = (
            "how often this suspect was audited, what its audits come to, and whether this one is "
            "entered, is not known."
        )
        said = [f"The log beside the {what} may not be read: {unknown}"]
        return {"said": said, "table": Table([])}
    if counted.counted:
        said = [f"This is audit {counted.number} of {counted.of} of this suspect with this {what}."]
    else:
        said = [
            f"The log beside the {what} could not be written: nobody counted the audits of this "
            f"suspect. It knows of {counted.of}."
        ]
    said.append(
        "Alpha is of each audit and is not shared. The chance that one of this suspect's audits "
        f"accuses an innocent model is at most {number(counted.at_most)}, the sum of their "
        "alphas, where what each assumes holds."
    )
    said.append(of_any_suspect(facts))
    asked = ["samples", "answers each", "temperature", "system prompt", "control answers"]
    head = ["begun", "alpha", *asked, "answer"]
    rows = [
        [
            when(one.begun),
            f"{one.alpha:g}",
            one.settings.get("samples", ""),
            one.settings.get("answers to a prompt", ""),
            one.settings.get("temperature", ""),
            one.settings.get("system prompt") or "none",
            _control_answers(one.settings),
            "never ended" if one.answer is None else f"{one.answer} (p = {number(one.p)})",
        ]
        for one in counted.earlier
    ]
    return {"said": said, "table": Table(rows, head)}


def of_any_suspect(facts: AuditFacts) -> str:
    """Say what else the log has, and whose log it is."""
    counted, what = facts.audits, subject(facts)
    own = (
        f"The log is the auditor's own: audits with a copy of the {what}, or outside this program, "
        "are not in it."
    )
    if facts.commitment is None:
        own += (
            " Nor are those with the same data prepared once more, with another seed, profile or "
            "split: each preparation has a log of its own."
        )
    if counted.of_all == counted.of:
        return own
    chance = (
        ", and the chance that one of as many accuses an innocent model is at most "
        f"{number(counted.at_most_of_all)}, where what each assumes holds"
    )
    return (
        f"Of any suspect the log has {counted.of_all} audits with this {what}"
        f"{'' if counted.at_most_of_all is None else chance}. Who is asked under another name or "
        "address, has other weights, or is an edited file of answers, counts as another suspect, "
        f"and may be the same. {own}"
    )


def subject(facts: AuditFacts) -> str:
    """Say what an audit, and its log, are about."""
    return "preparation" if facts.commitment is None else "kit"


def _control_answers(settings: dict[str, Any]) -> str:
    """The files of control answers of an audit of the log, by how their hashes begin."""
    if "controls" not in settings:
        return "not known"
    return ", ".join(value[:8] for value in settings["controls"]) or "none"


def side_by_side(audit: Audit, count: int = shown.TOLD_EACH) -> dict[str, Any]:
    """Give the samples of `shown.telling` with their texts."""
    private = {
        Kind.PRIVATE: "Published samples only: what was withheld is its owner's secret.",
        Kind.WORDING: "Published wordings only: the other ones are their owner's secret.",
        Kind.AFTER: "",
    }[audit.facts.kind]
    return {"private": private, "samples": shown.side_by_side(audit, count)}


def refused(audit: Audit) -> dict[str, Any]:
    """Give what became of the questions, and answers that are no evidence."""
    facts = audit.facts
    served = facts.suspect.api is not None
    kinds = [
        [str(kind), facts.statuses[kind], kind.meaning]
        for kind in AnswerStatus
        if served or facts.statuses[kind] or kind not in OF_A_SERVICE
    ]
    answers = judgement.once(audit.answers)
    out = answers[answers["status"] != AnswerStatus.ANSWERED]
    places = {name: place for place, name in enumerate(audit.evidence["sample_id"], start=1)}
    quoted = shown.quoted(audit)
    rows = []
    for one in out.head(SHOWN_ANSWERS).to_dict("records"):
        text = one["response"][:SHOWN_CHARACTERS] or "(empty)"
        if one["sample_id"] not in quoted:
            text = "(a withheld sample's)"
        rows.append([places[one["sample_id"]], one["draw"] + 1, one["status"], text])
    return {
        "statuses": Table(kinds, ["kind of answer", "answers", "meaning"]),
        "count": len(out),
        "which": "all" if len(rows) == len(out) else f"the first {len(rows)}",
        "answers": Table(rows, ["sample", "answer", "kind", "text"]),
        "otherwise": otherwise(facts),
    }


def otherwise(facts: AuditFacts) -> str:
    """Say what would be concluded had other samples counted: "" where it is not known.

    By a kit had every text been an answer; after the fact had every sample been answered.
    """
    also = "" if hangs_on_refusals(facts) else "also "
    if facts.exact is not None and (other := facts.sensitivity) is not None:
        return (
            f"Had every text counted as an answer, refusals too: p = {number(other.p)} over "
            f"{other.usable} samples, {also}{_found(other.found)}."
        )
    if facts.rank is None or (whole := facts.rank_of_all) is None:
        return ""
    if (left := whole.samples - facts.rank.samples) <= 0:
        return ""
    return (
        "With the smallest evidence that any model has on any sample (at most 0) put in for the "
        f"{left} samples without a usable answer: p = {number(whole.p)} over "
        f"{whole.samples} samples, {also}"
        f"{_found(whole.p <= facts.alpha)}."
    )


def hangs_on_refusals(facts: AuditFacts) -> bool:
    """Tell whether the answer would be another one had other samples counted (`otherwise`)."""
    if facts.exact is not None and facts.sensitivity is not None:
        return facts.sensitivity.found != facts.exact.found
    if facts.rank is None or facts.rank_of_all is None:
        return False
    return (facts.rank_of_all.p <= facts.alpha) != (facts.rank.p <= facts.alpha)


def _found(found: bool) -> str:
    return "a finding" if found else "no finding"


def without_controls(facts: AuditFacts) -> str:
    """Say what the test gives without the control answers; "" where there are none."""
    if (plain := facts.without_controls) is None:
        return ""
    found = _found(plain.found)
    return f"Without the control answers the same test gives p = {number(plain.p)}, {found}."


def blind_check(audit: Audit) -> Table | None:
    """Give the blind checks of a preparation; None for a kit."""
    if audit.prepared is None:
        return None
    rows = []
    for check in audit.facts.blind_check:
        auc = noticed = "too few pairs"
        if check.auc is not None:
            auc = f"{check.auc:.2f} ({check.low:.2f} to {check.high:.2f})"
            noticed = number(check.noticed)
        rows.append(
            [check.name, auc, number(check.p), noticed, " and ".join(map(str, check.pairs))]
        )
    head = ["the dataset against", "AUC (95%)", "p", "AUC that would be noticed", "pairs"]
    return Table(rows, head)


def sources(audit: Audit) -> tuple[str, ...]:
    """Give whose methods these are."""
    return SOURCES[audit.facts.kind]


def to_check(audit: Audit) -> dict[str, Any]:
    """Give what a third party needs to repeat the numbers."""
    facts = audit.facts
    versions = ", ".join(f"{name} {version}" for name, version in facts.versions.items())
    rows = [
        ["Case", facts.case or "not given"],
        ["Examiner", facts.examiner or "not given"],
        ["Command", facts.command or "not known"],
        ["Commit of the program", facts.commit],
        ["Machine", facts.machine],
        ["Versions", versions],
        ["Written", when(facts.made)],
        ["Root hash (SHA-256)", facts.root],
    ]
    hashes = [[name, value] for name, value in facts.sha256.items() if name != record.REPORT]
    named = facts.settings.model_dump(mode="json", by_alias=True)
    settings = [[name, _as_text(value)] for name, value in named.items() if value is not None]
    return {
        "table": Table(rows),
        "sums": record.SUMS,
        "hashes": Table(hashes, ["file", "SHA-256"]),
        "settings": Table(settings),
    }


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
