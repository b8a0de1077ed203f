"""The report: the same numbers in JSON and HTML, one file without scripts or links, whose readers see a suspect's text and never run it."""

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

import pytest

from dsi_core.audit import plan as audit_plan
from dsi_core.audit import record as report
from dsi_core.audit import report, suspect
from dsi_core.audit import run as audit
from dsi_core.models import responses

EVIL = "<script>alert('x')</script> & <img src=http://evil.example/a.png> **bold** $x$ and so on"


@pytest.fixture
def asked(prepared):
    """make(answer) = (plan, result) of an audit whose suspect, never called, gave answer(sample, draw) for each question."""

    def make(answer, *, published=8, withheld=0, **how):
        made = prepared(published, withheld)
        name, model = suspect.model("owner/some-model")
        plan = audit_plan.plan(made, name, model, alpha=0.3, **how)
        plan.folder.mkdir()
        with responses.appending(plan.folder) as write:
            write(
                [
                    {
                        "sample_id": s.sample_id,
                        "draw": d,
                        "response": answer(s, d),
                        "at": "2026-01-01T00:00:00+00:00",
                    }
                    for s in plan.samples.itertuples()
                    for d in range(plan.draws)
                ]
            )
        return plan, audit.run(plan)

    return make


def knows(sample, draw):
    return (
        sample.output if sample.part == "published" else "I do not know, maybe ask mistral again."
    )


class Text(HTMLParser):
    def __init__(self, html):
        super().__init__()
        self.tags, self.words = [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words.append(data)


def test_json_and_html_tell_the_same(asked):
    plan, result = asked(knows, withheld=8)
    paths = report.write(plan, result)
    facts, html = json.loads(paths[0].read_text()), paths[1].read_text()
    text = " ".join(" ".join(Text(html).words).split())
    assert facts["conclusion"] in text and facts["vote"] == result["vote"] == {
        "verdict": "non-member",
        "positive": 8,
        "negative": 8,
        "filtered": 0,
    }
    assert (
        facts["twin"]["p"] == pytest.approx(result["twin"]["p"])
        and f"p = {facts['twin']['p']:.3g}" in text
        and facts["decided by"] == "twin"
    )
    assert (
        f"p = {facts['controls']['p']:.3g} with 3 controls; the smallest possible is 0.25" in text
    )
    assert all(line in text for line in [*facts["limits"], *facts["assumptions"].values()])
    assert facts["sha256"]["report.html"] == report._hash(paths[1]) and all(
        h in text for n, h in facts["sha256"].items() if n != "report.html"
    )
    tags = Text(html).tags
    assert (
        not [t for t, _ in tags if t in ("script", "link", "iframe")]
        and len([t for t, _ in tags if t == "img"]) == 3
    )
    assert all(
        a["src"].startswith("data:image/png") and "No description" not in a["alt"]
        for t, a in tags
        if t == "img"
    ) and not re.search(r"(?:src|href)=.?http", html)
    assert not re.search(r"Traceback|\bnan\b|DataFrame|Figure\(", text)


def test_withheld_texts_stay_private(asked):
    plan, result = asked(lambda s, d: knows(s, d) if d else "", withheld=8)
    audited = report.read(report.write(plan, result, notebook=False)[0].parent)
    shown = report.most_telling(audited) + report.refused(audited)
    secret = plan.samples[plan.samples["part"] == "withheld"]
    assert "(withheld sample)" in shown and not any(
        t in shown for t in [*secret["prompt"], *secret["output"]]
    )


def test_suspect_text_is_shown_and_never_run(asked):
    plan, result = asked(lambda s, d: EVIL)
    html = report.write(plan, result)[1].read_text()
    read = Text(html)
    assert "&lt;script&gt;alert(" in html and not [t for t, _ in read.tags if t == "script"]
    assert "<img src=http://evil.example/a.png> **bold** $x$" in " ".join(
        "".join(read.words).split()
    )
    assert all(a["src"].startswith("data:") for t, a in read.tags if t == "img")
    assert "Content-Security-Policy" in html and "default-src 'none'" in html


def test_most_telling_samples_and_what_is_marked(asked):
    plan, result = asked(
        lambda s, d: s.output if d == 1 else "Nobody can say what is in there, not even now."
    )
    audited = report.read(report.write(plan, result, notebook=False)[0].parent)
    top = report.telling(audited, 2)
    assert (
        len(top) == 4
        and top["evidence"].iloc[0] == audited.evidence["evidence"].max()
        and top["evidence"].iloc[2] == audited.evidence["evidence"].min()
    )
    block = report.side_by_side(audited, top["sample_id"].iloc[0])
    output = plan.samples.set_index("sample_id").loc[top["sample_id"].iloc[0], "output"]
    assert (
        Text(block).words.count(output) >= 1
        and "Nobody can say" not in block
        and block.count("<mark>") >= 2
    )


def test_the_suspect_stands_among_the_known_models(asked):
    plan, result = asked(knows)
    table = report.known_models(report.read(report.write(plan, result, notebook=False)[0].parent))
    assert (
        table["kind"].tolist()[0] == "the suspect"
        and len(table) == 4
        and table["p"].iloc[0] == 0.25
    )
    assert table["vote"].tolist() == ["member"] + ["non-member"] * 3


def test_a_suspect_with_a_known_models_name_stays_apart_from_it(asked):
    """An owner may audit, as a rehearsal, a model that the preparation knows."""
    plan, result = asked(knows)
    audited = report.read(report.write(plan, result, notebook=False)[0].parent)
    audited.facts["suspect"]["name"] = audited.known["model"].iloc[0]
    table = report.known_models(audited)
    assert len(table) == 4 and table.set_index("kind").loc["the suspect", "positive"] == 8


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (
            knows,
            "answers like a model that was trained on the dataset (p = 0.25 against the control models, alpha = 0.3). The paper's vote: member, 8 positive",
        ),
        (
            lambda s, d: "I do not know, maybe ask mistral again.",
            "No finding at alpha = 0.3 (p = 1 against the control models); that does not show",
        ),
        (lambda s, d: "", "No finding at alpha = 0.3 (p = 1 against the control models)"),
    ],
)
def test_headlines(asked, answer, words):
    assert words in report.headline(*asked(answer))


