"""Progress: phases with their number, the time left, a line now and then where no terminal is."""

import sys
import time

import pytest
from helpers import says

from dsi_core.runtime import progress
from dsi_core.runtime.progress import How, Progress


@pytest.fixture
def lines(monkeypatch):
    """Without a terminal, with a clock of its own: lines(seconds) = it is so much later."""
    monkeypatch.setenv(progress.VARIABLE, "lines")
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    def later(seconds: float) -> None:
        now[0] += seconds

    return later


def test_how_depends_on_where_stderr_goes(monkeypatch):
    monkeypatch.delenv(progress.VARIABLE, raising=False)
    assert progress.how() is How.LINES
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert progress.how() is How.BAR
    monkeypatch.setenv(progress.VARIABLE, "none")
    assert progress.how() is How.NONE
    monkeypatch.setenv(progress.VARIABLE, "loud")
    with pytest.raises(ValueError) as error:
        progress.how()
    says(error, "$DSI_PROGRESS is 'loud'", "bar, lines, none")


def test_a_line_says_what_is_at_hand_how_far_and_how_long(lines, capfd):
    with Progress(10, done=2) as work:
        assert work.line() == "20%, 00:00 so far"  # nothing is at hand yet
        lines(60)
        work.show(6, "4 answers")
        assert work.line() == "4 answers, 60%, 01:00 so far, about 01:00 left"
        work.show(10)
    assert capfd.readouterr().err == "4 answers, 100%, took 01:00\n"
    with pytest.raises(KeyboardInterrupt), Progress(10) as interrupted:
        lines(60)
        interrupted.show(6)
        raise KeyboardInterrupt
    assert capfd.readouterr().err == "60%, 01:00 so far, about 00:40 left\n"
    with Progress(1) as soon:  # what is soon done says nothing
        soon.show(1, "done")
    assert capfd.readouterr().err == ""


def test_a_line_comes_now_and_then_though_nothing_moves(monkeypatch, capfd):
    monkeypatch.setenv(progress.VARIABLE, "lines")
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.02)
    with Progress(3, text="waiting for the suspect") as work:
        end = time.monotonic() + 5
        said = ""
        while said.count("waiting for the suspect, 0%") < 2 and time.monotonic() < end:
            work.closed.wait(0.02)
            said += capfd.readouterr().err
    assert said.count("waiting for the suspect, 0%") >= 2


def test_phases_have_their_number_and_tell_the_time_for_all(lines, capfd):
    """The first took 1 of 4 parts; half of the second, of 2 parts: 2 of 4 in 100 s."""
    with progress.phases({"tune": 1.0, "ask": 2.0, "compare": 1.0}):
        progress.begin("tune")
        lines(40)
        progress.begin("ask")
        with Progress(8) as work:
            lines(60)
            assert work.line().startswith("2 of 3: 0%, 01:00 so far")
            work.show(4, "gemma")
            here = "2 of 3: gemma, 50%, 01:00 so far, about 01:00 left"
            assert work.line() == f"{here}, about 01:40 until all is done"
            work.show(8)  # 3 of 4 parts in 100 s
            assert work.line().endswith("100%, took 01:00, about 00:33 until all is done")
    assert capfd.readouterr().err.splitlines()[:2] == ["1 of 3: tune", "2 of 3: ask"]
    with progress.phases({"tune": 1.0, "ask": None}):  # nobody can tell
        progress.begin("tune")
        with Progress(8) as work:
            lines(60)
            work.show(4, "gemma")
            assert work.line().endswith("about 01:00 left")
    progress.begin("nothing")  # outside of a run with phases


def test_quiet_says_nothing(monkeypatch, capfd):
    monkeypatch.setenv(progress.VARIABLE, "none")
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    with progress.phases({"tune": 1.0}), Progress(1) as work:
        progress.begin("tune")
        work.show(1, "gemma")
    assert capfd.readouterr().err == ""


def test_a_bar_on_a_terminal(monkeypatch, capfd):
    monkeypatch.setenv(progress.VARIABLE, "bar")
    with progress.phases({"tune": 1.0}), Progress(4) as work:
        progress.begin("tune")
        work.show(4, "你好, مرحبا")
    shown = capfd.readouterr().err
    assert "| took 00:00, all 00:00" in shown.rsplit("\r", 1)[1]
    assert "1 of 1: 你好, مرحبا" in shown and "100%" in shown and "all 00:00" in shown
