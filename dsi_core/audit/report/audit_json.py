"""audit.json: every number of an audit, with what it assumes, in words that people read.

It holds no text of the data or of the suspect, only names and counts.
"""

import math
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, ConfigDict, Field, ValidationError

from dsi_core.audit import readable
from dsi_core.audit.asking.log import Entry
from dsi_core.audit.asking.run import Ended
from dsi_core.audit.asking.same_model import SameModelFacts
from dsi_core.audit.budget import Budget
from dsi_core.audit.judging.judgement import Answer, Vote
from dsi_core.audit.preparation.prepared_json import Compared
from dsi_core.audit.put_before import Shared
from dsi_core.audit.reach import Power, Reach
from dsi_core.audit.readable import Readable
from dsi_core.audit.subject import Kind
from dsi_core.audit.suspect import AnswerStatus
from dsi_core.runtime import disk
from dsi_core.settings.profile import explain

NAME = "audit.json"
FORMAT: Final = 4  # 3 = before thoughts were told from answers


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else value


Number = Annotated[float | None, BeforeValidator(_finite)]  # None = there is none


class LoadedFacts(Readable):
    """How a suspect was loaded here.

    Attributes
    ----------
    revision
        Of a hub id, as asked for; of a folder or file, a hash of names, sizes and times.
    gguf
        The GGUF file whose weights were de-quantised.
    adapter, adapter_sha256
        What was put on the weights; of a folder's files.
    dtype, in_4_bits, in_8_bits
        Of the weights.
    chat_template, chat_template_sha256
        The text with which prompts became a chat; None = it could not be read any more.
    """

    revision: str | None = None
    gguf: str | None = None
    adapter: str | None = None
    adapter_sha256: str | None = None
    dtype: str
    in_4_bits: bool = False
    in_8_bits: bool = False
    chat_template: str | None
    chat_template_sha256: str | None


class SuspectFacts(Readable):
    """Who was asked: an API and its model with the extra fields of a request, a folder or a hub id.

    answers: the SHA-256 of a file of answers that stood for it. loaded: how, in this process.
    called_itself: the names under which the service answered. omit: fields left out of each
    request; asked_otherwise: how requests differ from the usual ones, as the service refused those.
    """

    name: str
    api: str | None = None
    model: str | None = None
    extra: dict[str, Any] | None = None
    omit: list[str] = []
    asked_otherwise: list[str] = []
    folder: str | None = None
    hub: str | None = None
    loaded: LoadedFacts | None = None
    answers: str | None = None
    called_itself: list[str]


class DatasetFacts(Readable):
    """What was asked about.

    samples: that it has; to_ask: that can be asked about (all of a kit, the tainted ones of a
    preparation); made: when; folder: where, from the audit's folder; split: how its owner's data
    was split before, "" = not.
    """

    name: str
    samples: int
    to_ask: int
    dropped: dict[str, int]
    made: str
    folder: str
    split: str


class CommitmentFacts(Readable):
    """What a kit committed to before the audit.

    late: the split was there before. sha256: of the kit's private and of its published file, and
    of the commitment itself.
    """

    late: bool
    rows: int
    groups: int
    published: int
    made: str
    sha256: dict[str, str]


class Queried(Readable):
    """What was asked, from the first to the last answer (UTC).

    Attributes
    ----------
    samples, of_at_most
        Asked about in full (of a file: that it answers), and planned.
    requests
        All of them, those of neutral questions too; without_answer: those among them that were or
        may have been billed in vain.
    tokens_read, tokens_written
        Of all requests, by the service's count; cached: read before; of_thoughts: of those written.
    thoughts, only_thoughts, longer
        Answers that came after a thought, replies that held nothing else, and answers beyond the
        limit of new tokens, by the service's count or by their length.
    uncounted, cost
        Requests of which the service did not count all tokens: the cost, in the money of the prices
        (None = no prices), holds the most they can be.
    left_out
        A file's surplus answers: each sample keeps as many as the one with the fewest has.
    """

    first: str | None
    last: str | None
    samples: int
    of_at_most: int
    answers: int
    requests: int
    without_answer: int
    tokens_read: int
    tokens_read_cached: int
    tokens_written: int
    tokens_of_thoughts: int
    thoughts: int
    only_thoughts: int
    longer: int = 0  # older records do not say, as of the next ones
    uncounted: int = 0
    left_out: int = 0
    cost: float | None
    ended: Ended


class BudgetFacts(Readable):
    """What the audit might cost; None = no limit. Prices: read, written; None = unknown."""

    queries: int | None
    money: float | None
    prices_per_million_tokens: tuple[float, float] | None

    @classmethod
    def of(cls, budget: Budget) -> "BudgetFacts":
        """Say a plan's budget."""
        prices = None
        if budget.price_read is not None and budget.price_written is not None:
            prices = budget.price_read, budget.price_written
        return cls(queries=budget.queries, money=budget.money, prices_per_million_tokens=prices)


class Manner(Readable):
    """How models were prompted."""

    temperature: float
    system: str | None


class ThresholdFacts(Readable):
    """C: what decides whether a sample is tainted, and its vote."""

    delta_t: float = Field(alias="delta_t")
    delta_s: float = Field(alias="delta_s")
    similarity: dict[str, Any]
    references: list[str]
    controls_were_asked_with: Manner


