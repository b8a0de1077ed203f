"""Files of answers as controls: each is another model, with a name of its own."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from dsi_core.runtime.disk import sha256_of


def by_name(
    given: Sequence[str | Path], others: Mapping[str, Path], names: Collection[str] = ()
) -> dict[str, Path]:
    """Name each file of `--control-answers` after itself, and refuse one that is no other model.

    Parameters
    ----------
    given
        The files.
    others
        Files of answers that are there already, the suspect's or other controls', by what they are
        called in an error.
    names
        That other controls have.

    Raises
    ------
    ValueError
        For a file that is not there, and, naming both, for one called as another control or with
        another's content.
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
    files = [*others.items(), *((f"--control-answers {path}", path) for path in found.values())]
    refuse_copies((called, sha256_of(path)) for called, path in files)
    return found


def refuse_copies(hashes: Iterable[tuple[str, str]]) -> None:
    """Refuse files with the same content: a rank, or a mean, would count one model as several.

    hashes: what each file is called, and its SHA-256. Raises `ValueError`, naming both.
    """
    known: dict[str, str] = {}
    for called, sha256 in hashes:
        if sha256 in known:
            raise ValueError(
                f"{called}: has the same content as {known[sha256]}; each control is another "
                "model, and none is the suspect"
            )
        known[sha256] = called
