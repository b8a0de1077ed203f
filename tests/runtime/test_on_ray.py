"""Jobs on two nodes of Ray: as locally, with losses mended; entries that travel; the check."""

import importlib.util
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from helpers import says

from dsi_core.runtime import jobs, locks, store
from dsi_core.runtime.engines import carried, nodes, on_ray
from dsi_core.runtime.engines.ray_worker import Home

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="Ray is not installed (the group ray)"
)

CHORES = '''
import os, signal, sys, threading, time, warnings
from pathlib import Path
from dsi_core.runtime import jobs, locks, store

def facts(i):
    import torch
    time.sleep(0.2 * (3 - i))
    store.entry("tuned", f"seen {i}", {"seed": 1}, make=False)
    return i, torch.get_num_threads(), os.environ["OMP_NUM_THREADS"], os.environ["DSI_STORE"]

def variables(*names):
    return [os.environ.get(name) for name in names]

def fail():
    raise ValueError("row 7 of x.csv is torn")

def unpicklable():
    return threading.Lock()

def die_once(folder):
    """Killed the first time."""
    flag = Path(folder) / "died"
    if not flag.exists():
        flag.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "survived"

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def make(name, seconds):
    """One entry; says each time it begins."""
    folder = store.entry("tuned", name, {"seed": 1})
    with locks.held(folder):
        if store.manifest(folder) is None:
            with open(os.environ["BEGUN"], "a") as file:
                file.write(f"{name} {os.getpid()}\\n")
            time.sleep(seconds)
            (folder / "weights").write_text(name)
            store.finish(folder)
    return (folder / "weights").read_text()

def hold(folder):
    with locks.held(store.entry("tuned", "held", {"seed": 1})):
        Path(folder, "held").touch()
        while True:
            time.sleep(0.1)

def sleep(folder):
    Path(folder, f"{os.getpid()}.pid").touch()
    time.sleep(600)
'''
DRIVER = """
import chores, sys
from dsi_core.runtime import jobs
quick, slow, begun = sys.argv[1:]
if __name__ == "__main__":
    jobs.run([jobs.Job("quick", chores.make, ("quick", float(quick)), variables=("BEGUN",)),
              jobs.Job("slow", chores.make, ("slow", float(slow)), variables=("BEGUN",))])
    print("done")
"""
ON_LOOPBACK = {
    "RAY_AUTH_MODE": "disabled",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # else 127.0.0.1 becomes the machine's address
    "RAY_raylet_start_wait_time_s": "120",
    "RAY_worker_niceness": "0",
}
NODE = {
    "num_cpus": 1,
    "node_ip_address": "127.0.0.1",
    "include_dashboard": False,
    "object_store_memory": 100 * 2**20,
}


@pytest.fixture(scope="module")
def there(tmp_path_factory):
    """A folder with chores on the path of every worker, and a cluster of two nodes."""
    folder = tmp_path_factory.mktemp("ray")
    (folder / "chores.py").write_text(CHORES)
    (folder / "driver.py").write_text(DRIVER)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ON_LOOPBACK.items():
            patch.setenv(name, value)
        patch.setenv("DSI_PROGRESS", "lines")
        patch.syspath_prepend(str(folder))
        patch.setenv("PYTHONPATH", str(folder))
        sys.modules.pop("chores", None)
        import ray
        from ray.cluster_utils import Cluster

        cluster = Cluster(initialize_head=True, head_node_args=NODE)
        try:
            cluster.add_node(**NODE)
            patch.setenv("RAY_ADDRESS", cluster.address)
            patch.setenv("DSI_ENGINE", "ray")
            yield folder, cluster
        finally:
            ray.shutdown()
            cluster.shutdown()


@pytest.fixture
def chores(there, empty_store):
    import chores

    return chores


@pytest.fixture
def elsewhere(monkeypatch, tmp_path):
    """No worker sees the store of the run; each keeps its own in tmp_path."""

    @contextmanager
    def unseen():
        folder = store.make_root().resolve()
        yield Home("another machine", str(folder), str(tmp_path / "nowhere" / "probe"))

    monkeypatch.setattr(on_ray, "at_home", unseen)
    node_store = carried.node_store(f"{tmp_path / 'store'} on another machine")
    yield node_store
    import shutil

    shutil.rmtree(node_store, ignore_errors=True)


def test_results_as_locally(chores, empty_store, monkeypatch, tmp_path):
    monkeypatch.setenv(store.USED, str(tmp_path / "used"))
    monkeypatch.setenv("DSI_MINE", "told")
    monkeypatch.setenv("A_SECRET", "untold")
    monkeypatch.setenv("A_KEY", "told to whom it concerns")
    named = jobs.Job("key", chores.variables, ("DSI_MINE", "A_SECRET", "A_KEY"))
    key = jobs.Job("key", chores.variables, ("A_SECRET", "A_KEY"), variables=("A_KEY",))
    results = jobs.run([*(jobs.Job(f"job {i}", chores.facts, (i,)) for i in range(4)), named, key])
    assert results[:4] == [(i, 1, "1", str(empty_store.resolve())) for i in range(4)]
    assert results[4] == ["told", None, None]
    assert results[5] == [None, "told to whom it concerns"]
    monkeypatch.delenv("DSI_MINE")
    later = [jobs.Job("later", chores.variables, ("DSI_MINE", "A_KEY")) for _ in range(4)]
    assert jobs.run(later) == [[None, None]] * 4  # in the same processes
    noted = (tmp_path / "used").read_text().splitlines()
    assert len(noted) == 4 and all(line.startswith("tuned/seen-") for line in noted)
    assert not [path for path in empty_store.iterdir() if path.name.startswith(".probe")]


