"""The cases of a GPU, as far as they need none."""

from types import SimpleNamespace

import pytest

from dsi_core.benchmarks import gpu_tuning
from dsi_core.benchmarks.gpu_case import Case


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