class SettingsFacts(Readable):
    """The settings of the audit.

    Attributes
    ----------
    statistic
        What is compared, in words.
    begun
        When they were fixed, before the first question (UTC).
    control_answers
        SHA-256 of the files of control answers, by name (A and B).
    method
        C: of the preparation.
    """

    alpha: float
    stops_early: bool
    looks: list[int]
    exponent: float | None
    statistic: str
    budget: BudgetFacts
    answers_to_a_prompt: int
    temperature: float
    max_new_tokens: int
    reasoning_tokens: int
    system_prompt: str | None
    seed: int
    mu: int
    begun: str
    control_answers: dict[str, str]
    method: ThresholdFacts | None

    @property
    def manner(self) -> Manner:
        """How the suspect was prompted."""
        return Manner(temperature=self.temperature, system=self.system_prompt)


class LookFacts(Readable):
    """One look of an exact test, as `evidence.looks.Look` has it."""

    model_config = ConfigDict(from_attributes=True)

    after: int
    statistic: Number
    p: float
    spent: float
    crossed: bool
    needed: Number


class ExactFacts(Readable):
    """A and B: an exact test, as `evidence.looks.ExactTest` has it."""

    model_config = ConfigDict(from_attributes=True)

    p: float
    found: bool
    found_after: int | None
    usable: int
    planned: int
    attainable: float
    looks: list[LookFacts]

    @property
    def statistic(self) -> float | None:
        """At the last look taken; None = there was none."""
        return self.looks[-1].statistic if self.looks else None


class StratumFacts(Readable):
    """C: the rank among the controls of one kind and base."""

    model_config = ConfigDict(from_attributes=True)

    kind: str
    base: str
    controls: int
    p: float
    smallest_p: float


class RankFacts(Readable):
    """C: the rank, as `evidence.controls.RankTest` has it.

    p: the largest over the strata; supports: the smallest alpha at which they all allow a finding.
    """

    model_config = ConfigDict(from_attributes=True)

    strata: list[StratumFacts]
    p: float
    supports: float
    lean: Number
    samples: int


class AuditsFacts(Readable):
    """Which audit of this suspect with this kit or preparation it is.

    Attributes
    ----------
    counted
        Whether the log could be written.
    number, of
        This audit is number `number` of `of` audits of this suspect; None = not counted.
    of_all
        Audits of any suspect.
    at_most
        The chance that one of the audits of this suspect accuses an innocent model: at most the sum
        of their alphas, as alpha is not shared among them. None, as `of` and `of_all`, if the log
        may not be read.
    at_most_of_all
        The same for audits of any suspect; None also in older records.
    earlier
        The other audits of this suspect.
    """

    counted: bool
    number: int | None
    of: int | None
    of_all: int | None
    at_most: float | None
    at_most_of_all: float | None = None
    earlier: list[Entry]


class AuditFacts(Readable):
    """audit.json: what was concluded, from what, and what that assumes.

    Attributes
    ----------
    kind, letter
        Of the evidence: A private twin, B wording twin, C after the fact.
    headline, conclusion
        In one sentence; the same with what belongs to it.
    answer, p, alpha
        In parts; p None = there is no test.
    reach, planned
        What the samples with a usable answer allow, and what all samples planned do.
    exact, sensitivity, without_controls
        A and B: the test, the same with every answer counted that is a text, refusals too, and the
        same without the control answers (None = there were none).
    power, power_of_leaning
        A and B: how often this many samples find a model, by how much it leans to what was
        published; the same for the samples that lean, if these are fewer.
    shared_before
        Texts of the data in what was put before each question; None = there are none.
    vote, rank, rank_of_all
        C; the last is the rank once more, where samples without a usable answer have the smallest
        evidence that any model has anywhere (None = there are no controls).
    commitment
        A and B: of the kit.
    audits
        From the log.
    same_model
        Whether the model behind the name seems to have been one; None = nobody tried.
    hints
        What another audit should do otherwise.
    case, examiner, command, commit, machine
        As given with --case and --examiner; what was run, without a key, by which version, where.
    sha256, root
        Of every file behind the numbers, by its path from the audit's folder; root: of the list of
        them (`record.SUMS`).
    """

    format: Literal[4] = FORMAT
    kind: Kind
    letter: str
    headline: str
    conclusion: str
    answer: Answer
    p: float | None
    alpha: float
    reach: Reach
    planned: Reach
    exact: ExactFacts | None
    sensitivity: ExactFacts | None
    without_controls: ExactFacts | None = None  # older records do not say, as of the next ones
    power: dict[str, Power]
    power_of_leaning: dict[str, Power] = {}
    shared_before: Shared | None = None
    vote: Vote | None
    rank: RankFacts | None
    rank_of_all: RankFacts | None = None  # also older records do not say
    suspect: SuspectFacts
    dataset: DatasetFacts
    commitment: CommitmentFacts | None
    audits: AuditsFacts
    queried: Queried
    settings: SettingsFacts
    statuses: dict[AnswerStatus, int]
    blind_check: list[Compared]
    assumptions: dict[str, str]
    limits: list[str]
    hints: list[str]
    same_model: SameModelFacts | None
    case: str | None = None
    examiner: str | None = None
    command: str | None = None
    commit: str
    machine: str
    versions: dict[str, str]
    made: str
    sha256: dict[str, str] = {}
    root: str = ""


def write(folder: Path, facts: AuditFacts) -> None:
    """Write audit.json."""
    disk.write_text(folder / NAME, facts.json_text())


def read(folder: Path) -> AuditFacts:
    """Read audit.json. Raises `ValueError` where there is none, or one of another format."""
    path = folder / NAME
    if not path.is_file():
        raise ValueError(f"{folder} holds no {NAME}: run `dsi audit` to its end first")
    content = readable.read(path, FORMAT, "audit the suspect again")
    try:
        return AuditFacts.model_validate(content)
    except ValidationError as error:
        raise ValueError(explain(error, str(path))) from None
