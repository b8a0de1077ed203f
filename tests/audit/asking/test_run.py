"""Asking a served model: no trouble loses, repeats, overspends or reveals anything."""

import json
import logging
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
import warnings
from itertools import count

import pytest
from asking import audits_of, facts, knows, numbers, plan, seeds, stored, stranger, vote
from helpers import STRANGER, says, telling
from servers import KEY, cut_before, cut_within, error, page, reply, silent

from dsi_core.audit.asking import cost, run, storage, unanswered
from dsi_core.audit.asking.run import Ended
from dsi_core.audit.dry_run import dry_run
from dsi_core.audit.preparation import prepared as preparation
from dsi_core.audit.report import record
from dsi_core.evidence import controls
from dsi_core.services import client
from dsi_core.services import reply as reply_of
from dsi_core.services.trial import PROBE, EndpointError


def last_line(done) -> str:
    """What stands on stderr below the progress bar."""
    return done.stderr.splitlines()[-1]


# --- When it stops -----------------------------------------------------------------------------


def test_it_stops_asking_when_the_controls_suffice(prepared, server):
    """Five samples are the fewest that count; then p = 1/2 in each stratum. None in a rerun."""
    folder = prepared(12, controls=5)
    server.script = knows(folder)
    early = plan(folder, server, alpha=0.5)
    outcome = run.run(early)
    assert outcome.ended is Ended.STOPPED_EARLY
    assert outcome.judgement.samples == controls.MIN_SAMPLES == 5
    assert outcome.judgement.p == pytest.approx(1 / 2)
    assert len(server.asked) == len(storage.answers(early)) == 15
    assert set(server.prompts()) == set(folder.tainted["prompt"].head(5))
    assert numbers(run.run(early)) == numbers(outcome) and len(server.asked) == 15


def test_it_asks_everything_of_a_stranger(prepared, server):
    folder = prepared(12, controls=5)
    server.script = stranger
    whole = plan(folder, server, alpha=0.5)
    assert run.run(whole).ended is Ended.ALL_PROMPTED
    assert len(server.asked) == len(storage.answers(whole)) == 36


def test_what_judging_warns_of_is_told_once(prepared, server, monkeypatch):
    """Texts that bert-score cuts are counted anew at each look: the last count is told."""
    counts, honest = count(1), run.judge.judge

    def judge(plan, answers):
        warnings.warn(f"{next(counts)} texts are cut", stacklevel=2)
        return honest(plan, answers)

    monkeypatch.setattr(run.judge, "judge", judge)
    server.script = stranger
    with telling() as told:
        run.run(plan(prepared(12, controls=5), server, alpha=0.5))
    assert [str(one.message) for one in told] == [f"{next(counts) - 1} texts are cut"]
    assert next(counts) > 4  # it was judged several times


def test_what_every_request_holds(prepared, server):
    folder = prepared(5)
    server.script = stranger
    how = {"draws": 2, "temperature": 0.5, "system": "Be brief.", "stop_early": False}
    run.run(plan(folder, server, **how))
    assert len(server.asked) == len({body["seed"] for body in server.asked}) == 10
    for body in server.asked:
        assert body["messages"][0] == {"role": "system", "content": "Be brief."}
        assert (body["temperature"], body["max_tokens"], body["model"]) == (0.5, 48, "m-1")
    assert {h["authorization"] for h in server.headers} == {f"Bearer {KEY}"}


# --- Faults on the way -------------------------------------------------------------------------

FAULTS = {
    "429": error(429, "slow down", **{"Retry-After": "2.5"}),
    "500": error(500, "broken"),
    "503 page": (503, {"Content-Type": "text/html"}, b"<html>busy</html>"),
    "silent": silent,
    "cut before": cut_before,
    "cut within": cut_within,
    "half JSON": page(b'{"choices": [{"message"'),
    "no choices": reply("", choices=[]),
    "HTML page": page(b"<html><h1>Sign in</h1></html>", "text/html"),
    "latin-1": page(
        '{"choices": [{"message": {"content": "Stra\xdfe und noch viel mehr"}}]}'.encode("latin-1")
    ),
    "boundless": reply("x" * 10_000_000),  # where more than 1 MB is not read
}


@pytest.fixture
def fault(request, monkeypatch):
    """A fault, and the time-out that is short enough to meet it."""
    monkeypatch.setattr(client, "BODY_BYTES", 10**6)
    return FAULTS[request.param], 1 if FAULTS[request.param] is silent else 60


