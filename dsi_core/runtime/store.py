"""The store: results on disk that survive `kill -9` and are never mixed between settings.

An entry is a folder `store/<kind>/<name>-<key>/`. The key is a hash of the entry's spec, the JSON
of everything that decides its content (upstream specs and the code's epoch included), so other
settings go to another folder. `manifest.json` is written last and marks the entry complete;
whatever lies there without one is continued or made again. Every file is replaced in one step, and
a lock file per entry keeps two runs apart.
"""

import hashlib
import json
import os
import platform
import re
import subprocess
import uuid
import warnings
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import MISSING, Field, fields, is_dataclass
from datetime import UTC, datetime
from enum import Enum
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import pandas as pd
from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout
from pydantic import BaseModel

from dsi_core.runtime.paths import ROOT

# How entries are laid out and keyed. 1 = before there was a marker.
FORMAT = 2
MARKER = "format.json"
LOCK = ".lock"  # in a folder; says who holds it
SOFT_LOCK = ".lock.soft"  # is there while somebody holds it; for disks without locks
LOCKS = "DSI_LOCKS"  # hard (of the system), soft (a file that is there or not)
PATIENCE_SECONDS = 5.0

# One number per kind of entry. Add 1 when a mended bug, or a changed default of a setting, changes
# results of this kind: what was made before is then made again. 1 adds nothing to the key.
EPOCHS = {
    "near_duplicates": 1,
    "models": 1,
    "tuned": 1,
    "responses": 1,
    "losses": 1,
    "similarity": 1,
    "matching": 1,
    "dpdllm": 1,
    "validation": 1,
    "attribution": 1,
    "imitation": 1,
    "mixed": 1,
    "rephrased": 1,
    "ratings": 1,
    "draws": 1,
}
# What a kind is made from by spec, not by content: an epoch there is one here too.
UPSTREAM = {
    "tuned": ("models",),
    "responses": ("models", "tuned"),
    "losses": ("models", "tuned"),
    "dpdllm": ("models", "tuned"),
    "attribution": ("models",),
    "imitation": ("models", "responses"),
}

# Names a file to which a run adds the entries that it looks at, one a line.
USED = "DSI_USED"

CPU_FLAGS = ["avx2", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "bf16", "sve"]

LIBRARIES = [
    "dsi_core",
    "torch",
    "transformers",
    "peft",
    "trl",
    "bitsandbytes",
    "bert-score",
    "datasets",
    "numpy",
    "pandas",
]


def root() -> Path:
    """Where results live: `$DSI_STORE`, or `store/` in the repository.

    Raises
    ------
    ValueError
        The folder holds results of another format of the store.
    """
    folder = Path(os.environ.get("DSI_STORE") or ROOT / "store")
    found = _format_of(folder)
    if found not in (None, FORMAT):
        raise ValueError(
            f"{folder.resolve()} holds results in format {found} of the store, this version of "
            f"dsi_core reads and writes format {FORMAT} and mixes them never: move the folder away "
            "(its wheels/ may stay) or set $DSI_STORE to another one"
        )
    return folder


def make_root() -> Path:
    """Make the store's folder if there is none, for its owner alone.

    It holds answers to private prompts, and weights that were tuned on private pairs.
    """
    folder = root()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not (folder / MARKER).exists():
        write_text(folder / MARKER, json.dumps({"format": FORMAT}))
    return folder


def _format_of(folder: Path) -> int | None:
    """The format in which a folder holds results; None = it holds none."""
    try:
        return read_json(folder / MARKER, "restore it, or set $DSI_STORE anew")["format"]
    except FileNotFoundError:
        return 1 if any(folder.glob("*/*/spec.json")) else None


