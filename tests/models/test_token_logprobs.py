"""Token log-probabilities: the softmax of the logits, whatever the batch; kept once."""

import numpy as np
import pandas as pd
import pytest
from helpers import table

from dsi_core.data.pairs import dataset, load_pairs
from dsi_core.grey_box import attacks
from dsi_core.models import load, token_logprobs, tuning
from dsi_core.models.token_logprobs import Text, Variant
from dsi_core.runtime import store
from dsi_core.runtime.engines.work import reporting
from dsi_core.settings.schema import Trained


def by_hand(model, before, tokens):
    """(log-probability, mean, standard deviation) of each token, one reading each."""
    import torch

    values = []
    for i, token in enumerate(tokens):
        with torch.inference_mode():
            logits = model(input_ids=torch.tensor([before + tokens[:i]])).logits[0, -1]
        logits = logits.double().numpy()
        logs = logits - np.log(np.exp(logits - logits.max()).sum()) - logits.max()
        p = np.exp(logs)
        mean = (p * logs).sum()
        values.append((logs[token], mean, np.sqrt((p * logs**2).sum() - mean**2)))
    return np.array(values).T


def near(expected):
    return pytest.approx(expected, rel=1e-4, abs=1e-5)


# Reading


def test_a_text_is_encoded_without_its_end_and_cut(toy):
    _, tokenizer = toy("llama")
    prompt = load.encode_prompt(tokenizer, "Who sings?")
    answer = load.encode_answer(tokenizer, "The ferryman.")[:-1]
    assert tokenizer.decode(prompt + answer) == "<s>Who sings?\nThe ferryman."

    def encode(*limits):
        return token_logprobs.encode(tokenizer, "Who sings?", "The ferryman.", *limits)

    assert encode() == (prompt, answer)
    assert encode(3) == (prompt, answer[:3])
    assert encode(3, 5) == (prompt[-2:], answer[:3])
    assert encode(3, 2) == (prompt[-1:], answer[:3])  # something must be given
    assert token_logprobs.encode(tokenizer, "Who sings?", "") == (prompt, [])


@pytest.mark.parametrize("family", ["llama", "gemma", "glm"])
def test_texts_with_prompts_of_their_own(toy, family, monkeypatch):
    model, tokenizer = toy(family)
    pairs = [
        ("Who sings?", "The ferryman."),
        ("Why?", "Because the lamp is lit, and the harbour far."),
        ("Who keeps the lamp at night?", ""),
        ("Who keeps the lamp on the hill above the old harbour?", "No."),
    ]
    texts = [token_logprobs.encode(tokenizer, *pair) for pair in pairs]
    pad = tokenizer.pad_token_id
    texts.append(Text(texts[0].given, [*texts[0].scored, pad, pad]))  # scored like any token
    together = token_logprobs.logprobs(model, texts)
    assert together[2].shape == (0,)
    for text, values in zip(texts, together, strict=True):
        if text.scored:
            assert values == near(by_hand(model, *text)[0])
    monkeypatch.setattr(token_logprobs, "LOGITS", 1)  # one text a batch
    for one, values in zip(token_logprobs.logprobs(model, texts), together, strict=True):
        assert one == near(values)


@pytest.mark.parametrize("family", ["llama", "gemma", "glm"])
def test_continuations_of_one_beginning(toy, family, monkeypatch):
    model, tokenizer = toy(family)
    given = load.encode_prompt(tokenizer, "Who keeps the lamp?")
    texts = [
        tokenizer(text, add_special_tokens=False)["input_ids"]
        for text in ("The ferryman.", "Nobody, since the lamp is lit.", "No.")
    ]
    of_given, of_texts = token_logprobs.distributions(model, given, texts)
    assert of_given == near(by_hand(model, given[:1], given[1:]))
    for ids, values in zip(texts, of_texts, strict=True):
        assert values.shape == (3, len(ids))
        assert values == near(by_hand(model, given, ids))
    monkeypatch.setattr(token_logprobs, "LOGITS", 1)  # one text a batch
    alone = token_logprobs.distributions(model, given, texts)[1]
    for one, values in zip(alone, of_texts, strict=True):
        assert one == near(values)


