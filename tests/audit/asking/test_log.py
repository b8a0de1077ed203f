"""The log of audits: what a crash cuts off is passed over, what somebody changed is refused."""

import json
import os

import pytest

from dsi_core.audit.asking import log
from dsi_core.audit.asking.log import Entry


def entry(name: str) -> Entry:
    how = {"suspect": "é", "key": "k", "folder": "f", "alpha": 0.05, "settings": {}}
    return Entry(audit=name, begun="2026-01-01T00:00:00+00:00", **how)


def names(place) -> list[str]:
    return [one.audit for one in log.read(place)]


def test_who_may_not_read_the_log_is_not_counted(tmp_path, monkeypatch):
    """Of a preparation that several share, another user's: 0600."""
    log.begin(tmp_path, entry("a"))
    before = (tmp_path / log.NAME).read_bytes()

    def refused(*_):
        raise PermissionError

    monkeypatch.setattr(os, "access", lambda path, mode: False)
    monkeypatch.setattr(os, "open", refused)
    assert log.read(tmp_path) == [] and not log.begin(tmp_path, entry("b"))
    log.end(tmp_path, "b", "found", 0.01, b"")
    assert (tmp_path / log.NAME).read_bytes() == before


def test_a_log_that_is_a_link_is_not_written_to(tmp_path):
    """As in a kit that somebody sent."""
    kit = tmp_path / "kit"
    kit.mkdir()
    (kit / log.NAME).symlink_to(tmp_path / "elsewhere")
    assert not log.begin(kit, entry("a")) and not (tmp_path / "elsewhere").exists()


def test_a_line_that_a_crash_cut_off_stays_and_stands_in_nobodys_way(tmp_path):
    """Wherever it was cut, within a letter too; once it lacks only its end it counts."""
    path = tmp_path / log.NAME
    assert log.begin(tmp_path, entry("a")) and log.begin(tmp_path, entry("b"))
    whole = path.read_bytes()
    first = whole.index(b"\n") + 1
    for cut in range(first, len(whole)):
        path.write_bytes(whole[:cut])
        last = cut == len(whole) - 1
        assert names(tmp_path) == ["a", "b"][: 1 + last]
        for _ in range(2):
            assert log.begin(tmp_path, entry("c"))
        log.end(tmp_path, "c", "found", 0.01, b"")
        assert names(tmp_path) == (["a", "b", "c"] if last else ["a", "c"])
        assert path.read_bytes().startswith(whole[:cut])
        assert len(path.read_bytes().splitlines()) == 3 + (cut > first)


def test_answers_that_an_audit_had_come_first_or_are_gone(tmp_path):
    """Before it ended any will do; one that ended without an answer lacks none."""
    assert not log.lacks(tmp_path, "a", b"")  # nothing is known of it
    log.begin(tmp_path, entry("a"))
    assert log.lacks(tmp_path, "a", b"") and not log.lacks(tmp_path, "a", b"x\n")
    log.end(tmp_path, "a", "cannot find", None, b"")
    assert not log.lacks(tmp_path, "a", b"")
    for kept in (b"x\n", b"x\ny\n"):
        log.end(tmp_path, "a", "cannot find", None, kept)
    gone = {b"x\ny\n": False, b"x\ny\nz\n": False, b"x\n": True, b"y\nx\n": True, b"": True}
    assert {kept: log.lacks(tmp_path, "a", kept) for kept in gone} == gone
    assert len((tmp_path / log.NAME).read_text().splitlines()) == 4


def test_of_an_end_in_an_older_log_only_no_answers_at_all_are_too_few(tmp_path):
    ended = {"ended": "2026-01-02T00:00:00+00:00", "answer": "found", "p": 0.01}
    lines = [entry("a").model_dump(exclude_none=True), {"audit": "a", **ended}]
    (tmp_path / log.NAME).write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert not log.lacks(tmp_path, "a", b"x\n") and log.lacks(tmp_path, "a", b"")


@pytest.mark.parametrize("line", ["5", "[]", '{"a": 1}', '{"audit": "x", "sus', "x", " "])
def test_a_changed_line_is_named(tmp_path, line):
    path = tmp_path / log.NAME
    for following in ("", json.dumps({"audit": "y"})):
        path.write_text(f"{line}\n{following}")
        with pytest.raises(ValueError, match=r"audits.jsonl, line 1: is no entry; no line may be"):
            log.read(tmp_path)
