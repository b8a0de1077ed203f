"""The store: one place per spec, one format, files replaced in one step, one writer at a time."""

import enum
import errno
import fcntl
import json
import os
import signal
import stat
import subprocess
import sys
import threading
import time
import warnings
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import pytest
from filelock import FileLock, Timeout
from helpers import says
from pydantic import BaseModel

from dsi_core.runtime import entries, store


def test_key_is_the_hash_of_the_spec_whatever_its_order():
    spec = {"model": {"base": "a", "rank": 8}, "seed": 0, "draws": [1, 2], "name": "é"}
    assert store.key(spec) == store.key(
        {"name": "é", "draws": [1, 2], "seed": 0, "model": {"rank": 8, "base": "a"}}
    )
    assert store.key({"b": 1, "a": "é"}) == "aa58fba84836"  # sha256 of '{"a":"é","b":1}'
    others = [
        {**spec, "seed": 1},
        {**spec, "seed": "0"},
        {**spec, "draws": [2, 1]},
        {**spec, "model": {"base": "a", "rank": 9}},
        {**spec, "name": "e"},
        {**spec, "more": None},
        {k: v for k, v in spec.items() if k != "seed"},
    ]
    assert len({store.key(s) for s in [spec, *others]}) == 8


def test_entry_says_what_belongs_there(empty_store):
    folder = store.entry("tuned", "owner/name", {"seed": 1, "é": "ü"})
    assert folder == empty_store / "tuned" / f"owner-name-{store.key({'seed': 1, 'é': 'ü'})}"
    assert store.entry("tuned", "owner/name", {"é": "ü", "seed": 1}) == folder
    assert (folder / "spec.json").read_text(encoding="utf-8") == '{\n "seed": 1,\n "é": "ü"\n}'
    assert store.entry("tuned", "owner/name", {"seed": 2, "é": "ü"}) != folder
    looked_up = store.entry("tuned", "R^t x y", {"seed": 3}, make=False)
    assert looked_up.name == f"R-t-x-y-{store.key({'seed': 3})}" and not looked_up.exists()


class Method(enum.StrEnum):
    LORA = "lora"
    FULL = "full"


class Recipe(BaseModel):
    method: Method
    rank: int = 8
    schedule: str | None = None


class RecipeWithMore(Recipe):
    neutral: int = 0


@dataclass(frozen=True)
class Training:
    base: str
    recipe: Recipe
    datasets: tuple[str, ...] = ()
    seed: int = 0
    extra: dict = field(default_factory=dict)


def test_a_spec_has_no_defaults_so_a_neutral_new_setting_orphans_nothing():
    spec = store.spec_of(Recipe(method="lora", rank=8))
    assert spec == {"method": "lora"}
    assert store.spec_of(RecipeWithMore(method="lora")) == spec
    assert store.spec_of(RecipeWithMore(method="lora", neutral=1, rank=4)) == {
        "method": "lora",
        "rank": 4,
        "neutral": 1,
    }


def test_a_spec_of_records_within_records_keeps_what_a_part_is():
    part = RecipeWithMore(method="full", neutral=2)  # the field is declared to hold a Recipe
    assert store.spec_of(Training("a", part, ("x", "y"))) == {
        "base": "a",
        "recipe": {"method": "full", "neutral": 2},
        "datasets": ["x", "y"],
    }
    with pytest.raises(TypeError, match="cannot hold"):
        store.spec_of({"part": object()})


def test_a_required_field_is_said_whatever_it_holds():
    class Row(BaseModel):
        number: int | None
        share: float = 1.0

    assert store.spec_of(Row(number=None, share=1)) == {"number": None}
    assert store.spec_of(Row(number=0, share=0.5)) == {"number": 0, "share": 0.5}


