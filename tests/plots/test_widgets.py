"""Widgets: a control's move redraws from the tables, ratings are blind, and texts are escaped."""

import math

import pandas as pd
import pytest
from helpers import change, table

from dsi_core.imitation import ratings
from dsi_core.method.study import Study
from dsi_core.plots import widgets

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def shown(monkeypatch):
    """What a view displays: (figure, HTML) of each move."""
    calls = []
    monkeypatch.setattr(widgets, "display", lambda figure, page: calls.append((figure, page.data)))
    return calls


@pytest.fixture
def study(smoke):
    pairs = table(
        "dataset sample_id prompt output",
        ("dozen", "s1", "one?", "an answer of some length"),
        ("dozen", "s2", f"two? {HOSTILE}", HOSTILE),
        ("dozen", "s3", "three?", "short"),
    ).assign(category=None)
    decision = {"delta_t": 0.3, "delta_s": None, "mu": 3}
    suspects = [s for s in smoke.suspects if s.name in ("llama-full", "llama-untuned")]
    small = change(smoke, victims=["dozen"], wild={}, suspects=suspects, decision=decision)
    return Study(change(small, responses={"ask": "all"}), pairs)


@pytest.fixture
def scores(study):
    rows = [("s1", 0.0, 0.9, "an answer"), ("s2", 0.1, 0.5, HOSTILE), ("s3", 0.2, 0.4, "a")]
    one = table("sample_id before after response_after", *rows).assign(reference="R1")
    both = pd.concat([one, one.assign(reference="R2", before=0.0)])
    both = both.assign(response_before="no", raw_before=both["before"], raw_after=both["after"])
    return both.merge(study.pairs, on="sample_id")


@pytest.fixture
def answers():
    gaps = {"llama-full": (0.8, 0.6, 0.1), "llama-untuned": (-0.1, 0.0, -0.2)}
    rows = [
        ("dozen", suspect, sample, draw, reference, f"{HOSTILE} {suspect} {draw}", gap)
        for suspect, of_suspect in gaps.items()
        for sample, gap in zip(("s1", "s2", "s3"), of_suspect, strict=True)
        for draw in (0, 1)
        for reference in ("R1", "R2")
    ]
    return table("dataset suspect sample_id draw reference response gap", *rows)


def controls(box):
    return {c.description: c for c in box.children[:-1]}


def test_the_tainted_set_and_the_texts_follow_the_sliders(study, scores, shown):
    box = widgets.similarity(study, scores)
    sliders = controls(box)
    assert list(sliders) == ["delta_t (Eq. 1)", "mu (bytes)", "sample", "reference"]
    delta_t, mu, sample, reference = sliders.values()
    assert (delta_t.value, mu.value) == (0.3, 3)
    assert [s for _, s in sample.options] == ["s1", "s2", "s3"]  # the most changed first
    assert sample.options[0][0] == "+0.90  one?"
    assert list(reference.options) == ["R1", "R2"]

    figure, page = shown[-1]
    title = figure.axes[0].get_title(loc="left") + figure.axes[0].get_title()
    assert title == "2 of 3 samples: gap above delta_t = 0.3, answers of 3 bytes or more"
    assert "weakest gap <b>+0.900</b>: <b>tainted</b>" in page
    delta_t.value = 0.5
    figure, page = shown[-1]
    assert [p.get_height() for p in figure.axes[0].patches] == pytest.approx([0.9, 0.4, 0.2])
    assert figure.axes[0].lines[0].get_ydata()[0] == 0.5
    assert "0.5" in page
    mu.value = 10  # the shortest answer to s1 has 9 bytes
    assert "<b>not tainted</b> at delta_t = 0.5, mu = 10" in shown[-1][1]


def test_the_texts_of_the_chosen_sample_are_escaped(study, scores, shown):
    sliders = controls(widgets.similarity(study, scores))
    sliders["sample"].value = "s2"
    sliders["reference"].value = "R2"
    page = shown[-1][1]
    assert HOSTILE not in page
    assert "two? &lt;script&gt;" in page
    assert "R2 before tuning on D (raw similarity 0.00)" in page
    assert "R2 after tuning on D (raw similarity 0.50)" in page


