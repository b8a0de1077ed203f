"""What the plan takes for granted, each with its reason (`params/plan.yaml`)."""

import math
import re
from functools import lru_cache, partial
from itertools import groupby
from textwrap import fill
from typing import Literal, Self, get_args

import pandas as pd
from pydantic import Field, ValidationError, model_validator
from safetensors import safe_open

from dsi_core.runtime.paths import ROOT
from dsi_core.settings.profile import explain, read_yaml
from dsi_core.settings.strict import Strict

FILE = "params/plan.yaml"

Number = int | float  # as the file has it: sizes are part of ids
RuleName = Literal[
    "frozen_flops",
    "full_flops",
    "recompute_flops",
    "forward_flops",
    "nf4_bytes",
    "nf4_traffic",
    "adapter_share",
    "encoder_share",
    "trained_bytes",
    "checkpointed_mb",
    "kept_mb",
    "logits_mb",
    "cache_mb",
    "read_mb",
    "chars_per_token",
    "template_tokens",
    "untuned_answer_tokens",
    "longest_of_batch",
    "served_start_s",
    "served_step_ms",
    "served_adapter",
    "local_tainted",
    "endpoint_tokens_per_s",
    "download_mb_per_s",
    "file_bytes",
    "unpacked_bytes",
]


class UnknownSize(ValueError):
    """The size of a model or dataset is stated nowhere; `source`: where that is from."""

    def __init__(self, source: str, message: str) -> None:
        super().__init__(message)
        self.source = source


class Card(Strict):
    """What a device can do."""

    memory_gb: Number = Field(gt=0)  # of a CPU: main memory
    tflops: float = Field(gt=0)  # dense, in the number format of tuning and asking
    tb_per_s: float = Field(gt=0)  # memory bandwidth
    compute_fraction: float = Field(gt=0, le=1)  # share of tflops that tuning reaches
    compiled_fraction: float | None = Field(None, gt=0, le=1)  # with compiled layers; None = never
    compile_s: float = Field(0, ge=0)  # until they are compiled
    forward_fraction: float = Field(gt=0, le=1)  # and that reading and answering reach
    bandwidth_fraction: float = Field(gt=0, le=1)  # share of tb_per_s that is reached
    start_s: float = Field(ge=0)  # until a worker runs that has no model yet
    load_s_per_gb: float = Field(ge=0)  # of a model's file, until it is tuned or asked
    step_ms: float = Field(ge=0)  # that the host takes for a step of answering, at least
    tuning_step_ms: float = Field(ge=0)  # and for one of tuning
    bytes_per_parameter: Number = Field(gt=0)  # of weights that are not quantised
    unpacks: bool  # NF4 weights that fit are held as bytes_per_parameter
    fixed_gb: Number = Field(ge=0)  # embeddings, output layer, context, fragments
    # of activations: always, never, or where they do not fit
    checkpointing: Literal["always", "never", "where needed"]
    micro_batch: int | None = Field(ge=1)  # pairs at once; None = the recipe's whole batch
    workers: int = Field(ge=1)  # jobs at the same time
    device: str  # regular expression of the device names in manifests
    why: str

    def tuning_seconds(
        self, flop_per_parameter: float, billions: float, *, compiled: bool = False
    ) -> float:
        """Tell how long a token takes a model of so many billions of parameters in tuning."""
        fraction = (compiled and self.compiled_fraction) or self.compute_fraction
        return flop_per_parameter * billions / (1000 * self.tflops * fraction)

    def forward_seconds(self, flop_per_parameter: float, billions: float) -> float:
        """Tell how long a token takes a model that reads or answers."""
        return flop_per_parameter * billions / (1000 * self.tflops * self.forward_fraction)


class Rule(Strict):
    """One number that every card shares."""

    value: Number = Field(gt=0)
    unit: str
    why: str


class HubDataset(Strict):
    """The size of a dataset that is not read for a plan."""

    rows: int = Field(ge=1)
    prompt_tokens: Number = Field(gt=0)  # mean, without template
    answer_tokens: Number = Field(gt=0)  # mean
    tainted: int = Field(ge=1)  # samples that suspects are asked
    why: str


class Vocabulary(Strict):
    """A model's embeddings: looking them up takes no computing, writing tokens by them does."""

    billions: float = Field(gt=0)  # of one table
    tied: bool  # it is the output layer, too; else that is another of its size


class Sizes(Strict):
    """Billions of parameters of models whose names do not say, and models that cannot be asked."""

    billions: dict[str, Number]
    vocabulary: dict[str, Vocabulary] = {}
    cached_kb: dict[str, Number] = {}  # keys and values of a token, of models that share heads
    why: str
    gated: list[str] = []  # beginnings of hub ids whose licence must be accepted
    impossible: dict[str, str] = {}  # hub id -> why no causal model of transformers


class Assumptions(Strict):
    """The whole file."""

    cards: dict[str, Card]
    rules: dict[RuleName, Rule]
    datasets: dict[str, HubDataset]
    models: Sizes

    @model_validator(mode="after")
    def every_rule(self) -> Self:
        """No rule is missing."""
        if missing := sorted(set(get_args(RuleName)) - set(self.rules)):
            raise ValueError(f"rules: {', '.join(missing)} must be there, too")
        return self


