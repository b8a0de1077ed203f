"""Methods that see more than text: what they read and hear of the suspects, and every score.

Each asks whether the suspect model finds D more familiar than *validation* pairs of the same
distribution that nobody could train on. Here these are a random remainder of D's own source, so
that D and validation are a coin flip apart: on a model that saw neither, every method must come to
nothing. Functions take the studies (non-IID, IID, ...) whose suspects are judged; victims without a
validation set are not.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from dsi_core.data import near_duplicates, text_classifier
from dsi_core.data.pairs import Dataset, dataset, untouched
from dsi_core.grey_box import attacks
from dsi_core.grey_box.attacks import Attack
from dsi_core.method import asking, participants, pending, study
from dsi_core.method.asking import Query
from dsi_core.method.participants import Participant
from dsi_core.method.study import Study
from dsi_core.models import load, token_logprobs
from dsi_core.models.token_logprobs import Variant
from dsi_core.models.tuning import Training, training
from dsi_core.runtime import jobs, store
from dsi_core.settings.extensions import GreyBox
from dsi_core.settings.profile import Profile
from dsi_core.settings.schema import Trained

KEYS = ["dataset", "suspect", "group", "member"]
SAMPLE = ["part", "sample_id"]
NEAR_DUPLICATE = 0.8  # Jaccard similarity of word sets


class Part(StrEnum):
    """What a sample is there for; values as in tables."""

    D = "D"
    VALIDATION = "validation"
    PREFIX = "prefix"  # ReCaLL's known non-members


class View(StrEnum):
    """What of a sample a score is about; values as in tables."""

    ANSWER = "answer"  # the answer given the prompt, without its end token
    TEXT = "text"  # prompt and answer, template included, from the second token on
    SAMPLED = "sampled"  # what the suspect says to the prompt


READ = [View.ANSWER, View.TEXT]


def settings(profile: Profile) -> GreyBox:
    """Give the profile's section `grey_box`. Raises `ValueError` where there is none."""
    if profile.grey_box is None:
        raise ValueError(
            f"profile {profile.name!r} has no section grey_box: "
            "it names the validation pairs and what the attacks need"
        )
    return profile.grey_box


# Who is compared


def samples(run: Study) -> pd.DataFrame:
    """Choose who is compared.

    Returns
    -------
    pandas.DataFrame
        dataset, part (`Part`), sample_id, prompt, output, and whether the sample is among those
        read in other versions (compared) and those prompted (asked), both chosen at random with the
        profile's seed.

    Raises
    ------
    ValueError
        Where no victim has a validation set, or one is too small.
    """
    profile, grey_box = run.profile, settings(run.profile)
    others = [dataset(profile, name) for name in profile.data]
    tables = []
    for victim in profile.victims:
        if victim not in grey_box.validation:
            continue
        source = Dataset(f"{victim}'s validation set", grey_box.validation[victim], profile.seed)
        unseen = untouched(source, others).sample(frac=1, random_state=profile.seed)
        if len(unseen) < grey_box.shots + 2:
            raise ValueError(
                f"grey_box.validation of {victim!r} has {len(unseen)} pairs; "
                f"{grey_box.shots} go to the prefix (shots), and two at least must be left"
            )
        whole = run.pairs[run.pairs["dataset"] == victim]
        count = min(len(whole), grey_box.samples or len(whole))
        parts = {
            Part.D: whole.sample(count, random_state=profile.seed).sort_index(),
            Part.VALIDATION: unseen.iloc[grey_box.shots :].sort_index(),
            Part.PREFIX: unseen.iloc[: grey_box.shots],
        }
        tables += [
            _chosen(table, grey_box, profile.seed).assign(dataset=victim, part=str(part))
            for part, table in parts.items()
        ]
    if not tables:
        raise ValueError(
            f"grey_box.validation has none of the victims {', '.join(profile.victims)}"
        )
    columns = ["dataset", "part", "sample_id", "prompt", "output", "compared", "asked"]
    return pd.concat(tables, ignore_index=True)[columns]


def _chosen(table: pd.DataFrame, grey_box: GreyBox, seed: int) -> pd.DataFrame:
    rank = np.random.default_rng(seed).permutation(len(table))
    return table.assign(
        compared=rank < (grey_box.compared or len(table)),
        asked=rank < (grey_box.asked or len(table)),
    )


