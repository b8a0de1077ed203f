"""What figures of the vote find, in a sentence."""

import pandas as pd

from dsi_core.plots.findings.words import capital, share, span

HALF = 0.5  # of the vote: above it a suspect is called a member


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
    why = "every reference moves" if table["tainted"].any() else "on none does every reference move"
    return f"{capital(tainted)} {verb} tainted: {why} by more than {delta_t:g}"


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
        return f"Training ends at {span(last, '.2f')} nats per token"
    return f"Training on D ends at {span(on_d, '.2f')} nats per token (0 = known by heart)"


def evidence(table: pd.DataFrame, delta_s: float) -> str:
    """Whose median sample is positive. Columns suspect, member, evidence."""
    medians = table.groupby(["suspect", "member"])["evidence"].median().reset_index()
    sides = [
        share(int((part["evidence"] > delta_s).sum()), len(part), words)
        for side, words in ((True, "members"), (False, "non-members"))
        if len(part := medians[medians["member"] == side])
    ]
    return f"The median sample is positive for {' and '.join(sides)}"
