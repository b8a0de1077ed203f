"""Imitators: who trains on what, and whose answers are compared; stubs in place of models."""

import numpy as np
import pandas as pd
import pytest
from helpers import change, says, table, write_jsonl

from dsi_core.data.pairs import dataset as dataset_of
from dsi_core.data.pairs import load_pairs
from dsi_core.imitation import bootstrap, dataset
from dsi_core.method import asking, participants, similarity, study
from dsi_core.method.study import Study
from dsi_core.models.tuning import training_pairs
from dsi_core.runtime import store

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
KINDS = ["brainstorming", "extraction", "rewriting"]


def pair(number):
    return {
        "category": KINDS[number % 3],
        "kind": "output",
        "instruction": f"Task {WORDS[number]}",
        "output": f"Answer about {WORDS[number]} and {WORDS[-number]}",
    }


def held(category):
    return {
        "category": category,
        "kind": "output",
        "instruction": f"Other task {category}",
        "output": f"Its answer {category}",
    }


SEED = {
    "category": "rewriting",
    "round": 0,
    "instruction": "Turn this shopping list",
    "closest": None,
    "fate": "seed",
}


@pytest.fixture
def place(smoke, empty_store):
    """A finished imitation dataset: 12 pairs and 3 held-out instructions that nobody made up."""
    spec = bootstrap.spec(smoke.imitation, bootstrap.target(smoke))
    folder = store.entry("imitation", "llama", spec)
    write_jsonl(folder / dataset.INSTRUCTIONS, [SEED])
    write_jsonl(folder / dataset.PAIRS, [pair(i) for i in range(12)])
    write_jsonl(folder / dataset.HELD_OUT, [held(kind) for kind in KINDS])
    store.finish(folder, instructions=15, kept=15, short=0, used=15)
    return folder


@pytest.fixture
def run(smoke, place):
    """The smoke profile, with that dataset in the store."""
    return Study(smoke, load_pairs(dataset_of(smoke, "dozen")).assign(dataset="dozen"))


def test_the_dataset_is_read_where_it_is(run, place):
    assert dataset.folder(run) == place
    assert dataset.instructions(run)["fate"].tolist() == ["seed"]
    assert dataset.pool(run)["part"].value_counts().to_dict() == {"D or D'": 12, "held out": 3}
    facts = dataset.facts(run).set_index("what")["count"]
    assert facts["answers kept"] == 15
    assert 0 < facts["mean BLEU of two instructions, %"] < 100
    assert len(dataset.random_pairs(run, 4)) == 4


def test_the_kept_answers_are_dealt_in_random_order(smoke, empty_store, monkeypatch):
    """Of 19 two are short: 3 of the others are held out, 12 are pairs, 2 are of no use."""
    tasks = [f"Löse {i}" for i in range(19)]
    fates = ["short" if i in (4, 9) else "kept" for i in range(19)]
    answers = table(
        "category kind instruction output words fate",
        *(("lists", "output", t, t.upper(), 2, fate) for t, fate in zip(tasks, fates, strict=True)),
    )
    accepted = table("instruction fate", *((task, "accepted") for task in tasks))
    monkeypatch.setattr(bootstrap, "bootstrap", lambda how, target: accepted)
    monkeypatch.setattr(bootstrap, "examples", lambda how, target, made: answers)
    run = Study(smoke, None)
    pool, facts = dataset.pool(run), dataset.facts(run).set_index("what")["count"]
    assert pool["part"].value_counts().to_dict() == {"D or D'": 12, "held out": 3}
    assert pool["instruction"].is_unique and not {tasks[4], tasks[9]} & set(pool["instruction"])
    assert (pool["output"] == pool["instruction"].str.upper()).all()
    places = pool["instruction"].map(tasks.index).tolist()
    assert places != sorted(places)
    assert facts.tolist()[:4] == [19, 2, 17, 15]
    assert dataset.instructions(run)["instruction"].tolist() == tasks


def test_the_mean_bleu_is_of_pairs_of_different_rows(monkeypatch):
    """Of three texts two are equal: one of the three pairs."""
    monkeypatch.setattr(bootstrap, "bleu", lambda one, other: 100.0 * (one == other))
    assert dataset._mean_bleu(pd.Series(["a", "a", "b"]), 0) == pytest.approx(100 / 3, abs=8)


