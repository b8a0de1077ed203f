"""What an audit may cost and what it has cost, in queries, tokens and money."""

from collections.abc import Callable, Sequence
from functools import partial

import pandas as pd

from dsi_core.audit.asking import same_model, unanswered
from dsi_core.audit.asking.storage import beside
from dsi_core.audit.budget import Tokens
from dsi_core.audit.plan import Plan
from dsi_core.services import request
from dsi_core.services.billing import Allowance

MOST_CHAT_TOKENS = 32  # at most, that a chat format adds to a prompt
NEUTRAL_SHARE = 0.25  # of a budget, for neutral questions at most
MOST_NEUTRAL_BYTES = max(len(prompt.encode()) for prompt in same_model.PROMPTS.values())


def affordable(
    plan: Plan,
    stored: pd.DataFrame,
    questions: pd.DataFrame,
    expected: Callable[[str], Tokens] | None = None,
    under_way: Sequence[str] = (),
) -> pd.DataFrame:
    """Give those of some questions that the budget suffices for: whole samples, in order.

    What was paid so far, what is under way, and the neutral questions to come are taken off it
    first. A sample is asked about only if the most that it can cost is left.

    Parameters
    ----------
    stored
        The answers so far.
    questions
        Columns sample_id, prompt, draw.
    expected
        The usual cost of a question, by its prompt, for those before a sample; None = the most.
    under_way
        Prompts of the questions, none of those above, that a batch under way has.
    """
    reserved = reserved_neutral(plan, stored)
    samples = questions.groupby("sample_id", sort=False)["prompt"].agg(["first", "size"])
    fits = pd.Series(True, index=samples.index)
    if plan.budget.queries is not None:
        left = plan.budget.queries - used(plan, stored) - len(under_way) - reserved
        fits &= samples["size"].cumsum() <= left
    if plan.budget.money is not None:
        usual = expected or partial(worst, plan)
        most = _money(plan, samples, partial(worst, plan))
        before = _money(plan, samples, usual)
        kept = reserved * plan.budget.cost(worst_neutral(plan)) if reserved else 0.0
        kept += sum(plan.budget.cost(usual(prompt)) for prompt in under_way)
        needed = before.cumsum().shift(fill_value=0.0) + most
        fits &= spent(plan, stored) + kept + needed <= plan.budget.money
    return questions[questions["sample_id"].isin(fits.index[fits.cummin()])]


def allowance(plan: Plan, stored: pd.DataFrame, *, neutral: bool = False) -> Allowance | None:
    """Give what may be billed now, repeated requests too; None = there is no limit.

    stored: the answers so far. neutral: for neutral questions, which may take all that is left; for
    the others, the neutral questions to come are taken off first.
    """
    reserved = 0 if neutral else reserved_neutral(plan, stored)
    if plan.budget.queries is not None:
        return Allowance(plan.budget.queries - used(plan, stored) - reserved, lambda prompt: 1.0)
    if plan.budget.money is None:
        return None
    kept = reserved * plan.budget.cost(worst_neutral(plan)) if reserved else 0.0
    left = plan.budget.money - spent(plan, stored) - kept
    most = (lambda _: worst_neutral(plan)) if neutral else partial(worst, plan)
    return Allowance(left, lambda prompt: plan.budget.cost(most(prompt)))


def _money(plan: Plan, samples: pd.DataFrame, tokens: Callable[[str], Tokens]) -> pd.Series:
    """What the questions about each sample cost: `size` of them with the prompt `first`."""
    costs = [plan.budget.cost(tokens(prompt)) for prompt in samples["first"]]
    return samples["size"] * pd.Series(costs, index=samples.index, dtype=float)


def reserved_neutral(plan: Plan, stored: pd.DataFrame) -> int:
    """Count the neutral questions that are still to come, if the audit asks on."""
    asked, each = len(beside(plan)), neutral_round(plan)
    first = max(0, each - asked) if stored.empty else 0
    return first + (each if asked or stored.empty else 0)


def neutral_round(plan: Plan) -> int:
    """Count the queries of a round of neutral questions; 0 = too much of the budget."""
    if plan.remote is None:
        return 0
    count = plan.neutral * same_model.DRAWS
    share = 2 * count / NEUTRAL_SHARE
    if plan.budget.queries is not None and share > plan.budget.queries:
        return 0
    most = worst_neutral(plan)
    if plan.budget.money is not None and share * plan.budget.cost(most) > plan.budget.money:
        return 0
    return count


def neutral_left_out(plan: Plan) -> str:
    """Say that the budget is too small for neutral questions; "" where it is not."""
    if not plan.neutral or neutral_round(plan):
        return ""
    return (
        f"--same-model {plan.neutral} is not done: its {2 * plan.neutral * same_model.DRAWS} "
        f"queries may take more than {NEUTRAL_SHARE:.0%} of the budget, so a change of the "
        "model behind the name goes unnoticed; a larger --budget or a smaller --same-model helps"
    )


def prompt_bytes(plan: Plan, prompt: str) -> int:
    """Give the size of what is sent with a prompt: with the system prompt before it, as UTF-8."""
    return len(f"{plan.responses.system or ''}{prompt}".encode())


def worst(plan: Plan, prompt: str) -> Tokens:
    """Give the most tokens that one query can read and write.

    No tokenizer makes more tokens than bytes, and a chat format adds a few.
    """
    return Tokens(prompt_bytes(plan, prompt) + MOST_CHAT_TOKENS, plan.most_new_tokens)


def worst_neutral(plan: Plan) -> Tokens:
    """Give the same of a neutral question."""
    assert plan.remote is not None
    most = request.most_new_tokens(plan.remote, same_model.NEW_TOKENS) or same_model.NEW_TOKENS
    return Tokens(MOST_NEUTRAL_BYTES + MOST_CHAT_TOKENS, most)


def used(plan: Plan, answered: pd.DataFrame) -> int:
    """Count the requests so far that were or may have been billed, whatever came of them."""
    tables = answered, beside(plan)
    paid = sum(table["billed"].sum() + table["lost_requests"].sum() for table in tables)
    return int(paid + unanswered.read(plan.folder)["requests"].sum())


def spent(plan: Plan, answered: pd.DataFrame) -> float:
    """Give the money for all requests so far, those without an answer too.

    By the service's own count of tokens, or the most it can be where it kept none.
    """
    prompts = dict(zip(plan.samples["sample_id"], plan.samples["prompt"], strict=True))

    def most_of(sample: str) -> Tokens:
        neutral = sample in same_model.PROMPTS
        return worst_neutral(plan) if neutral else worst(plan, prompts.get(sample, ""))

    money = 0.0
    for answer in [*answered.to_dict("records"), *beside(plan).to_dict("records")]:
        most = most_of(answer["sample_id"])
        lost = Tokens(answer["lost_prompt_tokens"], answer["lost_tokens"])
        money += _cost(plan, lost, answer["lost_uncounted"], most)
        if answer["billed"]:
            read, written = answer["prompt_tokens"], answer["tokens"]
            money += plan.budget.cost(Tokens(read or most.read, written or most.written))
    for one in unanswered.read(plan.folder).to_dict("records"):
        counted = Tokens(one["read"], one["written"])
        money += _cost(plan, counted, one["uncounted"], most_of(one["sample_id"]))
    return money


def _cost(plan: Plan, counted: Tokens, uncounted: int, most: Tokens) -> float:
    """What requests without an answer cost: those that were counted, and at most the others."""
    return plan.budget.cost(counted) + uncounted * plan.budget.cost(most)
