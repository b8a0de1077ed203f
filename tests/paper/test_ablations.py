"""Ablations from answers that are there: by hand on a few samples, and equal to the study's own verdicts at its own thresholds."""

import numpy as np
import pandas as pd
import pytest
from helpers import change, says, table

from dsi_core.evidence import intervals
from dsi_core.method import study as steps
from dsi_core.method.study import Study
from dsi_core.paper import ablations, tables
from dsi_core.settings.schema import Similarity

LONG = "twenty bytes or more of text"
PEOPLE = ["llama-full", "llama-untuned"]  # a member and a non-member of the smoke profile
COUNTS = ["suspect", "positive", "negative", "filtered", "verdict", "correct"]


@pytest.fixture
def study(smoke):
    people = [s for s in smoke.suspects if s.name in PEOPLE]
    profile = change(
        smoke, victims=["d"], suspects=people, reference_sets={"one": ["A"], "both": ["A", "B"]}
    )
    return Study(profile, pd.DataFrame({"dataset": "d", "sample_id": list("stuv")}))


def asking(study, ask, **decision):
    return Study(change(study.profile, responses={"ask": ask}, decision=decision), study.pairs)


def scores_of(rows):
    """sample -> gaps of A and B; before = 0."""
    return table(
        "dataset sample_id reference before after gap",
        *[("d", s, r, 0.0, g, g) for s, gaps in rows.items() for r, g in zip("AB", gaps)],
    )


def answers_of(rows):
    """suspect -> sample -> a list of draws: (gap of A, gap of B), or the response and then these."""
    long = []
    for suspect, samples in rows.items():
        for sample, draws in samples.items():
            for draw, told in enumerate(draws):
                response, *gaps = told if isinstance(told[0], str) else (LONG, *told)
                long += [("d", suspect, sample, draw, r, response, g) for r, g in zip("AB", gaps)]
    return table("dataset suspect sample_id draw reference response gap", *long)


SCORES = scores_of(
    {"s": (0.9, 0.9), "t": (0.9, 0.4), "u": (0.5, 0.1), "v": (0.0, 0.0)}
)  # tainted: s and t; by A alone also u
ANSWERS = answers_of(
    {
        "llama-full": {
            "s": [(0.8, 0.7), (0.1, 0.1)],
            "t": [(0.1, 0.6), (0.9, 0.5)],
            "u": [(0.9, 0.0), (0.9, 0.1)],
            "v": [(0.0, 0.0), (0.2, 0.1)],
        },
        "llama-untuned": {
            "s": [(0.0, 0.0), ("short", 0.9, 0.9)],
            "t": [("short", 0.9, 0.9), ("tiny", 0.9, 0.9)],
            "u": [(0.6, 0.6), (0.0, 0.0)],
            "v": [(0.4, 0.4), (0.0, 0.0)],
        },
    }
)


@pytest.fixture
def random():
    """Thirty samples, three draws, noise: for agreement of two ways to count."""
    rng = np.random.default_rng(0)
    names = [f"s{i}" for i in range(30)]
    scores = scores_of({n: rng.normal(0.4, 0.3, 2) for n in names})
    answers = answers_of(
        {
            p: {
                n: [("x" * int(rng.integers(5, 200)), *rng.normal(m, 0.3, 2)) for _ in range(3)]
                for n in names
            }
            for p, m in zip(PEOPLE, (0.4, 0.1))
        }
    )
    return scores, answers


# Without selection


def test_without_selection_every_sample_votes(study):
    """The member: s and t are close (0.7; 0.5), u and v not. The other: u and v, but s is not and t has no answer that counts."""
    found = ablations.no_selection(study, ANSWERS)
    assert found[COUNTS].values.tolist() == [
        ["llama-full", 2, 2, 0, "non-member", False],
        ["llama-untuned", 2, 1, 1, "member", False],
    ]
    assert steps.verdicts(study, SCORES, ANSWERS)[COUNTS].values.tolist() == [
        ["llama-full", 2, 0, 0, "member", True],
        ["llama-untuned", 0, 1, 1, "non-member", True],
    ]


def test_without_selection_needs_every_answer(study):
    with pytest.raises(ValueError) as error:
        ablations.no_selection(asking(study, "tainted"), ANSWERS)
    says(error, "'tainted'", "set ask: all")


