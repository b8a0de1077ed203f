"""Verdicts by two engines: given evidence, so that the table is counted by hand."""

import pandas as pd
import pytest

from dsi_core.benchmarks import votes
from dsi_core.method import study

GAPS = {None: [0.5, 0.5, -0.5, -0.5], "vllm": [0.5, -0.5, -0.25, -0.75]}  # two samples each


@pytest.fixture
def asked(monkeypatch):
    """Every sample is tainted; what is asked is noted, and answered by `GAPS`."""
    found = []

    def gaps(own, scores):
        found.append(own.profile)
        names = [one.name for one in own.profile.suspects]
        assert not own.profile.controls and own.profile.victims == [scores["dataset"][0]]
        frame = pd.DataFrame({"suspect": [names[0]] * 2 + [names[1]] * 2})
        values = GAPS[own.profile.responses.server]
        more = {
            "dataset": scores["dataset"][0],
            "draw": 0,
            "reference": "one",
            "status": "answered",
        }
        return frame.assign(
            sample_id=["a", "b"] * 2, gap=values, response="long enough " * 9, **more
        )

    def scores(own):
        victim = own.profile.victims[0]
        rows = {"dataset": victim, "sample_id": ["a", "b"], "reference": "one"}
        return pd.DataFrame(rows).assign(before=0.0, after=1.0)

    monkeypatch.setattr(study, "reference_scores", scores)
    monkeypatch.setattr(study, "suspect_gaps", gaps)
    return found


def test_a_member_and_an_innocent_are_judged_by_both_engines(asked):
    table = votes.measure("smoke")
    member, innocent = "mistral-lora", "mistral-lora on terse"
    assert table["suspect"].tolist() == [member] * 2 + [innocent] * 2
    assert table["engine"].tolist() == ["our own loop", "vllm"] * 2
    assert table["member"].tolist() == [True] * 2 + [False] * 2
    assert table[["positive", "negative"]].to_numpy().tolist() == [[2, 0], [1, 1], [0, 2], [0, 2]]
    assert set(table["filtered"]) == {0}
    assert table["verdict"].tolist() == ["member"] + ["non-member"] * 3
    assert table["moved"].isna().tolist() == [True, False] * 2
    assert table["moved"].dropna().tolist() == [0.5, 0.25]
    assert [profile.responses.server for profile in asked] == [None, "vllm"]


def test_named_models_are_judged(asked):
    assert set(votes.measure("smoke", ["mistral-lora on terse", "mistral-lora"])["suspect"]) == {
        "mistral-lora",
        "mistral-lora on terse",
    }
    with pytest.raises(ValueError, match="nobody: no suspect or control; known: "):
        votes.measure("smoke", ["nobody"])
