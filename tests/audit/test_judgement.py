"""What the answers of a served model are taken to say."""

import math

import pytest
from asking import facts, given, knows, plan, stranger, vote
from servers import reply

from dsi_core.audit import record, run
from dsi_core.audit.judgement import DecidedBy
from dsi_core.audit.run import Ended


def test_a_member_leans_more_than_every_control(prepared, server):
    """6 to 0 votes; statistic = sqrt(6) x mean evidence, above each of five controls': p = 1/6."""
    folder = prepared(6, controls=5)
    server.script = knows(folder)
    outcome = run.run(plan(folder, server, stop_early=False))
    judged = outcome.judgement
    assert vote(outcome) == {"verdict": "member", "positive": 6, "negative": 0, "filtered": 0}
    assert judged.p == judged.controls.p == pytest.approx(1 / 6)
    assert judged.decided_by is DecidedBy.CONTROLS and judged.twin is None
    evidence = judged.evidence["evidence"]
    statistic = max(evidence[:t].mean() * math.sqrt(t) for t in (5, 6))
    assert judged.controls.lean == pytest.approx(statistic)
    assert evidence.min() > folder.study.delta_s
    assert (judged.controls.lean > judged.control_statistics).all()
    assert outcome.ended is Ended.ALL_PROMPTED
    assert judged.answers == len(server.asked) == 18


def test_who_answers_as_the_controls_do_is_not_accused(prepared, server):
    """The same texts as five controls: as large a statistic as each, so p = (1 + 5) / 6."""
    folder = prepared(6, controls=5)
    server.script = stranger
    outcome = run.run(plan(folder, server, stop_early=False))
    judged = outcome.judgement
    assert vote(outcome) == {"verdict": "non-member", "positive": 0, "negative": 6, "filtered": 0}
    assert judged.p == 1.0
    assert judged.controls.lean == pytest.approx(judged.control_statistics.iloc[0])


def test_who_knows_only_the_published_part_is_found_by_the_twin(prepared, server):
    """Five published samples lead four withheld ones: 1 of the 126 deals; the vote is 5 to 4."""
    folder = prepared(5, withheld=4)
    server.script = knows(folder, "published")
    outcome = run.run(plan(folder, server, stop_early=False))
    judged = outcome.judgement
    assert judged.p == judged.twin.p == pytest.approx(1 / math.comb(9, 4))
    assert judged.decided_by is DecidedBy.TWIN
    assert vote(outcome) == {"verdict": "member", "positive": 5, "negative": 4, "filtered": 0}
    by_part = judged.evidence.groupby("part")["evidence"]
    assert by_part.min()["published"] > by_part.max()["withheld"]
    difference = by_part.mean()["published"] - by_part.mean()["withheld"]
    assert judged.twin.difference == pytest.approx(difference)


def test_one_withheld_sample_is_enough_to_compare(prepared, server):
    """Five published samples lead the only withheld one: 1 of 6 deals."""
    folder = prepared(5, withheld=1)
    server.script = knows(folder, "published")
    outcome = run.run(plan(folder, server, stop_early=False))
    assert outcome.judgement.p == pytest.approx(1 / 6)


def test_who_knows_the_withheld_part_better_is_not_accused(prepared, server):
    """Every deal of the labels has a difference at least as large."""
    folder = prepared(5, withheld=4)
    server.script = knows(folder, "withheld")
    judged = run.run(plan(folder, server, stop_early=False)).judgement
    assert judged.p == judged.twin.p_permutation == 1.0
    assert judged.twin.difference < 0


def test_a_raised_budget_gets_no_second_permutation_test(prepared, server):
    """It stays over the six samples planned at first; more of them only feed the bets."""
    folder = prepared(5, withheld=4)
    server.script = knows(folder, "published")
    first = run.run(plan(folder, server, stop_early=False, budget="6 queries", draws=1)).judgement
    assert first.p == first.twin.p_permutation and first.twin.planned == 6
    later = run.run(plan(folder, server, stop_early=False, draws=1)).judgement
    assert later.samples == 9 and later.twin.planned == 6
    assert later.twin.p_permutation == first.p
    assert later.p == pytest.approx(min(1, 2 * min(1 / later.twin.largest, first.p)))


NO_EVIDENCE = {
    "filtered": lambda oracle: reply(oracle, finish="content_filter"),
    "filtered without a text": lambda oracle: reply(None, finish="content_filter"),
    "refused": lambda oracle: reply(
        None, choices=[{"message": {"content": None, "refusal": oracle}, "finish_reason": "stop"}]
    ),
    "refused in words": lambda oracle: reply(f"I'm sorry, but I can't help with that. {oracle}"),
    "empty": lambda oracle: reply(" \n"),
    "short": lambda oracle: reply(oracle[:19]),
    "truncated": lambda oracle: reply(oracle, finish="length", tokens=12),
}


@pytest.mark.parametrize("kind", NO_EVIDENCE)
@pytest.mark.parametrize("withheld", [0, 3])
def test_a_suspect_that_says_nothing_usable_is_not_accused(prepared, server, kind, withheld):
    """Though what it withholds is D's own text; with a twin or not, allowed to stop or not."""
    folder = prepared(6 - withheld, withheld)
    oracle = dict(zip(folder.samples["prompt"], folder.samples["output"], strict=True))
    server.script = lambda prompt, n: NO_EVIDENCE[kind](oracle[prompt])
    for stop_early in (True, False):
        quiet = plan(folder, server, stop_early=stop_early)
        outcome = run.run(quiet)
        judged = outcome.judgement
        assert judged.vote.verdict == "inconclusive" and judged.vote.filtered == 6
        assert judged.vote.positive == judged.vote.negative == 0
        assert judged.p == judged.controls.p == 1.0
        assert (judged.twin is not None) == bool(withheld)
        assert given(judged.statuses) == {kind.split()[0]: 18}
    record.write(quiet, outcome)
    said = facts(folder.folder)
    assert given(said["statuses"]) == {kind.split()[0]: 18}
    assert said["p"] == 1.0 and said["vote"]["verdict"] == "inconclusive"
    assert len(server.asked) == 18


def test_a_refusal_now_and_then_costs_no_evidence(prepared, server):
    """One draw of each prompt is an answer: the votes and p are those of one that answers all."""
    folder = prepared(5)
    healthy = knows(folder)
    refusal = reply("I cannot help with that, sorry.")
    server.script = lambda prompt, n: healthy(prompt, n) if n == 1 else refusal
    judged = run.run(plan(folder, server, stop_early=False)).judgement
    assert given(judged.statuses) == {"answered": 5, "refused": 10}
    assert judged.vote.positive == 5 and judged.p == pytest.approx(1 / 4)


def test_without_controls_and_twin_there_is_a_vote_and_no_p(prepared, server):
    folder = prepared(5, controls=0)
    server.script = knows(folder)
    planned = plan(folder, server)
    outcome = run.run(planned)
    judged = outcome.judgement
    assert (judged.p, judged.decided_by, judged.vote.verdict) == (None, None, "member")
    assert record.headline(planned, judged).startswith("No error rate can be given")
    assert outcome.ended is Ended.ALL_PROMPTED
