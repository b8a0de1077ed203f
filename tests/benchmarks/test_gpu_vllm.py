"""What vLLM is given on a GPU, with a double in its place: no card is here."""

import sys
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace

import pytest

from dsi_core.benchmarks import gpu, gpu_vllm
from dsi_core.benchmarks.gpu_case import Case, model_of


@dataclass
class Engine:
    """Answers each request with as many tokens as it may have."""

    calls: list = field(default_factory=list)

    def __call__(self, **settings):
        self.settings = settings
        return self

    def generate(self, given, params, lora_request, use_tqdm):
        assert len(given) == len(params)  # vLLM refuses others
        self.calls.append((given, params, lora_request))
        outputs = [SimpleNamespace(token_ids=[7] * p.max_tokens) for p in params]
        return [SimpleNamespace(outputs=[output]) for output in outputs]


@pytest.fixture
def engine(monkeypatch):
    gpu_vllm._engine.cache_clear()
    engine = Engine()
    modules = {name: ModuleType(name) for name in ("vllm", "vllm.lora", "vllm.lora.request")}
    modules["vllm"].LLM = engine
    modules["vllm"].SamplingParams = lambda **how: SimpleNamespace(**how)
    modules["vllm.lora.request"].LoRARequest = lambda *told: told
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    yield engine
    gpu_vllm._engine.cache_clear()


@pytest.mark.parametrize("what", ["vllm", "vllm-tuned"])
def test_two_batches_are_sent_at_once_with_a_seed_each(engine, tmp_path, what):
    from peft import PeftModel

    row = gpu.measure(Case("one", what, "toy", method="lora", batch=10, new=6), tmp_path)
    assert "20 requests" in row["note"] and row["tokens_per_s"] > 0
    assert engine.settings["max_num_seqs"] == 10 and engine.settings["max_lora_rank"] == 8
    given, params, lora = engine.calls[-1]
    assert [p.seed for p in params] == list(range(20))
    assert {p.max_tokens for p in params} == {6} and len(given) == 20
    assert max(len(g["prompt_token_ids"]) for g in given) <= 1024 - 6
    assert (lora is not None) == (what == "vllm-tuned")
    # what it reads: the family's shape, and an adapter that fits it
    tuned = PeftModel.from_pretrained(model_of("toy", "cpu"), tmp_path / "toy" / "adapter")
    assert sum("lora_A" in name for name, _ in tuned.named_parameters()) == 2 * 7
