"""audit.json: every number of an audit, with what it assumes, in words that people read.

No text of the data or of the suspect is in it but names and counts.
"""

import json
import math
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, ConfigDict, Field, ValidationError

from dsi_core.audit.budget import Budget
from dsi_core.audit.judgement import DecidedBy, Vote
from dsi_core.audit.prepared_json import Compared
from dsi_core.audit.readable import Readable
from dsi_core.audit.run import Ended
from dsi_core.audit.suspect import AnswerStatus
from dsi_core.runtime import store
from dsi_core.settings.profile import explain

NAME = "audit.json"
FORMAT: Final = 2  # 1 = before there was a number


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else value


Number = Annotated[float | None, BeforeValidator(_finite)]  # None = there is none


class SuspectFacts(Readable):
    """Who was asked: an API and its model with the extra fields of a request, a folder or a hub id.

    called_itself: the names under which the service answered.
    """

    name: str
    api: str | None = None
    model: str | None = None
    extra: dict[str, Any] | None = None
    folder: str | None = None
    hub: str | None = None
    called_itself: list[str]


class DatasetFacts(Readable):
    """What was asked about. prepared: when; folder: where, from the audit's folder."""

    name: str
    samples: int
    tainted: int
    dropped: dict[str, int]
    prepared: str
    folder: str


class Queried(Readable):
    """What was asked, from the first to the last answer (UTC).

    samples, of_at_most: asked about in full, and planned; tokens by the service's count; cost in
    the money of the prices, None = no prices.
    """

    first: str | None
    last: str | None
    samples: int
    of_at_most: int
    answers: int
    requests: int
    tokens_read: int
    tokens_written: int
    cost: float | None
    ended: Ended


class BudgetFacts(Readable):
    """What the audit might cost; None = no limit. Prices: read, written."""

    queries: int | None
    money: float | None
    prices_per_million_tokens: tuple[float, float]

    @classmethod
    def of(cls, budget: Budget) -> "BudgetFacts":
        """Say a plan's budget."""
        prices = budget.price_read, budget.price_written
        return cls(queries=budget.queries, money=budget.money, prices_per_million_tokens=prices)


class Manner(Readable):
    """How models were prompted."""

    temperature: float
    system: str | None


class SettingsFacts(Readable):
    """The settings of the audit and of its preparation."""

    alpha: float
    stops_early: bool
    budget: BudgetFacts
    answers_to_a_prompt: int
    temperature: float
    max_new_tokens: int
    system_prompt: str | None
    controls_were_asked_with: Manner
    seed: int
    delta_t: float = Field(alias="delta_t")
    delta_s: float = Field(alias="delta_s")
    mu: int
    similarity: dict[str, Any]
    references: list[str]

    @property
    def manner(self) -> Manner:
        """How the suspect was prompted."""
        return Manner(temperature=self.temperature, system=self.system_prompt)


class ControlsFacts(Readable):
    """Number 2, as `evidence.controls.RankTest` has it."""

    model_config = ConfigDict(from_attributes=True)

    controls: int
    lean: Number
    p: float
    smallest_p: float
    can_reach_alpha: bool
    false_positives: Number


class TwinFacts(Readable):
    """Number 3, as `evidence.twin.TwinTest` has it."""

    model_config = ConfigDict(from_attributes=True)

    published: int
    withheld: int
    difference: Number
    wealth: float
    largest: float
    p_sequential: float
    p_permutation: Number
    planned: int
    p: float


class AuditFacts(Readable):
    """audit.json: what was concluded, from what, and what that assumes."""

    format: Literal[2] = FORMAT
    conclusion: str
    suspect: SuspectFacts
    dataset: DatasetFacts
    queried: Queried
    settings: SettingsFacts
    vote: Vote
    controls: ControlsFacts | None
    twin: TwinFacts | None
    p: float | None
    decided_by: DecidedBy | None
    statuses: dict[AnswerStatus, int]
    blind_check: list[Compared]
    assumptions: dict[str, str]
    limits: list[str]
    versions: dict[str, str]
    made: str
    sha256: dict[str, str] = {}


def write(folder: Path, facts: AuditFacts) -> None:
    """Write audit.json."""
    store.write_text(folder / NAME, facts.json_text())


def read(folder: Path) -> AuditFacts:
    """Read audit.json. Raises `ValueError` where there is none, or one of another format."""
    path = folder / NAME
    if not path.is_file():
        raise ValueError(f"{folder} holds no {NAME}: run `dsi audit` to its end first")
    content = json.loads(path.read_text(encoding="utf-8"))
    number = content.get("format", 1)
    if number != FORMAT:
        raise ValueError(
            f"{path} is in format {number}, this version of dsi_core reads format "
            f"{FORMAT}: run the same `dsi audit` again, which asks nothing twice"
        )
    try:
        return AuditFacts.model_validate(content)
    except ValidationError as error:
        raise ValueError(explain(error, str(path))) from None