def test_one_and_one_point_nought_are_one_setting():
    @dataclass(frozen=True)
    class Sampling:
        temperature: float = 1.0
        greedy: bool = False

    assert store.spec_of(Sampling(temperature=1)) == {}
    specs = [store.spec_of(Sampling(temperature=t)) for t in (0, 0.0)]
    assert [json.dumps(s) for s in specs] == ['{"temperature": 0}'] * 2
    assert json.dumps(store.spec_of(Sampling(greedy=True))) == '{"greedy": true}'


def test_an_epoch_gives_the_kind_and_what_is_made_from_it_new_places(empty_store, monkeypatch):
    def folders() -> dict[str, Path]:
        return {kind: store.entry(kind, "m", {"seed": 1}) for kind in store.EPOCHS}

    before = folders()
    assert {f.name for f in before.values()} == {f"m-{store.key({'seed': 1})}"}
    monkeypatch.setitem(store.EPOCHS, "tuned", 2)
    after = folders()
    moved = {kind for kind in before if before[kind] != after[kind]}
    assert moved == {"tuned", "responses", "losses", "dpdllm"}
    assert json.loads((after["losses"] / "spec.json").read_text()) == {
        "seed": 1,
        "epochs": {"tuned": 2},
    }
    monkeypatch.setitem(store.EPOCHS, "tuned", 3)
    assert folders()["tuned"] not in (before["tuned"], after["tuned"])


def old_entry(place: Path) -> None:
    folder = place / "tuned" / "m-0123456789ab"
    folder.mkdir(parents=True)
    (folder / "spec.json").write_text('{"seed": 1}')


def newer_format(place: Path) -> None:
    place.mkdir()
    (place / "format.json").write_text('{"format": 99}')


def test_a_new_store_is_its_owners_alone(empty_store):
    store.entry("models", "m", {"a": 1})
    assert stat.S_IMODE(empty_store.stat().st_mode) == 0o700


@pytest.mark.parametrize(("make", "number"), [(old_entry, 1), (newer_format, 99)])
def test_a_store_of_another_format_is_refused(empty_store, make, number):
    make(empty_store)
    files = sorted(empty_store.rglob("*"))
    uses = [
        store.root,
        entries.status,
        lambda: store.entry("tuned", "m", {"seed": 1}),
        lambda: store.entry("tuned", "m", {"seed": 1}, make=False),
    ]
    for use in uses:
        with pytest.raises(ValueError) as error:
            use()
        says(error, str(empty_store), f"format {number} ", "format 2", "move", "$DSI_STORE")
        assert "\n" not in str(error.value)
    assert sorted(empty_store.rglob("*")) == files


def test_a_new_store_is_marked_and_wheels_alone_are_no_old_one(empty_store):
    (empty_store / "wheels" / "one==1").mkdir(parents=True)
    assert store.root() == empty_store and not (empty_store / "format.json").exists()
    store.entry("tuned", "m", {"seed": 1})
    assert json.loads((empty_store / "format.json").read_text()) == {"format": 2}
    assert store.entry("tuned", "m", {"seed": 1}).exists()


