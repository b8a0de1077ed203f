"""The notebooks through papermill, and how `reproduce` runs them and says how each went."""

import ast
import io
import json
import os
import subprocess
import sys
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import cells
import nbformat
import pandas as pd
import papermill
import pytest

from dsi_core.reproduce import execution, run
from dsi_core.runtime import store
from dsi_core.runtime.paths import ROOT

KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}
SAYS = """from dsi_core.runtime import progress
progress.say("how far we are")
with progress.Progress(2) as work: work.show(1, "half")
import logging; logging.getLogger("asyncio").error("a task is pending")
import os; os.write(2, b"a library speaks")"""
PARAMETERS = "profile: str = 'small'  # a profile\nfigures_dir: str = 'figures'  # a folder"


def test_a_notebook_runs_with_its_parameters_in_a_kernel(ran, tmp_path):
    """As the README says it; what the store has is not computed again."""
    gaps = ran("01") / "eq1_weakest_gaps.csv"
    given = {"profile": "smoke", "delta_t": "0.9", "figures_dir": str(tmp_path)}
    words = [word for name, value in given.items() for word in ("-p", name, value)]
    copy = tmp_path / "out.ipynb"
    command = [sys.executable, "-m", "papermill", "notebooks/01_observations.ipynb", str(copy)]
    done = subprocess.run([*command, *words, "--no-progress-bar"], cwd=ROOT, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    apart = tmp_path / "smoke" / "delta_t=0.9"
    usual, stricter = (pd.read_csv(path) for path in (gaps, apart / gaps.name))
    pd.testing.assert_series_equal(usual["min_gap"], stricter["min_gap"])
    assert stricter["tainted"].sum() < usual["tainted"].sum()  # at a higher delta_t
    assert (stricter["tainted"] == (stricter["min_gap"] > 0.9)).all()
    assert {path.name for path in apart.glob("*.csv")} == {
        path.name for path in gaps.parent.glob("*.csv")
    }
    assert len(cells.code(copy)) > 10
    for cell in cells.code(copy):
        skipped = "skip-execution" in cell.metadata.get("tags", [])
        assert (cell.execution_count is None) == skipped


def write(folder: Path, name: str, *sources: str) -> Path:
    """Write a notebook of a cell of parameters and these cells."""
    given = [nbformat.v4.new_code_cell(source) for source in (PARAMETERS, *sources)]
    given[0].metadata["tags"] = ["parameters"]
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=given, metadata={"kernelspec": KERNEL}), path)
    return path


@dataclass(frozen=True)
class Reproduced:
    """What became of three notebooks: a folder, whether all passed, what was printed and said."""

    folder: Path
    passed: bool
    printed: str
    said: str  # on stderr, by any process


