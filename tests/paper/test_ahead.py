"""What a page will tune and ask is said before its work begins, and it is all of it."""

import pytest

from dsi_core.method import participants, study
from dsi_core.models import responses, tuning
from dsi_core.paper import ahead
from dsi_core.paper.dpdllm import roles
from dsi_core.paper.dpdllm.roles import Mode, Part


@pytest.fixture
def run(empty_store):
    return study.start("smoke")


def tuned(trainings):
    return {tuning.entry(t, make=False) for t in trainings if t.recipe is not None}


def test_all_models_of_the_vote_and_of_both_baselines_are_named(run):
    """Each once: 12 answers of a reference, 36 of a suspect, and one to each further sample."""
    work = ahead.work(run)
    everyone = participants.participants(run.profile)
    cast = [one for mode in Mode for one in roles.cast(run.profile, mode)]
    needed = [*(m.training for m in everyone), *(one.training for one in cast)]
    needed += [lm for one in cast for lm in one.lms.values()]
    assert tuned(w.training for w in work) == tuned(needed)
    asked = [w for w in work if w.answers]
    answers = {w.name: w.answers for w in asked}
    assert len(answers) == len(asked)
    assert answers["R llama"] == 12
    further = {
        sample
        for one in cast
        if one.model_id == "llama-full"
        for part in Part
        for sample in one.samples(part)["sample_id"]
    } - set(run.pairs["sample_id"])
    assert len(further) >= 4 and answers["llama-full"] == 3 * 12 + len(further)


def test_without_the_baseline_only_the_vote_is_named(run):
    alone = study.of(run.profile.changed(dpdllm=None))
    everyone = participants.participants(alone.profile)
    asked = {m.model_id: 12 if m.is_reference else 36 for m in everyone}
    assert {w.name: w.answers for w in ahead.work(alone)} == asked


def test_it_is_said_of_the_page_and_at_most_where_nobody_knows_yet_what_is_tainted(run, capsys):
    ahead.announce(run)
    ahead.announce(run.changed(responses={"ask": "tainted"}))
    in_all, at_most = capsys.readouterr().err.splitlines()
    assert "made here for this page in all: tune " in in_all
    assert "made here for this page at most: tune " in at_most


def test_what_the_store_has_is_not_named(run):
    for model in participants.participants(run.profile):
        how = run.sampling.for_references() if model.is_reference else run.sampling
        folder = responses.entry(model.model_id, model.training, how)
        pairs = run.pairs["sample_id"]
        with responses.appending(folder) as keep:
            keep(
                {"sample_id": i, "draw": d, "response": "", "tokens": 0, "seconds": 0.0}
                for i in pairs
                for d in range(how.draws)
            )
    assert ahead.work(run) == []
