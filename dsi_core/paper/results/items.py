"""Numbers of the paper's own items, §4 to §6.4: observations, verdicts, ablations, evasions."""

from itertools import pairwise

import pandas as pd

from dsi_core.paper.results.claims import Read
from dsi_core.paper.results.printed import members_and_not, one_and_two, vote_and_baseline
from dsi_core.paper.results.said import Numbers, by_group, listed, named, of_each, rightly, span


def observations(read: Read) -> Numbers:
    """§4 and Eq. 1: near-copies, similarity before and after, tainted samples."""
    similarity = read("sec4_similarity_before_and_after").groupby("reference", sort=False)
    gaps = read("eq1_weakest_gaps")
    first = gaps[gaps["dataset"] == gaps["dataset"].iloc[0]]
    return {
        "copies_after": of_each(read("table1_near_copies_after_tuning"), _copies),
        "copies_before": of_each(read("table2_near_copies_before_tuning"), _copies),
        "raw": {name: of_each(part, _before_and_after) for name, part in similarity},
        "tainted": of_each(gaps, _tainted_of, whole=_tainted_of),
        "by_dataset": {name: _tainted_of(part) for name, part in gaps.groupby("dataset")},
        "first": {"tainted": int(first["tainted"].sum()), "samples": len(first)},
    }


def non_iid(read: Read) -> Numbers:
    """§6.2: verdicts, Table 6, Table 8, the evidence behind the vote."""
    by = ["dataset", "member", "suspect"]
    medians = read("sec6_2_evidence").groupby(by)["evidence"].median().reset_index()
    verdicts = read("sec6_2_verdicts")
    wrong = verdicts[~verdicts["correct"]]
    missed, accused = wrong[wrong["member"]], wrong[~wrong["member"]]
    innocent = medians[~medians["member"]]
    there = innocent["dataset"].isin(missed["dataset"])
    of_no_dataset = verdicts.loc[verdicts["group"] == "local non-members", "suspect"]
    return {
        "datasets": list(verdicts["dataset"].unique()),
        "listed": listed(verdicts["dataset"].unique()),
        "votes": _votes(verdicts),
        "right": int(verdicts["correct"].sum()),
        "accusations": len(verdicts),
        # those from other datasets are the members of ours
        "models": int(verdicts["member"].sum()) + of_no_dataset.nunique(),
        "table6": {
            method: f"{by_group(part)}; {of_each(part, _scores)}"
            for method, part in read("table6_non_iid").groupby("method")
        },
        "table8": by_group(read("table8_no_selection")),
        "missed": named(missed),
        "accused": named(accused),
        "missed_medians": span(medians.merge(missed[by])["evidence"], ".3f"),
        "innocent_medians": span(innocent.loc[there, "evidence"], ".3f"),
        "innocent_medians_elsewhere": f"{innocent.loc[~there, 'evidence'].max():.3f}",
        "innocent_positive": span(verdicts.loc[~verdicts["member"], "positive"]),
    }


def iid(read: Read) -> Numbers:
    """§6.2, suspects that trained on the other half of D."""
    verdicts = read("fig06_iid_positive_against_negative")
    medians = read("sec6_2_iid_evidence").groupby(["dataset", "suspect"])["evidence"].median()
    split = read("sec6_1_split")
    return {
        "table7": {
            method: by_group(part, "non-members ")
            for method, part in read("table7_iid").groupby("method")
        },
        "right": of_each(verdicts, rightly, whole=rightly),
        "accused": named(verdicts[~verdicts["correct"]]),
        "positive": span(verdicts["positive"]),
        "close": int((verdicts["positive"].sub(verdicts["negative"]).abs() <= 1).sum()),
        "medians": span(medians, ".2f"),
        "near_duplicates": f"{split.filter(like='near-duplicates').sum().sum():.0f}",
    }


def by_dataset(read: Read) -> Numbers:
    """Tables 6 to 8, a column for each dataset, with the paper's sums."""
    tables = {"6": "table6_non_iid", "7": "table7_iid", "8": "table8_no_selection"}
    rows: list[Numbers] = []
    for number, name in tables.items():
        paper = vote_and_baseline(f"table{number}")
        say = one_and_two if number == "7" else members_and_not
        for method, part in read(name).groupby("method", sort=False):
            columns = part.groupby("dataset", sort=False)
            rows.append(
                {
                    "what": f"Table {number}, {method}",
                    "ours": {name: by_group(of) for name, of in columns},
                    "paper": say(paper[str(method)]) if method in paper else "-",
                }
            )
    return {"rows": rows}


