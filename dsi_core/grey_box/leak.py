"""What if the suspect trained on the validation set? Every grey-box method assumes that it did not: here the assumption is broken on purpose."""

from pathlib import Path

import pandas as pd

from dsi_core.grey_box import collect
from dsi_core.grey_box import tables as grey_box_tables
from dsi_core.method.study import Study
from dsi_core.runtime import store
from dsi_core.settings.profile import VICTIM
from dsi_core.settings.schema import Data, Suspect

LEAKED = "validation"


def accused(study: Study) -> Study:
    """The first victim that has a validation set, with two suspects tuned like the profile's first local member: on D and the validation set
    (a member), and on the validation set alone (a non-member).

    The validation pairs become a file of the store, and so a dataset like any other. Raises `ValueError` without a local member.
    """
    profile, table = study.profile, collect.samples(study)
    known = next((s for s in profile.suspects if s.member and s.recipe), None)
    if known is None:
        raise ValueError(
            f"profile {profile.name!r}: no local suspect is a member; the leak repeats the base and recipe of the first one"
        )
    victim = table["dataset"].iloc[0]
    pairs = table.query("dataset == @victim and part == 'validation'")[["prompt", "output"]]
    suspects = [
        Suspect(
            name=f"{known.name} on {what}",
            member=member,
            group="validation set seen",
            base=known.base,
            data=seen,
            recipe=known.recipe,
        )
        for what, member, seen in (
            ("D + validation", True, [VICTIM, LEAKED]),
            ("validation", False, [LEAKED]),
        )
    ]
    leaked = Data(path=str(_written(victim, pairs)), prompt=["prompt"], output="output")
    changed = {
        "victims": [victim],
        "data": {**profile.data, LEAKED: leaked},
        "suspects": suspects,
        "wild": {},
    }
    return Study(
        profile.model_copy(update=changed),
        study.pairs[study.pairs["dataset"] == victim].reset_index(drop=True),
    )


def _written(victim: str, pairs: pd.DataFrame) -> Path:
    lines = pairs.to_json(orient="records", lines=True, force_ascii=False)
    folder = store.entry("validation", victim, {"pairs": store.key(lines)})
    with store.lock(folder):
        if store.manifest(folder) is None:
            store.write_text(folder / "pairs.jsonl", lines)
            store.finish(folder, pairs=len(pairs))
    return (folder / "pairs.jsonl").resolve()


def beside(leaked: Study) -> pd.DataFrame:
    """`grey_box_tables.beside` of `accused`: every method's verdict on both suspects, from scratch."""
    values, told = collect.token_values([leaked]), collect.answers([leaked])
    scores = collect.attacks([leaked], values, told)
    splits = grey_box_tables.dataset_inference([leaked], values, scores)
    inferred = grey_box_tables.over_splits(splits, leaked.profile.grey_box.alpha)
    return grey_box_tables.beside(
        leaked,
        grey_box_tables.measured(leaked, scores),
        inferred,
        grey_box_tables.black_box([leaked]),
    )
