"""Evasions with stubs for models: who is prompted, what is left out, whose verdict it is."""

import json
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from helpers import says, table

from dsi_core.data.pairs import dataset, load_pairs
from dsi_core.method import participants, similarity
from dsi_core.method import study as steps
from dsi_core.method.study import Study
from dsi_core.models import load, responses
from dsi_core.models.tuning import training
from dsi_core.paper import rephrasing, robustness
from dsi_core.runtime import jobs
from dsi_core.settings.schema import Wild

LONG = "twenty bytes or more of text"
RESPONSES = "dataset suspect sample_id draw response"
GAPS = "dataset suspect sample_id draw reference response gap"


@pytest.fixture
def study(smoke) -> Study:
    """The smoke profile on its twelve pairs, with a wild member and a wild non-member."""
    wild = {"dozen": Wild(members=["hub/member"], non_members=["hub/other"])}
    pairs = load_pairs(dataset(smoke, "dozen")).assign(dataset="dozen")
    return Study(smoke.changed(wild=wild), pairs)


def scores_of(*rows, dataset: str = "dozen") -> pd.DataFrame:
    """(sample, gap of A, gap of B) as `study.reference_scores` has them; before = 0."""
    long = [
        (dataset, sample, reference, 0.0, gap, gap)
        for sample, *gaps in rows
        for reference, gap in zip("AB", gaps, strict=False)
    ]
    return table("dataset sample_id reference before after gap", *long)


# Who and with what


def test_only_members_have_something_to_evade(study):
    some = robustness.only_members(study)
    local = ["llama-full", "qwen2-mixed", "mistral-lora", "gemma-qlora"]
    assert steps.suspects(some)["suspect"].tolist() == [*local, "hub/member"]
    assert some.profile.references == study.profile.references
    assert some.pairs is study.pairs
    assert len(steps.suspects(study)) == 8  # the study itself is as it was


@pytest.mark.parametrize(
    "step",
    [
        robustness.settings,
        lambda s: rephrasing.rephrased(s, None),
        lambda s: robustness.temperatures(s, None),
        robustness.adversary_scores,
        lambda s: robustness.subsets(s, None),
        lambda s: robustness.removed(s, scores_of(("s", 1))),
        lambda s: robustness.removal(s, None, table("dataset sample_id removed", ("d", "s", True))),
    ],
)
def test_a_profile_without_the_section_is_refused(study, step):
    with pytest.raises(ValueError) as error:
        step(study.changed(robustness=None))
    says(error, "'smoke'", "section robustness")


# Rephrasing


@pytest.fixture
def rephraser(monkeypatch, empty_store):
    """Writes every prompt in capitals, into the real store; keeps what it was prompted with."""
    prompted = []

    def ask(model_id, made, questions, sampling):
        facts = made.base.name, sampling.draws, sampling.temperature
        prompted.append((model_id, *facts, questions["prompt"].tolist()))
        folder = responses.entry(model_id, made, sampling)
        with open(folder / "responses.jsonl", "a", encoding="utf-8") as file:
            for row in questions.iloc[::-1].itertuples():  # in an order of its own
                text = "" if "silence" in row.prompt else row.prompt.upper()
                answer = {"sample_id": row.sample_id, "draw": 0, "response": text}
                file.write(json.dumps(answer) + "\n")

    monkeypatch.setattr(similarity, "raw_scores", lambda _, pairs: np.zeros(len(pairs)))
    monkeypatch.setattr(responses, "ask", ask)
    monkeypatch.setattr(load, "prepare_all", list)
    monkeypatch.setattr(
        jobs, "run", lambda work: [job.call(*job.args, **job.kwargs) for job in work]
    )
    return prompted


