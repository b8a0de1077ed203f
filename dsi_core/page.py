"""The pages of a report: what `notebooks/audit.ipynb` shows, and the one HTML file made of it.

Text of a suspect is data: whatever goes to the page is escaped here.
"""

import html
import json

import pandas as pd

from dsi_core import examples, suspect
from dsi_core.report import ASSUMES, Audit


def as_page(body: str, title: str) -> str:
    """A complete page around a body: no script, nothing fetched; for a screen of any width and for paper."""
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    return (f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
            f'<meta http-equiv="Content-Security-Policy" content="{policy}"><title>{html.escape(title)}</title><style>{STYLE}</style></head>'
            f"<body><main>\n{body}\n</main></body></html>\n")


STYLE = """
body { margin: 0; background: #f4f4f2; color: #1b1b1b; font: 16px/1.5 Georgia, "Times New Roman", serif; }
main { max-width: 52rem; margin: 0 auto; padding: 1.5rem 1.25rem 3rem; background: #fff; }
h1, h2, h3, th, .label { font-family: "Helvetica Neue", Arial, sans-serif; line-height: 1.25; }
h1 { font-size: 1.7rem; } h2 { font-size: 1.2rem; margin-top: 2.2rem; border-bottom: 1px solid #ccc; padding-bottom: .2rem; }
.anchor-link { display: none; }
.finding { border-left: .35rem solid #444; background: #f7f7f4; padding: .8rem 1rem; font-size: 1.1rem; }
table { border-collapse: collapse; width: 100%; margin: .8rem 0; font-size: .92rem; }
th, td { text-align: left; vertical-align: top; padding: .35rem .5rem; border-bottom: 1px solid #ddd; overflow-wrap: anywhere; }
th { font-size: .85rem; } td:first-child { min-width: 6.5rem; }
img { max-width: 100%; height: auto; }
.sample { border: 1px solid #ccc; padding: .2rem 1rem .8rem; margin: 1rem 0; break-inside: avoid; }
.texts { display: grid; grid-template-columns: 1fr 1fr; gap: .2rem 1.2rem; }
.text { white-space: pre-wrap; overflow-wrap: anywhere; margin: 0; font-size: .92rem; }
.label { font-weight: bold; font-size: .8rem; margin: .7rem 0 .1rem; color: #444; }
mark { background: #b7e4c7; color: inherit; padding: 0; }
code { font-size: .8rem; overflow-wrap: anywhere; }
@media (max-width: 40rem) { main { padding: 1rem .8rem; } .texts { grid-template-columns: 1fr; } h1 { font-size: 1.35rem; }
  table.wide thead { display: none; } table.wide td { display: block; border: 0; padding: .15rem .2rem; } table.wide tr { display: block; border-bottom: 1px solid #bbb; padding: .4rem 0; } }
@media print { body { background: #fff; font-size: 10.5pt; } main { max-width: none; padding: 0; } h2 { break-after: avoid; } tr, img { break-inside: avoid; }
  mark { print-color-adjust: exact; -webkit-print-color-adjust: exact; } @page { margin: 18mm 16mm; } }
"""


def _table(head: list[str], rows: list[list], wide: bool = False) -> str:
    """An HTML table; every cell is escaped."""
    cells = "".join("<tr>" + "".join(f"<td>{html.escape(str(c))}</td>" for c in row) + "</tr>" for row in rows)
    return f'<table{" class=wide" if wide else ""}><thead><tr>{"".join(f"<th>{html.escape(h)}</th>" for h in head)}</tr></thead><tbody>{cells}</tbody></table>'


def finding(audit: Audit) -> str:
    return f'<p class="finding">{html.escape(audit.facts["conclusion"])}</p>'


def who_asked_what(audit: Audit) -> str:
    f = audit.facts
    who, asked, set_ = f["suspect"], f["asked"], f["settings"]
    place = "; ".join(f"{k}: {who[k]}" for k in ("api", "model", "folder", "hub") if who.get(k))
    ended = {"sure": "stopped: the evidence sufficed", "all asked": "all planned samples were asked", "money spent": "stopped: the next sample could have exceeded the budget"}
    rows = [["Suspect", f"{who['name']} ({place})"], ["It called itself", ", ".join(who["called itself"]) or "it gave no name"],
            ["Dataset", f"{f['dataset']['name']}: {f['dataset']['samples']} pairs, of which {f['dataset']['tainted']} are tainted (training on them changes every reference model's answer)"],
            ["Asked", f"{asked['answers']} answers to {asked['samples']} samples (at most {asked['of at most']}), {set_['answers to a prompt']} each, in {asked['requests']} requests; {ended.get(asked['ended'], asked['ended'])}"],
            ["When", f"{asked['first']} to {asked['last']} (UTC)"], ["Tokens by the service's count", f"{asked['tokens read']} read, {asked['tokens written']} written" + (f"; cost {asked['cost']:.4f}" if asked["cost"] is not None else "")],
            ["Asked how", f"temperature {set_['temperature']:g}, up to {set_['max new tokens']} new tokens, " + (f"system prompt {set_['system prompt']!r}" if set_["system prompt"] else "no system prompt")],
            ["Reference models", ", ".join(set_["references"])]]
    if set_["system prompt"] != set_["controls were asked with"]:
        rows.append(["Caution", f"the control models were asked with system prompt {set_['controls were asked with']!r}: they and the suspect were not treated alike"])
    return _table(["", ""], rows)


