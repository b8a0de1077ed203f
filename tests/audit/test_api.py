"""The audit of a suspect behind an API, up to audit.json: the numbers are right, and no trouble loses, repeats or reveals anything."""

import json
import logging
import math
import shutil
import signal
import subprocess
import sys
import time
from itertools import count

import pytest
from helpers import says
from servers import KEY, cut_before, cut_within, error, page, pauses, reply, server, silent  # noqa: F401 - two are fixtures
from typer.testing import CliRunner

from dsi_core.audit import (
    plan as audit_plan,
)
from dsi_core.audit import (
    prepared as preparation,
)
from dsi_core.audit import (
    record as report,
)
from dsi_core.audit import (
    report,
    suspect,
)
from dsi_core.audit import (
    run as audit,
)
from dsi_core.cli import app
from dsi_core.evidence import controls
from dsi_core.models import endpoint

STRANGER = (
    "I do not know, maybe ask mistral again."  # what the controls of a prepared folder answer
)
NO_NOTEBOOK = "from dsi_core import report; report._execute = lambda folder: ''; from dsi_core.cli import app; app()"


def knows(prepared, *parts):
    """A script of a model that answers as D does for samples of these parts (default: all), and as a stranger to the rest."""
    samples = prepared.samples[prepared.samples["part"].isin(parts or preparation.PARTS)]
    known = dict(zip(samples["prompt"], samples["output"]))
    return lambda prompt, n: reply(known.get(prompt, STRANGER))


def stranger(prompt, n):
    return reply(STRANGER)


def plan(prepared, server, *, attempts=2, timeout=60, name="m-1", key_env="TEST_KEY", **how):
    where = suspect.model(
        None, base_url=server.url, name=name, key_env=key_env, attempts=attempts, timeout=timeout
    )
    return audit_plan.plan(prepared, *where, **how)


def numbers(result) -> str:
    """All that an audit concludes, as comparable text."""
    return json.dumps(
        {
            k: v
            for k, v in result.items()
            if k not in ("answers_table", "evidence", "leans", "curve")
        },
        default=str,
    )


def facts(folder) -> dict:
    """audit.json of the one audit below a prepared folder."""
    (found,) = folder.glob("*/audit.json")
    return json.loads(found.read_text())


def stored(folder) -> list[dict]:
    (found,) = folder.glob("*/responses.jsonl")
    return [json.loads(line) for line in found.read_text().splitlines()]


def seeds(lines, profile) -> set[int]:
    """The seeds with which these stored answers were asked for: each names one question."""
    return {endpoint.draw_seed(profile.seed, line["sample_id"], line["draw"]) for line in lines}


@pytest.fixture
def cli(server, monkeypatch):
    """cli(folder, *options) = the result of `python -m dsi_core audit` of the server's model, without the report's notebook."""
    monkeypatch.setattr(report, "_execute", lambda folder: "")

    def call(folder, *options, suspect=True):
        return CliRunner().invoke(
            app,
            [
                "audit",
                "--prepared",
                str(folder),
                *(options_of(server) if suspect else []),
                *options,
            ],
        )

    return call


def last_line(done) -> str:
    """What stands on stderr below the progress bar."""
    return done.stderr.splitlines()[-1]


def options_of(server) -> list[str]:
    return ["--base-url", server.url, "--model", "m-1", "--key-env", "TEST_KEY"]


# --- What is concluded ---------------------------------------------------------------------------------------------------


def test_a_member_leans_more_than_every_control(prepared, server):
    """All six answers are D's own: 6 to 0 votes; lean = sqrt(6) x mean evidence; more than each of five controls, so p = 1 / 6."""
    folder = prepared(6, controls=5)
    server.script = knows(folder)
    result = audit.run(plan(folder, server, stop=False))
    assert result["vote"] == {"verdict": "member", "positive": 6, "negative": 0, "filtered": 0}
    assert (
        result["p"] == result["controls"]["p"] == pytest.approx(1 / 6)
        and result["decided_by"] == "controls"
        and result["twin"] is None
    )
    evidence = result["evidence"]["evidence"]
    assert result["controls"]["lean"] == pytest.approx(
        max(evidence[:t].mean() * math.sqrt(t) for t in (5, 6))
    )
    assert (
        evidence.min() > folder.study.delta_s
        and (result["controls"]["lean"] > result["leans"]).all()
    )
    assert result["ended"] == "all asked" and result["answers"] == len(server.asked) == 18


