"""What the method costs (§6.5, Table 9), from the store's own records of each step."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

import pandas as pd

from dsi_core.method import participants, similarity
from dsi_core.method.participants import Participant
from dsi_core.method.study import Study, beside_oracle, beside_references
from dsi_core.models import responses, tuning
from dsi_core.runtime import store

ANSWER = ["sample_id", "draw"]
EVERYBODY = "all references"  # their scores are computed together


class Phase(StrEnum):
    """When a cost arises; values as in tables."""

    OFFLINE = "offline"  # references and their scores, once per dataset
    ONLINE = "online"  # prompting a suspect and comparing its answers
    SET_UP = "set-up"  # tuning our own suspects: in an audit somebody else has done that


class Step(StrEnum):
    """What is done; values as in tables."""

    TUNE = "tune"
    ANSWER = "answer"
    SIMILARITY = "similarity"


@dataclass(frozen=True)
class Cost:
    """What one step took for one model.

    Parameters
    ----------
    tokens
        Read or written; None where nothing counts them.
    seconds
        Of one process: a core, or a GPU.
    device
        "cpu", or the GPU's name; None where it is not recorded.
    """

    dataset: str
    phase: Phase
    step: Step
    model_id: str
    tokens: int | None
    seconds: float
    device: str | None = None


def costs(study: Study, scores: pd.DataFrame, suspect_answers: pd.DataFrame) -> pd.DataFrame:
    """Give the time of each step, once per dataset and model.

    Only the answers to the samples of `scores` and the draws of `suspect_answers` count, whatever
    else the same models were prompted with for other questions.

    Parameters
    ----------
    scores, suspect_answers
        As `study.reference_scores` and `study.suspect_answers` return.

    Returns
    -------
    pandas.DataFrame
        Columns dataset, phase, step, model_id, tokens, seconds (of one process: a core, or a GPU),
        device.

    Raises
    ------
    ValueError
        Where the store lacks the record of a step.
    """
    rows: list[Cost] = []
    lacking: list[str] = []
    for model in participants.participants(study.profile):
        answers = _answers_of(model, scores, suspect_answers)
        for step, cost in _recorded(study, model, answers).items():
            if cost is None:
                lacking.append(f"{step} {model.model_id}")
            else:
                rows.append(cost)
    if lacking:
        raise ValueError(
            f"the store has no record of: {', '.join(lacking)}; run notebooks 1 and 2 first"
        )
    rows += _comparisons(study, scores, suspect_answers)
    table = pd.DataFrame([asdict(cost) for cost in rows])
    return table.astype({"phase": str, "step": str})


def _answers_of(
    model: Participant, scores: pd.DataFrame, suspect_answers: pd.DataFrame
) -> pd.DataFrame:
    """The answers of a model that this study needs: sample_id, draw."""
    if model.is_reference:
        samples = scores.loc[scores["dataset"] == model.dataset, ["sample_id"]]
        return samples.drop_duplicates().assign(draw=0)
    same = suspect_answers["suspect"] == model.model_id
    return suspect_answers.loc[same & (suspect_answers["dataset"] == model.dataset), ANSWER]


def _recorded(study: Study, model: Participant, answers: pd.DataFrame) -> dict[Step, Cost | None]:
    """What the store knows of a model's steps; None = nothing, or not all of it."""
    steps: dict[Step, Cost | None] = {}
    if model.training.recipe is not None:
        steps[Step.TUNE] = _tuning(model)
    sampling = study.sampling.for_references() if model.is_reference else study.sampling
    folders = responses.folders(model.model_id, model.training, sampling)
    steps[Step.ANSWER] = _answering(model, answers, folders)
    return steps


def _tuning(model: Participant) -> Cost | None:
    record = store.manifest(tuning.record(model.training))
    if record is None:
        return None
    return Cost(
        dataset=model.dataset,
        phase=Phase.OFFLINE if model.is_reference else Phase.SET_UP,
        step=Step.TUNE,
        model_id=model.model_id,
        tokens=record["tokens"],
        seconds=record["seconds"],
        device=record["device"],
    )


