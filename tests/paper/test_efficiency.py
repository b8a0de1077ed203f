"""Costs added up by hand, from records written where the steps would have written theirs."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from helpers import says, table

from dsi_core.method import participants, similarity
from dsi_core.method.study import Study
from dsi_core.models import responses, tuning
from dsi_core.models.sampling import Answer
from dsi_core.paper import efficiency
from dsi_core.runtime import disk, store
from dsi_core.settings.schema import Reference, Suspect, Trained

REFERENCE = Reference(
    name="A",
    without=Trained(base="llama"),
    with_=Trained(base="mistral", data=["victim"], recipe="heart"),
)
SUSPECTS = [
    Suspect(name="M", member=True, base="gemma", data=["victim"], recipe="heart"),
    Suspect(name="N", member=False, base="llama"),
]
TUNING_SECONDS = {"R^t A": 7200, "M": 1800}
ANSWER_SECONDS = {"R A": [360], "R^t A": [720], "M": [60, 30], "N": [180]}  # of each draw
TOO_MUCH = 10**6  # of what must not count
SCORES = table(
    "dataset sample_id reference output response_before response_after",
    ("dozen", "s", "A", "oracle", "before", "after"),
)
ANSWERS = table(
    "dataset suspect sample_id draw response",
    ("dozen", "M", "s", 0, "said"),
    ("dozen", "M", "s", 1, "after"),
    ("dozen", "N", "s", 0, "said"),
)


def line(sample_id: str, draw: int, seconds: float) -> str:
    answer = {"sample_id": sample_id, "draw": draw, "response": "text"}
    return json.dumps({**answer, "tokens": 2 * int(seconds), "seconds": seconds}) + "\n"


@pytest.fixture
def study(smoke, empty_store, monkeypatch) -> Study:
    """One reference, two suspects, and one sample; comparing two texts takes 2 s.

    Beside each model's records lie some that must not count: answers at another temperature, to
    another question, and a draw further than the suspects'.
    """
    profile = smoke.changed(
        references=[REFERENCE],
        more_references=[],
        reference_sets={},
        robustness=None,
        imitation=None,
        controls=[],
        suspects=SUSPECTS,
        responses={"temperature": 0.5},
    )
    study = Study(profile, pd.DataFrame({"dataset": ["dozen"], "sample_id": ["s"]}))
    for model in participants.participants(profile):
        name = model.model_id
        if name in TUNING_SECONDS:
            seconds = TUNING_SECONDS[name]
            facts = {"tokens": 10 * seconds, "seconds": seconds, "device": "cpu"}
            store.finish(tuning.entry(model.training), **facts)
        right = 1.0 if model.is_reference else 0.5
        for temperature in (0.5, 1.0):
            sampling = study.sampling.changed(temperature=temperature)
            folder = responses.entry(name, model.training, sampling)
            draws = ANSWER_SECONDS[name] if temperature == right else [TOO_MUCH]
            lines = [line("s", draw, seconds) for draw, seconds in enumerate(draws)]
            lines += [line("other question", 0, TOO_MUCH), line("s", len(draws), TOO_MUCH)]
            disk.write_text(folder / "responses.jsonl", "".join(lines))
            store.finish(folder, tokens=TOO_MUCH, seconds=TOO_MUCH, device="cpu")
    monkeypatch.setattr(
        similarity, "seconds", lambda _, pairs: 2.0 * len(set(map(frozenset, pairs.to_numpy())))
    )
    return study


def test_costs_by_hand(study):
    costs = efficiency.costs(study, SCORES, ANSWERS)
    assert costs.columns.tolist() == [
        "dataset",
        "phase",
        "step",
        "model_id",
        "tokens",
        "seconds",
        "device",
    ]
    kept = costs[costs["step"] != "similarity"]
    assert kept[["phase", "step", "model_id", "tokens", "seconds"]].values.tolist() == [
        ["offline", "answer", "R A", 720, 360],
        ["offline", "tune", "R^t A", 72000, 7200],
        ["offline", "answer", "R^t A", 1440, 720],
        ["set-up", "tune", "M", 18000, 1800],
        ["online", "answer", "M", 180, 90],
        ["online", "answer", "N", 360, 180],
    ]
    assert kept["device"].tolist() == ["cpu"] * 6
    assert set(costs["dataset"]) == {"dozen"}


def test_comparing_by_hand(study):
    """N's two pairs are among M's four: scored once, but each suspect's audit would need them."""
    costs = efficiency.costs(study, SCORES, ANSWERS)
    compared = costs[costs["step"] == "similarity"]
    assert compared[["phase", "model_id", "seconds"]].values.tolist() == [
        ["offline", "all references", 4.0],  # before and after with the oracle
        ["online", "M", 8.0],  # said-before, said-after, after-before, after-after
        ["online", "N", 4.0],
    ]
    assert compared["tokens"].isna().all()


def test_table9_by_hand(study):
    """Tuning the suspects is neither offline nor online; online is the mean of both suspects."""
    table9 = efficiency.table9(efficiency.costs(study, SCORES, ANSWERS))
    offline = 360 + 7200 + 720 + 4
    online = ((90 + 8) + (180 + 4)) / 2
    assert table9.columns.tolist() == ["dataset", "offline_hours", "online_hours", "online_percent"]
    assert table9.values.tolist() == [
        ["dozen", round(offline / 3600, 6), round(online / 3600, 6), 1.7]  # 100 * 141 / 8284
    ]


