"""A machine of the cluster loses its network: two hosts of one machine, a real Ray between them."""

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import pytest

from dsi_core.runtime.paths import ROOT

SCRIPT = ROOT / "params" / "slurm" / "two_hosts.sh"
PATH = f"{Path(sys.executable).parent}:{os.environ['PATH']}:/usr/sbin"
QUIETLY = {"env": {**os.environ, "PATH": PATH}, "capture_output": True}
CHORES = '''
import os, platform, time
from dsi_core.runtime import locks, store

def make(name):
    """One entry; the second that host two begins never ends."""
    folder = store.entry("tuned", name, {"seed": 1})
    with locks.held(folder):
        if store.manifest(folder) is None:
            with open(os.environ["BEGUN"], "a+") as file:
                file.write(f"{name} {platform.node()}\\n")
                file.seek(0)
                by_two = file.read().count("two")
            time.sleep(1)
            if platform.node() == "two" and by_two > 1:
                time.sleep(3600)
            (folder / "weights").write_text(name)
            store.finish(folder)
    return (folder / "weights").read_text()
'''
DRIVER = """
import chores, sys
from dsi_core.runtime import jobs
if __name__ == "__main__":
    work = [jobs.Job(n, chores.make, (n,), variables=("BEGUN",)) for n in "abcdefgh"]
    print("".join(jobs.run(work)))
"""
RAY = {
    "RAY_AUTH_MODE": "disabled",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_raylet_start_wait_time_s": "120",
    "RAY_worker_niceness": "0",
}


def lacking() -> str:
    """Say what this machine lacks for two hosts; "" = nothing."""
    if importlib.util.find_spec("ray") is None:
        return "Ray is not installed (the group ray)"
    if sys.platform != "linux" or os.geteuid() != 0:
        return "two hosts of one machine need root on Linux"
    if not all(shutil.which(tool, path=PATH) for tool in ("ip", "unshare", "nsenter")):
        return "two hosts of one machine need iproute2 and util-linux"
    if subprocess.run(["ip", "link", "show", "two_hosts"], **QUIETLY).returncode == 0:
        return "somebody's two hosts are up"
    tried = ["ip", "link", "add", "two_hosts", "type", "bridge"]
    if subprocess.run(tried, **QUIETLY).returncode != 0:
        return "this machine may not make networks"
    subprocess.run(["ip", "link", "delete", "two_hosts"], **QUIETLY)
    return ""


@pytest.fixture
def hosts():
    """hosts(name, *command) begins a command on a host; each has a /tmp of its own."""
    if why := lacking():
        pytest.skip(why)
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        for name, text in (("chores.py", CHORES), ("driver.py", DRIVER)):
            Path(folder, name).write_text(text)
        told = {**os.environ, **RAY, "PATH": PATH, "PYTHONPATH": folder, "TWO_HOSTS": folder}
        told |= {"BEGUN": f"{folder}/begun", "DSI_PROGRESS": "lines", "TMPDIR": "/tmp"}

        def on(name: str, *command: str, **variables: str) -> subprocess.Popen:
            return subprocess.Popen(
                ["bash", str(SCRIPT), "on", name, *command],
                env={**told, **variables},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )

        try:
            subprocess.run(["bash", str(SCRIPT), "up"], env=told, check=True, timeout=60)
            yield on, Path(folder)
        finally:
            subprocess.run(["bash", str(SCRIPT), "down"], env=told, check=True, timeout=60)


def test_a_lost_network_costs_the_job_at_hand(hosts):
    """Ray waits a minute and more before it gives up a machine. Host two does not see the store."""
    on, folder = hosts
    begin = ["ray", "start", "--num-cpus", "1", "--object-store-memory", "100000000"]
    ended(on("one", *begin, "--head", "--node-ip-address", "10.78.0.1", "--port", "6379"))
    ended(on("two", *begin, "--address", "10.78.0.1:6379", "--node-ip-address", "10.78.0.2"))
    of_one = {"RAY_ADDRESS": "10.78.0.1:6379", "DSI_ENGINE": "ray", "DSI_STORE": "/tmp/store"}
    driver = on("one", sys.executable, str(folder / "driver.py"), **of_one)
    until(lambda: len(by_two(folder)) == 2, driver)
    made, left = by_two(folder)
    subprocess.run(["ip", "link", "set", "two", "down"], **QUIETLY, check=True)
    out, said = driver.communicate(timeout=300)  # by Ray's own settings it would take 420
    assert "abcdefgh" in out.splitlines(), out + said  # among what Ray says of it
    assert f"{left} begins again, on one: its worker or machine was lost" in said
    begun = Counter(line.split()[0] for line in (folder / "begun").read_text().splitlines())
    assert begun == {name: 1 + (name == left) for name in "abcdefgh"}
    assert made != left


def by_two(folder: Path) -> list[str]:
    path = folder / "begun"
    lines = path.read_text().splitlines() if path.exists() else []
    return [line.split()[0] for line in lines if line.endswith("two")]


def ended(process: subprocess.Popen) -> None:
    out, error = process.communicate(timeout=180)
    assert process.returncode == 0, out + error


def until(condition, driver: subprocess.Popen, seconds: float = 180) -> None:
    end = time.time() + seconds
    while not condition():
        assert driver.poll() is None, driver.communicate()
        assert time.time() < end
        time.sleep(0.1)
