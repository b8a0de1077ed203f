"""Ablations (§6.3): what each choice of the method does to the verdicts.

Mostly from answers that are there already.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import pandas as pd

from dsi_core.method import rescaling, tainted, verdict
from dsi_core.method import study as steps
from dsi_core.method.study import Study
from dsi_core.paper import tables
from dsi_core.settings.profile import Profile, needed
from dsi_core.settings.schema import Rule, Similarity

DELTAS = [round(0.05 * i, 2) for i in range(-2, 17)]
GRID = [round(0.1 * i, 1) for i in range(-1, 10)]
MUS = [0, 10, 20, 40, 80, 120, 160, 200]
OWN = "the profile's own"
DELTA = 0.30  # the paper's threshold of both equations (§5.3-5.4)...
# ...which the authors' released code (main/filter.py, main/measurement.py) takes on this scale
RELEASED = Similarity(hub="distilbert-base-uncased", layer=5, rescale=False)
ALL_OF_D = "all of D"


@dataclass(frozen=True)
class Setting:
    """The thresholds of both equations, and how many draws count, when one of them has moved.

    Parameters
    ----------
    name, value
        Which moved, and where to: "delta" (of both equations), "mu" (where the rule reads it) or
        "draws".
    delta_t, delta_s
        On the similarity scale of the profile.
    mu
        In UTF-8 bytes.
    draws
        How many answers to each sample count, the first ones.
    """

    name: str
    value: float
    delta_t: float
    delta_s: float
    mu: int
    draws: int


def no_selection(study: Study, answers: pd.DataFrame) -> pd.DataFrame:
    """Table 8: let all samples of D vote instead of the tainted ones.

    Parameters
    ----------
    answers
        As `study.gaps_to` returns.

    Returns
    -------
    pandas.DataFrame
        Columns as `study.verdicts`.

    Raises
    ------
    ValueError
        Where suspects answered tainted samples only (`ask: tainted`).
    """
    needs_all(study)
    every = study.pairs.assign(tainted=True)
    return steps.judged(study, every, answers)


def evidence_everywhere(study: Study, answers: pd.DataFrame, samples: pd.DataFrame) -> pd.DataFrame:
    """Fig. 8: how much closer each suspect is to the tuned references, for every sample of D.

    Parameters
    ----------
    answers
        As `study.gaps_to` returns.
    samples
        As `study.find_tainted` returns.

    Returns
    -------
    pandas.DataFrame
        Columns dataset, suspect, group, member, sample_id, evidence (Eq. 2's max_r min_i h, higher
        = closer), status, min_gap, tainted.

    Raises
    ------
    ValueError
        Where suspects answered tainted samples only (`ask: tainted`).
    """
    needs_all(study)
    decision = study.profile.decision
    table = verdict.evidence(answers, study.delta_s, decision.mu, decision.rule)
    known = steps.suspects(study).merge(table, on=["dataset", "suspect"])
    return known.merge(samples, on=["dataset", "sample_id"], validate="m:1")


def sensitivity(study: Study, scores: pd.DataFrame, answers: pd.DataFrame) -> pd.DataFrame:
    """Judge again with one setting moved, its own value among others, and the rest as it is.

    Parameters
    ----------
    scores, answers
        As `study.reference_scores` and `study.gaps_to` return.

    Returns
    -------
    pandas.DataFrame
        One row per (setting, value, suspect): tainted (samples), positive, negative, filtered,
        verdict, correct, and share = positive / (positive + negative), above 0.5 = member (NaN
        when inconclusive), with its interval (low, high).
    """
    parts = []
    for moved in _moved(study):
        samples = tainted.tainted(scores, moved.delta_t)
        some = answers[answers["draw"] < moved.draws]
        judged = steps.judged(study, samples, some, moved.delta_s, moved.mu)
        parts.append(_counted(judged, samples).assign(setting=moved.name, value=moved.value))
    return verdict.votes(pd.concat(parts, ignore_index=True))


def _moved(study: Study) -> Iterator[Setting]:
    decision, draws = study.profile.decision, study.profile.responses.draws
    delta_t, delta_s, mu = decision.delta_t, study.delta_s, decision.mu
    both = {delta_t} & {delta_s}  # nothing, where the two equations have different ones
    for delta in sorted({*DELTAS} | both):
        if delta >= _lowest(study):
            yield Setting("delta", delta, delta, delta, mu, draws)
    for shortest in sorted({*MUS, mu}) if decision.rule == Rule.TEXT else ():
        yield Setting("mu", shortest, delta_t, delta_s, shortest, draws)
    for first in range(1, draws + 1):
        yield Setting("draws", first, delta_t, delta_s, mu, first)


def in_use(study: Study) -> dict[str, float]:
    """Give the study's own value of each setting that `sensitivity` moves.

    It has no "delta" if the two equations have different ones, and no "mu" if the rule does not
    read it.
    """
    decision = study.profile.decision
    own: dict[str, float] = {"draws": study.profile.responses.draws}
    if decision.rule == Rule.TEXT:
        own["mu"] = decision.mu
    if decision.delta_t == study.delta_s:
        own["delta"] = decision.delta_t
    return own


def grid(study: Study, scores: pd.DataFrame, answers: pd.DataFrame) -> pd.DataFrame:
    """Judge again at every pair of thresholds, the study's own among them.

    Parameters
    ----------
    scores, answers
        As `study.reference_scores` and `study.gaps_to` return.

    Returns
    -------
    pandas.DataFrame
        Columns dataset, delta_t, delta_s, tainted (samples), correct, total (suspects), low, high
        (Wilson interval of correct / total, percent).
    """
    parts, deltas_s = [], sorted({*GRID, study.delta_s})
    for delta_t in sorted({*GRID, study.profile.decision.delta_t}):
        if delta_t < _lowest(study):
            continue
        samples = tainted.tainted(scores, delta_t)
        at_each = steps.judged_at(study, samples, answers, deltas_s, study.profile.decision.mu)
        for delta_s, judged in zip(deltas_s, at_each, strict=True):
            parts.append(_counted(judged, samples).assign(delta_t=delta_t, delta_s=delta_s))
    return tables.detection(pd.concat(parts), ["dataset", "delta_t", "delta_s", "tainted"])


def backbones(study: Study, responses: pd.DataFrame) -> pd.DataFrame:
    """Judge the same answers with other BERTScore backbones, layers and scales (`similarities`).

    The thresholds stay. §4.2 names no backbone.

    Parameters
    ----------
    responses
        As `study.suspect_answers` returns.

    Returns
    -------
    pandas.DataFrame
        One row per (similarity, suspect): as `study.verdicts`, with tainted (samples) and mean_gap
        of the references, which shows the scale of each.

    Raises
    ------
    ValueError
        Where suspects answered tainted samples only (`ask: tainted`).
    """
    needs_all(study)
    parts = []
    for name, settings in {OWN: study.profile.similarity, **study.profile.similarities}.items():
        other = study.changed(similarity=settings)
        scores = steps.reference_scores(other)
        samples = steps.find_tainted(other, scores)
        answers = steps.gaps_to(other, scores, responses)
        judged = steps.judged(other, samples, answers)
        gaps = scores.groupby("dataset")["gap"].mean().round(3).rename("mean_gap").reset_index()
        parts.append(_counted(judged, samples).merge(gaps, on="dataset").assign(similarity=name))
    return pd.concat(parts, ignore_index=True)


def by_rules(study: Study, responses: pd.DataFrame) -> pd.DataFrame:
    """Judge by both readings of Eq. 2, at both scales of 0.30, with and without selection.

    Everything is judged on the rescaled scale of the profile's own backbone: at 0.30, as the
    paper's words may be read, and at 0.90 (nearly a copy), which a gap of 0.30 in raw distilbert
    scores becomes when rescaled by bert-score's published baseline.

    Parameters
    ----------
    responses
        As `study.suspect_answers` returns.

    Returns
    -------
    pandas.DataFrame
        One row per (rule, delta, selection, suspect): as `study.verdicts`, with tainted (samples),
        selection ("tainted", as Table 6, or "all of D", as Table 8), and the share of positives
        with its interval, as `verdict.votes`.

    Raises
    ------
    ValueError
        Where suspects answered tainted samples only (`ask: tainted`).

    References
    ----------
    Rule and scale of the authors' released code, rkzhou/LLM_dataset_detection (2024-11 to 2025).
    """
    rescaled = study.changed(similarity={"rescale": True})
    scores = steps.reference_scores(rescaled)
    answers = steps.gaps_to(rescaled, scores, responses)
    parts = []
    for delta, rule in product((DELTA, released_delta()), Rule):
        ruled = rescaled.changed(decision={"rule": rule, "delta_t": delta, "delta_s": delta})
        samples = steps.find_tainted(ruled, scores)
        judged = {
            "tainted": steps.verdicts(ruled, scores, answers),
            ALL_OF_D: no_selection(ruled, answers),
        }
        for selection, table in judged.items():
            counted = _counted(table, samples)
            parts.append(counted.assign(rule=str(rule), delta=delta, selection=selection))
    return verdict.votes(pd.concat(parts, ignore_index=True))


def released_delta() -> float:
    """Give the released code's threshold on a rescaled scale: 0.30 / (1 - 0.666) = 0.90."""
    published = rescaling.published(RELEASED)
    assert published is not None
    return DELTA / (1 - published)