@contextmanager
def stderr_to(path: Path):
    """Keep what this process and those that it starts write to their stderr."""
    kept = os.dup(2)
    with path.open("wb") as file:
        os.dup2(file.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


@pytest.fixture(scope="module")
def reproduced(tmp_path_factory):
    """Notebooks: one ends, with a progress bar and a file, one fails, one stops, a kernel dies.

    In a folder whose name is no format string, on a machine whose `python3` is another's.
    """
    folder = tmp_path_factory.mktemp("a book {of} 100% Ünïcode")
    bar = "[print(f'\\r{i} of 30', end='', file=sys.stderr, flush=True) for i in range(31)]"
    drawn = "drawn = pathlib.Path(figures_dir) / profile"
    written = "drawn.mkdir(exist_ok=True)\n(drawn / 'made.csv').write_text('a')"
    imports = "import pathlib, sys"
    write(folder / "notebooks", "01_ends", imports, f"{bar};", f"{drawn}\n{written}", SAYS)
    write(folder / "notebooks", "02_fails", "raise RuntimeError('no suspect today')", "1")
    write(folder / "notebooks", "03_stops", "import sys; sys.exit(0)", "1")
    write(folder / "notebooks", "04_dies", "import os; os._exit(1)")
    printed = io.StringIO()
    stale = folder / "jupyter" / "kernels" / "python3"
    stale.mkdir(parents=True)
    argv = ["/gone/bin/python", "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (stale / "kernel.json").write_text(json.dumps({**KERNEL, "argv": argv}))
    said = folder / "said.txt"
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(printed), stderr_to(said):
        patch.setattr(run, "ROOT", folder)
        patch.setattr(execution, "ROOT", folder)
        patch.setenv("JUPYTER_PATH", str(stale.parent.parent))  # before all others
        passed = run.reproduce("smoke", figures_dir="drawn")
    return Reproduced(folder, passed, printed.getvalue(), said.read_text())


def executed(reproduced: Reproduced, name: str) -> nbformat.NotebookNode:
    return nbformat.read(reproduced.folder / "executed" / "smoke" / f"{name}.ipynb", as_version=4)


def test_a_notebook_that_fails_keeps_no_other_from_running(reproduced):
    assert not reproduced.passed
    lines = reproduced.printed.splitlines()
    told = [line.split()[:2] for line in lines if "passed" in line or "FAILED" in line]
    assert told == [
        ["passed", "01_ends.ipynb"],
        ["FAILED", "02_fails.ipynb"],
        ["FAILED", "03_stops.ipynb"],
        ["FAILED", "04_dies.ipynb"],
    ]
    names = [path.stem for path in sorted((reproduced.folder / "notebooks").iterdir())]
    passed = [executed(reproduced, name).metadata.papermill.get("passed") for name in names]
    assert passed == [True, None, False, None]  # which is what a book goes by


def test_slides_leave_out_what_papermill_wrote(reproduced):
    cells = executed(reproduced, "01_ends").cells
    (written,) = [c for c in cells if "injected-parameters" in c.metadata.get("tags", [])]
    assert written.metadata.slideshow == {"slide_type": "skip"}


def test_the_reason_names_the_error_and_the_executed_copy(reproduced):
    copy = reproduced.folder / "executed" / "smoke" / "02_fails.ipynb"
    assert f"RuntimeError: no suspect today (see {copy})" in reproduced.printed
    failing = executed(reproduced, "02_fails").cells
    assert any(o.output_type == "error" for cell in failing for o in cell.get("outputs", []))


def test_a_cell_that_never_ended_is_a_failure(reproduced):
    """After `sys.exit(0)` papermill itself ends as if all were well."""
    copy = reproduced.folder / "executed" / "smoke" / "03_stops.ipynb"
    assert f"cell 2 never ran (see {copy})" in reproduced.printed


def test_the_summary_names_the_files_that_a_notebook_made(reproduced):
    assert f"made in {reproduced.folder / 'drawn' / 'smoke'}: made.csv\n" in reproduced.printed
    copies = reproduced.folder / "executed" / "smoke"
    assert reproduced.printed.endswith(f"notebooks with their outputs: {copies}\n")


def test_a_bar_leaves_one_line_in_the_executed_copy(reproduced):
    """Each state of a progress bar arrives as a message of its own: hundreds of lines a page."""
    outputs = [o for c in executed(reproduced, "01_ends").cells for o in c.get("outputs", [])]
    assert [o.text.strip() for o in outputs if o.output_type == "stream"] == ["30 of 30"]


def test_progress_goes_to_the_terminal_and_not_into_the_page(reproduced):
    ended = executed(reproduced, "01_ends").cells[-1]
    assert ended.source.startswith("from dsi_core.runtime import progress")
    assert [o.output_type for o in ended.outputs] == ["execute_result"]  # what os.write gave back
    assert "how far we are" in reproduced.said and "a library speaks" in reproduced.said
    assert "over TCP" not in reproduced.said and "is pending" not in reproduced.said


def test_pages_of_random_models_say_that_they_mean_nothing(reproduced):
    assert executed(reproduced, "01_ends").cells[0].source == execution.RANDOM_MODELS
    assert execution.banner_of("small") is None
    titled = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# A title\n\nText.")])
    execution._put_below_the_title(titled, execution.RANDOM_MODELS)
    assert titled.cells[0].source == f"# A title\n\n{execution.RANDOM_MODELS}\n\nText."


@pytest.mark.parametrize("path", cells.paths(), ids=lambda p: p.stem)
def test_papermill_knows_every_parameter(path):
    """It reads no line with a second "=", not even in the comment, and only warns of the name."""
    (cell,) = (c for c in cells.code(path) if "parameters" in c.metadata.get("tags", []))
    assigned = [node.target.id for node in ast.parse(cell.source).body]
    assert list(papermill.inspect_notebook(str(path))) == assigned


def test_bad_parameters_are_refused_before_any_work(monkeypatch):
    monkeypatch.setattr(run, "execute", None)
    with pytest.raises(ValueError, match="unknown profile 'smal'"):
        run.reproduce("smal")
    with pytest.raises(ValueError, match="no notebook begins with '77'"):
        run.reproduce("smoke", only="77")
    with pytest.raises(ValueError, match="no released answers of profile 'smoke'"):
        run.reproduce("smoke", from_released=True)
    with pytest.raises(ValueError, match="unknown parameter deltat; known: profile, seed"):
        execution.check(ROOT / "notebooks" / "02_non_iid.ipynb", {"deltat": 1})


def test_scores_that_a_release_lacks_are_counted(empty_store, monkeypatch, tmp_path, capsys):
    def scored(*_):
        store.finish(store.entry("similarity", "m", {"layer": 1}), pairs=258)
        return []

    for work, told in [(scored, True), (lambda *_: [], False)]:
        monkeypatch.setattr(run, "_one_by_one", work)
        assert run.run(run.notebooks("01"), "smoke", str(tmp_path), from_released=True)
        said = "computed here, as neither stored nor released: 258 similarity scores\n"
        assert (said in capsys.readouterr().out) == told
