"""Who is compared by methods that see more than text: samples of D, and validation pairs.

Each method asks whether a suspect finds D more familiar than *validation* pairs of the same
distribution that nobody could train on. Here these are a random remainder of D's own source, so
that D and validation differ only by a coin flip: on a model that saw neither, no method may find
anything. Victims without a validation set are not judged.
"""

from enum import StrEnum

import numpy as np
import pandas as pd

from dsi_core.data import near_duplicates, text_classifier
from dsi_core.data.pairs import Dataset, dataset, untouched
from dsi_core.grey_box import dia
from dsi_core.method.study import Study
from dsi_core.settings.extensions import GreyBox
from dsi_core.settings.profile import Profile, needed

SAMPLE = ["part", "sample_id"]


class Part(StrEnum):
    """What a sample is there for; values as in tables."""

    D = "D"
    VALIDATION = "validation"
    PREFIX = "prefix"  # ReCaLL's known non-members


def settings(profile: Profile) -> GreyBox:
    """Give the profile's section `grey_box`. Raises `ValueError` where there is none."""
    what = "it names the validation pairs and what the attacks need"
    return needed(profile.grey_box, "grey_box", profile, what)


def samples(run: Study) -> pd.DataFrame:
    """Choose who is compared.

    Returns
    -------
    pandas.DataFrame
        dataset, part (`Part`), sample_id, prompt, output, and whether the sample is among those
        read in other versions (compared) and those prompted (asked), both chosen at random with the
        profile's seed.

    Raises
    ------
    ValueError
        Where no victim has a validation set, or one, or D, is too small.
    """
    profile, grey_box = run.profile, settings(run.profile)
    others = [dataset(profile, name) for name in profile.data]
    tables = []
    for victim in profile.victims:
        if victim not in grey_box.validation:
            continue
        source = Dataset(f"{victim}'s validation set", grey_box.validation[victim], profile.seed)
        unseen = untouched(source, others).sample(frac=1, random_state=profile.seed)
        if len(unseen) < grey_box.shots + 2 * dia.FEWEST:
            raise ValueError(
                f"grey_box.validation of {victim!r} has {len(unseen)} pairs; {grey_box.shots} go "
                f"to the prefix (shots), and {2 * dia.FEWEST} at least must be left, as DIA "
                "compares their halves, too"
            )
        whole = run.pairs[run.pairs["dataset"] == victim]
        if len(whole) < dia.FEWEST:
            raise ValueError(
                f"victim {victim!r} has {len(whole)} pairs; DIA needs {dia.FEWEST} at least"
            )
        count = min(len(whole), grey_box.samples or len(whole))
        parts = {
            Part.D: whole.sample(count, random_state=profile.seed).sort_index(),
            Part.VALIDATION: unseen.iloc[grey_box.shots :].sort_index(),
            Part.PREFIX: unseen.iloc[: grey_box.shots],
        }
        tables += [
            _chosen(table, grey_box, profile.seed).assign(dataset=victim, part=str(part))
            for part, table in parts.items()
        ]
    if not tables:
        raise ValueError(
            f"grey_box.validation has none of the victims {', '.join(profile.victims)}"
        )
    columns = ["dataset", "part", "sample_id", "prompt", "output", "compared", "asked"]
    return pd.concat(tables, ignore_index=True)[columns]


def _chosen(table: pd.DataFrame, grey_box: GreyBox, seed: int) -> pd.DataFrame:
    rank = np.random.default_rng(seed).permutation(len(table))
    return table.assign(
        compared=rank < (grey_box.compared or len(table)),
        asked=rank < (grey_box.asked or len(table)),
    )


def sets(run: Study) -> pd.DataFrame:
    """Show the two sets of each victim.

    Returns
    -------
    pandas.DataFrame
        dataset, samples (of D), validation, prefix, compared and asked (of each set),
        near_duplicates (validation samples that nearly repeat one of D), and blind_auc, the AUROC,
        with its 95% interval (low, high), of a classifier that tells the sets apart by their text
        alone (0.5 = a fair benchmark).
    """
    rows = []
    for victim, table in samples(run).groupby("dataset", sort=False):
        d, unseen = table[table["part"] == Part.D], table[table["part"] == Part.VALIDATION]
        fair = text_classifier.blind_check(d, unseen, run.profile.seed)
        rows.append(
            {
                "dataset": victim,
                "samples": len(d),
                "validation": len(unseen),
                "prefix": (table["part"] == Part.PREFIX).sum(),
                "compared": unseen["compared"].sum(),
                "asked": unseen["asked"].sum(),
                "near_duplicates": near_duplicates.find(unseen, d).sum(),
                "blind_auc": fair.auc,
                "low": fair.low,
                "high": fair.high,
            }
        )
    return pd.DataFrame(rows)
