"""The baseline DPDLLM: features and their classifier against values made by hand, who is known to whom, and both modes end to end."""

import gc
import pickle

import numpy as np
import pandas as pd
import pytest
from helpers import change, says, table
from sklearn.model_selection import StratifiedKFold

from dsi_core.data import pairs as data
from dsi_core.method.study import Study
from dsi_core.models import load as models
from dsi_core.models import responses, token_logprobs, tuning
from dsi_core.paper import tables
from dsi_core.paper.dpdllm import baseline
from dsi_core.paper.dpdllm import features as dpdllm_features
from dsi_core.runtime import store
from dsi_core.settings.schema import Dpdllm, Endpoint, Model, Suspect

pytestmark = [
    pytest.mark.filterwarnings(f"ignore:.*{text}")
    for text in ("torch.jit", "is_gradient_checkpointing")
]

SETTINGS = {
    "base": "llama",
    "recipe": "few",
    "calibration": 4,
    "length": 16,
    "non_members": ["other", "terse"],
    "members": ["dozen", "other"],
    "members_recipe": "few",
}
SUSPECTS = {
    "knows": Suspect(name="knows", member=True, base="llama", data=["victim"], recipe="few"),
    "mixed": Suspect(
        name="mixed", member=True, base="llama", data=["victim", "other"], recipe="few"
    ),
    "untuned": Suspect(name="untuned", member=False, base="llama"),
    "other": Suspect(name="other", member=False, base="llama", data=["other"], recipe="few"),
    "terse": Suspect(name="terse", member=False, base="qwen2", data=["terse"], recipe="few"),
}


def study_of(smoke, *suspects: str, **settings) -> Study:
    few = change(smoke.recipes["heart"], epochs=2)
    profile = change(
        smoke,
        data={n: smoke.data[n] for n in ("dozen", "other", "terse")},
        wild={},
        suspects=[SUSPECTS[s] for s in suspects or SUSPECTS],
        dpdllm=Dpdllm(**{**SETTINGS, **settings}),
        recipes={**smoke.recipes, "few": few},
        responses={"max_new_tokens": 16},
    )
    return Study(profile, data.load_pairs(profile, "dozen").assign(dataset="dozen"))


# Features


def test_features_are_cut_or_filled_up_with_their_mean():
    rows = [[0.1, 0.2, 0.3, 0.4, 0.5], [0.5, 0.1, 0.3], [0.2, 0.4], [0.7], []]
    found = dpdllm_features.filled([np.array(r) for r in rows], 3)
    assert found[:4] == pytest.approx(
        np.array([[0.1, 0.2, 0.3], [0.5, 0.1, 0.3], [0.2, 0.4, 0.3], [0.7, 0.7, 0.7]])
    )
    assert np.isnan(found[4]).all()  # no token: nothing to score


def test_scored_tokens(toy):
    _, tokenizer = toy("llama")
    before, after = (
        models.encode_prompt(tokenizer, "Who sings?"),
        models.encode_answer(tokenizer, "The ferryman.")[:-1],
    )
    pad = tokenizer.pad_token_id
    assert (
        tokenizer.decode(before) == "<s>Who sings?\n" and tokenizer.decode(after) == "The ferryman."
    )
    assert dpdllm_features.tokens(tokenizer, "Who sings?", "The ferryman.", "clean", 100, 500) == (
        before,
        after,
    )
    assert dpdllm_features.tokens(tokenizer, "Who sings?", "The ferryman.", "clean", 3, 500) == (
        before,
        after[:3],
    )
    assert dpdllm_features.tokens(tokenizer, "Who sings?", "The ferryman.", "clean", 3, 5) == (
        before[-2:],
        after[:3],
    )
    assert dpdllm_features.tokens(tokenizer, "Who sings?", "", "clean", 3, 500) == (before, [])

    def whole(length):
        given, scored = dpdllm_features.tokens(
            tokenizer, "Who sings?", "The ferryman.", "faithful", length, 500
        )
        assert len(given) == 1 and len(scored) == length
        return given + scored

    text = [*before, *after, tokenizer.eos_token_id]
    assert whole(5) == text[:6] and whole(len(text) + 2) == [
        *text,
        pad,
        pad,
        pad,
    ]  # padding is scored as if it were text


