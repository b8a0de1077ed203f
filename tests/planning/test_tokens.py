"""Tokens of a dataset's texts: counted by the tokenizer of a model that is here, else guessed."""

import pytest
from planned import ROUND, row

from dsi_core.data.pairs import dataset, load_pairs
from dsi_core.models import load
from dsi_core.planning import assumptions, plan, tokens
from dsi_core.planning.sizes import size_of
from dsi_core.settings.schema import Model


@pytest.fixture
def here(tiny, monkeypatch):
    """The made-up study, whose model is in a folder."""
    folder = load.prepare(load.base(tiny, "llama"))
    sizes = ROUND.models.changed(billions={**ROUND.models.billions, folder: 8})
    monkeypatch.setattr(assumptions, "read", lambda: ROUND.changed(models=sizes))
    return tiny.changed(models={**tiny.models, "llama": Model(path=folder)})


def test_tokens_are_counted_by_a_tokenizer_that_is_here(tiny, here):
    """Pairs then have the lengths that tuning gives them.

    A model of the hub whose files were never fetched leaves the guess.
    """
    data = dataset(tiny, "four")
    guess = size_of(data)
    assert size_of(data, load.base(tiny, "owner/eight")) == guess
    assert (guess.prompt_tokens, guess.answer_tokens, guess.pair_tokens) == (15, 20, 35)
    base = load.base(here, "llama")
    tokenizer, pairs = load.tokenizer_of(base), load_pairs(data)
    prompts = [len(load.encode_prompt(tokenizer, text)) for text in pairs["prompt"]]
    outputs = [len(load.encode_answer(tokenizer, text)) for text in pairs["output"]]
    size = size_of(data, base)
    assert size.pair_tokens == pytest.approx(sum(prompts + outputs) / 4) != guess.pair_tokens
    assert size_of(data) == guess
    job = row(plan.jobs(here, "round"), step="tune", model_id="R^t one")
    assert job["tokens"] == 3 * sum(prompts + outputs)


def test_some_of_many_pairs_are_counted(here, monkeypatch):
    monkeypatch.setattr(tokens, "SAMPLE", 2)
    base, data = load.base(here, "llama"), dataset(here, "four")
    tokenizer, some = load.tokenizer_of(base), load_pairs(data).iloc[[0, 2]]
    template = len(load.encode_prompt(tokenizer, ""))
    read = [len(load.encode_prompt(tokenizer, text)) - template for text in some["prompt"]]
    written = [len(load.encode_answer(tokenizer, text)) - 1 for text in some["output"]]
    monkeypatch.setattr(tokens, "_counted", {})
    assert tokens.lengths(data, base) == tokens.Lengths(240 / sum(read + written), template, 1)