@pytest.mark.parametrize("fault", FAULTS, indirect=True)
def test_a_fault_that_passes_changes_no_number(prepared, server, pauses, fault):
    """Once for each of five prompts; the pause is what a Retry-After says, else 1 to 2 seconds."""
    folder, (fault, timeout) = prepared(5), fault
    server.script = healthy = knows(folder)
    wanted = run.run(plan(folder, server, name="healthy", stop_early=False))
    server.asked.clear()
    server.script = lambda prompt, n: fault if n == 0 else healthy(prompt, n)
    faulty = plan(folder, server, stop_early=False, timeout=timeout)
    assert numbers(run.run(faulty)) == numbers(wanted)
    assert len(server.asked) == 15 + 5 == storage.answers(faulty)["requests"].sum()
    assert len(pauses) == 5
    shortest, longest = (2.5, 2.5) if fault == FAULTS["429"] else (1, 2)
    assert all(shortest <= pause <= longest for pause in pauses)


@pytest.mark.parametrize(
    "fault", ["429", "silent", "cut within", "HTML page", "boundless"], indirect=True
)
def test_after_a_fault_that_stays_a_rerun_asks_only_the_rest(prepared, server, pauses, fault):
    """From the second prompt on it fails; with a healthy server it ends as if nothing had been."""
    folder, (fault, timeout) = prepared(5), fault
    healthy, bad = knows(folder), folder.tainted.iloc[1]
    fails = {bad["prompt"], PROBE}
    server.script = lambda prompt, n: fault if prompt in fails else healthy(prompt, n)
    interrupted = plan(folder, server, stop_early=False, timeout=timeout)
    with pytest.raises(EndpointError) as caught:
        run.run(interrupted)
    says(caught, "m-1 at ", server.url, f"sample {bad['sample_id']}", "request 2 of 2")
    kept = stored(folder.folder)
    assert 3 <= len(kept) <= 12 and len(str(caught.value)) < 600
    server.asked.clear()
    server.script = healthy
    outcome = run.run(interrupted)
    asked = {body["seed"] for body in server.asked}
    assert asked.isdisjoint(seeds(kept, folder.folder))
    assert asked < seeds(stored(folder.folder), folder.folder)
    assert len(asked) == len(server.asked) == 15 - len(kept)
    assert stored(folder.folder)[: len(kept)] == kept
    healthy_plan = plan(folder, server, name="healthy", stop_early=False)
    assert numbers(outcome) == numbers(run.run(healthy_plan))


def test_a_10_mb_answer_is_kept_as_long_as_an_honest_one_may_be(prepared, server):
    folder = prepared(5)
    first, healthy = folder.tainted.iloc[0], knows(folder)
    long = reply(f"{first['output']} " + "\u20ac" * 3_400_000)
    server.script = lambda prompt, n: long if prompt == first["prompt"] else healthy(prompt, n)
    done = plan(folder, server, stop_early=False)
    outcome = run.run(done)
    answers = storage.answers(done).set_index(["sample_id", "draw"])
    text = answers.loc[(first["sample_id"], 0), "response"]
    assert text.startswith(first["output"])
    assert 0 <= 48 * reply_of.MOST_BYTES_PER_TOKEN - len(text.encode()) < 3
    assert outcome.ended is Ended.ALL_PROMPTED and outcome.judgement.vote.positive >= 4
    assert len(server.asked) == 15


def test_a_server_that_fails_for_good_is_one_line_and_exit_3(prepared, server, pauses, cli):
    """Wrong key, unknown model: no request is repeated. Then a rerun ends well."""
    folder = prepared(5)
    server.script = lambda prompt, n: error(401, "who are\nyou?")
    done = cli(folder.folder, "--concurrency", "1")
    assert (done.exit_code, done.stdout, len(server.asked), pauses) == (3, "", 1, [])
    sample = folder.tainted["sample_id"].iloc[0]
    assert last_line(done) == (
        f"error: m-1 at {server.url}, sample {sample}: status 401: who are you? "
        "(the key in TEST_KEY is not accepted)"
    )
    server.script = knows(folder)
    done = cli(folder.folder)
    assert done.exit_code == 0 and "5 positive (evidence above delta_s = 0.3)" in done.stdout
    assert facts(folder.folder)["vote"]["verdict"] == "member"


# --- What stays secret -------------------------------------------------------------------------


