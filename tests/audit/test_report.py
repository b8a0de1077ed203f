"""The report: the numbers of audit.json in one page without scripts or links.

Its readers see a suspect's text and never run it.
"""

import re
import shutil
import subprocess
from html import escape
from html.parser import HTMLParser

import boxes
import pytest
from asking import answered, knows_published, plan, sha256
from helpers import STRANGER
from servers import reply

from dsi_core.audit import record, report, run
from dsi_core.audit.prepared_json import Against, Compared
from dsi_core.plots import audit as plots

EVIL = "<script>alert('x')</script> & <img src=http://evil.example/a.png> **bold** $x$ {{ 7*7 }}"
PARTS = (
    report.finding,
    report.who_asked_what,
    report.three_numbers,
    report.most_telling,
    report.refused,
    report.blind_check,
    report.limits,
    report.to_check,
)


class Text(HTMLParser):
    """A page's tags and words."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.words = [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())


def pictures(audit) -> dict[str, bytes]:
    settings = audit.facts.settings
    return plots.pictures(
        audit.evidence,
        audit.curve,
        record.known_models(audit),
        delta_s=settings.delta_s,
        alpha=settings.alpha,
        stop=settings.stops_early,
    )


@pytest.fixture(scope="module")
def shown(smoke, one_thread, tmp_path_factory):
    """An audit with a twin that is finished, its page written: (audit, page)."""
    folder = boxes.prepared(smoke, tmp_path_factory.mktemp("shown") / "boxes", 8, withheld=8)
    audit = record.write(*answered(folder, knows_published))
    path = report.write(audit, pictures(audit))
    return record.read(audit.folder), path.read_text()


@pytest.fixture
def audited(asked):
    """make(answer, ...) = the audit whose suspect gave answer(sample, draw) to each question."""
    return lambda *how, **more: record.write(*asked(*how, **more))


def test_json_and_html_tell_the_same(shown):
    audit, html = shown
    said, page = audit.facts, Text(html)
    assert said.sha256["report.html"] == sha256(audit.folder / "report.html")
    assert said.conclusion in page.text
    assert "non-member: 8 positive, 8 negative, 0 without a usable answer" in page.text
    assert f"p = {said.twin.p:.3g} (permutation test)" in page.text
    rank = f"p = {said.controls.p:.3g} with 3 controls; the smallest possible is 0.25"
    assert rank in page.text
    assert all(line in page.text for line in [*said.limits, *said.assumptions.values()])
    hashes = {name: value for name, value in said.sha256.items() if name != "report.html"}
    assert len(hashes) == 9 and all(value in page.text for value in hashes.values())
    assert not re.search(r"Traceback|\bnan\b|DataFrame|Figure\(|Undefined", page.text)


def test_a_page_needs_nothing_else(shown):
    page = Text(shown[1])
    names = [tag for tag, _ in page.tags]
    assert not {"script", "link", "iframe", "object", "a", "form"} & set(names)
    images = [attributes for tag, attributes in page.tags if tag == "img"]
    assert [image["alt"] for image in images] == list(report.PICTURES.values())
    assert all(image["src"].startswith("data:image/png;base64,iVBOR") for image in images)
    (policy,) = [a["content"] for _, a in page.tags if a.get("http-equiv")]
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'unsafe-inline'")


def test_the_same_audit_has_the_same_page(shown):
    """Pictures, too, whenever they are drawn."""
    audit, html = shown
    assert report.page(audit, pictures(audit)) == html


def test_without_what_draws_the_page_says_so(audited):
    page = Text(report.page(audited(knows_published), {}))
    assert "img" not in [tag for tag, _ in page.tags]
    assert page.text.count("What draws is not installed.") == 3


def test_withheld_texts_stay_private(audited):
    audit = audited(lambda s, d: knows_published(s, d) if d else "", withheld=8)
    page = report.page(audit, {})
    samples = audit.prepared.samples
    secret = samples[samples["part"] == "withheld"]
    assert "(withheld sample)" in page
    assert not any(text in page for text in [*secret["prompt"], *secret["output"]])


def test_suspect_text_is_shown_and_never_run(audited):
    page = report.page(audited(lambda s, d: EVIL), {})
    read = Text(page)
    assert "&lt;script&gt;alert(" in page
    assert not {"script", "img"} & {tag for tag, _ in read.tags}
    assert "<img src=http://evil.example/a.png> **bold** $x$ {{ 7*7 }}" in read.text


def test_what_a_suspect_writes_stays_text_in_every_part(prepared, server):
    """As an answer, as one that does not count, as the names of service and model."""
    folder = prepared(6)
    first = folder.tainted["prompt"].iloc[0]
    cut = reply(EVIL, finish="length", tokens=3)
    full = reply(EVIL, model=f"m {EVIL}")
    server.script = lambda prompt, n: full if n or prompt != first else cut
    planned = plan(folder, server, name="m <script>", stop_early=False)
    audit = record.write(planned, run.run(planned))
    shown = {part.__name__: part(audit) for part in PARTS}
    for name in ("finding", "who_asked_what", "refused", "most_telling"):
        assert "&lt;script&gt;" in shown[name], name
    for page in (*shown.values(), report.page(audit, {})):
        assert not {"script", "img", "a"} & {tag for tag, _ in Text(page).tags}


def test_every_part_of_the_page_can_be_shown_alone(shown):
    """With the same words: the notebook and the page are of the same templates."""
    audit, html = shown
    whole = Text(html).text
    for part in PARTS:
        text = Text(part(audit)).text
        assert len(text) > 20 and text in whole, part.__name__


def test_most_telling_samples_and_what_is_marked(audited):
    nobody = "Nobody can say what is in there, not even now."
    audit = audited(lambda s, d: s.output if d == 1 else nobody)
    top = report.telling(audit, 2)
    evidence = audit.evidence["evidence"]
    assert len(top) == 4
    assert top["evidence"].iloc[[0, 2]].tolist() == [evidence.max(), evidence.min()]
    sample_id = top["sample_id"].iloc[0]
    block = report.side_by_side(audit, sample_id)
    output = audit.prepared.samples.set_index("sample_id").loc[sample_id, "output"]
    assert output in Text(block).words  # the suspect's, in one piece
    assert nobody not in Text(block).text and block.count("<mark>") >= 2
    assert f'<p class="text">{output}</p>' in block  # nothing around it where blanks count


def test_a_caution_where_the_controls_were_asked_in_another_way(audited):
    assert "Caution" not in report.who_asked_what(audited(knows_published))
    other = report.who_asked_what(audited(knows_published, temperature=0.5))
    caution = "control models were asked at temperature 1, no system prompt: they and the suspect"
    assert caution in Text(other).text


@pytest.mark.parametrize(("auc", "warns"), [(0.7, True), (0.55, False), (None, False)])
def test_the_blind_check_warns_of_a_twin_that_is_none(audited, auc, warns):
    audit = audited(knows_published)
    low, high = (None, None) if auc is None else (0.5, 0.9)
    for against in Against:
        check = Compared(
            against=against, name="the others", auc=auc, low=low, high=high, pairs=(8, 4)
        )
        audit = record.Audit(**{**vars(audit), "facts": audit.facts.changed(blind_check=[check])})
        shown = Text(report.blind_check(audit)).text
        assert ("Warning" in shown) == (warns and against is Against.TWIN)
        assert ("0.70 (0.50 to 0.90)" in shown) == (auc == 0.7)
        assert ("too few pairs" in shown) == (auc is None)


def test_without_other_data_there_is_no_blind_check(audited):
    assert "no other data to compare with" in report.blind_check(audited(knows_published))


# --- A browser ---------------------------------------------------------------------------------

CHROMIUM = [
    "chromium",
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
# the page in a frame, as no window is narrower than 500 pixels; its policy stays in force
FRAME = """<iframe id=frame width={width} height=900 srcdoc="{page}"></iframe><p id=told></p>
<script>frame.onload = () => {{
  const root = frame.contentDocument.documentElement;
  told.textContent = `width ${{root.clientWidth}} of ${{frame.clientWidth}}, over `
    + (root.scrollWidth - root.clientWidth);
}}</script>"""
WIDTHS = r"width (\d+) of (\d+), over (-?\d+)"


@pytest.mark.skipif(not shutil.which("chromium"), reason="no chromium on this machine")
@pytest.mark.parametrize("width", [1280, 390])
def test_a_browser_opens_the_page_and_nothing_sticks_out(audited, shown, tmp_path, width):
    """Long words in every place: the page is no wider than the window."""
    long = "d" * 300
    audit = audited(lambda s, d: f"{long} {s.output}" if d else STRANGER)
    facts = audit.facts.changed(
        conclusion=long,
        suspect={"name": long},
        dataset={"name": long},
        sha256={**audit.facts.sha256, long: long},
        settings={"system_prompt": long},
    )
    drawn = pictures(shown[0])
    html = report.page(record.Audit(**{**vars(audit), "facts": facts}), drawn)
    file = tmp_path / "frame.html"
    file.write_text(FRAME.format(width=width, page=escape(html)))
    where = [f"--user-data-dir={tmp_path / 'chrome'}", "--dump-dom", file.as_uri()]
    done = subprocess.run([*CHROMIUM, *where], capture_output=True, text=True, timeout=120)
    inner, outer, over = map(int, re.search(WIDTHS, done.stdout).groups())
    assert width - 20 <= inner <= outer == width  # a scroll bar at most
    assert over <= 0, f"{over} pixels too wide"
