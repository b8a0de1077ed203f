"""Decoding: a batch of a local model's answers, token by token."""

import math
from collections.abc import Iterator

import numpy as np
import torch
from transformers import DynamicCache
from transformers.cache_utils import Cache, DynamicLayer

from dsi_core.models.sampling import READ


class InPlace(DynamicLayer):
    """A layer's keys and values with room for those to come, which are written in place.

    Transformers' own copies all that it holds for each token, and again when a row leaves. What a
    sliding window has left behind stays here, and the mask hides it.

    Parameters
    ----------
    rows, tokens
        How many there is room for.
    like
        A layer of the same shape that has read prompts; its values are not taken over (`fill`).
    """

    def __init__(self, rows: int, tokens: int, like: DynamicLayer) -> None:
        super().__init__()
        self.dtype, self.device, self.is_initialized = like.dtype, like.device, True
        self._room = tuple(
            x.new_empty(rows, x.shape[1], tokens, x.shape[3]) for x in (like.keys, like.values)
        )
        self._show(rows, like.keys.shape[2])

    def _show(self, rows: int, tokens: int) -> None:
        """Let `keys` and `values` be the part of the room that is in use."""
        self.keys, self.values = (room[:rows, :, :tokens] for room in self._room)

    def update(self, key_states, value_states, *args, **kwargs):
        """Add tokens to every row, as transformers asks for it."""
        rows, _, before, _ = self.keys.shape
        self._show(rows, before + key_states.shape[2])
        self.keys[:, :, before:], self.values[:, :, before:] = key_states, value_states
        return self.keys, self.values

    def fill(self, rows: torch.Tensor, read: DynamicLayer, source: torch.Tensor) -> None:
        """Fill `rows` with what was read, each from the row that `source` names."""
        rows, source = rows.to(self.device), source.to(self.device)  # layers may be on other GPUs
        self.keys[rows], self.values[rows] = read.keys[source], read.values[source]

    def close_up(self, gaps: torch.Tensor, last: torch.Tensor, rows: int) -> None:
        """Keep only some rows: the last ones take the places of those that left before them."""
        gaps, last = gaps.to(self.device), last.to(self.device)
        self.keys[gaps], self.values[gaps] = self.keys[last], self.values[last]
        self._show(rows, self.keys.shape[2])


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

    Equal prompts are read once. Unlike with `model.generate`, an answer that has ended is computed
    no further (else there are as many padding tokens as real ones), and each answer has its own
    random numbers.

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
    cache, logits = _read(model, inputs["input_ids"], inputs["attention_mask"], copies, numbers)
    mask = inputs["attention_mask"][copies]
    position = mask.sum(1, keepdim=True) - 1
    uniform = torch.tensor(numbers, device=model.device)
    end = torch.tensor(ends, device=model.device)
    answers: list[list[int]] = [[] for _ in prompts]
    places = torch.arange(len(prompts), device=model.device)  # who is still under way
    for step in range(uniform.shape[1]):
        token = choose(logits, uniform[places, step], temperature)
        for place, new in zip(places.tolist(), token.tolist(), strict=True):
            answers[place].append(new)
        stays = ~torch.isin(token, end) & (step + 1 < uniform.shape[1])
        yield {place: answers[place] for place in sorted(places[~stays].tolist())}
        if not stays.any():
            return
        if not stays.all():
            rows = int(stays.sum())
            gaps = (~stays[:rows]).nonzero()[:, 0]
            last = stays[rows:].nonzero()[:, 0] + rows
            for layer in cache.layers:
                layer.close_up(gaps, last, rows)
            kept = torch.arange(rows, device=model.device)
            kept[gaps] = last
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


def _read(
    model, ids: torch.Tensor, mask: torch.Tensor, copies: torch.Tensor, numbers: np.ndarray
) -> tuple[Cache, torch.Tensor]:
    """Read different prompts, as many at once as `READ` allows.

    Returns
    -------
    tuple
        Keys and values of each copy with room for its answer, and scores of its first token.
    """
    layers: list[InPlace] = []
    first = []
    for some in torch.arange(len(ids), device=ids.device).split(max(1, READ // ids.shape[1])):
        read = DynamicCache()
        scores = model(
            input_ids=ids[some],
            attention_mask=mask[some],
            position_ids=(mask[some].cumsum(1) - 1).clamp(min=0),
            past_key_values=read,
            use_cache=True,
            logits_to_keep=1,
        ).logits[:, -1]
        first.append(scores)
        room = len(copies), ids.shape[1] + numbers.shape[1]
        layers = layers or [InPlace(*room, layer) for layer in read.layers]
        rows = torch.isin(copies, some).nonzero()[:, 0]
        for kept, layer in zip(layers, read.layers, strict=True):
            kept.fill(rows, layer, copies[rows] - some[0])
    return Cache(layers=layers), torch.cat(first)[copies]


def choose(logits: torch.Tensor, numbers: torch.Tensor, temperature: float) -> torch.Tensor:
    """Draw one token a row from softmax(logits / temperature) by inverse CDF.

    The CDF is searched in two steps, blocks of tokens and then one block, as a float64 sum over a
    large vocabulary takes as long as a layer.

    Parameters
    ----------
    logits
        Shape (rows, vocabulary); may be overwritten.
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
    scores = logits.float()
    if temperature != 1:
        scores.div_(temperature)
    weights = scores.softmax(dim=1)
    blocks = weights.view(len(weights), -1, math.gcd(weights.shape[1], 512))
    cdf = blocks.sum(dim=2).double().cumsum(dim=1)
    target = numbers[:, None] * cdf[:, -1:]
    block = torch.searchsorted(cdf, target, right=True).clamp(max=cdf.shape[1] - 1)
    before = torch.where(block > 0, cdf.gather(1, (block - 1).clamp(min=0)), 0)
    rows = torch.arange(len(blocks), device=block.device)
    inside = blocks[rows, block[:, 0]].double().cumsum(dim=1)
    # Rounding may put the target at the block's very end, where an impossible token could stand
    last = inside[:, -1:].nextafter(torch.zeros_like(target))
    rest = (target - before).minimum(last)
    return (block * blocks.shape[2] + torch.searchsorted(inside, rest, right=True))[:, 0]
