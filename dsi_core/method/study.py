"""The study: the steps in their order, for every victim dataset of a profile. Notebooks call these functions."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from dsi_core.data import pairs as data
from dsi_core.method import similarity, tainted, verdict
from dsi_core.models import load as models
from dsi_core.models import responses, tuning
from dsi_core.runtime import jobs as work
from dsi_core.settings import profile as params
from dsi_core.settings.profile import Profile
from dsi_core.settings.schema import Trained, Wild

MEMBER = {True: "member", False: "non-member"}


@dataclass(frozen=True)
class Study:
    """A profile and the pairs of its victim datasets (columns dataset, sample_id, prompt, output, category)."""

    profile: Profile
    pairs: pd.DataFrame

    @property
    def delta_s(self) -> float:
        """Eq. 2's threshold: delta_t unless the profile sets another (§5.4)."""
        return (
            self.profile.decision.delta_t
            if self.profile.decision.delta_s is None
            else self.profile.decision.delta_s
        )


def start(profile: str, suite: str | None = None, **overrides) -> Study:
    """Read and check a profile and its victim datasets; nothing is trained. Suite and overrides as in `params.load_profile`."""
    settings = params.load_profile(profile, suite, **overrides)
    work.quiet()
    tables = [data.load_pairs(settings, v).assign(dataset=v) for v in settings.victims]
    return Study(settings, pd.concat(tables, ignore_index=True))


def plan_only(profile: str, suite: str | None = None) -> Study:
    """A profile without its pairs, for tables that need none: nothing is read or fetched."""
    return Study(
        params.load_profile(profile, suite),
        pd.DataFrame(columns=["dataset", "sample_id", "prompt", "output", "category"]),
    )


def datasets(study: Study) -> pd.DataFrame:
    """Every dataset that a model here trains on: where it is from, pairs read, left out and why, and kept."""
    wanted = dict.fromkeys(
        params.dataset_of(study.profile, m.dataset, d)
        for m in members(study).itertuples()
        for d in (params.VICTIM, *m.trained.data)
    )
    tables = [data.load_pairs(study.profile, n) for n in wanted]
    return pd.DataFrame(
        [
            {
                "dataset": t.attrs["name"],
                "from": t.attrs["where"],
                "read": t.attrs["read"],
                **{f"dropped: {why}": count for why, count in t.attrs["dropped"].items()},
                "used": len(t),
            }
            for t in tables
        ]
    )


def members(study: Study) -> pd.DataFrame:
    """Every model that takes part: columns dataset, model_id, role (R_i, R_i^t or suspect), group, member, base, data, recipe."""
    rows = []
    for victim in study.profile.victims:
        for r in study.profile.references:
            for role, trained, member in (("R", r.without, False), ("R^t", r.with_, True)):
                rows.append((victim, f"{role} {r.name}", role, "reference", member, trained))
        for s in study.profile.suspects:
            rows.append(
                (victim, s.name, "suspect", s.group or f"local {MEMBER[s.member]}s", s.member, s)
            )
        wild = study.profile.wild.get(victim, Wild(members=[], non_members=[]))
        for ids, member in ((wild.members, True), (wild.non_members, False)):
            trained = [Trained(base=hub, data=wild.data, recipe=wild.recipe) for hub in ids]
            rows += [
                (victim, t.base, "suspect", wild.group or f"wild {MEMBER[member]}s", member, t)
                for t in trained
            ]
    table = pd.DataFrame(
        rows, columns=["dataset", "model_id", "role", "group", "member", "trained"]
    )
    return table.assign(
        base=[t.base for t in table["trained"]],
        data=["+".join(t.data) or "-" for t in table["trained"]],
        recipe=[t.recipe or "-" for t in table["trained"]],
    )


