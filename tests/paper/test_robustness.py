"""Evasions with stubs in place of models: who is asked what, what is left out of training, and whose verdict it is."""

import json

import numpy as np
import pandas as pd
import pytest
from helpers import change, says, table

from dsi_core.data import pairs as data
from dsi_core.method import similarity
from dsi_core.method import study as steps
from dsi_core.method.study import Study
from dsi_core.models import responses
from dsi_core.paper import robustness
from dsi_core.runtime import jobs as work
from dsi_core.settings.schema import Wild

LONG = "twenty bytes or more of text"
TOLD = "dataset suspect sample_id draw response"
GAPS = "dataset suspect sample_id draw reference response gap"


@pytest.fixture
def study(smoke):
    """The smoke profile on its twelve pairs, with a wild member and a wild non-member."""
    wild = {"dozen": Wild(members=["hub/member"], non_members=["hub/other"])}
    return Study(change(smoke, wild=wild), data.load_pairs(smoke, "dozen").assign(dataset="dozen"))


def with_settings(study, **updates):
    return Study(change(study.profile, robustness=updates), study.pairs)


def scores_of(*rows, dataset="d"):
    """(sample, gap of A, gap of B) as `study.reference_scores` has them; before = 0."""
    long = [(dataset, s, r, 0.0, g, g) for s, *gaps in rows for r, g in zip("AB", gaps)]
    return table("dataset sample_id reference before after gap", *long)


# Who and with what


def test_only_members_have_something_to_evade(study):
    some = robustness.only_members(study)
    assert steps.suspects(some)["suspect"].tolist() == [
        "llama-full",
        "qwen2-mixed",
        "mistral-lora",
        "gemma-qlora",
        "hub/member",
    ]
    assert some.profile.references == study.profile.references and some.pairs is study.pairs
    assert len(steps.suspects(study)) == 10  # the study itself is as it was


@pytest.mark.parametrize(
    "step",
    [
        lambda s: robustness.settings(s),
        lambda s: robustness.rephrased(s, None),
        lambda s: robustness.temperatures(s, None),
        lambda s: robustness.adversary_scores(s),
        lambda s: robustness.subsets(s, None),
        lambda s: robustness.removed(s, scores_of(("s", 1))),
        lambda s: robustness.removal(s, None, table("sample_id removed", ("s", True))),
    ],
)
def test_a_profile_without_the_section_is_refused(study, step):
    with pytest.raises(ValueError) as error:
        step(Study(change(study.profile, robustness=None), study.pairs))
    says(error, "'smoke'", "section robustness")


# Rephrasing


@pytest.fixture
def rephraser(monkeypatch, empty_store):
    """Writes every prompt in capitals, into the real store; keeps what it was asked."""
    asked = []

    def ask(profile, victim, model_id, trained, pairs, *, draws, temperature):
        asked.append((model_id, trained.base, draws, temperature, pairs["prompt"].tolist()))
        folder = responses.entry(profile, victim, model_id, trained, temperature)
        with open(folder / "responses.jsonl", "a", encoding="utf-8") as file:
            for row in pairs.iloc[::-1].itertuples():  # in an order of its own
                text = "" if "silence" in row.prompt else row.prompt.upper()
                file.write(
                    json.dumps({"sample_id": row.sample_id, "draw": 0, "response": text}) + "\n"
                )

    monkeypatch.setattr(similarity, "raw_scores", lambda _, pairs: np.zeros(len(pairs)))
    monkeypatch.setattr(responses, "ask", ask)
    monkeypatch.setattr(work, "run", lambda jobs: [j.call(*j.args, **j.kwargs) for j in jobs])
    return asked


