"""A dry run: what an audit would ask, what that may cost, and what it could find at all."""

from typing import Any

import numpy as np
import pandas as pd

from dsi_core.audit import conclusion
from dsi_core.audit.asking import same_model
from dsi_core.audit.asking.cost import (
    BYTES_PER_TOKEN,
    MOST_NEUTRAL_BYTES,
    affordable,
    neutral_round,
    worst,
    worst_neutral,
)
from dsi_core.audit.asking.storage import answers
from dsi_core.audit.budget import Budget, Tokens
from dsi_core.audit.plan import Plan
from dsi_core.audit.reach import Power, Reach, power, reach
from dsi_core.audit.readable import Readable
from dsi_core.audit.subject import Kind
from dsi_core.services import address, request
from dsi_core.services.service import remembered

CHAT_TOKENS = 16  # about, that a chat format adds to a prompt
USUAL_NEUTRAL = Tokens(MOST_NEUTRAL_BYTES / BYTES_PER_TOKEN + CHAT_TOKENS, same_model.NEW_TOKENS)


class Expected(Readable):
    """Tokens and what they cost; None = no prices were given."""

    tokens_read: int
    tokens_written: int
    cost: float | None


class DryRun(Readable):
    """What would be asked, what it may cost, and what could come of it.

    Attributes
    ----------
    conclusion
        What this audit can find, in a sentence.
    kind
        Of the evidence.
    reach
        Of all samples planned.
    within_budget
        Of those that a budget in queries suffices for.
    power
        Of all samples planned, by how strongly a model leans, as `reach.power`; empty where no coin
        was thrown.
    suspect, folder
        Who, and where the answers are or will be.
    samples, queries
        Planned, and to send at most (0 = a file answers); neutral_queries: of these, whether it is
        one model.
    looks
        After how many samples the test looks.
    already_answered
        Of these queries.
    about, at_most
        The cost: with four bytes a token and answers as long as the texts, and at most.
    prompts
        The first ones.
    first_request
        The body that an API would get; None for a local model.
    unready
        What the audit would stop at here: a key that is not set; None = nothing known.
    """

    conclusion: str
    kind: Kind
    reach: Reach
    within_budget: Reach
    power: dict[str, Power]
    suspect: str
    folder: str
    samples: int
    queries: int
    neutral_queries: int
    looks: tuple[int, ...]
    already_answered: int
    about: Expected
    at_most: Expected
    prompts: list[str]
    first_request: dict[str, Any] | None
    unready: str | None


def dry_run(plan: Plan, shown: int = 5) -> DryRun:
    """Tell what would be asked and what it may cost; nothing is sent. shown: prompts to quote."""
    samples, count, neutral = plan.samples, affordable(plan), neutral_round(plan)
    asked = samples["prompt"].head(count if plan.answers_file is None else 0)
    about = plan.draws * np.array(_usual(plan, asked))
    most = plan.draws * np.array([worst(plan, prompt) for prompt in asked]).reshape(-1, 2).sum(0)
    if neutral:
        about += 2 * neutral * np.array(USUAL_NEUTRAL)
        most += 2 * neutral * np.array(worst_neutral(plan))
    within, found = reach(plan, samples.head(count), count), power(plan)
    return DryRun(
        conclusion=conclusion.before(plan, within, found),
        kind=plan.subject.kind,
        reach=reach(plan, samples, len(samples)),
        within_budget=within,
        power=found,
        suspect=plan.suspect,
        folder=str(plan.folder),
        samples=len(samples),
        queries=len(asked) * plan.draws + 2 * neutral,
        neutral_queries=2 * neutral,
        looks=() if plan.looks is None else plan.looks.after,
        already_answered=len(answers(plan)),
        about=_expected(plan.budget, Tokens(*about)),
        at_most=_expected(plan.budget, Tokens(*most)),
        prompts=samples["prompt"].head(shown).tolist(),
        first_request=_first_request(plan),
        unready=_unready(plan),
    )


def summary(dry: DryRun) -> str:
    """Say a dry run in a few lines, for people."""
    return "\n".join(
        [
            *([] if dry.unready is None else [f"not ready: {dry.unready}"]),
            dry.conclusion,
            *(_questions(dry) if dry.queries else ["nobody would be asked: a file answers"]),
            f"answers would be kept in {dry.folder}; nothing was asked",
        ]
    )


def _questions(dry: DryRun) -> list[str]:
    """What would be asked, and what it may cost."""
    prices = "" if dry.about.cost is not None else " (--price-in and --price-out tell the cost)"
    neutral = ""
    if dry.neutral_queries:
        neutral = f" and {dry.neutral_queries} neutral ones before and after (--same-model)"
    looks = f"; looks after {', '.join(map(str, dry.looks))} samples" if dry.looks else ""
    return [
        f"{dry.suspect} would be asked {dry.queries - dry.neutral_queries} questions about "
        f"{dry.within_budget.samples} samples{neutral}, "
        f"{dry.already_answered} of them answered already{looks}",
        f"about {_said(dry.about)}; at most {_said(dry.at_most)}{prices}",
    ]


def _said(expected: Expected) -> str:
    cost = "cost unknown" if expected.cost is None else f"cost {expected.cost:.4g}"
    tokens = f"{expected.tokens_read:,} tokens read, {expected.tokens_written:,} written"
    return f"{tokens}, {cost}"


def _usual(plan: Plan, prompts: pd.Series) -> Tokens:
    """Tokens, about, of one answer to each of these prompts."""
    read = _bytes((plan.responses.system or "") + prompts) / BYTES_PER_TOKEN + CHAT_TOKENS
    most = min(plan.responses.max_new_tokens, plan.most_new_tokens)
    written = min(_length_of_texts(plan) / BYTES_PER_TOKEN, most)
    return Tokens(float(read.sum()), written * len(prompts))


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


def _unready(plan: Plan) -> str | None:
    """Why no question could be asked."""
    if plan.remote is None:
        return None
    try:
        address.key(plan.remote)
    except ValueError as error:
        return str(error)
    return None


def _first_request(plan: Plan) -> dict[str, Any] | None:
    """The body of the first request that an API would get; None without one."""
    sampling, first = plan.sampling, plan.samples.iloc[0]
    if plan.remote is None:
        return None
    seed = request.draw_seed(sampling.seed, first["sample_id"], 0)
    taken = remembered(plan.folder)
    return request.body(plan.remote, first["prompt"], sampling, seed, taken)
