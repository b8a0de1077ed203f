"""What each machine of a cluster has and sees, and what would go wrong later."""

import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
from filelock import Timeout

from dsi_core.runtime import disk, hub, locks, provenance
from dsi_core.runtime.devices import cores
from dsi_core.runtime.engines import carried, on_ray, ray_worker
from dsi_core.runtime.engines.choice import Engine, engine
from dsi_core.runtime.engines.ray_worker import Home
from dsi_core.runtime.environment import one_line
from dsi_core.runtime.hub import Access, Way

ANSWER_SECONDS = 180.0  # in which a machine must answer: a busy one imports slowly
LEAST_FREE_GB = 5.0  # of a disk: too little for any base and its adapters
CLOCK_SECONDS = 30.0  # by which clocks may differ
Models = Mapping[str, str | None]
NO_MODELS: Models = {}
GPU_FACTS = """
import json, torch
count = torch.cuda.device_count() if torch.cuda.is_available() else 0
facts = [(torch.cuda.get_device_name(i), *torch.cuda.mem_get_info(i)) for i in range(count)]
print(json.dumps(facts))
"""


@dataclass(frozen=True)
class Node:
    """A machine as it sees itself.

    Attributes
    ----------
    name
        Its host name, with Ray's address if several machines share it.
    versions, commit
        Of Python and the libraries, and of this repository.
    cores, memory_gb
        What there is; free_gb: of the disk with its store.
    gpus
        Name, free and total GB of each.
    given
        GPUs that Ray knows of.
    sees, writes, excludes
        Whether it sees the run's store, may write there, and is kept out by a lock that the
        driver holds. None = it has a store of its own.
    hub, lacks
        Its way to the hub; the models of the profile that it neither has nor may fetch, with what
        the hub says of each.
    ahead
        Seconds by which its clock is ahead of the driver's.
    """

    name: str
    versions: dict[str, str]
    commit: str
    cores: int
    memory_gb: float
    free_gb: float
    gpus: tuple[tuple[str, float, float], ...]
    given: float
    sees: bool
    writes: bool | None
    excludes: bool | None
    hub: Way
    lacks: tuple[tuple[str, Access], ...]
    ahead: float = 0.0


def look(home: Home, models: Models = NO_MODELS, given: float = 0.0) -> Node:
    """Look at this machine. home: of the run; models: of the hub that its cache should have."""
    sees = ray_worker.sees_store(home)
    place = Path(home.store) if sees else carried.node_store(home.name)
    place.mkdir(parents=True, exist_ok=True)
    found = hub.access(models)
    return Node(
        name=platform.node(),
        versions=provenance.versions(),
        commit=provenance.commit(),
        cores=cores(),
        memory_gb=psutil.virtual_memory().total / 1e9,
        free_gb=shutil.disk_usage(place).free / 1e9,
        gpus=_gpus(),
        given=given,
        sees=sees,
        writes=_writes(Path(home.probe)) if sees else None,
        excludes=_excludes(Path(home.probe)) if sees else None,
        hub=hub.way(),
        lacks=tuple((model, said) for model, said in found.items() if said in hub.TO_DO),
        ahead=time.time(),
    )


def _gpus() -> tuple[tuple[str, float, float], ...]:
    """By a process of its own: Ray hides them from a task that asks for none."""
    shown = {k: v for k, v in os.environ.items() if k != "CUDA_VISIBLE_DEVICES" or v}
    done = subprocess.run(
        [sys.executable, "-c", GPU_FACTS], capture_output=True, text=True, env=shown
    )
    with suppress(ValueError):
        return tuple((n, free / 1e9, total / 1e9) for n, free, total in json.loads(done.stdout))
    return ()


def _writes(probe: Path) -> bool:
    mine = probe.with_name(f"{probe.name}-{platform.node()}-{os.getpid()}")
    try:
        disk.write_text(mine, "")
        mine.unlink()
        return True
    except OSError:
        return False


def _excludes(probe: Path) -> bool:
    """Whether the lock that the driver holds keeps this process out."""
    lock = locks.lock_of(_lock_folder(probe))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    except OSError:  # there are no locks at all
        return False
    lock.release()
    return False


