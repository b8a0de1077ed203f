"""Locks of folders: two runs never write one entry; the second waits, or is told who holds it."""

import json
import os
import platform
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout

from dsi_core.runtime import disk, provenance, store

LOCK = ".lock"  # in a folder; says who holds it
SOFT_LOCK = ".lock.soft"  # is there while somebody holds it; for disks without locks
LOCKS = "DSI_LOCKS"  # hard (of the system), soft (a file that is there or not)
PATIENCE_SECONDS = 5.0

_patience: float | None = None


class Held(RuntimeError):
    """Somebody else is at an entry, and one does not wait longer (`patience`)."""


@contextmanager
def patience(seconds: float | None) -> Iterator[None]:
    """Wait for an entry no longer than this: then `held` raises `Held`. None = for ever."""
    global _patience
    before, _patience = _patience, seconds
    try:
        yield
    finally:
        _patience = before


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Admit one writer per entry: a second run waits here, then finds the result.

    After `PATIENCE_SECONDS` a warning says who is waited for. The lock is freed when its holder
    dies; a soft one (`$DSI_LOCKS`) then has to be removed by hand, unless it was on this machine.

    Raises
    ------
    Held
        Where somebody else holds an entry, and `patience` has ended.
    """
    file = lock_of(folder)
    entry = (folder / store.SPEC).exists()  # all else is short
    if entry and _patience is not None:
        if not _taken(file, _patience):
            raise Held(f"{folder}: {_holder(folder)}")
    elif not _taken(file, PATIENCE_SECONDS):
        # Not of the caller, which may be an ExitStack: only warnings of ours are shown
        warnings.warn(f"waiting for {folder}: {_holder(folder)}", stacklevel=1)
        _taken(file, -1)
    with _signed(file), nullcontext() if store.elsewhere is None else store.elsewhere.held(folder):
        yield


def lock_of(folder: Path) -> BaseFileLock:
    """Give the lock of a folder, not taken yet, as `$DSI_LOCKS` says.

    Raises `ValueError` where that is neither hard nor soft.
    """
    said = os.environ.get(LOCKS, "").strip() or "hard"
    if said not in ("hard", "soft"):
        raise ValueError(f"${LOCKS} is {said!r}; allowed: hard, soft")
    if said == "soft":
        return SoftFileLock(folder / SOFT_LOCK)
    # No fallback: it would be a soft lock in the very file that `_signed` writes to
    return FileLock(folder / LOCK, fallback_to_soft=False)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Admit one run to a folder, and refuse a second one at once.

    Raises
    ------
    ValueError
        Naming the process that holds the folder.
    """
    file = lock_of(folder)
    if not _taken(file, 0):
        raise ValueError(
            f"{folder}: {_holder(folder)}; wait until it has ended, or end that process"
        )
    with _signed(file):
        yield


def _taken(file: BaseFileLock, seconds: float) -> bool:
    """Take a lock within so many seconds (-1 = for ever)."""
    try:
        file.acquire(timeout=seconds)
    except Timeout:
        return False
    except OSError as error:  # a network drive without locks does not say for which file
        raise OSError(error.errno, error.strerror, error.filename or file.lock_file) from None
    return True


@contextmanager
def _signed(file: BaseFileLock) -> Iterator[None]:
    """Leave in a taken lock's file who holds it, and free it at the end.

    A folder passed on later reveals no machine's name.
    """
    said = {"process": os.getpid(), "host": platform.node(), "since": provenance.now()}
    mark = None
    try:
        with suppress(OSError):  # Windows lets nobody write to a locked file
            name = Path(file.lock_file).with_name(LOCK)
            mark = open(name, "wb", buffering=0, opener=disk.no_link)  # noqa: SIM115 - closed below
            mark.write(json.dumps(said).encode())
        yield
    finally:
        if mark is not None:
            # Emptied before it is closed: what is closed full, ext4 brings to the disk, 4 ms a lock
            with suppress(OSError), mark:
                mark.truncate(0)
        file.release()


def _holder(folder: Path) -> str:
    left = folder / SOFT_LOCK
    remedy = f"; if that was killed, remove {left}" if left.exists() else ""
    try:
        who = json.loads((folder / LOCK).read_text(encoding="utf-8"))
        return (
            f"another run holds it (process {who['process']} on {who['host']}, since "
            f"{who['since']}){remedy}"
        )
    except (OSError, ValueError, LookupError, TypeError):  # not written yet, or not to be read
        return f"another run holds it{remedy}"