def test_every_answer_is_rewritten_in_its_place(study, rephraser):
    told = table(
        TOLD,
        ("d", "M", "s", 0, "ein Haus"),
        ("d", "M", "s", 1, "a {text} and {x} 100%"),
        ("d", "M", "t", 0, "ein Haus"),
        ("d", "M", "t", 1, ""),
        ("e", "M", "s", 0, "ein Haus"),
        ("d", "N", "s", 0, "ein Haus"),
        ("d", "N", "t", 0, " \n"),
        ("d", "N", "u", 0, "silence"),
    )
    found = robustness.rephrased(study, told)
    assert found[["dataset", "suspect", "sample_id", "draw"]].equals(
        told[["dataset", "suspect", "sample_id", "draw"]]
    )
    assert found["original"].tolist() == told["response"].tolist()
    house = "SAY IT OTHERWISE: EIN HAUS"
    assert found["response"].tolist() == [
        house,
        "SAY IT OTHERWISE: A {TEXT} AND {X} 100%",
        house,
        "",
        house,
        house,
        " \n",
        "",
    ]
    assert [
        (name, base, draws, temperature) for name, base, draws, temperature, _ in rephraser
    ] == [("rephraser of M", "llama", 1, 1.0), ("rephraser of N", "llama", 1, 1.0)]
    assert [
        prompts for *_, prompts in rephraser
    ] == [  # a text once for each suspect, and no blank one
        ["Say it otherwise: ein Haus", "Say it otherwise: a {text} and {x} 100%"],
        ["Say it otherwise: ein Haus", "Say it otherwise: silence"],
    ]


def test_what_was_rewritten_is_not_asked_again(study, rephraser):
    told = table(
        TOLD, ("d", "M", "s", 0, "one"), ("d", "M", "t", 0, "two"), ("d", "N", "s", 0, "one")
    )
    first = robustness.rephrased(study, told)
    assert len(rephraser) == 2 and robustness.rephrased(study, told).equals(first)
    assert (
        robustness.rephrased(study, told[1:2])["response"].tolist() == ["SAY IT OTHERWISE: TWO"]
        and len(rephraser) == 2
    )


def test_braces_of_the_prompt_are_no_placeholders(study, rephraser):
    how = study.profile.robustness.rephraser.model_copy(
        update={"prompt": 'As {"json"}, {0}: {text}'}
    )
    found = robustness.rephrased(
        with_settings(study, rephraser=how), table(TOLD, ("d", "M", "s", 0, "one"))
    )
    assert found["response"].tolist() == ['AS {"JSON"}, {0}: ONE']


def test_nothing_but_blank_answers(study, rephraser):
    told = table(TOLD, ("d", "M", "s", 0, ""), ("d", "N", "s", 0, " "))
    assert robustness.rephrased(study, told)["response"].tolist() == ["", " "] and rephraser == []


def test_how_far_an_answer_moves(study, rephraser, monkeypatch):
    scored = []
    monkeypatch.setattr(
        similarity,
        "raw_scores",
        lambda _, pairs: scored.append(pairs) or np.array([0.75, 0.0, 0.0]),
    )
    found = robustness.rephrased(
        study,
        table(
            TOLD, ("d", "M", "s", 0, "one"), ("d", "M", "t", 0, " "), ("d", "M", "u", 0, "silence")
        ),
    )
    assert found["moved"].tolist() == [
        0.25,
        0.0,
        1.0,
    ]  # a blank answer that stays blank has not moved
    assert scored[0][["a", "b"]].values.tolist() == [
        ["one", "SAY IT OTHERWISE: ONE"],
        [" ", " "],
        ["silence", ""],
    ]


def test_every_temperature_is_a_rephraser_of_its_own(study, rephraser):
    how = study.profile.robustness.rephraser.model_copy(update={"temperatures": [0.0, 0.5]})
    found = robustness.rephrased(
        with_settings(study, rephraser=how),
        table(TOLD, ("d", "M", "s", 0, "one"), ("d", "M", "t", 0, "two")),
    )
    assert found["setting"].tolist() == ["llama at 0", "llama at 0", "llama at 0.5", "llama at 0.5"]
    assert [t for *_, t, _ in rephraser] == [0.0, 0.5]


