"""Evasions (§6.4): other temperatures, tainted samples removed, a part of D. Are members caught?

What judges returns the verdicts of `study.verdicts` with columns evasion and setting in front.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from dsi_core.method import study as steps
from dsi_core.method import tainted, usage
from dsi_core.method.study import Study
from dsi_core.method.verdict import Status
from dsi_core.settings import suspects
from dsi_core.settings.evasions import Robustness
from dsi_core.settings.profile import needed
from dsi_core.settings.schema import Suspect

ALL_OF_D = "none removed"


@dataclass(frozen=True)
class Variant:
    """A suspect in one setting of an evasion that needs another training.

    Parameters
    ----------
    suspect
        Whose evasion it is.
    setting
        As tables call it.
    leave_out
        Samples (by id) of D that it does not see; empty = the model that is there already.
    """

    suspect: Suspect
    setting: str
    leave_out: tuple[str, ...]

    @property
    def name(self) -> str:
        """What it is called as a suspect; the suspect's own name where it is the same model."""
        return f"{self.suspect.name}, {self.setting}" if self.leave_out else self.suspect.name

    @property
    def trained(self) -> Suspect:
        """The suspect that is tuned anew."""
        return self.suspect.changed(name=self.name, leave_out=self.leave_out)


def settings(study: Study) -> Robustness:
    """Give the profile's section `robustness`. Raises `ValueError` where there is none."""
    profile, what = study.profile, "it says which evasions are tried, and how"
    return needed(profile.robustness, "robustness", profile, what)


def only_members(study: Study) -> Study:
    """Give the same study with its member suspects alone, local and wild.

    Only they have something to evade.
    """
    profile = study.profile
    return study.changed(
        suspects=[suspect for suspect in profile.suspects if suspect.member],
        non_members_from=[],
        wild={victim: wild.changed(non_members=[]) for victim, wild in profile.wild.items()},
    )


def temperatures(study: Study, scores: pd.DataFrame) -> pd.DataFrame:
    """Fig. 11b: let the members answer at other temperatures; the references stay at 1.0."""
    tables = []
    for temperature in settings(study).temperatures:
        other = study.changed(responses={"temperature": temperature})
        answers = steps.suspect_gaps(other, scores)
        tables.append(verdicts(other, scores, answers, "temperature", str(temperature)))
    return pd.concat(tables, ignore_index=True)


def adversary_scores(study: Study) -> pd.DataFrame:
    """Give `study.reference_scores` of the adversary's own references, on all of D (§6.4.3)."""
    other = study.changed(
        references=settings(study).adversary.references,
        # what names the arbiter's references, or has the adversary's a second time
        more_references=[],
        reference_sets={},
        robustness=None,
        imitation=None,
    )
    return steps.reference_scores(other)


def removed(study: Study, adversary_scores: pd.DataFrame) -> pd.DataFrame:
    """Tell what the adversary removes from D.

    It removes, of the samples that its references find tainted (Eq. 1), those with the largest
    weakest gap, up to the share `at_most` of D.

    Returns
    -------
    pandas.DataFrame
        Columns dataset, sample_id, min_gap, tainted (by the adversary's references), removed.
    """
    samples = tainted.tainted(adversary_scores, study.profile.decision.delta_t)
    gaps = samples["min_gap"].where(samples["tainted"])
    rank = gaps.groupby(samples["dataset"]).rank(ascending=False, method="first")
    sizes = samples.groupby("dataset")["sample_id"].transform("size")
    return samples.assign(removed=rank <= sizes * settings(study).adversary.at_most)


def removal(study: Study, scores: pd.DataFrame, removed: pd.DataFrame) -> pd.DataFrame:
    """Fig. 11c: judge members tuned on what is left of D. "none removed" = trained on all of D.

    Parameters
    ----------
    removed
        As the function of that name returns.
    """
    chosen = removed["removed"]
    shares = chosen.groupby(removed["dataset"]).mean()
    least, most = f"{shares.min():.0%}", f"{shares.max():.0%}"
    part = most if least == most else f"{least} to {most}"
    left_out: dict[str, tuple[str, ...]] = {
        ALL_OF_D: (),
        f"{part} removed": tuple(removed.loc[chosen, "sample_id"]),
    }
    return _retrained(study, scores, "removing tainted", left_out)


def subsets(study: Study, scores: pd.DataFrame) -> pd.DataFrame:
    """Fig. 11d: judge members tuned on a random share of D.

    A smaller share is a part of every larger one.
    """
    return _retrained(study, scores, "subset", _random_parts(study))


