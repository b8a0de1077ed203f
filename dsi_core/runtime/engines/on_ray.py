"""The engine `ray`: jobs on any number of machines, each with its GPUs, memory and retries.

Ray starts workers, retries the jobs of a lost worker or node, and carries results. A `Keeper`
beside the driver hears how far jobs are. Workers that see the run's store write to it directly, as
locally; entries that others complete travel to the keeper (`ray_worker`, `carried`).
"""

import os
import pickle
import platform
import signal
import threading
import time
import uuid
import warnings
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from typing import Any

from dsi_core.runtime import disk, progress, store
from dsi_core.runtime.devices import cores
from dsi_core.runtime.engines.keeper import Keeper
from dsi_core.runtime.engines.ray_worker import Home, Outcome, do
from dsi_core.runtime.engines.work import (
    LOOK_SECONDS,
    Bar,
    Job,
    WorkerDied,
)
from dsi_core.runtime.environment import HEAP, ONE_THREAD, one_line

GPUS, MEMORY, RETRIES = "DSI_JOB_GPUS", "DSI_JOB_MEMORY_GB", "DSI_JOB_RETRIES"
ALONE = {"include_dashboard": False, "object_store_memory": 200 * 2**20}
OF_RAY = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # By Ray's own five and two minutes, a job on a machine that lost its network begins again only
    # after seven. No more often than once a minute: its servers refuse that.
    "RAY_grpc_client_keepalive_time_ms": "60000",
    "RAY_grpc_client_keepalive_timeout_ms": "30000",
}
END_SECONDS = 5.0  # how long a job has to end when told
PROBE = ".probe-"  # a file of the store that tells a node whether it sees the same one
# Not for other machines, or said otherwise there
STAYS = {
    "DSI_ENGINE",
    "DSI_NODE_STORE",
    "DSI_PROGRESS",
    "DSI_STORE",
    "DSI_WORKERS",
    store.USED,
}


@dataclass(frozen=True)
class Needs:
    """What each job is given: GPUs (a part of one, too), GB of memory, retries after a loss."""

    gpus: float | None = None  # None = as the job says
    memory_gb: float = 0.0
    retries: int = 3


def needs() -> Needs:
    """Read what each job is given: `$DSI_JOB_GPUS`, `$DSI_JOB_MEMORY_GB`, `$DSI_JOB_RETRIES`.

    Raises
    ------
    ValueError
        One of them is not a number of 0 or more.
    """
    gpus, memory, retries = (_number(name) for name in (GPUS, MEMORY, RETRIES))
    return Needs(gpus, memory or 0.0, Needs.retries if retries is None else int(retries))


def _number(name: str) -> float | None:
    text = os.environ.get(name, "").strip()
    if not text:
        return None
    with suppress(ValueError):
        if 0 <= float(text) < float("inf"):
            return float(text)
    raise ValueError(f"${name} is {text!r}; it is a number, 0 or more, of each job on Ray")


def connect() -> Any:
    """Connect this process to the cluster, once, and give the module `ray`.

    `$RAY_ADDRESS` names it; otherwise it is the newest one started on this machine, or, if there is
    none, a new one of this machine alone.

    Raises
    ------
    ValueError
        Ray is not installed, no cluster answers at `$RAY_ADDRESS`, or it is a Ray client's.
    """
    for name, value in OF_RAY.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ModuleNotFoundError:
        raise ValueError(
            "--engine ray: Ray is not installed: pip install -c constraints.txt -e '.[ray]', on "
            "every machine of the cluster; --engine local does without"
        ) from None
    if ray.is_initialized():
        return ray
    address = os.environ.get("RAY_ADDRESS", "").strip()
    if address.startswith("ray://"):
        raise ValueError(
            f"$RAY_ADDRESS is {address!r}, of a Ray client; run `dsi` on a machine of the cluster, "
            "with the address of its head (host:6379), or `auto`"
        )
    variables = {**ONE_THREAD, **HEAP}
    how: dict[str, Any] = {
        "log_to_driver": False,
        "logging_level": "ERROR",
        "runtime_env": {"env_vars": variables},
        "namespace": "dsi",
    }
    ended = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(address=address or "auto", **how)
    except ConnectionError as error:
        if address:
            raise ValueError(
                f"$RAY_ADDRESS is {address!r}, and no Ray cluster answers there ({error}): start "
                "one (`ray start --head`), or use --engine local"
            ) from None
        progress.say("no Ray cluster here: one of this machine alone begins")
        os.environ.setdefault("RAY_worker_niceness", "0")  # as local workers
        ray.init(**how, **ALONE, num_cpus=cores())
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, ended)  # as it was: Ray has one of its own
    return ray


