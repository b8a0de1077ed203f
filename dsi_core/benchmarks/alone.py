"""A step in a process of its own: its seconds and its memory, whatever else runs."""

import sys
import time
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple


class Measured(NamedTuple):
    """What a step took: seconds (user and system) and memory (the most, in MB) of its process.

    found: what it returned.
    """

    seconds: float
    memory_mb: float
    found: int


def alone(step: Callable[[Path], int], path: Path) -> Measured:
    """Do a step in a new process; its start and the imports are left out of the seconds."""
    context = get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_measured, args=(sender, step, path))
    process.start()
    sender.close()
    try:
        return receiver.recv()
    except EOFError:
        name = getattr(step, "__name__", step)
        raise RuntimeError(f"{name}: its process died, as without memory") from None
    finally:
        process.join()


def _measured(sender, step: Callable[[Path], int], path: Path) -> None:
    started = time.process_time()  # other work on the machine does not count
    count = step(path)
    seconds = time.process_time() - started
    sender.send(Measured(seconds, _peak_bytes() / 1e6, count))


def _peak_bytes() -> float:
    """The most memory that this process held."""
    status = Path("/proc/self/status")
    if status.exists():  # the other counter knows what the process that began this one held, too
        return 1024 * float(status.read_text().split("VmHWM:")[1].split()[0])
    import resource  # not on Windows

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak
