"""A study without its models: every step does what it says, at sizes of a hundredth."""

import pytest

from dsi_core.benchmarks import scale
from dsi_core.benchmarks.alone import Measured


@pytest.fixture
def small(monkeypatch):
    """20 answers of a model, and every step in this process."""
    monkeypatch.setattr(scale, "EACH", 20)
    monkeypatch.setattr(scale, "alone", lambda step, path: Measured(0.5, 160.0, step(path)))


def test_every_step_at_every_size(small, monkeypatch, capsys):
    sizes = {"answers": (40, 100), "jobs": (2, 3, 1000)}
    steps = {name: (unit, sizes[unit], step) for name, (unit, _, step) in scale.STEPS.items()}
    monkeypatch.setattr(scale, "STEPS", steps)
    monkeypatch.setenv("DSI_WORKERS", "0")
    table = scale.measure(100)  # each is checked to have done what it should
    assert list(table.columns) == scale.COLUMNS
    assert table["size"].tolist() == [40, 100] * 6 + [2, 3]
    assert "bench: keep answers, 100 answers: 0.5 s, 160 MB" in capsys.readouterr().err


def test_answers_are_kept_as_a_study_keeps_them(small, tmp_path):
    assert scale.lacking(40, tmp_path) == 40
    assert scale.write(40, tmp_path) == 40 and scale.lacking(60, tmp_path) == 20
    assert len(list(tmp_path.glob("responses/*/manifest.json"))) == 2
    assert scale.compare(40, tmp_path) == 40
    with pytest.raises(AssertionError):
        scale.read(60, tmp_path)  # a study reads no table with holes


def test_what_was_scored_is_looked_up(small, tmp_path, monkeypatch):
    scale.write(40, tmp_path)
    scale.compare(40, tmp_path)
    monkeypatch.setattr(scale, "by_length", None)
    assert scale.compare(40, tmp_path) == 40