def shares_by_text(study: Study, scores: pd.DataFrame) -> pd.DataFrame:
    """Estimate the share of D that the members of Fig. 11d were tuned on, from their answers.

    Returns
    -------
    pandas.DataFrame
        true (the share), and what `usage.by_vote` and `usage.by_closeness` say of each.
    """
    variants = _variants(study, _random_parts(study))
    other = _tuned_anew(study, variants)
    answers = steps.suspect_answers(other, scores)
    verdicts = steps.verdicts(other, scores, steps.gaps_to(other, scores, answers))
    by_closeness = usage.by_closeness(scores, answers, study.profile.seed)
    estimated = pd.concat([usage.by_vote(verdicts), by_closeness])
    sizes = study.pairs["dataset"].value_counts()
    tables = []
    for variant in variants:
        table = estimated[estimated["suspect"] == variant.name]
        gone = study.pairs.loc[study.pairs["sample_id"].isin(variant.leave_out), "dataset"]
        left = 1 - gone.value_counts().reindex(sizes.index, fill_value=0) / sizes
        tables.append(table.assign(suspect=variant.suspect.name, true=table["dataset"].map(left)))
    table = pd.concat(tables, ignore_index=True)
    return table[["dataset", "suspect", "true", "method", "share", "low", "high"]]


def _random_parts(study: Study) -> dict[str, tuple[str, ...]]:
    """{setting: what members on a random share of D do not see}."""
    left_out = {}
    for share in settings(study).shares:
        of_each = [
            outside(part["sample_id"], share, study.profile.seed)
            for _, part in study.pairs.groupby("dataset", sort=False)
        ]
        left_out[f"{100 * share:g}%"] = tuple(i for ids in of_each for i in ids)
    return left_out


def overlap(
    study: Study, scores: pd.DataFrame, answers: pd.DataFrame, removed: pd.DataFrame
) -> pd.DataFrame:
    """Fig. 12: find what the adversary removed among the arbiter's tainted samples.

    Of each member, trained on all of D.

    Returns
    -------
    pandas.DataFrame
        Columns dataset, suspect, status (positive | negative: how the arbiter counts the sample),
        removed, samples (how many).
    """
    evidence = steps.evidence(study, scores, answers)
    known = removed[["dataset", "sample_id", "removed"]]
    table = evidence.merge(known, on=["dataset", "sample_id"], validate="m:1")
    counted = table[table["status"] != Status.FILTERED]
    keys = ["dataset", "suspect", "status", "removed"]
    return counted.groupby(keys, sort=False).size().rename("samples").reset_index()


def outside(ids: pd.Series, share: float, seed: int) -> list[str]:
    """Give the samples that a random `share` of D leaves out; at least one sample stays."""
    order = np.random.default_rng(seed).permutation(len(ids))
    return ids.iloc[order[max(1, round(share * len(ids))) :]].tolist()


def _retrained(
    study: Study, scores: pd.DataFrame, evasion: str, left_out: dict[str, tuple[str, ...]]
) -> pd.DataFrame:
    """The verdicts on the local members, each tuned once more for every entry of `left_out`.

    left_out: setting -> sample_ids that the members do not see.
    """
    variants = _variants(study, left_out)
    other = _tuned_anew(study, variants)
    table = verdicts(other, scores, steps.suspect_gaps(other, scores), evasion, "")
    tables = [
        table[table["suspect"] == variant.name].assign(
            setting=variant.setting, suspect=variant.suspect.name
        )
        for variant in variants
    ]
    return pd.concat(tables, ignore_index=True)


def _variants(study: Study, left_out: dict[str, tuple[str, ...]]) -> list[Variant]:
    return [
        Variant(suspect, setting, ids)
        for setting, ids in left_out.items()
        for suspect in evading(study)
    ]


def _tuned_anew(study: Study, variants: list[Variant]) -> Study:
    """The same study of these suspects alone."""
    trained = {variant.name: variant.trained for variant in variants}
    return study.changed(suspects=list(trained.values()), non_members_from=[], wild={})


def evading(study: Study) -> list[Suspect]:
    """Give the local members that are trained anew. Raises `ValueError` for a name that is none."""
    return suspects.evading(study.profile, settings(study).suspects)


def verdicts(
    study: Study, scores: pd.DataFrame, answers: pd.DataFrame, evasion: str, setting: str
) -> pd.DataFrame:
    """Judge answers as `study.verdicts` does, and say which evasion they are of."""
    table = steps.verdicts(study, scores, answers)
    table.insert(0, "evasion", evasion)
    table.insert(1, "setting", setting)
    return table
