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
    log.end(tmp_path, "b", "found", 0.01)
    assert (tmp_path / log.NAME).read_bytes() == before


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
        log.end(tmp_path, "c", "found", 0.01)
        assert names(tmp_path) == (["a", "b", "c"] if last else ["a", "c"])
        assert path.read_bytes().startswith(whole[:cut])
        assert len(path.read_bytes().splitlines()) == 3 + (cut > first)


@pytest.mark.parametrize("line", ["5", "[]", '{"a": 1}', '{"audit": "x", "sus', "x", " "])
def test_a_changed_line_is_named(tmp_path, line):
    path = tmp_path / log.NAME
    for following in ("", json.dumps({"audit": "y"})):
        path.write_text(f"{line}\n{following}")
        with pytest.raises(ValueError, match=r"audits.jsonl, line 1: is no entry; no line may be"):
            log.read(tmp_path)
