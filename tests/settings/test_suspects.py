"""The local suspects of a victim, and those victims that are looked at in depth."""

import pytest

from dsi_core.method import participants
from dsi_core.models import tuning
from dsi_core.settings.profile import Profile, load_profile
from dsi_core.settings.suspects import evading, suspects_of

MEMBERS = ["llama-full", "qwen2-mixed", "mistral-lora", "gemma-qlora"]


@pytest.fixture(scope="module")
def smoke() -> Profile:
    """The profile smoke, whose members count as non-members of two more datasets."""
    return load_profile("smoke").changed(non_members_from=["dozen", "terse", "dozen_iid"])


def test_members_of_other_datasets_follow_the_profiles_suspects(smoke):
    found = suspects_of(smoke, "dozen")
    own, others = found[: len(smoke.suspects)], found[len(smoke.suspects) :]
    assert own == smoke.suspects
    places = ["terse"] * 4 + ["dozen_iid"] * 4
    named = [f"{m} on {d}" for m, d in zip(MEMBERS * 2, places, strict=True)]
    assert [s.name for s in others] == named
    assert {(s.member, s.group) for s in others} == {(False, "non-members from other datasets")}
    assert others[1].data == ["terse", "other"] and others[1].recipe == "heart"


def test_without_such_datasets_a_victim_has_the_profiles_suspects_alone():
    profile = load_profile("smoke").changed(non_members_from=["dozen"])
    assert suspects_of(profile, "dozen") == profile.suspects


def test_a_member_of_another_dataset_is_the_model_that_is_a_member_there(smoke):
    two = smoke.changed(victims=["dozen", "terse"], non_members_from=["dozen", "terse"])
    by_name = {(p.dataset, p.model_id): p for p in participants.suspects(two)}
    for member in MEMBERS:
        there, here = by_name["terse", member], by_name["dozen", f"{member} on terse"]
        assert (there.member, here.member) == (True, False)
        assert tuning.entry(there.training) == tuning.entry(here.training)
    truth = participants.truth(two)
    counts = truth.groupby(["dataset", "member"]).size().unstack()
    assert counts.loc[["dozen", "terse"]].to_numpy().tolist() == [[6, 4], [6, 4]]


def test_an_untuned_model_is_known_by_its_name_or_by_its_group(smoke):
    """Figures tell it so from one that is tuned on other data."""
    (untuned,) = (one for one in smoke.suspects if not one.data)
    named = [untuned, untuned.changed(name="Unschuld"), untuned.changed(name="c", group="own")]
    found = participants.suspects(smoke.changed(suspects=named, non_members_from=[]))
    groups = [one.group for one in found if one.dataset == "dozen"]
    assert groups == ["local non-members", "untuned non-members", "own"]


@pytest.mark.parametrize(
    ("chosen", "names"),
    [(None, MEMBERS), ([], MEMBERS), (["mistral-lora", "llama-full"], [MEMBERS[0], MEMBERS[2]])],
)
def test_who_evades(smoke, chosen, names):
    assert [suspect.name for suspect in evading(smoke, chosen)] == names


def test_a_name_that_is_taken_is_refused(smoke):
    taken = smoke.suspects[0].changed(name="llama-full on terse")
    with pytest.raises(ValueError, match="names of references, suspects and controls must differ"):
        smoke.changed(suspects=[*smoke.suspects, taken])


def test_a_control_of_the_same_name_is_the_same_model(smoke):
    full = suspects_of(smoke, "dozen")[len(smoke.suspects)]
    control = full.changed(group="other data")
    assert smoke.changed(controls=[control]).controls == [control]
    with pytest.raises(ValueError, match="the suspect of the same name is another model"):
        smoke.changed(controls=[control.changed(recipe="short")])


@pytest.mark.parametrize("field", ["non_members_from", "in_depth"])
def test_an_unknown_dataset_is_refused(field):
    with pytest.raises(ValueError, match=r"unknown (data|victim) 'nothing'"):
        load_profile("smoke").changed(**{field: ["nothing"]})


def test_in_depth_leaves_some_victims():
    two = load_profile("smoke").changed(victims=["dozen", "terse"])
    assert two.victims_in_depth() == ["dozen", "terse"]
    assert two.changed(in_depth=["terse"]).victims_in_depth() == ["terse"]
    with pytest.raises(ValueError, match=r"in_depth is .'other'., none of which is among"):
        two.changed(in_depth=["other"]).victims_in_depth()
