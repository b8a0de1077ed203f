"""Who takes part: references with and without D, and suspects (§3, §5.2, §6.1)."""

from dataclasses import dataclass
from enum import StrEnum

import pandas as pd

from dsi_core.models.tuning import Training, training
from dsi_core.settings.profile import Profile
from dsi_core.settings.schema import Suspect, Trained, Wild
from dsi_core.settings.suspects import suspects_of


class Role(StrEnum):
    """What a model is there for; values as in tables."""

    WITHOUT = "R"  # a reference that never saw D
    WITH = "R^t"  # the same architecture, tuned on D
    SUSPECT = "suspect"


class Membership(StrEnum):
    """What a model is, or is judged to be; values as in tables."""

    MEMBER = "member"
    NON_MEMBER = "non-member"
    INCONCLUSIVE = "inconclusive"

    @classmethod
    def of(cls, trained_on_d: bool) -> "Membership":
        """Give the word for a known truth."""
        return cls.MEMBER if trained_on_d else cls.NON_MEMBER


@dataclass(frozen=True)
class Participant:
    """One model that is prompted about one victim dataset.

    Parameters
    ----------
    dataset
        The victim.
    model_id
        Its name, unique beside this victim; its random numbers depend on it.
    role, reference
        What it is there for; of a reference, its architecture (else "").
    group
        In which row of a table it counts.
    member
        Whether it trained on D.
    trained
        Base, data and recipe as the profile says them.
    training
        The same, with all that decides its weights.
    """

    dataset: str
    model_id: str
    role: Role
    reference: str
    group: str
    member: bool
    trained: Trained
    training: Training

    @property
    def is_reference(self) -> bool:
        """Whether it is one of the arbiter's own."""
        return self.role is not Role.SUSPECT


def references(profile: Profile) -> list[Participant]:
    """Give R_i and R_i^t of every architecture, for each victim."""
    return [
        Participant(
            dataset=victim,
            model_id=f"{role} {reference.name}",
            role=role,
            reference=reference.name,
            group="reference",
            member=role is Role.WITH,
            trained=trained,
            training=training(profile, victim, trained),
        )
        for victim in profile.victims
        for reference in profile.references
        for role, trained in ((Role.WITHOUT, reference.without), (Role.WITH, reference.with_))
    ]


def architectures(profile: Profile) -> dict[str, str]:
    """Give each reference its architecture: those that share one R_i are of one (Fig. 9, 10).

    An architecture is called as the first of its references.
    """
    first: dict[str, str] = {}
    return {
        reference.name: first.setdefault(reference.without.model_dump_json(), reference.name)
        for reference in profile.references
    }


def suspects(profile: Profile) -> list[Participant]:
    """Give each victim's local suspects, then those collected for it on the hub (Table 10).

    Among the local ones are the members of other datasets.
    """
    found = []
    for victim in profile.victims:
        found += [_local(profile, victim, suspect) for suspect in suspects_of(profile, victim)]
        wild = profile.wild.get(victim)
        if wild is not None:
            found += _wild(profile, victim, wild)
    return found


def _usual_group(suspect: Suspect) -> str:
    """Local members or non-members; untuned ones where the name does not say so: figures do."""
    is_said = bool(suspect.data) or "untuned" in suspect.name
    return f"{'local' if is_said else 'untuned'} {Membership.of(suspect.member)}s"


def _local(profile: Profile, victim: str, suspect: Suspect) -> Participant:
    return Participant(
        dataset=victim,
        model_id=suspect.name,
        role=Role.SUSPECT,
        reference="",
        group=suspect.group or _usual_group(suspect),
        member=suspect.member,
        trained=suspect,
        training=training(profile, victim, suspect),
    )


def _wild(profile: Profile, victim: str, wild: Wild) -> list[Participant]:
    found = []
    for ids, member in ((wild.members, True), (wild.non_members, False)):
        for hub_id in ids:
            trained = Trained(base=hub_id, data=wild.data, recipe=wild.recipe)
            participant = Participant(
                dataset=victim,
                model_id=hub_id,
                role=Role.SUSPECT,
                reference="",
                group=wild.group or f"wild {Membership.of(member)}s",
                member=member,
                trained=trained,
                training=training(profile, victim, trained),
            )
            found.append(participant)
    return found


def participants(profile: Profile) -> list[Participant]:
    """Give all of them, for each victim its references first."""
    everyone = [*references(profile), *suspects(profile)]
    return sorted(everyone, key=lambda p: profile.victims.index(p.dataset))


def overview(profile: Profile) -> pd.DataFrame:
    """Show who takes part: dataset, role, model_id, group, member, base, data, recipe."""
    rows = [
        {
            "dataset": p.dataset,
            "role": str(p.role),
            "model_id": p.model_id,
            "group": p.group,
            "member": p.member,
            "base": p.trained.base,
            "data": "+".join(p.trained.data) or "-",
            "recipe": p.trained.recipe or "-",
        }
        for p in participants(profile)
    ]
    return pd.DataFrame(rows)


def truth(profile: Profile) -> pd.DataFrame:
    """Show what is known of the suspects: dataset, suspect, group, member."""
    rows = [(p.dataset, p.model_id, p.group, p.member) for p in suspects(profile)]
    return pd.DataFrame(rows, columns=["dataset", "suspect", "group", "member"])
