"""What methods that see more than text read and hear of the suspects, through the store.

Functions take the studies (non-IID, IID, ...) whose suspects are judged.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from dsi_core.grey_box import attacks
from dsi_core.grey_box.compared import SAMPLE, Part, samples, settings
from dsi_core.method import asking, participants, pending
from dsi_core.method.asking import Query
from dsi_core.method.study import Study
from dsi_core.models import load, token_logprobs, tuning
from dsi_core.models.token_logprobs import Variant
from dsi_core.models.tuning import Training, training
from dsi_core.runtime import jobs, store
from dsi_core.settings.extensions import GreyBox
from dsi_core.settings.profile import Profile
from dsi_core.settings.schema import Trained


@dataclass(frozen=True)
class Reading:
    """Texts that one model reads: a suspect, or an untuned base."""

    victim: str
    model: str
    is_reference: bool
    training: Training
    texts: pd.DataFrame
    prefix: list[tuple[str, str]]

    @cached_property
    def folder(self) -> Path:
        """Where the values lie in the store."""
        return token_logprobs.entry(self.training, self.texts, self.prefix, make=False)

    @property
    def title(self) -> str:
        """What a person would call it."""
        return f"{self.model} ({self.victim})"


def texts(samples: pd.DataFrame, grey_box: GreyBox, seed: int) -> pd.DataFrame:
    """Write the texts that are read of one victim's samples.

    Returns
    -------
    pandas.DataFrame
        sample_id, prompt, variant (`Variant`), number (1, 2, ... of a neighbour, else 0), answer.
    """
    rows: list[tuple[str, str, str, int, str]] = []
    read = samples.loc[samples["part"] != Part.PREFIX, ["sample_id", "prompt", "output"]]
    compared = samples["compared"][read.index]
    for (sample_id, prompt, output), changed in zip(read.to_numpy(), compared, strict=True):
        versions = [(Variant.ORIGINAL, 0, output)]
        if changed:
            versions.append((Variant.LOWERCASE, 0, output.lower()))
            for number in range(1, grey_box.neighbours + 1):
                identity = seed, sample_id, number
                text = attacks.neighbour(output, grey_box.changed_share, *identity)
                versions.append((Variant.NEIGHBOUR, number, text))
            versions.append((Variant.RECALL, 0, output))
        rows += [(sample_id, prompt, str(variant), n, text) for variant, n, text in versions]
    return pd.DataFrame(rows, columns=["sample_id", "prompt", "variant", "number", "answer"])


def untuned(profile: Profile, victim: str) -> list[str]:
    """Name the untuned bases that read a victim's texts: references, then suspects' own bases."""
    own = [s.trained.base for s in participants.suspects(profile) if s.dataset == victim]
    return list(dict.fromkeys([*settings(profile).references, *own]))


def readings(profile: Profile, victim: str, samples: pd.DataFrame) -> list[Reading]:
    """Plan who reads what of one victim's samples.

    Suspects and untuned bases read the texts as they are, suspects the other versions too. Raises
    `ValueError` for a suspect behind an endpoint, whose probabilities cannot be seen.
    """
    grey_box = settings(profile)
    every = texts(samples, grey_box, profile.seed)
    is_original = every["variant"] == Variant.ORIGINAL
    originals = every[is_original].reset_index(drop=True)
    versions = every[~is_original].reset_index(drop=True)
    shots = samples.loc[samples["part"] == Part.PREFIX, ["prompt", "output"]]
    prefix = list(shots.itertuples(index=False, name=None))
    suspects = [s for s in participants.suspects(profile) if s.dataset == victim]
    remote = [s.model_id for s in suspects if s.training.base.source.endpoint]
    if remote:
        raise ValueError(
            f"{', '.join(remote)}: behind an endpoint; "
            "the probabilities of given texts cannot be seen there"
        )
    bases = {b: training(profile, victim, Trained(base=b)) for b in untuned(profile, victim)}
    return [
        *(Reading(victim, s.model_id, False, s.training, originals, []) for s in suspects),
        *(Reading(victim, attacks.named(b), True, t, originals, []) for b, t in bases.items()),
        *(Reading(victim, s.model_id, False, s.training, versions, prefix) for s in suspects),
    ]


def token_values(studies: Sequence[Study]) -> pd.DataFrame:
    """Let every suspect and every reference read; tunes and reads what the store lacks.

    Returns
    -------
    pandas.DataFrame
        dataset, model (an untuned base is called "reference <base>"), reference (bool), part,
        prompt, output, and the columns of `token_logprobs.read`.
    """
    planned = []
    for run in studies:
        for victim, table in samples(run).groupby("dataset", sort=False):
            planned += [(table, reading) for reading in readings(run.profile, str(victim), table)]
    missing = {r.folder: r for _, r in planned if store.manifest(r.folder) is None}
    by_model: dict[Path, list[Reading]] = {}
    for reading in missing.values():
        weights = tuning.entry(reading.training, make=False)
        by_model.setdefault(weights, []).append(reading)
    pending.announce([_work(own) for own in by_model.values()])
    load.prepare_all(own[0].training.base for own in by_model.values())
    # Long jobs first, so that no core waits at the end
    jobs.run(sorted(map(_job, by_model.values()), key=lambda job: -job.cost))
    tables = []
    for table, reading in planned:
        named = table[["dataset", "sample_id", "part", "prompt", "output"]]
        values = token_logprobs.read(reading.folder).merge(named, on="sample_id", validate="m:1")
        tables.append(values.assign(model=reading.model, reference=reading.is_reference))
    identity = ["dataset", "model", "sample_id", "variant", "number"]
    return pd.concat(tables, ignore_index=True).drop_duplicates(identity, ignore_index=True)


def _work(own: list[Reading]) -> pending.Work:
    """All that one model reads."""
    return pending.Work(own[0].title, own[0].training, texts=sum(len(r.texts) for r in own))


def _job(own: list[Reading]) -> jobs.Job:
    """The job of reading it: the model is tuned and loaded once."""
    work, model = _work(own), own[0].training
    tuned = store.manifest(tuning.entry(model, make=False)) is not None
    cost = work.texts + (0 if tuned else model.passes)
    arguments = model, [(r.texts, r.prefix) for r in own]
    name = f"{work.name}: {work.texts} texts"
    return jobs.Job(name, token_logprobs.score_all, arguments, cost, **model.base.needs)


def answers(studies: Sequence[Study]) -> pd.DataFrame:
    """Prompt the suspects with the `asked` samples of D and validation, unless the store has it.

    Returns
    -------
    pandas.DataFrame
        dataset, suspect, part, sample_id, output, greedy (bool), draw, response.
    """
    planned = []
    for run in studies:
        table = samples(run).query("asked and part != 'prefix'")
        sampled = run.sampling.changed(draws=settings(run.profile).draws)
        greedy = run.sampling.changed(temperature=0.0)
        for suspect in participants.suspects(run.profile):
            questions = table[table["dataset"] == suspect.dataset]
            for sampling in (sampled, greedy) if sampled.temperature else (greedy,):
                title = f"{suspect.model_id} ({suspect.dataset}) at {sampling.temperature:g}"
                identity = suspect.model_id, suspect.training
                planned.append((questions, Query(title, *identity, questions, sampling)))
    asking.query([query for _, query in planned])
    tables = []
    for questions, query in planned:
        given = questions.merge(asking.collected(query), on="sample_id", validate="1:m")
        tables.append(given.assign(suspect=query.model_id, greedy=query.sampling.temperature == 0))
    columns = ["dataset", "suspect", *SAMPLE, "output", "greedy", "draw", "response"]
    return pd.concat(tables, ignore_index=True)[columns]
