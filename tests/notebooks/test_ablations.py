"""Notebook 04 on smoke: without selection, more references, other thresholds (§6.4.1-2, §6.6)."""

import cells
import pandas as pd
import pytest

VOTES = ["positive", "negative", "filtered"]


@pytest.fixture(scope="module")
def outputs(ran):
    return ran("04")


def test_each_figure_has_its_table(outputs):
    assert cells.figures(outputs) == {
        "fig08_evidence_on_all_samples",
        "fig09_more_references",
        "fig10_tainted_by_references",
        "sec6_3_rules",
        "sec6_3_sensitivity",
        "sec6_3_thresholds",
    }


def test_without_selection_every_sample_votes(outputs):
    verdicts = pd.read_csv(outputs / "table8_verdicts_without_selection.csv")
    assert len(verdicts) == 10
    assert (verdicts[VOTES].sum(axis=1) == 12).all()


def test_more_references_never_find_more_tainted_samples(outputs):
    table = pd.read_csv(outputs / "fig10_tainted_by_references.csv")
    tainted = table.drop_duplicates("references").set_index("models")["tainted"]
    assert tainted.index.tolist() == [1, 5, 6]
    assert tainted.is_monotonic_decreasing


def test_sensitivity_agrees_with_the_verdicts_at_the_profiles_own_settings(outputs, ran):
    moved = pd.read_csv(outputs / "sec6_3_sensitivity.csv")
    verdicts = pd.read_csv(ran("02") / "sec6_2_verdicts.csv").set_index("suspect")
    for setting, value in (("delta", 0.3), ("mu", 20), ("draws", 3)):
        chosen = (moved["setting"] == setting) & (moved["value"] == value)
        at = moved[chosen].set_index("suspect")
        assert (at["verdict"] == verdicts["verdict"]).all()
        assert (at["positive"] == verdicts["positive"]).all()
    strict = moved[(moved["setting"] == "mu") & (moved["value"] == 200)]
    assert (strict["verdict"] == "inconclusive").all()  # no smoke answer has 200 bytes
    delta = moved[moved["setting"] == "delta"].groupby("value")["tainted"].first()
    assert delta.is_monotonic_decreasing


def test_both_rules_stand_beside_each_other(outputs, ran):
    """At the profile's own rule and threshold they are the verdicts of notebooks 02 and 04."""
    rules = pd.read_csv(outputs / "sec6_3_rules.csv")
    assert len(rules) == 10 * 2 * 2 * 2
    own = rules[(rules["rule"] == "text") & (rules["delta"] == 0.3)]
    selected = pd.read_csv(ran("02") / "sec6_2_verdicts.csv")
    without = pd.read_csv(outputs / "table8_verdicts_without_selection.csv")
    for selection, verdicts in (("tainted", selected), ("all of D", without)):
        same = own[own["selection"] == selection].reset_index(drop=True)
        assert same[[*VOTES, "verdict"]].equals(verdicts[[*VOTES, "verdict"]])
    both = pd.read_csv(outputs / "sec6_3_rules_side_by_side.csv")
    assert both["rule"].tolist() == ["text", "released"] * 2
    assert both["tainted"].is_monotonic_decreasing