def test_examples_are_in_order_and_each_once():
    texts = [
        ("the middle", "moved some", 0.5),
        (" ", " ", 0.0),
        ("first", "moved least", 0.125),
        ("last", "moved most", 0.875),
        ("second", "moved little", 0.25),
        ("first", "moved least", 0.125),
    ]
    moved = table("original response moved", *texts)
    chosen = robustness.examples(moved, count=9)
    assert chosen.values.tolist() == [
        [0.125, "first", "moved least"],
        [0.25, "second", "moved little"],
        [0.5, "the middle", "moved some"],
        [0.875, "last", "moved most"],
    ]
    assert list(chosen) == ["moved", "original", "rewritten"]
    ends = robustness.examples(moved, count=2)
    assert ends["rewritten"].tolist() == ["moved least", "moved most"]


def test_rephrasing_judges_both_kinds_of_answers(study, monkeypatch):
    """In its own words M is close to the tuned references, in the rephraser's it is not."""
    small = Study(
        change(study.profile, victims=["d"], wild={}, suspects=study.profile.suspects[:1]),
        study.pairs,
    )

    def gaps_to(study, scores, told):
        assert told.columns.tolist() == TOLD.split()
        return told.merge(pd.DataFrame({"reference": ["A", "B"]}), how="cross").assign(
            gap=lambda t: [0.5 if "own" in r else 0.1 for r in t["response"]]
        )

    monkeypatch.setattr(steps, "gaps_to", gaps_to)
    told = table(TOLD, ("d", "llama-full", "s", 0, "own words, twenty bytes"))
    answers = told.assign(
        original=told["response"],
        response="others' words, twenty bytes",
        setting="llama at 1",
        moved=0.5,
    )
    found = robustness.rephrasing(small, scores_of(("s", 0.9, 0.9)), told, answers)
    assert found[
        ["evasion", "setting", "suspect", "positive", "negative", "verdict", "correct"]
    ].values.tolist() == [
        ["rephrasing", "none", "llama-full", 1, 0, "member", True],
        ["rephrasing", "llama at 1", "llama-full", 0, 1, "non-member", False],
    ]


# Temperature


def gaps_of(study, gap):
    """One tainted sample s, two references; the gap of each suspect as `gap(suspect)` says."""
    return table(
        GAPS,
        *[("dozen", s.name, "s", 0, r, LONG, gap(s)) for s in study.profile.suspects for r in "AB"],
    )


def test_each_temperature_is_asked_and_nothing_else_changes(study, monkeypatch):
    seen = []

    def suspect_gaps(other, scores):
        seen.append(other.profile)
        return gaps_of(
            other, lambda s: 0.5 - other.profile.responses.temperature / 2
        )  # 0.5, 0.25 and 0

    monkeypatch.setattr(steps, "suspect_gaps", suspect_gaps)
    found = robustness.temperatures(
        with_settings(study, temperatures=[0.0, 0.5, 1.0]),
        scores_of(("s", 0.9, 0.9), dataset="dozen"),
    )
    assert [p.responses.temperature for p in seen] == [0.0, 0.5, 1.0]
    own = study.profile.model_dump(exclude={"responses", "robustness"})
    assert all(
        p.model_dump(exclude={"responses", "robustness"}) == own
        and p.responses.draws == study.profile.responses.draws
        for p in seen
    )
    full = found[found["suspect"] == "llama-full"]
    assert full[["evasion", "setting", "verdict"]].values.tolist() == [
        ["temperature", "0.0", "member"],
        ["temperature", "0.5", "non-member"],
        ["temperature", "1.0", "non-member"],
    ]


# Removing tainted samples, training on a part


def test_the_adversary_scores_with_its_own_references(study, monkeypatch):
    monkeypatch.setattr(steps, "reference_scores", lambda other: other)
    other = robustness.adversary_scores(study)
    assert [r.name for r in other.profile.references] == [
        "adversary llama"
    ] and other.pairs is study.pairs


THEIRS = pd.concat(
    [
        scores_of(
            ("a", 0.4, 0.6),
            ("b", 0.9, 0.95),
            ("c", 0.8, 0.8),
            ("d", 0.9, 0.1),
            ("e", 0.31, 0.5),
            ("f", 0.3, 0.9),
        ),
        scores_of(("a", 0.1, 0.9), ("x", 0.4, 0.4), ("y", 0.2, 0.2), ("z", 0.0, 1.0), dataset="e"),
    ]
)


