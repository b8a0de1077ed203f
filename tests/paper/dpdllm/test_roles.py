"""Who is known to be what: calibration samples, judged samples and the reference LM."""

import pandas as pd
import pytest
from helpers import says

from dsi_core.data.pairs import dataset, load_pairs
from dsi_core.models import tuning
from dsi_core.paper.dpdllm import roles as dpdllm_roles
from dsi_core.paper.dpdllm.roles import Mode, Part, cast
from dsi_core.settings.schema import Endpoint, Model


def ids(samples: pd.DataFrame) -> set:
    return set(samples["sample_id"])


def whole(profile, name: str) -> set:
    return ids(load_pairs(dataset(profile, name)))


@pytest.mark.parametrize("mode", Mode)
def test_who_is_who(study_of, mode):
    profile = study_of().profile
    roles = {r.suspect: r for r in cast(profile, mode)}
    assert {s: (r.members_from, r.non_members_from, r.model_id) for s, r in roles.items()} == {
        "knows": ("dozen", "other", "knows"),
        "mixed": ("dozen", "terse", "mixed"),
        "other": ("other", "terse", "other"),
        "untuned": ("other", "terse", "untuned tuned for DPDLLM"),
        "terse": ("terse", "other", "terse"),
    }
    dozen = whole(profile, "dozen")
    for r in roles.values():
        assert len(r.members) == len(r.non_members) == 4
        assert ids(r.members) < whole(profile, r.members_from)
        assert ids(r.non_members) < whole(profile, r.non_members_from)
        assert ids(r.judged) == dozen - (ids(r.members) if mode is Mode.CLEAN else set())
    assert len(roles["knows"].judged) == (8 if mode is Mode.CLEAN else 12)
    untuned = roles["untuned"].training
    assert (untuned.base.name, untuned.recipe_name, untuned.leave_out) == ("llama", "few", ())
    assert [d.name for d in untuned.datasets] == ["other"]


def test_the_clean_lm_learns_answers_of_known_members(study_of):
    for roles in cast(study_of().profile, Mode.CLEAN):
        lm = roles.lms[Part.CALIBRATION]
        assert roles.lms[Part.JUDGED] == lm
        assert ids(tuning.training_pairs(lm)) == ids(roles.members)
        assert lm.loss_on == "answer"


def test_a_faithful_lm_learns_the_very_texts_that_it_scores(study_of):
    profile = study_of().profile
    for roles in cast(profile, Mode.FAITHFUL):
        calibration, judged = roles.lms[Part.CALIBRATION], roles.lms[Part.JUDGED]
        known = ids(roles.members) | ids(roles.non_members)
        assert ids(tuning.training_pairs(calibration)) == known
        assert ids(tuning.training_pairs(judged)) == whole(profile, "dozen")
        assert calibration.loss_on == judged.loss_on == "text"


@pytest.mark.parametrize("mode", Mode)
def test_the_same_known_samples_have_the_same_lm(study_of, mode):
    """Whichever of two datasets has the members: a faithful LM learns both."""
    profile = study_of().profile
    roles = {r.suspect: r for r in cast(profile, mode)}
    assert ids(roles["knows"].members) == ids(roles["mixed"].members)
    assert ids(roles["other"].members) == ids(roles["untuned"].members)
    assert roles["untuned"].lms == roles["other"].lms
    assert (roles["terse"].lms == roles["other"].lms) == (mode is Mode.FAITHFUL)
    another = cast(profile.changed(seed=1), mode)[0]
    assert ids(another.members) != ids(roles["knows"].members)


def test_too_few_samples(study_of):
    """Half of D is left to judge, and there are as many known non-members as members."""
    profile = study_of("knows", "other", calibration=1000).profile
    counts = {
        mode: [(len(r.members), len(r.non_members), len(r.judged)) for r in cast(profile, mode)]
        for mode in Mode
    }
    assert counts[Mode.CLEAN] == [(6, 6, 6), (6, 6, 12)]  # terse has six
    assert counts[Mode.FAITHFUL] == [(12, 12, 12), (6, 6, 12)]


