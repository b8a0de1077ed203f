"""The report: the numbers of audit.json in one page without scripts or links.

Its readers see a suspect's text and never run it, and nothing that the owner of a kit keeps.
"""

import re
import shutil
import subprocess
from dataclasses import replace
from html import escape
from html.parser import HTMLParser

import boxes
import cells
import pytest
import twins
from asking import answered, member, plan, sha256
from helpers import STRANGER, write_jsonl
from IPython import display
from servers import reply

from dsi_core.audit import caveats, choices, suspect
from dsi_core.audit.asking import log, run
from dsi_core.audit.preparation.prepared_json import Compared
from dsi_core.audit.report import asked, decided, details, pieces, record, report, shown
from dsi_core.audit.report.facts import Occasion
from dsi_core.method import closeness
from dsi_core.plots import audit as plots

EVIL = "<script>alert('x')</script> & <img src=http://evil.example/a.png> **bold** $x$ {{ 7*7 }}"
ALONE = (
    report.answer,
    report.how_sure,
    report.not_shown,
    report.who_asked_what,
    report.audits,
    report.side_by_side,
    report.refused,
    report.limits,
    report.sources,
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
    return plots.pictures(shown.drawn(audit))


def published(kit, refuses=()):
    """answer(sample, draw) of a model that says what was published, refusing some prompts."""
    said = kit.rows[kit.rows["published"]]
    known = dict(zip(said["prompt"], said["text"], strict=True))
    no = "I'm sorry, but I can't help with that."
    return lambda s, d: no if s.prompt in refuses else known.get(s.prompt, STRANGER)


def audited(about, answer, **how):
    return record.write(*answered(about, answer, **{"alpha": 0.05, **how}))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("shown")


@pytest.fixture(scope="module")
def wording(place):
    """Of a wording twin, a finding: (audit, page)."""
    return _written(audited(kit := twins.wording(_new(place, "b"), 12), published(kit)))


@pytest.fixture(scope="module")
def private(place):
    """Of a private twin, a finding, one published and one withheld prompt refused."""
    kit = twins.private(_new(place, "a"), 12)
    refuses = kit.rows.groupby("published")["prompt"].first().tolist()
    return _written(audited(kit, published(kit, refuses)))


@pytest.fixture(scope="module")
def after(smoke, one_thread, place):
    """After the fact, a finding."""
    return _written(
        audited(boxes.prepared(smoke, _new(place, "c") / "boxes", 8), member, alpha=0.5)
    )


def _new(place, name):
    (place / name).mkdir()
    return place / name


def _written(audit):
    path = report.write(audit, pictures(audit))
    return record.read(audit.folder), path.read_text()


@pytest.fixture(params=["private", "wording", "after"])
def each(request):
    return request.getfixturevalue(request.param)


# --- What everybody reads ------------------------------------------------------------------------


def test_the_first_page_begins_with_question_answer_and_how_sure(each):
    audit, html = each
    page = Text(html).text
    told = ["The answer", "How sure", "What this does not show", "In a picture", "Who asked what"]
    places = [page.index(part) for part in told]
    assert places == sorted(places)
    first = page[: places[-1]]
    for line in (audit.facts.headline, audit.facts.assumptions[audit.facts.kind]):
        assert line in first
    assert caveats.P_VALUE in first and caveats.NO_FINDING not in page


def test_the_p_value_in_words(wording, private, after):
    """1 / 4096 of the coins; 2 / 924, as the refusals leave a tie; of two models in a row 1 / 2."""
    said = Text(report.how_sure(wording[0])).text
    assert "an answer as clear as this would turn up about once in 4,100 audits" in said
    assert "about once in 460 audits (p = 0.0022)" in Text(report.how_sure(private[0])).text
    said = Text(report.how_sure(after[0])).text
    assert "one more of the control models, answers like these would turn up in about 50" in said
    assert "was 50 of 100 (alpha = 0.5)" in said


@pytest.mark.parametrize(
    "p, words",
    [
        (1.0, "in every audit"),
        (0.66, "in about 66 of 100 audits"),
        (0.05, "about once in 20 audits"),
        (0.0003, "about once in 3,300 audits"),
    ],
)
def test_a_p_value_is_so_many_audits(p, words):
    assert pieces.rate(p) == words


def test_trained_is_said_of_a_coin_s_finding_alone(each):
    audit, html = each
    said = "was trained on the published part of boxes" in Text(html).text
    assert said == (audit.kit is not None)
    if audit.prepared is not None:
        assert "Was some-model trained" not in html
        assert "twin" not in Text(html).text


def test_no_finding_says_what_would_have_been_found(place):
    kit = twins.wording(_new(place, "unsigned"), 8)
    kept_back = lambda s, d: s.second if s.first_published else s.first  # noqa: E731
    page = Text(report.page(audited(kit, kept_back), {})).text
    assert "No finding at alpha = 0.05 (p = 1, wording twin)." in page
    assert "would turn up in every audit (p = 1). That is not rare enough." in page
    assert "What would have been found" in page and "4 epochs" in page
    assert caveats.HOW_IT_CAME not in page


def test_an_audit_that_cannot_find_says_so_first(place):
    kit = twins.wording(_new(place, "few"), 8)
    audit = audited(kit, published(kit), samples=4)
    page = Text(report.page(audit, {})).text
    assert page.index("This audit cannot find anything at alpha = 0.05") < page.index("How sure")
    assert "these samples could not have shown it: the smallest possible p-value is 0.062" in page
    assert "none would do" in page


def test_audits_of_one_suspect_are_counted(place):
    kit = twins.wording(_new(place, "again"), 8)
    audited(kit, published(kit), temperature=0.5, out=place / "again" / "other")
    audit = audited(kit, published(kit))
    first, later = Text(report.how_sure(audit)).text, Text(report.audits(audit)).text
    assert (
        "This is audit 2 of 2 of this suspect with this kit." in first
        and "is at most 0.1, where what each assumes holds." in first
    )
    assert "audit 2 of 2 of this suspect with this kit" in later
    assert "found (p = 0.0039)" in later and "Of any suspect" not in first + later


def test_audits_of_any_suspect_are_counted_on_the_first_page_too(place):
    """A model under two names, a file of answers before and after it was edited; and whose log."""
    kit = twins.wording(_new(place, "others"), 8)
    file, made = place / "others" / "said.jsonl", []
    for name in ("one", "two"):
        made.append(audited(kit, published(kit), name=name))
    for answer in (STRANGER, f"{STRANGER} Or so."):
        write_jsonl(file, [{"prompt": prompt, "response": answer} for prompt in kit.rows["prompt"]])
        plan = choices.plan(kit, "said", None, answers=file, out=place / "others" / "o")
        made.append(record.write(plan, run.run(plan)))
    for number, audit in enumerate(made, start=1):
        counted = audit.facts.audits
        assert (counted.of, counted.of_all) == (1, number)
        assert counted.at_most_of_all == pytest.approx(0.05 * number)
        for part in (report.how_sure, report.audits):
            text = Text(part(audit)).text
            assert "This is audit 1 of 1 of this suspect" in text
            told = f"has {number} audits with this kit, and the chance that one of as many accuses"
            assert (told in text) == (number > 1)
            assert "is the auditor's own: audits with a copy of the kit, or outside" in text
    older = made[-1].facts.audits.changed(at_most_of_all=None)
    older = replace(made[-1], facts=made[-1].facts.changed(audits=older))
    assert "4 audits with this kit. Who is" in Text(report.how_sure(older)).text


def test_audits_with_other_control_answers_are_told_apart(place):
    kit = twins.wording(_new(place, "controls"), 8)
    files = [place / "controls" / f"{name}.jsonl" for name in "ab"]
    for file in files:
        rows = [{"prompt": prompt, "response": file.name} for prompt in kit.rows["prompt"]]
        write_jsonl(file, rows)
    for out, given in (("none", ()), ("a", files[:1]), ("ab", files)):
        out = place / "controls" / out
        audit = audited(kit, published(kit), out=out, control_answers=given)
    hashes = [sha256(file) for file in files]
    told = [one.settings["controls"] for one in log.read(kit.folder)]
    assert told == [[], hashes[:1], hashes]
    table = details.audits(audit)["table"]
    assert [row[table.head.index("control answers")] for row in table.rows] == [
        "none",
        hashes[0][:8],
    ]


def test_of_a_log_that_may_not_be_read_no_number_is_told(place, monkeypatch):
    """Of a colleague, beside a preparation that both use: it may hold any number of audits."""
    kit = twins.wording(_new(place, "theirs"), 8)
    monkeypatch.setattr(log, "may_be_read", lambda place: False)
    audit = audited(kit, published(kit))
    first, later = Text(report.how_sure(audit)).text, Text(report.audits(audit)).text
    assert "How often this suspect was audited, and whether this audit is entered" in first
    assert "may not be read: how often" in later and "at most" not in later
    assert audit.facts.audits.at_most is None


def test_what_hangs_on_refusals_is_said_first(place):
    """Half of the samples refused with the published text behind: no finding without these."""
    kit = twins.wording(_new(place, "refused"), 8)
    audit = audited(kit, published(kit))
    other = audit.facts.exact.changed(found=False, p=0.4, usable=8)
    audit = record.Audit(**{**vars(audit), "facts": audit.facts.changed(sensitivity=other)})
    assert "The answer hangs on which texts count" in Text(report.how_sure(audit)).text
    refused = Text(report.refused(audit)).text
    assert "Had every text counted as an answer, refusals too: p = 0.4 over 8 samples" in refused


# --- The numbers ---------------------------------------------------------------------------------


def test_json_and_html_tell_the_same(each):
    audit, html = each
    said, page = audit.facts, Text(html)
    assert said.sha256["report.html"] == sha256(audit.folder / "report.html")
    assert said.conclusion in page.text
    hashes = {name: value for name, value in said.sha256.items() if name != "report.html"}
    assert all(value in page.text for value in [*hashes.values(), said.root])
    assert not re.search(
        r"Traceback|\bnan\b|DataFrame|Figure\(|Undefined|\bNone\b(?! is needed)", page.text
    )


def test_every_look_is_a_row(wording):
    audit, html = wording
    (look,) = audit.facts.exact.looks
    row = f"12 {look.statistic:+.4f} {look.needed:+.4f} 0.00024 0.0500 yes"
    assert row in Text(html.replace("</td>", " ")).text


def test_every_statistic_has_words():
    assert set(decided.CLOSENESS) == set(closeness.Measure)
    assert set(decided.COMBINED) == set(closeness.Combine)


def test_every_stratum_is_a_row(after):
    audit, html = after
    page = Text(html.replace("</td>", " ")).text
    assert len(audit.facts.rank.strata) == 3
    for one in audit.facts.rank.strata:
        assert f"{one.kind} {one.base} 1 0.5 0.5" in page
    assert "The paper's vote: member (8 positive, 0 negative, 0 samples without" in page


def test_what_the_kit_committed_to(private):
    audit, html = private
    page, said = Text(html).text, audit.kit.commitment
    for value in (said.private_sha256, said.published_sha256):
        assert value in page
    assert "12 samples with 12 coins; 6 published, 6 withheld" in page
    assert report.kit(audit) and not report.power(audit) and not report.blind_check(audit)


def test_case_examiner_and_command_are_quoted(place):
    kit = twins.wording(_new(place, "case"), 8)
    planned, outcome = answered(kit, published(kit))
    occasion = Occasion("K 7/26", "A. <b>Berg</b>", "dsi audit --kit kit")
    page = report.page(record.write(planned, outcome, occasion), {})
    said = Text(page)
    assert "Case K 7/26 · Examiner A. <b>Berg</b> · Date 20" in said.text
    assert "dsi audit --kit kit" in said.text and "<b>Berg" not in page


@pytest.mark.parametrize("auc", [0.7, None])
def test_blind_checks_and_what_they_would_notice(after, auc):
    low, high, p, noticed = (None,) * 4 if auc is None else (0.5, 0.9, 0.03, 0.66)
    check = Compared(
        name="the others", auc=auc, low=low, high=high, p=p, noticed=noticed, pairs=(8, 4)
    )
    facts = after[0].facts.changed(blind_check=[check])
    said = Text(report.blind_check(record.Audit(**{**vars(after[0]), "facts": facts}))).text
    assert ("0.70 (0.50 to 0.90)" in said and "0.66" in said) == (auc == 0.7)
    assert ("too few pairs" in said) == (auc is None)
    assert "no other data to compare with" in report.blind_check(after[0])


def test_a_caution_where_the_controls_were_asked_in_another_way(after, prepared):
    assert "Caution" not in report.who_asked_what(after[0])
    other = report.who_asked_what(audited(prepared(6), member, temperature=0.5))
    caution = "control models were asked at temperature 1, no system prompt: they and the suspect"
    assert caution in Text(other).text
    facts = after[0].facts
    given = facts.changed(
        suspect={"name": "file", "answers": "ab" * 32, "called_itself": []},
        settings=facts.settings.changed(temperature=0.5),
    )
    file = report.who_asked_what(record.Audit(**{**vars(after[0]), "facts": given}))
    assert "Caution" not in file and "not known: who answered" in file


def test_a_reader_of_the_page_finds_paper_and_methods(wording, after):
    names = ["Zhou et al.", "2507.03619", "Rastogi", "Huang, Gong and Reiter", "Lan and DeMets"]
    assert all(name in report.sources(wording[0]) for name in names)
    assert [name in report.sources(after[0]) for name in names] == [True, True, False, False, False]


# --- The page ------------------------------------------------------------------------------------


def test_a_page_needs_nothing_else(each):
    audit, html = each
    page = Text(html)
    names = [tag for tag, _ in page.tags]
    assert not {"script", "link", "iframe", "object", "a", "form"} & set(names)
    images = [attributes for tag, attributes in page.tags if tag == "img"]
    assert images and all(image["alt"] in pieces.ALT.values() for image in images)
    assert len(images) == len(shown.drawn(audit)) - (audit.kit is not None)  # one look: no curve
    assert all(image["src"].startswith("data:image/png;base64,iVBOR") for image in images)
    (policy,) = [a["content"] for _, a in page.tags if a.get("http-equiv")]
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'unsafe-inline'")


def test_the_same_audit_has_the_same_page(each):
    """Pictures, too, whenever they are drawn."""
    audit, html = each
    assert report.page(audit, pictures(audit)) == html


def test_without_what_draws_the_page_says_so(after):
    page = Text(report.page(after[0], {}))
    assert "img" not in [tag for tag, _ in page.tags]
    assert page.text.count("No picture, as what draws is not installed.") == 3


def test_every_part_of_the_page_can_be_shown_alone(each):
    """With the same words, but for pictures: the next test has them."""
    audit, html = each
    whole = Text(html).text
    parts = [part(audit) for part in ALONE]
    for part in parts:
        assert len(Text(part).text) > 20 and Text(part).text in whole


def test_the_notebook_shows_the_same_parts(each, tmp_path, monkeypatch):
    audit, html = each
    shown = []
    monkeypatch.setattr(display, "HTML", shown.append)
    cells.run("audit", tmp_path / "ipython", folder=str(audit.folder))
    said = Text("".join(shown)).text
    whole = Text(html.split("<main>")[1]).text
    assert said.replace(" ", "") == whole.replace(" ", "")


# --- What stays private, and what is never run ---------------------------------------------------


def test_the_owner_s_secrets_are_not_in_the_page(wording, private):
    """Neither wordings that were kept back, nor withheld prompts, texts and ids, nor the salt."""
    audit, html = wording
    secret = [*audit.kit.rows["other"], *audit.kit.rows["sample_id"], twins.SALT.hex()]
    assert not [text for text in secret if text in Text(html).text]
    audit, html = private
    rows = audit.kit.rows
    withheld = rows[~rows["published"]]
    secret = [*withheld["prompt"], *withheld["text"], *rows["sample_id"], twins.SALT.hex()]
    assert not [text for text in secret if text in Text(html).text]
    assert html.count("(a withheld sample&#39;s)") == 1
    assert Text(html).text.count("I'm sorry, but I can't help with that.") == 1


def test_suspect_text_is_shown_and_never_run(place):
    kit = twins.wording(_new(place, "evil"), 8)
    page = report.page(audited(kit, lambda s, d: EVIL), {})
    read = Text(page)
    assert "&lt;script&gt;alert(" in page
    assert not {"script", "img"} & {tag for tag, _ in read.tags}
    assert "<img src=http://evil.example/a.png> **bold** $x$ {{ 7*7 }}" in read.text


def test_what_nobody_sees_in_a_suspect_s_text_is_spelt_out(place):
    """Controls and what turns the direction of writing; not letters, nor what joins emoji."""
    turned, family, hebrew = "one \u202egnp.exe\x1b[31m\x00\r two", "👩\u200d👧", "שלום"
    kit = twins.wording(_new(place, "unseen"), 8)
    audit = audited(kit, lambda s, d: f"{turned} {family} {hebrew}\tx\r\ny and some more words")
    read = Text(report.page(audit, {})).text
    assert r"one \u202egnp.exe\u001b[31m\u0000\u000d two" in read
    assert family in read and f"{hebrew} x y and" in read
    assert not [c for c in "\u202e\x1b\0" if c in read]
    assert turned in audit.answers["response"].iloc[0]  # what is kept stays as it was


def test_a_text_from_right_to_left_stays_one_beside_english(place):
    """No number follows its name, which would stand on its other side; its texts begin right."""
    kit = twins.wording(_new(place, "hebrew"), 8, name="שלום")
    html = report.page(audited(kit, published(kit)), {})
    assert "8 samples of שלום, all in the kit; made" in Text(html).text
    assert ".text, .wide td { unicode-bidi: plaintext; }" in html


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("wo\u2060rd so\u00adme", r"wo\u2060rd so\u00adme"),
        ("a\ufe0fb\u200dc\u200cd\u034fe\ufeff", r"a\ufe0fb\u200dc\u200cd\u034fe\ufeff"),
        ("tag\U000e0041s", r"tag\U000e0041s"),
        *[(text, text) for text in ("❤\ufe0f\u200d🔥 1\ufe0f\u20e3", "می\u200cخواهم", "क्\u200dष")],
    ],
)
def test_marks_in_words_are_spelt_out_where_no_script_and_no_emoji_needs_them(text, shown):
    assert pieces.visible(text) == shown


