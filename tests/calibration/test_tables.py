"""Tables of the calibration, from tables made by hand."""

import types

import numpy as np
import pandas as pd
import pytest
from helpers import table

from dsi_core.calibration import beside, calibrated, models, null, tables
from dsi_core.calibration.calibrated import Calibrated
from dsi_core.calibration.draws import Draw
from dsi_core.method import closeness
from dsi_core.plots import save
from dsi_core.settings.profile import load_profile

A, B = "private twin", "wording twin"


def test_a_profile_of_the_released_rule_is_refused_before_any_work(monkeypatch):
    """The vote beside the exact tests, and an audit, count by the text's."""
    monkeypatch.setattr(calibrated, "load_profile", lambda n: load_profile(n, rule="released"))
    monkeypatch.setattr(models, "queries", lambda *_: pytest.fail("work began"))
    with pytest.raises(ValueError, match=r"'smoke': decision.rule is 'released'.*rule: text"):
        calibrated.run("smoke")


@pytest.mark.parametrize(
    ("alpha", "folder"), [(calibrated.ALPHA, "smoke"), (0.01, "smoke/alpha=0.01")]
)
def test_results_at_another_alpha_lie_apart(monkeypatch, tmp_path, alpha, folder):
    nothing = pd.DataFrame(columns=["model", "row", "draw", "response"])
    monkeypatch.setattr(models, "answers", lambda _: nothing)
    run = calibrated.run("smoke", alpha)
    path = save.save(run, "calibration_draws", None, calibrated.draws_table(run), str(tmp_path))
    assert path == tmp_path / folder / "calibration_draws.csv"


def test_the_measure_that_serves_both_ways_of_asking_on_development_is_chosen():
    usual = str(closeness.DEFAULT.measure)
    compared = table(
        "draws measure combine twin effect",
        *(
            (draws, measure, combine, twin, effect + step)
            for draws, measure, effects in [
                # greedy, mean and max of sampled answers
                ("development", "bertscore", (0.6, 0.8, 0.1)),  # (0.6 + 0.8) / 2
                ("development", usual, (0.9, 0.2, 0.4)),  # (0.9 + 0.4) / 2
                ("confirmation", "bertscore", (0.1, 0.2, 0.3)),
                ("confirmation", usual, (1.0, 1.1, 1.2)),
                (tables.NEW_ROWS, usual, (0.7, 0.0, 0.0)),
            ]
            for combine, effect in zip(("greedy", "mean", "max"), effects, strict=True)
            for twin, step in ((A, 0.05), (B, -0.05))
        ),
    )
    first, second = tables.choice(compared).to_dict("records")
    assert (first["measure"], first["combine"]) == ("bertscore", "mean")
    numbers = ["sampled", "greedy", "development", "confirmed_sampled", "confirmed_greedy"]
    assert [first[n] for n in numbers] == pytest.approx([0.8, 0.6, 0.7, 0.2, 0.1])
    assert first["chosen"] and not first["default"]  # nothing is chosen by the confirmation
    assert [second[n] for n in numbers] == pytest.approx([0.4, 0.9, 0.65, 1.2, 1.0])
    assert second["default"] and not second["chosen"]
    assert second["new_rows_greedy"] == pytest.approx(0.7) and np.isnan(first["new_rows_greedy"])


TRIED = table(
    "model draw twin group epochs share dilution final_loss effect found samples_to_find samples",
    ("a", 1, B, "small", 2.0, 1.0, 0.0, 1.0, 0.5, 1.0, 20.0, 48),
    ("b", 2, B, "small", 2.0, 1.0, 0.0, 2.0, 0.7, 0.5, 40.0, 48),
    ("c", 1, B, "small", 2.0, 0.1, 0.0, 3.0, 0.1, 0.0, np.inf, 48),
    ("d", 1, B, "small", 2.0, 1.0, 4.0, 3.0, 0.2, 0.0, np.inf, 48),
)


def test_members_of_a_base_and_epochs_are_averaged_over_draws():
    (row,) = tables.by_strength(TRIED[:2]).to_dict("records")
    assert (row["final_loss"], row["models"]) == (1.5, 2)
    assert row["effect"] == pytest.approx(0.6) and row["found"] == 0.75


def test_exposures_are_said_in_words_the_whole_of_d_first():
    found = tables.by_exposure(TRIED).set_index("exposure")["effect"]
    assert found.index.tolist() == ["100% of D", "10% of D", "1 to 4"]
    assert found.tolist() == pytest.approx([0.6, 0.1, 0.2])


def test_a_member_of_a_smaller_effect_is_found_less():
    weaker = tables.weaker(TRIED[:2], 0.05, shares=(2.0, 0.5, 0.0))
    strong, weak, none = weaker.to_dict("records")
    assert (strong["effect"], weak["effect"]) == (pytest.approx(1.2), pytest.approx(0.3))
    assert strong["found"] > 0.95 and weak["found"] < 0.8 and strong["samples"] == 48
    assert strong["samples_to_find"] < 48 and none["samples_to_find"] == np.inf


