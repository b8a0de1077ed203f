"""Warnings in a notebook are lines for its reader, the same words once."""

import warnings
from types import SimpleNamespace

import pytest
from IPython.core.interactiveshell import InteractiveShell

from dsi_core.plots import warned


@pytest.fixture(autouse=True)
def as_before(monkeypatch):
    for name in ("formatwarning", "showwarning"):
        monkeypatch.setattr(warnings, name, getattr(warnings, name))


def warn(text: str) -> None:
    warnings.showwarning(UserWarning(text), UserWarning, "files.py", 94)


def test_a_warning_is_a_line_without_path_and_code():
    warned.in_notebooks()
    assert warnings.formatwarning("4 rows", UserWarning, "files.py", 94) == "warning: 4 rows\n"
    old = warnings.formatwarning("old", DeprecationWarning, "files.py", 94)
    assert old.startswith("files.py:94: DeprecationWarning: old")


def test_the_same_words_are_said_once(capsys):
    """Each vote of notebook 05 warned of the same threshold, eight times in all."""
    warned.in_notebooks()
    for text in ("none tainted", "none tainted", "none asked"):
        warn(text)
    assert capsys.readouterr().err == "warning: none tainted\nwarning: none asked\n"
    warned.in_notebooks()  # the page begins again
    warn("none asked")
    assert capsys.readouterr().err == "warning: none asked\n"


def test_a_cell_that_runs_again_warns_again(capsys, monkeypatch):
    """A reader who changes a threshold and comes back to it is told anew, by the first cell."""
    begin = []
    shell = SimpleNamespace(events=SimpleNamespace(register=lambda _, call: begin.append(call)))
    monkeypatch.setattr(warned, "get_ipython", lambda: shell)
    warned.in_notebooks()
    said = []
    for cell in ("vote", "figure", "vote", "figure"):
        begin[0](SimpleNamespace(cell_id=cell, raw_cell="..."))
        warn("none tainted")
        warn("none tainted")
        said.append(capsys.readouterr().err.count("none tainted"))
    assert said == [1, 0, 1, 0]


def test_a_shell_tells_which_cell_runs(capsys, tmp_path):
    shell = InteractiveShell.instance(ipython_dir=str(tmp_path))
    try:
        shell.run_cell("from dsi_core.plots import warned; warned.in_notebooks()")
        for _ in range(2):
            shell.run_cell("import warnings; warnings.warn('none tainted')")
        shell.run_cell("warnings.warn('none tainted')")
    finally:
        InteractiveShell.clear_instance()
    assert capsys.readouterr().err.count("none tainted") == 2
