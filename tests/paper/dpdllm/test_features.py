"""DPDLLM's features against values made by hand."""

import numpy as np
import pytest

from dsi_core.models import load, token_logprobs
from dsi_core.paper.dpdllm import features
from dsi_core.paper.dpdllm.roles import Mode


def test_features_are_cut_or_filled_up_with_their_mean():
    rows = [[0.1, 0.2, 0.3, 0.4, 0.5], [0.5, 0.1, 0.3], [0.2, 0.4], [0.7], []]
    filled = features.filled([np.array(row) for row in rows], 3)
    expected = [[0.1, 0.2, 0.3], [0.5, 0.1, 0.3], [0.2, 0.4, 0.3], [0.7, 0.7, 0.7]]
    assert filled[:4] == pytest.approx(np.array(expected))
    (longer,) = features.filled([np.array([0.1, 0.2, 0.6])], 4)
    assert longer == pytest.approx([0.1, 0.2, 0.6, 0.3])  # the mean, not the median
    assert np.isnan(filled[4]).all()  # no token: nothing to score


def test_scored_tokens(toy):
    _, tokenizer = toy("llama")
    before = load.encode_prompt(tokenizer, "Who sings?")
    after = load.encode_answer(tokenizer, "The ferryman.")[:-1]
    assert tokenizer.decode(before) == "<s>Who sings?\n"
    assert tokenizer.decode(after) == "The ferryman."

    def clean(response, length, limit):
        return features.tokens(tokenizer, "Who sings?", response, Mode.CLEAN, length, limit)

    assert clean("The ferryman.", 100, 500) == (before, after)
    assert clean("The ferryman.", 3, 500) == (before, after[:3])
    assert clean("The ferryman.", 3, 5) == (before[-2:], after[:3])
    assert clean("", 3, 500) == (before, [])


def test_scored_tokens_of_the_released_code(toy):
    """Prompt and answer are one text, and padding is scored as if it were text."""
    _, tokenizer = toy("llama")
    prompt, answer = "Who sings?", "The ferryman."
    text = [*load.encode_prompt(tokenizer, prompt), *load.encode_answer(tokenizer, answer)]
    padding = [tokenizer.pad_token_id] * 3
    for length, expected in ((5, text[:6]), (len(text) + 2, [*text, *padding])):
        given, scored = features.tokens(tokenizer, prompt, answer, Mode.FAITHFUL, length, 500)
        assert len(given) == 1
        assert len(scored) == length
        assert given + scored == expected


@pytest.mark.parametrize("family", ["llama", "gemma", "glm"])
def test_probabilities_are_the_softmax_of_the_logits_whatever_the_batch(
    toy, family, by_hand, monkeypatch
):
    model, tokenizer = toy(family)
    pairs = [
        ("Who sings?", "The ferryman."),
        ("Why?", "Because the lamp is lit, and the harbour far."),
        ("Who keeps the lamp at night?", ""),
        ("Who keeps the lamp on the hill above the old harbour?", "No."),
    ]
    rows = [features.tokens(tokenizer, *pair, Mode.CLEAN, 8, 100) for pair in pairs]
    rows.append(features.tokens(tokenizer, *pairs[1], Mode.CLEAN, 4, 6))
    together = features.token_probabilities(model, rows)
    assert [len(p) for p in together] == [len(scored) for _, scored in rows]
    assert len(together[2]) == 0
    for row, probabilities in zip(rows, together, strict=True):
        assert probabilities == pytest.approx(by_hand(model, *row), rel=1e-4)

    monkeypatch.setattr(token_logprobs, "LOGITS", 1)  # one text a batch
    alone = features.token_probabilities(model, rows)
    for one, probabilities in zip(alone, together, strict=True):
        assert one == pytest.approx(probabilities, rel=1e-4)

    padded = features.tokens(tokenizer, *pairs[0], Mode.FAITHFUL, 30, 100)
    assert padded[1][-3:] == [tokenizer.pad_token_id] * 3
    (probabilities,) = features.token_probabilities(model, [padded])
    assert probabilities == pytest.approx(by_hand(model, *padded), rel=1e-4)
    assert features.token_probabilities(model, [rows[2]])[0].shape == (0,)
