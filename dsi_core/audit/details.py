"""The details of a report: who asked what, how it was decided, and what it takes to check that."""

import json
from collections.abc import Mapping
from typing import Any

from dsi_core.audit import record, shown
from dsi_core.audit.audit_json import (
    AuditFacts,
    ExactFacts,
    LoadedFacts,
    Manner,
    SettingsFacts,
    SuspectFacts,
)
from dsi_core.audit.pieces import Table, number, picture, when
from dsi_core.audit.record import Audit
from dsi_core.audit.run import Ended
from dsi_core.audit.subject import Kind
from dsi_core.audit.suspect import AnswerStatus

MEASURED = {
    Kind.PRIVATE: "how much closer the answers are to the texts of published samples than to those "
    "of withheld ones (difference of the means)",
    Kind.WORDING: "how much closer the answers are to the published wording than to the one kept "
    "back (mean over the samples, less what the answers prefer on average)",
}
COMBINED = {"mean": "the mean", "max": "the largest"}
CLOSENESS = {  # by the word of `method.closeness.Statistic` that names the measure
    "rouge_l": "the words that an answer and a text share in the same order (ROUGE-L F, 0 to 1)",
    "containment": "the share of a text's runs of three words that an answer has (0 to 1)",
    "substring": "the longest run of words in both, as a share of the text (0 to 1)",
    "characters": "the root of the share of a text's runs of eight characters that an answer has "
    "(0 to 1)",
    "bertscore": "BERTScore (F1, 0 to 1)",
}
ENDED = {
    Ended.STOPPED_EARLY: "stopped, as the evidence sufficed",
    Ended.ALL_PROMPTED: "all that was planned was asked",
    Ended.BUDGET_SPENT: "stopped, as the next sample could have exceeded the budget",
}
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


def who_asked_what(audit: Audit) -> Table:
    """Give suspect, dataset, questions, times and settings."""
    facts = audit.facts
    suspect, data, settings = facts.suspect, facts.dataset, facts.settings
    named = {
        "api": suspect.api,
        "model": suspect.model,
        "folder": suspect.folder,
        "hub": suspect.hub,
        "a file of answers, SHA-256": suspect.answers,
    }
    place = "; ".join(f"{name}: {value}" for name, value in named.items() if value)
    tainted = "tainted (training on them changes every reference model's answer)"
    to_ask = f"of which {data.to_ask} are {tainted}" if settings.method else "all in the kit"
    rows = [
        ["Suspect", f"{suspect.name} ({place})"],
        *_loaded(suspect.loaded),
        ["Dataset", f"{data.name}: {data.samples} samples, {to_ask}; made {when(data.made)}"],
        *([["Split", data.split]] if data.split else []),
        *(_read(audit) if suspect.answers else _asked(audit)),
    ]
    if settings.control_answers:
        rows.append(["Control answers", ", ".join(settings.control_answers)])
    if settings.method is None:
        return Table(rows)
    rows.append(["Reference models", ", ".join(settings.method.references)])
    if settings.manner != settings.method.controls_were_asked_with:
        caution = (
            f"control models were asked at {_said(settings.method.controls_were_asked_with)}: "
            "they and the suspect were not treated alike"
        )
        rows.append(["Caution", caution])
    return Table(rows)


def _loaded(loaded: LoadedFacts | None) -> list[list[str]]:
    """How a model that was asked here was loaded."""
    if loaded is None:
        return []
    parts = {
        "revision": loaded.revision,
        "de-quantised from the GGUF file": loaded.gguf,
        "adapter": loaded.adapter,
        "SHA-256 of the adapter": loaded.adapter_sha256,
        "SHA-256 of the chat template": loaded.chat_template_sha256,
    }
    bits = "4 bits, products in " if loaded.in_4_bits else ""
    bits = "8 bits, the rest in " if loaded.in_8_bits else bits
    said = [f"weights in {bits}{loaded.dtype}"]
    said += [f"{name} {value}" for name, value in parts.items() if value]
    return [["Loaded", "; ".join(said)]]


def _requests(suspect: SuspectFacts) -> list[list[str]]:
    """How its requests differ from the usual ones, because of the user or of the service."""
    said = [f"{name} is {value!r}" for name, value in (suspect.extra or {}).items()]
    said += [f"no {name} is sent" for name in suspect.omit]
    said += suspect.asked_otherwise
    return [["Requests", "; ".join(said)]] if said else []