def test_write_text_replaces_in_one_step(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    store.write_text(path, "old é")
    store.write_text(path, "new é\u2028\n")
    assert path.read_bytes() == "new é\u2028\n".encode()
    assert os.listdir(tmp_path) == ["a.txt"]

    def crash(*_):
        # nothing of it has been touched yet
        assert path.read_text(encoding="utf-8") == "new é\u2028\n"
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", crash)
    with pytest.raises(KeyboardInterrupt):
        store.write_text(path, "never seen")
    assert path.read_text(encoding="utf-8") == "new é\u2028\n"
    assert os.listdir(tmp_path) == ["a.txt"]


@pytest.mark.skipif(os.name == "nt", reason="modes are POSIX's")
@pytest.mark.parametrize(
    ("umask", "private", "mode"),
    [(0o022, False, 0o644), (0o077, False, 0o600), (0o002, False, 0o664), (0o000, True, 0o600)],
)
def test_the_umask_or_private_decides_who_may_read(tmp_path, monkeypatch, umask, private, mode):
    table = pd.DataFrame({"a": [1]})
    seen = []
    replace = os.replace

    def look(source, target):
        seen.append(os.stat(source).st_mode & 0o777)
        replace(source, target)

    monkeypatch.setattr(os, "replace", look)
    before = os.umask(umask)
    try:
        for path in (tmp_path / "a", tmp_path / "b"):
            path.touch(0o666)  # what was there decides nothing
        store.write_text(tmp_path / "a", "text", private=private)
        store.write_table(tmp_path / "b", table, private=private)
    finally:
        os.umask(before)
    modes = [(tmp_path / name).stat().st_mode & 0o777 for name in ("a", "b")]
    assert modes == seen == [mode, mode]


def test_two_writers_of_one_table_do_not_meet(tmp_path, monkeypatch):
    """Both have written, neither has replaced, before either goes on."""
    path, replace = tmp_path / "t.parquet", os.replace
    both = threading.Barrier(2)
    failed = []

    def meet(source, target):
        both.wait(10)
        replace(source, target)

    def write(rows: int):
        try:
            store.write_table(path, pd.DataFrame({"a": range(rows)}))
        except OSError as error:
            failed.append(error)

    monkeypatch.setattr(os, "replace", meet)
    writers = [threading.Thread(target=write, args=(n,)) for n in (3, 50_000)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert not failed and len(pd.read_parquet(path)) in (3, 50_000)
    assert os.listdir(tmp_path) == ["t.parquet"]


def test_complete_only_when_finished(empty_store):
    folder = store.entry("tuned", "m", {"seed": 1})
    (folder / "weights").write_text("some")
    assert store.manifest(folder) is None
    done = store.finish(folder, pairs=3, note="é")
    assert store.manifest(folder) == done
    assert (done["pairs"], done["note"], done["versions"]["pandas"]) == (3, "é", pd.__version__)
    assert done["versions"]["python"] == ".".join(map(str, sys.version_info[:3]))
    assert done["format"] == 2 and done["commit"] == store.commit()


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """(git, root): a repository of one commit, as the place where the package lies."""
    root = tmp_path / "repository"
    (root / "dsi_core").mkdir(parents=True)
    (root / "dsi_core" / "a.py").write_text("a = 1\n")
    person = ("-c", "user.name=a", "-c", "user.email=a@example.org")

    def git(*words: str) -> str:
        command = ["git", "-C", str(root), *person, *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    git("init", "--quiet")
    git("add", "--all")
    git("commit", "--quiet", "--message", "first")
    monkeypatch.setattr(store, "ROOT", root)
    store.commit.cache_clear()
    yield git, root
    store.commit.cache_clear()


def test_the_commit_once_per_process(repository):
    git, root = repository
    number = git("rev-parse", "--short", "HEAD")
    (root / "notes.txt").write_text("shapes no result")
    assert store.commit() == number
    (root / "dsi_core" / "a.py").write_text("a = 2\n")
    assert store.commit() == number  # what runs is what was read
    store.commit.cache_clear()
    assert store.commit() == number + "+"


def test_no_commit_outside_of_git_or_in_another_repository(repository, monkeypatch, tmp_path):
    _, root = repository
    monkeypatch.setattr(store, "ROOT", root / "dsi_core")  # as site-packages in a project
    assert store.commit() == "no commit"
    store.commit.cache_clear()
    monkeypatch.setattr(store, "ROOT", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert store.commit() == "no commit"
    store.commit.cache_clear()
    monkeypatch.setenv("PATH", "")
    assert store.commit() == "no commit"


def test_status_lists_every_entry(empty_store, monkeypatch):
    columns = ["kind", "name", "key", "settings", "complete", "MB", "seconds", "finished"]
    assert entries.status().empty and entries.status().columns.tolist() == columns
    times = iter(["2026-01-02T00:00:00+00:00", "2026-01-01T00:00:00+00:00"])
    monkeypatch.setattr(store, "now", lambda: next(times))
    specs = {
        n: {"base": n, "seed": 1, "recipe": {"method": "lora", "rank": 8}}
        for n in ("a-b", "c", "d")
    }
    later, earlier, open_ = (store.entry("tuned", n, s) for n, s in specs.items())
    (later / "weights").write_bytes(bytes(2_500_000))
    store.finish(later, seconds=4.5)
    store.finish(earlier)
    (open_ / "checkpoints").mkdir()
    (open_ / "gone").symlink_to(open_ / "removed meanwhile")
    table = entries.status()
    assert table["name"].tolist() == ["d", "c", "a-b"]  # newest last
    assert table["key"].tolist() == [store.key(specs[n]) for n in ("d", "c", "a-b")]
    assert table["settings"].tolist() == ["seed=1 method=lora rank=8"] * 3
    assert table["complete"].tolist() == [False, True, True]
    assert table["MB"].tolist() == [0.0, 0.0, 2.5]
    assert table["finished"].tolist() == [
        "",
        "2026-01-01T00:00:00+00:00",
        "2026-01-02T00:00:00+00:00",
    ]
    assert table["seconds"].iloc[2] == 4.5


HOLD = """
import sys, time
from filelock import FileLock
with FileLock(sys.argv[1]):
    print("held", flush=True)
    time.sleep(600)
"""


def test_the_lock_keeps_a_second_process_out_until_its_holder_dies(empty_store):
    folder = store.entry("tuned", "m", {"seed": 1})
    path = folder / store.LOCK
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(ValueError, match="another run holds it"), store.alone(folder):
            pass
        with store.alone(store.entry("tuned", "m", {"seed": 2})):  # another entry is free
            pass
    finally:
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
    with store.lock(folder), pytest.raises(Timeout):
        FileLock(path).acquire(timeout=0.1)  # and it excludes others again


def test_who_waits_says_for_whom(empty_store, monkeypatch):
    folder = store.entry("tuned", "m", {"seed": 1})
    monkeypatch.setattr(store, "PATIENCE_SECONDS", 0.05)
    begun = threading.Event()

    def wait():
        begun.set()
        with store.lock(folder):
            pass

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        with store.lock(folder):
            second = threading.Thread(target=wait)
            second.start()
            begun.wait()
            deadline = time.monotonic() + 5
            while not said and time.monotonic() < deadline:
                time.sleep(0.01)
        second.join()
    (warning,) = said
    assert f"waiting for {folder}: another run holds it (process {os.getpid()} on " in str(
        warning.message
    )


def test_a_disk_without_locks_is_named(empty_store, monkeypatch):
    folder = store.entry("tuned", "m", {"seed": 1})

    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(OSError) as error, store.alone(folder):
        pass
    assert (error.value.errno, error.value.filename) == (errno.ENOLCK, str(folder / ".lock"))


def test_a_damaged_entry_is_named_and_keeps_no_other_from_being_listed(empty_store):
    whole, torn = (store.entry("tuned", name, {"seed": 1}) for name in ("whole", "torn"))
    store.finish(whole)
    (torn / "manifest.json").write_text('{"seconds": 4')
    (torn / "scores.parquet").write_bytes(b"PAR1")
    for read in (store.manifest, lambda folder: store.read_table(folder / "scores.parquet")):
        with pytest.raises(ValueError) as error:
            read(torn)
        says(error, str(torn), "is damaged", f"remove {torn}")
    table = entries.status().set_index("name")
    assert table["complete"].to_dict() == {"whole": True, "torn": False}
    assert "is damaged" in table.loc["torn", "settings"]


def test_a_free_folder_names_no_machine(empty_store):
    folder = store.entry("tuned", "m", {"seed": 1})
    with store.alone(folder):
        assert json.loads((folder / store.LOCK).read_text())["process"] == os.getpid()
    assert (folder / store.LOCK).read_text() == ""
