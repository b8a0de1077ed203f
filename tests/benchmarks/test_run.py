"""The bench: every row with its ratio, results that agree with the stock's. Never a speed."""

import contextlib
import io
import os
import re
from dataclasses import dataclass, field

import pandas as pd
import pytest
import torch
from helpers import says

from dsi_core.benchmarks import comparison
from dsi_core.benchmarks import run as bench
from dsi_core.benchmarks.comparison import Comparison
from dsi_core.benchmarks.run import Amounts
from dsi_core.benchmarks.stock import Answers, Products
from dsi_core.benchmarks.turns import in_turns
from dsi_core.runtime import jobs
from dsi_core.runtime.environment import HEAP
from dsi_core.runtime.jobs import Job
from dsi_core.settings import profile

pytestmark = [
    pytest.mark.filterwarnings(f"ignore:.*{text}")
    for text in ("torch.jit", "is_gradient_checkpointing")
]


@pytest.fixture(scope="module")
def measured(smoke, one_thread):
    """(table, lines on stderr) of one model, small amounts, one round, all in this process."""
    few = Amounts(rounds=1, pairs=6, prompts=4, alone=2, greedy=3, jobs=2, samples=3)
    lines = io.StringIO()

    def here(work, environment=None):
        return [job.call(*job.args) for job in work]

    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stderr(lines):
        patch.setattr(jobs, "run", here)
        patch.setattr("dsi_core.runtime.precision.MEASURE_SECONDS", 0.05)
        one = smoke.changed(references=smoke.references[2:3], reference_sets={}, robustness=None)
        table = bench.measure(one, few)
    return table, [line for line in lines.getvalue().splitlines() if line.startswith("bench: ")]


def test_every_comparison_has_a_row(measured):
    table, lines = measured
    assert list(table.columns) == comparison.COLUMNS
    rows = [
        ("tuning: default SFTTrainer", "llama", 2.0),
        ("generation: pipeline, batch 1", "llama", None),
        ("generation: pipeline, batch 8", "llama", 3.0),
        ("similarity: BERTScorer for each suspect, reference and side", "bert", 4.0),
        ("cores: two processes against one", "llama", 1.9),
        ("matrix product", "-", None),
    ]
    assert table[["what", "model"]].to_records(index=False).tolist() == [r[:2] for r in rows]
    assert table["target"].fillna(0).tolist() == [r[2] or 0 for r in rows]
    assert len(lines) == 1 + 2 + 3 + 2 + 2 + 1  # a line a measurement
    assert set(table["threads"]) == {1}


def test_our_operations_stay_under_the_peak(measured):
    shares = measured[0].set_index("what")["share_of_peak"]
    uncounted = ["cores: two processes against one", "matrix product"]
    assert shares.index[shares.isna()].tolist() == uncounted
    assert shares.dropna().between(0, 1, inclusive="neither").all()


def test_results_equal_those_of_the_stock(measured):
    same = measured[0]["same"]
    for row, allowed in ((0, bench.GRADIENT["fp32"]), (3, bench.SCORE)):
        assert float(re.search(r"differ by (\S+)", same[row])[1]) <= allowed, same[row]
    assert same[1] == same[2] == "3 of 3 greedy texts equal"
    assert same[4] == "12 of 12 texts equal"  # 4 prompts x 3 draws


def test_ratios_and_shares_by_hand():
    """20 against 8 tokens a second; 30 of 60 GFLOP/s."""
    counted = Comparison("a", "m", "tokens/s", 8.0, 20.0, "same", "work", 2.0, gflops=30.0)
    not_counted = Comparison("b", "m", "tokens/s", 4.0, 1.0, "same", "work")
    table = comparison.table([counted, not_counted], peak_gflops=60.0)
    assert table["ratio"].tolist() == [2.5, 0.25]
    assert table["share_of_peak"].fillna(-1).tolist() == [0.5, -1]
    assert table["target"].fillna(-1).tolist() == [2.0, -1]


def test_answers_of_several_jobs_together():
    """5 and 7 tokens, from second 10 to second 14: 3 a second."""
    first = Answers(done=5, seconds=1, texts={("x", 0): "a"}, greedy={}, began=11, ended=14)
    other = Answers(done=7, seconds=1, texts={("y", 0): "b"}, greedy={}, began=10, ended=12)
    together = bench.joined([first, other])
    assert together.per_second == 3
    assert together.texts == {("x", 0): "a", ("y", 0): "b"}


def test_stand_ins_for_answers():
    outputs = ["one two three four", "five six seven eight"]
    table = bench.answers_like(
        outputs, suspects=["s", "t"], references=["r"], samples=3, draws=2, seed=0
    )
    keys = ["sample", "suspect", "reference"]
    assert table.groupby(keys).size().tolist() == [2] * 6
    words = {word for output in outputs for word in output.split()}
    sides = table[["response", "response_before", "response_after"]]
    assert {w for text in pd.unique(sides.to_numpy().ravel()) for w in text.split()} <= words
    assert (table.groupby(["sample", "reference"])["response_after"].nunique() == 1).all()


@dataclass(frozen=True, kw_only=True)
class Look(Products):
    """What a process sees of itself."""

    threads: int = field(default_factory=torch.get_num_threads)
    process: int = field(default_factory=os.getpid)
    heap: dict = field(default_factory=lambda: {k: os.environ.get(k) for k in HEAP})


def look():
    return Look(done=10, seconds=2.0)


def test_stock_and_ours_run_in_processes_of_their_own(monkeypatch):
    monkeypatch.setenv("DSI_WORKERS", "2")
    usual, before = dict(HEAP), dict(os.environ)
    best = in_turns("look", {"stock": Job("look", look), "ours": Job("look", look)}, 1)
    stock, ours = best["stock"], best["ours"]
    assert stock.heap == dict.fromkeys(usual)
    assert ours.heap == usual
    assert stock.threads == ours.threads == 1
    assert len({os.getpid(), stock.process, ours.process}) == 3
    assert (HEAP, dict(os.environ)) == (usual, before)


def test_the_best_round_counts(monkeypatch, capsys):
    results = iter([Products(done=10, seconds=s) for s in (2, 5, 4, 1)])
    monkeypatch.setattr(jobs, "run", lambda work, environment=None: [next(results)])
    best = in_turns("x", {"stock": Job("x", look), "ours": Job("x", look)}, 2)
    # rounds of 5 and 2.5, of 2 and 10
    assert (best["stock"].per_second, best["ours"].per_second) == (5.0, 10.0)
    assert capsys.readouterr().err.splitlines()[1] == "bench: x, ours: 2.0 GFLOP/s in 5.0 s"


def test_refuses_what_it_cannot_measure(smoke, monkeypatch):
    with pytest.raises(ValueError) as error:
        bench.measure(profile.load_profile("paper"))
    says(error, "not local", "smoke")
    with pytest.raises(ValueError) as error:
        bench.run("no-such")
    says(error, "no-such")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.raises(ValueError) as error:
        bench.measure(smoke)
    says(error, "CUDA_VISIBLE_DEVICES")