def _asked(audit: Audit) -> list[list[str]]:
    """How a model was asked."""
    facts = audit.facts
    queried, settings = facts.queried, facts.settings
    return [
        ["It called itself", ", ".join(facts.suspect.called_itself) or "it gave no name"],
        *_requests(facts.suspect),
        [
            "Asked",
            f"{queried.answers} answers to {queried.samples} samples (at most "
            f"{queried.of_at_most}), {settings.answers_to_a_prompt} each, in {queried.requests} "
            f"requests; {ENDED[queried.ended]}",
        ],
        ["When", f"{when(queried.first)} to {when(queried.last)}"],
        [
            "Tokens by the service's count",
            f"{queried.tokens_read} read, {queried.tokens_written} written{_cost(audit)}",
        ],
        ["Asked how", _how(settings)],
        *([["Thoughts", _of_thoughts(facts)]] if queried.thoughts else []),
        ["One model", "not tried" if facts.same_model is None else facts.same_model.said],
    ]


def _how(settings: SettingsFacts) -> str:
    more = f", and {settings.reasoning_tokens} more for a thought before"
    room = f"up to {settings.max_new_tokens} new tokens of an answer are compared"
    return f"{_said(settings.manner)}, {room}{more if settings.reasoning_tokens else ''}"


def _of_thoughts(facts: AuditFacts) -> str:
    """How the suspect reasoned before it answered."""
    queried = facts.queried
    said = (
        f"{queried.thoughts} of {queried.answers} replies held a thought, which is cut off and "
        f"not compared; {queried.only_thoughts} held nothing else and are no evidence"
    )
    if queried.tokens_of_thoughts:
        said += f"; {queried.tokens_of_thoughts} of the tokens written were thoughts"
    return " ".join([f"{said}.", *facts.hints])


def _read(audit: Audit) -> list[list[str]]:
    """What is known of a file of answers."""
    queried = audit.facts.queried
    return [
        [
            "Read",
            f"{queried.answers} answers to {queried.samples} samples (at most "
            f"{queried.of_at_most}), at {when(queried.last)}",
        ],
        [
            "Asked how",
            "not known: who answered, when and how, is the word of whoever gave the file",
        ],
    ]


def how_decided(audit: Audit, pictures: Mapping[str, bytes]) -> dict[str, Any]:
    """Give the looks of the exact test, or vote and strata of controls."""
    if audit.facts.exact is not None:
        return _by_looks(audit.facts, audit.facts.exact, pictures)
    return _by_controls(audit.facts, pictures)


def power(audit: Audit) -> dict[str, Any] | None:
    """Give what would have been found, after no finding; None after another one."""
    found = audit.facts.power
    if not found:
        return None
    rows = [
        [
            name,
            f"{one.final_loss:.1f}",
            f"{one.effect:g}",
            f"{one.found:.2f} ({one.low:.2f} to {one.high:.2f})",
            "more than half never" if one.median_samples is None else f"{one.median_samples:g}",
        ]
        for name, one in found.items()
    ]
    head = [
        "tuned on what was published for",
        "final loss (nats per token)",
        "leans to it by (standard deviations of a sample)",
        "found with probability (95%)",
        "median samples until found",
    ]
    return {"table": Table(rows, head), "planned": audit.facts.queried.of_at_most}


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
    what = "kit" if facts.commitment is not None else "preparation"
    if counted.counted:
        said = [
            f"This is audit {counted.number} of {counted.of} of this suspect with this {what}, "
            f"among {counted.of_all} of any suspect."
        ]
    else:
        said = [
            f"The log beside the {what} could not be written: nobody counted the audits of this "
            f"suspect. It knows of {counted.of}."
        ]
    said.append(
        "Alpha is of each audit and is not shared. The chance that one of this suspect's audits "
        f"accuses an innocent model is at most {number(counted.at_most)}, the sum of their "
        "alphas."
    )
    head = ["begun", "alpha", "samples", "answers each", "temperature", "system prompt", "answer"]
    rows = [
        [
            when(one.begun),
            f"{one.alpha:g}",
            one.settings.get("samples", ""),
            one.settings.get("answers to a prompt", ""),
            one.settings.get("temperature", ""),
            one.settings.get("system prompt") or "none",
            "never ended" if one.answer is None else f"{one.answer} (p = {number(one.p)})",
        ]
        for one in counted.earlier
    ]
    return {"said": said, "table": Table(rows, head)}


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
    kinds = [[str(kind), facts.statuses[kind], kind.meaning] for kind in AnswerStatus]
    once = audit.answers.drop_duplicates(["sample_id", "draw"])
    out = once[once["status"] != AnswerStatus.ANSWERED]
    number = {name: place for place, name in enumerate(audit.evidence["sample_id"], start=1)}
    quoted = shown.quoted(audit)
    rows = []
    for one in out.head(SHOWN_ANSWERS).to_dict("records"):
        text = one["response"][:SHOWN_CHARACTERS] or "(empty)"
        if one["sample_id"] not in quoted:
            text = "(a withheld sample's)"
        rows.append([number.get(one["sample_id"], "later"), one["draw"] + 1, one["status"], text])
    return {
        "statuses": Table(kinds, ["kind of answer", "answers", "meaning"]),
        "count": len(out),
        "which": "all" if len(rows) == len(out) else f"the first {len(rows)}",
        "answers": Table(rows, ["sample", "answer", "kind", "text"]),
        "otherwise": otherwise(facts),
    }


