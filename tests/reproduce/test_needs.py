"""What is left out of a reproduction for want of a section, and what is made all the same."""

import cells
import nbformat
import pandas as pd
import pytest
from written import code, notebook, text

from dsi_core.method import study
from dsi_core.plots import style
from dsi_core.reproduce import needs, run
from dsi_core.runtime import released, store
from dsi_core.settings.profile import load_profile

EVERY = load_profile("smoke")
BARE = EVERY.changed(
    suites={}, dpdllm=None, robustness=None, imitation=None, attribution=None, grey_box=None,
    calibration=None,
)  # fmt: skip


def test_what_a_profile_without_optional_sections_lacks():
    left_out = [path.name[:2] for path in run.notebooks() if needs.lacks(BARE, path)]
    assert left_out == ["03", "05", "07", "08", "09", "10"]
    (seventh,) = run.notebooks("07")
    assert needs.lacks(EVERY.changed(suites={}), seventh) == ["suites.iid"]
    assert not any(needs.lacks(EVERY, path) for path in run.notebooks())


def test_a_part_of_a_section_may_be_missing():
    other = EVERY.changed(suites={"other": {}})
    (third,) = run.notebooks("03")
    assert needs.lacks(other, third) == ["suites.iid"]


def test_table_6_and_the_evidence_need_no_baseline():
    """Of notebook 02 no cell that runs reads what a cell made that is skipped."""
    (path,) = run.notebooks("02")
    page = nbformat.read(path, as_version=4)
    assert needs.skip_cells(EVERY, page) == []
    assert page == nbformat.read(path, as_version=4)
    assert needs.skip_cells(BARE, page) == ["dpdllm"]
    source = "\n".join(
        cell.source
        for cell in page.cells
        if cell.cell_type == "code" and needs.SKIP not in cell.metadata.get("tags", [])
    )
    assert "table6_non_iid" in source and "sec6_2_evidence" in source
    assert not any(name in source for name in ("calls", "clean", "faithful", "quality"))


def test_an_explicit_notebook_that_lacks_a_section_is_refused_before_work(monkeypatch):
    monkeypatch.setattr(run, "execute", None)
    monkeypatch.setattr(run.profiles, "load_profile", lambda _: BARE)
    with pytest.raises(ValueError, match=r"05_robustness\.ipynb: profile 'smoke' has no section"):
        run.reproduce("smoke", only="05")


@pytest.mark.parametrize(("number", "section"), [("05", "robustness"), ("09", "imitation")])
def test_a_notebook_that_is_run_by_itself_says_at_once_what_it_lacks(number, section, monkeypatch):
    (path,) = run.notebooks(number)
    cell = cells.code(path)[1]
    pairs = pd.DataFrame(columns=study.PAIR)
    monkeypatch.setattr(study, "start", lambda *_, **__: study.Study(BARE, pairs))
    monkeypatch.setattr(style, "use", lambda: None)
    given = dict.fromkeys(["profile", "seed", "delta_t", "delta_s", "mu"])
    with pytest.raises(ValueError, match=f"profile 'smoke' has no section {section}"):
        exec(cell.source, given)


def test_the_others_run_and_a_line_says_what_is_left_out(monkeypatch, tmp_path, capsys):
    (tmp_path / "notebooks").mkdir()
    given = code("profile = ''\nfigures_dir = ''", "parameters")
    for name in ("02_part", "05_whole"):
        page = notebook(
            text("# A page"), given, code("raise ValueError", "needs-dpdllm"), code("print('made')")
        )
        nbformat.write(page, tmp_path / "notebooks" / f"{name}.ipynb")
    monkeypatch.setattr(run, "ROOT", tmp_path)
    monkeypatch.setattr(run.profiles, "load_profile", lambda _: BARE)
    assert run.reproduce("smoke")
    said = capsys.readouterr().out
    lines = [
        "in part   02_part.ipynb: profile 'smoke' has no section dpdllm",
        "left out  05_whole.ipynb: profile 'smoke' has no section robustness",
    ]
    assert said.splitlines()[:2] == lines
    assert all(said.count(line) == 2 for line in lines)  # before the work, and in the summary
    page = nbformat.read(tmp_path / "executed" / "smoke" / "02_part.ipynb", as_version=4)
    assert "no section dpdllm" in page.cells[0].source
    assert page.cells[-1].outputs[0].text == "made\n"


def test_answers_of_a_profile_of_another_name_are_found_by_their_keys(empty_store, monkeypatch):
    monkeypatch.delenv(released.SWITCH)
    small = load_profile("small")
    run.check_released(small.changed(name="mine", decision={"mu": 30}))
    with pytest.raises(ValueError, match="no released answers of profile 'mine'"):
        run.check_released(small.changed(name="mine", seed=77))
    assert not list(store.root().glob("responses/*"))
