"""The scripts for SLURM, run here: `srun` and `scontrol` are stubs, all else is real."""

import importlib.util
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from dsi_core.runtime.paths import ROOT

STUBS = {
    "srun": 'while [[ $1 == --* ]]; do shift; done; exec "$@"',
    "scontrol": '[ "$*" = "show hostnames node-[1-1]" ] && echo 127.0.0.1',
}


@pytest.fixture
def slurm(tmp_path, empty_store):
    """slurm(script, *arguments, **variables) = what it said, where it runs on one machine."""
    stubs = tmp_path / "stubs"
    stubs.mkdir()
    for name, line in STUBS.items():
        (stubs / name).write_text(f"#!/bin/bash\n{line}\n")
        (stubs / name).chmod(0o755)
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
    for name, line in {"ray": '[ "$1" != status ]', "srun": "echo no step; exit 3"}.items():
        (tmp_path / "stubs" / name).write_text(f"#!/bin/bash\n{line}\n")
        (tmp_path / "stubs" / name).chmod(0o755)
    done = slurm("ray.sh", "status", SLURM_JOB_NODELIST="node-[1-1]", SLURM_JOB_NUM_NODES="1")
    assert done.returncode == 1 and "no step" in done.stdout


@pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="Ray is not installed (the group ray)"
)
def test_ray_begins_on_an_allocation_is_checked_and_ends(slurm, empty_store):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    allocation = {
        "SLURM_JOB_NODELIST": "node-[1-1]",
        "SLURM_JOB_NUM_NODES": "1",
        "RAY_PORT": str(port),
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # 127.0.0.1 stays what it is
    }
    done = slurm("ray.sh", "status", **allocation)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all is well" in done.stdout and "the store is empty" in done.stdout
