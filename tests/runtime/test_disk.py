"""Files on disk: replaced in one step, by one writer at a time."""

import errno
import os
import threading
from pathlib import Path

import pandas as pd
import pytest

from dsi_core.runtime import disk


def test_write_text_replaces_in_one_step(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    disk.write_text(path, "old é")
    disk.write_text(path, "new é\u2028\n")
    assert path.read_bytes() == "new é\u2028\n".encode()
    assert os.listdir(tmp_path) == ["a.txt"]

    def crash(*_):
        # nothing of it has been touched yet
        assert path.read_text(encoding="utf-8") == "new é\u2028\n"
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", crash)
    with pytest.raises(KeyboardInterrupt):
        disk.write_text(path, "never seen")
    assert path.read_text(encoding="utf-8") == "new é\u2028\n"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_an_error_names_the_file_that_was_to_be_written(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError) as caught:
        disk.write_text(tmp_path / "gone" / "a.txt", "x")
    assert caught.value.filename == str(tmp_path / "gone" / "a.txt")

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(disk, "flush", full)
    with pytest.raises(OSError, match="No space left") as caught:
        disk.write_text(tmp_path / "a.txt", "x")
    assert caught.value.filename == str(tmp_path / "a.txt")


@pytest.mark.skipif(os.name == "nt", reason="modes are POSIX's")
@pytest.mark.parametrize(
    ("umask", "private", "mode"),
    [(0o022, False, 0o644), (0o077, False, 0o600), (0o002, False, 0o664), (0o000, True, 0o600)],
)
def test_the_umask_or_private_decides_who_may_read(tmp_path, monkeypatch, umask, private, mode):
    seen = []
    replace = os.replace

    def look(source, target):
        seen.append(os.stat(source).st_mode & 0o777)
        replace(source, target)

    monkeypatch.setattr(os, "replace", look)
    before = os.umask(umask)
    try:
        path = tmp_path / "a"
        path.touch(0o666)  # what was there decides nothing
        disk.write_text(path, "text", private=private)
    finally:
        os.umask(before)
    assert [path.stat().st_mode & 0o777] == seen == [mode]


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
            disk.write_table(path, pd.DataFrame({"a": range(rows)}))
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


def test_lines_are_added_behind_one_that_a_crash_cut_off(tmp_path):
    path = tmp_path / "a.jsonl"
    assert list(disk.whole_lines(path)) == []
    with disk.appending(path) as write:
        write([{"a": "é\u2028"}, 2])
        assert list(disk.whole_lines(path)) == [{"a": "é\u2028"}, 2]  # it is on the disk
    whole = path.read_bytes()
    assert whole == '{"a": "é\u2028"}\n2\n'.encode()
    path.write_bytes(whole[:8])  # within a letter
    with disk.appending(path) as write:
        write([3])
        write([4])
    assert path.read_bytes() == whole[:8] + b"\n3\n4\n"
    assert list(disk.whole_lines(path)) == [3, 4]


@pytest.mark.skipif(os.name == "nt", reason="modes are POSIX's")
def test_added_lines_may_be_private(tmp_path):
    for name, private, mode in (("a", True, 0o600), ("b", False, 0o666 & ~0o022)):
        before = os.umask(0o022)
        with disk.appending(tmp_path / name, private=private) as write:
            write([1])
        os.umask(before)
        assert (tmp_path / name).stat().st_mode & 0o777 == mode


def test_the_hash_of_a_file(tmp_path):
    """Of "abc": the first example of FIPS 180-2, appendix B."""
    (tmp_path / "a").write_bytes(b"abc")
    hashed = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert disk.sha256_of(tmp_path / "a") == hashed


def test_a_file_that_another_machine_replaces_is_read_anew(tmp_path, monkeypatch):
    path = tmp_path / "manifest.json"
    disk.write_text(path, '{"n": 2}')
    read, left = Path.read_text, [2]

    def stale(self, **how):
        if left[0]:
            left[0] -= 1
            raise OSError(errno.ESTALE, "Stale file handle", str(self))
        return read(self, **how)

    monkeypatch.setattr(Path, "read_text", stale)
    monkeypatch.setattr(disk, "STALE_SECONDS", 0.0)
    assert disk.read_json(path) == {"n": 2}
    left[0] = 100
    with pytest.raises(OSError, match="Stale"):
        disk.read_json(path)
