"""What attribution draws and keeps: shares, votes, and the four tables as files."""

from dataclasses import dataclass, field
from types import SimpleNamespace

import pandas as pd
import pytest
from drawing import points, ticks, title, words
from helpers import table

from dsi_core.plots import attribution

METHODS = table(
    "method level chosen correct total low high cv_correct cv_total chance",
    ("heuristics", "k3", True, 3, 4, 0.3, 0.95, 9, 10, 0.25),
    ("same prompt, learnt", "k2", False, 1, 4, 0.05, 0.7, None, None, 0.25),
)
VOTES = table(
    "method model base voted share",
    *[
        ("heuristics", model, base, voted, share)
        for model, base, shares in (("t2", "b", (0.25, 0.75)), ("t1", "a", (1.0, 0.0)))
        for voted, share in zip("ab", shares, strict=True)
    ],
)


def test_methods_are_shares_with_intervals():
    ax = attribution.plot_methods(METHODS)
    assert ticks(ax.yaxis) == ["heuristics (k3)", "same prompt, learnt (k2)"]
    assert [t.get_fontweight() for t in ax.get_yticklabels()] == ["bold", "normal"]
    (tuned,) = ax.containers
    assert tuned.lines[0].get_xdata().tolist() == [0.75, 0.25]
    intervals = [segment[:, 0].tolist() for segment in tuned.lines[2][0].get_segments()]
    assert intervals == [pytest.approx([0.3, 0.95]), pytest.approx([0.05, 0.7])]
    assert words(ax) == ["guessing", "3/4", "1/4"]
    assert points(ax.collections[-1])[0] == [0.9, 0]  # the bases'
    assert ax.lines[-1].get_xdata()[0] == 0.25


def test_votes_are_a_row_for_each_model_sorted_by_base():
    ax = attribution.plot_votes(VOTES)
    assert ticks(ax.yaxis) == ["t1", "t2"]
    assert ticks(ax.xaxis) == ["a", "b"]
    assert words(ax) == ["1.00", "0.00", "0.25", "0.75"]
    assert [p.get_xy() for p in ax.patches] == [(0, 0), (1, 1)]  # the truths
    assert title(ax) == "If each reply votes, heuristics finds the base of both models"
    assert ax.get_xlabel().endswith("by heuristics")


@dataclass(frozen=True)
class Compared:
    methods: pd.DataFrame = field(default_factory=lambda: METHODS.assign(dataset="d"))
    models: pd.DataFrame = field(default_factory=lambda: pd.DataFrame({"model": ["t1"]}))
    groups: pd.DataFrame = field(default_factory=lambda: pd.DataFrame({"group": ["k3"]}))
    votes: pd.DataFrame = field(default_factory=lambda: VOTES.assign(dataset="d"))
    absent: str | None = None


def test_the_tables_are_kept_and_two_drawn(smoke, tmp_path, empty_store):
    study = SimpleNamespace(profile=smoke)
    drawn = attribution.save_all(study, Compared(), "own", str(tmp_path), scale="ten models")
    names = {p.name for p in (tmp_path / "smoke").iterdir()} - {"manifest.json"}
    both = {f"attribution_own_{n}.{s}" for n in ("methods", "votes") for s in ("csv", "png", "pdf")}
    assert names == both | {"attribution_own_models.csv", "attribution_own_groups.csv"}
    kept = pd.read_csv(tmp_path / "smoke" / "attribution_own_votes.csv")
    assert kept["share"].tolist() == [0.25, 0.75, 1.0, 0.0]
    methods, votes = drawn
    assert words(methods.axes[0]) == ["guessing", "3/4", "1/4"]
    assert words(votes.axes[0]) == ["1.00", "0.00", "0.25", "0.75"]
    assert votes.get_supxlabel().endswith(": ten models")


def test_where_there_is_nothing_nothing_is_kept(smoke, tmp_path):
    absent = Compared(absent="no file was given")
    study = SimpleNamespace(profile=smoke)
    assert attribution.save_all(study, absent, "released", str(tmp_path)) == []
    assert not any(tmp_path.iterdir())
