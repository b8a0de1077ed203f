"""The study: the steps in their order, for every victim dataset. Notebooks call these functions."""

import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from dsi_core.data.pairs import Dataset, dataset, load_pairs
from dsi_core.method import asking, participants, rescaling, similarity, tainted, verdict
from dsi_core.method.participants import Membership
from dsi_core.models import tuning
from dsi_core.models.sampling import Sampling
from dsi_core.runtime.environment import quiet
from dsi_core.settings.profile import Profile, load_profile
from dsi_core.settings.words import VICTIM, dataset_of

PAIR = ["dataset", "sample_id", "prompt", "output", "category"]
SIDES = ("before", "after")  # tuning on D
TEXTS = ("prompt", "output", "response", "response_before", "response_after")
ROWS = 20_000  # whose texts are put side by side at once


@dataclass(frozen=True)
class Study:
    """A profile and the pairs of its victims (dataset, sample_id, prompt, output, category)."""

    profile: Profile
    pairs: pd.DataFrame

    def __repr__(self) -> str:
        """In a line: every setting would fill screens, where a cell ends in a study."""
        victims = ", ".join(self.profile.victims)
        return f"Study(profile {self.profile.name}, {len(self.pairs)} pairs of {victims})"

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
    return of(settings)


def of(profile: Profile) -> Study:
    """Read the pairs of a profile's victims, and give its study."""
    tables = [load_pairs(dataset(profile, v)).assign(dataset=v) for v in profile.victims]
    return Study(profile, pd.concat(tables, ignore_index=True))


def only(study: Study, victims: list[str]) -> Study:
    """Give the same study of some of its victims: their suspects stay the same."""
    pairs = study.pairs[study.pairs["dataset"].isin(victims)]
    return Study(study.profile.changed(victims=victims), pairs.reset_index(drop=True))


def in_depth(study: Study) -> Study:
    """Give the same study of only the victims that the profile looks at in depth (`in_depth`).

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


def reference_answers(study: Study) -> pd.DataFrame:
    """Let all references answer all of D once, at temperature 1.0 (§5.3).

    Returns the columns of `asking.answers`, and reference.
    """
    similarity.check_layer(study.backbone)
    for victim in study.profile.victims:
        rescaling.check(study.backbone, dataset(study.profile, victim), _others(study))
    tuning.check_whole(m.training for m in participants.participants(study.profile))
    models = participants.references(study.profile)
    table = asking.answers(models, study.pairs, study.sampling.for_references())
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
    pairs, wide = _texts_once(study.pairs), _texts_once(wide)
    table = pairs.merge(wide, on=["dataset", "sample_id"], validate="1:m")
    raw = raw_sides(study, table, beside_oracle)
    for side, scores in zip(SIDES, raw, strict=True):
        table[f"raw_{side}"] = scores
        table[side] = scale(study, table["dataset"], scores)
    return table.assign(gap=table["after"] - table["before"])


def _texts_once(table: pd.DataFrame) -> pd.DataFrame:
    """The table with texts that all rows shall share that are made of one of its rows.

    In pandas' own type each of them has a copy: a kilobyte and more, times the references.
    """
    return table.astype({name: object for name in TEXTS if name in table})


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
    floors = {name: baseline(study, name) for name in datasets.unique()}
    return rescaling.rescale(raw, datasets.map(floors).astype(float))  # also where there is no row


def baseline(study: Study, victim: str) -> float:
    """Find the mean raw score of unrelated texts, for one victim."""
    return rescaling.baseline(study.backbone, dataset(study.profile, victim), _others(study))


def _others(study: Study) -> list[Dataset]:
    """Every dataset but what says the same as another in other words: that is not unrelated."""
    sources = study.profile.data.items()
    return [dataset(study.profile, name) for name, data in sources if data.other_words_of is None]


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

    A warning names each dataset of which no sample is tainted, and references that gave no text.
    """
    delta_t = study.profile.decision.delta_t
    for keys, part in scores[tainted.silent(scores)].groupby(["dataset", "reference"]):
        victim, reference = map(str, keys)
        warnings.warn(
            f"{victim}: reference {reference} gave no text to {len(part)} prompt(s), before or "
            f"after tuning, the first: sample {part['sample_id'].iloc[0]}; these do not count",
            stacklevel=2,
        )
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
    """Let the suspects answer what they are `asked`.

    Returns dataset, suspect, sample_id, draw, response.
    """
    models = participants.suspects(study.profile)
    table = asking.answers(models, asked(study, scores), study.sampling)
    return table.rename(columns={"model_id": "suspect"}).drop(columns="role")


def asked(study: Study, scores: pd.DataFrame) -> pd.DataFrame:
    """Choose the pairs that suspects are asked.

    All of D or, where the profile says `ask: tainted`, the tainted samples.
    """
    pairs = study.pairs
    if study.profile.responses.ask == "tainted":
        chosen = find_tainted(study, scores).query("tainted")
        pairs = pairs.merge(chosen[["dataset", "sample_id"]], on=["dataset", "sample_id"])
    return pairs


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
    sides = _texts_once(scores[["dataset", "sample_id", "reference", *given]])
    # By sample, so that its texts are compared in one call; the references' texts for a block alone
    by_sample = _texts_once(responses).assign(place=np.arange(len(responses)))
    by_sample = by_sample.sort_values(["dataset", "sample_id"], kind="stable")
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
    return judged(study, find_tainted(study, scores), suspect_answers)


def judged(
    study: Study,
    samples: pd.DataFrame,
    suspect_answers: pd.DataFrame,
    delta_s: float | None = None,
    mu: int | None = None,
) -> pd.DataFrame:
    """Give `verdicts` for other samples (dataset, sample_id, tainted) or at other thresholds.

    delta_s, mu: None = the study's own.
    """
    delta_s = study.delta_s if delta_s is None else delta_s
    mu = study.profile.decision.mu if mu is None else mu
    (table,) = judged_at(study, samples, suspect_answers, [delta_s], mu)
    return table


def judged_at(
    study: Study,
    samples: pd.DataFrame,
    suspect_answers: pd.DataFrame,
    deltas: Iterable[float],
    mu: int,
) -> Iterator[pd.DataFrame]:
    """Yield what `judged` gives at each of several delta_s, for little more than at one."""
    everyone, rule = suspects(study), study.profile.decision.rule
    for table in verdict.judge_at(deltas, suspect_answers, samples, everyone, mu, rule):
        truth = table["member"].map(Membership.of)
        yield table.assign(correct=table["verdict"] == truth)
