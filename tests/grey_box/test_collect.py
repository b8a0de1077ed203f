"""Who is compared by grey-box methods, what is read and asked, and which number goes where."""

import pandas as pd
import pytest
from helpers import says

from dsi_core.data.pairs import Dataset, dataset, load_pairs, untouched
from dsi_core.grey_box import attacks, collect
from dsi_core.method import asking, study
from dsi_core.models import responses
from dsi_core.settings.schema import Endpoint, Model, Suspect

# Who is compared


def test_samples_are_apart_from_everything(run):
    samples = collect.samples(run)
    assert samples.groupby("part").size().to_dict() == {"D": 12, "validation": 12, "prefix": 2}
    assert not samples["sample_id"].duplicated().any()
    chosen = samples.groupby("part")[["compared", "asked"]].sum().loc[["D", "validation"]]
    assert chosen.to_numpy().tolist() == [[4, 4], [4, 4]]
    assert set(samples.query("part == 'D'")["sample_id"]) == set(run.pairs["sample_id"])
    pd.testing.assert_frame_equal(collect.samples(study.start("smoke", suite="iid")), samples)
    prefix = set(samples.query("part == 'prefix'")["sample_id"])
    other = collect.samples(study.start("smoke", seed=1))
    assert set(other.query("part == 'prefix'")["sample_id"]) != prefix
    few = run.changed(grey_box={"samples": 5})
    assert (collect.samples(few)["part"] == "D").sum() == 5


def test_validation_pairs_are_those_that_no_dataset_holds(smoke):
    half = smoke.data["dozen"].changed(rows=5)
    rest = half.changed(rows=4, apart_from="dozen")
    data = {"dozen": half, "rest": rest, "other": smoke.data["other"]}
    profile = smoke.changed(data={**smoke.data, **data})
    others = [dataset(profile, name) for name in data]

    def left(rows, others=others):
        return untouched(Dataset("v", half.changed(rows=rows), profile.seed), others)

    held = {
        i for name in ("dozen", "rest") for i in load_pairs(dataset(profile, name))["sample_id"]
    }
    assert len(held) == 9
    assert len(left(None)) == 3
    assert not held & set(left(None)["sample_id"])
    assert len(left(2)) == 2
    with pytest.raises(ValueError, match="rows is 4, but only 3"):
        left(4)
    with pytest.raises(ValueError, match="no pair left for v: the profile's datasets hold all 12"):
        left(5, [dataset(smoke, "dozen")])


def test_what_does_not_fit_is_refused(run):
    def refused(*parts, **changes):
        with pytest.raises(ValueError) as error:
            collect.samples(run.changed(**changes))
        says(error, *parts)

    refused("'smoke'", "no section grey_box", grey_box=None)
    refused("none of the victims dozen", grey_box={"validation": {}})
    refused("validation of 'dozen' has 14 pairs", "13 go to the prefix", grey_box={"shots": 13})


def test_the_two_sets_are_shown_to_be_alike(run):
    row = collect.sets(run).iloc[0]
    counts = ["samples", "validation", "prefix", "compared", "asked", "near_duplicates"]
    assert row[counts].tolist() == [12, 12, 2, 4, 4, 0]
    assert row["low"] < row["blind_auc"] < row["high"]


# What is read and asked


def test_versions_of_the_texts(run):
    samples, grey_box = collect.samples(run), collect.settings(run.profile)
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
    read = collect.readings(gemma.profile, "dozen", collect.samples(gemma))
    assert [(r.model, r.is_reference) for r in read] == [
        ("llama-full", False),
        ("reference gemma", True),
        ("reference llama", True),
        ("llama-full", False),
    ]


def test_a_suspect_is_compared_with_its_own_base(run, values_of, responses_of):
    values = values_of(
        {
            "llama-full": lambda part, version, i: -1.0,
            "reference llama": lambda part, version, i: -1.5,
            "reference qwen2": lambda part, version, i: -0.5,
        }
    )
    scores = collect.scores([run], values, responses_of(["llama-full"]))
    assert set(scores["attack"]) >= {"reference llama", "wbc"}
    assert "reference qwen2" not in set(scores["attack"])  # the base of another suspect
    assert (scores.loc[scores["attack"] == "wbc", "score"] == 1).all()


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
    chosen = collect.samples(two).query("asked and part != 'prefix'").set_index("sample_id")
    assert (answers["output"] == chosen.loc[answers["sample_id"], "output"].to_numpy()).all()
    pd.testing.assert_frame_equal(collect.answers([two]), answers)
    assert len(asked) == 4  # nothing is asked twice


def test_at_temperature_0_there_are_greedy_answers_only(run, asked):
    one = run.changed(suspects=run.profile.suspects[:1], responses={"temperature": 0.0})
    answers = collect.answers([one])
    assert len(asked) == 1
    assert answers[["greedy", "draw"]].drop_duplicates().to_numpy().tolist() == [[True, 0]]


# Which number goes where


def test_every_attack_gets_its_own_numbers(run, values_of, responses_of):
    means = {
        "original": -1.0,
        "lowercase": -3.0,
        "neighbour 1": -2.0,
        "neighbour 2": -4.0,
        "recall": -0.5,
    }
    values = values_of(
        {
            "llama-full": lambda part, version, i: means[version] - 0.1 * i,
            "reference llama": lambda part, version, i: -1.75 - 0.1 * i,
        }
    )
    scores = collect.scores([run], values, responses_of(["llama-full"]))
    assert set(scores["member"]) == {True}
    assert set(scores["suspect"]) == {"llama-full"}
    kinds = scores.drop_duplicates("attack").set_index("attack")["kind"]
    assert kinds["reference llama"] == "reference"
    assert (kinds.drop("reference llama") == kinds.drop("reference llama").index).all()
    at = scores.query("sample_id == 'D1'").set_index(["view", "attack"])["score"]
    own = -1.1
    answer_bytes, text_bytes = 21, 27  # of "The ferryman." by zlib, and with "Who?\n\n" before it
    assert at["answer"].to_dict() == pytest.approx(
        {
            "loss": own,
            "zlib": own / answer_bytes,
            "min_k": own - 0.3,
            "min_k_plus_plus": (own - 0.3 + 2) / 0.5,
            "reference llama": 0.75,
            "lowercase": 3.1 / 1.1,
            "neighbours": own + (2.1 + 4.1) / 2,
            "recall": 0.6 / 1.1,
            "wbc": 1.0,  # each token is likelier by 0.75
            "ez_mia": 1.0,  # none is below its place's mean, -2
        }
    )
    text = (own * 3 - 9) / 4  # the prompt's one scored token, too
    assert at["text"].to_dict() == pytest.approx(
        {
            "loss": text,
            "zlib": text / text_bytes,
            "min_k": -9,
            "min_k_plus_plus": -14,
            "reference llama": 0.75 * 3 / 4,
            "recall": ((-0.6 * 3 - 18) / 5) / text,
            "wbc": 1.0,
            "ez_mia": 0.5,  # the prompt's token is, and did not move
        }
    )
    assert at["sampled"].to_dict() == {"samia": 1.0, "cdd": 1.0}
    other = scores.query("sample_id == 'validation1' and view == 'sampled'")
    assert other.set_index("attack")["score"].to_dict() == {"samia": 0.0, "cdd": 0.0}