def test_of_a_service_that_counts_no_tokens_the_cost_is_at_most(place, server):
    kit = twins.wording(_new(place, "uncounted"), 8)
    said = {}
    for name, usage in {"none": None, "some": {"prompt_tokens": 9, "completion_tokens": 5}}.items():
        server.script = lambda prompt, n, usage=usage: reply(STRANGER, usage=usage)
        out = place / f"uncounted-{name}"
        planned = plan(kit, server, out=out, price_in=1, price_out=1, stop_early=False)
        audit = record.write(planned, run.run(planned))
        rows = dict(asked.who_asked_what(audit).rows)
        said[name] = audit.facts.queried, rows["Tokens by the service's count"]
    queried, row = said["none"]
    assert queried.uncounted == queried.answers == 8 and queried.cost > 0
    assert row == f"it counted none; cost at most {queried.cost:.4f}"
    queried, row = said["some"]
    assert queried.uncounted == 0 and row == f"72 read, 40 written; cost {queried.cost:.4f}"


@pytest.mark.parametrize("first", [True, False])
def test_asked_in_batches_is_what_was_done_and_not_what_a_rerun_asks_for(place, batches, first):
    """All is asked at first: the rerun, the other way, asks nothing."""
    kit = twins.wording(_new(place, f"batches-{first}"), 8)
    for batch in (first, not first):
        where = suspect.model(None, base_url=batches.url, name="m", batch=batch)
        planned = choices.plan(kit, *where, out=place / f"o-{first}", stop_early=False, neutral=0)
        said = record.write(planned, run.run(planned)).facts.suspect.asked_otherwise
        assert said == (["asked in batches"] if first else [])
    assert (len(batches.batches), len(batches.single)) == ((1, 1) if first else (0, 8))


