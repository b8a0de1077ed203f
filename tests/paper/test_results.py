"""The page of results: as the committed tables say, and refused where its words no longer hold."""

import shutil

import pandas as pd
import pytest
from helpers import says

from dsi_core.paper import results


@pytest.fixture
def figures(tmp_path):
    """Copies of the committed tables."""
    for path in results.FIGURES.glob("*.csv"):
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
    assert results.stale() == []


def test_a_number_follows_its_table(figures):
    before = results.pages(figures)[results.PAGE]
    changed(figures, "table9_time", offline_hours=0.5, online_hours=0.05, online_percent=10.0)
    page = results.pages(figures)[results.PAGE]
    assert "30.0 min, online" in page and "3.00 min a suspect" in page and "10.0%" in page
    assert "30.0 min, online" not in before
    assert results.stale(figures) == [results.PAGE]


def test_a_sentence_that_is_no_longer_true_is_refused(figures):
    changed(figures, "sec6_2_verdicts", verdict="non-member", correct=False)
    with pytest.raises(ValueError) as error:
        results.pages(figures)
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
    assert expected in results.pages(figures)[results.PAGE]


def test_the_papers_counts_are_sums_over_its_groups():
    """Tables 6 and 8: ten local and ten wild members, twenty wild non-members, on each set."""
    paper = results.the_papers()
    assert paper["table6"] == "members 20/20, non-members 20/20"
    assert paper["table8"] == "members 0/20, non-members 20/20"
    assert paper["copies_after"] == "1,490 of 9,157"  # 151 + 180 + 869 + 290


def test_several_datasets_have_their_sums_and_a_column_each(figures):
    """Here the second dataset has the first one's tables, but for its name."""

    def read(name):
        table = pd.read_csv(figures / f"{name}.csv")
        one = table[table["dataset"] == table["dataset"].iloc[0]].assign(dataset="one")
        return pd.concat([one, one.assign(dataset="two")], ignore_index=True)

    counts = read("eq1_weakest_gaps").query("dataset == 'one'")["tainted"]
    each = f"{counts.sum()} of {len(counts)}"
    both = f"{2 * counts.sum()} of {2 * len(counts)} (one {each}; two {each})"
    assert results.observations(read)["tainted"] == both

    voted = results.non_iid(read)
    verdicts = read("sec6_2_verdicts")
    assert (voted["listed"], voted["models"]) == ("one and two", len(verdicts))
    assert all(list(votes) == ["one", "two"] for votes in voted["votes"].values())
    missed = verdicts.loc[verdicts["member"] & ~verdicts["correct"], "suspect"].unique()
    assert voted["missed"] == (", ".join(f"{who} of one and two" for who in missed) or "none")

    rows = results.by_dataset(read)["rows"]
    assert all(row["ours"]["one"] == row["ours"]["two"] for row in rows)
    assert rows[0]["paper"] == "members 20/20, non-members 20/20"