def gone(study, at_most):
    study = Study(
        change(study.profile, robustness={"adversary": {"at_most": at_most}}), study.pairs
    )
    return robustness.removed(study, THEIRS)


@pytest.mark.parametrize(
    "at_most, expected",
    [
        (
            1.0,
            {("d", "a"), ("d", "b"), ("d", "c"), ("d", "e"), ("e", "x")},
        ),  # all tainted ones: d's weakest gap is 0.1, f's is not over 0.3
        (
            0.5,
            {("d", "a"), ("d", "b"), ("d", "c"), ("e", "x")},
        ),  # three of six; two of four were allowed, one is tainted
        (0.34, {("d", "b"), ("d", "c"), ("e", "x")}),
        (0.25, {("d", "b"), ("e", "x")}),
        (0.1, set()),
    ],
)
def test_the_most_tainted_go_first(study, at_most, expected):
    found = gone(study, at_most)
    assert (
        set(
            found.loc[found["removed"], ["dataset", "sample_id"]].itertuples(index=False, name=None)
        )
        == expected
    )
    assert len(found) == 10 and found["tainted"].sum() == 5 and found["removed"].dtype == bool


def test_ties_are_cut_at_the_limit(study):
    study = Study(change(study.profile, robustness={"adversary": {"at_most": 0.5}}), study.pairs)
    assert (
        robustness.removed(study, scores_of(*[(s, 0.5, 0.5) for s in "abcd"]))["removed"].sum() == 2
    )


def test_a_smaller_share_is_a_part_of_a_larger_one():
    ids = pd.Series(list("abcdefghijklmnopqrst"), index=range(100, 120))
    out = {
        share: robustness._left_out(ids, share, 0) for share in (1.0, 0.75, 0.5, 0.25, 0.1, 0.01)
    }
    assert {share: len(o) for share, o in out.items()} == {
        1.0: 0,
        0.75: 5,
        0.5: 10,
        0.25: 15,
        0.1: 18,
        0.01: 19,
    }  # one stays
    assert (
        set(out[0.75]) < set(out[0.5]) < set(out[0.25]) < set(out[0.1]) < set(out[0.01]) < set(ids)
    )
    assert all(len(set(o)) == len(o) for o in out.values())
    assert robustness._left_out(ids, 0.5, 0) == out[0.5] and set(
        robustness._left_out(ids, 0.5, 1)
    ) != set(out[0.5])
    assert set(out[0.5]) != set(ids[10:]) and robustness._left_out(ids[:1], 0.1, 0) == []


@pytest.fixture
def retrained(monkeypatch):
    """The study whose suspects are asked; one that left something out is no longer close to the tuned references."""
    asked = []

    def suspect_gaps(other, scores):
        asked.append(other)
        return gaps_of(other, lambda s: 0.1 if s.leave_out else 0.5)

    monkeypatch.setattr(steps, "suspect_gaps", suspect_gaps)
    return asked


TAINTED = scores_of(("s", 0.9, 0.9), dataset="dozen")
VERDICTS = ["evasion", "setting", "suspect", "verdict", "correct"]


def test_the_untouched_setting_is_the_model_that_is_there(study, retrained):
    found = robustness.subsets(study, TAINTED)
    (other,) = retrained
    assert other.profile.wild == {} and [s.name for s in other.profile.suspects] == [
        "llama-full",
        "llama-full, 50%",
    ]
    same, half = other.profile.suspects
    original = study.profile.suspects[0]
    assert same == original  # the same name and training: the same folders in the store
    assert half.model_dump(exclude={"name", "leave_out"}) == original.model_dump(
        exclude={"name", "leave_out"}
    )
    assert len(half.leave_out) == 6 and set(half.leave_out) < set(study.pairs["sample_id"])
    places = [
        responses.entry(study.profile, "dozen", s.name, s, 1.0, make=False)
        for s in (original, same, half)
    ]
    assert places[0] == places[1] != places[2]
    assert found[VERDICTS].values.tolist() == [
        ["subset", "100%", "llama-full", "member", True],
        ["subset", "50%", "llama-full", "non-member", False],
    ]


