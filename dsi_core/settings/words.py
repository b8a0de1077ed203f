"""Words that stand, in a list of training data, for a dataset that depends on the accusation."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dsi_core.settings.profile import Profile

VICTIM = "victim"  # the dataset under accusation
IID = "iid"  # the dataset drawn beside the victim from its source: `apart_from: <victim>` (§6.1)


def iid_of(profile: Profile, victim: str) -> str:
    """Name the dataset drawn from the same source as `victim`, apart from it (D_y of §6.1).

    Raises `ValueError` if none or several say so.
    """
    apart = [name for name, data in profile.data.items() if data.apart_from == victim]
    if len(apart) != 1:
        raise ValueError(
            f"{IID!r} needs exactly one dataset with apart_from: {victim}; "
            f"there are: {', '.join(apart) or 'none'}"
        )
    return apart[0]


def dataset_of(profile: Profile, victim: str, name: str) -> str:
    """Name the dataset that `name` in a list of training data stands for."""
    if name == VICTIM:
        return victim
    return iid_of(profile, victim) if name == IID else name