def test_errors_as_locally(chores, monkeypatch):
    with pytest.raises(ValueError) as error:
        jobs.run([jobs.Job("good", chores.variables, ("HOME",)), jobs.Job("bad", chores.fail)])
    assert str(error.value) == "row 7 of x.csv is torn"
    notes = "\n".join(error.value.__notes__)
    assert "in fail" in notes and "'bad'" in notes
    with pytest.raises(TypeError, match="cannot pickle"):
        jobs.run([jobs.Job("bad", chores.unpicklable)])
    monkeypatch.setenv(on_ray.MEMORY, "100000")
    with pytest.raises(ValueError, match="no machine of the cluster has"):
        jobs.run([jobs.Job("bad", chores.fail)])


def test_a_lost_worker_costs_the_job_at_hand(chores, tmp_path, monkeypatch, capfd):
    assert jobs.run([jobs.Job("again", chores.die_once, (str(tmp_path),))]) == ["survived"]
    monkeypatch.setenv(on_ray.RETRIES, "0")
    with pytest.raises(jobs.WorkerDied) as error:
        jobs.run([jobs.Job("tune gemma", chores.die)])
    says(error, "'tune gemma'", "lost 1 time", "batch_size", "dsi cluster check", "continues")


def test_a_lost_node_costs_the_job_at_hand(chores, there, monkeypatch, tmp_path, capfd):
    _, cluster = there
    monkeypatch.setenv("BEGUN", str(tmp_path / "begun"))
    extra = cluster.add_node(**{**NODE, "num_cpus": 1, "resources": {"extra": 1}})
    import threading

    def remove():
        while not (tmp_path / "begun").exists() or len(begun(tmp_path)) < 3:
            time.sleep(0.1)
        time.sleep(0.5)
        cluster.remove_node(extra, allow_graceful=False)

    threading.Thread(target=remove, daemon=True).start()
    names = ["a", "b", "c"]
    work = [jobs.Job(n, chores.make, (n, 4.0), variables=("BEGUN",)) for n in names]
    assert jobs.run(work) == names
    times = [line.split()[0] for line in begun(tmp_path)]
    assert sorted(times)[:1] == ["a"] and len(times) == 4  # one of them twice
    assert "begins again" in capfd.readouterr().err


def begun(folder: Path) -> list[str]:
    return (folder / "begun").read_text().splitlines()


def test_entries_travel_to_a_store_that_nobody_sees(
    chores, elsewhere, empty_store, monkeypatch, tmp_path
):
    monkeypatch.setenv("BEGUN", str(tmp_path / "begun"))
    work = [jobs.Job(n, chores.make, (n, 0.5), variables=("BEGUN",)) for n in ("a", "a", "b")]
    assert jobs.run(work) == ["a", "a", "b"]
    assert sorted(line.split()[0] for line in begun(tmp_path)) == ["a", "b"]  # none twice
    made = sorted(path.parent.name[0] for path in empty_store.glob("tuned/*/weights"))
    assert made == ["a", "b"]
    assert store.manifest(store.entry("tuned", "a", {"seed": 1})) is not None
    assert (elsewhere / "tuned").exists()


def test_a_killed_driver_goes_on(there, empty_store, tmp_path):
    folder, _ = there
    told = {**os.environ, "BEGUN": str(tmp_path / "begun"), "PYTHONPATH": str(folder)}

    def drive(quick, slow):
        command = [sys.executable, str(folder / "driver.py"), quick, slow, str(tmp_path / "begun")]
        return subprocess.Popen(command, env=told, stdout=subprocess.PIPE, text=True)

    first = drive("0", "600")
    until(
        lambda: list(empty_store.glob("tuned/quick-*/manifest.json")) and len(begun(tmp_path)) > 1
    )
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    second = drive("600", "0.1")
    assert second.communicate(timeout=120)[0] == "done\n"
    again = [line.split()[0] for line in begun(tmp_path)]
    assert again.count("quick") == 1 and again.count("slow") == 2
    abandoned = int(next(line for line in begun(tmp_path) if line.startswith("slow")).split()[1])
    assert until(lambda: not Path(f"/proc/{abandoned}").exists())


def test_an_interrupt_ends_what_is_under_way(chores, tmp_path, empty_store, monkeypatch):
    import threading

    monkeypatch.setenv(locks.LOCKS, "soft")

    def interrupt():
        if until(lambda: list(tmp_path.glob("*.pid")) and (tmp_path / "held").exists()):
            os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        chosen = [chores.sleep, chores.hold, chores.sleep]
        jobs.run([jobs.Job(chore.__name__, chore, (str(tmp_path),)) for chore in chosen])
    assert not list(empty_store.rglob(locks.SOFT_LOCK))
    asleep = [Path("/proc") / path.stem for path in tmp_path.glob("*.pid")]
    assert until(lambda: not any(path.exists() for path in asleep))
    assert jobs.run([jobs.Job("next", chores.variables, ("DSI_ENGINE",))]) == [["local"]]


def test_the_check_sees_both(there, empty_store, monkeypatch):
    monkeypatch.setattr(nodes, "LEAST_FREE_GB", 0.0)
    found = nodes.check()
    assert len(found.nodes) == 3  # the driver, and two nodes
    assert all(node.sees and node.writes and node.excludes for node in found.nodes)
    assert [what for what in found.wrong if "its code is at" not in what] == []


def test_a_cluster_that_is_none(monkeypatch):
    import ray

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setenv("RAY_ADDRESS", "ray://host:10001")
    with pytest.raises(ValueError, match="Ray client"):
        on_ray.connect()


def until(condition, seconds: float = 90) -> bool:
    end = time.time() + seconds
    while time.time() < end:
        with suppress(FileNotFoundError):
            if condition():
                return True
        time.sleep(0.1)
    return False