def test_what_a_suspect_writes_stays_text_in_every_part(prepared, server):
    """As an answer, as one that does not count, as the names of service and model."""
    folder = prepared(6)
    first = folder.tainted["prompt"].iloc[0]
    cut = reply(EVIL, finish="length", tokens=3)
    full = reply(EVIL, model=f"m {EVIL}")
    server.script = lambda prompt, n: full if n or prompt != first else cut
    planned = plan(folder, server, name="m <script>", stop_early=False)
    audit = record.write(planned, run.run(planned))
    shown = {part.__name__: part(audit) for part in ALONE}
    for name in ("answer", "who_asked_what", "refused", "side_by_side"):
        assert "&lt;script&gt;" in shown[name], name
    for page in (*shown.values(), report.page(audit, {})):
        assert not {"script", "img", "a"} & {tag for tag, _ in Text(page).tags}


def test_of_a_file_of_answers_no_settings_are_told(wording):
    """Nobody here asked: a temperature or tokens would be made up."""
    audit = wording[0]
    facts = audit.facts.changed(suspect={"name": "file", "answers": "ab" * 32})
    rows = dict(asked.who_asked_what(record.Audit(**{**vars(audit), "facts": facts})).rows)
    assert rows["Suspect"].endswith(f"a file of answers, SHA-256: {'ab' * 32})")
    assert rows["Asked how"].startswith("not known") and "Read" in rows
    assert not {"It called itself", "Asked", "Tokens by the service's count"} & set(rows)


