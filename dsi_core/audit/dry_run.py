"""A dry run: what an audit would ask, what that may cost, and what it could find at all."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from dsi_core.audit import answers_file, conclusion
from dsi_core.audit.asking import batches, same_model
from dsi_core.audit.asking.cost import (
    MOST_NEUTRAL_BYTES,
    affordable,
    neutral_round,
    prompt_bytes,
    reserved_neutral,
    worst,
    worst_neutral,
)
from dsi_core.audit.asking.storage import answers, beside, complete
from dsi_core.audit.budget import Budget, Tokens
from dsi_core.audit.judging import judge, judgement
from dsi_core.audit.plan import Plan
from dsi_core.audit.reach import Power, Reach, power, reach
from dsi_core.audit.readable import Readable
from dsi_core.audit.subject import Kind
from dsi_core.models import responses
from dsi_core.services import address, pending, request
from dsi_core.services.reply import LIKELY_BYTES_PER_TOKEN
from dsi_core.services.service import remembered

CHAT_TOKENS = 16  # about, that a chat format adds to a prompt
USUAL_NEUTRAL = Tokens(
    MOST_NEUTRAL_BYTES / LIKELY_BYTES_PER_TOKEN + CHAT_TOKENS, same_model.NEW_TOKENS
)


class Expected(Readable):
    """Tokens and what they cost; None = no prices were given."""

    tokens_read: int
    tokens_written: int
    cost: float | None


class DryRun(Readable):
    """What would be asked, or is left to ask, what that may cost, and what could come of it.

    Attributes
    ----------
    conclusion
        What this audit can find, in a sentence.
    kind
        Of the evidence.
    reach
        Of all samples planned.
    within_budget
        The same of the samples that are answered or fit the budget at the highest cost.
    about_within_budget
        The same of the samples that fit a budget in money if each costs what is usual, and the
        most that the next one can cost is left.
    power
        For the samples within the budget, by how strongly a model leans, as `reach.power`; empty if
        no coin was thrown, or nothing can be found.
    suspect, folder
        Who, and where the answers are or will be.
    samples, samples_left
        Planned, and still to be asked about within the budget.
    queries
        To send about these, at most; neutral_queries: those that ask whether it is one model.
    looks
        After how many samples the test looks.
    already_answered
        Questions, neutral ones too: they are not among the queries.
    under_way
        Questions submitted in a batch: they are paid, and not among the queries either.
    of_a_file
        Whether a file answers, so that nobody is asked.
    about, at_most
        The cost of the queries: with four bytes a token and answers as long as the texts, and at
        most.
    prompts
        The first ones.
    first_request
        The body that an API would get; None for a local model.
    unready
        What the audit would stop at here: a key that is not set, a batch under way where nothing
        is asked in batches; None = nothing known.
    """

    conclusion: str
    kind: Kind
    reach: Reach
    within_budget: Reach
    about_within_budget: Reach
    power: dict[str, Power]
    suspect: str
    folder: str
    samples: int
    samples_left: int
    queries: int
    neutral_queries: int
    looks: tuple[int, ...]
    already_answered: int
    under_way: int
    of_a_file: bool
    about: Expected
    at_most: Expected
    prompts: list[str]
    first_request: dict[str, Any] | None
    unready: str | None


def dry_run(plan: Plan, shown: int = 5) -> DryRun:
    """Tell what would be asked and what it may cost; nothing is sent. shown: prompts to quote."""
    stored, usual = _answered(plan), _usual(plan)
    paid, asked, usually = _left(plan, stored)
    sure = _there(plan, stored, paid, asked)
    within, about_within = reach(plan, *sure), reach(plan, *_there(plan, stored, paid, usually))
    found = power(plan, *sure) if within.can_reach_alpha else {}
    neutral = _neutral(plan, stored, asked)
    about = _sum(map(usual, asked["prompt"])) + neutral * np.array(USUAL_NEUTRAL)
    most = _sum(worst(plan, prompt) for prompt in asked["prompt"])
    most += neutral * np.array(worst_neutral(plan)) if neutral else 0
    return DryRun(
        conclusion=conclusion.before(plan, within, about_within, found),
        kind=plan.subject.kind,
        reach=reach(plan, plan.samples, len(plan.samples)),
        within_budget=within,
        about_within_budget=about_within,
        power=found,
        suspect=plan.suspect,
        folder=str(plan.folder),
        samples=len(plan.samples),
        samples_left=asked["sample_id"].nunique(),
        queries=len(asked) + neutral,
        neutral_queries=neutral,
        looks=() if plan.looks is None else plan.looks.after,
        already_answered=len(stored) + len(beside(plan)),
        under_way=len(paid),
        of_a_file=plan.answers_file is not None,
        about=_expected(plan.budget, Tokens(*about)),
        at_most=_expected(plan.budget, Tokens(*most)),
        prompts=plan.samples["prompt"].head(shown).tolist(),
        first_request=_first_request(plan),
        unready=_unready(plan, paid),
    )


def _answered(plan: Plan) -> pd.DataFrame:
    """The answers so far, or those of a file that stands for the suspect."""
    if plan.answers_file is None:
        return answers(plan)
    return answers_file.read(plan.answers_file, plan.samples)


def _wanted(plan: Plan, stored: pd.DataFrame) -> pd.DataFrame:
    """The questions that lack an answer and would be asked, were there no budget."""
    wanted = responses.unanswered(stored, plan.samples, plan.draws)
    if plan.answers_file is not None:
        return wanted.head(0)
    done = plan.stops_early and len(stored) and judge.judge(plan, stored).found
    return wanted.head(0) if done else wanted


def _there(plan: Plan, stored: pd.DataFrame, *asked: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """The samples that have answers once these questions do, and up to which it was asked."""
    answered = pd.concat([some[judgement.ANSWER] for some in (stored, *asked)])
    samples = complete(plan, answered)
    there = samples[samples["sample_id"].isin(answered["sample_id"])]  # a file may lack some
    return there, len(samples)


def unreachable(plan: Plan) -> str | None:
    """Say that what is left to ask cannot bring a finding; None = it may, or nothing is left."""
    stored = _answered(plan)
    paid, _, usually = _left(plan, stored)
    within = reach(plan, *_there(plan, stored, paid, usually))
    if within.can_reach_alpha or usually.empty:
        return None
    return conclusion.cannot(plan, within)


class _Left(NamedTuple):
    """Questions still to answer: in a batch under way, sure to fit the budget, about fitting."""

    paid: pd.DataFrame
    asked: pd.DataFrame
    usually: pd.DataFrame


def _left(plan: Plan, stored: pd.DataFrame) -> _Left:
    wanted = _wanted(plan, stored)
    paid = pending.submitted(plan.folder, wanted)
    rest, sent = wanted.drop(paid.index), paid["prompt"].tolist()
    sure = affordable(plan, stored, rest, under_way=sent)
    return _Left(paid, sure, affordable(plan, stored, rest, _usual(plan), sent))


def _neutral(plan: Plan, stored: pd.DataFrame, asked: pd.DataFrame) -> int:
    """How many neutral questions are still to come."""
    if len(asked) or not neutral_round(plan):
        return reserved_neutral(plan, stored)
    return len(same_model.due(plan.neutral, beside(plan), stored))


def summary(dry: DryRun) -> str:
    """Say a dry run in a few lines, for people."""
    return "\n".join(
        [
            *([] if dry.unready is None else [f"not ready: {dry.unready}"]),
            dry.conclusion,
            *_questions(dry),
            f"answers would be kept in {dry.folder}; nothing was asked",
        ]
    )


def _questions(dry: DryRun) -> list[str]:
    """What would be asked, and what it may cost."""
    if dry.of_a_file:
        answered = f"{dry.within_budget.samples} of {dry.samples} samples"
        return [f"nobody would be asked: the file answers {answered}"]
    there = f"; {dry.already_answered} are answered already" if dry.already_answered else ""
    if dry.under_way:
        there += f"; {dry.under_way} are in a batch under way, which is paid and collected first"
    if not dry.queries:
        return [f"nothing would be asked within the budget and the plan{there}"]
    is_billed = dry.first_request is not None  # nobody bills for a model that is loaded here
    unknown = dry.about.cost is None and is_billed
    prices = " (--price-in and --price-out tell the cost)" if unknown else ""
    neutral = ""
    if dry.neutral_queries:
        neutral = f" and {dry.neutral_queries} neutral ones before and after (--same-model)"
    looks = f"; looks after {', '.join(map(str, dry.looks))} samples" if dry.looks else ""
    sure, usual = dry.within_budget.samples, dry.about_within_budget.samples
    money = "these fit the budget if each costs the most that a request can; at usual costs about "
    return [
        f"{dry.suspect} would be asked {dry.queries - dry.neutral_queries} questions about "
        f"{dry.samples_left} samples{neutral}{there}{looks}",
        *([f"{money}{usual} of {dry.samples} samples are asked about"] if usual > sure else []),
        f"about {_said(dry.about, unknown)}; at most {_said(dry.at_most, unknown)}{prices}",
    ]


def _said(expected: Expected, unknown: bool) -> str:
    cost = ", cost unknown" if unknown else ""
    cost = cost if expected.cost is None else f", cost {expected.cost:.4g}"
    return f"{expected.tokens_read:,} tokens read, {expected.tokens_written:,} written{cost}"


def _usual(plan: Plan) -> Callable[[str], Tokens]:
    """Give a function of a prompt: tokens, about, of one answer to it."""
    most = min(plan.responses.max_new_tokens, plan.most_new_tokens)
    written = min(_length_of_texts(plan) / LIKELY_BYTES_PER_TOKEN, most)

    def usual(prompt: str) -> Tokens:
        return Tokens(prompt_bytes(plan, prompt) / LIKELY_BYTES_PER_TOKEN + CHAT_TOKENS, written)

    return usual


def _sum(tokens: Iterable[Tokens]) -> np.ndarray:
    """Read and written ones, added up."""
    return np.array(list(tokens)).reshape(-1, 2).sum(axis=0)


def _length_of_texts(plan: Plan) -> float:
    """Bytes, about, of an answer: as long as the references', or as a kit's texts."""
    if plan.prepared is None:
        return float(_bytes(plan.samples["output"]).mean())
    answered = plan.prepared.scores[["response_before", "response_after"]].melt()
    return float(_bytes(answered["value"]).mean())


def _bytes(texts: pd.Series) -> pd.Series:
    return texts.map(lambda text: len(text.encode())).astype(int)


def _expected(budget: Budget, tokens: Tokens) -> Expected:
    cost = round(float(budget.cost(tokens)), 6) if budget.has_prices else None
    return Expected(tokens_read=int(tokens.read), tokens_written=int(tokens.written), cost=cost)


def _unready(plan: Plan, paid: pd.DataFrame) -> str | None:
    """Why no question could be asked. paid: what a batch under way has."""
    if len(paid) and (why := batches.in_the_way(plan)):
        return why
    if plan.remote is None:
        return None
    try:
        address.key(plan.remote)
    except ValueError as error:
        return str(error)
    return None


def _first_request(plan: Plan) -> dict[str, Any] | None:
    """The body of the first request that an API would get; None without one."""
    asking, first = plan.asking, plan.samples.iloc[0]
    if plan.remote is None:
        return None
    seed = request.draw_seed(asking.seed, first["sample_id"], 0)
    taken = remembered(plan.folder)
    return request.body(plan.remote, first["prompt"], asking, seed, taken)
