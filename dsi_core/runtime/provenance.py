"""What a result was made by, and when: commit, processor, versions of libraries."""

import platform
import subprocess
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from dsi_core.runtime.paths import ROOT

CPU_FLAGS = ["avx2", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "bf16", "sve"]

LIBRARIES = [
    "dsi_core",
    "torch",
    "transformers",
    "peft",
    "trl",
    "bitsandbytes",
    "bert-score",
    "datasets",
    "numpy",
    "pandas",
]


def now() -> str:
    """Give the time in UTC, to the second, as ISO 8601 writes it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def moment() -> str:
    """Give the time as `now`, to the microsecond: two in a row tell which came first."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def versions() -> dict[str, str]:
    """List the versions of Python and of the libraries that shape results."""
    return {"python": platform.python_version()} | {name: _version(name) for name in LIBRARIES}


@cache  # each manifest names ten of them, which are read from their metadata
def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


@cache
def cpu() -> str:
    """Name the processor, with those of its instructions that decide how fast models run."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        return platform.processor() or platform.machine()
    said = {name.strip(): value.strip() for name, _, value in (x.partition(":") for x in lines)}
    flags = set((said.get("flags") or said.get("Features") or "").split())
    name = said.get("model name") or platform.machine()
    return ", ".join([name, *(flag for flag in CPU_FLAGS if flag in flags)])


@cache
def commit() -> str:
    """Name the repository's commit as this process first saw it.

    "+" follows when files of `dsi_core` or `params` differ from it. "no commit" = this is not a
    git repository of its own (installed elsewhere, or git is missing).
    """
    try:
        top, number = _git("rev-parse", "--show-toplevel", "--short", "HEAD").splitlines()
        if Path(top).resolve() != ROOT:
            return "no commit"
        changes = _git("status", "--porcelain", "--", "dsi_core", "params")
    except (OSError, subprocess.CalledProcessError):
        return "no commit"
    return number + ("+" if changes else "")


def _git(*words: str) -> str:
    command = ["git", "-C", str(ROOT), *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