def test_removal_names_the_share(study, retrained):
    sample_ids = study.pairs["sample_id"]
    found = robustness.removal(
        study,
        TAINTED,
        pd.DataFrame(
            {"dataset": "dozen", "sample_id": sample_ids, "removed": [True] * 3 + [False] * 9}
        ),
    )
    assert [(s.name, s.leave_out) for s in retrained[0].profile.suspects] == [
        ("llama-full", ()),
        ("llama-full, 25% removed", tuple(sample_ids[:3])),
    ]
    assert found[VERDICTS].values.tolist() == [
        ["removing tainted", "none removed", "llama-full", "member", True],
        ["removing tainted", "25% removed", "llama-full", "non-member", False],
    ]


@pytest.mark.parametrize(
    "chosen, names",
    [
        (None, ["llama-full", "qwen2-mixed", "mistral-lora", "gemma-qlora"]),
        (["mistral-lora", "llama-full"], ["llama-full", "mistral-lora"]),
    ],
)
def test_which_members_are_trained_anew(study, retrained, chosen, names):
    found = robustness.subsets(with_settings(study, suspects=chosen, shares=[0.75]), TAINTED)
    assert found["suspect"].tolist() == names and [
        s.name for s in retrained[0].profile.suspects
    ] == [f"{n}, 75%" for n in names]


def test_an_unknown_member_is_refused(study, retrained):
    with pytest.raises(ValueError) as error:
        robustness.subsets(
            with_settings(study, suspects=["llama-full", "glm-other", "typo"]), TAINTED
        )
    says(error, "robustness.suspects", "glm-other, typo", "gemma-qlora")
    assert retrained == []


def test_each_dataset_leaves_out_its_own_share(study, retrained):
    two = pd.DataFrame({"dataset": ["one"] * 4 + ["two"] * 8, "sample_id": list("abcdefghijkl")})
    robustness.subsets(Study(change(study.profile, robustness={"shares": [0.5]}), two), TAINTED)
    out = set(retrained[0].profile.suspects[0].leave_out)
    assert (len(out & set("abcd")), len(out & set("efghijkl"))) == (2, 4)


def test_two_settings_that_leave_nothing_out(study, retrained):
    found = robustness.subsets(
        with_settings(study, shares=[1.0, 0.99]), TAINTED
    )  # 0.99 of twelve is twelve
    assert found["setting"].tolist() == ["100%", "99%"] and found["correct"].all()


# Fig. 12


def test_overlap_by_hand(study):
    """Tainted: s, t, u, v; w is not. M is close on s, t and v, answers u too shortly; N is close on none."""
    small = Study(
        change(
            study.profile,
            victims=["d"],
            wild={},
            suspects=[change(s, name=n) for s, n in zip(study.profile.suspects, "MN")],
        ),
        None,
    )
    scores = scores_of(*[(s, 0.9, 0.9) for s in "stuv"], ("w", 0.9, 0.2))
    close = {("M", s): 0.5 for s in "stvw"} | {("M", "u"): 0.5}
    answers = table(
        GAPS,
        *[
            ("d", n, s, 0, r, "short" if (n, s) == ("M", "u") else LONG, close.get((n, s), 0.1))
            for n in "MN"
            for s in "stuvw"
            for r in "AB"
        ],
    )
    removed = table("dataset sample_id removed", *[("d", s, s in "suw") for s in "stuvw"])
    found = robustness.overlap(small, scores, answers, removed)
    assert found.columns.tolist() == ["dataset", "suspect", "status", "removed", "samples"]
    assert set(found.itertuples(index=False, name=None)) == {
        ("d", "M", "positive", True, 1),
        ("d", "M", "positive", False, 2),
        ("d", "N", "negative", True, 2),
        ("d", "N", "negative", False, 2),
    }
