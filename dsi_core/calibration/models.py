"""Models whose training on a draw is known: members of many strengths, and innocent ones."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import pandas as pd

from dsi_core.calibration.draws import Draw
from dsi_core.data import stored
from dsi_core.data.pairs import Dataset, dataset, load_pairs
from dsi_core.method import asking as ask
from dsi_core.method import pending
from dsi_core.method.asking import Query
from dsi_core.models import load, tuning
from dsi_core.models.sampling import Sampling
from dsi_core.models.tuning import Training
from dsi_core.runtime import jobs, store
from dsi_core.runtime.precision import detect
from dsi_core.settings import defaults
from dsi_core.settings.extensions import Calibration
from dsi_core.settings.profile import Profile, needed
from dsi_core.settings.schema import Data, Recipe


class Kind(StrEnum):
    """What a model was tuned on."""

    WEAK = "weak member"
    STRENGTH = "member by strength"
    SHARE = "member on a share of D"
    DILUTED = "member with other data"
    OTHER_WORDING = "on D's other wording"
    INNOCENT = "innocent"


@dataclass(frozen=True)
class Model:
    """A model, and what it knows of a draw.

    Attributes
    ----------
    name, kind, group
        Its name, what it was tuned on, and the base (of an innocent model its kind).
    draw
        Whose D it was tuned on; None = of none.
    training
        How it came to be.
    epochs, share, dilution
        Of a member: passes over its data, the share of D in it, other pairs for each pair of D.
    """

    name: str
    kind: Kind
    group: str
    draw: int | None
    training: Training
    epochs: int = 0
    share: float = 1.0
    dilution: int = 0


def how(profile: Profile) -> Calibration:
    """Give the profile's settings for this. Raises `ValueError` where there are none."""
    return needed(profile.calibration, "calibration", profile, "it says which models are tuned")


def asking(profile: Profile) -> Profile:
    """Give the same settings, but asking as an audit of a kit does (`settings.defaults`)."""
    usual = defaults.RESPONSES
    return profile.changed(responses={"temperature": usual.temperature, "draws": usual.draws})


def weak(profile: Profile, drawn: Draw) -> Model:
    """Give the weak member of a draw."""
    given = how(profile).weak
    training = _tuned(profile, given.base, given.recipe, [published(drawn)], drawn.number)
    name = f"{given.base}-weak of draw {drawn.number}"
    epochs = profile.recipes[given.recipe].epochs
    return Model(name, Kind.WEAK, given.base, drawn.number, training, epochs)


def strengths(profile: Profile, drawn: Draw) -> list[Model]:
    """Give members of a draw from barely tuned to verbatim: each base after so many epochs."""
    models = []
    for given in how(profile).strengths:
        longest = profile.recipes[given.recipe]
        for epochs in given.epochs:
            training = _tuned(
                profile,
                given.base,
                given.recipe,
                [published(drawn)],
                drawn.number,
                longest.changed(epochs=epochs),
            )
            name = f"{given.base} after {epochs} epochs of draw {drawn.number}"
            models.append(Model(name, Kind.STRENGTH, given.base, drawn.number, training, epochs))
    return models


def shares(profile: Profile, drawn: Draw) -> list[Model]:
    """Give members of a draw that trained on random shares of D, smaller ones within larger."""
    given, models = how(profile).weak, []
    data = published(drawn)
    ids = load_pairs(data)["sample_id"].sample(frac=1, random_state=drawn.number).tolist()
    for share in how(profile).shares:
        training = _tuned(profile, given.base, given.recipe, [data], drawn.number)
        left_out = tuple(sorted(ids[round(share * len(ids)) :]))
        models.append(
            Model(
                f"{given.base}-weak on {share:.0%} of draw {drawn.number}",
                Kind.SHARE,
                given.base,
                drawn.number,
                replace(training, leave_out=left_out),
                profile.recipes[given.recipe].epochs,
                share=share,
            )
        )
    return models


def diluted(profile: Profile, drawn: Draw) -> list[Model]:
    """Give members of a draw that trained on other data beside D."""
    settings, models = how(profile), []
    given = settings.weak
    for times in settings.dilutions:
        others = [dataset(profile, name) for name in settings.diluted_with[:times]]
        if len(others) < times:
            raise ValueError(
                f"dilutions: {times} needs as many datasets in diluted_with, "
                f"there are {len(settings.diluted_with)}"
            )
        training = _tuned(
            profile, given.base, given.recipe, [published(drawn), *others], drawn.number
        )
        models.append(
            Model(
                f"{given.base}-weak, 1 to {times}, of draw {drawn.number}",
                Kind.DILUTED,
                given.base,
                drawn.number,
                training,
                profile.recipes[given.recipe].epochs,
                dilution=times,
            )
        )
    return models


