"""What a preparation takes: counted by hand, said before work, asked before long work."""

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
from helpers import files, write_jsonl
from planned import ROUND
from pytest import approx
from typer.testing import CliRunner

from dsi_core.audit.preparation import draft as drafting
from dsi_core.audit.preparation import prepare
from dsi_core.cli import app, dataset
from dsi_core.method.rates import Kind, Step
from dsi_core.planning import assumptions, here, preparation
from dsi_core.planning.machine import Machine, machine_of

OUTLOOK = preparation.Outlook(
    dataset="mine",
    folder="audits/mine/prepared",
    notes=("mine: 6 rows read",),
    machine="a card",
    workers=2,
    sharing=2,
    trainings=1,
    answers=2000,
    askings=3,
    scorings=4,
    hours=0.5,
    memory_gb=3.0,
    free_gb=4.0,
    largest="tune R^t one",
    disk_gb=1.0,
    free_disk_gb=20.0,
    unknown=(),
    smallest_p=0.25,
    fewest="3 of the kind 'untuned' (llama)",
)


@pytest.fixture(scope="module")
def mine(tmp_path_factory):
    """A file of six pairs, and one without an output."""
    rows = [{"q": f"What is {i}?", "a": f"It is the number {i}."} for i in range(6)]
    path = tmp_path_factory.mktemp("data") / "mine.jsonl"
    return str(write_jsonl(path, [*rows, {"q": "What?", "a": ""}]))


@pytest.fixture(scope="module")
def draft(mine):
    return drafting.draft(mine, "smoke", fetch=False, reading={"drop": ["empty"]})


def test_jobs_by_hand(draft):
    """Five references without and five with D answer 6 prompts once; four controls, and the two
    untuned ones once more, 6 prompts x 3.

    Tuned are the ten references and one control: glm on other data is a reference, too.
    """
    found = preparation.outlook(draft, machine_of("cpu-core", counts=True), done=False)
    assert (found.askings, found.answers) == (10 + 4 + 2, 10 * 6 + 6 * 6 * 3)
    assert found.trainings == 11
    assert found.scorings == 10 * (6 + 6 * 6 * 3)  # with each reference: the outputs, the answers
    assert found.notes == (
        f"mine: {draft.settings.data['mine'].path}: 7 rows read, 6 pairs; left out: 1 empty",
        "mine: prompt = q, output = a",
        "mine: 6 of 6 outputs are under 20 bytes (decision.mu), and who repeats one gives no "
        "evidence: mine.jsonl, row 1; mine.jsonl, row 2; mine.jsonl, row 3 and others",
    )
    assert found.workers == 2 and found.free_gb == 16  # two cores of 8 GB
    assert 0 < found.hours < preparation.LONG and not found.is_long
    assert (found.smallest_p, found.fewest) == (0.5, "1 of the kind 'retrieval' (no model)")


def test_hours_and_memory_by_hand(draft, monkeypatch):
    """All rates are known but those of comparing, which is nothing here: 2 workers share them."""
    monkeypatch.setattr(assumptions, "read", lambda: ROUND.model_copy(update={"models": TOYS}))
    bases = [f"toy {name}" for name in ("mistral", "gemma", "llama", "qwen2", "glm")]
    tuning = {Kind(Step.TUNE, base, how): 10.0 for base in bases for how in ("full", "lora")}
    answering = {Kind(Step.ANSWER, base, "plain"): 2.0 for base in bases}
    known = assumptions.card("round")
    machine = Machine("round", known.changed(tflops=1e9), {**tuning, **answering}, counts=True)
    found = preparation.outlook(draft, machine, done=False)
    others, _ = preparation._estimates(
        draft, preparation._asked(draft, done=False), [], machine, done=False
    )
    answers = [e for e in others if e.step is Step.ANSWER]
    assert len(answers) == 16
    assert sum(e.hours for e in answers) == approx(sum(e.tokens for e in answers) / 2 / 3600)
    assert found.hours * 2 > sum(e.hours for e in others) > 0  # tuning takes the rest
    assert found.memory_gb > 1  # fixed


TOYS = assumptions.Sizes(
    billions={f"toy {n}": 1 for n in ("mistral", "gemma", "llama", "qwen2", "glm", "bert")},
    why="by hand",
)


def test_what_is_not_known_is_not_nothing(draft, monkeypatch):
    def unknown(source):
        raise assumptions.UnknownSize(source, "no size")

    monkeypatch.setattr(assumptions, "billions", unknown)
    found = preparation.outlook(draft, machine_of("cpu-core"), done=False)
    assert (found.hours, found.memory_gb, found.disk_gb) == (None, None, None)
    assert found.unknown == tuple(sorted(TOYS.billions))  # the encoder, too
    assert found.is_long and found.trainings == 11
    text = found.text(0.05)
    assert "time     unknown (the size of toy bert, " in text and "memory   unknown" in text
    nowhere = preparation.outlook(draft, None, done=False)
    assert nowhere.hours is None and "a machine of unknown speed" in nowhere.text(0.05)
    assert json.loads(json.dumps(nowhere.json()))["hours"] is None


def test_what_is_wrong_is_no_unknown_size(draft, monkeypatch):
    def wrong(model):
        raise ValueError("rows.csv, row 3: it holds no text")

    monkeypatch.setattr(preparation.jobs, "download", wrong)
    with pytest.raises(ValueError, match="row 3: it holds no text"):
        preparation.outlook(draft, machine_of("cpu-core", counts=True), done=False)


def test_half_an_hour_is_not_long():
    assert not OUTLOOK.is_long and replace(OUTLOOK, hours=0.51).is_long


