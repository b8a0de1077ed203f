"""What `dsi audit` says, holds and leaves, whatever the machine refuses afterwards."""

import json
import os
from types import SimpleNamespace

import pytest
from asking import audits_of, knows
from helpers import STRANGER
from typer.main import get_command

from dsi_core.audit import plan_file
from dsi_core.audit.asking import run
from dsi_core.audit.report import asked, record
from dsi_core.audit.report import report as report_page
from dsi_core.audit.report.report import page
from dsi_core.audit.suspect import AnswerFacts
from dsi_core.cli import app
from dsi_core.cli import audit as command_line
from dsi_core.plots import audit as plots
from dsi_core.runtime import locks

PICTURES = command_line._pictures  # the real one: conftest has put nothing in its place yet


@pytest.fixture
def folder(prepared, server):
    made = prepared(5)
    server.script = knows(made)
    return made.folder


def only_audit(folder):
    (found,) = audits_of(folder).iterdir()
    return found


def test_a_report_is_written_of_what_was_paid_though_nothing_can_be_drawn(
    folder, server, cli, monkeypatch
):
    monkeypatch.setattr(command_line, "_pictures", PICTURES)

    def broken(*_):
        raise OSError(28, "No space left on device", "/fonts/cache")

    with monkeypatch.context() as patch:
        patch.setattr(plots, "pictures", broken)
        done = cli(folder)
    with monkeypatch.context() as patch:  # or they are drawn, and there is no room for them
        patch.setattr(plots, "pictures", lambda tables: {"evidence": b"PNG"})
        patch.setattr(report_page, "page", lambda a, drawn: broken() if drawn else page(a, drawn))
        full = cli(folder, "--json")
    assert full.exit_code == 0 and json.loads(full.stdout)["report"].endswith("report.html")
    assert "the report has no pictures (/fonts/cache: no space is left" in full.stderr
    paid = len(server.asked)
    assert done.exit_code == 0 and "0 negative samples of 5 with a reply" in done.stdout
    assert "the report has no pictures (/fonts/cache: no space is left" in done.stderr
    report = only_audit(folder) / "report.html"
    assert report.read_text().rstrip().endswith("</html>")
    without = report.read_text().count("<img")
    monkeypatch.setattr(plots, "pictures", lambda tables: dict.fromkeys(tables, b"PNG"))
    again = cli(folder)
    assert again.exit_code == 0 and len(server.asked) == paid
    assert without == 0 < report.read_text().count("<img")


def test_json_is_all_that_stdout_holds(folder, cli):
    done = cli(folder, "--json")
    said = json.loads(done.stdout)
    assert said["report"].endswith("report.html") and said["vote"]["positive"] == 5
    assert said["queried"]["cost"] is None  # without prices
    assert said["settings"]["budget"]["prices per million tokens"] is None
    dry = json.loads(cli(folder, "--dry-run", "--json").stdout)
    assert dry["about"]["cost"] is None
    plain = cli(folder, "--dry-run").stdout
    assert "nothing would be asked within the budget and the plan; 15 are answered" in plain
    refused = cli(folder, "--price-in", "1")
    assert refused.exit_code == 2 and "go together" in refused.stderr


def test_a_second_run_of_one_audit_is_told_at_once_who_holds_it(folder, server, cli):
    assert cli(folder).exit_code == 0
    with locks.alone(only_audit(folder)):
        done = cli(folder)
    assert done.exit_code == 2
    assert f"another run holds it (process {os.getpid()} on " in done.stderr
    assert ", since 20" in done.stderr and done.stderr.rstrip().endswith("end that process")


def test_a_damaged_plan_is_named_and_not_made_anew(folder, cli):
    assert cli(folder).exit_code == 0
    plan = only_audit(folder) / plan_file.NAME
    plan.write_text(plan.read_text()[:40])
    done = cli(folder)
    assert done.exit_code == 2 and f"{plan.name} is damaged" in done.stderr
    assert "restore it from a copy" in done.stderr


def test_another_plan_than_that_of_a_batch_under_way_is_not_sent_to_another_audit(
    prepared, batches, cli
):
    """Neither by an audit nor by its dry run; without --batch it would stop early."""
    folder = prepared(5)
    how = ("--base-url", batches.url, "--model", "m-1", "--patience", "0", "--same-model", "0")
    batches.troubles = [("GET", "/v1/batches/batch-0", 401)]
    assert cli(folder.folder, *how, "--batch", suspect=False).exit_code == 3
    for more in ((), ("--dry-run",)):
        done = cli(folder.folder, *how, *more, suspect=False)
        said = " ".join(done.stderr.split())
        assert done.exit_code == 2 and "--out" not in said
        assert "stops early is False, now asked for is True (--ask-all, --stop-early or" in said
        assert "repeat it as it was, with --batch: a batch is under way (batch.json)" in said
    assert len(batches.single) == len(batches.batches) == 1


