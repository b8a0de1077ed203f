"""Parallel jobs: order, errors, one thread each, and no worker left behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers import says

from dsi_core.runtime import jobs as work

JOBS = '''
import os, time
from pathlib import Path

def facts(i):
    """Later jobs end first."""
    import torch
    time.sleep(0.3 * (3 - i))
    (torch.ones(300, 300) @ torch.ones(300, 300)).sum()
    return i, torch.get_num_threads(), os.environ["OMP_NUM_THREADS"], os.getpid(), os.getppid()

def touch(folder, name):
    (Path(folder) / f".{name}").write_text(str(os.getpid()))
    (Path(folder) / f".{name}").rename(Path(folder) / name)

def variables(*names):
    return [os.environ.get(name) for name in names], os.getpid()

def fail():
    raise ValueError("row 7 of x.csv is torn")

def sleep(folder, name):
    touch(folder, name)
    time.sleep(600)
'''
PARENT = """
import sys
import jobs
from dsi_core import work

if __name__ == "__main__":
    work.run([work.Job(str(i), jobs.sleep, (sys.argv[1], f"{i}.pid")) for i in range(3)])
"""


@pytest.fixture(scope="module", autouse=True)
def busy(tmp_path_factory):
    """(process, folder): beside the other tests, a process whose two workers sleep."""
    folder = tmp_path_factory.mktemp("busy")
    (folder / "jobs.py").write_text(JOBS)
    (folder / "parent.py").write_text(PARENT)
    with subprocess.Popen(
        [sys.executable, str(folder / "parent.py"), str(folder)], stderr=subprocess.DEVNULL
    ) as process:
        yield process, folder
        process.kill()


@pytest.fixture
def jobs(tmp_path, monkeypatch):
    (tmp_path / "jobs.py").write_text(JOBS)
    monkeypatch.syspath_prepend(tmp_path)
    sys.modules.pop("jobs", None)
    import jobs

    return jobs


def test_results_in_the_order_of_the_jobs_from_one_thread_workers(jobs, capfd, monkeypatch):
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):  # conftest's
        monkeypatch.delenv(name, raising=False)
    results = work.run([work.Job(f"job {i}", jobs.facts, (i,), cost=i + 1) for i in range(4)])
    assert [r[0] for r in results] == [0, 1, 2, 3]
    assert {r[1:3] for r in results} == {(1, "1")}
    assert len({r[4] for r in results}) == 1 and os.getpid() not in {r[3] for r in results}
    shown = capfd.readouterr().err
    assert "4/4" in shown and "100%" in shown
    assert work.run([]) == []


def test_an_environment_for_one_run(jobs, monkeypatch):
    monkeypatch.setenv("THERE", "before")
    usual = next(iter(work.MALLOC))
    monkeypatch.delenv(usual, raising=False)
    before, names = dict(os.environ), ("THERE", "NEW", usual)
    (one, process), (two, same) = work.run(
        [work.Job(str(i), jobs.variables, names) for i in range(2)],
        environment={"DSI_WORKERS": "1", "THERE": None, "NEW": "value"},
    )
    assert one == two == [None, "value", None] and process == same and dict(os.environ) == before
    with pytest.raises(ValueError):
        work.run([work.Job("bad", jobs.fail)], environment={"THERE": None, usual: "1"})
    assert dict(os.environ) == before
    assert work.run([work.Job("usual", jobs.variables, names)])[0][0] == [
        "before",
        None,
        work.MALLOC[usual],
    ]
    monkeypatch.setenv("THERE", "changed")  # after the process that forks began
    assert (
        work.run([work.Job("again", jobs.variables, names)])[0][0]
        == ["changed", None, work.MALLOC[usual]]
        and usual not in os.environ
    )


def test_workers_are_forked_but_never_where_a_gpu_is(monkeypatch):
    assert work._forks().get_start_method() == "forkserver"
    monkeypatch.setattr(work, "devices", lambda: ["cuda:0", "cuda:1"])
    assert work._forks().get_start_method() == "spawn"


def test_an_error_is_raised_and_stops_what_has_not_begun(jobs, tmp_path, monkeypatch):
    monkeypatch.setenv("DSI_WORKERS", "1")
    names = ["before", *(f"after {i}" for i in range(8))]
    calls = [work.Job(n, jobs.touch, (str(tmp_path), n)) for n in names]
    with pytest.raises(ValueError) as error:
        work.run([calls[0], work.Job("bad", jobs.fail), *calls[1:]])
    says(error, "row 7 of x.csv is torn")
    assert (tmp_path / "before").exists()
    assert not (tmp_path / "after 7").exists()


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


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
def test_workers_end_when_their_parent_is_killed(busy):
    parent, folder = busy
    pids = []
    try:
        assert until(lambda: len(list(folder.glob("*.pid"))) == 2, 60)
        pids = [int(p.read_text()) for p in folder.glob("*.pid")]
        assert len(set(pids)) == 2 and all(map(alive, pids))
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait()
        assert until(lambda: not any(map(alive, pids)), 8)
        assert not (folder / "2.pid").exists()
    finally:
        for pid in filter(alive, pids):  # ours, should the test have failed
            os.kill(pid, signal.SIGKILL)
