"""Answers by vLLM: by hand, as others measured it, and one server for whom it serves."""

import pytest
from helpers import change
from planned import numbers, row, with_suspects

from dsi_core.models.sampling import Sampling
from dsi_core.planning import answering, assumptions, plan
from dsi_core.planning.sizes import Size, prompts_like


@pytest.fixture
def served(tiny):
    """The made-up study with vLLM."""
    return change(tiny, responses={"server": "vllm"})


def test_served_answers_by_hand(served):
    """A prompt is read for each draw; nobody waits for the longest but at the end.

    120 tokens, 4 at a time, are 30 steps and 48 more at the end: 78 of 16 GB at 50 GB/s and 10 ms;
    reading 60 tokens and writing 120 takes less. Each looks back at 30 of 1 MB.
    """
    untuned = row(plan.jobs(served, "round"), step="answer", model_id="R one")
    assert numbers(untuned)["seconds"] == round(78 * 0.32 + 78 * 0.01 + 120 * 30 * 2e-5, 6)


def test_an_adapter_and_packed_weights_by_hand(served):
    """80 tokens are 20 steps and 48; NF4 is unpacked in each, 3 bytes of 5 beside the product's."""
    profile = with_suspects(served, {"name": "q", "data": ["victim"], "recipe": "qlora"})
    jobs = plan.jobs(profile, "round")
    looks_back = 25 * 2e-5
    lora = row(jobs, step="answer", model_id="R^t one")
    steps = 68 * (1.5 * 0.32 + 0.01)
    assert numbers(lora)["seconds"] == round(steps + 1.5 * 80 * looks_back, 6)
    qlora = row(jobs, step="answer", model_id="q")  # 2 prompts x 3 draws x 20 tokens: 30 + 48
    steps = 78 * (1.5 * (0.32 + 8 * 3 / 50) + 0.01)
    assert numbers(qlora)["seconds"] == round(steps + 1.5 * 120 * looks_back, 6)


def test_computing_takes_longer_where_many_are_under_way(served):
    """20 answers x 30 tokens and 20 x 15 of prompts: 900 x 32 ms; 78 steps would take 25 s."""
    profile = change(served, responses={"batch_size": 20, "ask": "all", "draws": 5})
    job = row(plan.jobs(profile, "round"), step="answer", model_id="s")
    assert numbers(job)["seconds"] == round(900 * 0.032 + 78 * 0.01 + 600 * 30 * 2e-5, 6)


def test_who_shares_a_server(served):
    """Base and adapter do; other numbers, another phase and whole weights do not."""
    tuned = [{"name": n, "data": ["victim"], "recipe": n} for n in ("lora", "qlora", "full")]
    jobs = plan.jobs(with_suspects(served, {"name": "s"}, *tuned), "round")
    servers = jobs[jobs["step"] == "serve"]
    assert servers["phase"].tolist() == ["offline", "online", "online", "online"]
    assert (3600 * servers["hours"] == 60).all()
    assert set(jobs.loc[jobs["model_id"] != "-", "step"]) == {"tune", "answer", "similarity"}
    assert "serve" not in set(
        plan.jobs(change(served, responses={"server": None}), "round")["step"]
    )


def test_vllm_as_we_measured_it(monkeypatch):
    """bench_gpu.csv: Llama-2-7B's shape, 1,024 prompts of 101 tokens, 128 new ones, 512 at once.

    Without an adapter nothing of the model was fitted to it.
    """
    monkeypatch.setattr(assumptions, "billions", lambda _: 6.74)
    monkeypatch.setattr(assumptions, "cached_mb", lambda _: 0.524)
    monkeypatch.setattr(assumptions, "computing_billions", lambda _, share: 6.476 + 0.131 * share)
    size = Size(1024, 101.2, 0, 0, 1024)
    how = Sampling(seed=0, temperature=1, draws=1, max_new_tokens=128, batch_size=512)
    card = assumptions.card("H200-141GB")
    for adapted, seconds in ((False, 10.47), (True, 11.73)):
        model = answering.Model("of that shape", False, adapted, 128)
        cost = answering.served(model, prompts_like(size), how, card)
        assert cost.seconds == pytest.approx(seconds, rel=0.08)


def test_answers_under_way_are_as_many_as_fit_a_card(monkeypatch):
    """7B on an H200, 384 prompts of 107 tokens, one of 512: all the longest would hold 129 GB.

    The loop batches them by what fits, 0.8 of what weights and the rest leave; a CPU does not.
    """
    monkeypatch.setattr(assumptions, "billions", lambda _: 6.74)
    monkeypatch.setattr(assumptions, "cached_mb", lambda _: 0.524)
    monkeypatch.setattr(assumptions, "computing_billions", lambda _, share: 6.476 + 0.131 * share)
    size = Size(384, 107, 90, 512, 384)
    how = Sampling(0, temperature=1, draws=1, max_new_tokens=128, batch_size=512)
    model = answering.Model("of that shape", False, False, 128)
    card = assumptions.card("H200-141GB")

    def held(card):
        return answering.loop(model, prompts_like(size), how, card).memory_gb

    without = card.fixed_gb + 6.74 * card.bytes_per_parameter
    whole = held(card.model_copy(update={"micro_batch": 8})) - without
    cut = held(card) - without
    assert whole - cut == pytest.approx(384 * 0.524 * 640 / 1000 - 0.8 * (card.memory_gb - without))
    assert held(card) < card.memory_gb < without + whole


MISTRAL, LLAMA = "mistralai/Mistral-7B-v0.1", "meta-llama/Meta-Llama-3-8B-Instruct"


@pytest.mark.parametrize(
    "card, source, answers, read, written, seconds",
    [
        ("A100-80GB", MISTRAL, 1279, 319_361, 249_250, 62.8),
        ("A100-80GB", LLAMA, 1280, 283_459, 233_162, 60.7),
        ("A100-80GB", MISTRAL, 320, 73_671, 71_372, 23.4),
        ("A100-80GB", MISTRAL, 10, 1_585, 2_440, 10.2),
        ("H100-80GB", MISTRAL, 1280, 320_381, 248_991, 30.0),
    ],
)
def test_vllm_as_others_measured_it(card, source, answers, read, written, seconds):
    """LambdaLabsML/vllm-benchmark, September 2024: ShareGPT's prompts sent at once, 256 under way.

    Many answers on an A100 are met within 10%, all within a third; answers ran to 1,000 tokens.
    """
    size = Size(answers, read / answers, 0, 0, answers)
    model = answering.Model(source, False, False, written / answers)
    how = Sampling(seed=0, temperature=1, draws=1, max_new_tokens=1000, batch_size=256)
    cost = answering.served(model, prompts_like(size), how, assumptions.card(card))
    close = 0.1 if answers > 1000 and card == "A100-80GB" else 0.34
    assert cost.seconds == pytest.approx(seconds, rel=close)