def test_every_answer_is_rewritten_in_its_place(study, rephraser):
    given = table(
        RESPONSES,
        ("d", "M", "s", 0, "ein Haus"),
        ("d", "M", "s", 1, "a {text} and {x} 100%"),
        ("d", "M", "t", 0, "ein Haus"),
        ("d", "M", "t", 1, ""),
        ("e", "M", "s", 0, "ein Haus"),
        ("d", "N", "s", 0, "ein Haus"),
        ("d", "N", "t", 0, " \n"),
        ("d", "N", "u", 0, "silence"),
    )
    rewritten = rephrasing.rephrased(study, given)
    keys = ["dataset", "suspect", "sample_id", "draw"]
    assert rewritten[keys].equals(given[keys])
    assert rewritten["original"].tolist() == given["response"].tolist()
    house, braces = "SAY IT OTHERWISE: EIN HAUS", "SAY IT OTHERWISE: A {TEXT} AND {X} 100%"
    expected = [house, braces, house, "", house, house, " \n", ""]
    assert rewritten["response"].tolist() == expected
    assert sorted(rephraser) == [  # a text once for each suspect, and no blank one
        (
            "rephraser of M",
            "llama",
            1,
            1.0,
            ["Say it otherwise: ein Haus", "Say it otherwise: a {text} and {x} 100%"],
        ),
        (
            "rephraser of N",
            "llama",
            1,
            1.0,
            ["Say it otherwise: ein Haus", "Say it otherwise: silence"],
        ),
    ]


def test_what_was_rewritten_is_not_asked_again(study, rephraser):
    given = table(
        RESPONSES, ("d", "M", "s", 0, "one"), ("d", "M", "t", 0, "two"), ("d", "N", "s", 0, "one")
    )
    first = rephrasing.rephrased(study, given)
    assert len(rephraser) == 2
    assert rephrasing.rephrased(study, given).equals(first)
    second = rephrasing.rephrased(study, given[1:2])
    assert second["response"].tolist() == ["SAY IT OTHERWISE: TWO"]
    assert len(rephraser) == 2


def test_braces_of_the_prompt_are_no_placeholders(study, rephraser):
    study = study.changed(robustness={"rephraser": {"prompt": 'As {"json"}, {0}: {text}'}})
    rewritten = rephrasing.rephrased(study, table(RESPONSES, ("d", "M", "s", 0, "one")))
    assert rewritten["response"].tolist() == ['AS {"JSON"}, {0}: ONE']


def test_nothing_but_blank_answers(study, rephraser):
    given = table(RESPONSES, ("d", "M", "s", 0, ""), ("d", "N", "s", 0, " "))
    assert rephrasing.rephrased(study, given)["response"].tolist() == ["", " "]
    assert rephraser == []


def test_how_far_an_answer_moves(study, rephraser, monkeypatch):
    """A blank answer that stays blank has not moved."""
    scored = []

    def raw_scores(backbone, pairs):
        assert backbone == study.backbone
        scored.append(pairs)
        return np.array([0.75, 0.0, 0.0])

    monkeypatch.setattr(similarity, "raw_scores", raw_scores)
    given = table(
        RESPONSES,
        ("d", "M", "s", 0, "one"),
        ("d", "M", "t", 0, " "),
        ("d", "M", "u", 0, "silence"),
    )
    assert rephrasing.rephrased(study, given)["moved"].tolist() == [0.25, 0.0, 1.0]
    assert scored[0][["a", "b"]].values.tolist() == [
        ["one", "SAY IT OTHERWISE: ONE"],
        [" ", " "],
        ["silence", ""],
    ]


def test_every_temperature_is_a_rephraser_of_its_own(study, rephraser):
    study = study.changed(robustness={"rephraser": {"temperatures": [0.0, 0.5]}})
    given = table(RESPONSES, ("d", "M", "s", 0, "one"), ("d", "M", "t", 0, "two"))
    rewritten = rephrasing.rephrased(study, given)
    settings = ["llama at 0", "llama at 0", "llama at 0.5", "llama at 0.5"]
    assert rewritten["setting"].tolist() == settings
    assert [temperature for *_, temperature, _ in rephraser] == [0.0, 0.5]


MOVED = table(
    "original response moved",
    ("in the middle", "as it was", 0.5),
    (" ", " ", 0.0),
    ("first", "moved least", 0.12345),
    ("last", "moved most", 0.875),
    ("second", "moved little", 0.25),
    ("first", "moved least", 0.12345),
)


