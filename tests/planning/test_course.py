"""A study is run part by part; what is done and what is left is read from the store."""

import json

import pytest
from helpers import says

from dsi_core.cli.study import _of_run
from dsi_core.method import study
from dsi_core.planning import course
from dsi_core.planning.machine import machine_of
from dsi_core.runtime import packing, released, store
from dsi_core.settings.profile import load_profile
from dsi_core.settings.schema import Suspect


def test_what_stands_in_the_way_of_the_papers_study():
    table = course.obstacles("paper").set_index("model")
    gated = set(table.index[table["obstacle"] == "gated, as remembered"])
    assert {"google/gemma-7b", "meta-llama/Llama-3.1-8B"} <= gated
    left_out = table[table["obstacle"] == "left out"]
    assert set(left_out.index) >= {"THUDM/glm-10b", "declare-lab/flan-alpaca-xl"}
    assert left_out.loc["declare-lab/flan-alpaca-xl", "what"] == "as flan-alpaca-base"
    assert not gated & set(left_out.index)
    assert course.obstacles("smoke").empty


def test_what_the_papers_study_fetches_is_known_with_its_revision():
    """Its suspects, further references, the baseline's language model and the backbones."""
    models = course.models_of_the_hub("paper")
    assert {name: (models[name] or "")[:4] for name in models if name in FETCHED} == FETCHED


FETCHED = {
    "mistralai/Mistral-7B-v0.1": "27d6",
    "Qwen/Qwen1.5-7B-Chat": "5f4f",
    "openai-community/gpt2": "607a",
    "distilbert-base-uncased": "",
    "roberta-large": "",
    "shadowml/BeagSake-7B": "",
}


def test_who_cannot_be_asked_is_left_out():
    profile = load_profile("paper")
    kept = course._possible(profile)
    assert {s.name for s in profile.suspects} - {s.name for s in kept.suspects} == {
        "local-glm-2b",
        "local-glm-10b",
    }
    assert len(profile.wild["alpaca"].members) - len(kept.wild["alpaca"].members) == 2


def test_an_unknown_victim_is_refused():
    with pytest.raises(ValueError) as error:
        course.parts("smoke", ["nothing"])
    says(error, "--only", "nothing", "dozen")


@pytest.mark.parametrize(
    ("profile", "suite", "wanted", "victims"),
    [
        ("paper", "iid", "dolly", ["dolly_x"]),
        ("paper", None, "dolly", ["dolly"]),
        ("paper", "iid", "dolly_x", ["dolly_x"]),
        ("paper", None, "dol", []),
        ("small", None, "faq", ["faq"]),  # and not faq_swedish, another dataset
    ],
)
def test_a_victim_goes_with_its_halves(profile, suite, wanted, victims):
    settings = load_profile(profile, suite)
    assert [v for v in settings.victims if course._is(settings.data, v, wanted)] == victims


def one_suspect(smoke, victims: list[str]):
    """Smoke with the first references, and one untuned suspect for all victims."""
    return smoke.changed(
        victims=victims,
        references=smoke.references[:1],
        suspects=[Suspect(name="s", member=False, base="llama")],
        recipes={**smoke.recipes, "heart": smoke.recipes["heart"].changed(epochs=1)},
        non_members_from=[],
        controls=[],
        more_references=[],
        reference_sets={},
        wild={},
        suites={},
        dpdllm=None,
        robustness=None,
        imitation=None,
        attribution=None,
        grey_box=None,
    )


