"""Decoding: a batch of a local model's answers, token by token."""

import math
from collections.abc import Iterator

import numpy as np
import torch
from transformers import DynamicCache


@torch.inference_mode()
def decode(
    model,
    tokenizer,
    prompts: list[list[int]],
    numbers: np.ndarray,
    temperature: float,
    ends: list[int],
) -> Iterator[dict[int, list[int]]]:
    """After each step yield {place in `prompts`: new tokens} of the answers that ended, often none.

    Equal prompts are read once. What `model.generate` does not offer: an answer that has ended is
    computed no further (as many padding tokens as real ones otherwise), and each answer has its
    own random numbers.

    Parameters
    ----------
    prompts
        Token ids.
    numbers
        Shape (prompts, steps), uniform in [0, 1); column t decides token t.
    ends
        Tokens that end an answer.
    """
    unique = sorted(set(map(tuple, prompts)))
    copies = torch.tensor([unique.index(tuple(p)) for p in prompts], device=model.device)
    padded = tokenizer.pad({"input_ids": [list(u) for u in unique]}, return_tensors="pt")
    inputs = padded.to(model.device)
    mask = inputs["attention_mask"]
    position = (mask.cumsum(1) - 1).clamp(min=0)
    cache = DynamicCache(config=model.config)  # it tells which layers have a sliding window
    logits = model(
        input_ids=inputs["input_ids"],
        attention_mask=mask,
        position_ids=position,
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    ).logits[copies, -1]
    cache.batch_select_indices(copies)
    mask, position = mask[copies], position[copies, -1:]
    uniform = torch.tensor(numbers, device=model.device)
    end = torch.tensor(ends, device=model.device)
    answers: list[list[int]] = [[] for _ in prompts]
    places = torch.arange(len(prompts), device=model.device)  # who is still under way
    for step in range(uniform.shape[1]):
        token = choose(logits, uniform[places, step], temperature)
        for place, new in zip(places.tolist(), token.tolist(), strict=True):
            answers[place].append(new)
        stays = ~torch.isin(token, end) & (step + 1 < uniform.shape[1])
        yield {place: answers[place] for place in places[~stays].tolist()}
        if not stays.any():
            return
        if not stays.all():
            kept = stays.nonzero()[:, 0]
            cache.batch_select_indices(kept)
            places, token, mask, position = places[kept], token[kept], mask[kept], position[kept]
        mask = torch.nn.functional.pad(mask, (0, 1), value=1)
        position = position + 1
        logits = model(
            input_ids=token[:, None],
            attention_mask=mask,
            position_ids=position,
            past_key_values=cache,
            use_cache=True,
        ).logits[:, -1]


def choose(logits: torch.Tensor, numbers: torch.Tensor, temperature: float) -> torch.Tensor:
    """Draw one token a row from softmax(logits / temperature) by inverse CDF.

    The CDF is searched in two steps, blocks of tokens and then one block, so that its float64 sum
    over a large vocabulary stays cheap.

    Parameters
    ----------
    logits
        Shape (rows, vocabulary); overwritten.
    numbers
        Shape (rows,), float64 in [0, 1).
    temperature
        0 = the likeliest token.

    Returns
    -------
    torch.Tensor
        Shape (rows,).
    """
    if temperature == 0:
        return logits.argmax(dim=1)
    highest = logits.amax(dim=1, keepdim=True)
    weights = logits.float().sub_(highest).div_(temperature).exp_()
    blocks = weights.view(len(weights), -1, math.gcd(weights.shape[1], 512))
    cdf = blocks.sum(dim=2, dtype=torch.float64).cumsum(dim=1)
    target = numbers[:, None] * cdf[:, -1:]
    block = torch.searchsorted(cdf, target, right=True).clamp(max=cdf.shape[1] - 1)
    before = torch.where(block > 0, cdf.gather(1, (block - 1).clamp(min=0)), 0)
    rows = torch.arange(len(blocks), device=block.device)
    inside = blocks[rows, block[:, 0]].double().cumsum(dim=1)
    # Rounding may put the target at the block's very end, where an impossible token could stand
    last = inside[:, -1:].nextafter(torch.zeros_like(target))
    rest = (target - before).minimum(last)
    return (block * blocks.shape[2] + torch.searchsorted(inside, rest, right=True))[:, 0]