def _lock_folder(probe: Path) -> Path:
    return probe.with_name(f"{probe.name}-lock")


@dataclass(frozen=True)
class Awaited:
    """How many machines a cluster should have, and their names where these are known."""

    count: int = 1
    names: tuple[str, ...] = ()

    @classmethod
    def read(cls, text: str) -> "Awaited":
        """Read "4", or "node1 node2", "node1,node2"."""
        names = tuple(text.replace(",", " ").split())
        if len(names) == 1 and names[0].isdecimal():
            return cls(int(names[0]))
        return cls(len(names), names)

    def missing(self, there: Sequence[dict[str, Any]]) -> str | None:
        """Say which machines are not among these nodes of Ray; None = there are enough."""
        if len(there) >= self.count:
            return None
        came = {n["NodeManagerAddress"] for n in there}
        came |= {_short(n["NodeManagerHostname"]) for n in there}
        others = [name for name in self.names if not {name, _short(name)} & came]
        return (
            f"{len(there)} machines of {self.count} came in {ANSWER_SECONDS:.0f} s, "
            f"{'not ' + ', '.join(others) if others else 'only ' + ', '.join(sorted(came))}: "
            "look at what `ray start` said on the others"
        )


def _short(host: str) -> str:
    return host.partition(".")[0]


@dataclass(frozen=True)
class Checked:
    """The machines, the driver's first; what is wrong, and what is only worth knowing."""

    nodes: list[Node]
    wrong: list[str]
    known: list[str]


def check(models: Models = NO_MODELS, awaited: Awaited = Awaited()) -> Checked:
    """Look at every machine of the cluster, or at this one with the local engine.

    Parameters
    ----------
    models
        Ids of the hub that a study needs, each with its revision; None = main.
    awaited
        Which machines the cluster should have; they are waited for, `ANSWER_SECONDS` long.

    Raises
    ------
    ValueError
        As `on_ray.connect`.
    """
    with on_ray.at_home() as home:
        folder = _lock_folder(Path(home.probe))
        folder.mkdir()
        lock = locks.lock_of(folder)
        try:
            with suppress(OSError):  # without locks nobody is kept out, which is said below
                lock.acquire()
            here = look(home, models)
            others: list[Node] = []
            silent: list[str] = []
            if engine() is Engine.RAY:
                others, silent = _others(home, models, awaited)
        finally:
            with suppress(OSError):
                lock.release()
            shutil.rmtree(folder, ignore_errors=True)
    first = replace(here, ahead=0.0)
    wrong = [*silent, *_wrong(first, first)]
    known: list[str] = []
    for node in others:
        wrong += _wrong(node, first)
        known += _known(node, first)
    return Checked([first, *others], wrong, known)


