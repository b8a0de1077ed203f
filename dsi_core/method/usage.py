"""How much of D was used, from text alone, with the references as the two ends: none and all of D.

Both ways say how much of D a suspect knows as well as the references that were tuned on it. A
suspect that learnt all of D half as well and one that learnt half of it look alike.
"""

from dataclasses import asdict

import numpy as np
import pandas as pd

from dsi_core.evidence import intervals, share
from dsi_core.method import closeness
from dsi_core.method.closeness import Combine, Measure, Statistic

# Linear in what is repeated: a share of means needs that
OVERLAP = Statistic(Measure.ROUGE_L, Combine.MEAN)
COLUMNS = ["dataset", "suspect", "method", "share", "low", "high"]


def by_vote(verdicts: pd.DataFrame) -> pd.DataFrame:
    """Take each sample's vote for a guess: the share of the counted samples that are positive.

    The references are its limits, for they vote for D on every sample and on none. Nothing is
    debiased: a model tuned on data like D gets some votes as well.

    Parameters
    ----------
    verdicts
        As `study.verdicts` returns.

    Returns
    -------
    pandas.DataFrame
        dataset, suspect, method, share, low, high (`wilson`).
    """
    counted = verdicts["positive"] + verdicts["negative"]
    table = verdicts.assign(method="vote", counted=counted, share=verdicts["positive"] / counted)
    return intervals.with_wilson(table, "positive", "counted")[COLUMNS].reset_index(drop=True)


def by_closeness(scores: pd.DataFrame, answers: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Place each suspect's closeness to D's texts between the references' before and after tuning.

    Parameters
    ----------
    scores
        As `study.reference_scores` returns: the references' answers before tuning on D and after,
        and D's texts.
    answers
        As `study.suspect_answers` returns.
    seed
        Of the interval, a bootstrap of the samples.

    Returns
    -------
    pandas.DataFrame
        As of `by_vote`.
    """
    rows = []
    for victim, said in answers.groupby("dataset", sort=False):
        of_victim = scores[scores["dataset"] == victim]
        texts = of_victim.drop_duplicates("sample_id").set_index("sample_id")["output"]
        before, after = (_close(_said(of_victim, side), texts) for side in ("before", "after"))
        for suspect, own in said.groupby("suspect", sort=False):
            estimate = share.of_means(_close(own, texts), after, before, seed)
            named = {"dataset": victim, "suspect": suspect, "method": "closeness"}
            rows.append({**named, **asdict(estimate)})
    return pd.DataFrame(rows, columns=COLUMNS)


def _close(said: pd.DataFrame, texts: pd.Series) -> np.ndarray:
    return closeness.per_sample(OVERLAP, said, texts).to_numpy()


def _said(scores: pd.DataFrame, side: str) -> pd.DataFrame:
    return scores[["sample_id", f"response_{side}"]].set_axis(["sample_id", "response"], axis=1)
