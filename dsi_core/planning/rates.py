"""Measured rates: tokens per second of every finished tuning and asking in the store."""

import re
import statistics
from collections import defaultdict
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from dsi_core.runtime import disk, store


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
    """How fast one finished entry of the store was.

    Parameters
    ----------
    kind
        Of its work.
    device
        As its manifest names it.
    tokens_per_second
        Trained on, or newly generated, over one worker's time.
    cpu, precision
        Of the machine, and of its products, as its manifest and its spec name them.
    """

    kind: Kind
    device: str
    tokens_per_second: float
    cpu: str = ""
    precision: str = ""


def rates() -> list[Rate]:
    """Give the rate of every finished tuning and asking that has one."""
    found = [
        _rate(path.parent, kind)
        for kind in ("responses", "tuned")
        for path in sorted(store.root().glob(f"{kind}/*/spec.json"))
    ]
    return [rate for rate in found if rate is not None]


def _rate(folder: Path, kind: str) -> Rate | None:
    """The rate of an entry; None while it is not finished, or where nothing was measured."""
    facts = store.manifest(folder) or {}
    if not facts.get("tokens") or not facts.get("seconds"):
        return None
    spec = disk.read_json(folder / store.SPEC)
    if kind == "tuned":
        work = Kind(Step.TUNE, source_of(spec["base"]), facts["method"])
    else:
        model = spec["model"]
        quantized = model.get("precision", "").endswith(" nf4")
        method = "served" if spec.get("server") else "nf4" if quantized else "plain"
        work = Kind(Step.ANSWER, source_of(model["base"]), method)
    return Rate(
        work,
        facts["device"],
        facts["tokens"] / facts["seconds"],
        facts.get("cpu", ""),
        spec.get("model", spec).get("precision", ""),
    )


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
        if of_this and re.search(device, rate.device):
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
