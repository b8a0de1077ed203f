"""What only looks writes nothing: 00 leaves figures, manifests and the prepared dataset alone."""

import shutil
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import nbformat

from dsi_core.plots import save
from dsi_core.runtime.paths import ROOT


def files(folder: Path) -> dict[str, int]:
    """Every file below a folder, with the time at which it was last written."""
    paths = [p for p in folder.rglob("*") if p.is_file()]
    return {str(p.relative_to(folder)): p.stat().st_mtime_ns for p in paths}


def test_exploring_writes_no_figure_and_no_manifest(tmp_path, monkeypatch, empty_store):
    figures = tmp_path / "figures"
    small = figures / "small"
    shutil.copytree(ROOT / "figures" / "small" / "prepared", small / "prepared")
    shutil.copy(ROOT / "figures" / "small" / "manifest.json", small)
    before, committed = files(figures), files(ROOT / "figures")

    def unwanted(*args, **options):
        raise AssertionError("a page that only looks saves")

    monkeypatch.setattr(save, "save", unwanted)
    drawn = _run("00_explore", prepared=str(small / "prepared"), figures_dir=str(figures))

    assert drawn >= 4  # similarities, gaps, known models, thresholds
    assert files(figures) == before
    assert files(ROOT / "figures") == committed
    assert not files(empty_store)


def _run(name: str, **parameters) -> int:
    """Run the cells of a notebook here, but for its widgets; returns how many figures it drew."""
    cells = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4).cells
    scope: dict = {}
    with matplotlib.rc_context():
        for cell in cells:
            tags = cell.metadata.get("tags", [])
            if cell.cell_type != "code" or "skip-execution" in tags:
                continue
            exec(compile(cell.source, f"{name}, {cell.id}", "exec"), scope)
            if "parameters" in tags:
                scope.update(parameters)
    drawn = len(plt.get_fignums())
    plt.close("all")
    return drawn
