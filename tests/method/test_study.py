"""The study: which victims are looked at, and what its steps give."""

import json

import numpy as np
import pandas as pd
import pytest
from helpers import table

from dsi_core.method import study
from dsi_core.method.study import Study
from dsi_core.settings.profile import load_profile


def test_in_depth_keeps_the_pairs_of_its_victims():
    profile = load_profile("smoke").changed(victims=["dozen", "terse"], in_depth=["terse"])
    table = pd.DataFrame({"dataset": ["dozen", "terse", "dozen"], "sample_id": ["a", "b", "c"]})
    some = study.in_depth(Study(profile, table))
    assert some.profile.victims == ["terse"]
    assert some.pairs.to_dict("list") == {"dataset": ["terse"], "sample_id": ["b"]}


def test_the_study_of_a_profile_has_the_pairs_of_its_victims():
    profile = load_profile("smoke").changed(victims=["terse", "dozen"])
    run = study.of(profile)
    assert run.profile == profile
    assert run.pairs["dataset"].drop_duplicates().tolist() == ["terse", "dozen"]
    assert run.pairs.query("dataset == 'dozen'")["sample_id"].nunique() == 12


def test_no_tainted_sample_is_said_with_the_largest_gap(smoke):
    scores = table(
        "dataset sample_id reference before after",
        ("dozen", "a", "R", 0.1, 0.9),
        ("dozen", "b", "R", 0.1, 0.3),
    )
    strict = Study(smoke.changed(decision=smoke.decision.changed(delta_t=1)), pd.DataFrame())
    with pytest.warns(UserWarning, match="dozen: no sample is tainted at delta_t 1; .* is 0.80"):
        found = study.find_tainted(strict, scores)
    assert found["tainted"].tolist() == [False, False]
    kept = Study(smoke.changed(decision=smoke.decision.changed(delta_t=0.5)), pd.DataFrame())
    assert study.find_tainted(kept, scores)["tainted"].tolist() == [True, False]


def test_references_that_gave_no_text_are_named(smoke):
    scores = table(
        "dataset sample_id reference before after response_before response_after",
        ("dozen", "a", "R", 0.1, 0.9, "x", "y"),
        ("dozen", "b", "R", -1.0, 0.9, "", "y"),
    )
    run = Study(smoke.changed(decision=smoke.decision.changed(delta_t=0.5)), pd.DataFrame())
    with pytest.warns(
        UserWarning, match=r"dozen: reference R gave no text to 1 .* sample b; these"
    ):
        found = study.find_tainted(run, scores)
    assert found["tainted"].tolist() == [True, False]


def test_rows_made_of_one_share_its_texts(smoke, monkeypatch):
    """Of two references and two draws: rows point to the texts, none has a copy of its own."""
    monkeypatch.setattr(study.similarity, "raw_scores", lambda _, pairs: np.zeros(len(pairs)))
    pairs = table("dataset sample_id prompt output category", ("dozen", "x", "why", "because", "c"))
    run = Study(smoke.changed(similarity={"rescale": False}), pairs)
    said = table(
        "dataset sample_id reference role response",
        *[("dozen", "x", r, role, f"{r} {role}") for r in ("one", "two") for role in ("R", "R^t")],
    )
    scores = study.scores_of(run, said)
    assert scores["reference"].tolist() == ["one", "two"]
    assert scores["response_after"].tolist() == ["one R^t", "two R^t"]
    answers = table(
        "dataset suspect sample_id draw response",
        *[("dozen", "s", "x", i, f"m{i}") for i in (0, 1)],
    )
    gaps = study.gaps_to(run, scores, answers)
    assert gaps["response"].tolist() == ["m0", "m0", "m1", "m1"]
    for texts in (scores["prompt"], scores["output"], gaps["response"].head(2)):
        assert texts.iloc[0] is texts.iloc[1]


def test_a_study_is_shown_in_a_line(smoke):
    pairs = table("dataset sample_id", ("dozen", "a"), ("dozen", "b"))
    assert repr(Study(smoke, pairs)) == "Study(profile smoke, 2 pairs of dozen)"


def test_where_nobody_was_asked_nothing_has_a_gap(smoke, monkeypatch):
    """As at a threshold at which no sample is tainted, where tainted ones alone are asked."""
    monkeypatch.setattr(study.similarity, "raw_scores", lambda _, pairs: np.zeros(len(pairs)))
    scores = table(
        "dataset sample_id reference response_before response_after",
        ("dozen", "x", "one", "a", "b"),
    )
    nothing = table("dataset suspect sample_id draw response", ("dozen", "s", "x", 0, "m")).head(0)
    assert smoke.similarity.rescale
    gaps = study.gaps_to(Study(smoke, pd.DataFrame()), scores, nothing)
    assert gaps.empty and gaps["gap"].dtype == float


