"""The scripts for SLURM, run here: `srun` and `scontrol` are stubs, all else is real."""

import importlib.util
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from dsi_core.runtime.engines import nodes
from dsi_core.runtime.paths import ROOT

STUBS = {
    "srun": 'while [[ $1 == --* ]]; do shift; done; exec "$@"',
    "scontrol": '[ "$*" = "show hostnames node-[1-1]" ] && echo 127.0.0.1',
}

ONE_NODE = {"SLURM_JOB_NODELIST": "node-[1-1]", "SLURM_JOB_NUM_NODES": "1"}


def stub(folder: Path, **lines: str) -> None:
    for name, line in lines.items():
        (folder / name).write_text(f"#!/bin/bash\n{line}\n")
        (folder / name).chmod(0o755)


@pytest.fixture
def slurm(tmp_path, empty_store):
    """slurm(script, *arguments, **variables) = what it said, where it runs on one machine."""
    stubs = tmp_path / "stubs"
    stubs.mkdir()
    stub(stubs, **STUBS)
    path = f"{stubs}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    there = {**os.environ, "PATH": path, "SLURM_SUBMIT_DIR": str(tmp_path), "HOME": str(tmp_path)}

    def submit(script, *arguments, **variables):
        return subprocess.run(
            ["bash", str(ROOT / "params" / "slurm" / script), *arguments],
            env={**there, **variables},
            capture_output=True,
            text=True,
            timeout=300,
        )

    return submit


def test_an_array_gives_each_process_its_part(slurm, empty_store):
    task = {"SLURM_ARRAY_TASK_ID": "2", "SLURM_ARRAY_TASK_MAX": "3"}
    done = slurm("array.sh", "status", **task)
    assert done.returncode == 0, done.stderr
    assert f"in {empty_store}" in done.stdout
    task["SLURM_ARRAY_TASK_ID"] = "4"
    done = slurm("array.sh", "status", **task)
    assert done.returncode == 2 and "--part ($DSI_PART) is '4/3'" in done.stderr


def test_where_ray_cannot_begin_the_job_ends(slurm, tmp_path):
    stub(tmp_path / "stubs", ray="true", python="exit 1", srun="echo no step; exit 3")
    done = slurm("ray.sh", "status", **ONE_NODE)
    assert done.returncode == 1 and "no step" in done.stdout


def test_where_the_head_does_not_answer_the_job_ends_in_time(slurm, tmp_path):
    stub(tmp_path / "stubs", ray="true", python="echo no cluster; exit 1", srun="exec sleep 60")
    done = slurm("ray.sh", "status", **ONE_NODE, RAY_HEAD_SECONDS="1")
    assert done.returncode == 1 and "no cluster" in done.stdout
    assert (
        "no Ray at 127.0.0.1:6379 after 1 s ($RAY_HEAD_SECONDS): look at 127.0.0.1" in done.stderr
    )


@pytest.mark.parametrize(
    ("awaited", "said"),
    [
        ("1", None),
        ("one", None),
        ("3", "1 machines of 3 came in 180 s, only 10.0.0.1, one:"),
        ("one\ntwo", "1 machines of 2 came in 180 s, not two:"),
        ("one.site.org,10.0.0.2", "1 machines of 2 came in 180 s, not 10.0.0.2:"),
        ("10.0.0.1 two", "1 machines of 2 came in 180 s, not two:"),
    ],
)
def test_machines_that_did_not_come_are_named(awaited, said):
    there = [{"NodeManagerHostname": "one.site.org", "NodeManagerAddress": "10.0.0.1"}]
    missing = nodes.Awaited.read(awaited).missing(there)
    assert missing is None if said is None else missing.startswith(said)


@pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="Ray is not installed (the group ray)"
)
def test_ray_begins_on_an_allocation_is_checked_and_ends(slurm, empty_store):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    allocation = {
        **ONE_NODE,
        "RAY_PORT": str(port),
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # 127.0.0.1 stays what it is
    }
    done = slurm("ray.sh", "status", **allocation)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all is well" in done.stdout and "the store is empty" in done.stdout
