"""The pages of a report: what `notebooks/audit.ipynb` shows, and the one HTML file made of it.

Text of a suspect is data: whatever goes to the page is escaped here.
"""

import html
import json

import pandas as pd

from dsi_core.audit import suspect
from dsi_core.audit.record import ASSUMES, Audit
from dsi_core.data.common_words import common
from dsi_core.evidence import blind


def as_page(body: str, title: str) -> str:
    """A complete page around a body: no script, nothing fetched; for a screen of any width and for paper."""
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}"><title>{html.escape(title)}</title><style>{STYLE}</style></head>'
        f"<body><main>\n{body}\n</main></body></html>\n"
    )


STYLE = """
body { margin: 0; background: #f4f4f2; color: #1b1b1b; font: 16px/1.5 Georgia, "Times New Roman", serif; overflow-wrap: anywhere; }
main { max-width: 52rem; margin: 0 auto; padding: 1.5rem 1.25rem 3rem; background: #fff; }
h1, h2, h3, th, .label { font-family: "Helvetica Neue", Arial, sans-serif; line-height: 1.25; }
h1 { font-size: 1.7rem; } h2 { font-size: 1.2rem; margin-top: 2.2rem; border-bottom: 1px solid #ccc; padding-bottom: .2rem; }
.anchor-link { display: none; }
.finding { border-left: .35rem solid #444; background: #f7f7f4; padding: .8rem 1rem; font-size: 1.1rem; }
table { border-collapse: collapse; width: 100%; margin: .8rem 0; font-size: .92rem; }
th, td { text-align: left; vertical-align: top; padding: .35rem .5rem; border-bottom: 1px solid #ddd; }
th { font-size: .85rem; } td:first-child { min-width: 6.5rem; }
img { max-width: 100%; height: auto; }
.sample { border: 1px solid #ccc; padding: .2rem 1rem .8rem; margin: 1rem 0; break-inside: avoid; }
.texts { display: grid; grid-template-columns: 1fr 1fr; gap: .2rem 1.2rem; }
.text { white-space: pre-wrap; margin: 0; font-size: .92rem; }
.label { font-weight: bold; font-size: .8rem; margin: .7rem 0 .1rem; color: #444; }
mark { background: #b7e4c7; color: inherit; padding: 0; }
code { font-size: .8rem; }
@media (max-width: 40rem) { main { padding: 1rem .8rem; } .texts { grid-template-columns: 1fr; } h1 { font-size: 1.35rem; }
  table.wide thead { display: none; }
  table.wide td { display: block; border: 0; padding: .15rem .2rem; }
  table.wide tr { display: block; border-bottom: 1px solid #bbb; padding: .4rem 0; }
}
@media print { body { background: #fff; font-size: 10.5pt; } main { max-width: none; padding: 0; } h2 { break-after: avoid; } tr, img { break-inside: avoid; }
  mark { print-color-adjust: exact; -webkit-print-color-adjust: exact; } @page { margin: 18mm 16mm; } }
"""


def _table(head: list[str], rows: list[list], wide: bool = False) -> str:
    """An HTML table; every cell is escaped."""
    cells = "".join(
        "<tr>" + "".join(f"<td>{html.escape(str(c))}</td>" for c in row) + "</tr>" for row in rows
    )
    return f"<table{' class=wide' if wide else ''}><thead><tr>{''.join(f'<th>{html.escape(h)}</th>' for h in head)}</tr></thead><tbody>{cells}</tbody></table>"


def finding(audit: Audit) -> str:
    return f'<p class="finding">{html.escape(audit.facts["conclusion"])}</p>'


