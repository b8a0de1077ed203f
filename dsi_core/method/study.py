"""The study: the steps in their order, for every victim dataset. Notebooks call these functions."""

import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from dsi_core.data.pairs import dataset, load_pairs
from dsi_core.method import participants, pending, similarity, tainted, verdict
from dsi_core.method.participants import Membership, Participant
from dsi_core.models import load, responses, served, tuning
from dsi_core.models.sampling import Sampling
from dsi_core.runtime import jobs, store
from dsi_core.runtime.environment import quiet
from dsi_core.settings.profile import Profile, load_profile
from dsi_core.settings.words import VICTIM, dataset_of

PAIR = ["dataset", "sample_id", "prompt", "output", "category"]
SIDES = ("before", "after")  # tuning on D
ROWS = 20_000  # whose texts are put side by side at once


@dataclass(frozen=True)
class Study:
    """A profile and the pairs of its victims (dataset, sample_id, prompt, output, category)."""

    profile: Profile
    pairs: pd.DataFrame

    @property
    def delta_s(self) -> float:
        """Eq. 2's threshold: delta_t unless the profile sets another (§5.4)."""
        decision = self.profile.decision
        return decision.delta_t if decision.delta_s is None else decision.delta_s

    @property
    def sampling(self) -> Sampling:
        """How suspects are prompted."""
        return Sampling.of(self.profile.responses, self.profile.seed)

    @property
    def backbone(self) -> similarity.Backbone:
        """What texts are compared with."""
        return similarity.backbone(self.profile)

    def changed(self, **settings) -> "Study":
        """Give the same study with other settings, checked, on the same pairs."""
        return Study(self.profile.changed(**settings), self.pairs)


def start(profile: str, suite: str | None = None, **overrides) -> Study:
    """Read and check a profile and its victim datasets; nothing is trained.

    suite, overrides: as in `load_profile`, whose errors it raises, and those of `load_pairs`.
    """
    settings = load_profile(profile, suite, **overrides)
    quiet()
    tables = [load_pairs(dataset(settings, v)).assign(dataset=v) for v in settings.victims]
    return Study(settings, pd.concat(tables, ignore_index=True))


def only(study: Study, victims: list[str]) -> Study:
    """Give the same study of some of its victims: their suspects stay the same."""
    pairs = study.pairs[study.pairs["dataset"].isin(victims)]
    return Study(study.profile.changed(victims=victims), pairs.reset_index(drop=True))


def in_depth(study: Study) -> Study:
    """Give the same study of those victims alone at which the profile looks in depth (`in_depth`).

    Raises
    ------
    ValueError
        Where that is none of the study's victims.
    """
    return only(study, study.profile.victims_in_depth())


def plan_only(profile: str, suite: str | None = None) -> Study:
    """Give a profile without its pairs, for tables that need none: nothing is read or fetched."""
    return Study(load_profile(profile, suite), pd.DataFrame(columns=PAIR))


