"""Independent jobs, done by one single-thread process per core or per GPU; a bar says what runs.

Two torch threads on one shared core are up to five times slower than one (measured), hence
processes. The loop over them is our own, so that an interrupt, an error and a killed worker each
end in one place (`_end`): each worker has a pipe of its own, which nobody else can fill or break.
"""

import enum
import gc
import os
import pickle
import signal
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import forkserver, get_context, parent_process, resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

import psutil

from dsi_core.runtime.devices import CPU, StartMethod, devices, start_method
from dsi_core.runtime.environment import (
    MALLOC,
    ONE_THREAD,
    quiet,
    set_variables,
    variables,
)
from dsi_core.runtime.progress import Progress

# Imported once, by the process from which workers are forked: a worker of its own needs up to ten
# seconds for them.
PRELOADED = [
    "torch",
    "datasets",
    "trl.trainer.sft_trainer",
    "dsi_core.models.tuning",
    "dsi_core.models.token_logprobs",
    "dsi_core.models.responses",
]
LOOK_SECONDS = 0.5  # how often workers' memory is looked at while none of them says anything
END_SECONDS = 1.0  # how long a worker has to end when told, before it is killed


class WorkerDied(RuntimeError):
    """A worker process ended in the midst of a job, or before it could take one."""


class _Says(enum.Enum):
    """What a worker tells its parent."""

    READY = enum.auto()
    SHARE = enum.auto()
    RESULT = enum.auto()
    ERROR = enum.auto()


@dataclass(frozen=True)
class Job:
    """A call to make in a worker.

    Attributes
    ----------
    name
        For the bar and for errors; two jobs may have the same.
    call, args, kwargs
        What is called, and with what; they and the result travel between processes as pickles.
    cost
        The job's part of the whole work, in any unit that the jobs of one run share.
    """

    name: str
    call: Callable
    args: tuple = ()
    cost: float = 1.0
    kwargs: dict = field(default_factory=dict)


_reporter: Callable[[float], None] | None = None  # of the job at hand in this process


def report(share: float) -> None:
    """Say from inside a job how much of it is done (0 to 1). Does nothing outside of `run`."""
    if _reporter is not None:
        _reporter(share)


def run(jobs: list[Job], *, environment: dict[str, str | None] | None = None) -> list:
    """Run jobs and return their results, in the order of the jobs.

    The first error ends the workers and is raised as it is, with the worker's traceback as a note.
    So does an interrupt. What finished is in the store by then, so a rerun continues. Workers end
    as well when their parent is killed.

    With `DSI_WORKERS=0` the jobs run one after another in this process, for debuggers and tests.

    Parameters
    ----------
    jobs
        Begun in this order.
    environment
        Variables of this run alone (None = removed), for which its workers start from nothing;
        without it they have `MALLOC`.

    Raises
    ------
    ValueError
        `$DSI_WORKERS` is no whole number of 0 or more.
    WorkerDied
        A worker was killed, as by a machine without memory; names its job and what to set.
    """
    if not jobs:
        return []
    with variables(MALLOC if environment is None else environment):
        places = devices()[: len(jobs)]
        method = start_method(places, own_environment=environment is not None)
        with _Bar(jobs) as bar:
            return _run_in_workers(jobs, places, method, bar) if places else _run_here(jobs, bar)


class _Bar:
    """The progress of a run: how many jobs ended, which run, how much of their cost is done."""

    def __init__(self, jobs: list[Job]):
        self.jobs = jobs
        self.shares: dict[int, float] = {}  # of the jobs that began
        self.ended = 0
        self.progress = Progress(sum(job.cost for job in jobs))

    def __enter__(self) -> "_Bar":
        self.progress.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.__exit__()

    def begin(self, index: int) -> None:
        self.show(index, 0.0)

    def end(self, index: int) -> None:
        self.ended += 1
        self.show(index, 1.0)

    def show(self, index: int, share: float) -> None:
        self.shares[index] = share
        running = ", ".join(self.jobs[i].name for i, s in self.shares.items() if s < 1)
        done = sum(self.jobs[i].cost * s for i, s in self.shares.items())
        self.progress.show(done, f"{self.ended}/{len(self.jobs)} {running}".strip())