def otherwise(facts: AuditFacts) -> str:
    """Say what the test would give had every text been an answer; "" after the fact."""
    if facts.sensitivity is None or facts.exact is None:
        return ""
    other = facts.sensitivity
    found = "a finding" if other.found else "no finding"
    also = "" if hangs_on_refusals(facts) else "also "
    return (
        f"Had every text counted as an answer, refusals too: p = {number(other.p)} over "
        f"{other.usable} samples, {also}{found}."
    )


def hangs_on_refusals(facts: AuditFacts) -> bool:
    """Tell whether the answer would be another one had refusals counted."""
    if facts.sensitivity is None or facts.exact is None:
        return False
    return facts.sensitivity.found != facts.exact.found


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


def _by_looks(facts: AuditFacts, test: ExactFacts, pictures: Mapping[str, bytes]) -> dict[str, Any]:
    combine, measure = facts.settings.statistic.split()
    after = ", ".join(map(str, facts.settings.looks))
    said = [
        f"Measured is {MEASURED[facts.kind]}. Closeness is {CLOSENESS[measure]}; of a sample's "
        f"answers {COMBINED[combine]} counts.",
        "It is compared with what it would be had the coins fallen otherwise, thousands of times: "
        "p is the share of these that are as large. The plan was to look after "
        f"{after} samples, and at each look only a share of alpha = {facts.alpha:g} may be spent; "
        f"it was fixed at {when(facts.settings.begun)}, before the first question.",
        f"{test.usable} samples have a usable answer. The smallest p that the coins of "
        f"{test.planned} planned samples allow is {number(test.attainable)}.",
    ]
    if not test.looks:
        said.append("Fewer samples were asked about than the first look needs.")
    head = ["after samples", "measured", "needed", "p", "alpha spent by then", "found"]
    rows = [
        [
            look.after,
            "none" if look.statistic is None else f"{look.statistic:+.4f}",
            "none would do" if look.needed is None else f"{look.needed:+.4f}",
            number(look.p),
            f"{look.spent:.4f}",
            "yes" if look.crossed else "no",
        ]
        for look in test.looks
    ]
    caption = "What was measured at each look (dots), and what was needed there (dashed)."
    drawn = [picture(pictures, "looks", caption)] if len(test.looks) > 1 else []
    table = Table(rows, head)
    return {"said": said, "table": table, "shape": "numbers", "pictures": drawn, "after": []}


def _by_controls(facts: AuditFacts, pictures: Mapping[str, bytes]) -> dict[str, Any]:
    vote, rank = facts.vote, facts.rank
    assert vote is not None
    said = [
        "The rank: a suspect's lean is its evidence added up, over the square root of the number "
        "of samples. Within each kind and base of control models p is its rank among them, 1 for "
        "the last and 1 / (controls + 1) for the first; the largest p counts.",
    ]
    rows = []
    if rank is None:
        said.append("There are no control models, so that there is no rank.")
    else:
        said.append(
            f"The largest p is {number(rank.p)}. The smallest stratum allows a finding from "
            f"alpha = {number(rank.supports)} on; the audit was at alpha = {facts.alpha:g}."
        )
        rows = [
            [s.kind, s.base, s.controls, number(s.p), number(s.smallest_p)] for s in rank.strata
        ]
    after = [
        f"The paper's vote: {vote.verdict} ({vote.positive} positive, {vote.negative} negative, "
        f"{vote.filtered} samples without a usable answer). {facts.assumptions['vote']}",
        "A sample's evidence says how much closer the suspect's answer is to every reference "
        "model trained on the dataset than to the one that was not; above the dashed line the "
        "sample counts as positive.",
    ]
    drawn = [
        picture(pictures, "samples", "The evidence of each sample; dashed the threshold."),
        picture(pictures, "curve", "How vote and p grew with the answers; dashed alpha."),
    ]
    head = ["kind of control", "base", "controls", "p", "smallest possible p"]
    table = Table(rows, head)
    return {"said": said, "table": table, "shape": "wide", "pictures": drawn, "after": after}


def _cost(audit: Audit) -> str:
    queried = audit.facts.queried
    cost = "" if queried.cost is None else f"; cost {queried.cost:.4f}"
    if queried.without_answer:
        cost += f" (with {queried.without_answer} requests that brought no answer)"
    return cost


def _said(manner: Manner) -> str:
    if manner.system is None:
        return f"temperature {manner.temperature:g}, no system prompt"
    return f"temperature {manner.temperature:g}, system prompt {manner.system!r}"


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
