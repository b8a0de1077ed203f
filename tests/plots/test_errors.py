import nbformat
import pytest
from nbclient import NotebookClient

from dsi_core.plots import errors
from dsi_core.settings.profile import load_profile


def test_what_our_code_refuses_is_a_line_and_the_reader_s_own_errors_are_not():
    with pytest.raises(ValueError) as ours:
        load_profile("smal")
    with pytest.raises(ValueError) as own:
        raise ValueError("of the reader's own cell")
    assert "small" in errors.in_line(ours.value)
    assert errors.in_line(own.value) is None


def test_what_turns_or_colours_others_texts_is_spelled_out():
    with pytest.raises(ValueError) as named:
        load_profile("\u202esmal\x1b[31m")
    line = errors.in_line(named.value)
    assert "smal" in line and "\u202e" not in line and "\x1b" not in line


def test_a_fault_of_ours_keeps_its_traceback():
    with pytest.raises(AttributeError) as fault:
        errors.in_line(None)
    assert errors.in_line(fault.value) is None


def test_a_notebook_shows_a_line_and_on_demand_the_code():
    cells = [
        "from dsi_core.plots import style\nstyle.use()",
        "from dsi_core.method import study\nstudy.start('smoke', delta_t='high')",
        "%tb",
        "raise ValueError('of the reader')",
        "from dsi_core.plots import errors\nerrors.in_line(None)",
        "'goes on'",
    ]
    page = nbformat.v4.new_notebook(cells=list(map(nbformat.v4.new_code_cell, cells)))
    NotebookClient(page, kernel_name="python3", allow_errors=True).execute()
    (short,), (long,), (own,), (fault,), _ = (cell.outputs for cell in page.cells[1:])
    line = short.evalue
    assert (
        line.startswith("params/smoke.yaml, with your delta_t: ")
        and "(got 'high')" in line
        and "\n" not in line
    )
    assert short.traceback == [f"\x1b[31mValueError\x1b[0m: {line} (where in the code: %tb)"]
    assert long.ename == "ValueError" and "profile.py" in "".join(long.traceback)
    assert own.evalue == "of the reader" and len(own.traceback) > 1
    assert fault.ename == "AttributeError" and "in_line" in "".join(fault.traceback)
