"""Keeping what is drawn: PNG, PDF, the table behind them as CSV, and a manifest of all."""

import hashlib
import json
import re
import textwrap
from pathlib import Path
from typing import Any, Protocol

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from dsi_core.plots import alt
from dsi_core.plots.style import COLORS
from dsi_core.runtime import disk, locks, provenance, store
from dsi_core.runtime.paths import ROOT

# What makes a file the same whenever it is saved: no program's name, no time in it.
METADATA: dict[str, dict[str, str | None]] = {
    ".png": {"Software": None},
    ".pdf": {"CreationDate": None},
}
ALT = {".png": "Description", ".pdf": "Subject"}  # where a picture keeps what it shows, in words


class Settings(Protocol):
    """What a caption and a manifest say of a run; every profile has it."""

    @property
    def name(self) -> str:
        """The profile's, and its folder's."""

    @property
    def scale(self) -> str:
        """In one sentence: which models, how much data."""

    @property
    def seed(self) -> int:
        """Of the whole run."""

    @property
    def decision(self) -> Any:
        """How the vote counts: rule and delta_t."""

    @property
    def overridden(self) -> dict[str, tuple[Any, Any]]:
        """Settings that are not as in the profile's file: name -> (value, the file's)."""

    def model_dump(self, *, exclude_none: bool = False) -> dict[str, Any]:
        """Give every setting as JSON."""


class Run(Protocol):
    """What has such settings; every study has."""

    @property
    def profile(self) -> Settings:
        """The settings."""


def save(
    study: Run,
    name: str,
    figure: Figure | Axes | None,
    table: pd.DataFrame,
    folder: str = "figures",
    *,
    scale: str | None = None,
) -> Path:
    """Keep a figure and its table as `<folder>/<profile>/<name>.png`, `.pdf` and `.csv`.

    Settings other than the profile's own name a folder in the profile's ("delta_t=0.6") and stand
    in the caption: results of two settings never mix. Every file is replaced in one step and
    noted in its folder's `manifest.json`. A picture keeps its alt text (`alt.text`), in the
    manifest and in itself.

    Parameters
    ----------
    study : Study
        Its profile names the folder, and stands in the caption and the manifest.
    name : str
        Of the files.
    figure : Figure, Axes or None
        What is drawn (axes: the figure that they are on). None = the CSV alone.
    table : DataFrame
        What the figure draws; numbers are written with six digits.
    folder : str
        Above the profile's folder; a relative path begins at the repository's root.
    scale : str, optional
        What the caption says instead of the profile's scale, if other models or data are shown. By
        default the dataset is named, too, if the table has only one (column dataset).

    Returns
    -------
    Path
        The PNG, or the CSV where there is no figure.
    """
    profile = study.profile
    place = ROOT / str(folder) / profile.name / _overrides(profile)
    place.mkdir(parents=True, exist_ok=True)
    path = place / f"{name}.csv"
    disk.write_text(path, table.to_csv(index=False, float_format="%.6g"))
    files: dict[Path, str | None] = {path: None}
    if figure is not None:
        whole = _figure_of(figure)
        words = alt.text(whole)
        _caption(whole, f"{_whose(profile)}: {scale or _scale(profile, table)}")
        path = place / f"{name}.png"
        for file in (path, place / f"{name}.pdf"):
            _write(whole, file, words)
            files[file] = words
        alt.keep(whole, path.read_bytes())
    _note(profile, files)
    return path


def _overrides(profile: Settings) -> str:
    """Name the settings that are not the profile's own; "" = all are."""
    values = {setting: value for setting, (value, _) in profile.overridden.items()}
    return re.sub(r"[^\w.,=-]", "", ",".join(f"{s}={v}" for s, v in sorted(values.items())))


def _whose(profile: Settings) -> str:
    """Name the profile, its seed, a rule that is not the text's, and what is not as in its file."""
    words = f"{profile.name}, seed {profile.seed}"
    if profile.decision.rule != "text":
        words += f", rule: {profile.decision.rule}"
    own = {setting: before for setting, (_, before) in profile.overridden.items()}
    for setting, (value, before) in profile.overridden.items():
        if setting == "delta_s" and before is None:  # then it is delta_t
            before = own.get("delta_t", profile.decision.delta_t)
        words += f", {setting} {value} instead of {before}"
    return words


def _figure_of(drawn: Figure | Axes) -> Figure:
    figure = drawn.figure if isinstance(drawn, Axes) else drawn
    while isinstance(figure, SubFigure):
        figure = figure.figure
    return figure


def _scale(profile: Settings, table: pd.DataFrame) -> str:
    """The profile's scale, and which dataset is shown, where it is one alone."""
    shown = list(table["dataset"].unique()) if "dataset" in table else []
    return f"{profile.scale}; shown: {shown[0]}" if len(shown) == 1 else profile.scale


def _caption(figure: Figure, text: str) -> None:
    """Set a caption below a figure; about 17 characters of 7 points go to the inch."""
    wrapped = textwrap.fill(text, int(17 * figure.get_figwidth()))
    figure.supxlabel(wrapped, fontsize=7, color=COLORS["caption"], x=0.01, ha="left")


def _write(figure: Figure, path: Path, words: str) -> None:
    """Replace a picture in one step: a reader sees the old or the new one, never a part."""
    metadata = METADATA[path.suffix] | {ALT[path.suffix]: words}
    with disk.replacing(path) as file:
        figure.savefig(file, format=path.suffix[1:], metadata=metadata)


def _note(profile: Settings, files: dict[Path, str | None]) -> None:
    """Enter files into their folder's `manifest.json`: hash, time, alt text, and the run.

    A file that is saved again unchanged keeps its entry.
    """
    path = next(iter(files)).parent / "manifest.json"
    store.make_root()
    with locks.held(store.root()):
        remedy = "restore it, or remove it: a file is entered again when it is saved"
        known = disk.read_json(path, remedy)["files"] if path.exists() else {}
        made = {
            "made": provenance.now(),
            "commit": provenance.commit(),
            "parameters": store.key(profile.model_dump()),
        }
        hashes = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
        words = {file.name: {"alt": said} for file, said in files.items() if said is not None}
        new = {
            name: {"sha256": sha256, **made, **words.get(name, {})}
            for name, sha256 in hashes.items()
            if not _same(known.get(name), sha256, made["parameters"])
        }
        if not new:
            return
        facts = {
            "profile": profile.name,
            "scale": profile.scale,
            "parameters": profile.model_dump(exclude_none=True),
            "parameters_key": made["parameters"],
            "versions": provenance.versions(),
            "files": dict(sorted({**known, **new}.items())),
        }
        disk.write_text(path, json.dumps(facts, indent=1, ensure_ascii=False))


def _same(known: dict[str, str] | None, sha256: str, parameters: str) -> bool:
    """Whether an entry of the manifest says this content and these settings."""
    return known is not None and (known["sha256"], known["parameters"]) == (sha256, parameters)
