"""Step 7, tables: the paper's tables from our results, with the paper's own numbers beside them."""

import numpy as np
import pandas as pd

from dsi_core.evidence import intervals
from dsi_core.method import participants
from dsi_core.method.participants import Membership
from dsi_core.method.study import Study
from dsi_core.method.verdict import votes as votes
from dsi_core.runtime.paths import ROOT
from dsi_core.settings import profile as params
from dsi_core.settings.profile import Profile
from dsi_core.settings.schema import Source

OURS = "dataset inference"
MAIN_CATEGORIES = 4  # the paper prints four


def reported(item: str, part: str = "rows") -> pd.DataFrame:
    """The paper's numbers of one item ("table6"), with a column source; read from `params/reported.yaml`."""
    entry = params.read_yaml(ROOT / "params" / "reported.yaml")[item]
    return pd.DataFrame(entry[part]).assign(source=entry["source"])


def overview(study: Study) -> pd.DataFrame:
    """Who takes part: one row per model with its role, truth, base, training data and recipe."""
    return participants.overview(study.profile)


def repetition(scores: pd.DataFrame) -> pd.DataFrame:
    """How closely each reference repeats the oracle: mean raw and rescaled similarity before and after tuning on D.

    Higher = closer. If `after` is not far above `before`, the reference did not learn D and Eq. 1 has nothing to find.
    """
    columns = ["raw_before", "raw_after", "before", "after", "gap"]
    return (
        scores.groupby(["dataset", "reference"], sort=False)[columns].mean().round(3).reset_index()
    )


def copies(study: Study, scores: pd.DataFrame, side: str) -> pd.DataFrame:
    """Tables 1 (side "after" tuning) and 2 ("before"): near-copies of the oracle by category and reference.

    A near-copy has a raw score above `copy_score` (§4.2). Columns dataset, reference, category, total, tainted, share
    and its Wilson interval (low, high). Categories: D's four largest, the rest as "other (n categories)"; "(no category)" where D has none.
    """
    limit = study.profile.decision.copy_score
    table = scores.assign(tainted=scores[f"raw_{side}"] > limit, category=_main_categories(scores))
    every = pd.concat([table, table.assign(category="all")])
    counts = (
        every.groupby(["dataset", "reference", "category"], sort=False)["tainted"]
        .agg(total="size", tainted="sum")
        .reset_index()
    )
    counts["share"] = (counts["tainted"] / counts["total"]).round(3)
    counts = intervals.with_wilson(counts, "tainted", "total")
    rank = counts["category"].map(lambda c: (c == "all") * 2 + c.startswith("other ("))
    return (
        counts.assign(rank=rank)
        .sort_values(
            ["dataset", "reference", "rank", "total", "category"],
            ascending=[True, True, True, False, True],
        )
        .drop(columns="rank")
        .reset_index(drop=True)
    )


def _main_categories(scores: pd.DataFrame) -> pd.Series:
    named = scores["category"].astype(object).where(scores["category"].notna(), "(no category)")
    result = named.copy()
    for _, part in scores.groupby("dataset"):
        sizes = (
            named[part.index]
            .value_counts()
            .rename_axis("category")
            .reset_index(name="n")
            .sort_values(["n", "category"], ascending=[False, True])
        )
        rest = sizes["category"].iloc[MAIN_CATEGORIES:]
        if len(rest) > 1:
            result[part.index] = named[part.index].where(
                ~named[part.index].isin(rest), f"other ({len(rest)} categories)"
            )
    return result


def beside_paper(table: pd.DataFrame, item: str, **only) -> pd.DataFrame:
    """Our table with the paper's rows of that item under it, those with the values of `only`; the column `from` says whose a row is."""
    theirs = reported(item)
    for column, value in only.items():
        theirs = theirs[theirs[column] == value]
    if item in (
        "table6",
        "table8",
    ):  # recall, precision and F1 stand apart there: they are not of a group
        theirs = theirs.merge(
            reported(item, "scores").drop(columns="source"), on=["dataset", "method"]
        )
    both = pd.concat([table.assign(source="this run"), theirs], ignore_index=True).rename(
        columns={"source": "from"}
    )
    return both.astype({c: "Int64" for c in ("total", "tainted", "correct") if c in both})


def stacked(parts: list[pd.DataFrame]) -> pd.DataFrame:
    """Tables under one another."""
    return pd.concat(parts, ignore_index=True)


