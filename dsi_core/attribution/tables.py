"""What the scores of a tuned model's replies say of its base, and how far that is from guessing.

Scored replies are rows as `compare.judged` returns them, of one dataset, with a column of scores
for each base (`score_columns`).
"""

from collections.abc import Sequence
from enum import StrEnum

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from dsi_core.attribution.classifiers import METHODS
from dsi_core.evidence import intervals, permutation, ranks


class Level(StrEnum):
    """By whose replies a classifier learns; values as in tables."""

    K3 = "k3"
    K2 = "k2"
    K1 = "k1"

    @property
    def knows(self) -> str:
        """The same in words."""
        return {
            Level.K3: "bases",
            Level.K2: "bases, tuned models of other bases",
            Level.K1: "bases, all other tuned models",
        }[self]


def score_columns(bases: Sequence[str]) -> list[str]:
    """Name the columns of the scores for these bases, higher = more like it."""
    return [f"score {base}" for base in bases]


def scores_of(rows: pd.DataFrame, bases: Sequence[str]) -> np.ndarray:
    """Give the scores alone, shape (rows, bases)."""
    return rows[score_columns(bases)].to_numpy(float)


def attributed(rows: pd.DataFrame, bases: list[str], by: list[str]) -> pd.DataFrame:
    """Attribute every group of replies to the base with the highest mean score.

    Parameters
    ----------
    by
        Columns that make a group, among them base, the truth.

    Returns
    -------
    pandas.DataFrame
        `by`, attributed (None where no reply has a score), margin (its lead over the next, on the
        method's own scale), replies (how many), right.
    """
    scores = pd.DataFrame(scores_of(rows, bases), columns=bases, index=rows.index)
    groups = scores.groupby([rows[c] for c in by], sort=False, dropna=False)
    means = groups.mean()
    ordered = np.sort(means.to_numpy(), axis=1)
    best = means.fillna(-np.inf).idxmax(axis=1).where(means.notna().any(axis=1), None)
    table = means.index.to_frame(index=False).assign(
        attributed=best.to_numpy(),
        margin=ordered[:, -1] - ordered[:, -2],
        replies=groups.size().to_numpy(),
    )
    return table.assign(right=table["attributed"] == table["base"])


def votes_of(rows: pd.DataFrame, bases: list[str]) -> np.ndarray:
    """Give each reply's vote, shape (rows, bases).

    1 for the base with its highest score, shared equally in a tie, zeros without scores.
    """
    scores = scores_of(rows, bases)
    top = scores == scores.max(axis=1, keepdims=True)
    return top / np.maximum(top.sum(axis=1, keepdims=True), 1)


def mean_auroc(rows: pd.DataFrame, bases: list[str]) -> float:
    """Tell how well a base's score tells the replies of its own models from all others.

    A reply's scores are taken less their mean, or the AUROC would tell long replies from short
    ones, say.

    Returns
    -------
    float
        Mean AUROC over the bases; 0.5 = chance, NaN where nothing can be told.
    """
    scores = scores_of(rows, bases)
    scored = ~np.isnan(scores).any(axis=1)
    centred = scores[scored] - scores[scored].mean(axis=1, keepdims=True)
    truth = rows["base"][scored]
    aurocs = [
        ranks.auroc(centred[truth == b, i], centred[truth != b, i])
        for i, b in enumerate(bases)
        if 0 < (truth == b).sum() < len(truth)
    ]
    return float(np.mean(aurocs)) if aurocs else np.nan