def test_examples_are_those_that_moved_least_to_most():
    every = rephrasing.examples(MOVED, count=9)
    assert every.columns.tolist() == ["moved", "original", "rewritten"]
    assert every.values.tolist() == [
        [0.123, "first", "moved least"],
        [0.25, "second", "moved little"],
        [0.5, "in the middle", "as it was"],
        [0.875, "last", "moved most"],
    ]
    assert rephrasing.examples(MOVED, count=2)["original"].tolist() == ["first", "last"]
    assert rephrasing.examples(MOVED[1:2]).empty  # nothing but blank answers


def test_rephrasing_judges_both_kinds_of_answers(study, monkeypatch):
    """In its own words M is close to the tuned references, in the rephraser's it is not."""
    study = study.changed(wild={}, suspects=study.profile.suspects[:1])

    def gaps_to(study, scores, words):
        assert words.columns.tolist() == RESPONSES.split()
        beside = words.merge(pd.DataFrame({"reference": ["A", "B"]}), how="cross")
        own = beside["response"].str.contains("own")
        return beside.assign(gap=np.where(own, 0.5, 0.1))

    monkeypatch.setattr(steps, "gaps_to", gaps_to)
    given = table(RESPONSES, ("dozen", "llama-full", "s", 0, "own words, twenty bytes"))
    rewritten = given.assign(
        original=given["response"],
        response="others' words, twenty bytes",
        setting="llama at 1",
        moved=0.5,
    )
    verdicts = rephrasing.of_answers(study, scores_of(("s", 0.9, 0.9)), given, rewritten)
    columns = ["evasion", "setting", "suspect", "positive", "negative", "verdict", "correct"]
    assert verdicts[columns].values.tolist() == [
        ["rephrasing", "none", "llama-full", 1, 0, "member", True],
        ["rephrasing", "llama at 1", "llama-full", 0, 1, "non-member", False],
    ]


# Temperature


def gaps_of(study: Study, gap) -> pd.DataFrame:
    """One tainted sample s, two references; the gap of each suspect as `gap(suspect)` says."""
    rows = [
        ("dozen", suspect.name, "s", 0, reference, LONG, gap(suspect))
        for suspect in study.profile.suspects
        for reference in "AB"
    ]
    return table(GAPS, *rows)


TAINTED = scores_of(("s", 0.9, 0.9))


def test_settings_that_are_nearly_alike_keep_names_of_their_own(study, monkeypatch):
    near = study.changed(robustness={"shares": [1.0, 0.125, 0.12], "temperatures": [0.2, 0.25]})
    assert list(robustness._random_parts(near)) == ["100%", "12.5%", "12%"]
    monkeypatch.setattr(steps, "suspect_gaps", lambda other, _: gaps_of(other, lambda _: 0.5))
    assert set(robustness.temperatures(near, TAINTED)["setting"]) == {"0.2", "0.25"}


def test_each_temperature_is_tried_and_nothing_else_changes(study, monkeypatch):
    tried = []

    def suspect_gaps(other, scores):
        tried.append(other.profile)
        gap = 0.5 - other.profile.responses.temperature / 2  # 0.5, 0.25 and 0
        return gaps_of(other, lambda _: gap)

    monkeypatch.setattr(steps, "suspect_gaps", suspect_gaps)
    study = study.changed(robustness={"temperatures": [0.0, 0.5, 1.0]})
    verdicts = robustness.temperatures(study, TAINTED)
    temperatures = [profile.responses.temperature for profile in tried]
    assert temperatures == [0.0, 0.5, 1.0]
    for profile, temperature in zip(tried, temperatures, strict=True):
        assert profile == study.profile.changed(responses={"temperature": temperature})
    full = verdicts[verdicts["suspect"] == "llama-full"]
    assert full[["evasion", "setting", "verdict"]].values.tolist() == [
        ["temperature", "0.0", "member"],
        ["temperature", "0.5", "non-member"],
        ["temperature", "1.0", "non-member"],
    ]


# Removing tainted samples, training on a part


