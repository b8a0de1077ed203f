"""What a figure finds, in a sentence: the titles of figures, worded from the tables they draw.

Every function takes the table of the plot of its name and only counts and compares what stands in
it. So a title holds for the table drawn, whichever way the study came out.
"""

from collections.abc import Iterable, Sequence

import pandas as pd

HALF = 0.5  # of the vote: above it a suspect is called a member


def share(part: int, whole: int, what: str) -> str:
    """So many of so many: "all 4 members", "none of 9 members", "3 of 4 members"."""
    if part == 0:
        return f"none of {whole} {what}"
    if part < whole:
        return f"{part} of {whole} {what}"
    if whole <= 2:
        return f"both {what}" if whole == 2 else f"the one {what.removesuffix('s')}"
    return f"all {whole} {what}"


def listed(words: Iterable[str]) -> str:
    """Join words as a sentence does: "a, b and c"."""
    *first, last = list(words)
    return f"{', '.join(first)} and {last}" if first else last


# The vote


def both_sides(verdicts: pd.DataFrame, judge: str) -> str:
    """Members found and non-members accused. Columns member, verdict."""
    member, called = verdicts["member"].astype(bool), verdicts["verdict"]
    found, accused = (int(((called == "member") & side).sum()) for side in (member, ~member))
    parts = []
    if member.any():
        parts.append(f"finds {share(found, int(member.sum()), 'members')}")
    if (~member).any():
        parts.append(f"accuses {share(accused, int((~member).sum()), 'non-members')}")
    open_ends = int((called == "inconclusive").sum())
    more = f"; {open_ends} stay inconclusive" if open_ends else ""
    return f"{judge} {' and '.join(parts)}{more}"


def gaps(table: pd.DataFrame, delta_t: float) -> str:
    """Count the tainted samples. Column tainted; a row per sample."""
    tainted = share(int(table["tainted"].sum()), len(table), "samples")
    verb = "is" if len(table) == 1 else "are"
    return f"{_capital(tainted)} {verb} tainted: every reference moves by more than {delta_t:g}"


def similarity(table: pd.DataFrame) -> str:
    """Whether tuning brings answers closer to D's. Columns reference, side, similarity."""
    medians = table.groupby(["reference", "side"])["similarity"].median().unstack()
    moved = medians["after"] - medians["before"]
    count = share(int((moved > 0).sum()), len(moved), "references")
    least = f", by {moved.min():.2f} or more" if (moved > 0).all() else ""
    return f"Tuning on D brings the median answer of {count} closer to D's{least}"


def losses(table: pd.DataFrame) -> str:
    """Where training ends. Columns model_id, epoch, loss; R^t trained on D."""
    last = table.sort_values("epoch").groupby("model_id")["loss"].last()
    on_d = last[last.index.str.startswith("R^t")]
    if on_d.empty:
        return f"Training ends at {_span(last)} nats per token"
    return f"Training on D ends at {_span(on_d)} nats per token (0 = known by heart)"


def evidence(table: pd.DataFrame, delta_s: float) -> str:
    """Whose median sample is positive. Columns suspect, member, evidence."""
    medians = table.groupby(["suspect", "member"])["evidence"].median().reset_index()
    sides = [
        share(int((part["evidence"] > delta_s).sum()), len(part), words)
        for side, words in ((True, "members"), (False, "non-members"))
        if len(part := medians[medians["member"] == side])
    ]
    return f"The median sample is positive for {' and '.join(sides)}"


# Ablations


def moved_settings(table: pd.DataFrame, at: dict[str, float]) -> str:
    """How far each setting may move with no verdict changing.

    table: dataset, suspect, setting, value, verdict. at: the settings in use.
    """
    spans = []
    for setting, part in table.groupby("setting", sort=False):
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
    """How many are judged rightly in use and at best. delta_t, delta_s, correct, total."""
    total, best = int(table["total"].max()), int(table["correct"].max())
    own = table[(table["delta_t"] == at[0]) & (table["delta_s"] == at[1])]["correct"]
    most = f"{best} of {total} suspects are judged rightly at best"
    if own.empty:
        return _capital(most)
    here = int(own.iloc[0])
    if here == best:
        return f"The thresholds in use judge {here} of {total} suspects rightly; none do better"
    return f"The thresholds in use judge {here} of {total} suspects rightly, the best pair {best}"


