"""The vote of DPDLLM by hand, and both modes from end to end."""

import gc
import json
import pickle
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from helpers import table

from dsi_core.models import load, responses, tuning
from dsi_core.paper import tables
from dsi_core.paper.dpdllm import baseline, scores
from dsi_core.paper.dpdllm.roles import Mode, Part, cast
from dsi_core.runtime import disk, jobs, packing, released, store

pytestmark = [
    pytest.mark.filterwarnings(f"ignore:.*{text}")
    for text in ("torch.jit", "is_gradient_checkpointing")
]


def test_the_majority_of_the_scored_samples_decides(study_of):
    study = study_of("knows", "mixed", "untuned", "other")
    votes = {
        "knows": "member non-member member",
        "mixed": "member non-member unscored",
        "untuned": "unscored unscored",
        "other": "non-member member member member",
    }
    rows = [
        ("dozen", suspect, str(i), called)
        for suspect, calls in votes.items()
        for i, called in enumerate(calls.split())
    ]
    verdicts = baseline.verdicts(study, table("dataset suspect sample_id called", *rows))
    assert verdicts.columns.tolist() == [
        "dataset",
        "suspect",
        "group",
        "member",
        "positive",
        "negative",
        "filtered",
        "verdict",
        "correct",
    ]
    assert verdicts.drop(columns=["dataset", "group", "member"]).values.tolist() == [
        ["knows", 2, 1, 0, "member", True],
        ["mixed", 1, 1, 1, "non-member", False],
        ["untuned", 0, 0, 2, "inconclusive", False],
        ["other", 3, 1, 0, "member", False],
    ]
    first = tables.table6(verdicts, method="DPDLLM").iloc[0]
    counts = first[["method", "correct", "total", "recall", "precision"]]
    assert counts.tolist() == ["DPDLLM", 1, 2, 50.0, 50.0]


def test_a_sample_is_a_member_s_above_one_half(monkeypatch):
    samples = pd.DataFrame({"sample_id": list("abcd")})
    roles = SimpleNamespace(dataset="dozen", suspect="knows", judged=samples)
    suspect = SimpleNamespace(roles=roles, known=None, labels=None, judged=None)
    monkeypatch.setattr(scores, "collect", lambda *_: [suspect])
    probabilities = np.array([0.5, 0.51, np.nan, 0.49])
    monkeypatch.setattr(baseline.classifier, "classify", lambda *_: probabilities)
    calls = baseline.run(None)
    assert calls["sample_id"].tolist() == list("abcd")
    assert calls["called"].tolist() == ["non-member", "member", "unscored", "non-member"]


# End to end


@pytest.fixture
def done(monkeypatch):
    """The jobs that were run, here in this process; each could have gone to another."""
    import trl  # noqa: F401

    gc.collect()
    gc.freeze()  # the trainer collects garbage after every training: not that of these libraries
    calls = []

    def here(work):
        calls.extend(job.call.__name__ for job in work)
        assert len({job.name for job in work}) == len(work)
        return [
            job.call(*job.args, **job.kwargs) for job in map(pickle.loads, map(pickle.dumps, work))
        ]

    monkeypatch.setattr(jobs, "run", here)
    return calls


EXPECTED = {
    Mode.CLEAN: {
        "jobs": ["prepare", "tune", "tune", "ask", "ask", *["score"] * 4],
        "judged": [8, 12],
        "unscored": [1, 0],
    },
    Mode.FAITHFUL: {
        "jobs": ["tune", "tune", "tune", *["score"] * 4],
        "judged": [12, 12],
        "unscored": [0, 0],
    },
}


