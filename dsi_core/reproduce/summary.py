"""What is said of a run when its notebooks have ended: how each went, what was made and where."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dsi_core.runtime import store

NAMED = 20  # files that are named at most; more are counted


@dataclass(frozen=True)
class End:
    """How a notebook ended: why it did not pass (None = it did), and after how many seconds."""

    notebook: Path
    why_not: str | None
    seconds: float


def lines(
    ends: list[End], left_out: list[str], figures: Path, since: float, scored: int = 0
) -> Iterator[str]:
    """Say how a run ended.

    Parameters
    ----------
    left_out
        What is said of the notebooks that the profile lacks a section for, a line each.
    figures
        The folder of tables and figures.
    since
        When the run began, in seconds since 1970: older files in the folder are not its own.
    scored
        How many similarity scores it added to the store although it should find them there.
    """
    yield from map(_line, ends)
    yield from left_out
    yield _made([path for path in sorted(figures.glob("*.*")) if _is_output(path, since)], figures)
    if scored:
        yield f"computed here, as neither stored nor released: {scored:,} similarity scores"


def scored_here() -> int:
    """Count the similarity scores that the store holds of its own: what needs them is silent."""
    return sum(
        (store.manifest(path.parent) or {}).get("pairs", 0)
        for path in store.root().glob("similarity/*/manifest.json")
    )


def _line(end: End) -> str:
    minutes, rest = divmod(round(end.seconds), 60)
    how = "passed" if end.why_not is None else "FAILED"
    line = f"{how}  {end.notebook.name:24} {minutes:3}:{rest:02}"
    return f"{line}\n        {end.why_not}" if end.why_not else line


def _is_output(path: Path, since: float) -> bool:
    hidden = path.name.startswith(".")
    return not hidden and path.suffix != ".json" and path.stat().st_mtime >= since


def _made(files: list[Path], folder: Path) -> str:
    """Tell what was made in a folder: by name, or of how many kinds where there are many."""
    if len(files) <= NAMED:
        return f"made in {folder}: {', '.join(file.name for file in files) or 'nothing'}"
    kinds = Counter(file.suffix[1:] for file in files)
    counts = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
    return f"made in {folder}: {counts}; its manifest.json says what each figure shows"
