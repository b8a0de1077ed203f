"""Engines without Ray: which one, parts of one work, entries that travel, what a check finds."""

import errno
import fcntl
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from helpers import says

from dsi_core.runtime import disk, jobs, locks, store
from dsi_core.runtime.engines import carried, choice, keeper, local, nodes
from dsi_core.runtime.engines.choice import Engine, Part
from dsi_core.runtime.engines.keeper import Keeper
from dsi_core.runtime.hub import Access, Way

SPEC = {"seed": 1}
VERSIONS = {"python": "3.11.7", "torch": "2.13.0", "transformers": "5.23.0"}


@pytest.mark.parametrize(
    ("said", "address", "engine"),
    [
        ("", "", Engine.LOCAL),
        ("", "auto", Engine.RAY),
        ("local", "auto", Engine.LOCAL),
        ("ray", "", Engine.RAY),
    ],
)
def test_what_is_said_wins_over_an_address(monkeypatch, said, address, engine):
    monkeypatch.setenv(choice.ENGINE, said)
    monkeypatch.setenv("RAY_ADDRESS", address)
    assert choice.engine() is engine


@pytest.mark.parametrize(
    ("name", "value", "part"),
    [
        (choice.ENGINE, "slurm", "allowed: local, ray"),
        (choice.PART, "0/4", "1/16"),
        (choice.PART, "5/4", "'5/4'"),
        (choice.PART, "half", "--part"),
    ],
)
def test_no_such_engine_or_part(monkeypatch, name, value, part):
    monkeypatch.setenv(name, value)
    with pytest.raises(ValueError) as error:
        choice.engine(), choice.part()
    says(error, part, f"${name}")


def test_ray_and_parts_exclude_each_other(monkeypatch):
    monkeypatch.setenv(choice.ENGINE, "ray")
    monkeypatch.setenv(choice.PART, "1/2")
    with pytest.raises(ValueError, match="--engine local"):
        choice.engine()


def test_each_part_begins_with_its_own_and_has_all():
    assert Part(1, 3).order(7) == [0, 3, 6, 1, 4, 2, 5]
    assert Part(3, 3).order(7) == [2, 5, 0, 3, 6, 1, 4]
    assert Part().order(3) == [0, 1, 2] and Part().leads and not Part(2, 3).leads


def make(name: str) -> str:
    """One entry, by one process; the others find it."""
    folder = store.entry("tuned", name, SPEC)
    with locks.held(folder):
        if store.manifest(folder) is None:
            time.sleep(0.2)
            with open(folder / "made", "a") as file:
                file.write(f"{os.environ['DSI_PART']}\n")
            store.finish(folder)
    return (folder / "made").read_text()


def make_all(part: str, stores: Path, says: Connection) -> None:
    """What a node does: six entries in a store with hard locks, six in one with soft ones."""
    os.environ.update({"DSI_WORKERS": "0", "DSI_PART": part})
    for kind in ("hard", "soft"):
        os.environ.update({locks.LOCKS: kind, "DSI_STORE": str(stores / kind)})
        says.send(jobs.run([jobs.Job(name, make, (name,)) for name in "abcdef"]))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nodes are forked")
def test_processes_share_the_jobs_of_a_store(tmp_path):
    """Two "nodes" with one folder: each makes some, none is made twice, both have all results.

    By both kinds of locks, one after the other.
    """
    fork, both = multiprocessing.get_context("fork"), []
    for part in ("1/2", "2/2"):
        here, there = fork.Pipe(duplex=False)
        fork.Process(target=make_all, args=(part, tmp_path / "stores", there)).start()
        there.close()  # so that a node that dies is not waited for
        both.append(here)
    for _ in ("hard", "soft"):
        first, second = (node.recv() for node in both)
        assert first == second
        assert len(first) == 6 and set(first) <= {"1/2\n", "2/2\n"}  # each entry has one line
    assert len(list((tmp_path / "stores").rglob("made"))) == 12
    assert not list((tmp_path / "stores" / "soft").rglob(locks.SOFT_LOCK))


