"""One single-thread process per core (or one per GPU) takes the independent jobs; a bar says what runs and how long yet.

Two torch threads on one shared core are up to five times slower than one (docs: measured), hence processes.
"""

import os
import threading
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import forkserver, get_all_start_methods, get_context, parent_process

from tqdm import tqdm

# glibc gives large blocks back to the system at every free and faults them in again at the next step: up to a third
# of a training's time. Keeping them costs no memory at the peak.
MALLOC = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(10**11),
    "MALLOC_TOP_PAD_": str(2**26),
}
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
# Imported once, by the process from which workers are forked: a worker of its own needs up to ten seconds for them.
PRELOADED = [
    "torch",
    "datasets",
    "trl.trainer.sft_trainer",
    "dsi_core.models.tuning",
    "dsi_core.models.token_logprobs",
    "dsi_core.models.responses",
]

_reports = None  # in a worker: the queue for (job name, share done)
_job = None  # in a worker: the name of the job at hand


@dataclass(frozen=True)
class Job:
    """A call to make in a worker, under a name of its own; `cost` is its share of the whole work, in any common unit."""

    name: str
    call: Callable
    args: tuple = ()
    cost: float = 1.0
    kwargs: dict = field(default_factory=dict)


def report(share: float) -> None:
    """From inside a job: `share` of it is done (0 to 1). Does nothing outside a worker."""
    if _reports is not None:
        _reports.put((_job, share))


def devices() -> list[str]:
    """One name per worker: each GPU, or else each core this process may use (`$DSI_WORKERS` sets fewer or more)."""
    import torch

    if torch.cuda.is_available():
        return [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    return ["cpu"] * int(os.environ.get("DSI_WORKERS", len(os.sched_getaffinity(0))))


def run(jobs: list[Job], *, environment: dict[str, str | None] | None = None) -> list:
    """Run the jobs, results in their order. The first error stops what has not begun and is raised.

    What finished is in the store by then, so a rerun continues. A worker ends when its parent is killed.
    environment: variables of this run alone (None = removed), for which its workers start from nothing; without it they have `MALLOC`.
    """
    if not jobs:
        return []
    with variables(MALLOC if environment is None else environment):
        return _run(jobs, _forks() if environment is None else get_context("spawn"))


def _forks():
    """Workers are forked from one process, begun at the first call, that has imported `PRELOADED`. On a GPU they start from nothing, as some of
    these libraries wake the device when they are imported, and a fork of it is broken.
    """
    if "forkserver" not in get_all_start_methods() or devices()[0].startswith("cuda:"):
        return get_context("spawn")
    context = get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    with variables(
        ONE_THREAD
    ):  # as MALLOC, read when a process starts: this one has read its own already
        forkserver.ensure_running()
    return context


@contextmanager
def variables(values: dict[str, str | None]):
    """Environment variables set to these values (None = removed), and as they were afterwards."""
    before = {name: os.environ.get(name) for name in values}
    _set(values)
    try:
        yield
    finally:
        _set(before)


def _set(values: dict[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def _run(jobs: list[Job], context) -> list:
    names, reports = context.Queue(), context.Queue()
    places = devices()[: len(jobs)]
    for place in places:
        names.put(place)
    shares = {}
    with (
        ProcessPoolExecutor(
            len(places), context, _begin, (names, reports, dict(os.environ))
        ) as pool,
        tqdm(
            total=sum(j.cost for j in jobs),
            bar_format="{desc} {percentage:3.0f}%|{bar:20}| {elapsed} left {remaining}",
            mininterval=2,
            smoothing=0,
        ) as bar,
    ):
        futures = {pool.submit(_call, job): job for job in jobs}
        pending = set(futures)
        while pending:
            done, pending = wait(pending, timeout=1, return_when=FIRST_COMPLETED)
            while not reports.empty():
                name, share = reports.get()
                shares[name] = share
            for future in done:
                shares[futures[future].name] = 1.0
                if future.exception():
                    pool.shutdown(wait=False, cancel_futures=True)
                    future.result()
            ended = len(jobs) - len(pending)
            running = ", ".join(n for n, s in shares.items() if s < 1)
            bar.set_description_str(f"{ended}/{len(jobs)} {running}"[:90], refresh=False)
            bar.update(sum(j.cost * shares.get(j.name, 0) for j in jobs) - bar.n)
    return [future.result() for future in futures]


def _begin(names, reports, environment: dict[str, str]) -> None:
    """Set up a worker before it uses torch: the variables of the process whose jobs it does, its device, one thread, and an end when its
    parent is gone.
    """
    global _reports
    _reports = reports
    os.environ.clear()
    os.environ.update(environment | ONE_THREAD)
    device = names.get()
    if device.startswith("cuda:"):
        os.environ["CUDA_VISIBLE_DEVICES"] = device.removeprefix("cuda:")
    threading.Thread(target=_follow, daemon=True).start()
    import torch

    torch.set_num_threads(1)
    quiet()


def quiet() -> None:
    """No progress bars and advice of the libraries: ours says what runs."""
    import logging
    import warnings

    import datasets
    import transformers

    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")
    warnings.filterwarnings("ignore", message="Paged optimizers are not supported on CPU")
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    datasets.disable_progress_bars()


def _follow() -> None:
    parent_process().join()
    os._exit(1)


def _call(job: Job):
    global _job
    _job = job.name
    report(0.0)
    return job.call(*job.args, **job.kwargs)
