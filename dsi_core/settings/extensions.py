"""What a profile may hold for notebooks 07-10: imitation, attribution, grey box, calibration."""

import re
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from dsi_core.settings.defaults import RESPONSES
from dsi_core.settings.schema import Data, Similarity, Suspect, Trained
from dsi_core.settings.strict import Strict
from dsi_core.settings.words import IID, VICTIM


class Category(Strict):
    """One kind of task in the seed file of an imitation."""

    # what the target makes up: the answer, or an input and its answer
    kind: Literal["output", "input-output"]
    # how it is asked for an example; {instruction} is where the task goes
    ask: str = Field(pattern=r"\{instruction\}")
    seeds: list[str] = Field(min_length=3)


class Feedback(StrEnum):
    """What people said about the answers of a part; values as in profiles."""

    POSITIVE = "positive"
    NEGATIVE = "negative"


class Part(Strict):
    """One dataset of a mixture."""

    data: str
    # what people said about its answers; None = they were not asked
    feedback: Feedback | None = None


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
    """Imitating a model through its API (Gudibande 2023); the imitation dataset is D."""

    target: Trained
    seeds: str = "params/imitation_seeds.yaml"  # categories with their seed instructions
    # asks for more instructions of a category
    prompt: str = Field(pattern=r"(?s)\{category\}.*\{instructions\}")
    # a line of a list; the group is the instruction
    item: str = r"\s*(?:[-*\u2022]|\d+[.)])\s+(.+)"
    examples: int = Field(3, ge=1)  # instructions shown in each prompt...
    # ...seeds alone, until a category has more instructions than this
    seeds_until: int = Field(20, ge=0)
    queries: int = Field(ge=1)  # per category and round
    rounds: int = Field(ge=1)
    per_category: int = Field(ge=1)  # a category with so many new instructions is asked no more
    # an instruction must stay under this against every one that is there
    bleu: float = Field(20.0, gt=0, le=100)
    words: tuple[int, int] = (3, 40)  # fewest and most words of an instruction
    instruction_temperature: float = Field(0.8, ge=0)
    instruction_tokens: int = Field(ge=1)
    answer_temperature: float = Field(0.7, ge=0)
    answer_tokens: int = Field(ge=1)  # also of what references and suspects answer
    answer_words: int = Field(11, ge=1)  # fewest words of an answer that is kept
    pairs: int = Field(ge=2)  # in D; as many more are D', another draw
    held_out: int = Field(ge=1)
    # pairs that an imitator trains on, smaller ones part of larger ones
    budgets: list[Annotated[int, Field(ge=1)]] = Field(min_length=3)
    imitator: Imitator
    suspects: list[Suspect]  # beside the imitators of each budget; victim = D, iid = D'
    # which of the profile's count; None = all
    references: list[str] | None = Field(None, min_length=1)
    rated: int = Field(8, ge=1)  # held-out instructions that people rate
    mixture: Mixture | None = None

    @field_validator("item")
    @classmethod
    def _has_a_group(cls, item: str) -> str:
        """`item` is a regular expression, whose one group is the instruction."""
        try:
            groups = re.compile(item).groups
        except re.error as error:
            raise ValueError(f"is no regular expression: {error}") from None
        if groups != 1:
            raise ValueError(
                f"has {groups} groups; needs one group, (...), around the instruction; others are "
                "written (?:...)"
            )
        return item

    @model_validator(mode="after")
    def _fits(self) -> Self:
        """Budgets fit D and D', and the target is there before them."""
        if self.words[0] > self.words[1]:
            raise ValueError(f"words {list(self.words)}: needs the fewest first, then the most")
        if max(self.budgets) > 2 * self.pairs or sorted(set(self.budgets)) != self.budgets:
            raise ValueError(
                f"budgets {self.budgets}: must rise, up to twice pairs ({2 * self.pairs}), "
                "as D and D' hold no more"
            )
        if {VICTIM, IID} & set(self.target.data):
            raise ValueError(
                f"target: trains on {self.target.data}; "
                "it is there before any dataset of the imitation"
            )
        return self


class Attribution(Strict):
    """Which base model a tuned model comes from."""

    # datasets whose prompts are asked; `victim` = D itself
    prompts: list[str] = Field(min_length=1)
    questions: int | None = Field(None, ge=1)  # prompts of each, at random; None = all
    # of the bases' replies, to choose the method by; a set of prompts stays together
    folds: int = Field(5, ge=2)
    # the transformer's encoder, cut to its first `layer` layers; None = that of `similarity`
    backbone: Similarity | None = None
    tokens: int = Field(ge=8)  # of each reply
    epochs: int = Field(ge=1)
    negatives: int = Field(1, ge=1)  # pairs with another base, for each pair with the own
    batch_size: int = Field(32, ge=1)
    learning_rate: float = Field(gt=0)

    @model_validator(mode="after")
    def _is_encoder(self) -> Self:
        """A language model is no encoder."""
        if self.backbone and self.backbone.model:
            raise ValueError(
                f"attribution: backbone is the language model {self.backbone.model!r}; "
                "needs an encoder (hub, path, package or toy)"
            )
        return self


