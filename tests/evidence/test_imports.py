"""The room of statistics stands alone: numpy, scipy, pandas and itself."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BARRED = [
    *("torch", "transformers", "sklearn", "pydantic", "yaml", "datasets", "peft", "trl"),
    *("bert_score", "rouge_score", "rapidfuzz", "openai", "typer", "tqdm"),
    *("matplotlib", "seaborn", "IPython", "ipywidgets", "papermill"),
]
SCRIPT = """
import importlib, pkgutil, sys

barred = {barred!r}

class Bar:
    def find_spec(self, name, path=None, target=None):
        room = name.split(".")[:2]
        other_room = room[0] == "dsi_core" and len(room) == 2 and room[1] != "evidence"
        if room[0] in barred or other_room:
            raise ImportError(f"{{name}} is barred")

sys.meta_path.insert(0, Bar())
for name in {first!r}:
    importlib.import_module(name)
import dsi_core.evidence
found = [m.name for m in pkgutil.walk_packages(dsi_core.evidence.__path__, "dsi_core.evidence.")]
for name in found:
    importlib.import_module(name)
print(*found)
"""


def imported(*first: str) -> subprocess.CompletedProcess:
    script = SCRIPT.format(barred=BARRED, first=list(first))
    command = [sys.executable, "-c", script]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)


def test_every_module_imports_without_the_other_rooms_and_the_heavy_packages():
    done = imported()
    assert done.returncode == 0, done.stderr
    files = (ROOT / "dsi_core" / "evidence").glob("*.py")
    modules = {f"dsi_core.evidence.{f.stem}" for f in files if f.stem != "__init__"}
    assert set(done.stdout.split()) == modules and len(modules) > 5


@pytest.mark.parametrize(
    "name", ["torch", "sklearn", "dsi_core.settings", "dsi_core.runtime.store"]
)
def test_the_bar_holds(name):
    done = imported(name)
    assert done.returncode and f"ImportError: {'.'.join(name.split('.')[:2])}" in done.stderr