def test_of_a_model_that_is_loaded_here_nothing_is_told_of_a_service(wording):
    audit = wording[0]
    rows, queried = dict(asked.who_asked_what(audit).rows), audit.facts.queried
    assert list(rows) == ["Suspect", "Loaded", "Dataset", "Asked", "When", "Asked how"]
    judged = f"{queried.samples} samples (at most 12), 1 each"
    assert rows["Asked"].startswith(f"{queried.answers} answers to {judged}; ")


def test_what_marks_files_that_lie_here_is_not_called_a_revision(wording):
    suspect = wording[0].facts.suspect
    loaded = suspect.loaded.changed(revision="ab12")
    for place, told in (
        ({"hub": "owner/name", "folder": None}, "; revision ab12"),
        ({"hub": None, "folder": "/m"}, "; hash of its files' names, sizes and times ab12"),
    ):
        said = suspect.model_copy(update={"loaded": loaded, **place})
        facts = wording[0].facts.model_copy(update={"suspect": said})
        rows = dict(asked.who_asked_what(replace(wording[0], facts=facts)).rows)
        assert told in rows["Loaded"]


def test_a_preference_that_is_none_has_no_sign_of_its_own(place):
    """Minus 0 is 0: where the second wording is the published one, what is measured is turned."""
    audit = audited(twins.wording(_new(place, "minus"), 8), lambda s, d: "\u0416" * 60)
    page = Text(report.page(audit, {})).text
    assert "-0.0" not in page and "the published wording: +0.00, sample" in page


