"""What figures of the calibration find, in a sentence."""

import math

import pandas as pd

from dsi_core.plots.findings.words import capital, listed, share, span


def statistics(table: pd.DataFrame) -> str:
    """How many effects are confirmed. Columns draws, low, high."""
    fresh = table[table["draws"] == "confirmation"]
    if fresh["low"].isna().all():
        return "Effects of weak members by what is measured; one draw has no interval"
    above = share(int((fresh["low"] > 0).sum()), len(fresh), "effects")
    return f"Under coins that no choice has seen the intervals of {above} lie above 0"


def null(table: pd.DataFrame, alpha: float) -> str:
    """How often coins thrown anew accuse. Columns model, kind, level, share."""
    at = table[(table["level"] - alpha).abs() < 1e-9]
    if at.empty:
        return "Share of coins thrown anew whose p-value is at most a level"
    low, high = 100 * at["share"].min(), 100 * at["share"].max()
    often = f"{low:.1f}% to {high:.1f}% of the time"
    return f"At level {alpha:g} coins thrown anew accuse each model {often}"


def p_values(table: pd.DataFrame, alpha: float, rows: str) -> str:
    """Who is found at alpha. Columns twin, p, and `rows`, the kinds of models."""
    said = []
    for twin, part in table.groupby("twin", sort=False):
        found = (part["p"] <= alpha).groupby(part[rows], sort=False).agg(["sum", "size"])
        hits = [f"{name} ({k} of {n})" for name, k, n in found.itertuples() if k]
        said.append(f"{twin}: {', '.join(hits) or 'nobody'}")
    return f"Found at {alpha:g}: {'; '.join(said)}"


def shifts(table: pd.DataFrame, alpha: float) -> str:
    """Whom a way of asking hides, or accuses. Columns twin, shift, model, kind, p."""
    said = []
    for (model, kind, twin), part in table.groupby(["model", "kind", "twin"], sort=False):
        hits = part["p"] <= alpha
        # who learnt the other wording is innocent of what the wording twin asks
        if kind == "innocent" or (kind, twin) == ("on D's other wording", "wording twin"):
            if hits.any():
                asked = listed(part.loc[hits, "shift"])
                said.append(f"{model} is accused by the {twin} when asked {asked}")
        elif hits.any() and not hits.all():
            asked = listed(part.loc[~hits, "shift"])
            said.append(f"{model} is lost to the {twin} when asked {asked}")
    return "; ".join(said) or "However a model is asked, either test says the same of it"


def strengths(averaged: pd.DataFrame) -> str:
    """From which loss on members are always found. Columns twin, final_loss, found."""
    said = []
    for twin, part in averaged.groupby("twin", sort=False):
        ordered = part.sort_values("final_loss")
        always = ordered[(ordered["found"] >= 1).cumprod().astype(bool)]
        most = always["final_loss"].max()
        # two digits, rounded down: above it not all are found
        digits = 1 if not 0 < most < 0.1 else 1 - math.floor(math.log10(most))
        most = math.floor(most * 10**digits) / 10**digits if len(always) else None
        said.append(f"{twin} never" if most is None else f"{twin} at {most:.{digits}f} or less")
    return f"Always found, by the loss (nats per token) that a member ends at: {'; '.join(said)}"


def exposures(table: pd.DataFrame) -> str:
    """What of D suffices: for both tests always, not always, for neither ever.

    Columns twin, exposure, found.
    """
    found = table.groupby("exposure", sort=False)["found"].agg(["min", "max"])
    found.index = [exposed(str(name)) for name in found.index]
    always, never = found.index[found["min"] >= 1], found.index[found["max"] == 0]
    rest = found.index.difference([*always, *never], sort=False)
    said = [
        f"{how}: {listed(names)}"
        for how, names in (("always found", always), ("not always", rest), ("never", never))
        if len(names)
    ]
    return capital("; ".join(said))


def exposed(exposure: str) -> str:
    """An exposure in words: "50% of D"; "D mixed 1 to 3" with other data."""
    return f"D mixed {exposure}" if exposure.startswith("1 to ") else exposure


def accuser(table: pd.DataFrame) -> str:
    """What trying again does. Columns tries, accused, shared."""
    most = int(table["tries"].max())
    last = table[table["tries"] == most]
    return (
        f"Reporting the best of {most} tries accuses {span(last['accused'], '.0%')} of innocents, "
        f"sharing alpha {span(last['shared'], '.0%')}"
    )


def accused(table: pd.DataFrame) -> str:
    """Which methods find members and spare innocents. Columns model, kind, method, accused."""
    innocent = table["kind"] == "innocent"
    member = table["kind"].str.contains("member")
    by_method = [
        (str(method), part.loc[member, "accused"], part.loc[innocent, "accused"])
        for method, part in table.groupby("method", sort=False)
    ]
    sparing = [one for one in by_method if not one[2].any()]
    if not sparing:
        return "Every method accuses an innocent"
    best, found, spared = max(sparing, key=lambda one: one[1].sum())
    said = [
        f"{capital(best)} finds {share(int(found.sum()), len(found), 'members')} "
        f"and accuses {share(0, len(spared), 'innocents')}"
    ]
    said += [
        f"{method} finds {int(found.sum())} and accuses {int(wrong.sum())} of {len(wrong)}"
        for method, found, wrong in by_method
        if wrong.any()
    ]
    return "; ".join(said)
