"""What a preparation takes, said before it begins: work, hours, memory, disk, what it can find."""

import math
import re
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace

import psutil

from dsi_core.audit.preparation import innocents
from dsi_core.audit.preparation.draft import Draft
from dsi_core.data.pairs import dataset
from dsi_core.evidence import controls
from dsi_core.method import asking, participants
from dsi_core.method.asking import Query
from dsi_core.method.participants import Participant
from dsi_core.method.similarity import backbone
from dsi_core.models import load, tuning
from dsi_core.models.sampling import Sampling
from dsi_core.planning import jobs
from dsi_core.planning.assumptions import UnknownSize
from dsi_core.planning.here import GB
from dsi_core.planning.jobs import JobEstimate
from dsi_core.planning.machine import Machine
from dsi_core.planning.sizes import prompts_of
from dsi_core.runtime import store
from dsi_core.runtime.devices import CPU

LONG = 0.5  # hours, above which work is not begun unasked


@dataclass(frozen=True)
class Outlook:
    """What a preparation takes.

    Attributes
    ----------
    dataset, folder
        Its name, and where it will lie.
    notes
        What was read and left out, a line each.
    machine, workers
        On which it is done.
    sharing
        Workers that share its memory; 1 on a GPU, where each worker has a card's memory.
    trainings
        Models to tune.
    answers, askings
        Answers to draw at most, as if every sample were tainted, and from how many models.
    scorings
        Pairs of texts to compare, at most.
    hours
        Of all workers together, at most; None = not known.
    memory_gb
        At most, of all workers together; of a GPU one worker's, on the card. None = not known.
    free_gb
        Memory that is free now, or the card's.
    largest
        The job that needs most of it.
    disk_gb, free_disk_gb
        Disk that the results keep (None = not known), and free disk.
    unknown
        Models and datasets whose size is not stated anywhere.
    smallest_p
        The smallest p that a finding after the fact can have with these controls.
    fewest
        The kind and base with the fewest controls, in words; of equally many the retrieval control.
    """

    dataset: str
    folder: str
    notes: tuple[str, ...]
    machine: str
    workers: int
    sharing: int
    trainings: int
    answers: int
    askings: int
    scorings: int
    hours: float | None
    memory_gb: float | None
    free_gb: float
    largest: str
    disk_gb: float | None
    free_disk_gb: float
    unknown: tuple[str, ...]
    smallest_p: float
    fewest: str

    @property
    def is_long(self) -> bool:
        """Whether to ask before beginning: it takes more than `LONG`, or an unknown time."""
        return self.hours is None or self.hours > LONG

    def json(self) -> dict:
        """Give it for programs; what is not known is null."""
        return asdict(self)

    def text(self, alpha: float) -> str:
        """Say it for people; alpha: of the audit to come."""
        sized = f"the size of {', '.join(self.unknown)} is not stated in params/plan.yaml"
        why = f" ({sized})" if self.unknown else ""
        lines = [
            *self.notes,
            f"work     tune {self.trainings} models, draw up to {self.answers:,} answers from "
            f"{self.askings} models, compare up to {self.scorings:,} pairs of texts",
            f"time     {_time(self.hours)}{why}, {self.workers} "
            f"{'workers' if self.workers > 1 else 'worker'} on {self.machine}",
            f"memory   {_gb(self.memory_gb)} at most ({self.largest}); {self.free_gb:.1f} GB free",
            f"disk     {_gb(self.disk_gb)} that stay; {self.free_disk_gb:.0f} GB free",
            f"finding  p can be {self.smallest_p:.2g} at the least, by {self.fewest}"
            + ("" if self.smallest_p <= alpha else _too_few(alpha)),
            f"folder   {self.folder}",
        ]
        if self.memory_gb is not None and self.memory_gb > self.free_gb:
            fewer = f", and so do fewer workers (DSI_WORKERS={self.sharing // 2})"
            lines.append(
                "warning  that is more memory than is free: shorter rows (--drop too-long under a "
                "lower max_tokens) and a smaller responses.batch_size need less"
                + (fewer if self.sharing > 1 else "")
            )
        if self.disk_gb is not None and self.disk_gb > self.free_disk_gb:
            lines.append("warning  that is more than the disk has: set $DSI_STORE to another place")
        return "\n".join(lines)


def _too_few(alpha: float) -> str:
    """At most one control retrieves, and its kind always counts: no others make up for that."""
    return (
        f"; there is never more than one such control, so no rank is a finding at alpha {alpha:g}, "
        "whatever controls are added. A finding takes a coin tossed before publication (dsi "
        "protect); the vote and the ranks are still reported"
    )


@dataclass(frozen=True)
class _Asked:
    """A model that answers, and how many of its answers are lacking."""

    model: Participant
    query: Query
    lacking: int


