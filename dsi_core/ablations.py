"""Ablations (§6.3): what each choice of the method does to the verdicts, from answers that are already there."""

import pandas as pd

from dsi_core import study as steps
from dsi_core import tainted, verdict
from dsi_core.study import Study

DELTAS = [round(0.05 * i, 2) for i in range(-2, 17)]
MUS = [0, 10, 20, 40, 80, 120, 160, 200]


def no_selection(study: Study, answers: pd.DataFrame) -> pd.DataFrame:
    """Table 8: the vote over all samples of D instead of the tainted ones. Columns as `study.verdicts`.

    Raises `ValueError` where suspects answered tainted samples only (`ask: tainted`).
    """
    if study.profile.responses.ask != "all":
        raise ValueError("responses.ask is 'tainted': without selection every sample needs an answer; set ask: all")
    return steps.judged(study, study.pairs.assign(tainted=True), answers, study.delta_s, study.profile.decision.mu)


def evidence_everywhere(study: Study, answers: pd.DataFrame, found: pd.DataFrame) -> pd.DataFrame:
    """Fig. 8: how much closer each suspect's best answer is to the tuned references, for every sample of D.

    Returns dataset, suspect, group, member, sample_id, evidence (Eq. 2's max_r min_i h), status, min_gap, tainted.
    """
    table = verdict.evidence(answers, study.delta_s, study.profile.decision.mu)
    return steps.suspects(study).merge(table, on=["dataset", "suspect"]).merge(found, on=["dataset", "sample_id"], validate="m:1")


def sensitivity(study: Study, scores: pd.DataFrame, answers: pd.DataFrame) -> pd.DataFrame:
    """The verdicts when one setting moves and the others stay: delta (for both equations), mu, number of draws.

    Returns one row per (setting, value, suspect): tainted (samples), positive, negative, filtered, verdict, correct, and
    share = positive / (positive + negative), above 0.5 = member (NaN when inconclusive).
    """
    decision, tables = study.profile.decision, []
    every = range(1, study.profile.responses.draws + 1)
    lowest = -1.0 if study.profile.responses.ask == "all" else decision.delta_t
    moves = [("delta", d, (d, d, decision.mu, max(every))) for d in DELTAS if d >= lowest]
    moves += [("mu", m, (decision.delta_t, study.delta_s, m, max(every))) for m in MUS]
    moves += [("draws", n, (decision.delta_t, study.delta_s, decision.mu, n)) for n in every]
    for setting, value, (delta_t, delta_s, mu, draws) in moves:
        found = tainted.tainted(scores, delta_t)
        table = steps.judged(study, found, answers[answers["draw"] < draws], delta_s, mu)
        counts = found.groupby("dataset")["tainted"].sum().rename("tainted").reset_index()
        tables.append(table.merge(counts, on="dataset").assign(setting=setting, value=value))
    table = pd.concat(tables, ignore_index=True)
    votes = table["positive"] + table["negative"]
    return table.assign(share=(table["positive"] / votes.where(votes > 0)).round(4))