def rules_side_by_side(verdicts: pd.DataFrame) -> pd.DataFrame:
    """Count who is judged rightly by each rule, with selection beside without.

    Parameters
    ----------
    verdicts
        As `by_rules` returns.

    Returns
    -------
    pandas.DataFrame
        Columns dataset, delta (rescaled), rule, tainted (samples), and for Table 6 (they vote) and
        Table 8 (all of D votes) members found and non-members cleared, each "right/all".
    """
    by = ["dataset", "delta", "rule", "tainted"]
    counts = tables.detection(verdicts.round({"delta": 2}), [*by, "selection", "member"])
    what = counts["member"].map({True: "members found", False: "non-members cleared"})
    place = counts["selection"].map({"tainted": "Table 6", ALL_OF_D: "Table 8"})
    right = counts["correct"].astype(str) + "/" + counts["total"].astype(str)
    named = counts.assign(column=place + ": " + what, right=right)
    wide = named.pivot(index=by, columns="column", values="right")
    order = pd.concat(part[by] for _, part in counts.groupby("dataset", sort=False))
    return order.drop_duplicates().merge(wide.reset_index(), on=by, validate="1:1")


def with_more_references(study: Study) -> Study:
    """Give the same study with `more_references` beside the profile's own (§6.3.2).

    Raises
    ------
    ValueError
        Without `reference_sets`, before anything is tuned for them.
    """
    profile = study.profile
    _reference_sets(profile)
    every = [*profile.references, *profile.more_references]
    return study.changed(references=every, more_references=[])