def by_hand(model, given, scored):
    """The softmax of the logits, token by token."""
    import torch

    found = []
    for i, token in enumerate(scored):
        with torch.inference_mode():
            scores = (
                model(input_ids=torch.tensor([given + scored[:i]])).logits[0, -1].double().numpy()
            )
        found.append(np.exp(scores[token]) / np.exp(scores).sum())
    return np.array(found)


@pytest.mark.parametrize("family", ["llama", "gemma", "glm"])
def test_probabilities_are_the_softmax_of_the_logits_whatever_the_batch(toy, family, monkeypatch):
    model, tokenizer = toy(family)
    pairs = [
        ("Who sings?", "The ferryman."),
        ("Why?", "Because the lamp is lit, and the harbour far."),
        ("Who keeps the lamp at night?", ""),
        ("Who keeps the lamp on the hill above the old harbour?", "No."),
    ]
    rows = [dpdllm_features.tokens(tokenizer, *p, "clean", 8, 100) for p in pairs] + [
        dpdllm_features.tokens(tokenizer, *pairs[1], "clean", 4, 6)
    ]
    together = dpdllm_features.token_probabilities(model, rows)
    assert [len(p) for p in together] == [len(s) for _, s in rows] and len(together[2]) == 0
    for row, found in zip(rows, together):
        assert found == pytest.approx(by_hand(model, *row), rel=1e-4)
    monkeypatch.setattr(token_logprobs, "LOGITS", 1)  # one text a batch
    for one, found in zip(dpdllm_features.token_probabilities(model, rows), together):
        assert one == pytest.approx(found, rel=1e-4)
    padded = dpdllm_features.tokens(tokenizer, *pairs[0], "faithful", 30, 100)
    assert padded[1][-3:] == [tokenizer.pad_token_id] * 3
    assert dpdllm_features.token_probabilities(model, [padded])[0] == pytest.approx(
        by_hand(model, *padded), rel=1e-4
    )
    assert dpdllm_features.token_probabilities(model, [rows[2]])[0].shape == (0,)


# The classifier


def test_the_classifier_is_bayes_rule_with_gaussians():
    known, labels = (
        np.array([[0.9, 0.2], [0.7, 0.4], [0.2, 0.1], [0.4, 0.5], [0.3, 0.3]]),
        np.array([1, 1, 0, 0, 0]),
    )
    asked = np.array([[0.6, 0.3], [0.3, 0.4], [0.8, 0.3]])

    def likelihood(rows, x):
        mean, variance = rows.mean(axis=0), rows.var(axis=0) + 1e-9 * known.var(axis=0).max()
        return (np.exp(-((x - mean) ** 2) / (2 * variance)) / np.sqrt(2 * np.pi * variance)).prod(
            axis=1
        )

    member, other = 2 / 5 * likelihood(known[:2], asked), 3 / 5 * likelihood(known[2:], asked)
    assert dpdllm_features.classify(known, labels, asked) == pytest.approx(
        member / (member + other), rel=1e-6
    )


def test_nothing_to_score_is_neither_member_nor_non_member():
    known, labels, gone = (
        np.array([[0.9], [0.8], [0.1], [0.2], [np.nan]]),
        np.array([1, 1, 0, 0, 0]),
        np.array([[np.nan], [0.85]]),
    )
    found = dpdllm_features.classify(known, labels, gone)
    assert (
        np.isnan(found[0])
        and found[1] > 0.99
        and found[1:] == dpdllm_features.classify(known[:4], labels[:4], gone[1:])
    )
    assert np.isnan(dpdllm_features.classify(known, labels, gone[:1])).all()
    known[2:] = np.nan  # no known non-member left
    assert np.isnan(dpdllm_features.classify(known, labels, gone)).all()
    assert np.isnan(dpdllm_features.quality(known, labels, 0)).all()


