"""What notebooks need of a profile, and what is left out where its sections are not there.

A notebook that shows nothing without a section is left out whole; else the cells that need it,
which carry its name in a tag: `needs-dpdllm`.
"""

from pathlib import Path
from typing import Final

import nbformat

from dsi_core.runtime.paths import ROOT
from dsi_core.settings.profile import Profile

# The number of a notebook -> sections; "suites.iid" is the part `iid` of the section `suites`
WHOLE: Final = {
    "03": ["suites.iid"],
    "05": ["robustness"],
    "07": ["grey_box", "suites.iid"],
    "08": ["attribution", "suites.iid"],
    "09": ["imitation"],
    "10": ["calibration"],
}
TAG = "needs-"
SKIP = "skip-execution"  # what papermill goes by


def lacks(profile: Profile, notebook: Path) -> list[str]:
    """Give the sections without which a notebook shows nothing, and which a profile lacks."""
    needed = WHOLE.get(notebook.name[:2], [])
    return [section for section in needed if not _has(profile, section)]


def skip_cells(profile: Profile, notebook: nbformat.NotebookNode) -> list[str]:
    """Tag the cells that need what a profile lacks, so that they are skipped; give the sections."""
    lacking: dict[str, None] = {}
    for cell in notebook.cells:
        if missing := [section for section in sections_of(cell) if not _has(profile, section)]:
            cell.metadata["tags"] = list(dict.fromkeys([*cell.metadata["tags"], SKIP]))
            lacking |= dict.fromkeys(missing)
    return list(lacking)


def sections_of(cell: nbformat.NotebookNode) -> list[str]:
    """Give the sections that a cell needs, by its tags."""
    tags = cell.metadata.get("tags", [])
    return [tag.removeprefix(TAG) for tag in tags if tag.startswith(TAG)]


def said(profile: Profile, sections: list[str]) -> str:
    """Say which sections a profile lacks."""
    return f"profile {profile.name!r} has no section {', '.join(sections)}"


def check_files(profile: Profile) -> None:
    """Refuse a profile that names files which are not there: some are read hours after the start.

    Raises
    ------
    ValueError
        Names each with its setting.
    """
    missing = [
        f"{setting}: {path}: no such file"
        for setting, path in _files(profile).items()
        if path is not None and not (ROOT / path).exists()
    ]
    if missing:
        raise ValueError(f"profile {profile.name!r}: {'; '.join(missing)}")


def _files(profile: Profile) -> dict[str, str | None]:
    """The files that a profile names, by the settings that name them."""
    files = {f"data.{name}.path": data.path for name, data in profile.data.items()}
    if grey_box := profile.grey_box:
        files |= {f"grey_box.validation.{n}.path": d.path for n, d in grey_box.validation.items()}
    if imitation := profile.imitation:
        files["imitation.seeds"] = imitation.seeds
    if calibration := profile.calibration:
        files["calibration.wordings"] = calibration.wordings
        files |= {f"calibration.answers.{n}": path for n, path in calibration.answers.items()}
    return files


def _has(profile: Profile, section: str) -> bool:
    name, _, part = section.partition(".")
    there = getattr(profile, name)
    return part in there if part else bool(there)
