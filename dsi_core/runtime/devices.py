"""Which devices the workers get, and how workers for them start."""

import os
import sys
from itertools import cycle, islice
from typing import Literal

CPU = "cpu"
StartMethod = Literal["forkserver", "spawn"]


def devices(together: int = 1) -> list[str]:
    """Name the device of each worker: a GPU each, or else "cpu" for each core this process may use.

    together: GPUs that a worker gets at once ("0,1"); GPUs beyond full sets stay idle.

    GPUs have the names that `$CUDA_VISIBLE_DEVICES` gives them (indices, UUIDs, MIG instances), or
    else their indices. `$DSI_WORKERS` sets fewer or more workers; more than there are GPUs share
    them in turn, which pays where the models are small. 0 = none, jobs run in this process.

    Raises
    ------
    ValueError
        `$DSI_WORKERS` is no whole number of 0 or more; or there are fewer GPUs than `together`.
    """
    wanted = _wanted_workers()
    gpus = _gpus()
    if gpus and len(gpus) < together:
        raise ValueError(
            f"a model of the profile needs {together} GPUs at once (`gpus`), this process has "
            f"{len(gpus)}: {', '.join(gpus)}"
        )
    if gpus:
        full = range(0, len(gpus) - together + 1, together)
        gpus = [",".join(gpus[first : first + together]) for first in full]
        return list(islice(cycle(gpus), len(gpus) if wanted is None else wanted))
    return [CPU] * (cores() if wanted is None else wanted)


def _wanted_workers() -> int | None:
    text = os.environ.get("DSI_WORKERS", "").strip()
    if text and not (text.isascii() and text.isdigit()):
        raise ValueError(
            f"$DSI_WORKERS is {text!r}; it is the number of worker processes: a whole number, "
            "1 or more, or 0 to run the jobs one after another in the process that asks"
        )
    return int(text) if text else None


def _gpus() -> list[str]:
    import torch

    if not torch.cuda.is_available():
        return []
    count = torch.cuda.device_count()
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return [str(i) for i in range(count)]
    names = [name.strip() for name in visible.split(",")]
    return [name for name in names if name][:count]


def cores() -> int:
    """Tell how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS, not on Windows
        return len(os.sched_getaffinity(0))
    count = getattr(os, "process_cpu_count", os.cpu_count)  # Python 3.13
    return count() or 1


def start_method(places: list[str], *, own_environment: bool) -> StartMethod:
    """Choose how workers for these devices start: "forkserver", or "spawn", from nothing.

    Forked, they share what one process has imported. They start from nothing on a GPU, as some
    libraries initialise the device at import, after which a fork is broken; off Linux, where a
    process with such libraries forks badly or not at all; and if a run has an environment of its
    own, which some libraries read only at import.
    """
    on_cpu = all(place == CPU for place in places)
    forks = sys.platform == "linux" and on_cpu and not own_environment
    return "forkserver" if forks else "spawn"