def test_end_to_end(study_of, one_thread, empty_store, done, by_hand, tmp_path, monkeypatch):
    study = study_of("knows", "untuned")
    # one answer of "knows" has no token
    empty = {"sample_id": study.pairs["sample_id"].iloc[0], "draw": 0, "response": ""}
    knows, untuned = cast(study.profile)
    folder = responses.entry("knows", knows.training, study.sampling)
    line = json.dumps({**empty, "tokens": 1, "seconds": 0.0})
    disk.write_text(folder / "responses.jsonl", f"{line}\n")

    calls = {}
    for mode in Mode:
        calls[mode] = baseline.run(study, mode)
        assert sorted(done) == sorted(EXPECTED[mode]["jobs"])
        done.clear()
        _holds_together(study, mode, calls[mode])
        pd.testing.assert_frame_equal(baseline.run(study, mode), calls[mode])
        assert done == []  # nothing is tuned, prompted or scored twice

    folder = _says_what_the_lm_says(study, untuned, by_hand)

    # other lengths are other scores; an entry without its manifest is made again, to the same end
    baseline.run(study.changed(dpdllm={"length": 8}))
    assert done == ["score"] * 4
    done.clear()
    (folder / "manifest.json").unlink()
    pd.testing.assert_frame_equal(baseline.run(study), calls[Mode.CLEAN])
    assert done == ["score"]
    done.clear()

    # elsewhere, what is released of it needs no model
    packing.pack("smoke", tmp_path / "answers", whole_store=True)
    monkeypatch.setenv("DSI_STORE", str(tmp_path / "elsewhere"))
    monkeypatch.setenv(released.SWITCH, str(tmp_path / "answers"))
    for mode in Mode:
        pd.testing.assert_frame_equal(baseline.run(study, mode), calls[mode])
    assert done == [] and not (store.root() / "models").exists()


def _holds_together(study, mode, calls):
    """Every judged sample has one call, and what is counted is what was called."""
    assert calls.columns.tolist() == ["dataset", "suspect", "sample_id", "called", "probability"]
    assert not calls.duplicated(["suspect", "sample_id"]).any()
    assert set(calls["sample_id"]) == set(study.pairs["sample_id"])
    kinds = [calls["probability"].isna(), calls["probability"] > 0.5]
    assert (calls["called"] == np.select(kinds, ["unscored", "member"], "non-member")).all()

    verdicts, facts = baseline.verdicts(study, calls), baseline.calibration(study, mode)
    counts = calls.groupby("suspect", sort=False)["called"].value_counts().unstack(fill_value=0)
    assert verdicts["positive"].tolist() == counts["member"].tolist()
    assert verdicts["filtered"].tolist() == facts["unscored"].tolist()
    assert facts["answers_from"].tolist() == ["knows", "untuned tuned for DPDLLM"]
    sources = facts[["members_from", "non_members_from"]].values.tolist()
    assert sources == [["dozen", "other"], ["other", "terse"]]
    known = facts[["calibration_members", "calibration_non_members"]].values.tolist()
    assert known == [[4, 4], [4, 4]]
    assert facts["judged"].tolist() == EXPECTED[mode]["judged"]
    unscored = facts["unscored"] + facts["calibration_unscored"]
    assert unscored.tolist() == EXPECTED[mode]["unscored"]
    assert facts[["balanced_accuracy", "ranking_auc"]].stack().between(0, 1).all()


def _says_what_the_lm_says(study, roles, by_hand):
    """What is stored is what the LM says to these texts; gives the folder."""
    sampling = study.sampling.changed(draws=1)
    task = scores.task(roles, Part.JUDGED, sampling, Mode.CLEAN, 16)
    stored = pd.read_parquet(task.folder / "scores.parquet")
    model, tokenizer = tuning.load_tuned(roles.lms[Part.JUDGED])
    source = responses.entry(roles.model_id, roles.training, sampling, make=False)
    answers = responses.read(source).set_index("sample_id")["response"]
    prompts = study.pairs.set_index("sample_id")["prompt"]
    for row in stored.iloc[[0, 5, 11]].itertuples():
        before = load.encode_prompt(tokenizer, prompts[row.sample_id])
        after = load.encode_answer(tokenizer, answers[row.sample_id])[:-1][:16]
        assert row.probabilities == pytest.approx(by_hand(model, before, after), rel=1e-3)
    assert store.manifest(task.folder)["samples"] == 12
    return task.folder
