"""What grey-box methods come to: AUROC, TPR at low FPR and p-values of the attacks, DIA's p-values, and both beside black-box dataset
inference.
"""

import numpy as np
import pandas as pd

from dsi_core.evidence import intervals, ranks
from dsi_core.grey_box import dia, mia_compare, mia_loss, mia_sampling
from dsi_core.grey_box.collect import KEYS, settings, whole
from dsi_core.method import study as steps
from dsi_core.method.study import MEMBER, Study
from dsi_core.models import token_logprobs

OWN = (
    "loss",
    "zlib",
    "min_k",
    "min_k_plus_plus",
)  # the attacks that every sample has; with the references: DIA's "few" features
BLACK_BOX = "black-box dataset inference"


def measured(study: Study, scores: pd.DataFrame) -> pd.DataFrame:
    """How well each attack tells D from validation: dataset, suspect, group, member, view, attack, samples, validation, and

    auc (0.5 = not at all; above = D looks more familiar), low and high (95%, `intervals.newcombe`), tpr_at_1 and tpr_at_5 (share of D above
    all but 1% and 5% of validation), p (one-sided Mann-Whitney test of the same), d (Cohen's), and p_control (the same test of one random
    half of validation against the other). scores: as `attacks`.
    """
    rows = []
    for keys, part in scores.groupby([*KEYS, "view", "attack"], sort=False):
        one, other = (part.loc[part["part"] == p, "score"].to_numpy() for p in ("D", "validation"))
        first, second = dia.halves(len(other), np.random.default_rng(study.profile.seed))
        auc = ranks.auroc(one, other)
        low, high = intervals.newcombe(auc, len(one), len(other))
        rows.append(
            {
                **dict(zip([*KEYS, "view", "attack"], keys)),
                "samples": len(one),
                "validation": len(other),
                "auc": auc,
                "low": low,
                "high": high,
                "tpr_at_1": tpr(one, other, 0.01),
                "tpr_at_5": tpr(one, other, 0.05),
                "p": ranks.mann_whitney(one, other),
                "d": dia.cohens_d(one, other),
                "p_control": ranks.mann_whitney(other[first], other[second]),
            }
        )
    return pd.DataFrame(rows)


def by_group(measured: pd.DataFrame) -> pd.DataFrame:
    """Each attack's AUROC over the suspects of a group: view, attack, group, suspects, median, lowest, highest."""
    table = (
        measured.groupby(["view", "attack", "group"], sort=False)["auc"]
        .agg(["size", "median", "min", "max"])
        .reset_index()
    )
    return table.rename(columns={"size": "suspects", "min": "lowest", "max": "highest"})


def tpr(one: np.ndarray, other: np.ndarray, fpr: float) -> float:
    """Share of `one` above a threshold that at most the share `fpr` of `other` is above."""
    return float(np.mean(one > np.sort(other)[::-1][int(fpr * len(other))]))


# DIA


def dataset_inference(
    studies: list[Study], values: pd.DataFrame, scores: pd.DataFrame
) -> pd.DataFrame:
    """DIA's p-values: dataset, suspect, group, member, view, features, seed, p, d (of the suspect set's held-out scores), p_control,
    d_control.

    features: "few" = the attacks on a text's own losses and the references; "released" = the released code's 16. One row per random split.
    values and scores: as `token_values` and `attacks`.
    """
    how, rows = settings(studies[0]), []
    for keys, part in scores[scores["view"].isin(token_logprobs.VIEWS)].groupby(
        [*KEYS, "view"], sort=False
    ):
        victim, suspect, view = keys[0], keys[1], keys[-1]
        mine = values.query(
            "dataset == @victim and model == @suspect and variant == 'original'"
        ).reset_index(drop=True)
        x, mask = token_logprobs.padded(mine, view)
        few = part[part["attack"].isin(OWN) | part["attack"].str.startswith("reference ")].pivot(
            index="sample_id", columns="attack", values="score"
        )
        ways = {
            "few": few.loc[mine["sample_id"]].to_numpy(),
            "released": dia.features(x["logprobs"], mask, whole(mine, view)).to_numpy(),
        }
        for name, table in ways.items():
            d, unseen = (table[mine["part"] == p] for p in ("D", "validation"))
            for seed in range(studies[0].profile.seed, studies[0].profile.seed + how.splits):
                found, none = (
                    dia.test(d, unseen, seed=seed, ridge=how.ridge),
                    dia.control(unseen, seed=seed, ridge=how.ridge),
                )
                rows.append(
                    {
                        **dict(zip([*KEYS, "view"], keys)),
                        "features": name,
                        "seed": seed,
                        "p": found["p"],
                        "d": found["d"],
                        "p_control": none["p"],
                        "d_control": none["d"],
                    }
                )
    return pd.DataFrame(rows)


