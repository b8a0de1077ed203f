"""What if the suspect trained on the validation set?

Every grey-box method assumes that it did not; here that assumption is broken on purpose.
"""

import pandas as pd

from dsi_core.data import stored
from dsi_core.grey_box import collect, compared, scoring, tables
from dsi_core.method.study import Study
from dsi_core.settings.schema import Data, Suspect
from dsi_core.settings.words import VICTIM

LEAKED = "validation"


def accused(study: Study) -> Study:
    """Give a study of two suspects that trained on the validation set.

    It is of the first victim that has one. They are tuned like the profile's first local member: on
    D and the validation set (a member), and on the validation set alone (a non-member). The
    validation pairs become a file of the store, and so a dataset like any other.

    Raises
    ------
    ValueError
        Where the profile has no local member.
    """
    profile, samples = study.profile, compared.samples(study)
    known = next((s for s in profile.suspects if s.member and s.recipe), None)
    if known is None:
        raise ValueError(
            f"profile {profile.name!r}: no local suspect is a member; "
            "the leak repeats the base and recipe of the first one"
        )
    victim = samples["dataset"].iloc[0]
    is_leaked = (samples["dataset"] == victim) & (samples["part"] == compared.Part.VALIDATION)
    path = stored.write("validation", victim, samples.loc[is_leaked, ["prompt", "output"]])
    suspects = [
        Suspect(
            name=f"{known.name} on {what}",
            member=member,
            group="validation set seen",
            base=known.base,
            data=data,
            recipe=known.recipe,
        )
        for what, member, data in (
            ("D + validation", True, [VICTIM, LEAKED]),
            ("validation", False, [LEAKED]),
        )
    ]
    leaked = Data(path=str(path), prompt=["prompt"], output="output")
    changed = profile.changed(
        victims=[victim],
        data={**profile.data, LEAKED: leaked},
        suspects=suspects,
        non_members_from=[],
        wild={},
    )
    pairs = study.pairs[study.pairs["dataset"] == victim]
    return Study(changed, pairs.reset_index(drop=True))


def beside(leaked: Study) -> pd.DataFrame:
    """Give `tables.beside` of `accused`: every method's verdict on both suspects, from scratch."""
    values, responses = collect.token_values([leaked]), collect.answers([leaked])
    scores = scoring.scores([leaked], values, responses)
    splits = tables.dataset_inference([leaked], values, scores)
    alpha = compared.settings(leaked.profile).alpha
    return tables.beside(
        leaked,
        tables.measured(leaked, scores),
        tables.over_splits(splits, alpha),
        tables.black_box([leaked]),
    )
