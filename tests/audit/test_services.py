"""An audit of a service that is particular: in what it refuses, in where it lies."""

import json
import warnings
from types import SimpleNamespace

import pytest
import twins
from asking import audits_of, facts, knows, plan, stored, stranger
from servers import error, reply

from dsi_core.audit.asking import elsewhere, run
from dsi_core.services.trial import PROBE


def test_an_audit_asks_as_its_service_wants_and_says_so(prepared, server, cli):
    """In the report too; a rerun needs not learn it again, and the audit asks nothing twice."""
    folder, names = prepared(5), ("max_tokens", "temperature", "seed")
    healthy = knows(folder)

    def script(prompt, n):
        wrong = next((name for name in names if name in server.asked[-1]), None)
        return error(400, f"Unknown parameter: '{wrong}'.") if wrong else healthy(prompt, n)

    server.script = script
    done = cli(folder.folder, "--budget", "9")
    assert done.exit_code == 0 and len(server.asked) == 9 + 3
    assert done.stderr.count("is sent instead of max_tokens") == 1
    assert done.stderr.count("no temperature is sent") == done.stderr.count("no seed is sent") == 1
    assert cli(folder.folder).exit_code == 0 and len(server.asked) == 15 + 3
    said = facts(folder.folder)
    assert len(said["suspect"]["asked otherwise"]) == 3
    assert any("without a temperature" in limit for limit in said["limits"])
    (page,) = audits_of(folder.folder).glob("*/report.html")
    assert "max_completion_tokens is sent instead of max_tokens" in page.read_text()


def test_a_slash_pays_nothing_twice_and_another_address_is_pointed_out(prepared, server, cli):
    folder = prepared(5)
    server.script = knows(folder)
    how = ("--model", "m-1", "--key-env", "TEST_KEY", "--same-model", "0")
    assert cli(folder.folder).exit_code == 0 and len(server.asked) == 15
    for spelling in (f"{server.url}/", f" {server.url}/chat/completions", f"{server.url}/v1"):
        done = cli(folder.folder, "--base-url", spelling, *how, suspect=False)
        assert (
            done.exit_code == 0
            and len(server.asked) == 15
            and "which do not count" not in done.stderr
        )
    other = server.url.replace("127.0.0.1", "localhost")
    done = cli(folder.folder, "--base-url", other, *how, suspect=False)
    assert done.exit_code == 0 and len(server.asked) == 30
    assert f"holds 15 answers of m-1 at {server.url}, which do not count here" in done.stderr
    assert f"--base-url {server.url}" in done.stderr
    assert (
        "which do not count"
        not in cli(folder.folder, "--base-url", other, *how, suspect=False).stderr
    )


