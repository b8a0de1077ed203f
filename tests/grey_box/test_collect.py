"""What grey-box methods read and ask."""

import pandas as pd
import pytest

from dsi_core.grey_box import attacks, collect, compared
from dsi_core.method import asking
from dsi_core.models import responses
from dsi_core.settings.schema import Endpoint, Model, Suspect


def test_versions_of_the_texts(run):
    samples, grey_box = compared.samples(run), compared.settings(run.profile)
    texts = collect.texts(samples, grey_box, run.profile.seed)
    assert texts[["variant", "number"]].value_counts().to_dict() == {
        ("original", 0): 24,
        ("lowercase", 0): 8,
        ("neighbour", 1): 8,
        ("neighbour", 2): 8,
        ("recall", 0): 8,
    }
    assert not set(texts["sample_id"]) & set(samples.query("part == 'prefix'")["sample_id"])
    assert texts.groupby("sample_id", sort=False)["variant"].first().eq("original").all()
    one = texts.loc[texts["variant"] == "recall", "sample_id"].iloc[0]
    versions = texts[texts["sample_id"] == one].set_index(["variant", "number"])["answer"]
    original = versions["original", 0]
    assert original == samples.set_index("sample_id").loc[one, "output"]
    assert versions["recall", 0] == original
    assert versions["lowercase", 0] == original.lower()
    assert versions["neighbour", 1] == attacks.neighbour(original, 0.1, 0, one, 1) != original


def test_untuned_bases_are_the_references_and_the_suspects_own(run):
    own = ["llama", "qwen2", "mistral", "gemma", "glm"]
    assert collect.untuned(run.profile, "dozen") == own
    gemma = run.changed(grey_box={"references": ["gemma"]}, suspects=run.profile.suspects[:1])
    assert collect.untuned(gemma.profile, "dozen") == ["gemma", "llama"]
    read = collect.readings(gemma.profile, "dozen", compared.samples(gemma))
    assert [(r.model, r.is_reference) for r in read] == [
        ("llama-full", False),
        ("reference gemma", True),
        ("reference llama", True),
        ("llama-full", False),
    ]
    assert [len(r.prefix) for r in read] == [0, 0, 0, 2]


def test_a_model_reads_all_its_texts_in_one_job(run, empty_store, monkeypatch, capsys):
    """Else two workers would want the same model, and one wait until the other has tuned it."""
    gemma = run.changed(grey_box={"references": ["gemma"]}, suspects=run.profile.suspects[:1])
    put = []
    monkeypatch.setattr(collect.load, "prepare_all", lambda bases: None)
    monkeypatch.setattr(collect.jobs, "run", lambda work: put.extend(work) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        collect.token_values([gemma])
    assert "read 104 texts with 3 models (llama-full (dozen), reference" in capsys.readouterr().err
    (full, given), *others = [job.args for job in put]
    assert full.recipe_name == "heart"
    assert [(len(texts), len(prefix)) for texts, prefix in given] == [(24, 0), (32, 2)]
    assert [(t.recipe, len(given)) for t, given in others] == [(None, 1), (None, 1)]
    assert [job.cost for job in put] == [56 + full.passes, 24, 24]


def test_a_model_behind_an_endpoint_shows_no_probabilities(run):
    far = Model(endpoint=Endpoint(base_url="http://localhost:1", model="m"))
    suspect = Suspect(name="far-away", member=False, base="far")
    models = {**run.profile.models, "far": far}
    with pytest.raises(ValueError, match="far-away: behind an endpoint"):
        collect.token_values([run.changed(models=models, suspects=[suspect])])


@pytest.fixture
def asked(empty_store, monkeypatch):
    """The queries that were put to somebody; each is answered by who, draw and temperature."""
    put = []

    def answer(queries):
        for query in queries:
            if not query.missing:
                continue
            put.append(query)
            temperature = query.sampling.temperature
            rows = [
                {"sample_id": i, "draw": d, "response": f"{query.model_id} {d} {temperature:g}"}
                for i in query.questions["sample_id"]
                for d in range(query.sampling.draws)
            ]
            folder = responses.entry(query.model_id, query.training, query.sampling)
            with responses.appending(folder) as write:
                write(rows)

    monkeypatch.setattr(asking, "query", answer)
    return put


def test_every_chosen_sample_is_asked_once(run, asked):
    two = run.changed(suspects=run.profile.suspects[:2])
    answers = collect.answers([two])
    # Two suspects, sampled and greedy
    assert len(asked) == len({query.title for query in asked}) == 4
    assert len(answers) == 2 * 8 * (3 + 1)
    assert answers.groupby(["suspect", "part", "greedy", "draw"]).size().eq(4).all()
    expected = [
        f"{row.suspect} {row.draw} {0 if row.greedy else 1}" for row in answers.itertuples()
    ]
    assert answers["response"].tolist() == expected
    chosen = compared.samples(two).query("asked and part != 'prefix'").set_index("sample_id")
    assert (answers["output"] == chosen.loc[answers["sample_id"], "output"].to_numpy()).all()
    pd.testing.assert_frame_equal(collect.answers([two]), answers)
    assert len(asked) == 4  # nothing is asked twice


def test_at_temperature_0_there_are_greedy_answers_only(run, asked):
    one = run.changed(suspects=run.profile.suspects[:1], responses={"temperature": 0.0})
    answers = collect.answers([one])
    assert len(asked) == 1
    assert answers[["greedy", "draw"]].drop_duplicates().to_numpy().tolist() == [[True, 0]]
