"""Notebook 03 on smoke: suspects that trained on the other half of D's source (§6.3)."""

import cells
import pandas as pd
import pytest


@pytest.fixture(scope="module")
def outputs(ran):
    return ran("03")


def test_each_figure_has_its_table(outputs):
    names = {"fig06_iid_positive_against_negative", "fig07_iid_dpdllm", "sec6_2_iid_evidence"}
    assert cells.figures(outputs) == names


def test_a_near_duplicate_of_d_is_left_out(outputs):
    split = pd.read_csv(outputs / "sec6_1_split.csv").set_index("dataset")
    assert split.loc["dozen_iid", "dropped: near-duplicates of dozen"] == 1
    assert split.loc["dozen_iid", "used"] == 8


def test_suspects_trained_on_the_other_half(outputs):
    table = pd.read_csv(outputs / "table7_iid.csv")
    assert set(table["group"]) == {"non-members (1)", "non-members (2)"}
    assert (table["total"] == 1).all()
    verdicts = pd.read_csv(outputs / "fig06_iid_positive_against_negative.csv")
    assert set(verdicts["suspect"]) == {"llama-iid", "glm-iid"} and not verdicts["member"].any()