def _run_here(jobs: list[Job], bar: _Bar) -> list:
    """One job after another, in this process, which has one thread meanwhile as a worker has."""
    global _reporter
    import torch

    quiet()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    results = []
    try:
        with variables(ONE_THREAD):
            for index, job in enumerate(jobs):
                _reporter = partial(bar.show, index)
                bar.begin(index)
                results.append(job.call(*job.args, **job.kwargs))
                bar.end(index)
    finally:
        _reporter = None
        torch.set_num_threads(threads)
    return results


@dataclass
class _Worker:
    """A worker process, as its parent sees it."""

    process: BaseProcess
    pipe: Connection
    other_end: Connection  # the process's own
    job: int | None = None  # the index of the one at hand
    idle: bool = False  # no job is left for it
    peak_mb: float = 0.0  # the most memory that it was seen to hold

    def look(self) -> None:
        """Note how much memory it holds."""
        with suppress(psutil.Error):
            used = psutil.Process(self.process.pid).memory_info().rss
            self.peak_mb = max(self.peak_mb, used / 1e6)


def _run_in_workers(jobs: list[Job], places: list[str], method: StartMethod, bar: _Bar) -> list:
    waiting = deque(range(len(jobs)))
    results: dict[int, Any] = {}
    workers: list[_Worker] = []
    try:
        if method == "forkserver":
            _begin_fork_server()
        for place in places:
            _begin_worker(workers, method, place)
        looked = time.monotonic()
        while len(results) < len(jobs):
            for worker in _with_news(workers):
                says, what = _message(worker, jobs)
                index = worker.job
                if index is not None:
                    if says is _Says.SHARE:
                        bar.show(index, what)
                        continue
                    if says is _Says.ERROR:
                        what.add_note(f"It is the job {jobs[index].name!r}.")
                        raise what
                    results[index] = what
                    bar.end(index)
                _give_next(worker, waiting, jobs, bar)
            if time.monotonic() - looked >= LOOK_SECONDS:
                looked = time.monotonic()
                for worker in workers:
                    worker.look()
    finally:
        _end(workers)
    return [results[index] for index in range(len(jobs))]


def _begin_fork_server() -> None:
    """Begin the process from which workers are forked, if there is none yet."""
    forkserver.set_forkserver_preload(PRELOADED)
    # MALLOC and ONE_THREAD are read when a process starts: this one has read its own already.
    with variables(ONE_THREAD), _interrupts_held_back():
        forkserver.ensure_running()


def _begin_worker(workers: list[_Worker], method: StartMethod, place: str) -> None:
    context: Any = get_context(method)  # typeshed's base context has no Process
    pipe, other_end = context.Pipe()
    process = context.Process(target=_work, args=(other_end, place, dict(os.environ)))
    workers.append(_Worker(process, pipe, other_end))  # before it starts, so that `_end` knows it
    # A fork may have to wait for the fork server's imports; that server has interrupts held back.
    with _interrupts_held_back() if method == "spawn" else nullcontext():
        process.start()
    other_end.close()


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Processes that begin in here get no interrupt: their parent does, and ends them."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows; `_work` ignores interrupts in any case
        yield
        return
    resource_tracker.ensure_running()  # else it starts in here, and lets interrupts through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _with_news(workers: list[_Worker]) -> list[_Worker]:
    """The workers that said something or died, after a short wait at most."""
    watched = [w for w in workers if not w.idle]
    ready = wait([x for w in watched for x in (w.pipe, w.process.sentinel)], LOOK_SECONDS)
    return [w for w in watched if w.pipe in ready or w.process.sentinel in ready]


def _message(worker: _Worker, jobs: list[Job]) -> tuple[_Says, Any]:
    """Read one message only, so that a worker that says much keeps nobody else waiting."""
    try:
        if worker.pipe.poll():
            return worker.pipe.recv()
    except (EOFError, OSError):
        pass  # it died in the midst of a message
    raise _death(worker, jobs)


