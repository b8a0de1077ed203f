"""The store: one place per spec, files replaced in one step, complete only when finished, one writer at a time."""

import os
import signal
import subprocess
import sys

import pandas as pd
import pytest
from filelock import FileLock, Timeout

from dsi_core.runtime import store


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


def test_write_text_replaces_in_one_step(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    store.write_text(path, "old é")
    store.write_text(path, "new é\u2028\n")
    assert path.read_bytes() == "new é\u2028\n".encode()
    assert os.listdir(tmp_path) == ["a.txt"]
    assert path.stat().st_mode & 0o777 == 0o644

    def crash(*_):
        assert (
            path.read_text(encoding="utf-8") == "new é\u2028\n"
        )  # nothing of it has been touched yet
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", crash)
    with pytest.raises(KeyboardInterrupt):
        store.write_text(path, "never seen")
    assert path.read_text(encoding="utf-8") == "new é\u2028\n"


def test_complete_only_when_finished(empty_store):
    folder = store.entry("tuned", "m", {"seed": 1})
    (folder / "weights").write_text("some")
    assert store.manifest(folder) is None
    done = store.finish(folder, pairs=3, note="é")
    assert store.manifest(folder) == done
    assert (done["pairs"], done["note"], done["versions"]["pandas"]) == (3, "é", pd.__version__)
    assert done["versions"]["python"] == ".".join(map(str, sys.version_info[:3]))


def test_status_lists_every_entry(empty_store, monkeypatch):
    assert store.status().empty and {
        "kind",
        "name",
        "key",
        "settings",
        "complete",
        "MB",
        "finished",
    } <= set(store.status().columns)
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
    table = store.status()
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
    path = store.lock(folder).lock_file
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(Timeout):
            store.lock(folder).acquire(timeout=0.3)
        with store.lock(store.entry("tuned", "m", {"seed": 2})).acquire(timeout=0.3) as other:
            assert other.is_locked  # another entry is free
    finally:
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
    with store.lock(folder).acquire(timeout=5) as mine:
        assert mine.is_locked
        with pytest.raises(Timeout):
            FileLock(path).acquire(timeout=0.1)  # and it excludes others again
