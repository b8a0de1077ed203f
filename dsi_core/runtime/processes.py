"""End processes that this one began, so that none is left behind."""

from collections.abc import Iterable
from contextlib import suppress

import psutil

TRACKER = "multiprocessing.resource_tracker"  # ends by itself, and tidies up after the others


def end(numbers: Iterable[int | None]) -> None:
    """Kill these processes at once, and whatever they began. None = one that never started."""
    found: list[psutil.Process] = []
    for number in filter(None, numbers):  # psutil takes None for this process
        with suppress(psutil.Error):
            process = psutil.Process(number)
            found += [process, *process.children(recursive=True)]
    for process in found:
        with suppress(psutil.Error):
            process.kill()


def end_children() -> None:
    """Kill whatever this process began."""
    for child in psutil.Process().children():
        with suppress(psutil.Error):
            if TRACKER not in " ".join(child.cmdline()):
                end([child.pid])