def test_who_trains_on_what(run):
    accused = dataset.accusation(run)
    profile, ours = accused.profile, set(accused.pairs["sample_id"])
    others = set(load_pairs(dataset_of(profile, "imitation_iid"))["sample_id"])
    assert len(ours) == len(others) == 6
    assert not ours & others
    assert (profile.name, profile.victims) == ("smoke", ["imitation"])
    assert (profile.responses.ask, profile.responses.max_new_tokens) == ("tainted", 48)
    assert [r.name for r in profile.references] == ["llama"]
    assert profile.imitation is None
    seen = {
        p.model_id: set(training_pairs(p.training)["sample_id"])
        for p in participants.suspects(profile)
        if p.training.datasets
    }
    assert {name: len(ids) for name, ids in seen.items()} == {
        "imitator of 3": 3,
        "imitator of 6": 6,
        "imitator of 12": 12,
        "llama-on-D": 6,
        "llama-on-D'": 6,
    }
    assert seen["imitator of 3"] < seen["imitator of 6"] == seen["llama-on-D"] == ours
    assert seen["llama-on-D'"] == others
    assert seen["imitator of 12"] == ours | others
    assert {s.name: s.member for s in profile.suspects} == {
        "imitator of 3": True,
        "imitator of 6": True,
        "imitator of 12": True,
        "llama-on-D": True,
        "llama-on-D'": False,
        "llama-untuned": False,
    }
    assert dataset.accusation(run).profile == profile


def test_a_budget_over_what_is_left_is_refused(run, place):
    near = [{**pair(i), "instruction": f"Task {WORDS[i]}!"} for i in range(3)]  # near-duplicates
    write_jsonl(place / dataset.PAIRS, [*(pair(i) for i in range(9)), *near])
    with pytest.raises(ValueError, match=r"budgets: 12, but D and D' hold (9|10|11) pairs"):
        dataset.accusation(run)


def test_answers_to_held_out_instructions(run, monkeypatch):
    accused, prompted = dataset.accusation(run), []

    def answers(models, pairs, sampling):
        models = list(models)
        names = [m.model_id for m in models]
        prompted.append((names, sampling, pairs["prompt"].tolist(), set(pairs["dataset"])))
        told = pairs[["sample_id", "output"]].merge(
            table("model_id", *[(n,) for n in names]), how="cross"
        )
        told["response"] = told["output"].where(told["model_id"] == "imitator of 12", "nothing")
        return told

    def target(target, title, questions, *, temperature, max_new_tokens):
        base = target.training.base.name
        prompted.append((title, base, temperature, questions["prompt"].iloc[1]))
        return questions.assign(response="Its answer")

    def equal(backbone, texts):
        return (texts["a"] == texts["b"]).to_numpy(dtype=float)

    monkeypatch.setattr(asking, "answers", answers)
    monkeypatch.setattr(bootstrap, "prompted", target)
    monkeypatch.setattr(similarity, "raw_scores", equal)
    monkeypatch.setattr(study, "baseline", lambda *_: 0.5)
    closeness = dataset.held_out(run, accused)
    of_target, of_others = prompted
    assert of_target[:3] == ("target, again", "llama", 0.0)
    assert "Other task extraction\n\nMake up an input" in of_target[3]
    names, sampling, prompts, victims = of_others
    assert names == [dataset.UNTUNED, "imitator of 3", "imitator of 6", "imitator of 12"]
    assert (sampling.temperature, sampling.draws, sampling.max_new_tokens) == (0.0, 1, 48)
    assert prompts == [f"Other task {kind}" for kind in KINDS]
    assert victims == {"imitation"}
    means = closeness.groupby("model")[["rouge_l", "bertscore"]].mean()
    assert means.loc["imitator of 12"].tolist() == [1.0, 1.0]
    assert means.loc["imitator of 3"].tolist() == [0.0, -1.0]  # rescaled by (raw - 0.5) / 0.5
    assert means.loc[dataset.AGAIN, "rouge_l"] == pytest.approx(2 * 1 * (2 / 3) / (1 + 2 / 3))
    budgets = closeness.drop_duplicates("model").set_index("model")["budget"]
    assert budgets[names].tolist() == [0, 3, 6, 12]
    assert np.isnan(budgets[dataset.AGAIN])
    assert len(closeness) == 15


def test_what_a_suspect_saw_stands_beside_its_verdict(run, monkeypatch):
    accused = dataset.accusation(run)
    told = pd.DataFrame(
        {
            "suspect": [s.name for s in accused.profile.suspects],
            "dataset": "imitation",
            "positive": 3,
            "negative": 1,
            "filtered": 0,
        }
    )
    monkeypatch.setattr(study, "verdicts", lambda *_: told)
    verdicts = dataset.verdicts(accused, None, None).set_index("suspect")
    assert verdicts["seen"].to_dict() == {
        "imitator of 3": 0.5,
        "imitator of 6": 1.0,
        "imitator of 12": 1.0,
        "llama-on-D": 1.0,
        "llama-on-D'": 0.0,
        "llama-untuned": 0.0,
    }
    assert (verdicts["share"] == 0.75).all()
    # Wilson's interval of 3 of 4: (p + z²/2n ± z sqrt(p(1-p)/n + z²/4n²)) / (1 + z²/n)
    assert verdicts[["low", "high"]].iloc[0].tolist() == [0.301, 0.954]


def test_says_which_setting_is_missing(smoke):
    with pytest.raises(ValueError) as error:
        dataset.accusation(Study(change(smoke, imitation=None), None))
    says(error, "'smoke'", "section imitation")
