"""Imitators: scores and lines by hand, who trains on what, and whose answers are compared; stubs in place of models."""

import json

import numpy as np
import pandas as pd
import pytest
from helpers import says, table, write_jsonl

from dsi_core.data import pairs as data
from dsi_core.imitation import bootstrap, dataset, scores
from dsi_core.imitation.scores import log_linear
from dsi_core.method import similarity
from dsi_core.method import study as steps
from dsi_core.method.study import Study
from dsi_core.models import tuning
from dsi_core.paper import tables
from dsi_core.runtime import store

# Scores


@pytest.mark.parametrize(
    "candidate, reference, score",
    [
        (
            "the cat sat on mat",
            "the dog sat on the mat",
            2 * (4 / 5) * (4 / 6) / (4 / 5 + 4 / 6),
        ),  # the ... sat on ... mat
        ("a b c", "c b a", 1 / 3),
        ("A, b!", "a b", 1.0),
        ("", "a", 0.0),
        ("a", "", 0.0),
        ("x", "y", 0.0),
    ],
)
def test_rouge_l_by_hand(candidate, reference, score):
    assert scores.rouge_l([candidate, "same"], [reference, "same"]) == pytest.approx([score, 1.0])


def test_a_line_by_hand():
    """y = 0, 2, 1 at 1, 10, 100: slope 1/2, residuals -1/2, 1, -1/2, so a standard error of sqrt(1.5 / 2); t at 0.975 with one degree is 12.706."""
    fit = log_linear([1, 10, 100], [0, 2, 1])
    half = 12.706205 * np.sqrt(1.5 / 2)
    assert fit == {
        "points": 3,
        "intercept": pytest.approx(0.5),
        "slope": pytest.approx(0.5),
        "low": pytest.approx(0.5 - half, rel=1e-6),
        "high": pytest.approx(0.5 + half, rel=1e-6),
        "r2": pytest.approx(0.25),
    }
    exact = log_linear([1000, 10, 100], [0.3, 0.1, 0.2])
    assert (
        exact["slope"] == pytest.approx(0.1)
        and exact["low"] == pytest.approx(0.1)
        and scores.budget_for(exact, 0.5) == pytest.approx(1e5)
    )
    assert scores.budget_for(log_linear([1, 10, 100], [3, 2, 1]), 5) == np.inf
    for budgets in ([1, 10], [10, 10, 100], [0, 10, 100]):
        with pytest.raises(ValueError, match="three different"):
            log_linear(budgets, budgets)


def test_the_sources_rounded_ratings_do_not_give_its_parity():
    """By hand: dollars 20, 100, 200, 500 and ratings 3.4 to 3.7 give a slope of 0.215 and parity with 4.0 at 10^4.17, not at the $2500 it states."""
    rows = tables.reported("imitation_ratings").query("model == 'imitator'")
    fit = log_linear(rows["dollars"], rows["rating"])
    assert fit["slope"] == pytest.approx(0.215, abs=5e-4) and np.log10(
        scores.budget_for(fit, 4.0)
    ) == pytest.approx(4.17, abs=0.01)
    assert tables.reported("imitation_data")["parity_dollars"].tolist() == [2500]


def scores_of(values: dict):
    """{(model, budget): ROUGE-L of each instruction}; BERTScore falls where ROUGE-L rises."""
    rows = [(m, b, f"s{i}", v, -v) for (m, b), vs in values.items() for i, v in enumerate(vs)]
    return table("model budget sample_id rouge_l bertscore", *rows)


def test_the_curve_and_its_lines():
    values = {
        ("base", 0.0): [0, 0.1],
        ("of 10", 10.0): [0.1, 0.3],
        ("of 100", 100.0): [0.3, 0.3],
        ("of 1000", 1000.0): [0.4, 0.4],
        ("target", np.nan): [0.5, 0.7],
    }
    means = scores.curve(scores_of(values))
    rouge = means[means["metric"] == "rouge_l"].set_index("model")
    assert (
        rouge["mean"].tolist() == pytest.approx([0.05, 0.2, 0.3, 0.4, 0.6])
        and (rouge["samples"] == 2).all()
    )
    assert rouge.loc["of 10", ["low", "high"]].tolist() == pytest.approx(
        [0.2 - 12.706205 * 0.1, 0.2 + 12.706205 * 0.1], rel=1e-6
    )  # sem = 0.1
    fits = scores.fits(means, "target").set_index("metric")
    assert fits.loc["rouge_l", ["slope", "target"]].tolist() == pytest.approx(
        [0.1, 0.6]
    ) and fits.loc["rouge_l", "parity"] == pytest.approx(1e5)
    assert fits.loc["bertscore", "slope"] == pytest.approx(-0.1) and np.isnan(
        fits.loc["bertscore", "parity"]
    )  # no line that rises
    unsure = scores.fits(
        scores.curve(scores_of({**values, ("of 100", 100.0): [0.9, 0.9]})), "target"
    )
    assert (
        np.isnan(unsure["parity"]).all() and unsure["slope"].iloc[0] > 0
    )  # it rises, but its interval holds zero


