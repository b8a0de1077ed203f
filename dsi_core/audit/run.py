"""The online phase (§5.4): prompt a suspect, keep every answer as it comes, judge, stop early.

Every answer is on the disk when it arrives: an interrupted audit goes on where it was, and neither
asks nor pays for an answer twice.
"""

import json
import shutil
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from dsi_core.audit import judgement
from dsi_core.audit.judgement import Judgement
from dsi_core.audit.plan import MODEL_ID, Plan, answers, spent, worst
from dsi_core.audit.suspect import SAYS_NOTHING, AnswerFacts
from dsi_core.evidence import controls
from dsi_core.models import endpoint, responses
from dsi_core.models.endpoint import Reply
from dsi_core.models.sampling import Sampling
from dsi_core.models.tuning import Training
from dsi_core.runtime import jobs, store

RESPONSES = "responses.jsonl"


class Ended(StrEnum):
    """Why an audit asked no more."""

    STOPPED_EARLY = "stopped early"  # the evidence sufficed
    ALL_PROMPTED = "all prompted"  # that was planned
    MONEY_SPENT = "money spent"  # the next sample could have exceeded the budget


@dataclass(frozen=True)
class Outcome:
    """A finished audit: what the answers say, their cost (None = no prices), why it ended."""

    judgement: Judgement
    cost: float | None
    ended: Ended


def run(plan: Plan) -> Outcome:
    """Ask until the evidence suffices, until all is asked, or until the money is spent.

    Raises
    ------
    endpoint.EndpointError
        When a question stays unanswered: what came before is stored, and a rerun goes on.
    """
    begin(plan)
    queries, answered = len(plan.samples) * plan.draws, len(answers(plan))
    bar = tqdm(
        total=queries,
        initial=min(answered, queries),
        desc=plan.suspect,
        unit=" answers",
        disable=None,
    )
    with store.lock(plan.folder), bar:
        while True:
            stored = answers(plan)
            judged = judgement.judge(plan, stored)
            cost = spent(plan, stored) if plan.budget.has_prices else None
            if plan.stops_early and judged.p is not None and judged.p <= plan.alpha:
                return Outcome(judged, cost, Ended.STOPPED_EARLY)
            questions = next_questions(plan, stored)
            if questions.empty:
                complete = judged.samples == len(plan.samples)
                ended = Ended.ALL_PROMPTED if complete else Ended.MONEY_SPENT
                return Outcome(judged, cost, ended)
            _ask(plan, questions, bar)


def begin(plan: Plan) -> None:
    """Make the audit's folder, or take over the one that an earlier version put elsewhere.

    What the suspect answers is read by the folder's owner alone.
    """
    if not plan.folder.exists() and (plan.earlier_folder / RESPONSES).exists():
        shutil.copytree(plan.earlier_folder, plan.folder)
    plan.folder.mkdir(parents=True, exist_ok=True)
    path = plan.folder / RESPONSES
    path.touch(mode=0o600)
    path.chmod(0o600)
    if not (plan.folder / judgement.FIRST_PLAN).exists():
        planned = {"samples": len(plan.samples), "at": store.now()}
        store.write_text(plan.folder / judgement.FIRST_PLAN, json.dumps(planned))


def next_questions(plan: Plan, stored: pd.DataFrame) -> pd.DataFrame:
    """Give the next block of questions (sample_id, prompt, draw): whole samples, in order.

    As many as keep all connections busy, or all where nothing stops early. Empty at the end, or
    when the next sample might cost more than is left.
    """
    wanted = responses.unanswered(stored, plan.samples, plan.draws)
    remote, block = plan.model.endpoint, len(plan.samples)
    if remote is not None and plan.stops_early:
        busy = -(-remote.concurrency // plan.draws)
        block = max(controls.MIN_SAMPLES, busy)
    first = wanted["sample_id"].unique()[:block]
    chosen = wanted[wanted["sample_id"].isin(first)]
    if plan.budget.money is None:
        return chosen
    costs = [plan.budget.cost(worst(plan, prompt)) for prompt in chosen["prompt"]]
    fits = spent(plan, stored) + np.cumsum(costs) <= plan.budget.money
    whole = pd.Series(fits, index=chosen["sample_id"]).groupby(level=0, sort=False).all()
    return chosen[chosen["sample_id"].isin(whole.index[whole.cummin()])]


def _ask(plan: Plan, questions: pd.DataFrame, bar: tqdm) -> None:
    remote = plan.model.endpoint
    if remote is not None:
        replies = endpoint.answers(remote, questions, plan.sampling)
        keep(plan.folder, ((row, reply.text, _facts(reply)) for row, reply in replies), bar.update)
        return
    arguments = plan.folder, plan.training, questions, plan.sampling
    jobs.run([jobs.Job(plan.suspect, ask_local, arguments)])
    bar.update(len(questions))


def _facts(reply: Reply) -> AnswerFacts:
    return AnswerFacts(
        finish=reply.finish,
        refused=reply.refused,
        tokens=reply.tokens,
        prompt_tokens=reply.prompt_tokens,
        model=reply.model,
        requests=reply.requests,
    )


def ask_local(
    folder: Path, training: Training, questions: pd.DataFrame, sampling: Sampling
) -> None:
    """Load a local suspect, let it answer, keep each answer; what a worker does."""
    batches = responses.local_answers(MODEL_ID, training, questions, sampling)
    keep(folder, ((a.question, a.text, SAYS_NOTHING) for batch in batches for a in batch))


def keep(
    folder: Path,
    answered: Iterable[tuple],
    kept: Callable[[], object] = lambda: None,
) -> None:
    """Append each (question, text, `AnswerFacts`) to the answers as it comes, and call `kept`."""
    with responses.appending(folder) as write:
        for question, text, facts in answered:
            line = {
                "sample_id": question.sample_id,
                "draw": int(question.draw),
                "response": text,
            }
            write([{**line, **asdict(facts), "at": store.now()}])
            kept()
