"""Attribution: which base model does a tuned model come from? (Matching Pairs: Foley et al., ACL 2023)

The arbiter can ask every base. Three levels of knowledge, by whose replies a classifier learns from (the mapping is ours):
k3 the bases alone; k2 also tuned models whose base is known, of other bases than the candidate's; k1 also those of the same base (left
out where no two tuned models share one: it would be k2). For k2 the truth decides what is left out, so that the candidate's base alone
has no tuned model to show: the harder case. No classifier ever sees the candidate itself.

The method is chosen on the bases: their replies to held-out sets of prompts are attributed by what the method learnt from the others.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.model_selection import GroupKFold, KFold

from dsi_core.attribution import tables as results
from dsi_core.attribution.classifiers import METHODS
from dsi_core.attribution.replies import RELEASED, settings
from dsi_core.evidence import intervals
from dsi_core.method.study import Study
from dsi_core.paper import tables
from dsi_core.runtime import jobs as work
from dsi_core.settings.profile import Profile

FROM_TUNED = (
    "heuristics",
    "TF-IDF characters 2-5",
    "heuristics and TF-IDF",
    "same prompt, learnt",
)  # tried at k2 and k1 as well
NOT_ON_BASES = (
    "same prompt",
)  # a base's reply to a prompt stands beside itself: nothing to choose by
COSTS = {"transformer": 40, "transformer, pairs": 100}  # rough, for the progress bar; any other 1


@dataclass(frozen=True)
class Compared:
    """What came out: tables as `attribution_tables`' methods_table, models_table, groups_table and votes_table, or one sentence in each."""

    methods: pd.DataFrame
    models: pd.DataFrame
    groups: pd.DataFrame
    votes: pd.DataFrame
    absent: str | None = None  # why there is nothing


def compare(study: Study, replies: pd.DataFrame) -> Compared:
    """Every method at every level of knowledge on these replies (`attribution_data`), dataset by dataset; an empty table is passed on.

    Perplexity takes part where the replies have the columns of `attribution_perplexity.with_nats`.
    """
    if replies.empty:
        absent = replies.attrs["absent"]
        return Compared(*[pd.DataFrame({"": [absent]})] * 4, absent)
    parts = []
    for _, some in replies.groupby("dataset", sort=False):
        bases = sorted(some["base"].unique())
        rows = judged(study.profile, some, bases)
        methods = results.methods_table(rows, bases, study.profile.seed)
        chosen = methods.loc[methods["chosen"], "method"].item()
        parts.append(
            (
                methods,
                *(
                    make(rows, bases, chosen)
                    for make in (results.models_table, results.groups_table, results.votes_table)
                ),
            )
        )
    return Compared(*(tables.stacked(list(p)) for p in zip(*parts)))


def judged(profile: Profile, replies: pd.DataFrame, bases: list[str]) -> pd.DataFrame:
    """Scores of every reply by every method that applies: the columns of `replies` but texts, and method, level, split, scores (an array
    over `bases`). split: "fold n" = the bases' replies to held-out prompts, "tuned" or "without <model>" = the tuned models'.
    """
    replies = replies.reset_index(drop=True)
    plan = [
        (m, *s)
        for s in splits(replies, settings(profile).folds, profile.seed)
        for m in METHODS
        if applies(m, s[0], s[1], replies)
    ]
    jobs = [
        work.Job(
            f"{m}, {level}, {split}",
            classify,
            (profile, m, replies.loc[known], replies.loc[asked], bases),
            COSTS.get(m, 1),
        )
        for m, level, split, known, asked in plan
    ]
    order = sorted(
        range(len(jobs)), key=lambda i: -jobs[i].cost
    )  # long jobs first, so that no core waits at the end
    scores = dict(zip(order, work.run([jobs[i] for i in order])))
    kept = replies.drop(columns=["prompt", "reply", *({"nats", "tokens"} & set(replies))])
    return pd.concat(
        [
            kept.loc[asked].assign(method=m, level=level, split=split, scores=list(scores[i]))
            for i, (m, level, split, _, asked) in enumerate(plan)
        ],
        ignore_index=True,
    )


def classify(
    profile: Profile, method: str, known: pd.DataFrame, asked: pd.DataFrame, bases: list[str]
) -> np.ndarray:
    """The scores of one method, shape (asked, bases)."""
    return METHODS[method](profile, known, asked, bases)


def splits(replies: pd.DataFrame, folds: int, seed: int) -> list[tuple]:
    """(level, split, rows to learn from, rows to attribute), the rows as index labels of `replies`.

    Folds keep a set of prompts together: whoever is recognised on dialogue by what it said on code is recognised by more than the topic.
    Where there is one set only, its prompts are dealt at random.
    """
    own, tuned = replies[~replies["tuned"]], replies[replies["tuned"]]
    sets = own.drop_duplicates("prompt_id")
    count = sets["prompts"].nunique()
    dealt = (
        GroupKFold(min(folds, count)).split(sets, groups=sets["prompts"])
        if count > 1
        else KFold(min(folds, len(sets)), shuffle=True, random_state=seed).split(sets)
    )
    result = []
    for i, (_, held) in enumerate(dealt):
        out = own["prompt_id"].isin(sets["prompt_id"].iloc[held])
        result.append(("k3", f"fold {i + 1}", own.index[~out], own.index[out]))
    result.append(("k3", "tuned", own.index, tuned.index))
    candidates = tuned.drop_duplicates("model")[["model", "base"]]
    for level in ("k2", "k1") if candidates["base"].duplicated().any() else ("k2",):
        for model, base in candidates.itertuples(index=False):
            others = tuned["base"] != base if level == "k2" else tuned["model"] != model
            result.append(
                (
                    level,
                    f"without {model}",
                    own.index.append(tuned.index[others]),
                    tuned.index[tuned["model"] == model],
                )
            )
    return result


def applies(method: str, level: str, split: str, replies: pd.DataFrame) -> bool:
    """Whether a method is tried: at this level, on the bases, with what the replies come with."""
    if level != "k3":
        return method in FROM_TUNED
    on_bases = split.startswith("fold") and method.endswith(NOT_ON_BASES)
    return (
        not on_bases
        and method != "same prompt, learnt"
        and (not method.startswith("perplexity") or "nats" in replies)
    )


# What came out


def answers_beside(compared: Compared, only: str = "k3") -> pd.DataFrame:
    """The attributions of all methods of a level beside the truth: one row per dataset and model, one column per method; ✓ = right."""
    if compared.absent:
        return compared.models
    some = compared.models.query("level == @only")
    said = some["attributed"].fillna("nothing") + np.where(some["right"], " ✓", "")
    wide = some.assign(said=said).pivot(
        index=["dataset", "model", "base"], columns="method", values="said"
    )
    return wide[list(some["method"].unique())].reset_index()


def beside_published(compared: Compared) -> pd.DataFrame:
    """The chosen method's row and the published result, the column `from` says whose a row is."""
    if compared.absent:
        return compared.methods
    ours = compared.methods.query("chosen").assign(**{"from": "this run"})
    theirs = tables.reported(RELEASED, "results").rename(columns={"source": "from"})
    columns = [
        "method",
        "correct",
        "total",
        "low",
        "high",
        "p_binomial",
        "p_permuted",
        "auc",
        "from",
    ]
    return pd.concat([ours, intervals.with_wilson(theirs, "correct", "total")], ignore_index=True)[
        columns
    ]