def test_the_adversary_scores_with_its_own_references(study, monkeypatch):
    monkeypatch.setattr(steps, "reference_scores", lambda other: other)
    other = robustness.adversary_scores(study)
    assert [r.name for r in other.profile.references] == ["adversary llama"]
    assert other.pairs is study.pairs
    mine = participants.references(other.profile)
    assert [p.model_id for p in mine] == ["R adversary llama", "R^t adversary llama"]


ADVERSARY = pd.concat(
    [
        scores_of(
            ("a", 0.4, 0.6),
            ("b", 0.9, 0.95),
            ("c", 0.8, 0.8),
            ("d", 0.9, 0.1),  # the weakest gap is too small
            ("e", 0.31, 0.5),
            ("f", 0.3, 0.9),  # not over 0.3
            dataset="d",
        ),
        scores_of(("a", 0.1, 0.9), ("x", 0.4, 0.4), ("y", 0.2, 0.2), ("z", 0.0, 1.0), dataset="e"),
    ]
)


@pytest.mark.parametrize(
    "at_most, expected",
    [
        (1.0, ["d a", "d b", "d c", "d e", "e x"]),  # all tainted ones
        (0.5, ["d a", "d b", "d c", "e x"]),  # three of six; two of four may go, one is tainted
        (0.34, ["d b", "d c", "e x"]),
        (0.25, ["d b", "e x"]),
        (0.1, []),
    ],
)
def test_the_most_tainted_go_first(study, at_most, expected):
    study = study.changed(robustness={"adversary": {"at_most": at_most}})
    gone = robustness.removed(study, ADVERSARY)
    names = gone["dataset"] + " " + gone["sample_id"]
    assert sorted(names[gone["removed"]]) == expected
    assert len(gone) == 10
    assert gone["tainted"].sum() == 5
    assert gone["removed"].dtype == bool


def test_ties_are_cut_at_the_limit(study):
    study = study.changed(robustness={"adversary": {"at_most": 0.5}})
    scores = scores_of(*[(sample, 0.5, 0.5) for sample in "abcd"])
    assert robustness.removed(study, scores)["removed"].sum() == 2


def test_a_smaller_share_is_a_part_of_a_larger_one():
    ids = pd.Series(list("abcdefghijklmnopqrst"), index=range(100, 120))
    shares = (1.0, 0.75, 0.5, 0.25, 0.1, 0.01)
    out = {share: robustness.outside(ids, share, 0) for share in shares}
    sizes = [len(out[share]) for share in shares]
    assert sizes == [0, 5, 10, 15, 18, 19]  # one stays
    for larger, smaller in pairwise(shares):
        assert set(out[larger]) < set(out[smaller])
    assert set(out[0.01]) < set(ids)
    assert all(len(set(left)) == len(left) for left in out.values())


def test_which_samples_are_left_out_is_the_seed_s_choice():
    ids = pd.Series(list("abcdefghijklmnopqrst"))
    half = robustness.outside(ids, 0.5, 0)
    assert robustness.outside(ids, 0.5, 0) == half
    assert set(robustness.outside(ids, 0.5, 1)) != set(half)
    assert set(half) != set(ids[10:])
    assert robustness.outside(ids[:1], 0.1, 0) == []


@pytest.fixture
def retrained(monkeypatch):
    """The studies whose suspects are prompted.

    A suspect that left something out is no longer close to the tuned references.
    """
    prompted = []

    def suspect_gaps(other, scores):
        prompted.append(other)
        return gaps_of(other, lambda suspect: 0.1 if suspect.leave_out else 0.5)

    monkeypatch.setattr(steps, "suspect_gaps", suspect_gaps)
    return prompted


VERDICTS = ["evasion", "setting", "suspect", "verdict", "correct"]


