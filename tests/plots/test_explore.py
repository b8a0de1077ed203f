"""The explorer counts as the method does, shows what it was given as text, and fits its window."""

import base64
import gzip
import html
import json
import re
from dataclasses import replace
from itertools import pairwise
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest
from explorer_speed import CHROMIUM, made_up
from helpers import change, says
from typer.testing import CliRunner

from dsi_core import cli
from dsi_core.data.common_words import common
from dsi_core.method import study, tainted
from dsi_core.method.study import Study
from dsi_core.plots import style
from dsi_core.plots import tables as tables_of_notebooks
from dsi_core.plots.explorer import explore, explored
from dsi_core.runtime.paths import ROOT
from dsi_core.settings.profile import load_profile
from dsi_core.settings.schema import Rule

HOSTILE = '</script><img src=x onerror="alerted=1"><b>bold</b><script>alerted=1</script>'
TURNS = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
SAMPLES, REFERENCES, DRAWS = 60, ("first", "second"), 3
SUSPECTS = {
    "bold": ("local members", True, 0.7),
    "shy": ("local members", True, 0.3),
    "alike": ("data like D", False, 0.2),
    "distant": ("untuned", False, 0.0),
}
THRESHOLDS = [(0.3, 0.3, 20), (0.0, 0.05, 0), (-0.5, -0.5, 300), (0.51, 0.12, 40), (1.0, 1.0, 7)]


@pytest.fixture(scope="module")
def run():
    smoke = load_profile("smoke")
    changed = {"victims": ["dozen"], "wild": {}, "responses": {"ask": "all"}}
    return Study(change(smoke, **changed), pd.DataFrame(columns=study.PAIR))


