"""A suspect that thinks before it answers; replies that are no answers: what counts and pays."""

import json

import pytest
import twins
from asking import facts, given, knows, plan, stored, vote
from helpers import STRANGER, write_jsonl
from servers import error, reply

from dsi_core.audit import choices, conclusion
from dsi_core.audit.asking import cost, run, storage
from dsi_core.audit.asking.run import Ended
from dsi_core.audit.asking.unanswered import read as in_vain
from dsi_core.audit.report import asked, record
from dsi_core.protect import kit as kits
from dsi_core.services.trial import EndpointError

MUSING = "The user wants to know what is in some box. Boxes hold all kinds of things, " * 8
TAGS = {"completion_tokens_details": {"reasoning_tokens": 40}, "completion_tokens": 60}
HOW = {
    "tags": lambda text: reply(f"<think>\n{MUSING}\n</think>\n\n{text}"),
    "no opening tag": lambda text: reply(f"{MUSING}\n</think>\n\n{text}"),
    "channels": lambda text: reply(
        f"<|channel|>analysis<|message|>{MUSING}<|end|><|start|>assistant<|channel|>final"
        f"<|message|>{text}<|return|>"
    ),
    "parts": lambda text: reply(
        [{"type": "thinking", "thinking": MUSING}, {"type": "text", "text": text}]
    ),
}


def thinking(folder, how):
    healthy = knows(folder)

    def script(prompt, n):
        body = json.loads(healthy(prompt, n)[2])
        return HOW[how](body["choices"][0]["message"]["content"])

    return script


@pytest.mark.parametrize("how", HOW)
def test_a_member_that_thinks_first_is_a_member(prepared, server, how):
    folder = prepared(6)
    server.script = knows(folder)
    silent = run.run(plan(folder, server, name="silent", stop_early=False, draws=1))
    server.script = thinking(folder, how)
    thoughtful = plan(folder, server, stop_early=False, draws=1)
    outcome = run.run(thoughtful)
    assert vote(outcome) == vote(silent) and vote(outcome)["positive"] == 6
    assert outcome.judgement.p == silent.judgement.p
    assert set(storage.answers(thoughtful)["response"]) == set(folder.tainted["output"])
    said = record.write(thoughtful, outcome).facts
    assert (said.queried.thoughts, said.queried.only_thoughts, said.hints) == (6, 0, [])


NO_ANSWERS = {
    "unclosed": (reply(f"<think>{MUSING}", "length", tokens=48), "thought"),
    "nothing at the limit": (reply("", "length", tokens=48), "thought"),
    "the thought elsewhere": (
        reply(None, choices=[{"message": {"content": None, "reasoning_content": MUSING}}]),
        "thought",
    ),
    "null": (reply(None), "empty"),
    "a tool": (reply(f"{STRANGER} Wait.", "tool_calls"), "tool call"),
    "sensitive": (reply(STRANGER, "sensitive"), "filtered"),
    "max_tokens": (reply(STRANGER, "max_tokens"), "truncated"),
    "too much context": (reply(STRANGER, "model_context_window_exceeded"), "truncated"),
    "nobody knows": (reply(STRANGER, "who_knows"), "unknown ending"),
}


@pytest.mark.parametrize("how", NO_ANSWERS)
def test_what_is_no_answer_is_asked_once_and_is_no_evidence(prepared, server, how):
    folder = prepared(5)
    said, status = NO_ANSWERS[how]
    server.script = lambda prompt, n: said
    outcome = run.run(plan(folder, server, stop_early=False, draws=1))
    assert len(server.asked) == 5 and given(outcome.judgement.statuses) == {status: 5}
    assert vote(outcome) == {"verdict": "inconclusive", "positive": 0, "negative": 0, "filtered": 5}


@pytest.mark.parametrize(
    ("said", "words"),
    [(NO_ANSWERS["unclosed"][0], "thoughts without"), (reply(""), "of the kind 'empty' .no text")],
)
def test_a_suspect_that_never_answers_is_told_early(prepared, server, said, words):
    """After five samples of twelve, once; whoever pays may stop there."""
    folder = prepared(12)
    server.script = lambda prompt, n: said
    with pytest.warns(UserWarning, match=f"all 5 replies so far are {words}") as told:
        outcome = run.run(plan(folder, server, draws=1))
    seen = [one for one in told if "so far are" in str(one.message)]
    assert len(seen) == 1 and len(server.asked) == 12
    kinds = {str(kind): count for kind, count in outcome.judgement.statuses.items() if count}
    assert list(kinds.values()) == [12] and "answered" not in kinds
    concluded = conclusion.after(plan(folder, server, draws=1), outcome.judgement, {})
    assert f"no evidence: 12 {next(iter(kinds))}." in concluded


