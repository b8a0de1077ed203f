"""Profiles: every setting of a study, read from `params/<profile>.yaml` and checked before work.

A setting is written once, in the profile. A notebook may override a few by name; an unknown name,
a value of the wrong kind or two settings that contradict each other raise `ValueError` with the
field, the value and what is allowed.
"""

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Self, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, PrivateAttr, ValidationError, model_validator

from dsi_core.runtime import unique_keys
from dsi_core.runtime.paths import ROOT
from dsi_core.settings import checks
from dsi_core.settings.schema import Decision, Responses
from dsi_core.settings.unchecked import Unchecked

NO_PROFILES = ("reported", "plan", "imitation_seeds")  # other files in params/
KEYS = re.compile("key|token|secret|password|auth|header", re.IGNORECASE)  # by their names
SUITE_PARTS = {"victims", "suspects", "wild"}
ADD_OR_LEAVE_OUT = "add it, or let `dsi reproduce` leave out what needs it"
Section = TypeVar("Section")
# C: eight times as fast; not everywhere
LOADER = unique_keys.of(getattr(yaml, "CSafeLoader", yaml.SafeLoader))


class Profile(Unchecked):
    """Every setting of a study. Read with `load_profile`, changed with `changed`."""

    _overridden: dict[str, tuple[Any, Any]] = PrivateAttr(default_factory=dict)

    @property
    def overridden(self) -> dict[str, tuple[Any, Any]]:
        """Settings that were read as something else: name -> (value, the file's)."""
        return self._overridden

    def changed(self, **values: Any) -> Self:
        """Give these settings with other values, as `Strict.changed`."""
        made = super().changed(**values)
        made._overridden = self._overridden
        return made

    def beside(self, **chosen: tuple[Any, Any]) -> Self:
        """Count a page's own parameters among those `overridden`: name -> (value, its default)."""
        made = self.changed()
        other = {name: pair for name, pair in chosen.items() if pair[0] != pair[1]}
        made._overridden = self._overridden | other
        return made

    @model_validator(mode="after")
    def _keeps_the_rules(self) -> Self:
        for rule in checks.RULES:
            rule(self)
        return self

    def victims_in_depth(self) -> list[str]:
        """Give the victims of `in_depth`.

        Raises
        ------
        ValueError
            Where these are no victims here.
        """
        if self.in_depth is None:
            return self.victims
        chosen = [victim for victim in self.victims if victim in self.in_depth]
        if not chosen:
            raise ValueError(
                f"profile {self.name!r}: in_depth is {self.in_depth}, "
                f"none of which is among the victims {self.victims}"
            )
        return chosen


def load_profile(name: str, suite: str | None = None, **overrides) -> Profile:
    """Read the profile `params/<name>.yaml`.

    Parameters
    ----------
    suite
        Whose parts replace the profile's own.
    overrides
        `seed`, `victims`, or a field of `decision` or `responses`; None means "as in the profile".

    Raises
    ------
    ValueError
        For an unknown profile, suite or name, or a value that is not allowed: with file and field.
    """
    path = ROOT / "params" / f"{name}.yaml"
    files = (ROOT / "params").glob("*.yaml")
    known = sorted(p.stem for p in files if p.stem not in NO_PROFILES)
    if name not in known:
        raise ValueError(f"unknown profile {name!r}; known: {', '.join(known)}")
    raw = read_yaml(path)
    if "name" in raw:
        raise ValueError(
            f"{path}: name is {raw['name']!r}; leave it out, the file's own name counts"
        )
    for section in ("decision", "responses"):
        if section in raw and not isinstance(raw[section], dict):
            raise ValueError(f"{path}: {section} is {raw[section]!r}, needs settings")
    place = str(path.relative_to(ROOT))
    if suite is not None:
        raw = {**raw, **_suite(raw, suite, place)}
        place = f"{place} with suite {suite}"
    given = [one for one, value in overrides.items() if value is not None]
    if given:
        place = f"{place}, with your {', '.join(given)}"
    try:
        profile = Profile.model_validate({**_with(raw, overrides), "name": name})
        own = Profile.model_validate({**raw, "name": name}) if given else profile
    except ValidationError as error:
        raise ValueError(explain(error, place, Profile)) from None
    pairs = {one: (_value(profile, one), _value(own, one)) for one in given}
    profile._overridden = {one: pair for one, pair in pairs.items() if pair[0] != pair[1]}
    return profile


def needed(section: Section | None, name: str, profile: Profile, what: str) -> Section:
    """Give a section that a profile may lack, if it has it.

    what: it says, for the `ValueError` that is raised where it is missing.
    """
    if section is None:
        raise ValueError(
            f"profile {profile.name!r} has no section {name}: {what}; {ADD_OR_LEAVE_OUT}"
        )
    return section


