"""Profiles: every setting of a study, read from `params/<profile>.yaml` and checked before any work starts.

A setting is written once, in the profile. A notebook may override a few by name; an unknown name, a
value of the wrong kind or two settings that contradict each other raise `ValueError` with the field,
the value and what is allowed.
"""

from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ValidationError, model_validator

from dsi_core.runtime.paths import ROOT
from dsi_core.settings.extensions import Attribution, GreyBox, Imitation
from dsi_core.settings.schema import (
    Data,
    Decision,
    Dpdllm,
    Model,
    Recipe,
    Reference,
    Responses,
    Robustness,
    Similarity,
    Strict,
    Suspect,
    Trained,
    Wild,
)

VICTIM = "victim"  # in a list of training data: the dataset under accusation
PUBLISHED = "published"  # likewise, in an audit with a private twin: the part of the victim that was released
IID = "iid"  # likewise: the dataset drawn beside it from the same source, the one with `apart_from: <victim>` (§6.1)


NO_PROFILES = ("reported", "plan", "imitation_seeds")  # other files in params/
SUITE_PARTS = {"victims", "suspects", "wild"}


class Profile(Strict):
    name: str
    scale: str  # one sentence for captions: which models, how large, what it proves
    seed: int = 0
    precision: Literal["auto", "fp32", "bf16"] = "auto"  # of weights; auto = bf16 on a GPU
    victims: list[str]
    data: dict[str, Data]
    models: dict[str, Model]
    chat_template: str  # for a base model whose tokenizer has none
    recipes: dict[str, Recipe]
    references: list[Reference]
    suspects: list[Suspect]
    controls: list[
        Suspect
    ] = []  # models known not to have seen D, which an audit compares its suspect with
    wild: dict[str, Wild] = {}
    responses: Responses
    similarity: Similarity
    decision: Decision = Decision()
    more_references: list[Reference] = []  # §6.3.2
    reference_sets: dict[str, list[str]] = {}  # Fig. 9-10: which references count together
    similarities: dict[
        str, Similarity
    ] = {}  # other backbones, layers and scales to compare verdicts with
    dpdllm: Dpdllm | None = None
    robustness: Robustness | None = None
    imitation: Imitation | None = None
    attribution: Attribution | None = None
    grey_box: GreyBox | None = None
    suites: dict[
        str, dict[str, Any]
    ] = {}  # parts of the profile (victims, suspects, wild) that one notebook replaces

    def all_references(self) -> list[Reference]:
        return [
            *self.references,
            *self.more_references,
            *(self.robustness.adversary.references if self.robustness else []),
        ]

    def _imitators(self) -> list[Trained]:
        """Who takes part in the imitation: target, imitator and suspects, in whose data `victim` and `iid` are its own datasets."""
        if self.imitation is None:
            return []
        how = self.imitation.imitator
        return [
            self.imitation.target,
            Trained(base=how.base, data=[VICTIM], recipe=how.recipe),
            *self.imitation.suspects,
        ]

    @model_validator(mode="after")
    def names_exist(self):
        for word in (VICTIM, IID):
            if word in self.data:
                raise ValueError(
                    f"data may not be called {word!r}: it stands for a dataset that depends on the accusation"
                )
        references = self.all_references()
        trained = [t for r in references for t in (r.without, r.with_)] + [
            *self.suspects,
            *self.controls,
        ]
        wanted = [
            (self.data, "data", d, {VICTIM, IID})
            for t in [*trained, *self.wild.values()]
            for d in t.data
        ]
        wanted += [(self.models, "model", t.base, set()) for t in trained]
        wanted += [
            (self.recipes, "recipe", t.recipe, {None}) for t in [*trained, *self.wild.values()]
        ]
        wanted += [(self.data, "victim", v, set()) for v in [*self.victims, *self.wild]]
        wanted += [(self.data, "apart_from", d.apart_from, {None}) for d in self.data.values()]
        wanted += [
            (self.models, "model", s.model, {None})
            for s in [self.similarity, *self.similarities.values()]
        ]
        known_references = {r.name: r for r in [*self.references, *self.more_references]}
        wanted += [
            (known_references, "reference", n, set())
            for names in self.reference_sets.values()
            for n in names
        ]
        if self.dpdllm:
            d = self.dpdllm
            wanted += [
                (self.models, "model", d.base, set()),
                (self.recipes, "recipe", d.recipe, set()),
                (self.recipes, "recipe", d.members_recipe, set()),
                *((self.data, "data", n, {IID}) for n in [*d.non_members, *d.members]),
            ]
        if self.attribution:
            wanted += [(self.data, "data", n, {VICTIM, IID}) for n in self.attribution.prompts]
        if self.robustness:
            wanted += [(self.models, "model", self.robustness.rephraser.base, set())]
        imitators = self._imitators()
        if self.imitation:
            wanted += [(self.data, "data", n, {VICTIM, IID}) for t in imitators for n in t.data]
            wanted += [(self.models, "model", t.base, set()) for t in imitators] + [
                (self.recipes, "recipe", t.recipe, {None}) for t in imitators
            ]
            wanted += [
                (self.data, "data", p.data, set())
                for p in (self.imitation.mixture.parts if self.imitation.mixture else [])
            ]
            wanted += [
                ({r.name for r in self.references}, "reference", n, set())
                for n in self.imitation.references or []
            ]
        if self.grey_box:
            wanted += [(self.models, "model", n, set()) for n in self.grey_box.references] + [
                (self.data, "victim", v, set()) for v in self.grey_box.validation
            ]
        for known, kind, name, also in wanted:
            if name not in known and name not in also:
                raise ValueError(f"unknown {kind} {name!r}; known: {', '.join(sorted(known))}")
        for r in references:
            if VICTIM not in r.with_.data or VICTIM in r.without.data:
                raise ValueError(
                    f"reference {r.name!r}: 'with' must train on {VICTIM!r} and 'without' must not"
                )
        for s in [
            *self.suspects,
            *self.controls,
            *(t for t in imitators if isinstance(t, Suspect)),
        ]:
            if s.member != bool({VICTIM, PUBLISHED} & set(s.data)):
                raise ValueError(
                    f"suspect {s.name!r}: member is {s.member} but its data is {s.data}"
                )
        for name, d in self.data.items():
            if d.apart_from is not None and self.data[d.apart_from].apart_from is not None:
                raise ValueError(
                    f"data {name!r}: apart_from {d.apart_from!r}, which is itself apart_from {self.data[d.apart_from].apart_from!r}"
                )
        tuned = [t.base for t in [*trained, *imitators] if t.data] + (
            [self.dpdllm.base] if self.dpdllm else []
        )
        tuned += [s.model for s in [self.similarity, *self.similarities.values()] if s.model]
        tuned += [n for w in self.wild.values() if w.data for n in [*w.members, *w.non_members]]
        for name in tuned:
            if name in self.models and self.models[name].endpoint:
                raise ValueError(
                    f"model {name!r} is behind an endpoint: it can be asked, but neither tuned nor looked into"
                )
        needed = [
            t for t in trained if t not in self.controls
        ]  # a control without its data is left out (`prepare`)
        if any(
            IID in names
            for names in [
                *(t.data for t in [*needed, *self.wild.values()]),
                self.dpdllm.non_members if self.dpdllm else [],
            ]
        ):
            for v in self.victims:
                iid_of(self, v)
        for c in self.controls:
            if c.member:
                raise ValueError(
                    f"control {c.name!r}: trains on {VICTIM!r}; a control must be known not to have seen it"
                )
            twice = next((s for s in self.suspects if s.name == c.name), c)
            if twice.model_copy(update={"group": c.group}) != c:
                raise ValueError(
                    f"control {c.name!r}: the suspect of the same name is another model"
                )
        for kind in (
            self.suspects,
            self.controls,
            self.imitation.suspects if self.imitation else [],
        ):
            names = [r.name for r in references] + [s.name for s in kind]
            if len(set(names)) != len(names):
                raise ValueError(
                    f"names of references, suspects and controls must differ: {sorted(names)}"
                )
        return self