@lru_cache
def read() -> Assumptions:
    """Read the file.

    Raises
    ------
    ValueError
        Naming the file, and each field that is missing, unknown or not allowed.
    """
    try:
        return Assumptions.model_validate(read_yaml(ROOT / FILE))
    except ValidationError as error:
        raise ValueError(explain(error, FILE)) from None


def table() -> pd.DataFrame:
    """Show what the plan takes for granted: item, value, unit, why."""
    known = read()
    rows: list[tuple] = [(f"card {n}", _listed(c), "", c.why) for n, c in known.cards.items()]
    rows += [(name, rule.value, rule.unit, rule.why) for name, rule in known.rules.items()]
    rows += [(f"dataset {n}", _listed(d), "", d.why) for n, d in known.datasets.items()]
    rows += [
        (f"model {name}", billions, "billions of parameters", known.models.why)
        for name, billions in known.models.billions.items()
    ]
    return pd.DataFrame(rows, columns=["item", "value", "unit", "why"])


def text(width: int) -> str:
    """Say what `table` shows in lines of `width` columns; a reason stands below all its items."""
    wrap = partial(fill, width=width, break_long_words=False, break_on_hyphens=False)
    lines = []
    for why, rows in groupby(table().itertuples(), key=lambda row: row.why):
        for row in rows:
            said = f"{row.item}: {row.value} {row.unit}".rstrip()
            lines.append(wrap(said, subsequent_indent="  "))
        lines.append(wrap(why, initial_indent="    ", subsequent_indent="    "))
    return "\n".join(lines)


def billions(source: str) -> float:
    """Tell a model's parameters in billions.

    Stated in params/plan.yaml, or counted in the files of a local folder, or else what its name
    tells ("-7b", "65B", "270m").

    Raises
    ------
    UnknownSize
        For a name that tells no size, or several.
    """
    known = read().models.billions
    if source in known:
        return float(known[source])
    if counted := _counted(source):
        return counted
    name = source.rsplit("/")[-1].lower()
    told = re.findall(r"(?<![a-z0-9.])(\d+(?:\.\d+)?)([bm])(?![a-z0-9])", name)
    sizes = {float(number) / {"b": 1, "m": 1000}[unit] for number, unit in told}
    if len(sizes) != 1:
        raise UnknownSize(
            source,
            f"model {source!r}: its name tells {'several sizes' if sizes else 'no size'}; "
            f"add its parameters in billions under models: billions: in {FILE}",
        )
    return sizes.pop()


@lru_cache
def _counted(source: str) -> float:
    """Count the parameters in a local folder's safetensors, in billions.

    0 = it has none, or they are packed: then their numbers are not the model's.
    """
    parameters = 0
    for file in (ROOT / source).glob("model*.safetensors"):  # some hold a second copy besides
        with safe_open(file, "numpy") as weights:
            found = [weights.get_slice(name) for name in weights.keys()]  # noqa: SIM118
        if not all(part.get_dtype().startswith(("F", "BF")) for part in found):
            return 0.0
        parameters += sum(math.prod(part.get_shape()) for part in found)
    return parameters / 1e9


def computing_billions(source: str, written: float) -> float:
    """Tell how many billions of a model's parameters the mean token is computed with.

    Where its vocabulary is stated, without looking up embeddings, and with the output layer for
    the share of tokens that are written; else all.
    """
    known, every = read().models.vocabulary.get(source), billions(source)
    if known is None:
        return every
    looked_up = 0 if known.tied else known.billions
    return every - looked_up - known.billions * (1 - written)


def cached_mb(source: str) -> float:
    """Tell what a token of an answer under way leaves in a model's keys and values, in bf16."""
    known = read().models.cached_kb
    if source in known:
        return known[source] / 1000
    return rule("cache_mb") * billions(source) ** (2 / 3)


def card(name: str) -> Card:
    """Find a card. Raises `ValueError` for an unknown one; lists those that are known."""
    known = read().cards
    if name not in known:
        raise ValueError(f"unknown card {name!r}; known: {', '.join(known)}")
    return known[name]


def rule(name: RuleName) -> Number:
    """Give the value of a rule; its unit stands in the file."""
    return read().rules[name].value


def hub_dataset(hub_id: str, name: str) -> HubDataset:
    """Find the size of a dataset on the hub, which the profile calls `name`.

    Raises
    ------
    UnknownSize
        When it is not stated; says where, and what to add.
    """
    known = read().datasets
    if hub_id not in known:
        raise UnknownSize(
            hub_id,
            f"dataset {name!r} on the hub ({hub_id}): its size is not stated; add rows, "
            f"prompt_tokens, answer_tokens, tainted and why under datasets: in {FILE}, "
            f"which has {', '.join(known)}",
        )
    return known[hub_id]


def _listed(entry: Card | HubDataset) -> str:
    values = entry.model_dump(exclude={"why"}, exclude_none=True)
    shown = {k: f"{v:g}" if isinstance(v, float) else v for k, v in values.items()}
    return ", ".join(f"{name} {value}" for name, value in shown.items())
