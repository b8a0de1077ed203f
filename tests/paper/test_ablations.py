"""Ablations by hand on a few samples, and equal to the study's verdicts at its own thresholds."""

import re

import nbformat
import numpy as np
import pandas as pd
import pytest
from helpers import says, table

from dsi_core.evidence import intervals
from dsi_core.method import study as steps
from dsi_core.method import verdict
from dsi_core.method.study import Study
from dsi_core.paper import ablations
from dsi_core.reproduce import needs, run
from dsi_core.settings.schema import Rule, Similarity

LONG = "twenty bytes or more of text"
SUSPECTS = ["llama-full", "llama-untuned"]  # a member and a non-member of the smoke profile
REFERENCES = ["mistral", "gemma"]
VOTES = ["suspect", "positive", "negative", "filtered", "verdict", "correct"]


@pytest.fixture
def study(smoke):
    profile = smoke.changed(
        suspects=[s for s in smoke.suspects if s.name in SUSPECTS],
        reference_sets={"one": REFERENCES[:1], "both": REFERENCES},
    )
    return Study(profile, pd.DataFrame({"dataset": "dozen", "sample_id": list("stuv")}))


def with_decision(study: Study, ask: str, **decision) -> Study:
    return study.changed(responses={"ask": ask}, decision=decision)


def scores_of(rows: dict) -> pd.DataFrame:
    """sample -> gap of each reference; before = 0."""
    long = [
        ("dozen", sample, reference, 0.0, gap, gap)
        for sample, gaps in rows.items()
        for reference, gap in zip(REFERENCES, gaps, strict=True)
    ]
    return table("dataset sample_id reference before after gap", *long)


def answers_of(rows: dict) -> pd.DataFrame:
    """suspect -> sample -> a list of draws: the gaps, or the response and then these."""
    long = []
    for suspect, samples in rows.items():
        for sample, draws in samples.items():
            for draw, given in enumerate(draws):
                response, *gaps = given if isinstance(given[0], str) else (LONG, *given)
                key = "dozen", suspect, sample, draw
                for reference, gap in zip(REFERENCES, gaps, strict=True):
                    long.append((*key, reference, response, gap))
    return table("dataset suspect sample_id draw reference response gap", *long)


# tainted: s and t; by the first reference alone also u
SCORES = scores_of({"s": (0.9, 0.9), "t": (0.9, 0.4), "u": (0.5, 0.1), "v": (0.0, 0.0)})
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
def noise():
    """Scores and answers of thirty samples, three draws: for agreement of two ways to count."""
    rng = np.random.default_rng(0)
    names = [f"s{i}" for i in range(30)]
    scores = scores_of({name: rng.normal(0.4, 0.3, 2) for name in names})

    def draw(mean: float) -> tuple:
        return ("x" * int(rng.integers(5, 200)), *rng.normal(mean, 0.3, 2))

    answers = {
        suspect: {name: [draw(mean) for _ in range(3)] for name in names}
        for suspect, mean in zip(SUSPECTS, (0.4, 0.1), strict=True)
    }
    return scores, answers_of(answers)


# Without selection


def test_without_selection_every_sample_votes(study):
    """The member is close on s (0.7) and t (0.5), not on u and v.

    The other is close on u and v; on s it is not, and to t it has no answer that counts.
    """
    everything = ablations.no_selection(study, ANSWERS)
    assert everything[VOTES].values.tolist() == [
        ["llama-full", 2, 2, 0, "non-member", False],
        ["llama-untuned", 2, 1, 1, "member", False],
    ]
    selected = steps.verdicts(study, SCORES, ANSWERS)
    assert selected[VOTES].values.tolist() == [
        ["llama-full", 2, 0, 0, "member", True],
        ["llama-untuned", 0, 1, 1, "non-member", True],
    ]


@pytest.mark.parametrize(
    "judge",
    [
        lambda few: ablations.no_selection(few, ANSWERS),
        lambda few: ablations.evidence_everywhere(few, ANSWERS, steps.find_tainted(few, SCORES)),
        lambda few: ablations.backbones(few, ANSWERS),
        lambda few: ablations.by_references(few, SCORES, ANSWERS),
    ],
)
def test_what_judges_other_samples_needs_every_answer(study, judge):
    with pytest.raises(ValueError) as error:
        judge(with_decision(study, "tainted"))
    says(error, "'tainted'", "set ask: all")