def datasets(study: Study) -> pd.DataFrame:
    """Show every dataset that a model trains on: where from, read, left out and why, kept."""
    profile = study.profile
    names: dict[str, None] = {}
    for model in participants.participants(profile):
        for name in (VICTIM, *model.trained.data):
            names[dataset_of(profile.data, model.dataset, name)] = None
    tables = [load_pairs(dataset(profile, name)) for name in names]
    rows = [
        {
            "dataset": table.attrs["name"],
            "from": table.attrs["where"],
            "read": table.attrs["read"],
            **{f"dropped: {why}": count for why, count in table.attrs["dropped"].items()},
            "used": len(table),
        }
        for table in tables
    ]
    return pd.DataFrame(rows)


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
    """
    models = list(models)
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
        return pending.Work(self.title, self.training, answers=count)

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
    """Get whatever answers the store lacks, and do `others` beside, in parallel.

    Long jobs come first, so that no core waits at the end. Of the models that share one tuning
    only the first tunes: the others come late enough to find it done.

    announced: whether what is lacking was said already.
    """
    missing = [q for q in _together(queries) if q.missing]
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


def reference_answers(study: Study, pairs: pd.DataFrame | None = None) -> pd.DataFrame:
    """Let all references answer once, at temperature 1.0 (§5.3); columns of `answers`, reference.

    pairs: default all of D.
    """
    models = participants.references(study.profile)
    pairs = study.pairs if pairs is None else pairs
    table = answers(models, pairs, study.sampling.for_references())
    architectures = {m.model_id: m.reference for m in models}
    return table.assign(reference=table["model_id"].map(architectures))


def training_losses(study: Study) -> pd.DataFrame:
    """Read the loss curves of every tuned model that the store has, or the released answers.

    Returns dataset, model_id, group, step, epoch, loss (nats per token), learning_rate.
    """
    tables = []
    for model in participants.participants(study.profile):
        if not model.training.datasets:
            continue
        path = tuning.record(model.training) / "loss.csv"
        if path.exists():
            losses = pd.read_csv(path)
            tables.append(
                losses.assign(dataset=model.dataset, model_id=model.model_id, group=model.group)
            )
    return pd.concat(tables, ignore_index=True)


def reference_scores(study: Study) -> pd.DataFrame:
    """Tell how closely each reference repeats the oracle, before and after tuning on D (§5.3).

    Returns
    -------
    pandas.DataFrame
        One row per (dataset, sample_id, reference): prompt, output, category, response_before,
        response_after, raw_before and raw_after (raw BERTScore F1), before and after (on the scale
        of Eq. 1), gap = after - before.
    """
    return scores_of(study, reference_answers(study))


def scores_of(study: Study, answered: pd.DataFrame) -> pd.DataFrame:
    """Give `reference_scores` for answers as `reference_answers` returns them."""
    keys = ["dataset", "sample_id", "reference"]
    wide = answered.pivot(index=keys, columns="role", values="response")
    wide = wide.rename(columns={"R": "response_before", "R^t": "response_after"}).reset_index()
    table = study.pairs.merge(wide, on=["dataset", "sample_id"], validate="1:m")
    raw = raw_sides(study, table, beside_oracle)
    for side, scores in zip(SIDES, raw, strict=True):
        table[f"raw_{side}"] = scores
        table[side] = scale(study, table["dataset"], scores)
    return table.assign(gap=table["after"] - table["before"])


def raw_sides(
    study: Study, table: pd.DataFrame, beside: Callable[[pd.DataFrame], pd.DataFrame]
) -> list[np.ndarray]:
    """Score what is `beside` each row of a table, before tuning and after: shape (rows,) each.

    In blocks, as the texts of all rows, side by side, are many times those of the table.
    """
    scored = [
        np.split(similarity.raw_scores(study.backbone, beside(table.iloc[start : start + ROWS])), 2)
        for start in range(0, max(1, len(table)), ROWS)
    ]
    return [np.concatenate(parts) for parts in zip(*scored, strict=True)]


def beside_oracle(table: pd.DataFrame) -> pd.DataFrame:
    """Give the texts that Eq. 1 compares, columns a, b.

    The oracle with each reference's answers before tuning, then with those after.
    """
    sides = [table.rename(columns={f"response_{side}": "a", "output": "b"}) for side in SIDES]
    return pd.concat([side[["a", "b"]] for side in sides])


def scale(study: Study, datasets: pd.Series, raw: np.ndarray) -> np.ndarray:
    """Put raw scores on the similarity scale that the thresholds refer to."""
    if not study.profile.similarity.rescale:
        return raw
    floors = {name: baseline(study, name).f1 for name in datasets.unique()}
    return similarity.rescale(raw, datasets.map(floors))


def baseline(study: Study, victim: str) -> similarity.Baseline:
    """Find the mean raw score of unrelated texts, for one victim."""
    profile = study.profile
    others = [
        dataset(profile, name)
        for name, source in profile.data.items()
        if source.other_words_of is None  # what says the same is not unrelated
    ]
    return similarity.baseline(study.backbone, dataset(profile, victim), others)


def similarities(scores: pd.DataFrame) -> pd.DataFrame:
    """Give `reference_scores` in long form, for plotting.

    Returns dataset, reference, sample_id, raw, similarity, side (before | after).
    """
    keys = ["dataset", "reference", "sample_id"]
    sides = [
        scores[keys].assign(side=side, raw=scores[f"raw_{side}"], similarity=scores[side])
        for side in SIDES
    ]
    return pd.concat(sides, ignore_index=True)


def find_tainted(study: Study, scores: pd.DataFrame) -> pd.DataFrame:
    """Apply Eq. 1 at the profile's delta_t: dataset, sample_id, min_gap, tainted.

    A warning names each dataset of which no sample is tainted.
    """
    delta_t = study.profile.decision.delta_t
    table = tainted.tainted(scores, delta_t)
    for name, part in table.groupby("dataset", sort=False):
        if not part["tainted"].any():
            warnings.warn(
                f"{name}: no sample is tainted at delta_t {delta_t:g}; the largest gap is "
                f"{part['min_gap'].max():.2f}",
                stacklevel=2,
            )
    return table


def suspect_answers(study: Study, scores: pd.DataFrame) -> pd.DataFrame:
    """Let the suspects answer: dataset, suspect, sample_id, draw, response.

    All of D or, where the profile says `ask: tainted`, the tainted samples.
    """
    pairs = study.pairs
    if study.profile.responses.ask == "tainted":
        chosen = find_tainted(study, scores).query("tainted")
        pairs = pairs.merge(chosen[["dataset", "sample_id"]], on=["dataset", "sample_id"])
    table = answers(participants.suspects(study.profile), pairs, study.sampling)
    return table.rename(columns={"model_id": "suspect"}).drop(columns="role")


def gaps_to(study: Study, scores: pd.DataFrame, responses: pd.DataFrame) -> pd.DataFrame:
    """Tell how much closer each answer of each suspect is to R_i^t than to R_i (§5.4).

    Parameters
    ----------
    responses
        As `suspect_answers` returns.

    Returns
    -------
    pandas.DataFrame
        One row per (dataset, suspect, sample_id, draw, reference): response, architecture (of the
        reference), before = sim(R_i(x), m_r), after = sim(R_i^t(x), m_r), and gap = h_{i,r} =
        after - before, on the profile's similarity scale.
    """
    given = [f"response_{side}" for side in SIDES]
    sides = scores[["dataset", "sample_id", "reference", *given]]
    # By sample, so that its texts are compared in one call; the references' texts for a block alone
    by_sample = responses.assign(place=np.arange(len(responses))).sort_values(
        ["dataset", "sample_id"], kind="stable"
    )
    architectures, parts = participants.architectures(study.profile), []
    for start in range(0, max(1, len(responses)), ROWS):
        part = by_sample.iloc[start : start + ROWS]
        table = part.merge(sides, on=["dataset", "sample_id"], validate="m:m")
        table["architecture"] = table["reference"].map(architectures)
        raw = raw_sides(study, table, beside_references)
        before, after = (scale(study, table["dataset"], side) for side in raw)
        part = table.drop(columns=given).assign(before=before, after=after, gap=after - before)
        parts.append(part)
    table = pd.concat(parts).sort_values("place", kind="stable", ignore_index=True)
    return table.drop(columns="place")


def beside_references(table: pd.DataFrame) -> pd.DataFrame:
    """Give the texts that Eq. 2 compares, columns a, b.

    Each response with the reference answers before tuning, then with those after.
    """
    sides = [table.rename(columns={f"response_{side}": "a", "response": "b"}) for side in SIDES]
    return pd.concat([side[["a", "b"]] for side in sides])


def suspect_gaps(study: Study, scores: pd.DataFrame) -> pd.DataFrame:
    """Prompt the suspects and compare what they say with the references: as `gaps_to`."""
    return gaps_to(study, scores, suspect_answers(study, scores))


def suspects(study: Study) -> pd.DataFrame:
    """Show the suspects: dataset, suspect, group, member (the truth)."""
    return participants.truth(study.profile)


def evidence(study: Study, scores: pd.DataFrame, suspect_answers: pd.DataFrame) -> pd.DataFrame:
    """Apply Eq. 2 to every tainted sample of every suspect.

    Returns dataset, suspect, group, member, sample_id, evidence, status.
    """
    chosen = find_tainted(study, scores).query("tainted")[["dataset", "sample_id"]]
    counted = suspect_answers.merge(chosen, on=["dataset", "sample_id"])
    decision = study.profile.decision
    table = verdict.evidence(counted, study.delta_s, decision.mu, decision.rule)
    return suspects(study).merge(table, on=["dataset", "suspect"])


def verdicts(study: Study, scores: pd.DataFrame, suspect_answers: pd.DataFrame) -> pd.DataFrame:
    """Judge every suspect: positive, negative and filtered samples, verdict, correct."""
    chosen, mu = find_tainted(study, scores), study.profile.decision.mu
    return judged(study, chosen, suspect_answers, study.delta_s, mu)


def judged(
    study: Study,
    samples: pd.DataFrame,
    suspect_answers: pd.DataFrame,
    delta_s: float,
    mu: int,
) -> pd.DataFrame:
    """Give `verdicts` at other thresholds or for other samples (dataset, sample_id, tainted)."""
    rule = study.profile.decision.rule
    table = verdict.judge(suspect_answers, samples, suspects(study), delta_s, mu, rule)
    truth = table["member"].map(Membership.of)
    return table.assign(correct=table["verdict"] == truth)