def iid_of(profile: Profile, victim: str) -> str:
    """The dataset drawn from the same source as `victim`, apart from it (D_y of §6.1). Raises `ValueError` if none or several say so."""
    found = [n for n, d in profile.data.items() if d.apart_from == victim]
    if len(found) != 1:
        raise ValueError(
            f"{IID!r} needs exactly one dataset with apart_from: {victim}; there are: {', '.join(found) or 'none'}"
        )
    return found[0]


def dataset_of(profile: Profile, victim: str, name: str) -> str:
    """The dataset that `name` in a list of training data stands for."""
    return {VICTIM: victim}.get(name) or (iid_of(profile, victim) if name == IID else name)


def _explain(error: ValidationError, where: str) -> str:
    lines = [f"{where}: {len(error.errors())} setting(s) refused"]
    for e in error.errors():
        field = ".".join(map(str, e["loc"])) or "profile"
        value = "" if isinstance(e["input"], (dict, BaseModel)) else f" (got {e['input']!r})"
        lines.append(f"  {field}: {e['msg']}{value}")
    return "\n".join(lines)


def read_yaml(path: Path) -> dict:
    """A YAML file of named settings. Raises `ValueError` when it is anything else."""
    try:
        read = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: not valid YAML: {error}") from None
    if not isinstance(read, dict):
        raise ValueError(f"{path}: holds {type(read).__name__}, needs settings by name")
    return read


