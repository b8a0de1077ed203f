"""Attribution, the tables: what the scores of a tuned model's replies say of its base, and how far that is from guessing.

rows: scored replies as `attribution.judged` returns them, of one dataset, with an array `scores` over `bases`.
"""

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from dsi_core.attribution.classifiers import METHODS
from dsi_core.evidence import intervals, permutation, ranks

LEVELS = {
    "k3": "bases",
    "k2": "bases, tuned models of other bases",
    "k1": "bases, all other tuned models",
}


def attributed(rows: pd.DataFrame, bases: list[str], by: list[str]) -> pd.DataFrame:
    """The base with the highest mean score, for every group of replies (columns `by`, among them base, the truth).

    Returns `by`, attributed (None where no reply has a score), right, margin (its lead over the next, on the method's own scale) and replies.
    """
    scores = pd.DataFrame(np.stack(rows["scores"].to_list()), columns=bases, index=rows.index)
    groups = scores.groupby([rows[c] for c in by], sort=False, dropna=False)
    means = groups.mean()
    ordered = np.sort(means.to_numpy(), axis=1)
    found = means.fillna(-np.inf).idxmax(axis=1).where(means.notna().any(axis=1), None)
    table = means.index.to_frame(index=False).assign(
        attributed=found.to_numpy(),
        margin=ordered[:, -1] - ordered[:, -2],
        replies=groups.size().to_numpy(),
    )
    return table.assign(right=table["attributed"] == table["base"])


def first_places(rows: pd.DataFrame) -> np.ndarray:
    """Each reply's vote, shape (rows, bases): 1 for the base with its highest score, shared equally in a tie, zeros without scores."""
    scores = np.stack(rows["scores"].to_list())
    top = scores == scores.max(axis=1, keepdims=True)
    return top / np.maximum(top.sum(axis=1, keepdims=True), 1)


def mean_auc(rows: pd.DataFrame, bases: list[str]) -> float:
    """Mean over the bases of the AUC with which a base's score tells the replies of its own models from all others; 0.5 = chance.

    A reply's scores are taken less their mean, or the AUC would tell long replies from short ones, say. NaN where nothing can be told.
    """
    scores = np.stack(rows["scores"].to_list())
    there = ~np.isnan(scores).any(axis=1)
    centred, truth = scores[there] - scores[there].mean(axis=1, keepdims=True), rows["base"][there]
    areas = [
        ranks.auroc(centred[truth == b, i], centred[truth != b, i])
        for i, b in enumerate(bases)
        if 0 < (truth == b).sum() < len(truth)
    ]
    return float(np.mean(areas)) if areas else np.nan


def permuted(found: pd.DataFrame, seed: int) -> float:
    """P of as many hits if the truths were dealt to the models anew (`permutation.p_of_matches`)."""
    return permutation.p_of_matches(found["base"].to_numpy(), found["attributed"].to_numpy(), seed)


def methods_table(rows: pd.DataFrame, bases: list[str], seed: int = 0) -> pd.DataFrame:
    """One row per method and level: how well it tells the bases themselves, and the tuned models.

    On the bases, held-out sets of prompts: cv_correct of cv_total (base, fold) decisions, cv_replies = share of single replies attributed
    rightly. chosen = the k3 method with most of the first, then of the second, then the simpler. On the tuned models: correct of total with
    Wilson interval (low, high; shares), chance = 1 / bases, p_binomial of so many or more by guessing, p_permuted (`permuted`), auc
    (`mean_auc`). Whatever was not chosen is shown for comparison: picking the best of these rows would be picking by the answers.
    """
    result = []
    for (method, level), part in rows.groupby(["method", "level"], sort=False):
        held, asked = part[~part["tuned"]], part[part["tuned"]]
        row = {
            "dataset": part["dataset"].iloc[0],
            "method": method,
            "level": level,
            "knows": LEVELS[level],
            "cv_correct": None,
            "cv_total": None,
            "cv_replies": None,
        }
        if len(held):
            decided = attributed(held, bases, ["split", "model", "base"])
            single = first_places(held)[range(len(held)), [bases.index(b) for b in held["base"]]]
            row |= {
                "cv_correct": int(decided["right"].sum()),
                "cv_total": len(decided),
                "cv_replies": single.mean(),
            }
        found = attributed(asked, bases, ["model", "base"])
        hits = int(found["right"].sum())
        result.append(
            {
                **row,
                "chosen": False,
                "correct": hits,
                "total": len(found),
                "chance": 1 / len(bases),
                "auc": mean_auc(asked, bases),
                "p_binomial": binomtest(
                    hits, len(found), 1 / len(bases), alternative="greater"
                ).pvalue,
                "p_permuted": permuted(found, seed),
            }
        )
    table = pd.DataFrame(result).astype(
        {"cv_correct": "Int64", "cv_total": "Int64", "cv_replies": float}
    )
    order = {m: i for i, m in enumerate(METHODS)}
    order |= {level: i for i, level in enumerate(LEVELS)}
    table = table.sort_values(["level", "method"], key=lambda c: c.map(order), ignore_index=True)
    best = (
        table[table["cv_correct"].notna()]
        .sort_values(["cv_correct", "cv_replies"], ascending=False, kind="stable")
        .index[0]
    )
    table.loc[best, "chosen"] = True
    return intervals.with_wilson(table, "correct", "total")


def models_table(rows: pd.DataFrame, bases: list[str], chosen: str) -> pd.DataFrame:
    """What every method says of every tuned model: dataset, method, level, model, base (the truth), member, attributed, margin, replies,
    right, chosen.
    """
    table = attributed(
        rows[rows["tuned"]], bases, ["dataset", "method", "level", "model", "base", "member"]
    )
    return table.assign(chosen=(table["method"] == chosen) & (table["level"] == "k3"))


def groups_table(rows: pd.DataFrame, bases: list[str], chosen: str) -> pd.DataFrame:
    """Tuned models attributed rightly by their replies to each set of prompts alone, members and non-members of D apart.

    Returns dataset, method, level, chosen, prompts, models ("members" | "non-members" | "all" where there is no D), correct, total, low
    and high (Wilson interval of the share).
    """
    found = attributed(
        rows[rows["tuned"]],
        bases,
        ["dataset", "method", "level", "prompts", "model", "base", "member"],
    )
    named = found.assign(
        models=found["member"].map({True: "members", False: "non-members"}).fillna("all"),
        chosen=(found["method"] == chosen) & (found["level"] == "k3"),
    )
    groups = named.groupby(
        ["dataset", "method", "level", "chosen", "prompts", "models"], sort=False
    )["right"]
    return intervals.with_wilson(
        groups.agg(correct="sum", total="size").reset_index(), "correct", "total"
    )


def votes_table(rows: pd.DataFrame, bases: list[str], chosen: str) -> pd.DataFrame:
    """How a tuned model's replies vote one by one, by the chosen method: dataset, method, model, base (truth), voted, share (0 to 1)."""
    some = rows[rows["tuned"] & (rows["method"] == chosen) & (rows["level"] == "k3")]
    votes = pd.DataFrame(first_places(some), columns=bases, index=some.index)
    shares = votes.groupby(
        [some[c] for c in ("dataset", "method", "model", "base")], sort=False
    ).mean()
    return shares.rename_axis(columns="voted").stack().rename("share").reset_index()