def outlook(draft: Draft, machine: Machine | None, *, done: bool) -> Outlook:
    """Say what a drafted preparation takes.

    Parameters
    ----------
    machine
        None = one of unknown speed.
    done
        Whether the work is done on this machine, whose store may hold some of it.
    """
    every = _asked(draft, done)
    lacking = [a for a in every if a.lacking]
    trainings = _trainings(lacking, done)
    estimates, unknown = _estimates(draft, every, trainings, machine, done)
    known = machine is not None and not unknown
    place = next(p for p in (store.root(), *store.root().absolute().parents) if p.exists())
    references = [a for a in every if a.model.is_reference]
    others = [a for a in every if not a.model.is_reference]
    compared = len(draft.pairs) + sum(len(a.query.questions) * _draws(a) for a in others)
    largest = max(estimates, key=lambda e: e.memory_gb, default=None)
    strata = _strata(draft)
    # of kinds with as few the one that no option adds to
    kind, base = min(strata, key=lambda one: (strata[one], one[0] != innocents.RETRIEVAL))
    return Outlook(
        dataset=draft.facts.name,
        folder=str(draft.folder),
        notes=draft.notes,
        machine="a machine of unknown speed" if machine is None else machine.name,
        workers=1 if machine is None else machine.card.workers,
        sharing=1 if machine is None else _sharing(machine),
        trainings=len(trainings),
        answers=sum(a.lacking for a in lacking),
        askings=len(lacking),
        scorings=compared * len(references),
        hours=sum(e.hours for e in estimates) / machine.card.workers if known and machine else None,
        memory_gb=_memory(estimates, machine) if known and machine else None,
        free_gb=_free(machine, here=done),
        largest="nothing to do" if largest is None else _name(largest),
        disk_gb=sum(e.disk_gb for e in estimates) if known else None,
        free_disk_gb=shutil.disk_usage(place).free / GB,
        unknown=tuple(sorted(unknown)),
        smallest_p=controls.supports(strata.values()),
        fewest=f"{strata[kind, base]} of the kind {kind!r} ({base})",
    )


def _asked(draft: Draft, done: bool) -> list[_Asked]:
    """Everybody who answers: references all of D; known models, too, as if all were tainted."""
    settings = draft.settings
    pairs = draft.pairs.assign(dataset=draft.facts.name)
    usual = Sampling.of(settings.responses, settings.seed)
    models = participants.suspects(settings)
    parts = [
        (participants.references(settings), usual.for_references()),
        (models, usual),
        (innocents.concise(models), innocents.concisely(usual)),
    ]
    found = []
    for some, sampling in parts:
        for model, query in zip(some, asking.queries(some, pairs, sampling), strict=True):
            lacking = query.work.answers if done else len(pairs) * sampling.draws
            found.append(_Asked(model, query, lacking))
    return found


def _draws(asked: _Asked) -> int:
    return asked.query.sampling.draws


def _trainings(lacking: Iterable[_Asked], done: bool) -> list[Participant]:
    """Those who must be tuned, one for each of the same weights."""
    found = {
        jobs.weights(asked.model.training): asked.model
        for asked in lacking
        if asked.model.training.recipe is not None
    }
    return [
        model
        for model in found.values()
        if not done or store.manifest(tuning.entry(model.training, make=False)) is None
    ]


def _estimates(
    draft: Draft,
    every: list[_Asked],
    trainings: list[Participant],
    machine: Machine | None,
    done: bool,
) -> tuple[list[JobEstimate], set[str]]:
    """The jobs that are not done, and the models and datasets whose size is not stated."""
    if machine is None:
        return [], set()
    found: list[JobEstimate] = []
    unknown: set[str] = set()
    victim = dataset(draft.settings, draft.facts.name)
    prompts = prompts_of(victim, counted=True)
    for model in trainings:
        with _sized(unknown):
            found.append(jobs.tune(model, machine))
    answers = []
    for asked in every:
        with _sized(unknown):
            whole = jobs.answer(asked.model, prompts, asked.query.sampling, machine)
            share = asked.lacking / max(1, len(asked.query.questions) * _draws(asked))
            answers.append(whole)
            if share:
                hours, disk = whole.hours * share, whole.disk_gb * share
                found.append(replace(whole, hours=hours, disk_gb=disk))
    waiting = [asked.model for asked in every if asked.lacking]
    for model in {m.training.base.name: m for m in waiting}.values():
        base = model.training.base
        with _sized(unknown):
            fetched = jobs.download(model)
            if fetched is not None and not (done and base.made_here and load.is_ready(base)):
                found.append(fetched)
    if waiting:
        with _sized(unknown):
            served = [(a.model, a.query.sampling) for a in every if a.lacking]
            found += jobs.servers(served, machine)
        with _sized(unknown):
            found += jobs.similarity(victim, answers, backbone(draft.settings), machine)
    return found, unknown


@contextmanager
def _sized(unknown: set[str]) -> Iterator[None]:
    """Note what is of a size that is not stated, of which nothing is estimated."""
    try:
        yield
    except UnknownSize as error:
        unknown.add(error.source)


def _memory(estimates: list[JobEstimate], machine: Machine) -> float:
    """What the largest jobs hold at the same time; on GPUs the largest alone, on its card."""
    sizes = sorted((e.memory_gb for e in estimates), reverse=True)
    return sum(sizes[: _sharing(machine)])


def _sharing(machine: Machine) -> int:
    return machine.card.workers if _is_cpu(machine) else 1


def _is_cpu(machine: Machine) -> bool:
    return re.search(machine.card.device, CPU) is not None


def _free(machine: Machine | None, *, here: bool) -> float:
    if machine is None or (here and _is_cpu(machine)):
        return psutil.virtual_memory().available / GB
    return machine.card.memory_gb * _sharing(machine)


def _name(estimate: JobEstimate) -> str:
    return f"{estimate.step} {estimate.model_id}"


def _strata(draft: Draft) -> Counter[tuple[str, str]]:
    """How many controls there are of each kind and base."""
    models = participants.suspects(draft.settings)
    known = [m for m in models if not m.member]
    found = Counter((m.group, m.trained.base) for m in [*known, *innocents.concise(known)])
    found[innocents.RETRIEVAL, innocents.NO_MODEL] += 1
    if draft.answers:
        found[innocents.ANSWERS, innocents.OF_A_FILE] += len(draft.answers)
    return found


def _time(hours: float | None) -> str:
    if hours is None:
        return "unknown"
    if hours < 1.5:
        return f"about {max(1, math.ceil(60 * hours))} min at most"
    return f"about {hours:.1f} hours at most"


def _gb(size: float | None) -> str:
    return "unknown" if size is None else f"{size:.1f} GB"