def test_quality_of_the_classifier():
    rng = np.random.default_rng(0)
    labels = np.repeat([1, 0], [30, 20])
    for shift in (0.0, 0.5, 9.0):
        features = rng.normal(size=(50, 3)) + shift * labels[:, None]
        accuracy, ranking = dpdllm_features.quality(features, labels, 0)
        called, scores = np.zeros(50), np.zeros(50)
        for fit, held in StratifiedKFold(4, shuffle=True, random_state=0).split(features, labels):
            scores[held] = dpdllm_features.classify(features[fit], labels[fit], features[held])
            called[held] = scores[held] > 0.5
        rates = called[labels == 1].mean(), 1 - called[labels == 0].mean()
        pairs = scores[labels == 1][:, None] - scores[labels == 0]
        assert accuracy == pytest.approx(sum(rates) / 2)
        assert ranking == pytest.approx((pairs > 0).mean() + (pairs == 0).mean() / 2, abs=0.002)
    assert (accuracy, ranking) == (1, 1)
    assert dpdllm_features.quality(features, labels, 0) == dpdllm_features.quality(
        features, labels, 0
    )
    assert np.isnan(
        dpdllm_features.quality(features[29:31], labels[29:31], 0)
    ).all()  # one of each: nothing to hold out


def test_the_majority_of_the_scored_samples_decides(smoke):
    study = study_of(smoke, "knows", "mixed", "untuned", "other")
    votes = {
        "knows": "member non-member member",
        "mixed": "member non-member unscored",
        "untuned": "unscored unscored",
        "other": "non-member member member member",
    }
    calls = table(
        "dataset suspect sample_id called",
        *(("dozen", s, str(i), c) for s, v in votes.items() for i, c in enumerate(v.split())),
    )
    found = baseline.verdicts(study, calls)
    assert found[
        ["suspect", "positive", "negative", "filtered", "verdict", "correct"]
    ].values.tolist() == [
        ["knows", 2, 1, 0, "member", True],
        ["mixed", 1, 1, 1, "non-member", False],
        ["untuned", 0, 0, 2, "inconclusive", False],
        ["other", 3, 1, 0, "member", False],
    ]
    rows = tables.table6(found, method="DPDLLM")
    assert rows.iloc[0][["method", "correct", "total", "recall", "precision"]].tolist() == [
        "DPDLLM",
        1,
        2,
        50.0,
        50.0,
    ]
    assert found.columns.tolist() == [
        "dataset",
        "suspect",
        "group",
        "member",
        "positive",
        "negative",
        "filtered",
        "verdict",
        "correct",
    ]


# Who is known to be what


def ids(samples) -> set:
    return set(samples["sample_id"])


@pytest.mark.parametrize("mode", baseline.MODES)
def test_roles(smoke, mode):
    study = study_of(smoke)
    roles = {r.suspect: r for r in baseline.cast(study, mode)}
    assert {s: (r.members_from, r.non_members_from, r.model_id) for s, r in roles.items()} == {
        "knows": ("dozen", "other", "knows"),
        "mixed": ("dozen", "terse", "mixed"),
        "other": ("other", "terse", "other"),
        "untuned": ("other", "terse", "untuned tuned for DPDLLM"),
        "terse": ("terse", "other", "terse"),
    }
    whole = {n: ids(data.load_pairs(study.profile, n)) for n in ("dozen", "other", "terse")}
    for r in roles.values():
        assert len(r.members) == len(r.non_members) == 4
        assert (
            ids(r.members) < whole[r.members_from]
            and ids(r.non_members) < whole[r.non_members_from]
        )
        assert ids(r.judged) == whole["dozen"] - (ids(r.members) if mode == "clean" else set())
        assert ids(tuning.training_pairs(study.profile, "dozen", r.lms["calibration"])) == ids(
            r.members
        ) | (ids(r.non_members) if mode == "faithful" else set())
        assert ids(tuning.training_pairs(study.profile, "dozen", r.lms["judged"])) == (
            ids(r.members) if mode == "clean" else whole["dozen"]
        )
        assert r.lms["judged"].loss_on == ("answer" if mode == "clean" else "text")
    assert len(roles["knows"].judged) == (8 if mode == "clean" else 12)
    assert roles["untuned"].trained.model_dump() == {
        "base": "llama",
        "data": ["other"],
        "recipe": "few",
        "leave_out": (),
        "loss_on": "answer",
    }

    # the same training set: the same known members, and the same LM, whichever of two datasets has the members
    assert ids(roles["knows"].members) == ids(roles["mixed"].members) and ids(
        roles["other"].members
    ) == ids(roles["untuned"].members)
    assert roles["untuned"].lms == roles["other"].lms
    assert (roles["terse"].lms == roles["other"].lms) == (mode == "faithful")
    another = baseline.cast(Study(change(study.profile, seed=1), study.pairs), mode)[0]
    assert ids(another.members) != ids(roles["knows"].members)


