"""Ways of doing one thing take turns, each in a process of its own; the best round counts."""

import io
from contextlib import redirect_stderr
from typing import Any

from dsi_core.benchmarks.stock import Measurement, Way
from dsi_core.runtime import jobs, progress
from dsi_core.runtime.environment import HEAP


def in_turns(
    what: str, ways: dict[str, jobs.Job], rounds: int, *, memory_of_ours: bool = True
) -> dict[str, Any]:
    """Let the ways take turns, each in a process of its own, and give the best round of each.

    Parameters
    ----------
    ways
        Jobs that return a `Measurement`.
    memory_of_ours
        Whether the way `Way.OURS` has our workers' memory settings.
    """
    best: dict[str, Measurement] = {}
    for _ in range(rounds):
        for way, job in ways.items():
            ours = memory_of_ours and way in (Way.OURS, Way.OURS_IN_FP32)
            environment = HEAP if ours else dict.fromkeys(HEAP)
            result = processes([job], environment)[0]
            best[way] = max(best.get(way, result), result, key=lambda r: r.per_second)
            say(what, way, result)
    return best


def processes(work: list[jobs.Job], environment: dict[str, str | None]) -> list:
    """Give what the jobs return, of workers with this environment (None = without it), no bar."""
    with redirect_stderr(io.StringIO()):
        return jobs.run(work, environment=environment)


def say(what: str, way: str, result: Measurement) -> None:
    """Write the line of a measurement to stderr."""
    rate = f"{result.per_second:.1f} {result.unit}/s"
    progress.say(f"bench: {what}, {way}: {rate} in {result.seconds:.1f} s")
