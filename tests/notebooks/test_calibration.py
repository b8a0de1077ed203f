"""Notebook 10 on smoke: how often an audit errs, by known models and by simulation."""

import cells
import pandas as pd
import pytest


@pytest.fixture(scope="module")
def outputs(ran):
    return ran("10")


def test_each_figure_has_its_table(outputs):
    assert cells.figures(outputs) == {"audit_known_models", "audit_power"}


def test_both_preparations_are_kept(outputs):
    assert (outputs / "prepared" / "prepared.json").exists()
    assert (outputs / "prepared_twin" / "prepared.json").exists()


def test_a_known_member_has_the_smallest_p_that_five_controls_allow(outputs):
    known = pd.read_csv(outputs / "audit_known_models.csv").set_index("model")
    assert known["member"].sum() == 4 and (~known["member"]).sum() == 5
    assert known.loc["llama-full", "vote"] == "member"
    assert known.loc["llama-full", "p"] == pytest.approx(1 / 6, abs=1e-6)
    assert (known["p"] >= 1 / 6 - 1e-6).all()  # leave-one-out: of a control 1 / 5
    assert (known.loc[~known["member"], "vote"] == "non-member").all()


def test_the_twin_tells_who_knows_the_published_half(outputs):
    twin = pd.read_csv(outputs / "audit_twin.csv").set_index("model")
    assert (twin["planned"] == 20).all()
    assert (twin["published"] <= 12).all() and (twin["withheld"] <= 8).all()
    knows = twin.loc["llama-full"]
    assert knows["p_permutation"] == pytest.approx(1 / 5000, abs=5e-5)  # of so many permutations
    assert knows["p"] == pytest.approx(2 * knows["p_permutation"])  # of two tests the better
    assert knows["sure_after"] < knows["of"] == 20


def test_simulated_audits_rarely_accuse_an_innocent_and_find_who_learnt_all(outputs):
    power = pd.read_csv(outputs / "audit_power.csv")
    assert (power["runs"] == 400).all() and len(power) == 2 * 6
    found = power.pivot(index="learnt", columns="test", values="found")
    assert found.index.tolist() == [0.0, 0.1, 0.2, 0.3, 0.5, 1.0]
    assert (power.loc[power["learnt"] == 0, "low"] < 0.05).all()
    assert (found.loc[1.0] == 1).all()
    assert found.diff().iloc[1:].ge(0).all(axis=None)
