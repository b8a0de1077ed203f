"""Step 7, tables: the paper's tables from our results, with the paper's own numbers beside them."""

import numpy as np
import pandas as pd

from dsi_core import params
from dsi_core.study import Study, members

OURS = "dataset inference"
MAIN_CATEGORIES = 4  # the paper prints four


def reported(item: str, part: str = "rows") -> pd.DataFrame:
    """The paper's numbers of one item ("table6"), with a column source; read from `params/reported.yaml`."""
    entry = params.read_yaml(params.ROOT / "params" / "reported.yaml")[item]
    return pd.DataFrame(entry[part]).assign(source=entry["source"])


def overview(study: Study) -> pd.DataFrame:
    """Who takes part: one row per model with its role, truth, base, training data and recipe."""
    return members(study)[["dataset", "role", "model_id", "group", "member", "base", "data", "recipe"]]


def repetition(scores: pd.DataFrame) -> pd.DataFrame:
    """How closely each reference repeats the oracle: mean raw and rescaled similarity before and after tuning on D.

    Higher = closer. If `after` is not far above `before`, the reference did not learn D and Eq. 1 has nothing to find.
    """
    columns = ["raw_before", "raw_after", "before", "after", "gap"]
    return scores.groupby(["dataset", "reference"], sort=False)[columns].mean().round(3).reset_index()


def copies(study: Study, scores: pd.DataFrame, side: str) -> pd.DataFrame:
    """Tables 1 (side "after" tuning) and 2 ("before"): near-copies of the oracle by category and reference.

    A near-copy has a raw score above `copy_score` (§4.2). Columns dataset, reference, category, total, tainted, then
    share. Categories: D's four largest, the rest as "other (n categories)"; "(no category)" where D has none.
    """
    limit = study.profile.decision.copy_score
    table = scores.assign(tainted=scores[f"raw_{side}"] > limit, category=_main_categories(scores))
    every = pd.concat([table, table.assign(category="all")])
    counts = every.groupby(["dataset", "reference", "category"], sort=False)["tainted"].agg(total="size", tainted="sum").reset_index()
    counts["share"] = (counts["tainted"] / counts["total"]).round(3)
    rank = counts["category"].map(lambda c: (c == "all") * 2 + c.startswith("other ("))
    return counts.assign(rank=rank).sort_values(["dataset", "reference", "rank", "total", "category"],
                                                ascending=[True, True, True, False, True]).drop(columns="rank").reset_index(drop=True)


def _main_categories(scores: pd.DataFrame) -> pd.Series:
    named = scores["category"].astype(object).where(scores["category"].notna(), "(no category)")
    result = named.copy()
    for _, part in scores.groupby("dataset"):
        sizes = named[part.index].value_counts().rename_axis("category").reset_index(name="n").sort_values(["n", "category"], ascending=[False, True])
        rest = sizes["category"].iloc[MAIN_CATEGORIES:]
        if len(rest) > 1:
            result[part.index] = named[part.index].where(~named[part.index].isin(rest), f"other ({len(rest)} categories)")
    return result


def beside_paper(table: pd.DataFrame, item: str) -> pd.DataFrame:
    """Our table with the paper's rows of that item under it; the column `from` says whose a row is."""
    theirs = reported(item)
    if item in ("table6", "table8"):  # recall, precision and F1 stand apart there: they are not of a group
        theirs = theirs.merge(reported(item, "scores").drop(columns="source"), on=["dataset", "method"])
    both = pd.concat([table.assign(source="this run"), theirs], ignore_index=True).rename(columns={"source": "from"})
    return both.astype({c: "Int64" for c in ("total", "tainted", "correct") if c in both})


def scores_of(correct: pd.DataFrame) -> dict:
    """Recall TP/(TP+FN), precision TP/(TP+FP) and F1 in percent (§6.1), NaN where undefined (the paper's N/A).

    correct: columns member (truth) and verdict. An inconclusive member counts as missed; an inconclusive
    non-member is no false positive.
    """
    called = correct["verdict"] == "member"
    tp, fp = int((called & correct["member"]).sum()), int((called & ~correct["member"]).sum())
    fn = int((~called & correct["member"]).sum())
    recall = 100 * tp / (tp + fn) if tp + fn else np.nan
    precision = 100 * tp / (tp + fp) if tp + fp else np.nan
    f1 = 2 * precision * recall / (precision + recall) if tp else np.nan
    return {"recall": round(recall, 1), "precision": round(precision, 1), "f1": round(f1, 1)}


def table6(verdicts: pd.DataFrame, method: str = OURS) -> pd.DataFrame:
    """Table 6: dataset, method, group, correct, total, recall, precision, f1 (percent; the same for every group of a dataset)."""
    rows = []
    for dataset, part in verdicts.groupby("dataset", sort=False):
        scores = scores_of(part)
        for group, some in part.groupby("group", sort=False):
            rows.append({"dataset": dataset, "method": method, "group": group, "correct": int(some["correct"].sum()),
                         "total": len(some), **scores})
    return pd.DataFrame(rows, columns=["dataset", "method", "group", "correct", "total", "recall", "precision", "f1"])