def selection(table: pd.DataFrame) -> str:
    """What selecting tainted samples changes, by the text's rule.

    Columns delta, rule, selection ("tainted" | "all of D"), member, share.
    """
    members = table[table["member"] & (table["rule"] == table["rule"].iloc[0])]
    found = (members["share"] > HALF).groupby([members["delta"], members["selection"]]).sum()
    n = int(members.groupby(["delta", "selection"]).size().max())
    parts, decides = [], []
    for delta, counts in found.groupby(level=0):
        chosen, whole = (int(counts[delta][word]) for word in ("tainted", "all of D"))
        parts.append(f"at {delta:.2f} tainted samples find {chosen}, all of D {whole}")
        decides += [f"{delta:.2f}"] * (chosen > whole)
    first = f"Selection decides at {listed(decides)}" if decides else "Selection decides nothing"
    return f"{first}: of {n} members, {'; '.join(parts)}"


def everywhere(table: pd.DataFrame, delta_s: float) -> str:
    """Whose vote over all of D is positive. Columns suspect, member, evidence."""
    counted = table.dropna(subset="evidence")
    positive = (counted["evidence"] > delta_s).groupby([counted["suspect"], counted["member"]])
    of_suspect = positive.mean().gt(HALF).rename("called").reset_index()
    of_suspect["verdict"] = of_suspect["called"].map({True: "member", False: "non-member"})
    return both_sides(of_suspect, "On all of D the vote")


def detection(table: pd.DataFrame) -> str:
    """Which sets of references clear the innocent. Columns references, correct, total."""
    counts = table.groupby("references", sort=False)[["correct", "total"]].sum()
    wrong = (counts["total"] - counts["correct"]).astype(int)
    if not wrong.any():
        return "Every set of references clears all models that trained on data like D"
    accusing = [
        f"{name} {'do' if _many(str(name)) else 'does'} not clear {n} of {total}"
        for name, n, total in zip(wrong.index, wrong, counts["total"].astype(int), strict=True)
        if n
    ]
    clear = [str(name) for name, n in wrong.items() if n == 0]
    many = len(clear) > 1 or _many("".join(clear))
    none = f"; {listed(clear)} {'clear' if many else 'clears'} all" if clear else ""
    return f"{_capital(listed(accusing))} models that trained on data like D{none}"


def votes_by_references(table: pd.DataFrame) -> str:
    """How many samples stay with more references. Columns references, positive, negative."""
    table = table.assign(tainted=table["positive"] + table["negative"])
    by_set = table.groupby("references", sort=False).agg({"tainted": "max", "positive": "max"})
    tainted = "; ".join(f"{name} {int(n)}" for name, n in by_set["tainted"].items())
    share_of = by_set["positive"] / by_set["tainted"]
    over = [str(name) for name, part in share_of.items() if part > HALF]
    said = f"only with {listed(over)}" if over else "with no set"
    return f"Samples that stay tainted: {tainted}. A positive majority arises {said}"


# Evasions


def evasion(table: pd.DataFrame, how: str) -> str:
    """How many members an evasion hides. Columns setting (the first: without it), correct.

    how: the evasion, as a sentence begins.
    """
    caught, n = _caught(table)
    first, worst = int(caught.iloc[0]), int(caught.min())
    if worst < first:
        hidden = share(first - worst, first, "members")
        return f"{how} hides {hidden} that are found without it"
    most = int(caught.max())
    span = share(worst, n, "members") if worst == most else f"{worst} to {most} of {n} members"
    return f"{how} hides nobody: at every setting the vote finds {span}"


def subsets(table: pd.DataFrame) -> str:
    """From which share of D on the vote breaks. Columns setting ("50%"), correct."""
    caught, n = _caught(table)
    caught.index = [float(setting.rstrip("%")) for setting in caught.index]
    caught = caught.sort_index(ascending=False)
    whole = caught[(caught == n).cumprod().astype(bool)]
    if whole.empty:
        missed = share(int(n - caught.iloc[0]), n, "members")
        return f"At {caught.index[0]:g}% of D the vote already misses {missed}"
    last, below = whole.index[-1], caught[len(whole) :]
    part = "half" if last == 50 else f"{last:g}%"
    if below.empty:
        return f"Down to {part} of D the vote finds {share(n, n, 'members')}"
    found = f"down to it {share(n, n, 'members')} are found"
    most = "none is" if not below.max() else f"at most {int(below.max())} of {n}"
    return f"Below {part} of D the vote breaks: {found}, below it {most}"