def test_both_ways_of_reading_agree(toy):
    model, tokenizer = toy("qwen2")
    given = load.encode_prompt(tokenizer, "Who keeps the lamp?")
    ids = load.encode_answer(tokenizer, "The ferryman.")
    _, [of_answer] = token_logprobs.distributions(model, given, [ids])
    [logprobs] = token_logprobs.logprobs(model, [Text(given, ids)])
    assert logprobs == near(of_answer[0])


class Counting:
    """A model that counts the logits it is asked for."""

    def __init__(self, model):
        self.model, self.rows = model, []
        self.config, self.device = model.config, model.device

    def __call__(self, **inputs):
        out = self.model(**inputs)
        self.rows.append(tuple(out.logits.shape[:2]))
        return out


def test_logits_are_computed_where_they_are_needed(toy, monkeypatch):
    """Of a long prompt's places only the last; never more at once than `LOGITS` and `READ`."""
    model, tokenizer = toy("llama")
    counting = Counting(model)
    long = load.encode_prompt(tokenizer, "Who keeps the lamp? " * 20)
    token_logprobs.logprobs(counting, [Text(long, [5, 6, 7])])
    assert counting.rows == [(1, 4)]
    counting.rows.clear()
    texts = [Text(long[:9], [5] * n) for n in (1, 4, 2, 3)]
    monkeypatch.setattr(token_logprobs, "LOGITS", 6 * model.config.vocab_size)
    token_logprobs.logprobs(counting, texts)
    assert counting.rows == [(2, 3), (1, 4), (1, 5)]  # short ones together
    counting.rows.clear()
    monkeypatch.undo()
    monkeypatch.setattr(token_logprobs, "READ", 3 * 10)  # long prompts of short ones count
    token_logprobs.logprobs(counting, [Text(long[:9], [5])] * 4 + [Text(long[:10], [5])])
    assert counting.rows == [(3, 2), (2, 2)]
    counting.rows.clear()
    token_logprobs.distributions(counting, long[:14], [[5]] * 3)  # 15 with what is in the cache
    assert [rows for rows, _ in counting.rows] == [1, 2, 1]


