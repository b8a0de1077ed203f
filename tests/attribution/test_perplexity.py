"""How likely each base finds a reply."""

import math

import pandas as pd
import pytest

from dsi_core.attribution import perplexity
from dsi_core.models import load


def test_nats_are_the_models_own_loss(smoke, toy, replies):
    import torch

    made = replies(
        ("s", "1", "llama", "llama", "The ferryman."),
        ("s", "2", "qwen2", "qwen2", ""),
        ("s", "1", "t", "qwen2", "Because the lamp is lit."),
    )
    read = perplexity.with_nats(smoke, made)
    assert read.index.tolist() == made.index.tolist()
    for base in ("llama", "qwen2"):
        model, tokenizer = toy(base)
        nats, tokens = read[perplexity.nats_under(base)], read[perplexity.tokens_under(base)]
        assert (nats[1], tokens[1]) == (0, 0)
        for row in (0, 2):
            prompt = load.encode_prompt(tokenizer, read.loc[row, "prompt"])
            reply = load.encode_answer(tokenizer, read.loc[row, "reply"])[:-1]
            labels = torch.tensor([[-100] * len(prompt) + reply])
            with torch.inference_mode():
                loss = model(input_ids=torch.tensor([prompt + reply]), labels=labels).loss
            assert tokens[row] == len(reply)
            assert nats[row] == pytest.approx(float(loss) * len(reply), rel=1e-4)


def test_a_dataset_is_read_by_its_own_bases(smoke, replies, one_thread):
    one = replies(("s", "1", "llama", "llama", "Yes."), ("s", "1", "t", "llama", "No."))
    other = replies(("s", "1", "glm", "glm", "Yes.")).assign(dataset="e")
    read = perplexity.with_nats(smoke, pd.concat([one, other], ignore_index=True))
    assert read["nats under llama"].notna().tolist() == [True, True, False]
    assert read["nats under glm"].notna().tolist() == [False, False, True]


def test_the_table_by_hand(replies):
    """Over all replies of a model: 2 + 6 nats and 1 + 3 tokens under a, 3 and 0 tokens under b."""
    rows = [("s", str(i), "t", "a", "x") for i in range(2)]
    made = replies(*rows, ("s", "0", "b", "b", "x")).assign(
        **{
            "nats under a": [2.0, 6.0, 1.0],
            "tokens under a": [1, 3, 1],
            "nats under b": [0.0, 0.0, 2.0],
            "tokens under b": [0, 0, 4],
        }
    )
    table = perplexity.table(made).set_index("model")
    assert table["under a"].to_dict() == pytest.approx({"t": math.exp(2), "b": math.exp(1)})
    assert table["under b"].to_dict() == pytest.approx({"t": 1, "b": math.exp(0.5)})
    assert table["tuned"].to_dict() == {"t": True, "b": False}