INTERRUPTED = """
import signal
import time
from dsi_core.runtime import jobs, locks, store
from dsi_core.runtime.engines import local

local.PRELOADED = ["torch"]
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it

def hold(name):
    with locks.held(store.entry("tuned", name, {"seed": 1})):
        time.sleep(600)

if __name__ == "__main__":
    jobs.run([jobs.Job(name, hold, (name,)) for name in "ab"])
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows ends a process without telling it")
def test_an_interrupt_leaves_no_soft_lock(tmp_path, empty_store):
    (tmp_path / "interrupted.py").write_text(INTERRUPTED)
    told = {**os.environ, locks.LOCKS: "soft", "DSI_WORKERS": "2"}
    command = [sys.executable, str(tmp_path / "interrupted.py")]
    begun = subprocess.Popen(command, env=told, stderr=subprocess.DEVNULL)
    end = time.time() + 90
    while len(list(empty_store.rglob(locks.SOFT_LOCK))) < 2 and time.time() < end:
        time.sleep(0.1)
    assert len(list(empty_store.rglob(locks.SOFT_LOCK))) == 2
    begun.send_signal(signal.SIGINT)
    assert begun.wait(60) != 0
    assert not list(empty_store.rglob(locks.SOFT_LOCK))


def test_who_is_waited_for_is_said_once(monkeypatch, capfd):
    monkeypatch.setenv("DSI_PROGRESS", "lines")
    waiting = local.Waiting([0])
    for _ in range(4):  # in its turn, and when nothing else is left
        waiting.later(0, "tuned/m: another run holds it")
    assert capfd.readouterr().err == "waiting for tuned/m: another run holds it\n"


def test_what_somebody_else_is_at_is_left_until_the_end(empty_store, monkeypatch):
    monkeypatch.setenv(choice.PART, "2/2")
    monkeypatch.setattr("dsi_core.runtime.engines.local.HELD_SECONDS", 0.05)
    folder, begun = store.entry("tuned", "held", SPEC), []
    held = locks.lock_of(folder)
    held.acquire()

    def take(name):
        begun.append(name)
        if len(begun) == 4:
            held.release()
        with locks.held(store.entry("tuned", name, SPEC)):
            return name

    work = [jobs.Job(name, take, (name,)) for name in ("free", "held", "also free")]
    assert jobs.run(work) == ["free", "held", "also free"]
    assert begun == ["held", "free", "also free", "held"]


def test_without_parts_one_waits(empty_store):
    folder = store.entry("tuned", "m", SPEC)
    held = pytest.raises(locks.Held, match="process")
    with locks.held(folder), locks.patience(0.01), held, locks.held(folder):
        pass
    (folder / "spec.json").unlink()  # no entry: it is short, one waits
    with locks.patience(0.01), locks.held(folder):
        pass


def test_soft_or_hard(empty_store, monkeypatch):
    monkeypatch.setenv(locks.LOCKS, "none")
    with pytest.raises(ValueError, match="allowed: hard, soft"), locks.held(empty_store):
        pass


@pytest.fixture
def far(empty_store, tmp_path, monkeypatch):
    """far(job) = another machine's view of the store, with a store of its own in tmp_path."""
    store.make_root()
    home = Keeper()
    home.renew(str(empty_store))

    def ask(method, *arguments):
        return getattr(home, method)(*arguments)

    def begin(job=0):
        home.begin(job, "far")
        monkeypatch.setenv("DSI_STORE", str(tmp_path / "node"))
        monkeypatch.setattr(store, "elsewhere", carried.Carried(ask, job, str(empty_store)))
        return home

    return begin


def write(folder: Path, text: str, **facts):
    (folder / "part").mkdir(exist_ok=True)
    (folder / "part" / "weights").write_text(text)
    (folder / "checkpoints").mkdir(exist_ok=True)
    (folder / "checkpoints" / "step").write_text("stays here")
    store.finish(folder, **facts)


def test_an_entry_travels_there_and_back(far, empty_store, monkeypatch):
    monkeypatch.setattr(keeper, "PIECE", 5)  # bytes: in several pieces
    base = store.entry("models", "base", SPEC)
    write(base, "the weights of a base")
    far()
    here = store.entry("models", "base", SPEC, make=False)
    assert not here.exists()
    with locks.held(here):
        assert store.manifest(here) == disk.read_json(base / "manifest.json")
    assert (here / "part" / "weights").read_text() == "the weights of a base"
    assert not (here / "checkpoints").exists()

    made = store.entry("tuned", "m", SPEC)
    with locks.held(made):
        write(made, "tuned", seconds=1)
    home = empty_store / "tuned" / made.name
    assert (home / "part" / "weights").read_text() == "tuned" and (home / "spec.json").exists()
    assert not (home / "checkpoints").exists()
    assert json.loads((home / "manifest.json").read_text())["seconds"] == 1