def test_evidence_everywhere_by_hand(study):
    found = ablations.evidence_everywhere(study, ANSWERS, steps.find_tainted(study, SCORES))
    assert len(found) == 8 and found.columns.tolist() == [
        "dataset",
        "suspect",
        "group",
        "member",
        "sample_id",
        "evidence",
        "status",
        "min_gap",
        "tainted",
    ]
    full = found[found["suspect"] == "llama-full"].set_index("sample_id")
    assert full["evidence"].to_dict() == {"s": 0.7, "t": 0.5, "u": 0.1, "v": 0.1} and full[
        "tainted"
    ].to_dict() == {"s": True, "t": True, "u": False, "v": False}
    other = found[found["suspect"] == "llama-untuned"].set_index("sample_id")
    assert (
        other["evidence"].drop("t").to_dict() == {"s": 0.0, "u": 0.6, "v": 0.4}
        and other["status"]["t"] == "filtered"
        and np.isnan(other["evidence"]["t"])
    )


# One setting, or two, at a time


@pytest.fixture
def few_values(monkeypatch):
    monkeypatch.setattr(ablations, "GRID", [-0.1, 0.2, 0.3, 0.9])
    monkeypatch.setattr(ablations, "DELTAS", [-0.1, 0.25, 0.3, 0.6, 0.9])
    monkeypatch.setattr(ablations, "MUS", [0, 20, 40])


def at(table, **where):
    return table.loc[(table[list(where)] == pd.Series(where)).all(axis=1)]


def test_sensitivity_at_the_profile_s_own_settings_is_the_verdict(study, random, few_values):
    own = tables.votes(steps.verdicts(study, *random)).drop(columns="group")
    moved = ablations.sensitivity(study, *random)
    for setting, value in (("delta", 0.3), ("mu", 20), ("draws", 3)):
        found = at(moved, setting=setting, value=value)
        assert found[own.columns].reset_index(drop=True).equals(own), setting
    assert at(moved, setting="delta")["value"].unique().tolist() == ablations.DELTAS and sorted(
        moved["setting"].unique()
    ) == ["delta", "draws", "mu"]
    assert moved.groupby(["setting", "value"]).size().eq(2).all()


def test_sensitivity_by_hand(study, few_values):
    study = Study(change(study.profile, responses={"draws": 2}), study.pairs)
    moved = ablations.sensitivity(study, SCORES, ANSWERS)
    columns = ["positive", "negative", "filtered", "tainted"]
    assert at(moved, setting="draws", value=1)[columns].values.tolist() == [
        [1, 1, 0, 2],
        [0, 1, 1, 2],
    ]  # t's better answer is its second
    assert at(moved, setting="mu", value=0)[columns].values.tolist() == [
        [2, 0, 0, 2],
        [2, 0, 0, 2],
    ]  # short answers count
    assert at(moved, setting="mu", value=40)[columns].values.tolist() == [
        [0, 0, 2, 2],
        [0, 0, 2, 2],
    ]
    assert at(moved, setting="mu", value=40)[["share", "low", "high"]].isna().all(axis=None)
    assert at(moved, setting="delta", value=0.6)[columns].values.tolist() == [
        [1, 0, 0, 1],
        [0, 1, 0, 1],
    ]  # s alone
    assert at(moved, setting="delta", value=-0.1)[columns].values.tolist() == [
        [4, 0, 0, 4],
        [3, 0, 1, 4],
    ]


def test_the_grid_at_the_profile_s_own_thresholds_is_the_verdict(study, random, few_values):
    """And at any other pair it is the verdict of a profile with these."""
    found = ablations.grid(study, *random)
    assert len(found) == 16 and found["total"].eq(2).all() and found["correct"].nunique() > 1
    for delta_t, delta_s in ((0.3, 0.3), (0.2, 0.9), (0.9, -0.1)):
        other = asking(study, "all", delta_t=delta_t, delta_s=delta_s)
        (row,) = at(found, delta_t=delta_t, delta_s=delta_s).itertuples()
        assert (
            row.correct == steps.verdicts(other, *random)["correct"].sum()
            and row.tainted == steps.find_tainted(other, random[0])["tainted"].sum()
        )
        assert (row.low, row.high) == tuple(
            round(100 * end, 1) for end in intervals.wilson(row.correct, 2)
        )


