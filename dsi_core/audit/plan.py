"""The online phase, before it begins (§5.4): what a suspect will be asked, and what that may cost.

Answers lie in `audits/<dataset>/<suspect>-<key>/responses.jsonl`, one line each.
"""

import re
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dsi_core.audit.budget import Budget, Tokens, read_budget
from dsi_core.audit.prepared import Prepared
from dsi_core.audit.readable import Readable
from dsi_core.audit.suspect import AnswerFacts
from dsi_core.models import endpoint, responses
from dsi_core.models.load import Base
from dsi_core.models.sampling import Sampling
from dsi_core.models.tuning import Training
from dsi_core.runtime import store
from dsi_core.runtime.precision import detect
from dsi_core.settings.schema import Model, Responses

AUDITS = Path("audits")  # in the working directory
MODEL_ID = "suspect"  # a local suspect's; its random numbers depend on it
BYTES_PER_TOKEN = 4  # about, of a text
CHAT_TOKENS = 16  # about, that a chat format adds to a prompt...
MOST_CHAT_TOKENS = 32  # ...and at most
COLUMNS = [*responses.COLUMNS, *(field.name for field in fields(AnswerFacts))]


@dataclass(frozen=True)
class Plan:
    """An audit that has not begun, or one to go on with.

    Attributes
    ----------
    prepared
        The dataset.
    suspect, model
        The suspect's name, and where it is.
    responses
        How it is prompted: as the known models were, but for what was chosen for this audit.
    samples
        Those to ask about at most, in order.
    alpha
        The chance of accusing an innocent model.
    stops_early
        Ask no more once the p-value is at most alpha.
    budget
        What it may cost.
    out
        The folder in which the audit's own is made.
    """

    prepared: Prepared
    suspect: str
    model: Model
    responses: Responses
    samples: pd.DataFrame
    alpha: float
    stops_early: bool
    budget: Budget
    out: Path

    @property
    def base(self) -> Base:
        """What is prompted."""
        return Base(MODEL_ID, self.model, self.prepared.study.profile.chat_template)

    @property
    def training(self) -> Training:
        """The same as a local model that is loaded as it is."""
        profile = self.prepared.study.profile
        return Training(self.base, detect(profile.precision), profile.seed)

    @property
    def sampling(self) -> Sampling:
        """How it is prompted."""
        return Sampling.of(self.responses, self.prepared.study.profile.seed)

    @property
    def draws(self) -> int:
        """Answers to each prompt."""
        return self.sampling.draws

    @cached_property
    def name(self) -> str:
        """The name of the audit's folder.

        Its key is of all that decides the answers: the preparation's content, the suspect, how it
        is prompted. Budget, alpha and stopping are not in it, so that they may be changed later.
        """
        asked = {"temperature", "draws", "max_new_tokens", "system"}
        spec = {
            "prepared": self.prepared.facts.sha256,
            "suspect": self.base.spec,
            "seed": self.prepared.study.profile.seed,
            "responses": self.responses.model_dump(include=asked),
        }
        return f"{_file_name(self.suspect)}-{store.key(spec)}"

    @property
    def folder(self) -> Path:
        """Where the audit lies."""
        return self.out / self.name

    @property
    def earlier_folder(self) -> Path:
        """Where earlier versions put it: into the preparation."""
        return self.prepared.folder / self.name


def plan(
    prepared: Prepared,
    suspect: str,
    model: Model,
    *,
    out: str | Path | None = None,
    alpha: float = 0.05,
    draws: int | None = None,
    system: str | None = None,
    temperature: float | None = None,
    budget: str | None = None,
    price_in: float | None = None,
    price_out: float | None = None,
    stop_early: bool | None = None,
) -> Plan:
    """Plan what an audit will ask.

    Parameters
    ----------
    suspect, model
        As `suspect.model` gives them.
    out
        The folder in which the audit's own is made; None = audits/<dataset> in the working
        directory. An audit goes on only where it began.
    alpha
        The chance of accusing an innocent model.
    draws
        Answers to each prompt, at most those of the known models; None = as many.
    system, temperature
        None = as the known models were prompted.
    budget
        As `budget.limits` reads it; money needs both prices.
    price_in, price_out
        Money per million tokens read and written.
    stop_early
        Stop once the evidence suffices; None = for an API.

    Raises
    ------
    ValueError
        For a setting or folder that is not allowed, and where no sample is tainted.
    """
    profile = prepared.study.profile
    if not 0 < alpha < 1:
        raise ValueError(f"alpha is {alpha}, needs a number between 0 and 1")
    if prepared.tainted.empty:
        raise ValueError(f"{prepared.folder} has no tainted sample: no suspect can be judged by it")
    most = profile.responses.draws
    if draws is not None and draws not in range(1, most + 1):
        raise ValueError(
            f"responses is {draws}; allowed: 1 to {most}, as the known models answered {most} times"
        )
    chosen = {"draws": draws, "system": system, "temperature": temperature}
    planned = Plan(
        prepared=prepared,
        suspect=suspect,
        model=model,
        responses=profile.responses.changed(**{k: v for k, v in chosen.items() if v is not None}),
        samples=prepared.tainted,
        alpha=alpha,
        stops_early=model.endpoint is not None if stop_early is None else stop_early,
        budget=read_budget(budget, price_in, price_out),
        out=_place(prepared, out),
    )
    if planned.budget.queries is None:
        return planned
    affordable = planned.budget.queries // planned.draws
    if not affordable:
        raise ValueError(
            f"a budget of {planned.budget.queries} queries is less than one sample, "
            f"which takes {planned.draws}"
        )
    return replace(planned, samples=planned.samples.head(affordable))