def test_two_of_each_are_enough_and_one_is_refused(study_of, monkeypatch):
    profile = study_of("knows").profile

    def of(rows):
        monkeypatch.setattr(
            dpdllm_roles,
            "load_pairs",
            lambda d: load_pairs(d).head(rows) if d.name == "other" else load_pairs(d),
        )
        return cast(profile, Mode.CLEAN)

    (roles,) = of(2)
    assert len(roles.members) == len(roles.non_members) == 2
    with pytest.raises(ValueError) as error:
        of(1)
    says(error, "'knows': 6 known members from 'dozen' and 1 known non-members from 'other'")


@pytest.mark.parametrize("suspect", ["knows", "terse"])
def test_a_pair_that_the_suspect_trained_on_is_no_known_non_member(study_of, suspect, monkeypatch):
    profile = study_of(suspect, calibration=12).profile
    dozen = load_pairs(dataset(profile, "dozen"))
    both = pd.concat([load_pairs(dataset(profile, "other")), dozen.head(9)], ignore_index=True)
    monkeypatch.setattr(
        dpdllm_roles, "load_pairs", lambda d: both if d.name == "other" else load_pairs(d)
    )
    assert not ids(cast(profile)[0].non_members) & ids(dozen)


def test_what_a_suspect_left_out_is_no_known_member(study_of):
    study = study_of("knows", calibration=1000)
    left = tuple(study.pairs["sample_id"][:3])
    (suspect,) = study.profile.suspects
    profile = study.profile.changed(suspects=[suspect.changed(leave_out=left)])
    (roles,) = cast(profile, Mode.FAITHFUL)
    assert ids(roles.members) == ids(study.pairs) - set(left)
    assert len(roles.judged) == 12


def test_a_suspect_tuned_on_the_iid_half_has_its_known_members_there(study_of):
    profile = study_of("terse").profile
    half = profile.data["dozen"].changed(rows=6)
    (suspect,) = profile.suspects
    profile = profile.changed(
        data={**profile.data, "dozen": half, "rest": half.changed(apart_from="dozen")},
        suspects=[suspect.changed(data=["iid"])],
    )
    (roles,) = cast(profile)
    assert roles.members_from == "rest"
    assert ids(roles.members) <= whole(profile, "rest")
    assert len(roles.judged) == 6


def test_an_unknown_mode_is_refused(study_of):
    with pytest.raises(ValueError) as error:
        cast(study_of("knows").profile, "both")
    says(error, "unknown mode 'both'", "clean, faithful")


def test_a_profile_without_the_section_is_refused(smoke):
    with pytest.raises(ValueError) as error:
        cast(smoke.changed(dpdllm=None))
    says(error, "'smoke'", "section dpdllm", "non_members")


@pytest.mark.parametrize(
    "suspect, settings, parts",
    [
        ("other", {"non_members": ["other"]}, ("'other'", "['other']")),
        (
            "untuned",
            {"members": ["dozen"]},
            ("'untuned'", "dpdllm.members ['dozen']", "victim 'dozen'"),
        ),
    ],
)
def test_too_few_datasets_are_refused(study_of, suspect, settings, parts):
    with pytest.raises(ValueError) as error:
        cast(study_of(suspect, **settings).profile)
    says(error, *parts)


def test_a_suspect_behind_an_endpoint_cannot_be_tuned_further(study_of):
    profile = study_of("untuned").profile
    remote = Model(endpoint=Endpoint(base_url="http://localhost:1", model="m"))
    (suspect,) = profile.suspects
    profile = profile.changed(
        models={**profile.models, "far": remote}, suspects=[suspect.changed(base="far")]
    )
    with pytest.raises(ValueError) as error:
        cast(profile)
    says(error, "'untuned'", "endpoint")
