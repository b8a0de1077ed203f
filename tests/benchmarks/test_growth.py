"""How time and memory grow: made-up rows, counted by hand, each step in a process of its own."""

import json

import matplotlib.pyplot as plt
import pytest
from typer.testing import CliRunner

from dsi_core.benchmarks import growth, run, scale, votes
from dsi_core.cli import app
from dsi_core.plots import growth as plots


def test_of_ten_rows_one_nearly_repeats_another(tmp_path):
    growth.write_rows(tmp_path / "rows.jsonl", 40)
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert len(rows) == 40
    for i in (9, 19, 29, 39):
        assert rows[i]["instruction"] == rows[i - 1]["instruction"]
        assert rows[i]["output"] == f"{rows[i - 1]['output']} also{i}"
    assert len({row["instruction"] for row in rows}) == 36
    assert [len(rows[0][k].split()) for k in ("instruction", "output")] == [12, 30]


def test_every_step_at_every_size_and_what_it_finds(monkeypatch, capsys):
    monkeypatch.setattr(growth, "alone", lambda step, path: (0.5, 160.0, step(path)))
    monkeypatch.setattr(growth, "DRAWN", 100)
    table = growth.measure((100, 1000))
    assert table["step"].tolist() == [step for step in growth.STEPS for _ in range(2)]
    assert table["rows"].tolist() == [100, 1000] * 3
    found = table["found"].tolist()
    assert found[:2] == [100, 100] and found[4:] == [90, 900]  # coins: a tenth shares one
    assert found[2] == 0 and 0 < found[3] < 40  # of 100 drawn, some 20 are one of two alike
    assert "1,000 rows: 0.5 s, 160 MB" in capsys.readouterr().err


def test_a_step_alone_tells_its_time_memory_and_result(tmp_path):
    growth.write_rows(tmp_path / "rows.jsonl", 600)
    seconds, memory, found = growth.alone(growth.read, tmp_path / "rows.jsonl")
    assert 0 <= seconds < 60 and 50 < memory < 1000 and found == growth.DRAWN


def test_a_step_that_dies_is_named(tmp_path):
    with pytest.raises(RuntimeError, match="read: its process died"):
        growth.alone(growth.read, tmp_path / "nothing.jsonl")


@pytest.mark.parametrize(
    "given, said",
    [
        (["--growth", "--scale", "--served"], "--growth, --scale, --served: each measures"),
        (["--most", "5000"], "--most goes with --growth or --scale"),
        (["--served", "--most", "5000"], "--most goes with --growth or --scale"),
    ],
)
def test_what_a_measurement_would_not_read_is_refused(given, said, monkeypatch):
    for module in (growth, scale, run, votes):
        monkeypatch.setattr(module, "run" if module is run else "measure", lambda *_: 1 / 0)
    done = CliRunner().invoke(app, ["bench", *given])
    assert done.exit_code == 2 and said in done.stderr


def test_what_is_measured_is_drawn_in_the_look_of_all_figures(monkeypatch):
    drawn = []

    def draw(*_, **__):
        drawn.append(plt.rcParams["axes.titlelocation"])
        raise ValueError("seen")

    monkeypatch.setattr(scale, "measure", lambda most: None)
    monkeypatch.setattr(plots, "plot_growth", draw)
    with plt.rc_context({"axes.titlelocation": "center"}):
        CliRunner().invoke(app, ["bench", "--scale"])
    assert drawn == ["left"]


@pytest.mark.parametrize("what", ["--growth", "--scale"])
def test_fewer_than_the_least_size_are_refused_before_anything_is_measured(what, monkeypatch):
    for module in (growth, scale):
        monkeypatch.setattr(module, "measure", lambda *_: 1 / 0)
    done = CliRunner().invoke(app, ["bench", what, "--most", "999"])
    assert done.exit_code == 2 and "'--most'" in done.stderr
