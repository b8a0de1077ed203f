"""The course of a study: the order of its work, what is done, what it cost, what is left.

Every piece lies in the store under a key of its own: what was interrupted goes on where it was, on
this machine or another with the same store.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from dsi_core.data.pairs import dataset
from dsi_core.method import study
from dsi_core.method.participants import Participant, participants
from dsi_core.method.study import Study
from dsi_core.models import load, responses, tuning
from dsi_core.planning import assumptions, jobs
from dsi_core.planning.jobs import JobEstimate
from dsi_core.planning.machine import Machine
from dsi_core.planning.sizes import prompts_of
from dsi_core.runtime import hub, progress, provenance, store
from dsi_core.runtime.hub import Access
from dsi_core.settings.profile import Profile, load_profile
from dsi_core.settings.schema import Data, Source

COLUMNS = ["suite", "dataset", "step", "models", "done", "planned_hours", "spent_hours"]
SUMMED = ["left_hours", "released"]


@dataclass(frozen=True)
class Part:
    """The study itself (suite "") or one of its suites, without models that cannot be asked."""

    suite: str
    study: Study


def parts(name: str, only: Sequence[str] = ()) -> list[Part]:
    """Give the parts of a profile's study in their order; their pairs are read.

    Parameters
    ----------
    only
        Victims: they and their halves ("dolly" is dolly and dolly_x). Empty = all.

    Raises
    ------
    ValueError
        For an unknown victim.
    """
    suites = ["", *load_profile(name).suites]
    profiles = {suite: load_profile(name, suite or None) for suite in suites}
    known = dict.fromkeys(v for profile in profiles.values() for v in profile.victims)
    data = profiles[""].data
    if unknown := [v for v in only if not any(_is(data, k, v) for k in known)]:
        raise ValueError(f"--only: no victim {', '.join(unknown)}; there are {', '.join(known)}")
    return [
        Part(suite, study.of(_possible(profile).changed(victims=victims)))
        for suite, profile in profiles.items()
        if (
            victims := [
                v for v in profile.victims if not only or any(_is(data, v, o) for o in only)
            ]
        )
    ]


def _is(data: Mapping[str, Data], victim: str, wanted: str) -> bool:
    """Whether a victim is the wanted one, or a half of it."""
    if victim == wanted or data[victim].half is None:
        return victim == wanted
    return data.get(wanted) == data[victim].changed(half=None, apart_from=None)


def _possible(profile: Profile) -> Profile:
    """The profile without suspects that cannot be asked."""
    impossible = assumptions.read().models.impossible

    def can(base: str) -> bool:
        return (load.base(profile, base).source.hub or base) not in impossible

    wild = {
        victim: some.changed(
            members=[m for m in some.members if can(m)],
            non_members=[m for m in some.non_members if can(m)],
        )
        for victim, some in profile.wild.items()
    }
    suspects = [s for s in profile.suspects if can(s.base)]
    return profile.changed(suspects=suspects, wild=wild)


def models_of_the_hub(name: str) -> dict[str, str | None]:
    """Give the hub's models that a profile's study, suites, scales and baseline fetch.

    Returns each id with its revision; None = main.
    """
    impossible = assumptions.read().models.impossible
    return {model: at for model, at in _named(name).items() if model not in impossible}


def _named(name: str) -> dict[str, str | None]:
    """The hub's models that a profile names, also those that cannot be asked."""
    main = load_profile(name)
    profiles = [main, *(load_profile(name, suite) for suite in main.suites)]
    scales = [main.similarity, *main.similarities.values()]
    bases = [trained.base for r in main.more_references for trained in (r.without, r.with_)]
    bases += [main.dpdllm.base] if main.dpdllm else []
    bases += [scale.model for scale in scales if scale.model]
    sources: list[Source] = [load.base(main, base).source for base in bases]
    sources += [model.training.base.source for p in profiles for model in participants(p)]
    found = {source.hub: source.revision for source in [*sources, *scales] if source.hub}
    return dict(sorted(found.items()))


def obstacles(name: str) -> pd.DataFrame:
    """List what stands in the way before anything is done: model, obstacle, what to do.

    The hub is asked which models are gated and whether it lets this account fetch them. If it does
    not answer, models that are known as gated and not in the cache are listed. `run` leaves out
    models that cannot be asked.
    """
    known = assumptions.read().models
    found = hub.access(models_of_the_hub(name))
    gated = tuple(known.gated)
    rows = []
    for model, said in found.items():
        if said is Access.ACCEPTED:
            rows.append((model, str(said), "nothing"))
        elif said is Access.UNKNOWN and model.startswith(gated):
            rows.append((model, "gated, as remembered", hub.TO_DO[Access.NO_TOKEN]))
        elif said in hub.TO_DO and said is not Access.UNKNOWN:
            rows.append((model, str(said), hub.TO_DO[said]))
    left_out = {model: known.impossible.get(model) for model in _named(name)}
    rows += [(model, "left out", why) for model, why in left_out.items() if why]
    return pd.DataFrame(rows, columns=["model", "obstacle", "what"])