def other_wording(profile: Profile, drawn: Draw) -> Model | None:
    """Give a model tuned on the wordings of D that were not published."""
    given = how(profile).other_wording
    if given is None:
        return None
    data = _written(drawn, "other")
    training = _tuned(profile, given.base, given.recipe, [data], drawn.number)
    name = f"{given.base} on the other wording of draw {drawn.number}"
    epochs = profile.recipes[given.recipe].epochs
    return Model(name, Kind.OTHER_WORDING, given.base, drawn.number, training, epochs)


def innocents(profile: Profile) -> list[Model]:
    """Give models that saw no wording of any draw."""
    return [
        Model(
            suspect.name,
            Kind.INNOCENT,
            suspect.group or suspect.base,
            None,
            tuning.training(profile, profile.victims[0], suspect),
        )
        for suspect in how(profile).innocents
    ]


def of_draw(profile: Profile, drawn: Draw) -> list[Model]:
    """Give every model that the settings want of a draw, the weak member first."""
    settings, number = how(profile), drawn.number
    models = [weak(profile, drawn)]
    if number in settings.strength_draws:
        models += strengths(profile, drawn)
    if number in settings.share_draws:
        models += shares(profile, drawn)
    if number in settings.dilution_draws:
        models += diluted(profile, drawn)
    if number in settings.other_wording_draws:
        other = other_wording(profile, drawn)
        models += [] if other is None else [other]
    return models


def queries(profile: Profile, models: Sequence[Model], rows: pd.DataFrame) -> list[Query]:
    """Give what is put to models: the prompts of a draw (columns row, prompt).

    A question is named by its row, which no coin changes, so that no answer depends on one.
    """
    questions = rows[["row", "prompt"]].rename(columns={"row": "sample_id"})
    sampling = Sampling.of(profile.responses, profile.seed)
    return [Query(m.name, m.name, m.training, questions, sampling) for m in models]


def answers(queries: Sequence[Query]) -> pd.DataFrame:
    """Let models answer; tune what is missing, after a line that says so.

    Returns
    -------
    pandas.DataFrame
        Columns model, row, draw, response.
    """
    missing = [query for query in queries if query.missing]
    pending.announce([query.work for query in missing])
    _tune_together(query.training for query in missing)
    ask.query(queries, announced=True)
    tables = [ask.collected(query).assign(model=query.model_id) for query in queries]
    table = pd.concat(tables, ignore_index=True)
    return table.rename(columns={"sample_id": "row"})[["model", "row", "draw", "response"]]


def shifted(profile: Profile, models: Sequence[Model], rows: pd.DataFrame) -> pd.DataFrame:
    """Let models answer in each of the other ways of `shifts`: as `answers`, with shift."""
    usual = asking(profile)
    tables = [
        answers(queries(usual.changed(responses=fields), models, rows)).assign(shift=name)
        for name, fields in how(profile).shifts.items()
    ]
    return pd.concat(tables, ignore_index=True)


def published(drawn: Draw) -> Dataset:
    """Give D of a draw as data to train on."""
    return _written(drawn, "text")


def _written(drawn: Draw, wording: str) -> Dataset:
    """The published rows in one of their wordings, as a file of the store."""
    rows = drawn.published[["prompt", wording]].set_axis(["q", "a"], axis=1)
    path = stored.write("draws", f"{wording}-of-draw-{drawn.number}", rows)
    name = f"draw{drawn.number}" if wording == "text" else f"draw{drawn.number}_{wording}"
    return Dataset(name, Data(path=str(path), prompt=["q"], output="a"), seed=drawn.number)


def _tuned(
    profile: Profile,
    base: str,
    recipe_name: str,
    data: list[Dataset],
    seed: int,
    recipe: Recipe | None = None,
) -> Training:
    return Training(
        base=load.base(profile, base),
        precision=detect(profile.precision),
        seed=seed,
        datasets=tuple(data),
        recipe=recipe or profile.recipes[recipe_name],
        recipe_name=recipe_name,
    )


def _tune_together(trainings: Iterable[Training]) -> None:
    """Tune each series of trainings that begin one another in one go, each series in a worker."""
    series: dict[str, list[Training]] = {}
    for training in trainings:
        recipe = training.recipe
        if recipe is None or not recipe.schedule.startswith("constant"):
            continue
        alike = replace(training, recipe=recipe.changed(epochs=1))
        series.setdefault(store.key(alike.spec), []).append(training)
    work = [
        jobs.Job(
            longest.name,
            tuning.tune_through,
            (together,),
            cost=longest.passes,
            **longest.base.needs,
        )
        for together in series.values()
        for longest in [max(together, key=lambda t: t.passes)]
    ]
    load.prepare_all(training.base for together in series.values() for training in together[:1])
    jobs.run(sorted(work, key=lambda job: -job.cost))
