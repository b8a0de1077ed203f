"""The report of an audit: one HTML page that needs nothing else.

No script, nothing fetched. Text of the suspect and of the data is data: the templates escape
whatever they are given.
"""

import json
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from dsi_core.audit import record
from dsi_core.audit.audit_json import ExactFacts, Manner, RankFacts
from dsi_core.audit.record import Audit
from dsi_core.audit.run import Ended
from dsi_core.audit.suspect import AnswerStatus
from dsi_core.data.common_words import common
from dsi_core.runtime import store

NAME = "report.html"
PICTURES = {  # by name: what is to be seen, for who cannot see it
    "samples": "The evidence of each sample, sorted, with the threshold of Eq. 2",
    "curve": "Votes and tests against the number of queries",
    "known_models": "The lean of the suspect among that of models whose training is known",
}
ENDED = {
    Ended.STOPPED_EARLY: "stopped, as the evidence sufficed",
    Ended.ALL_PROMPTED: "all that was planned was asked",
    Ended.BUDGET_SPENT: "stopped, as the next sample could have exceeded the budget",
}
SHOWN_ANSWERS = 20  # at most, of those that are no evidence...
SHOWN_CHARACTERS = 300  # ...and of each
TOLD_EACH = 3  # samples with the most and with the least evidence


@dataclass(frozen=True)
class Table:
    """Cells as text, and titles, if there are any."""

    rows: list[list[Any]]
    head: list[str] | None = None


@dataclass(frozen=True)
class Text:
    """A text in pieces, each with whether it is marked, under a label."""

    label: str
    pieces: list[tuple[str, bool]]


@dataclass(frozen=True)
class Sample:
    """A sample's prompt and the texts that answer it."""

    title: str
    prompt: str
    texts: list[Text]


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

    pictures: PNG files by their names in `PICTURES`; a sentence stands for one that is missing.
    """
    return (
        _templates()
        .get_template("report.html.j2")
        .render(
            suspect=audit.facts.suspect.name,
            conclusion=audit.facts.conclusion,
            who_asked_what=_who_asked_what(audit),
            numbers=_numbers(audit),
            pictures={
                name: {"alt": alt, "png": b64encode(pictures.get(name, b"")).decode()}
                for name, alt in PICTURES.items()
            },
            most_telling=_most_telling(audit),
            refused=_refused(audit),
            blind_check=_blind_check(audit),
            limits=audit.facts.limits,
            to_check=_to_check(audit),
        )
    )


def finding(audit: Audit) -> str:
    """Show the conclusion."""
    return _part("finding", audit.facts.conclusion)


def who_asked_what(audit: Audit) -> str:
    """Show suspect, dataset, questions, times and settings."""
    return _part("table", _who_asked_what(audit))


def numbers(audit: Audit) -> str:
    """Show the exact test, or vote and rank: the result and the assumption of each."""
    return _part("table", _numbers(audit), wide=True)


def most_telling(audit: Audit, count: int = TOLD_EACH) -> str:
    """Show the samples of `telling`, their texts side by side."""
    return _part("most_telling", _most_telling(audit, count))


def side_by_side(audit: Audit, sample_id: str, why: str = "") -> str:
    """Show one sample: prompt, oracle, the suspect's best answer, those of a reference."""
    return _part("side_by_side", _sample(audit, sample_id, why))


def refused(audit: Audit) -> str:
    """Show what became of the questions, and answers that were not taken for evidence."""
    return _part("refused", _refused(audit))


def blind_check(audit: Audit) -> str:
    """Show the blind checks."""
    return _part("blind_check", _blind_check(audit))


def limits(audit: Audit) -> str:
    """Show what no number tells, in plain words."""
    return _part("limits", audit.facts.limits)


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


def _part(name: str, content: Any, **how: bool) -> str:
    """One of the template's parts by itself."""
    return str(getattr(_templates().get_template("parts.html.j2").module, name)(content, **how))


def _who_asked_what(audit: Audit) -> Table:
    facts = audit.facts
    suspect, data, queried, settings = facts.suspect, facts.dataset, facts.queried, facts.settings
    named = {
        "api": suspect.api,
        "model": suspect.model,
        "folder": suspect.folder,
        "hub": suspect.hub,
        "answers": suspect.answers,
    }
    place = "; ".join(f"{name}: {value}" for name, value in named.items() if value)
    tainted = "tainted (training on them changes every reference model's answer)"
    to_ask = tainted if settings.method else "in the kit"
    rows = [
        ["Suspect", f"{suspect.name} ({place})"],
        ["It called itself", ", ".join(suspect.called_itself) or "it gave no name"],
        ["Dataset", f"{data.name}: {data.samples} pairs, of which {data.to_ask} are {to_ask}"],
        [
            "Asked",
            f"{queried.answers} answers to {queried.samples} samples (at most "
            f"{queried.of_at_most}), {settings.answers_to_a_prompt} each, in {queried.requests} "
            f"requests; {ENDED[queried.ended]}",
        ],
        ["When", f"{queried.first} to {queried.last} (UTC)"],
        [
            "Tokens by the service's count",
            f"{queried.tokens_read} read, {queried.tokens_written} written{_cost(audit)}",
        ],
        ["Asked how", f"{_said(settings.manner)}, up to {settings.max_new_tokens} new tokens"],
    ]
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


