"""Token log-probabilities: the softmax of the logits, whatever the batch; both views; stored once."""

import numpy as np
import pandas as pd
import pytest
from helpers import table

from dsi_core.models import load as models
from dsi_core.models import token_logprobs
from dsi_core.runtime import store
from dsi_core.settings.schema import Trained


def by_hand(model, before, tokens):
    """(log-probability, mean, standard deviation) of each token, one reading each."""
    import torch

    found = []
    for i, token in enumerate(tokens):
        with torch.inference_mode():
            logits = (
                model(input_ids=torch.tensor([before + tokens[:i]])).logits[0, -1].double().numpy()
            )
        logs = logits - np.log(np.exp(logits - logits.max()).sum()) - logits.max()
        p = np.exp(logs)
        mean = (p * logs).sum()
        found.append((logs[token], mean, np.sqrt((p * logs**2).sum() - mean**2)))
    return np.array(found).T


@pytest.mark.parametrize("family", ["llama", "gemma", "glm"])
def test_values_are_those_of_the_softmax_whatever_the_batch(toy, family, monkeypatch):
    model, tokenizer = toy(family)
    given = models.encode_prompt(tokenizer, "Who keeps the lamp?")
    texts = [
        tokenizer(t, add_special_tokens=False)["input_ids"]
        for t in ("The ferryman.", "Nobody, since the lamp is lit.", "No.")
    ]
    before, after = token_logprobs.token_values(model, given, texts)
    assert before == pytest.approx(by_hand(model, given[:1], given[1:]), rel=1e-4, abs=1e-5)
    for ids, found in zip(texts, after):
        assert found.shape == (3, len(ids)) and found == pytest.approx(
            by_hand(model, given, ids), rel=1e-4, abs=1e-5
        )
    monkeypatch.setattr(token_logprobs, "LOGITS", 1)  # one text a batch
    for one, found in zip(token_logprobs.token_values(model, given, texts)[1], after):
        assert one == pytest.approx(found, rel=1e-4, abs=1e-5)


