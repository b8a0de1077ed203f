"""Which base model does a tuned model come from? (Matching Pairs: Foley et al., ACL 2023).

The arbiter can prompt every base. Three levels of knowledge, by whose replies a classifier learns
from (the mapping is ours): k3 the bases alone; k2 also tuned models whose base is known, of other
bases than the candidate's; k1 also those of the same base (left out where no two tuned models share
one: it would be k2). For k2 the truth decides what is left out, so that the candidate's base alone
has no tuned model to show: the harder case. No classifier ever sees the candidate itself.

The method is chosen on the bases: their replies to held-out sets of prompts are attributed by what
the method learnt from the others.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.model_selection import GroupKFold, KFold

from dsi_core.attribution import tables
from dsi_core.attribution.classifiers import METHODS, Method
from dsi_core.attribution.encoder import Setup
from dsi_core.attribution.perplexity import nats_under, tokens_under
from dsi_core.attribution.replies import RELEASED, overview
from dsi_core.attribution.tables import Level, score_columns
from dsi_core.evidence import intervals
from dsi_core.method.study import Study
from dsi_core.runtime import disk, jobs, locks, released, store
from dsi_core.settings.reported import reported


@dataclass(frozen=True)
class Compared:
    """What came out; where there is nothing, tables of one cell that says so.

    Parameters
    ----------
    methods, models, groups, votes
        As `tables.methods_table`, `models_table`, `groups_table` and `votes_table` return them.
    absent
        Why there is nothing; None = there is.
    """

    methods: pd.DataFrame
    models: pd.DataFrame
    groups: pd.DataFrame
    votes: pd.DataFrame
    absent: str | None = None


@dataclass(frozen=True)
class Split:
    """Replies to learn from and replies to attribute, as index labels of the replies' table.

    Parameters
    ----------
    name
        "fold n" = the bases' replies to held-out prompts; "tuned" or "without <model>" = the tuned
        models'.
    of_bases
        Whether it attributes the bases' own replies.
    """

    level: Level
    name: str
    of_bases: bool
    known: pd.Index
    queried: pd.Index


def compare(study: Study, replies: pd.DataFrame) -> Compared:
    """Try every method at every level of knowledge on these replies, dataset by dataset.

    Where there are no replies, the tables say so. Perplexity takes part where the replies have the
    columns of `perplexity.with_nats`.
    """
    if replies.empty:
        said = overview(replies)
        return Compared(said, said, said, said, replies.attrs["absent"])
    setup = Setup.of(study.profile)
    parts = []
    for _, part in replies.groupby("dataset", sort=False):
        bases = sorted(part["base"].unique())
        rows = judged(setup, part, bases)
        methods = tables.methods_table(rows, bases, setup.seed)
        chosen = methods.loc[methods["chosen"], "method"].item()
        models = tables.models_table(rows, bases, chosen)
        groups = tables.groups_table(rows, bases, chosen)
        parts.append((methods, models, groups, tables.votes_table(rows, bases, chosen)))
    return Compared(*(pd.concat(some, ignore_index=True) for some in zip(*parts, strict=True)))


def judged(setup: Setup, replies: pd.DataFrame, bases: list[str]) -> pd.DataFrame:
    """Score every reply of one dataset by every method that applies; kept in the store.

    Returns
    -------
    pandas.DataFrame
        The columns of `replies` but texts, and method, level, split (its name), and the scores for
        each base (`tables.score_columns`).
    """
    spec = {
        "replies": store.key(replies.to_dict("list")),
        "methods": list(METHODS),
        "bases": bases,
        "seed": setup.seed,
        "attribution": store.spec_of(setup.attribution),
        "backbone": setup.backbone.spec,
    }
    folder = released.entry("attribution", "judged", spec)
    with locks.held(folder):
        if store.manifest(folder) is None:
            scores = _judged(setup, replies.reset_index(drop=True), bases)
            disk.write_table(folder / "scores.parquet", scores)
            store.finish(folder, replies=len(scores))
    return disk.read_table(folder / "scores.parquet")


def _judged(setup: Setup, replies: pd.DataFrame, bases: list[str]) -> pd.DataFrame:
    with_nats = all(nats_under(base) in replies for base in bases)
    trials = [
        (method, split)
        for split in splits(replies, setup.attribution.folds, setup.seed)
        for method in METHODS.values()
        if applies(method, split, with_nats)
    ]
    work = [
        jobs.Job(
            f"{method.name}, {split.level}, {split.name}",
            classify,
            (setup, method.name, replies.loc[split.known], replies.loc[split.queried], bases),
            method.cost,
        )
        for method, split in trials
    ]
    # Long jobs first, so that no core waits at the end
    order = sorted(range(len(work)), key=lambda i: -work[i].cost)
    scores = dict(zip(order, jobs.run([work[i] for i in order]), strict=True))
    columns = score_columns(bases)
    texts = {"prompt", "reply", *map(nats_under, bases), *map(tokens_under, bases)}
    facts = replies.drop(columns=list(texts & set(replies)))
    parts = []
    for i, (method, split) in enumerate(trials):
        named = facts.loc[split.queried].assign(
            method=method.name, level=str(split.level), split=split.name
        )
        parts.append(named.assign(**dict(zip(columns, scores[i].T, strict=True))))
    return pd.concat(parts, ignore_index=True)


def classify(
    setup: Setup, method: str, known: pd.DataFrame, queried: pd.DataFrame, bases: list[str]
) -> np.ndarray:
    """Give the scores of one method, shape (queried, bases)."""
    return METHODS[method].scores(setup, known, queried, bases)


def splits(replies: pd.DataFrame, folds: int, seed: int) -> list[Split]:
    """Say who learns from what, and which replies are attributed.

    Folds keep a set of prompts together: whoever is recognised on dialogue by what it said on code
    is recognised by more than the topic. Where there is one set only, its prompts are dealt at
    random.
    """
    of_bases, of_tuned = replies[~replies["tuned"]], replies[replies["tuned"]]
    prompts = of_bases.drop_duplicates("prompt_id")
    result = []
    for number, held in enumerate(_folds(prompts, folds, seed), start=1):
        out = of_bases["prompt_id"].isin(held)
        known, queried = of_bases.index[~out], of_bases.index[out]
        result.append(Split(Level.K3, f"fold {number}", True, known, queried))
    result.append(Split(Level.K3, "tuned", False, of_bases.index, of_tuned.index))
    candidates = of_tuned.drop_duplicates("model")
    shared = candidates["base"].duplicated().any()
    for level in (Level.K2, Level.K1) if shared else (Level.K2,):
        for model, base in zip(candidates["model"], candidates["base"], strict=True):
            is_own = of_tuned["model"] == model
            is_out = of_tuned["base"] == base if level is Level.K2 else is_own
            known = of_bases.index.append(of_tuned.index[~is_out])
            queried = of_tuned.index[is_own]
            result.append(Split(level, f"without {model}", False, known, queried))
    return result


def _folds(prompts: pd.DataFrame, folds: int, seed: int) -> list[pd.Series]:
    """The prompt_ids held out in each fold; two or more are left (`encoder.partners`)."""
    if len(prompts) > 2:
        count = prompts["prompts"].nunique()
        if count > 1:
            dealt = GroupKFold(min(folds, count)).split(prompts, groups=prompts["prompts"])
        else:
            dealt = KFold(min(folds, len(prompts)), shuffle=True, random_state=seed).split(prompts)
        held = [prompts["prompt_id"].iloc[out] for _, out in dealt]
        if len(prompts) - max(map(len, held)) > 1:
            return held
    raise ValueError(
        f"attribution: {len(prompts)} prompts are too few: beside those that a fold holds out two "
        "have to be left; raise its questions or folds, or name more sets of prompts"
    )


def applies(method: Method, split: Split, with_nats: bool) -> bool:
    """Tell whether a method is tried on a split; with_nats: whether the replies come with them."""
    if split.level is not Level.K3:
        return method.from_tuned
    if split.of_bases and not method.on_bases:
        return False
    return method.from_bases and (with_nats or not method.needs_nats)


# What came out


def answers_beside(compared: Compared, level: Level | str = Level.K3) -> pd.DataFrame:
    """Lay the attributions of all methods of a level beside the truth.

    Returns one row per dataset, model and base, one column per method; ✓ = right.
    """
    if compared.absent:
        return compared.models
    some = compared.models[compared.models["level"] == level]
    said = some["attributed"].fillna("nothing") + np.where(some["right"], " ✓", "")
    identity = ["dataset", "model", "base"]
    wide = some.assign(said=said).pivot(index=identity, columns="method", values="said")
    return wide[list(some["method"].unique())].reset_index()


def beside_published(compared: Compared) -> pd.DataFrame:
    """Give the chosen method's row and the published result; column `from` says whose a row is."""
    if compared.absent:
        return compared.methods
    ours = compared.methods.query("chosen").assign(**{"from": "this run"})
    published = reported(RELEASED, "results").rename(columns={"source": "from"})
    published = intervals.with_wilson(published, "correct", "total")
    measures = ["correct", "total", "low", "high", "p_binomial", "p_permuted", "auc"]
    return pd.concat([ours, published], ignore_index=True)[["method", *measures, "from"]]
