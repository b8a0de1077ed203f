"""Our own loop beside vLLM: a double answers, so that the table is counted by hand."""

import itertools
from types import SimpleNamespace

import pytest
import servers

from dsi_core.benchmarks import served
from dsi_core.models import sampling
from dsi_core.models.sampling import Answer


@pytest.fixture
def own(monkeypatch):
    """Our loop says the prompt."""

    def generate(model, tokenizer, questions, model_id, sampling):
        yield [Answer(row, row.prompt, 4) for row in questions.itertuples(index=False)]

    assert served.generate is sampling.generate
    monkeypatch.setattr(served, "generate", generate)
    monkeypatch.setattr(served.tuning, "load_tuned", lambda training: (None, None))
    clock = itertools.count()
    monkeypatch.setattr(served, "time", SimpleNamespace(perf_counter=lambda: next(clock)))


def test_both_ways_of_asking_are_counted_and_compared(smoke, one_thread, own, vllm):
    model = served.chosen(smoke)[0]
    vllm.models = [model.base.name]
    said = {}  # the first prompt is answered as our loop does, another without its last letter

    def script(prompt, n):
        said.setdefault(prompt, len(said))
        return servers.reply(prompt if said[prompt] == 0 else prompt[:-1], tokens=6)

    vllm.script = script
    table = served.measure("smoke", 2, [model])
    assert table["engine"].tolist() == [served.OWN, "vllm 0.0.9"] * 2
    assert table["temperature"].tolist() == [0, 0, 1, 1] and set(table["answers"]) == {2}
    assert table["tokens"].tolist() == [8, 12] * 2
    assert table["tokens_per_s"].tolist() == [8, 12] * 2
    assert table["same"].tolist() == [1, 0.5] * 2
    assert all(0.9 < value < 1 for value in table["similar"].iloc[1::2])
    assert table["again"].dropna().tolist() == [1]


def test_a_base_and_adapters_of_it_are_chosen(smoke):
    untuned, *adapters = served.chosen(smoke)
    assert untuned.recipe is None and 1 <= len(adapters) <= served.ADAPTERS
    assert {t.base.name for t in adapters} == {untuned.base.name}
    assert all(t.recipe_here.method == "lora" for t in adapters)
