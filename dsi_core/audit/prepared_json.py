"""prepared.json: what a preparation says of itself, in a form that another machine can read."""

import hashlib
import json
import os
from collections.abc import Callable
from enum import StrEnum
from math import isnan
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import Field, ValidationError

from dsi_core.evidence.blind import BlindCheck
from dsi_core.runtime import store
from dsi_core.runtime.paths import ROOT
from dsi_core.settings.profile import Profile, explain
from dsi_core.settings.schema import Strict
from dsi_core.settings.words import PUBLISHED

NAME = "prepared.json"
FORMAT: Final = 2
FROM_FOLDER = ("./", "../")  # how a path begins that starts at the preparation's folder
WITH_PATHS = ("data", "models", "similarities")  # sections of a profile that name many sources


class Part(StrEnum):
    """Where a pair of D lies: in public, or in its owner's drawer."""

    PUBLISHED = PUBLISHED
    WITHHELD = "withheld"


class Against(StrEnum):
    """What the published part was compared with in a blind check."""

    TWIN = "twin"
    CONTROL_DATA = "control data"


class Compared(Strict):
    """One blind check (`evidence.blind.BlindCheck`) and what it was against; None = too few pairs.

    name: in words; pairs: how many, of (the published part, the other).
    """

    against: Against
    name: str
    auc: float | None = Field(ge=0, le=1)
    low: float | None
    high: float | None
    pairs: tuple[int, int]

    @classmethod
    def of(cls, check: BlindCheck, against: Against, name: str) -> "Compared":
        """Name a check."""
        auc, low, high = (None if isnan(x) else x for x in (check.auc, check.low, check.high))
        return cls(against=against, name=name, auc=auc, low=low, high=high, pairs=check.pairs)


class Facts(Strict):
    """What prepared.json holds beside the settings.

    Attributes
    ----------
    format
        Of the folder; another one is refused (1, without this field, is read as well).
    name
        Of the dataset.
    data, withheld, iid
        Where its published part, its private twin and more of its kind were read from, as given.
    dropped
        Pairs left out: why, how many.
    key
        Of the settings and the pairs with their parts: another preparation has another one.
    left_out
        Controls that are none here, as their training data is missing or holds pairs of D.
    blind
        The blind checks.
    sha256
        Of the other files, by name.
    versions, made
        Of the libraries; when.
    """

    format: Literal[2] = FORMAT
    name: str
    data: str
    withheld: str | None = None
    iid: str | None = None
    dropped: dict[str, int] = {}
    key: str
    left_out: list[str] = []
    blind: list[Compared] = []
    sha256: dict[str, str] = {}
    versions: dict[str, str] = {}
    made: str = ""


def lies_in(folder: Path) -> bool:
    """Tell whether a folder holds a preparation that was finished."""
    return (folder / NAME).is_file()


def write(folder: Path, facts: Facts, profile: Profile) -> None:
    """Write prepared.json."""
    content = facts.model_dump(mode="json")
    for source in ("data", "withheld", "iid"):
        if content[source] is not None and Path(content[source]).is_absolute():
            content[source] = portable(content[source], folder)
    settings = json.loads(profile.model_dump_json(by_alias=True, exclude_none=True))
    content["settings"] = _with_paths(settings, lambda path: portable(path, folder))
    store.write_text(folder / NAME, json.dumps(content, indent=1, ensure_ascii=False))


def read(folder: Path) -> tuple[Facts, Profile]:
    """Read prepared.json.

    Raises
    ------
    ValueError
        Where there is none, where its format is another, and where a field is not as it should be.
    """
    path = folder / NAME
    if not lies_in(folder):
        raise ValueError(f"{folder} holds no {NAME}: run `dsi prepare` to its end first")
    content = json.loads(path.read_text(encoding="utf-8"))
    number = content.get("format", 1)
    if number not in (1, FORMAT):
        raise ValueError(
            f"{path} is in format {number}; this version of dsi_core reads formats 1 and {FORMAT}: "
            "use the version that wrote it, or prepare the dataset again with --out"
        )
    if number == 1:
        content = _from_format_1(content)
    settings = _with_paths(content.pop("settings"), lambda path: located(path, folder))
    try:
        return Facts.model_validate(content), Profile.model_validate(settings)
    except ValidationError as error:
        raise ValueError(explain(error, str(path))) from None


def key(profile: Profile, parts: list[list[str]], folder: Path) -> str:
    """Name what a preparation is of.

    No path of this machine is in it: a local file counts with its content, a folder with its name.

    Parameters
    ----------
    profile
        The settings, of which those left at their defaults do not count.
    parts
        (sample_id, part) of each pair, in their order.
    folder
        The preparation's own.
    """

    def identity(path: str) -> str:
        place = Path(os.path.abspath(ROOT / path))
        if place.is_file():
            return f"sha256:{hashlib.sha256(place.read_bytes()).hexdigest()}"
        in_repository = place.is_relative_to(ROOT) and not place.is_relative_to(folder.resolve())
        return place.relative_to(ROOT).as_posix() if in_repository else place.name

    settings = _with_paths(store.spec_of(profile), identity)
    return store.key({"settings": settings, "pairs": parts})


def portable(path: str, folder: Path) -> str:
    """Say a path without naming this machine.

    Within the preparation's folder or outside the repository it starts at the folder (./ or ../),
    within the repository at its root.
    """
    place, folder = Path(os.path.abspath(ROOT / path)), folder.resolve()
    if place.is_relative_to(folder):
        return f"./{place.relative_to(folder).as_posix()}"
    if place.is_relative_to(ROOT):
        return place.relative_to(ROOT).as_posix()
    return Path(os.path.relpath(place, folder)).as_posix()


def located(path: str, folder: Path) -> str:
    """Find the place that `portable` said, from where the folder is now."""
    return os.path.abspath(folder / path) if path.startswith(FROM_FOLDER) else path


def _with_paths(settings: dict[str, Any], change: Callable[[str], str]) -> dict[str, Any]:
    """A profile's settings with `change` applied to every path in them."""

    def changed(source: dict[str, Any]) -> dict[str, Any]:
        return {**source, "path": change(source["path"])} if source.get("path") else source

    settings = {**settings, "similarity": changed(settings["similarity"])}
    for section in WITH_PATHS:
        if section in settings:
            settings[section] = {name: changed(s) for name, s in settings[section].items()}
    return settings


def _from_format_1(content: dict[str, Any]) -> dict[str, Any]:
    """Format 1 had no `format`, no kind of a blind check, and paths of the machine as they were."""

    def compared(check: dict[str, Any]) -> dict[str, Any]:
        twin = check["against"] == "the withheld twin"
        against = Against.TWIN if twin else Against.CONTROL_DATA
        return {**check, "against": against, "name": check["against"]}

    return {**content, "format": FORMAT, "blind": [compared(check) for check in content["blind"]]}
