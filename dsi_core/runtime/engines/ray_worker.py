"""What a Ray worker does: a job, in the run's store if it sees that, else in one of its own."""

import os
import pickle
import platform
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

from dsi_core.runtime import store
from dsi_core.runtime.engines import carried
from dsi_core.runtime.engines.work import (
    Job,
    our_warnings_alone,
    portable,
    reporting,
    wake_libraries,
)
from dsi_core.runtime.environment import ONE_THREAD, give_back_memory, set_variables

SAY_SECONDS = 2.0  # how often a worker says how far it is, and that it lives
_told: set[str] = set()  # the variables that this process was told for the job at hand


@dataclass(frozen=True)
class Home:
    """The driver's machine, its store, and a file there that was just made (`on_ray.at_home`)."""

    host: str
    store: str
    probe: str

    @property
    def name(self) -> str:
        """What tells its store from every other."""
        return f"{self.store} on {self.host}"


@dataclass(frozen=True)
class Outcome:
    """What comes back: a pickle of the result, or of the error, and what was said on the way."""

    pickled: bytes
    failed: bool
    node: str
    warned: list[str]
    used: list[str]


def do(pickled: bytes, index: int, told: dict[str, str], home: Home, keeper: Any) -> Outcome:
    """Do a job in this Ray worker. Its pickle is read once the libraries' variables are set."""
    import ray

    node = platform.node()
    keeper.begin.remote(index, node)
    ended, done = threading.Event(), [0.0]

    def ask(method: str, *arguments: Any) -> Any:
        return ray.get(getattr(keeper, method).remote(*arguments))

    def live() -> None:
        while not ended.wait(SAY_SECONDS):
            keeper.say.remote(index, done[0])

    threading.Thread(target=live, daemon=True).start()
    with warnings.catch_warnings(record=True) as warned, _used() as used:
        our_warnings_alone()
        try:
            if not set_up(told, home):
                store.elsewhere = carried.Carried(ask, index, home.store)
            job: Job = pickle.loads(pickled)
            with reporting(partial(done.__setitem__, 0)):
                result: Any = job.call(*job.args, **job.kwargs)
            answer, failed = pickle.dumps(result), False
        except BaseException as error:
            answer, failed = pickle.dumps(portable(error)), True
        finally:
            store.elsewhere = None
            ended.set()
            give_back_memory()
    keeper.end.remote(index)
    said = list(dict.fromkeys(str(w.message) for w in warned))
    return Outcome(answer, failed, node, said, used)


@contextmanager
def _used() -> Iterator[list[str]]:
    """Collect the entries that a job reads, in a file of this machine, where locks do not matter.

    `store` notes each entry once for a path, so every job has a path of its own.
    """
    import tempfile

    names: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "used"
        os.environ[store.USED] = str(path)
        try:
            yield names
        finally:
            os.environ.pop(store.USED, None)
            if path.exists():
                names += path.read_text(encoding="utf-8").splitlines()


def set_up(told: dict[str, str], home: Home) -> bool:
    """Set the run's variables and its store, or else the node's own; tell whether it is the run's.

    A node's own variables of the hub are kept; those set for an earlier job are removed.
    """
    for name in _told:
        os.environ.pop(name, None)
    _told.clear()
    for name, value in told.items():
        if not name.startswith("HF_") or name not in os.environ:
            os.environ[name] = value
            _told.add(name)
    os.environ.update(DSI_ENGINE="local", DSI_WORKERS="0", DSI_PROGRESS="none")
    set_variables(ONE_THREAD)
    sees = sees_store(home)
    own = home.store if sees else carried.node_store(home.name)
    os.environ["DSI_STORE"] = str(own)
    wake_libraries()
    return sees


@cache
def sees_store(home: Home) -> bool:
    """Tell whether the run's store is here: a file just made may come a little late."""
    path = Path(home.probe)
    for _ in range(3):
        if path.exists():
            return True
        if not path.parent.exists():
            break
        time.sleep(1)
    return False
