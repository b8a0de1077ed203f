"""Words that stand, in a list of training data, for a dataset that depends on the accusation."""

from collections.abc import Mapping

from dsi_core.settings.schema import Data

VICTIM = "victim"  # the dataset under accusation
IID = "iid"  # the dataset drawn beside the victim from its source: `apart_from: <victim>` (§6.1)


def has_iid(data: Mapping[str, Data], victim: str) -> bool:
    """Tell whether among a profile's datasets is one like the victim, apart from it."""
    return any(settings.apart_from == victim for settings in data.values())


def iid_of(data: Mapping[str, Data], victim: str) -> str:
    """Name the dataset drawn from the same source as `victim`, apart from it (D_y of §6.1).

    data: a profile's datasets by name. Raises `ValueError` if none or several say so.
    """
    apart = [name for name, settings in data.items() if settings.apart_from == victim]
    if len(apart) != 1:
        raise ValueError(
            f"{IID!r} needs exactly one dataset with apart_from: {victim}; "
            f"there are: {', '.join(apart) or 'none'}"
        )
    return apart[0]


def rewordings_of(data: Mapping[str, Data], victim: str) -> list[str]:
    """Name the datasets that say the same as the victim in other words."""
    return [name for name, settings in data.items() if settings.other_words_of == victim]


def dataset_of(data: Mapping[str, Data], victim: str, name: str) -> str:
    """Name the dataset that `name` in a list of training data stands for."""
    if name == VICTIM:
        return victim
    return iid_of(data, victim) if name == IID else name
