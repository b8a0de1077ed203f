"""What the reference LM thinks of a suspect's answers, as features; all of it through the store."""

import time
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dsi_core.method import asking, pending
from dsi_core.method.asking import Query
from dsi_core.method.study import Study
from dsi_core.models import load, responses, tuning
from dsi_core.models.sampling import Sampling
from dsi_core.models.tuning import Training
from dsi_core.paper.dpdllm import features
from dsi_core.paper.dpdllm.roles import Mode, Part, Roles, cast
from dsi_core.runtime import disk, jobs, locks, released, store
from dsi_core.runtime.precision import device_name


@dataclass(frozen=True)
class Features:
    """What the classifier of one suspect learns from, and what it judges.

    Parameters
    ----------
    roles
        Who is who; its samples are the rows below.
    known, labels
        Of the calibration samples: shape (samples, length), and 1 = member.
    judged
        Shape (judged samples, length). A row without features is NaN.
    """

    roles: Roles
    known: np.ndarray
    labels: np.ndarray
    judged: np.ndarray


@dataclass(frozen=True)
class Needed:
    """Who is who, what each suspect is asked, and the LMs to be tuned, by their folder."""

    everyone: list[Roles]
    queries: list[Query]
    untuned: dict[Path, Training]


@dataclass(frozen=True)
class Task:
    """The answers of one part to score, and where the scores are stored.

    Parameters
    ----------
    title
        On the progress bar.
    lm
        The reference LM.
    texts
        Columns sample_id, prompt, response; the first answer to each sample.
    mode, length
        Which tokens count, and how many at most.
    name, spec
        Of its entry in the store.
    """

    title: str
    lm: Training
    texts: pd.DataFrame
    mode: Mode
    length: int
    name: str
    spec: dict[str, Any]

    @cached_property
    def folder(self) -> Path:
        """Of the store."""
        return released.entry("dpdllm", self.name, self.spec)


def collect(study: Study, mode: Mode | str) -> list[Features]:
    """Give the features of every suspect; tunes, prompts and scores what the store lacks.

    Raises `ValueError` as `roles.cast` does.
    """
    mode = Mode(mode)
    wanted = needed(study, mode)
    lms = wanted.untuned
    pending.announce([pending.Work(lm.name, lm) for lm in lms.values()])
    load.prepare_all(lm.base for lm in lms.values())
    tunings = [
        jobs.Job(folder.name, tuning.tune, (lm,), lm.passes, **lm.base.needs)
        for folder, lm in lms.items()
    ]
    asking.query(wanted.queries, others=tunings)
    planned = [_tasks(study, roles, mode) for roles in wanted.everyone]
    jobs.run([_job(task) for parts in planned for task in _missing(parts)])
    return [_features(roles, parts) for roles, parts in zip(wanted.everyone, planned, strict=True)]


def needed(study: Study, mode: Mode) -> Needed:
    """Give what all suspects' features need. Raises `ValueError` as `roles.cast` does."""
    everyone, sampling = cast(study.profile, mode), study.sampling.changed(draws=1)
    queries = [_query(roles, sampling) for roles in everyone]
    unscored = [
        roles
        for roles, query in zip(everyone, queries, strict=True)
        if query.missing or _missing(_tasks(study, roles, mode))
    ]
    return Needed(everyone, queries, _untuned(unscored))


def _tasks(study: Study, roles: Roles, mode: Mode) -> dict[Part, Task]:
    assert study.profile.dpdllm is not None, "roles were cast"
    length, sampling = study.profile.dpdllm.length, study.sampling.changed(draws=1)
    return {part: task(roles, part, sampling, mode, length) for part in Part}


def _missing(tasks: dict[Part, Task]) -> list[Task]:
    return [task for task in tasks.values() if store.manifest(task.folder) is None]


def _features(roles: Roles, tasks: dict[Part, Task]) -> Features:
    known, judged = (
        features.filled(read(tasks[part]), tasks[part].length)
        for part in (Part.CALIBRATION, Part.JUDGED)
    )
    labels = np.repeat([1, 0], [len(roles.members), len(roles.non_members)])
    return Features(roles, known, labels, judged)


def _job(task: Task) -> jobs.Job:
    whole = replace(task)  # another machine has another folder
    return jobs.Job(task.title, score, (whole,), len(task.texts), **task.lm.base.needs)


def _untuned(everyone: list[Roles]) -> dict[Path, Training]:
    """The LMs that the store lacks, by their folder; several suspects may share one."""
    lms = {tuning.entry(lm, make=False): lm for roles in everyone for lm in roles.lms.values()}
    return {folder: lm for folder, lm in lms.items() if store.manifest(folder) is None}


def _query(roles: Roles, sampling: Sampling) -> Query:
    """Whatever a suspect has to answer, once."""
    samples = pd.concat([roles.samples(part) for part in Part]).drop_duplicates("sample_id")
    title = f"{roles.model_id} ({roles.dataset})"
    return Query(title, roles.model_id, roles.training, samples, sampling)


def task(roles: Roles, part: Part, sampling: Sampling, mode: Mode, length: int) -> Task:
    """Give the answers of one part to score: they are in the store."""
    samples, lm = roles.samples(part), roles.lms[part]
    answers = asking.collected(_query(roles, sampling))[["sample_id", "response"]]
    texts = samples.merge(answers, on="sample_id", validate="1:1")
    spec = {
        "lm": lm.spec,
        "answers": responses.spec(roles.model_id, roles.training, sampling),
        "texts": store.key(texts.to_numpy().tolist()),
        "mode": str(mode),
        "length": length,
    }
    title = f"{roles.suspect} ({roles.dataset}): {part}"
    return Task(title, lm, texts, mode, length, f"{roles.suspect} {mode} {part}", spec)


def score(task: Task) -> Path:
    """Store what probabilities the LM gives to the tokens of each text, and give the folder.

    In `scores.parquet`: sample_id, probabilities.
    """
    folder = task.folder
    with locks.held(folder):
        if store.manifest(folder) is None:
            model, tokenizer = tuning.load_tuned(task.lm)
            started = time.time()  # tuning and loading have their own records
            limit = task.lm.recipe_here.max_tokens
            rows = [
                features.tokens(tokenizer, prompt, response, task.mode, task.length, limit)
                for prompt, response in zip(
                    task.texts["prompt"], task.texts["response"], strict=True
                )
            ]
            probabilities = features.token_probabilities(model, rows)
            table = pd.DataFrame(
                {"sample_id": task.texts["sample_id"], "probabilities": probabilities}
            )
            disk.write_table(folder / "scores.parquet", table)
            store.finish(
                folder,
                samples=len(table),
                tokens=sum(len(scored) for _, scored in rows),
                device=device_name(),
                seconds=round(time.time() - started, 1),
            )
    return folder


def read(task: Task) -> list[np.ndarray]:
    """Read the stored probabilities, in the order of the task's texts."""
    stored = disk.read_table(task.folder / "scores.parquet")
    table = task.texts[["sample_id"]].merge(stored, on="sample_id", validate="1:1")
    assert len(table) == len(task.texts), f"{task.folder}: {len(table)} of {len(task.texts)} texts"
    return table["probabilities"].tolist()
