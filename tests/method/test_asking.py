"""Who is asked what, and in which order."""

import pandas as pd
import pytest

from dsi_core.method import asking
from dsi_core.method.asking import Query
from dsi_core.models import tuning
from dsi_core.settings.profile import load_profile


def pairs(*ids: str) -> pd.DataFrame:
    return pd.DataFrame({"sample_id": ids, "prompt": [f"what is {i}?" for i in ids]})


@pytest.fixture
def asked(monkeypatch) -> list:
    """The jobs that would have been done."""
    done: list = []
    monkeypatch.setattr(asking.jobs, "run", done.extend)
    monkeypatch.setattr(asking.load, "prepare_all", lambda bases: None)
    return done


def query(name: str, questions: pd.DataFrame, recipe: str | None = None) -> Query:
    profile = load_profile("smoke")
    member = next(s for s in profile.suspects if s.name == "llama-full")
    untuned = next(s for s in profile.suspects if s.name == "llama-untuned")
    trained = member.changed(recipe=recipe) if recipe else untuned
    sampling = asking.Sampling.of(profile.responses, profile.seed)
    return Query(name, name, tuning.training(profile, "dozen", trained), questions, sampling)


def test_a_model_that_two_victims_share_answers_for_both_at_once(asked):
    asking.query(
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
    asking.query(queries)
    assert [job.name for job in asked] == ["once", "quick", "again"]
    tuned = queries[0].training.passes
    assert [job.cost for job in asked] == [tuned + 3, queries[2].training.passes + 3, 6]


def test_nobody_to_ask_is_said():
    with pytest.raises(ValueError, match="no model to ask"):
        asking.answers([], pd.DataFrame(columns=["dataset", "sample_id", "prompt"]), None)
