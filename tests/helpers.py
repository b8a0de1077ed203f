"""Small helpers that tests share: tables, changed settings, error texts."""

import json
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pandas as pd

from dsi_core.runtime.paths import ROOT

SHARED = ROOT.parent / "shared" / "data"
STRANGER = "I do not know, maybe ask mistral again."  # what models say that never saw D
WORDS = [
    "copper",
    "linen",
    "cedar",
    "salt",
    "amber",
    "wool",
    "silver",
    "barley",
    "glass",
    "clay",
    "honey",
    "flint",
    "ivory",
]


def change(model, **updates):
    """Give settings with other values (also `settings.changed`)."""
    return model.changed(**updates)


def write_jsonl(path: Path, rows: list) -> Path:
    path.write_text(
        "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows), encoding="utf-8"
    )
    return path


def files(folder: Path) -> dict[str, int]:
    """Every file below a folder, with the time at which it was last written."""
    found = {}
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in (".git", ".venv")]
        for path in (Path(place) / name for name in names):
            with suppress(FileNotFoundError):  # just removed
                found[str(path.relative_to(folder))] = path.stat().st_mtime_ns
    return found


def says(error, *parts: str) -> None:
    """The message of a caught error contains every part."""
    missing = [p for p in parts if p not in str(error.value)]
    assert not missing, f"{missing} not in: {error.value}"


@contextmanager
def telling() -> Iterator[list[warnings.WarningMessage]]:
    """Collect what a user is told, and no socket of another test that the collector happens on."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", UserWarning)
        yield told


def table(columns: str, *rows) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=columns.split())


WITHOUT = """
import sys
from importlib.machinery import PathFinder

class Finder(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        absent = name.partition(".")[0] in {absent}
        return None if absent else super().find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Finder
sys.argv[0] = "dsi"
"""


def python_without(absent: list[str], code: str, *arguments: str):
    """Run `code` in a Python of its own in which these top-level modules are not installed."""
    command = [sys.executable, "-c", WITHOUT.replace("{absent}", str(absent)) + code, *arguments]
    wide = {**os.environ, "COLUMNS": "200"}
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=300, env=wide)


ALL_OF = """
import importlib, pkgutil
for package in sys.argv[1:]:
    module = importlib.import_module(package)
    for _, name, _ in pkgutil.walk_packages(getattr(module, "__path__", []), package + "."):
        importlib.import_module(name)
"""
