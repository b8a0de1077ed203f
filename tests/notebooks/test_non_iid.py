"""Notebook 02 on smoke: votes on suspects that share D's source or not, beside DPDLLM (§6.2)."""

import cells
import numpy as np
import pandas as pd
import pytest

from dsi_core.method import study
from dsi_core.plots.explorer import explored

VOTES = ["positive", "negative", "filtered"]


@pytest.fixture(scope="module")
def outputs(ran):
    return ran("02")


@pytest.fixture(scope="module")
def results(outputs):
    run = study.start("smoke")
    scores = study.reference_scores(run)
    return run, scores, study.suspect_gaps(run, scores)


def test_each_figure_has_its_table(outputs):
    names = {"fig04_positive_against_negative", "fig05_dpdllm", "fig05_dpdllm_faithful"}
    assert cells.figures(outputs) == {*names, "sec6_2_verdicts", "sec6_2_evidence"}


def test_every_branch_occurs(outputs, results):
    run, scores, _ = results
    verdicts = pd.read_csv(outputs / "sec6_2_verdicts.csv").set_index("suspect")
    assert set(verdicts["verdict"]) == {"member", "non-member", "inconclusive"}
    knows, untuned = verdicts.loc["llama-full"], verdicts.loc["llama-untuned"]
    assert knows["positive"] > 0 and knows["correct"]
    assert untuned["negative"] > 0 and untuned["correct"]
    terse = verdicts.loc["llama-full on terse"]
    assert terse["group"] == "non-members from other datasets" and not terse["member"]
    assert terse["filtered"] > 0 and terse["verdict"] == "inconclusive"
    tainted = study.find_tainted(run, scores)["tainted"].sum()
    assert (verdicts[VOTES].sum(axis=1) == tainted).all()


def test_table6_follows_from_the_verdicts(outputs):
    table = pd.read_csv(outputs / "table6_non_iid.csv")
    assert list(table)[:7] == ["dataset", "method", "group", "correct", "total", "low", "high"]
    sources = {
        "dataset inference": "sec6_2_verdicts",
        "DPDLLM": "fig05_dpdllm",
        "DPDLLM (faithful)": "fig05_dpdllm_faithful",
    }
    assert set(table["method"]) == set(sources)
    for method, source in sources.items():
        rows, verdicts = table[table["method"] == method], pd.read_csv(outputs / f"{source}.csv")
        hits = (verdicts["member"] & (verdicts["verdict"] == "member")).sum()
        assert rows["recall"].iloc[0] == round(100 * hits / verdicts["member"].sum(), 1)
        assert rows["total"].sum() == len(verdicts) == 10
        assert (rows["low"] <= 100 * rows["correct"] / rows["total"]).all()
        assert (rows["high"] > rows["low"]).all()


def test_the_explorer_takes_the_tables(results):
    run, scores, answers = results
    for points in explored.of_study(run, scores, answers).datasets:
        best = np.where(points.lengths >= run.profile.decision.mu, points.gaps, -1e9).max(axis=2)
        is_tainted = points.min_gaps > run.profile.decision.delta_t * explored.CODES
        positive = (best[:, is_tainted] > run.delta_s * explored.CODES).sum(axis=1)
        votes = study.verdicts(run, scores, answers).set_index(["dataset", "suspect"])["positive"]
        assert list(positive) == list(votes[points.name][points.suspects["suspect"]])


def test_the_baseline_judges_no_sample_that_it_was_told(outputs):
    told = pd.read_csv(outputs / "sec6_1_dpdllm_calibration.csv").set_index("suspect")
    judged = pd.read_csv(outputs / "fig05_dpdllm.csv").set_index("suspect")
    assert (judged[VOTES].sum(axis=1) == told["judged"]).all()
    members = told.loc[judged["member"]]
    assert (members["judged"] == 12 - members["calibration_members"]).all()
    faithful = pd.read_csv(outputs / "fig05_dpdllm_faithful.csv")
    assert (faithful[VOTES].sum(axis=1) == 12).all()
