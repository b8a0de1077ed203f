"""What figures of other settings and references find, in a sentence."""

from collections.abc import Sequence

import pandas as pd

from dsi_core.plots.findings.vote import HALF, both_sides
from dsi_core.plots.findings.words import capital, listed


def moved_settings(table: pd.DataFrame, at: dict[str, float]) -> str:
    """How far each setting may move with no verdict changing.

    table: dataset, suspect, setting, value, verdict. at: the settings in use; of one that is not
    there nothing is said.
    """
    spans = []
    for setting, part in table[table["setting"].isin(list(at))].groupby("setting", sort=False):
        verdicts = part.pivot(index="value", columns=["dataset", "suspect"], values="verdict")
        if at[str(setting)] not in verdicts.index:
            continue
        same = (verdicts == verdicts.loc[at[str(setting)]]).all(axis=1)
        low, high = _stretch(same, at[str(setting)])
        spans.append(f"{setting} is {low:g} to {high:g}" if low < high else f"{setting} is {low:g}")
    if not spans:
        return "The settings in use are none of those that were tried"
    return f"No verdict changes while {listed(spans)}"


def grid(table: pd.DataFrame, at: tuple[float, float]) -> str:
    """How many are judged rightly in use and at best. dataset, delta_t, delta_s, correct, total."""
    on = ", ".join(table["dataset"].unique())
    total, best = int(table["total"].max()), int(table["correct"].max())
    own = table[(table["delta_t"] == at[0]) & (table["delta_s"] == at[1])]["correct"]
    most = f"{best} of {total} suspects are judged rightly at best"
    if own.empty:
        return f"{on}: {most}"
    here = int(own.iloc[0])
    rightly = f"{on}: the thresholds in use judge {here} of {total} suspects rightly"
    return f"{rightly}; none do better" if here == best else f"{rightly}, the best pair {best}"


def selection(table: pd.DataFrame) -> str:
    """What selecting tainted samples changes, by the text's rule.

    Columns delta, rule, selection ("tainted" | "all of D"), member, share.
    """
    rule = table["rule"].iloc[0]
    members = table[table["member"] & (table["rule"] == rule)]
    found = (members["share"] > HALF).groupby([members["delta"], members["selection"]]).sum()
    n = int(members.groupby(["delta", "selection"]).size().max())
    parts, decides = [], []
    for delta, counts in found.groupby(level=0):
        chosen, whole = (int(counts[delta][word]) for word in ("tainted", "all of D"))
        parts.append(f"at {delta:.2f} tainted samples find {chosen}, all of D {whole}")
        decides += [f"{delta:.2f}"] * (chosen > whole)
    first = f"Selection decides at {listed(decides)}" if decides else "Selection decides nothing"
    return f"{first} (rule: {rule}): of {n} members, {'; '.join(parts)}"


def everywhere(table: pd.DataFrame, delta_s: float, rule: str = "text") -> str:
    """Whose vote over all of D is positive. Columns suspect, member, evidence.

    By the rule "released" a tie, or nothing to count, is member.
    """
    released = rule == "released"
    positive = (table["evidence"] > delta_s).astype(float).where(table["evidence"].notna())
    shares = positive.groupby([table["suspect"], table["member"]]).mean()
    over = shares.ge(HALF) if released else shares.gt(HALF)
    called = over.map({True: "member", False: "non-member"})
    nothing = "member" if released else "inconclusive"
    verdicts = called.where(shares.notna(), nothing).rename("verdict").reset_index()
    return both_sides(verdicts, "On all of D the vote")


def detection(table: pd.DataFrame) -> str:
    """Which sets of references clear the innocent. Columns references, correct, total."""
    counts = table.groupby("references", sort=False)[["correct", "total"]].sum()
    wrong = (counts["total"] - counts["correct"]).astype(int)
    if not wrong.any():
        return "Every set of references clears all models that trained on data like D"
    accusing = [
        f"{name} {'clear' if _many(str(name)) else 'clears'} {int(right) or 'none'} of {total}"
        for name, right, total in counts.astype(int).itertuples()
        if right < total
    ]
    clear = [str(name) for name, n in wrong.items() if n == 0]
    many = len(clear) > 1 or _many("".join(clear))
    none = f"; {listed(clear)} {'clear' if many else 'clears'} all" if clear else ""
    return f"{capital(listed(accusing))} models that trained on data like D{none}"


def votes_by_references(table: pd.DataFrame) -> str:
    """How many samples stay with more references. Columns references, positive, negative."""
    table = table.assign(tainted=table["positive"] + table["negative"])
    table = table.assign(over=table["positive"] > HALF * table["tainted"])
    by_set = table.groupby("references", sort=False).agg({"tainted": "max", "over": "any"})
    tainted = "; ".join(f"{name} {int(n)}" for name, n in by_set["tainted"].items())
    over = [str(name) for name in by_set.index[by_set["over"]]]
    said = f"only with {listed(over)}" if over else "with no set"
    return f"Samples that stay tainted: {tainted}. A positive majority arises {said}"


def _many(words: str) -> bool:
    return words.startswith(("two", "three", "all"))


def _stretch(same: pd.Series, own: float) -> tuple[float, float]:
    """The ends of the unbroken run of true values round `own`."""
    values: Sequence[float] = list(same.sort_index().index)
    held = same.sort_index().tolist()
    low = high = values.index(own)
    while low > 0 and held[low - 1]:
        low -= 1
    while high + 1 < len(values) and held[high + 1]:
        high += 1
    return values[low], values[high]
