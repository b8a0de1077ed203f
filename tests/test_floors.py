"""Who may import whom: the contracts of pyproject.toml, and what a room can do alone."""

from pathlib import Path

import pytest
from helpers import ALL_OF, python_without
from importlinter.api import read_configuration
from importlinter.application import use_cases
from importlinter.configuration import configure

ROOT = Path(__file__).parent.parent
CONTRACTS = read_configuration(str(ROOT / "pyproject.toml"))["contracts_options"]


@pytest.mark.parametrize("contract", [c["id"] for c in CONTRACTS])
def test_the_floors_hold(contract, monkeypatch, capsys):
    configure()
    monkeypatch.chdir(ROOT)
    kept = use_cases.lint_imports(limit_to_contracts=(contract,), cache_dir=None)
    assert kept, capsys.readouterr().out


def test_a_room_that_reaches_up_is_found(tmp_path, monkeypatch, capsys):
    """The linter says no where it must: a copy of the contracts on a tree with one wrong import."""
    for room in ("method", "data"):
        (tmp_path / "house" / room).mkdir(parents=True)
        (tmp_path / "house" / room / "__init__.py").touch()
    (tmp_path / "house" / "__init__.py").touch()
    (tmp_path / "house" / "data" / "pairs.py").write_text("from house.method import verdict\n")
    (tmp_path / "house" / "method" / "verdict.py").touch()
    (tmp_path / "floors.toml").write_text(
        '[tool.importlinter]\nroot_package = "house"\n[[tool.importlinter.contracts]]\n'
        'name = "floors"\ntype = "layers"\ncontainers = ["house"]\nlayers = ["method", "data"]\n'
    )
    configure()
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert not use_cases.lint_imports(config_filename="floors.toml", cache_dir=None)
    assert "house.data.pairs -> house.method.verdict" in capsys.readouterr().out


def test_every_room_has_its_floor():
    rooms = {path.parent.name for path in (ROOT / "dsi_core").glob("*/__init__.py")}
    floors = next(c for c in CONTRACTS if c["id"] == "floors")["layers"]
    named = {room.strip(" ()") for layer in floors for room in layer.replace(":", "|").split("|")}
    assert rooms <= named


def test_evidence_needs_neither_torch_nor_settings():
    absent = ["torch", "transformers", "sklearn", "pydantic", "yaml", "matplotlib", "bert_score"]
    done = python_without(absent, ALL_OF, "dsi_core.evidence")
    assert done.returncode == 0, done.stderr
    refused = python_without(absent, ALL_OF, "dsi_core.settings")  # the door does shut
    assert "No module named 'pydantic'" in refused.stderr
