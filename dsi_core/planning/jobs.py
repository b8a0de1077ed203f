"""The plan's jobs one by one: how long each takes on a card, and what memory and disk.

A job is the workers' start, a download, a tuning, a server's start, an asking, a reading or a
comparison. No model is loaded for the plan.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from dsi_core.data.pairs import Dataset
from dsi_core.method import rates
from dsi_core.method.participants import Participant
from dsi_core.method.rates import Kind, Step
from dsi_core.method.similarity import Backbone
from dsi_core.models import responses
from dsi_core.models.load import Base
from dsi_core.models.sampling import Sampling
from dsi_core.models.tuning import Training
from dsi_core.planning import answering, assumptions, tuning
from dsi_core.planning.assumptions import rule
from dsi_core.planning.machine import Basis, Machine, loading_seconds
from dsi_core.planning.sizes import Prompts, Size, dataset_spec, size_of
from dsi_core.runtime import store


class Phase(StrEnum):
    """When a job is needed, the first first; values as in tables."""

    OFFLINE = "offline"  # references
    ONLINE = "online"  # a suspect's answers and their similarity
    SET_UP = "set-up"  # somebody else's work: suspects' tuning, and downloads
    BESIDE = "beside"  # what only notebooks 07 to 09 need


@dataclass(frozen=True)
class JobEstimate:
    """One job.

    Parameters
    ----------
    id
        Jobs with the same id are one piece of work.
    step, phase
        What is done, and when.
    dataset, model_id, base
        For which victim ("all" = shared by them), by which model, what that starts from.
    billions
        Parameters of the model; NaN behind an endpoint.
    hours
        Of one worker.
    pairs
        Trained on, prompted, read or compared.
    tokens
        Trained on in all epochs, newly generated, read or embedded.
    draws
        Answers to each prompt.
    memory_gb
        On the card; on a CPU main memory.
    disk_gb
        That stay.
    basis
        Of the rate.
    """

    id: str
    step: Step
    phase: Phase
    dataset: str
    model_id: str
    base: str
    billions: float
    hours: float
    pairs: int = 0
    tokens: float = 0.0
    draws: int = 1
    memory_gb: float = 0.0
    disk_gb: float = 0.0
    basis: Basis = Basis.ASSUMED


def start(notebook: str, machine: Machine) -> list[JobEstimate]:
    """Estimate the start of the workers for a notebook; none where that takes no time."""
    card = machine.card
    if not card.start_s:
        return []
    return [
        JobEstimate(
            id=f"start {notebook}",
            step=Step.START,
            phase=Phase.SET_UP,
            dataset="all",
            model_id="-",
            base="-",
            billions=math.nan,
            hours=card.workers * card.start_s / 3600,
        )
    ]


def download(model: Participant) -> JobEstimate | None:
    """Estimate getting a model from the hub or a package; None for one that is not there."""
    place, source = model.training.base.source, source_of(model.training.base)
    if not place.hub and not place.package:
        return None
    billions = assumptions.billions(source)
    gigabytes = billions * rule("file_bytes" if place.hub else "unpacked_bytes")
    return JobEstimate(
        id=f"download {source}",
        step=Step.DOWNLOAD,
        phase=Phase.SET_UP,
        dataset="all",
        model_id="-",
        base=model.trained.base,
        billions=billions,
        hours=1000 * gigabytes / rule("download_mb_per_s") / 3600,
        disk_gb=gigabytes,
    )


def tune(model: Participant, machine: Machine) -> JobEstimate:
    """Estimate the tuning of a model."""
    training = model.training
    recipe = training.recipe
    assert recipe is not None, f"{model.model_id} is not tuned"
    source = source_of(training.base)
    billions = assumptions.billions(source)
    sizes = [size_of(d, training.base, counted=machine.counts) for d in training.datasets]
    pairs = max(1, sum(s.pairs for s in sizes) - len(training.leave_out))
    length = _mean(sizes, lambda size: size.cut(size.pair_tokens, recipe.max_tokens))
    tokens = pairs * recipe.epochs * length
    longest = min(recipe.max_tokens, max(s.longest_tokens for s in sizes))
    written = _mean(sizes, lambda size: size.answer_tokens / size.pair_tokens)
    if training.loss_on == "text":
        written = 1.0
    cost = tuning.cost(recipe, source, pairs, tokens, written, longest, machine.card)
    seconds = cost.seconds + loading_seconds(billions, machine.card)
    held_bytes = rule("unpacked_bytes")
    if recipe.method == "full":  # kept in the type in which it is asked
        held_bytes = machine.card.bytes_per_parameter
    kind = Kind(Step.TUNE, source, recipe.method)
    if kind in machine.speeds:  # of the whole job
        seconds = tokens / machine.speeds[kind]
    return JobEstimate(
        id=f"tune {weights(training)}",
        step=Step.TUNE,
        phase=Phase.OFFLINE if model.is_reference else Phase.SET_UP,
        dataset=model.dataset,
        model_id=model.model_id,
        base=model.trained.base,
        billions=billions,
        hours=seconds / 3600,
        pairs=pairs,
        tokens=tokens,
        memory_gb=cost.memory_gb,
        disk_gb=tuning.trained_billions(recipe, billions) * held_bytes,
        basis=machine.basis(kind),
    )


def answer(
    model: Participant, prompts: Prompts, sampling: Sampling, machine: Machine
) -> JobEstimate:
    """Estimate the answers of a model to each of the prompts, `sampling.draws` times."""
    training = model.training
    prompts = prompts.read_by(training.base, counted=machine.counts)
    source, endpoint = source_of(training.base), training.base.source.endpoint
    is_served, quantized = responses.is_served(training, sampling), _is_quantized(training)
    kind = rates.answering(source, served=is_served, quantized=quantized)
    basis = Basis.ASSUMED if endpoint else machine.basis(kind)
    answer_tokens = _answer_tokens(training, sampling, machine)
    tokens = prompts.count * sampling.draws * answer_tokens
    billions, memory_gb = math.nan, 0.0
    if endpoint is not None:
        seconds = tokens / (rule("endpoint_tokens_per_s") * endpoint.concurrency)
    else:
        who = answering.Model(source, quantized, _is_adapted(training), answer_tokens)
        ask = answering.served if is_served else answering.loop
        cost = ask(who, prompts, sampling, machine.card)
        billions, seconds, memory_gb = who.billions, cost.seconds, cost.memory_gb
        if basis is Basis.MEASURED:
            seconds = tokens / machine.speeds[kind]
        if not is_served:
            seconds += loading_seconds(billions, machine.card)
    key = store.key(
        [
            prompts.spec,
            prompts.count,
            sampling.draws,
            sampling.temperature,
            sampling.max_new_tokens,
            sampling.seed,
        ]
    )
    return JobEstimate(
        id=f"answer {model.dataset} {model.model_id}, {weights(training)} [{key}]",
        step=Step.ANSWER,
        phase=Phase.OFFLINE if model.is_reference else Phase.ONLINE,
        dataset=model.dataset,
        model_id=model.model_id,
        base=model.trained.base,
        billions=billions,
        hours=seconds / 3600,
        pairs=prompts.count,
        tokens=tokens,
        draws=sampling.draws,
        memory_gb=memory_gb,
        disk_gb=tokens * rule("chars_per_token") / 1e9,
        basis=basis,
    )


def _answer_tokens(training: Training, sampling: Sampling, machine: Machine) -> float:
    """The mean length of an answer: a tuned model answers as long as what it was tuned on."""
    mean: float = rule("untuned_answer_tokens")
    if training.datasets:
        sizes = [size_of(d, training.base, counted=machine.counts) for d in training.datasets]
        return _mean(sizes, lambda s: s.cut(s.answer_tokens, sampling.max_new_tokens))
    return min(mean, sampling.max_new_tokens)


def servers(asked: Sequence[tuple[Participant, Sampling]], machine: Machine) -> list[JobEstimate]:
    """Estimate the starts of vLLM's servers for models that are asked.

    One for each victim, phase and base, as `study` asks them: models with the same weights apart
    from an adapter share one.
    """
    found = {}
    for model, sampling in asked:
        training = model.training
        if not responses.is_served(training, sampling):
            continue
        source = source_of(training.base)
        whole = training.recipe is not None and training.recipe.method == "full"
        held = weights(training) if whole else source
        phase = Phase.OFFLINE if model.is_reference else Phase.ONLINE
        numbers = "NF4" if _is_quantized(training) else "plain"
        name = f"serve {model.dataset} {phase} {held} {numbers}"
        billions = assumptions.billions(source)
        seconds = rule("served_start_s") + loading_seconds(billions, machine.card)
        found[name] = JobEstimate(
            id=name,
            step=Step.SERVE,
            phase=phase,
            dataset=model.dataset,
            model_id="-",
            base=model.trained.base,
            billions=billions,
            hours=seconds / 3600,
        )
    return list(found.values())


def _is_quantized(training: Training) -> bool:
    return training.recipe is not None and training.recipe.method == "qlora"


def _is_adapted(training: Training) -> bool:
    return training.recipe is not None and training.recipe.method != "full"


def read(model: Participant, pairs: int, tokens: float, machine: Machine) -> JobEstimate:
    """Estimate the probabilities of given texts: `tokens` in all, prompts included."""
    card = machine.card
    billions = assumptions.billions(source_of(model.training.base))
    seconds = tokens * card.forward_seconds(rule("forward_flops"), billions)
    seconds += loading_seconds(billions, card)
    key = store.key([pairs, round(tokens)])  # the last digit of a sum is another in Python 3.12
    return JobEstimate(
        id=f"read {model.dataset} {weights(model.training)} [{key}]",
        step=Step.READ,
        phase=Phase.ONLINE,
        dataset=model.dataset,
        model_id=model.model_id,
        base=model.trained.base,
        billions=billions,
        hours=seconds / 3600,
        pairs=pairs,
        tokens=tokens,
        memory_gb=card.fixed_gb + billions * card.bytes_per_parameter,
    )


def similarity(
    victim: Dataset, answers: Sequence[JobEstimate], backbone: Backbone, machine: Machine
) -> list[JobEstimate]:
    """Estimate the comparisons of all answers about one victim.

    Offline: oracle outputs and all references' answers. Online: each suspect's answers and the
    references' to the same prompts. bert-score embeds each distinct text once per call; every
    suspect counts as a call of its own, as if it came alone.
    """
    size = size_of(victim, counted=machine.counts)
    references = [a for a in answers if a.phase is Phase.OFFLINE]
    per_prompt = sum(a.tokens for a in references) / size.pairs  # by all references
    tokens = size.pairs * (size.answer_tokens + per_prompt)
    offline = _comparison(victim, None, references, size.pairs, tokens, backbone, machine)
    online = [
        _comparison(
            victim,
            suspect,
            references,
            suspect.pairs * suspect.draws,
            suspect.tokens + suspect.pairs * per_prompt,
            backbone,
            machine,
        )
        for suspect in answers
        if suspect.phase is Phase.ONLINE
    ]
    return [offline, *online]


def _comparison(
    victim: Dataset,
    suspect: JobEstimate | None,
    references: list[JobEstimate],
    texts: int,
    tokens: float,
    backbone: Backbone,
    machine: Machine,
) -> JobEstimate:
    """One call of bert-score: of a suspect's answers, or of the oracle's."""
    source, card = encoder_of(backbone), machine.card
    billions = assumptions.billions(source)
    seconds = tokens * card.forward_seconds(rule("forward_flops"), billions)
    model_id = "-" if suspect is None else suspect.model_id
    compared = references if suspect is None else [*references, suspect]
    settings = backbone.settings.model_dump(exclude_none=True)
    key = store.key([settings, [answers.id for answers in compared]])
    return JobEstimate(
        id=f"similarity {victim.name} {model_id} [{key}]",
        step=Step.SIMILARITY,
        phase=Phase.OFFLINE if suspect is None else Phase.ONLINE,
        dataset=victim.name,
        model_id=model_id,
        base=source,
        billions=billions,
        hours=seconds / 3600,
        pairs=texts * len(references),
        tokens=tokens,
        memory_gb=card.fixed_gb + 4 * billions,  # fp32, also on a GPU
    )


def weights(training: Training) -> str:
    """Name what decides a model's weights."""
    source = source_of(training.base)
    if training.recipe is None:
        return source
    key = store.key(
        [
            [dataset_spec(d) for d in training.datasets],
            training.recipe.model_dump(),
            training.seed,
            sorted(training.leave_out),
            training.loss_on,
        ]
    )
    names = "+".join(d.name for d in training.datasets)
    return f"{source} on {names} with {training.recipe_name} [{key}]"


def source_of(base: Base) -> str:
    """Tell where a base model is from, as `rates.source_of`."""
    return rates.source_of(base.source.model_dump(exclude_none=True))


def encoder_of(backbone: Backbone) -> str:
    """Tell where an encoder is from, as `source_of` says it of a model."""
    if backbone.base is not None:
        return source_of(backbone.base)
    return rates.source_of(backbone.settings.model_dump(exclude_none=True))


def _mean(sizes: list[Size], value: Callable[[Size], float]) -> float:
    return sum(s.pairs * value(s) for s in sizes) / sum(s.pairs for s in sizes)
