"""Costs added up by hand, from manifests written where the steps would have written theirs."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from helpers import change, table

from dsi_core.method import similarity
from dsi_core.method import study as steps
from dsi_core.method.study import Study
from dsi_core.models import responses, tuning
from dsi_core.paper import efficiency
from dsi_core.runtime import store
from dsi_core.settings.schema import Reference, Suspect, Trained


@pytest.fixture
def backbone(empty_store, monkeypatch):
    """Similarity without a model: a pair scores 0.5; `clock` seconds pass in each call."""
    folder = empty_store / "similarity" / "stub"
    folder.mkdir(parents=True)
    now, clock = [0.0], [8.0]

    def score(profile, model, a, b):
        now[0] += clock[0]
        return np.full(len(a), 0.5)

    monkeypatch.setattr(similarity, "backbone", lambda profile: ("stub", folder))
    monkeypatch.setattr(similarity, "_bert_score", score)
    monkeypatch.setattr(similarity, "time", SimpleNamespace(time=lambda: now[0]))
    return clock


def texts(*rows):
    return table("a b", *rows)


# similarity.seconds


def test_a_call_s_time_is_shared_evenly(smoke, backbone):
    similarity.raw_scores(
        smoke, texts(("one", "two"), ("one", "three"), ("two", "three"), ("x", "y"))
    )  # 8 s: 2 s each
    backbone[0] = 5.0
    similarity.raw_scores(smoke, texts(("two", "one"), ("new", "two")))  # 5 s for the new pair
    assert similarity.seconds(smoke, texts(("one", "two"))) == 2.0
    assert similarity.seconds(smoke, texts(("one", "three"), ("x", "y"), ("new", "two"))) == 9.0
    assert (
        similarity.seconds(smoke, texts(("two", "one"), ("one", "two"), ("one", "two"))) == 2.0
    )  # the same pair, scored once
    assert store.manifest(similarity.backbone(smoke)[1])["seconds"] == 13.0


def test_a_pair_that_was_never_scored_adds_nothing(smoke, backbone):
    assert similarity.seconds(smoke, texts(("one", "two"))) == 0.0  # nothing there yet
    similarity.raw_scores(
        smoke, texts(("one", "two"), ("one", " "), ("", ""))
    )  # blank pairs are not scored
    assert (
        similarity.seconds(smoke, texts(("one", "two"), ("one", " "), ("", ""), ("never", "seen")))
        == 8.0
    )
    assert similarity.seconds(smoke, texts()) == 0.0


# Costs


REFERENCE = Reference(
    name="A",
    without=Trained(base="llama"),
    **{"with": Trained(base="mistral", data=["victim"], recipe="heart")},
)
SUSPECTS = [
    Suspect(name="M", member=True, base="gemma", data=["victim"], recipe="heart"),
    Suspect(name="N", member=False, base="llama"),
]
TUNED, ASKED = {"R^t A": 7200, "M": 1800}, {"R A": 360, "R^t A": 720, "M": 90, "N": 180}  # seconds
SCORES = table(
    "dataset sample_id reference output response_before response_after",
    ("dozen", "s", "A", "oracle", "before", "after"),
)
TOLD = table(
    "dataset suspect sample_id draw response",
    ("dozen", "M", "s", 0, "told"),
    ("dozen", "M", "s", 1, "after"),
    ("dozen", "N", "s", 0, "told"),
)


@pytest.fixture
def study(smoke, backbone):
    """One reference, two suspects; everybody's record at another temperature than asked holds a number that must not count."""
    profile = change(
        smoke, references=[REFERENCE], suspects=SUSPECTS, responses={"temperature": 0.5}
    )
    study = Study(profile, pd.DataFrame({"dataset": ["dozen"], "sample_id": ["s"]}))
    for m in steps.members(study).itertuples():
        if m.trained.data:
            store.finish(
                tuning.folder_of(profile, "dozen", m.trained),
                tokens=10 * TUNED[m.model_id],
                seconds=TUNED[m.model_id],
                device="cpu",
            )
        right = 1.0 if m.group == "reference" else 0.5
        for temperature in (0.5, 1.0):
            seconds = ASKED[m.model_id] if temperature == right else 10**6
            store.finish(
                responses.entry(profile, "dozen", m.model_id, m.trained, temperature),
                tokens=2 * seconds,
                seconds=seconds,
            )
    similarity.raw_scores(profile, steps.beside_oracle(SCORES))  # two pairs in 8 s
    similarity.raw_scores(
        profile, steps.beside_references(TOLD.merge(SCORES))
    )  # told-before, told-after, after-before, after-after: 2 s each
    return study


def test_costs_by_hand(study):
    found = efficiency.costs(study, SCORES, TOLD)
    rows = [
        ("offline", "answer", "R A", 720, 360),
        ("offline", "tune", "R^t A", 72000, 7200),
        ("offline", "answer", "R^t A", 1440, 720),
        ("set-up", "tune", "M", 18000, 1800),
        ("online", "answer", "M", 180, 90),
        ("online", "answer", "N", 360, 180),
    ]
    kept = found[found["step"] != "similarity"]
    assert [
        tuple(r) for r in kept[["phase", "step", "model_id", "tokens", "seconds"]].values.tolist()
    ] == rows
    compared = found[found["step"] == "similarity"]
    # N's two pairs are among M's four: scored once, but each suspect's audit would need them
    assert compared[["phase", "model_id", "seconds"]].values.tolist() == [
        ["offline", "all references", 8.0],
        ["online", "M", 8.0],
        ["online", "N", 4.0],
    ]
    assert compared["tokens"].isna().all() and set(found["dataset"]) == {"dozen"}
    assert found.loc[found["step"] == "tune", "device"].tolist() == ["cpu", "cpu"]


def test_table9_by_hand(study):
    """Offline 360 + 7200 + 720 + 8 s; online the mean of M's 90 + 8 and N's 180 + 4 s; tuning the suspects is neither."""
    found = efficiency.table9(efficiency.costs(study, SCORES, TOLD))
    assert found.columns.tolist() == ["dataset", "offline_hours", "online_hours", "online_percent"]
    assert found.values.tolist() == [
        ["dozen", round(8288 / 3600, 4), round(141 / 3600, 4), round(100 * 141 / 8288, 2)]
    ]


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


def test_by_step_by_hand(study):
    found = efficiency.by_step(efficiency.costs(study, SCORES, TOLD))
    assert found.columns.tolist() == [
        "dataset",
        "phase",
        "step",
        "models",
        "minutes",
        "tokens_per_second",
    ]
    rows = {tuple(r[1:3]): r[3:] for r in found.values.tolist()}
    assert rows["offline", "answer"] == [2, 18.0, 2.0] and rows["offline", "tune"] == [
        1,
        120.0,
        10.0,
    ]  # 1080 s, 2160 tokens
    assert rows["set-up", "tune"] == [1, 30.0, 10.0] and rows["online", "answer"] == [2, 4.5, 2.0]
    assert rows["offline", "similarity"][:2] == [1, 0.13] and rows["online", "similarity"][:2] == [
        2,
        0.2,
    ]
    assert (
        np.isnan(rows["offline", "similarity"][2])
        and np.isnan(rows["online", "similarity"][2])
        and len(rows) == 6
    )


def test_a_step_that_took_no_time_has_no_speed():
    found = efficiency.by_step(
        table(
            COSTS, ("d", "online", "answer", "M", 0, 0.0), ("d", "offline", "tune", "R", 600, 60.0)
        )
    )
    assert found["tokens_per_second"].isna().tolist() == [True, False] and found[
        "minutes"
    ].tolist() == [0.0, 1.0]
