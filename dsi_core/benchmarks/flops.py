"""Floating-point operations of a model's linear layers, as torch counts them."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

# What linear layers run; attention of tokens to each other is `bmm` or a kernel of its own.
LINEAR = (torch.ops.aten.mm, torch.ops.aten.addmm)
TOKENS = 8  # of the text that is counted; linear layers take as many for each


@dataclass(frozen=True)
class PerToken:
    """Floating-point operations that one token takes, a multiplication and an addition as two.

    Parameters
    ----------
    body
        In all linear layers but the output layer.
    head
        In the output layer; 0 where there is none.
    """

    body: float
    head: float


def per_token(model, *, backward: bool = False) -> PerToken:
    """Count the operations of a token in a model, and in the gradients of what it trains.

    The embedding look-up is free; norms, activations and the attention of tokens to each other are
    left out.
    """
    ids = torch.arange(TOKENS, device=model.device)[None]
    body = _count(model, lambda: model.base_model(input_ids=ids).last_hidden_state, backward)
    layer = model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None
    if layer is None:
        return PerToken(body / TOKENS, 0.0)
    width = layer.weight.shape[1]
    hidden = torch.zeros(TOKENS, width, device=model.device, dtype=model.dtype)
    hidden.requires_grad_(backward)
    return PerToken(body / TOKENS, _count(model, lambda: layer(hidden), backward) / TOKENS)


def _count(model, forward: Callable[[], torch.Tensor], backward: bool) -> int:
    in_bf16 = model.dtype is torch.bfloat16  # an adapter on it is fp32, as it is tuned
    with FlopCounterMode(display=False) as counter, torch.set_grad_enabled(backward):
        with torch.autocast(model.device.type, torch.bfloat16, enabled=in_bf16):
            out = forward()
        if backward:
            out.float().sum().backward()
    operations = counter.get_flop_counts()["Global"]
    return sum(count for name, count in operations.items() if name in LINEAR)