def test_the_untouched_setting_is_the_model_that_is_there(study, retrained):
    verdicts = robustness.subsets(study, TAINTED)
    assert verdicts[VERDICTS].values.tolist() == [
        ["subset", "100%", "llama-full", "member", True],
        ["subset", "50%", "llama-full", "non-member", False],
    ]
    (other,) = retrained
    assert other.profile.wild == {}
    original = study.profile.suspects[0]
    same, half = other.profile.suspects
    assert same == original
    assert half == original.changed(name="llama-full, 50%", leave_out=half.leave_out)
    assert len(half.leave_out) == 6
    assert set(half.leave_out) < set(study.pairs["sample_id"])


def test_the_untouched_model_has_the_same_place_in_the_store(study):
    """The same name and training; one that left out a half is another."""
    full = study.profile.suspects[0]
    ids = tuple(study.pairs["sample_id"][:6])
    variants = [robustness.Variant(full, "100%", ()), robustness.Variant(full, "50%", ids)]
    places = [
        responses.entry(s.name, training(study.profile, "dozen", s), study.sampling, make=False)
        for s in (full, *(variant.trained for variant in variants))
    ]
    assert places[0] == places[1] != places[2]


def test_removal_names_the_share(study, retrained):
    ids = study.pairs["sample_id"]
    gone = pd.DataFrame({"dataset": "dozen", "sample_id": ids, "removed": [True] * 3 + [False] * 9})
    verdicts = robustness.removal(study, TAINTED, gone)
    assert [(s.name, s.leave_out) for s in retrained[0].profile.suspects] == [
        ("llama-full", ()),
        ("llama-full, 25% removed", tuple(ids[:3])),
    ]
    assert verdicts[VERDICTS].values.tolist() == [
        ["removing tainted", "none removed", "llama-full", "member", True],
        ["removing tainted", "25% removed", "llama-full", "non-member", False],
    ]


def test_removal_names_the_shares_of_several_datasets(study, retrained):
    sizes = pd.DataFrame({"dataset": list("aaaabbbbb"), "sample_id": list("123456789")})
    gone = sizes.assign(removed=sizes["sample_id"].isin(list("1567")))
    robustness.removal(study, TAINTED, gone)
    assert retrained[0].profile.suspects[-1].name == "llama-full, 25% to 60% removed"


@pytest.mark.parametrize(
    "chosen, names",
    [
        (None, ["llama-full", "qwen2-mixed", "mistral-lora", "gemma-qlora"]),
        (["mistral-lora", "llama-full"], ["llama-full", "mistral-lora"]),
    ],
)
def test_which_members_are_trained_anew(study, retrained, chosen, names):
    study = study.changed(robustness={"suspects": chosen, "shares": [0.75]})
    assert robustness.subsets(study, TAINTED)["suspect"].tolist() == names
    tuned = [suspect.name for suspect in retrained[0].profile.suspects]
    assert tuned == [f"{name}, 75%" for name in names]


def test_an_unknown_member_is_refused(study, retrained):
    study = study.changed(robustness={"suspects": ["llama-full", "glm-other", "typo"]})
    with pytest.raises(ValueError) as error:
        robustness.subsets(study, TAINTED)
    says(error, "robustness.suspects", "glm-other, typo", "gemma-qlora")
    assert retrained == []


def test_each_dataset_leaves_out_its_own_share(study, retrained):
    pairs = pd.DataFrame({"dataset": ["one"] * 4 + ["two"] * 8, "sample_id": list("abcdefghijkl")})
    study = study.changed(robustness={"shares": [0.5]})
    robustness.subsets(Study(study.profile, pairs), TAINTED)
    out = set(retrained[0].profile.suspects[0].leave_out)
    assert (len(out & set("abcd")), len(out & set("efghijkl"))) == (2, 4)


def test_two_settings_that_leave_nothing_out(study, retrained):
    study = study.changed(robustness={"shares": [1.0, 0.99]})  # 0.99 of twelve is twelve
    verdicts = robustness.subsets(study, TAINTED)
    assert verdicts["setting"].tolist() == ["100%", "99%"]
    assert verdicts["correct"].all()


# Fig. 12


