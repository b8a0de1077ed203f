"""The local engine: one single-thread process per core or per GPU of this machine.

Two torch threads on one shared core are up to five times slower than one (measured), hence
processes. The loop over them is our own, so that an interrupt, an error and a killed worker each
end in one place (`_end`): each worker has a pipe of its own, which nobody else can fill or break.
"""

import enum
import os
import pickle
import signal
import sys
import threading
import time
import warnings
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing import forkserver, get_context, parent_process, resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

import psutil

from dsi_core.runtime import locks, progress
from dsi_core.runtime.devices import CPU, StartMethod
from dsi_core.runtime.engines.choice import part
from dsi_core.runtime.engines.work import (
    HELD_SECONDS,
    LOOK_SECONDS,
    Bar,
    Job,
    WorkerDied,
    our_warnings_alone,
    portable,
    reporting,
    wake_libraries,
)
from dsi_core.runtime.environment import (
    ONE_THREAD,
    give_back_memory,
    quiet,
    set_variables,
    variables,
)

# Imported once, by the process from which workers are forked: a worker of its own needs up to ten
# seconds for them.
PRELOADED = [
    "dsi_core.runtime.engines.silent",
    "torch",
    "datasets",
    "trl.trainer.sft_trainer",
    "dsi_core.models.tuning",
    "dsi_core.models.token_logprobs",
    "dsi_core.models.responses",
]
END_SECONDS = 5.0  # how long a worker has to free its locks and end when told; then it is killed


class _Says(enum.Enum):
    """What a worker tells its parent."""

    READY = enum.auto()
    SHARE = enum.auto()
    WARNING = enum.auto()
    RESULT = enum.auto()
    HELD = enum.auto()  # somebody else is at it
    ERROR = enum.auto()


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


def run_here(jobs: list[Job], order: list[int], bar: Bar) -> list:
    """Run one job after another in this process, which has one thread meanwhile as a worker has."""
    import torch

    quiet()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    waiting = Waiting(order)
    results: dict[int, Any] = {}
    try:
        with variables(ONE_THREAD):
            while waiting:
                index, patience = waiting.next()
                bar.begin(index)
                try:
                    with reporting(partial(bar.show, index)):
                        results[index] = _call(jobs[index], patience)
                except locks.Held as held:
                    bar.leave(index)
                    waiting.later(index, str(held))
                else:
                    bar.end(index)
    finally:
        torch.set_num_threads(threads)
    return [results[index] for index in range(len(jobs))]


def _call(job: Job, patience: float | None) -> Any:
    with locks.patience(patience):
        return job.call(*job.args, **job.kwargs)


class Waiting:
    """The jobs that wait, in order, and how many seconds each may wait for whoever does it already.

    If processes share the work, a job that another process is doing goes to the end of the queue;
    at its next turn there may be nothing else to do. None = it may wait for ever.
    """

    def __init__(self, order: list[int]):
        patience = None if part().of == 1 else 0.0
        self.row = deque((index, patience) for index in order)
        self.seen: Counter[str] = Counter()

    def __bool__(self) -> bool:
        return bool(self.row)

    def next(self) -> tuple[int, float | None]:
        """Take the next one."""
        return self.row.popleft()

    def later(self, index: int, who: str) -> None:
        """Put one to the end; say once who is at it, if nothing else was left to do."""
        self.row.append((index, HELD_SECONDS))
        self.seen[who] += 1
        if self.seen[who] == 2:
            progress.say(f"waiting for {who}")


def run(
    jobs: list[Job], order: list[int], places: list[str], method: StartMethod, bar: Bar
) -> list:
    """Run jobs in worker processes, one for each place (`devices`); results as of `jobs.run`."""
    waiting = Waiting(order)
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
                if says is _Says.WARNING:  # what several workers warn of is shown once
                    warnings.warn(what, stacklevel=2)
                    continue
                index = worker.job
                if index is not None:
                    if says is _Says.SHARE:
                        bar.show(index, what)
                        continue
                    if says is _Says.HELD:
                        bar.leave(index)
                        waiting.later(index, what)
                        for other in (w for w in workers if w.idle):
                            _give_next(other, waiting, jobs, bar)
                    elif says is _Says.ERROR:
                        what.add_note(f"It is the job {jobs[index].name!r}.")
                        raise what
                    else:
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
    # HEAP and ONE_THREAD are read when a process starts: this one has read its own already.
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
    """Processes that start in here get no interrupt: their parent gets it, and ends them."""
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


def _give_next(worker: _Worker, waiting: Waiting, jobs: list[Job], bar: Bar) -> None:
    if not waiting:
        worker.job, worker.idle = None, True
        return
    worker.idle = False
    worker.job, patience = waiting.next()
    try:
        worker.pipe.send((jobs[worker.job], patience))
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
    try:
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # what a job holds is freed
        threading.Thread(target=_follow_parent, daemon=True).start()
        _set_up(place, environment)
        with suppress(EOFError, ConnectionError):
            _serve(pipe)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGTERM)


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
    wake_libraries()


def _serve(pipe: Connection) -> None:
    one_at_a_time = threading.Lock()  # a job may report from threads of its own

    def say(says: _Says, what: Any = None) -> None:
        with one_at_a_time:
            pipe.send((says, what))

    our_warnings_alone()
    warnings.showwarning = lambda message, *_: say(_Says.WARNING, str(message))
    say(_Says.READY)
    while True:
        pickled = pipe.recv_bytes()
        try:
            with reporting(partial(say, _Says.SHARE)):
                result = _call(*pickle.loads(pickled))
            say(_Says.RESULT, result)
        except locks.Held as held:
            say(_Says.HELD, str(held))
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            say(_Says.ERROR, portable(error))
        result = None
        give_back_memory()
