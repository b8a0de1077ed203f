"""Beside the driver of a Ray run: hears how far jobs are, and keeps the store for other machines.

One actor on the driver's machine, so that what a node sends goes to the disk in pieces and never
through the driver's memory. Ray is not imported here: it is a plain class.
"""

import os
import shutil
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path

from filelock import BaseFileLock, Timeout

from dsi_core.runtime import locks, store

PIECE = 8 * 2**20  # bytes that travel at once
SILENT_SECONDS = 60.0  # after which a worker that says nothing holds no entry any more
INCOMING = ".incoming"
ANSWERS = "responses.jsonl"  # a line each, some of them paid for
LEFT = {"checkpoints", "seconds.txt"}  # of an entry that goes on: they stay where they are


@dataclass
class Told:
    """What is known of a job: where it runs, how often it began, its share done, last report."""

    node: str = ""
    begun: int = 0
    share: float = 0.0
    heard: float = field(default_factory=time.monotonic)


class Keeper:
    """What workers call, from whatever machine."""

    def __init__(self) -> None:
        self.root = Path()
        self.jobs: dict[int, Told] = {}
        self.held: dict[str, tuple[int, BaseFileLock]] = {}

    def begin(self, job: int, node: str) -> None:
        """A job begins; what its lost worker held is free."""
        self._free_all(job)
        told = self.jobs.setdefault(job, Told())
        told.node, told.begun, told.share = node, told.begun + 1, 0.0
        told.heard = time.monotonic()

    def say(self, job: int, share: float) -> None:
        """Say how much of a job is done; also that its worker lives."""
        told = self.jobs.setdefault(job, Told())
        told.share, told.heard = share, time.monotonic()

    def end(self, job: int) -> None:
        """A job ended, well or not."""
        self._free_all(job)
        self.jobs.pop(job, None)

    def news(self) -> dict[int, tuple[str, int, float]]:
        """Of the jobs that run: node, how often it began, share done."""
        return {number: (t.node, t.begun, t.share) for number, t in self.jobs.items()}

    def hold(self, name: str, job: int) -> bool:
        """Try to take an entry ("kind/folder") for a job, from this machine's processes too."""
        if name in self.held:
            owner, _ = self.held[name]
            told = self.jobs.get(owner)
            if owner != job and told and time.monotonic() - told.heard < SILENT_SECONDS:
                return False
            self.free(name)
        folder = self.root / name
        folder.mkdir(parents=True, exist_ok=True)
        lock = locks.lock_of(folder)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return False
        self.held[name] = job, lock
        return True

    def free(self, name: str) -> None:
        """Free an entry, if it is held."""
        if name in self.held:
            self.held.pop(name)[1].release()
            made_for_its_lock = {locks.LOCK, locks.SOFT_LOCK}
            if {path.name for path in (self.root / name).iterdir()} <= made_for_its_lock:
                shutil.rmtree(self.root / name, ignore_errors=True)

    def _free_all(self, job: int) -> None:
        for name in [name for name, (owner, _) in self.held.items() if owner == job]:
            self.free(name)

    def state(self, name: str) -> str | None:
        """Give `state` of an entry."""
        return state(self.root / name)

    def files(self, name: str) -> list[tuple[str, int]]:
        """Give `files` of an entry."""
        return files(self.root / name)

    def read(self, name: str, file: str, first: int) -> bytes:
        """Read a piece of an entry's file."""
        with open(self.root / name / file, "rb") as opened:
            opened.seek(first)
            return opened.read(PIECE)

    def write(self, parcel: str, file: str, piece: bytes) -> None:
        """Add a piece to a file of a parcel that is under way."""
        path = self.root / INCOMING / parcel / file
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "ab") as opened:
            opened.write(piece)

    def arrived(self, parcel: str, name: str) -> None:
        """Put the files of a parcel in their place."""
        place(self.root / INCOMING / parcel, self.root / name)

    def renew(self, root: str) -> None:
        """Forget a run, its jobs and what they held; keep the store that lies there from now on."""
        for name in list(self.held):
            self.free(name)
        self.jobs.clear()
        self.root = Path(root)
        shutil.rmtree(self.root / INCOMING, ignore_errors=True)  # parcels that never arrived


def state(folder: Path) -> str | None:
    """Give what tells a complete entry from an older one; None = it is not complete."""
    if folder.parent.name == "wheels":
        return "\n".join(sorted(path.name for path in folder.glob("*.whl"))) or None
    path = folder / store.MANIFEST
    return path.read_text(encoding="utf-8") if path.exists() else None


def files(folder: Path) -> list[tuple[str, int]]:
    """List an entry's files, with their sizes in bytes; the manifest last."""
    found = []
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        hidden = any(part.startswith(".") or part in LEFT for part in parts)
        if path.is_file() and not hidden:
            found.append((str(Path(*parts)), path.stat().st_size))
    return sorted(found, key=lambda pair: pair[0] == store.MANIFEST)


def place(parcel: Path, folder: Path) -> None:
    """Move the files of a parcel to an entry, each in one step, the manifest last.

    Answers that the entry has beside the parcel's stay, behind them.
    """
    for name, _ in files(parcel):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if name == ANSWERS and target.exists():
            _add_lines(parcel / name, target)
        os.replace(parcel / name, target)
    shutil.rmtree(parcel, ignore_errors=True)


def _add_lines(path: Path, older: Path) -> None:
    """Add to a file the lines that an older one has beside; a torn last line gets its end."""
    lines = [line for file in (path, older) for line in file.read_bytes().split(b"\n") if line]
    path.write_bytes(b"".join(line + b"\n" for line in dict.fromkeys(lines)))


def parcel_name() -> str:
    """Name a new parcel."""
    return uuid.uuid4().hex
