"""What figures of the grey box find, in a sentence."""

import pandas as pd

from dsi_core.plots.findings.vote import both_sides
from dsi_core.plots.findings.words import capital, share


def auroc(table: pd.DataFrame) -> str:
    """How many attacks part members from the rest. Columns attack, member, auc."""
    parted = sum(
        part.loc[part["member"], "auc"].min() > part.loc[~part["member"], "auc"].max()
        for _, part in table.groupby("attack")
    )
    attacks = share(int(parted), table["attack"].nunique(), "attacks")
    return f"{capital(attacks)} rank every member above every non-member"


def splits(table: pd.DataFrame, alpha: float) -> str:
    """Whom DIA accuses by twice the median p. Columns suspect, member, features, p."""
    said = []
    for features, part in table.groupby("features", sort=False):
        valid = 2 * part.groupby(["suspect", "member"])["p"].median()
        calls = valid.le(alpha).map({True: "member", False: "non-member"})
        told = both_sides(calls.rename("verdict").reset_index(), "").strip()
        said.append(f"with {features} features {told}")
    return f"DIA {'; '.join(said)}"


def shares_held(table: pd.DataFrame) -> str:
    """How many intervals hold the true share. Columns true, low, high (NaN: no interval)."""
    table = table.dropna(subset=["low", "high"])
    held = table["true"].between(table["low"] - 1e-9, table["high"] + 1e-9)
    return f"The true share lies in {share(int(held.sum()), len(table), 'intervals')}"


def beside(table: pd.DataFrame) -> str:
    """Which methods judge all suspects rightly. Columns suspect, method, correct."""
    right = table.groupby("method", sort=False)["correct"].agg(["sum", "size"])
    perfect = [str(name) for name, k, n in right.itertuples() if k == n]
    first, k, n = next(right.itertuples())
    every = share(n, n, "suspects")
    if not perfect:
        return f"No method judges {every} rightly; {first}: {k}"
    if len(perfect) == 1:
        return f"Only {perfect[0]} judges {every} rightly"
    own = "" if first in perfect else f"; {first} {k} of them"
    return f"{len(perfect)} of {len(right)} methods judge {every} rightly{own}"
