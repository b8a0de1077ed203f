"""A dataset split at random: the part that is accused, and one like it for the hardest controls."""

from dataclasses import dataclass

import pandas as pd

from dsi_core.audit.preparation.prepared_json import Split
from dsi_core.data.pairs import Dataset, count, dataset, load_pairs
from dsi_core.settings.profile import Profile
from dsi_core.settings.schema import Data
from dsi_core.settings.words import iid_of

# Pairs of which enough are tainted to audit by, and that tune a control as D tunes a member
SMALLEST_PART = 24
OTHERWISE = "(--whole accuses all, --iid FILE names other data)"


@dataclass(frozen=True)
class Parts:
    """D split at random: the part that is accused, and one like it for the hardest controls."""

    accused: Data
    like: Data
    pairs: int  # of both and of what is left over


def at_random(profile: Profile, name: str, source: Data) -> Parts | None:
    """Split D by the profile's seed.

    Half of it, or `rows` pairs if asked for, are accused. As many of the rest (no near-duplicates)
    tune the hardest controls.

    Returns
    -------
    Parts or None
        None if D has under 4 x `SMALLEST_PART` pairs, or under `SMALLEST_PART` besides those asked
        for, or if the source says itself how it is drawn.
    """
    if source.shuffle_seed is not None or source.apart_from is not None:
        return None
    pairs = count(Dataset(name, source, profile.seed))
    accused = source.rows or pairs // 2
    enough = pairs - accused >= SMALLEST_PART if source.rows else pairs >= 4 * SMALLEST_PART
    if not enough:
        return None
    like = min(accused, pairs - accused)
    return Parts(source.changed(rows=accused), source.changed(rows=like), pairs)


def said(settings: Profile, name: str, parts: Parts, accused: pd.DataFrame) -> Split:
    """Count the pairs of a split: of both parts, of what is accused and of what is like it."""
    like = load_pairs(dataset(settings, iid_of(settings.data, name)))
    return Split(pairs=parts.pairs, accused=len(accused), like=len(like))


def in_words(split: Split, seed: int) -> str:
    """Say how D was split."""
    return (
        f"D was split at random (seed {seed}): {split.accused} of its {split.pairs} pairs are "
        f"accused, and {split.like} others tune the controls on data like D"
    )
