"""A loaded model computes no more than it must."""

import copy

import pytest
import torch


@pytest.mark.parametrize("trained", [True, False])
def test_no_prompt_gets_a_copy_of_the_output_layers_weights(toy, trained):
    """Of a merged adapter, whose weights need no gradient, torch made one for each prompt."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class Products(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            out = func(*args, **(kwargs or {}))
            if isinstance(out, torch.Tensor) and out.shape[-1] == vocabulary:
                made.add(func.overloadpacket.__name__)
            return out

    model = copy.deepcopy(toy("llama")[0]).requires_grad_(trained)
    vocabulary, made = model.config.vocab_size, set[str]()
    with torch.no_grad(), Products():
        scores = model(torch.tensor([[1, 2, 3], [4, 5, 6]]), logits_to_keep=1).logits
    assert scores.shape == (2, 1, vocabulary)
    assert "mm" in made and "bmm" not in made
