"""Every notebook, headlessly, on the smoke profile; then again from the store; and what must be refused."""

import subprocess
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from dsi_core import reproduce
from dsi_core.method import study
from dsi_core.plots import widgets
from dsi_core.runtime import store

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    """All notebooks run once on smoke; their output folder."""
    folder = tmp_path_factory.mktemp("figures")
    assert reproduce.reproduce("smoke", figures_dir=str(folder))
    return folder / "smoke"


@pytest.fixture(scope="module")
def results(outputs):
    run = study.start("smoke")
    scores = study.reference_scores(run)
    return run, scores, study.suspect_gaps(run, scores)


FIGURES = [
    "fig02_response_before_and_after",
    "fig03_close_without_training",
    "fig04_positive_against_negative",
    "fig05_dpdllm",
    "fig06_iid_positive_against_negative",
    "fig07_iid_dpdllm",
    "fig08_evidence_on_all_samples",
    "fig09_more_references",
    "fig10_tainted_by_references",
    "fig11a_rephrasing",
    "fig11b_temperature",
    "fig11c_removing_tainted_samples",
    "fig11d_subsets",
    "fig12_overlap_of_tainted_samples",
    "sec4_similarity_before_and_after",
    "eq1_weakest_gaps",
    "sec6_3_thresholds",
    "attribution_own_methods",
    "attribution_own_votes",
    "grey_box_auroc",
    "grey_box_auroc_full_text",
    "grey_box_dia_p_values",
    "grey_box_beside_black_box",
    "grey_box_leak",
    "imitation_budgets",
    "imitation_verdicts",
    "imitation_evidence",
]


@pytest.mark.parametrize("name", FIGURES)
def test_each_figure_has_png_pdf_and_csv(outputs, name):
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
    assert (
        verdicts.loc["llama-untuned", "negative"] > 0 and verdicts.loc["llama-untuned", "correct"]
    )
    assert (
        verdicts.loc["mistral-terse", "filtered"] > 0
        and verdicts.loc["mistral-terse", "verdict"] == "inconclusive"
    )
    tainted = study.find_tainted(run, scores)["tainted"].sum()
    assert (verdicts[["positive", "negative", "filtered"]].sum(axis=1) == tainted).all()


def test_table6_follows_from_the_verdicts(outputs):
    table = pd.read_csv(outputs / "table6_non_iid.csv")
    assert list(table)[:7] == ["dataset", "method", "group", "correct", "total", "low", "high"]
    assert set(table["method"]) == {"dataset inference", "DPDLLM", "DPDLLM (faithful)"}
    for method, file in (
        ("dataset inference", "sec6_2_verdicts"),
        ("DPDLLM", "fig05_dpdllm"),
        ("DPDLLM (faithful)", "fig05_dpdllm_faithful"),
    ):
        rows, verdicts = table[table["method"] == method], pd.read_csv(outputs / f"{file}.csv")
        hit = (verdicts["member"] & (verdicts["verdict"] == "member")).sum()
        assert rows["recall"].iloc[0] == round(100 * hit / verdicts["member"].sum(), 1)
        assert (
            rows["total"].sum() == len(verdicts)
            and (
                (rows["low"] <= 100 * rows["correct"] / rows["total"])
                & (rows["high"] > rows["low"])
            ).all()
        )


def test_iid_suspects_trained_on_the_other_half(outputs):
    split = pd.read_csv(outputs / "sec6_1_split.csv").set_index("dataset")
    assert (
        split.loc["dozen_iid", "dropped: near-duplicates of dozen"] == 1
        and split.loc["dozen_iid", "used"] == 8
    )
    table = pd.read_csv(outputs / "table7_iid.csv")
    assert (
        set(table["group"]) == {"non-members (1)", "non-members (2)"}
        and (table["total"] == 1).all()
    )
    verdicts = pd.read_csv(outputs / "fig06_iid_positive_against_negative.csv")
    assert set(verdicts["suspect"]) == {"llama-iid", "glm-iid"} and not verdicts["member"].any()


def test_the_baseline_judges_no_sample_that_it_was_told(outputs):
    told = pd.read_csv(outputs / "sec6_1_dpdllm_calibration.csv").set_index("suspect")
    judged = pd.read_csv(outputs / "fig05_dpdllm.csv").set_index("suspect")
    assert (judged[["positive", "negative", "filtered"]].sum(axis=1) == told["judged"]).all()
    assert (
        told.loc[judged["member"], "judged"]
        == 12 - told.loc[judged["member"], "calibration_members"]
    ).all()
    assert (
        pd.read_csv(outputs / "fig05_dpdllm_faithful.csv")[
            ["positive", "negative", "filtered"]
        ].sum(axis=1)
        == 12
    ).all()


def test_more_references_never_find_more_tainted_samples(outputs):
    table = (
        pd.read_csv(outputs / "fig10_tainted_by_references.csv")
        .drop_duplicates("references")
        .set_index("models")["tainted"]
    )
    assert table.index.tolist() == [1, 5, 6] and table.is_monotonic_decreasing


