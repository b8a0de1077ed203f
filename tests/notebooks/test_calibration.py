"""Notebook 10 on smoke: exact tests of many coins, what they find, and other methods beside."""

import cells
import pandas as pd
import pytest

from dsi_core.method.closeness import Measure


@pytest.fixture(scope="module")
def outputs(ran):
    return ran("10")


@pytest.fixture(scope="module")
def table(outputs):
    return lambda name: pd.read_csv(outputs / f"calibration_{name}.csv")


def test_each_figure_has_its_table(outputs):
    drawn = [
        "statistics",
        "null",
        "weak",
        "strengths",
        "exposures",
        "shifts",
        "accuser",
        "beside",
        "controls",
    ]
    assert cells.figures(outputs) == {f"calibration_{name}" for name in drawn}
    assert (outputs / "prepared" / "prepared.json").exists()


def test_a_draw_publishes_half_of_its_rows(table):
    draws = table("draws")
    assert draws["for"].tolist() == ["development", "confirmation"]
    assert (draws["rows"] == 16).all() and (draws["published"] == 8).all()
    assert draws["also in development"].tolist() == [0.0, 0.5]


def test_one_statistic_is_chosen_on_the_development_draws(table):
    choice = table("choice")
    assert len(choice) == len(Measure)
    assert choice["chosen"].sum() == 1 and choice["default"].sum() == 1
    assert choice["development"].is_monotonic_decreasing
    compared = table("statistics")
    assert len(compared) == 3 * 3 * len(choice) * 2 and (compared["found"] == 1).any()


def test_innocent_models_are_found_no_oftener_than_alpha_under_coins_thrown_anew(table):
    errors = table("errors")
    assert len(errors) == 2 * 5 * 2
    looked = errors[errors["circumstance"].str.startswith("stopped")]
    assert (looked["tests"] == 5 * 50).all() and (errors["tests"] >= 5 * 10).all()
    assert errors["not_above"].sum() >= len(errors) - 1  # of 20 bands one may be missed
    curves = table("null")
    assert (curves["share"] - curves["level"]).max() < 0.2


def test_who_learnt_the_published_wording_is_found_and_who_learnt_the_other_is_not(table):
    tried = table("weak").set_index(["who", "twin"])
    assert (tried.loc["weak member", "p"] <= 0.005).all()
    assert (tried.loc["weak member", "found"] == 1).all()
    assert tried.loc[("on D's other wording", "wording twin"), "p"] > 0.9
    innocent = tried[tried.index.get_level_values("who").str.startswith("innocent")]
    assert (innocent.xs("wording twin", level="twin")["p"] > 0.05).all()


def test_a_weaker_member_is_found_less(table):
    found = table("weaker").pivot(index="share", columns="twin", values="found")
    assert found.index.tolist() == [0.25, 0.5, 1.0]
    assert found["wording twin"].is_monotonic_increasing and found.loc[1.0].min() > 0.9


def test_who_learnt_better_has_the_larger_effect(table):
    strengths = table("strengths").pivot(
        index=["twin", "group"], columns="epochs", values=["effect", "final_loss", "found"]
    )
    assert len(strengths) == 4
    # a toy that learnt nothing says the same to all: nothing varies, and it has no effect
    assert (strengths["effect"][12] > strengths["effect"][1].fillna(0)).all()
    assert (strengths["final_loss"][12] < strengths["final_loss"][1]).all()
    assert (strengths["found"][12] == 1).all()


def test_a_share_of_the_data_has_a_smaller_effect(table):
    effects = table("exposures").pivot(index="exposure", columns="twin", values="effect")
    assert set(effects.index) == {"100% of D", "50% of D", "1 to 1"}
    assert (effects.loc["50% of D"] < effects.loc["100% of D"]).all()


def test_a_member_is_found_however_it_is_asked(table):
    shifts = table("shifts")
    assert shifts["shift"].unique().tolist() == ["as usual", "sampled", "shorter"]
    assert (shifts.loc[shifts["kind"] == "weak member", "p"] <= 0.005).all()


def test_who_tries_again_accuses_more_and_who_shares_alpha_does_not(table):
    accuser = table("accuser").pivot(index="tries", columns="kind")
    # toys that know nothing say the same to all: their one answer prefers no wording
    assert (accuser["accused"].loc[20] >= accuser["accused"].loc[1]).all()
    assert accuser["accused"].loc[20].max() > accuser["accused"].loc[1].max()
    assert (accuser["shared"].loc[20] <= 0.1).all()


def test_every_method_judges_the_same_models(table):
    judged = table("beside")
    methods = judged.pivot(index="model", columns="method", values="accused")
    assert set(methods) == {
        *("private twin", "wording twin", "the vote", "rank among innocents", "SaMIA", "DIA"),
    }
    assert methods.drop(columns="DIA").notna().all(axis=None)
    assert methods["DIA"].isna().sum() == 1  # answers in a file have no probabilities
    member = methods.loc["llama-weak of draw 1"].astype(bool)
    assert member.drop("rank among innocents").all()  # three innocents: p is 1/4 at best
    tally = table("beside_tally").set_index("method")
    assert tally.loc["wording twin", "innocent"] == "0 of 3"


def test_controls_are_ranked_within_their_kind_and_base(table):
    strata = table("strata")
    assert (strata["smallest_p"] == 1 / (strata["controls"] + 1)).round(6).all()
    known = table("controls")
    assert known["member"].sum() == 4
    members = known[known["member"]]
    assert (members["p"] >= strata["smallest_p"].max() - 1e-6).all()