def over_splits(splits: pd.DataFrame, alpha: float) -> pd.DataFrame:
    """`dataset_inference` over its splits, which share samples and are not independent: median p, d, p_control and d_control, the shares of
    p below 0.05 and 0.1 (and of p_control below 0.1), p_valid = min(1, 2 x median p) and the verdict "member" where it is at most alpha.

    Twice the median of p-values is one, however they depend on each other (Ruger 1978); the median itself is not.
    """
    grouped = splits.groupby([*KEYS, "view", "features"], sort=False)
    table = grouped[["p", "d", "p_control", "d_control"]].median()
    for name, column, level in (
        ("share_below_0.05", "p", 0.05),
        ("share_below_0.1", "p", 0.1),
        ("control_below_0.1", "p_control", 0.1),
    ):
        table[name] = grouped[column].agg(lambda p: (p < level).mean())
    table["p_valid"] = np.minimum(1.0, 2 * table["p"])
    return table.assign(
        verdict=np.where(table["p_valid"] <= alpha, MEMBER[True], MEMBER[False])
    ).reset_index()


# Beside the black box


def black_box(studies: list[Study]) -> pd.DataFrame:
    """`study.verdicts` of every suspect of every study (Tables 6 and 7), from the store where it has them."""
    tables = []
    for study in studies:
        scores = steps.reference_scores(study)
        tables.append(steps.verdicts(study, scores, steps.suspect_gaps(study, scores)))
    return pd.concat(tables, ignore_index=True)


def needs(attack: str) -> tuple[str, str]:
    """(access, what the method has to know) of a method."""
    if attack == BLACK_BOX:
        return "text", "text alone; reference models tuned on D and not"
    if attack.startswith("DIA"):
        return "probabilities", dia.NEEDS
    name = "reference" if attack.startswith("reference ") else attack
    known = {**mia_loss.NEEDS, **mia_compare.NEEDS, **mia_sampling.NEEDS}[name]
    return (
        "text" if name in mia_sampling.NEEDS else "probabilities",
        f"{known}; pairs of D's own distribution that no model can have seen",
    )


def beside(
    study: Study, measured: pd.DataFrame, inferred: pd.DataFrame, verdicts: pd.DataFrame
) -> pd.DataFrame:
    """Every method's verdict on every suspect: dataset, suspect, group, member, method, access, p (NaN: the vote has none), verdict, correct.

    An attack says "member" when its rank test's p is at most the profile's grey_box.alpha, DIA when p_valid is; both on the answers given
    the prompts. measured, inferred, verdicts: as `measured`, `over_splits` and `black_box` return.
    """
    alpha = settings(study).alpha
    tests = measured[measured["view"] != "text"].rename(columns={"attack": "method"})
    tests = tests.assign(verdict=np.where(tests["p"] <= alpha, MEMBER[True], MEMBER[False]))
    found = inferred[inferred["view"] == "answer"].assign(
        method=lambda t: "DIA (" + t["features"] + ")", p=lambda t: t["p_valid"]
    )
    columns = [*KEYS, "method", "p", "verdict"]
    table = pd.concat(
        [verdicts.assign(method=BLACK_BOX, p=np.nan)[columns], found[columns], tests[columns]],
        ignore_index=True,
    )
    table.insert(5, "access", [needs(m)[0] for m in table["method"]])
    return table.assign(correct=table["verdict"] == table["member"].map(MEMBER))


def tally(beside: pd.DataFrame) -> pd.DataFrame:
    """`beside`, counted: method, access, needs, and for each group of suspects "right of all"."""
    counts = beside.groupby(["method", "group"], sort=False)["correct"].agg(["sum", "size"])
    wide = (counts["sum"].astype(str) + "/" + counts["size"].astype(str)).unstack(sort=False)
    wide = wide.loc[beside["method"].unique(), beside["group"].unique()].fillna("").reset_index()
    for place, column in ((1, "access"), (2, "needs")):
        wide.insert(place, column, [needs(m)[place - 1] for m in wide["method"]])
    wide.columns.name = None
    return wide
