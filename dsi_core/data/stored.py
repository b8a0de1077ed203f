"""Pairs made by the study as a file of the store, so that they are a dataset like any other."""

from pathlib import Path

import pandas as pd

from dsi_core.runtime import disk, locks, store


def write(kind: str, name: str, pairs: pd.DataFrame) -> Path:
    """Write pairs as JSON Lines, once for each content, and give the file.

    kind, name: of the store's entry.
    """
    text = pairs.to_json(orient="records", lines=True, force_ascii=False)
    folder = store.entry(kind, name, {"pairs": store.key(text)})
    path = folder / "pairs.jsonl"
    with locks.held(folder):
        if store.manifest(folder) is None:
            disk.write_text(path, text)
            store.finish(folder, pairs=len(pairs))
    return path.resolve()
