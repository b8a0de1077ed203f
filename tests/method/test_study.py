"""The study: who is asked what, in which order, and which victims are looked at."""

import pandas as pd
import pytest
from helpers import table

from dsi_core.method import study
from dsi_core.method.study import Query, Study
from dsi_core.models import tuning
from dsi_core.settings.profile import load_profile


def pairs(*ids: str) -> pd.DataFrame:
    return pd.DataFrame({"sample_id": ids, "prompt": [f"what is {i}?" for i in ids]})


@pytest.fixture
def asked(monkeypatch) -> list:
    """The jobs that would have been done."""
    done: list = []
    monkeypatch.setattr(study.jobs, "run", done.extend)
    monkeypatch.setattr(study.load, "prepare_all", lambda bases: None)
    return done


def query(name: str, questions: pd.DataFrame, recipe: str | None = None) -> Query:
    profile = load_profile("smoke")
    member = next(s for s in profile.suspects if s.name == "llama-full")
    untuned = next(s for s in profile.suspects if s.name == "llama-untuned")
    trained = member.changed(recipe=recipe) if recipe else untuned
    sampling = study.Sampling.of(profile.responses, profile.seed)
    return Query(name, name, tuning.training(profile, "dozen", trained), questions, sampling)


def test_a_model_that_two_victims_share_answers_for_both_at_once(asked):
    study.query(
        [query("R", pairs("a", "b")), query("other", pairs("a")), query("R", pairs("b", "c"))]
    )
    names = {job.name: job.args[2]["sample_id"].tolist() for job in asked}
    assert names == {"R": ["a", "b", "c"], "other": ["a"]}


def test_of_models_that_share_a_tuning_one_tunes_and_comes_first(asked):
    queries = [
        query("once", pairs("a"), "heart"),
        query("again", pairs("a", "b"), "heart"),
        query("quick", pairs("a"), "short"),
    ]
    study.query(queries)
    assert [job.name for job in asked] == ["once", "quick", "again"]
    tuned = queries[0].training.passes
    assert [job.cost for job in asked] == [tuned + 3, queries[2].training.passes + 3, 6]


def test_in_depth_keeps_the_pairs_of_its_victims():
    profile = load_profile("smoke").changed(victims=["dozen", "terse"], in_depth=["terse"])
    table = pd.DataFrame({"dataset": ["dozen", "terse", "dozen"], "sample_id": ["a", "b", "c"]})
    some = study.in_depth(Study(profile, table))
    assert some.profile.victims == ["terse"]
    assert some.pairs.to_dict("list") == {"dataset": ["terse"], "sample_id": ["b"]}


def test_no_tainted_sample_is_said_with_the_largest_gap(smoke):
    scores = table(
        "dataset sample_id reference before after",
        ("dozen", "a", "R", 0.1, 0.9),
        ("dozen", "b", "R", 0.1, 0.3),
    )
    strict = Study(smoke.changed(decision=smoke.decision.changed(delta_t=30)), pd.DataFrame())
    with pytest.warns(UserWarning, match="dozen: no sample is tainted at delta_t 30; .* is 0.80"):
        found = study.find_tainted(strict, scores)
    assert found["tainted"].tolist() == [False, False]
    kept = Study(smoke.changed(decision=smoke.decision.changed(delta_t=0.5)), pd.DataFrame())
    assert study.find_tainted(kept, scores)["tainted"].tolist() == [True, False]


def test_what_says_the_same_as_d_is_no_unrelated_text(monkeypatch):
    profile = load_profile("smoke")
    said = profile.data["other"].changed(other_words_of="dozen")
    profile = profile.changed(data={**profile.data, "reworded": said})
    monkeypatch.setattr(study.similarity, "baseline", lambda backbone, victim, others: others)
    others = study.baseline(Study(profile, pd.DataFrame()), "dozen")
    assert {d.name for d in others} == set(profile.data) - {"reworded"}