def scores_of(correct: pd.DataFrame) -> dict:
    """Recall TP/(TP+FN), precision TP/(TP+FP) and F1 in percent (§6.1), NaN where undefined (the paper's N/A).

    correct: columns member (truth) and verdict. An inconclusive member counts as missed; an inconclusive
    non-member is no false positive. recall_low ... precision_high are Wilson intervals; F1 is no proportion and has none.
    """
    called = correct["verdict"] == "member"
    tp, fp = int((called & correct["member"]).sum()), int((called & ~correct["member"]).sum())
    fn = int((~called & correct["member"]).sum())
    recall = 100 * tp / (tp + fn) if tp + fn else np.nan
    precision = 100 * tp / (tp + fp) if tp + fp else np.nan
    f1 = 2 * precision * recall / (precision + recall) if tp else np.nan
    ends = {
        f"{name}_{end}": value
        for name, (k, n) in {"recall": (tp, tp + fn), "precision": (tp, tp + fp)}.items()
        for end, value in zip(("low", "high"), intervals.wilson(k, n))
    }
    return {
        "recall": round(recall, 1),
        "precision": round(precision, 1),
        "f1": round(f1, 1),
        **{name: round(100 * value, 1) for name, value in ends.items()},
    }


def table6(verdicts: pd.DataFrame, method: str = OURS) -> pd.DataFrame:
    """Table 6: dataset, method, group, correct, total, low, high (Wilson interval of correct / total, percent), and `scores_of` all
    groups of the dataset together.
    """
    rows = []
    for dataset, part in verdicts.groupby("dataset", sort=False):
        scores = scores_of(part)
        for group, some in detection(part, ["group"]).groupby("group", sort=False):
            rows.append(
                {
                    "dataset": dataset,
                    "method": method,
                    "group": group,
                    **some[["correct", "total", "low", "high"]].iloc[0].to_dict(),
                    **scores,
                }
            )
    return pd.DataFrame(rows).astype({"correct": int, "total": int})


def table7(verdicts: pd.DataFrame, method: str = OURS) -> pd.DataFrame:
    """Table 7: dataset, method, group, correct, total, low, high (percent). Non-members alone: recall and precision do not apply."""
    table = detection(verdicts, ["dataset", "group"])
    table.insert(1, "method", method)
    return table


def detection(verdicts: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Suspects judged rightly: the columns `by`, correct, total, low, high (Wilson interval of correct / total, percent)."""
    counts = (
        verdicts.groupby(by, sort=False)["correct"].agg(correct="sum", total="size").reset_index()
    )
    return intervals.with_wilson(counts, "correct", "total", 100).round({"low": 1, "high": 1})


def table4(profile: Profile) -> pd.DataFrame:
    """Table 4: the datasets of a profile: dataset, source, part, rows (used at most; "all" = the whole part), victim, apart_from."""
    rows = [
        {
            "dataset": name,
            "source": _source(d),
            "part": d.member or d.split,
            "rows": d.rows or "all",
            "victim": name in profile.victims,
            "apart_from": d.apart_from or "",
        }
        for name, d in profile.data.items()
    ]
    return pd.DataFrame(rows)


def table5(profile: Profile) -> pd.DataFrame:
    """Table 5: the profile's own base models in use: base, source, and what for (references, local suspects)."""
    used = {}
    for r in profile.references:
        for role, t in (("R", r.without), ("R^t", r.with_)):
            used.setdefault(t.base, []).append(f"{role} {r.name}")
    for s in profile.suspects:
        used.setdefault(s.base, []).append(s.name)
    return pd.DataFrame(
        [
            {"base": base, "source": _source(profile.models[base]), "used_for": ", ".join(names)}
            for base, names in used.items()
        ]
    )


def table10(profile: Profile) -> pd.DataFrame:
    """Table 10: the wild models of a profile: dataset, group, model. A profile without any has its local non-members in their place."""
    rows = [
        {"dataset": dataset, "group": f"wild {Membership.of(member)}s", "model": model}
        for dataset, wild in profile.wild.items()
        for member, ids in ((True, wild.members), (False, wild.non_members))
        for model in ids
    ]
    rows = rows or [
        {"dataset": v, "group": "local non-members, in place of wild ones", "model": s.name}
        for v in profile.victims
        for s in profile.suspects
        if not s.member
    ]
    return pd.DataFrame(rows)


def _source(place: Source) -> str:
    if getattr(place, "endpoint", None):
        return f"{place.endpoint.model} at {place.endpoint.base_url}"
    return place.hub or place.path or getattr(place, "toy", None) or ", ".join(place.package or {})
