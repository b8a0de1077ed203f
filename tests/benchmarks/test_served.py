"""Our own loop beside vLLM: a double answers, so that the table is counted by hand."""

import itertools
import pickle
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
import servers

from dsi_core.benchmarks import served
from dsi_core.benchmarks.served import ADAPTER, EACH, ONE, TWO, VLLM, Measured
from dsi_core.models import sampling
from dsi_core.models.sampling import Answer
from dsi_core.models.served import Died


@pytest.fixture
def own(monkeypatch, empty_store):
    """Our loop says the prompt; a look at the clock takes a second; jobs run in threads."""

    def generate(model, tokenizer, questions, model_id, sampling):
        yield [Answer(row, row.prompt, 4) for row in questions.itertuples(index=False)]

    def run(work, environment):
        assert environment["DSI_WORKERS"] == str(len(work))
        with ThreadPoolExecutor(len(work)) as pool:  # they wait for each other
            return list(pool.map(lambda job: pickle.loads(pickle.dumps(job.call(*job.args))), work))

    assert served.generate is sampling.generate
    monkeypatch.setattr(served, "generate", generate)
    monkeypatch.setattr(served.jobs, "run", run)
    monkeypatch.setattr(served.tuning, "tune", lambda training: None)
    monkeypatch.setattr(served.tuning, "load_tuned", lambda training: (None, None))
    clock = itertools.count()
    times = SimpleNamespace(time=lambda: next(clock), sleep=time.sleep)
    monkeypatch.setattr(served, "time", times)


@pytest.fixture
def double(vllm):
    """The first prompt is answered as our loop does, another without its last letter."""
    said = {}

    def script(prompt, n):
        said.setdefault(prompt, len(said))
        return servers.reply(prompt if said[prompt] == 0 else prompt[:-1], tokens=6)

    vllm.script = script
    return vllm


def test_every_way_of_asking_is_counted_and_compared(smoke, one_thread, own, double, empty_store):
    model = served.chosen(smoke)[0]
    double.models = [model.base.name]
    table = served.measure("smoke", 2, [model])
    assert table["engine"].tolist() == [ONE] * 3 + [TWO, TWO, EACH] + ["vllm 0.0.9"] * 3
    assert table["temperature"].tolist() == [0, 1, 1] * 3
    assert table["draws"].tolist() == [1, 1, 3] * 3
    assert table["answers"].tolist() == [2, 2, 6, 2, 2, 12, 2, 2, 6]
    assert table["tokens"].tolist() == [8, 8, 24, 8, 8, 48, 12, 12, 36]
    # of two processes the first begins at 0 s and the last ends at 3 s
    assert table["tokens_per_s"].tolist() == [8, 8, 24, 2.7, 2.7, 16, 12, 12, 36]
    assert table["same"].tolist() == [1] * 6 + [0.5] * 3
    assert all(0.9 < value < 1 for value in table["similar"].iloc[6:])
    assert table["again"].dropna().tolist() == [1, 1] and set(table["error"]) == {""}
    assert not list((empty_store / "benchmarks").iterdir())


def test_an_adapter_is_also_served_as_one(smoke, one_thread, own, double):
    adapter = served.chosen(smoke)[1]
    double.models = [served.served.name_of(adapter)]
    table = served.measure("smoke", 2, [adapter])
    assert table["engine"].iloc[-1] == "vllm 0.0.9, as an adapter"
    assert table["temperature"].iloc[-1] == 0 and len(table) == 10


def test_what_was_measured_survives_an_interruption(
    smoke, one_thread, own, double, monkeypatch, capsys
):
    model = served.chosen(smoke)[0]
    double.models = [model.base.name]

    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(served, "_through_vllm", interrupted)
        with pytest.raises(KeyboardInterrupt):
            served.measure("smoke", 2, [model])
    with monkeypatch.context() as patch:
        patch.setattr(served, "_by_our_loop", interrupted)
        assert len(served.measure("smoke", 2, [model])) == 9
    assert "goes on with 6 measurements of an earlier run" in capsys.readouterr().err
    with monkeypatch.context() as patch:  # what came to its end is measured anew
        patch.setattr(served, "_by_our_loop", interrupted)
        with pytest.raises(KeyboardInterrupt):
            served.measure("smoke", 2, [model])


def test_what_was_measured_survives_a_server_that_dies(smoke, one_thread, own, double, monkeypatch):
    model = served.chosen(smoke)[0]
    double.models = [model.base.name]

    def dies(*_, **__):
        raise Died("vLLM ended while it was asked: TimeoutError: RPC call timed out")

    with monkeypatch.context() as patch:
        patch.setattr(served.served, "serving", dies)
        table = served.measure("smoke", 2, [model])
    assert table["engine"].tolist() == [ONE] * 3 + [TWO, TWO, EACH, VLLM]
    assert table["error"].iloc[-1].endswith("RPC call timed out")
    assert table[["tokens_per_s", "same"]].iloc[-1].isna().all()
    table = served.measure("smoke", 2, [model])
    assert len(table) == 9 and set(table["error"]) == {""}


def test_a_table_of_measurements_by_hand():
    texts = {"a 0": "abcd", "b 0": "xy"}
    own = Measured("m", 0.0, 1, ONE, ONE, texts, tokens=10, seconds=4.0)
    other = {"a 0": "abcd", "b 0": "zw"}
    beside = Measured("m", 0.0, 1, ADAPTER, ADAPTER, other, tokens=10, seconds=8.0)
    table = served.table([own, beside])
    assert table["tokens_per_s"].tolist() == [2.5, 1.2]
    assert table["same"].tolist() == table["similar"].tolist() == [1, 0.5]


def test_a_base_and_adapters_of_it_are_chosen(smoke):
    untuned, *adapters = served.chosen(smoke)
    assert untuned.recipe is None and 1 <= len(adapters) <= served.ADAPTERS
    assert {t.base.name for t in adapters} == {untuned.base.name}
    assert all(t.recipe_here.method == "lora" for t in adapters)
