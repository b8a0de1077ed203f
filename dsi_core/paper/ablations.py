"""Ablations (§6.3): what each choice of the method does to the verdicts, mostly from answers that are already there."""

import pandas as pd

from dsi_core.method import study as steps
from dsi_core.method import tainted, verdict
from dsi_core.method.study import Study
from dsi_core.paper import tables

DELTAS = [round(0.05 * i, 2) for i in range(-2, 17)]
GRID = [round(0.1 * i, 1) for i in range(-1, 10)]
MUS = [0, 10, 20, 40, 80, 120, 160, 200]


def no_selection(study: Study, answers: pd.DataFrame) -> pd.DataFrame:
    """Table 8: the vote over all samples of D instead of the tainted ones. Columns as `study.verdicts`.

    Raises `ValueError` where suspects answered tainted samples only (`ask: tainted`).
    """
    if study.profile.responses.ask != "all":
        raise ValueError(
            "responses.ask is 'tainted': without selection every sample needs an answer; set ask: all"
        )
    return steps.judged(
        study, study.pairs.assign(tainted=True), answers, study.delta_s, study.profile.decision.mu
    )


def evidence_everywhere(study: Study, answers: pd.DataFrame, found: pd.DataFrame) -> pd.DataFrame:
    """Fig. 8: how much closer each suspect's best answer is to the tuned references, for every sample of D.

    Returns dataset, suspect, group, member, sample_id, evidence (Eq. 2's max_r min_i h), status, min_gap, tainted.
    """
    table = verdict.evidence(answers, study.delta_s, study.profile.decision.mu)
    return (
        steps.suspects(study)
        .merge(table, on=["dataset", "suspect"])
        .merge(found, on=["dataset", "sample_id"], validate="m:1")
    )


def sensitivity(study: Study, scores: pd.DataFrame, answers: pd.DataFrame) -> pd.DataFrame:
    """The verdicts when one setting moves and the others stay: delta (for both equations), mu, number of draws.

    Returns one row per (setting, value, suspect): tainted (samples), positive, negative, filtered, verdict, correct, and
    share = positive / (positive + negative), above 0.5 = member (NaN when inconclusive), with its interval (low, high).
    """
    decision, parts = study.profile.decision, []
    every = range(1, study.profile.responses.draws + 1)
    moves = [("delta", d, (d, d, decision.mu, max(every))) for d in DELTAS if d >= _lowest(study)]
    moves += [("mu", m, (decision.delta_t, study.delta_s, m, max(every))) for m in MUS]
    moves += [("draws", n, (decision.delta_t, study.delta_s, decision.mu, n)) for n in every]
    for setting, value, (delta_t, delta_s, mu, draws) in moves:
        found = tainted.tainted(scores, delta_t)
        table = steps.judged(study, found, answers[answers["draw"] < draws], delta_s, mu)
        parts.append(_counted(table, found).assign(setting=setting, value=value))
    return tables.votes(pd.concat(parts, ignore_index=True))


def grid(study: Study, scores: pd.DataFrame, answers: pd.DataFrame) -> pd.DataFrame:
    """The verdicts at every pair of thresholds: dataset, delta_t, delta_s, tainted (samples), correct, total, low, high (percent)."""
    parts = []
    for delta_t in [d for d in GRID if d >= _lowest(study)]:
        found = tainted.tainted(scores, delta_t)
        for delta_s in GRID:
            table = steps.judged(study, found, answers, delta_s, study.profile.decision.mu)
            parts.append(_counted(table, found).assign(delta_t=delta_t, delta_s=delta_s))
    return tables.detection(pd.concat(parts), ["dataset", "delta_t", "delta_s", "tainted"])


def backbones(study: Study, told: pd.DataFrame) -> pd.DataFrame:
    """The same answers judged with other BERTScore backbones, layers and scales, at the same thresholds (§4.2 names none of them).

    told: as `study.suspect_answers` returns. One row per (similarity, suspect): as `study.verdicts`, with tainted (samples) and
    the mean reference gap, so that a reader sees on what scale each lives.
    """
    parts = []
    for name, settings in {
        "the profile's own": study.profile.similarity,
        **study.profile.similarities,
    }.items():
        other = Study(study.profile.model_copy(update={"similarity": settings}), study.pairs)
        scores = steps.reference_scores(other)
        found = steps.find_tainted(other, scores)
        table = steps.judged(
            other,
            found,
            steps.gaps_to(other, scores, told),
            other.delta_s,
            other.profile.decision.mu,
        )
        gaps = scores.groupby("dataset")["gap"].mean().round(3).rename("mean_gap").reset_index()
        parts.append(_counted(table, found).merge(gaps, on="dataset").assign(similarity=name))
    return pd.concat(parts, ignore_index=True)


def with_more_references(study: Study) -> Study:
    """The same study with `more_references` beside the profile's own (§6.3.2)."""
    every = [*study.profile.references, *study.profile.more_references]
    return Study(study.profile.model_copy(update={"references": every}), study.pairs)


def by_references(study: Study, scores: pd.DataFrame, answers: pd.DataFrame) -> pd.DataFrame:
    """Fig. 9-10: the verdicts of each of the profile's `reference_sets`; scores and answers are of `with_more_references`.

    Returns `study.verdicts` with columns references (the set's name), models (how many references it has) and tainted (samples).
    """
    parts = []
    for name, chosen in study.profile.reference_sets.items():
        some = scores[scores["reference"].isin(chosen)]
        found = steps.find_tainted(study, some)
        table = steps.judged(
            study,
            found,
            answers[answers["reference"].isin(chosen)],
            study.delta_s,
            study.profile.decision.mu,
        )
        parts.append(_counted(table, found).assign(references=name, models=len(chosen)))
    return pd.concat(parts, ignore_index=True)


def _lowest(study: Study) -> float:
    """The lowest delta_t that the answers can serve: suspects that were asked tainted samples only have none below theirs."""
    return -1.0 if study.profile.responses.ask == "all" else study.profile.decision.delta_t


def _counted(verdicts: pd.DataFrame, found: pd.DataFrame) -> pd.DataFrame:
    """`verdicts` with the number of tainted samples of their dataset."""
    return verdicts.merge(
        found.groupby("dataset")["tainted"].sum().rename("tainted").reset_index(), on="dataset"
    )
