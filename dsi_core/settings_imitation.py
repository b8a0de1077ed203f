"""The part of a profile that says how a model is imitated (notebook 09)."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from dsi_core.settings import Strict, Suspect, Trained


class Category(Strict):
    """One kind of task in the seed file of an imitation."""

    kind: Literal["output", "input-output"]  # what the target makes up: the answer, or an input and its answer
    ask: str = Field(pattern=r"\{instruction\}")  # how it is asked for an example; {instruction} is where the task goes
    seeds: list[str] = Field(min_length=3)


class Part(Strict):
    """One dataset of a mixture."""

    data: str
    feedback: Literal["positive", "negative"] | None = None  # what people said about its answers; None = they were not asked


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
    prompt: str = Field(pattern=r"(?s)\{category\}.*\{instructions\}")  # asks for more instructions of a category
    item: str = r"\s*(?:[-*\u2022]|\d+[.)])\s+(.+)"  # a line of a list; the group is the instruction
    examples: int = Field(3, ge=1)  # instructions shown in each prompt...
    seeds_until: int = Field(20, ge=0)  # ...seeds alone, until a category has more instructions than this
    queries: int = Field(ge=1)  # per category and round
    rounds: int = Field(ge=1)
    per_category: int = Field(ge=1)  # a category with so many new instructions is asked no more
    bleu: float = Field(20.0, gt=0, le=100)  # an instruction must stay under this against every one that is there
    words: tuple[int, int] = (3, 40)  # fewest and most words of an instruction
    instruction_temperature: float = Field(0.8, ge=0)
    instruction_tokens: int = Field(ge=1)
    answer_temperature: float = Field(0.7, ge=0)
    answer_tokens: int = Field(ge=1)  # also of what references and suspects answer
    answer_words: int = Field(11, ge=1)  # fewest words of an answer that is kept
    pairs: int = Field(ge=2)  # in D; as many more are D', another draw
    held_out: int = Field(ge=1)
    budgets: list[Annotated[int, Field(ge=1)]] = Field(min_length=3)  # pairs that an imitator trains on, smaller ones part of larger ones
    imitator: Imitator
    suspects: list[Suspect]  # beside the imitators of each budget; victim = D, iid = D'
    references: list[str] | None = None  # which of the profile's count; None = all
    rated: int = Field(8, ge=1)  # held-out instructions that people rate
    mixture: Mixture | None = None

    @model_validator(mode="after")
    def fits(self):
        if max(self.budgets) > 2 * self.pairs or sorted(set(self.budgets)) != self.budgets:
            raise ValueError(f"budgets {self.budgets}: must rise, up to twice pairs ({2 * self.pairs}), as D and D' hold no more")
        if {"victim", "iid", "published"} & set(self.target.data):
            raise ValueError(f"target: trains on {self.target.data}; it is there before any dataset of the imitation")
        return self
