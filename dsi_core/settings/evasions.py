"""What a profile may hold for notebook 05: how members try to evade (§6.4)."""

from typing import Annotated

from pydantic import AfterValidator, Field

from dsi_core.settings.schema import Reference
from dsi_core.settings.strict import Strict


def _each_once(values: list[float]) -> list[float]:
    if twice := sorted({value for value in values if values.count(value) > 1}):
        raise ValueError(f"{', '.join(map(str, twice))} is there more than once")
    return values


Temperatures = Annotated[list[Annotated[float, Field(ge=0)]], AfterValidator(_each_once)]
Shares = Annotated[list[Annotated[float, Field(gt=0, le=1)]], AfterValidator(_each_once)]


class Rephraser(Strict):
    """Who rewrites a suspect's answers before they are sent, or D before it trains (§6.4.1)."""

    base: str
    system: str | None = None  # system prompt
    prompt: str = Field(pattern=r"\{text\}")  # {text} is where the answer goes
    max_new_tokens: int | None = Field(None, ge=1)  # None = as a suspect's answer
    # each is another rephraser
    temperatures: Temperatures = Field([1.0], min_length=1)
    # the same for those that rewrite D's outputs before a member trains; [] = nobody does
    temperatures_of_data: Temperatures = []


class Adversary(Strict):
    """Removes the samples that its own references find tainted before it trains (§6.4.3)."""

    references: list[Reference] = Field(min_length=1)
    # share of D that it can do without: the most tainted go first
    at_most: float = Field(1.0, gt=0, le=1)


class Robustness(Strict):
    """Evasions of the member suspects (§6.4)."""

    # whose evasion is tried where it needs another training; None or [] = every local member
    suspects: list[str] | None = None
    temperatures: Temperatures = Field(min_length=1)
    shares: Shares = Field(min_length=1)
    rephraser: Rephraser
    adversary: Adversary