def test_a_run_that_is_interrupted_goes_on(smoke, empty_store, monkeypatch):
    """Before: all is left. Stopped after the references: those are done. At the end: nothing."""
    machine = machine_of("cpu-core", counts=True)
    profile = one_suspect(smoke, ["dozen"])
    parts = [course.Part("", study.of(profile))]
    before = course.state(parts, machine)
    assert before["step"].tolist()[:2] == ["tune references", "ask references"]
    assert (before[["done", "released"]] == 0).all(axis=None) and (before["spent_hours"] == 0).all()
    assert before["left_hours"].tolist() == before["planned_hours"].tolist()

    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as stopped:
        stopped.setattr(course.study, "suspect_gaps", stop)
        with pytest.raises(KeyboardInterrupt):
            course.run(parts)
    half = course.state(parts, machine).set_index("step")
    done = half["done"] == half["models"]
    assert done["tune references"] and done["ask references"] and not done["ask suspects"]
    finish = store.finish

    def stop_at_answers(folder, **facts):
        if folder.parent.name == "responses":
            raise KeyboardInterrupt
        return finish(folder, **facts)

    with monkeypatch.context() as stopped:  # behind the last answer, before their manifest
        stopped.setattr(store, "finish", stop_at_answers)
        with pytest.raises(KeyboardInterrupt):
            course.run(parts)
    asked = course.state(parts, machine).set_index("step").loc["ask suspects"]
    assert asked["done"] == 0 and 0 < asked["left_hours"] < asked["planned_hours"]
    verdicts = course.run(parts)
    assert set(verdicts["suite"]) == {""} and verdicts["verdict"].notna().all()
    after = course.state(parts, machine)
    assert not after["released"].any() and "released" not in _of_run("done", after)
    assert (after["done"] == after["models"]).all()
    assert after["left_hours"].sum() == 0 < after["spent_hours"].sum()


@pytest.mark.parametrize(("kept", "all_done"), [("responses", True), ("tuned", False)])
def test_nothing_is_left_of_a_tuning_whose_model_has_answered(
    smoke, empty_store, tmp_path, monkeypatch, kept, all_done
):
    """Without a record of the tuning; released answers bring no weights that a model could use."""
    machine = machine_of("cpu-core", counts=True)
    parts = [course.Part("", study.of(one_suspect(smoke, ["dozen"])))]
    course.run(parts)
    packing.pack("smoke", tmp_path / "answers", whole_store=True)
    manifest = tmp_path / "answers" / "manifest.json"
    release = json.loads(manifest.read_text())
    release["files"] = {f"{kept}.zip": release["files"][f"{kept}.zip"]}
    manifest.write_text(json.dumps(release))
    monkeypatch.setenv("DSI_STORE", str(tmp_path / "another store"))
    monkeypatch.setenv(released.SWITCH, str(manifest.parent))
    table = course.state(parts, machine)
    asked = table["step"].str.startswith("ask")
    assert (table["released"] == table["models"] * asked * all_done).all()
    assert (" released ones" in _of_run("done", table)) == all_done
    assert (table["done"] == table["models"] * all_done).all()
    assert table["left_hours"].tolist() == (table["planned_hours"] * (not all_done)).tolist()


def test_a_victim_without_a_suspect_is_refused_before_any_work(smoke, monkeypatch):
    monkeypatch.setattr(course.study, "reference_scores", None)
    profile = one_suspect(smoke, ["dozen"]).changed(suspects=[], non_members_from=[])
    with pytest.raises(ValueError, match=r"params/smoke\.yaml: no suspect to ask about dozen"):
        course.run([course.Part("", study.of(profile))])


def test_a_suspect_that_two_victims_share_counts_for_each_by_itself(
    smoke, empty_store, monkeypatch
):
    """Its answers lie in one folder: those about the first victim are none about the second."""
    machine = machine_of("cpu-core", counts=True)
    parts = [course.Part("", study.of(one_suspect(smoke, ["dozen", "terse"])))]
    gaps, seen = course.study.suspect_gaps, []

    def stop_at_the_second(one, scores):
        seen.extend(one.profile.victims)
        if len(seen) == 2:
            raise KeyboardInterrupt
        return gaps(one, scores)

    monkeypatch.setattr(course.study, "suspect_gaps", stop_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        course.run(parts)
    table = course.state(parts, machine).set_index(["step", "dataset"])
    asked = table.loc["ask suspects"]
    assert asked["done"].to_dict() == {"dozen": 1, "terse": 0}
    assert asked.loc["dozen", "spent_hours"] > 0 == asked.loc["terse", "spent_hours"]
    assert asked.loc["terse", "left_hours"] == asked.loc["terse", "planned_hours"]
    twice = course.state([*parts, course.Part("again", parts[0].study)], machine)
    assert set(twice["suite"]) == {""}  # the same work is not counted again