def _answering(model: Participant, answers: pd.DataFrame, folders: list[Path]) -> Cost | None:
    stored = responses.read(*folders, columns=[*ANSWER, *responses.COST])
    stored = stored.astype({"draw": int})  # of an empty table, no type is known
    counted = answers.merge(stored, on=ANSWER, validate="1:1")
    if len(counted) < len(answers):
        return None
    return Cost(
        dataset=model.dataset,
        phase=Phase.OFFLINE if model.is_reference else Phase.ONLINE,
        step=Step.ANSWER,
        model_id=model.model_id,
        tokens=int(counted["tokens"].sum()),
        seconds=round(float(counted["seconds"].sum()), 3),
        device=_devices(counted[ANSWER], folders),
    )


def _devices(answers: pd.DataFrame, folders: list[Path]) -> str | None:
    """The devices of these answers: of each folder that has some which no folder before it has."""
    named: list[str] = []
    for folder in folders:
        stored = responses.read(folder, columns=ANSWER).astype({"draw": int}).assign(here=True)
        found = answers.merge(stored, how="left", on=ANSWER)["here"].notna().to_numpy()
        facts = store.manifest(folder)
        if found.any() and facts is not None:
            named.append(facts["device"])
        answers = answers[~found]
    return " and ".join(dict.fromkeys(named)) or None


def _comparisons(
    study: Study, scores: pd.DataFrame, suspect_answers: pd.DataFrame
) -> Iterator[Cost]:
    """The cost of similarities: of all references, then of each suspect's answers."""
    for dataset, part in scores.groupby("dataset", sort=False):
        seconds = similarity.seconds(study.backbone, beside_oracle(part))
        yield _comparison(str(dataset), Phase.OFFLINE, EVERYBODY, seconds)
    keys = ["dataset", "sample_id"]
    given = scores[[*keys, "response_before", "response_after"]]
    beside = suspect_answers.merge(given, on=keys)
    for dataset, of_dataset in beside.groupby("dataset", sort=False):
        for suspect, part in of_dataset.groupby("suspect", sort=False):
            seconds = similarity.seconds(study.backbone, beside_references(part))
            yield _comparison(str(dataset), Phase.ONLINE, str(suspect), seconds)


def _comparison(dataset: str, phase: Phase, model_id: str, seconds: float) -> Cost:
    return Cost(dataset, phase, Step.SIMILARITY, model_id, tokens=None, seconds=seconds)


def table9(costs: pd.DataFrame) -> pd.DataFrame:
    """Table 9: the hours of one core or one GPU.

    Parameters
    ----------
    costs
        As the function of that name returns.

    Returns
    -------
    pandas.DataFrame
        Columns dataset, offline_hours, online_hours (mean of a suspect), online_percent (of the
        offline hours).
    """
    rows = []
    for dataset, part in costs.groupby("dataset", sort=False):
        offline = part.loc[part["phase"] == Phase.OFFLINE, "seconds"].sum() / 3600
        by_suspect = part[part["phase"] == Phase.ONLINE].groupby("model_id")["seconds"].sum()
        online = by_suspect.mean() / 3600
        rows.append(
            {
                "dataset": dataset,
                "offline_hours": round(offline, 6),
                "online_hours": round(online, 6),
                "online_percent": round(100 * online / offline, 2),
            }
        )
    return pd.DataFrame(rows)


def by_step(costs: pd.DataFrame) -> pd.DataFrame:
    """Sum the costs of each phase and step.

    Parameters
    ----------
    costs
        As the function of that name returns.

    Returns
    -------
    pandas.DataFrame
        Columns dataset, phase, step, models, minutes, tokens_per_second (of one process; NaN where
        no tokens are counted).
    """
    sums = costs.groupby(["dataset", "phase", "step"], sort=False).agg(
        models=("model_id", "nunique"), tokens=("tokens", "sum"), seconds=("seconds", "sum")
    )
    table = sums.reset_index()
    speed = table["tokens"] / table["seconds"].where(table["tokens"] > 0)
    table = table.assign(minutes=(table["seconds"] / 60).round(2), tokens_per_second=speed.round(1))
    return table.drop(columns=["tokens", "seconds"])
