"""Rows on disk: what comes back, from every process, whether it was written yet or not."""

import multiprocessing

import pytest

from dsi_core.data import spool
from dsi_core.data.spool import Mapped, Spool

ROWS = [("a", None, 1), ("Où est la clé ? 鍵", "b" * 100, 2.5), ("", "", None)] * 4


@pytest.mark.parametrize("held", [0, 150, 1 << 20])
def test_what_comes_back(monkeypatch, held):
    monkeypatch.setattr(spool, "HELD", held)
    rows = Spool(ROWS)
    assert list(rows) == ROWS and len(rows) == 12
    assert (rows[1], rows[-1], rows[3:5]) == (ROWS[1], ROWS[-1], ROWS[3:5])
    rows.append("more")
    assert rows[12] == "more" and rows[0] == ROWS[0]
    with pytest.raises(IndexError):
        rows[13]
    assert not list(Spool())


def first_and_last(rows, pipe):
    pipe.send([rows[i] for i in (0, len(rows) - 1) for _ in range(200)])


def test_processes_that_read_at_once_do_not_disturb_each_other(monkeypatch):
    monkeypatch.setattr(spool, "HELD", 0)
    rows, context = Spool(ROWS), multiprocessing.get_context("fork")
    pipes = [context.Pipe(duplex=False) for _ in range(3)]
    processes = [context.Process(target=first_and_last, args=(rows, end)) for _, end in pipes]
    for process in processes:
        process.start()
    for begin, _ in pipes:
        assert begin.recv() == [ROWS[0]] * 200 + [ROWS[-1]] * 200
    for process in processes:
        process.join()


def test_some_of_the_rows_as_a_function_gives_them():
    some = Mapped(Spool(ROWS), lambda row: row[0], [5, 0, 1])
    assert list(some) == ["", "a", ROWS[1][0]]
    assert (some[1], some[-1], some[:2], len(some)) == ("a", ROWS[1][0], ["", "a"], 3)
    assert len(Mapped(ROWS, str)) == 12
