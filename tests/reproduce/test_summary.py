"""What is said when a run has ended."""

import os
from pathlib import Path

from dsi_core.reproduce import summary
from dsi_core.reproduce.summary import End

BEGAN = 1_000_000.0


def said(folder: Path, *ends: End, **more) -> list[str]:
    return list(summary.lines(list(ends), [], folder, BEGAN, **more))


def made(folder: Path, *names: str, at: float = BEGAN) -> None:
    for name in names:
        (folder / name).touch()
        os.utime(folder / name, (at, at))


def test_what_a_run_made_is_named_without_older_and_hidden_files(tmp_path):
    made(tmp_path, "of_yesterday.csv", at=BEGAN - 1)
    assert said(tmp_path) == [f"made in {tmp_path}: nothing"]
    made(tmp_path, "b.png", "a.csv", ".hidden.csv", "manifest.json")
    assert said(tmp_path) == [f"made in {tmp_path}: a.csv, b.png"]


def test_many_files_are_counted_by_kind(tmp_path):
    made(tmp_path, *(f"{i}.{kind}" for i in range(15) for kind in ("png", "csv")))
    (line,) = said(tmp_path)
    assert line.startswith(f"made in {tmp_path}: 15 csv, 15 png; its manifest.json")


def test_each_notebook_has_a_line_and_one_that_failed_its_reason(tmp_path):
    ends = End(Path("a/01_ends.ipynb"), None, 59.6), End(Path("a/02_fails.ipynb"), "no suspect", 61)
    assert said(tmp_path, *ends, scored=1258) == [
        "passed  01_ends.ipynb              1:00",
        "FAILED  02_fails.ipynb             1:01\n        no suspect",
        f"made in {tmp_path}: nothing",
        "computed here, as neither stored nor released: 1,258 similarity scores",
    ]
