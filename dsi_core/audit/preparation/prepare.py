"""The offline phase for any dataset (§5.2-5.3), which leaves one folder that an audit needs.

References, tainted samples, known models, innocents that are hard to tell, and the blind check.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from dsi_core.audit import suspect
from dsi_core.audit.preparation import innocents, prepared, prepared_json
from dsi_core.audit.preparation.draft import Draft, draft, refuse_rule
from dsi_core.audit.preparation.prepared import KNOWN, Prepared
from dsi_core.audit.preparation.prepared_json import Compared, Facts
from dsi_core.data import text_classifier
from dsi_core.data.pairs import dataset, load_pairs
from dsi_core.method import asking, participants, study
from dsi_core.method.participants import Participant
from dsi_core.method.study import Study
from dsi_core.models.sampling import Sampling
from dsi_core.runtime import progress
from dsi_core.runtime.paths import ROOT
from dsi_core.settings.profile import Profile, load_profile
from dsi_core.settings.schema import Similarity
from dsi_core.settings.words import dataset_of, has_iid, iid_of

REFERENCES, KNOWN_MODELS, CHECKING = PHASES = (
    "answers of references",
    "answers of known models",
    "comparing the controls' data",
)


def run(given: str, profile: str = "small", **how: Any) -> Prepared:
    """Do, or finish, the offline phase for a dataset: `make` what `draft` decides."""
    return make(draft(given, profile, **how))


@progress.phases(dict.fromkeys(PHASES))
def make(draft: Draft) -> Prepared:
    """Do, or finish, what a draft decided; its folder holds the result."""
    draft.folder.mkdir(parents=True, exist_ok=True)
    pairs = draft.pairs.assign(dataset=draft.facts.name)
    return _offline(draft.folder, draft.settings, pairs, draft.answers, draft.facts)


def of_profile(
    profile: str, figures_dir: str = "figures", *, again: bool = False, **overrides
) -> Prepared:
    """Give the preparation of a profile's own (first) victim dataset, kept with its figures.

    Read, or made when it is not there yet, or when `again` is asked for.

    Raises
    ------
    ValueError
        Where the profile counts by another rule than an audit does (`decision.rule`).
    """
    settings = load_profile(profile)
    refuse_rule(settings)
    folder = ROOT / str(figures_dir) / profile / "prepared"
    if prepared_json.lies_in(folder) and not again:
        return prepared.read(folder)
    return run(settings.victims[0], profile, out=folder, replace=True, **overrides)


def _offline(
    folder: Path,
    settings: Profile,
    pairs: pd.DataFrame,
    answers: Mapping[str, pd.DataFrame],
    facts: Facts,
) -> Prepared:
    """References, tainted samples, known models and the blind check, written to the folder."""
    run = Study(settings, pairs)
    progress.begin(REFERENCES, _work(run))
    scores = study.reference_scores(run)
    tainted = study.find_tainted(run, scores)
    samples = pairs.merge(tainted, on=["dataset", "sample_id"], validate="1:1")
    progress.begin(KNOWN_MODELS)
    known = _known(run, scores, samples, answers)
    progress.begin(CHECKING)
    answered = known.groupby("suspect")["sample_id"].nunique()
    files = {
        name: said.changed(samples=int(answered.get(name, 0)))
        for name, said in facts.control_answers.items()
    }
    facts = facts.changed(control_answers=files, blind=_blind(settings, samples))
    run = run.changed(similarity=_with_baseline(run))
    return prepared.write(Prepared(folder, facts, run, samples, scores, known))


def _work(run: Study) -> dict[str, float | None]:
    """How much work each phase is, of what the store lacks: passes over pairs, and answers."""
    profile = run.profile
    asked = [
        (REFERENCES, participants.references(profile), run.sampling.for_references()),
        (KNOWN_MODELS, participants.suspects(profile), run.sampling),
    ]
    work: dict[str, float | None] = {}
    for phase, models, sampling in asked:
        missing = [q for q in asking.queries(models, run.pairs, sampling) if q.missing]
        work[phase] = sum(q.job().cost for q in missing)
    return {**work, CHECKING: 1.0}


def _known(
    run: Study, scores: pd.DataFrame, samples: pd.DataFrame, answers: Mapping[str, pd.DataFrame]
) -> pd.DataFrame:
    """Responses of the known models to the tainted samples, with their gaps and statuses."""
    chosen = samples[samples["tainted"]]
    if chosen.empty:
        return pd.DataFrame(columns=KNOWN)
    models = participants.suspects(run.profile)
    in_files = [
        _of_texts(table, name, innocents.ANSWERS, innocents.OF_A_FILE)
        for name, table in answers.items()
    ]
    retrieved = innocents.retrieved(chosen, _neighbours(run), run.sampling.draws)
    retrieval = _of_texts(retrieved, innocents.RETRIEVAL, innocents.RETRIEVAL, innocents.NO_MODEL)
    tables = [
        _of_models(models, chosen, run.sampling),
        _of_models(innocents.concise(models), chosen, innocents.concisely(run.sampling)),
        *in_files,
        retrieval,
    ]
    table = pd.concat([t for t in tables if len(t)], ignore_index=True)
    table = table.assign(dataset=run.profile.victims[0])
    table = table.merge(chosen[["sample_id", "output"]], on="sample_id")
    mu = run.profile.decision.mu
    table["status"] = [
        str(suspect.status(response, output, mu))
        for response, output in zip(table["response"], table["output"], strict=True)
    ]
    return study.gaps_to(run, scores, table.drop(columns="output"))


def _of_models(models: list[Participant], chosen: pd.DataFrame, sampling: Sampling) -> pd.DataFrame:
    """Known models' answers: suspect, sample_id, draw, response, member, group, base."""
    if not models:
        return pd.DataFrame()
    said = asking.answers(models, chosen, sampling).rename(columns={"model_id": "suspect"})
    known = [(m.model_id, m.member, m.group, m.trained.base) for m in models]
    who = pd.DataFrame(known, columns=["suspect", "member", "group", "base"])
    return said.drop(columns=["role", "dataset"]).merge(who, on="suspect", validate="m:1")


def _of_texts(said: pd.DataFrame, name: str, group: str, base: str) -> pd.DataFrame:
    """The same of a control that is no model here."""
    return said.assign(suspect=name, member=False, group=group, base=base)


def _neighbours(run: Study) -> pd.DataFrame:
    """The pairs that a retrieval-like innocent looks up: those like D, or else D's others."""
    profile = run.profile
    victim = profile.victims[0]
    if not has_iid(profile.data, victim):
        return run.pairs
    return load_pairs(dataset(profile, iid_of(profile.data, victim)))


def _with_baseline(run: Study) -> Similarity:
    """The similarity settings with the baseline that the scores were scaled with.

    So an audit need not find it again.
    """
    settings = run.profile.similarity
    if not settings.rescale:
        return settings
    return settings.changed(baseline=study.baseline(run, run.profile.victims[0]))


def _blind(profile: Profile, samples: pd.DataFrame) -> list[Compared]:
    """The blind check of D against what each control was tuned on."""
    victim = profile.victims[0]
    innocent = [s for s in profile.suspects if not s.member]
    names = dict.fromkeys(dataset_of(profile.data, victim, d) for s in innocent for d in s.data)
    return [
        Compared.of(
            text_classifier.blind_check(samples, load_pairs(dataset(profile, n)), profile.seed), n
        )
        for n in names
    ]
