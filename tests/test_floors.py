"""Who may import whom: the contracts of pyproject.toml, and what a room can do alone."""

import subprocess
import sys
from pathlib import Path

import pytest
from importlinter.api import read_configuration
from importlinter.application import use_cases
from importlinter.configuration import configure

ROOT = Path(__file__).parent.parent
CONTRACTS = read_configuration(str(ROOT / "pyproject.toml"))["contracts_options"]

# Refuses the modules of argv[1], then imports those of argv[2] with all that they hold.
IMPORT_WITHOUT = """
import importlib, pkgutil, sys

refused, wanted = (argument.split(",") for argument in sys.argv[1:3])

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in refused:
            raise ModuleNotFoundError(f"{name} is refused here", name=name)

sys.meta_path.insert(0, Refuse())
for name in wanted:
    module = importlib.import_module(name)
    for _, inner, _ in pkgutil.walk_packages(getattr(module, "__path__", []), f"{name}."):
        importlib.import_module(inner)
"""


def import_without(refused, *wanted):
    """Import packages, with all their modules, in a Python that lacks others; its stderr."""
    command = [sys.executable, "-c", IMPORT_WITHOUT, ",".join(refused), ",".join(wanted)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=120).stderr


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
    refused = ["torch", "transformers", "sklearn", "pydantic", "yaml", "matplotlib", "bert_score"]
    assert import_without(refused, "dsi_core.evidence") == ""