def overlap(table: pd.DataFrame) -> str:
    """What the adversary removed. Columns status, removed, samples."""
    parts = []
    for status in ("positive", "negative"):
        counts = table[table["status"] == status]
        n = int(counts["samples"].sum())
        if n:
            removed = int(counts.loc[counts["removed"].astype(bool), "samples"].sum())
            parts.append(f"{removed} of {n} {status}")
    return f"The adversary removed {' and '.join(parts)} tainted samples"


# Known models


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
    """How many answers prefer the published wording. Column value (NaN = no answer)."""
    values = table["value"].dropna()
    return f"{int((values > 0).sum())} of {len(values)} answers prefer the published wording"


def closeness(table: pd.DataFrame) -> str:
    """How close answers come to texts that were published, or withheld. value, published."""
    means = table.groupby("published")["value"].mean()
    named = {True: "published", False: "withheld"}
    said = [f"{means[part]:.2f} to {named[part]} texts" for part in (True, False) if part in means]
    return f"Mean closeness of the answers: {', '.join(said)}"


def looks(table: pd.DataFrame) -> str:
    """Whether a look found, and when. Columns after, crossed."""
    found = table.loc[table["crossed"].astype(bool), "after"]
    if found.empty:
        return f"Nothing found in {int(table['after'].max())} samples"
    return f"Found after {int(found.min())} samples"


def methods(table: pd.DataFrame) -> str:
    """What the chosen method attributes. Columns method, level, chosen, correct, total, chance."""
    guessed = f"guessing, {table['chance'].iloc[0] * table['total'].iloc[0]:g}"
    chosen = table[table["chosen"].astype(bool)]
    if chosen.empty:
        best = table.sort_values("correct", kind="stable").iloc[-1]
        return f"No method could be chosen; the best finds {_bases(best)} ({guessed})"
    one = chosen.iloc[0]
    return f"Chosen on the bases, {one['method']} finds {_bases(one)} ({guessed})"


def base_votes(table: pd.DataFrame) -> str:
    """Whose replies point to their own base. Columns model, base, voted, share."""
    best = table.loc[table.groupby("model")["share"].idxmax()]
    right = int((best["voted"] == best["base"]).sum())
    return f"The vote of the replies finds the base of {share(right, len(best), 'models')}"


# Imitation


def budgets(fits: pd.DataFrame, names: dict[str, str]) -> str:
    """Whether more pairs bring an imitator closer. Columns metric, low, high (of the slope)."""
    rises = [names[m] for m in fits.loc[fits["low"] > 0, "metric"]]
    if len(rises) == len(fits):
        return "More pairs bring the imitator closer to its target"
    if rises:
        return f"More pairs bring the imitator closer by {listed(rises)}; else the data do not tell"
    return "Whether more pairs bring the imitator closer, these data do not tell"


# Calibration


def statistics(table: pd.DataFrame) -> str:
    """How many effects are confirmed. Columns draws, low, high."""
    fresh = table[table["draws"] == "confirmation"]
    if fresh["low"].isna().all():
        return "Effects of weak members by what is measured; one draw has no interval"
    above = share(int((fresh["low"] > 0).sum()), len(fresh), "effects")
    return f"On draws that no choice has seen {above} lie surely above 0"


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
        hits = [f"{name} {k} of {n}" for name, k, n in found.itertuples() if k]
        said.append(f"{twin}: {', '.join(hits) or 'nobody'}")
    return f"Found at {alpha:g}: {'; '.join(said)}"


def shifts(table: pd.DataFrame, alpha: float) -> str:
    """Whom a way of asking hides. Columns twin, shift, model, p."""
    said = []
    for (model, twin), part in table.groupby(["model", "twin"], sort=False):
        hits = int((part["p"] <= alpha).sum())
        if 0 < hits < len(part):
            lost = listed(part.loc[part["p"] > alpha, "shift"])
            said.append(f"{model} is lost to the {twin} when asked {lost}")
    return "; ".join(said) or "However a model is asked, either test says the same of it"


