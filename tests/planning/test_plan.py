"""The plan's numbers by hand on a made-up profile with round assumptions; what it takes from the store; the paper's profile."""

import socket

import pandas as pd
import pytest
from helpers import change, says, write_jsonl

from dsi_core.imitation import dataset
from dsi_core.method.study import Study, members
from dsi_core.models import tuning
from dsi_core.paper import tables
from dsi_core.planning import (
    assumptions,
    plan,
    rates,
)
from dsi_core.planning import (
    jobs as plan_jobs,
)
from dsi_core.planning import (
    neighbours as plan_neighbours,
)
from dsi_core.runtime import store
from dsi_core.settings.profile import load_profile
from dsi_core.settings.schema import (
    Data,
    Endpoint,
    Model,
    Recipe,
    Reference,
    Suspect,
    Trained,
    Wild,
)

RULES = {
    "frozen_flops": 4,
    "full_flops": 6,
    "recompute_flops": 2,
    "forward_flops": 2,
    "nf4_bytes": 0.5,
    "nf4_traffic": 5,
    "adapter_share": 0.001,
    "encoder_share": 0.5,
    "trained_bytes": 16,
    "checkpointed_mb": 0.1,
    "kept_mb": 2,
    "logits_mb": 1,
    "cache_mb": 0.25,
    "chars_per_token": 4,
    "template_tokens": 5,
    "untuned_answer_tokens": 30,
    "longest_of_batch": 3,
    "local_tainted": 0.5,
    "endpoint_tokens_per_s": 10,
    "download_mb_per_s": 100,
    "file_bytes": 2,
    "unpacked_bytes": 4,
}
CARD = {
    "memory_gb": 100,
    "tflops": 1,
    "tb_per_s": 0.1,
    "compute_fraction": 0.5,
    "bandwidth_fraction": 0.5,
    "bytes_per_parameter": 2,
    "fixed_gb": 1,
    "checkpointing": True,
    "micro_batch": None,
    "workers": 2,
    "device": "^round",
    "why": "by hand",
}
ROUND = {
    "cards": {
        "round": CARD,
        "other device": {**CARD, "device": "^oval"},
        "bare": {**CARD, "checkpointing": False, "micro_batch": 1},
    },
    "rules": {n: {"value": v, "unit": "", "why": "by hand"} for n, v in RULES.items()},
    "datasets": {
        "owner/known": {
            "rows": 1000,
            "prompt_tokens": 10,
            "answer_tokens": 20,
            "tainted": 7,
            "why": "by hand",
        },
        plan_neighbours.TARGET: {
            "rows": 100,
            "prompt_tokens": 10,
            "answer_tokens": 20,
            "tainted": 5,
            "why": "by hand",
        },
    },
    "models": {
        "why": "by hand",
        "billions": {"toy llama": 8, "toy qwen2": 8, "toy bert": 0.5, "owner/eight": 8},
    },
}
PAIR = {"question": "q" * 40, "answer": "a" * 80}  # 10 and 20 tokens; with the template 35
LORA = Trained(base="llama", data=["victim"], recipe="lora")