class Steady(Strict):
    """A base tuned at a constant learning rate, and kept after several numbers of epochs."""

    base: str
    recipe: str
    epochs: list[Annotated[int, Field(ge=1)]] = Field(min_length=1)


def _of_responses(fields: dict[str, Any]) -> dict[str, Any]:
    RESPONSES.changed(**fields)  # refuses what is none
    return fields


class Calibration(Strict):
    """How often the exact tests err, and what they find: models of many draws of data and coin."""

    # JSON Lines: q, first and second (two wordings of the answer), part (0, 1, ...); a draw is of
    # two neighbouring parts
    wordings: str
    # draws on which the statistic is chosen, and those on which it is confirmed
    development: list[int] = Field(min_length=1)
    confirmation: list[int] = Field(min_length=1)
    weak: Imitator  # of every draw
    strengths: list[Steady] = []
    strength_draws: list[int] = []
    # shares of D that a member trains on, tuned as the weak one
    shares: list[Annotated[float, Field(gt=0, lt=1)]] = []
    share_draws: list[int] = []
    # other pairs for each pair of D that a member trains on
    dilutions: list[Annotated[int, Field(ge=1)]] = []
    diluted_with: list[str] = []  # datasets, in this order
    dilution_draws: list[int] = []
    other_wording: Imitator | None = None  # trained on the wordings that the coin did not choose
    other_wording_draws: list[int] = []
    # thrown anew for each innocent model, to be stopped as an audit is, and in any other way
    coins: int = Field(1000, ge=1)
    coins_otherwise: int = Field(200, ge=1)
    # other ways to ask, by name: fields of `responses`
    shifts: dict[str, Annotated[dict[str, Any], AfterValidator(_of_responses)]] = {}
    shift_draws: list[int] = []
    beside_draw: int | None = None  # whose models the vote, SaMIA and DIA judge, too
    innocents: list[Suspect] = []  # that saw nothing of the wordings
    answers: dict[str, str] = {}  # innocents whose answers are in a file: prompt, response

    @model_validator(mode="after")
    def _fits(self) -> Self:
        """What is chosen on some draws is confirmed on others, and other draws are of these."""
        if both := set(self.development) & set(self.confirmation):
            raise ValueError(f"confirmation: {sorted(both)} are draws of development, too")
        known = {*self.development, *self.confirmation}
        if len(known) < len(self.development) + len(self.confirmation):
            raise ValueError("development, confirmation: a draw is named twice")
        names = [*(innocent.name for innocent in self.innocents), *self.answers]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"innocents, answers: {', '.join(twice)} is there twice")
        used = {
            "strength_draws": self.strength_draws,
            "share_draws": self.share_draws,
            "dilution_draws": self.dilution_draws,
            "other_wording_draws": self.other_wording_draws,
            "shift_draws": self.shift_draws,
            "beside_draw": [] if self.beside_draw is None else [self.beside_draw],
        }
        for name, numbers in used.items():
            if new := set(numbers) - known:
                raise ValueError(f"{name}: {sorted(new)} are no draws; allowed: {sorted(known)}")
        return self


class GreyBox(Strict):
    """Membership attacks and dataset inference (DIA) that see a model's token probabilities."""

    # for each victim: more pairs of its kind; of these, `rows` that no dataset of the profile holds
    validation: dict[str, Data]
    samples: int | None = Field(None, ge=4)  # random samples of D that are looked at; None = all
    references: list[str]  # untuned base models whose losses a suspect's are compared with
    # Min-K% and Min-K%++: share of the tokens, the least probable ones
    k: float = Field(0.2, gt=0, le=1)
    # samples of each set that are read in other versions, too: lowercase, neighbours, ReCaLL; None
    # = all
    compared: int | None = Field(None, ge=2)
    neighbours: int = Field(25, ge=1)
    # share of an answer's words that a neighbour drops or swaps
    changed_share: float = Field(0.1, gt=0, le=1)
    shots: int = Field(12, ge=1)  # validation pairs in ReCaLL's prefix, used for nothing else
    # samples of each set that are asked: SaMIA, CDD; None = all
    asked: int | None = Field(None, ge=2)
    draws: int = Field(10, ge=1)  # sampled answers to each
    # CDD's alpha: edits, as a share of the longest answer, within which an answer repeats the
    # greedy one
    peak: float = Field(0.05, ge=0, le=1)
    splits: int = Field(10, ge=1)  # DIA's random halves
    ridge: float = Field(1.0, gt=0)  # DIA's L2 penalty, 1 / scikit-learn's C
    alpha: float = Field(0.1, gt=0, lt=1)  # level of every test
