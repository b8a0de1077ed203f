"""Sampling: how a model is prompted, and how a local one's answers are drawn (§5.3-5.4)."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, Self

import numpy as np
import pandas as pd

from dsi_core.models import load, means
from dsi_core.runtime import jobs
from dsi_core.settings.schema import Responses

READ = 2**15  # tokens of prompts or texts that are read at once, with padding


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
        Answers to each prompt; 1 if greedy, as greedy answers are all the same.
    max_new_tokens
        An answer is cut there.
    batch_size
        Answers under way at a time; fewer where a GPU has no room for their keys and values. Not
        part of a key: it changes an answer only by floating point.
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
    nor batch size, up to floating point in the model's forward pass. (If thousands of tokens are
    about equally likely, as in an untuned model with a large vocabulary, that changes answers: 9 of
    32 of Gemma-3-270m.) An end token counts as a token. Of the checkpoint's own generation
    settings only its end tokens are used.

    Parameters
    ----------
    questions
        Columns sample_id, prompt, draw; prompts of similar length go together.
    model_id
        Part of what an answer's random numbers depend on.
    """
    from dsi_core.models.decoding import decode

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
    with means.head_by_rows(model):
        for places in batches(order, [len(i) + limit for i in ids], size, room):
            batch = [rows[i] for i in places]
            prompts = [ids[i] for i in places]
            own = ((sampling.seed, model_id, row.sample_id, row.draw) for row in batch)
            numbers = np.array([uniform_numbers(limit, *identity) for identity in own])
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
    """Yield the places of questions that are answered together, `size` of them or as many as fit.

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


def uniform_numbers(count: int, *identity) -> np.ndarray:
    """Give `count` uniform numbers in [0, 1) that depend on `identity` alone."""
    digest = hashlib.sha256(json.dumps([str(i) for i in identity]).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "big")).random(count)
