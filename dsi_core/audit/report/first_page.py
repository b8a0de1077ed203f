"""The first page of a report, for everybody: question, answer, how sure, what it does not show."""

from collections.abc import Mapping
from typing import Any

from dsi_core.audit import caveats
from dsi_core.audit.judging.judgement import Answer
from dsi_core.audit.report import details, shown
from dsi_core.audit.report.audit_json import AuditFacts
from dsi_core.audit.report.pieces import Picture, number, picture, rate
from dsi_core.audit.report.record import Audit
from dsi_core.audit.subject import Kind

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
FIRST = {Kind.PRIVATE: "closeness", Kind.WORDING: "preference", Kind.AFTER: "strata"}
FIRST_LIMITS = {  # of the limits: on the first page
    Answer.FOUND: (
        caveats.LATE,
        caveats.AGE,
        caveats.P_VALUE,
        caveats.HOW_IT_CAME,
        caveats.LIKE_TUNED,
    ),
    Answer.NO_FINDING: (caveats.LATE, caveats.P_VALUE, caveats.NO_FINDING),
    Answer.CANNOT: (caveats.LATE, caveats.NO_FINDING),
}
OF_A_FINDING = (caveats.HOW_IT_CAME, caveats.LIKE_TUNED)  # limits; others say of none


def answer(audit: Audit) -> dict[str, Any]:
    """Give the question, how it can be answered at all, and the answer."""
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


def how_sure(audit: Audit) -> dict[str, Any]:
    """Give the p-value in words, and what it assumes."""
    facts = audit.facts
    said = [_rarity(facts)]
    if details.hangs_on_refusals(facts):
        said.append(f"The answer hangs on which texts count as answers. {details.otherwise(facts)}")
    shared = facts.shared_before
    said += filter(None, [details.without_controls(facts), "" if shared is None else shared.said])
    said.append(_again(facts))
    if facts.same_model is not None and facts.same_model.differs:
        said.append(facts.same_model.said)
    return {"said": said, "assumed": facts.assumptions[facts.kind]}


def not_shown(audit: Audit) -> list[str]:
    """Give the limits that belong beside this answer."""
    first = FIRST_LIMITS[audit.facts.answer]
    return [line for line in audit.facts.limits if line in first]


def limits(audit: Audit) -> list[str]:
    """Give the other ones that concern it."""
    found = audit.facts.answer is Answer.FOUND
    other = (caveats.NO_FINDING,) if found else OF_A_FINDING
    return [line for line in audit.facts.limits if line not in [*not_shown(audit), *other]]


def first_picture(audit: Audit, pictures: Mapping[str, bytes]) -> Picture:
    """Give the one picture of the first page."""
    facts = audit.facts
    captions = {
        Kind.PRIVATE: _of_closeness,
        Kind.WORDING: _of_preference,
        Kind.AFTER: _of_strata,
    }
    return picture(pictures, FIRST[facts.kind], captions[facts.kind](audit))


def _rarity(facts: AuditFacts) -> str:
    """The p-value in words."""
    per_cent = f"{100 * facts.alpha:.3g} of 100"
    limit = f"The limit set before the first question was {per_cent} (alpha = {facts.alpha:g})."
    if facts.p is None:
        return "No number says how sure: there is no model to compare with."
    if facts.answer is Answer.CANNOT and facts.reach.can_reach_alpha:
        return f"However the coins had fallen, such answers could not have shown it. {limit}"
    if facts.answer is Answer.CANNOT:
        few = "these controls" if facts.kind is Kind.AFTER else "these samples"
        return (
            f"Whatever had been answered, {few} could not have shown it: the smallest possible "
            f"p-value is {number(facts.reach.attainable)}. {limit}"
        )
    often = f"{rate(facts.p)} (p = {number(facts.p)})"
    if facts.kind is Kind.AFTER:
        said = (
            "If the model were just one more of the control models, answers like these would turn "
            f"up {often}, within the kind of controls where it stands out least."
        )
    else:
        said = (
            "If the model had never seen the data, an answer as clear as this would turn up "
            f"{often}."
        )
    enough = "" if facts.answer is Answer.FOUND else "That is not rare enough. "
    return f"{said} {enough}{limit}"


def _again(facts: AuditFacts) -> str:
    """What the first page says of other audits of the suspect."""
    counted = facts.audits
    if counted.of is None:
        return (
            "How often this suspect was audited, and whether this audit is entered, is not known: "
            "the log may not be read."
        )
    if not counted.counted:
        return "Nobody counted how often this suspect was audited: the log could not be written."
    what = details.subject(facts)
    said = [f"This is audit {counted.number} of {counted.of} of this suspect with this {what}."]
    if counted.of > 1:
        said.append(
            "The limit is not shared among them: the chance that one of as many accuses an "
            f"innocent model is at most {number(counted.at_most)}, where what each assumes holds."
        )
    return " ".join([*said, details.of_any_suspect(facts)])


def _of_preference(audit: Audit) -> str:
    values = shown.contrast(audit)["value"].dropna()
    return (
        f"Each dot is one of {len(values)} samples with a usable answer: above 0 its answers lean "
        "to the wording that was published, below 0 to the one that was kept back, beyond what the "
        "answers prefer on average. In the mean "
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
    said = f"the difference is {test.statistic:+z.3f}. "
    if test.looks[-1].needed is None:
        return said + "No difference would have been enough to be told from coins alone."
    return said + (
        f"The dashed line ({test.looks[-1].needed:+.3f}) is what was needed: coins alone, without "
        f"any training, come as far at any look in at most {100 * facts.alpha:.3g} of 100 audits."
    )


def _of_strata(audit: Audit) -> str:
    return (
        "Each dot is a model whose training is known, in a row for each kind of training and base "
        "model; rows say which were trained on the data. The line is the suspect. Lean says how "
        "much closer a model's answers are to those of models tuned on the data than to those of "
        "untuned ones. The suspect stands out where it is to the right of every dot of a row of "
        "models that were not; the row where it stands out least decides."
    )
