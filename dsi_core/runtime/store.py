"""The store: results on disk that survive `kill -9`, are never mixed between settings and are found again.

An entry is a folder `store/<kind>/<name>-<key>/`; the key is a hash of the entry's spec, the JSON of
everything that decides its content (upstream specs included), so other settings go to another folder.
`manifest.json` is written last and marks the entry complete; whatever lies there without one is continued
or made again. Every file is replaced in one step, and a lock file per entry keeps two runs apart.
"""

import hashlib
import json
import os
import platform
import re
import tempfile
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pandas as pd
from filelock import FileLock

from dsi_core.runtime.paths import ROOT

LIBRARIES = [
    "dsi_core",
    "torch",
    "transformers",
    "peft",
    "trl",
    "bitsandbytes",
    "bert-score",
    "datasets",
    "numpy",
    "pandas",
]


def root() -> Path:
    """Where results live: `$DSI_STORE`, or `store/` in the repository."""
    return Path(os.environ.get("DSI_STORE", ROOT / "store"))


def key(spec) -> str:
    """A 12-digit hex name for a spec (any JSON value); equal specs give equal keys, whatever their order."""
    text = json.dumps(spec, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def entry(kind: str, name: str, spec: dict, *, make: bool = True) -> Path:
    """The folder of the entry with this spec; made, with a `spec.json` that says what belongs there, unless only looked up."""
    folder = root() / kind / f"{re.sub(r'[^A-Za-z0-9.+_]+', '-', name)}-{key(spec)}"
    if make and not (folder / "spec.json").exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_text(
            folder / "spec.json", json.dumps(spec, indent=1, ensure_ascii=False, sort_keys=True)
        )
    return folder


def lock(folder: Path) -> FileLock:
    """One writer per entry: a second run waits here, then finds the finished result. Freed when its holder dies."""
    return FileLock(folder / ".lock")


def write_text(path: Path, text: str) -> None:
    """Replace `path` in one step: a reader, or a crash, sees the old text or the new, never a part."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
        flush(file)
    os.chmod(temporary, 0o644)
    os.replace(temporary, path)


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Replace a Parquet file in one step, as `write_text` does."""
    temporary = path.with_name(f".{path.name}")
    with open(temporary, "wb") as file:
        file.write(table.to_parquet())
        flush(file)
    os.replace(temporary, path)


def flush(file) -> None:
    """Bring what was written to `file` onto the disk, past a crash."""
    file.flush()
    os.fsync(file.fileno())


def finish(folder: Path, **facts) -> dict:
    """Mark an entry complete: write its manifest (facts, versions, time). Returns the manifest."""
    manifest = {**facts, "versions": versions(), "finished": now()}
    write_text(folder / "manifest.json", json.dumps(manifest, indent=1, ensure_ascii=False))
    return manifest


def manifest(folder: Path) -> dict | None:
    """The manifest of a complete entry, or None while it is not complete."""
    path = folder / "manifest.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that shape results."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def status() -> pd.DataFrame:
    """What the store holds: one row per entry (kind, name, key, settings in short, complete, MB, seconds, finished), newest last."""
    rows = []
    for spec in sorted(root().glob("*/*/spec.json")):
        folder, done = spec.parent, manifest(spec.parent)
        name, _, number = folder.name.rpartition("-")
        size = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
        rows.append(
            {
                "kind": folder.parent.name,
                "name": name,
                "key": number,
                "settings": _short(spec),
                "complete": done is not None,
                "MB": round(size / 1e6, 1),
                "seconds": (done or {}).get("seconds"),
                "finished": (done or {}).get("finished", ""),
            }
        )
    columns = ["kind", "name", "key", "settings", "complete", "MB", "seconds", "finished"]
    return pd.DataFrame(rows, columns=columns).sort_values(
        ["finished", "kind", "name"], ignore_index=True
    )


def _short(spec: Path) -> str:
    """The plain settings of a spec in one line; the whole is in the entry's spec.json."""
    read = json.loads(spec.read_text(encoding="utf-8"))
    flat = {**read, **read.get("recipe", {})}
    return " ".join(
        f"{k}={v}" for k, v in flat.items() if isinstance(v, (int, float)) or k == "method"
    )
