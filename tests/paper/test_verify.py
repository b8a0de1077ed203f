"""Released answers, verified: what is made anew is compared, and what moved is said."""

import pandas as pd
import pytest
from helpers import says, table
from typer.testing import CliRunner

from dsi_core.cli import app
from dsi_core.method import asking, participants, study
from dsi_core.models import responses
from dsi_core.paper import verified, verify
from dsi_core.runtime import packing, released, store


@pytest.fixture(scope="module")
def answers(ran, tmp_path_factory):
    """What notebook 02 left on smoke, released."""
    ran("02")
    place = tmp_path_factory.mktemp("verify") / "answers"
    packing.pack("smoke", place, whole_store=True)
    return place


@pytest.fixture
def elsewhere(answers, tmp_path, monkeypatch):
    monkeypatch.setenv("DSI_STORE", str(tmp_path / "store"))
    monkeypatch.setenv(released.SWITCH, str(answers))


def test_the_same_machine_makes_the_same_models(elsewhere):
    found = verify.verify("smoke", models=2)
    assert len(found.models) == 2 and found.models["model"].str.startswith("R").tolist() == [1, 0]
    assert (found.models["loss_here"] == found.models["loss_released"]).all()
    assert found.models["identical"].tolist() == [1, 1]
    assert found.models["similarity"].tolist() == pytest.approx([1, 1], abs=1e-5)
    assert found.models["evidence_moved"].iloc[1] == pytest.approx(0, abs=1e-5)
    assert found.changed.empty and "None of the" in found.sentence
    apart = store.root() / "verify"
    assert len(list(apart.glob("here/tuned/*/manifest.json"))) == 2
    assert not (store.root() / "tuned").exists() and not (store.root() / "responses").exists()


def test_what_the_store_has_is_compared_and_nothing_is_made(answers, monkeypatch):
    monkeypatch.setenv(released.SWITCH, str(answers))
    monkeypatch.setattr(asking, "query", lambda asked: None)
    found = verify.verify_stored("smoke")
    assert (found.models[["identical", "similarity"]] == 1).all(axis=None) and found.changed.empty
    assert found.models["loss_here"].equals(found.models["loss_released"])
    references = found.models[found.models["verdict_here"] == ""].set_index("model")
    assert (references["oracle_here"] == references["oracle_released"]).all()
    assert references["oracle_here"]["R^t mistral"] > references["oracle_here"]["R mistral"]
    assert found.sentence.startswith(f"{len(found.models)} models that answered about dozen were")


def test_what_a_reference_has_not_is_a_dash(monkeypatch):
    models = pd.DataFrame({"model": ["R^t G"], "evidence_moved": [float("nan")], "verdict": [""]})
    found = verified.Verified(models, pd.DataFrame(), "Said.")
    monkeypatch.setattr(verify, "verify", lambda profile, models, seed: found)
    done = CliRunner().invoke(app, ["verify", "--profile", "smoke"])
    assert done.stdout.splitlines()[1].split() == ["R^t", "G", "-", "-"]