@pytest.fixture(autouse=True)
def nothing_from_outside(monkeypatch, empty_store):
    def refuse(*args, **kwargs):
        raise AssertionError(f"asked for {args}")

    monkeypatch.setattr("datasets.load_dataset", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture
def tiny(smoke, tmp_path, monkeypatch):
    """One reference and one untuned suspect on four pairs, under round assumptions."""
    monkeypatch.setattr(assumptions, "read", lambda: ROUND)
    file = write_jsonl(tmp_path / "four.jsonl", [{**PAIR, "question": c * 40} for c in "abcd"])
    how = {"learning_rate": 1e-3, "epochs": 3, "batch_size": 2}
    recipes = {
        "full": Recipe(method="full", **how),
        "lora": Recipe(method="lora", rank=10, alpha=1, **how),
        "qlora": Recipe(method="qlora", rank=10, alpha=1, **how),
    }
    return change(
        smoke,
        victims=["four"],
        data={"four": Data(path=str(file), prompt=["question"], output="answer")},
        recipes=recipes,
        references=[Reference(name="one", without=Trained(base="llama"), **{"with": LORA})],
        suspects=[Suspect(name="s", member=False, base="llama")],
        responses={"ask": "tainted", "draws": 3, "batch_size": 4, "max_new_tokens": 48},
    )


def row(table, **where):
    found = table.loc[(table[list(where)] == pd.Series(where)).all(axis=1)]
    assert len(found) == 1, f"{len(found)} rows are {where}"
    return found.iloc[0]


def numbers(job):
    return {
        "pairs": job["pairs"],
        "tokens": job["tokens"],
        "seconds": round(3600 * job["hours"], 6),
        "memory": round(job["gpu_memory_gb"], 6),
    }


def test_every_job_by_hand(tiny):
    jobs = plan.jobs(tiny, "round")
    assert (
        list(jobs.columns) == plan.COLUMNS and len(jobs) == 6 and set(jobs["basis"]) == {"assumed"}
    )
    # 4 pairs x 35 tokens x 3 epochs; (4 + 2) x 8e9 FLOP a token at 5e11 FLOP/s; 16 GB of weights, 0.08e9 adapter weights x 16 bytes,
    # 2 x 35 tokens x (0.1 x 8^(2/3) + 1) MB
    tune = row(jobs, step="tune")
    assert numbers(tune) == {
        "pairs": 4,
        "tokens": 420,
        "seconds": 40.32,
        "memory": 1 + 16 + 1.28 + 0.098,
    }
    assert (tune["phase"], tune["disk_gb"]) == ("offline", pytest.approx(0.32))
    # One batch of 4, 48 steps of 16 GB at 50 GB/s, then prompts of 15 tokens at 2 x 8e9 / 5e11 s; cache: 4 x (15 + 48) tokens of 1 MB
    answer = {"pairs": 4, "seconds": 48 * 0.32 + 4 * 15 * 0.032, "memory": 1 + 16 + 0.252}
    assert numbers(row(jobs, step="answer", model_id="R^t one")) == {**answer, "tokens": 80}
    assert numbers(row(jobs, step="answer", model_id="R one")) == {**answer, "tokens": 120}
    # Half of D is tainted: 2 prompts x 3 draws are two batches; a prompt is read once
    seconds = 96 * 0.32 + 2 * 15 * 0.032
    assert numbers(row(jobs, step="answer", model_id="s")) == {
        **answer,
        "pairs": 2,
        "tokens": 180,
        "seconds": seconds,
    }
    # 80 oracle tokens + 120 + 80 of the references; 180 of the suspect + half of 200; 2 x 0.5e9 FLOP a token
    assert numbers(row(jobs, step="similarity", phase="offline")) == {
        "pairs": 8,
        "tokens": 280,
        "seconds": 0.56,
        "memory": 3,
    }
    assert numbers(row(jobs, step="similarity", phase="online")) == {
        "pairs": 12,
        "tokens": 280,
        "seconds": 0.56,
        "memory": 3,
    }


def with_suspects(tiny, *suspects, **updates):
    made = [
        Suspect(member="victim" in s.get("data", []), **{"base": "llama", **s}) for s in suspects
    ]
    return change(tiny, suspects=made, **updates)


def test_methods_and_cards_by_hand(tiny):
    profile = with_suspects(
        tiny, *({"name": r, "data": ["victim"], "recipe": r} for r in ("full", "qlora"))
    )
    full, qlora = (
        row(plan.jobs(profile, "round"), step="tune", model_id=m) for m in ("full", "qlora")
    )
    assert numbers(full) == {
        "pairs": 4,
        "tokens": 420,
        "seconds": round(420 * 8 * 8 / 500, 6),
        "memory": 1 + 8 * 16 + 0.098,
    }
    assert (full["phase"], full["fits"], full["disk_gb"]) == ("set-up", False, 32)
    assert numbers(qlora)["memory"] == 1 + 4 + 1.28 + 0.098 and qlora["fits"]
    # NF4: 40 GB a step at 50 GB/s, in two batches of 48 steps
    assert (
        numbers(row(plan.jobs(profile, "round"), step="answer", model_id="qlora"))["seconds"]
        == 96 * 0.8 + 2 * 15 * 0.032
    )
    bare = row(
        plan.jobs(profile, "bare"), step="tune", model_id="full"
    )  # no recomputation, one pair at once, all activations kept
    assert numbers(bare) == {
        "pairs": 4,
        "tokens": 420,
        "seconds": 40.32,
        "memory": 129 + 35 * (2 * 4 + 1) / 1000,
    }


def test_a_large_batch_is_bound_by_compute(tiny):
    job = row(
        plan.jobs(change(tiny, responses={"batch_size": 100, "ask": "all", "draws": 5}), "round"),
        step="answer",
        model_id="s",
    )
    assert numbers(job)["seconds"] == round(
        20 * 30 * 0.032 + 4 * 15 * 0.032, 6
    )  # 600 tokens take 19.2 s, reading 48 times 15.36 s


def test_greedy_answers_are_given_once(tiny):
    assert (
        row(
            plan.jobs(change(tiny, responses={"temperature": 0.0}), "round"),
            step="answer",
            model_id="s",
        )["tokens"]
        == 2 * 30
    )


def test_data_left_out_and_token_limits(tiny):
    profile = with_suspects(
        tiny, {"name": "less", "data": ["victim"], "recipe": "lora", "leave_out": ("x",)}
    )
    assert row(plan.jobs(profile, "round"), step="tune", model_id="less")["tokens"] == 3 * 35 * 3
    short = {n: r.model_copy(update={"max_tokens": 20}) for n, r in tiny.recipes.items()}
    assert row(plan.jobs(change(tiny, recipes=short), "round"), step="tune")["tokens"] == 4 * 20 * 3


def test_hub_data_is_assumed_and_hub_models_are_downloaded(tiny):
    hub = {"prompt": ["question"], "output": "answer", "hub": "owner/known"}
    data = {"four": Data(**hub, rows=400), "rest": Data(**hub, rows=900, apart_from="four")}
    wild = Wild(members=["owner/eight"], non_members=["owner/some-2b"], data=["iid"], recipe="full")
    jobs = plan.jobs(change(tiny, data=data, wild={"four": wild}), "round")
    assert row(jobs, step="tune", model_id="R^t one")["pairs"] == 400
    assert row(jobs, step="tune", model_id="owner/eight")["pairs"] == 600  # what is left of 1000
    assert row(jobs, step="answer", model_id="s")["pairs"] == 7
    download = row(jobs, step="download", base="owner/some-2b")
    assert (
        download["dataset"],
        download["phase"],
        download["disk_gb"],
        3600 * download["hours"],
    ) == ("all", "set-up", 4, 40)
    with pytest.raises(ValueError) as error:
        plan.jobs(change(tiny, data={"four": Data(**{**hub, "hub": "owner/unknown"})}), "round")
    says(error, "'four'", "owner/unknown", "params/plan.yaml", "owner/known")


def test_a_model_behind_an_endpoint_needs_no_card(tiny):
    models = {
        **tiny.models,
        "api": Model(endpoint=Endpoint(base_url="https://host/v1", model="m", concurrency=2)),
    }
    job = row(
        plan.jobs(with_suspects(tiny, {"name": "s", "base": "api"}, models=models), "round"),
        step="answer",
        model_id="s",
    )
    assert (job["gpu_memory_gb"], round(3600 * job["hours"], 6), pd.isna(job["billions"])) == (
        0,
        180 / 20,
        True,
    )


def test_the_same_tuning_counts_once_and_offline(tiny):
    same, other = (
        {"name": n, "data": ["victim"], "recipe": r}
        for n, r in (("same", "lora"), ("other", "full"))
    )
    profile = with_suspects(tiny, same, other)
    jobs = plan.jobs(profile, "round")
    assert jobs.query("step == 'tune'")[["model_id", "phase"]].values.tolist() == [
        ["R^t one", "offline"],
        ["other", "set-up"],
    ]
    both = pd.concat([plan.jobs(with_suspects(tiny, same), "round"), jobs])
    pd.testing.assert_frame_equal(
        plan.unique(both).sort_values("id", ignore_index=True),
        jobs.sort_values("id", ignore_index=True),
    )
    assert len(plan.unique(pd.concat([jobs, plan.jobs(change(profile, seed=1), "round")]))) > len(
        jobs
    )  # another seed is other work
    late_first = plan.unique(pd.concat([jobs.assign(phase="set-up"), jobs]))
    assert late_first.set_index("id")["phase"].to_dict() == jobs.set_index("id")["phase"].to_dict()


def neighbours(profile, section):
    """The rows of one neighbour, with the card "round"."""
    return pd.DataFrame(
        getattr(plan_neighbours, section)(profile, ROUND["cards"]["round"], {})
    ).fillna({"gpu_memory_gb": 0})


def test_grey_box_by_hand(tiny, smoke, tmp_path):
    file = write_jsonl(tmp_path / "six.jsonl", [{**PAIR, "question": c * 40} for c in "efghij"])
    how = change(
        smoke.grey_box,
        validation={"four": Data(path=str(file), prompt=["question"], output="answer")},
        references=["llama"],
        compared=2,
        neighbours=1,
        shots=2,
        asked=3,
        draws=2,
    )
    jobs = neighbours(change(tiny, grey_box=how), "grey_box")
    # 4 of D and 6 - 2 of validation, 35 tokens each; 4 compared: twice the prompt, lowercase, a neighbour and ReCaLL's answer; a prefix of 2
    assert numbers(row(jobs, step="read", model_id="s")) == {
        "pairs": 12,
        "tokens": 280 + 4 * (30 + 60) + 70,
        "seconds": 22.72,
        "memory": 17,
    }
    assert numbers(row(jobs, step="read", model_id="reference llama")) == {
        "pairs": 8,
        "tokens": 280,
        "seconds": 8.96,
        "memory": 17,
    }
    assert jobs.query("step == 'answer'")[["pairs", "draws", "tokens"]].values.tolist() == [
        [6, 2, 360],
        [6, 1, 180],
    ]
    same = change(
        how, validation={"four": tiny.data["four"].model_copy(update={"rows": None})}, shots=0
    )
    assert (
        row(neighbours(change(tiny, grey_box=same), "grey_box"), model_id="reference llama")[
            "pairs"
        ]
        == 4
    )  # D left nothing of its source


def test_a_validation_set_is_what_random_draws_leave(tiny):
    hub = {"prompt": ["question"], "output": "answer", "hub": "owner/known"}  # 1,000 pairs
    data = {
        "half": Data(**hub, rows=500),
        "x": Data(**hub, rows=400),
        "rest of x": Data(**hub, rows=300, apart_from="x"),
    }
    assert (
        plan_neighbours._validation(change(tiny, data=data), Data(**hub)) == 1000 * 0.5 * 0.6 * 0.5
    )
    assert plan_neighbours._validation(change(tiny, data=data), Data(**hub, rows=70)) == 70


def test_attribution_by_hand(tiny, smoke):
    people = (
        {"name": n, "base": n, "data": ["victim"], "recipe": "lora"} for n in ("llama", "qwen2")
    )
    how = change(
        smoke.attribution,
        prompts=["victim"],
        questions=3,
        folds=2,
        tokens=10,
        epochs=2,
        negatives=1,
        backbone=None,
    )
    jobs = neighbours(with_suspects(tiny, *people, attribution=how), "attribution")
    assert sorted(jobs.query("step == 'answer'")["tokens"]) == [60, 60, 90, 90]
    assert (
        jobs.query("step == 'read'")[["pairs", "tokens"]].values.tolist()
        == [[12, 300 + 12 * 15]] * 2
    )
    # Two fits on 2 bases' 3 replies, 2 epochs: 10 tokens alone and 20 in each of two pairs; half of 0.5e9 parameters
    assert numbers(row(jobs, step="tune")) == {
        "pairs": 12,
        "tokens": 1200,
        "seconds": 3.6,
        "memory": 5,
    }
    assert neighbours(
        with_suspects(tiny, {"name": "a", "data": ["victim"], "recipe": "lora"}, attribution=how),
        "attribution",
    ).empty  # one base


def test_imitation_by_hand(tiny, smoke):
    how = change(
        smoke.imitation,
        target=Trained(base="llama"),
        references=None,
        answer_tokens=16,
        mixture=None,
        imitator={"base": "llama", "recipe": "lora"},
        suspects=[Suspect(name="on-D", member=True, base="llama", data=["victim"], recipe="full")],
    )
    profile = change(tiny, imitation=how)
    jobs = neighbours(profile, "imitation_data")
    # 8 queries in 1 round of 9 categories; 6 + 6 + 3 pairs and the 3 once more; three imitators and their base answer 3
    assert jobs[["model_id", "pairs", "tokens"]].values.tolist() == [
        ["target", 72, 2160],
        ["target", 18, 288],
    ] + [[n, 3, 48] for n in ("imitator of 3", "imitator of 6", "imitator of 12", dataset.UNTUNED)]
    accused = plan.jobs(plan_neighbours.imitation_profile(profile), "round")
    tuned = accused.query("step == 'tune'").set_index("model_id")[["pairs", "tokens"]]
    assert (
        tuned.loc["imitator of 3"].tolist() == [3, 3 * 3 * 31]
        and tuned.loc["imitator of 12", "pairs"] == 12
    )  # outputs of 16 tokens
    assert tuned.loc["on-D", "pairs"] == tuned.loc["R^t one", "pairs"] == 6


@pytest.mark.parametrize("name", ["smoke", "paper"])
def test_the_neighbours_come_on_top(name):
    table = plan.everything(name, "cpu-core")
    assert (table[["pairs", "tokens", "hours", "disk_gb"]] >= 0).all(axis=None)
    assert (
        set(table.loc[table["phase"] == "beside", "notebook"]) == {"07", "08", "09"}
        and table["id"].is_unique
    )
    assert plan.beside_paper(table).equals(plan.beside_paper(table[table["phase"] != "beside"]))


def test_totals_add_up(tiny):
    profile = with_suspects(
        tiny, {"name": "s"}, {"name": "t", "data": ["victim"], "recipe": "full"}
    )
    jobs = plan.jobs(profile, "round")
    table = plan.totals(pd.concat([jobs, jobs]))
    parts, total = table.iloc[:-1], table.iloc[-1]
    assert list(zip(table["dataset"], table["phase"], table["models"])) == [
        ("four", "offline", 2),
        ("four", "online", 2),
        ("four", "set-up", 1),
        ("sum", "sum", 4),
    ]
    for column in ("jobs", "hours", "hours_per_worker", "disk_gb", "too_large"):
        assert parts[column].sum() == pytest.approx(total[column])
    assert (total["jobs"], total["gpu_memory_gb"]) == (len(jobs), jobs["gpu_memory_gb"].max())
    assert total["hours"] == pytest.approx(jobs["hours"].sum())
    assert (
        total["hours_per_worker"] == pytest.approx(total["hours"] / 2) and total["too_large"] == 1
    )
    online = table.iloc[1]
    assert online["hours_per_model"] == pytest.approx(online["hours"] / 2)


def test_measured_rates_take_the_place_of_assumed_ones(tiny):
    base, tuned = (
        {"toy": "llama", "chat_template": "x"},
        {"base": {"toy": "llama"}, "recipe": {"method": "lora"}},
    )
    for i, (tokens, device) in enumerate(
        [(100, "round 1"), (300, "round 1"), (200, "round 2"), (9000, "cuda:0")]
    ):
        store.finish(
            store.entry("tuned", "m", {**tuned, "seed": i}),
            tokens=tokens,
            seconds=10,
            device=device,
        )
    store.finish(
        store.entry("responses", "r", {"model": {"base": base}, "model_id": "r"}),
        tokens=50,
        seconds=10,
        device="round 1",
    )
    store.finish(
        store.entry("responses", "q", {"model": {"base": base, "recipe": {"method": "qlora"}}}),
        tokens=70,
        seconds=10,
    )
    store.entry("tuned", "unfinished", {**tuned, "seed": 99})
    store.finish(store.entry("tuned", "without a rate", {**tuned, "seed": 100}), seconds=10)
    found = rates.measured().set_index(["step", "method", "device"])
    assert set(found["base"]) == {"toy llama"} and len(found) == 5
    assert found.loc[("tune", "lora", "round 1"), ["tokens_per_s", "count"]].tolist() == [20, 2]
    assert found.loc[("answer", "plain", "round 1"), "tokens_per_s"] == 5
    assert ("answer", "nf4", "cpu") in found.index or (
        "answer",
        "nf4",
        "unknown",
    ) in found.index  # by torch's build
    jobs = plan.jobs(
        with_suspects(tiny, {"name": "s"}, {"name": "t", "data": ["victim"], "recipe": "full"}),
        "round",
    )
    tune = row(jobs, step="tune", model_id="R^t one")
    assert (tune["basis"], tune["hours"]) == (
        "measured",
        pytest.approx(420 / 20 / 3600),
    )  # the median of 10, 20 and 30
    assert (
        row(jobs, step="tune", model_id="t")["basis"] == "assumed"
    )  # full tuning was not measured
    answer = row(jobs, step="answer", model_id="s")
    assert (answer["basis"], answer["hours"]) == ("measured", pytest.approx(180 / 5 / 3600))
    assert set(plan.jobs(tiny, "other device")["basis"]) == {"assumed"}


def test_an_empty_store_has_no_rates():
    assert (
        list(rates.measured().columns)
        == ["step", "base", "method", "device", "tokens_per_s", "count"]
        and rates.measured().empty
    )


@pytest.mark.parametrize(
    "name, size",
    [
        ("a/falcon-7b", 7),
        ("a/open-mix-65b", 65),
        ("a/ShortKing-1.4b-v0.1", 1.4),
        ("a/pythia-6.9b-tulu", 6.9),
        ("a/13B-Ouroboros", 13),
        ("a/Yi-6B_Open", 6),
        ("a/Orca-2.0-Tau-1.8B", 1.8),
        ("a/DeciLM-7B-Instruct-128k", 7),
        ("70b/speechless-llama2-13b", 13),
        ("a/pythia-410m", 0.41),
        ("HuggingFaceH4/starchat-alpha", 15.5),
        ("vilm/Quyen-Pro-Max-v0.1", 72.3),
        ("google/gemma-7b", 8.54),
    ],
)
def test_sizes_of_models(name, size):
    assert assumptions.billions(name) == size


@pytest.mark.parametrize(
    "name", ["a/some-model", "a/mixtral-8x7b", "a/merge-7b-13b", "7b/base", "a/v2b3"]
)
def test_a_name_without_a_size_is_refused(name):
    with pytest.raises(ValueError) as error:
        assumptions.billions(name)
    says(error, name, "models: billions:", "params/plan.yaml")


def test_unknown_card(smoke):
    with pytest.raises(ValueError) as error:
        plan.jobs(smoke, "A100")
    says(error, "'A100'", "A100-80GB", "H100-80GB", "H200-141GB", "cpu-core")


def test_devices_of_cards():
    devices = [
        "cpu",
        "NVIDIA A100-SXM4-80GB",
        "NVIDIA A100 80GB PCIe",
        "NVIDIA A100-SXM4-40GB",
        "NVIDIA H100 80GB HBM3",
        "NVIDIA H200",
        "cuda:0",
    ]
    found = {
        c: [d for d in devices if pd.Series([d]).str.contains(f["device"]).item()]
        for c, f in assumptions.read()["cards"].items()
    }
    assert found == {
        "cpu-core": devices[:1],
        "A100-80GB": devices[1:3],
        "H100-80GB": [devices[4]],
        "H200-141GB": [devices[5]],
    }


def test_assumptions_all_say_why():
    table = assumptions.table()
    assert list(table.columns) == ["item", "value", "unit", "why"] and table["item"].is_unique
    assert table["why"].str.len().min() > 10 and table["value"].notna().all()
    assert set(RULES) == set(assumptions.read()["rules"])
    assert assumptions.read()["cards"]["cpu-core"]["micro_batch"] == tuning.CPU_MICRO_BATCH


def test_smoke_is_seconds_on_a_core(smoke):
    total = plan.totals(plan.jobs(smoke, "cpu-core")).iloc[-1]
    assert 0 < total["hours_per_worker"] < 0.1 and total["too_large"] == 0


@pytest.fixture(scope="module")
def paper():
    return load_profile("paper")


def test_every_model_and_dataset_of_the_paper_has_a_size(paper):
    for name in members(Study(paper, pd.DataFrame()))["base"]:
        assert 0.1 <= assumptions.billions(plan_jobs.source_of(paper, name)) <= 80, name
    for stated in tables.reported("table4").itertuples():
        known = assumptions.read()["datasets"][f"{stated.owner}/{stated.name}"]
        assert known["rows"] == stated.size and plan_jobs.size_of(
            paper, stated.dataset
        ).pairs == min(stated.size, 50_000)


def test_the_paper_beside_its_table_9(paper):
    jobs = plan.jobs(paper)
    assert (jobs["hours"] > 0).all() and jobs["id"].is_unique and set(jobs["card"]) == {"A100-80GB"}
    tuned = jobs.query("step == 'tune'").groupby(["dataset", "phase"]).size()
    assert set(tuned) == {5, 10} and set(jobs.query("step == 'tune'")["base"]) <= set(paper.models)
    people = members(Study(paper, pd.DataFrame()))
    assert len(jobs.query("step == 'answer'")) == len(people)
    table = plan.beside_paper(jobs).set_index("dataset")
    assert table["paper_offline_hours"].to_dict() == {
        "dolly": 4.0,
        "alpaca": 11.5,
        "slimorca": 18.0,
        "openhermes": 18.0,
    }
    for phase in (
        "offline",
        "online",
    ):  # a bound against slips of a factor of 1000, no more: see the assumptions
        assert table[f"{phase}_hours"].div(table[f"paper_{phase}_hours"]).between(0.1, 10).all()
    faster = plan.beside_paper(plan.jobs(paper, "H200-141GB")).set_index("dataset")
    assert (faster["offline_hours"] < table["offline_hours"]).all()
