"""What the answers of a served model are taken to say."""

import math
from dataclasses import replace

import pandas as pd
import pytest
from asking import facts, given, knows, plan, stranger, vote
from helpers import write_jsonl
from servers import reply

from dsi_core.audit import choices, conclusion, reach
from dsi_core.audit.asking import run
from dsi_core.audit.asking.run import Ended
from dsi_core.audit.judging import judgement
from dsi_core.audit.judging.judgement import Answer
from dsi_core.audit.preparation import prepared as preparation
from dsi_core.audit.report import record
from dsi_core.evidence import controls


def test_a_member_leans_more_than_every_control(prepared, server):
    """6 to 0 votes; statistic = sqrt(6) x mean evidence, above that of each stratum's control."""
    folder = prepared(6, controls=5)
    server.script = knows(folder)
    outcome = run.run(plan(folder, server, alpha=0.5, stop_early=False))
    judged = outcome.judgement
    assert vote(outcome) == {"verdict": "member", "positive": 6, "negative": 0, "filtered": 0}
    assert judged.p == judged.rank.p == pytest.approx(1 / 2)
    assert judged.answer is Answer.FOUND and judged.exact is None
    evidence = judged.evidence["evidence"]
    statistic = max(evidence[:t].mean() * math.sqrt(t) for t in (5, 6))
    assert judged.rank.lean == pytest.approx(statistic)
    assert evidence.min() > folder.study.delta_s
    assert outcome.ended is Ended.ALL_PROMPTED
    assert judged.answers == len(server.asked) == 18


def test_who_answers_as_the_controls_do_is_not_accused(prepared, server):
    """The same texts as five controls: as large a statistic as each, so p = 1 in each stratum."""
    folder = prepared(6, controls=5)
    server.script = stranger
    outcome = run.run(plan(folder, server, alpha=0.5, stop_early=False))
    judged = outcome.judgement
    assert vote(outcome) == {"verdict": "non-member", "positive": 0, "negative": 6, "filtered": 0}
    assert judged.p == 1.0 and judged.answer is Answer.NO_FINDING


def test_what_was_not_answered_is_counted_at_the_least_once_more(prepared, server):
    """Of ten samples the first five asked are refused, the others answered as D does.

    A control leans by 0.5 on all ten, more than five at the suspect's level less five at the
    smallest of any, but less than the five alone; the controls that say nothing of D lean less.
    """
    made = prepared(10, controls=5)
    leans = made.known["suspect"].eq("llama-untuned")
    made = preparation.write(
        replace(made, known=made.known.assign(gap=made.known["gap"].mask(leans, 0.5)))
    )
    healthy, refused = knows(made), set(made.tainted["prompt"].head(5))
    refusal = reply("I cannot help with that, sorry.")
    server.script = lambda prompt, n: refusal if prompt in refused else healthy(prompt, n)
    judged = run.run(plan(made, server, alpha=0.5, stop_early=False)).judgement
    evidence = judged.evidence["evidence"]
    known = preparation.known_evidence(made, 3)["evidence"]
    assert evidence.head(5).isna().all() and known.min() < 0 < evidence.min()
    assert math.sqrt(5) * evidence.mean() > math.sqrt(10) * 0.5
    filled = evidence.fillna(known.min())
    statistic = max(filled[:t].mean() * math.sqrt(t) for t in range(5, 11))
    assert judged.rank_of_all.lean == pytest.approx(statistic) and statistic < math.sqrt(10) * 0.5
    assert (judged.rank.samples, judged.rank_of_all.samples) == (5, 10)
    assert judged.p == judged.rank.p == 0.5 and judged.rank_of_all.p == 1.0
    assert judged.answer is Answer.FOUND  # it decides nothing


def test_where_all_is_answered_both_ranks_are_one(prepared, server):
    folder = prepared(6)
    server.script = knows(folder)
    judged = run.run(plan(folder, server, stop_early=False)).judgement
    assert judged.rank_of_all == judged.rank and judged.canned == 0


def test_one_text_to_all_prompts_is_counted(prepared, server):
    """6 samples x 3 answers, each compared with two references."""
    folder = prepared(6)
    server.script = stranger
    judged = run.run(plan(folder, server, stop_early=False)).judgement
    assert judged.canned == 18 and len(judged.table) == 36
    few = run.run(plan(prepared(3, name="few"), server, stop_early=False)).judgement
    assert few.canned == 0  # three prompts may have one answer


def test_so_few_controls_can_support_no_finding(prepared, server):
    """One in each stratum: p is never below 1/2, and no vote changes that."""
    folder = prepared(6, controls=5)
    server.script = knows(folder)
    planned = plan(folder, server, stop_early=False)
    judged = run.run(planned).judgement
    assert judged.answer is Answer.CANNOT and judged.reach.attainable == 1 / 2
    said = conclusion.after(planned, judged, {})
    assert said.startswith("This audit cannot find anything at alpha = 0.05: these controls cannot")
    assert "trained" not in said


def test_fewer_samples_are_ranked_among_controls_over_all(prepared, server):
    """The controls' statistics do not depend on how many samples the suspect is asked about."""
    folder = prepared(12, controls=5)
    server.script = stranger
    few = run.run(plan(folder, server, samples=6, stop_early=False)).judgement
    assert few.samples == 6 and few.p == 1.0
    assert len(few.curve) == 6 and (few.curve["p"] == 1.0).all()