# --- A browser -----------------------------------------------------------------------------------

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
def test_a_browser_opens_the_page_and_nothing_sticks_out(wording, tmp_path, width):
    """Long words in every place: the page is no wider than the window."""
    long = "d" * 300
    audit = wording[0]
    answers = audit.answers.assign(response=long, status="refused")
    facts = audit.facts.changed(
        headline=long,
        suspect={"name": long},
        dataset={"name": long},
        sha256={**audit.facts.sha256, long: long},
        settings={"system_prompt": long},
    )
    drawn = pictures(audit)
    odd = record.Audit(**{**vars(audit), "facts": facts})
    sections = report.page(odd, drawn) + report.refused(
        record.Audit(**{**vars(odd), "answers": answers})
    )
    file = tmp_path / "frame.html"
    file.write_text(FRAME.format(width=width, page=escape(sections)))
    where = [f"--user-data-dir={tmp_path / 'chrome'}", "--dump-dom", file.as_uri()]
    done = subprocess.run([*CHROMIUM, *where], capture_output=True, text=True, timeout=120)
    inner, outer, over = map(int, re.search(WIDTHS, done.stdout).groups())
    assert width - 20 <= inner <= outer == width  # a scroll bar at most
    assert over <= 0, f"{over} pixels too wide"


def test_in_a_notebook_two_dollars_make_no_formula(private):
    """Else a suspect could hide or change its words there."""
    audit, _ = private
    for part in report.side_by_side(audit), report.who_asked_what(audit), report.answer(audit):
        assert part.startswith('<div class="mathjax_ignore">')
    assert report.power(audit) == ""