def test_a_newer_entry_of_the_run_is_brought_again(far, empty_store):
    base = store.entry("responses", "m", SPEC)
    write(base, "one answer", answers=1)
    home = far()
    here = store.entry("responses", "m", SPEC)
    with locks.held(here):
        assert (here / "part" / "weights").read_text() == "one answer"
    assert home.held == {}
    (base / "part" / "weights").write_text("two answers")
    (base / "manifest.json").write_text('{"answers": 2}')
    with locks.held(here):
        assert (here / "part" / "weights").read_text() == "two answers"


def test_what_was_removed_from_the_run_is_made_and_given_again(far, empty_store):
    far()
    here = store.entry("tuned", "m", SPEC)
    with locks.held(here):
        write(here, "tuned")
    home = empty_store / "tuned" / here.name
    shutil.rmtree(home)
    with locks.held(here):
        assert store.manifest(here) is None
        write(here, "tuned again")
    assert (home / "part" / "weights").read_text() == "tuned again"


@pytest.mark.parametrize("complete", [False, True])
def test_answers_of_the_run_and_of_a_lost_worker_are_kept(far, empty_store, complete):
    """The run was interrupted before its first manifest, or after it; its last line is torn."""
    answers = store.entry("responses", "m", SPEC) / keeper.ANSWERS
    answers.write_text("a\n")
    if complete:
        store.finish(answers.parent)
    far()
    here = store.entry("responses", "m", SPEC)
    if complete:
        with locks.held(here):
            pass
    with open(here / keeper.ANSWERS, "a") as file:
        file.write("c\nown\n")
    answers.write_text("a\nb\nc")
    with locks.held(here):
        assert (here / keeper.ANSWERS).read_text() == "a\nb\nc\nown\n"
        answers.write_text("a\nb\nc\nof one that did not wait\n")
        store.finish(here)
    assert answers.read_text() == "a\nb\nc\nown\nof one that did not wait\n"


def test_scores_that_are_not_given_yet_stay(far, empty_store):
    """What is added to anything but answers is lost if the run's, of the same state, is brought."""
    run = store.entry("similarity", "m", SPEC)
    write(run, "two scores")
    far()
    here = store.entry("similarity", "m", SPEC)
    for text in ("two scores", "three scores"):
        with locks.held(here):
            assert (here / "part" / "weights").read_text() == text
            (here / "part" / "weights").write_text("three scores")


def test_a_file_that_became_shorter_ends_the_job(far, empty_store, monkeypatch):
    write(store.entry("models", "base", SPEC), "the weights of a base")
    home = far()
    monkeypatch.setattr(home, "read", lambda *_: b"")  # replaced after it was listed
    with pytest.raises(OSError, match="part/weights has become shorter than 21 bytes"):
        store.elsewhere.bring(store.entry("models", "base", SPEC, make=False))


def test_one_machine_at_a_time(far, empty_store, monkeypatch):
    monkeypatch.setattr(carried, "WAIT_SECONDS", 0.01)
    home = far(0)
    name = f"tuned/{store.entry_name('tuned', 'm', SPEC)}"
    home.begin(1, "another")
    assert home.hold(name, 1) and not home.hold(name, 0)
    with pytest.raises(Exception, match="acquired"):  # the driver's own processes wait too
        locks.lock_of(empty_store / name).acquire(timeout=0.01)
    home.begin(1, "yet another")  # its worker was lost: what it held is free
    assert home.hold(name, 0)
    home.jobs[0].heard -= keeper.SILENT_SECONDS + 1  # nobody has heard of it since
    assert home.hold(name, 1)
    home.end(1)
    assert home.held == {} and not (empty_store / name).exists()  # made for its lock alone


def test_a_file_by_its_place_in_the_run(far, empty_store, tmp_path):
    pairs = store.entry("rephrased", "m", SPEC)
    write(pairs, "pairs")
    assert store.here(pairs / "part" / "weights") == pairs / "part" / "weights"
    far()
    assert store.here(pairs / "part" / "weights").read_text() == "pairs"
    assert store.here(pairs / "part" / "weights").is_relative_to(tmp_path / "node")
    assert store.here(tmp_path / "my.jsonl") == tmp_path / "my.jsonl"


