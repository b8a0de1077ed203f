"""Released answers: what models said and scored in a profile's study, for stores that lack it.

`figures/<profile>/answers/` holds the entries of a store, an archive for each kind, without a
weight, and a manifest with the archives' hashes (`packing` writes it). Who needs an entry asks for
it by its key; an archive is then checked and unpacked into `store/released/`, once, where nothing
but locks is ever written: own results and released ones never lie in one folder.
"""

import hashlib
import io
import json
import os
import shutil
import uuid
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from dsi_core.runtime import locks, store
from dsi_core.runtime.paths import ROOT
from dsi_core.runtime.precision import detect
from dsi_core.runtime.store import MANIFEST

SWITCH = "DSI_RELEASED"  # 0 = own results alone; a folder = that release; unset = all in figures/
OFF = "0"
NF4 = " nf4"


class Archive(BaseModel):
    """One file of a release: its hash, its size, the entries of the store in it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sha256: str
    bytes: int
    entries: int


class Release(BaseModel):
    """What a release says of itself.

    Parameters
    ----------
    format
        Of the store that its entries come from.
    profile
        Whose study it is.
    precision
        Labels (`Precision.label`) of the models that answered, with the number of entries.
    devices, cpus, commits
        What they ran on, and by which code: each with its number of entries.
    versions
        Of Python and the libraries; several where they differ between entries.
    counts
        Answers, tokens, seconds, ...: sums of what the entries' own manifests say, by kind.
    finished
        When the last entry was.
    files
        The archives, by name: "<kind>.zip".
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int
    profile: str
    precision: dict[str, int]
    devices: dict[str, int]
    cpus: dict[str, int]
    commits: dict[str, int]
    versions: dict[str, str]
    counts: dict[str, dict[str, float]]
    finished: str
    files: dict[str, Archive]


def folder_of(profile: str) -> Path:
    """Where the release of a profile lies."""
    return ROOT / "figures" / profile / "answers"


def entry(kind: str, name: str, spec: dict, *, make: bool = True) -> Path:
    """Find a complete entry, the store's own or else a released one; or where to make it.

    For entries that are either complete or missing. Parameters as of `store.entry`, whose folder it
    gives unless there is a released one.
    """
    own = store.entry(kind, name, spec, make=False)
    if not (own / MANIFEST).exists():
        released = find(kind, name, spec)
        if released is not None:
            return released
    return store.entry(kind, name, spec, make=make)


def find(kind: str, name: str, spec: dict) -> Path | None:
    """Find the folder of a released entry; None = nothing is released for these settings.

    Answers in another machine's automatic precision serve where this machine's own is asked for; a
    study that names a precision gets only answers in it.

    Raises
    ------
    ValueError
        An archive that is not the one that its manifest names, or is gone.
    """
    return next(find_all(kind, name, spec), None)


def find_all(kind: str, name: str, spec: dict) -> Iterator[Path]:
    """Give the folders of all released entries that serve, as `find` does, the own precision first.

    Several machines may each have drawn some of a model's answers.
    """
    for place in releases():
        release = read(place)
        archive = release.files.get(f"{kind}.zip")
        if archive is None:
            continue
        path = place / f"{kind}.zip"
        known = _entries(path, archive.sha256, _state(path))
        for other in _as_released(spec, list(release.precision)):
            wanted = store.entry_name(kind, name, other)
            if wanted in known:
                yield _unpacked(path, archive.sha256) / wanted


def facts(kind: str) -> list[tuple[dict, dict]]:
    """Give (spec, manifest) of all released entries of a kind, for what they tell of speed.

    Read even if `$DSI_RELEASED` is 0, which switches off released answers: speeds are not answers.
    A damaged archive is skipped here; `find` refuses it.
    """
    found = []
    for place in releases() or _all():
        with suppress(ValueError):
            archive = read(place).files.get(f"{kind}.zip")
            if archive is not None:
                path = place / f"{kind}.zip"
                found += _facts(path, archive.sha256, _state(path))
    return found


@lru_cache
def _facts(path: Path, sha256: str, state: tuple) -> list[tuple[dict, dict]]:
    with zipfile.ZipFile(_checked(path, sha256)) as archive:
        names = [name.partition("/")[0] for name in archive.namelist() if name.endswith(MANIFEST)]
        return [
            (
                json.loads(archive.read(f"{name}/spec.json")),
                json.loads(archive.read(f"{name}/{MANIFEST}")),
            )
            for name in names
        ]


def own_keys(kind: str) -> set[str]:
    """Give the keys by which a store of this machine would have what is released of a kind."""
    label = detect().label()
    return {
        store.key(own)
        for spec, _ in facts(kind)
        for own in (spec, *(_replaced(spec, label, nf4=nf4) for nf4 in (False, True)))
    }


def of(profile: str) -> Path | None:
    """Find the release of the study of a profile of this name; None = there is none."""
    return next((place for place in releases() if read(place).profile == profile), None)