@pytest.mark.parametrize(
    "delta_t, grid, deltas",
    [
        (0.3, [0.3, 0.9], [0.3, 0.6, 0.9]),
        (0.25, [0.3, 0.9], [0.25, 0.3, 0.6, 0.9]),
        (0.9, [0.9], [0.9]),
    ],
)
def test_samples_that_nobody_was_asked_are_not_judged(study, few_values, delta_t, grid, deltas):
    """ask: tainted asks those above delta_t; a lower one would judge samples without an answer."""
    few = asking(study, "tainted", delta_t=delta_t)
    found, moved = ablations.grid(few, SCORES, ANSWERS), ablations.sensitivity(few, SCORES, ANSWERS)
    assert (
        found["delta_t"].unique().tolist() == grid
        and found["delta_s"].unique().tolist() == ablations.GRID
    )
    assert at(moved, setting="delta")["value"].unique().tolist() == deltas
    assert at(moved, setting="mu")["value"].unique().tolist() == ablations.MUS


def test_the_usual_values_hold_the_paper_s():
    assert 0.3 in ablations.GRID and 0.3 in ablations.DELTAS and 20 in ablations.MUS
    assert all(
        values == sorted(values) for values in (ablations.GRID, ablations.DELTAS, ablations.MUS)
    )


# Other references, other similarities


def test_more_references_leave_fewer_tainted_samples(study):
    """By A alone s, t and u are tainted and A decides; with B, s and t, and the weaker of both."""
    found = ablations.by_references(study, SCORES, ANSWERS)
    assert found[["references", "models", "tainted", *COUNTS]].values.tolist() == [
        ["one", 1, 3, "llama-full", 3, 0, 0, "member", True],
        ["one", 1, 3, "llama-untuned", 1, 1, 1, "non-member", True],
        ["both", 2, 2, "llama-full", 2, 0, 0, "member", True],
        ["both", 2, 2, "llama-untuned", 0, 1, 1, "non-member", True],
    ]


def test_a_further_reference_can_change_a_verdict(study):
    answers = answers_of({"llama-full": {"s": [(0.5, 0.1)]}, "llama-untuned": {"s": [(0.9, 0.2)]}})
    found = ablations.by_references(study, scores_of({"s": (0.9, 0.9)}), answers)
    assert found.groupby("references", sort=False)["verdict"].agg(list).to_dict() == {
        "one": ["member", "member"],
        "both": ["non-member", "non-member"],
    }


def test_the_further_references_stand_beside_the_profile_s_own(study):
    more = ablations.with_more_references(study)
    assert [r.name for r in more.profile.references] == [
        "mistral",
        "gemma",
        "llama",
        "qwen2",
        "glm",
        "mistral second",
    ]
    assert len(study.profile.references) == 5 and more.pairs is study.pairs


def test_backbones_judge_the_same_answers_on_their_own_scale(study, monkeypatch):
    """Stub: layer 2 is the profile's; layer 1 shrinks every gap, so that the member's 0.7 is 0.28; "far" has none."""
    factor = {2: 1.0, 1: 0.4, 9: 0.0}
    told, seen = (
        ANSWERS[["dataset", "suspect", "sample_id", "draw", "response"]].drop_duplicates(),
        [],
    )

    def scaled(table, other, columns):
        return table.assign(
            **{c: table[c] * factor[other.profile.similarity.layer] for c in columns}
        )

    monkeypatch.setattr(
        steps, "reference_scores", lambda other: scaled(SCORES, other, ["after", "gap"])
    )
    monkeypatch.setattr(
        steps,
        "gaps_to",
        lambda other, scores, answers: seen.append(answers) or scaled(ANSWERS, other, ["gap"]),
    )
    others = {"shrunk": Similarity(toy="bert", layer=1), "far": Similarity(toy="bert", layer=9)}
    found = ablations.backbones(
        Study(change(study.profile, similarities=others), study.pairs), told
    )
    assert found[["similarity", "mean_gap", "tainted", *COUNTS]].values.tolist() == [
        ["the profile's own", 0.462, 2, "llama-full", 2, 0, 0, "member", True],
        ["the profile's own", 0.462, 2, "llama-untuned", 0, 1, 1, "non-member", True],
        ["shrunk", 0.185, 1, "llama-full", 0, 1, 0, "non-member", False],
        ["shrunk", 0.185, 1, "llama-untuned", 0, 1, 0, "non-member", True],
        ["far", 0.0, 0, "llama-full", 0, 0, 0, "inconclusive", False],
        ["far", 0.0, 0, "llama-untuned", 0, 0, 0, "inconclusive", False],
    ]
    assert len(seen) == 3 and all(s is told for s in seen)  # nobody is asked again
