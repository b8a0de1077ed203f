"""What a store holds, listed and summed up for people."""

import os
from contextlib import suppress
from pathlib import Path

import pandas as pd

from dsi_core.runtime import disk, store


def status() -> pd.DataFrame:
    """List what the store holds, one row per entry, newest last.

    Columns: kind, name, key, settings (the plain ones), complete, MB, seconds, finished.
    """
    rows = []
    for spec in sorted(store.root().glob("*/*/spec.json")):
        folder = spec.parent
        name, _, number = folder.name.rpartition("-")
        facts, settings = _facts(folder)
        rows.append(
            {
                "kind": folder.parent.name,
                "name": name,
                "key": number,
                "settings": settings,
                "complete": facts is not None,
                "MB": round(_size_bytes(folder) / 1e6, 1),
                "seconds": (facts or {}).get("seconds"),
                "finished": (facts or {}).get("finished", ""),
            }
        )
    columns = ["kind", "name", "key", "settings", "complete", "MB", "seconds", "finished"]
    table = pd.DataFrame(rows, columns=columns)
    return table.sort_values(["finished", "kind", "name"], ignore_index=True)


def kinds(entries: pd.DataFrame) -> pd.DataFrame:
    """Sum up what `status` lists: kind, entries, complete, GB, hours, newest."""
    grouped = entries.groupby("kind", sort=True)
    summed = grouped.agg(
        entries=("name", "size"),
        complete=("complete", "sum"),
        GB=("MB", "sum"),
        hours=("seconds", "sum"),
        newest=("finished", "max"),
    ).reset_index()
    return summed.assign(
        GB=(summed["GB"].astype(float) / 1000).round(2),
        hours=(summed["hours"].astype(float) / 3600).round(2),
    )


def _facts(folder: Path) -> tuple[dict | None, str]:
    """An entry's manifest, and its settings in a line; a damaged entry says so there."""
    try:
        return store.manifest(folder), _plain_settings(folder / store.SPEC)
    except ValueError as error:
        return None, str(error)


def _size_bytes(folder: Path) -> int:
    """Of a folder's files; a run may remove some meanwhile."""
    size = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                size += (Path(place) / name).stat().st_size
    return size


def _plain_settings(path: Path) -> str:
    """Numbers and method of a spec in one line; the whole is in the entry's spec.json."""
    spec = disk.read_json(path)
    flat = {**spec, **(spec.get("recipe") or {})}
    return " ".join(
        f"{k}={v}" for k, v in flat.items() if isinstance(v, (int, float)) or k == "method"
    )
