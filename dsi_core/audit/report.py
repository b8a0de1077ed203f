"""The report of an audit: one HTML page that needs nothing else.

A first page for everybody: the question, the answer, how sure, what that does not show, a picture.
Then the details, and what a third party needs to check them. No script, nothing fetched. Text of
the suspect and of the data is data: the templates escape whatever they are given.
"""

import json
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from dsi_core.audit import conclusion, record, shown
from dsi_core.audit.audit_json import AuditFacts, ExactFacts, Manner
from dsi_core.audit.judgement import Answer
from dsi_core.audit.record import Audit
from dsi_core.audit.run import Ended
from dsi_core.audit.subject import Kind
from dsi_core.audit.suspect import AnswerStatus
from dsi_core.runtime import store

NAME = "report.html"
FIRST = {Kind.PRIVATE: "closeness", Kind.WORDING: "preference", Kind.AFTER: "strata"}
ALT = {  # by a picture's name: what is to be seen, for who cannot see it
    "closeness": "A dot for each sample, published above withheld: how close the answers are to "
    "its text, with the mean of either part",
    "preference": "A dot for each sample, sorted: how much its answers prefer the published "
    "wording, with their mean",
    "strata": "A dot for each model whose training is known, by kind and base, and a line at the "
    "suspect's lean",
    "looks": "What was measured at each look, and what was needed there",
    "samples": "The evidence of each sample, sorted, with the threshold of Eq. 2",
    "curve": "The vote, and the rank among the controls, against the answers",
}
QUESTION = {
    Kind.PRIVATE: "Was {suspect} trained on {data}?",
    Kind.WORDING: "Was {suspect} trained on {data}?",
    Kind.AFTER: "Does {suspect} answer like a model that was trained on {data}?",
}
IDEA = {
    Kind.PRIVATE: "Before the data was published a coin decided which part of it was kept back. A "
    "model that never saw the data has no reason to know the published part better.",
    Kind.WORDING: "Before the data was published each text was written in two wordings, and a coin "
    "decided which one became public. A model that never saw the data has no reason to prefer the "
    "wording that the coin chose.",
    Kind.AFTER: "No coin was tossed before the data was published. So the answers are compared "
    "with those of other models, some of which are known not to have been trained on it.",
}
MEASURED = {
    Kind.PRIVATE: "how much closer the answers are to the texts of published samples than to those "
    "of withheld ones (difference of the means)",
    Kind.WORDING: "how much closer the answers are to the published wording than to the one kept "
    "back (mean over the samples, less what the answers prefer on average)",
}
CLOSENESS = {  # by the word of `method.closeness.Statistic` that names the measure
    "rouge_l": "the words that an answer and a text share in the same order (ROUGE-L F, 0 to 1)",
    "containment": "the share of a text's runs of three words that an answer has (0 to 1)",
    "substring": "the longest run of words in both, as a share of the text (0 to 1)",
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
FIRST_LIMITS = {  # of the limits: on the first page
    Answer.FOUND: (
        conclusion.LATE,
        conclusion.P_VALUE,
        conclusion.HOW_IT_CAME,
        conclusion.LIKE_TUNED,
    ),
    Answer.NO_FINDING: (conclusion.LATE, conclusion.P_VALUE, conclusion.NO_FINDING),
    Answer.CANNOT: (conclusion.LATE, conclusion.NO_FINDING),
}
OF_A_FINDING = (conclusion.HOW_IT_CAME, conclusion.LIKE_TUNED)  # limits; others say of none
SHOWN_ANSWERS = 20  # at most, of those that are no evidence...
SHOWN_CHARACTERS = 300  # ...and of each


@dataclass(frozen=True)
class Table:
    """Cells as text, and titles; without them the first cell of a row is its title."""

    rows: list[list[Any]]
    head: list[str] | None = None


@dataclass(frozen=True)
class Picture:
    """A PNG file in base64 ("" = it could not be drawn), for who cannot see it, and what to see."""

    png: str
    alt: str
    caption: str


def write(audit: Audit, pictures: Mapping[str, bytes]) -> Path:
    """Write report.html into the audit's folder, and its hash into audit.json.

    pictures: as for `page`.
    """
    path = audit.folder / NAME
    store.write_text(path, page(audit, pictures))
    record.add_hash(audit, NAME)
    return path


def page(audit: Audit, pictures: Mapping[str, bytes]) -> str:
    """Give the whole page.

    pictures: PNG files by the names of `shown.drawn`; a sentence stands for one that is missing.
    """
    first = [answer(audit), how_sure(audit), not_shown(audit), first_picture(audit, pictures)]
    details = [
        who_asked_what(audit),
        how_decided(audit, pictures),
        power(audit),
        kit(audit),
        audits(audit),
        side_by_side(audit),
        refused(audit),
        blind_check(audit),
        limits(audit),
        sources(audit),
        to_check(audit),
    ]
    template = _templates().get_template("report.html.j2")
    return template.render(
        title=_answer(audit)["question"], first=first, details=details, root=audit.facts.root
    )


def answer(audit: Audit) -> str:
    """Show the question, how it can be answered at all, and the answer."""
    return _part("answer", _answer(audit))


def how_sure(audit: Audit) -> str:
    """Show the p-value in words, and what it assumes."""
    return _part("how_sure", _how_sure(audit))


def not_shown(audit: Audit) -> str:
    """Show what the answer does not say."""
    return _part("not_shown", _not_shown(audit))


def first_picture(audit: Audit, pictures: Mapping[str, bytes]) -> str:
    """Show the one picture of the first page."""
    return _part("first_picture", _first_picture(audit, pictures))


def who_asked_what(audit: Audit) -> str:
    """Show suspect, dataset, questions, times and settings."""
    return _part("who_asked_what", _who_asked_what(audit))


def how_decided(audit: Audit, pictures: Mapping[str, bytes]) -> str:
    """Show the looks of the exact test, or vote and strata of controls."""
    return _part("how_decided", _how_decided(audit, pictures))


def kit(audit: Audit) -> str:
    """Show what the kit committed to; nothing without one."""
    return _part("kit", _kit(audit))


def audits(audit: Audit) -> str:
    """Show which audit of the suspect this is, and what as many can come to."""
    return _part("audits", _audits(audit))


def side_by_side(audit: Audit, count: int = shown.TOLD_EACH) -> str:
    """Show the samples of `shown.telling`, their texts side by side."""
    return _part("side_by_side", _side_by_side(audit, count))


def refused(audit: Audit) -> str:
    """Show what became of the questions, answers that are no evidence, and if they had been."""
    return _part("refused", _refused(audit))


def power(audit: Audit) -> str:
    """Show what would have been found, after no finding."""
    return _part("power", _power(audit))


def blind_check(audit: Audit) -> str:
    """Show the blind checks of a preparation; nothing for a kit."""
    return _part("blind_check", _blind_check(audit))


def limits(audit: Audit) -> str:
    """Show what else no number tells, in plain words."""
    return _part("limits", _limits(audit))


def sources(audit: Audit) -> str:
    """Show whose methods these are."""
    return _part("sources", _sources(audit))


def to_check(audit: Audit) -> str:
    """Show hashes, versions and settings, so that a third party can repeat the numbers."""
    return _part("to_check", _to_check(audit))


@cache
def _templates() -> Environment:
    return Environment(
        loader=PackageLoader("dsi_core", "audit"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _part(name: str, content: Any) -> Markup:
    """One of the template's parts by itself; "" where there is nothing to show."""
    return Markup(getattr(_templates().get_template("parts.html.j2").module, name)(content))


# ---------------------------------------------------------------------------------- the first page


def _answer(audit: Audit) -> dict[str, Any]:
    facts = audit.facts
    names = {"suspect": facts.suspect.name, "data": facts.dataset.name}
    given = {"Case": facts.case, "Examiner": facts.examiner, "Date": facts.made[:10]}
    return {
        "question": QUESTION[facts.kind].format(**names),
        "occasion": " · ".join(f"{name} {value}" for name, value in given.items() if value),
        "idea": IDEA[facts.kind],
        "kind": f"kind {facts.letter}, {facts.kind}",
        "headline": facts.headline,
        "more": facts.conclusion.removeprefix(facts.headline).strip(),
        "found": facts.answer is Answer.FOUND,
    }


def _how_sure(audit: Audit) -> dict[str, Any]:
    facts = audit.facts
    said = [_rarity(facts)]
    if _hangs_on_refusals(facts):
        said.append(f"The answer hangs on which texts count as answers. {_otherwise(facts)}")
    if (again := _again(facts)) is not None:
        said.append(again)
    return {"said": said, "assumed": facts.assumptions[facts.kind]}


def _rarity(facts: AuditFacts) -> str:
    """The p-value in words."""
    per_cent = f"{100 * facts.alpha:.3g} of 100"
    limit = f"The limit set before the first question was {per_cent} (alpha = {facts.alpha:g})."
    if facts.p is None:
        return "No number says how sure: there is no model to compare with."
    if facts.answer is Answer.CANNOT:
        few = "these controls" if facts.kind is Kind.AFTER else "these samples"
        return (
            f"Whatever had been answered, {few} could not have shown it: the smallest possible "
            f"p-value is {_number(facts.reach.attainable)}. {limit}"
        )
    often = f"{rate(facts.p)} (p = {_number(facts.p)})"
    if facts.kind is Kind.AFTER:
        said = (
            "If the model were just one more of the control models, answers like these would turn "
            f"up about {often}, within the kind of controls where it stands out least."
        )
    else:
        said = (
            "If the model had never seen the data, an answer as clear as this would turn up about "
            f"{often}."
        )
    enough = "" if facts.answer is Answer.FOUND else "That is not rare enough. "
    return f"{said} {enough}{limit}"


def rate(p: float) -> str:
    """Say a p-value as a number of audits."""
    if p > 0.995:
        return "in every audit"
    if p > 0.1:
        return f"in {100 * p:.0f} of 100 audits"
    return f"once in {float(f'{1 / p:.2g}'):,.0f} audits"


def _again(facts: AuditFacts) -> str | None:
    """What the first page says of other audits of the suspect."""
    counted = facts.audits
    if not counted.counted:
        return "Nobody counted how often this suspect was audited: the log could not be written."
    if counted.of < 2:
        return None
    return (
        f"This is audit {counted.number} of {counted.of} of this suspect. The limit is not shared "
        f"among them: the chance that one of as many accuses an innocent model is at most "
        f"{_number(counted.at_most)}."
    )


def _not_shown(audit: Audit) -> list[str]:
    first = FIRST_LIMITS[audit.facts.answer]
    return [line for line in audit.facts.limits if line in first]


def _first_picture(audit: Audit, pictures: Mapping[str, bytes]) -> Picture:
    facts = audit.facts
    captions = {
        Kind.PRIVATE: _of_closeness,
        Kind.WORDING: _of_preference,
        Kind.AFTER: _of_strata,
    }
    return _picture(pictures, FIRST[facts.kind], captions[facts.kind](audit))


def _of_preference(audit: Audit) -> str:
    values = shown.contrast(audit)["value"].dropna()
    return (
        f"Each dot is one of {len(values)} samples with a usable answer: above 0 its answers are "
        "closer to the wording that was published, below 0 to the one that was kept back (what "
        "the answers prefer on average is taken off). In the mean "
        f"{_needed(audit.facts)}"
    )


def _of_closeness(audit: Audit) -> str:
    table = shown.contrast(audit).dropna(subset="value")
    counts = table["published"].value_counts()
    return (
        f"Each dot is a sample with a usable answer, {counts.get(True, 0)} published and "
        f"{counts.get(False, 0)} withheld: further right, the answers are closer to its text. The "
        f"bars are the means. Between them "
        f"{_needed(audit.facts)}"
    )


def _needed(facts: AuditFacts) -> str:
    """What was measured, and what coins alone would give."""
    test = facts.exact
    if test is None or test.statistic is None:
        return "there is nothing to measure yet."
    said = f"the difference is {test.statistic:+.3f}. "
    if test.looks[-1].needed is None:
        return said + "No difference would have been enough to be told from coins alone."
    return said + (
        f"The dashed line ({test.looks[-1].needed:+.3f}) is what was needed: coins alone, without "
        f"any training, come as far at any look in at most {100 * facts.alpha:.3g} of 100 audits."
    )


def _of_strata(audit: Audit) -> str:
    return (
        "Each dot is a model whose training is known, in a row for each kind of training and base "
        "model; blue ones were not trained on the data. The line is the suspect. Lean says how "
        "much closer a model's answers are to those of models tuned on the data than to those of "
        "untuned ones. The suspect stands out where it is to the right of every blue dot of a row; "
        "the row where it stands out least decides."
    )


def _picture(pictures: Mapping[str, bytes], name: str, caption: str) -> Picture:
    return Picture(b64encode(pictures.get(name, b"")).decode(), ALT[name], caption)


# ------------------------------------------------------------------------------------- the details


def _who_asked_what(audit: Audit) -> Table:
    facts = audit.facts
    suspect, data, queried, settings = facts.suspect, facts.dataset, facts.queried, facts.settings
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
        ["It called itself", ", ".join(suspect.called_itself) or "it gave no name"],
        ["Dataset", f"{data.name}: {data.samples} samples, {to_ask}; made {_when(data.made)}"],
        [
            "Asked",
            f"{queried.answers} answers to {queried.samples} samples (at most "
            f"{queried.of_at_most}), {settings.answers_to_a_prompt} each, in {queried.requests} "
            f"requests; {ENDED[queried.ended]}",
        ],
        ["When", f"{_when(queried.first)} to {_when(queried.last)}"],
        [
            "Tokens by the service's count",
            f"{queried.tokens_read} read, {queried.tokens_written} written{_cost(audit)}",
        ],
        ["Asked how", f"{_said(settings.manner)}, up to {settings.max_new_tokens} new tokens"],
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


def _cost(audit: Audit) -> str:
    queried = audit.facts.queried
    cost = "" if queried.cost is None else f"; cost {queried.cost:.4f}"
    if failed := queried.requests - queried.answers:
        cost += f" ({failed} requests without an answer not counted, which may have been billed)"
    return cost


def _said(manner: Manner) -> str:
    if manner.system is None:
        return f"temperature {manner.temperature:g}, no system prompt"
    return f"temperature {manner.temperature:g}, system prompt {manner.system!r}"


def _when(moment: str | None) -> str:
    """A time as `store.now` writes it, without what no reader needs."""
    return f"{moment[:16].replace('T', ' ')} UTC" if moment else "never"


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.2g}"


def _how_decided(audit: Audit, pictures: Mapping[str, bytes]) -> dict[str, Any]:
    if audit.facts.exact is not None:
        return _by_looks(audit.facts, audit.facts.exact, pictures)
    return _by_controls(audit.facts, pictures)


def _by_looks(facts: AuditFacts, test: ExactFacts, pictures: Mapping[str, bytes]) -> dict[str, Any]:
    measure = facts.settings.statistic.split()[-1]
    after = ", ".join(map(str, facts.settings.looks))
    said = [
        f"Measured is {MEASURED[facts.kind]}. Closeness is {CLOSENESS.get(measure, measure)}; of a "
        f"sample's answers the {facts.settings.statistic.split()[0]} counts.",
        "It is compared with what it would be had the coins fallen otherwise, thousands of times: "
        "p is the share of these that are as large. The plan was to look after "
        f"{after} samples, and at each look only a share of alpha = {facts.alpha:g} may be spent; "
        f"it was fixed at {_when(facts.settings.begun)}, before the first question.",
        f"{test.usable} samples have a usable answer. The smallest p that the coins of "
        f"{test.planned} planned samples allow is {_number(test.attainable)}.",
    ]
    if not test.looks:
        said.append("Fewer samples were asked about than the first look needs.")
    head = ["after samples", "measured", "needed", "p", "alpha spent by then", "found"]
    rows = [
        [
            look.after,
            "none" if look.statistic is None else f"{look.statistic:+.4f}",
            "none would do" if look.needed is None else f"{look.needed:+.4f}",
            _number(look.p),
            f"{look.spent:.4f}",
            "yes" if look.crossed else "no",
        ]
        for look in test.looks
    ]
    caption = "What was measured at each look (dots), and what was needed there (dashed)."
    drawn = [_picture(pictures, "looks", caption)] if len(test.looks) > 1 else []
    return {"said": said, "table": Table(rows, head), "pictures": drawn, "after": []}


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
            f"The largest p is {_number(rank.p)}. The smallest stratum allows a finding from "
            f"alpha = {_number(rank.supports)} on; the audit was at alpha = {facts.alpha:g}."
        )
        rows = [
            [s.kind, s.base, s.controls, _number(s.p), _number(s.smallest_p)] for s in rank.strata
        ]
    after = [
        f"The paper's vote: {vote.verdict} ({vote.positive} positive, {vote.negative} negative, "
        f"{vote.filtered} samples without a usable answer). {facts.assumptions['vote']}",
        "A sample's evidence says how much closer the suspect's answer is to every reference "
        "model trained on the dataset than to the one that was not; above the dashed line the "
        "sample counts as positive.",
    ]
    drawn = [
        _picture(pictures, "samples", "The evidence of each sample; dashed the threshold."),
        _picture(pictures, "curve", "How vote and p grew with the answers; dashed alpha."),
    ]
    head = ["kind of control", "base", "controls", "p", "smallest possible p"]
    return {"said": said, "table": Table(rows, head), "pictures": drawn, "after": after}


def _kit(audit: Audit) -> dict[str, Any] | None:
    facts = audit.facts
    said = facts.commitment
    if said is None:
        return None
    parts = f"{said.rows} samples with {said.groups} coins"
    if facts.kind is Kind.PRIVATE:
        parts += f"; {said.published} published, {said.rows - said.published} withheld"
    rows = [
        ["Kind", f"{facts.letter}, {facts.kind}"],
        ["Made", f"{_when(said.made)}, by the clock of its owner's machine"],
        ["Samples", parts],
        ["Committed", "after the split (late)" if said.late else "when the coins were tossed"],
        *([f"SHA-256 of {name}", value] for name, value in said.sha256.items()),
    ]
    return {"table": Table(rows), "late": said.late}


def _audits(audit: Audit) -> dict[str, Any]:
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
        f"accuses an innocent model is at most {_number(counted.at_most)}, the sum of their "
        "alphas."
    )
    head = ["begun", "alpha", "samples", "answers each", "temperature", "system prompt", "answer"]
    rows = [
        [
            _when(one.begun),
            f"{one.alpha:g}",
            one.settings.get("samples", ""),
            one.settings.get("answers to a prompt", ""),
            one.settings.get("temperature", ""),
            one.settings.get("system prompt") or "none",
            "never ended" if one.answer is None else f"{one.answer} (p = {_number(one.p)})",
        ]
        for one in counted.earlier
    ]
    return {"said": said, "table": Table(rows, head)}