def test_overlap_by_hand(study):
    """Tainted: s, t, u, v; w is not. M is close on s, t and v, N on none; M's u is too short."""
    both = zip(study.profile.suspects[:2], "MN", strict=True)
    study = study.changed(wild={}, suspects=[suspect.changed(name=n) for suspect, n in both])
    scores = scores_of(*[(sample, 0.9, 0.9) for sample in "stuv"], ("w", 0.9, 0.2))
    rows = []
    for name in "MN":
        for sample in "stuvw":
            response = "short" if (name, sample) == ("M", "u") else LONG
            gap = 0.5 if name == "M" else 0.1
            rows += [("dozen", name, sample, 0, r, response, gap) for r in "AB"]
    gone = table(
        "dataset sample_id removed", *[("dozen", sample, sample in "suw") for sample in "stuvw"]
    )
    overlap = robustness.overlap(study, scores, table(GAPS, *rows), gone)
    assert overlap.columns.tolist() == ["dataset", "suspect", "status", "removed", "samples"]
    assert sorted(overlap.itertuples(index=False, name=None)) == [
        ("dozen", "M", "positive", False, 2),
        ("dozen", "M", "positive", True, 1),
        ("dozen", "N", "negative", False, 2),
        ("dozen", "N", "negative", True, 2),
    ]


# Rephrasing D before training


def test_members_tuned_on_d_rephrased(study, rephraser, retrained, monkeypatch):
    """Every output is rewritten, no prompt is; the member's own data beside D stays."""

    def suspect_gaps(other, scores):
        retrained.append(other)
        return gaps_of(other, lambda suspect: 0.5 if "victim" in suspect.data else 0.1)

    monkeypatch.setattr(steps, "suspect_gaps", suspect_gaps)
    asked = {"rephraser": {"temperatures_of_data": [0.5]}, "suspects": ["qwen2-mixed"]}
    study = study.changed(robustness=asked)
    verdicts = rephrasing.of_data(study, TAINTED)
    assert verdicts[[*VERDICTS, "member"]].values.tolist() == [
        ["rephrasing D", "none", "qwen2-mixed", "member", True, True],
        ["rephrasing D", "llama at 0.5", "qwen2-mixed", "non-member", False, True],
    ]
    assert verdicts["group"].unique().tolist() == ["local members"]
    own, other = retrained
    assert own.profile.suspects == [study.profile.suspects[1]]
    (tuned,) = other.profile.suspects
    assert tuned.data == ["dozen_rephrased", "other"]
    assert tuned.name == "qwen2-mixed on llama at 0.5"
    pairs = load_pairs(dataset(other.profile, "dozen_rephrased"))
    assert pairs["prompt"].tolist() == study.pairs["prompt"].tolist()
    assert steps.baseline(other, "dozen") == steps.baseline(study, "dozen")  # one scale for both
    expected = [f"Say it otherwise: {output}".upper() for output in study.pairs["output"]]
    assert pairs["output"].tolist() == expected
    assert other.profile.wild == {}
    ((_, _, _, temperature, _),) = rephraser
    assert temperature == 0.5


def test_members_tuned_on_d_in_the_words_of_another_dataset(study, rephraser, retrained):
    """It says the same as the victim alone, and nobody is asked to rephrase."""
    reworded = study.profile.data["other"].changed(other_words_of="dozen")
    study = study.changed(
        data={**study.profile.data, "other": reworded},
        robustness={"rephraser": {"temperatures_of_data": []}, "suspects": ["llama-full"]},
        victims=["dozen", "terse"],
    )
    verdicts = rephrasing.of_data(study, TAINTED)
    assert verdicts[["dataset", "setting"]].values.tolist() == [
        ["dozen", "none"],
        ["dozen", "other"],
        ["terse", "none"],
    ]
    assert [(s.name, s.data) for s in retrained[1].profile.suspects] == [
        ("llama-full on other", ["other"])
    ]
    assert rephraser == []


def test_no_rephraser_of_d_leaves_d_itself(study, rephraser, retrained):
    study = study.changed(robustness={"rephraser": {"temperatures_of_data": []}})
    verdicts = rephrasing.of_data(study, TAINTED)
    assert verdicts["setting"].unique().tolist() == ["none"]
    assert rephraser == []