def test_the_text_says_what_is_too_much_and_what_cannot_be_found():
    text = OUTLOOK.text(0.3)
    assert "about 30 min at most, 2 workers on a card" in text
    assert "3.0 GB at most (tune R^t one); 4.0 GB free" in text and "warning" not in text
    text = replace(OUTLOOK, memory_gb=5.0, disk_gb=30.0, hours=2.25).text(0.05)
    assert "about 2.2 hours" in text
    assert "than one such control, so no rank is a finding at alpha 0.05, whatever" in text
    assert "DSI_WORKERS=1" in text and "set $DSI_STORE" in text


def test_fewer_workers_help_where_they_share_the_memory(draft):
    """A GPU's is one worker's own; one worker on a CPU cannot be fewer."""
    text = replace(OUTLOOK, memory_gb=5.0, sharing=1).text(0.3)
    assert "a smaller responses.batch_size need less" in text and "DSI_WORKERS" not in text
    cards = ("cpu-core", "A100-80GB")
    machines = [machine_of(card, counts=True) for card in cards]
    machines = [replace(m, card=m.card.changed(workers=4)) for m in machines]
    found = [preparation.outlook(draft, machine, done=False) for machine in machines]
    assert [(o.workers, o.sharing) for o in found] == [(4, 4), (4, 1)]


def prepare_command(*words):
    return CliRunner().invoke(app, ["prepare", "--profile", "smoke", *words])


@pytest.fixture
def no_work(monkeypatch):
    """What work was begun."""
    begun = []
    monkeypatch.setattr(prepare, "make", lambda draft: begun.append(draft) or 1 / 0)
    monkeypatch.setattr(here, "machine", lambda profile: machine_of("cpu-core", counts=True))
    return begun


def test_a_dry_run_writes_nothing(mine, tmp_path, no_work, empty_store, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = files(tmp_path)
    done = prepare_command("--data", mine, "--drop", "empty", "--dry-run")
    assert done.exit_code == 0 and "tune 11 models, draw up to 168 answers" in done.output
    assert files(tmp_path) == before and not (tmp_path / "audits").exists()
    done = prepare_command("--data", mine, "--drop", "empty", "--dry-run", "--json")
    assert json.loads(done.stdout)["answers"] == 168
    assert no_work == [] and not list(empty_store.glob("*/*/spec.json"))


def test_long_work_needs_yes_where_nobody_can_answer(mine, draft, no_work, monkeypatch):
    monkeypatch.setattr(drafting, "draft", lambda *_, **__: draft)
    monkeypatch.setattr(preparation, "LONG", 0.0)
    done = prepare_command("--data", mine, "--drop", "empty")
    assert done.exit_code == 2 and "--yes" in done.output and no_work == []


def test_the_question_whether_to_begin_is_no_part_of_the_json(mine, draft, no_work, monkeypatch):
    monkeypatch.setattr(drafting, "draft", lambda *_, **__: draft)
    monkeypatch.setattr(preparation, "LONG", 0.0)
    monkeypatch.setattr(dataset, "sys", SimpleNamespace(stdin=SimpleNamespace(isatty=lambda: True)))
    done = CliRunner().invoke(
        app, ["prepare", "--profile", "smoke", "--data", mine, "--drop", "empty", "--json"], "n\n"
    )
    assert "Begin?" in done.stderr and "Begin?" not in done.stdout and no_work == []


@pytest.mark.parametrize("alpha", ["0", "1", "5", "nan"])
def test_alpha_is_checked_before_any_work(mine, no_work, alpha):
    done = prepare_command("--data", mine, "--drop", "empty", "--yes", "--alpha", alpha)
    assert done.exit_code == 2 and "needs a number between 0 and 1" in done.output
    assert no_work == []


@pytest.mark.parametrize("given", [["--yes"], []])
def test_what_is_short_or_wanted_begins(mine, draft, no_work, monkeypatch, given):
    monkeypatch.setattr(drafting, "draft", lambda *_, **__: draft)
    monkeypatch.setattr(preparation, "LONG", 0.0 if given else 1.0)
    prepare_command("--data", mine, "--drop", "empty", *given)
    assert len(no_work) == 1


def test_a_plan_for_any_card(mine):
    words = ["plan", "--data", mine, "--profile", "smoke", "--drop", "empty", "--card", "A100-80GB"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0 and "1 worker on A100-80GB" in done.output
    assert "tune 11 models, draw up to 168 answers from 16 models" in done.output


def test_a_plan_without_data_is_told_nothing_of_it():
    done = CliRunner().invoke(app, ["plan", "--rows", "5", "--output", "a", "--drop", "empty"])
    assert done.exit_code == 2
    assert "--output, --rows, --drop goes with --data" in done.output


def test_a_plan_of_data_lists_no_jobs_of_a_study(mine):
    done = CliRunner().invoke(app, ["plan", "--data", mine, "--profile", "smoke", "--jobs"])
    assert done.exit_code == 2
    assert "--jobs lists those of a study: it does not go with --data" in done.output


def test_a_plan_of_data_is_told_how_to_read_it_as_a_preparation_is(tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr(drafting, "draft", lambda *_, **how: told.append(how) or 1 / 0)
    words = ["--data", "d.csv", "--iid", "i.csv", "--encoding", "cp1252", "--separator", "tab"]
    words += ["--conversations", "talk", "--drop", "empty,duplicates", "--rows", "50"]
    for command in ("plan", "prepare"):
        CliRunner().invoke(app, [command, *words, "--profile", "smoke"])
    assert [how["iid"] for how in told] == ["i.csv"] * 2 and told[0]["rows"] == 50
    assert told[0]["reading"] == told[1]["reading"]
    given = {name: value for name, value in told[0]["reading"].items() if value is not None}
    assert given == {
        "encoding": "cp1252",
        "separator": "\t",
        "conversations": "talk",
        "drop": ["empty", "duplicates"],
    }