def test_impossible_and_certain_tokens_have_finite_values():
    import torch

    logits = torch.tensor([[0.0, -np.inf, 0.0], [500.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    found = token_logprobs._values(logits, torch.tensor([0, 0, 2]))
    assert found[0] == pytest.approx([np.log(0.5), 0, np.log(1 / 3)], abs=1e-6)
    assert found[1] == pytest.approx([np.log(0.5), 0, np.log(1 / 3)], abs=1e-6) and found[
        2
    ] == pytest.approx([0, 0, 0], abs=1e-6)


def test_views_and_masks():
    read = table(
        "sample_id given logprobs means stds",
        ("a", 2, [-1.0, -2, -3, 0], [1.0] * 4, [2.0] * 4),
        ("b", 1, [-5.0, -6], [3.0] * 2, [4.0] * 2),
    )
    x, mask = token_logprobs.padded(read, "answer")
    assert (
        mask.tolist() == [[True, True], [True, False]]
        and x["logprobs"].tolist() == [[-3, 0], [-6, 0]]
        and x["stds"][1].tolist() == [4, 0]
    )
    x, mask = token_logprobs.padded(read, "text")
    assert mask.sum(axis=1).tolist() == [4, 2] and x["logprobs"][0].tolist() == [-1, -2, -3, 0]
    with pytest.raises(ValueError, match="b: no token to score in view 'answer'"):
        token_logprobs.padded(read.assign(given=[2, 2]), "answer")
    with pytest.raises(ValueError, match="unknown view 'prompt'; known: answer, text"):
        token_logprobs.padded(read, "prompt")


def test_texts_are_read_once_and_stored(smoke, one_thread, empty_store, toy, monkeypatch):
    texts = table(
        "sample_id prompt variant answer",
        ("a", "Who sings?", "original", "The ferryman."),
        ("a", "Who sings?", "lowercase", "the ferryman."),
        ("a", "Who sings?", "recall", "The ferryman."),
        ("b", "Why?", "original", "Because the lamp is lit."),
    )
    prefix, trained = [("Who knits?", "The miller."), ("Where?", "At sea.")], Trained(base="llama")
    folder = token_logprobs.entry(smoke, "dozen", trained, texts, prefix)
    found = token_logprobs.read(
        token_logprobs.score(smoke, "dozen", trained, texts, prefix, folder)
    ).set_index(["sample_id", "variant"])
    assert found.index.tolist() == [
        ("a", "original"),
        ("a", "lowercase"),
        ("a", "recall"),
        ("b", "original"),
    ]
    model, tokenizer = models.load(smoke, "llama")
    prompt, answer = (
        models.encode_prompt(tokenizer, "Who sings?"),
        models.encode_answer(tokenizer, "The ferryman.")[:-1],
    )
    row = found.loc[("a", "original")]
    assert row["given"] == len(prompt) - 1
    assert np.stack(row[token_logprobs.VALUES]) == pytest.approx(
        by_hand(model, prompt[:1], prompt[1:] + answer), rel=1e-4, abs=1e-5
    )
    shots = [
        i
        for p, a in prefix
        for i in models.encode_prompt(tokenizer, p) + models.encode_answer(tokenizer, a)
    ]
    row = found.loc[("a", "recall")]
    assert row["given"] == len(prompt) and np.stack(row[token_logprobs.VALUES]) == pytest.approx(
        by_hand(model, shots, prompt + answer), rel=1e-4, abs=1e-5
    )
    assert found.loc[("a", "lowercase"), "given"] == 0 and store.manifest(folder)["texts"] == 4

    monkeypatch.setattr(models, "load", None)
    token_logprobs.score(smoke, "dozen", trained, texts, prefix, folder)  # from the store
    others = (
        (trained, texts, []),
        (trained, texts.head(2), prefix),
        (Trained(base="gemma"), texts, prefix),
    )
    other = {token_logprobs.entry(smoke, "dozen", *how, make=False) for how in others}
    assert len(other | {folder}) == 4


def test_a_model_that_knows_a_text_by_heart_gives_it_higher_scores(smoke, one_thread, empty_store):
    """Orientation, end to end: the tuned toy model against fresh pairs of the same kind, and against itself before."""
    from dsi_core.data import pairs as data
    from dsi_core.grey_box import mia_loss
    from dsi_core.models import tuning

    pairs, fresh = (
        data.load_pairs(smoke, "dozen").head(6),
        data.load_pairs(smoke, "dozen_iid").head(6),
    )
    texts = (
        pd.concat([pairs, fresh])
        .rename(columns={"output": "answer"})
        .assign(variant="original")[["sample_id", "prompt", "variant", "answer"]]
    )
    texts = texts.reset_index(drop=True)
    means = {}
    few = smoke.model_copy(
        update={
            "recipes": {
                **smoke.recipes,
                "heart": smoke.recipes["heart"].model_copy(update={"epochs": 25}),
            }
        }
    )
    for trained in (Trained(base="llama", data=["victim"], recipe="heart"), Trained(base="llama")):
        folder = token_logprobs.entry(few, "dozen", trained, texts, [])
        x, mask = token_logprobs.padded(
            token_logprobs.read(token_logprobs.score(few, "dozen", trained, texts, [], folder))
        )
        means[bool(trained.data)] = (
            mia_loss.loss(x["logprobs"], mask),
            mia_loss.min_k(x["logprobs"], mask),
            mia_loss.min_k_plus_plus(**x, mask=mask),
        )
    for tuned, untuned in zip(means[True], means[False]):
        assert tuned[:6].min() > tuned[6:].max() and (tuned[:6] > untuned[:6]).all()
    assert tuning.folder_of(
        few, "dozen", Trained(base="llama", data=["victim"], recipe="heart"), make=False
    ).exists()