def test_who_answers_as_the_controls_do_is_not_accused(prepared, server):
    """The same texts as five controls: as large a lean as each, so p = (1 + 5) / 6."""
    folder = prepared(6, controls=5)
    server.script = stranger
    result = audit.run(plan(folder, server, stop=False))
    assert result["vote"] == {"verdict": "non-member", "positive": 0, "negative": 6, "filtered": 0}
    assert result["p"] == 1.0 and result["controls"]["lean"] == pytest.approx(
        result["leans"].iloc[0]
    )


def test_who_knows_only_the_published_part_is_found_by_the_twin(prepared, server):
    """All five published samples lead the four withheld ones: 1 of the 126 deals of the labels; the vote is 5 to 4."""
    folder = prepared(5, withheld=4)
    server.script = knows(folder, "published")
    result = audit.run(plan(folder, server, stop=False))
    assert (
        result["p"] == result["twin"]["p"] == pytest.approx(1 / math.comb(9, 4))
        and result["decided_by"] == "twin"
    )
    assert result["vote"] == {"verdict": "member", "positive": 5, "negative": 4, "filtered": 0}
    by_part = result["evidence"].groupby("part")["evidence"]
    assert by_part.min()["published"] > by_part.max()["withheld"]
    assert result["twin"]["difference"] == pytest.approx(
        by_part.mean()["published"] - by_part.mean()["withheld"]
    )


def test_one_withheld_sample_is_enough_to_compare(prepared, server):
    """Five published samples lead the only withheld one: 1 of 6 deals."""
    folder = prepared(5, withheld=1)
    server.script = knows(folder, "published")
    assert audit.run(plan(folder, server, stop=False))["p"] == pytest.approx(1 / 6)


def test_who_knows_the_withheld_part_better_is_not_accused(prepared, server):
    """Every deal of the labels has a difference at least as large."""
    folder = prepared(5, withheld=4)
    server.script = knows(folder, "withheld")
    result = audit.run(plan(folder, server, stop=False))
    assert (
        result["p"] == result["twin"]["p_permutation"] == 1.0 and result["twin"]["difference"] < 0
    )


def test_a_raised_budget_gets_no_second_permutation_test(prepared, server):
    """The permutation stays over the six samples planned at first; more of them only feed the bets."""
    folder = prepared(5, withheld=4)
    server.script = knows(folder, "published")
    first = audit.run(plan(folder, server, stop=False, budget="6 queries", draws=1))
    assert first["p"] == first["twin"]["p_permutation"] and first["twin"]["planned"] == 6
    later = audit.run(plan(folder, server, stop=False, draws=1))
    assert (
        later["samples_asked"] == 9
        and later["twin"]["planned"] == 6
        and later["twin"]["p_permutation"] == first["p"]
    )
    assert later["p"] == pytest.approx(min(1, 2 * min(1 / later["twin"]["largest"], first["p"])))


def test_it_stops_asking_when_the_controls_suffice(prepared, server):
    """Five samples are the fewest that a lean counts for; then p = 1 / 6 is under 0.2: 15 of 36 questions, and none in a rerun."""
    folder = prepared(12, controls=5)
    server.script = knows(folder)
    sure = plan(folder, server, alpha=0.2)
    result = audit.run(sure)
    assert (result["ended"], result["samples_asked"], result["p"]) == (
        "sure",
        controls.MIN_SAMPLES,
        pytest.approx(1 / 6),
    )
    assert len(server.asked) == len(audit_plan.answers(sure)) == 15
    assert set(server.prompts()) == set(folder.tainted["prompt"].head(5))
    assert numbers(audit.run(sure)) == numbers(result) and len(server.asked) == 15