def run(jobs: list[Job], bar: Bar) -> list:
    """Run jobs on the cluster; results, errors and interrupts as of `jobs.run`.

    A job whose worker or node is lost begins again, elsewhere if need be, up to `$DSI_JOB_RETRIES`
    times; then the run ends with `WorkerDied`, which names it.
    """
    limits = needs()
    ray = connect()
    options = [_options(ray, job, limits) for job in jobs]
    _check_room(ray, jobs, options)
    with at_home() as home, _keeper(ray, home) as keeper:
        return _Run(ray, jobs, options, limits, keeper, home, bar).results()


def _options(ray: Any, job: Job, limits: Needs) -> dict[str, Any]:
    import torch

    with_gpus = torch.cuda.is_available()  # else the study's precision is a CPU's
    gpus = float(job.gpus) if limits.gpus is None else limits.gpus
    options: dict[str, Any] = {"num_cpus": 1, "max_retries": limits.retries}
    if with_gpus:
        options["num_gpus"] = gpus
    if limits.memory_gb:
        options["memory"] = int(limits.memory_gb * 1e9)
    return options


def _check_room(ray: Any, jobs: list[Job], options: list[dict[str, Any]]) -> None:
    """A job that no machine could ever take would wait for ever."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    named = {"num_cpus": "CPU", "num_gpus": "GPU", "memory": "memory"}
    for job, wants in zip(jobs, options, strict=True):
        wanted = {named[name]: value for name, value in wants.items() if name in named}
        if not any(all(n.get(k, 0) >= v for k, v in wanted.items()) for n in nodes):
            said = ", ".join(f"{value:g} {name}" for name, value in wanted.items())
            raise ValueError(
                f"job {job.name!r} needs {said}, which no machine of the cluster has: "
                f"`dsi cluster check` lists them; ${GPUS} and ${MEMORY} set what a job is given"
            )


@contextmanager
def at_home() -> Iterator[Home]:
    """Give this machine's store, with a probe: whoever finds it by its path sees the same store."""
    folder = store.make_root().resolve()
    for old in folder.glob(f"{PROBE}*"):
        if time.time() - old.stat().st_mtime > 7 * 86400:
            old.unlink(missing_ok=True)
    path = folder / f"{PROBE}{uuid.uuid4().hex}"
    disk.write_text(path, "")
    try:
        yield Home(platform.node(), str(folder), str(path))
    finally:
        path.unlink(missing_ok=True)


@contextmanager
def _keeper(ray: Any, home: Home) -> Iterator[Any]:
    """The keeper of this process, which begins with the first run."""
    keeper = _begun(ray.get_runtime_context().get_job_id())
    ray.get(keeper.renew.remote(home.store))
    try:
        yield keeper
    finally:
        keeper.renew.remote(home.store)


