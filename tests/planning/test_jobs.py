"""Every job's numbers by hand, on a made-up profile with round assumptions."""

import pandas as pd
import pytest
from helpers import change, says
from planned import ROUND, numbers, row, with_suspects

from dsi_core.models import means
from dsi_core.planning import assumptions, plan
from dsi_core.runtime import store
from dsi_core.settings.schema import Data, Endpoint, Model, Wild

HUB = {"prompt": ["question"], "output": "answer", "hub": "owner/known"}  # 1,000 pairs


def test_tuning_by_hand(tiny):
    """4 pairs x 35 tokens x 3 epochs; (4 + 2) x 8e9 FLOP a token at 5e11 FLOP a second.

    16 GB of weights, 0.08e9 adapter weights x 16 bytes, 2 x 35 tokens x (0.1 x 8^(2/3) + 1) MB.
    """
    tune = row(plan.jobs(tiny, "round"), step="tune")
    memory = 1 + 16 + 1.28 + 0.098
    assert numbers(tune) == {"pairs": 4, "tokens": 420, "seconds": 40.32, "memory": memory}
    assert (tune["phase"], tune["disk_gb"]) == ("offline", pytest.approx(0.32))


def test_answers_by_hand(tiny):
    """One batch of 4, 48 steps of 16 GB at 50 GB/s, then prompts of 15 tokens at 2 x 8e9 / 5e11 s.

    Memory: 4 x (35 + 48) tokens of 1 MB, as no prompt is longer than the longest pair,
    and 0.2 MB for each token that is read. Half of D is tainted: a suspect's 2 prompts x 3 draws
    are two batches; a prompt is read once. A token reads 1 MB for each before it: of the
    mean answer of 20 tokens (untuned: 30) 15 + 10 (15 + 15), at 50 GB/s.
    """
    jobs = plan.jobs(tiny, "round")
    expected = {"pairs": 4, "memory": 1 + 16 + 0.36}
    steps = 48 * 0.32 + 4 * 15 * 0.032
    tuned, untuned = (row(jobs, step="answer", model_id=m) for m in ("R^t one", "R one"))
    assert numbers(tuned) == {**expected, "tokens": 80, "seconds": steps + 80 * 25 * 2e-5}
    assert numbers(untuned) == {**expected, "tokens": 120, "seconds": steps + 120 * 30 * 2e-5}
    suspect = row(jobs, step="answer", model_id="s")
    seconds = round(96 * 0.32 + 2 * 15 * 0.032 + 180 * 30 * 2e-5, 6)
    assert numbers(suspect) == {**expected, "pairs": 2, "tokens": 180, "seconds": seconds}


def test_similarity_by_hand(tiny):
    """80 oracle tokens + 120 + 80 of the references; 180 of the suspect + half of 200.

    2 x 0.5e9 FLOP a token.
    """
    jobs = plan.jobs(tiny, "round")
    expected = {"tokens": 280, "seconds": 0.56, "memory": 3}
    offline, online = (row(jobs, step="similarity", phase=p) for p in ("offline", "online"))
    assert numbers(offline) == {**expected, "pairs": 8}
    assert numbers(online) == {**expected, "pairs": 12}


def test_methods_by_hand(tiny):
    methods = ({"name": r, "data": ["victim"], "recipe": r} for r in ("full", "qlora"))
    jobs = plan.jobs(with_suspects(tiny, *methods), "round")
    full, qlora = (row(jobs, step="tune", model_id=m) for m in ("full", "qlora"))
    assert numbers(full)["seconds"] == round(420 * 8 * 8 / 500, 6)
    assert numbers(full)["memory"] == 1 + 8 * 16 + 0.098
    assert (full["phase"], full["fits"], full["disk_gb"]) == ("set-up", False, 16)
    assert numbers(qlora)["memory"] == 1 + 4 + 1.28 + 0.098
    assert qlora["fits"]
    # NF4: 40 GB a step at 50 GB/s, in two batches of 48 steps; 120 tokens after 25
    answer = row(jobs, step="answer", model_id="qlora")
    assert numbers(answer)["seconds"] == round(96 * 0.8 + 2 * 15 * 0.032 + 120 * 25 * 2e-5, 6)


def test_the_host_by_hand(tiny, monkeypatch):
    """4 pairs by 2 in 3 epochs are 6 steps of tuning; 48 of answering; 16 GB of a file to load."""
    slow = ROUND.cards["round"].changed(tuning_step_ms=10_000, step_ms=1000, load_s_per_gb=2)
    known = ROUND.model_copy(update={"cards": {"round": slow}})
    monkeypatch.setattr(assumptions, "read", lambda: known)
    jobs = plan.jobs(tiny, "round")
    assert numbers(row(jobs, step="tune"))["seconds"] == 60 + 32
    answer = row(jobs, step="answer", model_id="R one")
    assert numbers(answer)["seconds"] == 48 + 4 * 15 * 0.032 + 32


