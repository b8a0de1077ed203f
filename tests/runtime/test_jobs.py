"""Parallel jobs: order, devices, errors, interrupts, one thread each, and no worker left behind."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from helpers import says

from dsi_core.runtime import devices, jobs
from dsi_core.runtime.engines import local
from dsi_core.runtime.environment import HEAP, QUIET

pytestmark = pytest.mark.usefixtures("two_workers", "bars")


@pytest.fixture
def bars(monkeypatch):
    """Progress is shown as on a terminal."""
    monkeypatch.setenv("DSI_PROGRESS", "bar")


CHORES = '''
import os, signal, subprocess, sys, threading, time, warnings
from pathlib import Path
from dsi_core.runtime import jobs

def facts(i):
    """Later jobs end first."""
    import torch
    time.sleep(0.3 * (3 - i))
    (torch.ones(300, 300) @ torch.ones(300, 300)).sum()
    return i, torch.get_num_threads(), os.environ["OMP_NUM_THREADS"], os.getpid(), os.getppid()

def touch(folder, name, number=None):
    (Path(folder) / f".{name}").write_text(str(number or os.getpid()))
    (Path(folder) / f".{name}").rename(Path(folder) / name)

def variables(*names):
    return [os.environ.get(name) for name in names], os.getpid()

def warn(*modules):
    for module in modules:
        warnings.warn_explicit(f"of {module}", UserWarning, "file.py", 1, module=module)

def fail():
    raise ValueError("row 7 of x.csv is torn")

def sleep(folder, name):
    """A job with a process of its own."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    touch(folder, f"child of {name}", child.pid)
    touch(folder, name)
    time.sleep(600)

def fail_beside(folder, other):
    while not (Path(folder) / other).exists():
        time.sleep(0.05)
    touch(folder, "failed")
    fail()

def chatter(folder, name):
    """Reports more than a pipe holds, for a minute."""
    touch(folder, name)
    end = time.time() + 60
    while time.time() < end:
        jobs.report(0.5)

class Stubborn(Exception):
    """Pickles, but cannot be made again from its pickle."""
    def __init__(self, row, column):
        super().__init__(f"row {row}, column {column}")

def stubborn():
    raise Stubborn(7, "answer")

def leave():
    sys.exit(0)

def unpicklable():
    return threading.Lock()

def die(megabytes):
    held = b"1" * (megabytes * 10**6)
    time.sleep(1.5)
    os.kill(os.getpid(), signal.SIGKILL)
