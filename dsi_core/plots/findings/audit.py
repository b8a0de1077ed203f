"""What figures of an audit find, in a sentence."""

import pandas as pd

from dsi_core.plots.findings.words import listed, share


def known_models(table: pd.DataFrame) -> str:
    """Whether members lean further than every non-member. Columns model, member, lean."""
    known = table[table["member"].notna()]
    member = known["member"].astype(bool)
    members, others = known[member], known[~member]
    if members.empty or others.empty:
        return "How far known models lean to the references that trained on D"
    first = others.sort_values("lean").iloc[-1]
    beyond = int((members["lean"] > first["lean"]).sum())
    counted = f"Beyond every non-member: {share(beyond, len(members), 'members')}"
    if beyond == len(members):
        return counted
    behind = listed(members.loc[members["lean"] <= first["lean"], "model"])
    return f"{counted}; {first['model']} leans further than {behind}"


def strata(table: pd.DataFrame) -> str:
    """How many known innocents the suspect leans further than. Columns member, lean."""
    suspect = table.loc[table["member"].isna(), "lean"]
    innocent = table.loc[table["member"].eq(False), "lean"]
    if suspect.empty or innocent.empty:
        return "How far known models lean to the references that trained on D"
    behind = int((innocent < suspect.iloc[0]).sum())
    return f"The suspect leans further than {share(behind, len(innocent), 'innocent models')}"


def preference(table: pd.DataFrame) -> str:
    """How many samples lean to the published wording. Column value (NaN = no answer)."""
    values = table["value"].dropna()
    leaning = f"{int((values > 0).sum())} of {len(values)} samples lean to the published wording"
    return f"{leaning}, beyond what the answers prefer on average"


def closeness(table: pd.DataFrame) -> str:
    """How close answers come to texts that were published, or withheld. value, published."""
    means = table.groupby("published")["value"].mean().dropna()
    if means.empty:
        return "No answer is usable"
    named = {True: "published", False: "withheld"}
    said = [f"{means[part]:.2f} to {named[part]} texts" for part in (True, False) if part in means]
    return f"Mean closeness of the answers: {', '.join(said)}"


def looks(table: pd.DataFrame) -> str:
    """Whether a look found, and when. Columns after, crossed."""
    found = table.loc[table["crossed"].astype(bool), "after"]
    if found.empty:
        return f"Nothing found in {int(table['after'].max())} samples"
    return f"Found after {int(found.min())} samples"