def test_how_many_to_tune_is_not_asked_where_nothing_is():
    words = ["verify", "--stored", "--models", "5", "--seed", "1"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 2
    assert "--models, --seed goes without --stored" in done.stderr


def test_a_seed_below_nought_is_named():
    """It was "expected non-negative integer", without a name and a value."""
    done = CliRunner().invoke(app, ["verify", "--seed", "-1"])
    assert done.exit_code == 2 and "--seed" in done.stderr


def test_a_store_without_the_study_has_nothing_to_compare(elsewhere):
    with pytest.raises(ValueError) as error:
        verify.verify_stored("smoke")
    says(error, "no answers of a model of profile 'smoke'", "make reproduce", "dsi verify")


def test_a_release_that_lacks_answers_is_refused(elsewhere, monkeypatch):
    start = verify.study.start
    monkeypatch.setattr(verify.study, "start", lambda name: start(name, seed=5))
    with pytest.raises(ValueError) as error:
        verify.verify("smoke")
    says(error, "released answers of profile 'smoke' lack R mistral", "dsi release")


def test_a_release_of_tainted_answers_alone_is_whole(elsewhere, monkeypatch):
    """Suspects owe no more answers than they were asked for."""
    run = study.start("smoke", ask="tainted")
    asked = study.asked(run, study.reference_scores(run))
    assert 0 < len(asked) < len(run.pairs)
    read = responses.read

    def released_alone(*folders, columns=responses.COLUMNS):
        table = read(*folders, columns=columns)
        is_reference = folders[0].name.startswith("R")
        return table if is_reference else table[table["sample_id"].isin(asked["sample_id"])]

    monkeypatch.setattr(responses, "read", released_alone)
    everyone = participants.participants(run.profile)
    verify._check(run, everyone, verify._asked(run))
    with pytest.raises(ValueError, match="lack"):
        verify._check(run, everyone, run.pairs)


def test_a_store_that_was_moved_is_verified_in_its_new_place(empty_store, tmp_path, monkeypatch):
    inside = store.make_root() / verify.PLACE / "here"
    inside.mkdir(parents=True)
    (inside / "wheels").symlink_to(tmp_path / "gone" / "wheels")  # absolute, as they once were
    for name in ("one", "two"):
        with verify._apart("here", released.OFF):
            assert (store.root() / "wheels").samefile(store.root() / "../../wheels")
        store.root().rename(tmp_path / name)
        monkeypatch.setenv("DSI_STORE", str(tmp_path / name))
    links = [tmp_path / "two" / verify.PLACE / "here" / name for name in verify.SHARED]
    assert all(link.is_symlink() and link.exists() for link in links)


def test_no_release_is_said_before_anything_is_read(monkeypatch):
    monkeypatch.setenv(released.SWITCH, released.OFF)
    with pytest.raises(ValueError, match="no released answers of profile 'smoke'"):
        verify.verify("smoke")


def test_own_answers_take_the_place_of_the_released_ones():
    known = table("suspect sample_id draw response", ("M", "a", 0, "x"), ("N", "a", 0, "y"))
    own = table("model_id sample_id draw response", ("M", "a", 0, ""))
    assert verify._replaced(known, own, "suspect")["response"].tolist() == ["", "y"]


def test_a_suite_is_compared_by_the_references_of_the_study():
    def part(suspect: str, verdict: str) -> verify._Compared:
        numbers = dict.fromkeys(["answers", "identical", "similarity", "evidence_moved"], 1.0)
        losses = {"loss_released": 0.1, "loss_here": 0.1}
        models = pd.DataFrame({"dataset": "faq", "model": ["R^t G", suspect], **numbers, **losses})
        columns = "dataset suspect verdict_released verdict_here"
        changed = table(columns, ("faq", suspect, "non-member", verdict)).query(
            "verdict_released != verdict_here"
        )
        return verify._Compared("faq", models, changed, 1, (46, 45), ({"GPU"}, {"CPU"}))

    found = verify._together([part("M", "non-member"), part("M-iid", "member")], "all")
    assert found.models["model"].tolist() == ["R^t G", "M", "M-iid"]
    assert found.changed["suspect"].tolist() == ["M-iid"]
    assert found.sentence.startswith("all were tuned and asked here (CPU)")
    assert "45 samples instead of 46. Of 2 verdicts 1 changed: M-iid" in found.sentence


def test_the_sentence_says_what_moved():
    models = pd.DataFrame(
        {
            "dataset": "faq",
            "model": ["R^t G", "M"],
            "loss_released": [0.1, 0.2],
            "loss_here": [0.15, 0.1],
            "answers": [1, 3],
            "identical": [1.0, 1 / 3],
            "similarity": [1.0, 0.8],
            "evidence_moved": [float("nan"), 0.25],
        }
    )
    changed = table(
        "dataset suspect verdict_released verdict_here", ("faq", "M", "member", "non-member")
    )
    here, there = "cpu fp32, here", "cuda bf16, GPU"
    assert verified.sentence("R^t G, M of faq", models, 7, changed, (46, 45), here, there) == (
        "R^t G, M of faq were tuned and asked here (cpu fp32, here) beside the released answers "
        "(cuda bf16, GPU). Final losses moved by 0.100 nats per token at most; evidence of a "
        "sample by 0.250 on average; of 4 answers 50% are the released ones word for word, and "
        "their mean similarity to these is 0.850 (1 = the same). Tainted are 45 samples instead "
        "of 46. Of 7 verdicts 1 changed: M of faq (released: member, here: non-member)."
    )
    alone = verified.sentence("R^t G of faq", models[:1], 7, changed, (46, 45), here, there)
    assert alone.startswith("R^t G of faq was tuned and asked here (cpu fp32, here)")
    untuned = models.assign(loss_here=float("nan"), loss_released=float("nan"))
    said = verified.sentence("U", untuned, 7, changed, (46, 45), here, there)
    assert said.startswith("U were asked here (cpu fp32, here)")
    assert "GPU). No model was tuned; evidence of a sample by" in said
