"""Against control models: the statistic, its rank, and that stopping early errs no more."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from dsi_core.evidence import controls


def test_the_running_statistic_by_hand():
    """sqrt(t) x mean, from the fifth sample with evidence, and never falling."""
    evidence = [0.2, 0.4, np.nan, 0.6, 0.8, 0.5, -3.0]
    mean, root = 2.5 / 5, np.sqrt(5)
    wanted = [-np.inf] * 5 + [mean * root, mean * root]
    assert controls.running_statistic(evidence) == pytest.approx(wanted)
    assert controls.running_statistic([]).size == 0
    assert controls.running_statistic([np.nan]).tolist() == [-np.inf]


def test_p_values_count_controls_at_least_as_high():
    ps = controls.p_values([-np.inf, 1.0, 2.0, 9.0], [1.0, 2.0, 3.0])
    assert ps == pytest.approx([1.0, 1.0, 0.75, 0.25])


def test_a_suspect_that_says_nothing_is_not_accused():
    statistics = pd.Series({"a": 1.0, "b": -np.inf})
    result = controls.test(np.array([np.nan] * 9), statistics, 0.5)
    assert result.p == 1.0 and result.lean == -np.inf
    assert controls.test(np.array([]), statistics, 0.5).p == 1.0


def test_facts_of_the_test():
    statistics = pd.Series({"a": 0.1, "b": 0.2, "c": 9.0})
    result = controls.test(np.full(9, 0.5), statistics, 0.5)
    assert (result.controls, result.smallest_p, result.can_reach_alpha) == (3, 0.25, True)
    assert result.lean == pytest.approx(1.5)
    assert result.p == 0.5  # only c has more than 0.5 x sqrt(9)
    # Leave-one-out, c has p = 1/3, b 2/3, a 1.
    assert result.false_positives == pytest.approx(1 / 3)
    alone = controls.test(np.full(9, 0.5), pd.Series({"a": 0.1}), 0.05)
    assert not alone.can_reach_alpha and alone.false_positives is None


def test_the_record_keeps_the_names_that_reports_know():
    result = controls.test(np.full(9, 0.5), pd.Series({"a": 0.1}), 0.05)
    assert list(dataclasses.asdict(result)) == [
        *("controls", "lean", "p", "smallest_p", "can_reach_alpha", "false_positives")
    ]


def test_stopping_early_errs_no_more_than_waiting():
    """Exchangeable models with levels of their own, 9 controls, alpha = 0.1: whoever stops at the
    first p <= alpha has the same p at the end, so the errors are the rank test's, 1 in 10."""
    rng, early, late = np.random.default_rng(0), 0, 0
    for _ in range(1000):
        models = rng.normal(rng.normal(0, 0.2, size=(10, 1)), 0.3, size=(10, 30))
        paths = [controls.running_statistic(m) for m in models]
        ps = controls.p_values(paths[0], [path[-1] for path in paths[1:]])
        assert (np.diff(ps) <= 0).all()
        early, late = early + (ps <= 0.1).any(), late + (ps[-1] <= 0.1)
    assert early == late and abs(early / 1000 - 0.1) < 3 * np.sqrt(0.09 / 1000)


def test_leave_one_out_and_final_statistics():
    table = pd.DataFrame({"model": ["a"] * 5 + ["b"] * 5, "evidence": [0.1] * 5 + [0.4] * 5})
    statistics = controls.final_statistics(table)
    assert statistics.to_dict() == pytest.approx({"a": 0.1 * np.sqrt(5), "b": 0.4 * np.sqrt(5)})
    assert controls.leave_one_out(statistics).to_dict() == {"a": 1.0, "b": 0.5}


# Known models


def known_models():
    """The suspect, a member and three controls of two kinds, five samples each of one level."""
    levels = [
        ("suspect", "the suspect", None, 0.5),
        ("member", "local members", True, 0.9),
        ("a1", "untuned", False, 0.1),
        ("a2", "untuned", False, 0.6),
        ("b1", "tuned", False, 0.2),
    ]
    parts = []
    for model, group, member, level in levels:
        status = "positive" if level > 0.4 else "negative"
        part = pd.DataFrame({"model": [model] * 5, "group": group, "evidence": level})
        parts.append(part.assign(status=status, member=pd.Series([member] * 5, dtype=object)))
    return pd.concat(parts, ignore_index=True)


def test_compare_by_hand():
    """Each control against the two others, everybody else against all three."""
    table = controls.compare(known_models()).set_index("model")
    assert table.index.tolist() == ["member", "a2", "suspect", "b1", "a1"]
    levels = np.array([0.9, 0.6, 0.5, 0.2, 0.1])
    assert table["lean"].to_numpy() == pytest.approx(np.sqrt(5) * levels)
    assert table["p"].to_dict() == pytest.approx(
        {"member": 1 / 4, "a2": 1 / 3, "suspect": 2 / 4, "b1": 2 / 3, "a1": 1}
    )
    assert table["p_other_kinds"].to_dict() == pytest.approx(
        {"member": 1 / 4, "a2": 1 / 2, "suspect": 2 / 4, "b1": 2 / 3, "a1": 1}
    )
    assert table["vote"].tolist() == ["member"] * 3 + ["non-member"] * 2
    assert table["member"].tolist() == [True, False, None, False, False]


def test_a_model_without_evidence_has_no_vote():
    table = known_models().assign(status="filtered", evidence=np.nan)
    compared = controls.compare(table)
    assert set(compared["vote"]) == {"inconclusive"} and (compared["p"] == 1).all()


def test_rates_by_hand():
    compared = controls.compare(known_models()).dropna(subset="member")
    table = controls.rates(compared, 0.4).set_index(["who", "by"])
    called = {key: (row.called, row.models) for key, row in table.iterrows()}
    assert called == {
        ("members", "vote"): (1, 1),
        ("members", "rank at 0.4"): (1, 1),
        ("members", "rank at 0.4, its kind unknown"): (1, 1),
        ("controls: untuned", "vote"): (1, 2),
        ("controls: untuned", "rank at 0.4"): (1, 2),
        ("controls: untuned", "rank at 0.4, its kind unknown"): (0, 2),
        ("controls: tuned", "vote"): (0, 1),
        ("controls: tuned", "rank at 0.4"): (0, 1),
        ("controls: tuned", "rank at 0.4, its kind unknown"): (0, 1),
    }
    row = table.loc[("controls: untuned", "vote")]
    assert (row["share"], row["low"], row["high"]) == (0.5, 0.095, 0.905)  # Wilson, 1 of 2