def key(spec: Any) -> str:
    """Name a spec (any JSON value) by 12 hex digits; equal specs have equal keys in any order."""
    text = json.dumps(spec, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def spec_of(settings: Any) -> Any:
    """Say settings as JSON for a spec, with what has its default left out.

    So a new setting whose default changes nothing orphans nothing. A default whose value changes
    needs a new number in `EPOCHS`, as specs do not show it.

    Parameters
    ----------
    settings
        A pydantic model, a dataclass, or a value made of them and of what JSON knows. Parts are
        said as what they are, not as what their field is declared to hold: a subclass keeps its
        own fields. 1.0 is said as 1.

    Raises
    ------
    TypeError
        A value that JSON does not know.
    """
    if isinstance(settings, BaseModel):
        defaults = {
            name: info.get_default(call_default_factory=True, validated_data={})
            for name, info in type(settings).model_fields.items()
        }
        return _without(defaults, settings)
    if is_dataclass(settings) and not isinstance(settings, type):
        return _without({f.name: _default(f) for f in fields(settings)}, settings)
    if isinstance(settings, Mapping):
        return {str(spec_of(name)): spec_of(value) for name, value in settings.items()}
    if isinstance(settings, list | tuple):
        return [spec_of(value) for value in settings]
    if isinstance(settings, Enum):
        return settings.value
    if isinstance(settings, float) and settings.is_integer():
        return int(settings)  # 1.0 and 1 are one setting
    if settings is None or isinstance(settings, str | int | float):
        return settings
    raise TypeError(f"a spec cannot hold {settings!r}, a {type(settings).__name__}")


def _without(defaults: dict[str, Any], settings: Any) -> dict:
    """The fields that differ from their defaults; `...` stands where there is no default."""
    values = {name: getattr(settings, name) for name in defaults}
    return {
        name: spec_of(value) for name, value in values.items() if not _same(value, defaults[name])
    }


def _same(value: Any, default: Any) -> bool:
    """Equal, as 1 and 1.0 are, and 1 and True are not."""
    types = {type(value), type(default)}
    alike = len(types) == 1 or types == {int, float}
    return alike and value == default


def _default(field: Field) -> Any:
    if field.default_factory is not MISSING:
        return field.default_factory()
    return field.default


def entry(kind: str, name: str, spec: dict, *, make: bool = True) -> Path:
    """Find the folder of an entry.

    Parameters
    ----------
    kind
        One of `EPOCHS`.
    name
        For people; characters that a file name may lack become "-".
    spec
        Everything that decides the content, as JSON. Epochs above 1, of the kind and of what it is
        made from, are added to it.
    make
        Make the folder, with a `spec.json` that says what belongs there; False = look it up only.
    """
    place = root()
    folder = place / kind / entry_name(kind, name, spec)
    if make and not (folder / "spec.json").exists():
        make_root()
        folder.mkdir(parents=True, exist_ok=True)
        whole = _with_epochs(kind, spec)
        text = json.dumps(whole, indent=1, ensure_ascii=False, sort_keys=True)
        write_text(folder / "spec.json", text)
    if used := os.environ.get(USED):
        _note_use(Path(used), f"{kind}/{folder.name}")
    return folder


def entry_name(kind: str, name: str, spec: dict) -> str:
    """Name the folder of an entry: "<name>-<key>"."""
    return f"{re.sub(r'[^A-Za-z0-9.+_]+', '-', name)}-{key(_with_epochs(kind, spec))}"


def _with_epochs(kind: str, spec: dict) -> dict:
    assert kind in EPOCHS, f"kind {kind!r} of the store has no epoch: add it to store.EPOCHS"
    raised = {k: EPOCHS[k] for k in (kind, *UPSTREAM.get(kind, ())) if EPOCHS[k] != 1}
    return {**spec, "epochs": raised} if raised else spec


@cache  # a line for each entry and process is enough
def _note_use(path: Path, name: str) -> None:
    make_root()
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a", encoding="utf-8") as file:
        file.write(f"{name}\n")


class Held(RuntimeError):
    """Somebody else is at an entry, and one does not wait longer (`patience`)."""


class Elsewhere(Protocol):
    """The store of a run, seen from a machine that has another (`engines.carried`)."""

    def held(self, folder: Path) -> AbstractContextManager[None]:
        """Keep every other machine out of an entry, and bring what the run has of it."""

    def bring(self, folder: Path) -> None:
        """Bring a complete entry of the run."""

    def give(self, folder: Path) -> None:
        """Give the run an entry that was completed here."""

    def here(self, path: Path) -> Path:
        """Find a file by its place in the run's store."""


elsewhere: Elsewhere | None = None  # set in a worker that does not see the run's store
_patience: float | None = None


@contextmanager
def patience(seconds: float | None) -> Iterator[None]:
    """Wait for an entry no longer than this: then `lock` raises `Held`. None = for ever."""
    global _patience
    before, _patience = _patience, seconds
    try:
        yield
    finally:
        _patience = before


@contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Admit one writer per entry: a second run waits here, then finds the result.

    After `PATIENCE_SECONDS` a warning says who is waited for. The lock is freed when its holder
    dies; a soft one (`$DSI_LOCKS`) then has to be removed by hand, unless it was on this machine.

    Raises
    ------
    Held
        Where somebody else holds an entry, and `patience` has ended.
    """
    file = lock_of(folder)
    entry = (folder / "spec.json").exists()  # all else is short
    if entry and _patience is not None:
        if not _taken(file, _patience):
            raise Held(f"{folder}: {_holder(folder)}")
    elif not _taken(file, PATIENCE_SECONDS):
        warnings.warn(f"waiting for {folder}: {_holder(folder)}", stacklevel=3)
        _taken(file, -1)
    try:
        with nullcontext() if elsewhere is None else elsewhere.held(folder):
            yield
    finally:
        _free(file)


def here(path: Path) -> Path:
    """Give a file's place on this machine: another one if it lies in a store that is elsewhere."""
    return path if elsewhere is None else elsewhere.here(path)


def lock_of(folder: Path) -> BaseFileLock:
    """Give the lock of a folder, not taken yet, as `$DSI_LOCKS` says.

    Raises `ValueError` where that is neither hard nor soft.
    """
    said = os.environ.get(LOCKS, "").strip() or "hard"
    if said not in ("hard", "soft"):
        raise ValueError(f"${LOCKS} is {said!r}; allowed: hard, soft")
    return FileLock(folder / LOCK) if said == "hard" else SoftFileLock(folder / SOFT_LOCK)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Admit one run to a folder, and refuse a second one at once.

    Raises
    ------
    ValueError
        Naming the process that holds the folder.
    """
    file = lock_of(folder)
    if not _taken(file, 0):
        raise ValueError(
            f"{folder}: {_holder(folder)}; wait until it has ended, or end that process"
        )
    try:
        yield
    finally:
        _free(file)


def _taken(file: BaseFileLock, seconds: float) -> bool:
    """Take a lock within so many seconds (-1 = for ever), and leave in its file who holds it."""
    try:
        file.acquire(timeout=seconds)
    except Timeout:
        return False
    except OSError as error:  # a network drive without locks does not say for which file
        raise OSError(error.errno, error.strerror, error.filename or file.lock_file) from None
    with suppress(OSError):  # Windows lets nobody write to a locked file
        said = {"process": os.getpid(), "host": platform.node(), "since": now()}
        _said_in(file).write_text(json.dumps(said), encoding="utf-8")
    return True


def _said_in(file: BaseFileLock) -> Path:
    return Path(file.lock_file).with_name(LOCK)


def _free(file: BaseFileLock) -> None:
    """Free a lock; whoever is handed the folder later learns no machine's name from it."""
    with suppress(OSError):
        os.truncate(_said_in(file), 0)
    file.release()


def _holder(folder: Path) -> str:
    try:
        who = json.loads((folder / LOCK).read_text(encoding="utf-8"))
        return (
            f"another run holds it (process {who['process']} on {who['host']}, since "
            f"{who['since']})"
        )
    except (OSError, ValueError, LookupError, TypeError):  # not written yet, or not to be read
        return "another run holds it"


def read_json(path: Path, remedy: str = "") -> Any:
    """Read JSON that this package wrote.

    remedy: what to do when it is no JSON any more; by default, to remove an entry of the store.

    Raises
    ------
    ValueError
        Naming the file, where a write was cut off or the file was changed.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # not UTF-8, not JSON
        remedy = remedy or f"remove {path.parent}, what it held is made again"
        raise ValueError(f"{path} is damaged ({error}): {remedy}") from None


def read_table(path: Path) -> pd.DataFrame:
    """Read a Parquet file of the store. Raises `ValueError`, naming the file, for a damaged one."""
    try:
        return pd.read_parquet(path)
    except ValueError as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(
            f"{path} is damaged ({reason}): remove {path.parent}, what it held is made again"
        ) from None


def write_text(path: Path, text: str, *, private: bool = False) -> None:
    """Replace a text file in one step: a reader, or a crash, sees the old or the new, never a part.

    private: only its owner may read it (mode 0600, from the first byte); else the umask decides.
    """
    with replacing(path, private=private) as file:
        file.write(text.encode())


def write_table(path: Path, table: pd.DataFrame, *, private: bool = False) -> None:
    """Replace a Parquet file in one step, as `write_text` does."""
    with replacing(path, private=private) as file:
        file.write(table.to_parquet())


@contextmanager
def replacing(path: Path, *, private: bool = False) -> Iterator[BinaryIO]:
    """Open a new file that takes the place of `path` once it is whole and on the disk.

    After an error nothing is replaced. private: as of `write_text`.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")  # tempfile's ignore the umask
    mode = 0o600 if private else 0o666
    try:
        with open(temporary, "xb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
            yield file
            flush(file)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def flush(file) -> None:
    """Bring what was written to an open file onto the disk, past a crash."""
    file.flush()
    os.fsync(file.fileno())


def finish(folder: Path, **facts) -> dict:
    """Mark an entry complete: write its manifest (facts, format, commit, CPU, versions, time).

    Returns the manifest.
    """
    made_by = {"format": FORMAT, "commit": commit(), "cpu": cpu(), "versions": versions()}
    manifest = {**facts, **made_by, "finished": now()}
    write_text(folder / "manifest.json", json.dumps(manifest, indent=1, ensure_ascii=False))
    if elsewhere is not None:
        elsewhere.give(folder)
    return manifest


def manifest(folder: Path) -> dict | None:
    """Read the manifest of a complete entry; None while it is not complete."""
    if elsewhere is not None:
        elsewhere.bring(folder)
    path = folder / "manifest.json"
    return read_json(path) if path.exists() else None


def now() -> str:
    """Give the time in UTC, to the second, as ISO 8601 writes it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def versions() -> dict[str, str]:
    """List the versions of Python and of the libraries that shape results."""
    return {"python": platform.python_version()} | {name: _version(name) for name in LIBRARIES}


@cache  # each manifest names ten of them, which are read from their metadata
def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


@cache
def cpu() -> str:
    """Name the processor, with those of its instructions that decide how fast models run."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        return platform.processor() or platform.machine()
    said = {name.strip(): value.strip() for name, _, value in (x.partition(":") for x in lines)}
    flags = set((said.get("flags") or said.get("Features") or "").split())
    name = said.get("model name") or platform.machine()
    return ", ".join([name, *(flag for flag in CPU_FLAGS if flag in flags)])


@cache
def commit() -> str:
    """Name the repository's commit as this process first saw it.

    "+" follows when files of `dsi_core` or `params` differ from it. "no commit" = this is not a
    git repository of its own (installed elsewhere, or git is missing).
    """
    try:
        top, number = _git("rev-parse", "--show-toplevel", "--short", "HEAD").splitlines()
        if Path(top).resolve() != ROOT:
            return "no commit"
        changes = _git("status", "--porcelain", "--", "dsi_core", "params")
    except (OSError, subprocess.CalledProcessError):
        return "no commit"
    return number + ("+" if changes else "")


def _git(*words: str) -> str:
    command = ["git", "-C", str(ROOT), *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