@pytest.mark.parametrize("lost", ["tuning", "an answer", "all answers"])
def test_a_missing_record_is_named(study, lost):
    models = {m.model_id: m for m in participants.participants(study.profile)}
    if lost == "tuning":
        (tuning.entry(models["M"].training) / "manifest.json").unlink()
        step = "tune M"
    else:
        folder = responses.entry("N", models["N"].training, study.sampling)
        left = line("other question", 0, 1) if lost == "an answer" else ""
        disk.write_text(folder / "responses.jsonl", left)
        step = "answer N"
    with pytest.raises(ValueError) as error:
        efficiency.costs(study, SCORES, ANSWERS)
    says(error, f"no record of: {step};", "run notebooks 1 and 2 first")


def test_other_questions_to_the_same_models_cost_nothing_here(study, monkeypatch):
    """Two question sets to one entry: the costs of the first are the same before and after.

    An answer takes 3 s, and two that end together share 3 s.
    """
    now = [0.0]

    def answers(model_id, training, questions, sampling):
        rows = list(questions.itertuples(index=False))
        for start in range(0, len(rows), 2):
            now[0] += 3.0
            yield [Answer(row, "text", 5) for row in rows[start : start + 2]]

    monkeypatch.setattr(responses, "local_answers", answers)
    monkeypatch.setattr(responses, "time", SimpleNamespace(time=lambda: now[0]))
    model = next(m for m in participants.participants(study.profile) if m.model_id == "N")
    sampling = study.sampling.changed(max_new_tokens=7, draws=1)
    study = study.changed(responses={"max_new_tokens": 7})
    for other in participants.participants(study.profile):
        if other.model_id != "N":
            ours = study.sampling.for_references() if other.is_reference else study.sampling
            responses.ask(other.model_id, other.training, pd.DataFrame([S]), ours)

    own = pd.DataFrame([S, {"sample_id": "t", "prompt": "T?"}, {"sample_id": "u", "prompt": "U?"}])
    asked = pd.DataFrame({"dataset": "dozen", "suspect": "N", "sample_id": list("stu"), "draw": 0})
    study_answers = pd.concat([ANSWERS[ANSWERS["suspect"] == "M"], asked.assign(response="text")])
    folder = responses.ask("N", model.training, own, sampling)
    first = efficiency.costs(study, SCORES, study_answers)
    (of_n,) = first[(first["model_id"] == "N") & (first["step"] == "answer")].itertuples()
    assert (of_n.tokens, of_n.seconds) == (15, 6.0)

    further = pd.DataFrame({"sample_id": list("vwxyz"), "prompt": list("VWXYZ")})
    responses.ask("N", model.training, further, sampling)
    assert store.manifest(folder)["answers"] == 8  # the entry has grown
    pd.testing.assert_frame_equal(efficiency.costs(study, SCORES, study_answers), first)


S = {"sample_id": "s", "prompt": "S?"}
COSTS = "dataset phase step model_id tokens seconds"


def test_table9_keeps_datasets_apart():
    costs = table(
        COSTS,
        ("two", "offline", "tune", "R^t A", 1, 3600),
        ("one", "offline", "tune", "R^t A", 1, 7200),
        ("two", "online", "answer", "M", 1, 360),
        ("one", "online", "answer", "M", 1, 720),
        ("one", "online", "answer", "N", 1, 1440),
        ("one", "set-up", "tune", "M", 1, 10**6),
    )
    assert efficiency.table9(costs).values.tolist() == [
        ["two", 1.0, 0.1, 10.0],
        ["one", 2.0, 0.3, 15.0],
    ]


def test_a_tenth_of_a_second_is_not_no_time():
    """A fast machine answers smoke's questions in less: no suspect is free."""
    costs = table(
        COSTS,
        ("one", "offline", "tune", "R^t A", 1, 10),
        ("one", "online", "answer", "M", 1, 0.1),
    )
    assert efficiency.table9(costs).values.tolist() == [["one", 0.002778, 0.000028, 1.0]]


def test_by_step_by_hand(study):
    sums = efficiency.by_step(efficiency.costs(study, SCORES, ANSWERS))
    assert sums.columns.tolist() == [
        "dataset",
        "phase",
        "step",
        "models",
        "minutes",
        "tokens_per_second",
    ]
    rows = {(phase, step): rest for _, phase, step, *rest in sums.values.tolist()}
    assert len(rows) == 6
    assert rows["offline", "answer"] == [2, 18.0, 2.0]  # 1080 s, 2160 tokens
    assert rows["offline", "tune"] == [1, 120.0, 10.0]
    assert rows["set-up", "tune"] == [1, 30.0, 10.0]
    assert rows["online", "answer"] == [2, 4.5, 2.0]
    assert rows["offline", "similarity"][:2] == [1, 0.07]
    assert rows["online", "similarity"][:2] == [2, 0.2]
    assert np.isnan(rows["offline", "similarity"][2])
    assert np.isnan(rows["online", "similarity"][2])


def test_a_step_that_took_no_time_has_no_speed():
    costs = table(
        COSTS, ("d", "online", "answer", "M", 0, 0.0), ("d", "offline", "tune", "R", 600, 60.0)
    )
    sums = efficiency.by_step(costs)
    assert sums["tokens_per_second"].isna().tolist() == [True, False]
    assert sums["minutes"].tolist() == [0.0, 1.0]