def test_the_key_is_in_no_file_no_log_and_no_output(
    prepared, server, pauses, cli, caplog, tmp_path
):
    """Also when the server's errors quote it, in a run that fails and in one that ends well."""
    caplog.set_level(logging.DEBUG)
    folder = prepared(5)
    healthy, said = knows(folder), ""
    for trouble in (
        error(401, f"Bearer {KEY} is wrong"),
        error(500, KEY),
        page(f"<p>{KEY}".encode()),
        (403, {}, json.dumps({"detail": [KEY]}).encode()),
    ):
        server.script = lambda prompt, n, trouble=trouble: trouble
        done = cli(folder.folder)
        assert done.exit_code == 3
        said += done.output
    server.asked.clear()
    server.script = lambda prompt, n: error(500, KEY) if n == 0 else healthy(prompt, n)
    done = cli(folder.folder)
    said += done.output
    assert done.exit_code == 0 and len(server.asked) == 20
    assert all(h["authorization"] == f"Bearer {KEY}" for h in server.headers)
    files = [f for f in tmp_path.rglob("*") if f.is_file()]
    names = {"audit.json", "responses.jsonl", "report.html", "evidence.csv", "prepared.json"}
    assert names <= {f.name for f in files}
    assert not [f for f in files if KEY[:12].encode() in f.read_bytes()]
    logged = caplog.text + str([vars(r) for r in caplog.records])
    assert caplog.records and KEY[:12] not in logged + said and "[key]" in said


def test_a_password_in_the_address_is_in_no_file(prepared, server, cli, tmp_path):
    folder = prepared(5)
    server.script = knows(folder)
    address = server.url.replace("//", "//name:word-0123@")
    done = cli(folder.folder, "--base-url", address, "--model", "m-1", suspect=False)
    assert done.exit_code == 0 and facts(folder.folder)["suspect"]["api"] == server.url
    assert "word-0123" not in done.output
    files = [f for f in tmp_path.rglob("*") if f.is_file()]
    assert not [f for f in files if b"word-0123" in f.read_bytes()]


def test_only_its_owner_may_read_what_the_suspect_said(prepared, server, cli):
    """Audit.json, the plan and the report are made to be shown."""
    folder = prepared(5)
    server.script = knows(folder)
    assert cli(folder.folder).exit_code == 0
    (audit,) = audits_of(folder.folder).iterdir()
    shown = {"audit.json", "report.html", "plan.json", "service.json", "files.sha256", ".lock"}
    modes = {f.name: stat.S_IMODE(f.stat().st_mode) for f in audit.iterdir()}
    private = {name for name, mode in modes.items() if mode == 0o600}
    assert {"responses.jsonl", "answers.jsonl", "evidence.csv", "known.csv"} <= private
    assert set(modes) - private <= shown


def test_answers_are_private_from_their_first_byte(prepared, server):
    """While the suspect is still being asked, too."""
    folder = prepared(5)
    modes = set()

    def script(prompt, n):
        (file,) = audits_of(folder.folder).glob("*/responses.jsonl")
        modes.add(stat.S_IMODE(file.stat().st_mode))
        return reply(STRANGER)

    server.script = script
    run.run(plan(folder, server))
    assert modes == {0o600}


# --- kill -9, and where an audit lies ----------------------------------------------------------


