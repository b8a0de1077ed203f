"""The plan's jobs one by one: how long each takes on a card, and what memory and disk.

A download, a tuning, an asking, a reading or a comparison; nothing is loaded for it.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from enum import StrEnum

from dsi_core.data.pairs import Dataset, load_pairs
from dsi_core.method.participants import Participant
from dsi_core.method.similarity import Backbone
from dsi_core.models import means
from dsi_core.models.load import Base
from dsi_core.models.sampling import Sampling
from dsi_core.models.tuning import Training
from dsi_core.planning import assumptions, rates
from dsi_core.planning.assumptions import Card, rule
from dsi_core.planning.rates import Kind, Step
from dsi_core.runtime import store
from dsi_core.settings.schema import Recipe


class Phase(StrEnum):
    """When a job is needed, the first first; values as in tables."""

    OFFLINE = "offline"  # references
    ONLINE = "online"  # a suspect's answers and their similarity
    SET_UP = "set-up"  # somebody else's work: suspects' tuning, and downloads
    BESIDE = "beside"  # what only notebooks 07 to 09 need


class Basis(StrEnum):
    """What a rate comes from; values as in tables."""

    MEASURED = "measured"
    ASSUMED = "assumed"


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


@dataclass(frozen=True)
class Size:
    """How large a dataset is.

    Parameters
    ----------
    pairs
        How many.
    prompt_tokens, answer_tokens
        Means, without template.
    longest_tokens
        Of the longest pair; infinite where it is not known.
    tainted
        Samples that suspects may be asked alone.
    spread
        Whether its lengths are taken as exponential: data that is not read.
    """

    pairs: int
    prompt_tokens: float
    answer_tokens: float
    longest_tokens: float
    tainted: int
    spread: bool = False

    def cut(self, mean: float, limit: float) -> float:
        """Give the mean of texts of so many tokens, each cut at a limit."""
        return mean * (1 - math.exp(-limit / mean)) if self.spread else min(mean, limit)


@dataclass(frozen=True)
class Prompts:
    """What a model is prompted with.

    Parameters
    ----------
    count
        Prompts.
    size
        Of the dataset that they are from.
    spec
        What decides them, as JSON: part of ids.
    """

    count: int
    size: Size
    spec: list


@dataclass(frozen=True)
class RecipeCost:
    """What a recipe takes with a model.

    Parameters
    ----------
    flop_per_parameter
        And token.
    trained_billions
        Parameters that are trained.
    frozen_gb
        Memory of weights that are not.
    """

    flop_per_parameter: float
    trained_billions: float
    frozen_gb: float


@dataclass(frozen=True)
class Machine:
    """What a plan is for.

    Parameters
    ----------
    name
        Of the card.
    card
        What it can do.
    speeds
        Tokens per second measured on such devices.
    counts
        Whether datasets of the hub whose size is not stated are read and counted.
    """

    name: str
    card: Card
    speeds: dict[Kind, float]
    counts: bool = False

    def basis(self, kind: Kind) -> Basis:
        """Tell what the rate of some work comes from."""
        return Basis.MEASURED if kind in self.speeds else Basis.ASSUMED


def machine_of(card: str, *, counts: bool = False) -> Machine:
    """Find a card, and what the store knows of it. Raises `ValueError` for an unknown card."""
    known = assumptions.card(card)
    return Machine(card, known, rates.speeds(known.device), counts)


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


def recipe_cost(recipe: Recipe, billions: float, card: Card) -> RecipeCost:
    """Estimate what a recipe takes with a model of so many billions of parameters."""
    full = recipe.method == "full"
    frozen_gb = 0 if full else _weights_gb(billions, recipe.method == "qlora", card)
    share = 1 if recipe.rank is None else recipe.rank * rule("adapter_share")
    flops = rule("full_flops" if full else "frozen_flops")
    return RecipeCost(flops, billions * share, frozen_gb)


def _weights_gb(billions: float, quantized: bool, card: Card) -> float:
    """What weights take that are not trained: NF4 is unpacked where it fits."""
    plain = billions * card.bytes_per_parameter
    packed = quantized and not (card.unpacks and plain < means.UNPACKED * card.memory_gb)
    return billions * rule("nf4_bytes") if packed else plain


def _activations_gb(billions: float, pairs: int, tokens: float, room_gb: float) -> float | None:
    """What a step of so many pairs keeps for its backward pass, in as few parts as fit.

    None = not even a pair's fits, so it is computed again.
    """
    kept = pairs * tokens * rule("kept_mb") * billions ** (2 / 3) / 1000
    parts = means.parts(pairs, kept, means.ACTIVATIONS * room_gb)
    return None if parts is None else kept / parts


def tune(model: Participant, machine: Machine) -> JobEstimate:
    """Estimate the tuning of a model."""
    training, card = model.training, machine.card
    recipe = training.recipe
    assert recipe is not None, f"{model.model_id} is not tuned"
    source = source_of(training.base)
    billions = assumptions.billions(source)
    cost = recipe_cost(recipe, billions, card)
    weights_gb = card.fixed_gb + cost.frozen_gb + cost.trained_billions * rule("trained_bytes")
    sizes = [size_of(d, counted=machine.counts) for d in training.datasets]
    pairs = max(1, sum(s.pairs for s in sizes) - len(training.leave_out))
    length = _mean(sizes, lambda size: size.cut(_whole(size), recipe.max_tokens))
    tokens = pairs * recipe.epochs * length
    kind = Kind(Step.TUNE, source, recipe.method)
    at_once = min(recipe.batch_size, card.micro_batch or recipe.batch_size)
    longest = min(recipe.max_tokens, max(s.longest_tokens for s in sizes))
    flops = cost.flop_per_parameter
    room_gb = {"always": 0.0, "never": math.inf}.get(
        card.checkpointing, card.memory_gb - weights_gb
    )
    kept_gb = _activations_gb(billions, at_once, longest, room_gb)
    if kept_gb is None:
        kept_gb = at_once * longest * rule("checkpointed_mb") * billions ** (2 / 3) / 1000
        flops += rule("recompute_flops")
    kept_gb += at_once * longest * rule("logits_mb") / 1000
    assumed = 1 / card.tuning_seconds(flops, billions)
    return JobEstimate(
        id=f"tune {weights(training)}",
        step=Step.TUNE,
        phase=Phase.OFFLINE if model.is_reference else Phase.SET_UP,
        dataset=model.dataset,
        model_id=model.model_id,
        base=model.trained.base,
        billions=billions,
        hours=(card.start_s + tokens / machine.speeds.get(kind, assumed)) / 3600,
        pairs=pairs,
        tokens=tokens,
        memory_gb=weights_gb + kept_gb,
        disk_gb=cost.trained_billions * rule("unpacked_bytes"),
        basis=machine.basis(kind),
    )


def answer(
    model: Participant, prompts: Prompts, sampling: Sampling, machine: Machine
) -> JobEstimate:
    """Estimate the answers of a model to each of the prompts, `sampling.draws` times."""
    training = model.training
    quantized = training.recipe is not None and training.recipe.method == "qlora"
    source = source_of(training.base)
    kind = Kind(Step.ANSWER, source, "nf4" if quantized else "plain")
    answer_tokens = _answer_tokens(training, sampling, machine)
    tokens = prompts.count * sampling.draws * answer_tokens
    endpoint = training.base.source.endpoint
    if endpoint is None:
        billions = assumptions.billions(source)
        seconds, memory_gb = _generation(
            billions, quantized, prompts, answer_tokens, sampling, machine
        )
    else:
        billions, memory_gb = math.nan, 0.0
        seconds = tokens / (rule("endpoint_tokens_per_s") * endpoint.concurrency)
    if kind in machine.speeds:
        seconds = tokens / machine.speeds[kind]
    if endpoint is None:
        seconds += machine.card.start_s
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
        basis=machine.basis(kind),
    )


def _answer_tokens(training: Training, sampling: Sampling, machine: Machine) -> float:
    """The mean length of an answer: a tuned model answers as long as what it was tuned on."""
    mean: float = rule("untuned_answer_tokens")
    if training.datasets:
        sizes = [size_of(d, counted=machine.counts) for d in training.datasets]
        return _mean(sizes, lambda s: s.cut(s.answer_tokens, sampling.max_new_tokens))
    return min(mean, sampling.max_new_tokens)


def _generation(
    billions: float,
    quantized: bool,
    prompts: Prompts,
    answer_tokens: float,
    sampling: Sampling,
    machine: Machine,
) -> tuple[float, float]:
    """(seconds, memory in GB) of a local model whose mean answer has so many tokens.

    A step is bound by reading the weights, by computing or by the host, whichever takes longest. An
    answer that has ended is computed no further, and a prompt is read once for all its draws. As
    many answers are under way as `sampling` says, or fit.
    """
    card = machine.card
    answers = prompts.count * sampling.draws
    longest_prompt = sampling.max_prompt_tokens or math.inf
    prompt_tokens = prompts.size.cut(
        prompts.size.prompt_tokens + rule("template_tokens"), longest_prompt
    )
    compute = card.forward_seconds(rule("forward_flops"), billions)
    weights_gb = _weights_gb(billions, quantized, card)
    packed = quantized and weights_gb == billions * rule("nf4_bytes")
    step_gb = billions * rule("nf4_traffic") if packed else weights_gb
    cache_mb = rule("cache_mb") * billions ** (2 / 3)
    room_gb = means.ACTIVATIONS * (card.memory_gb - card.fixed_gb - weights_gb)
    fitting = 1000 * room_gb / (cache_mb * (prompt_tokens + sampling.max_new_tokens))
    batch = max(1, min(sampling.batch_size, answers, int(fitting)))
    longest = min(sampling.max_new_tokens, rule("longest_of_batch") * answer_tokens)
    steps = math.ceil(answers / batch) * longest
    reading = steps * step_gb / (1000 * card.tb_per_s * card.bandwidth_fraction)
    writing = answers * answer_tokens * compute
    waiting = steps * card.step_ms / 1000
    seconds = max(reading, writing, waiting) + prompts.count * prompt_tokens * compute
    token_mb = rule("cache_mb") * (prompt_tokens + sampling.max_new_tokens)
    if 0 < prompts.size.longest_tokens < math.inf:  # data that is here
        longest = min(prompts.size.longest_tokens, longest_prompt)
        token_mb = rule("cache_mb") * (longest + sampling.max_new_tokens)
        token_mb += rule("read_mb") * longest
    reading_gb = batch * token_mb * billions ** (2 / 3) / 1000
    return seconds, card.fixed_gb + weights_gb + reading_gb


def read(model: Participant, pairs: int, tokens: float, machine: Machine) -> JobEstimate:
    """Estimate the probabilities of given texts: `tokens` in all, prompts included."""
    card = machine.card
    billions = assumptions.billions(source_of(model.training.base))
    seconds = tokens * card.forward_seconds(rule("forward_flops"), billions)
    key = store.key([pairs, tokens])
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


def size_of(dataset: Dataset, *, counted: bool = False) -> Size:
    """Tell a dataset's size: stated in params/plan.yaml if it is on the hub, else counted.

    Raises `ValueError` if it is not stated. counted: what is not stated is read and counted.
    """
    source, other = dataset.source, dataset.apart_from
    on_hub = source.hub is not None or (other is not None and other.source.hub is not None)
    if not on_hub or (counted and source.hub not in assumptions.read().datasets):
        return _counted(dataset)
    stated = assumptions.hub_dataset(str(source.hub), dataset.name)
    if source.half is not None:
        taken = min(stated.rows, source.rows or stated.rows)
        pairs = taken // 2 if source.half == 1 else taken - taken // 2
    else:
        rows = stated.rows - (size_of(other).pairs if other else 0)
        pairs = min(rows, source.rows or rows)
    longest_answer = (source.max_output_chars or math.inf) / rule("chars_per_token")
    return Size(
        pairs,
        stated.prompt_tokens,
        min(stated.answer_tokens, longest_answer),
        math.inf,
        min(pairs, stated.tainted),
        spread=source.max_output_chars is None,
    )


def _counted(dataset: Dataset) -> Size:
    """The size of a dataset that is here, in characters: no tokenizer is loaded."""
    pairs, per_token = load_pairs(dataset), rule("chars_per_token")
    prompts, outputs = pairs["prompt"].str.len() / per_token, pairs["output"].str.len() / per_token
    return Size(
        len(pairs),
        prompts.mean(),
        outputs.mean(),
        (prompts + outputs).max() + rule("template_tokens"),
        math.ceil(len(pairs) * rule("local_tainted")),
    )


def prompts_of(dataset: Dataset, *, tainted: bool = False, counted: bool = False) -> Prompts:
    """Give the prompts of a dataset: all of them, or those of its tainted samples."""
    size = size_of(dataset, counted=counted)
    return Prompts(size.tainted if tainted else size.pairs, size, dataset_spec(dataset))


def prompts_like(size: Size) -> Prompts:
    """Give prompts that are no dataset's: as many and as long as `size` says."""
    return Prompts(size.pairs, size, list(astuple(size)))


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


def dataset_spec(dataset: Dataset) -> list[dict]:
    """Give what decides a dataset's pairs but for the seed, and for those it is apart from."""
    other = dataset.apart_from
    source = store.spec_of(dataset.source.model_copy(update={"other_words_of": None}))
    return [source, *(dataset_spec(other) if other else [])]


def source_of(base: Base) -> str:
    """Tell where a base model is from, as `rates.source_of`."""
    return rates.source_of(base.source.model_dump(exclude_none=True))


def encoder_of(backbone: Backbone) -> str:
    """Tell where an encoder is from, as `source_of` says it of a model."""
    if backbone.base is not None:
        return source_of(backbone.base)
    return rates.source_of(backbone.settings.model_dump(exclude_none=True))


def _whole(size: Size) -> float:
    """The mean tokens of a pair, with its template."""
    return size.prompt_tokens + rule("template_tokens") + size.answer_tokens


def _mean(sizes: list[Size], value: Callable[[Size], float]) -> float:
    return sum(s.pairs * value(s) for s in sizes) / sum(s.pairs for s in sizes)
