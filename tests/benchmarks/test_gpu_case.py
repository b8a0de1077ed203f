"""The cases of a GPU, as far as they need none."""

from types import SimpleNamespace

import pytest

from dsi_core.benchmarks import gpu_case, gpu_tuning
from dsi_core.benchmarks.gpu_case import Case, loaded


@pytest.mark.parametrize("method", ["qlora", "full"])
def test_a_case_ends_with_or_without_an_adapter(monkeypatch, tmp_path, method):
    taken_off = []
    adapted = {"unload": lambda: taken_off.append(method)} if method == "qlora" else {}
    case = Case("a case", "tune", "llama", method=method, steps=6, skipped=4)

    def train():
        clock.real[:], clock.all[:], clock.ends[:] = [6] * 6, [8] * 6, [1.0, 2, 3, 4, 5, 6]

    clock = gpu_tuning.Clock(None)
    state = SimpleNamespace(log_history=[{"loss": 2.0}, {"loss": 1.0}])
    trainer = SimpleNamespace(train=train, state=state, model=SimpleNamespace(**adapted))
    monkeypatch.setattr(gpu_tuning, "_trainer", lambda *_: (trainer, clock))
    assert gpu_tuning.tune(case, tmp_path, tmp_path)["tokens_per_s"] == 6
    assert taken_off == ([method] if adapted else [])


def test_what_a_case_did_to_the_weights_is_not_the_next_ones(monkeypatch, tmp_path):
    """An adapter freezes them, full tuning holds them in fp32; of one family one is in memory."""
    import torch

    monkeypatch.setattr(gpu_case, "_made", {})
    ways = [Case("a case", "tune", "toy", method=method) for method in ("lora", "full", "lora")]
    adapted, _ = loaded(ways[0], tmp_path)
    adapted.requires_grad_(False)
    whole, _ = loaded(ways[1], tmp_path)
    assert all(weight.requires_grad for weight in whole.parameters())
    whole.float()
    again, _ = loaded(ways[2], tmp_path)
    assert {weight.dtype for weight in again.parameters()} == {torch.bfloat16}
    assert len(gpu_case._made) == 1 and loaded(ways[0], tmp_path)[0] is again