def test_too_few_samples(smoke):
    """Half of D is left to judge, and there are as many known non-members as members."""
    clean, faithful = (
        baseline.cast(study_of(smoke, "knows", "other", calibration=1000), mode)
        for mode in baseline.MODES
    )
    assert [(len(r.members), len(r.non_members), len(r.judged)) for r in clean] == [
        (6, 6, 6),
        (6, 6, 12),
    ]  # terse has six
    assert [(len(r.members), len(r.non_members), len(r.judged)) for r in faithful] == [
        (12, 12, 12),
        (6, 6, 12),
    ]


def test_a_pair_that_the_suspect_trained_on_is_no_known_non_member(smoke, monkeypatch):
    profile = study_of(smoke, "knows").profile
    load = data.load_pairs
    both = pd.concat([load(profile, "other"), load(profile, "dozen").head(9)], ignore_index=True)
    monkeypatch.setattr(
        data,
        "load_pairs",
        lambda profile, name, **how: both if name == "other" else load(profile, name, **how),
    )
    pairs = load(profile, "dozen").assign(dataset="dozen")
    for suspect in ("knows", "terse"):
        study = Study(
            change(profile, suspects=[SUSPECTS[suspect]], dpdllm={"calibration": 12}), pairs
        )
        assert not ids(baseline.cast(study)[0].non_members) & ids(pairs)


def test_what_a_suspect_left_out_is_no_known_member(smoke):
    study = study_of(smoke, "knows", calibration=1000)
    left = tuple(study.pairs["sample_id"][:3])
    profile = change(study.profile, suspects=[change(SUSPECTS["knows"], leave_out=left)])
    roles = baseline.cast(Study(profile, study.pairs), "faithful")[0]
    assert ids(roles.members) == ids(study.pairs) - set(left) and len(roles.judged) == 12


def test_a_suspect_tuned_on_the_iid_half_has_its_known_members_there(smoke):
    study = study_of(smoke, "terse")
    half = change(smoke.data["dozen"], rows=6)
    profile = change(
        study.profile,
        data={**study.profile.data, "dozen": half, "rest": change(half, apart_from="dozen")},
        suspects=[change(SUSPECTS["terse"], data=["iid"])],
    )
    roles = baseline.cast(Study(profile, study.pairs))[0]
    assert (
        roles.members_from == "rest"
        and ids(roles.members) <= ids(data.load_pairs(profile, "rest"))
        and len(roles.judged) == 6
    )


def test_what_does_not_fit_is_refused(smoke):
    def refused(*parts, study=study_of(smoke, "untuned"), mode="clean"):
        with pytest.raises(ValueError) as error:
            baseline.run(study, mode)
        says(error, *parts)

    refused("unknown mode 'both'", "clean, faithful", mode="both")
    refused(
        "'smoke'", "section dpdllm", "non_members", study=Study(change(smoke, dpdllm=None), None)
    )
    refused("'other'", "['other']", study=study_of(smoke, "other", non_members=["other"]))
    refused(
        "'untuned'",
        "dpdllm.members ['dozen']",
        "victim 'dozen'",
        study=study_of(smoke, "untuned", members=["dozen"]),
    )
    remote = {"far": Model(endpoint=Endpoint(base_url="http://localhost:1", model="m"))}
    far = change(
        study_of(smoke).profile,
        models={**smoke.models, **remote},
        suspects=[change(SUSPECTS["untuned"], base="far")],
    )
    refused("'untuned'", "endpoint", study=Study(far, None))


# End to end


@pytest.fixture
def jobs(monkeypatch):
    """The jobs that were run, here in this process; each could have gone to another."""
    import trl  # noqa: F401

    gc.collect()
    gc.freeze()  # the trainer collects garbage after every training: not that of all these libraries
    done = []

    def here(jobs):
        done.extend(j.call.__name__ for j in jobs)
        assert len({j.name for j in jobs}) == len(jobs)
        return [j.call(*j.args, **j.kwargs) for j in map(pickle.loads, map(pickle.dumps, jobs))]

    monkeypatch.setattr(baseline.work, "run", here)
    return done