def methods_table(rows: pd.DataFrame, bases: list[str], seed: int) -> pd.DataFrame:
    """Show how well each method, at each level, tells the bases themselves, and the tuned models.

    Whatever was not chosen is shown for comparison: picking the best of these rows would be picking
    by the answers.

    Returns
    -------
    pandas.DataFrame
        dataset, method, level, knows. On the bases, held-out sets of prompts: cv_correct of
        cv_total (base, fold) decisions, cv_replies = share of single replies attributed rightly.
        chosen = the k3 method with most of the first, then of the second, then the simpler. On the
        tuned models: correct of total with Wilson interval (low, high; shares), chance = 1 / bases,
        p_binomial of so many or more by guessing, p_permuted of so many if the truths were dealt to
        the models anew, auc (`mean_auroc`).
    """
    results = []
    for (method, level), part in rows.groupby(["method", "level"], sort=False):
        held, queried = part[~part["tuned"]], part[part["tuned"]]
        calls = attributed(queried, bases, ["model", "base"])
        correct, total, chance = int(calls["right"].sum()), len(calls), 1 / len(bases)
        truth, answer = calls["base"].to_numpy(), calls["attributed"].to_numpy()
        results.append(
            {
                "dataset": part["dataset"].iloc[0],
                "method": method,
                "level": level,
                "knows": Level(str(level)).knows,
                **_on_bases(held, bases),
                "chosen": False,
                "correct": correct,
                "total": total,
                "chance": chance,
                "auc": mean_auroc(queried, bases),
                "p_binomial": binomtest(correct, total, chance, alternative="greater").pvalue,
                "p_permuted": permutation.p_of_matches(truth, answer, seed),
            }
        )
    table = pd.DataFrame(results).astype({"cv_correct": "Int64", "cv_total": "Int64"})
    table["cv_replies"] = table["cv_replies"].astype(float)
    order = {name: place for place, name in enumerate([*METHODS, *map(str, Level)])}
    table = table.sort_values(["level", "method"], key=lambda c: c.map(order), ignore_index=True)
    tried = table[table["cv_correct"].notna()]
    best = tried.sort_values(["cv_correct", "cv_replies"], ascending=False, kind="stable")
    table.loc[best.index[0], "chosen"] = True
    return intervals.with_wilson(table, "correct", "total")


def _on_bases(held: pd.DataFrame, bases: list[str]) -> dict:
    """The columns cv_correct, cv_total and cv_replies; None without held-out replies."""
    if held.empty:
        return {"cv_correct": None, "cv_total": None, "cv_replies": None}
    calls = attributed(held, bases, ["split", "model", "base"])
    truth = [bases.index(base) for base in held["base"]]
    for_truth = votes_of(held, bases)[range(len(held)), truth]
    return {
        "cv_correct": int(calls["right"].sum()),
        "cv_total": len(calls),
        "cv_replies": for_truth.mean(),
    }


def models_table(rows: pd.DataFrame, bases: list[str], chosen: str) -> pd.DataFrame:
    """Show what every method says of every tuned model.

    Returns dataset, method, level, model, base (the truth), member, attributed, margin, replies,
    right, chosen.
    """
    identity = ["dataset", "method", "level", "model", "base", "member"]
    return _marked(attributed(rows[rows["tuned"]], bases, identity), chosen)


def _marked(table: pd.DataFrame, chosen: str) -> pd.DataFrame:
    return table.assign(chosen=(table["method"] == chosen) & (table["level"] == Level.K3))


def groups_table(rows: pd.DataFrame, bases: list[str], chosen: str) -> pd.DataFrame:
    """Count the tuned models attributed rightly by their replies to each set of prompts alone.

    Members and non-members of D stand apart.

    Returns
    -------
    pandas.DataFrame
        dataset, method, level, chosen, prompts, models ("members" | "non-members" | "all" where
        there is no D), correct, total, low and high (Wilson interval of the share).
    """
    identity = ["dataset", "method", "level", "prompts", "model", "base", "member"]
    calls = _marked(attributed(rows[rows["tuned"]], bases, identity), chosen)
    names = calls["member"].map({True: "members", False: "non-members"})
    calls = calls.assign(models=names.fillna("all"))
    by = ["dataset", "method", "level", "chosen", "prompts", "models"]
    counts = calls.groupby(by, sort=False)["right"].agg(correct="sum", total="size")
    return intervals.with_wilson(counts.reset_index(), "correct", "total")


def votes_table(rows: pd.DataFrame, bases: list[str], chosen: str) -> pd.DataFrame:
    """Show how a tuned model's replies vote one by one, by the chosen method.

    Returns dataset, method, model, base (the truth), voted, share (0 to 1).
    """
    some = rows[rows["tuned"] & (rows["method"] == chosen) & (rows["level"] == Level.K3)]
    votes = pd.DataFrame(votes_of(some, bases), columns=bases, index=some.index)
    by = [some[c] for c in ("dataset", "method", "model", "base")]
    shares = votes.groupby(by, sort=False).mean()
    return pd.DataFrame({"share": shares.rename_axis(columns="voted").stack()}).reset_index()