@pytest.mark.skipif(not shutil.which("chromium"), reason="no chromium on this machine")
@pytest.mark.parametrize("width", [1280, 390])
def test_a_browser_opens_the_page_at_both_widths(asked, tmp_path, width):
    """Nothing sticks out sideways: the page is no wider than the window (a script of the test's own says so, not of the page's)."""
    plan, result = asked(knows)
    audited = report.read(report.write(plan, result, notebook=False)[0].parent)
    audited.facts["settings"]["hash"] = audited.facts["dataset"]["name"] = "d" * 300
    body = "".join(
        f(audited)
        for f in (
            report.finding,
            report.who_asked_what,
            report.three_numbers,
            report.most_telling,
            report.to_check,
        )
    )
    file = tmp_path / "page.html"
    html = re.sub(
        r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", report.as_page(body, "t")
    )
    file.write_text(
        html.replace(
            "</body>",
            "<p id=w></p><script>w.textContent='over:'+(document.documentElement.scrollWidth-innerWidth)+':'+innerWidth</script></body>",
        )
    )
    done = subprocess.run(
        [
            "chromium",
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--no-first-run",
            f"--user-data-dir={tmp_path / 'chrome'}",
            f"--window-size={width},900",
            "--dump-dom",
            file.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )
    over, inner = map(int, re.search(r"over:(-?\d+):(\d+)", done.stdout).groups())
    assert over <= 0, f"{over} pixels too wide for {inner}"


def test_the_blind_check_warns_of_a_twin_that_is_none(asked):
    plan, result = asked(knows)
    audited = report.read(report.write(plan, result, notebook=False)[0].parent)
    for area, warns in ((0.7, True), (0.55, False), (None, False)):
        audited.facts["blind check"] = [
            {"against": "the withheld twin", "auc": area, "low": 0.5, "high": 0.9, "pairs": [8, 4]}
        ]
        shown = report.blind_check(audited)
        assert (
            ("Warning" in shown) == warns
            and ("0.70 (0.50 to 0.90)" in shown) == (area == 0.7)
            and ("too few pairs" in shown) == (area is None)
        )