def test_coins_are_thrown_anew_for_those_who_answered_as_many_prompts_as_d_has(smoke):
    pool = pd.DataFrame({"row": list("abcdefghijkl"), "first": "red sea", "second": "blue hill"})
    drawn = Draw(1, pool[:8].assign(published=True))
    known = table(
        "model kind of_draw", ("all", "innocent", None), ("weak", "weak member", 1),
        ("seven", "innocent", None),
    )  # fmt: skip
    asked = {"all": "abcdefghijkl", "weak": "abcdefgh", "seven": "abcdefg"}
    said = [(model, row, 0, "the sea") for model, rows in asked.items() for row in rows]
    answers = pd.DataFrame(said, columns=["model", "row", "draw", "response"])
    run = Calibrated(smoke, pool, {1: drawn}, known, answers, answers)
    assert set(tables.thrown_anew(run, 0.05)["model"]) == {"all", "weak"}


@pytest.fixture
def asked_elsewhere(smoke):
    """A calibration whose one innocent, in a file, answered nothing of draw 1, and a member did."""
    pool = pd.DataFrame({"row": list("abcdefghijkl"), "prompt": "p", "group": list("abcdefghijkl")})
    pool = pool.assign(first="red sea", second="blue hill", first_published=[True, False] * 6)
    rows = pool[:8].assign(published=[True] * 4 + [False] * 4)
    drawn = Draw(1, rows.assign(text="red sea"))
    (name,) = models.how(smoke).answers
    known = table("model kind of_draw", (name, "innocent", None), ("weak", "weak member", 1))
    said = [("weak", row, 0, "the red sea") for row in "abcdefgh"]
    said += [(name, row, 0, "the sea") for row in "ijkl"]
    answers = pd.DataFrame(said, columns=["model", "row", "draw", "response"])
    return Calibrated(smoke, pool, {1: drawn}, known, answers, answers)


def test_a_file_of_answers_to_other_draws_is_not_judged(asked_elsewhere, monkeypatch):
    run = asked_elsewhere
    member = types.SimpleNamespace(name="weak")
    monkeypatch.setattr(models, "of_draw", lambda *_: [member])
    monkeypatch.setattr(models, "innocents", lambda _: [])
    monkeypatch.setattr(beside, "accused", lambda *_: None)
    judged = table(
        "model sample_id evidence status", *(("weak", i, 1.0, "positive") for i in "abcde")
    )
    monkeypatch.setattr(beside, "evidence", lambda *_: judged)
    inferred = table("model p d", ("weak", 0.5, 0.1))
    monkeypatch.setattr(beside, "dataset_inference", lambda *_: inferred)
    assert set(beside.compare(run, 0.05)["model"]) == {"weak"}
    assert tables.innocent_trials(run, 0.05).empty


def test_only_answers_that_may_be_evidence_are_kept(smoke):
    pool = pd.DataFrame({"row": ["a"], "first": "The ferry leaves at noon from the east pier."})
    refusal = "I'm sorry, but I cannot help with that."
    said = ["", refusal, "short", "The ferry leaves at noon, I believe."]
    answers = pd.DataFrame({"model": "m", "row": "a", "draw": range(4), "response": said})
    kept = calibrated.usable(answers, pool, smoke)
    assert kept.values.tolist() == [["m", "a", 3, said[3]]]


def test_an_innocent_that_hardly_answered_is_not_ranked_among():
    statistics = table("model statistic", ("a", -np.inf), ("b", 0.2), ("c", 0.5), ("m", 0.4))
    rank = {row.model: beside._rank(row, statistics[:3]) for row in statistics.itertuples()}
    assert rank == {"a": 1.0, "b": 1.0, "c": 1 / 2, "m": 2 / 3}


def test_the_distribution_of_p_values_by_hand():
    tested = pd.DataFrame({"model": "m", "kind": A, "p": [0.1, 0.5, 0.5, 1.0]})
    curve = null.curves(tested, count=4)
    assert curve["level"].tolist() == [0.25, 0.5, 0.75, 1.0]
    assert curve["share"].tolist() == [0.25, 0.75, 0.75, 1.0]


def test_samples_are_counted_for_each_model():
    judged = table(
        "model sample_id evidence status",
        *(("m", i, 1.0, "positive") for i in "abcd"),
        ("m", "e", -1.0, "negative"),
        ("n", "a", np.nan, "filtered"),
    )
    counted = beside.votes(judged).set_index("model")
    assert counted[["positive", "negative"]].to_numpy().tolist() == [[4, 1], [0, 0]]
    assert counted["statistic"].tolist() == [pytest.approx(3 / np.sqrt(5)), -np.inf]
    assert beside.votes(judged[:0])["model"].empty  # nothing is tainted


def test_whom_each_method_accuses_is_counted_by_kind():
    compared = table(
        "model kind method accused",
        ("a", "member", "DIA", True),
        ("b", "member", "DIA", False),
        ("c", "innocent", "DIA", True),
        ("a", "member", "SaMIA", False),
        ("b", "member", "SaMIA", False),
    )
    counted = beside.tally(compared)
    assert counted["method"].tolist() == ["DIA", "SaMIA"]
    assert counted["member"].tolist() == ["1 of 2", "0 of 2"]
    assert counted.loc[0, "innocent"] == "1 of 1" and pd.isna(counted.loc[1, "innocent"])
