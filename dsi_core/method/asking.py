"""Models asked a study's questions: what the store lacks is tuned and answered, all else read."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import pandas as pd

from dsi_core.method import pending
from dsi_core.method.participants import Participant
from dsi_core.models import load, responses, served, tuning
from dsi_core.models.sampling import Sampling
from dsi_core.runtime import jobs, store


def answers(models: Iterable[Participant], pairs: pd.DataFrame, sampling: Sampling) -> pd.DataFrame:
    """Let models answer the pairs of their victim; tunes, prompts and stores whatever is missing.

    Parameters
    ----------
    pairs
        Columns dataset, sample_id, prompt.

    Returns
    -------
    pandas.DataFrame
        Columns sample_id, draw, response, dataset, model_id, role; a model's in the order of
        `pairs`, whatever the stored one is.

    Raises
    ------
    ValueError
        Where there are no models.
    """
    models = list(models)
    if not models:
        raise ValueError("no model to ask: the profile names none")
    asked = queries(models, pairs, sampling)
    query(asked)
    tables = [
        collected(q).assign(dataset=m.dataset, model_id=m.model_id, role=str(m.role))
        for m, q in zip(models, asked, strict=True)
    ]
    return pd.concat(tables, ignore_index=True)


def queries(
    models: Sequence[Participant], pairs: pd.DataFrame, sampling: Sampling
) -> list["Query"]:
    """Give what `answers` puts to each model, in their order."""
    several = len({m.dataset for m in models}) > 1
    questions = {
        name: part[["sample_id", "prompt"]] for name, part in pairs.groupby("dataset", sort=False)
    }
    nothing = pairs[["sample_id", "prompt"]].head(0)
    return [
        Query(
            f"{m.model_id} ({m.dataset})" if several else m.model_id,
            m.model_id,
            m.training,
            questions.get(m.dataset, nothing),
            sampling,
        )
        for m in models
    ]


@dataclass(frozen=True)
class Query:
    """Questions (sample_id, prompt) that one model has to answer; title: on the progress bar."""

    title: str
    model_id: str
    training: tuning.Training
    questions: pd.DataFrame
    sampling: Sampling

    @cached_property
    def folders(self) -> list[Path]:
        """Where its answers lie: in the store, and among the released ones."""
        return responses.folders(self.model_id, self.training, self.sampling)

    @property
    def work(self) -> pending.Work:
        """What is lacking of it."""
        known = responses.read(*self.folders, columns=["sample_id", "draw"])
        count = len(responses.unanswered(known, self.questions, self.sampling.draws))
        served = responses.is_served(self.training, self.sampling)
        return pending.Work(self.title, self.training, answers=count, served=served)

    @property
    def missing(self) -> bool:
        """Whether an answer is lacking."""
        return self.work.answers > 0

    def with_questions(self, more: pd.DataFrame) -> "Query":
        """Give the same query with more questions, each asked once."""
        both = pd.concat([part[["sample_id", "prompt"]] for part in (self.questions, more)])
        return replace(self, questions=both.drop_duplicates("sample_id", ignore_index=True))

    def job(self, *, tunes: bool = True) -> jobs.Job:
        """Give the work of it; tunes: whether its model is tuned on the way."""
        cost = len(self.questions) * self.sampling.draws + tunes * self.training.passes
        arguments = self.model_id, self.training, self.questions, self.sampling
        return jobs.Job(self.title, responses.ask, arguments, cost, **self.training.base.needs)


def query(
    queries: Iterable[Query], others: Iterable[jobs.Job] = (), *, announced: bool = False
) -> None:
    """Get the answers that the store lacks, and do the jobs `others` beside them, in parallel.

    Long jobs come first, so that no core waits at the end. Of the models that share one tuning
    only the first tunes: the others come late enough to find it done.

    announced: whether what is lacking was said already.
    """
    missing = []
    for q in _together(queries):
        if q.missing:
            missing.append(q)
        else:
            responses.settle(q.model_id, q.training, q.sampling)
    if not announced:
        pending.announce([q.work for q in missing])
    load.prepare_all(q.training.base for q in missing)
    work, tuned = list(others), set[Path]()
    for q in missing:
        weights = tuning.entry(q.training, make=False)
        tunes = weights not in tuned
        tuned.add(weights)
        if not responses.is_served(q.training, q.sampling):
            work.append(q.job(tunes=tunes))
        elif tunes and q.training.recipe and store.manifest(weights) is None:
            needs = q.training.base.needs
            work.append(jobs.Job(q.title, tuning.tune, (q.training,), q.training.passes, **needs))
    jobs.run(sorted(work, key=lambda job: -job.cost))
    _query_servers([q for q in missing if responses.is_served(q.training, q.sampling)])


def lacking(queries: Iterable[Query]) -> list[Query]:
    """Give the queries of which the store lacks an answer, one for each model."""
    return [q for q in _together(queries) if q.missing]


def _query_servers(queries: Sequence["Query"]) -> None:
    """Ask tuned models through vLLM, a server for all that share what must be loaded.

    On GPUs each worker has one; a CPU has one after another, as each takes all cores.
    """
    groups: dict[str, list[Query]] = {}
    for q in queries:
        groups.setdefault(served.group_of(q.training), []).append(q)
    work = []
    for group in groups.values():
        name = group[0].title if len(group) == 1 else f"{len(group)} models through one server"
        asked = [(q.model_id, q.training, q.questions, q.sampling) for q in group]
        cost = sum(q.job(tunes=False).cost for q in group)
        needs = group[0].training.base.needs
        work.append(jobs.Job(name, responses.ask_through_a_server, (asked,), cost, **needs))
    if any(q.training.precision.device == "cpu" for q in queries):
        for job in work:
            jobs.run([job])
    else:
        jobs.run(sorted(work, key=lambda job: -job.cost))


def _together(queries: Iterable[Query]) -> list[Query]:
    """One query for each model: one that several victims share answers for all of them at once."""
    found: dict[Path, Query] = {}
    for q in queries:
        known = found.get(q.folders[0])
        found[q.folders[0]] = q if known is None else known.with_questions(q.questions)
    return list(found.values())


def collected(query: Query) -> pd.DataFrame:
    """Read a query's answers from the store: sample_id, draw, response, in its questions' order."""
    stored = responses.read(*query.folders)
    wanted = stored[stored["draw"] < query.sampling.draws].sort_values("draw")
    table = query.questions[["sample_id"]].merge(wanted, on="sample_id", validate="1:m")
    expected = len(query.questions) * query.sampling.draws
    assert len(table) == expected, f"{query.model_id}: {len(table)} answers of {expected}"
    return table