def read_yaml(path: Path) -> dict:
    """Read a YAML file of named settings. Raises `ValueError` when it is anything else."""
    try:
        read = yaml.load(path.read_text(encoding="utf-8"), LOADER)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-8 ({error}): save it as UTF-8") from None
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: not valid YAML: {error}") from None
    if not isinstance(read, dict):
        raise ValueError(f"{path}: holds {type(read).__name__}, needs settings by name")
    return read


def explain(error: ValidationError, place: str, kind: Any = None) -> str:
    """Say which settings of a file were refused, and why, a line each; or that it is no JSON.

    kind: what was read, whose names are told where one is misspelt; None = they are not. What
    stands under an endpoint, or in an unknown field of such a name, is not repeated, as it may
    be a key; nor is what has parts.
    """
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        what = "is empty" if first["input"] in ("", b"") else f"is damaged ({first['msg']})"
        return f"{place} {what}: bring it back from a copy"
    lines = []
    for refused in error.errors():
        field = ".".join(map(str, refused["loc"])) or "profile"
        value = refused["input"]
        plain = not isinstance(value, (dict, list, tuple, BaseModel)) or not value
        secret = refused["type"] == "extra_forbidden" and KEYS.search(str(refused["loc"][-1]))
        why = refused["msg"].removeprefix("Value error, ")  # how pydantic marks one of our own
        if refused["type"] == "extra_forbidden" and (known := _names(kind, refused["loc"][:-1])):
            near = get_close_matches(str(refused["loc"][-1]), known, 1)
            helps = f"did you mean {near[0]}?" if near else f"allowed: {', '.join(known)}"
            why = f"there is no such setting; {helps}"
        if _is_cut_by_a_comma(refused):
            why = f"{why}; is it the end of a number? A point stands in it, as in 0.01, no comma"
        shown = plain and not secret and "endpoint" not in refused["loc"]
        got = f" (got {value!r})" if shown else ""
        lines.append(f"  {field}: {why}{got}")
    return f"{place}: {len(lines)} setting(s) refused:\n" + ";\n".join(lines)


def _is_cut_by_a_comma(refused: Mapping[str, Any]) -> bool:
    """Whether a number with a decimal comma was refused: `{rate: 0,01}` has a key 1 for YAML."""
    if refused["type"] == "invalid_key":
        return type(refused["input"]) is int
    if refused["type"] == "extra_forbidden":
        return str(refused["loc"][-1]).isdigit()  # as of 0,08, which is no octal number
    commas = re.fullmatch(r"\s*[+-]?\d+,\d+\s*", str(refused["input"]))
    return refused["type"] in ("float_parsing", "int_parsing") and commas is not None


def _names(kind: Any, place: Sequence[int | str]) -> list[str]:
    """The settings that there are at a place, names and indices, of what is of this kind."""
    for part in place:
        kind = _plain(kind)
        fields = _fields(kind)
        kind = fields.get(str(part)) if fields else next(reversed(get_args(kind)), None)
    return list(_fields(_plain(kind)))


def _plain(kind: Any) -> Any:
    """A kind without what may stand in its place (None, the last of a union) or beside it."""
    while get_origin(kind) in (Annotated, Union, UnionType):
        kind = get_args(kind)[0]
    return kind


def _fields(kind: Any) -> dict[str, Any]:
    """The kinds of settings by their names in a file; nothing where it is no group of settings."""
    if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
        return {}
    return {field.alias or name: field.annotation for name, field in kind.model_fields.items()}


def _value(profile: Profile, name: str) -> Any:
    """What an override of `load_profile` replaces."""
    parts = profile, profile.decision, profile.responses
    return next(getattr(part, name) for part in parts if name in type(part).model_fields)


def _with(raw: dict, overrides: dict) -> dict:
    """The settings of a file with the given ones in their places."""
    sections = dict.fromkeys(Decision.model_fields, "decision")
    sections |= dict.fromkeys(Responses.model_fields, "responses")
    changed = dict(raw)
    for name, value in overrides.items():
        if value is None:
            continue
        if name in sections:
            section = sections[name]
            changed[section] = {**changed.get(section, {}), name: value}
        elif name in ("seed", "victims"):
            changed[name] = value
        else:
            known = ", ".join(["seed", "victims", *sections])
            raise ValueError(f"unknown parameter {name!r}; known: {known}")
    return changed


def _suite(raw: dict, suite: str, place: str) -> dict:
    suites = raw.get("suites") or {}
    named = isinstance(suites, dict) and all(isinstance(part, dict) for part in suites.values())
    if not named:
        raise ValueError(f"{place}: suites is {suites!r}, needs settings by the name of a suite")
    if suite not in suites:
        raise ValueError(
            f"{place}: unknown suite {suite!r}; known: {', '.join(suites) or 'none'}; "
            f"it is a part of the section suites; {ADD_OR_LEAVE_OUT}"
        )
    if wrong := set(suites[suite]) - SUITE_PARTS:
        raise ValueError(
            f"{place}: suite {suite!r} replaces {', '.join(sorted(wrong))}; "
            f"allowed: {', '.join(sorted(SUITE_PARTS))}"
        )
    return suites[suite]
