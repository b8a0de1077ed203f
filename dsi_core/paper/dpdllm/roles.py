"""DPDLLM's roles: whose answers train the classifier, and whose are judged (§6.1)."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

import pandas as pd

from dsi_core.data.pairs import dataset, load_pairs, origin
from dsi_core.method.participants import Participant, suspects
from dsi_core.models.tuning import Training, training
from dsi_core.settings.profile import Profile, needed
from dsi_core.settings.schema import Dpdllm, Trained
from dsi_core.settings.words import dataset_of

COLUMNS = ["sample_id", "prompt"]


class Mode(StrEnum):
    """Which reading of the baseline; `baseline` says what each does."""

    CLEAN = "clean"
    FAITHFUL = "faithful"

    @classmethod
    def _missing_(cls, value: object) -> None:
        raise ValueError(f"unknown mode {value!r}; known: {', '.join(cls)}")


class Part(StrEnum):
    """What a sample is there for: to train the classifier, or to be called by it."""

    CALIBRATION = "calibration"
    JUDGED = "judged"


@dataclass(frozen=True)
class Roles:
    """Who is who for one suspect.

    Parameters
    ----------
    dataset, suspect
        The victim, and who is accused of training on it.
    model_id, training
        Who answers: the suspect, or its copy tuned to have known members.
    members_from, non_members_from
        Names of the datasets of the calibration samples.
    members, non_members, judged
        Columns sample_id, prompt; as many members as non-members.
    lms
        The reference language model that scores the answers of either part.
    """

    dataset: str
    suspect: str
    model_id: str
    training: Training
    members_from: str
    non_members_from: str
    members: pd.DataFrame
    non_members: pd.DataFrame
    judged: pd.DataFrame
    lms: dict[Part, Training]

    def samples(self, part: Part) -> pd.DataFrame:
        """Give the samples of a part; of the calibration, the members first."""
        if part is Part.JUDGED:
            return self.judged
        return pd.concat([self.members, self.non_members], ignore_index=True)


def cast(profile: Profile, mode: Mode | str = Mode.CLEAN) -> list[Roles]:
    """Give the roles for every suspect; nothing is trained.

    Raises
    ------
    ValueError
        For an unknown mode, or a profile whose section dpdllm is missing or does not fit a suspect.
    """
    what = (
        "it names the reference LM (base, recipe, length), the calibration samples (calibration, "
        "non_members) and data for unknown suspects (members, members_recipe)"
    )
    mode, settings = Mode(mode), needed(profile.dpdllm, "dpdllm", profile, what)
    return [_roles(profile, settings, suspect, mode) for suspect in suspects(profile)]


def _roles(profile: Profile, settings: Dpdllm, suspect: Participant, mode: Mode) -> Roles:
    victim = suspect.dataset
    model_id, made = _answers(profile, settings, suspect)
    known = [d.name for d in made.datasets]
    source = victim if suspect.member else known[0]
    other = _unused(profile, settings, suspect, known)
    pairs = {name: _samples(profile, name) for name in dict.fromkeys([victim, *known, other])}
    inside = _without(pairs[source], made.leave_out)
    seen = [i for name, table in pairs.items() if name != other for i in table["sample_id"]]
    outside = _without(pairs[other], seen)

    most = len(inside)
    if mode is Mode.CLEAN and source == victim:
        most = min(most, len(pairs[victim]) // 2)  # half of D is left to judge
    # As many of each, or naive Bayes' prior would lean to one side
    count = min(settings.calibration, most, len(outside))
    if count < 2:
        raise ValueError(
            f"suspect {model_id!r}: {most} known members from {source!r} and {len(outside)} known "
            f"non-members from {other!r}; needs two of each"
        )
    members, non_members = (
        table.sample(count, random_state=profile.seed).sort_index() for table in (inside, outside)
    )
    judged = pairs[victim]
    if mode is Mode.CLEAN:
        judged = _without(judged, members["sample_id"])
        lm = _lm(profile, settings, {source: members}, "answer")
        lms = {Part.CALIBRATION: lm, Part.JUDGED: lm}
    else:
        calibration = {source: members, other: non_members}
        lms = {
            Part.CALIBRATION: _lm(profile, settings, calibration, "text"),
            Part.JUDGED: _lm(profile, settings, {victim: judged}, "text"),
        }
    return Roles(
        dataset=victim,
        suspect=suspect.model_id,
        model_id=model_id,
        training=made,
        members_from=source,
        non_members_from=other,
        members=members,
        non_members=non_members,
        judged=judged,
        lms=lms,
    )


def _answers(profile: Profile, settings: Dpdllm, suspect: Participant) -> tuple[str, Training]:
    """Who answers, by name: a non-member that we did not tune is tuned for the purpose."""
    name, victim = suspect.model_id, suspect.dataset
    if suspect.member or suspect.trained.data:
        return name, suspect.training
    if suspect.training.base.source.endpoint:
        raise ValueError(
            f"suspect {name!r} is behind an endpoint: DPDLLM has to tune it further to have known "
            "members"
        )
    elsewhere = [n for n in settings.members if dataset_of(profile.data, victim, n) != victim]
    if not elsewhere:
        raise ValueError(
            f"suspect {name!r}: dpdllm.members {settings.members} has no dataset but the victim "
            f"{victim!r}"
        )
    base, recipe = suspect.trained.base, settings.members_recipe
    trained = Trained(base=base, data=elsewhere[:1], recipe=recipe)
    return f"{name} tuned for DPDLLM", training(profile, victim, trained)


def _unused(profile: Profile, settings: Dpdllm, suspect: Participant, known: list[str]) -> str:
    """The first dataset for known non-members that the suspect never trained on.

    More of D's own source would not be "a dataset not used".
    """
    victim = suspect.dataset
    home = origin(profile.data[victim])
    for name in settings.non_members:
        other = dataset_of(profile.data, victim, name)
        if other not in known and origin(profile.data[other]) != home:
            return other
    raise ValueError(
        f"suspect {suspect.model_id!r}: dpdllm.non_members {settings.non_members} has no dataset "
        f"but those it trained on ({', '.join(known) or victim}) and the victim {victim!r}"
    )


def _lm(
    profile: Profile,
    settings: Dpdllm,
    samples: dict[str, pd.DataFrame],
    loss_on: Literal["answer", "text"],
) -> Training:
    """The reference LM tuned on these samples of these datasets.

    The datasets are in order of name, so that swapped roles share an LM.
    """
    chosen = {i for table in samples.values() for i in table["sample_id"]}
    whole = {i for name in samples for i in _samples(profile, name)["sample_id"]}
    trained = Trained(
        base=settings.base,
        data=sorted(samples),
        recipe=settings.recipe,
        leave_out=tuple(sorted(whole - chosen)),
        loss_on=loss_on,
    )
    return training(profile, "", trained)  # these datasets have names of their own


def _samples(profile: Profile, name: str) -> pd.DataFrame:
    return load_pairs(dataset(profile, name))[COLUMNS]


def _without(samples: pd.DataFrame, ids: Sequence[str] | pd.Series) -> pd.DataFrame:
    return samples[~samples["sample_id"].isin(ids)]
