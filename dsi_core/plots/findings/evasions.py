"""What figures of evasions find, in a sentence."""

import pandas as pd

from dsi_core.plots.findings.words import listed, share


def evasion(table: pd.DataFrame, how: str, without: str | None = None) -> str:
    """How many members an evasion hides. Columns setting, suspect, correct.

    how: the evasion, as a sentence begins. without: the setting that is none; by default the first.
    """
    given, without = without, without or table["setting"].iloc[0]
    caught, n = _caught(table)
    worst, most = int(caught.min()), int(caught.max())
    span = share(worst, n, "members") if worst == most else f"{worst} to {most} of {n} members"
    if without not in caught.index:
        return f"{how}: at every setting the vote finds {span}"
    if len(caught) == 1:
        return f"{how} was not tried: without it the vote finds {span}"
    judged = table.pivot(index="suspect", columns="setting", values="correct")
    found = judged[judged[without].eq(True)]
    if found.empty:
        return f"{how}: without it the vote finds {share(0, n, 'members')}"
    tried = [setting for setting in table["setting"].unique() if setting != without]
    hidden = found[tried].eq(False).sum().sort_values(ascending=False, kind="stable")
    if hidden.iloc[0]:  # where it hides most of them; then where fewer
        (most, where), *fewer = [
            (int(count), listed(part.index)) for count, part in hidden.groupby(hidden, sort=False)
        ]
        said = (
            f"{how} hides {share(most, len(found), 'members')} that are found without it ({where})"
        )
        return ", ".join([said, *(f"{count or 'none'} of them ({at})" for count, at in fewer)])
    if len(found) == n:
        return f"{how} hides nobody: at every setting the vote finds {span}"
    return f"{how} hides {_nobody(len(found), given)}; {_more(caught - len(found))}"


def _nobody(found: int, without: str | None) -> str:
    """None of so many, who are found where nothing is tried: at this setting, if it has a name."""
    usual = f"found at {without}" if without else "found without it"
    return f"none of the {found} members {usual}" if found > 1 else f"not the one member {usual}"


def _more(more: pd.Series) -> str:
    """Where more members are found than without an evasion, and how many at most."""
    most = int(more.max())
    if not most:
        return "nobody else is found anywhere"
    many = "one more is" if most == 1 else f"up to {most} more are"
    return f"{many} found at {listed(more.index[more > 0])}"


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
    found = f"down to it {share(n, n, 'members')} {'is' if n == 1 else 'are'} found"
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


def _caught(table: pd.DataFrame) -> tuple[pd.Series, int]:
    """Members caught at each setting, in the table's order, and how many there are."""
    by_setting = table.groupby("setting", sort=False)["correct"]
    return by_setting.sum().astype(int), int(by_setting.size().max())