# Who trains on what


@pytest.fixture
def study(smoke, empty_store):
    """The smoke profile with an imitation dataset of 12 pairs and 3 held-out instructions that nobody made up."""
    folder = store.entry("imitation", "llama", bootstrap.spec(smoke))
    kinds = ["brainstorming", "extraction", "rewriting"]
    pairs = [
        {
            "category": kinds[i % 3],
            "kind": "output",
            "instruction": f"Task {WORDS[i]}",
            "output": f"Answer about {WORDS[i]} and {WORDS[-i]}",
        }
        for i in range(12)
    ]
    held = [
        {
            "category": k,
            "kind": "output",
            "instruction": f"Other task {k}",
            "output": f"Its answer {k}",
        }
        for k in kinds
    ]
    seeds = [
        {
            "category": "rewriting",
            "round": 0,
            "instruction": "Turn this shopping list",
            "closest": None,
            "fate": "seed",
        }
    ]
    for name, rows in zip(dataset.FILES, (seeds, pairs, held)):
        write_jsonl(folder / name, rows)
    store.finish(folder, instructions=15, kept=15, short=0, used=15)
    return Study(smoke, data.load_pairs(smoke, "dozen").assign(dataset="dozen"))


WORDS = [
    "anchor",
    "basket",
    "candle",
    "donkey",
    "engine",
    "feather",
    "garden",
    "hammer",
    "island",
    "jacket",
    "kettle",
    "ladder",
]


def test_the_dataset_is_read_where_it_is(study):
    assert dataset.dataset(study) == store.entry(
        "imitation", "llama", bootstrap.spec(study.profile)
    )
    assert dataset.found(study)["fate"].tolist() == ["seed"]
    assert dataset.pool(study)["part"].value_counts().to_dict() == {"D or D'": 12, "held out": 3}
    facts = dataset.facts(study).set_index("what")["count"]
    assert facts["answers kept"] == 15 and 0 < facts["mean BLEU of two instructions, %"] < 100


def test_pairs_are_shown_escaped(study):
    path = dataset.dataset(study) / dataset.FILES[1]
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    write_jsonl(path, [{**r, "output": "<script>alert(1)</script>"} for r in rows])
    page = dataset.show(study, 15).data
    assert "<script>" not in page and page.count("&lt;script&gt;") == 12


def test_who_trains_on_what(study):
    accused = dataset.accusation(study)
    profile, ours = accused.profile, accused.pairs["sample_id"].tolist()
    other = data.load_pairs(profile, "imitation_iid")["sample_id"].tolist()
    assert len(ours) == len(other) == 6 and not set(ours) & set(other)
    assert (
        profile.name,
        profile.victims,
        profile.responses.ask,
        profile.responses.max_new_tokens,
    ) == ("smoke", ["imitation"], "tainted", 48)
    assert [r.name for r in profile.references] == ["llama"] and profile.imitation is None
    seen = {
        s.name: set(tuning.training_pairs(profile, "imitation", s)["sample_id"])
        for s in profile.suspects
        if s.data
    }
    assert {n: len(ids) for n, ids in seen.items()} == {
        "imitator of 3": 3,
        "imitator of 6": 6,
        "imitator of 12": 12,
        "llama-on-D": 6,
        "llama-on-D'": 6,
    }
    assert seen["imitator of 3"] < seen["imitator of 6"] == seen["llama-on-D"] == set(
        ours
    ) and seen["llama-on-D'"] == set(other)
    assert seen["imitator of 12"] == {*ours, *other}
    assert {s.name: s.member for s in profile.suspects} == {
        "imitator of 3": True,
        "imitator of 6": True,
        "imitator of 12": True,
        "llama-on-D": True,
        "llama-on-D'": False,
        "llama-untuned": False,
    }
    again, reseeded = (
        dataset.accusation(study),
        dataset.accusation(Study(study.profile.model_copy(update={"seed": 0}), study.pairs)),
    )
    assert again.profile == profile == reseeded.profile


def test_a_budget_over_what_is_left_is_refused(study):
    path = dataset.dataset(study) / dataset.FILES[1]
    lines = path.read_text().splitlines()
    double = [
        json.loads(line) | {"instruction": json.loads(line)["instruction"] + "!"}
        for line in lines[:3]
    ]  # near-duplicates of the first three
    write_jsonl(path, [*map(json.loads, lines[:9]), *double])
    with pytest.raises(ValueError, match="budgets: 12, but D and D' hold (9|10|11) pairs"):
        dataset.accusation(study)


