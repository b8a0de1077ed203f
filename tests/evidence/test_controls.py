"""Against control models: the statistic, its rank, and that stopping early errs no more."""

import numpy as np
import pandas as pd
import pytest

from dsi_core.evidence import controls
from dsi_core.evidence.controls import Stratum


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


def test_a_control_that_was_rounded_to_be_stored_is_no_smaller():
    assert controls.p_values([1 - 5e-7, 1 + 5e-7, 1.1], [1.0]).tolist() == [1.0, 1.0, 0.5]


def known(*models):
    """Evidence of controls, each (model, group, base, level), six samples of one level."""
    parts = [
        pd.DataFrame({"model": [name] * 6, "group": group, "base": base, "evidence": level})
        for name, group, base, level in models
    ]
    return pd.concat(parts, ignore_index=True)


CONTROLS = known(
    ("a", "untuned", "gpt", 0.1),
    ("b", "untuned", "gpt", 0.2),
    ("c", "alike", "gpt", 0.7),
    ("d", "alike", "gpt", 0.4),
    ("e", "alike", "gpt", 0.5),
    ("f", "alike", "bert", 0.3),
)


def test_a_suspect_is_ranked_within_each_kind_and_base():
    """Nine of 0.5 come to 1.5; six of 0.7 to 1.7, six of 0.5 to 1.2."""
    result = controls.test(np.append(np.full(9, 0.5), np.nan), CONTROLS)
    assert result.strata == (
        Stratum("untuned", "gpt", 2, pytest.approx(1 / 3), pytest.approx(1 / 3)),
        Stratum("alike", "gpt", 3, 0.5, 0.25),
        Stratum("alike", "bert", 1, 0.5, 0.5),
    )
    assert result.p == result.supports == 0.5
    assert result.lean == pytest.approx(1.5) and result.samples == 9


def test_easy_controls_make_no_p_smaller():
    easy = known(*((f"easy {n}", "untuned", "gpt", -1.0) for n in range(50)))
    few, many = (
        controls.test(np.full(9, 0.5), table) for table in (CONTROLS, pd.concat([CONTROLS, easy]))
    )
    assert few.p == many.p and few.supports == many.supports
    assert many.strata[0].p == many.strata[0].smallest_p == pytest.approx(1 / 53)


def test_a_control_that_hardly_answered_does_not_count():
    """Four samples with evidence are too few for a statistic; a stratum of such has a p of 1."""
    answers = known(("file 1", "answers", "answers", 0.9), ("file 2", "answers", "answers", -0.1))
    few = answers["evidence"].where(answers.groupby("model").cumcount() < 4)
    evidence = np.full(6, 0.01)
    one = controls.test(
        evidence, answers.assign(evidence=few.where(answers["model"] == "file 1", -0.1))
    )
    assert one.strata == (Stratum("answers", "answers", 1, 0.5, 0.5),) and one.supports == 0.5
    none = controls.test(evidence, answers.assign(evidence=few))
    assert none.strata == (Stratum("answers", "answers", 0, 1.0, 1.0),)
    assert controls.path(evidence, answers.assign(evidence=few)).tolist() == [1.0] * 6


def test_a_suspect_that_says_nothing_is_not_accused():
    result = controls.test(np.full(9, np.nan), CONTROLS)
    assert (result.p, result.lean, result.samples) == (1.0, -np.inf, 0)
    assert controls.test(np.array([]), CONTROLS).p == 1.0


@pytest.mark.parametrize(
    ("evidence", "of_controls", "wanted"),
    [
        ([0.5, np.nan, 0.4, 0.3, 0.2, 0.1], [0.2, -0.3, np.nan], -0.3),
        ([0.5, np.nan, 0.4, -0.6, 0.2, 0.1], [0.2, -0.3, np.nan], -0.6),
        ([0.5, np.nan, 0.4, 0.3, 0.2, 0.1], [0.2], 0.0),  # what is above raises no statistic
        ([0.5, np.nan, 0.4, 0.3, 0.2], [-0.3], np.nan),  # four are too few in any case
    ],
)
def test_what_was_not_answered_counts_as_the_smallest_evidence(evidence, of_controls, wanted):
    filled = controls.at_least(evidence, of_controls)
    assert filled[1] == pytest.approx(wanted, nan_ok=True)
    assert np.delete(filled, 1).tolist() == [e for e in evidence if e == e]


def test_the_smallest_evidence_raises_no_statistic():
    rng = np.random.default_rng(0)
    for _ in range(500):
        evidence = rng.normal(rng.normal(), size=12)
        evidence[rng.random(12) < rng.random()] = np.nan
        filled = controls.at_least(evidence, rng.normal(size=(3, 12)))
        assert controls.running_statistic(filled)[-1] <= controls.running_statistic(evidence)[-1]


