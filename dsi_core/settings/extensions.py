"""What a profile may hold for the neighbours: imitation, attribution, grey box (notebooks 07-09)."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from dsi_core.settings.schema import Data, Similarity, Strict, Suspect, Trained


class Category(Strict):
    """One kind of task in the seed file of an imitation."""

    kind: Literal[
        "output", "input-output"
    ]  # what the target makes up: the answer, or an input and its answer
    ask: str = Field(
        pattern=r"\{instruction\}"
    )  # how it is asked for an example; {instruction} is where the task goes
    seeds: list[str] = Field(min_length=3)


class Part(Strict):
    """One dataset of a mixture."""

    data: str
    feedback: Literal["positive", "negative"] | None = (
        None  # what people said about its answers; None = they were not asked
    )


class Mixture(Strict):
    """Instruction data mixed from several sets, with a marker of preference after each prompt."""

    parts: list[Part] = Field(min_length=1)
    language: str = "en"  # ISO 639-1; pairs in another language are left out
    positive: str = "A helpful answer:"
    negative: str = "An unhelpful answer:"


class Imitator(Strict):
    """What the imitation is made of: a base model and how it is tuned."""

    base: str
    recipe: str


class Imitation(Strict):
    """Imitating a model through its API (Gudibande 2023), and dataset inference with the imitation dataset as D."""

    target: Trained
    seeds: str = "params/imitation_seeds.yaml"  # categories with their seed instructions
    prompt: str = Field(
        pattern=r"(?s)\{category\}.*\{instructions\}"
    )  # asks for more instructions of a category
    item: str = (
        r"\s*(?:[-*\u2022]|\d+[.)])\s+(.+)"  # a line of a list; the group is the instruction
    )
    examples: int = Field(3, ge=1)  # instructions shown in each prompt...
    seeds_until: int = Field(
        20, ge=0
    )  # ...seeds alone, until a category has more instructions than this
    queries: int = Field(ge=1)  # per category and round
    rounds: int = Field(ge=1)
    per_category: int = Field(ge=1)  # a category with so many new instructions is asked no more
    bleu: float = Field(
        20.0, gt=0, le=100
    )  # an instruction must stay under this against every one that is there
    words: tuple[int, int] = (3, 40)  # fewest and most words of an instruction
    instruction_temperature: float = Field(0.8, ge=0)
    instruction_tokens: int = Field(ge=1)
    answer_temperature: float = Field(0.7, ge=0)
    answer_tokens: int = Field(ge=1)  # also of what references and suspects answer
    answer_words: int = Field(11, ge=1)  # fewest words of an answer that is kept
    pairs: int = Field(ge=2)  # in D; as many more are D', another draw
    held_out: int = Field(ge=1)
    budgets: list[Annotated[int, Field(ge=1)]] = Field(
        min_length=3
    )  # pairs that an imitator trains on, smaller ones part of larger ones
    imitator: Imitator
    suspects: list[Suspect]  # beside the imitators of each budget; victim = D, iid = D'
    references: list[str] | None = None  # which of the profile's count; None = all
    rated: int = Field(8, ge=1)  # held-out instructions that people rate
    mixture: Mixture | None = None

    @model_validator(mode="after")
    def fits(self):
        if max(self.budgets) > 2 * self.pairs or sorted(set(self.budgets)) != self.budgets:
            raise ValueError(
                f"budgets {self.budgets}: must rise, up to twice pairs ({2 * self.pairs}), as D and D' hold no more"
            )
        if {"victim", "iid", "published"} & set(self.target.data):
            raise ValueError(
                f"target: trains on {self.target.data}; it is there before any dataset of the imitation"
            )
        return self


class Attribution(Strict):
    """Which base model a tuned model comes from."""

    prompts: list[str] = Field(
        min_length=1
    )  # datasets whose prompts are asked; `victim` = D itself
    questions: int | None = Field(None, ge=1)  # prompts of each, at random; None = all
    folds: int = Field(
        5, ge=2
    )  # of the bases' replies, to choose the method by; a set of prompts stays together
    backbone: Similarity | None = (
        None  # the transformer's encoder, cut to its first `layer` layers; None = that of `similarity`
    )
    tokens: int = Field(ge=8)  # of each reply
    epochs: int = Field(ge=1)
    negatives: int = Field(1, ge=1)  # pairs with another base, for each pair with the own
    batch_size: int = Field(32, ge=1)
    learning_rate: float = Field(gt=0)

    @model_validator(mode="after")
    def encoder(self):
        if self.backbone and self.backbone.model:
            raise ValueError(
                f"attribution: backbone is the language model {self.backbone.model!r}; needs an encoder (hub, path, package or toy)"
            )
        return self


class GreyBox(Strict):
    """Membership attacks and dataset inference (DIA) that see a model's token probabilities."""

    validation: dict[
        str, Data
    ]  # for each victim: more pairs of its kind; of these, `rows` that no dataset of the profile holds
    samples: int | None = Field(None, ge=4)  # random samples of D that are looked at; None = all
    references: list[str]  # untuned base models whose losses a suspect's are compared with
    k: float = Field(
        0.2, gt=0, le=1
    )  # Min-K% and Min-K%++: share of the tokens, the least probable ones
    compared: int | None = Field(
        None, ge=2
    )  # samples of each set that are read in other versions, too: lowercase, neighbours, ReCaLL; None = all
    neighbours: int = Field(25, ge=1)
    changed_share: float = Field(
        0.1, gt=0, le=1
    )  # share of an answer's words that a neighbour drops or swaps
    shots: int = Field(12, ge=1)  # validation pairs in ReCaLL's prefix, used for nothing else
    asked: int | None = Field(
        None, ge=2
    )  # samples of each set that are asked: SaMIA, CDD; None = all
    draws: int = Field(10, ge=1)  # sampled answers to each
    peak: float = Field(
        0.05, ge=0, le=1
    )  # CDD's alpha: edits, as a share of the longest answer, within which an answer repeats the greedy one
    splits: int = Field(10, ge=1)  # DIA's random halves
    ridge: float = Field(1.0, gt=0)  # DIA's L2 penalty, 1 / scikit-learn's C
    alpha: float = Field(0.1, gt=0, lt=1)  # level of every test