def test_answers_to_held_out_instructions(study, monkeypatch):
    accused, asked = dataset.accusation(study), []

    def answers(here, role, pairs):
        asked.append(
            (
                role,
                [s.name for s in here.profile.suspects],
                here.profile.responses.temperature,
                pairs["prompt"].tolist(),
                set(pairs["dataset"]),
            )
        )
        told = pairs[["sample_id", "output"]].merge(
            table("model_id", *[(s.name,) for s in here.profile.suspects]), how="cross"
        )
        return told.assign(
            response=[
                o if m == "imitator of 12" else "nothing"
                for o, m in zip(told["output"], told["model_id"])
            ]
        )

    def target(profile, name, trained, questions, *, temperature, tokens):
        asked.append((name, trained.base, temperature, questions["prompt"].iloc[1]))
        return questions.assign(response="Its answer")

    monkeypatch.setattr(steps, "answers", answers)
    monkeypatch.setattr(bootstrap, "asked", target)
    monkeypatch.setattr(
        similarity, "raw_scores", lambda _, pairs: (pairs["a"] == pairs["b"]).to_numpy(dtype=float)
    )
    monkeypatch.setattr(similarity, "baseline", lambda *_: {"f1": 0.5})
    found = dataset.held_out(study, accused)
    names = [dataset.UNTUNED, "imitator of 3", "imitator of 6", "imitator of 12"]
    assert asked[1] == (
        "suspect",
        names,
        0.0,
        ["Other task brainstorming", "Other task extraction", "Other task rewriting"],
        {"imitation"},
    )
    assert (
        asked[0][:3] == ("target, again", "llama", 0.0)
        and "Other task extraction\n\nMake up an input" in asked[0][3]
    )
    means = found.groupby("model")[["rouge_l", "bertscore"]].mean()
    assert means.loc["imitator of 12"].tolist() == [1.0, 1.0] and means.loc[
        "imitator of 3"
    ].tolist() == [0.0, -1.0]  # rescaled by (raw - 0.5) / 0.5
    assert means.loc[dataset.AGAIN, "rouge_l"] == pytest.approx(2 * 1 * (2 / 3) / (1 + 2 / 3))
    budgets = found.drop_duplicates("model").set_index("model")["budget"]
    assert (
        budgets[names].tolist() == [0, 3, 6, 12]
        and np.isnan(budgets[dataset.AGAIN])
        and len(found) == 15
    )


def test_what_a_suspect_saw_stands_beside_its_verdict(study, monkeypatch):
    accused = dataset.accusation(study)
    members = [s.name for s in accused.profile.suspects]
    told = pd.DataFrame(
        {
            "suspect": members,
            "dataset": "imitation",
            "member": [s.member for s in accused.profile.suspects],
            "positive": 3,
            "negative": 1,
            "filtered": 0,
            "verdict": "member",
            "correct": True,
        }
    )
    monkeypatch.setattr(steps, "verdicts", lambda *_: told)
    found = dataset.verdicts(accused, None, None).set_index("suspect")
    assert found["seen"].to_dict() == {
        "imitator of 3": 0.5,
        "imitator of 6": 1.0,
        "imitator of 12": 1.0,
        "llama-on-D": 1.0,
        "llama-on-D'": 0.0,
        "llama-untuned": 0.0,
    }
    assert (found["share"] == 0.75).all() and found["low"].iloc[0] < 0.75 < found["high"].iloc[0]


def test_the_plot_draws_what_it_is_given():
    from dsi_core.plots.imitation import plot_budgets

    values = {
        ("base", 0.0): [0.0, 0.1],
        ("of 10", 10.0): [0.1, 0.3],
        ("of 100", 100.0): [0.3, 0.2],
        ("of 1000", 1000.0): [0.4, 0.5],
        ("target", np.nan): [0.5, 0.7],
    }
    means = scores.curve(scores_of(values))
    figure = plot_budgets(means, scores.fits(means, "target"), levels={"base": "--", "target": "-"})
    left = figure.axes[0]
    fit = scores.fits(means, "target").iloc[0]
    assert left.lines[0].get_ydata().tolist() == pytest.approx([0.2, 0.25, 0.45])
    line = next(ln for ln in left.lines if ln.get_label() == "log-linear fit")
    assert line.get_xdata().tolist() == [10, 1000] and line.get_ydata()[0] == pytest.approx(
        fit["intercept"] + fit["slope"]
    )
    assert fit["low"] < 0 and not any(ln.get_label() == "extrapolated" for ln in left.lines)
    sure = scores.curve(
        scores_of({**values, ("of 100", 100.0): [0.3, 0.35]})
    )  # 0.2, 0.325, 0.45: exactly a line
    drawn = plot_budgets(sure, scores.fits(sure, "target"), levels={}).axes[0].lines
    assert next(ln for ln in drawn if ln.get_label() == "extrapolated").get_xdata().tolist() == [
        1000,
        10000,
    ]
    levels = {
        ln.get_label(): ln.get_ydata()[0]
        for ln in left.lines
        if ln.get_label() in ("base", "target")
    }
    assert levels == {"base": pytest.approx(0.05), "target": pytest.approx(0.6)}


def test_says_which_setting_is_missing(smoke):
    from helpers import change

    with pytest.raises(ValueError) as error:
        dataset.accusation(Study(change(smoke, imitation=None), None))
    says(error, "'smoke'", "section imitation")