def test_an_innocent_that_answers_where_all_lean_most_is_cleared_by_it():
    """Exchangeable but for that: it is silent on the half of the samples where all lean least."""
    rng, found = np.random.default_rng(1), np.zeros(3)
    for _ in range(200):
        samples = rng.normal(size=24)
        models = samples + rng.normal(size=(20, 24))
        silent = np.where(samples < np.median(samples), np.nan, models[0])
        ranked = models[0], silent, controls.at_least(silent, models[1:])
        known = [controls.running_statistic(model)[-1] for model in models[1:]]
        lean = [controls.running_statistic(evidence)[-1] for evidence in ranked]
        found += controls.p_values(lean, known) <= 0.05
    whole, as_it_is, at_least = found / 200
    assert whole < 0.1 and as_it_is > 0.5 and at_least < 0.05


def test_without_controls_nothing_is_supported():
    result = controls.test(np.full(9, 0.5), CONTROLS.head(0))
    assert (result.strata, result.p, result.supports) == ((), 1.0, 1.0)
    assert controls.path([0.5, 0.5], CONTROLS.head(0)).tolist() == [1.0, 1.0]
    assert controls.supports([]) == 1.0 and controls.supports([4, 59, 19]) == 1 / 5


def test_the_path_never_rises_and_ends_at_the_test():
    evidence = np.array([0.9, np.nan, 0.8, 0.7, 0.9, 0.8, 0.1, 0.1])
    path = controls.path(evidence, CONTROLS)
    assert path.tolist() == [1.0] * 5 + [0.5] * 3
    assert [controls.test(evidence[:n], CONTROLS).p for n in range(1, 9)] == path.tolist()
    assert controls.path([], CONTROLS).size == 0


def test_the_controls_mean_of_each_sample_is_subtracted():
    """Means 0.2 and 0.4; where none has a value their mean, 0.3."""
    of_controls = [[0.1, 0.4, np.nan], [0.3, np.nan, np.nan]]
    left = controls.less_controls([1.0, 1.0, 1.0], of_controls)
    assert left == pytest.approx([0.8, 0.6, 0.7])
    assert np.isnan(controls.less_controls([np.nan, 1.0, 1.0], of_controls)[0])
    for none in (np.empty((0, 2)), np.full((3, 2), np.nan)):
        assert controls.less_controls([0.5, np.nan], none)[0] == 0.5


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


def test_final_statistics():
    table = pd.DataFrame({"model": ["a"] * 5 + ["b"] * 5, "evidence": [0.1] * 5 + [0.4] * 5})
    statistics = controls.final_statistics(table)
    assert statistics.to_dict() == pytest.approx({"a": 0.1 * np.sqrt(5), "b": 0.4 * np.sqrt(5)})


def known_models():
    """The suspect, a member and three controls of two strata, six samples each of one level."""
    levels = [
        ("suspect", "the suspect", None, 0.5),
        ("member", "local members", "gpt", 0.9),
        ("a1", "untuned", "gpt", 0.1),
        ("a2", "untuned", "gpt", 0.6),
        ("b1", "tuned", "gpt", 0.2),
    ]
    table = known(*levels)
    members = {"suspect": None, "member": True}
    status = np.where(table["evidence"] > 0.4, "positive", "negative")
    member = pd.Series([members.get(name, False) for name in table["model"]], dtype=object)
    return table.assign(status=status, member=member)


def test_compare_by_hand():
    """Everybody against all three controls, each of them against the two others."""
    table = controls.compare(known_models()).set_index("model")
    assert table.index.tolist() == ["member", "a2", "suspect", "b1", "a1"]
    levels = np.array([0.9, 0.6, 0.5, 0.2, 0.1])
    assert table["lean"].to_numpy() == pytest.approx(np.sqrt(6) * levels)
    # of the untuned ones 2, 1 or none, of the tuned one or none is as large
    assert table["p"].to_dict() == pytest.approx(
        {"member": 1 / 2, "a2": 1 / 2, "suspect": 2 / 3, "b1": 2 / 3, "a1": 1}
    )
    assert table["vote"].tolist() == ["member"] * 3 + ["non-member"] * 2
    assert table["member"].tolist() == [True, False, None, False, False]
    assert table["kind"].tolist()[:2] == ["local members", "untuned"]


def test_a_model_without_evidence_has_no_vote():
    table = known_models().assign(status="filtered", evidence=np.nan)
    compared = controls.compare(table)
    assert set(compared["vote"]) == {"inconclusive"} and (compared["p"] == 1).all()


def test_more_positive_than_negative_samples_make_a_member():
    voted = {(p, n): controls.vote(p, n) for p, n in [(2, 1), (1, 1), (0, 1), (0, 0)]}
    assert list(voted.values()) == ["member", "non-member", "non-member", "inconclusive"]
