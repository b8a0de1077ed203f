"""The study's verdicts by answers of our own loop, and by vLLM's."""

from collections.abc import Sequence

import pandas as pd

from dsi_core.method import study
from dsi_core.method.study import Study
from dsi_core.settings.profile import Profile
from dsi_core.settings.schema import Suspect

ENGINES = {"our own loop": None, "vllm": "vllm"}  # what `responses.server` says


def measure(profile: str = "small", names: Sequence[str] = ()) -> pd.DataFrame:
    """Judge models of the first victim twice; what the store lacks is tuned and asked.

    The references' answers are those of the study, so of each model only its own are others.

    Parameters
    ----------
    profile
        Whose suspects and controls.
    names
        Of those; default: `chosen`.

    Returns
    -------
    pandas.DataFrame
        One row per model and engine: suspect, member (the truth), engine, positive, negative and
        filtered (samples), verdict, moved (mean absolute change of a sample's evidence against our
        own loop, on the profile's scale of similarity; NaN for the loop itself).

    Raises
    ------
    ValueError
        For a name that is neither a suspect's nor a control's.
    """
    whole = study.start(profile)
    judged = chosen(whole.profile) if not names else _named(whole.profile, names)
    first = study.only(whole, whole.profile.victims[:1])
    own = first.changed(suspects=judged, controls=[], non_members_from=[], wild={})
    scores = study.reference_scores(own)
    votes, evidence = zip(*(_voted(own, scores, s) for s in ENGINES.values()), strict=True)
    keys = ["suspect", "sample_id"]
    tables = []
    for engine, vote, found in zip(ENGINES, votes, evidence, strict=True):
        beside = found.merge(evidence[0], on=keys, suffixes=("", "_own"), validate="1:1")
        change = (beside["evidence"] - beside["evidence_own"]).abs()
        moved = change.groupby(beside["suspect"]).mean()
        moved = moved if engine != next(iter(ENGINES)) else moved * float("nan")
        tables.append(vote.assign(engine=engine, moved=vote["suspect"].map(moved)))
    shown = ["suspect", "member", "engine", "positive", "negative", "filtered", "verdict", "moved"]
    return pd.concat(tables).sort_values("suspect", kind="stable", ignore_index=True)[shown]


def _voted(own: Study, scores: pd.DataFrame, server: str | None) -> tuple:
    """The verdicts, and the evidence of each sample, with answers of one engine."""
    gaps = study.suspect_gaps(own.changed(responses={"server": server}), scores)
    return study.verdicts(own, scores, gaps), study.evidence(own, scores, gaps)


def chosen(profile: Profile) -> list[Suspect]:
    """Give the first member and the first innocent that are adapters of the first reference's base.

    Raises
    ------
    ValueError
        Where there is none of either.
    """
    base = profile.references[0].with_.base
    adapters = [
        one
        for one in [*profile.suspects, *profile.controls]
        if one.base == base and one.recipe and profile.recipes[one.recipe].method != "full"
    ]
    found = [
        next((one for one in adapters if one.member is member), None) for member in (True, False)
    ]
    if None in found:
        raise ValueError(f"{profile.name}: no adapters of {base} that are a member and an innocent")
    return [one for one in found if one is not None]


def _named(profile: Profile, names: Sequence[str]) -> list[Suspect]:
    known = {one.name: one for one in [*profile.controls, *profile.suspects]}
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"{', '.join(unknown)}: no suspect or control; known: {', '.join(known)}")
    return [known[name] for name in names]