def by_references(study: Study, scores: pd.DataFrame, answers: pd.DataFrame) -> pd.DataFrame:
    """Fig. 9-10: judge with each of the profile's `reference_sets`.

    Parameters
    ----------
    scores, answers
        Of the study `with_more_references`.

    Returns
    -------
    pandas.DataFrame
        Columns of `study.verdicts`, references (the set's name), models (how many references it
        has) and tainted (samples).

    Raises
    ------
    ValueError
        Where suspects answered tainted samples only (`ask: tainted`), or there are no sets.
    """
    needs_all(study)
    parts = []
    for name, chosen in _reference_sets(study.profile).items():
        samples = steps.find_tainted(study, scores[scores["reference"].isin(chosen)])
        some = answers[answers["reference"].isin(chosen)]
        judged = steps.judged(study, samples, some)
        parts.append(_counted(judged, samples).assign(references=name, models=len(chosen)))
    return pd.concat(parts, ignore_index=True)


def _reference_sets(profile: Profile) -> dict[str, list[str]]:
    what = "it names which references count together"
    return needed(profile.reference_sets or None, "reference_sets", profile, what)


def needs_all(study: Study) -> None:
    """Refuse suspects' answers to tainted samples only, where others are judged, too."""
    if study.profile.responses.ask != "all":
        raise ValueError(
            "responses.ask is 'tainted': this needs an answer to every sample of D; "
            "set ask: all in the profile, or give the notebook its parameter ask='all'"
        )


def _lowest(study: Study) -> float:
    """The lowest delta_t that the answers can serve.

    Suspects that were prompted with tainted samples only have no answer below theirs.
    """
    return -1.0 if study.profile.responses.ask == "all" else study.profile.decision.delta_t


def _counted(verdicts: pd.DataFrame, samples: pd.DataFrame) -> pd.DataFrame:
    """`verdicts` with the number of tainted samples of their dataset."""
    counts = samples.groupby("dataset")["tainted"].sum().rename("tainted").reset_index()
    return verdicts.merge(counts, on="dataset")
