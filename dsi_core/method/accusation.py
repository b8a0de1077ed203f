"""Another accusation: the profile in which D is some other dataset, with the same references."""

from dsi_core.settings.profile import Profile
from dsi_core.settings.schema import Data, Suspect
from dsi_core.settings.words import IID

# Sections of a profile that belong to its own study alone.
STUDY_ONLY = ("dpdllm", "robustness", "grey_box", "attribution", "imitation", "calibration")


def profile_of(
    base: Profile, name: str, pairs: Data, iid: Data | None, suspects: list[Suspect]
) -> Profile:
    """Give the profile in which D is `pairs`; references and settings are those of `base`.

    Parameters
    ----------
    name
        What D is called from now on.
    iid
        More data of the same kind, from which the dataset `<name>_iid` is drawn apart from D.
    suspects
        Appended to the base's controls, which become suspects, too, except those that train on
        `name` and, if there is no i.i.d. data, those that train on i.i.d. data.

    Raises
    ------
    pydantic.ValidationError
        (a `ValueError`) for suspects that contradict the data.
    """
    data = {**base.data, name: pairs}
    if iid is not None:
        data = {n: d for n, d in data.items() if d.apart_from != name}
        data[f"{name}_iid"] = iid.changed(apart_from=name)
    has_iid = any(d.apart_from == name for d in data.values())
    left_out = {name} if has_iid else {name, IID}
    controls = [c for c in base.controls if not left_out & set(c.data)]
    return base.changed(
        victims=[name],
        data=data,
        suspects=[*controls, *suspects],
        non_members_from=[],
        in_depth=None,
        controls=[],
        control_answers={},
        wild={},
        suites={},
        more_references=[],
        reference_sets={},
        similarities={},
        responses={"ask": "tainted"},
        **dict.fromkeys(STUDY_ONLY),
    )
