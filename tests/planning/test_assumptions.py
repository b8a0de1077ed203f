"""What a plan takes for granted is whole, has its reasons, and is refused when it is wrong."""

import re

import numpy as np
import pytest
import yaml
from helpers import says
from planned import RULES
from safetensors.numpy import save_file

from dsi_core.data.pairs import dataset
from dsi_core.method.participants import participants
from dsi_core.paper import tables
from dsi_core.planning import assumptions, jobs
from dsi_core.planning.sizes import size_of
from dsi_core.runtime.paths import ROOT


@pytest.mark.parametrize(
    "name, billions",
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
def test_sizes_of_models(name, billions):
    assert assumptions.billions(name) == billions


@pytest.mark.parametrize(
    "name", ["a/some-model", "a/mixtral-8x7b", "a/merge-7b-13b", "7b/base", "a/v2b3"]
)
def test_a_name_without_a_size_is_refused(name):
    with pytest.raises(ValueError) as error:
        assumptions.billions(name)
    says(error, name, "models: billions:", "params/plan.yaml")


@pytest.mark.parametrize(
    "name, read, written",
    [
        ("Qwen/Qwen2-7B", 7.62 - 2 * 0.545, 7.62 - 0.545),  # two tables
        ("google/gemma-7b", 8.54 - 0.786, 8.54),  # one
        ("a/falcon-7b", 7, 7),  # not stated
    ],
)
def test_looking_up_embeddings_is_no_computing(name, read, written):
    assert assumptions.computing_billions(name, 0) == pytest.approx(read)
    assert assumptions.computing_billions(name, 1) == pytest.approx(written)
    assert assumptions.computing_billions(name, 0.25) == pytest.approx(0.75 * read + 0.25 * written)


def test_unknown_card():
    with pytest.raises(ValueError) as error:
        assumptions.card("A100")
    says(error, "'A100'", "A100-80GB", "H100-80GB", "H200-141GB", "cpu-core")


def test_devices_of_cards():
    devices = [
        "cpu",
        "NVIDIA A100-SXM4-80GB",
        "NVIDIA A100 80GB PCIe",
        "NVIDIA A100-SXM4-40GB",
        "NVIDIA H100 80GB HBM3",
        "NVIDIA H200",
        "NVIDIA GH200 480GB",
        "cuda:0",
    ]
    matching = {
        name: [device for device in devices if re.search(card.device, device)]
        for name, card in assumptions.read().cards.items()
    }
    assert matching == {
        "cpu-core": devices[:1],
        "A100-80GB": devices[1:3],
        "H100-80GB": [devices[4]],
        "H200-141GB": [devices[5]],  # a GH200 has another memory
    }


def test_assumptions_are_whole_in_lines_as_wide_as_a_page():
    said = assumptions.text(100)
    assert max(map(len, said.splitlines())) <= 100
    words = " ".join(said.split())
    for row in assumptions.table().itertuples():
        assert f"{row.item}: {row.value}" in words and " ".join(row.why.split()) in words
    assert words.count(assumptions.read().models.why) == 1  # and not below each model


def test_assumptions_all_say_why():
    table = assumptions.table()
    assert list(table.columns) == ["item", "value", "unit", "why"]
    assert table["item"].is_unique
    assert table["why"].str.len().min() > 10
    assert table["value"].notna().all()
    assert set(RULES) <= set(table["item"])


def test_seconds_per_token_by_hand(tiny):
    """2 FLOP for each of 8e9 parameters, at half of 1e12 a second."""
    card = assumptions.card("round").changed(forward_fraction=0.25)
    assert card.tuning_seconds(2, 8) == pytest.approx(0.032)
    assert card.forward_seconds(2, 8) == pytest.approx(0.064)


@pytest.mark.parametrize(
    "change, parts",
    [
        (lambda raw: raw["rules"].pop("nf4_bytes"), ["rules: nf4_bytes must be there"]),
        (lambda raw: raw["rules"].update(speed=raw["rules"]["kept_mb"]), ["rules.speed"]),
        (lambda raw: raw["rules"]["kept_mb"].pop("why"), ["rules.kept_mb.why", "required"]),
        (lambda raw: raw["cards"]["cpu-core"].update(workers=0), ["cards.cpu-core.workers", "0"]),
        (lambda raw: raw["cards"]["cpu-core"].update(tflop=1), ["cards.cpu-core.tflop"]),
        (
            lambda raw: raw["datasets"]["tatsu-lab/alpaca"].update(rows="many"),
            ["datasets.tatsu-lab/alpaca.rows", "'many'"],
        ),
    ],
)
def test_a_wrong_file_is_refused(tmp_path, monkeypatch, change, parts):
    raw = yaml.safe_load((ROOT / assumptions.FILE).read_text())
    change(raw)
    (tmp_path / "params").mkdir()
    (tmp_path / "params" / "plan.yaml").write_text(yaml.safe_dump(raw))
    monkeypatch.setattr(assumptions, "ROOT", tmp_path)
    assumptions.read.cache_clear()
    try:
        with pytest.raises(ValueError) as error:
            assumptions.read()
    finally:
        assumptions.read.cache_clear()
    says(error, "params/plan.yaml", *parts)


def test_every_model_of_the_paper_has_a_size(paper):
    bases = {p.trained.base: p.training.base for p in participants(paper)}
    for name, base in bases.items():
        assert 0.1 <= assumptions.billions(jobs.source_of(base)) <= 80, name


def test_the_papers_datasets_are_as_large_as_it_says(paper):
    for reported in tables.reported("table4").itertuples():
        stated = assumptions.hub_dataset(f"{reported.owner}/{reported.name}", reported.dataset)
        assert stated.rows == reported.size
        drawn = size_of(dataset(paper, reported.dataset)).pairs
        assert drawn == min(reported.size, 50_000)


def test_the_parameters_of_a_local_folder_are_counted(tmp_path):
    own, packed = tmp_path / "own", tmp_path / "packed-7b"
    for folder, kind in ((own, np.float32), (packed, np.uint8)):
        folder.mkdir()
        save_file({"a": np.zeros((3, 1000), kind)}, folder / "model-1.safetensors")
        save_file({"b": np.zeros(2000, np.float32)}, folder / "model-2.safetensors")
    save_file({"a": np.zeros(5000, np.float32)}, own / "consolidated.safetensors")  # a second copy
    assert assumptions.billions(str(own)) == 5e-6
    assert assumptions.billions(str(packed)) == 7  # by its name
