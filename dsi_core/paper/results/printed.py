"""Numbers that the paper prints, in the words in which ours stand beside them."""

import pandas as pd

from dsi_core.paper.results.said import Numbers, span
from dsi_core.settings.reported import reported


def the_papers() -> Numbers:
    """Give the numbers that the paper prints, to stand beside ours."""
    one, two, nine = reported("table1"), reported("table2"), reported("table9")
    six, seven, eight = (vote_and_baseline(item) for item in ("table6", "table7", "table8"))
    f1 = reported("table6", "scores").query("method == 'DPDLLM'")["f1"]
    subsets = reported("fig11").query("evasion == 'subset'").groupby("setting")["correct"]
    overlap = reported("fig12").set_index("sample")["overlap_max"]
    percent = nine["online_percent"]
    return {
        "copies_after": f"{one['tainted'].sum():,} of {one['total'].sum():,}",
        "copies_before": f"{two['tainted'].sum():,} of {two['total'].sum():,}",
        "table6": members_and_not(six["dataset inference"]),
        "table6_f1": ", ".join(f"{value:.1f}" for value in f1),
        "table7": {method: one_and_two(part) for method, part in seven.items()},
        "table8": members_and_not(eight["dataset inference"]),
        "fig9": {
            (row.dataset, row.architectures, row.references_each): row.correct
            for row in reported("fig09").itertuples()
        },
        "fig10": int(reported("fig10")["tainted_below"].iloc[0]),
        "subset_75": ", ".join(f"{value:.0f}" for value in subsets.get_group("75%")),
        "overlap": overlap.to_dict(),
        "offline": span(nine["offline_hours"], ".0f", "-"),
        "online": f"{nine['online_hours'].iloc[0]:g}",
        "percent": span(percent, ".2f", "-"),
    }


def vote_and_baseline(item: str) -> dict[str, pd.DataFrame]:
    """Give the rows of a printed table by method: dataset inference and DPDLLM."""
    return {str(method): part for method, part in reported(item).groupby("method")}


def members_and_not(table: pd.DataFrame) -> str:
    """Say sums over groups, once where every dataset has the same: "members 20/20, ..."."""
    member = ~table["group"].str.contains("non-")
    sums = table.groupby(["dataset", member], sort=False)[["correct", "total"]].sum()
    said = []
    for what, truth in (("members", True), ("non-members", False)):
        each = [f"{k}/{n}" for k, n in sums.xs(truth, level=1).itertuples(index=False)]
        said.append(f"{what} {each[0] if len(set(each)) == 1 else ' '.join(each)}")
    return ", ".join(said)


def one_and_two(table: pd.DataFrame) -> str:
    """Say each group's counts on all datasets: "(1) 5, 5, 4, 5 of 5; (2) ..."."""
    parts = []
    for group, rows in table.groupby("group"):
        counts = ", ".join(map(str, rows["correct"]))
        name = str(group).removeprefix("non-members ")
        parts.append(f"{name} {counts} of {rows['total'].iloc[0]}")
    return "; ".join(parts)