def test_all_that_differs_from_the_plan_is_named_with_its_option(folder, server, cli):
    """Temperature 0 brings one answer to a prompt: who typed it learns of both."""
    assert cli(folder).exit_code == 0
    paid = len(server.asked)
    done = cli(folder, "--temperature", "0", "--alpha", "0.01")
    assert done.exit_code == 2 and len(server.asked) == paid
    assert (
        "plan.json: alpha is 0.05, now asked for is 0.01 (--alpha), temperature is 1.0, now asked "
        "for is 0.0 (--temperature), answers to a prompt is 3, now asked for is 1 (--responses); "
        "a plan is fixed before the first question: repeat it as it was, or begin another audit"
    ) in " ".join(done.stderr.split())


@pytest.mark.parametrize(
    "given, shown",
    [
        (("--base-url", " HTTPS://u:p@ssw0rd@Host/v1/?key=s"), "--base-url https://host/v1"),
        (("--proxy", "user:secret@proxy:3128"), "--proxy proxy:3128"),
        (("--proxy", "socks5://user:p@ss@proxy:1"), "--proxy socks5://proxy:1"),
        (("--system-prompt", "https://x/?a or //b@c"), "--system-prompt 'https://x/?a or //b@c'"),
        (("--omit", "seed", "--omit", "n", "--batch"), "--omit seed --omit n --batch"),
    ],
)
def test_a_report_shows_the_command_without_its_secrets(given, shown):
    context = get_command(app).commands["audit"].make_context("audit", list(given))
    assert command_line._command(context) == f"dsi audit {shown}"


def test_how_an_api_is_asked_goes_with_no_other_suspect(folder, cli, tmp_path):
    given = ["--batch", "--omit", "seed", "--extra-body", "no json", "--concurrency", "-3"]
    for whom in (["--suspect", "a/b"], ["--answers", str(tmp_path / "a.jsonl")]):
        done = cli(folder, *whom, *given, "--proxy", "nonsense://", suspect=False)
        assert done.exit_code == 2
        said = "--concurrency, --proxy, --extra-body, --omit, --batch goes with --base-url"
        assert said in done.stderr


def test_a_report_tells_answers_that_there_are_from_those_that_are_judged(prepared, server):
    """Six samples, of which the fourth has one answer of two: three are judged, until it has."""
    from asking import plan

    made = prepared(6)
    server.script = knows(made)
    planned = plan(made, server, draws=2, budget="11", stop_early=False)
    run.begin(planned)
    questions = [
        SimpleNamespace(sample_id=sample, draw=draw)
        for number, sample in enumerate(planned.samples["sample_id"])
        for draw in range(1 if number == 3 else 2)
    ]
    run.keep(planned.folder, ((question, STRANGER, AnswerFacts()) for question in questions))
    said = []
    for budget in ("11", "12"):
        planned = plan(made, server, draws=2, budget=budget, stop_early=False)
        audit = record.write(planned, run.run(planned))
        said.append(dict(asked.who_asked_what(audit).rows)["Asked"])
    assert said[0].startswith(
        "11 answers, in 11 requests; judged are those to 3 samples (at most 6), 2 each, in order "
        "up to the first that lacks an answer; stopped, as the next sample could have exceeded"
    )
    assert said[1].startswith("12 answers to 6 samples (at most 6), 2 each, in 12 requests; all ")


def test_progress_says_votes_money_and_repeats_but_no_p_between_looks(prepared, server):
    from asking import plan

    from dsi_core.audit.asking.cost import spent
    from dsi_core.audit.asking.storage import answers
    from dsi_core.audit.judging import judge

    made = prepared(5)
    server.script = knows(made)
    planned = plan(made, server, price_in=1, price_out=2)
    run.run(planned)
    stored = answers(planned).assign(requests=[3, *[1] * 14])
    judged = judge.judge(planned, stored)
    line = run.so_far(planned, judged, stored, spent(planned, stored))
    assert line.startswith("m-1: 5 of 5 samples, vote 5 to 0, p ")
    assert line.endswith(" spent, 2 requests repeated") and "at the last look" in line
    nothing = stored.head(0)
    none = run.so_far(planned, judge.judge(planned, nothing), nothing, None)
    assert none == "m-1: 0 of 5 samples, vote 0 to 0, no look yet"