def answers(study: Study, role: str, pairs: pd.DataFrame | None = None) -> pd.DataFrame:
    """Answers of all references (role "reference") or all suspects to `pairs` (default: all of D).

    Returns dataset, model_id, role, sample_id, draw, response. Tunes, asks and stores whatever is missing, in parallel.
    """
    pairs = study.pairs if pairs is None else pairs
    if role == "reference":
        study = Study(without_system(study.profile), study.pairs)
    settings = study.profile.responses
    people = members(study).query(
        "group == 'reference'" if role == "reference" else "role == 'suspect'"
    )
    temperature = (
        1.0 if role == "reference" else settings.temperature
    )  # §5.3: references answer once, at temperature 1.0
    draws = (
        1 if role == "reference" or temperature == 0 else settings.draws
    )  # greedy answers are all the same
    jobs, folders = [], []
    for m in people.itertuples():
        questions = pairs.loc[pairs["dataset"] == m.dataset, ["sample_id", "prompt"]]
        folder = responses.entry(
            study.profile, m.dataset, m.model_id, m.trained, temperature, make=False
        )
        folders.append((m, questions, folder))
        if len(responses.missing(folder, questions, draws)):
            name = m.model_id if len(study.profile.victims) == 1 else f"{m.model_id} ({m.dataset})"
            jobs.append(
                work.Job(
                    name,
                    responses.ask,
                    (study.profile, m.dataset, m.model_id, m.trained, questions),
                    _cost(study, m, len(questions) * draws),
                    {"draws": draws, "temperature": temperature},
                )
            )
    bases = sorted({j.args[3].base for j in jobs} - set(models.ready(study.profile)))
    work.run(
        [
            work.Job(f"prepare {b}", models.prepare, (study.profile, b))
            for b in bases
            if not models.base(study.profile, b).hub and not models.base(study.profile, b).endpoint
        ]
    )
    work.run(
        sorted(jobs, key=lambda j: -j.cost)
    )  # long jobs first, so that no core waits at the end
    tables = []
    for m, questions, folder in folders:
        told = responses.read(folder).query("draw < @draws").sort_values("draw")
        table = questions[["sample_id"]].merge(
            told, on="sample_id", validate="1:m"
        )  # D's order, whatever the file's
        assert len(table) == len(questions) * draws, (
            f"{m.model_id}: {len(table)} answers to {len(questions)} x {draws} questions"
        )
        tables.append(table.assign(dataset=m.dataset, model_id=m.model_id, role=m.role))
    return pd.concat(tables, ignore_index=True)


def without_system(profile: Profile) -> Profile:
    """The profile as references are asked: a system prompt is for suspects only."""
    return profile.model_copy(
        update={"responses": profile.responses.model_copy(update={"system": None})}
    )


def _cost(study: Study, member, questions: int) -> float:
    """A job's rough size for the progress bar: pairs trained on (three passes each) plus answers."""
    trained = member.trained
    if not trained.data:
        return questions
    epochs = study.profile.recipes[trained.recipe].epochs
    return questions + 3 * epochs * len(
        tuning.training_pairs(study.profile, member.dataset, trained)
    )


def training_losses(study: Study) -> pd.DataFrame:
    """Loss curves of every tuned model that the store has: dataset, model_id, group, step, epoch, loss (nats per token)."""
    tables = []
    for m in members(study).itertuples():
        path = (
            tuning.folder_of(study.profile, m.dataset, m.trained, make=False) / "loss.csv"
            if m.trained.data
            else None
        )
        if path is not None and path.exists():
            tables.append(
                pd.read_csv(path).assign(dataset=m.dataset, model_id=m.model_id, group=m.group)
            )
    return pd.concat(tables, ignore_index=True)


def reference_scores(study: Study) -> pd.DataFrame:
    """How closely each reference repeats the oracle, before and after tuning on D (§5.3).

    One row per (dataset, sample_id, reference): prompt, output, category, response_before, response_after, raw_before and
    raw_after (raw BERTScore F1), before and after (rescaled if the profile says so; Eq. 1 uses these), gap = after - before.
    """
    told = answers(study, "reference").assign(
        reference=lambda t: t["model_id"].str.split(" ", n=1).str[1]
    )
    wide = told.pivot(
        index=["dataset", "sample_id", "reference"], columns="role", values="response"
    )
    table = study.pairs.merge(
        wide.rename(columns={"R": "response_before", "R^t": "response_after"}).reset_index(),
        on=["dataset", "sample_id"],
        validate="1:m",
    )
    raw = similarity.raw_scores(study.profile, beside_oracle(table))
    for side, part in zip(("before", "after"), np.split(raw, 2)):
        table[f"raw_{side}"] = part
        table[side] = scale(study, table["dataset"], part)
    return table.assign(gap=table["after"] - table["before"])


def beside_oracle(table: pd.DataFrame) -> pd.DataFrame:
    """The texts that Eq. 1 compares (columns a, b): the oracle with each reference's answers before tuning, then with those after."""
    return pd.concat(
        [
            table.rename(columns={f"response_{side}": "a", "output": "b"})[["a", "b"]]
            for side in ("before", "after")
        ]
    )


def scale(study: Study, datasets: pd.Series, raw: pd.Series) -> pd.Series:
    """Raw scores on the similarity scale that the thresholds refer to."""
    if not study.profile.similarity.rescale:
        return raw
    floor = {v: similarity.baseline(study.profile, v)["f1"] for v in datasets.unique()}
    return similarity.rescale(raw, datasets.map(floor))