def state(parts: Sequence[Part], machine: Machine) -> pd.DataFrame:
    """Say of each kind of work, in its order, how much is planned and done.

    Work that several datasets or parts share, such as a model that is innocent of all, counts in
    the first. A tuning is done if the weights are here, or if all models that need them have
    answered.

    Returns
    -------
    pandas.DataFrame
        Columns suite, dataset, step, models, done (of these), planned_hours (of one worker, on
        the machine), spent_hours (of one worker, as recorded), left_hours (planned, of what is not
        done), released (models of which the store has no answers, and a release has some).
    """
    counted: set[str] = set()
    rows = [row for part in parts for row in _rows(part, machine, counted)]
    table = pd.DataFrame(rows, columns=[*COLUMNS, *SUMMED, "weights"])
    asked = ~table["step"].str.startswith("tune")
    waiting = table.loc[asked & (table["done"] < 1), "weights"]
    table.loc[~asked & ~table["weights"].isin(waiting), ["done", "left_hours"]] = 1, 0.0
    groups = table.groupby(["suite", "dataset", "step"], sort=False)
    return groups[[*COLUMNS[3:], *SUMMED]].sum().reset_index()


def _rows(part: Part, machine: Machine, counted: set[str]) -> Iterator[tuple]:
    """The work of a part that is not counted yet, and whose weights it needs; counted from here."""
    profile = part.study.profile
    usual = part.study.sampling
    for victim in profile.victims:
        data = dataset(profile, victim)
        every = prompts_of(data, counted=machine.counts)
        some = profile.responses.ask == "tainted"
        asked = prompts_of(data, tainted=some, counted=machine.counts)
        samples = part.study.pairs.loc[part.study.pairs["dataset"] == victim, "sample_id"]
        models = [m for m in participants(profile) if m.dataset == victim]
        for model in sorted(models, key=lambda m: not m.is_reference):
            who = "references" if model.is_reference else "suspects"
            weights = jobs.weights(model.training)
            if model.training.datasets and _is_new(job := jobs.tune(model, machine), counted):
                yield *_row(part, victim, f"tune {who}", job, *_tuned(model)), 0, weights
            sampling = usual.for_references() if model.is_reference else usual
            prompts = every if model.is_reference else asked
            if _is_new(job := jobs.answer(model, prompts, sampling, machine), counted):
                folders = responses.folders(model.model_id, model.training, sampling)
                done = _answered(folders, samples, job)
                released = int(done[0] > 0 and not (folders[0] / responses.FILE).exists())
                yield *_row(part, victim, f"ask {who}", job, *done), released, weights


def _is_new(job: JobEstimate, counted: set[str]) -> bool:
    new = job.id not in counted
    counted.add(job.id)
    return new


def _row(
    part: Part, victim: str, step: str, estimate: JobEstimate, share: float, seconds: float
) -> tuple:
    left = estimate.hours * (1 - share)
    return part.suite, victim, step, 1, int(share == 1), estimate.hours, seconds / 3600, left


def _tuned(model: Participant) -> tuple[float, float]:
    """(share that is done, seconds it took); released are its seconds, not its weights."""
    here = store.manifest(tuning.entry(model.training, make=False)) is not None
    facts = store.manifest(tuning.record(model.training)) or {"seconds": 0.0}
    return float(here), facts["seconds"]


def _answered(
    folders: Sequence[Path], samples: pd.Series, estimate: JobEstimate
) -> tuple[float, float]:
    """Of these samples: (share that is done, seconds it took)."""
    found = responses.read(*folders, columns=["sample_id", "draw", *responses.COST])
    found = found[found["sample_id"].isin(samples)]
    spent = float(found["seconds"].sum())
    if len(found) and any(map(_is_recorded, folders)):
        return 1.0, spent
    return min(0.99, len(found) / (estimate.pairs * estimate.draws)), spent


def _is_recorded(folder: Path) -> bool:
    """Whether nothing was answered, about any dataset, since the manifest was written."""
    facts = store.manifest(folder)
    return facts is not None and facts["answers"] == len(responses.read(folder))


def run(parts: Sequence[Part]) -> pd.DataFrame:
    """Do what is left, part by part, victim by victim: references, tainted samples, suspects.

    Returns
    -------
    pandas.DataFrame
        As `study.verdicts`, with the column suite.

    Raises
    ------
    ValueError
        For a victim without a suspect, before any work.
    """
    for part in parts:
        known = set(study.suspects(part.study)["dataset"])
        if alone := [v for v in part.study.profile.victims if v not in known]:
            where = f"params/{part.study.profile.name}.yaml"
            raise ValueError(
                f"{where}{part.suite and f' with suite {part.suite}'}: no suspect to ask about "
                f"{', '.join(alone)}; suspects, non_members_from and wild name some"
            )
    tables = []
    for part in parts:
        for victim in part.study.profile.victims:
            progress.say(f"{provenance.now()}  {part.suite or 'study'}: {victim}")
            one = study.only(part.study, [victim])
            scores = study.reference_scores(one)
            answers = study.suspect_gaps(one, scores)
            tables.append(study.verdicts(one, scores, answers).assign(suite=part.suite))
    return pd.concat(tables, ignore_index=True)