'''
PARENT = """
import json, signal, sys, time
import chores
from dsi_core.runtime import jobs
from dsi_core.runtime.engines import local

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
local.PRELOADED = ["torch"]
folder = sys.argv[1]

def say(**facts):
    print(json.dumps(facts), flush=True)

if __name__ == "__main__":
"""
SLEEP = """
    jobs.run([jobs.Job(str(i), chores.sleep, (folder, f"{i}.pid")) for i in range(3)])
"""
INTERRUPTED = """
    first = jobs.Job("first", chores.touch, (folder, "first"))
    more = [jobs.Job(str(i), chores.sleep, (folder, f"{i}.pid")) for i in range(6)]
    try:
        jobs.run([first, *more])
    except KeyboardInterrupt:
        say(interrupted=time.time())
    say(again=jobs.run([jobs.Job(str(i), chores.variables, ("HOME",)) for i in range(2)])[1][0])
"""
FAILED = """
    calls = [(chores.fail_beside, "talks"), (chores.chatter, "talks")]
    try:
        jobs.run([jobs.Job(str(call), call, (folder, name)) for call, name in calls])
    except ValueError as error:
        say(error=str(error), at=time.time())
"""
needs_proc = pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="looks for processes in /proc"
)


@pytest.fixture
def begin(tmp_path):
    """begin(body) = a process, head of its group, that runs it with this test's folder."""
    processes = []

    def make(body: str) -> subprocess.Popen:
        (tmp_path / "chores.py").write_text(CHORES)
        (tmp_path / "parent.py").write_text(PARENT + body)
        command = [sys.executable, str(tmp_path / "parent.py"), str(tmp_path)]
        with open(tmp_path / "stderr", "w") as stderr:
            process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=stderr, text=True, start_new_session=True
            )
        processes.append(process)
        return process

    yield make
    for process in processes:
        process.kill()
        process.wait()
        process.stdout.close()
    for pid in filter(alive, pids(tmp_path)):  # ours, should the test have failed
        os.kill(pid, signal.SIGKILL)


@pytest.fixture
def chores(tmp_path, monkeypatch):
    (tmp_path / "chores.py").write_text(CHORES)
    monkeypatch.syspath_prepend(tmp_path)
    sys.modules.pop("chores", None)
    import chores

    return chores


def pids(folder: Path) -> list[int]:
    """Of the workers that sleep in this folder, and of their children."""
    return [int(file.read_text()) for file in folder.glob("*.pid") if file.name[0] != "."]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def until(condition, seconds: float) -> bool:
    end = time.time() + seconds
    while not condition() and time.time() < end:
        time.sleep(0.1)
    return condition()


def line(process: subprocess.Popen, seconds: float) -> dict:
    """The next facts that a process says, or none: its group is killed when they do not come."""
    timer = threading.Timer(seconds, os.killpg, (process.pid, signal.SIGKILL))
    timer.start()
    text = process.stdout.readline()
    timer.cancel()
    return json.loads(text or "{}")


def test_results_in_the_order_of_the_jobs_from_one_thread_workers(chores, capfd, monkeypatch):
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):  # conftest's
        monkeypatch.delenv(name, raising=False)
    results = jobs.run([jobs.Job(f"job {i}", chores.facts, (i,), cost=i + 1) for i in range(4)])
    assert [r[0] for r in results] == [0, 1, 2, 3]
    assert {r[1:3] for r in results} == {(1, "1")}
    assert len({r[3] for r in results}) == 2 and os.getpid() not in {r[3] for r in results}
    assert len({r[4] for r in results}) == 1  # forked from one process
    shown = capfd.readouterr().err
    assert "4/4" in shown and "100%" in shown


def test_no_jobs_no_results_no_bar(capfd):
    assert jobs.run([]) == [] and capfd.readouterr().err == ""


def test_two_jobs_may_have_one_name(chores, capfd):
    same = [jobs.Job("same", chores.variables, (name,)) for name in ("DSI_WORKERS", "NOTHING")]
    assert [found for found, _ in jobs.run(same)] == [["2"], [None]]
    assert "2/2" in capfd.readouterr().err


def test_what_workers_warn_of_is_said_here(chores, capfd):
    """Of ours; and by the process that shows warnings as its user wants them."""
    modules = "dsi_core.models", "trl.trainer"
    with pytest.warns(UserWarning) as warned:
        jobs.run([jobs.Job(str(i), chores.warn, modules) for i in range(2)])
    assert {str(each.message) for each in warned} == {"of dsi_core.models"}
    assert {each.filename for each in warned} == {jobs.__file__}
    assert "Warning" not in capfd.readouterr().err


def test_an_environment_for_one_run(chores, monkeypatch):
    monkeypatch.setenv("THERE", "before")
    usual = next(iter(HEAP))
    monkeypatch.delenv(usual, raising=False)
    before, names = dict(os.environ), ("THERE", "NEW", usual)
    (one, process), (two, same) = jobs.run(
        [jobs.Job(str(i), chores.variables, names) for i in range(2)],
        environment={"DSI_WORKERS": "1", "THERE": None, "NEW": "value"},
    )
    assert one == two == [None, "value", None] and process == same and dict(os.environ) == before
    with pytest.raises(ValueError):
        jobs.run([jobs.Job("bad", chores.fail)], environment={"THERE": None, usual: "1"})
    assert dict(os.environ) == before

    usually = [jobs.Job("usual", chores.variables, names)]
    assert jobs.run(usually)[0][0] == ["before", None, HEAP[usual]]
    monkeypatch.setenv("THERE", "changed")  # after the process that forks began
    assert jobs.run(usually)[0][0] == ["changed", None, HEAP[usual]]
    assert usual not in os.environ


@pytest.mark.parametrize(
    ("platform", "places", "own_environment", "method"),
    [
        ("linux", ["cpu", "cpu"], False, "forkserver"),
        ("linux", ["cpu", "cpu"], True, "spawn"),
        ("linux", ["0", "1"], False, "spawn"),
        ("darwin", ["cpu"], False, "spawn"),
        ("win32", ["cpu"], False, "spawn"),
    ],
)
def test_workers_are_forked_on_linux_but_never_where_a_gpu_is(
    monkeypatch, platform, places, own_environment, method
):
    monkeypatch.setattr(sys, "platform", platform)
    assert devices.start_method(places, own_environment=own_environment) == method


@pytest.mark.parametrize(
    ("visible", "count", "names"),
    [
        ("2,3", 2, ["2", "3"]),
        (" 3 , 1", 2, ["3", "1"]),
        (None, 2, ["0", "1"]),
        ("0,1,7", 2, ["0", "1"]),  # CUDA shows two: the machine has no seventh
        ("3,-1,1", 1, ["3"]),  # and nothing behind what is none
        ("GPU-8932f937-d72c,GPU-5b1f", 2, ["GPU-8932f937-d72c", "GPU-5b1f"]),
        ("MIG-GPU-8932f937/1/0", 1, ["MIG-GPU-8932f937/1/0"]),
    ],
)
def test_gpus_have_the_names_that_the_variable_gives_them(monkeypatch, visible, count, names):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.delenv("DSI_WORKERS")
    if visible is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert devices.devices() == names
    monkeypatch.setenv("DSI_WORKERS", "1")
    assert devices.devices() == names[:1]
    monkeypatch.setenv("DSI_WORKERS", "5")
    assert devices.devices() == (names * 5)[:5]


def test_a_worker_sees_its_own_gpu_alone(chores, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-3,2")
    alone = jobs.Job("one job, one worker", chores.variables, ("CUDA_VISIBLE_DEVICES",))
    assert jobs.run([alone])[0][0] == ["MIG-3"]


def test_as_many_workers_as_cores(monkeypatch):
    monkeypatch.delenv("DSI_WORKERS")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 4, 5}, raising=False)
    assert devices.devices() == ["cpu"] * 3
    monkeypatch.delattr(os, "sched_getaffinity")  # macOS, Windows
    monkeypatch.setattr(os, "process_cpu_count", lambda: 2, raising=False)
    assert devices.devices() == ["cpu"] * 2
    monkeypatch.delattr(os, "process_cpu_count")  # before Python 3.13
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    assert devices.devices() == ["cpu"] * 4
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert devices.devices() == ["cpu"]
    monkeypatch.setenv("DSI_WORKERS", "7")
    assert devices.devices() == ["cpu"] * 7


@pytest.mark.parametrize("workers", ["two", "-1", "1.5", "²"])
def test_a_number_of_workers_that_is_none(monkeypatch, chores, workers):
    monkeypatch.setenv("DSI_WORKERS", workers)
    with pytest.raises(ValueError) as error:
        jobs.run([jobs.Job("job", chores.facts, (3,))])
    says(error, "$DSI_WORKERS", repr(workers), "whole number", "0 to run the jobs")


def test_no_workers_jobs_run_in_this_process(chores, capfd, monkeypatch):
    import torch

    monkeypatch.setenv("DSI_WORKERS", "0")
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    before, threads = {**os.environ, **QUIET}, torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        results = jobs.run([jobs.Job(f"job {i}", chores.facts, (i,)) for i in (2, 3)])
        assert [r[:4] for r in results] == [(i, 1, "1", os.getpid()) for i in (2, 3)]
        assert torch.get_num_threads() == 2 and dict(os.environ) == before
    finally:
        torch.set_num_threads(threads)
    shown = capfd.readouterr().err
    assert "2/2" in shown and "100%" in shown

    shares = []
    half = jobs.Job("half", lambda: shares.append(jobs.report(0.5)))  # no pickle is needed
    with pytest.raises(ValueError, match=r"^row 7 of x.csv is torn$") as error:
        jobs.run([half, jobs.Job("bad", chores.fail), jobs.Job("never", shares.clear)])
    assert shares == [None] and not hasattr(error.value, "__notes__")
    assert "1/3 bad" in capfd.readouterr().err


def test_an_error_is_raised_and_stops_what_has_not_begun(chores, tmp_path, monkeypatch):
    monkeypatch.setenv("DSI_WORKERS", "1")
    names = ["before", *(f"after {i}" for i in range(8))]
    calls = [jobs.Job(n, chores.touch, (str(tmp_path), n)) for n in names]
    with pytest.raises(ValueError) as error:
        jobs.run([calls[0], jobs.Job("bad", chores.fail), *calls[1:]])
    assert str(error.value) == "row 7 of x.csv is torn"
    notes = "\n".join(error.value.__notes__)
    assert "in fail" in notes and "'bad'" in notes
    assert (tmp_path / "before").exists() and not (tmp_path / "after 0").exists()


@pytest.mark.parametrize(
    ("chore", "error", "message"),
    [
        ("stubborn", RuntimeError, "Stubborn: row 7, column answer"),
        ("leave", RuntimeError, "SystemExit: 0"),
        ("unpicklable", TypeError, "cannot pickle"),
    ],
)
def test_what_cannot_travel_is_an_error_too(chores, chore, error, message):
    with pytest.raises(error, match=message):
        jobs.run([jobs.Job("bad", getattr(chores, chore))])


@needs_proc
def test_a_killed_worker_names_its_job_its_memory_and_what_to_set(chores):
    with pytest.raises(jobs.WorkerDied) as error:
        jobs.run([jobs.Job("tune gemma", chores.die, (1500,))])
    says(error, "'tune gemma'", "SIGKILL", "DSI_WORKERS=1", "batch_size", " GB")
    held = float(str(error.value).partition("hold: ")[2].split()[0])
    assert held >= 1.5


@pytest.fixture
def handlers():
    """Handlers of signals are as they were afterwards."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_worker_that_is_ended_while_it_begins_says_nothing(handlers, monkeypatch):
    monkeypatch.setattr(threading.Thread, "start", lambda _: signal.raise_signal(signal.SIGTERM))
    with pytest.raises(SystemExit) as ended:
        local._work(None, devices.CPU, {})
    assert ended.value.code == 128 + signal.SIGTERM


@needs_proc
@pytest.mark.parametrize("send", [os.kill, os.killpg], ids=["parent", "group"])
def test_an_interrupt_ends_all_and_another_run_works(begin, tmp_path, send):
    process = begin(INTERRUPTED)
    # the first job is done; two of the six are at work, each with a child
    assert until(lambda: len(pids(tmp_path)) == 4, 90)
    sent = time.time()
    send(process.pid, signal.SIGINT)
    assert line(process, 20)["interrupted"] - sent < 3
    assert until(lambda: not any(map(alive, pids(tmp_path))), sent + 3 - time.time())
    assert (tmp_path / "first").exists() and len(pids(tmp_path)) == 4
    assert line(process, 60) == {"again": [os.environ["HOME"]]}
    assert process.wait(30) == 0
    assert "Traceback" not in (tmp_path / "stderr").read_text()


@needs_proc
def test_a_job_fails_beside_one_that_runs(begin, tmp_path):
    process = begin(FAILED)
    assert until((tmp_path / "failed").exists, 90)
    failed = (tmp_path / "failed").stat().st_mtime
    facts = line(process, 20)
    assert facts["error"] == "row 7 of x.csv is torn" and facts["at"] - failed < 5
    assert process.wait(10) == 0
    assert not alive(int((tmp_path / "talks").read_text()))


@needs_proc
def test_workers_end_when_their_parent_is_killed(begin, tmp_path):
    parent = begin(SLEEP)
    assert until(lambda: len(pids(tmp_path)) == 4, 90)
    workers = [int((tmp_path / f"{i}.pid").read_text()) for i in range(2)]
    assert all(map(alive, workers))
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    assert until(lambda: not any(map(alive, workers)), 8)
    assert not (tmp_path / "2.pid").exists()