def test_a_budget_buys_as_many_requests(prepared, server):
    folder = prepared(6)
    server.script = lambda prompt, n: NO_ANSWERS["the thought elsewhere"][0]
    assert run.run(plan(folder, server, budget="6")).ended is Ended.BUDGET_SPENT
    assert len(server.asked) == 6


def test_half_a_text_of_a_broken_service_is_asked_again(prepared, server, pauses):
    folder = prepared(5)
    healthy = knows(folder)
    server.script = lambda prompt, n: healthy(prompt, n) if n else reply("Box 1 ho", "error")
    outcome = run.run(plan(folder, server, stop_early=False, draws=1))
    assert vote(outcome)["positive"] == 5 and len(server.asked) == 10


def test_thoughts_have_room_of_their_own_and_the_report_says_so(prepared, server, cli):
    """48 new tokens of an answer, 500 more for the thought; and without them a hint."""
    folder = prepared(5)
    server.script = thinking(folder, "tags")
    done = cli(
        folder.folder, "--reasoning-tokens", "500", "--responses", "1", "--dry-run", "--json"
    )
    most = json.loads(done.stdout)["at most"]
    assert most["tokens written"] == 5 * 548
    done = cli(folder.folder, "--reasoning-tokens", "500", "--responses", "1")
    assert done.exit_code == 0 and "reasoning-tokens" not in done.stdout
    assert {body["max_tokens"] for body in server.asked} == {548}
    said = facts(folder.folder)
    assert said["settings"]["reasoning tokens"] == 500 and said["queried"]["thoughts"] == 5
    again = cli(folder.folder, "--responses", "1")
    assert again.exit_code == 2 and "--reasoning-tokens" in again.stderr
    server.script = lambda prompt, n: NO_ANSWERS["unclosed"][0]
    other = cli(folder.folder, "--responses", "1", "--out", "other")
    assert "5 of 5 replies ran out of room" in other.stdout and "--reasoning-tokens" in other.stdout
    server.script = lambda prompt, n: reply(f"<think>{MUSING}", "stop")
    ended = cli(folder.folder, "--responses", "1", "--out", "ended")
    assert "5 of 5 replies ended as a thought" in ended.stdout
    assert "--reasoning-tokens gives" not in ended.stdout


def test_only_requests_have_room_for_thoughts(prepared, cli):
    done = cli(prepared(5).folder, "--suspect", "a/b", "--reasoning-tokens", "9", suspect=False)
    assert done.exit_code == 2 and "--reasoning-tokens goes with --base-url" in done.stderr


