"""Notebook 05 on smoke: evasions (§6.4.3-6, Fig. 11 and 12)."""

import cells
import pandas as pd
import pytest

# Of each evasion the setting that changes nothing
UNCHANGED = {
    "fig11a_rephrasing": "none",
    "fig11a_rephrased_before_training": "none",
    "fig11b_temperature": 1.0,
    "fig11c_removing_tainted_samples": "none removed",
    "fig11d_subsets": "100%",
}


@pytest.fixture(scope="module")
def outputs(ran):
    return ran("05")


@pytest.fixture(scope="module")
def votes(ran):
    """Positive samples of each suspect in notebook 02."""
    return pd.read_csv(ran("02") / "sec6_2_verdicts.csv").set_index("suspect")["positive"]


def test_each_figure_has_its_table(outputs):
    assert cells.figures(outputs) == {*UNCHANGED, "fig12_overlap_of_tainted_samples"}


@pytest.mark.parametrize("name, setting", UNCHANGED.items())
def test_a_setting_that_changes_nothing_gives_the_votes_of_02(outputs, votes, name, setting):
    table = pd.read_csv(outputs / f"{name}.csv")
    assert table["member"].all()
    same = table[table["setting"] == setting].set_index("suspect")["positive"]
    assert len(same)
    assert (same == votes[same.index]).all()


def test_half_of_d_leaves_fewer_votes(outputs):
    halves = pd.read_csv(outputs / "fig11d_subsets.csv").set_index("setting")["positive"]
    assert halves["50%"] < halves["100%"]


def test_the_overlap_is_of_all_votes(outputs, votes):
    overlap = pd.read_csv(outputs / "fig12_overlap_of_tainted_samples.csv")
    knows = overlap[overlap["suspect"] == "llama-full"]
    assert knows["samples"].sum() == votes["llama-full"]
