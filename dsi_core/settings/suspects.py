"""The local suspects of a victim: those of the profile, and the members of other datasets."""

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


def _on(profile: Unchecked, member: Suspect, other: str) -> Suspect:
    """A member of another dataset, as a suspect of this one."""
    return member.changed(
        name=f"{member.name} on {other}",
        member=False,
        group=FROM_OTHERS,
        data=[dataset_of(profile.data, other, name) for name in member.data],
    )