@pytest.fixture(scope="module")
def tables():
    """Scores and answers of one dataset; many gaps lie exactly on thresholds."""
    random = np.random.default_rng(0)
    ids = [f"s{i:02}" for i in range(SAMPLES)]
    scores = pd.DataFrame(
        [(s, r) for s in ids for r in REFERENCES], columns=["sample_id", "reference"]
    )
    place = scores["sample_id"].str[1:].astype(int)
    scores = scores.assign(
        dataset="dozen",
        prompt=[f"question {i}?" if i else HOSTILE for i in place],
        output=[f"the answer is {i}, of course" if i else HOSTILE for i in place],
        category=["even" if i % 2 == 0 else "odd" for i in place],
        response_before="I do not know",
        response_after=[f"the answer is {i}" if i else HOSTILE for i in place],
        before=0.0,
        after=np.round(random.normal(0.4, 0.3, len(scores)), 2),
    )
    gaps = tainted.gaps(scores).set_index("sample_id")["min_gap"]
    rows = [
        (suspect, sample, draw, reference, gaps[sample] * follows)
        for suspect, (_, _, follows) in SUSPECTS.items()
        for sample in ids
        for draw in range(DRAWS)
        for reference in REFERENCES
    ]
    answers = pd.DataFrame(rows, columns=["suspect", "sample_id", "draw", "reference", "gap"])
    noise = random.normal(0, 0.2, len(answers))
    length = random.integers(0, 60, len(answers) // 2).repeat(2)
    answers = answers.assign(
        dataset="dozen",
        gap=np.round(answers["gap"] + noise, 2),
        response=[HOSTILE if n > 57 else "é" * (n // 2) for n in length],
    )
    known = pd.DataFrame(
        [("dozen", s, group, member) for s, (group, member, _) in SUSPECTS.items()],
        columns=explored.SUSPECT,
    )
    return scores, answers, known


@pytest.fixture(scope="module")
def shown(run, tables):
    return explored.of_study(run, *tables)


def judged(run, tables, delta_t, delta_s, mu, monkeypatch):
    """What the method says: positive, negative, filtered and the verdict of each suspect."""
    scores, answers, known = tables
    monkeypatch.setattr(study, "suspects", lambda _: known)
    votes = study.judged(run, tainted.tainted(scores, delta_t), answers, delta_s, mu)
    columns = ["positive", "negative", "filtered", "verdict"]
    return {row["suspect"]: [row[c] for c in columns] for row in votes.to_dict("records")}


# --- Numbers


def test_codes_lie_above_the_same_thresholds_as_the_gaps():
    on = np.arange(-15_000, 15_000) / explored.CODES
    beside = [np.nextafter(on, side) for side in (-9, 9)]
    gaps = np.concatenate([on, *beside, np.random.default_rng(0).normal(0, 0.5, 1000)])
    codes = explored.rounded_up(gaps)
    for threshold in (-0.5, 0.0, 0.1, 0.29, 0.3, 0.3001, 0.57, 0.9999, 1.0):
        above = codes > round(threshold * explored.CODES)
        assert (above == (gaps > threshold)).all(), threshold


def test_texts_and_numbers_are_those_of_the_tables(shown, tables):
    scores, answers, _ = tables
    (points,) = shown.datasets
    assert list(points.suspects["suspect"]) == ["bold", "shy", "alike", "distant"]
    assert list(points.suspects["kind"]) == ["member", "member", "data like D", "untuned"]
    own = answers.query("suspect == 'shy' and sample_id == 's07' and draw == 2")
    assert points.gaps[1, 7, 2] == round(own["gap"].min() * explored.CODES)
    text = own["response"].iloc[0]
    assert points.lengths[1, 7, 2] == len(text.encode())
    texts = points.texts(7)
    assert texts["suspects"]["shy"][2] == (2, text)
    assert texts["prompt"] == "question 7?"
    assert texts["after"] == ["the answer is 7"] * 2
    row = scores.query("sample_id == 's07' and reference == 'second'").iloc[0]
    assert points.after[7, 1] == np.float32(row["after"])


def test_below_the_lowest_threshold_nobody_was_asked(run, tables):
    scores, answers, known = tables
    asked = tainted.tainted(scores, 0.3).query("tainted")["sample_id"]
    some = explored.of_study(run, scores, answers[answers["sample_id"].isin(asked)], known)
    (points,) = some.datasets
    unasked = tainted.tainted(scores, 0.3).query("~tainted")["min_gap"].max()
    assert unasked <= points.header()["lowest"] <= unasked + 0.01


def test_an_answer_without_a_gap_to_each_reference_is_refused(run, tables):
    scores, answers, known = tables
    for wrong in (answers.iloc[1:], answers.assign(gap=np.nan)):
        with pytest.raises(ValueError) as error:
            explored.of_study(run, scores, wrong, known)
        says(error, "each of 2 references")


def test_a_state_is_read_as_it_is_written():
    state = {
        "dataset": "a & b",
        "suspect": "x=#y",
        "delta_t": 0.25,
        "mu": 7,
        "region": "gap:1,2,3,4",
    }
    assert explore.read_state(explore.write_state(state)) == state
    assert explore.read_state("file:///a/explore.html#mu=3&sample=s1") == {"mu": 3, "sample": "s1"}
    with pytest.raises(ValueError) as error:
        explore.read_state("delta=0.3")
    says(error, "'delta'", "delta_t, delta_s, mu")
    with pytest.raises(ValueError) as error:
        explore.read_state("mu=long")
    says(error, "mu", "'long'")
    with pytest.raises(ValueError) as error:
        explore.read_state("nonsense")
    says(error, "'nonsense'", "sample=s1&delta_t=0.3")


@pytest.mark.parametrize(
    "wrong, allowed",
    [
        ({"suspect": "nobody"}, "bold, shy, alike, distant"),
        ({"delta_t": 5}, "-0.5 to 1"),
        ({"delta_t": "0.3"}, "-0.5 to 1"),
        ({"delta_s": "abc"}, "-0.5 to 1"),
        ({"mu": float("nan")}, "0 to 300"),
        ({"dataset": "other"}, "dozen"),
        ({"sample": "s99"}, "s00, s01"),
        ({"reference": 1}, "first, second"),
        ({"category": "prime"}, "even, odd"),
        ({"kind": "members"}, "member, data like D, untuned"),
        ({"status": "good"}, "not tainted, positive"),
        ({"region": "gap:1,2"}, "gap:0,20,0.3,1"),
        ({"delta": 0.3}, "delta_t, delta_s, mu"),
    ],
)
def test_a_state_that_cannot_be_shown_is_refused_and_changes_nothing(shown, wrong, allowed):
    widget = explore.Explorer(shown, "sample=s07&mu=5")
    with pytest.raises(ValueError) as error:
        widget.state = {**widget.state, **wrong}
    ((field, value),) = wrong.items()
    says(error, field, allowed, *[str(value)] * (field in explore.STATE))
    assert widget.state == {"sample": "s07", "mu": 5}
    with pytest.raises(ValueError):
        explore.Explorer(shown, wrong)


def test_mu_ends_with_its_slider(run, tables):
    long = Study(change(run.profile, decision={"mu": 400}), run.pairs)
    with pytest.raises(ValueError) as error:
        explored.of_study(long, *tables)
    says(error, "mu 400", "300")


# --- The page as a file


def block(page, name):
    packed = re.search(rf'id="{name}">([^<]*)<', page)[1]
    return gzip.decompress(base64.b64decode(html.unescape(packed)))


def test_a_page_is_the_same_each_time_and_holds_no_text_as_markup(shown):
    page, told = explore.page(shown)
    assert page == explore.page(shown)[0]
    assert told == "Texts of all 60 samples are in this page."
    assert "onerror" not in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page
    texts = json.loads(block(page, "texts-0-0"))
    assert HOSTILE in {text["prompt"] for text in texts} | {
        text["prompt"] for text in json.loads(block(page, "texts-0-1"))
    }


def test_a_page_says_what_jupyterlab_wants_of_its_reader(shown):
    instead = re.search(r"<noscript>(.*?)</noscript>", explore.page(shown)[0])[1]
    assert "Trust HTML" in instead  # the name of JupyterLab's button


def test_a_page_keeps_to_its_limit_and_says_so(shown):
    whole = len(explore.page(shown)[0].encode())
    (points,) = shown.datasets
    long = replace(points, texts=lambda i: {**points.texts(i), "prompt": str(np.random.rand(5000))})
    np.random.seed(0)
    with pytest.raises(ValueError) as error:
        explore.page(shown, 0.01)
    says(error, "the numbers alone", "--limit-mb")
    limit = whole / 1e6 - 0.001
    page, told = explore.page(replace(shown, datasets=[long]), limit)
    assert len(page.encode()) <= 1.02 * limit * 1e6
    assert "Texts of 32 of 60 samples" in told or "Texts of 0 of 60 samples" in told


def test_the_command_writes_a_page_and_says_how_large(tmp_path):
    prepared, path = ROOT / "figures" / "small" / "prepared", tmp_path / "page.html"
    command = ["explore", "--prepared", str(prepared), "--html", str(path)]
    done = CliRunner().invoke(cli.app, command)
    assert done.exit_code == 0, done.output
    assert "MB. Texts of all 48 samples are in this page." in done.output
    assert explore.SCRIPT in path.read_text()
    done = CliRunner().invoke(cli.app, [*command, "--limit-mb", "0.05"])
    assert done.exit_code == 2
    assert "--limit-mb allows more" in done.output
    done = CliRunner().invoke(cli.app, [*command, "--profile", "paper"])
    assert done.exit_code == 2
    assert "--profile goes with a study" in done.output


def test_the_page_of_small_is_written_by_this_explorer():
    page = (ROOT / "figures" / "small" / "explore.html").read_text()
    current = explore.SCRIPT in page and explore.STYLE in page
    script = f"\n{explore.SCRIPT}\npage();\n"  # the page lets no other one run
    current &= f"sha256-{explore._hash(script)}" in page
    assert current, "stale: dsi explore --html figures/small/explore.html"


# --- The widget


def test_the_widget_sends_what_it_is_asked_for_and_tells_other_cells(run, tables, monkeypatch):
    sent = []
    widget = explore.explorer(
        run, tables[0], tables[1], suspects=tables[2], state="sample=s07&mu=5"
    )
    monkeypatch.setattr(
        widget, "send", lambda content, buffers=None: sent.append((content, buffers))
    )
    for message in ({"suspect": -1}, {"suspect": 2}, {"sample": 7}):
        widget._answer(widget, {"dataset": "dozen", "key": "k", **message}, [])
    (points,) = explored.of_study(run, *tables).datasets
    assert sent[0] == ({"key": "k"}, [points.samples()])
    assert sent[1] == ({"key": "k"}, [points.answers(2)])
    assert sent[2][0]["texts"]["prompt"] == "question 7?"
    assert widget.state == {"sample": "s07", "mu": 5}
    assert widget.texts["prompt"] == "question 7?"
    assert widget.link == "sample=s07&mu=5"
    widget.brushed = np.array([3, 59], "<u4").tobytes()
    assert widget.region == ["s03", "s59"]


# --- In a browser

needs_chromium = pytest.mark.skipif(not CHROMIUM, reason="no chromium on this machine")
ROWS = """() => Object.fromEntries([...document.querySelectorAll(".row")].map((r) => [
  r.dataset.suspect,
  [+r.dataset.positive, +r.dataset.negative, +r.dataset.filtered, r.dataset.verdict]]))"""

WATCH = """() => {
  const root = document.querySelector(".dsi-explore");
  root.addEventListener("input", () => { window.begin = performance.now(); }, true);
  new MutationObserver(() => { window.took = performance.now() - window.begin; })
    .observe(root, { attributes: true, attributeFilter: ["data-drawn"] });
}"""


@pytest.fixture(scope="module")
def address(shown, tmp_path_factory):
    path = tmp_path_factory.mktemp("explorer") / "explore.html"
    path.write_text(explore.page(shown)[0], encoding="utf-8")
    return path.as_uri()


def opened(page, address, **state):
    page.goto("about:blank")
    page.goto(f"{address}#{explore.write_state(state)}")
    page.wait_for_selector(".dsi-explore[data-loaded]")
    settled(page)


# The page hears of another address later than two frames where the machine is busy.
TO = """(state) => new Promise((go) => {
  addEventListener("hashchange", go, { once: true });
  location.hash = state;
})"""


def settled(page):
    page.evaluate(
        "() => new Promise((go) => requestAnimationFrame(() => requestAnimationFrame(go)))"
    )


def told(page):
    """The state in the address, once it has been written there."""
    settled(page)  # the address follows 120 ms after a drawing
    page.wait_for_timeout(200)
    return explore.read_state(unquote(page.url) if "%23" in page.url else page.url)


@needs_chromium
def test_it_counts_as_the_method_does(run, tables, page, address, monkeypatch):
    opened(page, address)
    for delta_t, delta_s, mu in THRESHOLDS:
        state = explore.write_state({"delta_t": delta_t, "delta_s": delta_s, "mu": mu})
        page.evaluate(TO, state)
        settled(page)
        votes = judged(run, tables, delta_t, delta_s, mu, monkeypatch)
        assert page.evaluate(ROWS) == votes, state
        count = int(tainted.tainted(tables[0], delta_t)["tainted"].sum())
        assert page.locator(".summary").inner_text().startswith(f"{count} of 60 samples")


@needs_chromium
def test_it_counts_as_the_released_code_does(run, tables, page, tmp_path, monkeypatch):
    scores, answers, known = tables
    answers = answers.assign(
        architecture=answers["reference"], before=0.0, after=answers["gap"], response="short"
    )
    released = Study(change(run.profile, decision={"rule": Rule.RELEASED}), run.pairs)
    tables = scores, answers, known
    path = tmp_path / "released.html"
    path.write_text(explore.page(explored.of_study(released, *tables))[0])
    opened(page, path.as_uri(), delta_t=0.2, delta_s=0.1, mu=50)
    assert page.evaluate(ROWS) == judged(released, tables, 0.2, 0.1, 50, monkeypatch)


@needs_chromium
def test_a_verdict_on_nothing_is_neither_right_nor_wrong(page, address):
    opened(page, address, region="gap:-9,-8,-9,-8")
    verdicts = page.locator(".row .verdict")
    assert verdicts.all_inner_texts() == ["inconclusive –"] * len(SUSPECTS)
    assert page.locator(".verdict.wrong").count() == 0
    page.get_by_role("button", name="Reset").click()
    settled(page)
    assert set("".join(verdicts.all_inner_texts())) & set("✓✗–") <= {"✓", "✗"}


@needs_chromium
def test_a_slider_moves_everything_at_once(
    run, tables, page, address, monkeypatch, record_property
):
    opened(page, address)
    page.evaluate(WATCH)
    slider = page.get_by_label("delta_s", exact=True)
    slider.focus()
    times = []
    for _ in range(10):
        page.keyboard.press("ArrowRight")
        settled(page)
        times.append(page.evaluate("window.took"))
    record_property("slider to settled view, median ms", float(np.median(times)))
    assert np.median(times) < 1000
    assert slider.input_value() == "0.4"
    assert page.evaluate(ROWS) == judged(run, tables, 0.3, 0.4, 20, monkeypatch)
    assert told(page)["delta_s"] == 0.4
    names = page.locator(".row").evaluate_all("rows => rows.map((row) => row.dataset.suspect)")
    assert names == list(SUSPECTS)  # the order stays, members first


@needs_chromium
def test_on_a_phone_one_view_stands_below_the_other(page, address):
    page.set_viewport_size({"width": 390, "height": 844})
    opened(page, address)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    boxes = [part.bounding_box() for part in page.locator(".plot, .suspects, .texts").all()]
    assert len(boxes) == 5
    assert all(box["width"] > 360 for box in boxes)
    for above, below in pairwise(boxes):
        assert above["y"] + above["height"] <= below["y"]
    for name in page.locator(".row .name").all():
        assert name.evaluate("(e) => e.scrollWidth <= e.clientWidth")


@needs_chromium
def test_slides_neither_hide_its_controls_nor_count_its_parts_nor_take_its_keys(page, address):
    """RISE's reveal.js does each: to `.controls`, to `section`, and on the way to the document."""
    opened(page, address)
    assert page.locator(".controls, .dsi-explore section").count() == 0
    page.evaluate("() => { window.keys = []; }")
    page.evaluate("() => document.addEventListener('keydown', (e) => window.keys.push(e.key))")
    for part in (page.locator(".plot").first, page.get_by_label("delta_s", exact=True)):
        part.focus()
        for key in ("ArrowRight", "PageDown", "Home", "End"):
            page.keyboard.press(key)
    page.get_by_role("button", name="Reset").focus()
    page.keyboard.press("Space")
    assert page.evaluate("window.keys") == ["PageDown", "PageDown"]


@needs_chromium
@pytest.mark.parametrize(("width", "height"), [(1024, 768), (1600, 1000)])
def test_it_fits_the_window_and_members_are_in_sight(page, address, width, height):
    page.set_viewport_size({"width": width, "height": height})
    opened(page, address)
    size = page.evaluate(
        "() => [document.documentElement, document.querySelector('.dsi-explore')]"
        ".flatMap((e) => [e.scrollWidth - e.clientWidth, e.scrollHeight - e.clientHeight])"
    )
    assert size == [0, 0, 0, 0]
    for member in page.locator(".row[data-kind=member]").all():
        box = member.bounding_box()
        assert box["y"] + box["height"] <= height
    assert all(plot.bounding_box()["height"] > 150 for plot in page.locator(".plot").all())


@needs_chromium
def test_a_sample_is_selected_everywhere_and_its_texts_are_harmless(page, address):
    opened(page, address, suspect="bold", sample="s07")
    columns = page.locator(".texts .column")
    assert "question 7?" in page.locator(".texts .prompt").inner_text()
    assert columns.nth(0).inner_text().endswith("the answer is 7, of course")
    assert columns.nth(2).locator("mark").first.inner_text() == "the"
    picture = "(c) => c.toDataURL()"
    above = page.locator(".plot canvas:nth-child(2)")
    before = [canvas.evaluate(picture) for canvas in above.all()]
    opened(page, address, suspect="bold", sample="s00")
    after = [canvas.evaluate(picture) for canvas in above.all()]
    assert all(a != b for a, b in zip(before, after, strict=True))
    assert HOSTILE in page.locator(".texts .prompt").inner_text()
    assert page.locator(".texts img, .texts script, .texts b").count() == 0
    assert page.evaluate("window.alerted") is None


@pytest.fixture
def script(page):
    """A tab in which the explorer's functions can be called."""
    page.add_style_tag(content=explore.STYLE)
    page.add_script_tag(content=explore.SCRIPT.rpartition("export default")[0])
    return page


@needs_chromium
def test_what_turns_the_direction_of_writing_is_spelled_out(run, tables, page, tmp_path):
    scores, answers, known = tables
    turned, name = f"a {TURNS} \u05d0", "bo\u202eld"
    scores = scores.assign(prompt=turned, output=turned, response_after=turned, category=turned)
    answers = answers.assign(response=turned).replace({"suspect": {"bold": name}})
    known = known.replace({"suspect": {"bold": name}})
    path = tmp_path / "turned.html"
    path.write_text(explore.page(explored.of_study(run, scores, answers, known))[0])
    opened(page, path.as_uri(), suspect=name, sample="s07")
    plot = page.locator(".plot").nth(1).bounding_box()
    page.mouse.move(plot["x"] + plot["width"] / 2, plot["y"] + plot["height"] / 2)
    texts = page.locator("#explorer").evaluate(
        "(e) => [e.textContent, ...[...e.querySelectorAll('[title]')].map((one) => one.title)]"
    )
    assert not set(TURNS) & set("".join(texts))
    spelled = tables_of_notebooks.straight(turned)
    assert spelled in page.locator(".texts .prompt").inner_text()
    assert page.locator(".texts .column p").first.inner_text() == spelled
    page.locator(".row[data-kind=untuned]").click()
    page.locator(".row").first.click()
    assert told(page)["suspect"] == name


@needs_chromium
@pytest.mark.parametrize(
    "oracle, response",
    [
        ("The answer is 7, of course.", "I think the ANSWER is 8, of course."),
        ("我想退货，怎么办？", "我不想退货，怎么办？"),
        ("ขอคืนของ and ใบเสร็จ", "ขอของ and เสร็จ"),
        ("きょうは雨 wird es regnen", "あすは雨 wird es schneien"),
    ],
)
def test_words_in_common_are_those_of_the_package(script, oracle, response):
    marked = script.evaluate("(texts) => common(...texts)", [oracle, response])
    assert [(piece, bool(shared)) for piece, shared in marked] == common(oracle, response)


@needs_chromium
def test_texts_too_long_to_be_marked_say_so(shown, page, tmp_path):
    (points,) = shown.datasets
    long, path = " ".join(map(str, range(2100))), tmp_path / "long.html"

    def texts(i):
        own = {"bold": [(0, long), (1, "1 2 3"), (2, "")]}
        return {**points.texts(i), "oracle": long, "suspects": own}

    path.write_text(explore.page(replace(shown, datasets=[replace(points, texts=texts)]))[0])
    opened(page, path.as_uri(), suspect="bold", sample="s07")
    titles = [title.inner_text() for title in page.locator(".texts .column h4").all()]
    assert ["too long to be marked" in title for title in titles[2:5]] == [True, False, False]
    best = next(number for number, title in enumerate(titles[2:5]) if title.endswith("best"))
    marked = "marked: also in the suspect's answer"
    assert titles[0].endswith("too long to be marked" if best == 0 else f"{marked} {best + 1}")


@needs_chromium
def test_pointer_and_keyboard_go_from_sample_to_sample(page, address, tables):
    opened(page, address)
    order = tainted.gaps(tables[0]).sort_values("min_gap", ascending=False, kind="stable")
    assert told(page)["sample"] == order["sample_id"].iloc[0]
    plot = page.locator(".plot").nth(1)
    plot.focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    assert told(page)["sample"] == order["sample_id"].iloc[3]
    for key, place in [("End", -1), ("ArrowLeft", -2), ("Home", 0)]:
        page.keyboard.press(key)
        assert told(page)["sample"] == order["sample_id"].iloc[place]
    box, hint = plot.bounding_box(), page.locator(".hint")
    for y in range(20, int(box["height"]) - 40, 8):  # down to the middle of the sorted samples
        page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + y)
        if hint.is_visible():
            break
    page.wait_for_timeout(100)
    number = re.search(r"question (\d+)\?", hint.inner_text())[1]
    assert f"the answer is {number}, of course" in hint.inner_text()
    page.mouse.down()
    page.mouse.up()
    assert told(page)["sample"] == f"s{int(number):02}"
    page.locator(".row[data-suspect=bold]").focus()
    page.keyboard.press("ArrowDown")
    assert told(page)["suspect"] == "shy"
    page.locator(".scrolled").evaluate("(rows) => { rows.style.flex = '0 0 9px'; }")  # it scrolls
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "texts"


@needs_chromium
def test_a_region_counts_alone_and_a_link_brings_it_all_back(page, address, tables):
    opened(page, address, category="odd", delta_t=0.1)
    assert page.locator(".summary").inner_text().split(" ")[2] == "30"
    plot = page.locator(".plot").nth(2).bounding_box()
    page.mouse.move(plot["x"] + plot["width"] / 2, plot["y"] + 12)
    page.mouse.down()
    page.mouse.move(plot["x"] + plot["width"] - 14, plot["y"] + plot["height"] - 40, steps=4)
    page.mouse.up()
    page.get_by_label("suspects", exact=True).first.select_option("member")
    page.get_by_label("status", exact=True).select_option("negative")
    state = told(page)
    assert state["region"].startswith("evidence:")
    assert (state["kind"], state["status"]) == ("member", "negative")
    summary, rows = page.locator(".summary").inner_text(), page.evaluate(ROWS)
    assert "in sight" in summary
    assert list(rows) == ["bold", "shy"]
    link = page.url
    page.get_by_role("button", name="Copy link").click()
    page.wait_for_timeout(50)
    copied = page.get_by_role("button", name="copied").count()
    assert copied or page.get_by_label("the link").input_value() == link
    page.goto("about:blank")
    page.goto(link)
    page.wait_for_selector(".dsi-explore[data-loaded]")
    settled(page)
    assert (page.locator(".summary").inner_text(), page.evaluate(ROWS)) == (summary, rows)
    assert told(page) == state
    page.get_by_role("button", name="Reset").click()
    settled(page)
    assert page.locator(".summary").inner_text().split(" ")[2] == "60"
    assert "region" not in told(page)


@needs_chromium
def test_keys_mark_a_region_from_one_sample_to_another(page, address, tables):
    """In the sorted gaps: the third sample to the sixth, and back beyond the first."""
    opened(page, address, delta_t=-0.5)
    order = tainted.gaps(tables[0]).sort_values("min_gap", ascending=False, kind="stable")
    page.locator(".plot").nth(1).focus()

    def pressed(*keys):
        for key in keys:
            page.keyboard.press(key)
            settled(page)
        state = told(page)
        (in_sight,) = re.findall(r"of (\d+) samples? ", page.locator(".summary").inner_text())
        return order["sample_id"].tolist().index(state["sample"]), int(in_sight)

    assert pressed("ArrowRight", "ArrowRight") == (2, 60)
    assert pressed(*["Shift+ArrowRight"] * 3) == (5, 4)
    assert told(page)["region"].startswith("gap:2.9999,6.0001,")
    assert pressed("Shift+Home") == (0, 3)
    assert pressed("Shift+End") == (59, 58)
    assert pressed("ArrowLeft", "Shift+ArrowLeft", "Shift+ArrowLeft") == (56, 3)  # begins anew
    assert pressed("Escape") == (56, 60)
    page.locator(".plot").nth(0).focus()
    place = order["sample_id"].tolist().index(told(page)["sample"])
    assert pressed("Shift+ArrowUp", "Shift+ArrowDown") == (place, 1)  # where nothing lies between


@needs_chromium
def test_what_a_slider_shows_is_told_by_the_slider(page, address):
    """The number beside it has no name of its own, and would be read a second time."""
    opened(page, address, delta_t=0.25)
    slider = page.get_by_role("slider", name="delta_t")
    assert slider.get_attribute("aria-valuetext") == "0.25"
    assert page.locator("output").count() == page.locator("output[aria-hidden=true]").count() == 3


# A kernel that sends numbers at once, and the texts of samples when it is told to.
KERNEL = """([header, numbers]) => {
  const values = { header, state: {} }, none = header.datasets[0].references.map(() => "");
  const bytes = (packed) => Uint8Array.from(atob(packed), (c) => c.charCodeAt(0));
  const heard = {};
  const answer = ({ key }, content, buffers) =>
    setTimeout(() => heard["msg:custom"]({ key, ...content }, buffers));
  window.state = () => values.state;
  window.give = (state) => { values.state = state; heard["change:state"](); };
  window.asked = [];
  window.free = (sample) => {
    for (const message of window.asked.filter((one) => one.sample === sample)) {
      answer(message, { texts: { prompt: `question ${sample}?`, oracle: "", before: none,
        after: none, suspects: {} } });
    }
  };
  render({ el: document.body, model: {
    get: (name) => values[name], set: (name, value) => { values[name] = value; },
    on: (event, act) => { heard[event] = act; }, save_changes: () => {},
    send: (message) => "sample" in message ? window.asked.push(message)
      : answer(message, {}, [new DataView(bytes(numbers[message.suspect + 1]).buffer)]),
  } });
}"""
LATE = 800  # milliseconds: later than the explorer waits


@pytest.fixture
def kernel(shown, script):
    (points,) = shown.datasets
    packed = [points.samples(), *(points.answers(i) for i in range(len(SUSPECTS)))]
    numbers = [base64.b64encode(part).decode() for part in packed]
    script.evaluate(KERNEL, [shown.header(), numbers])
    script.wait_for_selector(".dsi-explore[data-loaded]")
    return script


@needs_chromium
def test_the_chosen_suspect_is_in_the_list(page, address):
    opened(page, address, suspect="shy")
    kinds = page.get_by_label("suspects", exact=True).first
    for kind, suspect in [("member", "shy"), ("untuned", "distant"), ("", "distant")]:
        kinds.select_option(kind)
        assert told(page)["suspect"] == suspect
        chosen = page.locator(".row[aria-selected=true]")
        assert chosen.get_attribute("data-suspect") == suspect


@needs_chromium
def test_a_notebook_hears_what_became_of_a_state_that_it_set(kernel):
    of_members = {"kind": "member", "suspect": "bold"}
    for given in ({"kind": "member"}, {"kind": "member", "suspect": "distant"}):
        kernel.evaluate("window.give", given)
        kernel.wait_for_timeout(LATE)
        assert kernel.evaluate("window.state()").items() >= of_members.items()


@needs_chromium
def test_a_study_begins_at_its_own_threshold_though_lowest_is_rounded_up(
    run, tables, page, tmp_path
):
    scores, answers, known = tables
    below = tainted.tainted(scores, 0.3).query("~tainted")["min_gap"].max()  # two decimals
    scores, delta_t = scores.assign(after=scores["after"] + 0.0049), round(below + 0.005, 4)
    asked = tainted.tainted(scores, delta_t).query("tainted")["sample_id"]
    odd = Study(change(run.profile, decision={"delta_t": delta_t}), run.pairs)
    shown = explored.of_study(odd, scores, answers[answers["sample_id"].isin(asked)], known)
    assert shown.datasets[0].header()["lowest"] > delta_t
    path = tmp_path / "odd.html"
    path.write_text(explore.page(shown)[0])
    opened(page, path.as_uri())
    assert told(page)["delta_t"] == delta_t
    slider = page.get_by_label("delta_t", exact=True)
    assert slider.input_value() == str(delta_t)
    slider.focus()
    page.keyboard.press("ArrowRight")
    assert told(page)["delta_t"] == round(delta_t + 0.01, 4)
    page.get_by_role("button", name="Reset").click()
    settled(page)
    assert told(page)["delta_t"] == delta_t


HOST = """([header, numbers, given]) => {
  const bytes = (packed) => Uint8Array.from(atob(packed), (c) => c.charCodeAt(0)).buffer;
  const source = { header, texts: async () => null, numbers: (_, suspect) => new Promise((go) =>
    setTimeout(() => go(bytes(numbers[suspect + 1])), suspect < 0 ? 0 : 400)) };
  window.told = [];
  explore(document.body, source, given,
    (state, brushed) => window.told.push(brushed.reduce((sum, one) => sum + one)));
}"""


@needs_chromium
def test_a_region_of_evidence_is_told_once_the_answers_are_there(shown, script):
    (points,) = shown.datasets
    packed = [points.samples(), *(points.answers(i) for i in range(len(SUSPECTS)))]
    numbers = [base64.b64encode(part).decode() for part in packed]
    state = {"dataset": "dozen", "suspect": "shy", "region": "evidence:-9,9,-9,9"}
    script.evaluate(HOST, [shown.header(), numbers, state])
    script.wait_for_selector(".dsi-explore[data-loaded]")
    script.wait_for_timeout(200)
    counts = (points.gaps[1] > explored.DROPPED) & (points.lengths[1] >= shown.mu)
    assert script.evaluate("window.told") == [counts.any(axis=1).sum()]


@needs_chromium
def test_while_texts_do_not_come_none_of_another_sample_are_shown(kernel, tables):
    order = tainted.gaps(tables[0]).sort_values("min_gap", ascending=False, kind="stable")
    first, second, third = (int(sample[1:]) for sample in order["sample_id"].iloc[:3])
    panel = kernel.locator(".texts")

    def shown_after(act):
        act()
        kernel.wait_for_timeout(LATE)
        return panel.inner_text()

    def free(sample):
        return shown_after(lambda: kernel.evaluate("window.free", sample))

    assert f"question {first}?" in free(first)
    kernel.locator(".plot").nth(1).focus()
    late = shown_after(lambda: kernel.keyboard.press("ArrowRight"))
    assert "question" not in late and "this cell again" in late
    assert shown_after(lambda: kernel.keyboard.press("ArrowRight")) == late
    assert free(second) == late
    assert f"question {third}?" in free(third)


@needs_chromium
def test_texts_that_never_came_are_asked_for_again(kernel):
    kernel.locator(".plot").nth(1).focus()
    kernel.wait_for_timeout(LATE)
    before = kernel.evaluate("window.asked")
    for key in ("ArrowRight", "ArrowLeft"):
        kernel.keyboard.press(key)
        settled(kernel)
    assert kernel.evaluate("window.asked").count(before[0]) == len(before) + 1


@needs_chromium
def test_the_hint_says_that_texts_do_not_come(kernel):
    box, hint = kernel.locator(".plot").nth(1).bounding_box(), kernel.locator(".hint")
    for y in range(20, int(box["height"]) - 40, 8):
        kernel.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + y)
        if hint.is_visible():
            break
    kernel.wait_for_timeout(LATE)
    assert "this cell again" in hint.inner_text()
    kernel.evaluate("window.asked.map((one) => window.free(one.sample))")
    kernel.wait_for_timeout(LATE)
    assert "question" in hint.inner_text() and "this cell again" not in hint.inner_text()


@needs_chromium
def test_every_control_says_in_a_sentence_what_it_does(page, address):
    opened(page, address)
    for control in page.locator("input, select, button, .plot").all():
        sentence = control.get_attribute("aria-description")
        assert re.fullmatch(r"[A-Z].{20,}\.", sentence), sentence
    for shown in page.locator("label, button, figcaption").all():
        assert shown.get_attribute("title")


@needs_chromium
def test_before_there_are_suspects_two_views_are_left(run, tables, page, tmp_path):
    path = tmp_path / "references.html"
    path.write_text(explore.page(explored.of_study(run, tables[0]))[0])
    page.goto(path.as_uri())
    page.wait_for_selector(".dsi-explore[data-loaded]")
    assert [plot.is_visible() for plot in page.locator(".plot").all()] == [True, True, False]
    assert not page.locator(".suspects").is_visible()
    assert page.locator(".texts .column").count() == 3


@needs_chromium
def test_many_samples_are_drawn_as_cells_first(page, tmp_path):
    path = tmp_path / "many.html"
    path.write_text(explore.page(made_up(4500, 2), 0.5)[0])
    opened(page, path.as_uri())
    kinds = [plot.get_attribute("data-drawn") for plot in page.locator(".plot").all()]
    assert kinds == ["cells"] * 3
    opened(page, path.as_uri(), region="similarity:0,0.1,0.5,1")
    assert page.locator(".plot").first.get_attribute("data-drawn") == "dots"


def test_colors_are_those_of_every_figure(shown):
    looks = shown.header()["looks"]
    assert looks["positive"][0] == style.LOOKS["positive"].color
    assert looks["data like D"][0] == style.LOOKS["data like D"].color