def test_wheels_of_the_run_are_brought(far, empty_store):
    wheels = empty_store / "wheels" / "m==1"
    wheels.mkdir(parents=True)
    (wheels / "m-1.whl").write_bytes(b"wheel")
    far()
    folder = store.make_root() / "wheels" / "m==1"
    folder.mkdir(parents=True)
    with locks.held(folder):
        assert (folder / "m-1.whl").read_bytes() == b"wheel"
    with locks.held(store.root()):  # what every machine has of its own
        pass


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS])
def test_a_disk_without_locks_is_found_by_the_check(empty_store, monkeypatch, number):
    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setenv(choice.ENGINE, "local")
    monkeypatch.setattr(fcntl, "flock", refuse)
    monkeypatch.setattr(nodes, "LEAST_FREE_GB", 0.0)
    found = nodes.check()
    assert found.nodes[0].excludes is False
    assert "$DSI_LOCKS=soft" in found.wrong[0] and len(found.wrong) == 1


def node(**facts) -> nodes.Node:
    plain = nodes.Node(
        name="here",
        versions=VERSIONS,
        commit="abc1234",
        cores=8,
        memory_gb=64.0,
        free_gb=500.0,
        gpus=(("A100", 79.0, 80.0),),
        given=1.0,
        sees=True,
        writes=True,
        excludes=True,
        hub=Way.REACHED,
        lacks=(),
    )
    return replace(plain, **facts)


@pytest.mark.parametrize(
    ("facts", "parts"),
    [
        ({"versions": {**VERSIONS, "torch": "2.14"}}, ["torch is 2.14", "2.13.0", "pip install"]),
        ({"commit": "def5678+"}, ["def5678+", "check out the same"]),
        ({"writes": False}, ["may not write"]),
        ({"excludes": False}, ["nolock", "flock", "$DSI_LOCKS=soft"]),
        ({"gpus": ()}, ["Ray has 1 GPUs", "torch for CUDA"]),
        ({"free_gb": 3.0}, ["3 GB are free", "$DSI_STORE"]),
        ({"free_gb": 3.0, "sees": False}, ["$DSI_NODE_STORE"]),
        ({"ahead": -90.0}, ["-90 s", "NTP"]),
        (
            {"hub": Way.OFFLINE, "lacks": (("a/b", Access.UNKNOWN),)},
            ["offline, a/b: not known", "hf download", "$HF_HOME"],
        ),
        (
            {"lacks": (("a/b", Access.NO_TOKEN), ("c/d", Access.NO_TOKEN))},
            ["reached, a/b, c/d: gated, no token", "hf auth login"],
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_says_what_to_do(facts, parts):
    (said,) = nodes._wrong(node(name="there", **facts), node())
    assert said.startswith("there: ") and all(part in said for part in parts), said


def test_a_machine_as_the_drivers_is_well_and_some_is_only_known():
    assert nodes._wrong(node(name="there"), node()) == []
    assert nodes._known(node(name="there"), node()) == []
    (said,) = nodes._known(node(sees=False), node())
    assert "travel through Ray" in said
    (said,) = nodes._known(node(gpus=(("H100", 79.0, 80.0),)), node())
    assert "H100" in said
    (said,) = nodes._wrong(node(name="there"), node(gpus=(), given=0.0))
    assert "the driver has none" in said
    assert nodes.table([node(), node(sees=False)])["store"].tolist() == ["the run's", "its own"]


def test_this_machine_is_checked_without_ray(empty_store, monkeypatch):
    monkeypatch.setenv(choice.ENGINE, "local")
    monkeypatch.setattr(nodes, "LEAST_FREE_GB", 0.0)
    found = nodes.check({"owner/never-fetched": None})
    (here,) = found.nodes
    assert here.sees and here.writes and here.excludes and here.hub == "offline"
    (said,) = found.wrong
    assert "owner/never-fetched" in said
    assert not [path for path in empty_store.iterdir() if path.name.startswith(".probe")]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives a link to somebody else")
def test_a_nodes_store_that_somebody_else_linked_is_not_taken(tmp_path, monkeypatch):
    """Whoever made the link may lead it elsewhere later."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "mine")
    monkeypatch.setenv(carried.NODE_STORE, str(tmp_path / "link"))
    assert carried.node_store("run").parent == tmp_path / "link"
    os.chown(tmp_path / "link", 65534, 65534, follow_symlinks=False)
    with pytest.raises(ValueError, match="belongs to somebody else"):
        carried.node_store("run")


def test_a_fork_server_hears_no_advice_of_libraries():
    """Bitsandbytes warns as it is imported, before any job can silence it."""
    code = (
        f"import {local.PRELOADED[0]}, logging\n"
        "logging.getLogger('bitsandbytes.backends.cpu.ops').warning('pip install kernels')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")
