"""What `dsi audit` says, holds and leaves, whatever the machine refuses afterwards."""

import json
import os

import pytest
from asking import audits_of, knows
from typer.main import get_command

from dsi_core.audit import plan_file
from dsi_core.audit.asking import run
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

    def broken(tables):
        raise OSError(28, "No space left on device", "/fonts/cache")

    with monkeypatch.context() as patch:
        patch.setattr(plots, "pictures", broken)
        done = cli(folder)
    paid = len(server.asked)
    assert done.exit_code == 0 and "0 negative samples of 5 asked" in done.stdout
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


def test_progress_says_votes_money_and_repeats_but_no_p_between_looks(prepared, server):
    from asking import plan

    from dsi_core.audit import judgement
    from dsi_core.audit.asking.cost import spent
    from dsi_core.audit.asking.storage import answers

    made = prepared(5)
    server.script = knows(made)
    planned = plan(made, server, price_in=1, price_out=2)
    run.run(planned)
    stored = answers(planned).assign(requests=[3, *[1] * 14])
    judged = judgement.judge(planned, stored)
    line = run.so_far(planned, judged, stored, spent(planned, stored))
    assert line.startswith("m-1: 5 of 5 samples, vote 5 to 0, p ")
    assert line.endswith(" spent, 2 requests repeated") and "at the last look" in line