def sets(run: Study) -> pd.DataFrame:
    """Show the two sets of each victim.

    Returns
    -------
    pandas.DataFrame
        dataset, samples (of D), validation, prefix, compared and asked (of each set),
        near_duplicates (validation samples that nearly repeat one of D), and blind_auc, the AUROC,
        with its 95% interval (low, high), of a classifier that tells the sets apart by their text
        alone (0.5 = a fair benchmark).
    """
    rows = []
    for victim, table in samples(run).groupby("dataset", sort=False):
        d, unseen = table[table["part"] == Part.D], table[table["part"] == Part.VALIDATION]
        fair = text_classifier.blind_check(d, unseen, run.profile.seed)
        rows.append(
            {
                "dataset": victim,
                "samples": len(d),
                "validation": len(unseen),
                "prefix": (table["part"] == Part.PREFIX).sum(),
                "compared": unseen["compared"].sum(),
                "asked": unseen["asked"].sum(),
                "near_duplicates": near_duplicates.find(unseen, d, NEAR_DUPLICATE).sum(),
                "blind_auc": fair.auc,
                "low": fair.low,
                "high": fair.high,
            }
        )
    return pd.DataFrame(rows)


# What the suspects think of the samples, and say, through the store


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

    @property
    def job(self) -> jobs.Job:
        """The work of it."""
        title = f"{self.title}: {len(self.texts)} texts"
        arguments = self.training, self.texts, self.prefix
        cost = len(self.texts) + self.training.passes
        needs = self.training.base.needs
        return jobs.Job(title, token_logprobs.score, arguments, cost, **needs)


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
    own = [own_base(s) for s in participants.suspects(profile) if s.dataset == victim]
    return list(dict.fromkeys([*settings(profile).references, *own]))


def own_base(suspect: Participant) -> str:
    """Name the model that a suspect was tuned from."""
    return suspect.trained.base


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
    pending.announce(
        [pending.Work(r.title, r.training, texts=len(r.texts)) for r in missing.values()]
    )
    load.prepare_all(reading.training.base for reading in missing.values())
    jobs.run([reading.job for reading in missing.values()])
    tables = []
    for table, reading in planned:
        named = table[["dataset", "sample_id", "part", "prompt", "output"]]
        values = token_logprobs.read(reading.folder).merge(named, on="sample_id", validate="m:1")
        tables.append(values.assign(model=reading.model, reference=reading.is_reference))
    identity = ["dataset", "model", "sample_id", "variant", "number"]
    return pd.concat(tables, ignore_index=True).drop_duplicates(identity, ignore_index=True)


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


# Scores


def scores(studies: Sequence[Study], values: pd.DataFrame, responses: pd.DataFrame) -> pd.DataFrame:
    """Score every sample by every attack.

    Lowercase and neighbours change the answer alone and have the view "answer" only; SaMIA and CDD
    have the view "sampled".

    Parameters
    ----------
    values, responses
        As `token_values` and `answers` return them.

    Returns
    -------
    pandas.DataFrame
        dataset, suspect, group, member, view (`View`), kind (`Attack`), attack (its name, with the
        base of a reference), part, sample_id, score (higher = likelier a member).
    """
    grey_box = settings(studies[0].profile)
    truth = pd.concat([study.suspects(run) for run in studies], ignore_index=True)
    of_bases = values[values["reference"]]
    models = [p for run in studies for p in participants.suspects(run.profile)]
    bases = {(p.dataset, p.model_id): attacks.named(own_base(p)) for p in models}
    tables = []
    of_suspects = values[~values["reference"]]
    for (victim, suspect), own in of_suspects.groupby(["dataset", "model"], sort=False):
        untuned = of_bases[of_bases["dataset"] == victim]
        base = untuned[untuned["model"] == bases[str(victim), str(suspect)]]
        for view in READ:
            table = _by_probabilities(own, untuned, view, grey_box)
            table = pd.concat([table, _beside_base(own, base, view)], ignore_index=True)
            tables.append(_of(table, victim, suspect, view))
    for (victim, suspect), own in responses.groupby(["dataset", "suspect"], sort=False):
        table = _by_answers(own, grey_box.peak)
        tables.append(_of(table, victim, suspect, View.SAMPLED))
    table = truth.merge(pd.concat(tables, ignore_index=True), on=["dataset", "suspect"])
    return table[[*KEYS, "view", "kind", "attack", *SAMPLE, "score"]]


def _of(scores: pd.DataFrame, victim: Hashable, suspect: Hashable, view: View) -> pd.DataFrame:
    return scores.assign(dataset=str(victim), suspect=str(suspect), view=str(view))