def test_evasions(outputs):
    table = {
        k: pd.read_csv(outputs / f"{k}.csv")
        for k in (
            "fig11a_rephrasing",
            "fig11b_temperature",
            "fig11c_removing_tainted_samples",
            "fig11d_subsets",
        )
    }
    assert all(t["member"].all() for t in table.values())
    own = pd.read_csv(outputs / "sec6_2_verdicts.csv").set_index("suspect")["positive"]
    for t, setting in zip(
        table.values(), ("none", 1.0, "none removed", "100%")
    ):  # the setting that changes nothing
        same = t[t["setting"] == setting].set_index("suspect")["positive"]
        assert (same == own[same.index]).all() and len(same)
    halves = table["fig11d_subsets"].set_index("setting")["positive"]
    assert halves["50%"] < halves["100%"]
    overlap = pd.read_csv(outputs / "fig12_overlap_of_tainted_samples.csv")
    assert overlap[overlap["suspect"] == "llama-full"]["samples"].sum() == own["llama-full"]


def test_the_imitation_hangs_together(outputs):
    found, pairs, verdicts = (
        pd.read_csv(outputs / f"imitation_{n}.csv") for n in ("instructions", "pairs", "verdicts")
    )
    facts = pd.read_csv(outputs / "imitation_dataset.csv").set_index("what")["count"]
    assert (
        facts["instructions accepted"]
        == (found["fate"] == "accepted").sum()
        == facts["answers kept"] + facts["answers too short, left out"]
    )
    assert len(pairs) == 2 * 6 + 3 and set(pairs["instruction"]) <= set(
        found.loc[found["fate"] == "accepted", "instruction"]
    )
    seen = verdicts.set_index("suspect")["seen"]
    assert seen["imitator of 3"] == 0.5 and seen["llama-on-D"] == 1 and seen["llama-on-D'"] == 0
    caught = verdicts.set_index("suspect")["verdict"]
    assert (
        caught["llama-on-D"] == "member" and caught["llama-on-D'"] == "non-member"
    )  # both know their pairs by heart
    means = pd.read_csv(outputs / "imitation_budgets.csv")
    assert len(means) == 2 * 5 and (means["samples"] == 3).all()
    mixture = pd.read_csv(outputs / "imitation_mixture.csv")
    assert (
        mixture[["kept", "repeated", "language"]].sum(axis=1) == mixture["read"]
    ).all() and mixture["read"].sum() == 30


def test_attribution_of_our_own_suspects(outputs):
    methods, models, groups = (
        pd.read_csv(outputs / f"attribution_own_{k}.csv") for k in ("methods", "models", "groups")
    )
    assert (
        set(methods["level"]) == {"k3", "k2", "k1"}
        and methods["chosen"].sum() == 1
        and (methods["total"] == 9).all()
    )
    assert (
        methods.loc[methods["method"].str.startswith("perplexity"), "cv_total"].eq(10).all()
        and methods["chance"].eq(0.2).all()
    )
    right = models.groupby(["method", "level"])["right"].sum()
    assert (
        methods.set_index(["method", "level"])["correct"]
        == right[methods.set_index(["method", "level"]).index]
    ).all()
    assert set(groups["prompts"]) == {"D", "other"} and set(groups["models"]) == {
        "members",
        "non-members",
    }
    assert not list(outputs.glob("attribution_released*"))  # no path was given


def test_grey_box_methods_beside_the_vote(outputs):
    attacks = pd.read_csv(outputs / "grey_box_attacks.csv").set_index(["suspect", "view", "attack"])
    assert set(attacks.index.get_level_values("view")) == {"answer", "text", "sampled"}
    knows = attacks.loc["llama-full"].loc["answer"]
    assert (
        knows.loc[["loss", "zlib", "min_k", "reference llama"], "auc"] > 0.95
    ).all()  # it knows D by heart and the validation set not at all
    own = attacks.loc[("llama-untuned", "answer", "reference llama")]
    assert own["auc"] == 0.5 == own["p"] and own["validation"] == 12  # the reference model itself
    assert (
        attacks.loc[("llama-untuned", "answer", "loss"), "low"]
        < 0.5
        < attacks.loc[("llama-untuned", "answer", "loss"), "high"]
    )
    beside, votes = (
        pd.read_csv(outputs / "grey_box_beside_black_box.csv"),
        pd.read_csv(outputs / "sec6_2_verdicts.csv").set_index("suspect"),
    )
    ours = beside[beside["method"] == "black-box dataset inference"].set_index("suspect")
    assert (ours.loc[votes.index, "verdict"] == votes["verdict"]).all() and len(ours) == len(
        votes
    ) + 2  # and the IID suspects
    assert (beside.groupby("suspect")["method"].nunique() == beside["method"].nunique()).all()
    assert (pd.read_csv(outputs / "grey_box_dia.csv")["p_control"] > 0).all()


def test_a_leaked_validation_set_misleads_dia_and_not_the_vote(outputs):
    leak = pd.read_csv(outputs / "grey_box_leak.csv").pivot(
        index="method", columns="suspect", values="verdict"
    )
    both, alone = leak["llama-full on D + validation"], leak["llama-full on validation"]
    assert (both.drop("black-box dataset inference") == "non-member").all() and both[
        "black-box dataset inference"
    ] == "member"
    assert (
        alone["black-box dataset inference"] == "non-member" == alone["loss"]
        and alone["DIA (few)"] == "member"
    )