def three_numbers(audit: Audit) -> str:
    f = audit.facts
    vote, against, apart = f["vote"], f["controls"], f["twin"]
    rows = [["1. The paper's vote", f"{vote['verdict']}: {vote['positive']} positive, {vote['negative']} negative, {vote['filtered']} without a usable answer", ASSUMES["vote"]]]
    none = "not available: the preparation has no control models"
    if against:
        wrong = f"; the same test calls {against['false_positives']:.0%} of the controls members when each is left out in turn" if against["false_positives"] is not None else ""
        reach = "" if against["can_reach_alpha"] else f" So few controls can never reach alpha = {f['settings']['alpha']:g}."
        none = f"p = {against['p']:.3g} with {against['controls']} controls; the smallest possible is {against['smallest_p']:.3g}{wrong}.{reach}"
    rows.append(["2. Against control models", none, ASSUMES["controls"]])
    none = "not available: no part of the data was withheld"
    if apart:
        how = "valid whenever the asking stops" if f["settings"]["stop when sure"] else "permutation test"
        difference = "" if apart["difference"] is None else f"mean evidence {apart['difference']:+.3f} higher on the published part; "
        none = f"p = {apart['p']:.3g} ({how}); {difference}{apart['published']} published and {apart['withheld']} withheld samples with evidence; largest wealth {apart['largest']:.3g}"
    rows.append(["3. With the private twin", none, ASSUMES["twin"]])
    return _table(["number", "result", "what it assumes"], rows, wide=True)


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
    listed = _table(["sample", "answer", "kind", "text"], [[r.sample_id, r.draw + 1, r.status, "(withheld sample)" if r.sample_id in private else r.response[:300] or "(empty)"]
                                                                   for r in shown.itertuples()], wide=True)
    return table + f"<p>{len(out)} answers are no evidence; {'all' if len(shown) == len(out) else f'the first {len(shown)}'} of them:</p>" + listed


def blind_check(audit: Audit) -> str:
    checks = audit.facts["blind check"]
    if not checks:
        return "<p>There was no other data to compare with.</p>"
    rows = [[c["against"], "too few pairs" if c["auc"] is None or c["auc"] != c["auc"] else f"{c['auc']:.2f} ({c['low']:.2f} to {c['high']:.2f})", " and ".join(map(str, c["pairs"]))] for c in checks]
    return _table(["the published data against", "AUC (95%)", "pairs"], rows)


def telling(audit: Audit, count: int = 3) -> pd.DataFrame:
    """The published samples with the most and with the least evidence, `count` each: sample_id, evidence, why. The withheld ones stay private."""
    published = audit.evidence[audit.evidence["part"] == "published"].dropna(subset="evidence")
    known = published.sort_values(["evidence", "sample_id"], ascending=[False, True])
    top = known.head(count).assign(why="among the strongest evidence")
    bottom = known.iloc[count:].tail(count).iloc[::-1].assign(why="among the weakest")
    return pd.concat([top, bottom])[["sample_id", "evidence", "why"]]


def side_by_side(audit: Audit, sample_id: str, why: str = "") -> str:
    """A sample: prompt, oracle, the suspect's best answer, and the nearest answers of reference models with and without the data; words shared with the suspect's answer marked."""
    pair = audit.prepared.samples.set_index("sample_id").loc[sample_id]
    mine = audit.answers[(audit.answers["sample_id"] == sample_id) & (audit.answers["status"] == "answered")]
    weakest = mine.groupby("draw")["gap"].min()
    best = mine[mine["draw"] == weakest.idxmax()]
    answer, gap = best["response"].iloc[0], best.set_index("reference")["gap"]
    scores = audit.prepared.scores.query("sample_id == @sample_id").set_index("reference")
    near = gap.idxmax()
    texts = [("The suspect's answer", [(answer, False)]), ("The dataset's own answer (oracle)", examples.common(answer, pair["output"])),
             (f"{near}, trained on the dataset", examples.common(answer, scores.loc[near, "response_after"])),
             (f"{near}, not trained on it", examples.common(answer, scores.loc[near, "response_before"]))]
    blocks = "".join(f'<div><p class="label">{html.escape(t)}</p><p class="text">{_marked(pieces)}</p></div>' for t, pieces in texts)
    return (f'<div class="sample"><p class="label">{html.escape(why)}{": " if why else ""}evidence {weakest.max():+.2f}, sample {html.escape(sample_id)} ({html.escape(pair["part"])})</p>'
            f'<p class="label">Prompt</p><p class="text">{html.escape(pair["prompt"])}</p><div class="texts">{blocks}</div></div>')


def _marked(pieces: list[tuple[str, bool]]) -> str:
    return "".join(f"<mark>{html.escape(p)}</mark>" if shared else html.escape(p) for p, shared in pieces) or "(empty)"


def most_telling(audit: Audit, count: int = 3) -> str:
    found = telling(audit, count)
    return "".join(side_by_side(audit, r.sample_id, r.why) for r in found.itertuples()) or "<p>No answer could be evidence.</p>"


def limits(audit: Audit) -> str:
    """What no number here shows, in plain words."""
    return "<ul>" + "".join(f"<li>{html.escape(line)}</li>" for line in audit.facts["limits"]) + "</ul>"


def to_check(audit: Audit) -> str:
    """Hashes, versions and settings, so that a third party can repeat the numbers."""
    f = audit.facts
    rows = [[name, value] for name, value in f["sha256"].items() if name != "report.html"]
    versions = ", ".join(f"{k} {v}" for k, v in f["versions"].items())
    settings = ", ".join(f"{k}: {json.dumps(v, ensure_ascii=False)}" for k, v in f["settings"].items())
    return _table(["file", "SHA-256"], rows) + f"<p>Settings: {html.escape(settings)}</p><p>Versions: {html.escape(versions)}. Written {html.escape(f['made'])} (UTC).</p>"
