"""Who is compared by grey-box methods."""

import pandas as pd
import pytest
from helpers import says

from dsi_core.data.pairs import Dataset, dataset, load_pairs, untouched
from dsi_core.grey_box import compared
from dsi_core.method import study
from dsi_core.method.study import Study


def test_samples_are_apart_from_everything(run):
    samples = compared.samples(run)
    assert samples.groupby("part").size().to_dict() == {"D": 12, "validation": 12, "prefix": 2}
    assert not samples["sample_id"].duplicated().any()
    chosen = samples.groupby("part")[["compared", "asked"]].sum().loc[["D", "validation"]]
    assert chosen.to_numpy().tolist() == [[4, 4], [4, 4]]
    assert set(samples.query("part == 'D'")["sample_id"]) == set(run.pairs["sample_id"])
    pd.testing.assert_frame_equal(compared.samples(study.start("smoke", suite="iid")), samples)
    prefix = set(samples.query("part == 'prefix'")["sample_id"])
    other = compared.samples(study.start("smoke", seed=1))
    assert set(other.query("part == 'prefix'")["sample_id"]) != prefix
    few = run.changed(grey_box={"samples": 5})
    assert (compared.samples(few)["part"] == "D").sum() == 5


def test_validation_pairs_are_those_that_no_dataset_holds(smoke):
    half = smoke.data["dozen"].changed(rows=5)
    rest = half.changed(rows=4, apart_from="dozen")
    data = {"dozen": half, "rest": rest, "other": smoke.data["other"]}
    profile = smoke.changed(data={**smoke.data, **data})
    others = [dataset(profile, name) for name in data]

    def left(rows, others=others):
        return untouched(Dataset("v", half.changed(rows=rows), profile.seed), others)

    held = {
        i for name in ("dozen", "rest") for i in load_pairs(dataset(profile, name))["sample_id"]
    }
    assert len(held) == 9
    assert len(left(None)) == 3
    assert not held & set(left(None)["sample_id"])
    assert len(left(2)) == 2
    with pytest.raises(ValueError, match="rows is 4, but only 3"):
        left(4)
    with pytest.raises(ValueError, match="no pair left for v: the profile's datasets hold all 12"):
        left(5, [dataset(smoke, "dozen")])


def test_what_any_dataset_holds_is_no_validation_pair(run):
    source = run.profile.grey_box.validation["dozen"]
    held = run.changed(data={**run.profile.data, "last": source.changed(rows=3)})
    taken = set(load_pairs(dataset(held.profile, "last"))["sample_id"])
    found = compared.samples(held)
    assert len(taken) == 3 and not taken & set(found["sample_id"])
    assert len(found) == len(compared.samples(run)) - 3


def test_what_does_not_fit_is_refused(run):
    def refused(*parts, **changes):
        with pytest.raises(ValueError) as error:
            compared.samples(run.changed(**changes))
        says(error, *parts)

    refused("'smoke'", "no section grey_box", grey_box=None)
    refused("none of the victims dozen", grey_box={"validation": {}})
    few = {"grey_box": {"shots": 7}}
    refused("validation of 'dozen' has 14 pairs", "7 go to the prefix", "8 at least", **few)
    with pytest.raises(ValueError, match=r"victim 'dozen' has 3 pairs; DIA needs 4"):
        compared.samples(Study(run.profile, run.pairs[:3]))


def test_the_two_sets_are_shown_to_be_alike(run):
    row = compared.sets(run).iloc[0]
    counts = ["samples", "validation", "prefix", "compared", "asked", "near_duplicates"]
    assert row[counts].tolist() == [12, 12, 2, 4, 4, 0]
    assert row["low"] < row["blind_auc"] < row["high"]
