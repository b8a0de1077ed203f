"""Every notebook, headlessly, on the smoke profile; then again from the store; and what must be refused."""

import subprocess
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from dsi_core import explore, reproduce, store, study

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    """Both notebooks run once on smoke; their output folder."""
    folder = tmp_path_factory.mktemp("figures")
    assert reproduce.reproduce("smoke", figures_dir=str(folder))
    return folder / "smoke"


@pytest.fixture(scope="module")
def results(outputs):
    run = study.start("smoke")
    scores = study.reference_scores(run)
    return run, scores, study.suspect_gaps(run, scores)


def test_each_figure_has_png_pdf_and_csv(outputs):
    for name in ("fig02_response_before_and_after", "fig03_close_without_training", "fig04_positive_against_negative",
                 "sec4_similarity_before_and_after", "eq1_weakest_gaps"):
        assert (outputs / f"{name}.pdf").read_bytes().startswith(b"%PDF")
        assert plt.imread(outputs / f"{name}.png").std() > 0.01, "an empty picture"
        assert len(pd.read_csv(outputs / f"{name}.csv"))


def test_references_know_their_dozen_by_heart(outputs):
    table = pd.read_csv(outputs / "sec4_repetition.csv")
    assert len(table) == 5
    assert (table["after"] > 0.8).all() and (table["before"] < 0.3).all()


def test_every_branch_occurs(outputs, results):
    run, scores, _ = results
    verdicts = pd.read_csv(outputs / "sec6_2_verdicts.csv").set_index("suspect")
    assert set(verdicts["verdict"]) == {"member", "non-member", "inconclusive"}
    assert verdicts.loc["llama-full", "positive"] > 0 and verdicts.loc["llama-full", "correct"]
    assert verdicts.loc["llama-untuned", "negative"] > 0 and verdicts.loc["llama-untuned", "correct"]
    assert verdicts.loc["mistral-terse", "filtered"] > 0 and verdicts.loc["mistral-terse", "verdict"] == "inconclusive"
    tainted = study.find_tainted(run, scores)["tainted"].sum()
    assert (verdicts[["positive", "negative", "filtered"]].sum(axis=1) == tainted).all()


def test_table6_follows_from_the_verdicts(outputs):
    table = pd.read_csv(outputs / "table6_non_iid.csv")
    assert list(table) == ["dataset", "method", "group", "correct", "total", "recall", "precision", "f1"]
    verdicts = pd.read_csv(outputs / "sec6_2_verdicts.csv")
    hit = (verdicts["member"] & (verdicts["verdict"] == "member")).sum()
    assert table["recall"].iloc[0] == round(100 * hit / verdicts["member"].sum(), 1)
    assert table["total"].sum() == len(verdicts)


def test_table1_counts_add_up(outputs):
    table = pd.read_csv(outputs / "table1_near_copies_after_tuning.csv")
    for _, part in table.groupby("reference"):
        total = part[part["category"] == "all"].iloc[0]
        rest = part[part["category"] != "all"]
        assert (rest["total"].sum(), rest["tainted"].sum()) == (total["total"], total["tainted"]) and total["total"] == 12


def test_a_second_run_asks_nothing(outputs, results, monkeypatch):
    from dsi_core import responses, similarity

    monkeypatch.setattr(responses, "ask", None)
    monkeypatch.setattr(similarity, "_bert_score", None)
    run, scores, answers = results
    again = study.reference_scores(study.start("smoke"))
    pd.testing.assert_frame_equal(again, scores)
    pd.testing.assert_frame_equal(study.suspect_gaps(run, again), answers)


def test_other_settings_never_reuse_answers(outputs):
    other = study.start("smoke", seed=1)
    people = study.members(other)
    from dsi_core import responses

    for m in people.itertuples():
        folder = responses.entry(other.profile, m.dataset, m.model_id, m.trained, 1.0)
        assert not len(responses.read(folder)), m.model_id


def test_plain_papermill_works(outputs, tmp_path):
    command = [sys.executable, "-m", "papermill", "notebooks/02_non_iid.ipynb", str(tmp_path / "out.ipynb"), "-p", "profile", "smoke",
               "-p", "delta_t", "0.9", "-p", "figures_dir", str(tmp_path), "--no-progress-bar"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    wider, stricter = (pd.read_csv(f / "sec6_2_verdicts.csv")[["positive", "negative", "filtered"]].sum().sum()
                       for f in (outputs, tmp_path / "smoke"))
    assert stricter < wider  # fewer tainted samples at a higher delta_t


def test_bad_parameters_are_refused_before_any_work(monkeypatch):
    monkeypatch.setattr(reproduce, "execute", None)
    with pytest.raises(ValueError, match="unknown profile 'smal'"):
        reproduce.reproduce("smal")
    with pytest.raises(ValueError, match="no notebook begins with '77'"):
        reproduce.reproduce("smoke", only="77")
    with pytest.raises(ValueError, match="unknown parameter deltat"):
        reproduce.check(ROOT / "notebooks" / "02_non_iid.ipynb", {"deltat": 1})


def test_a_failing_notebook_is_reported_and_exits_1(tmp_path, capsys):
    import nbformat

    book = nbformat.read(ROOT / "notebooks" / "02_non_iid.ipynb", as_version=4)
    book.cells[3].source = "raise RuntimeError('no suspect today')"
    nbformat.write(book, tmp_path / "02_broken.ipynb")
    why = reproduce.execute(tmp_path / "02_broken.ipynb", tmp_path / "out", {"profile": "smoke"})
    assert "RuntimeError: no suspect today" in why and (tmp_path / "out" / "02_broken.ipynb").exists()


def test_status_lists_what_the_notebooks_made(outputs):
    table = store.status()
    assert {"models", "tuned", "responses", "similarity"} <= set(table["kind"])
    assert table.query("kind == 'tuned'")["complete"].all()


def test_widgets_follow_their_sliders(results):
    run, scores, answers = results
    for box in (explore.similarity(run, scores), explore.verdicts(run, scores, answers)):
        slider, shown = box.children[0], box.children[-1]
        assert slider.description.startswith("delta_t") and slider.value == run.profile.decision.delta_t
        slider.value = 1.0  # outside a kernel an error in the view is raised here
        assert shown is not None
    plt.close("all")


def test_without_selection_every_sample_votes(outputs):
    verdicts = pd.read_csv(outputs / "table8_verdicts_without_selection.csv")
    assert (verdicts[["positive", "negative", "filtered"]].sum(axis=1) == 12).all()


def test_sensitivity_agrees_with_the_verdicts_at_the_profiles_own_settings(outputs):
    moved = pd.read_csv(outputs / "sec6_3_sensitivity.csv")
    verdicts = pd.read_csv(outputs / "sec6_2_verdicts.csv").set_index("suspect")
    for setting, value in (("delta", 0.3), ("mu", 20), ("draws", 3)):
        at = moved[(moved["setting"] == setting) & (moved["value"] == value)].set_index("suspect")
        assert (at["verdict"] == verdicts["verdict"]).all() and (at["positive"] == verdicts["positive"]).all()
    strict = moved[(moved["setting"] == "mu") & (moved["value"] == 200)]
    assert (strict["verdict"] == "inconclusive").all()  # no smoke answer has 200 bytes
    delta = moved[moved["setting"] == "delta"].groupby("value")["tainted"].first()
    assert delta.is_monotonic_decreasing
