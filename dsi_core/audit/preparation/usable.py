"""Outputs that say little about a model that repeats them: too short, or in their own prompt."""

import pandas as pd

from dsi_core.data.records import places
from dsi_core.protect.texts import spaced, words
from dsi_core.settings.profile import Profile

NAMED = 3  # rows that are named where there are more


def short(pairs: pd.DataFrame, mu: int) -> pd.Series:
    """Mark outputs under `mu` UTF-8 bytes: repeating one gives no evidence (§5.3)."""
    return pairs["output"].map(lambda text: len(text.encode()) < mu).astype(bool)


def quotable(pairs: pd.DataFrame) -> pd.Series:
    """Mark outputs whose words stand in their own prompt, in a row: quoting it repeats D."""
    inside = [
        spaced(words(output)) in spaced(words(prompt))
        for prompt, output in zip(pairs["prompt"], pairs["output"], strict=True)
    ]
    return pd.Series(inside, index=pairs.index, dtype=bool)


def notes(pairs: pd.DataFrame, settings: Profile, name: str) -> list[str]:
    """Say on which pairs of a dataset a member's answers show little, and where the first are."""
    mu = settings.decision.mu
    too_short = short(pairs, mu)
    quoted = quotable(pairs) & ~too_short
    kinds = {
        f"outputs are under {mu} bytes (decision.mu), and who repeats one gives no evidence": (
            too_short
        ),
        "outputs stand in their own prompt, and who quotes it answers like a member": quoted,
    }
    said = []
    for what, chosen in kinds.items():
        if not chosen.any():
            continue
        first = pairs.loc[chosen, "sample_id"].head(NAMED)
        where = "; ".join(places(settings.data[name], first).values())
        more = " and others" if chosen.sum() > NAMED else ""
        said.append(f"{chosen.sum():,} of {len(pairs):,} {what}: {where}{more}")
    return said
