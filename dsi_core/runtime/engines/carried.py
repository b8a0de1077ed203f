"""The store of a run for a machine that does not see it: entries are fetched and sent by name.

A node keeps a store of its own between jobs and runs ($DSI_NODE_STORE). Before an entry is used it
is fetched from the run; once it is complete here it is sent to the run. While a worker works on an
entry, the driver's machine holds its lock.
"""

import getpass
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dsi_core.runtime import store
from dsi_core.runtime.engines import keeper

NODE_STORE = "DSI_NODE_STORE"
WAIT_SECONDS = 1.0


def node_store(run: str) -> Path:
    """Where a node keeps the entries of a run's store (named by its path and machine).

    Raises
    ------
    ValueError
        The folder belongs to somebody else.
    """
    own = Path(tempfile.gettempdir()) / f"dsi-{getpass.getuser()}"
    folder = Path(os.environ.get(NODE_STORE) or own)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    owners = {folder.lstat().st_uid, folder.stat().st_uid}  # of a link, and of where it leads
    if hasattr(os, "getuid") and owners != {os.getuid()}:
        raise ValueError(
            f"{folder} belongs to somebody else: set ${NODE_STORE} to a folder of yours"
        )
    return folder / f"store-{store.key(run)}"


class Carried:
    """A `store.Elsewhere`: the run's store behind a keeper.

    ask
        Calls a method of the keeper by its name, and waits for what it returns.
    job
        The number of the one at hand.
    root
        Of the run's store, on its own machine.
    """

    def __init__(self, ask: Callable[..., Any], job: int, root: str):
        self.ask, self.job, self.root = ask, job, Path(root)

    @contextmanager
    def held(self, folder: Path) -> Iterator[None]:
        """Keep every other machine out of an entry, and bring what the run has of it."""
        name = _name(folder)
        if name is None:
            yield
            return
        while not self.ask("hold", name, self.job):
            time.sleep(WAIT_SECONDS)
        try:
            if self.ask("state", name) is None:  # an older run completed it here, and gave it then
                (folder / store.MANIFEST).unlink(missing_ok=True)
            self.bring(folder)
            self._fetch(name, folder, self._more_answers(name, folder))
            yield
        finally:
            self.ask("free", name)

    def bring(self, folder: Path) -> None:
        """Bring a complete entry of the run, unless it is here as it is there."""
        name = _name(folder)
        if name is None or self.ask("state", name) in (None, keeper.state(folder)):
            return
        self._fetch(name, folder, self.ask("files", name))

    def _more_answers(self, name: str, folder: Path) -> list[tuple[str, int]]:
        """The run's answers, if they are not those here: they grow while a manifest stays."""
        here, there = keeper.files(folder), self.ask("files", name)
        return [file for file in there if file[0] == keeper.ANSWERS and file not in here]

    def _fetch(self, name: str, folder: Path, files: list[tuple[str, int]]) -> None:
        parcel = store.make_root() / keeper.INCOMING / keeper.parcel_name()
        for file, size in files:
            path = parcel / file
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(path, "wb") as opened:
                while opened.tell() < size:
                    piece = self.ask("read", name, file, opened.tell())
                    if not piece:  # it was replaced meanwhile
                        raise OSError(f"{name}/{file} has become shorter than {size} bytes")
                    opened.write(piece)
        keeper.place(parcel, folder)

    def give(self, folder: Path) -> None:
        """Give the run an entry that was completed here."""
        name = _name(folder)
        if name is None:
            return
        parcel = keeper.parcel_name()
        for file, _ in keeper.files(folder):
            with open(folder / file, "rb") as opened:
                self.ask("write", parcel, file, opened.read(keeper.PIECE))
                while piece := opened.read(keeper.PIECE):
                    self.ask("write", parcel, file, piece)
        self.ask("arrived", parcel, name)

    def here(self, path: Path) -> Path:
        """Find a file by its place in the run's store: its entry is brought."""
        try:
            inside = path.relative_to(self.root)
        except ValueError:
            return path
        self.bring(store.root() / Path(*inside.parts[:2]))
        return store.root() / inside


def _name(folder: Path) -> str | None:
    """An entry's name, "kind/folder"; None = what every machine has of its own."""
    try:
        parts = folder.resolve().relative_to(store.root().resolve()).parts
    except ValueError:
        return None
    if len(parts) != 2 or parts[0] not in {*store.EPOCHS, "wheels"}:
        return None
    return "/".join(parts)
