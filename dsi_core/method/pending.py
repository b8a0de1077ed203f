"""Said before work begins: which models must be tuned or asked here, and about how long."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import median

from dsi_core.data.pairs import load_pairs
from dsi_core.method import rates
from dsi_core.method.rates import Kind, Rate, Step
from dsi_core.models import load, tuning
from dsi_core.models.tuning import Training
from dsi_core.runtime import progress, provenance, store
from dsi_core.runtime.devices import CPU, devices
from dsi_core.runtime.precision import Dtype, device_name, product_flops

CHARACTERS = 4  # of a token, in English
TEMPLATE = 15  # tokens of a chat format
ANSWER = 60  # tokens, where no data tell how long answers are
SHARE_OF_PEAK = 0.45  # of a matrix product's operations that tuning and answering reach on a CPU
FORWARD, ADAPTERS, FULL = 2, 4, 6  # operations per parameter and token
SHOWN = 4  # names in a line


@dataclass(frozen=True)
class Work:
    """What a model has to do here: `answers` to draw, `texts` to read; tuned first if need be.

    served: by vLLM.
    """

    name: str
    training: Training
    answers: int = 0
    texts: int = 0
    served: bool = False


def announce(work: Sequence[Work], whole: str = "") -> None:
    """Say on stderr what `sentence` says, if there is anything to do."""
    if work:
        progress.say(sentence(work, whole))


def sentence(work: Sequence[Work], whole: str = "") -> str:
    """Say which models must be tuned and asked, and about how long that takes.

    whole: what this is all work of, where it is more than that of the step at hand.

    The time is that of earlier work of this kind on this device, or else, on a CPU, of a matrix
    product here; where neither is known, it says "how long is not known".
    """
    tuned = _untuned(work)
    asked = [w for w in work if w.answers]
    read = [w for w in work if w.texts]
    parts = []
    if tuned:
        parts.append(f"tune {_named(tuned)}")
    if asked:
        parts.append(f"draw {sum(w.answers for w in asked):,} answers from {_named(asked)}")
    if read:
        parts.append(f"read {sum(w.texts for w in read):,} texts with {_named(read)}")
    labels = sorted({w.training.precision.label() for w in work})
    workers = max(1, len(devices()[: len(work)]))
    earlier = rates.rates()
    seconds = [_tuning_seconds(w.training, earlier) for w in tuned]
    seconds += [_answering_seconds(w, earlier) for w in work if w.answers or w.texts]
    known = [s for s in seconds if s is not None]
    takes, besides = "how long is not known", ""
    if len(known) == len(seconds):
        takes = f"about {_time(sum(known) / workers)}"
        first = f"making {_bases(work)} ready, " if _bases(work) else ""
        later = "comparing texts" if whole else "what later steps lack"
        besides = f"; {first}the workers' start, and {later}, come on top"
    how = f"{', '.join(labels)}, {workers} worker{'s' if workers > 1 else ''}"
    of_whole = f" for {whole}" if whole else ""
    made = f"neither stored nor released, so made here{of_whole}: {'; '.join(parts)}"
    return f"{made}: {takes} ({how}){besides}"


def _untuned(work: Iterable[Work]) -> list[Work]:
    """Whose weights the store lacks; of several models with the same weights the first."""
    found: dict[Path, Work] = {}
    for w in work:
        if w.training.recipe is not None:
            found.setdefault(tuning.entry(w.training, make=False), w)
    return [w for folder, w in found.items() if store.manifest(folder) is None]


def _bases(work: Iterable[Work]) -> str:
    """Names of the base models that are fetched or made first."""
    bases = [w.training.base for w in work]
    return ", ".join(sorted({b.name for b in bases if b.made_here and not load.is_ready(b)}))


def _named(work: Sequence[Work]) -> str:
    shown = ", ".join(w.name for w in work[:SHOWN])
    more = f" and {len(work) - SHOWN} more" if len(work) > SHOWN else ""
    return f"{len(work)} model{'s' if len(work) > 1 else ''} ({shown}{more})"


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    if seconds < 5400:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"


def _tuning_seconds(training: Training, earlier: Sequence[Rate]) -> float | None:
    recipe = training.recipe_here
    pairs = tuning.training_pairs(training)
    characters = pairs["prompt"].str.len().sum() + pairs["output"].str.len().sum()
    tokens = recipe.epochs * (characters / CHARACTERS + TEMPLATE * len(pairs))
    kind = Kind(Step.TUNE, rates.source_of(training.base.spec), recipe.method)
    operations = FULL if recipe.method == "full" else ADAPTERS
    return _seconds(training, tokens, kind, operations, earlier)


def _answering_seconds(work: Work, earlier: Sequence[Rate]) -> float | None:
    training = work.training
    if training.base.source.endpoint is not None:
        return None
    lengths = [load_pairs(d)["output"].str.len().mean() for d in training.datasets]
    each = max(lengths) / CHARACTERS if lengths else ANSWER
    source = rates.source_of(training.base.spec)
    kind = rates.answering(source, served=work.served, quantized=training.quantized)
    return _seconds(training, (work.answers + work.texts) * each, kind, FORWARD, earlier)


def _seconds(
    training: Training, tokens: float, kind: Kind, operations: int, earlier: Sequence[Rate]
) -> float | None:
    """The time of so many tokens."""
    precision = training.precision
    here = device_name(), provenance.cpu(), precision.label(quantized=training.quantized)
    speeds = [r.tokens_per_second for r in earlier if r.kind == kind and _is_of(r, *here)]
    if known := [speed for speed in speeds if speed is not None]:
        return tokens / median(known)
    sizes = [r.parameters for r in earlier if r.kind.base == kind.base and r.parameters]
    if not sizes or precision.device != CPU:
        return None
    return tokens * operations * sizes[0] / (_peak(precision.dtype) * SHARE_OF_PEAK)


def _is_of(rate: Rate, device: str, cpu: str, precision: str) -> bool:
    """Whether a rate is of this device; of a CPU also the precision counts."""
    return rate.device == device != CPU or (rate.cpu, rate.precision) == (cpu, precision)


@cache
def _peak(dtype: Dtype) -> float:
    """Operations a second of a matrix product on this CPU."""
    return product_flops(dtype)
