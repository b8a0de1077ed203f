"""Locks: one writer at a time; who waits is told for whom."""

import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress

import pytest
from filelock import FileLock, Timeout
from helpers import telling

from dsi_core.runtime import locks, store

HOLD = """
import sys, time
from filelock import FileLock
with FileLock(sys.argv[1]):
    print("held", flush=True)
    time.sleep(600)
"""


def test_the_lock_keeps_a_second_process_out_until_its_holder_dies(empty_store):
    folder = store.entry("tuned", "m", {"seed": 1})
    path = folder / locks.LOCK
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(ValueError, match="another run holds it"), locks.alone(folder):
            pass
        with locks.alone(store.entry("tuned", "m", {"seed": 2})):  # another entry is free
            pass
    finally:
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
    with locks.held(folder), pytest.raises(Timeout):
        FileLock(path).acquire(timeout=0.1)  # and it excludes others again


def test_who_waits_says_for_whom(empty_store, monkeypatch):
    folder = store.entry("tuned", "m", {"seed": 1})
    monkeypatch.setattr(locks, "PATIENCE_SECONDS", 0.05)
    begun = threading.Event()

    def wait():
        begun.set()
        with locks.held(folder):
            pass

    with telling() as said:
        with locks.held(folder):
            second = threading.Thread(target=wait)
            second.start()
            begun.wait()
            deadline = time.monotonic() + 5
            while not said and time.monotonic() < deadline:
                time.sleep(0.01)
        second.join()
    (warning,) = said
    assert f"waiting for {folder}: another run holds it (process {os.getpid()} on " in str(
        warning.message
    )
    assert warning.filename == locks.__file__  # ours, for who shows no others


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS])
def test_a_disk_without_locks_is_named(empty_store, monkeypatch, number):
    folder = store.entry("tuned", "m", {"seed": 1})

    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(OSError) as error, locks.alone(folder):
        pass
    assert (error.value.errno, error.value.filename) == (number, str(folder / ".lock"))


def test_a_free_folder_names_no_machine(empty_store):
    folder = store.entry("tuned", "m", {"seed": 1})
    with locks.alone(folder):
        assert json.loads((folder / locks.LOCK).read_text())["process"] == os.getpid()
    assert (folder / locks.LOCK).read_text() == ""


@pytest.mark.parametrize("kind", ["hard", "soft"])
def test_a_lock_that_is_a_link_empties_no_file(tmp_path, monkeypatch, kind):
    """As in a folder that somebody sent."""
    monkeypatch.setenv(locks.LOCKS, kind)
    (tmp_path / "mine").write_text("precious")
    folder = tmp_path / "sent"
    folder.mkdir()
    (folder / locks.LOCK).symlink_to(tmp_path / "mine")
    with suppress(OSError), locks.alone(folder):
        pass
    assert (tmp_path / "mine").read_text() == "precious"
