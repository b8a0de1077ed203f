"""prepared.json: what a preparation says of itself, in a form that another machine can read."""

import json
import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import Field, ValidationError

from dsi_core.audit import readable
from dsi_core.evidence.blind import BlindCheck
from dsi_core.runtime import disk, store
from dsi_core.runtime.disk import sha256_of
from dsi_core.runtime.paths import ROOT
from dsi_core.services import address
from dsi_core.settings.profile import Profile, explain
from dsi_core.settings.strict import Strict

NAME = "prepared.json"
FORMAT: Final = 3
FROM_FOLDER = ("./", "../")  # how a path begins that starts at the preparation's folder
WITH_PATHS = ("data", "models", "similarities")  # sections of a profile that name many sources
PREPARE_AGAIN = (
    "prepare the dataset again with --out (where a part was withheld: make a kit of it with `dsi "
    "protect --withheld`, and audit by that)"
)


class Compared(Strict):
    """One blind check (`evidence.blind.BlindCheck`) of D against other pairs; None = too few.

    name: of the other pairs; the numbers and pairs as there.
    """

    name: str
    auc: float | None = Field(ge=0, le=1)
    low: float | None
    high: float | None
    p: float | None = Field(ge=0, le=1)
    noticed: float | None
    pairs: tuple[int, int]

    @classmethod
    def of(cls, check: BlindCheck, name: str) -> "Compared":
        """Name a check."""
        known = {k: None if v != v else v for k, v in asdict(check).items()}  # NaN is no JSON
        return cls(name=name, **known)


class Split(Strict):
    """D was split at random: of `pairs`, so many are `accused`, and `like` tune the controls."""

    pairs: int
    accused: int
    like: int


class Answers(Strict):
    """A control that is a file of answers.

    sha256: of the file; samples: tainted ones that it answers; others: its questions that are no
    sample's, in words, or "".
    """

    sha256: str
    samples: int
    others: str = ""


class Facts(Strict):
    """What prepared.json holds beside the settings.

    Attributes
    ----------
    format
        Of the folder; another one is refused.
    name
        Of the dataset.
    data, iid, other_words
        Where D, more of its kind and D in other words were read from, as given.
    split
        None where all of D is accused.
    control_answers
        The controls that are files of answers, by name.
    dropped
        Pairs left out: why, how many.
    key
        Hash of settings, pairs and files: another preparation has another one.
    left_out
        Controls that do not count, as their training data is missing or holds pairs of D.
    blind
        The blind checks.
    sha256
        Of the other files, by name.
    versions, made
        Of the libraries; when.
    """

    format: Literal[3] = FORMAT
    name: str
    data: str
    iid: str | None = None
    other_words: str | None = None
    split: Split | None = None
    control_answers: dict[str, Answers] = {}
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
    """Write prepared.json, which is passed on: of a model behind a service only name and place."""
    content = facts.model_dump(mode="json")
    for source in ("data", "iid", "other_words"):
        if content[source] is not None and Path(content[source]).is_absolute():
            content[source] = portable(content[source], folder)
    settings = json.loads(profile.model_dump_json(by_alias=True, exclude_none=True))
    for name, model in profile.models.items():
        if model.endpoint is not None:
            shown = {"base_url": address.place(model.endpoint), "model": model.endpoint.model}
            settings["models"][name]["endpoint"] = shown
    content["settings"] = _with_paths(settings, lambda path: portable(path, folder))
    disk.write_text(folder / NAME, json.dumps(content, indent=1, ensure_ascii=False))


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
    content = readable.read(path, FORMAT, PREPARE_AGAIN)
    settings = _with_paths(content.pop("settings"), lambda path: located(path, folder))
    try:
        return Facts.model_validate(content), Profile.model_validate(settings)
    except ValidationError as error:
        raise ValueError(explain(error, str(path))) from None


def key(profile: Profile, pairs: list[str], answers: dict[str, str], folder: Path) -> str:
    """Name what a preparation is of.

    No path of this machine is in it: a local file counts with its content, a folder with its name.

    Parameters
    ----------
    profile
        The settings, of which those left at their defaults do not count.
    pairs
        Their sample_ids, in their order.
    answers
        SHA-256 of each control that is a file of answers, by name.
    folder
        The preparation's own.
    """

    def identity(path: str) -> str:
        place = Path(os.path.abspath(ROOT / path))
        if place.is_file():
            return f"sha256:{sha256_of(place)}"
        in_repository = place.is_relative_to(ROOT) and not place.is_relative_to(folder.resolve())
        return place.relative_to(ROOT).as_posix() if in_repository else place.name

    settings = _with_paths(store.spec_of(profile), identity)
    return store.key({"settings": settings, "pairs": pairs, "answers": answers})


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
