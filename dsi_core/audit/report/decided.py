"""How it was decided: the looks of an exact test, or vote and strata of controls."""

from collections.abc import Mapping
from typing import Any

from dsi_core.audit import conclusion, reach
from dsi_core.audit.judging.judgement import Answer
from dsi_core.audit.report.audit_json import AuditFacts, ExactFacts
from dsi_core.audit.report.pieces import Table, number, picture, when
from dsi_core.audit.report.record import Audit
from dsi_core.audit.subject import Kind
from dsi_core.evidence import controls

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
    "(0 to 1; case, full width, punctuation and invisible characters do not count, a blank stands "
    "between words, and in a script without blanks each character is a word)",
    "bertscore": "BERTScore (F1, 0 to 1)",
}


def how_decided(audit: Audit, pictures: Mapping[str, bytes]) -> dict[str, Any]:
    """Give the looks of the exact test, or vote and strata of controls."""
    if audit.facts.exact is not None:
        return _by_looks(audit.facts, audit.facts.exact, pictures)
    return _by_controls(audit.facts, pictures)


def power(audit: Audit) -> dict[str, Any] | None:
    """Give what so many samples would have found, after no finding; None after another one."""
    found, leaning = audit.facts.power, audit.facts.power_of_leaning
    if not found:
        return None
    rows = [
        [
            name,
            f"{one.final_loss:.1f}",
            f"{one.effect:g}",
            f"{one.found:.2f} ({one.low:.2f} to {one.high:.2f})",
            "more than half never" if one.median_samples is None else f"{one.median_samples:g}",
            *([f"{leaning[name].found:.2f}"] if leaning else []),
        ]
        for name, one in found.items()
    ]
    head = [
        "tuned on what was published for",
        "final loss (nats per token)",
        "leans to it by (standard deviations of a sample)",
        "found with probability (95%)",
        "median samples until found",
        *(["over the samples that lean alone"] if leaning else []),
    ]
    queried, evidence = audit.facts.queried, audit.facts.reach.samples
    asked = f"the {evidence} samples with a usable answer"
    if queried.samples < queried.of_at_most:
        asked += (
            f", as {queried.samples} of {queried.of_at_most} planned were asked about, at the "
            "looks by then"
        )
    return {"table": Table(rows, head), "asked": asked, "runs": reach.RUNS}


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
            "none" if look.statistic is None else f"{look.statistic:+z.4f}",
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
        "The rank: after each sample a suspect's evidence so far is added up and divided by the "
        "square root of the number of samples with evidence; the largest of these values, from the "
        f"{controls.MIN_SAMPLES}th sample on, is its lean. Within each kind and base of control "
        "models p is the rank of its lean among theirs, 1 for the last and 1 / (controls + 1) for "
        "the first; the largest p counts.",
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
    counted = (
        f"The paper's vote: {vote.verdict} ({vote.positive} positive, {vote.negative} negative, "
        f"{vote.filtered} samples without a usable answer)."
    )
    after = [
        " ".join([counted, *conclusion.beside(vote, facts.answer is Answer.FOUND)]),
        f"What the vote assumes: {facts.assumptions['vote']}",
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