def who_asked_what(audit: Audit) -> str:
    """Suspect, dataset, questions, times and settings, with a caution where the control models were asked in another way."""
    who, data, asked, how = (audit.facts[k] for k in ("suspect", "dataset", "asked", "settings"))
    place = "; ".join(f"{k}: {who[k]}" for k in ("api", "model", "folder", "hub") if who.get(k))
    ended = {
        "sure": "stopped, as the evidence sufficed",
        "all asked": "all that was planned was asked",
        "money spent": "stopped, as the next sample could have exceeded the budget",
    }[asked["ended"]]
    cost = "" if asked["cost"] is None else f"; cost {asked['cost']:.4f}"
    failed = asked["requests"] - asked["answers"]
    cost += (
        f" ({failed} requests without an answer not counted, which may have been billed)"
        if failed
        else ""
    )
    theirs = how["controls were asked with"]
    rows = [
        ["Suspect", f"{who['name']} ({place})"],
        ["It called itself", ", ".join(who["called itself"]) or "it gave no name"],
        [
            "Dataset",
            f"{data['name']}: {data['samples']} pairs, of which {data['tainted']} are tainted (training on them changes every reference model's answer)",
        ],
        [
            "Asked",
            f"{asked['answers']} answers to {asked['samples']} samples (at most {asked['of at most']}), {how['answers to a prompt']} each, "
            f"in {asked['requests']} requests; {ended}",
        ],
        ["When", f"{asked['first']} to {asked['last']} (UTC)"],
        [
            "Tokens by the service's count",
            f"{asked['tokens read']} read, {asked['tokens written']} written{cost}",
        ],
        [
            "Asked how",
            _manner(how["temperature"], how["system prompt"])
            + f", up to {how['max new tokens']} new tokens",
        ],
        ["Reference models", ", ".join(how["references"])],
    ]
    if (how["temperature"], how["system prompt"]) != (theirs["temperature"], theirs["system"]):
        rows.append(
            [
                "Caution",
                f"control models were asked at {_manner(theirs['temperature'], theirs['system'])}: they and the suspect were not treated alike",
            ]
        )
    return _table(["", ""], rows)


def _manner(temperature: float, system: str | None) -> str:
    return f"temperature {temperature:g}, " + (
        "no system prompt" if system is None else f"system prompt {system!r}"
    )


def three_numbers(audit: Audit) -> str:
    """Vote, controls and twin: result and assumption of each."""
    vote, against, apart = (audit.facts[k] for k in ("vote", "controls", "twin"))
    counted = f"{vote['verdict']}: {vote['positive']} positive, {vote['negative']} negative, {vote['filtered']} without a usable answer"
    rows = [
        ["1. The paper's vote", counted, ASSUMES["vote"]],
        [
            "2. Against control models",
            _controls(against, audit.facts["settings"]["alpha"]),
            ASSUMES["controls"],
        ],
        [
            "3. With the private twin",
            _twin(
                apart, audit.facts["settings"]["stop when sure"], audit.facts["asked"]["of at most"]
            ),
            ASSUMES["twin"],
        ],
    ]
    return _table(["number", "result", "what it assumes"], rows, wide=True)


def _controls(found: dict | None, alpha: float) -> str:
    if found is None:
        return "not available: the preparation has no control models"
    said = f"p = {found['p']:.3g} with {found['controls']} controls; the smallest possible is {found['smallest_p']:.3g}"
    if found["false_positives"] is not None:
        said += f"; the same test calls {found['false_positives']:.0%} of the controls members when each is left out in turn"
    return said + (
        "." if found["can_reach_alpha"] else f". So few controls can never reach alpha = {alpha:g}."
    )


def _twin(found: dict | None, stops: bool, allowed: int) -> str:
    if found is None:
        return "not available: no part of the data was withheld"
    changed = found["planned"] != allowed
    said = f"p = {found['p']:.3g} ({'valid whenever the asking stops' if stops or changed else 'permutation test'}); "
    said += (
        f"its permutation test is over the {found['planned']} samples planned when the audit began; "
        if changed
        else ""
    )
    if found["difference"] is not None:
        said += f"mean evidence {found['difference']:+.3f} higher on the published part; "
    return (
        said
        + f"{found['published']} published and {found['withheld']} withheld samples with evidence; largest wealth {found['largest']:.3g}"
    )


def refused(audit: Audit) -> str:
    """What became of the questions, and each answer that was not taken for evidence."""
    counts = audit.facts["statuses"]
    rows = [[name, counts[name], meaning] for name, meaning in suspect.STATUSES.items()]
    table = _table(["kind of answer", "answers", "meaning"], rows)
    once = audit.answers.drop_duplicates(["sample_id", "draw"])
    private = set(audit.evidence.loc[audit.evidence["part"] == "withheld", "sample_id"])
    out = once[once["status"] != "answered"]
    if out.empty:
        return table + "<p>Every answer could be evidence.</p>"
    shown = out.head(20)
    texts = [
        "(withheld sample)" if r.sample_id in private else r.response[:300] or "(empty)"
        for r in shown.itertuples()
    ]
    rows = [[r.sample_id, r.draw + 1, r.status, text] for r, text in zip(shown.itertuples(), texts)]
    listed = _table(["sample", "answer", "kind", "text"], rows, wide=True)
    return (
        table
        + f"<p>{len(out)} answers are no evidence; {'all' if len(shown) == len(out) else f'the first {len(shown)}'} of them:</p>"
        + listed
    )


