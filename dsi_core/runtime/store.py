"""The store: results on disk that survive `kill -9` and are never mixed between settings.

An entry is a folder `store/<kind>/<name>-<key>/`. The key is a hash of the entry's spec, the JSON
of everything that decides its content (upstream specs and the code's epoch included), so other
settings go to another folder. `manifest.json` is written last and marks the entry complete;
an entry without one is continued or made again. Every file is replaced in one step
(`disk`), and a lock file per entry keeps two runs apart (`locks`).
"""

import hashlib
import json
import os
import re
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from pydantic import BaseModel

from dsi_core.runtime import disk, provenance
from dsi_core.runtime.paths import WORK

# How entries are laid out and keyed. 1 = before there was a marker.
FORMAT = 2
MARKER = "format.json"
SPEC, MANIFEST = "spec.json", "manifest.json"  # of an entry

# One number per kind of entry. Add 1 when a mended bug, or a changed default of a setting, changes
# results of this kind: what was made before is then made again. 1 adds nothing to the key.
EPOCHS = {
    "near_duplicates": 3,
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


def root() -> Path:
    """Where results live: `$DSI_STORE`, or `store/` in the repository (without one, here).

    Raises
    ------
    ValueError
        The folder holds results of another format of the store.
    """
    folder = Path(os.environ.get("DSI_STORE") or WORK / "store")
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
        disk.write_text(folder / MARKER, json.dumps({"format": FORMAT}))
    return folder


def _format_of(folder: Path) -> int | None:
    """The format in which a folder holds results; None = it holds none."""
    for _ in range(2):  # another process may make it just now: its mark comes before its results
        try:
            return disk.read_json(folder / MARKER, "restore it, or set $DSI_STORE anew")["format"]
        except FileNotFoundError:
            if not any(folder.glob(f"*/*/{SPEC}")):
                return None
    return 1


def key(spec: Any) -> str:
    """Name a spec (any JSON value) by 12 hex digits; equal specs have equal keys in any order."""
    text = json.dumps(spec, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def spec_of(settings: Any) -> Any:
    """Say settings as JSON for a spec, with what has its default left out.

    So a new setting whose default changes nothing keeps all keys. A default whose value changes
    needs a new number in `EPOCHS`, as specs do not show it.

    Parameters
    ----------
    settings
        A pydantic model, a dataclass, or a value made of them and of what JSON knows. Parts are
        written by their own type, not by the declared type of the field: a subclass keeps its own
        fields. 1.0 is written as 1.

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
    """The fields that differ from their defaults; one without a default is always among them."""
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
    if make and not (folder / SPEC).exists():
        make_root()
        folder.mkdir(parents=True, exist_ok=True)
        whole = _with_epochs(kind, spec)
        text = json.dumps(whole, indent=1, ensure_ascii=False, sort_keys=True)
        disk.write_text(folder / SPEC, text)
    note_use(f"{kind}/{folder.name}")
    return folder


def entry_name(kind: str, name: str, spec: dict) -> str:
    """Name the folder of an entry: "<name>-<key>"."""
    return f"{file_name(name)}-{key(_with_epochs(kind, spec))}"


def file_name(name: str) -> str:
    """Write a name as that of a file: characters that one may lack become "-"."""
    return re.sub(r"[^A-Za-z0-9.+_]+", "-", name)


def _with_epochs(kind: str, spec: dict) -> dict:
    assert kind in EPOCHS, f"kind {kind!r} of the store has no epoch: add it to store.EPOCHS"
    raised = {k: EPOCHS[k] for k in (kind, *UPSTREAM.get(kind, ())) if EPOCHS[k] != 1}
    return {**spec, "epochs": raised} if raised else spec


def note_use(name: str) -> None:
    """Add an entry ("<kind>/<folder>") to the file that `USED` names, if it names one."""
    if used := os.environ.get(USED):
        _add_use(Path(used), name)


@cache  # a line for each entry and process is enough
def _add_use(path: Path, name: str) -> None:
    make_root()
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a", encoding="utf-8") as file:
        file.write(f"{name}\n")


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


def here(path: Path) -> Path:
    """Give a file's place on this machine: another one if it lies in a store that is elsewhere."""
    return path if elsewhere is None else elsewhere.here(path)


def finish(folder: Path, **facts) -> dict:
    """Mark an entry complete: write its manifest (facts, format, commit, CPU, versions, time).

    Returns the manifest.
    """
    made_by = {
        "format": FORMAT,
        "commit": provenance.commit(),
        "cpu": provenance.cpu(),
        "versions": provenance.versions(),
    }
    manifest = {**facts, **made_by, "finished": provenance.now()}
    disk.write_text(folder / MANIFEST, json.dumps(manifest, indent=1, ensure_ascii=False))
    if elsewhere is not None:
        elsewhere.give(folder)
    return manifest


def manifest(folder: Path) -> dict | None:
    """Read the manifest of a complete entry; None while it is not complete."""
    if elsewhere is not None:
        elsewhere.bring(folder)
    path = folder / MANIFEST
    return disk.read_json(path) if path.exists() else None
