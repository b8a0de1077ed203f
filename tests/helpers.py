"""Small helpers that tests share: tables, changed settings, error texts."""

import json
from pathlib import Path

import pandas as pd

from dsi_core.runtime.paths import ROOT

SHARED = ROOT.parent / "shared" / "data"
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
    """A copy of a settings object with some fields replaced; a dict changes the fields of the part below it."""
    new = {
        k: change(getattr(model, k), **v)
        if isinstance(v, dict) and hasattr(getattr(model, k), "model_copy")
        else v
        for k, v in updates.items()
    }
    return model.model_copy(update=new)


def write_jsonl(path: Path, rows: list) -> Path:
    path.write_text(
        "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows), encoding="utf-8"
    )
    return path


def says(error, *parts: str) -> None:
    """The message of a caught error contains every part."""
    missing = [p for p in parts if p not in str(error.value)]
    assert not missing, f"{missing} not in: {error.value}"


def table(columns: str, *rows) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=columns.split())
