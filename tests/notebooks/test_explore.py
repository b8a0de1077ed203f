"""What only looks writes nothing: 00 leaves figures, manifests and the prepared dataset alone."""

import shutil

import cells
from helpers import files

from dsi_core.plots import save
from dsi_core.runtime.paths import ROOT


def test_exploring_writes_no_figure_and_no_manifest(tmp_path, monkeypatch, empty_store):
    figures = tmp_path / "figures"
    small = figures / "small"
    shutil.copytree(ROOT / "figures" / "small" / "prepared", small / "prepared")
    shutil.copy(ROOT / "figures" / "small" / "manifest.json", small)
    before, committed = files(figures), files(ROOT / "figures")

    def unwanted(*args, **options):
        raise AssertionError("a page that only looks saves")

    monkeypatch.setattr(save, "save", unwanted)
    given = {"prepared": str(small / "prepared"), "figures_dir": str(figures)}
    drawn = cells.run("00", tmp_path / "ipython", **given)

    assert drawn == 4  # similarities, gaps, known models, thresholds
    assert files(figures) == before
    assert files(ROOT / "figures") == committed
    assert not empty_store.exists() or not files(empty_store)
