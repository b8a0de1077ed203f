"""Counts of a table, in the words of the page of results."""

from collections.abc import Callable, Iterable
from typing import Any

import pandas as pd

Numbers = dict[str, Any]  # what a template fills in, by name


def rightly(table: pd.DataFrame) -> str:
    """Say how many were judged rightly: sums for rows with a total, else a count of models."""
    total = table["total"].sum() if "total" in table else len(table)
    return f"{table['correct'].sum()}/{total}"


def by_group(table: pd.DataFrame, prefix: str = "local ") -> str:
    """Say who was judged rightly in each group, summed over datasets: "members 8/8, ..."."""
    sums = table.groupby("group", sort=False)[["correct", "total"]].sum()
    parts = sums.itertuples(name=None)
    return ", ".join(f"{group.removeprefix(prefix)} {k}/{n}" for group, k, n in parts)


def of_each(
    table: pd.DataFrame,
    say: Callable[[pd.DataFrame], str],
    whole: Callable[[pd.DataFrame], str] | None = None,
) -> str:
    """Say what there is of each dataset, by name where there are several; first of them all."""
    parts = table.groupby("dataset", sort=False)
    if parts.ngroups == 1:
        return say(table)
    each = "; ".join(f"{name} {say(part)}" for name, part in parts)
    return f"{whole(table)} ({each})" if whole else each


def named(verdicts: pd.DataFrame) -> str:
    """Say who was judged: "a of faq, b of faq and chat"; "none"."""
    datasets = verdicts.groupby("suspect", sort=False)["dataset"].unique()
    return ", ".join(f"{who} of {listed(where)}" for who, where in datasets.items()) or "none"


def span(values: pd.Series, form: str = "g", to: str = " to ") -> str:
    """Say the least and the most of some values, or the one that they are."""
    low, high = format(values.min(), form), format(values.max(), form)
    return low if low == high else f"{low}{to}{high}"


def listed(items: Iterable) -> str:
    """List in words: "a, b and c"."""
    *first, last = map(str, items)
    return f"{', '.join(first)} and {last}" if first else last
