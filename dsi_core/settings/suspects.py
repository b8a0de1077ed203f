"""The local suspects of a victim, with members of other datasets; and those members who evade."""

from collections.abc import Sequence

from dsi_core.settings.schema import Suspect
from dsi_core.settings.unchecked import Unchecked
from dsi_core.settings.words import dataset_of

FROM_OTHERS = "non-members from other datasets"  # their row in a table


def suspects_of(profile: Unchecked, victim: str) -> list[Suspect]:
    """Give the profile's suspects, then its members of other datasets, which are non-members here.

    Each of these is the model that is a member there: the same base, pairs and recipe.
    """
    members = [suspect for suspect in profile.suspects if suspect.member]
    others = [name for name in profile.non_members_from if name != victim]
    return [*profile.suspects, *(_on(profile, m, other) for other in others for m in members)]


def evading(profile: Unchecked, chosen: Sequence[str] | None) -> list[Suspect]:
    """Give the local members that are tuned anew for an evasion.

    chosen: `robustness.suspects`; None or empty = all. Raises `ValueError` for a name that is none.
    """
    local = [suspect for suspect in profile.suspects if suspect.member]
    names = [suspect.name for suspect in local]
    if wrong := set(chosen or []) - set(names):
        raise ValueError(
            f"robustness.suspects: no local member {', '.join(sorted(wrong))}; "
            f"known: {', '.join(names)}"
        )
    return [suspect for suspect in local if not chosen or suspect.name in chosen]


def _on(profile: Unchecked, member: Suspect, other: str) -> Suspect:
    """A member of another dataset, as a suspect of this one."""
    return member.changed(
        name=f"{member.name} on {other}",
        member=False,
        group=FROM_OTHERS,
        data=[dataset_of(profile.data, other, name) for name in member.data],
    )
