"""The loss of tuning on a CPU is that of double precision, over a large vocabulary too."""

import copy

import pytest
import torch

from dsi_core.models import sft
from dsi_core.models.loss import ROWS, nll
from dsi_core.runtime.precision import Precision

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit")
VOCABULARY = 262_144  # Gemma 3's


def test_losses_of_four_tokens_by_hand():
    scores = torch.tensor([[0.0, 0.0], [0.0, 3.0], [1e4, 0.0], [0.0, 1e4]], requires_grad=True)
    loss = nll(scores, torch.tensor([0, 1, 0, 0]))
    assert loss.item() == pytest.approx(0.693147 + 0.048587 + 0 + 1e4)
    (2 * loss).backward()
    expected = [[-1, 1], [0.0948518, -0.0948518], [0, 0], [-2, 2]]
    torch.testing.assert_close(scores.grad, torch.tensor(expected))


def test_probabilities_of_a_large_vocabulary_add_up_to_one():
    generator = torch.Generator().manual_seed(0)
    scores = 3 * torch.randn(8, VOCABULARY, generator=generator)
    tokens = torch.arange(8)
    off = {}
    for way in (nll, _of_torch):
        given = scores.clone().requires_grad_()
        loss = way(given, tokens)
        loss.backward()
        exact = _of_torch(scores.double(), tokens)
        off[way] = (given.grad.double().sum(-1).abs().max(), abs(loss.double() / exact - 1))
    assert max(off[nll]) < 3e-7
    assert off[_of_torch][0] > 3e-6  # what `nll` is for; once torch adds up better, it can go


def test_of_bf16_scores_what_is_kept_is_rounded_alone():
    """More rows than are computed at once; the loss is that of the same numbers in fp32."""
    generator = torch.Generator().manual_seed(0)
    rounded = (3 * torch.randn(2 * ROWS + 3, 500, generator=generator)).bfloat16()
    tokens = torch.arange(len(rounded))
    given, exact = (x.clone().requires_grad_() for x in (rounded, rounded.float()))
    loss = nll(1 * given, tokens)
    assert loss.dtype is torch.float32
    torch.testing.assert_close(loss, _of_torch(exact, tokens))
    (loss / 7).backward()
    (_of_torch(exact, tokens) / 7).backward()
    assert given.grad.dtype is torch.bfloat16
    torch.testing.assert_close(given.grad.float(), exact.grad, rtol=2**-7, atol=2**-12)


def test_scores_are_overwritten_and_autograd_tells_who_still_needs_them():
    scores = torch.tensor([[0.0, 0.0], [0.0, 3.0]])
    nll(scores, torch.tensor([0, 1]))
    torch.testing.assert_close(scores, torch.tensor([[1.0, 1.0], [0.0497871, 1.0]]))
    for kept in (torch.exp, torch.tanh):  # their gradients are made of what they gave
        loss = nll(kept(torch.zeros(2, 2, requires_grad=True)), torch.tensor([0, 1]))
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            loss.backward()


def test_the_gradient_of_a_tiny_model_is_that_of_double_precision():
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=32,
    )
    model = LlamaForCausalLM(config)
    model.requires_grad_(False).model.layers.requires_grad_(True)
    with torch.no_grad():  # peaked scores, of vectors with much in common
        model.lm_head.weight.mul_(50).add_(0.3)
    double = copy.deepcopy(model).double()
    ids = torch.randint(VOCABULARY, (1, 12))
    labels = ids.where(torch.arange(12) > 3, -100)
    compute_loss = sft.trainer_class(Precision("cpu", "fp32")).compute_loss
    compute_loss(None, model, {"input_ids": ids, "labels": labels}).backward()
    _of_torch(double(ids).logits[0, 3:-1], ids[0, 4:]).div(8).backward()
    ours, exact = _gradient(model), _gradient(double)
    assert (ours - exact).abs().max() < 5e-6 * exact.abs().max()  # cross_entropy: 1.3e-5


def _of_torch(scores, tokens):
    return torch.nn.functional.cross_entropy(scores, tokens, reduction="sum")


def _gradient(model) -> torch.Tensor:
    return torch.cat([p.grad.flatten().double() for p in model.parameters() if p.grad is not None])
