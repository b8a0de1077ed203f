"""The page of results: as the committed tables say, and refused where its words no longer hold."""

import shutil

import pandas as pd
import pytest
from helpers import says

from dsi_core.paper.results import page


@pytest.fixture
def figures(tmp_path):
    """Copies of the committed tables."""
    for path in page.FIGURES.glob("*.csv"):
        shutil.copy(path, tmp_path)
    return tmp_path


def changed(folder, name, **changes):
    """Another value of a column in the first row of a table."""
    path = folder / f"{name}.csv"
    table = pd.read_csv(path)
    for column, value in changes.items():
        table.loc[0, column] = value
    table.to_csv(path, index=False)


def test_the_committed_pages_are_what_the_committed_tables_give():
    assert page.stale() == []


def test_a_number_follows_its_table(figures):
    before = page.pages(figures)[page.PAGE]
    changed(figures, "table9_time", offline_hours=0.5, online_hours=0.05, online_percent=10.0)
    after = page.pages(figures)[page.PAGE]
    assert "30.0 min, online" in after and "3.00 min a suspect" in after and "10.0%" in after
    assert "30.0 min, online" not in before
    assert page.stale(figures) == [page.PAGE]


def test_a_sentence_that_is_no_longer_true_is_refused(figures):
    changed(figures, "sec6_2_verdicts", verdict="non-member", correct=False)
    with pytest.raises(ValueError) as error:
        page.pages(figures)
    says(error, "who is missed is smollm2-weak", str(figures), "results.md.j2")


def test_thresholds_with_the_same_count_are_one_range(figures):
    path = figures / "sec6_3_sensitivity.csv"
    table = pd.read_csv(path)
    few = table[(table["setting"] != "delta") | table["value"].isin([0.1, 0.2, 0.3, 0.4])].copy()
    delta = few["setting"] == "delta"
    few.loc[delta, "correct"] = few["value"].isin([0.2, 0.3])
    few.to_csv(path, index=False)
    models = delta.sum() // 4
    expected = f"0/{models} at 0.10, {models}/{models} at 0.20 to 0.30, 0/{models} at 0.40;"
    assert expected in page.pages(figures)[page.PAGE]