def test_votes_follow_the_thresholds(study, scores, answers, shown):
    sliders = controls(widgets.verdicts(study, scores, answers))
    assert list(sliders)[:3] == ["delta_t (Eq. 1)", "delta_s (Eq. 2)", "mu (bytes)"]
    assert sliders["delta_t (Eq. 1)"].min == -0.5  # the suspects answered every sample
    figure, page = shown[-1]
    left, right = figure.axes
    said = [t.get_text() for t in left.texts]
    assert said == ["member ✓", "non-member ✓"]
    bars = [[p.get_width() for p in container] for container in left.containers]
    assert bars == [[2, 0], [0, 2]]  # positive, negative: s1 and s2 are tainted
    assert right.get_title() + right.get_title(loc="left") == "llama-full"
    assert HOSTILE not in page
    sliders["delta_s (Eq. 2)"].value = 0.7
    bars = [[p.get_width() for p in c] for c in shown[-1][0].axes[0].containers]
    assert bars == [[1, 0], [1, 2]]
    assert shown[-1][0].axes[1].lines[0].get_xdata()[0] == 0.7
    sliders["mu (bytes)"].value = 300  # no answer is as long
    assert [t.get_text() for t in shown[-1][0].axes[0].texts] == [
        "inconclusive ✗ (2 filtered)",
        "inconclusive ✗ (2 filtered)",
    ]
    assert "(under 300 bytes: dropped)" in shown[-1][1]


def test_answers_stand_with_their_weakest_gap_and_what_they_count_for(
    study, scores, answers, shown
):
    answers.loc[(answers["draw"] == 1) & (answers["reference"] == "R2"), "gap"] -= 0.25
    sliders = controls(widgets.verdicts(study, scores, answers))
    sliders["sample"].value = "s1"
    page = shown[-1][1]
    assert "<b>llama-full</b> on this sample: <b>positive</b>" in page
    assert "answer 1, weakest gap +0.800<br>&lt;script&gt;" in page
    assert "answer 2, weakest gap +0.550<br>" in page
    sliders["sample"].value = "s3"
    assert "<b>not tainted, not counted</b>" in shown[-1][1]
    sliders["suspect"].value = "llama-untuned"
    sliders["sample"].value = "s2"
    assert "<b>llama-untuned</b> on this sample: <b>negative</b>" in shown[-1][1]


def test_delta_t_stays_above_the_value_for_which_suspects_were_prompted(study, scores, answers):
    tainted_only = Study(change(study.profile, responses={"ask": "tainted"}), study.pairs)
    sliders = controls(widgets.verdicts(tainted_only, scores, answers))
    assert math.isclose(sliders["delta_t (Eq. 1)"].min, 0.3)


# Ratings


@pytest.fixture
def closeness():
    rows = [
        (m, f"s{i}", "songs", f"sing {i}", f"<b>bold</b> {i}", f"{HOSTILE} & co\n{i}")
        for m in ("alpha", "beta")
        for i in range(4)
    ]
    return table("model sample_id category instruction answer response", *rows)


def test_rating_is_blind_escaped_and_goes_on_where_one_stopped(closeness, empty_store):
    sheet = ratings.sheet(closeness, 1, 0)
    name, text, row, progress = widgets.rating(sheet).children
    assert (text.value, row.layout.visibility, progress.value) == ("", "hidden", "a name first")
    name.value = "not a name!"
    assert row.layout.visibility == "hidden"
    name.value = "Ann"
    pages = []
    for done, stars in enumerate((5, 1, 3)):
        assert row.layout.visibility == "visible"
        assert progress.value == f"{done} of 3 rated"
        pages.append(text.value)
        row.children[stars].click()
    assert progress.value == "3 of 3 rated, thank you"
    assert (text.value, row.layout.visibility) == ("", "hidden")
    rated = ratings.read(sheet)
    assert rated["rating"].tolist() == [5, 1, 3]
    assert rated["item"].tolist() == sheet["item"].tolist()
    every = "".join(pages)
    assert HOSTILE not in every
    assert "<b>bold" not in every
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; co<br>" in every
    assert not any(model in every for model in ("alpha", "beta", "target"))

    name.value = "Ben"
    first = text.value
    row.children[2].click()
    other = widgets.rating(sheet)
    other.children[0].value = "Ben"
    assert other.children[3].value == "1 of 3 rated"
    assert first == pages[0]
    assert other.children[1].value == pages[1]


def test_several_victims_have_a_tab_each(study, scores, answers, shown):
    other = {"dataset": "terse"}
    two = change(study.profile, victims=["dozen", "terse"])
    both = Study(two, pd.concat([study.pairs, study.pairs.iloc[:1].assign(**other)]))
    tables = [pd.concat([t, t[t["sample_id"] == "s1"].assign(**other)]) for t in (scores, answers)]
    tabs = widgets.verdicts(both, *tables)
    assert tabs.titles == ("dozen", "terse")
    listed = [[s for _, s in controls(box)["sample"].options] for box in tabs.children]
    assert listed == [["s1", "s2", "s3"], ["s1"]]
    dozen, terse = (figure.axes[0] for figure, _ in shown[-2:])
    assert [[t.get_text() for t in ax.texts] for ax in (dozen, terse)] == [
        ["member ✓", "non-member ✓"]
    ] * 2
