"""Numbers of the paper's items, on several datasets."""

import pandas as pd

from dsi_core.paper.results import beyond, items, page


def test_several_datasets_have_their_sums_and_a_column_each():
    """Here the second dataset has the first one's tables, but for its name."""

    def read(name):
        table = pd.read_csv(page.FIGURES / f"{name}.csv")
        one = table[table["dataset"] == table["dataset"].iloc[0]].assign(dataset="one")
        return pd.concat([one, one.assign(dataset="two")], ignore_index=True)

    counts = read("eq1_weakest_gaps").query("dataset == 'one'")["tainted"]
    each = f"{counts.sum()} of {len(counts)}"
    both = f"{2 * counts.sum()} of {2 * len(counts)} (one {each}; two {each})"
    assert items.observations(read)["tainted"] == both

    voted = items.non_iid(read)
    verdicts = read("sec6_2_verdicts")
    assert (voted["listed"], voted["accusations"]) == ("one and two", len(verdicts))
    # an untuned model is one, of whatever it is accused; the others from elsewhere are members
    assert voted["models"] == verdicts["member"].sum() + 1 < len(verdicts)
    assert all(list(votes) == ["one", "two"] for votes in voted["votes"].values())
    missed = verdicts.loc[verdicts["member"] & ~verdicts["correct"], "suspect"].unique()
    assert voted["missed"] == (", ".join(f"{who} of one and two" for who in missed) or "none")

    rows = items.by_dataset(read)["rows"]
    assert all(row["ours"]["one"] == row["ours"]["two"] for row in rows)
    assert rows[0]["paper"] == "members 20/20, non-members 20/20"


def test_of_the_imitated_dataset_filtered_samples_are_tainted_too():
    def read(name):
        return pd.read_csv(page.FIGURES / f"{name}.csv")

    samples = pd.read_csv(page.FIGURES / "imitation_verdicts.csv").query("filtered == 0").iloc[0]
    assert beyond.imitation(read)["tainted"] == samples["positive"] + samples["negative"]