def strengths(averaged: pd.DataFrame) -> str:
    """From which loss on members are always found. Columns twin, final_loss, found."""
    said = []
    for twin, part in averaged.groupby("twin", sort=False):
        ordered = part.sort_values("final_loss")
        always = ordered[(ordered["found"] >= 1).cumprod().astype(bool)]
        said.append(
            f"{twin} at {always['final_loss'].max():.1f} or less"
            if len(always)
            else f"{twin} never"
        )
    return f"Always found, by the loss (nats per token) that a member ends at: {'; '.join(said)}"


def exposures(table: pd.DataFrame) -> str:
    """What of D suffices. Columns twin, exposure, found."""
    least = table.groupby("exposure", sort=False)["found"].min()
    always = [exposed(str(name)) for name, found in least.items() if found >= 1]
    rest = [exposed(str(name)) for name, found in least.items() if found < 1]
    if not always:
        return f"No share of D is always found: {listed(rest)}"
    less = f"; less often: {listed(rest)}" if rest else ""
    return f"Always found by both tests: {listed(always)}{less}"


def exposed(exposure: str) -> str:
    """An exposure in words: "50% of D"; "D mixed 1 to 3" with other data."""
    return f"D mixed {exposure}" if exposure.startswith("1 to ") else exposure


def accuser(table: pd.DataFrame) -> str:
    """What trying again does. Columns tries, accused, shared."""
    most = int(table["tries"].max())
    last = table[table["tries"] == most]
    return (
        f"Reporting the best of {most} tries accuses {_percent(last['accused'])} of innocents, "
        f"sharing alpha {_percent(last['shared'])}"
    )


def accused(table: pd.DataFrame) -> str:
    """Which methods find members and spare innocents. Columns model, kind, method, accused."""
    innocent = table["kind"] == "innocent"
    member = table["kind"].str.contains("member")
    spared = [
        (int(part.loc[member, "accused"].sum()), int(member[part.index].sum()), str(method))
        for method, part in table.groupby("method", sort=False)
        if not part.loc[innocent, "accused"].any()
    ]
    if not spared:
        return "Every method accuses an innocent"
    found, members, method = max(spared, key=lambda one: one[0])
    others = table["method"].nunique() - len(spared)
    more = f"; methods that accuse one: {others} of {table['method'].nunique()}" if others else ""
    return f"{_capital(method)} finds {share(found, members, 'members')} and no innocent{more}"


# Grey box


def auroc(table: pd.DataFrame) -> str:
    """How many attacks part members from the rest. Columns attack, member, auc."""
    parted = sum(
        part.loc[part["member"], "auc"].min() > part.loc[~part["member"], "auc"].max()
        for _, part in table.groupby("attack")
    )
    attacks = share(int(parted), table["attack"].nunique(), "attacks")
    return f"{_capital(attacks)} rank every member above every non-member"


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
    """How many intervals hold the true share. Columns true, low, high."""
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


# Texts


def shared_words(pieces: pd.DataFrame) -> str:
    """How much of the last text stands in the oracle. Columns part, piece, shared; in order."""
    last = pieces[pieces["part"] == pieces["part"].iloc[-1]]
    words = last[~last["piece"].str.isspace() & (last["piece"] != "")]
    said = share(int(words["shared"].sum()), len(words), "words and marks")
    head = str(last["part"].iloc[0]).partition(" (")[0]
    return f"{head}: {said} stand in the oracle output, in its order"


# Small words


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]


def _many(words: str) -> bool:
    return words.startswith(("two", "three", "all"))


def _span(values: pd.Series) -> str:
    low, high = f"{values.min():.2f}", f"{values.max():.2f}"
    return low if low == high else f"{low} to {high}"


def _percent(values: pd.Series) -> str:
    low, high = f"{100 * values.min():.0f}", f"{100 * values.max():.0f}"
    return f"{low}%" if low == high else f"{low}% to {high}%"


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


def _caught(table: pd.DataFrame) -> tuple[pd.Series, int]:
    """Members caught at each setting, in the table's order, and how many there are."""
    by_setting = table.groupby("setting", sort=False)["correct"]
    return by_setting.sum().astype(int), int(by_setting.size().max())


def _bases(row: pd.Series) -> str:
    return f"the base of {share(int(row['correct']), int(row['total']), 'models')}"
