"""The hidden answers of the notebooks' exercises are true of the committed results of `small`."""

import pandas as pd

from dsi_core.plots import coin
from dsi_core.runtime.paths import ROOT

DELTA = 0.3  # of `small`


def table(name: str) -> pd.DataFrame:
    return pd.read_csv(ROOT / "figures" / "small" / f"{name}.csv")


def positive_share(votes: pd.DataFrame) -> pd.Series:
    return votes["positive"] / (votes["positive"] + votes["negative"])


def test_00_who_leans_more_than_a_member():
    known = table("calibration_controls").set_index("model")
    lean, other_words = known["lean"], known[known["kind"] == "D in other words"]
    assert lean["concise assistant"] > lean["smollm2-weak"]
    mixed = lean["smollm2-mixed"]
    assert other_words["lean"].between(0.95 * mixed, mixed).all() and len(other_words) == 2
    assert (lean[["smollm2-full", "gemma3-lora16"]] > 1.4 * mixed).all()
    assert (other_words["vote"] == "member").all()


def test_00_one_reference_would_do_for_more_samples_where_another_learnt_little():
    sides = ["dataset", "sample_id", "reference"]
    near = table("sec4_similarity_before_and_after").pivot(
        index=sides, columns="side", values="similarity"
    )
    gaps = (near["after"] - near["before"]).groupby(sides[:2]).agg(["min", "max"])
    counted = gaps.gt(DELTA).groupby("dataset").sum()
    assert counted.loc["faq"].tolist() == [47, 48]
    assert counted.loc["faq_swedish"].tolist() == [23, 48]


def test_01_strict_thresholds_cost_most_where_one_reference_learnt_little():
    gaps = table("eq1_weakest_gaps")
    left = (gaps["min_gap"] > 0.9).groupby(gaps["dataset"]).sum()
    assert left.idxmin() == "faq_swedish" and left.min() == 1
    before = gaps.groupby("dataset")["tainted"].sum()
    assert (left / before).idxmin() == "faq_swedish" and (before - left).idxmax() == "faq"
    assert (table("table2_near_copies_before_tuning")["tainted"] == 0).all()


def test_02_a_strict_threshold_loses_members_alone_and_all_of_one_dataset():
    evidence = table("sec6_2_evidence").dropna(subset="evidence")
    by = ["dataset", "suspect", "member"]
    share = (evidence["evidence"] > 0.6).groupby([evidence[name] for name in by]).mean()
    wrong = share.reset_index().query("(evidence > 0.5) != member")
    assert wrong["member"].all() and len(wrong) == 6
    assert (wrong["dataset"] == "faq_swedish").sum() == 4
    assert set(wrong.query("dataset == 'faq'")["suspect"]) == {"smollm2-mixed", "smollm2-weak"}


def test_03_a_stricter_threshold_clears_the_innocent_and_loses_members():
    innocent, known = table("sec6_2_iid_evidence"), table("sec6_2_evidence")
    for evidence, misjudged in ((innocent, (3, 0)), (known, (1, 4))):
        for delta_s, wrong in zip((DELTA, 0.35), misjudged, strict=True):
            counted = evidence[evidence["evidence"].notna()]
            positive = counted["evidence"] > delta_s
            by = ["dataset", "suspect", "member"]
            share = positive.groupby([counted[name] for name in by]).mean().reset_index()
            assert ((share["evidence"] > 0.5) != share["member"]).sum() == wrong


def test_04_most_are_right_below_the_threshold_in_use_and_selection_matters_on_one_dataset():
    moved = table("sec6_3_sensitivity")
    right = moved[moved["setting"] == "delta"].groupby("value")["correct"].sum()
    assert right.idxmax() < DELTA
    tainted = table("eq1_weakest_gaps").groupby("dataset")["tainted"].mean()
    assert tainted["faq_swedish"] < 0.5 < 0.8 < tainted.drop("faq_swedish").min()


def test_05_the_share_of_votes_follows_the_share_of_data_and_hiding_costs_the_meaning():
    subsets = table("fig11d_subsets")
    trained = subsets["setting"].str.rstrip("%").astype(float) / 100
    off = (positive_share(subsets) - trained).abs()
    assert off[trained != 0.25].max() < 0.1 < off[trained == 0.25].max()
    moved = table("fig11a_rephrased_answers").groupby("setting")["moved"].median()
    right = table("fig11a_rephrasing").groupby("setting")["correct"].sum()
    assert moved["smollm2 at 0"] < moved["smollm2 at 1"]
    assert right["smollm2 at 0"] == right["none"] > 0
    assert right["smollm2 at 1"] == 0


def test_06_a_dozen_suspects_cost_as_much_as_the_references():
    times = table("table9_time")
    assert (times["offline_hours"] / times["online_hours"]).between(10, 14).all()


def test_07_two_attacks_accuse_half_of_the_innocent():
    attacks = table("grey_box_attacks").query("view == 'answer' and not member")
    alarms = (attacks["p"] <= 0.1).groupby(attacks["attack"]).mean()
    assert set(alarms[alarms >= 0.5].index) == {"loss", "zlib"}


def test_08_many_methods_have_as_many_hits_as_the_commoner_base():
    models = table("attribution_own_models").drop_duplicates("model")
    commoner = models["base"].value_counts().max()
    by_text = table("attribution_own_methods").query("level == 'k3'")
    by_text = by_text[~by_text["method"].str.startswith("perplexity")]
    same = by_text["correct"] == commoner
    assert same.mean() > 0.7 and (by_text.loc[same, "p_permuted"] == 1).all()


def test_09_who_imitated_with_half_of_d_or_less_is_missed():
    verdicts = table("imitation_verdicts").query("seen > 0")
    missed = verdicts["verdict"] != "member"
    assert (missed == (verdicts["seen"] <= 0.5)).all()
    fits = table("imitation_fits")
    assert (fits["low"] < 0).all() and (fits["high"] > 0).all()


def test_10_hits_that_a_finding_needs_and_tries_that_find():
    assert coin.p_value(30, 48) > 0.05 >= coin.p_value(31, 48)
    assert coin.p_value(32, 48) > 0.01 >= coin.p_value(33, 48)
    assert round(coin.p_value(28, 41), 3) == 0.014 and round(coin.p_value(56, 82), 4) == 0.0006
    accuser = table("calibration_accuser").query("tries == 20")
    assert accuser["accused"].between(0.55, 0.75).all()
    assert (accuser["shared"] < 1 - (1 - 0.05 / 20) ** 20).all()