def check(profile: str) -> Path:
    """Find the release of a profile's study.

    Raises
    ------
    ValueError
        There is none; says where it was looked for.
    """
    if (place := of(profile)) is not None:
        return place
    switch = os.environ.get(SWITCH)
    why = (
        f"${SWITCH} is {OFF}, which leaves them out"
        if switch == OFF
        else (f"not in ${SWITCH}, {switch}" if switch else f"not in {folder_of(profile)}")
    )
    raise ValueError(
        f"there are no released answers of profile {profile!r} ({why}): "
        f"`dsi reproduce --from-nothing --profile {profile}` tunes and asks every model here"
    )


def releases() -> list[Path]:
    """The folders of all releases at hand, as `$DSI_RELEASED` says."""
    switch = os.environ.get(SWITCH)
    if switch == OFF:
        return []
    if switch:
        return [Path(switch)]
    return _all()


def _all() -> list[Path]:
    return sorted(path.parent for path in (ROOT / "figures").glob(f"*/answers/{MANIFEST}"))


def read(place: Path) -> Release:
    """Read what a release says of itself.

    Raises
    ------
    ValueError
        There is no manifest, or it is none; or its entries have another format than the store.
    """
    path = place / MANIFEST
    return _read(path, _state(path))


@lru_cache
def _read(path: Path, state: tuple) -> Release:
    try:
        release = Release.model_validate_json(path.read_bytes())
    except OSError as error:
        raise _no_manifest(path, str(error)) from None
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "the whole"
        why = f"{error.error_count()} field(s) refused, the first: {field}: {first['msg']}"
        raise _no_manifest(path, why) from None
    if release.format != store.FORMAT:
        raise ValueError(
            f"{path} has entries in format {release.format} of the store, this version of "
            f"dsi_core reads format {store.FORMAT}; use the version that made it, or "
            f"{SWITCH}={OFF} does without"
        )
    return release


def _no_manifest(path: Path, why: str) -> ValueError:
    what = f"${SWITCH} is the folder of a release, as figures/small/answers; {OFF} does without"
    helps = what if os.environ.get(SWITCH) else _help(path)
    return ValueError(f"{path} is no manifest of released answers: {why}; {helps}")


def _help(path: Path) -> str:
    if os.environ.get(SWITCH):
        return f"bring {path.parent} back from where it came, or {SWITCH}={OFF} does without"
    return f"`git checkout -- {path.parent}` brings it back, {SWITCH}={OFF} does without"


def _state(path: Path) -> tuple[int, int]:
    """Changes when a file does; (0, 0) = there is none."""
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return 0, 0
    return found.st_mtime_ns, found.st_size


def _as_released(spec: dict, labels: list[str]) -> Iterator[dict]:
    """A spec as it is, then with each released precision in the place of this machine's own."""
    yield spec
    said = {label.removesuffix(NF4) for label in precisions(spec)}
    if said == {detect().label()}:
        for label in labels:
            if not label.endswith(NF4):
                yield _replaced(spec, label, nf4=f"{label}{NF4}" in labels)


def precisions(spec: Any) -> Iterator[str]:
    """Give every precision that a spec names, at whatever depth."""
    if isinstance(spec, dict):
        if isinstance(spec.get("precision"), str):
            yield spec["precision"]
        for part in spec.values():
            yield from precisions(part)


def _replaced(spec: Any, label: str, *, nf4: bool) -> Any:
    """The spec with another precision: `label`, of QLoRA with NF4 where that was at hand."""
    if not isinstance(spec, dict):
        return spec
    changed = {name: _replaced(part, label, nf4=nf4) for name, part in spec.items()}
    if "precision" in spec:
        recipe = spec.get("recipe")
        quantized = nf4 and isinstance(recipe, dict) and recipe.get("method") == "qlora"
        changed["precision"] = f"{label}{NF4}" if quantized else label
    return changed


@lru_cache
def _entries(path: Path, sha256: str, state: tuple) -> frozenset[str]:
    """The names of the entries in an archive, which is checked first."""
    with zipfile.ZipFile(_checked(path, sha256)) as archive:
        return frozenset(name.partition("/")[0] for name in archive.namelist())


def _checked(path: Path, sha256: str) -> io.BytesIO:
    """An archive's content, once its hash is known to be right."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error}; {_help(path)}") from None
    actual = hashlib.sha256(content).hexdigest()
    if actual != sha256:
        raise ValueError(
            f"{path}: its SHA-256 is {actual}, {path.parent / MANIFEST} says {sha256}; "
            f"not used; {_help(path)}"
        )
    return io.BytesIO(content)


def _unpacked(path: Path, sha256: str) -> Path:
    """The folder of the store with an archive's entries, unpacked on first use."""
    place = store.make_root() / "released" / f"{path.stem}-{sha256[:12]}"
    if not place.exists():
        place.parent.mkdir(exist_ok=True)
        with locks.held(place.parent):
            if not place.exists():
                temporary = place.with_name(f".{place.name}.{uuid.uuid4().hex}")
                try:
                    with zipfile.ZipFile(_checked(path, sha256)) as archive:
                        archive.extractall(temporary)
                    os.replace(temporary, place)
                finally:
                    shutil.rmtree(temporary, ignore_errors=True)
    return place