def blind_check(audit: Audit) -> str:
    checks = audit.facts["blind check"]
    if not checks:
        return "<p>There was no other data to compare with.</p>"
    rows = [
        [
            c["against"],
            f"{c['auc']:.2f} ({c['low']:.2f} to {c['high']:.2f})"
            if c["auc"] is not None
            else "too few pairs",
            " and ".join(map(str, c["pairs"])),
        ]
        for c in checks
    ]
    told_apart = any("twin" in c["against"] and blind.tells_apart(c["auc"]) for c in checks)
    warning = (
        (
            "<p class=finding>Warning: a text classifier tells the published part from the withheld one. The two are not like with like, and number 3 may find a "
            "difference that no training made.</p>"
        )
        if told_apart
        else ""
    )
    return warning + _table(["the published data against", "AUC (95%)", "pairs"], rows)


def telling(audit: Audit, count: int = 3) -> pd.DataFrame:
    """The published samples with the most and with the least evidence, `count` each: sample_id, evidence, why. The withheld ones stay private."""
    published = audit.evidence[audit.evidence["part"] == "published"].dropna(subset="evidence")
    known = published.sort_values(["evidence", "sample_id"], ascending=[False, True])
    top = known.head(count).assign(why="among the strongest evidence")
    bottom = known.iloc[count:].tail(count).iloc[::-1].assign(why="among the weakest")
    return pd.concat([top, bottom])[["sample_id", "evidence", "why"]]


def side_by_side(audit: Audit, sample_id: str, why: str = "") -> str:
    """A sample: prompt, oracle, the suspect's best answer, and those of the reference model whose tuning brings it nearest, with and
    without the data. Words that also stand in the suspect's answer are marked.
    """
    pair = audit.prepared.samples.set_index("sample_id").loc[sample_id]
    mine = audit.answers[
        (audit.answers["sample_id"] == sample_id) & (audit.answers["status"] == "answered")
    ]
    weakest = mine.groupby("draw")["gap"].min()
    best = mine[mine["draw"] == weakest.idxmax()]
    answer, gap = best["response"].iloc[0], best.set_index("reference")["gap"]
    scores = audit.prepared.scores.query("sample_id == @sample_id").set_index("reference")
    near = gap.idxmax()
    texts = [
        ("The suspect's answer", [(answer, False)]),
        ("The dataset's own answer (oracle)", common(answer, pair["output"])),
        (
            f"{near}, trained on the dataset",
            common(answer, scores.loc[near, "response_after"]),
        ),
        (
            f"{near}, not trained on it",
            common(answer, scores.loc[near, "response_before"]),
        ),
    ]
    blocks = "".join(
        f'<div><p class="label">{html.escape(t)}</p><p class="text">{_marked(pieces)}</p></div>'
        for t, pieces in texts
    )
    title = (
        f"{why}: " * bool(why)
        + f"evidence {weakest.max():+.2f}, sample {sample_id} ({pair['part']})"
    )
    return (
        f'<div class="sample"><p class="label">{html.escape(title)}</p><p class="label">Prompt</p>'
        f'<p class="text">{html.escape(pair["prompt"])}</p><div class="texts">{blocks}</div></div>'
    )


def _marked(pieces: list[tuple[str, bool]]) -> str:
    return (
        "".join(
            f"<mark>{html.escape(p)}</mark>" if shared else html.escape(p) for p, shared in pieces
        )
        or "(empty)"
    )


def most_telling(audit: Audit, count: int = 3) -> str:
    found = telling(audit, count)
    return (
        "".join(side_by_side(audit, r.sample_id, r.why) for r in found.itertuples())
        or "<p>No answer could be evidence.</p>"
    )


def limits(audit: Audit) -> str:
    """What no number here shows, in plain words."""
    return (
        "<ul>"
        + "".join(f"<li>{html.escape(line)}</li>" for line in audit.facts["limits"])
        + "</ul>"
    )


def to_check(audit: Audit) -> str:
    """Hashes, versions and settings, so that a third party can repeat the numbers."""
    f = audit.facts
    rows = [[name, value] for name, value in f["sha256"].items() if name != "report.html"]
    versions = ", ".join(f"{k} {v}" for k, v in f["versions"].items())
    settings = ", ".join(
        f"{k}: {json.dumps(v, ensure_ascii=False)}" for k, v in f["settings"].items()
    )
    said = [f"Settings: {settings}", f"Versions: {versions}. Written {f['made']} (UTC)."]
    return _table(["file", "SHA-256"], rows) + "".join(
        f"<p>{html.escape(line)}</p>" for line in said
    )
