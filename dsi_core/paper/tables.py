"""Step 7, tables: the paper's tables from our results, with the paper's own numbers beside them."""

import re
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from dsi_core.evidence import intervals
from dsi_core.method import participants
from dsi_core.method.participants import Membership
from dsi_core.method.study import Study
from dsi_core.method.verdict import votes as votes
from dsi_core.services import address
from dsi_core.settings.profile import Profile
from dsi_core.settings.reported import reported
from dsi_core.settings.schema import Data, Model
from dsi_core.settings.suspects import suspects_of

OURS = "dataset inference"
MAIN_CATEGORIES = 4  # the paper prints four
ALL = "all"
NO_CATEGORY = "(no category)"
REST = "other ({count} categories)"
KEYS = ("dataset", "method", "references", "category", "evasion", "setting", "group")
SCORES_APART = ("table6", "table8")  # there recall, precision and F1 are not of a group


@dataclass(frozen=True)
class Rates:
    """How well members are told from non-members (§6.1), in percent, each rounded to 0.1.

    Parameters
    ----------
    recall, precision, f1
        TP / (TP + FN), TP / (TP + FP), and their harmonic mean; NaN where undefined (the paper's
        N/A).
    recall_low, recall_high, precision_low, precision_high
        Wilson intervals. F1 is no proportion and has none.
    """

    recall: float
    precision: float
    f1: float
    recall_low: float
    recall_high: float
    precision_low: float
    precision_high: float


def overview(study: Study) -> pd.DataFrame:
    """Show who takes part: one row per model with its role, truth, base, data and recipe."""
    return participants.overview(study.profile)


def repetition(scores: pd.DataFrame) -> pd.DataFrame:
    """Show how closely each reference repeats the oracle, before and after tuning on D.

    If `after` is not far above `before`, the reference did not learn D and Eq. 1 has nothing to
    find.

    Parameters
    ----------
    scores
        As `study.reference_scores` returns.

    Returns
    -------
    pandas.DataFrame
        Columns dataset, reference, raw_before, raw_after, before, after, gap: means, higher =
        closer.
    """
    columns = ["raw_before", "raw_after", "before", "after", "gap"]
    means = scores.groupby(["dataset", "reference"], sort=False)[columns].mean()
    return means.round(3).reset_index()


def copies(study: Study, scores: pd.DataFrame, side: str) -> pd.DataFrame:
    """Tables 1 and 2: count near-copies of the oracle by category and reference.

    A near-copy has a raw score above `copy_score` (§4.2).

    Parameters
    ----------
    scores
        As `study.reference_scores` returns.
    side
        "after" tuning on D (Table 1), or "before" (Table 2).

    Returns
    -------
    pandas.DataFrame
        Columns dataset, reference, category, total, tainted, share and its Wilson interval (low,
        high). Categories: D's four largest, the rest as "other (n categories)", and "all"; "(no
        category)" where D has none.
    """
    limit = study.profile.decision.copy_score
    table = scores.assign(tainted=scores[f"raw_{side}"] > limit, category=_main_categories(scores))
    every = pd.concat([table.assign(whole=False), table.assign(category=ALL, whole=True)])
    groups = every.groupby(["dataset", "reference", "whole", "category"], sort=False)
    counts = groups["tainted"].agg(total="size", tainted="sum").reset_index()
    counts["share"] = (counts["tainted"] / counts["total"]).round(3)
    counts = intervals.with_wilson(counts, "tainted", "total")
    rest = counts["category"].str.startswith(REST.partition("{")[0])
    rank = counts["whole"] * 2 + rest
    order = ["dataset", "reference", "rank", "total", "category"]
    largest_first = [True, True, True, False, True]
    ranked = counts.assign(rank=rank).sort_values(order, ascending=largest_first)
    return ranked.drop(columns=["rank", "whole"]).reset_index(drop=True)


def _main_categories(scores: pd.DataFrame) -> pd.Series:
    """The category of each row, under which it is counted."""
    named = scores["category"].map(str).where(scores["category"].notna(), NO_CATEGORY)
    result = named.copy()
    for _, part in scores.groupby("dataset"):
        own = named[part.index]
        sizes = own.value_counts().rename_axis("category").reset_index(name="n")
        sizes = sizes.sort_values(["n", "category"], ascending=[False, True])
        rest = sizes["category"].iloc[MAIN_CATEGORIES:]
        if len(rest) > 1:
            result[part.index] = own.where(~own.isin(rest), REST.format(count=len(rest)))
    return result