def test_what_says_the_same_as_d_is_no_unrelated_text(monkeypatch):
    profile = load_profile("smoke")
    said = profile.data["other"].changed(other_words_of="dozen")
    profile = profile.changed(data={**profile.data, "reworded": said})
    monkeypatch.setattr(study.rescaling, "baseline", lambda backbone, victim, others: others)
    others = study.baseline(Study(profile, pd.DataFrame()), "dozen")
    assert {d.name for d in others} == set(profile.data) - {"reworded"}


@pytest.mark.parametrize("ask, wanted", [("tainted", ["a", "c"]), ("all", ["a", "b", "c"])])
def test_suspects_are_asked_what_the_profile_says(smoke, monkeypatch, ask, wanted):
    asked = []

    def answers(models, pairs, sampling):
        asked.append(pairs["sample_id"].tolist())
        return table("dataset model_id role sample_id draw response")

    monkeypatch.setattr(study.asking, "answers", answers)
    changed = smoke.changed(responses={"ask": ask}, decision={"delta_t": 0.5})
    pairs = pd.DataFrame({"dataset": "dozen", "sample_id": ["a", "b", "c"]})
    scores = table(
        "dataset sample_id reference before after",
        ("dozen", "c", "R", 0.0, 0.9),
        ("dozen", "b", "R", 0.0, 0.1),
        ("dozen", "a", "R", 0.0, 0.6),
    )
    study.suspect_answers(Study(changed, pairs), scores)
    assert asked == [wanted]


def test_a_layer_that_the_encoder_lacks_is_refused_before_anything_is_tuned(
    smoke, monkeypatch, tmp_path, empty_store
):
    """Its own file says how many it has."""
    config = {"model_type": "bert", "num_hidden_layers": 6}
    (tmp_path / "config.json").write_text(json.dumps(config))
    monkeypatch.setattr(study.asking, "answers", lambda *_: pytest.fail("models were asked"))
    for how in ({"path": str(tmp_path)}, {"package": {"encoder==1.0": "0" * 64}, "member": "*"}):
        monkeypatch.setattr(
            study.similarity.wheels, "unpack", lambda *_: [tmp_path / "config.json"]
        )
        (tmp_path / "vocab.txt").touch()
        run = Study(smoke.changed(similarity={"toy": None, "layer": 7, **how}), pd.DataFrame())
        with pytest.raises(ValueError, match=r"similarity.layer: 7; .* has 1 to 6"):
            study.reference_answers(run)


def test_outputs_that_a_suspect_s_recipe_cuts_are_refused_before_references_are_tuned(
    smoke, monkeypatch, empty_store
):
    """Where `drop` names too-long, which a study leaves to the recipe."""
    monkeypatch.setattr(study.asking, "answers", lambda *_: pytest.fail("models were asked"))
    whole = smoke.data["dozen"].changed(drop=["too-long"])
    short = smoke.recipes["lora"].changed(max_tokens=40)
    profile = smoke.changed(
        data={**smoke.data, "dozen": whole}, recipes={**smoke.recipes, "lora": short}
    )
    with pytest.raises(ValueError, match=r"are cut at max_tokens \(40\) of the recipe 'lora'"):
        study.reference_answers(Study(profile, pd.DataFrame()))


def test_the_gap_of_a_reference_is_what_tuning_brought_it_closer(smoke, monkeypatch):
    """As if an answer were the closer the longer it is."""
    monkeypatch.setattr(
        study.similarity, "raw_scores", lambda _, texts: texts["a"].map(len).to_numpy()
    )
    pairs = table("dataset sample_id prompt output category", ("dozen", "x", "why", "because", "c"))
    said = table(
        "dataset sample_id reference role response",
        ("dozen", "x", "closer", "R", "no"),
        ("dozen", "x", "closer", "R^t", "because"),
        ("dozen", "x", "farther", "R", "becau"),
        ("dozen", "x", "farther", "R^t", "a"),
    )
    scores = study.scores_of(Study(smoke.changed(similarity={"rescale": False}), pairs), said)
    told = scores.set_index("reference")[["before", "after", "gap"]]
    assert told.loc["closer"].tolist() == [2, 7, 5]
    assert told.loc["farther"].tolist() == [5, 1, -4]
