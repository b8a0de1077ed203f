"""Files of answers as controls: each is another model, with a name of its own."""

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path


def by_name(given: Sequence[str | Path], names: Collection[str] = ()) -> dict[str, Path]:
    """Name each file of `--control-answers` after itself.

    names: that other controls have. Raises `ValueError` for a file that is not there, and for one
    called as another control.
    """
    found: dict[str, Path] = {}
    for path in map(Path, given):
        if not path.is_file():
            lacks = "is a folder; give one file" if path.is_dir() else "no such file"
            raise ValueError(f"--control-answers {path}: {lacks}")
        if path.stem in found or path.stem in names:
            raise ValueError(
                f"--control-answers {path}: another control is called {path.stem!r}; "
                "rename the file"
            )
        found[path.stem] = path
    return found


def refuse_copies(hashes: Iterable[tuple[str, str]]) -> None:
    """Refuse files that say the same: a rank, or a mean, would count one model as several.

    hashes: what each file is called, and a hash of it or of its answers (`answers_file.said`).
    Raises `ValueError`, naming both.
    """
    known: dict[str, str] = {}
    for called, sha256 in hashes:
        if sha256 in known:
            raise ValueError(
                f"{called}: says the same as {known[sha256]}; each control is another model, and "
                "none is the suspect: leave one out"
            )
        known[sha256] = called
