"""Attribution: which base model does a tuned model come from? (Matching Pairs: Foley et al., ACL 2023; peers.md 4)

The arbiter can ask every base. Three levels of knowledge, by whose replies a classifier learns from (the mapping is ours, peers.md 4.3):
k3 the bases alone; k2 also tuned models whose base is known, of other bases than the candidate's; k1 also those of the same base (left
out where no two tuned models share one: it would be k2). For k2 the truth decides what is left out, so that the candidate's base alone
has no tuned model to show: the harder case. No classifier ever sees the candidate itself.

The method is chosen on the bases: their replies to held-out sets of prompts are attributed by what the method learnt from the others.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import binomtest
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold, KFold

from dsi_core import attribution_transformer as transformer
from dsi_core import figures, plots, plots_attribution, tables, work
from dsi_core.attribution_classifiers import METHODS
from dsi_core.attribution_data import RELEASED, settings
from dsi_core.params import Profile
from dsi_core.study import Study

LEVELS = {"k3": "bases", "k2": "bases, tuned models of other bases", "k1": "bases, all other tuned models"}
FROM_TUNED = ("heuristics", "TF-IDF characters 2-5", "heuristics and TF-IDF", "same prompt, learnt")  # tried at k2 and k1 as well
NOT_ON_BASES = ("same prompt",)  # a base's reply to a prompt stands beside itself: nothing to choose by
COSTS = {"transformer": 40, "transformer, pairs": 100}  # rough, for the progress bar; any other 1
PERMUTATIONS = 9999


@dataclass(frozen=True)
class Compared:
    """What came out: tables as `methods_table`, `models_table`, `groups_table` and `votes_table` return them, or one sentence in each."""

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
        methods = methods_table(rows, bases, study.profile.seed)
        chosen = methods.loc[methods["chosen"], "method"].item()
        parts.append((methods, models_table(rows, bases, chosen), groups_table(rows, bases, chosen), votes_table(rows, bases, chosen)))
    return Compared(*(tables.stacked(list(p)) for p in zip(*parts)))


def judged(profile: Profile, replies: pd.DataFrame, bases: list[str]) -> pd.DataFrame:
    """Scores of every reply by every method that applies: the columns of `replies` but texts, and method, level, split, scores (an array
    over `bases`). split: "fold n" = the bases' replies to held-out prompts, "tuned" or "without <model>" = the tuned models'."""
    replies = replies.reset_index(drop=True)
    replies = replies.assign(vector=list(work.run([work.Job("embeddings", transformer.embeddings, (profile, replies))])[0]))
    plan = [(m, *s) for s in splits(replies, settings(profile).folds, profile.seed) for m in METHODS if applies(m, s[0], s[1], replies)]
    jobs = [work.Job(f"{m}, {level}, {split}", classify, (profile, m, replies.loc[known], replies.loc[asked], bases), COSTS.get(m, 1))
            for m, level, split, known, asked in plan]
    order = sorted(range(len(jobs)), key=lambda i: -jobs[i].cost)  # long jobs first, so that no core waits at the end
    scores = dict(zip(order, work.run([jobs[i] for i in order])))
    kept = replies.drop(columns=["prompt", "reply", "vector", *({"nats", "tokens"} & set(replies))])
    return pd.concat([kept.loc[asked].assign(method=m, level=level, split=split, scores=list(scores[i]))
                      for i, (m, level, split, _, asked) in enumerate(plan)], ignore_index=True)


def classify(profile: Profile, method: str, known: pd.DataFrame, asked: pd.DataFrame, bases: list[str]) -> np.ndarray:
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
    dealt = (GroupKFold(min(folds, count)).split(sets, groups=sets["prompts"]) if count > 1
             else KFold(min(folds, len(sets)), shuffle=True, random_state=seed).split(sets))
    result = []
    for i, (_, held) in enumerate(dealt):
        out = own["prompt_id"].isin(sets["prompt_id"].iloc[held])
        result.append(("k3", f"fold {i + 1}", own.index[~out], own.index[out]))
    result.append(("k3", "tuned", own.index, tuned.index))
    candidates = tuned.drop_duplicates("model")[["model", "base"]]
    for level in ("k2", "k1") if candidates["base"].duplicated().any() else ("k2",):
        for model, base in candidates.itertuples(index=False):
            others = tuned["base"] != base if level == "k2" else tuned["model"] != model
            result.append((level, f"without {model}", own.index.append(tuned.index[others]), tuned.index[tuned["model"] == model]))
    return result


def applies(method: str, level: str, split: str, replies: pd.DataFrame) -> bool:
    """Whether a method is tried: at this level, on the bases, with what the replies come with."""
    if level != "k3":
        return method in FROM_TUNED
    on_bases = split.startswith("fold") and method.endswith(NOT_ON_BASES)
    return not on_bases and method != "same prompt, learnt" and (not method.startswith("perplexity") or "nats" in replies)


# What the scores say


def attributed(rows: pd.DataFrame, bases: list[str], by: list[str]) -> pd.DataFrame:
    """The base with the highest mean score, for every group of replies (columns `by`, among them base, the truth).

    Returns `by`, attributed (None where no reply has a score), right, margin (its lead over the next, on the method's own scale) and replies.
    """
    scores = pd.DataFrame(np.stack(rows["scores"].to_list()), columns=bases, index=rows.index)
    groups = scores.groupby([rows[c] for c in by], sort=False, dropna=False)
    means = groups.mean()
    ordered = np.sort(means.to_numpy(), axis=1)
    found = means.fillna(-np.inf).idxmax(axis=1).where(means.notna().any(axis=1), None)
    table = means.index.to_frame(index=False).assign(attributed=found.to_numpy(), margin=ordered[:, -1] - ordered[:, -2], replies=groups.size().to_numpy())
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
    areas = [roc_auc_score(truth == b, centred[:, i]) for i, b in enumerate(bases) if 0 < (truth == b).sum() < len(truth)]
    return float(np.mean(areas)) if areas else np.nan


def permuted(found: pd.DataFrame, seed: int) -> float:
    """p of as many hits if the truths were dealt to the models anew: (1 + as good) / (1 + `PERMUTATIONS`). Unlike the binomial p it does
    not reward naming one base always where most models come from it."""
    rng, truth, said = np.random.default_rng(seed), found["base"].to_numpy(), found["attributed"].to_numpy()
    hits = np.array([(rng.permutation(truth) == said).sum() for _ in range(PERMUTATIONS)])
    return float((1 + (hits >= (truth == said).sum()).sum()) / (1 + PERMUTATIONS))


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
        row = {"dataset": part["dataset"].iloc[0], "method": method, "level": level, "knows": LEVELS[level], "cv_correct": None, "cv_total": None, "cv_replies": None}
        if len(held):
            decided = attributed(held, bases, ["split", "model", "base"])
            places = [bases.index(b) for b in held["base"]]
            row |= {"cv_correct": int(decided["right"].sum()), "cv_total": len(decided), "cv_replies": first_places(held)[range(len(held)), places].mean()}
        found = attributed(asked, bases, ["model", "base"])
        hits = int(found["right"].sum())
        result.append({**row, "chosen": False, "correct": hits, "total": len(found), "chance": 1 / len(bases), "auc": mean_auc(asked, bases),
                       "p_binomial": binomtest(hits, len(found), 1 / len(bases), alternative="greater").pvalue, "p_permuted": permuted(found, seed)})
    table = pd.DataFrame(result).astype({"cv_correct": "Int64", "cv_total": "Int64", "cv_replies": float})
    order = {m: i for i, m in enumerate(METHODS)}
    table = table.sort_values(["level", "method"], key=lambda c: c.map(order) if c.name == "method" else c.map({"k3": 0, "k2": 1, "k1": 2}), ignore_index=True)
    best = table[table["cv_correct"].notna()].sort_values(["cv_correct", "cv_replies"], ascending=False, kind="stable").index[0]
    table.loc[best, "chosen"] = True
    return tables.with_interval(table, "correct", "total")


def models_table(rows: pd.DataFrame, bases: list[str], chosen: str) -> pd.DataFrame:
    """What every method says of every tuned model: dataset, method, level, chosen, model, base (truth), member, attributed, right, margin, replies."""
    table = attributed(rows[rows["tuned"]], bases, ["dataset", "method", "level", "model", "base", "member"])
    return table.assign(chosen=(table["method"] == chosen) & (table["level"] == "k3"))


def groups_table(rows: pd.DataFrame, bases: list[str], chosen: str) -> pd.DataFrame:
    """Tuned models attributed rightly by their replies to each set of prompts alone, members and non-members of D apart.

    Returns dataset, method, level, chosen, prompts, models ("members" | "non-members" | "all" where there is no D), correct, total, low, high (Wilson).
    """
    found = attributed(rows[rows["tuned"]], bases, ["dataset", "method", "level", "prompts", "model", "base", "member"])
    named = found.assign(models=found["member"].map({True: "members", False: "non-members"}).fillna("all"),
                         chosen=(found["method"] == chosen) & (found["level"] == "k3"))
    counts = named.groupby(["dataset", "method", "level", "chosen", "prompts", "models"], sort=False)["right"].agg(correct="sum", total="size").reset_index()
    return tables.with_interval(counts, "correct", "total")


def votes_table(rows: pd.DataFrame, bases: list[str], chosen: str) -> pd.DataFrame:
    """How a tuned model's replies vote one by one, by the chosen method: dataset, method, model, base (truth), voted, share (0 to 1)."""
    some = rows[rows["tuned"] & (rows["method"] == chosen) & (rows["level"] == "k3")]
    votes = pd.DataFrame(first_places(some), columns=bases, index=some.index)
    shares = votes.groupby([some[c] for c in ("dataset", "method", "model", "base")], sort=False).mean()
    return shares.rename_axis(columns="voted").stack().rename("share").reset_index()


def answers_beside(compared: Compared, only: str = "k3") -> pd.DataFrame:
    """The attributions of all methods of a level beside the truth: one row per dataset and model, one column per method; ✓ = right."""
    if compared.absent:
        return compared.models
    some = compared.models.query("level == @only")
    said = some["attributed"].fillna("nothing") + np.where(some["right"], " ✓", "")
    return some.assign(said=said).pivot(index=["dataset", "model", "base"], columns="method", values="said")[list(some["method"].unique())].reset_index()


def beside_published(compared: Compared) -> pd.DataFrame:
    """The chosen method's row and the published result, the column `from` says whose a row is."""
    if compared.absent:
        return compared.methods
    ours = compared.methods.query("chosen").assign(**{"from": "this run"})
    theirs = tables.reported(RELEASED, "results").rename(columns={"source": "from"})
    columns = ["method", "correct", "total", "low", "high", "p_binomial", "p_permuted", "auc", "from"]
    return pd.concat([ours, tables.with_interval(theirs, "correct", "total")], ignore_index=True)[columns]


def save(study: Study, compared: Compared, name: str, folder: str = "figures") -> list:
    """Keep the tables and draw two figures, `attribution_<name>_...`; returns the figures. Where there is nothing, nothing is kept."""
    if compared.absent:
        return []
    rows = [t.groupby("dataset")[c].nunique().max() for t, c in ((compared.methods.assign(row=range(len(compared.methods))), "row"), (compared.votes, "model"))]
    drawn = [plots.per_dataset(plots_attribution.plot_methods, compared.methods, height=1.2 + 0.32 * rows[0]),
             plots.per_dataset(plots_attribution.plot_votes, compared.votes, height=1.9 + 0.36 * rows[1])]
    for item, figure in (("methods", drawn[0]), ("votes", drawn[1]), ("models", None), ("groups", None)):
        figures.save(study, f"attribution_{name}_{item}", figure, getattr(compared, item), folder)
    return drawn