def test_table9_is_the_sum_of_its_steps(outputs):
    costs, table = (
        pd.read_csv(outputs / "sec6_5_costs.csv"),
        pd.read_csv(outputs / "table9_time.csv").iloc[0],
    )
    offline = costs[costs["phase"] == "offline"]["seconds"].sum() / 3600
    assert (
        table["offline_hours"] == pytest.approx(offline, abs=1e-4)
        and 0 < table["online_hours"] < offline
    )


def test_the_plan_for_the_papers_study_needs_no_hub(outputs):
    plan = pd.read_csv(outputs.parent / "paper" / "table9_plan.csv")
    assert {"dolly", "alpaca", "slimorca", "openhermes"} < set(plan["dataset"]) and (
        plan["hours"] >= 0
    ).all()
    assert len(pd.read_csv(outputs.parent / "paper" / "table10_wild_models.csv")) == 115


def test_table1_counts_add_up(outputs):
    table = pd.read_csv(outputs / "table1_near_copies_after_tuning.csv")
    for _, part in table.groupby("reference"):
        total = part[part["category"] == "all"].iloc[0]
        rest = part[part["category"] != "all"]
        assert (rest["total"].sum(), rest["tainted"].sum()) == (
            total["total"],
            total["tainted"],
        ) and total["total"] == 12


def test_a_second_run_asks_nothing(outputs, results, monkeypatch):
    from dsi_core.method import similarity
    from dsi_core.models import responses

    monkeypatch.setattr(responses, "ask", None)
    monkeypatch.setattr(similarity, "_bert_score", None)
    run, scores, answers = results
    again = study.reference_scores(study.start("smoke"))
    pd.testing.assert_frame_equal(again, scores)
    pd.testing.assert_frame_equal(study.suspect_gaps(run, again), answers)


def test_other_settings_never_reuse_answers(outputs):
    other = study.start("smoke", seed=1)
    people = study.members(other)
    from dsi_core.models import responses

    for m in people.itertuples():
        folder = responses.entry(other.profile, m.dataset, m.model_id, m.trained, 1.0)
        assert not len(responses.read(folder)), m.model_id


def test_plain_papermill_works(outputs, tmp_path):
    command = [
        sys.executable,
        "-m",
        "papermill",
        "notebooks/02_non_iid.ipynb",
        str(tmp_path / "out.ipynb"),
        "-p",
        "profile",
        "smoke",
        "-p",
        "delta_t",
        "0.9",
        "-p",
        "figures_dir",
        str(tmp_path),
        "--no-progress-bar",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    wider, stricter = (
        pd.read_csv(f / "sec6_2_verdicts.csv")[["positive", "negative", "filtered"]].sum().sum()
        for f in (outputs, tmp_path / "smoke")
    )
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
    assert (
        "RuntimeError: no suspect today" in why and (tmp_path / "out" / "02_broken.ipynb").exists()
    )


def test_status_lists_what_the_notebooks_made(outputs):
    table = store.status()
    assert {"models", "tuned", "responses", "similarity"} <= set(table["kind"])
    assert table.query("kind == 'tuned'")["complete"].all()


def test_widgets_follow_their_sliders(results):
    run, scores, answers = results
    for box in (widgets.similarity(run, scores), widgets.verdicts(run, scores, answers)):
        slider, shown = box.children[0], box.children[-1]
        assert (
            slider.description.startswith("delta_t")
            and slider.value == run.profile.decision.delta_t
        )
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
        assert (at["verdict"] == verdicts["verdict"]).all() and (
            at["positive"] == verdicts["positive"]
        ).all()
    strict = moved[(moved["setting"] == "mu") & (moved["value"] == 200)]
    assert (strict["verdict"] == "inconclusive").all()  # no smoke answer has 200 bytes
    delta = moved[moved["setting"] == "delta"].groupby("value")["tainted"].first()
    assert delta.is_monotonic_decreasing


def test_a_bar_leaves_one_line_in_the_executed_copy(tmp_path):
    """Each state of a progress bar arrives as a message of its own: as a page they were hundreds of lines."""
    import nbformat

    cells = [
        nbformat.v4.new_code_cell("profile: str = 'smoke'", metadata={"tags": ["parameters"]}),
        nbformat.v4.new_code_cell(
            "import sys\n[print(f'\\r{i} of 30', end='', file=sys.stderr, flush=True) for i in range(31)];"
        ),
    ]
    nbformat.write(
        nbformat.v4.new_notebook(
            cells=cells,
            metadata={
                "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}
            },
        ),
        tmp_path / "bar.ipynb",
    )
    assert reproduce.execute(tmp_path / "bar.ipynb", tmp_path / "out", {"profile": "smoke"}) is None
    outputs = nbformat.read(tmp_path / "out" / "bar.ipynb", as_version=4).cells[-1].outputs
    assert [o.text.strip() for o in outputs if o.output_type == "stream"] == ["30 of 30"]
