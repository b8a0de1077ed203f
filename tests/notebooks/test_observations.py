"""Notebook 01 on smoke: the references before and after tuning (§4)."""

import cells
import pandas as pd
import pytest

from dsi_core.method import participants, study
from dsi_core.models import responses, tuning
from dsi_core.runtime import entries, jobs


@pytest.fixture(scope="module")
def outputs(ran):
    return ran("01")


@pytest.fixture(scope="module")
def scored(outputs):
    """The study, and its references' scores from the store."""
    run = study.start("smoke")
    return run, study.reference_scores(run)


def test_each_figure_has_its_table(outputs):
    assert cells.figures(outputs) == {
        "eq1_weakest_gaps",
        "fig02_response_before_and_after",
        "fig03_close_without_training",
        "sec4_similarity_before_and_after",
        "sec4_training_loss",
    }


def test_references_know_their_dozen_by_heart(outputs):
    table = pd.read_csv(outputs / "sec4_repetition.csv")
    assert len(table) == 5
    assert (table["after"] > 0.8).all() and (table["before"] < 0.3).all()


def test_table1_counts_add_up(outputs):
    table = pd.read_csv(outputs / "table1_near_copies_after_tuning.csv")
    assert table["reference"].nunique() == 5
    for _, part in table.groupby("reference"):
        total = part[part["category"] == "all"].iloc[0]
        rest = part[part["category"] != "all"]
        assert rest["tainted"].sum() == total["tainted"]
        assert rest["total"].sum() == total["total"] == 12


def test_a_second_run_tunes_asks_and_compares_nothing(scored, monkeypatch):
    _, scores = scored

    def unwanted(*args, **options):
        raise AssertionError("done once already")

    monkeypatch.setattr(jobs, "run", lambda work: [unwanted() for _ in work])
    monkeypatch.setattr(tuning, "tune", unwanted)
    monkeypatch.setattr("bert_score.BERTScorer.score", unwanted)
    pd.testing.assert_frame_equal(study.reference_scores(study.start("smoke")), scores)


def test_another_seed_reuses_no_answer(scored):
    run, _ = scored
    other = study.start("smoke", seed=1)
    answered = {}
    for settings in (run, other):
        sampling = settings.sampling.for_references()
        for model in participants.references(settings.profile):
            folder = responses.entry(model.model_id, model.training, sampling, make=False)
            asked = responses.read(folder)["sample_id"]  # by notebook 09, other questions too
            of_d = asked.isin(run.pairs["sample_id"]).sum()
            answered[settings.profile.seed, model.model_id] = of_d
    ids = [model.model_id for model in participants.references(run.profile)]
    assert len(ids) == 10
    assert answered == {(run.profile.seed, i): 12 for i in ids} | {(1, i): 0 for i in ids}


def test_status_lists_what_the_notebook_made(scored):
    run, _ = scored
    (glm,) = (m for m in participants.references(run.profile) if m.model_id == "R^t glm")
    sampling = run.sampling.for_references()
    tuned = tuning.entry(glm.training, make=False)
    answers = responses.entry(glm.model_id, glm.training, sampling, make=False)
    table = entries.status()  # of all notebooks, some of which another process may be running
    done = table[table["complete"]]
    listed = set(done["kind"] + "/" + done["name"] + "-" + done["key"])
    assert {f"{folder.parent.name}/{folder.name}" for folder in (tuned, answers)} <= listed
    assert {"models", "similarity"} <= set(done["kind"])