def test_a_card_without_checkpointing_by_hand(tiny):
    """No recomputation, one pair at once, all activations kept."""
    profile = with_suspects(tiny, {"name": "full", "data": ["victim"], "recipe": "full"})
    bare = row(plan.jobs(profile, "bare"), step="tune", model_id="full")
    memory = 129 + 35 * (2 * 4 + 1) / 1000
    assert numbers(bare) == {"pairs": 4, "tokens": 420, "seconds": 40.32, "memory": memory}


def test_many_steps_are_compiled_by_hand(tiny, monkeypatch):
    """6 steps: 420 tokens x 4 x 8e9 FLOP at 5e11 a second, or at 1e12 after 7 seconds."""
    compiles = ROUND.cards["bare"].changed(compiled_fraction=1, compile_s=7)
    known = ROUND.model_copy(update={"cards": {"bare": compiles}})
    monkeypatch.setattr(assumptions, "read", lambda: known)
    for least, seconds in ((7, 26.88), (6, 20.44)):  # 13.44 + 7
        monkeypatch.setattr(means, "COMPILED", least)
        assert numbers(row(plan.jobs(tiny, "bare"), step="tune"))["seconds"] == seconds


def test_a_large_batch_is_bound_by_compute(tiny):
    """600 tokens take 19.2 s, reading the weights 48 times 15.36 s; keys and values on top."""
    profile = change(tiny, responses={"batch_size": 100, "ask": "all", "draws": 5})
    job = row(plan.jobs(profile, "round"), step="answer", model_id="s")
    assert numbers(job)["seconds"] == round(20 * 30 * 0.032 + 600 * 30 * 2e-5 + 4 * 15 * 0.032, 6)


def test_greedy_answers_are_given_once(tiny):
    jobs = plan.jobs(change(tiny, responses={"temperature": 0.0}), "round")
    assert row(jobs, step="answer", model_id="s")["tokens"] == 2 * 30


def test_data_left_out_and_token_limits(tiny):
    less = {"name": "less", "data": ["victim"], "recipe": "lora", "leave_out": ("x",)}
    jobs = plan.jobs(with_suspects(tiny, less), "round")
    assert row(jobs, step="tune", model_id="less")["tokens"] == 3 * 35 * 3
    short = {name: recipe.changed(max_tokens=20) for name, recipe in tiny.recipes.items()}
    jobs = plan.jobs(tiny.changed(recipes=short), "round")
    assert row(jobs, step="tune")["tokens"] == 4 * 20 * 3


def test_hub_data_is_assumed_and_hub_models_are_downloaded(tiny):
    data = {"four": Data(**HUB, rows=400), "rest": Data(**HUB, rows=900, apart_from="four")}
    wild = Wild(members=["owner/eight"], non_members=["owner/some-2b"], data=["iid"], recipe="full")
    jobs = plan.jobs(tiny.changed(data=data, wild={"four": wild}), "round")
    assert row(jobs, step="tune", model_id="R^t one")["pairs"] == 400
    assert row(jobs, step="tune", model_id="owner/eight")["pairs"] == 600  # what is left of 1000
    assert row(jobs, step="answer", model_id="s")["pairs"] == 7
    download = row(jobs, step="download", base="owner/some-2b")
    assert (download["dataset"], download["phase"], download["disk_gb"]) == ("all", "set-up", 4)
    assert 3600 * download["hours"] == 40


def test_a_dataset_of_unknown_size_is_refused(tiny):
    unknown = tiny.changed(data={"four": Data(**{**HUB, "hub": "owner/unknown"})})
    with pytest.raises(ValueError) as error:
        plan.jobs(unknown, "round")
    says(error, "'four'", "owner/unknown", "params/plan.yaml", "owner/known")


def test_a_model_behind_an_endpoint_needs_no_card(tiny):
    """What it took elsewhere, with another network, is no measure."""
    endpoint = Endpoint(base_url="https://host/v1", model="m", concurrency=2)
    spec = {"model": {"base": {"endpoint": endpoint.model_dump()}}}
    store.finish(store.entry("responses", "m", spec), tokens=9, seconds=9, device="round")
    models = {**tiny.models, "api": Model(endpoint=endpoint)}
    profile = with_suspects(tiny, {"name": "s", "base": "api"}, models=models)
    job = row(plan.jobs(profile, "round"), step="answer", model_id="s")
    assert (job["gpu_memory_gb"], round(3600 * job["hours"], 6)) == (0, 180 / 20)
    assert job["basis"] == "assumed"
    assert pd.isna(job["billions"])