def test_end_to_end(smoke, one_thread, empty_store, jobs):
    study = study_of(smoke, "knows", "untuned")
    empty = {
        "sample_id": study.pairs["sample_id"].iloc[0],
        "draw": 0,
        "response": "",
    }  # one answer of "knows" has no token
    own = responses.entry(study.profile, "dozen", "knows", SUSPECTS["knows"], 1.0)
    store.write_text(own / "responses.jsonl", f"{pd.Series(empty).to_json()}\n")
    others = {}
    for mode in baseline.MODES:
        calls = baseline.run(study, mode)
        expected = {
            "clean": ["prepare", "tune", "tune", "ask", "ask"],
            "faithful": ["tune", "tune", "tune"],
        }[mode]
        assert sorted(jobs) == sorted([*expected, *["score"] * 4])
        jobs.clear()
        found, facts = baseline.verdicts(study, calls), baseline.calibration(study, mode)
        pd.testing.assert_frame_equal(baseline.run(study, mode), calls)
        assert jobs == []  # nothing is tuned, asked or scored twice

        assert calls.columns.tolist() == [
            "dataset",
            "suspect",
            "sample_id",
            "called",
            "probability",
        ]
        assert not calls.duplicated(["suspect", "sample_id"]).any() and set(
            calls["sample_id"]
        ) == set(study.pairs["sample_id"])
        assert (
            calls["called"]
            == np.select(
                [calls["probability"].isna(), calls["probability"] > 0.5],
                ["unscored", "member"],
                "non-member",
            )
        ).all()
        counts = calls.groupby("suspect", sort=False)["called"].value_counts().unstack(fill_value=0)
        assert (found["positive"] == counts["member"].to_numpy()).all()
        assert facts["answers_from"].tolist() == ["knows", "untuned tuned for DPDLLM"]
        assert facts[["members_from", "non_members_from"]].values.tolist() == [
            ["dozen", "other"],
            ["other", "terse"],
        ]
        assert facts[["calibration_members", "calibration_non_members"]].values.tolist() == [
            [4, 4],
            [4, 4],
        ]
        assert facts["judged"].tolist() == ([8, 12] if mode == "clean" else [12, 12])
        assert facts[["balanced_accuracy", "ranking_auc"]].stack().between(0, 1).all()
        unscored = facts["unscored"] + facts["calibration_unscored"]
        assert (
            unscored.tolist() == ([1, 0] if mode == "clean" else [0, 0])
            and found["filtered"].tolist() == facts["unscored"].tolist()
        )
        others[mode] = calls

    # what was stored is what the LM says to these texts, and the calls follow from it
    roles = baseline.cast(study)[1]
    texts, folder = baseline._entry(study.profile, roles, "clean", "judged")
    stored = pd.read_parquet(folder / "scores.parquet")
    tuned = tuning.folder_of(study.profile, "dozen", roles.lms["judged"], make=False)
    model, tokenizer = models.load(study.profile, "llama", tuned=tuned)
    told = responses.read(
        responses.entry(study.profile, "dozen", roles.model_id, roles.trained, 1.0, make=False)
    )
    told = told.set_index("sample_id")["response"]
    for row in stored.iloc[[0, 5, 11]].itertuples():
        prompt = study.pairs.set_index("sample_id")["prompt"][row.sample_id]
        before = models.encode_prompt(tokenizer, prompt)
        after = tokenizer(told[row.sample_id], add_special_tokens=False)["input_ids"][:16]
        assert row.probabilities == pytest.approx(by_hand(model, before, after), rel=1e-3)
    assert store.manifest(folder)["samples"] == 12

    # other lengths are other scores; an entry without its manifest is made again, to the same end
    longer = Study(change(study.profile, dpdllm={"length": 8}), study.pairs)
    baseline.run(longer)
    assert jobs == ["score"] * 4
    jobs.clear()
    (folder / "manifest.json").unlink()
    pd.testing.assert_frame_equal(baseline.run(study), others["clean"])
    assert jobs == ["score"]