def _side_by_side(audit: Audit, count: int = shown.TOLD_EACH) -> dict[str, Any]:
    private = {
        Kind.PRIVATE: "Published samples only: what was withheld is its owner's secret.",
        Kind.WORDING: "Published wordings only: the other ones are their owner's secret.",
        Kind.AFTER: "",
    }[audit.facts.kind]
    return {"private": private, "samples": shown.side_by_side(audit, count)}


def _refused(audit: Audit) -> dict[str, Any]:
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
        "otherwise": _otherwise(facts),
    }


def _hangs_on_refusals(facts: AuditFacts) -> bool:
    if facts.sensitivity is None or facts.exact is None:
        return False
    return facts.sensitivity.found != facts.exact.found


def _otherwise(facts: AuditFacts) -> str:
    """What the test would say had every text been an answer."""
    if facts.sensitivity is None or facts.exact is None:
        return ""
    other = facts.sensitivity
    found = "a finding" if other.found else "no finding"
    also = "" if _hangs_on_refusals(facts) else "also "
    return (
        f"Had every text counted as an answer, refusals too: p = {_number(other.p)} over "
        f"{other.usable} samples, {also}{found}."
    )


def _power(audit: Audit) -> dict[str, Any] | None:
    found = audit.facts.power
    if not found:
        return None
    rows = [
        [
            name,
            f"{one.effect:g}",
            f"{one.found:.2f} ({one.low:.2f} to {one.high:.2f})",
            "more than half never" if one.median_samples is None else f"{one.median_samples:g}",
        ]
        for name, one in found.items()
    ]
    head = [
        "it leans to what was published",
        "standard deviations of a sample",
        "found with probability (95%)",
        "median samples until found",
    ]
    return {"table": Table(rows, head), "planned": audit.facts.queried.of_at_most}