def papers_own(profile: Profile) -> list[str]:
    """Give the datasets of a profile that are the paper's: by name and place on the hub."""
    theirs = reported("table4").set_index("dataset")
    places = theirs["owner"] + "/" + theirs["name"]
    return [
        name for name, data in profile.data.items() if data.hub and data.hub == places.get(name)
    ]


def beside_paper(
    table: pd.DataFrame, item: str, profile: Profile | None = None, **only
) -> pd.DataFrame:
    """Put the paper's numbers of an item in columns beside ours.

    Rows are matched by method, group, setting, category and references. Rows that only the paper
    has stand below, without numbers of ours. The paper's own datasets are matched by name; beside
    any other dataset, whatever its name, stands what the paper says of all of its own.

    Parameters
    ----------
    item
        As `reported` takes it.
    profile
        Whose datasets these are; `papers_own` tells which are the paper's. None = none is.
    only
        Of the paper's rows, those with these values in these columns.

    Returns
    -------
    pandas.DataFrame
        Our columns, and in words the paper's: counts as "18 of 20", else from least to most.
    """
    paper = reported(item)
    named = re.findall("(?:Table|Figure) [0-9]+", paper["source"].iloc[0])[0]
    for column, value in only.items():
        paper = paper[paper[column] == value]
    if "architectures" in paper:
        words = paper[["architectures", "references_each"]].astype(str)
        paper = paper.assign(references=words.agg(" architectures, ".join, axis=1) + " each")
    if "category" in paper:
        paper = pd.concat([paper, paper.assign(category=ALL)])
    keys = [c for c in KEYS if c in paper and c in table]
    if "dataset" in keys:
        datasets = set(table["dataset"])
        own = datasets.intersection([] if profile is None else papers_own(profile))
        if paper["dataset"].isin(own).any():
            paper = paper[~paper["dataset"].isin(datasets - own)]
        else:
            keys.remove("dataset")
    count = next((c for c in ("correct", "tainted") if c in paper), None)
    if count is not None:
        said = {f"paper's {named}": _counted(paper, keys, count)}
        if item in SCORES_APART:
            scores = reported(item, "scores")
            apart = [key for key in keys if key in scores]
            said[f"paper's {named}: f1"] = (
                paper.groupby(keys, sort=False)[apart]
                .first()
                .apply(lambda row: _span(scores[(scores[apart] == row).all(axis=1)]["f1"]), axis=1)
            )
    else:
        told = [str(c) for c in table if c in paper and c not in KEYS]
        said = {f"paper's {column}": _per(paper, keys, column) for column in told}
    if not keys:
        return table.assign(**{name: values.iloc[0] for name, values in said.items()})
    beside = pd.DataFrame(said).reset_index()
    both = table.merge(beside, on=keys, how="left")
    if count is not None:
        ours = pd.MultiIndex.from_frame(table[keys])
        only_theirs = ~pd.MultiIndex.from_frame(beside[keys]).isin(ours)
        both = pd.concat([both, beside[only_theirs]], ignore_index=True)
    return both.astype({c: "Int64" for c in ("total", "tainted", "correct", "models") if c in both})


def _per(paper: pd.DataFrame, keys: list[str], column: str) -> pd.Series:
    """The span of a column's numbers, for each combination of keys."""
    if not keys:
        return pd.Series([_span(paper[column])])
    return paper.groupby(keys, sort=False)[column].apply(_span)


def _span(values: pd.Series) -> str:
    if values.isna().all():
        return "not told"
    low, high = f"{values.min():g}", f"{values.max():g}"
    return low if low == high else f"{low} to {high}"


def _counted(paper: pd.DataFrame, keys: list[str], count: str) -> pd.Series:
    """Counts as "18 of 20", for each combination of keys, over the paper's datasets."""

    def said(rows: pd.DataFrame) -> str:
        told = rows.dropna(subset=count)
        if told.empty:
            return "not told"
        rest = len(rows) - len(told)
        more = f" ({rest} datasets not told)" if rest else ""
        return f"{int(told[count].sum())} of {int(told['total'].sum())}{more}"

    return paper.groupby(keys, sort=False)[[count, "total"]].apply(said)


def stacked(parts: list[pd.DataFrame]) -> pd.DataFrame:
    """Put tables under one another."""
    return pd.concat(parts, ignore_index=True)


