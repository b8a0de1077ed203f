"""What the book is made of: which notebooks must run first, and what becomes of their cells."""

import re

import nbformat
import pytest
from helpers import says
from written import code, notebook

from dsi_core.reproduce import run, sources
from dsi_core.runtime.paths import ROOT


@pytest.fixture
def here(repository, monkeypatch):
    for module in (run, sources):
        monkeypatch.setattr(module, "ROOT", repository)
    return repository


def test_what_has_no_whole_executed_copy_of_its_age_must_run(here, older, tmp_path):
    copy = here / "executed" / "small" / "01_seen.ipynb"
    assert [path.name for path in sources.stale("small")] == ["02_not_run.ipynb"]
    older(copy, 1000)
    assert [path.name for path in sources.stale("small")] == ["01_seen.ipynb", "02_not_run.ipynb"]
    older(copy, -1000)
    older(here / "dsi_core" / "method.py", -10)  # changed since
    assert len(sources.stale("small")) == 2
    older(here / "dsi_core" / "method.py", 10)
    kept = copy.read_text()
    interrupted = kept.replace('"passed": true', '"exception": null')
    for unfinished in (interrupted, kept.replace("true", "false"), kept[:-40]):
        assert unfinished != kept
        copy.write_text(unfinished)
        assert len(sources.stale("small")) == 2
    with pytest.raises(ValueError) as error:
        sources.lay_out("small", tmp_path)
    says(error, str(copy), "--as-is")
    copy.write_text(kept)


def test_a_page_hides_its_code_and_offers_no_control(here):
    made = sources.page(nbformat.read(here / "executed" / "small" / "01_seen.ipynb", as_version=4))
    assert not [cell for cell in made.cells if "nowhere" in cell.source]
    tags = [cell.metadata.get("tags") for cell in made.cells if cell.cell_type == "code"]
    assert tags == [["hide-input", "parameters"], ["hide-input"]]
    assert [cell.source for cell in made.cells[-2:]] == [
        sources.IN_THE_EXPLORER,
        sources.WITHOUT_KERNEL,
    ]


def test_a_notebook_that_has_not_run_shows_its_code_and_says_so(here):
    made = sources.page(nbformat.read(here / "notebooks" / "02_not_run.ipynb", as_version=4))
    assert [cell.source for cell in made.cells[:2]] == ["# Not run", sources.NOT_RUN]
    assert not made.cells[2].metadata["tags"]


def test_outputs_name_no_place_of_this_machine(here, monkeypatch):
    monkeypatch.setenv("DSI_STORE", "/home/jörg/dsi")
    said = f"in {here}/figures/small and /home/jörg/dsi/mixed/a"
    (cell,) = sources.page(notebook(code("show()", html=said))).cells
    assert cell.outputs[0].data["text/html"] == "in figures/small and store/mixed/a"


def test_linked_files_come_along_and_others_go(here, tmp_path):
    (tmp_path / "gone.md").write_text("of yesterday")
    sources.lay_out("small", tmp_path)
    laid_out = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*")}
    assert {"index.md", "explorer.md", "params/small.yaml", "figures/point.png"} <= laid_out
    assert "gone.md" not in laid_out and "figures" not in laid_out
    before = (tmp_path / "index.md").stat().st_mtime_ns
    sources.lay_out("small", tmp_path)
    assert (tmp_path / "index.md").stat().st_mtime_ns == before  # Sphinx reads it once


def test_the_contents_name_every_notebook_and_page():
    index = (ROOT / sources.BOOK / "index.md").read_text()
    contents = re.findall(r"\{toctree\}(.*?)```", index, re.S)
    named = {name for part in contents for name in part.split()}
    pages = [*(ROOT / "notebooks").glob("*.ipynb"), *(ROOT / "notebooks" / "pages").glob("*.md")]
    places = {path.relative_to(ROOT).with_suffix("").as_posix() for path in pages}
    assert {name for name in named if name.startswith("notebooks/")} == places


def test_a_link_to_the_file_of_the_explorer_opens_its_page(here, tmp_path):
    sources.lay_out("small", tmp_path)
    words = (tmp_path / "notebooks" / "pages" / "words.md").read_text()
    assert "[explorer](../../explorer.md)" in words