def similarities(scores: pd.DataFrame) -> pd.DataFrame:
    """`reference_scores` in long form for plotting: dataset, reference, sample_id, side (before | after), raw, similarity."""
    keys = ["dataset", "reference", "sample_id"]
    sides = [
        scores[keys].assign(side=s, raw=scores[f"raw_{s}"], similarity=scores[s])
        for s in ("before", "after")
    ]
    return pd.concat(sides, ignore_index=True)


def find_tainted(study: Study, scores: pd.DataFrame) -> pd.DataFrame:
    """Eq. 1 at the profile's delta_t: dataset, sample_id, min_gap, tainted."""
    return tainted.tainted(scores, study.profile.decision.delta_t)


def suspect_answers(study: Study, scores: pd.DataFrame) -> pd.DataFrame:
    """What the suspects answer: dataset, suspect, sample_id, draw, response.

    Asks all of D or, where the profile says `ask: tainted`, the tainted samples.
    """
    pairs = study.pairs
    if study.profile.responses.ask == "tainted":
        chosen = find_tainted(study, scores).query("tainted")
        pairs = pairs.merge(chosen[["dataset", "sample_id"]], on=["dataset", "sample_id"])
    return (
        answers(study, "suspect", pairs)
        .rename(columns={"model_id": "suspect"})
        .drop(columns="role")
    )


def gaps_to(study: Study, scores: pd.DataFrame, told: pd.DataFrame) -> pd.DataFrame:
    """How much closer each answer of each suspect is to R_i^t than to R_i (§5.4).

    told: as `suspect_answers` returns. One row per (dataset, suspect, sample_id, draw, reference): response,
    gap = h_{i,r} on the profile's similarity scale.
    """
    sides = scores[["dataset", "sample_id", "reference", "response_before", "response_after"]]
    table = told.merge(sides, on=["dataset", "sample_id"], validate="m:m")
    raw = similarity.raw_scores(study.profile, beside_references(table))
    before, after = (scale(study, table["dataset"], part) for part in np.split(raw, 2))
    return table.drop(columns=["response_before", "response_after"]).assign(gap=after - before)


def beside_references(table: pd.DataFrame) -> pd.DataFrame:
    """The texts that Eq. 2 compares: each response with the reference answers before tuning, then with those after."""
    return pd.concat(
        [
            table.rename(columns={f"response_{s}": "a", "response": "b"})[["a", "b"]]
            for s in ("before", "after")
        ]
    )


def suspect_gaps(study: Study, scores: pd.DataFrame) -> pd.DataFrame:
    """`gaps_to` of `suspect_answers`: asks the suspects and compares what they say with the references."""
    return gaps_to(study, scores, suspect_answers(study, scores))


def suspects(study: Study) -> pd.DataFrame:
    """The suspects: dataset, suspect, group, member (the truth)."""
    table = members(study).query("role == 'suspect'").rename(columns={"model_id": "suspect"})
    return table[["dataset", "suspect", "group", "member"]].reset_index(drop=True)


def evidence(study: Study, scores: pd.DataFrame, suspect_answers: pd.DataFrame) -> pd.DataFrame:
    """Eq. 2 for every tainted sample of every suspect: dataset, suspect, group, member, sample_id, evidence, status."""
    chosen = find_tainted(study, scores).query("tainted")[["dataset", "sample_id"]]
    table = verdict.evidence(
        suspect_answers.merge(chosen, on=["dataset", "sample_id"]),
        study.delta_s,
        study.profile.decision.mu,
    )
    return suspects(study).merge(table, on=["dataset", "suspect"])


def verdicts(study: Study, scores: pd.DataFrame, suspect_answers: pd.DataFrame) -> pd.DataFrame:
    """Every suspect with its positive, negative and filtered tainted samples, the verdict and whether it is correct."""
    return judged(
        study,
        find_tainted(study, scores),
        suspect_answers,
        study.delta_s,
        study.profile.decision.mu,
    )


def judged(
    study: Study, found: pd.DataFrame, suspect_answers: pd.DataFrame, delta_s: float, mu: int
) -> pd.DataFrame:
    """`verdicts` at other thresholds or for other samples. found: columns dataset, sample_id, tainted."""
    table = verdict.judge(suspect_answers, found, suspects(study), delta_s, mu)
    return table.assign(correct=table["verdict"] == table["member"].map(MEMBER))