def _give_next(worker: _Worker, waiting: deque[int], jobs: list[Job], bar: _Bar) -> None:
    if not waiting:
        worker.job, worker.idle = None, True
        return
    worker.job = waiting.popleft()
    try:
        worker.pipe.send(jobs[worker.job])
    except (BrokenPipeError, ConnectionError):
        raise _death(worker, jobs) from None
    bar.begin(worker.job)


def _death(worker: _Worker, jobs: list[Job]) -> WorkerDied:
    """Say which job's worker died, how, with how much memory, and what helps."""
    worker.process.join(END_SECONDS)
    code = worker.process.exitcode
    how = f"exit code {code}"
    if code is not None and code < 0:
        with suppress(ValueError):
            how = f"killed by {signal.Signals(-code).name}"
    if worker.job is None:
        return WorkerDied(f"a worker process died while it started ({how}); stderr may say why")
    total_gb = psutil.virtual_memory().total / 1e9
    seen = f"{worker.peak_mb / 1000:.1f} of {total_gb:.1f} GB" if worker.peak_mb else "unknown"
    return WorkerDied(
        f"the worker of job {jobs[worker.job].name!r} died ({how}); the most memory that it was "
        f"seen to hold: {seen}. If memory ran out, set DSI_WORKERS=1 or a smaller batch_size. "
        "What finished is kept: a rerun continues"
    )


def _end(workers: list[_Worker]) -> None:
    """Leave no worker behind, nor a process that a job began."""
    started = [w for w in workers if w.process.pid is not None]
    busy = [w for w in started if not w.idle]
    begun = [process for w in busy for process in _below(w)]
    try:
        for w in workers:
            w.pipe.close()  # at this an idle worker ends by itself
            w.other_end.close()
        for w in busy:
            w.process.terminate()
        deadline = time.monotonic() + END_SECONDS
        for w in started:
            w.process.join(max(0.0, deadline - time.monotonic()))
    finally:  # also at a second interrupt
        for w in started:
            w.process.kill()
        for process in begun:
            with suppress(psutil.Error):
                process.kill()
    for w in started:
        w.process.join(END_SECONDS)


def _below(worker: _Worker) -> list[psutil.Process]:
    with suppress(psutil.Error):
        return psutil.Process(worker.process.pid).children(recursive=True)
    return []


def _work(pipe: Connection, place: str, environment: dict[str, str]) -> None:
    """What a worker process does: jobs, until its parent closes the pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # its parent's business
    threading.Thread(target=_follow_parent, daemon=True).start()
    _set_up(place, environment)
    with suppress(EOFError, ConnectionError):
        _serve(pipe)


def _follow_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _set_up(place: str, environment: dict[str, str]) -> None:
    """Before torch is used: its parent's variables, its device, one thread."""
    os.environ.clear()
    os.environ.update(environment)
    set_variables(ONE_THREAD)
    if place != CPU:
        os.environ["CUDA_VISIBLE_DEVICES"] = place
    import torch
    from tqdm import tqdm

    tqdm.set_lock(threading.RLock())  # its own is the system's, and outlives a worker that is ended
    torch.set_num_threads(1)
    quiet()
    gc.freeze()  # a collection would walk all imports, and copy the memory that forks share


def _serve(pipe: Connection) -> None:
    global _reporter
    one_at_a_time = threading.Lock()  # a job may report from threads of its own

    def say(says: _Says, what: Any = None) -> None:
        with one_at_a_time:
            pipe.send((says, what))

    _reporter = partial(say, _Says.SHARE)
    say(_Says.READY)
    while True:
        pickled = pipe.recv_bytes()
        try:
            job = pickle.loads(pickled)
            say(_Says.RESULT, job.call(*job.args, **job.kwargs))
        except BaseException as error:
            say(_Says.ERROR, _portable(error))


def _portable(error: BaseException) -> Exception:
    """An error that reaches the parent whole: one that cannot be pickled goes as its text."""
    note = "In the worker:\n" + "".join(traceback.format_exception(error))
    try:
        portable = pickle.loads(pickle.dumps(error))
    except Exception:
        portable = None
    if not isinstance(portable, Exception):  # neither does a job end its parent by SystemExit
        portable = RuntimeError(f"{type(error).__name__}: {error}")
    portable.add_note(note)
    return portable