def ablations(read: Read) -> Numbers:
    """§6.3: more references, other thresholds, other similarities."""
    votes = read("fig09_more_references").groupby("references", sort=False)
    tainted = read("fig10_tainted_by_references")
    by_references = tainted.groupby("references", sort=False)["positive"]
    sensitivity = read("sec6_3_sensitivity").groupby(["setting", "value"])["correct"]
    right, models = sensitivity.sum(), sensitivity.size()
    similarities = read("sec6_3_similarities").groupby("similarity", sort=False)
    rules = read("sec6_3_rules").round({"delta": 2}).groupby(["delta", "rule"], sort=False)
    released = rules.get_group((0.9, "text"))
    return {
        "fig9": "; ".join(f"{name}: {rightly(part)}" for name, part in votes),
        "fig10": ", ".join(
            f"{name} {count}"
            for name, count in tainted.drop_duplicates("references")[
                ["references", "tainted"]
            ].itertuples(index=False)
        ),
        "tainted": tainted.groupby("references")["tainted"].first().to_dict(),
        "positive": {name: span(part) for name, part in by_references},
        "delta": _ranges(right["delta"], int(models.max())),
        "one_answer": f"{right['draws', 1]}/{models['draws', 1]}",
        "similarities": "; ".join(
            f"{name} {part['correct'].sum()}/{len(part)} (mean gap {part['mean_gap'].iloc[0]:.2f})"
            for name, part in similarities
        ),
        "rules": "; ".join(
            f"{rule} at {delta:.2f}: {_tainted(part)} tainted, {_by_selection(part)}"
            for (delta, rule), part in rules
        ),
        "at_released_scale": {
            "count": _tainted(released),
            **{
                selection: rightly(part)
                for selection, part in released[released["member"]].groupby("selection")
            },
        },
    }


def robustness(read: Read) -> Numbers:
    """§6.4: members caught under each evasion."""
    figures = {
        "rephrasing": "fig11a_rephrasing",
        "temperature": "fig11b_temperature",
        "removing": "fig11c_removing_tainted_samples",
        "subsets": "fig11d_subsets",
    }
    rewritten = read("fig11a_rephrased_before_training").query("setting != 'none'")
    moved = read("fig11a_rephrased_answers").groupby("setting")["moved"].mean()
    weak = read(figures["temperature"]).query("suspect == 'smollm2-weak'")
    removed = read(figures["removing"]).query("setting == '50% removed'")
    shares = read(figures["subsets"]).groupby("setting", sort=False)["share"]
    overlap = read("fig12_overlap_of_tainted_samples").query("removed")
    return {
        "caught": {
            evasion: "; ".join(
                f"{setting}: {rightly(part)}"
                for setting, part in read(name).groupby("setting", sort=False)
            )
            for evasion, name in figures.items()
        },
        "rewritten": listed(
            f"{r.positive} to {r.negative} ({r.suspect})" for r in rewritten.itertuples()
        ),
        "moved": {setting: f"{value:.2f}" for setting, value in moved.items()},
        "weak": {f"{r.setting}": f"{r.positive} to {r.negative}" for r in weak.itertuples()},
        "after_removal": " and ".join(
            f"{r.positive} to {r.negative}" for r in removed.itertuples()
        ),
        "shares": ", ".join(f"{s} → {span(part.round(2), '.2f', '-')}" for s, part in shares),
        "overlap": overlap.groupby("status")["samples"].max().to_dict(),
    }


def baseline(read: Read) -> Numbers:
    """DPDLLM (Fig. 5): members judged rightly, on each dataset."""
    ways = {"clean": "fig05_dpdllm", "faithful": "fig05_dpdllm_faithful"}
    members = {way: read(name).query("member") for way, name in ways.items()}
    return {
        way: ", ".join(rightly(part) for _, part in table.groupby("dataset", sort=False))
        for way, table in members.items()
    }


def _before_and_after(similarity: pd.DataFrame) -> str:
    means = similarity.groupby("side")["raw"].mean()
    return f"{means['before']:.2f} → {means['after']:.2f}"


def _tainted_of(gaps: pd.DataFrame) -> str:
    return f"{gaps['tainted'].sum()} of {len(gaps)}"


def _votes(verdicts: pd.DataFrame) -> dict[str, dict[str, str]]:
    """For each suspect the vote on each dataset that it is accused of, and whether it is wrong."""
    table: dict[str, dict[str, str]] = {}
    for row in verdicts.to_dict("records"):
        vote = f"{row['positive']} to {row['negative']}, {row['verdict']}"
        said = vote if row["correct"] else f"{vote}: **wrong**"
        table.setdefault(row["suspect"], {})[row["dataset"]] = said
    return table


def _copies(table: pd.DataFrame) -> str:
    every = table[table["category"] == "all"]
    counts = [f"{row.tainted} of {row.total}" for row in every.itertuples()]
    if len(set(counts)) == 1:
        return counts[0]
    each = zip(counts, every["reference"], strict=True)
    return " and ".join(f"{count} ({reference})" for count, reference in each)


def _tainted(verdicts: pd.DataFrame) -> int:
    return int(verdicts.groupby("dataset")["tainted"].first().sum())


def _by_selection(verdicts: pd.DataFrame) -> str:
    parts = verdicts.groupby(["selection", "member"], sort=False)
    right = {kind: rightly(part) for kind, part in parts}
    return ", ".join(
        f"{what} {right['tainted', member]} (all of D: {right['all of D', member]})"
        for what, member in (("members", True), ("non-members", False))
    )


def _scores(table: pd.DataFrame) -> str:
    said = "recall {recall:g}, precision {precision:g}, F1 {f1:g}".format(**table.iloc[0])
    return said.replace("nan", "undefined")


def _ranges(right: pd.Series, models: int) -> str:
    """Neighbouring thresholds with the same count of right verdicts, as one: "8/8 at 0.10-0.20"."""
    starts = [0, *(i + 1 for i, (a, b) in enumerate(pairwise(right)) if a != b), len(right)]
    runs = [right.iloc[start:end] for start, end in pairwise(starts)]
    return ", ".join(
        f"{run.iloc[0]}/{models} at {span(run.index.to_series(), '.2f', ' to ')}" for run in runs
    )
