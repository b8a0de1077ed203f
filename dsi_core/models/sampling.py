"""Sampling: how a local model's answers are drawn, token by token (§5.3-5.4)."""

import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, Self

import numpy as np
import pandas as pd
import torch

from dsi_core.models import load, means
from dsi_core.runtime import jobs
from dsi_core.settings.schema import Responses


@dataclass(frozen=True)
class Sampling:
    """How a model is prompted and its answers are drawn.

    Parameters
    ----------
    seed
        Of the random numbers.
    temperature
        0 = greedy.
    draws
        Answers to each prompt; greedy ones are all the same, so of these there is one.
    max_new_tokens
        An answer is cut there.
    batch_size
        Answers under way at a time; fewer where a GPU has no room for their keys and values. No
        part of a key: it changes an answer no more than floating point forces.
    system
        System prompt; None = none.
    max_prompt_tokens
        A local model's prompt, template included, is cut there; None = nowhere.
    server
        Who answers for a local model: "vllm" (`served`), or our own loop (None).
    """

    seed: int
    temperature: float
    draws: int
    max_new_tokens: int
    batch_size: int
    system: str | None = None
    max_prompt_tokens: int | None = None
    server: Literal["vllm"] | None = None

    @classmethod
    def of(cls, responses: Responses, seed: int) -> Self:
        """Give the way suspects are prompted (§5.4)."""
        return cls(
            seed=seed,
            temperature=responses.temperature,
            draws=responses.draws if responses.temperature else 1,
            max_new_tokens=responses.max_new_tokens,
            batch_size=responses.batch_size,
            system=responses.system,
            max_prompt_tokens=responses.max_prompt_tokens,
            server=responses.server,
        )

    def for_references(self) -> Self:
        """Give the way references are prompted: once, at temperature 1.0, no system (§5.3)."""
        return replace(self, temperature=1.0, draws=1, system=None)

    def changed(self, **values) -> Self:
        """Give the same with other values; greedy answers are drawn once."""
        other = replace(self, **values)
        return other if other.temperature else replace(other, draws=1)


class Answer(NamedTuple):
    """One answer: to which question (a row with sample_id, prompt, draw), its text, its tokens."""

    question: Any
    text: str
    tokens: int


def generate(
    model, tokenizer, questions: pd.DataFrame, model_id: str, sampling: Sampling
) -> Iterator[list[Answer]]:
    """Yield the answers that end together, `batch_size` of them under way at a time.

    Each (model, sample, draw) has its own random numbers, so an answer depends on neither order
    nor batch size, up to floating point in the model's forward pass. (Where thousands of tokens
    are about as likely, as in an untuned model with a large vocabulary, that can be felt: 9 of 32
    answers of Gemma-3-270m.) An end token counts as a token. Of the checkpoint's own generation
    settings only its end tokens are used.

    Parameters
    ----------
    questions
        Columns sample_id, prompt, draw; prompts of similar length go together.
    model_id
        Part of what an answer's random numbers depend on.
    """
    limit, size = sampling.max_new_tokens, sampling.batch_size
    rows = list(questions.itertuples(index=False))
    longest = sampling.max_prompt_tokens
    ids = [
        load.encode_prompt(tokenizer, str(row.prompt), sampling.system)[:longest] for row in rows
    ]
    order = sorted(range(len(rows)), key=lambda i: (len(ids[i]), ids[i]))  # a prompt's draws meet
    ends = load.end_tokens(model, tokenizer)
    room = means.cached_tokens(model)
    done = 0
    for places in batches(order, [len(i) + limit for i in ids], size, room):
        batch = [rows[i] for i in places]
        prompts = [ids[i] for i in places]
        numbers = np.array(
            [uniform_numbers(limit, sampling.seed, model_id, r.sample_id, r.draw) for r in batch]
        )
        steps = decode(model, tokenizer, prompts, numbers, sampling.temperature, ends)
        for step, ended in enumerate(steps):
            if ended:
                texts = tokenizer.batch_decode(list(ended.values()), skip_special_tokens=True)
                yield [
                    Answer(batch[place], text.strip(), len(tokens))
                    for (place, tokens), text in zip(ended.items(), texts, strict=True)
                ]
            share = (done + len(batch) * (step + 1) / limit) / len(order)
            jobs.report(0.8 + 0.2 * share)
        done += len(batch)


def batches(order: list[int], lengths: list[int], size: int, room: float) -> Iterator[list[int]]:
    """Yield the places of those who answer together, `size` of them or as many as fit.

    Parameters
    ----------
    order
        Places, the shortest first.
    lengths
        Tokens of each place, prompt and answer: all of a batch are as long as its longest.
    room
        Tokens that fit.
    """
    batch: list[int] = []
    for place in order:
        if batch and (len(batch) == size or (len(batch) + 1) * lengths[place] > room):
            yield batch
            batch = []
        batch.append(place)
    if batch:
        yield batch


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
    from transformers import DynamicCache

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


def uniform_numbers(count: int, *identity) -> np.ndarray:
    """Give `count` uniform numbers in [0, 1) that depend on `identity` alone."""
    digest = hashlib.sha256(json.dumps([str(i) for i in identity]).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "big")).random(count)


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