def _blind_check(audit: Audit) -> Table | None:
    if audit.prepared is None:
        return None
    rows = []
    for check in audit.facts.blind_check:
        auc = noticed = "too few pairs"
        if check.auc is not None:
            auc = f"{check.auc:.2f} ({check.low:.2f} to {check.high:.2f})"
            noticed = _number(check.noticed)
        rows.append(
            [check.name, auc, _number(check.p), noticed, " and ".join(map(str, check.pairs))]
        )
    head = ["the dataset against", "AUC (95%)", "p", "AUC that would be noticed", "pairs"]
    return Table(rows, head)


def _limits(audit: Audit) -> list[str]:
    found = audit.facts.answer is Answer.FOUND
    other = (conclusion.NO_FINDING,) if found else OF_A_FINDING
    return [line for line in audit.facts.limits if line not in [*_not_shown(audit), *other]]


def _sources(audit: Audit) -> tuple[str, ...]:
    return SOURCES[audit.facts.kind]


def _to_check(audit: Audit) -> dict[str, Any]:
    facts = audit.facts
    versions = ", ".join(f"{name} {version}" for name, version in facts.versions.items())
    rows = [
        ["Case", facts.case or "not given"],
        ["Examiner", facts.examiner or "not given"],
        ["Command", facts.command or "not known"],
        ["Commit of the program", facts.commit],
        ["Machine", facts.machine],
        ["Versions", versions],
        ["Written", _when(facts.made)],
        ["Root hash (SHA-256)", facts.root],
    ]
    hashes = [[name, value] for name, value in facts.sha256.items() if name != NAME]
    named = facts.settings.model_dump(mode="json", by_alias=True)
    settings = [[name, _as_text(value)] for name, value in named.items()]
    return {
        "table": Table(rows),
        "sums": record.SUMS,
        "hashes": Table(hashes, ["file", "SHA-256"]),
        "settings": Table(settings, ["setting", "value"]),
    }


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
