"""Estimate what answering takes of a card, in seconds and memory: by our own loop, or by vLLM."""

import math
from dataclasses import dataclass

from dsi_core.models import means
from dsi_core.models.sampling import READ, Sampling
from dsi_core.planning import assumptions
from dsi_core.planning.assumptions import Card, rule
from dsi_core.planning.machine import Cost, stays_packed, weights_gb
from dsi_core.planning.sizes import Prompts


@dataclass(frozen=True)
class Model:
    """Who answers.

    Parameters
    ----------
    source
        Where its base is from.
    quantized
        Whether its weights are NF4.
    adapted
        Whether an adapter lies beside them.
    answer_tokens
        Of its mean answer.
    """

    source: str
    quantized: bool
    adapted: bool
    answer_tokens: float

    @property
    def billions(self) -> float:
        """Its parameters."""
        return assumptions.billions(self.source)


@dataclass(frozen=True)
class _Load:
    """Numbers that both ways need: tokens, answers under way, what a step reads and computes."""

    prompts: int
    answers: int
    prompt_tokens: float
    context_tokens: float  # that the mean answer under way looks back at
    under_way: int
    weights_gb: float
    packed: bool
    read_s: float  # to compute a prompt's token
    write_s: float  # and an answer's
    memory_gb: float


def loop(model: Model, prompts: Prompts, sampling: Sampling, card: Card) -> Cost:
    """Estimate the answers of a model by our own loop.

    A step takes the longer of reading the weights and computing, plus reading the keys and values,
    or the host's time if that is longer. Answers under way together wait for the longest, but an
    answer that has ended is computed no further. A prompt is read once for all its draws.
    """
    load = _load(model, prompts, sampling, card)
    longest = min(sampling.max_new_tokens, rule("longest_of_batch") * model.answer_tokens)
    steps = math.ceil(load.answers / load.under_way) * longest
    step_gb = model.billions * rule("nf4_traffic") if load.packed else load.weights_gb
    tokens = load.answers * model.answer_tokens
    seconds = max(steps * step_gb * _second_per_gb(card), tokens * load.write_s)
    seconds += tokens * load.context_tokens * _cached_s(model, card)
    seconds = max(seconds, steps * card.step_ms / 1000)
    return Cost(seconds + load.prompts * load.prompt_tokens * load.read_s, load.memory_gb)


def served(model: Model, prompts: Prompts, sampling: Sampling, card: Card) -> Cost:
    """Estimate the answers of a model by vLLM, whose server runs.

    Batches are continuous: an answer that ends makes room for the next, and prompts are read beside
    others' answers. A step takes the host's time, reading the weights or computing, whichever takes
    longer, the keys and values, and unpacking where weights are NF4: they stay packed there.
    """
    load = _load(model, prompts, sampling, card)
    tokens = load.answers * model.answer_tokens
    steps = tokens / load.under_way + sampling.max_new_tokens  # the last ones alone
    computing = tokens * load.write_s + load.answers * load.prompt_tokens * load.read_s
    held_gb = model.billions * card.bytes_per_parameter
    seconds = max(steps * held_gb * _second_per_gb(card), computing)
    seconds += tokens * load.context_tokens * _cached_s(model, card)
    if model.quantized:
        unpacked_gb = model.billions * (rule("nf4_traffic") - card.bytes_per_parameter)
        seconds += steps * unpacked_gb * _second_per_gb(card)
    seconds *= rule("served_adapter") if model.adapted else 1
    return Cost(seconds + steps * rule("served_step_ms") / 1000, load.memory_gb)


def _load(model: Model, prompts: Prompts, sampling: Sampling, card: Card) -> _Load:
    billions, size = model.billions, prompts.size
    longest_prompt = sampling.max_prompt_tokens or math.inf
    prompt_tokens = size.cut(size.prompt_tokens, longest_prompt)
    answers = prompts.count * sampling.draws
    held_gb = weights_gb(billions, model.quantized, card)
    cached_mb = assumptions.cached_mb(model.source)
    room_gb = means.ACTIVATIONS * (card.memory_gb - card.fixed_gb - held_gb)
    fitting = 1000 * room_gb / (cached_mb * (prompt_tokens + sampling.max_new_tokens))
    under_way = max(1, min(sampling.batch_size, answers, int(fitting)))
    longest, read_mb = prompt_tokens, 0.0
    if 0 < size.longest_tokens < math.inf:  # data that is here
        longest = min(size.longest_tokens, longest_prompt)
        read_mb = rule("read_mb") * billions ** (2 / 3) * min(under_way * longest, READ)
    one_mb = cached_mb * (longest + sampling.max_new_tokens)
    held_mb = under_way * one_mb
    if not card.micro_batch:  # a GPU: long answers are batched by what fits, `means.cached_tokens`
        held_mb = min(held_mb, max(one_mb, 1000 * room_gb))
    read, written = (assumptions.computing_billions(model.source, share) for share in (0, 1))
    return _Load(
        prompts=prompts.count,
        answers=answers,
        prompt_tokens=prompt_tokens,
        context_tokens=prompt_tokens + model.answer_tokens / 2,
        under_way=under_way,
        weights_gb=held_gb,
        packed=stays_packed(billions, model.quantized, card),
        read_s=card.forward_seconds(rule("forward_flops"), read),
        write_s=card.forward_seconds(rule("forward_flops"), written),
        memory_gb=card.fixed_gb + held_gb + (held_mb + read_mb) / 1000,
    )


def _second_per_gb(card: Card) -> float:
    return 1 / (1000 * card.tb_per_s * card.bandwidth_fraction)


def _cached_s(model: Model, card: Card) -> float:
    """Seconds to read one token's keys and values."""
    return assumptions.cached_mb(model.source) / 1000 * _second_per_gb(card)
