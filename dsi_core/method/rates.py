"""How fast earlier work was: tokens a second of each tuning and asking, stored or released."""

import re
import statistics
from collections import defaultdict
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path

from dsi_core.runtime import disk, released, store

KINDS = ["responses", "tuned"]  # of entries whose manifests tell it


class Step(StrEnum):
    """A kind of work; values as in tables."""

    START = "start"  # of the workers
    DOWNLOAD = "download"
    TUNE = "tune"
    SERVE = "serve"  # the start of a server
    ANSWER = "answer"
    READ = "read"  # the probabilities of given texts
    SIMILARITY = "similarity"


@dataclass(frozen=True)
class Kind:
    """Work that has one rate on one device.

    Parameters
    ----------
    step
        Tuning or answering.
    base
        Where the model is from, as `source_of` says it.
    method
        Of tuning: qlora, lora or full, as it was done. Of answers: "served" (by vLLM), or for our
        own loop the kind of weights, nf4 or plain.
    """

    step: Step
    base: str
    method: str


@dataclass(frozen=True)
class Rate:
    """How fast one finished entry was, here or where it was released.

    Parameters
    ----------
    kind
        Of its work.
    device
        As its manifest names it.
    tokens_per_second
        Trained on, or newly generated, over one worker's time; None = nothing was measured.
    cpu, precision
        Of the machine, and of its products, as its manifest and its spec name them.
    parameters
        Of the model; None = not noted.
    """

    kind: Kind
    device: str
    tokens_per_second: float | None
    cpu: str = ""
    precision: str = ""
    parameters: int | None = None


def rates() -> list[Rate]:
    """Give the rate of every finished tuning and asking."""
    own = [
        _own_rate(path.parent)
        for kind in KINDS
        for path in sorted(store.root().glob(f"{kind}/*/{store.MANIFEST}"))
    ]
    return own + [_rate(*entry) for kind in KINDS for entry in released.facts(kind)]


@cache
def _own_rate(folder: Path) -> Rate:
    return _rate(disk.read_json(folder / store.SPEC), disk.read_json(folder / store.MANIFEST))


def _rate(spec: dict, facts: dict) -> Rate:
    """What a complete entry says of its speed; spec: of a model, or of answers with their model."""
    model = spec.get("model", spec)
    precision, source = model.get("precision", ""), source_of(model["base"])
    if model is spec:
        kind = Kind(Step.TUNE, source, facts.get("method", ""))
    else:
        kind = answering(source, served="server" in spec, quantized=precision.endswith(" nf4"))
    tokens, seconds = facts.get("tokens"), facts.get("seconds")
    return Rate(
        kind,
        facts.get("device", ""),
        tokens / seconds if tokens and seconds else None,
        facts.get("cpu", ""),
        precision,
        facts.get("parameters"),
    )


def answering(source: str, *, served: bool, quantized: bool) -> Kind:
    """Name the kind of an answering, by vLLM (`served`) or in our own loop."""
    return Kind(Step.ANSWER, source, "served" if served else "nf4" if quantized else "plain")


def speeds(
    device: str, *, cpu: str | None = None, precision: str | None = None
) -> dict[Kind, float]:
    """Give the median tokens per second of each kind of work.

    device: regular expression of the names of the devices that count. cpu, precision: those that
    count; None = all.
    """
    values = defaultdict(list)
    for rate in rates():
        of_this = cpu in (None, rate.cpu) and precision in (None, rate.precision)
        if rate.tokens_per_second and of_this and re.search(device, rate.device):
            values[rate.kind].append(rate.tokens_per_second)
    return {kind: statistics.median(every) for kind, every in values.items()}


def source_of(spec: dict) -> str:
    """Tell where a model is from, whatever a profile calls it.

    Its hub id, path, first package, "toy family", or "name at URL".
    """
    if "endpoint" in spec:
        return f"{spec['endpoint']['model']} at {spec['endpoint']['base_url']}"
    if "toy" in spec:
        return f"toy {spec['toy']}"
    return spec.get("hub") or spec.get("path") or next(iter(spec["package"])).partition("==")[0]
