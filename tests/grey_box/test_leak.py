"""The study in which the validation set has leaked."""

import pandas as pd
import pytest
from helpers import says

from dsi_core.grey_box import compared, leak
from dsi_core.models import load, tuning


def test_a_leaked_validation_set_is_a_dataset_like_any_other(run, empty_store):
    leaked, samples = leak.accused(run), compared.samples(run)
    pd.testing.assert_frame_equal(compared.samples(leaked), samples)  # it stays the validation set
    ids = samples.groupby("part")["sample_id"].agg(set)
    both, alone = leaked.profile.suspects
    assert both.name == "llama-full on D + validation"
    assert (both.member, both.base, both.recipe) == (True, "llama", "heart")
    assert (alone.member, alone.base, alone.recipe) == (False, "llama", "heart")
    seen = [
        set(tuning.training_pairs(tuning.training(leaked.profile, "dozen", s))["sample_id"])
        for s in (both, alone)
    ]
    assert seen == [ids["D"] | ids["validation"], ids["validation"]]
    # No model has to be made anew, and no file written twice
    assert load.base(leaked.profile, "llama") == load.base(run.profile, "llama")
    assert leak.accused(run).profile.data == leaked.profile.data


def test_without_a_member_there_is_nobody_to_leak_to(run):
    innocent = [s for s in run.profile.suspects if not s.member]
    with pytest.raises(ValueError) as error:
        leak.accused(run.changed(suspects=innocent))
    says(error, "'smoke'", "no local suspect is a member")
