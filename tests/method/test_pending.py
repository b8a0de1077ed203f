"""What is said before work begins: which models, and how long by what is known."""

from dataclasses import replace

import pytest
from helpers import change

from dsi_core.method import pending, rates
from dsi_core.method.pending import Work
from dsi_core.models import tuning
from dsi_core.models.tuning import training
from dsi_core.runtime import store
from dsi_core.settings.schema import Trained

UNTUNED = Trained(base="llama")
TUNED = Trained(base="llama", data=["dozen"], recipe="short")


@pytest.fixture
def models(smoke, empty_store, monkeypatch):
    """An untuned model and one that is tuned in 2 epochs; a product makes 1e9 operations."""
    monkeypatch.setenv("DSI_WORKERS", "2")
    monkeypatch.setattr(pending, "_peak", lambda dtype: 1e9)
    short = change(smoke.recipes["lora"], epochs=2)
    profile = change(smoke, recipes={**smoke.recipes, "short": short})
    return {
        name: training(profile, "dozen", t) for name, t in zip("UT", (UNTUNED, TUNED), strict=True)
    }


def change_seed(model):
    return replace(model, seed=99)


def tokens(model):
    """Of its data: a token for four characters, and 15 for the format of each pair."""
    pairs = tuning.training_pairs(model)
    characters = (pairs["prompt"] + pairs["output"]).str.len().sum()
    return characters / 4 + 15 * len(pairs), pairs["output"].str.len().mean() / 4


def test_nothing_to_do_is_not_worth_a_word(models, capsys):
    pending.announce([])
    assert capsys.readouterr() == ("", "")


def test_without_a_record_no_time_is_made_up(models, capsys):
    pending.announce([Work("U", models["U"], answers=1200), Work("T", models["T"], texts=7)])
    assert capsys.readouterr().err == (
        "neither stored nor released, so made here: tune 1 model (T); draw 1,200 answers from "
        "1 model (U); read 7 texts with 1 model (T): how long is not known "
        f"({models['U'].precision.label()}, 2 workers)\n"
    )


def test_what_was_measured_here_says_how_long(models):
    """20 tokens a second in tuning, 5 in answering."""
    done = {"device": "cpu", "seconds": 10.0, "parameters": 1000}
    known = change_seed(models["T"])
    store.finish(tuning.entry(known), method="lora", tokens=200, **done)
    spec = {"model": known.spec, "model_id": "known"}
    store.finish(store.entry("responses", "known", spec), tokens=50, **done)
    nothing = store.entry("responses", "known", {**spec, "model_id": "nothing"})
    store.finish(nothing, tokens=0, **done)  # is no speed
    in_all, of_answer = tokens(models["T"])
    seconds = 2 * in_all / 20 + 100 * of_answer / 5
    said = pending.sentence([Work("T", models["T"], answers=100)])
    assert f"about {pending._time(seconds)} (" in said and "1 worker)" in said
    base = models["T"].base
    assert f"; making {base.name} ready, the workers' start" in said
    store.finish(store.entry("models", base.name, base.spec))
    assert "ready" not in pending.sentence([Work("T", models["T"], answers=100)])


def test_what_vllm_took_is_no_measure_of_our_own_loop(models):
    known = {"model": models["U"].spec, "model_id": "known", "server": "vllm"}
    done = {"device": "cpu", "seconds": 10.0, "tokens": 600}  # an answer has 60
    store.finish(store.entry("responses", "known", known), **done)
    ours, served = (Work("U", models["U"], answers=100, served=by) for by in (False, True))
    assert "how long is not known" in pending.sentence([ours])
    assert f"about {pending._time(100)} (" in pending.sentence([served])


def test_who_is_not_asked_hides_no_time(models, monkeypatch):
    """On a GPU of which no answering is known, either."""
    monkeypatch.setattr(pending, "_answering_seconds", lambda *_: None)
    facts = {"method": "lora", "tokens": 200, "seconds": 10.0, "device": "cpu", "parameters": 1}
    store.finish(tuning.entry(change_seed(models["T"])), **facts)
    in_all, _ = tokens(models["T"])
    said = pending.sentence([Work("T", models["T"])])
    assert f"tune 1 model (T): about {pending._time(2 * in_all / 20)} (" in said
    assert "how long is not known" in pending.sentence([Work("T", models["T"], answers=1)])


def test_a_model_that_is_tuned_already_is_only_asked(models):
    store.finish(tuning.entry(models["T"]), method="lora", tokens=1, device="cpu", seconds=1.0)
    assert "tune" not in pending.sentence([Work("T", models["T"], answers=1)])


def test_without_a_measurement_the_models_size_and_this_cpu_say_it(models):
    """A record of another machine gives the size: 1e6 parameters, at 45% of 1e9 operations."""
    facts = {"method": "full", "tokens": 1, "seconds": 1.0, "device": "GPU"}
    store.finish(tuning.entry(change_seed(models["T"])), parameters=10**6, **facts)
    seconds = 1e6 * 2 * 60 * 9000 / 0.45e9  # 60 tokens an answer where no data say
    said = pending.sentence([Work("U", models["U"], answers=9000)])
    assert f"about {pending._time(seconds)} (" in said
    in_all, _ = tokens(models["T"])
    assert pending._tuning_seconds(models["T"], rates.rates()) == pytest.approx(
        4e6 * 2 * in_all / 0.45e9
    )


@pytest.mark.parametrize(
    "seconds, said", [(0.2, "1 s"), (89, "89 s"), (300, "5 min"), (5400, "1.5 h")]
)
def test_times_are_said_roughly(seconds, said):
    assert pending._time(seconds) == said
