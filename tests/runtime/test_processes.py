"""Processes that are ended are those that were begun, and no other."""

import subprocess
import sys

import psutil

from dsi_core.runtime import processes


def test_one_that_never_started_is_not_this_process(monkeypatch):
    killed = []
    monkeypatch.setattr(psutil.Process, "kill", lambda self: killed.append(self.pid))
    begun = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        processes.end([None])
        assert killed == []
        processes.end([None, begun.pid])
        assert killed == [begun.pid]
    finally:
        begun.communicate()