def test_without_reference_sets_nothing_is_tuned_for_them(study):
    """What a notebook does first says so, and what helps."""
    without = study.changed(reference_sets={})
    for step in (
        lambda: ablations.with_more_references(without),
        lambda: ablations.by_references(without, SCORES, ANSWERS),
    ):
        with pytest.raises(ValueError) as error:
            step()
        says(error, "'smoke' has no section reference_sets: it names which", "`dsi reproduce`")


def test_evidence_everywhere_by_hand(study):
    tainted = steps.find_tainted(study, SCORES)
    evidence = ablations.evidence_everywhere(study, ANSWERS, tainted)
    assert len(evidence) == 8
    assert evidence.columns.tolist() == [
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
    full = evidence[evidence["suspect"] == "llama-full"].set_index("sample_id")
    assert full["evidence"].to_dict() == {"s": 0.7, "t": 0.5, "u": 0.1, "v": 0.1}
    assert full["tainted"].to_dict() == {"s": True, "t": True, "u": False, "v": False}
    other = evidence[evidence["suspect"] == "llama-untuned"].set_index("sample_id")
    assert other["evidence"].drop("t").to_dict() == {"s": 0.0, "u": 0.6, "v": 0.4}
    assert other["status"]["t"] == "filtered"
    assert np.isnan(other["evidence"]["t"])


# One setting, or two, at a time


@pytest.fixture
def few_values(monkeypatch):
    monkeypatch.setattr(ablations, "GRID", [-0.1, 0.2, 0.3, 0.9])
    monkeypatch.setattr(ablations, "DELTAS", [-0.1, 0.25, 0.3, 0.6, 0.9])
    monkeypatch.setattr(ablations, "MUS", [0, 20, 40])


def at(table: pd.DataFrame, **place) -> pd.DataFrame:
    return table.loc[(table[list(place)] == pd.Series(place)).all(axis=1)]


def test_sensitivity_at_the_profile_s_own_settings_is_the_verdict(study, noise, few_values):
    own = verdict.votes(steps.verdicts(study, *noise)).drop(columns="group")
    moved = ablations.sensitivity(study, *noise)
    for setting, value in (("delta", 0.3), ("mu", 20), ("draws", 3)):
        same = at(moved, setting=setting, value=value)
        assert same[own.columns].reset_index(drop=True).equals(own), setting
    assert at(moved, setting="delta")["value"].unique().tolist() == ablations.DELTAS
    assert sorted(moved["setting"].unique()) == ["delta", "draws", "mu"]
    assert moved.groupby(["setting", "value"]).size().eq(2).all()


@pytest.mark.parametrize(
    "setting, value, member, other",
    [  # positive, negative, filtered, tainted
        ("draws", 1, [1, 1, 0, 2], [0, 1, 1, 2]),  # t's better answer is its second
        ("mu", 0, [2, 0, 0, 2], [2, 0, 0, 2]),  # short answers count
        ("mu", 40, [0, 0, 2, 2], [0, 0, 2, 2]),
        ("delta", 0.6, [1, 0, 0, 1], [0, 1, 0, 1]),  # s alone
        ("delta", -0.1, [4, 0, 0, 4], [3, 0, 1, 4]),
    ],
)
def test_sensitivity_by_hand(study, few_values, setting, value, member, other):
    moved = ablations.sensitivity(study.changed(responses={"draws": 2}), SCORES, ANSWERS)
    rows = at(moved, setting=setting, value=value)
    counts = rows[["positive", "negative", "filtered", "tainted"]].values.tolist()
    assert counts == [member, other]
    nothing_counts = rows["positive"] + rows["negative"] == 0
    assert (rows[["share", "low", "high"]].isna().all(axis=1) == nothing_counts).all()


def test_the_settings_in_use_are_among_those_that_are_tried(study, noise, few_values):
    """So that a figure can mark them, be they ever so odd."""
    other = with_decision(study, "all", delta_t=0.35, mu=30)
    own = verdict.votes(steps.verdicts(other, *noise)).drop(columns="group")
    moved, pairs = ablations.sensitivity(other, *noise), ablations.grid(other, *noise)
    for setting, value in ablations.in_use(other).items():
        same = at(moved, setting=setting, value=value)
        assert same[own.columns].reset_index(drop=True).equals(own), setting
    (row,) = at(pairs, delta_t=0.35, delta_s=0.35).itertuples()
    assert row.correct == own["correct"].sum()
    apart = ablations.grid(with_decision(study, "all", delta_t=0.35, delta_s=0.1), *noise)
    assert apart["delta_t"].unique().tolist() == [-0.1, 0.2, 0.3, 0.35, 0.9]
    assert apart["delta_s"].unique().tolist() == [-0.1, 0.1, 0.2, 0.3, 0.9]


def test_what_of_the_settings_that_move_is_in_use(study, ruled):
    """No delta where the equations have two, no mu where the rule does not read it."""
    own = {"delta": 0.3, "mu": 20, "draws": 3}
    assert ablations.in_use(study) == own
    apart = study.changed(decision={"delta_s": 0.15})
    assert ablations.in_use(apart) == {"mu": 20, "draws": 3}
    released = study.changed(decision={"rule": "released"})
    assert ablations.in_use(released) == {"delta": 0.3, "draws": 3}
    moved = ablations.sensitivity(
        released, steps.reference_scores(study), steps.gaps_to(study, None, None)
    )
    assert sorted(moved["setting"].unique()) == ["delta", "draws"]


@pytest.mark.parametrize(
    "number, lacking, kept, names",
    [
        ("03", {"dpdllm": None}, "table7_iid", ["clean", "faithful"]),
        ("04", {"suites": {}, "reference_sets": {}}, "sec6_3_rules", ["iid", "sets"]),
    ],
)
def test_cells_that_need_a_section_cost_no_others(smoke, number, lacking, kept, names):
    """No cell that runs reads what a cell made that is skipped."""
    (path,) = run.notebooks(number)
    page = nbformat.read(path, as_version=4)
    assert {s.split(".")[0] for s in needs.skip_cells(smoke.changed(**lacking), page)} == {*lacking}
    cells = [cell for cell in page.cells if cell.cell_type == "code"]
    sources = [c.source for c in cells if needs.SKIP not in c.metadata.get("tags", [])]
    assert any(kept in source for source in sources)
    assert not [name for name in names if re.search(rf"\b{name}\b(?!\")", "\n".join(sources))]


def test_the_grid_at_the_profile_s_own_thresholds_is_the_verdict(study, noise, few_values):
    """And at any other pair it is the verdict of a profile with these."""
    pairs = ablations.grid(study, *noise)
    assert len(pairs) == 16
    assert pairs["total"].eq(2).all()
    assert pairs["correct"].nunique() > 1
    for delta_t, delta_s in ((0.3, 0.3), (0.2, 0.9), (0.9, -0.1)):
        other = with_decision(study, "all", delta_t=delta_t, delta_s=delta_s)
        (row,) = at(pairs, delta_t=delta_t, delta_s=delta_s).itertuples()
        assert row.correct == steps.verdicts(other, *noise)["correct"].sum()
        assert row.tainted == steps.find_tainted(other, noise[0])["tainted"].sum()
        ends = [round(100 * end, 1) for end in intervals.wilson(row.correct, 2)]
        assert [row.low, row.high] == ends


@pytest.mark.parametrize(
    "delta_t, grid, deltas",
    [
        (0.3, [0.3, 0.9], [0.3, 0.6, 0.9]),
        (0.25, [0.25, 0.3, 0.9], [0.25, 0.3, 0.6, 0.9]),
        (0.9, [0.9], [0.9]),
    ],
)
def test_samples_without_an_answer_are_not_judged(study, few_values, delta_t, grid, deltas):
    """ask: tainted prompts with those above delta_t; a lower one would judge further samples."""
    few = with_decision(study, "tainted", delta_t=delta_t)
    pairs = ablations.grid(few, SCORES, ANSWERS)
    moved = ablations.sensitivity(few, SCORES, ANSWERS)
    assert pairs["delta_t"].unique().tolist() == grid
    assert pairs["delta_s"].unique().tolist() == sorted({*ablations.GRID, delta_t})
    assert at(moved, setting="delta")["value"].unique().tolist() == deltas
    assert at(moved, setting="mu")["value"].unique().tolist() == ablations.MUS


def test_the_usual_values_hold_the_paper_s():
    assert 0.3 in ablations.GRID
    assert 0.3 in ablations.DELTAS
    assert 20 in ablations.MUS
    for values in (ablations.GRID, ablations.DELTAS, ablations.MUS):
        assert values == sorted(values)


# Other references, other similarities


def test_more_references_leave_fewer_tainted_samples(study):
    """By the first alone s, t and u are tainted and it decides; by both s, t and the weaker."""
    sets = ablations.by_references(study, SCORES, ANSWERS)
    assert sets[["references", "models", "tainted", *VOTES]].values.tolist() == [
        ["one", 1, 3, "llama-full", 3, 0, 0, "member", True],
        ["one", 1, 3, "llama-untuned", 1, 1, 1, "non-member", True],
        ["both", 2, 2, "llama-full", 2, 0, 0, "member", True],
        ["both", 2, 2, "llama-untuned", 0, 1, 1, "non-member", True],
    ]


def test_a_further_reference_can_change_a_verdict(study):
    answers = answers_of({"llama-full": {"s": [(0.5, 0.1)]}, "llama-untuned": {"s": [(0.9, 0.2)]}})
    sets = ablations.by_references(study, scores_of({"s": (0.9, 0.9)}), answers)
    assert sets.groupby("references", sort=False)["verdict"].agg(list).to_dict() == {
        "one": ["member", "member"],
        "both": ["non-member", "non-member"],
    }


def test_the_further_references_stand_beside_the_profile_s_own(study):
    more = ablations.with_more_references(study)
    own = ["mistral", "gemma", "llama", "qwen2", "glm"]
    assert [r.name for r in more.profile.references] == [*own, "mistral second"]
    assert [r.name for r in study.profile.references] == own
    assert more.pairs is study.pairs


def test_backbones_judge_the_same_answers_on_their_own_scale(study, monkeypatch):
    """Stub: layer 2 is the profile's; layer 1 shrinks every gap (0.7 is 0.28); "far" has none."""
    factors = {2: 1.0, 1: 0.4, 9: 0.0}
    responses = ANSWERS[["dataset", "suspect", "sample_id", "draw", "response"]].drop_duplicates()
    compared = []

    def reference_scores(other):
        factor = factors[other.profile.similarity.layer]
        return SCORES.assign(after=SCORES["after"] * factor, gap=SCORES["gap"] * factor)

    def gaps_to(other, scores, answers):
        compared.append(answers)
        return ANSWERS.assign(gap=ANSWERS["gap"] * factors[other.profile.similarity.layer])

    monkeypatch.setattr(steps, "reference_scores", reference_scores)
    monkeypatch.setattr(steps, "gaps_to", gaps_to)
    others = {"shrunk": Similarity(toy="bert", layer=1), "far": Similarity(path="far", layer=9)}
    verdicts = ablations.backbones(study.changed(similarities=others), responses)
    assert verdicts[["similarity", "mean_gap", "tainted", *VOTES]].values.tolist() == [
        ["the profile's own", 0.462, 2, "llama-full", 2, 0, 0, "member", True],
        ["the profile's own", 0.462, 2, "llama-untuned", 0, 1, 1, "non-member", True],
        ["shrunk", 0.185, 1, "llama-full", 0, 1, 0, "non-member", False],
        ["shrunk", 0.185, 1, "llama-untuned", 0, 1, 0, "non-member", True],
        ["far", 0.0, 0, "llama-full", 0, 0, 0, "inconclusive", False],
        ["far", 0.0, 0, "llama-untuned", 0, 0, 0, "inconclusive", False],
    ]
    assert len(compared) == 3
    assert all(answers is responses for answers in compared)  # nobody is prompted again


# Both rules, both scales


@pytest.fixture
def ruled(study, monkeypatch):
    """By hand: s is tainted at both scales, t at 0.30 alone, u and v at neither.

    Two answers each. The member's to s lean to one tuned reference each, by 1.0; its first to t
    does to both, by 0.5, and its second is as near to the untuned ones.
    """
    monkeypatch.setattr(ablations, "released_delta", lambda: 0.9)
    scores = scores_of({"s": (0.95, 1.0), "t": (0.9, 0.4), "u": (0.5, 0.1), "v": (0.0, 0.0)})
    near = {  # (before, after) of each reference, of each draw
        ("llama-full", "s"): [((0, 1), (0, 0)), ((0, 0), (0, 1))],
        ("llama-full", "t"): [((0, 0.5), (0, 0.5)), ((0.5, 0.5), (0.5, 0.5))],
    }
    far = [((0, 0), (0, 0))] * 2
    rows = [
        ("dozen", suspect, sample, draw, reference, LONG, reference, *sides, sides[1] - sides[0])
        for suspect in SUSPECTS
        for sample in "stuv"
        for draw, both in enumerate(near.get((suspect, sample), far))
        for reference, sides in zip(REFERENCES, both, strict=True)
    ]
    columns = "dataset suspect sample_id draw reference response architecture before after gap"
    answers = table(columns, *rows)
    monkeypatch.setattr(steps, "reference_scores", lambda other: scores)
    monkeypatch.setattr(steps, "gaps_to", lambda other, scores, responses: answers)
    return ablations.by_rules(study, answers)


def test_both_rules_at_both_scales_by_hand(ruled):
    member = ruled[ruled["suspect"] == "llama-full"]
    columns = ["delta", "rule", "selection", "tainted", "positive", "negative", "verdict"]
    assert member[columns].values.tolist() == [
        [0.3, "text", "tainted", 2, 1, 1, "non-member"],  # t alone: a tie
        [0.3, "text", "all of D", 2, 1, 3, "non-member"],
        [0.3, "released", "tainted", 2, 1, 1, "member"],  # s alone: a tie
        [0.3, "released", "all of D", 2, 1, 3, "non-member"],
        [0.9, "text", "tainted", 1, 0, 1, "non-member"],
        [0.9, "text", "all of D", 1, 0, 4, "non-member"],
        [0.9, "released", "tainted", 1, 1, 0, "member"],
        [0.9, "released", "all of D", 1, 1, 3, "non-member"],
    ]
    assert ruled.loc[~ruled["member"], "verdict"].eq("non-member").all()


def test_the_rules_side_by_side(ruled):
    both = ablations.rules_side_by_side(ruled)
    assert both.columns.tolist() == [
        "dataset",
        "delta",
        "rule",
        "tainted",
        "Table 6: members found",
        "Table 6: non-members cleared",
        "Table 8: members found",
        "Table 8: non-members cleared",
    ]
    assert both.drop(columns="dataset").values.tolist() == [
        [0.3, "text", 2, "0/1", "1/1", "0/1", "1/1"],
        [0.3, "released", 2, "1/1", "1/1", "0/1", "1/1"],
        [0.9, "text", 1, "0/1", "1/1", "0/1", "1/1"],
        [0.9, "released", 1, "1/1", "1/1", "0/1", "1/1"],
    ]


def test_the_released_threshold_on_a_rescaled_scale():
    """bert-score publishes 0.66620487 for distilbert-base-uncased's layer 5."""
    assert ablations.released_delta() == pytest.approx(0.3 / (1 - 0.66620487))


def test_a_study_by_the_released_rule(study, ruled):
    """The rule of a profile is that of its verdicts and of its evidence."""
    assert [str(rule) for rule in Rule] == ruled["rule"].unique().tolist()
    scores, answers = steps.reference_scores(study), steps.gaps_to(study, None, None)
    released = study.changed(decision={"rule": "released"})
    judged = steps.verdicts(released, scores, answers).set_index("suspect")
    assert judged["verdict"].to_dict() == {"llama-full": "member", "llama-untuned": "non-member"}
    evidence = steps.evidence(released, scores, answers).query("member")
    assert dict(zip(evidence["sample_id"], evidence["evidence"], strict=True)) == {"s": 1, "t": 0}
    tainted = steps.find_tainted(released, scores)
    everywhere = ablations.evidence_everywhere(released, answers, tainted).query("member")
    assert everywhere["evidence"].tolist() == [1, 0, 0, 0]
