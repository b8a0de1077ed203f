"""Eq. 2 and the vote on tables computed by hand."""

import numpy as np
import pandas as pd
import pytest
from helpers import says, table

from dsi_core.method.verdict import evidence, judge_at, verdicts, votes
from dsi_core.settings.schema import Rule

COLUMNS = "dataset suspect sample_id draw reference response gap"
LONG = "twenty bytes or more of text"


def answers(*rows, dataset="d", suspect="M"):
    """(sample_id, response, gap of A, gap of B) for draws 0, 1, ... of each sample."""
    draws, told = {}, []
    for sample, response, *values in rows:
        draws[sample] = draws.get(sample, -1) + 1
        told += [
            (dataset, suspect, sample, draws[sample], r, response, g)
            for r, g in zip("AB", values, strict=True)
        ]
    return table(COLUMNS, *told)


def test_max_over_responses_of_min_over_references():
    """t's weakest gaps are 0.125 and -0.5, the larger 0.125.

    The other order, min over references of max, would give 0.5.
    """
    told = answers(
        ("s", LONG, 0.75, 0.125),
        ("s", LONG, 0.25, 0.75),
        ("t", LONG, 0.5, 0.125),
        ("t", LONG, -0.5, 0.75),
    )
    found = evidence(told, 0.2, 20)
    assert found.values.tolist() == [
        ["d", "M", "s", 0.25, "positive"],
        ["d", "M", "t", 0.125, "negative"],
    ]
    assert found.columns.tolist() == ["dataset", "suspect", "sample_id", "evidence", "status"]


def test_threshold_is_strict_and_the_weakest_reference_decides():
    told = answers(
        ("above", LONG, 0.5, 0.3125),
        ("equal", LONG, 0.25, 0.5),
        ("weak", LONG, 1.0, 0.0),
        ("back", LONG, -1.0, 1.0),
    )
    assert evidence(told, 0.25, 20)["status"].tolist() == [
        "positive",
        "negative",
        "negative",
        "negative",
    ]
    assert evidence(told, -0.5, 20)["status"].tolist() == [
        "positive",
        "positive",
        "positive",
        "negative",
    ]


@pytest.mark.parametrize(
    "response, kept",
    [
        ("x" * 20, True),
        ("x" * 19, False),
        ("é" * 10, True),
        ("é" * 9 + "x", False),
        ("鍵" * 7, True),
        ("鍵" * 6 + "x", False),
        ("🔑" * 5, True),
        ("", False),
    ],
)
def test_mu_counts_utf8_bytes(response, kept):
    found = evidence(answers(("s", response, 0.5, 0.5)), 0.25, 20)
    assert found["status"].tolist() == (["positive"] if kept else ["filtered"])
    assert found["evidence"].isna().tolist() == [not kept]
    assert evidence(answers(("s", response, 0.5, 0.5)), 0.25, 0)["status"].tolist() == ["positive"]


def test_one_long_response_of_three_saves_the_sample():
    """The short answers would be positive, but only the long one counts."""
    told = answers(
        ("s", "short", 0.9, 0.9),
        ("s", LONG, 0.125, 0.5),
        ("s", "", 0.9, 0.9),
        ("t", "a", 1, 1),
        ("t", "b", 1, 1),
        ("t", "c", 1, 1),
    )
    found = evidence(told, 0.25, 20).set_index("sample_id")
    assert found.loc["s", ["evidence", "status"]].tolist() == [0.125, "negative"]
    assert found.loc["t", "status"] == "filtered" and np.isnan(found.loc["t", "evidence"])


def suspects(*names, dataset="d"):
    return table("dataset suspect member", *[(dataset, n, True) for n in names])


def chosen(*samples, dataset="d", tainted=True):
    return table("dataset sample_id tainted", *[(dataset, s, tainted) for s in samples])


def judge(told, tainted, people):
    (found,) = judge_at([0.25], told, tainted, people, 20, Rule.TEXT)
    return found


def vote(told, tainted, people=None):
    found = judge(told, tainted, suspects("M") if people is None else people)
    return found[["positive", "negative", "filtered", "verdict"]].values.tolist()


