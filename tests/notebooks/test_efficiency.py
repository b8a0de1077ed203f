"""Notebook 06 on smoke: what the study cost (§6.5, Table 9), and the plan for the paper's."""

import pandas as pd
import pytest


@pytest.fixture(scope="module")
def outputs(ran):
    return ran("06")


def test_table9_is_the_sum_of_its_steps(outputs):
    costs = pd.read_csv(outputs / "sec6_5_costs.csv")
    table = pd.read_csv(outputs / "table9_time.csv").iloc[0]
    offline = costs[costs["phase"] == "offline"]["seconds"].sum() / 3600
    assert table["offline_hours"] == pytest.approx(offline, abs=1e-6)
    assert 0 < table["online_hours"] < offline


def test_the_plan_for_the_papers_study_needs_no_hub(outputs):
    paper = outputs.parent / "paper"
    plan = pd.read_csv(paper / "table9_plan.csv")
    assert {"dolly", "alpaca", "slimorca", "openhermes"} < set(plan["dataset"])
    assert (plan["hours"] > 0).all()
    assert len(pd.read_csv(paper / "table10_wild_models.csv")) == 115