def _by_probabilities(
    values: pd.DataFrame, untuned: pd.DataFrame, view: View, grey_box: GreyBox
) -> pd.DataFrame:
    """One suspect's scores by the attacks that see token probabilities, less its identity."""
    k = grey_box.k
    original = values[values["variant"] == Variant.ORIGINAL].reset_index(drop=True)
    x = token_logprobs.padded(original, with_prompt=view is View.TEXT)
    own = attacks.mean_logprob(x.logprobs, x.mask)
    size = attacks.per_zlib_byte(x.logprobs, x.mask, plain(original, view))
    spread = attacks.min_k_plus_plus(x.logprobs, x.means, x.stds, x.mask, k)
    tables = [
        _scored(original, Attack.LOSS, own),
        _scored(original, Attack.ZLIB, size),
        _scored(original, Attack.MIN_K, attacks.min_k(x.logprobs, x.mask, k)),
        _scored(original, Attack.MIN_K_PLUS_PLUS, spread),
    ]
    for name in map(attacks.named, grey_box.references):
        of_reference = untuned[untuned["model"] == name]
        score = attacks.reference(own, _means(original, of_reference, view))
        tables.append(_scored(original, Attack.REFERENCE, score, name))
    compared = values[values["variant"] == Variant.RECALL].reset_index(drop=True)
    if compared.empty:
        return pd.concat(tables, ignore_index=True)
    own = pd.Series(own, index=original["sample_id"]).loc[compared["sample_id"]].to_numpy()
    after_prefix = _means(compared, compared, view)
    tables.append(_scored(compared, Attack.RECALL, attacks.recall(own, after_prefix)))
    if view is View.ANSWER:
        lowered = _means(compared, values[values["variant"] == Variant.LOWERCASE], view)
        tables.append(_scored(compared, Attack.LOWERCASE, attacks.lowercase(own, lowered)))
        neighbours = values[values["variant"] == Variant.NEIGHBOUR]
        numbered = [_means(compared, n, view) for _, n in neighbours.groupby("number")]
        score = attacks.neighbourhood(own, np.stack(numbered, axis=1))
        tables.append(_scored(compared, Attack.NEIGHBOURS, score))
    return pd.concat(tables, ignore_index=True)


def _beside_base(values: pd.DataFrame, base: pd.DataFrame, view: View) -> pd.DataFrame:
    """One suspect's scores by the attacks that compare its tokens with its own base's."""
    original = values[values["variant"] == Variant.ORIGINAL].reset_index(drop=True)
    x, before = (
        token_logprobs.padded(table, with_prompt=view is View.TEXT)
        for table in (original, _ordered(original, base))
    )
    assert (x.mask == before.mask).all(), "a suspect and its base have one tokenizer"
    moved = x.logprobs - before.logprobs
    mispredicted = attacks.surely_mispredicted(x.logprobs, x.means)
    return pd.concat(
        [
            _scored(original, Attack.WBC, attacks.windows(moved, x.mask)),
            _scored(original, Attack.EZ_MIA, attacks.error_zone(moved, mispredicted)),
        ],
        ignore_index=True,
    )


def _scored(
    samples: pd.DataFrame, kind: Attack, score: np.ndarray, name: str | None = None
) -> pd.DataFrame:
    return samples[SAMPLE].assign(kind=str(kind), attack=name or str(kind), score=score)


def _means(samples: pd.DataFrame, values: pd.DataFrame, view: View) -> np.ndarray:
    """Mean log-probabilities of `values`, in the order of `samples`."""
    x = token_logprobs.padded(_ordered(samples, values), with_prompt=view is View.TEXT)
    return attacks.mean_logprob(x.logprobs, x.mask)


def _ordered(samples: pd.DataFrame, values: pd.DataFrame) -> pd.DataFrame:
    """`values` in the order of `samples`."""
    ordered = samples[["sample_id"]].merge(values, on="sample_id", validate="1:1")
    assert len(ordered) == len(samples), f"{len(ordered)} readings of {len(samples)} samples"
    return ordered


def plain(samples: pd.DataFrame, view: View) -> list[str]:
    """Give the plain text of a view (columns prompt, output), whose bytes zlib counts."""
    if view is View.TEXT:
        return (samples["prompt"] + "\n\n" + samples["output"]).tolist()
    return samples["output"].tolist()


def _by_answers(responses: pd.DataFrame, peak: float) -> pd.DataFrame:
    """One suspect's scores by the attacks on sampled answers, less its identity."""
    rows = []
    for (part, sample_id, output), some in responses.groupby([*SAMPLE, "output"], sort=False):
        greedy = some.loc[some["greedy"], "response"].iloc[0]
        sampled = some.loc[~some["greedy"], "response"].tolist()
        for kind, score in (
            (Attack.SAMIA, attacks.samia(sampled, str(output))),
            (Attack.CDD, attacks.cdd(sampled, greedy, peak)),
        ):
            rows.append((part, sample_id, str(kind), str(kind), score))
    return pd.DataFrame(rows, columns=[*SAMPLE, "kind", "attack", "score"])