def rates(verdicts: pd.DataFrame) -> Rates:
    """Compute recall, precision and F1 of verdicts.

    Parameters
    ----------
    verdicts
        Columns member (the truth) and verdict. An inconclusive member counts as missed; an
        inconclusive non-member is no false positive.
    """
    called = verdicts["verdict"] == Membership.MEMBER
    member = verdicts["member"].astype(bool)
    tp, fp = int((called & member).sum()), int((called & ~member).sum())
    fn = int((~called & member).sum())
    recall = 100 * tp / (tp + fn) if tp + fn else np.nan
    precision = 100 * tp / (tp + fp) if tp + fp else np.nan
    f1 = 2 * precision * recall / (precision + recall) if tp else np.nan
    recall_ends = [round(100 * end, 1) for end in intervals.wilson(tp, tp + fn)]
    precision_ends = [round(100 * end, 1) for end in intervals.wilson(tp, tp + fp)]
    return Rates(round(recall, 1), round(precision, 1), round(f1, 1), *recall_ends, *precision_ends)


def table6(verdicts: pd.DataFrame, method: str = OURS) -> pd.DataFrame:
    """Table 6: suspects judged rightly, by group.

    Parameters
    ----------
    verdicts
        As `study.verdicts` returns.

    Returns
    -------
    pandas.DataFrame
        Columns dataset, method, group, correct, total, low, high (as `detection`), and the
        `Rates` of all groups of the dataset together.
    """
    tables = []
    for dataset, part in verdicts.groupby("dataset", sort=False):
        table = detection(part, ["group"]).assign(**asdict(rates(part)))
        table.insert(0, "dataset", dataset)
        table.insert(1, "method", method)
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def table7(verdicts: pd.DataFrame, method: str = OURS) -> pd.DataFrame:
    """Table 7: suspects judged rightly, by group; columns as `table6` without its rates.

    All suspects are non-members, so recall and precision do not apply.
    """
    table = detection(verdicts, ["dataset", "group"])
    table.insert(1, "method", method)
    return table


def detection(verdicts: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Count suspects judged rightly.

    Parameters
    ----------
    verdicts
        Column correct, and those of `by`, of which each combination is a row.

    Returns
    -------
    pandas.DataFrame
        Columns of `by`, correct, total, and low, high: the Wilson interval of correct / total, in
        percent.
    """
    groups = verdicts.groupby(by, sort=False)["correct"]
    counts = groups.agg(correct="sum", total="size").reset_index()
    return intervals.with_wilson(counts, "correct", "total", 100).round({"low": 1, "high": 1})


def table4(profile: Profile) -> pd.DataFrame:
    """Table 4: show the datasets of a profile.

    Columns dataset, source, part, rows (used at most; "all" = the whole part), victim, apart_from.
    """
    rows = [
        {
            "dataset": name,
            "source": _source(data),
            "part": data.member or data.split,
            "rows": f"half of {data.rows or 'all'}" if data.half else data.rows or "all",
            "victim": name in profile.victims,
            "apart_from": data.apart_from or "",
        }
        for name, data in profile.data.items()
    ]
    return pd.DataFrame(rows)


def table5(profile: Profile) -> pd.DataFrame:
    """Table 5: show the profile's own base models in use.

    Columns base, source, used_for (references, local suspects).
    """
    used: dict[str, list[str]] = {}
    for reference in profile.references:
        for role, trained in (("R", reference.without), ("R^t", reference.with_)):
            used.setdefault(trained.base, []).append(f"{role} {reference.name}")
    for suspect in profile.suspects:
        used.setdefault(suspect.base, []).append(suspect.name)
    rows = [
        {"base": base, "source": _source(profile.models[base]), "used_for": ", ".join(names)}
        for base, names in used.items()
    ]
    return pd.DataFrame(rows)


def table10(profile: Profile) -> pd.DataFrame:
    """Table 10: show the wild models of a profile; columns dataset, group, model.

    A profile without any has its local non-members in their place.
    """
    rows = [
        {"dataset": dataset, "group": f"wild {Membership.of(member)}s", "model": model}
        for dataset, wild in profile.wild.items()
        for member, ids in ((True, wild.members), (False, wild.non_members))
        for model in ids
    ]
    if rows:
        return pd.DataFrame(rows)
    group = "local non-members, in place of wild ones"
    rows = [
        {"dataset": victim, "group": group, "model": suspect.name}
        for victim in profile.victims
        for suspect in suspects_of(profile, victim)
        if not suspect.member
    ]
    return pd.DataFrame(rows)


def _source(place: Data | Model) -> str:
    """Where data or a model comes from, in words."""
    if isinstance(place, Model):
        if place.endpoint:
            return f"{place.endpoint.model} at {address.place(place.endpoint)}"
        if place.toy:
            return place.toy
    return place.hub or place.path or ", ".join(place.package or {})