def test_answers_about_other_data_are_not_pointed_out(tmp_path, server):
    """Audits of two kits may lie in one folder: that of --out, or of names that no file has."""
    server.script, out = stranger, tmp_path / "audits"
    kits = []
    for salt in (twins.SALT, bytes(32)):
        (folder := tmp_path / salt.hex()).mkdir()
        kits.append(twins.wording(folder, 8, salt))
    run.run(plan(kits[0], server, out=out, stop_early=False))
    moved = SimpleNamespace(url=server.url.replace("127.0.0.1", "localhost"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        elsewhere.warn(plan(kits[1], moved, out=out))
    with pytest.warns(UserWarning, match="holds 8 answers of m-1 at"):
        elsewhere.warn(plan(kits[0], moved, out=out))


def test_a_filtered_prompt_does_not_end_an_audit(prepared, server, cli):
    folder = prepared(5)
    bad, healthy = folder.tainted.iloc[1], knows(folder)
    blocked = error(400, "The prompt triggered the content management policy", "content_filter")
    server.script = lambda prompt, n: blocked if prompt == bad["prompt"] else healthy(prompt, n)
    done = cli(folder.folder, "--price-in", "1", "--price-out", "1")
    assert done.exit_code == 0 and len(stored(folder.folder)) == 15
    assert server.prompts().count(bad["prompt"]) in (1, 2, 3)
    said, asked = facts(folder.folder), len(server.asked)
    assert said["statuses"]["filtered"] == 3 and said["statuses"]["answered"] == 12
    assert cli(folder.folder).exit_code == 0 and len(server.asked) == asked


def test_a_prompt_on_which_the_service_always_fails_does_not_block_an_audit(
    prepared, server, cli, pauses
):
    folder = prepared(5)
    bad, healthy = folder.tainted.iloc[1], knows(folder)
    server.script = lambda prompt, n: (
        error(500, "engine") if prompt == bad["prompt"] else healthy(prompt, n)
    )
    done = cli(folder.folder, "--patience", "0")
    assert done.exit_code == 0 and len(stored(folder.folder)) == 15
    said = facts(folder.folder)["statuses"]
    assert said["failed"] == 3 and said["answered"] == 12
    assert "never asked again" in done.stderr
    asked = len(server.asked)
    assert cli(folder.folder, "--patience", "0").exit_code == 0 and len(server.asked) == asked


def test_fields_are_set_and_left_out_and_fixed_by_the_plan(prepared, server, cli):
    folder = prepared(5)
    server.script = knows(folder)
    how = ("--omit", "seed", "--omit", "stream", "--extra-body", '{"top_p": null}')
    assert cli(folder.folder, *how).exit_code == 0
    assert all(b["top_p"] is None and not {"seed", "stream"} & set(b) for b in server.asked)
    assert facts(folder.folder)["suspect"]["omit"] == ["seed", "stream"]
    done = cli(folder.folder, "--extra-body", '{"top_p": null}')
    assert done.exit_code == 2 and "omit" in done.stderr and "--omit" in done.stderr


def test_a_budget_in_money_needs_a_limit_in_each_request(prepared, server, cli):
    prices = ("--budget", "1 USD", "--price-in", "1", "--price-out", "1")
    done = cli(prepared(5).folder, "--omit", "max_tokens", *prices)
    assert done.exit_code == 2 and "needs a limit of new tokens in each request" in done.stderr
    dry = ("--extra-body", '{"max_completion_tokens": 480}', "--dry-run", "--json")
    said = json.loads(cli(prepared(5).folder, *prices, *dry).stdout)
    assert said["at most"]["tokens written"] == 15 * 480
    assert "max_tokens" not in said["first request"]


def test_nothing_of_a_key_in_the_address_is_kept(prepared, server, cli, tmp_path):
    folder = prepared(5)
    server.script = knows(folder)
    url = f"{server.url}?api-version=1&key=word-0123"
    done = cli(folder.folder, "--base-url", url, "--model", "m-1", suspect=False)
    assert done.exit_code == 0 and "word-0123" not in done.output
    assert all(path.endswith("?api-version=1&key=word-0123") for path in server.paths)
    assert not [f for f in tmp_path.rglob("*") if f.is_file() and b"word-0123" in f.read_bytes()]


def test_nothing_of_a_proxys_login_is_kept(prepared, server, cli, tmp_path):
    folder = prepared(5)
    server.script = knows(folder)
    way = f"me:p@word-0123@127.0.0.1:{server.server_port}"
    whom = ("--base-url", "http://service.invalid/v1?key=word-0123", "--model", "m-1")
    done = cli(folder.folder, *whom, f"--proxy={way}", suspect=False)
    assert done.exit_code == 0 and "word-0123" not in done.output and server.asked
    assert not [f for f in tmp_path.rglob("*") if f.is_file() and b"word-0123" in f.read_bytes()]
    (page,) = audits_of(folder.folder).glob("*/report.html")
    shown = f"--base-url http://service.invalid/v1 --model m-1 --proxy 127.0.0.1:{way[-5:]}"
    assert shown in " ".join(page.read_text().split())


def test_a_service_that_says_nothing_useful_to_a_harmless_question_either_ends_it(
    prepared, server, pauses, cli
):
    server.script = lambda prompt, n: reply("", choices=[])
    done = cli(prepared(5).folder)
    assert done.exit_code == 3 and len(server.asked) == 4 and server.prompts()[-1] == PROBE
    assert f"asked was {server.url}/chat/completions" in done.stderr.splitlines()[-1]


def test_an_audit_in_batches_asks_all_in_one_and_is_gone_on_with(prepared, batches, cli):
    """Killed while it waits, and run singly meanwhile: nothing is asked that was submitted."""
    folder = prepared(5)
    how = ("--base-url", batches.url, "--model", "m-1", "--patience", "0", "--same-model", "0")
    batches.troubles = [("GET", "/v1/batches/batch-0", 401)]
    done = cli(folder.folder, *how, "--batch", suspect=False)
    assert done.exit_code == 3 and len(batches.single) == 1 and len(batches.batches) == 1
    singly = cli(folder.folder, *how, "--ask-all", suspect=False)
    assert (
        singly.exit_code == 2 and "a batch of 14 questions is under way (batch-0)" in singly.stderr
    )
    assert len(batches.single) == 1
    done = cli(folder.folder, *how, "--batch", suspect=False)
    assert done.exit_code == 0 and len(batches.single) == 1 and len(batches.batches) == 1
    said = facts(folder.folder)
    assert said["queried"]["answers"] == 15 and not said["settings"]["stops early"]
    assert "asked in batches" in said["suspect"]["asked otherwise"]


def test_a_service_without_batches_is_asked_singly_afterwards(prepared, batches, cli):
    folder = prepared(5)
    how = ("--base-url", batches.url, "--model", "m-1", "--patience", "0", "--same-model", "0")
    batches.troubles = [("POST", "/v1/files", 404)]
    done = cli(folder.folder, *how, "--batch", suspect=False)
    assert done.exit_code == 3 and "without --batch it is asked singly" in done.stderr
    (never_made,) = audits_of(folder.folder).glob("*/batch.json")
    assert cli(folder.folder, *how, "--ask-all", suspect=False).exit_code == 0
    assert not never_made.exists() and len(batches.single) == 15 and batches.batches == {}


def test_a_batch_is_collected_whole_whatever_budget_a_rerun_has(prepared, batches, cli):
    """What it was asked is paid, and counts; one that was collected stands in nobody's way."""
    folder = prepared(5)
    how = ("--base-url", batches.url, "--model", "m-1", "--patience", "0", "--same-model", "0")
    batches.troubles = [("GET", "/v1/batches/batch-0", 401)]
    assert cli(folder.folder, *how, "--batch", suspect=False).exit_code == 3
    (under_way,) = audits_of(folder.folder).glob("*/batch.json")
    before = under_way.read_bytes()
    done = cli(folder.folder, *how, "--batch", "--budget", "4", suspect=False)
    assert done.exit_code == 0 and len(batches.single) == 1 and len(batches.batches) == 1
    assert facts(folder.folder)["queried"]["answers"] == len(stored(folder.folder)) == 15
    under_way.write_bytes(before)  # killed before it was deleted
    assert cli(folder.folder, *how, "--ask-all", suspect=False).exit_code == 0
    assert not under_way.exists() and len(batches.single) == 1


def test_a_dry_run_counts_a_batch_under_way_as_paid(prepared, batches, cli):
    """Of 15 questions one is answered, 5 are in the batch of a first budget, and 9 are left."""
    folder = prepared(5)
    how = ("--base-url", batches.url, "--model", "m-1", "--patience", "0", "--same-model", "0")
    batches.troubles = [("GET", "/v1/batches/batch-0", 401)]
    assert cli(folder.folder, *how, "--batch", "--budget", "8", suspect=False).exit_code == 3

    def dry(*more):
        done = cli(folder.folder, *how, *more, "--dry-run", "--json", suspect=False)
        said = json.loads(done.stdout)
        return said, (said["already answered"], said["under way"], said["queries"])

    all_of_it, counts = dry("--batch")
    assert counts == (1, 5, 9) and all_of_it["within budget"]["samples"] == 5
    assert all_of_it["unready"] is None
    spent, counts = dry("--batch", "--budget", "8")
    assert counts == (1, 5, 0) and spent["within budget"]["samples"] == 2
    assert spent["at most"]["tokens written"] == 0
    one_more, counts = dry("--batch", "--budget", "9")
    assert counts == (1, 5, 3) and one_more["within budget"]["samples"] == 3
    prices = ("--price-in", "0", "--price-out", "1")
    most = dry("--batch", *prices)[0]["at most"]["cost"] / 9  # of a question
    enough = dry("--batch", *prices, "--budget", f"{most * 8.5} USD")
    assert enough[1] == (1, 5, 3)
    short = dry("--batch", *prices, "--budget", f"{most * 7.9} USD")
    assert short[1] == (1, 5, 0)
    said = cli(folder.folder, *how, "--ask-all", "--dry-run", suspect=False).stdout
    assert "not ready" in said and "(batch-0): --batch goes on with it" in said
    assert "5 are in a batch under way, which is paid and collected first" in said
    assert len(batches.single) == len(batches.batches) == 1


def test_what_a_batch_billed_in_vain_counts_in_the_cost(prepared, batches, cli):
    folder = prepared(5)
    broken = {"choices": [{"message": {"content": "h"}, "finish_reason": "error"}]}
    usage, answers = {"prompt_tokens": 10**6, "completion_tokens": 10**6}, batches.answers
    said = [(200, {**broken, "usage": usage})]
    batches.answers = lambda prompt: said.pop() if said else answers(prompt)
    how = ("--base-url", batches.url, "--model", "m-1", "--same-model", "0", "--batch")
    prices = ("--price-in", "1000", "--price-out", "1000")
    assert cli(folder.folder, *how, *prices, suspect=False).exit_code == 0
    (lost,) = audits_of(folder.folder).glob("*/unanswered.jsonl")
    assert '"read": 1000000, "written": 1000000' in lost.read_text()
    assert (len(batches.batches), len(batches.single)) == (1, 2)
    assert len(stored(folder.folder)) == 15