YES, NO, SHORT = (LONG, 0.5, 0.5), (LONG, 0.5, 0.0), ("short", 0.5, 0.5)


@pytest.mark.parametrize(
    "responses, expected",
    [
        ([YES, YES, NO], [2, 1, 0, "member"]),
        ([YES, NO], [1, 1, 0, "non-member"]),  # a tie
        ([YES, NO, NO], [1, 2, 0, "non-member"]),
        ([YES, SHORT, SHORT], [1, 0, 2, "member"]),  # filtered samples have no vote
        ([NO, SHORT], [0, 1, 1, "non-member"]),
        ([SHORT, SHORT], [0, 0, 2, "inconclusive"]),
    ],
)
def test_the_vote(responses, expected):
    told = answers(*[(f"s{i}", *r) for i, r in enumerate(responses)])
    assert vote(told, chosen(*told["sample_id"].unique())) == [expected]


def test_only_tainted_samples_vote():
    told = answers(("s", *YES), ("t", *NO), ("u", *NO))
    assert vote(told, chosen("s")) == [[1, 0, 0, "member"]]
    assert vote(told, pd.concat([chosen("s"), chosen("t", "u", tainted=False)])) == [
        [1, 0, 0, "member"]
    ]


def test_no_tainted_sample_is_inconclusive():
    told = answers(("s", *YES), ("t", *YES))
    assert vote(told, chosen("s", "t", tainted=False)) == [[0, 0, 0, "inconclusive"]]


def test_a_suspect_without_answers_is_in_the_table():
    told = pd.concat([answers(("s", *YES), suspect="M"), answers(("s", *NO), suspect="N")])
    found = judge(told, chosen("s"), suspects("silent", "N", "M").assign(group="local"))
    assert found.columns.tolist() == [
        "dataset",
        "suspect",
        "member",
        "group",
        "positive",
        "negative",
        "filtered",
        "verdict",
    ]
    assert found[["suspect", "positive", "negative", "filtered", "verdict"]].values.tolist() == [
        ["silent", 0, 0, 0, "inconclusive"],
        ["N", 0, 1, 0, "non-member"],
        ["M", 1, 0, 0, "member"],
    ]
    assert judge(told.head(0), chosen("s"), suspects("M"))["verdict"].tolist() == ["inconclusive"]


def test_datasets_are_kept_apart():
    """Sample s is tainted in `one` only, and M is a suspect of both."""
    told = pd.concat(
        [
            answers(("s", *YES), ("t", *NO), dataset="one"),
            answers(("s", *YES), ("t", *NO), dataset="two"),
        ]
    )
    tainted = pd.concat(
        [
            chosen("s", dataset="one"),
            chosen("t", dataset="two"),
            chosen("s", dataset="two", tainted=False),
        ]
    )
    people = pd.concat([suspects("M", dataset="two"), suspects("M", dataset="one")])
    assert vote(told, tainted, people) == [[0, 1, 0, "non-member"], [1, 0, 0, "member"]]


def test_a_table_of_evidence_can_be_voted_on_directly():
    found = table(
        "dataset suspect sample_id status",
        ("d", "M", "s", "positive"),
        ("d", "M", "t", "filtered"),
        ("d", "N", "s", "negative"),
    )
    assert verdicts(found, suspects("N", "M"))[
        ["positive", "negative", "filtered", "verdict"]
    ].values.tolist() == [[0, 1, 0, "non-member"], [1, 0, 1, "member"]]


# The released code's rule


def compared(*rows, architectures="AB"):
    """(sample_id, draw, response, (before, after) of reference 0, of reference 1, ...)."""
    told = [
        ("d", "M", sample, draw, str(r), response, architectures[r], *sides, sides[1] - sides[0])
        for sample, draw, response, *references in rows
        for r, sides in enumerate(references)
    ]
    return table(f"{COLUMNS.removesuffix(' gap')} architecture before after gap", *told)


def by_both(told, delta=0.25):
    text, released = (evidence(told, delta, 20, rule) for rule in Rule)
    return text[["evidence", "status"]].values.tolist(), released[
        ["evidence", "status"]
    ].values.tolist()


