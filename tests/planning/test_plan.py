"""The plan of a whole study: every piece of work once, sums that add up, beside the paper's."""

import pandas as pd
import pytest
from planned import with_suspects

from dsi_core.method.participants import participants
from dsi_core.planning import plan
from dsi_core.planning.machine import machine_of
from dsi_core.runtime.paths import ROOT


def test_every_job_has_a_row(tiny):
    jobs = plan.jobs(tiny, "round")
    assert list(jobs.columns) == plan.COLUMNS
    assert jobs[["step", "model_id"]].to_numpy().tolist() == [
        ["tune", "R^t one"],
        ["answer", "R one"],
        ["answer", "R^t one"],
        ["answer", "s"],
        ["similarity", "-"],
        ["similarity", "s"],
    ]
    assert set(jobs["basis"]) == {"assumed"}


def test_the_same_tuning_counts_once_and_offline(tiny):
    same = {"name": "same", "data": ["victim"], "recipe": "lora"}
    other = {"name": "other", "data": ["victim"], "recipe": "full"}
    profile = with_suspects(tiny, same, other)
    jobs = plan.jobs(profile, "round")
    tuned = jobs[jobs["step"] == "tune"]
    assert tuned[["model_id", "phase"]].to_numpy().tolist() == [
        ["R^t one", "offline"],
        ["other", "set-up"],
    ]
    both = pd.concat([plan.jobs(with_suspects(tiny, same), "round"), jobs])
    pd.testing.assert_frame_equal(
        plan.unique(both).sort_values("id", ignore_index=True),
        jobs.sort_values("id", ignore_index=True),
    )
    reseeded = plan.jobs(profile.changed(seed=1), "round")
    assert len(plan.unique(pd.concat([jobs, reseeded]))) > len(jobs)  # another seed is other work
    late_first = plan.unique(pd.concat([jobs.assign(phase="set-up"), jobs]))
    assert late_first.set_index("id")["phase"].to_dict() == jobs.set_index("id")["phase"].to_dict()


@pytest.mark.parametrize("name", ["smoke", "paper"])
def test_the_neighbours_come_on_top(name):
    table = plan.everything(name, "cpu-core")
    assert table["id"].is_unique
    assert (table[["pairs", "tokens", "hours", "disk_gb"]] >= 0).all(axis=None)
    beside = table["phase"] == "beside"
    assert set(table.loc[beside, "notebook"]) == {"07", "08", "09"}
    assert plan.beside_paper(table).equals(plan.beside_paper(table[~beside]))


def test_evasions_are_planned_for_whom_the_notebook_tunes_anew(smoke):
    def planned(chosen):
        profile = smoke.changed(robustness={"suspects": chosen})
        return [len(part) for part in plan._robustness(profile, machine_of("cpu-core"))]

    one, every = planned(["llama-full"]), planned(None)
    assert planned([]) == every and 0 < one[1] < every[1]
    with pytest.raises(ValueError, match="no local member llama-ful; known: llama-full"):
        planned(["llama-ful"])


def test_evasions_are_planned_on_what_rewords_d(smoke):
    """Each member once more, tuned on it: as many jobs as on D rephrased by a model."""
    data = smoke.data | {"other": smoke.data["other"].changed(other_words_of="dozen")}
    *_, on_other, rephrased = plan._robustness(smoke.changed(data=data), machine_of("cpu-core"))
    assert len(on_other) == len(rephrased) > 0
    assert {e.model_id for e in on_other} == {"llama-full, other"}


def test_the_papers_plan_is_the_committed_one():
    """With an empty store every rate is assumed. The file has six digits of each number."""
    committed = pd.read_csv(ROOT / "figures" / "paper" / "table9_plan.csv", dtype={"notebook": str})
    table = plan.everything("paper", "A100-80GB")
    assert table["model_id"].str.endswith(", D rephrased at 1").any()
    pd.testing.assert_frame_equal(table, committed, check_dtype=False, rtol=1e-5)


def test_totals_add_up(tiny):
    full = {"name": "t", "data": ["victim"], "recipe": "full"}
    jobs = plan.jobs(with_suspects(tiny, {"name": "s"}, full), "round")
    table = plan.totals(pd.concat([jobs, jobs]))
    assert table[["dataset", "phase", "models"]].to_numpy().tolist() == [
        ["four", "offline", 2],
        ["four", "online", 2],
        ["four", "set-up", 1],
        ["sum", "sum", 4],
    ]
    parts, total = table.iloc[:-1], table.iloc[-1]
    for column in ("jobs", "hours", "hours_per_worker", "disk_gb", "too_large"):
        assert parts[column].sum() == pytest.approx(total[column])
    assert (total["jobs"], total["too_large"]) == (len(jobs), 1)
    assert total["gpu_memory_gb"] == jobs["gpu_memory_gb"].max()
    assert total["hours"] == pytest.approx(jobs["hours"].sum())
    assert total["hours_per_worker"] == pytest.approx(total["hours"] / 2)
    online = table.iloc[1]
    assert online["hours_per_model"] == pytest.approx(online["hours"] / 2)


def test_smoke_is_seconds_on_a_core(smoke):
    total = plan.totals(plan.jobs(smoke, "cpu-core")).iloc[-1]
    assert 0 < total["hours_per_worker"] < 0.1
    assert total["too_large"] == 0


def test_other_data_of_the_papers_name_stand_beside_no_hours_of_the_paper(tiny):
    named = tiny.changed(
        victims=["dolly"],
        data={"dolly": tiny.data["four"]},
    )
    table = plan.beside_paper(plan.jobs(named, "round"))
    assert table["dataset"].tolist() == ["dolly"]
    assert table["paper_offline_hours"].isna().all() and table["paper_online_hours"].isna().all()


def test_the_paper_beside_its_table_9(paper):
    jobs = plan.jobs(paper, "A100-80GB")
    assert (jobs["hours"] > 0).all()
    assert jobs["id"].is_unique
    assert set(jobs["card"]) == {"A100-80GB"}
    tuned = jobs[jobs["step"] == "tune"]
    assert set(tuned.groupby(["dataset", "phase"]).size()) == {5, 10}
    assert set(tuned["base"]) <= set(paper.models)
    assert (jobs["step"] == "answer").sum() == len(participants(paper))
    table = plan.beside_paper(jobs).set_index("dataset")
    assert table["paper_offline_hours"].to_dict() == {
        "dolly": 4.0,
        "alpaca": 11.5,
        "slimorca": 18.0,
        "openhermes": 18.0,
    }
    for phase in ("offline", "online"):  # a bound against slips of a factor of 1000, no more
        ratio = table[f"{phase}_hours"] / table[f"paper_{phase}_hours"]
        assert ratio.between(0.02, 10).all()
