"""Notebook 09 on smoke: an imitation by queries, from the target's own words to a verdict."""

import cells
import pandas as pd
import pytest


@pytest.fixture(scope="module")
def outputs(ran):
    return ran("09")


@pytest.fixture(scope="module")
def instructions(outputs):
    return pd.read_csv(outputs / "imitation_instructions.csv")


def test_each_figure_has_its_table(outputs):
    names = {f"imitation_{name}" for name in ("budgets", "evidence", "verdicts")}
    assert cells.figures(outputs) == names


def test_every_accepted_instruction_was_put_to_the_target(outputs, instructions):
    facts = pd.read_csv(outputs / "imitation_dataset.csv").set_index("what")["count"]
    accepted = (instructions["fate"] == "accepted").sum()
    assert facts["instructions accepted"] == accepted > 0
    assert facts["answers kept"] + facts["answers too short, left out"] == accepted


def test_pairs_are_of_accepted_instructions(outputs, instructions):
    pairs = pd.read_csv(outputs / "imitation_pairs.csv")
    accepted = instructions.loc[instructions["fate"] == "accepted", "instruction"]
    assert len(pairs) == 2 * 6 + 3
    assert set(pairs["instruction"]) <= set(accepted)


def test_who_knows_its_pairs_by_heart_is_told_apart(outputs):
    verdicts = pd.read_csv(outputs / "imitation_verdicts.csv").set_index("suspect")
    seen = verdicts["seen"]
    assert (seen["imitator of 3"], seen["llama-on-D"], seen["llama-on-D'"]) == (0.5, 1, 0)
    assert verdicts.loc["llama-on-D", "verdict"] == "member"
    assert verdicts.loc["llama-on-D'", "verdict"] == "non-member"


def test_every_budget_is_measured_on_the_held_out(outputs):
    means = pd.read_csv(outputs / "imitation_budgets.csv")
    assert len(means) == 2 * 5
    assert (means["samples"] == 3).all()


def test_every_conversation_of_the_mixture_has_one_fate(outputs):
    mixture = pd.read_csv(outputs / "imitation_mixture.csv")
    assert mixture["read"].sum() == 30
    assert (mixture[["kept", "repeated", "language"]].sum(axis=1) == mixture["read"]).all()