def _others(home: Home, models: Models, awaited: Awaited) -> tuple[list[Node], list[str]]:
    """What each machine of the cluster answers, and who does not."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    ray = on_ray.connect()
    deadline = time.monotonic() + ANSWER_SECONDS
    while missing := awaited.missing(there := [n for n in ray.nodes() if n["Alive"]]):
        if time.monotonic() > deadline:
            break
        time.sleep(1)
    sent, asked = time.time(), {}
    for node in there:
        on_it = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        task = ray.remote(_look).options(num_cpus=0, max_retries=0, scheduling_strategy=on_it)
        given = node["Resources"].get("GPU", 0.0)
        told = on_ray.told_to_workers()
        name = f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']})"
        asked[task.remote(told, home, models, given)] = name
    answered, silent = [], [missing] if missing else []
    waiting, deadline = list(asked), time.monotonic() + ANSWER_SECONDS
    while waiting and time.monotonic() < deadline:
        done, waiting = ray.wait(waiting, timeout=deadline - time.monotonic())
        for answer in done:
            now = time.time()
            try:
                node = ray.get(answer)
            except ray.exceptions.RayError as error:
                why = one_line(getattr(error, "cause", None) or error, 200)
                silent.append(
                    f"{asked[answer]}: {why}: install dsi_core there with the same Python, at the "
                    "same commit (`pip install -c constraints.txt -e '.[tune,ray]'`)"
                )
                continue
            off = max(0.0, node.ahead - now) - max(0.0, sent - node.ahead)
            answered.append(replace(node, name=asked[answer], ahead=off))
    for answer in waiting:
        silent.append(
            f"{asked[answer]} did not answer in {ANSWER_SECONDS:.0f} s: look at it, or take it out "
            "of the cluster (`ray stop` there)"
        )
    return sorted(answered, key=lambda node: node.name), silent


def _look(told: dict[str, str], home: Home, models: Models, given: float) -> Node:
    ray_worker.set_up(told, home)
    return look(home, models, given)


def _wrong(node: Node, first: Node) -> list[str]:
    """What would go wrong on a machine, each with what to do."""
    found = []
    for library, version in node.versions.items():
        if version != first.versions[library]:
            found.append(
                f"{library} is {version}, the driver has {first.versions[library]}: install the "
                "same there (`pip install -c constraints.txt`)"
            )
    if node.commit != first.commit:
        found.append(
            f"its code is at {node.commit}, the driver's at {first.commit}: check out the same"
        )
    if node.writes is False:
        found.append("it sees the store and may not write there: let it, for the same user")
    if node.excludes is False:
        found.append(
            "a lock of the driver does not hold there: mount the store with locks (NFS without "
            "nolock and local_lock, Lustre with flock, BeeGFS with global file locks), or set "
            f"${locks.LOCKS}=soft for every process"
        )
    if node.given and not node.gpus:
        found.append(
            f"Ray has {node.given:g} GPUs there and torch sees none: install torch for CUDA, look "
            "at nvidia-smi"
        )
    if node.gpus and not first.gpus:
        found.append(
            "it has GPUs, and the driver has none: start `dsi` on a machine with such a GPU, as "
            "its own device decides in which precision all compute"
        )
    if node.free_gb < LEAST_FREE_GB:
        place = "$DSI_STORE" if node.sees else f"${carried.NODE_STORE}"
        found.append(
            f"{node.free_gb:.0f} GB are free on the disk of its store: free some, or set {place} "
            "to a larger one (`dsi plan` says what a study takes)"
        )
    if abs(node.ahead) > CLOCK_SECONDS:
        found.append(f"its clock is {node.ahead:+.0f} s off the driver's: set both by NTP")
    for said, what in hub.TO_DO.items():
        if models := [model for model, of_it in node.lacks if of_it is said]:
            found.append(f"the hub is {node.hub}, {', '.join(models)}: {said}: {what}")
    return [f"{node.name}: {what}" for what in found]


def _known(node: Node, first: Node) -> list[str]:
    """What is no fault, and better known."""
    found = []
    if not node.sees:
        found.append(
            "it does not see the store: entries travel through Ray; $DSI_STORE on a disk that all "
            "share saves that"
        )
    cards = {name for name, *_ in node.gpus}
    if node.gpus and first.gpus and cards != {name for name, *_ in first.gpus}:
        found.append(f"it has other GPUs than the driver ({', '.join(sorted(cards))})")
    return [f"{node.name}: {what}" for what in found]


def table(nodes: Iterable[Node]) -> pd.DataFrame:
    """Show the machines: a row each."""
    word = {True: "yes", False: "NO", None: "-"}
    return pd.DataFrame(
        {
            "machine": node.name,
            "python": node.versions["python"],
            "commit": node.commit,
            "torch": node.versions["torch"],
            "transformers": node.versions["transformers"],
            "cores": node.cores,
            "memory GB": round(node.memory_gb, 1),
            "GPUs (GB free, of)": ", ".join(f"{n} ({f:.0f}, {t:.0f})" for n, f, t in node.gpus)
            or "-",
            "store": "the run's" if node.sees else "its own",
            "writes": word[node.writes],
            "locks hold": word[node.excludes],
            "disk GB free": round(node.free_gb),
            "hub": node.hub,
            "clock s": round(node.ahead),
        }
        for node in nodes
    )