def load_profile(name: str, suite: str | None = None, **overrides) -> Profile:
    """The profile `params/<name>.yaml`, with the parts that `suite` replaces, and `overrides` in place of its own values.

    overrides: `seed`, `victims`, or a field of `decision` or `responses`; None means "as in the profile".
    Raises `ValueError` for an unknown profile, suite or name, or a value that is not allowed.
    """
    path = ROOT / "params" / f"{name}.yaml"
    if not path.is_file() or name in NO_PROFILES:
        known = sorted(p.stem for p in path.parent.glob("*.yaml") if p.stem not in NO_PROFILES)
        raise ValueError(f"unknown profile {name!r}; known: {', '.join(known)}")
    raw = read_yaml(path)
    empty = [s for s in ("decision", "responses") if s in raw and not isinstance(raw[s], dict)]
    if empty:
        raise ValueError(f"{path}: {empty[0]} is {raw[empty[0]]!r}, needs settings")
    if suite is not None:
        raw = {**raw, **_suite(raw, suite, str(path.relative_to(ROOT)))}
    sections = {
        f: s for s, m in (("decision", Decision), ("responses", Responses)) for f in m.model_fields
    }
    for key, value in overrides.items():
        if value is None:
            continue
        if key in sections:
            raw.setdefault(sections[key], {})[key] = value
        elif key in ("seed", "victims"):
            raw[key] = value
        else:
            raise ValueError(
                f"unknown parameter {key!r}; known: {', '.join(['seed', 'victims', *sections])}"
            )
    try:
        return Profile(name=name, **raw)
    except ValidationError as error:
        raise ValueError(
            _explain(error, f"{path.relative_to(ROOT)}{f' with suite {suite}' if suite else ''}")
        ) from None


def _suite(raw: dict, suite: str, where: str) -> dict:
    suites = raw.get("suites") or {}
    if not isinstance(suites, dict) or not all(
        isinstance(parts, dict) for parts in suites.values()
    ):
        raise ValueError(f"{where}: suites is {suites!r}, needs settings by the name of a suite")
    if suite not in suites:
        raise ValueError(f"{where}: unknown suite {suite!r}; known: {', '.join(suites) or 'none'}")
    wrong = set(suites[suite]) - SUITE_PARTS
    if wrong:
        raise ValueError(
            f"{where}: suite {suite!r} replaces {', '.join(sorted(wrong))}; allowed: {', '.join(sorted(SUITE_PARTS))}"
        )
    return suites[suite]