def test_it_asks_everything_of_a_stranger(prepared, server):
    folder = prepared(12, controls=5)
    server.script = stranger
    whole = plan(folder, server, alpha=0.2)
    assert (audit.run(whole)["ended"], len(server.asked), len(audit_plan.answers(whole))) == (
        "all asked",
        36,
        36,
    )


def test_it_stops_asking_when_the_twin_suffices(prepared, server):
    """At the end of the first block of five after which the gambler's wealth was 2 / alpha = 10, as an audit of everything shows."""
    folder = prepared(12, withheld=12)
    server.script = knows(folder, "published")
    whole = audit.run(plan(folder, server, name="asked-all", stop=False))
    first = int((whole["curve"]["wealth"] >= 10).to_numpy().nonzero()[0][0]) + 1
    server.asked.clear()
    early = audit.run(plan(folder, server, alpha=0.2))
    assert early["ended"] == "sure" and early["samples_asked"] == -(-first // 5) * 5 < 24
    assert (
        early["p"] == pytest.approx(2 / whole["curve"]["wealth"].head(early["samples_asked"]).max())
        and early["p"] <= 0.2
    )
    assert len(server.asked) == early["answers"] == 3 * early["samples_asked"]
    assert (
        early["curve"]["wealth"].tolist()
        == whole["curve"]["wealth"].head(early["samples_asked"]).tolist()
    )


def test_what_every_request_holds(prepared, server):
    folder = prepared(5)
    server.script = stranger
    audit.run(plan(folder, server, draws=2, temperature=0.5, system="Be brief.", stop=False))
    assert len(server.asked) == len({b["seed"] for b in server.asked}) == 10
    assert all(
        b["messages"][0] == {"role": "system", "content": "Be brief."}
        and (b["temperature"], b["max_tokens"], b["model"]) == (0.5, 48, "m-1")
        for b in server.asked
    )
    assert all(h["authorization"] == f"Bearer {KEY}" for h in server.headers)


# --- Faults on the way ---------------------------------------------------------------------------------------------------

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
    monkeypatch.setattr(endpoint, "BODY_BYTES", 10**6)
    return FAULTS[request.param], 1 if FAULTS[request.param] is silent else 60


@pytest.mark.parametrize("fault", FAULTS, indirect=True)
def test_a_fault_that_passes_changes_no_number(prepared, server, pauses, fault):
    """Once for each of the five prompts; with a Retry-After the pause is what it says, else a second or two."""
    folder, (fault, timeout) = prepared(5), fault
    server.script = healthy = knows(folder)
    wanted = audit.run(plan(folder, server, name="healthy", stop=False))
    server.asked.clear()
    server.script = lambda prompt, n: fault if n == 0 else healthy(prompt, n)
    faulty = plan(folder, server, stop=False, timeout=timeout)
    assert numbers(audit.run(faulty)) == numbers(wanted)
    assert len(server.asked) == 15 + 5 == audit_plan.answers(faulty)["requests"].sum()
    assert len(pauses) == 5 and all(
        p == 2.5 if fault == FAULTS["429"] else 1 <= p <= 2 for p in pauses
    )


@pytest.mark.parametrize(
    "fault", ["429", "silent", "cut within", "HTML page", "boundless"], indirect=True
)
def test_after_a_fault_that_stays_a_rerun_asks_only_the_rest(prepared, server, pauses, fault):
    """The second prompt fails for ever: a clear error. With a healthy server the same call then ends as if nothing had been."""
    folder, (fault, timeout) = prepared(5), fault
    healthy, bad = knows(folder), folder.tainted["prompt"].iloc[1]
    server.script = lambda prompt, n: fault if prompt == bad else healthy(prompt, n)
    interrupted = plan(folder, server, stop=False, timeout=timeout)
    with pytest.raises(endpoint.EndpointError) as caught:
        audit.run(interrupted)
    says(
        caught,
        "m-1 at ",
        server.url,
        f"sample {folder.tainted['sample_id'].iloc[1]}",
        "request 2 of 2",
    )
    kept = stored(folder.folder)
    assert 3 <= len(kept) <= 12 and len(str(caught.value)) < 600
    server.asked.clear()
    server.script = healthy
    result = audit.run(interrupted)
    asked = {b["seed"] for b in server.asked}
    assert asked.isdisjoint(seeds(kept, interrupted.profile)) and len(asked) == len(
        server.asked
    ) == 15 - len(kept)
    assert stored(folder.folder)[: len(kept)] == kept
    assert numbers(result) == numbers(audit.run(plan(folder, server, name="healthy", stop=False)))


def test_a_10_mb_answer_is_kept_as_long_as_an_honest_one_may_be(prepared, server):
    folder = prepared(5)
    first = folder.tainted.iloc[0]
    healthy = knows(folder)
    server.script = lambda prompt, n: (
        reply(f"{first['output']} " + "\u20ac" * 3_400_000)
        if prompt == first["prompt"]
        else healthy(prompt, n)
    )
    done = plan(folder, server, stop=False)
    result = audit.run(done)
    text = (
        audit_plan.answers(done)
        .set_index(["sample_id", "draw"])
        .loc[(first["sample_id"], 0), "response"]
    )
    assert (
        text.startswith(first["output"])
        and 0 <= 48 * endpoint.BYTES_PER_TOKEN - len(text.encode()) < 3
    )
    assert (
        result["ended"] == "all asked"
        and result["vote"]["positive"] >= 4
        and len(server.asked) == 15
    )


def test_a_server_that_fails_for_good_is_one_line_and_exit_3(prepared, server, pauses, cli):
    """Wrong key, unknown model: no request is repeated. The line names server, model and sample; then a rerun ends well."""
    folder = prepared(5)
    server.script = lambda prompt, n: error(401, "who are\nyou?")
    done = cli(folder.folder, "--concurrency", "1")
    assert (done.exit_code, done.stdout, len(server.asked), pauses) == (3, "", 1, [])
    assert (
        last_line(done)
        == f"error: m-1 at {server.url}, sample {folder.tainted['sample_id'].iloc[0]}: status 401 (request 1 of 6): who are you?"
    )
    server.script = knows(folder)
    done = cli(folder.folder)
    assert done.exit_code == 0 and "5 positive and 0 negative samples of 5 asked" in done.stdout
    assert facts(folder.folder)["vote"]["verdict"] == "member"


# --- Answers that are none -----------------------------------------------------------------------------------------------

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
    """Though what it withholds is D's own text. With a twin and without, allowed to stop or not."""
    folder = prepared(6 - withheld, withheld)
    oracle = dict(zip(folder.samples["prompt"], folder.samples["output"]))
    server.script = lambda prompt, n: NO_EVIDENCE[kind](oracle[prompt])
    for stop in (True, False):
        quiet = plan(folder, server, stop=stop)
        result = audit.run(quiet)
        assert result["vote"] == {
            "verdict": "inconclusive",
            "positive": 0,
            "negative": 0,
            "filtered": 6,
        }
        assert (
            result["p"] == 1.0
            and result["controls"]["p"] == 1.0
            and bool(result["twin"]) == bool(withheld)
        )
        assert {k: v for k, v in result["statuses"].items() if v} == {kind.split()[0]: 18}
        report.write(quiet, result, notebook=False)
        told = facts(folder.folder)
        assert (
            told["statuses"] == result["statuses"]
            and told["p"] == 1.0
            and told["vote"]["verdict"] == "inconclusive"
        )
    assert len(server.asked) == 18


def test_a_refusal_now_and_then_costs_no_evidence(prepared, server):
    """One draw of each prompt is an answer: the votes and p are those of a model that answers every time."""
    folder = prepared(5)
    healthy = knows(folder)
    server.script = lambda prompt, n: (
        healthy(prompt, n) if n == 1 else reply("I cannot help with that, sorry.")
    )
    result = audit.run(plan(folder, server, stop=False))
    assert {k: v for k, v in result["statuses"].items() if v} == {"answered": 5, "refused": 10}
    assert result["vote"]["positive"] == 5 and result["p"] == pytest.approx(1 / 4)


# --- The key -------------------------------------------------------------------------------------------------------------


def test_the_key_is_in_no_file_no_log_and_no_output(prepared, server, pauses, cli, caplog):
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
        server.script = lambda prompt, n: trouble
        done = cli(folder.folder)
        assert done.exit_code == 3
        said += done.output
    server.asked.clear()
    server.script = lambda prompt, n: error(500, KEY) if n == 0 else healthy(prompt, n)
    done = cli(folder.folder)
    said += done.output
    assert (
        done.exit_code == 0
        and len(server.asked) == 20
        and all(h["authorization"] == f"Bearer {KEY}" for h in server.headers)
    )
    files = [f for f in folder.folder.rglob("*") if f.is_file()]
    assert {"audit.json", "responses.jsonl", "report.html", "evidence.csv"} <= {
        f.name for f in files
    }
    assert not [f for f in files if KEY[:12].encode() in f.read_bytes()]
    assert (
        caplog.records
        and KEY[:12] not in caplog.text + str([vars(r) for r in caplog.records]) + said
        and "[key]" in said
    )


def test_a_password_in_the_address_is_in_no_file(prepared, server, cli):
    folder = prepared(5)
    server.script = knows(folder)
    address = server.url.replace("//", "//name:word-0123@")
    done = cli(folder.folder, "--base-url", address, "--model", "m-1", suspect=False)
    assert done.exit_code == 0 and facts(folder.folder)["suspect"]["api"] == server.url
    assert "word-0123" not in done.output and not [
        f for f in folder.folder.rglob("*") if f.is_file() and b"word-0123" in f.read_bytes()
    ]


# --- kill -9 -------------------------------------------------------------------------------------------------------------


def test_a_killed_audit_goes_on_where_it_was(prepared, server, cli, tmp_path):
    """Killed with 20 of 36 answers on the disk and four questions open: the rerun asks the other 16 and ends with the numbers of an
    audit that nothing interrupted."""
    folder = prepared(12)
    copy = shutil.copytree(folder.folder, tmp_path / "copy")
    server.script = healthy = knows(folder)
    assert cli(copy).exit_code == 0 and len(server.asked) == 36
    server.asked.clear()
    number = count()

    def script(prompt, n):
        if next(number) >= 20:
            time.sleep(600)
        return healthy(prompt, n)

    server.script = script
    command = [
        sys.executable,
        "-c",
        NO_NOTEBOOK,
        "audit",
        "--prepared",
        str(folder.folder),
        *options_of(server),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        try:
            until(lambda: len(server.asked) == 24 or process.poll() is not None, 600)
            until(lambda: len(stored(folder.folder)) == 20, 60)
        finally:
            process.send_signal(signal.SIGKILL)
    kept = stored(folder.folder)
    server.asked.clear()
    server.script = healthy
    assert cli(folder.folder).exit_code == 0
    profile = folder.study.profile
    assert (
        len(server.asked) == 16
        and {b["seed"] for b in server.asked}.isdisjoint(seeds(kept, profile))
        and stored(folder.folder)[:20] == kept
    )
    assert len(seeds(stored(folder.folder), profile)) == 36
    one, other = facts(folder.folder), facts(copy)
    for told in (one, other):
        for part, changing in ((told, ["made", "sha256"]), (told["asked"], ["first", "last"])):
            for name in changing:
                part.pop(name)
    assert one == other and one["asked"]["answers"] == one["asked"]["requests"] == 36


def until(condition, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)


# --- Budgets -------------------------------------------------------------------------------------------------------------


def test_a_budget_in_queries_is_never_exceeded(prepared, server):
    """Whole samples only: 10 queries are 3 samples of 3 answers. A larger budget later asks only the difference."""
    folder = prepared(12)
    server.script = stranger
    result = audit.run(plan(folder, server, budget="10"))
    assert (result["samples_asked"], len(server.asked), result["ended"]) == (3, 9, "all asked")
    assert audit.run(plan(folder, server, budget="18"))["answers"] == len(server.asked) == 18


@pytest.mark.parametrize("stop", [True, False])
def test_a_budget_in_money_without_the_servers_count_reckons_the_worst(prepared, server, stop):
    """A query reads at most 17 + 32 bytes' worth of tokens and writes at most 48: 49 + 2 x 48 = 145 millionths, a sample 435."""
    folder = prepared(10)
    server.script = lambda prompt, n: reply(STRANGER, usage=None)
    result = audit.run(
        plan(folder, server, budget="0.00175 USD", price_in=1, price_out=2, stop=stop)
    )
    assert (result["samples_asked"], result["answers"], len(server.asked), result["ended"]) == (
        4,
        12,
        12,
        "money spent",
    )
    assert result["cost"] == pytest.approx(12 * 145e-6)


@pytest.mark.parametrize("stop", [True, False])
def test_a_budget_in_money_goes_by_the_servers_count(prepared, server, stop):
    """A query costs 20 + 2 x 10 = 40 millionths, a sample 120, but may cost 435: it asks while that much is left, to 11 samples and no more."""
    folder = prepared(10, withheld=8)
    server.script = lambda prompt, n: reply(
        STRANGER, usage={"prompt_tokens": 20, "completion_tokens": 10}
    )
    result = audit.run(
        plan(folder, server, budget="0.00165 USD", price_in=1, price_out=2, stop=stop)
    )
    assert (
        result["cost"] == pytest.approx(len(server.asked) * 40e-6)
        and result["ended"] == "money spent"
    )
    assert 0.00165 - 438e-6 <= result["cost"] <= 0.00165 and result["samples_asked"] == 11
    assert (
        audit.run(plan(folder, server, budget="0.00165 USD", price_in=1, price_out=2, stop=stop))[
            "answers"
        ]
        == len(server.asked)
        == 33
    )


def test_a_dry_run_asks_nothing_and_says_what_it_would_cost(prepared, server, cli):
    folder = prepared(10)
    done = cli(
        folder.folder,
        "--dry-run",
        "--price-in",
        "1",
        "--price-out",
        "2",
        "--budget",
        "12",
        "--extra-body",
        '{"top_k": 1}',
    )
    told = json.loads(done.stdout)
    assert (
        done.exit_code == 0
        and server.asked == []
        and [f.name for f in folder.folder.iterdir() if f.is_dir()] == []
    )
    assert (told["samples"], told["queries"], told["already answered"]) == (4, 12, 0)
    assert told["at most"] == {
        "tokens read": 12 * 49,
        "tokens written": 12 * 48,
        "cost": pytest.approx(12 * 145e-6),
    }
    assert (
        told["about"]["tokens read"] == 12 * 17 / 4 + 12 * 16
        and told["about"]["cost"] < told["at most"]["cost"]
    )
    first = folder.tainted.iloc[0]
    assert told["first request"] == {
        "model": "m-1",
        "messages": [{"role": "user", "content": first["prompt"]}],
        "temperature": 1.0,
        "max_tokens": 48,
        "seed": endpoint.draw_seed(0, first["sample_id"], 0),
        "top_k": 1,
    }
    server.script = stranger
    assert cli(folder.folder, "--budget", "12", "--extra-body", '{"top_k": 1}').exit_code == 0
    assert told["first request"] in server.asked and len(server.asked) == 12


# --- What a user may not ask for -----------------------------------------------------------------------------------------

REFUSED = {
    "no model": (["--base-url", "http://h/v1"], "needs --model"),
    "two suspects": (
        ["--base-url", "http://h/v1", "--model", "m", "--suspect", "owner/name"],
        "either --base-url",
    ),
    "no suspect": ([], "either --base-url"),
    "no such suspect": (["--suspect", "no/such/model"], "neither a folder"),
    "no URL": (["--base-url", "h:8000", "--model", "m"], "is not of the form https://host/v1"),
}
REFUSED_OPTIONS = {
    "budget of words": (["--budget", "much"], "needs a number of queries"),
    "budget of nothing": (["--budget", "0"], "needs a number of queries"),
    "half a query": (["--budget", "2.5"], "queries are whole"),
    "money without prices": (["--budget", "2.50 USD"], "--price-in and --price-out"),
    "less than a sample": (
        ["--budget", "2"],
        "a budget of 2 queries is less than one sample, which takes 3",
    ),
    "negative price": (["--price-in", "-1", "--price-out", "1"], "price"),
    "alpha 1": (["--alpha", "1"], "alpha is 1.0"),
    "alpha 0": (["--alpha", "0"], "alpha is 0.0"),
    "no answer": (["--responses", "0"], "allowed: 1 to 3"),
    "too many answers": (["--responses", "4"], "allowed: 1 to 3"),
    "temperature": (["--temperature", "-1"], "temperature"),
    "concurrency": (["--concurrency", "0"], "concurrency"),
    "timeout": (["--timeout", "0"], "timeout"),
    "no JSON": (["--extra-body", "{x"], "is not JSON"),
    "no object": (["--extra-body", "[1]"], "is not a JSON object"),
    "our own field": (["--extra-body", '{"n": 2}'], "extra sets n"),
    "no key": (["--key-env", "NO_SUCH_KEY"], "NO_SUCH_KEY"),
}


@pytest.mark.parametrize("name", [*REFUSED, *REFUSED_OPTIONS])
def test_bad_arguments_are_refused_in_plain_words(prepared, server, cli, name):
    folder = prepared(5)
    options, words = {**REFUSED, **REFUSED_OPTIONS}[name]
    done = cli(folder.folder, *options, suspect=name in REFUSED_OPTIONS)
    assert (done.exit_code, done.stdout, server.asked) == (2, "", [])
    assert (
        last_line(done).startswith("error: ")
        and words in last_line(done)
        and done.stderr.count("error: ") == 1
        and "Traceback" not in done.stderr
    )


def test_a_folder_that_is_not_as_it_was_prepared_is_refused(prepared, server, cli, tmp_path):
    folder = prepared(5).folder
    assert "holds no prepared.json" in cli(tmp_path / "nothing").stderr
    with open(folder / "known.jsonl", "a", encoding="utf-8") as file:
        file.write("\n")
    done = cli(folder)
    assert (
        done.exit_code == 2
        and "known.jsonl was changed after the preparation" in done.stderr
        and server.asked == []
    )


# --- Text of the suspect is data -----------------------------------------------------------------------------------------


def test_what_a_suspect_writes_stays_text_on_every_page(prepared, server):
    """As an answer that counts, as one that does not, as the name by which the server calls the model, and in D itself."""
    folder = prepared(6)
    evil = '<script>alert(1)</script> <img src=x onerror="alert(2)"> **bold** [link](javascript:alert(3)) {{7*7}} $x^2$ `code`'
    first = folder.tainted["prompt"].iloc[0]
    server.script = lambda prompt, n: (
        reply(evil, model=f"m {evil}")
        if n or prompt != first
        else reply(evil, finish="length", tokens=3)
    )
    done = plan(folder, server, name="m <script>", stop=False)
    report.write(done, audit.run(done), notebook=False)
    read = report.read(done.folder)
    shown = {
        f.__name__: f(read)
        for f in (
            report.finding,
            report.who_asked_what,
            report.three_numbers,
            report.refused,
            report.blind_check,
            report.most_telling,
            report.limits,
            report.to_check,
        )
    }
    whole = report.as_page("".join(shown.values()), f"Audit of {evil}")
    assert (
        "<script" not in whole and "<img" not in whole and "<a" not in whole.replace("<article", "")
    )
    for name in ("finding", "who_asked_what", "refused", "most_telling"):
        assert "&lt;script&gt;" in shown[name], name
    assert "Content-Security-Policy" in whole and "default-src 'none'" in whole


def test_budgets_as_people_write_them():
    assert [
        audit_plan.limits(b) for b in (None, "150", " 150 queries ", "2.50 USD", "$3", "EUR 4.5")
    ] == [(None, None), (150, None), (150, None), (None, 2.5), (None, 3.0), (None, 4.5)]
