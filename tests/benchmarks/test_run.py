"""The bench: every row with its ratio, results that agree with the stock's, operations counted by hand. Never a speed."""

import contextlib
import io
import os
import re

import numpy as np
import pytest
import torch
from helpers import change, says

from dsi_core.benchmarks import run as bench
from dsi_core.benchmarks import stock
from dsi_core.models import tuning
from dsi_core.runtime import jobs as work
from dsi_core.settings import profile
from dsi_core.settings.schema import Recipe

pytestmark = [
    pytest.mark.filterwarnings(f"ignore:.*{text}")
    for text in ("torch.jit", "is_gradient_checkpointing")
]

RESULT = {"done": 10, "seconds": 2.0}
# Sizes of `toy`: hidden 64, 4 heads and 2 key-value heads of 16, intermediate 128, 2 layers, 512 tokens
ATTENTION = [(64, 64), (64, 32), (64, 32), (64, 64)]
LAYER = [*ATTENTION, (64, 128), (64, 128), (128, 64)]
BODY, HEAD = 2 * sum(i * o for i, o in LAYER), 64 * 512


@pytest.fixture(scope="module")
def measured(smoke, one_thread):
    """(table, lines on stderr) of one model, small amounts, one round, all in this process."""
    sizes = {
        "ROUNDS": 1,
        "PAIRS": 6,
        "PROMPTS": 4,
        "ALONE": 2,
        "GREEDY": 3,
        "JOBS": 2,
        "SAMPLES": 3,
    }
    lines = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stderr(lines):
        for name, value in sizes.items():
            patch.setattr(bench, name, value)
        patch.setattr(
            work, "run", lambda jobs, environment=None: [job.call(*job.args) for job in jobs]
        )
        table = bench.measure(change(smoke, references=smoke.references[2:3]))
    return table, [line for line in lines.getvalue().splitlines() if line.startswith("bench: ")]


def test_every_comparison_has_a_row(measured):
    table, lines = measured
    assert list(table.columns) == bench.COLUMNS
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


def test_rates_ratios_and_shares(measured):
    table, _ = measured
    assert (table[["stock", "ours"]] > 0).all(axis=None) and np.isfinite(
        table[["stock", "ours"]]
    ).all(axis=None)
    np.testing.assert_allclose(table["ratio"], table["ours"] / table["stock"])
    shares = table.set_index("what")["share_of_peak"]
    assert shares.index[shares.isna()].tolist() == [
        "cores: two processes against one",
        "matrix product",
    ]
    assert shares.dropna().between(0, 1, inclusive="neither").all()
    assert set(table["threads"]) == {1}


def test_results_equal_those_of_the_stock(measured):
    same = measured[0]["same"]
    for row, allowed in ((0, bench.GRADIENT), (3, bench.SCORE)):
        assert float(re.search(r"differ by (\S+)", same[row])[1]) <= allowed, same[row]
    assert same[1] == same[2] == "3 of 3 greedy texts equal"
    assert same[4] == "12 of 12 texts equal"  # 4 prompts x 3 draws


def test_operations_by_hand(toy):
    model = toy("llama")[0]
    assert (BODY, HEAD) == (73_728, 32_768)
    assert stock.flops_per_token(model) == (2 * BODY, 2 * HEAD)
    assert stock.flops_per_token(model, backward=True) == (
        6 * BODY,
        6 * HEAD,
    )  # every weight is tuned


def test_operations_of_adapters_by_hand(smoke, one_thread):
    from peft import get_peft_model

    from dsi_core.models import load as models

    recipe = Recipe(method="lora", rank=4, alpha=8, learning_rate=1e-3, epochs=1)
    model = get_peft_model(models.load(smoke, "llama")[0], tuning._adapter(recipe)).get_base_model()
    adapters = 2 * sum(4 * (i + o) for i, o in LAYER)
    assert stock.flops_per_token(model, backward=True) == (
        4 * BODY + 6 * adapters,
        4 * HEAD,
    )  # the frozen only pass gradients on


@pytest.mark.parametrize(
    "ids, new",
    [
        (
            [0, 0, 5, 6, 7, 8, 9, 2, 0, 0],
            [8, 9, 2],
        ),  # padding before, an end token and padding after
        ([5, 6, 7, 8, 2, 9, 9], [8, 2]),  # nothing before; what follows the end does not count
        ([0, 5, 6, 7, 8, 9, 9], [8, 9, 9]),  # cut at the limit: no end token
        ([0, 5, 6, 7, 2], [2]),
    ],
)
def test_new_tokens_without_padding(ids, new):
    assert stock._new_tokens(ids, [5, 6, 7], pad=0, ends=[2, 3]) == new


def test_new_tokens_where_the_prompt_begins_with_the_padding_token():
    assert stock._new_tokens([0, 0, 5, 8, 0], [0, 5], pad=0, ends=[0]) == [8, 0]


def look() -> dict:
    return {
        **RESULT,
        "threads": torch.get_num_threads(),
        "malloc": {k: os.environ.get(k) for k in work.MALLOC},
        "process": os.getpid(),
    }


def test_stock_and_ours_run_in_processes_of_their_own(monkeypatch):
    monkeypatch.setattr(bench, "ROUNDS", 1)
    usual, before = work.MALLOC, dict(os.environ)
    found = bench._in_turns("look", "looks/s", {"stock": (look,), "ours": (look,)})
    assert found["stock"]["malloc"] == dict.fromkeys(usual) and found["ours"]["malloc"] == usual
    assert found["stock"]["threads"] == found["ours"]["threads"] == 1
    assert len({os.getpid(), found["stock"]["process"], found["ours"]["process"]}) == 3
    assert work.MALLOC is usual and dict(os.environ) == before


def test_the_best_round_counts(monkeypatch, capsys):
    results = iter([{"done": 10, "seconds": s} for s in (2, 5, 4, 1)])
    monkeypatch.setattr(work, "run", lambda jobs, environment=None: [next(results)])
    found = bench._in_turns("x", "tokens/s", {"stock": (look,), "ours": (look,)})
    assert (found["stock"]["rate"], found["ours"]["rate"]) == (
        5.0,
        10.0,
    )  # rounds of 5 and 2.5, of 2 and 10
    assert capsys.readouterr().err.splitlines()[1] == "bench: x, ours: 2.0 tokens/s in 5.0 s"


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