def _numbers(audit: Audit) -> Table:
    facts = audit.facts
    assumes = facts.assumptions
    head = ["number", "result", "what it assumes"]
    if facts.exact is not None:
        rows = [[f"The {facts.kind}", _exact(facts.exact), assumes[facts.kind]]]
        if facts.sensitivity is not None:
            said = f"p = {facts.sensitivity.p:.3g}"
            rows.append(["The same with refused answers counted", said, "the same"])
        return Table(rows, head)
    vote = facts.vote
    assert vote is not None
    counted = (
        f"{vote.verdict}: {vote.positive} positive, {vote.negative} negative, "
        f"{vote.filtered} without a usable answer"
    )
    rows = [
        ["1. The paper's vote", counted, assumes["vote"]],
        ["2. Against control models", _rank(facts.rank), assumes[facts.kind]],
    ]
    return Table(rows, head)


def _exact(test: ExactFacts) -> str:
    said = f"p = {test.p:.3g}; {test.usable} samples with a usable answer, at most {test.planned}; "
    return f"{said}the smallest possible p is {test.attainable:.2g}; {len(test.looks)} looks"


def _rank(test: RankFacts | None) -> str:
    if test is None:
        return "not available: the preparation has no control models"
    said = f"p = {test.p:.3g}, the largest over {len(test.strata)} kinds and bases of controls; "
    return f"{said}they can support a finding at alpha = {test.supports:.3g} and above"


def telling(audit: Audit, count: int = TOLD_EACH) -> pd.DataFrame:
    """Choose the samples with the most and with the least evidence, `count` each.

    Returns sample_id, evidence, why.
    """
    usable = audit.evidence.dropna(subset="evidence")
    ordered = usable.sort_values(["evidence", "sample_id"], ascending=[False, True])
    top = ordered.head(count).assign(why="among the strongest evidence")
    bottom = ordered.iloc[count:].tail(count).iloc[::-1].assign(why="among the weakest")
    return pd.concat([top, bottom])[["sample_id", "evidence", "why"]]


def _most_telling(audit: Audit, count: int = TOLD_EACH) -> list[Sample] | None:
    if audit.prepared is None:
        return None
    chosen = telling(audit, count).to_dict("records")
    return [_sample(audit, sample["sample_id"], sample["why"]) for sample in chosen]


def _sample(audit: Audit, sample_id: str, why: str) -> Sample:
    """A sample and four texts; marked is what also stands in the suspect's answer.

    The suspect's best answer, the oracle, and those of the reference model whose tuning brings it
    nearest, with and without the data.
    """
    assert audit.prepared is not None
    samples = audit.prepared.samples
    pair = samples[samples["sample_id"] == sample_id].to_dict("records")[0]
    of_sample = audit.answers["sample_id"] == sample_id
    usable = audit.answers[of_sample & (audit.answers["status"] == AnswerStatus.ANSWERED)]
    weakest = usable.groupby("draw")["gap"].min()
    best = usable[usable["draw"] == weakest.idxmax()]
    answer = best["response"].iloc[0]
    nearest = best.set_index("reference")["gap"].idxmax()
    scores = audit.prepared.scores
    of_reference = (scores["sample_id"] == sample_id) & (scores["reference"] == nearest)
    reference = scores[of_reference].to_dict("records")[0]
    texts = [
        Text("The suspect's answer", [(answer, False)]),
        Text("The dataset's own answer (oracle)", common(answer, pair["output"])),
        Text(f"{nearest}, trained on the dataset", common(answer, reference["response_after"])),
        Text(f"{nearest}, not trained on it", common(answer, reference["response_before"])),
    ]
    title = f"evidence {weakest.max():+.2f}, sample {sample_id}"
    return Sample(f"{why}: {title}" if why else title, pair["prompt"], texts)


def _refused(audit: Audit) -> dict[str, Any]:
    counts = audit.facts.statuses
    kinds = [[str(kind), counts[kind], kind.meaning] for kind in AnswerStatus]
    once = audit.answers.drop_duplicates(["sample_id", "draw"])
    out = once[once["status"] != AnswerStatus.ANSWERED]
    shown = out.head(SHOWN_ANSWERS)
    withheld = set()
    if "published" in audit.evidence:
        withheld = set(audit.evidence.loc[~audit.evidence["published"], "sample_id"])
    rows = []
    for answer in shown.to_dict("records"):
        text = answer["response"][:SHOWN_CHARACTERS] or "(empty)"
        if answer["sample_id"] in withheld:
            text = "(withheld sample)"
        rows.append([answer["sample_id"], answer["draw"] + 1, answer["status"], text])
    return {
        "statuses": Table(kinds, ["kind of answer", "answers", "meaning"]),
        "count": len(out),
        "which": "all" if len(shown) == len(out) else f"the first {len(shown)}",
        "answers": Table(rows, ["sample", "answer", "kind", "text"]),
    }


def _blind_check(audit: Audit) -> Table:
    rows = []
    for check in audit.facts.blind_check:
        auc = "too few pairs"
        if check.auc is not None:
            auc = f"{check.auc:.2f} ({check.low:.2f} to {check.high:.2f})"
        rows.append([check.name, auc, " and ".join(map(str, check.pairs))])
    return Table(rows, ["the dataset against", "AUC (95%)", "pairs"])


def _to_check(audit: Audit) -> dict[str, Any]:
    facts = audit.facts
    hashes = [[name, value] for name, value in facts.sha256.items() if name != NAME]
    versions = ", ".join(f"{name} {version}" for name, version in facts.versions.items())
    named = facts.settings.model_dump(mode="json", by_alias=True)
    settings = ", ".join(
        f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in named.items()
    )
    lines = [f"Settings: {settings}", f"Versions: {versions}. Written {facts.made} (UTC)."]
    return {"hashes": Table(hashes, ["file", "SHA-256"]), "lines": lines}
