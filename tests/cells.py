"""Runs a notebook's cells in this process, as a kernel would: what it imports costs once."""

import builtins
import sys
from contextlib import chdir, contextmanager
from pathlib import Path
from types import ModuleType

import matplotlib
import matplotlib.pyplot as plt
import nbformat
import pandas as pd
import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from dsi_core.plots import save
from dsi_core.runtime.paths import ROOT

NOTEBOOKS = ROOT / "notebooks"
COARSE = 50  # dots to the inch: enough to see that something is drawn


def paths() -> list[Path]:
    """The notebooks in their order, without the index, which has no code."""
    return sorted(path for path in NOTEBOOKS.glob("*.ipynb") if path.stem != "index")


def code(path: Path) -> list[nbformat.NotebookNode]:
    """The code cells of a notebook."""
    return [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]


def run(notebook: str, home: Path, **parameters) -> int:
    """Run the notebook whose name begins so and count the figures that its cells drew.

    As papermill does, parameters replace what the cell tagged `parameters` sets, and cells tagged
    `skip-execution` are left out. Figures are closed after each cell, as the inline backend does.
    Raises what a cell raises.

    home: a folder for IPython's own files.
    """
    drawn = 0
    (path,) = NOTEBOOKS.glob(f"{notebook}*.ipynb")
    shell = _shell(path.stem, home)
    try:
        with chdir(ROOT), matplotlib.rc_context(), _laid_out_once():
            for cell in code(path):
                tags = cell.metadata.get("tags", [])
                if "skip-execution" in tags:
                    continue
                shell.run_cell(cell.source).raise_error()
                if "parameters" in tags:
                    shell.push(parameters)
                drawn += len(plt.get_fignums())
                plt.close("all")
                plt.rcParams["savefig.dpi"] = COARSE  # `style.use` has set another
        return drawn
    finally:
        plt.close("all")
        shell.restore_sys_module_state()
        InteractiveShell.clear_instance()
        del builtins.__IPYTHON__, builtins.display, sys.modules[path.stem]


@contextmanager
def _laid_out_once():
    """A PDF keeps the layout of its PNG and is drawn sooner: no test looks where things stand."""
    write = save._write

    def as_before(figure, path, words):
        if path.suffix == ".pdf":
            figure.set_layout_engine("none")
        write(figure, path, words)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(save, "_write", as_before)
        yield


def _shell(name: str, home: Path) -> InteractiveShell:
    assert not InteractiveShell.initialized()
    config = Config()
    config.HistoryManager.enabled = False
    module = ModuleType(name)  # not __main__, which is pytest's
    return InteractiveShell.instance(config=config, ipython_dir=str(home), user_module=module)


def figures(folder: Path) -> set[str]:
    """The figures in a folder; each has a picture that is not empty, a PDF, and a CSV with rows."""
    names = {path.stem for path in folder.glob("*.png")}
    for name in names:
        assert plt.imread(folder / f"{name}.png").std() > 0.01, f"{name}: an empty picture"
        assert (folder / f"{name}.pdf").read_bytes().startswith(b"%PDF")
        assert len(pd.read_csv(folder / f"{name}.csv"))
    return names