@cache
def _begun(connection: str) -> Any:
    """One keeper for each connection to a cluster."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    made = ray.remote(Keeper).options(num_cpus=0, scheduling_strategy=here)
    return made.remote()


class _Run:
    """One run: what waits, what is under way, what came back."""

    def __init__(
        self,
        ray: Any,
        jobs: list[Job],
        options: list[dict[str, Any]],
        limits: Needs,
        keeper: Any,
        home: Home,
        bar: Bar,
    ):
        self.ray, self.jobs, self.options, self.limits = ray, jobs, options, limits
        self.keeper, self.home, self.bar = keeper, home, bar
        self.do = ray.remote(do)
        self.waiting = deque(range(len(jobs)))
        self.under_way: dict[Any, int] = {}  # by what Ray will answer
        self.begun: dict[int, int] = {}
        self.did: dict[int, Any] = {}

    def results(self) -> list:
        """Run all, and end what is under way at an error or an interrupt."""
        try:
            while len(self.did) < len(self.jobs):
                self._submit()
                done, _ = self.ray.wait(list(self.under_way), timeout=LOOK_SECONDS)
                for answer in done:
                    self._collect(answer)
                self._look()
        finally:
            self._end(list(self.under_way))
        return [self.did[index] for index in range(len(self.jobs))]

    def _end(self, answers: list[Any]) -> None:
        """End what is under way: told first, so that a job frees its locks, and then by force."""
        with suppress(Exception):
            for answer in answers:
                self.ray.cancel(answer)
            self.ray.wait(answers, num_returns=len(answers), timeout=END_SECONDS)
        for answer in answers:
            with suppress(Exception):
                self.ray.cancel(answer, force=True)

    def _submit(self) -> None:
        """Submit twice as many jobs as the cluster does at once: a whole study would not fit."""
        there = self.ray.cluster_resources()
        while self.waiting:
            wants = self.options[self.waiting[0]]
            slots = there.get("CPU", 1)
            if wants.get("num_gpus"):
                slots = min(slots, there.get("GPU", 0) / wants["num_gpus"])
            if len(self.under_way) >= 2 * max(1, slots):
                return
            index = self.waiting.popleft()
            job = self.jobs[index]
            call = self.do.options(name=job.name, **wants)
            pickled = self.ray.cloudpickle.dumps(job)
            answer = call.remote(
                pickled, index, told_to_workers(job.variables), self.home, self.keeper
            )
            self.under_way[answer] = index

    def _collect(self, answer: Any) -> None:
        index = self.under_way.pop(answer)
        job = self.jobs[index]
        try:
            outcome: Outcome = self.ray.get(answer)
        except self.ray.exceptions.RayTaskError as error:
            raise WorkerDied(
                f"job {job.name!r} could not begin: {one_line(error.cause, 200)}; `dsi cluster "
                "check` looks at the machines"
            ) from None
        except self.ray.exceptions.RayError as error:
            raise self._lost(job, index, error) from None
        for text in outcome.warned:
            warnings.warn(text, stacklevel=2)
        for name in outcome.used:
            store.note_use(name)
        result = pickle.loads(outcome.pickled)
        if outcome.failed:
            result.add_note(f"It is the job {job.name!r}, on {outcome.node}.")
            raise result
        self.did[index] = result
        self.bar.end(index)

    def _look(self) -> None:
        """Show how far jobs are; say which begins again."""
        try:
            news = self.ray.get(self.keeper.news.remote(), timeout=60)
        except self.ray.exceptions.GetTimeoutError:
            return
        for index, (node, begun, share) in news.items():
            if index in self.did:
                continue
            if begun > 1 and begun > self.begun.get(index, 1):
                name = self.jobs[index].name
                progress.say(f"{name} begins again, on {node}: its worker or machine was lost")
            self.begun[index] = begun
            if begun > self.limits.retries + 1:  # Ray counts no loss for want of memory
                raise self._lost(self.jobs[index], index, None)
            self.bar.show(index, min(share, 0.999))

    def _lost(self, job: Job, index: int, error: Exception | None) -> WorkerDied:
        times = max(1, self.begun.get(index, 1))
        why = "" if error is None else f" ({type(error).__name__}: {one_line(error, 200)})"
        memory = (
            f"Memory ran out there: give each job more (${MEMORY}), or set a smaller batch_size"
            if isinstance(error, self.ray.exceptions.OutOfMemoryError)
            else f"If memory ran out, give each job more (${MEMORY}), or set a smaller batch_size"
        )
        return WorkerDied(
            f"the worker of job {job.name!r} was lost {times} time{'s'[: times > 1]}{why}. "
            f"{memory}; `dsi cluster check` looks at the machines. What finished is kept: a "
            "rerun continues"
        )


def told_to_workers(names: Sequence[str] = ()) -> dict[str, str]:
    """Give what a worker is told of this environment: ours, the hub's, and what a job names."""
    return {
        name: value
        for name, value in os.environ.items()
        if (name.startswith(("DSI_", "HF_")) and name not in STAYS) or name in names
    }