def test_an_answer_with_room_for_a_thought_is_compared_as_long_as_others(prepared, server):
    """Without a thought it could be ten times as long: what follows 48 tokens is cut off."""
    folder = prepared(5)
    words = " ".join(f"w{i:04}" for i in range(480))
    server.script = lambda prompt, n: reply(words, tokens=480)
    how = {"stop_early": False, "neutral": 0, "out": folder.folder.parent / "audits"}
    roomy = choices.plan(folder, "m", _roomy(server), **how)
    run.run(roomy)
    answers = storage.answers(roomy)
    assert answers["cut"].all() and (answers["response"].str.len() == len(words) // 10).all()


def test_a_report_says_how_much_of_an_answer_is_compared(prepared, server):
    """Up to the limit where the service keeps to it, up to 64 bytes a token where it does not."""
    folder = prepared(5)
    short, long = "Box 1 holds linen and wool.", " ".join(f"w{i:04}" for i in range(1000))
    server.script = lambda prompt, n: reply(*((long, "stop", 900) if n else (short, "stop", 9)))
    how = {"stop_early": False, "draws": 2}
    said = _asked_how(plan(folder, server, **how))
    assert "up to 48 new tokens of an answer are compared where the service keeps to" in said[0]
    assert "up to 3,072 bytes (5 of 10 answers were longer)" in said[0]
    assert "answers of control models end after 48 tokens: they and the suspect" in said[1]
    where = "m", _roomy(server)
    roomy = choices.plan(folder, *where, out=folder.folder.parent / "o", neutral=0, **how)
    server.asked.clear()
    said = _asked_how(roomy)
    assert "compared (as the service counts them, or else 4 bytes for each; 5 of 10 " in said[0]
    assert "500 more are for a thought" in said[0] and "bytes (" not in said[0] and not said[1]
    server.script = lambda prompt, n: reply(short)
    said = _asked_how(plan(folder, server, name="m-2", **how))
    assert "(0 of 10 answers were longer)" in said[0] and not said[1]


def _asked_how(planned) -> tuple[str, str]:
    """What the report says of the way of asking, and the caution."""
    rows = dict(asked.who_asked_what(record.write(planned, run.run(planned))).rows)
    return rows["Asked how"], rows.get("Caution", "")


def _roomy(server):
    from dsi_core.settings.schema import Endpoint, Model

    where = Endpoint(base_url=server.url, model="m-1", reasoning_tokens=500)
    return Model(endpoint=where)


# --- What was billed ---------------------------------------------------------------------------


def test_tokens_of_thoughts_and_of_requests_in_vain_are_paid(prepared, server, pauses):
    """Five answers of 20 + 2 x 60 millionths, each after an empty reply of 10 + 2 x 7."""
    folder = prepared(5)
    healthy = knows(folder)
    usage = {"prompt_tokens": 20, **TAGS}
    billed = {"prompt_tokens": 10, "completion_tokens": 7}

    def script(prompt, n):
        text = json.loads(healthy(prompt, n)[2])["choices"][0]["message"]["content"]
        return reply(text, usage=usage) if n else reply("", choices=[], usage=billed)

    server.script = script
    how = {"price_in": 1, "price_out": 2, "stop_early": False, "draws": 1}
    audit = plan(folder, server, **how)
    outcome = run.run(audit)
    assert outcome.cost == pytest.approx(5 * (140 + 24) * 1e-6)
    said = record.write(audit, outcome).facts.queried
    assert (said.requests, said.without_answer) == (10, 5)
    assert (said.tokens_read, said.tokens_written) == (5 * 30, 5 * 67)
    assert said.tokens_of_thoughts == 5 * 40


def test_nonsense_that_says_nothing_of_tokens_costs_the_most_it_can(prepared, server, pauses):
    """Refused requests (429) cost nothing, and count in no budget."""
    folder = prepared(5)
    healthy = knows(folder)
    trouble = [error(429), reply("", choices=[], usage=None)]
    server.script = lambda prompt, n: trouble[n] if n < 2 else healthy(prompt, n)
    audit = plan(folder, server, budget="6", price_in=1, price_out=2, draws=1, attempts=4)
    outcome = run.run(audit)
    # five samples would cost ten requests: what is begun when six are paid has no answer
    said = storage.answers(audit)
    assert cost.used(audit, said) == 6 and outcome.ended is Ended.BUDGET_SPENT
    assert outcome.cost == pytest.approx(145e-6 * (6 - len(said)) + (49e-6 + 6e-6) * len(said))
    assert 1 <= len(said) <= 3


def test_questions_in_vain_are_paid_and_count(prepared, server, pauses):
    """A question that nobody ever answers is remembered; a rerun reckons with what it cost."""
    folder = prepared(5)
    usage = {"prompt_tokens": 10, "completion_tokens": 7}
    server.script = lambda prompt, n: reply("", choices=[], usage=usage)
    how = {"price_in": 1, "price_out": 2, "stop_early": False, "draws": 1, "attempts": 6}
    with pytest.raises(EndpointError):
        run.run(plan(folder, server, **how))
    vain = in_vain(plan(folder, server, **how).folder)
    assert len(server.asked) == vain["requests"].sum() == 4 and len(stored(folder.folder)) == 0
    server.script = knows(folder)
    rerun = plan(folder, server, budget="6", **how)
    outcome = run.run(rerun)
    assert outcome.ended is Ended.BUDGET_SPENT and outcome.judgement.samples == 2
    most = cost.spent(rerun, storage.answers(rerun))
    assert outcome.cost == most and most > 4 * 24e-6


# --- Models that are not asked here ------------------------------------------------------------


def test_thoughts_in_a_file_of_answers_are_cut_off(prepared, cli):
    folder = prepared(5)
    rows = folder.tainted[["prompt", "output"]].to_dict("records")
    said = [{"prompt": r["prompt"], "response": f"<think>hm</think>{r['output']}"} for r in rows]
    said[0]["response"] = "<think>hm and"
    answers = write_jsonl(folder.folder.parent / "said.jsonl", said)
    done = cli(folder.folder, "--answers", str(answers), suspect=False)
    found = facts(folder.folder)
    assert done.exit_code == 0 and found["vote"]["positive"] == 4
    assert found["statuses"]["thought"] == 1 and found["queried"]["thoughts"] == 5


def test_a_dataset_of_thoughts_is_compared_by_its_answers(tmp_path, server):
    """What a kit's texts think first is no part of what an answer is compared with."""
    rows = [
        {name: text if name == "question" else f"<think>{MUSING}</think>{text}"}
        | {"question": row["question"]}
        for row in twins.rows(8)
        for name, text in [("answer", row["answer"])]
    ]
    data = write_jsonl(tmp_path / "boxes.jsonl", rows)
    kit = kits.make(data, tmp_path / "kit", salt=twins.SALT, prompt=("question",), output="answer")
    server.script = twins.knows(kit)
    close = run.run(plan(kit, server, stop_early=False, draws=1)).judgement.evidence
    assert (close.loc[close["published"], "close"] == 1).all()
