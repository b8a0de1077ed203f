"""A made-up profile under round assumptions; nothing comes from outside."""

import socket

import pytest
from helpers import write_jsonl
from planned import LORA, PAIR, ROUND

from dsi_core.planning import assumptions
from dsi_core.settings.profile import load_profile
from dsi_core.settings.schema import Data, Recipe, Reference, Suspect, Trained


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
    return smoke.changed(
        victims=["four"],
        data={"four": Data(path=str(file), prompt=["question"], output="answer")},
        recipes=recipes,
        references=[Reference(name="one", without=Trained(base="llama"), with_=LORA)],
        suspects=[Suspect(name="s", member=False, base="llama")],
        responses={"ask": "tainted", "draws": 3, "batch_size": 4, "max_new_tokens": 48},
        controls=[],
        more_references=[],
        reference_sets={},
        wild={},
        suites={},
        dpdllm=None,
        robustness=None,
        imitation=None,
        attribution=None,
        grey_box=None,
        calibration=None,
    )


@pytest.fixture(scope="session")
def paper():
    return load_profile("paper")