def test_a_killed_audit_goes_on_where_it_was(prepared, server, cli, options, tmp_path):
    """Killed with 20 of 36 answers on the disk, four questions open: the rerun asks the other 16.

    It ends with the numbers of an audit that nothing interrupted.
    """
    folder = prepared(12)
    server.script = healthy = knows(folder)
    assert cli(folder.folder, "--out", "whole").exit_code == 0 and len(server.asked) == 36
    server.asked.clear()
    number = count()

    def script(prompt, n):
        if next(number) >= 20:
            time.sleep(600)
        return healthy(prompt, n)

    server.script = script
    command = [sys.executable, "-m", "dsi_core", "audit", "--prepared", str(folder.folder)]
    with subprocess.Popen(
        [*command, *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=tmp_path
    ) as process:
        try:
            until(lambda: len(server.asked) == 24 or process.poll() is not None, 600)
            until(lambda: len(stored(folder.folder)) == 20, 60)
        finally:
            process.send_signal(signal.SIGKILL)
    kept = stored(folder.folder)
    server.asked.clear()
    server.script = healthy
    assert cli(folder.folder).exit_code == 0
    assert len(server.asked) == 16
    assert {body["seed"] for body in server.asked}.isdisjoint(seeds(kept, folder.folder))
    assert stored(folder.folder)[:20] == kept
    assert len(seeds(stored(folder.folder), folder.folder)) == 36
    (other,) = (tmp_path / "whole").glob("*/audit.json")
    resumed, whole = facts(folder.folder), json.loads(other.read_text())
    assert resumed["queried"]["answers"] == resumed["queried"]["requests"] == 36
    for said in (resumed, whole):
        for part, name in (
            (said, "made"),
            (said, "sha256"),
            (said["queried"], "first"),
            (said["queried"], "last"),
            (said["dataset"], "folder"),
            (said, "command"),
            (said, "root"),
            (said, "audits"),
            (said["settings"], "begun"),
        ):
            part.pop(name)
    assert resumed == whole


def test_what_is_under_way_at_ctrl_c_is_counted_and_paid(prepared, server):
    """After eight answers some questions are open: a rerun asks them again, within its budget."""
    folder, how = prepared(12), {"stop_early": False, "price_in": 1, "price_out": 1}
    healthy, number, goes_on = knows(folder), count(), threading.Event()
    first = plan(folder, server, **how)

    def script(prompt, n):
        mine = next(number)
        if mine == 8:
            until(lambda: len(storage.answers(first)) == 8, 30)
            time.sleep(0.5)  # others are on their way, too, and the audit waits for them
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        if mine >= 8:
            goes_on.wait(30)
        return healthy(prompt, n)

    server.script = script
    # a shell's background job ignores it
    usual = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            run.run(first)
    finally:
        signal.signal(signal.SIGINT, usual)
    goes_on.set()
    broken_off = plan(folder, server, budget="20", **how)
    kept, open_ = len(storage.answers(broken_off)), len(server.asked) - 8
    assert kept == 8 and 1 <= open_ <= 4
    assert unanswered.read(broken_off.folder)["requests"].tolist() == [1] * open_
    assert cost.used(broken_off, storage.answers(broken_off)) == 8 + open_
    server.script = healthy
    outcome = run.run(broken_off)
    assert len(server.asked) <= 20 and outcome.judgement.answers >= 15
    whole = plan(folder, server, **how)
    said = record.write(whole, run.run(whole)).facts.queried
    assert said.requests == len(server.asked) == 36 + open_ and said.without_answer == open_


def until(condition, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)


def test_an_audit_leaves_nothing_but_its_log_in_the_prepared_folder(prepared, server, cli):
    folder = prepared(5)
    before = {f.name: f.read_bytes() for f in folder.folder.iterdir()}
    server.script = knows(folder)
    done = cli(folder.folder)
    assert done.exit_code == 0 and "audits/boxes/m-1-" in done.stderr
    after = {f.name: f.read_bytes() for f in folder.folder.iterdir()}
    (entry, end) = map(json.loads, after.pop("audits.jsonl").splitlines())
    assert after == before
    assert (entry["suspect"], end["answer"]) == ("m-1", "cannot find")
    (audit,) = audits_of(folder.folder).iterdir()
    assert done.stdout.splitlines()[-1] == str(audit.relative_to(audit.parents[2]) / "report.html")


def test_asked_again_when_answers_are_gone_it_is_another_audit(prepared, server):
    """With a larger budget, and judged again, it stays one; without an end it is in the log too."""
    folder = prepared(5)
    server.script = knows(folder)

    def number(**how) -> int:
        audit = plan(folder, server, draws=1, stop_early=False, **how)
        counted = record.write(audit, run.run(audit)).facts.audits
        assert counted.number == counted.of and len(storage.answers(audit)) <= 5
        return counted.of

    assert [number(budget="2"), number(budget="3"), number(), number()] == [1, 1, 1, 1]
    (path,) = audits_of(folder.folder).glob("*/responses.jsonl")
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.rindex(b'{"sample_id"')])  # the last one
    with pytest.warns(UserWarning, match="no longer holds the answers .* another audit"):
        assert number() == 2
    assert number() == 2
    path.unlink()
    with pytest.warns(UserWarning, match="another audit"):
        run.run(plan(folder, server, draws=1, stop_early=False))  # no report: no end
    path.unlink()
    with pytest.warns(UserWarning, match="another audit"):
        assert number() == 4
    shutil.rmtree(path.parent)
    with pytest.warns(UserWarning, match="another audit"):
        assert number() == 5
    assert len(server.asked) == 5 + 1 + 5 + 5 + 5


# --- Budgets -----------------------------------------------------------------------------------