NO_EVIDENCE = {
    "filtered": lambda oracle: reply(oracle, finish="content_filter"),
    "filtered without a text": lambda oracle: reply(None, finish="content_filter"),
    "refused": lambda oracle: reply(
        None, choices=[{"message": {"content": None, "refusal": oracle}, "finish_reason": "stop"}]
    ),
    "refused in words": lambda oracle: reply("I'm sorry, but I can't help with that."),
    "empty": lambda oracle: reply(" \n"),
    "empty to the eye": lambda oracle: reply("\u00ad" * 30),
    "short": lambda oracle: reply(oracle[:19]),
    "truncated": lambda oracle: reply(oracle, finish="length", tokens=12),
}


@pytest.mark.parametrize("kind", NO_EVIDENCE)
def test_a_suspect_that_says_nothing_usable_is_not_accused(prepared, server, kind):
    """Though what it withholds may be D's own text."""
    folder = prepared(6)
    oracle = dict(zip(folder.samples["prompt"], folder.samples["output"], strict=True))
    server.script = lambda prompt, n: NO_EVIDENCE[kind](oracle[prompt])
    quiet = plan(folder, server, alpha=0.5)
    outcome = run.run(quiet)
    judged = outcome.judgement
    assert judged.vote.verdict == "inconclusive" and judged.vote.filtered == 6
    assert judged.vote.positive == judged.vote.negative == 0
    assert judged.p == judged.rank.p == 1.0 and judged.answer is Answer.CANNOT
    assert given(judged.statuses) == {kind.split()[0]: 18}
    record.write(quiet, outcome)
    said = facts(folder.folder)
    assert given(said["statuses"]) == {kind.split()[0]: 18}
    assert said["p"] == 1.0 and said["vote"]["verdict"] == "inconclusive"
    assert len(server.asked) == 18


def test_what_a_file_or_a_control_does_not_answer_is_filtered(prepared, tmp_path):
    """Four of six samples by either; four are too few for a rank among the control's kind."""
    made = prepared(6)
    asked = made.tainted[["sample_id", "prompt", "output"]]
    rows = [{"prompt": row.prompt, "response": row.output} for row in asked.head(4).itertuples()]
    file = write_jsonl(tmp_path / "said.jsonl", rows)
    lacking = made.known["suspect"].eq("llama-untuned") & made.known["sample_id"].isin(
        asked["sample_id"].tail(2)
    )
    made = preparation.write(replace(made, known=made.known[~lacking]))
    planned = choices.plan(made, "said", None, answers=file, out=tmp_path / "o", alpha=0.5)
    judged = run.run(planned).judgement
    assert (judged.vote.positive, judged.vote.negative, judged.vote.filtered) == (4, 0, 2)
    assert judged.evidence["status"].tolist() == ["positive"] * 4 + ["filtered"] * 2
    known = preparation.known_evidence(made, planned.draws).groupby("model")["status"]
    counts = known.value_counts().unstack(fill_value=0)["filtered"]
    assert counts["llama-untuned"] == 2 and counts.sum() == 2
    assert judged.rank.supports == judged.reach.attainable == 1.0


def test_controls_are_counted_by_as_many_answers_as_are_asked_for(prepared, server):
    """One answered at first to one prompt alone: of one answer each it is no control."""
    made = prepared(6, controls=5)
    other = made.known["sample_id"].ne(made.tainted["sample_id"].iloc[0])
    lacking = made.known["suspect"].eq("llama-untuned") & made.known["draw"].eq(0) & other
    made = preparation.write(replace(made, known=made.known[~lacking]))
    allowed = {}
    for draws in (1, 2):
        planned = plan(made, server, draws=draws)
        known = preparation.known_evidence(made, draws)
        allowed[draws] = reach.reach(planned, planned.samples, 6).attainable
        assert allowed[draws] == controls.test([0.1] * 6, known[~known["member"]]).supports
    assert allowed[1] > allowed[2]


def test_a_refusal_now_and_then_costs_no_evidence(prepared, server):
    """One draw of each prompt is an answer: the votes and p are those of one that answers all."""
    folder = prepared(5)
    healthy = knows(folder)
    refusal = reply("I cannot help with that, sorry.")
    server.script = lambda prompt, n: healthy(prompt, n) if n == 1 else refusal
    judged = run.run(plan(folder, server, stop_early=False)).judgement
    assert given(judged.statuses) == {"answered": 5, "refused": 10}
    assert judged.vote.positive == 5 and judged.p == pytest.approx(1 / 2)


def test_without_controls_there_is_a_vote_and_no_p(prepared, server):
    folder = prepared(5, controls=0)
    server.script = knows(folder)
    planned = plan(folder, server)
    outcome = run.run(planned)
    judged = outcome.judgement
    assert (judged.p, judged.rank, judged.vote.verdict) == (None, None, "member")
    assert judged.rank_of_all is None
    assert judged.answer is Answer.CANNOT
    assert conclusion.after(planned, judged, {}).startswith("No p-value can be given")
    assert outcome.ended is Ended.ALL_PROMPTED


def test_an_answer_with_several_gaps_counts_once():
    rows = [("s", 0, "r1"), ("s", 0, "r2"), ("s", 1, "r1"), ("t", 0, "r1")]
    answers = pd.DataFrame(rows, columns=["sample_id", "draw", "reference"])
    assert judgement.once(answers).index.tolist() == [0, 2, 3]
