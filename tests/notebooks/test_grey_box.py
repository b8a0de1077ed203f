"""Notebook 07 on smoke: attacks on seen probabilities, beside the vote."""

import cells
import pandas as pd
import pytest

VOTE = "black-box dataset inference"


@pytest.fixture(scope="module")
def outputs(ran):
    return ran("07")


@pytest.fixture(scope="module")
def attacks(outputs):
    return pd.read_csv(outputs / "grey_box_attacks.csv").set_index(["suspect", "view", "attack"])


def test_each_figure_has_its_table(outputs):
    names = "auroc", "auroc_full_text", "beside_black_box", "dia_p_values", "leak"
    names = *names, "shares", "shares_by_text"
    assert cells.figures(outputs) == {f"grey_box_{name}" for name in names}


def test_a_suspect_that_knows_d_by_heart_is_found(attacks):
    assert set(attacks.index.get_level_values("view")) == {"answer", "text", "sampled"}
    knows = attacks.loc["llama-full"].loc["answer"]
    assert (knows.loc[["loss", "zlib", "Min-K%", "reference llama"], "auc"] > 0.95).all()


def test_the_reference_model_itself_is_no_better_than_chance(attacks):
    own = attacks.loc[("llama-untuned", "answer", "reference llama")]
    assert own["auc"] == 0.5 and own["p"] == 0.5 and own["validation"] == 12
    loss = attacks.loc[("llama-untuned", "answer", "loss")]
    assert loss["low"] < 0.5 < loss["high"]


def test_what_is_compared_with_the_own_base(attacks):
    """Each suspect has its own; the base itself has not moved."""
    suspects = attacks.index.get_level_values("suspect").unique()
    both = attacks.loc[(suspects, "answer", ["WBC", "EZ-MIA"]), "auc"]
    assert len(both) == 2 * len(suspects)
    assert (both.loc["llama-untuned"] == 0.5).all()
    assert (both.loc[["llama-full", "qwen2-mixed"]] > 0.9).all()


def test_the_share_of_d_is_estimated_from_guesses_and_from_text(outputs):
    suspects = pd.read_csv(outputs / "grey_box_shares_of_suspects.csv")
    wbc = suspects[suspects["attack"] == "WBC"].set_index("suspect")
    assert wbc.loc["llama-untuned", "share"] < 0.3 and wbc.loc["llama-full", "share"] == 1
    assert (wbc["low"] <= wbc["share"]).all() and (wbc["share"] <= wbc["high"]).all()
    by_text = pd.read_csv(outputs / "grey_box_shares_by_text.csv")
    assert set(by_text["method"]) == {"vote", "closeness"}
    votes = by_text[by_text["method"] == "vote"].set_index("true")["share"]
    assert votes[1.0] > 0.9 > 0.7 > votes[0.5]


def test_beside_them_stand_the_votes_of_02(outputs, ran):
    beside = pd.read_csv(outputs / "grey_box_beside_black_box.csv")
    votes = pd.read_csv(ran("02") / "sec6_2_verdicts.csv").set_index("suspect")
    ours = beside[beside["method"] == VOTE].set_index("suspect")
    assert (ours.loc[votes.index, "verdict"] == votes["verdict"]).all()
    assert len(ours) == len(votes) + 2  # and the IID suspects
    assert (beside.groupby("suspect")["method"].nunique() == beside["method"].nunique()).all()


def test_dia_has_a_p_value_on_data_that_nobody_trained_on(outputs):
    inferred = pd.read_csv(outputs / "grey_box_dia.csv")
    assert inferred["p_control"].between(0, 1, inclusive="right").all()
    assert inferred["p_valid"].tolist() == pytest.approx(
        (2 * inferred["p"]).clip(upper=1), rel=1e-4
    )
    knows = inferred[inferred["suspect"].isin(["llama-full", "qwen2-mixed"])]
    assert len(knows) == 8  # answer and text, few and released features
    assert (knows["p"] < 0.001).all() and (knows["p_control"] > 0.1).all()


def test_a_leaked_validation_set_misleads_dia_and_not_the_vote(outputs):
    leak = pd.read_csv(outputs / "grey_box_leak.csv")
    verdicts = leak.pivot(index="method", columns="suspect", values="verdict")
    both = verdicts["llama-full on D + validation"]
    assert both[VOTE] == "member"
    of_losses = ["DIA (few)", "DIA (released)", "loss", "zlib", "Min-K%", "Min-K%++"]
    assert (both[of_losses] == "non-member").all()  # D's are no lower than the leaked set's
    alone = verdicts["llama-full on validation"]
    assert alone[VOTE] == "non-member" and alone["loss"] == "non-member"
    assert alone["DIA (few)"] == "member"