def test_a_budget_in_queries_is_never_exceeded(prepared, server):
    """Whole samples only: 10 queries are 3 samples of 3. A larger one asks only the difference."""
    folder = prepared(12)
    server.script = stranger
    outcome = run.run(plan(folder, server, budget="10"))
    assert (outcome.judgement.samples, len(server.asked)) == (3, 9)
    assert outcome.ended is Ended.BUDGET_SPENT
    later = run.run(plan(folder, server, budget="18"))
    assert later.judgement.answers == len(server.asked) == 18


def gets_nonsense_first(prompt, n):
    """May be billed as the answer is, which has 3 tokens by the service's count."""
    return reply(STRANGER) if n % 2 else (200, {}, b"?")


def test_repeated_requests_do_not_exceed_a_budget_in_queries(prepared, server):
    """What is under way when no more is allowed has no answer; a rerun asks nothing."""
    folder = prepared(12)
    server.script = gets_nonsense_first
    planned = plan(folder, server, draws=1, stop_early=False, budget="13")
    outcome = run.run(planned)
    assert outcome.ended is Ended.BUDGET_SPENT and 1 <= outcome.judgement.answers <= 6
    assert cost.used(planned, storage.answers(planned)) == len(server.asked) == 13
    run.run(planned)
    assert len(server.asked) == 13


def test_repeated_requests_do_not_exceed_a_budget_in_money(prepared, server):
    """Nonsense may cost 145 millionths, an answer costs 55: it asks while 145 are left."""
    folder = prepared(12)
    server.script = gets_nonsense_first
    how = {"budget": "0.00174 USD", "price_in": 1, "price_out": 2}
    outcome = run.run(plan(folder, server, draws=1, stop_early=False, **how))
    lost = len(server.asked) - outcome.judgement.answers
    assert outcome.cost == pytest.approx(lost * 145e-6 + outcome.judgement.answers * 55e-6)
    assert 0.00174 - 145e-6 < outcome.cost <= 0.00174 and outcome.ended is Ended.BUDGET_SPENT


@pytest.mark.parametrize("stop_early", [True, False])
def test_a_budget_in_money_without_the_servers_count_reckons_the_worst(
    prepared, server, stop_early
):
    """A query reads at most 17 + 32 and writes at most 48 tokens.

    That is 49 + 2 x 48 = 145 millionths, a sample 435.
    """
    folder = prepared(10)
    server.script = lambda prompt, n: reply(STRANGER, usage=None)
    how = {"price_in": 1, "price_out": 2, "stop_early": stop_early}
    outcome = run.run(plan(folder, server, budget="0.00175 USD", **how))
    assert (outcome.judgement.samples, outcome.judgement.answers, len(server.asked)) == (4, 12, 12)
    assert outcome.ended is Ended.BUDGET_SPENT
    assert outcome.cost == pytest.approx(12 * 145e-6)


@pytest.mark.parametrize("stop_early", [True, False])
def test_a_budget_in_money_goes_by_the_servers_count(prepared, server, stop_early):
    """A query costs 20 + 2 x 10 = 40 millionths, a sample 120, but may cost 435.

    It asks while that much is left: 11 samples and no more.
    """
    folder = prepared(18)
    usage = {"prompt_tokens": 20, "completion_tokens": 10}
    server.script = lambda prompt, n: reply(STRANGER, usage=usage)
    how = {"budget": "0.00165 USD", "price_in": 1, "price_out": 2, "stop_early": stop_early}
    outcome = run.run(plan(folder, server, **how))
    assert outcome.cost == pytest.approx(len(server.asked) * 40e-6)
    assert outcome.ended is Ended.BUDGET_SPENT
    assert 0.00165 - 438e-6 <= outcome.cost <= 0.00165 and outcome.judgement.samples == 11
    again = run.run(plan(folder, server, **how))
    assert again.judgement.answers == len(server.asked) == 33


def test_the_vote_needs_no_answers_beyond_those_of_the_plan(prepared, server):
    """One draw of each: as many votes."""
    folder = prepared(5)
    server.script = knows(folder)
    outcome = run.run(plan(folder, server, draws=1, stop_early=False))
    assert vote(outcome)["positive"] == 5 and len(server.asked) == 5


def test_a_copy_of_a_preparation_goes_on_with_the_same_audit(prepared, server, tmp_path):
    """The folder's name is of its content, not of where it lies."""
    folder = prepared(5)
    server.script = knows(folder)
    run.run(plan(folder, server, budget="9"))
    moved = preparation.read(shutil.copytree(folder.folder, tmp_path / "moved"))
    assert dry_run(plan(moved, server, budget="9")).already_answered == 9