def test_an_answer_near_the_untuned_reference_spoils_the_sample_for_the_released_code():
    """Gaps 0.5 and 0 of both references: the text takes the first answer, max_r min_i = 0.5.

    The maxima are 0.75 (of the first) and 0.75 (of the second): their difference is 0.
    """
    told = compared(
        ("s", 0, LONG, (0.25, 0.75), (0.25, 0.75)),
        ("s", 1, LONG, (0.75, 0.75), (0.75, 0.75)),
    )
    assert by_both(told) == ([[0.5, "positive"]], [[0.0, "negative"]])


def test_the_released_code_may_take_another_answer_for_each_architecture():
    """Each answer leans to one reference only: the text's weakest gaps are both 0.

    The maxima are 0.75 after and 0.25 before, for either architecture.
    """
    told = compared(
        ("s", 0, LONG, (0.25, 0.75), (0.25, 0.25)),
        ("s", 1, LONG, (0.25, 0.25), (0.25, 0.75)),
    )
    assert by_both(told) == ([[0.0, "negative"]], [[0.5, "positive"]])


def test_the_best_reference_of_an_architecture_counts_in_the_released_code():
    """The second tuned reference of A learnt nothing: min over three is 0, of A's best 0.5."""
    told = compared(("s", 0, LONG, (0.25, 0.75), (0.25, 0.25), (0.25, 0.625)), architectures="AAB")
    assert by_both(told) == ([[0.0, "negative"]], [[0.375, "positive"]])


def test_the_released_code_has_a_strict_threshold_and_reads_no_mu():
    told = compared(
        ("equal", 0, LONG, (0.25, 0.5), (0.25, 0.75)), ("short", 0, "x", (0.0, 0.5), (0.0, 0.5))
    )
    text, released = by_both(told)
    assert [status for _, status in text] == ["negative", "filtered"]
    assert released == [[0.25, "negative"], [0.5, "positive"]]


def test_one_answer_and_one_reference_of_each_kind_make_the_rules_equal():
    rng = np.random.default_rng(0)
    sides = rng.integers(0, 9, (20, 2, 2)) / 8
    told = compared(*[(f"s{i}", 0, LONG, *map(tuple, pair)) for i, pair in enumerate(sides)])
    text, released = by_both(told)
    assert text == released


@pytest.mark.parametrize(
    "positive, negative, text, released",
    [
        (2, 1, "member", "member"),
        (1, 1, "non-member", "member"),  # a tie
        (0, 0, "inconclusive", "member"),  # nothing tainted
        (1, 2, "non-member", "non-member"),
    ],
)
def test_a_vote_without_a_majority_by_both_rules(positive, negative, text, released):
    statuses = ["positive"] * positive + ["negative"] * negative
    found = table(
        "dataset suspect sample_id status",
        *[("d", "M", f"s{i}", status) for i, status in enumerate(statuses)],
        ("d", "another", "s0", "positive"),
    )
    called = [verdicts(found, suspects("M"), rule)["verdict"].tolist() for rule in Rule]
    assert called == [[text], [released]]


def test_the_share_of_positive_samples_is_of_those_that_count():
    counted = table("suspect positive negative filtered", ("M", 2, 1, 5), ("N", 0, 0, 8))
    found = votes(counted)
    assert found.columns.tolist() == [*counted.columns, "share", "low", "high"]
    assert found.iloc[0]["share"] == 0.6667
    assert found.iloc[0]["low"] < 2 / 3 < found.iloc[0]["high"]
    assert found.iloc[1][["share", "low", "high"]].isna().all()


def test_the_released_rule_needs_both_sides():
    with pytest.raises(ValueError) as error:
        evidence(answers(("s", *YES)), 0.25, 20, Rule.RELEASED)
    says(error, "rule: released", "after, architecture, before")


@pytest.mark.parametrize("gap", [None, np.nan])
def test_an_answer_without_a_reference_or_a_gap_is_refused(gap):
    told = answers(("s", LONG, 0.5, 0.5), ("t", LONG, 0.5, 0.5))
    told = told[:-1] if gap is None else told.assign(gap=[*told["gap"][:-1], gap])
    with pytest.raises(ValueError, match="d: answer 0 of M to sample t has a gap to 1 of 2 ref"):
        evidence(told, 0.25, 20)
