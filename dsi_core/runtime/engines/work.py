"""What every engine shares: a job, how much of it is done, the bar, errors that travel."""

import gc
import pickle
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache

from dsi_core.runtime.environment import give_back_growth, quiet
from dsi_core.runtime.progress import Progress

LOOK_SECONDS = 0.5  # how often an engine looks around while no worker says anything
HELD_SECONDS = 10.0  # how long one waits for who is at a job, when nothing else is left to do


class WorkerDied(RuntimeError):
    """A worker process ended during a job, or before it could take one."""


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
    gpus
        How many it needs at once, where there are any; a model over several cards needs more.
    variables
        Environment variables that it needs on another machine, beside those of `dsi` and of the
        hub, such as an API's key (`OPENAI_API_KEY`).
    """

    name: str
    call: Callable
    args: tuple = ()
    cost: float = 1.0
    kwargs: dict = field(default_factory=dict)
    gpus: int = 1
    variables: tuple[str, ...] = ()


_reporter: Callable[[float], None] | None = None  # of the job at hand in this process


def report(share: float) -> None:
    """Say from inside a job how much of it is done (0 to 1). Does nothing outside of `run`.

    A job reports between its steps, where it can also give back memory that they have freed.
    """
    if _reporter is not None:
        _reporter(share)
        give_back_growth()


@contextmanager
def reporting(reporter: Callable[[float], None]) -> Iterator[None]:
    """Let `report` call this, for the job at hand in this process."""
    global _reporter
    before, _reporter = _reporter, reporter
    try:
        yield
    finally:
        _reporter = before


@contextmanager
def part(begin: float, end: float) -> Iterator[None]:
    """Let `report` say how much is done of a part of the job, from `begin` to `end` of it."""
    whole = _reporter
    with reporting(lambda share: whole(begin + (end - begin) * share) if whole else None):
        yield


@cache  # once in a process
def wake_libraries() -> None:
    """Import what a worker's jobs use, in its one thread and without a word of theirs."""
    import torch
    from tqdm import tqdm

    tqdm.set_lock(threading.RLock())  # its own is the system's, and outlives a worker that is ended
    torch.set_num_threads(1)
    quiet()
    gc.freeze()  # a collection would walk all imports, and copy the memory that forks share


def our_warnings_alone() -> None:
    """Ignore what libraries warn of in a worker: that is for who develops."""
    warnings.filterwarnings("ignore")
    warnings.filterwarnings("default", module=r"dsi_core\b")


class Bar:
    """The progress of a run: how many jobs ended, which run, how much of their cost is done."""

    def __init__(self, jobs: list[Job]):
        self.jobs = jobs
        self.shares: dict[int, float] = {}  # of the jobs that began and have not ended
        self.ended: set[int] = set()
        self.cost = 0.0  # of these
        self.progress = Progress(sum(job.cost for job in jobs))

    def __enter__(self) -> "Bar":
        self.progress.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.__exit__()

    def begin(self, index: int) -> None:
        """A job began, or begins again."""
        self.show(index, 0.0)

    def end(self, index: int) -> None:
        """A job ended well."""
        self.shares.pop(index, None)
        self.ended.add(index)
        self.cost += self.jobs[index].cost
        self._show()

    def leave(self, index: int) -> None:
        """A job is left to the process that is at it already."""
        self.shares.pop(index, None)

    def show(self, index: int, share: float) -> None:
        """Say how much of a job is done, 0 to 1."""
        if index not in self.ended:  # what it said on the way may come late
            self.shares[index] = share
        self._show()

    def _show(self) -> None:
        running = ", ".join(self.jobs[i].name for i, share in self.shares.items() if share < 1)
        done = self.cost + sum(self.jobs[i].cost * share for i, share in self.shares.items())
        self.progress.show(done, f"{len(self.ended)}/{len(self.jobs)} {running}".strip())


def portable(error: BaseException) -> Exception:
    """Make an error that reaches the parent whole: one that cannot be pickled becomes its text."""
    note = "In the worker:\n" + "".join(traceback.format_exception(error))
    try:
        travelling = pickle.loads(pickle.dumps(error))
    except Exception:
        travelling = None
    if not isinstance(travelling, Exception):  # neither does a job end its parent by SystemExit
        travelling = RuntimeError(f"{type(error).__name__}: {error}")
    travelling.add_note(note)
    return travelling
