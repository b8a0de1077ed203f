"""Operations by hand, from the sizes of a toy's layers."""

import pytest

from dsi_core.benchmarks.flops import PerToken, per_token
from dsi_core.models import load, sft
from dsi_core.runtime.precision import detect
from dsi_core.settings.schema import Recipe

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing")

# Sizes of `toy`: hidden 64, 4 heads and 2 key-value heads of 16, intermediate 128, 2 layers, 512
# tokens
QUERY_KEY_VALUE = [(64, 64), (64, 32), (64, 32)]
LAYER = [*QUERY_KEY_VALUE, (64, 64), (64, 128), (64, 128), (128, 64)]
BODY, HEAD = 2 * sum(i * o for i, o in LAYER), 64 * 512


def test_operations_of_an_answer(toy):
    """A multiplication and an addition for each weight."""
    assert (BODY, HEAD) == (73_728, 32_768)
    assert per_token(toy("llama")[0]) == PerToken(2 * BODY, 2 * HEAD)


def test_operations_of_full_tuning(smoke, one_thread):
    """Twice as many again for the gradients of a layer's input and of its weight."""
    model, _ = load.load(load.base(smoke, "llama"), detect("fp32"))
    assert per_token(model, backward=True) == PerToken(6 * BODY, 6 * HEAD)


def test_operations_of_adapters(smoke, one_thread):
    """The frozen layers only pass gradients on, and nothing passes them on to the embeddings.

    So the first layer's query, key and value, and their adapters, need no gradient of their input.
    """
    from peft import get_peft_model  # seconds, in every process that collects this file

    rank = 4
    recipe = Recipe(method="lora", rank=rank, alpha=8, learning_rate=1e-3, epochs=1)
    base, _ = load.load(load.base(smoke, "llama"), detect("fp32"))
    model = get_peft_model(base, sft.adapter(recipe)).get_base_model()
    adapters = 2 * sum(rank * (i + o) for i, o in LAYER)
    not_needed = sum(i * o + rank * i for i, o in QUERY_KEY_VALUE)
    body = 4 * BODY + 6 * adapters - 2 * not_needed
    assert per_token(model, backward=True) == PerToken(body, 4 * HEAD)


def test_an_encoder_has_no_output_layer(one_thread):
    """A BERT of one layer: four square matrices and two of the intermediate size."""
    from transformers import BertConfig, BertModel

    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 4}
    model = BertModel(BertConfig(num_hidden_layers=1, **sizes), add_pooling_layer=False)
    assert per_token(model) == PerToken(2 * (4 * 64 * 64 + 2 * 64 * 128), 0)