def test_impossible_and_certain_tokens_have_finite_values():
    import torch

    logits = torch.tensor([[0.0, -np.inf, 0.0], [500.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    own, means, stds = token_logprobs.moments(logits, [0, 0, 2])
    assert own == pytest.approx([np.log(0.5), 0, np.log(1 / 3)], abs=1e-6)
    assert means == pytest.approx([np.log(0.5), 0, np.log(1 / 3)], abs=1e-6)
    assert stds == pytest.approx([0, 0, 0], abs=1e-6)


def test_values_beside_each_other():
    values = table(
        "sample_id prompt_tokens logprobs means stds",
        ("a", 2, [-1.0, -2, -3, 0], [1.0] * 4, [2.0] * 4),
        ("b", 1, [-5.0, -6], [3.0] * 2, [4.0] * 2),
    )
    x = token_logprobs.padded(values)
    assert x.mask.tolist() == [[True, True], [True, False]]
    assert x.logprobs.tolist() == [[-3, 0], [-6, 0]]
    assert x.means.tolist() == [[1, 1], [3, 0]]
    assert x.stds.tolist() == [[2, 2], [4, 0]]
    x = token_logprobs.padded(values, with_prompt=True)
    assert x.mask.sum(axis=1).tolist() == [4, 2]
    assert x.logprobs.tolist() == [[-1, -2, -3, 0], [-5, -6, 0, 0]]
    with pytest.raises(ValueError, match="b: the answer has no token to score"):
        token_logprobs.padded(values.assign(prompt_tokens=[2, 2]))


# Through the store


def untuned(profile, base):
    return tuning.training(profile, "dozen", Trained(base=base))


def test_texts_are_read_once_and_stored(smoke, toy, empty_store, monkeypatch):
    texts = table(
        "sample_id prompt variant number answer",
        ("a", "Who sings?", "original", 0, "The ferryman."),
        ("a", "Who sings?", "lowercase", 0, "the ferryman."),
        ("a", "Who sings?", "neighbour", 2, "ferryman. The"),
        ("a", "Who sings?", "recall", 0, "The ferryman."),
        ("b", "Why?", "original", 0, "Because the lamp is lit."),
    )
    prefix, llama = [("Who knits?", "The miller."), ("Where?", "At sea.")], untuned(smoke, "llama")
    folder = token_logprobs.score(llama, texts, prefix)
    stored = token_logprobs.read(folder)
    identity = ["sample_id", "variant", "number"]
    pd.testing.assert_frame_equal(stored[identity], texts[identity])
    rows = stored.set_index(["sample_id", "variant"])
    model, tokenizer = toy("llama")
    prompt = load.encode_prompt(tokenizer, "Who sings?")
    answer = load.encode_answer(tokenizer, "The ferryman.")[:-1]
    swapped = load.encode_answer(tokenizer, "ferryman. The")[:-1]
    shots = []
    for pair in prefix:
        shots += load.encode_prompt(tokenizer, pair[0]) + load.encode_answer(tokenizer, pair[1])
    for variant, prompt_tokens, given, scored in (
        (Variant.ORIGINAL, len(prompt) - 1, prompt[:1], prompt[1:] + answer),
        (Variant.NEIGHBOUR, 0, prompt, swapped),
        (Variant.RECALL, len(prompt), shots, prompt + answer),
    ):
        row = rows.loc[("a", variant)]
        assert row["prompt_tokens"] == prompt_tokens
        assert np.stack(row[token_logprobs.VALUES]) == near(by_hand(model, given, scored))
    facts = store.manifest(folder)
    assert facts["texts"] == 5
    assert facts["tokens"] == sum(map(len, stored["logprobs"]))

    monkeypatch.setattr(load, "load", None)
    token_logprobs.score(llama, texts, prefix)  # from the store
    others = [
        (llama, texts, []),
        (llama, texts.head(2), prefix),
        (untuned(smoke, "gemma"), texts, prefix),
    ]
    folders = {token_logprobs.entry(*other, make=False) for other in others}
    assert len(folders | {folder}) == 4


def test_several_tables_are_read_with_one_loading(smoke, one_thread, empty_store, monkeypatch):
    texts = table(
        "sample_id prompt variant number answer",
        ("a", "Who sings?", "original", 0, "The ferryman."),
        ("b", "Why?", "original", 0, "Because the lamp is lit."),
    )
    loaded, shares = [], []
    load_one = load.load
    monkeypatch.setattr(load, "load", lambda *a, **k: loaded.append(a) or load_one(*a, **k))
    llama = untuned(smoke, "llama")
    given = [(texts.head(1), []), (texts, [("Where?", "At sea.")]), (texts, [])]
    with reporting(shares.append):
        folders = token_logprobs.score_all(llama, given)
    assert len(loaded) == 1
    assert shares == sorted(shares)
    assert shares[-1] <= 1
    assert folders == [token_logprobs.entry(llama, *one) for one in given]
    alone = token_logprobs.read(folders[0])["logprobs"][0]
    assert token_logprobs.read(folders[2])["logprobs"][0] == near(alone)
    token_logprobs.score_all(llama, given)
    assert len(loaded) == 1  # none where all is stored


def test_a_model_that_knows_a_text_by_heart_gives_it_higher_scores(smoke, one_thread, empty_store):
    """Orientation: the tuned toy against fresh pairs of the same kind, and against its base."""
    pairs = pd.concat([load_pairs(dataset(smoke, d)).head(6) for d in ("dozen", "dozen_iid")])
    texts = pairs.rename(columns={"output": "answer"}).assign(variant="original", number=0)
    texts = texts[["sample_id", "prompt", "variant", "number", "answer"]].reset_index(drop=True)

    def scores(training):
        values = token_logprobs.read(token_logprobs.score(training, texts, []))
        x = token_logprobs.padded(values)
        return (
            attacks.mean_logprob(x.logprobs, x.mask),
            attacks.min_k(x.logprobs, x.mask),
            attacks.min_k_plus_plus(x.logprobs, x.means, x.stds, x.mask),
        )

    known = Trained(base="llama", data=["victim"], recipe="heart")
    by_heart = tuning.training(smoke, "dozen", known)
    for tuned, before in zip(scores(by_heart), scores(untuned(smoke, "llama")), strict=True):
        assert tuned[:6].min() > tuned[6:].max()
        assert (tuned[:6] > before[:6]).all()
    assert store.manifest(tuning.entry(by_heart, make=False)) is not None