def _place(prepared: Prepared, out: str | Path | None) -> Path:
    """Where the audit's folder is made: never in the preparation."""
    name = _file_name(prepared.facts.name)
    place = AUDITS / name if out is None else Path(out)
    if not place.resolve().is_relative_to(prepared.folder.resolve()):
        return place
    if out is not None:
        raise ValueError(f"--out {out} lies in the preparation; an audit needs another folder")
    return AUDITS / f"{name}-audits"  # earlier versions prepared in audits/<dataset> itself


def _file_name(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9.+_]+", "-", name)


class Expected(Readable):
    """Tokens and their price."""

    tokens_read: int
    tokens_written: int
    cost: float


class DryRun(Readable):
    """What would be asked, and what it may cost.

    Attributes
    ----------
    suspect, folder
        Who, and where the answers are or will be.
    samples, queries
        To ask about and to send, at most.
    already_answered
        Of these queries.
    about, at_most
        The cost: with four bytes a token and answers as long as the references', and at most.
    prompts
        The first ones.
    first_request
        The body that an API would get; None for a local model.
    """

    suspect: str
    folder: str
    samples: int
    queries: int
    already_answered: int
    about: Expected
    at_most: Expected
    prompts: list[str]
    first_request: dict[str, Any] | None


def dry_run(plan: Plan, shown: int = 5) -> DryRun:
    """Tell what would be asked and what it may cost; nothing is sent. shown: prompts to quote."""
    samples = plan.samples
    answers_of_references = plan.prepared.scores[["response_before", "response_after"]].stack()
    written = answers_of_references.str.len().mean() / BYTES_PER_TOKEN
    read = samples["prompt"].str.len().sum() / BYTES_PER_TOKEN + CHAT_TOKENS * len(samples)
    about = Tokens(read * plan.draws, written * len(samples) * plan.draws)
    most = np.sum([worst(plan, p) for p in samples["prompt"]], axis=0) * plan.draws
    return DryRun(
        suspect=plan.suspect,
        folder=str(plan.folder),
        samples=len(samples),
        queries=len(samples) * plan.draws,
        already_answered=len(answers(plan)),
        about=_expected(plan.budget, about),
        at_most=_expected(plan.budget, Tokens(*most)),
        prompts=samples["prompt"].head(shown).tolist(),
        first_request=_first_request(plan),
    )


def _expected(budget: Budget, tokens: Tokens) -> Expected:
    cost = round(float(budget.cost(tokens)), 6)
    return Expected(tokens_read=int(tokens.read), tokens_written=int(tokens.written), cost=cost)


def _first_request(plan: Plan) -> dict[str, Any] | None:
    remote, sampling, first = plan.model.endpoint, plan.sampling, plan.samples.iloc[0]
    if remote is None:
        return None
    seed = endpoint.draw_seed(sampling.seed, first["sample_id"], 0)
    return endpoint.request(
        remote,
        first["prompt"],
        sampling.temperature,
        sampling.max_new_tokens,
        seed,
        sampling.system,
    )


def worst(plan: Plan, prompt: str) -> Tokens:
    """Give the most tokens that one query can read and write.

    No tokenizer makes more tokens than bytes, and a chat format adds a few.
    """
    size = len(f"{plan.responses.system or ''}{prompt}".encode())
    return Tokens(size + MOST_CHAT_TOKENS, plan.responses.max_new_tokens)


def answers(plan: Plan) -> pd.DataFrame:
    """Read the stored answers: sample_id, draw, response, and the fields of `AnswerFacts`.

    An audit that an earlier version began inside the preparation counts until it is taken over.
    """
    folder = plan.folder if plan.folder.exists() else plan.earlier_folder
    rows = responses.read(folder, columns=COLUMNS).to_dict("records")
    unsaid = asdict(AnswerFacts())
    filled = [{**unsaid, **{k: v for k, v in row.items() if pd.notna(v)}} for row in rows]
    return pd.DataFrame(filled, columns=COLUMNS)


def spent(plan: Plan, answered: pd.DataFrame) -> float:
    """Give the money for the answers so far.

    By the service's own count of tokens, or the most it can be where it kept none.
    """
    prompts = plan.samples.set_index("sample_id")["prompt"]
    money = 0.0
    for answer in answered.to_dict("records"):
        most = worst(plan, prompts.get(answer["sample_id"], ""))
        counted = Tokens(answer["prompt_tokens"] or most.read, answer["tokens"] or most.written)
        money += counted.read * plan.budget.price_read
        money += counted.written * plan.budget.price_written
    return money / 1e6
