"""The online phase (§5.4): prompt a suspect, keep every answer as it comes, judge, stop early.

Every answer is on the disk when it arrives: an interrupted audit goes on where it was, and neither
asks nor pays for an answer twice.
"""

import warnings
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from dsi_core.audit import answers_file, judgement, log, plan_file
from dsi_core.audit.judgement import Judgement
from dsi_core.audit.log import Entry
from dsi_core.audit.plan import MODEL_ID, Plan, answers, spent, worst
from dsi_core.audit.plan_file import PlanFile
from dsi_core.audit.suspect import SAYS_NOTHING, AnswerFacts
from dsi_core.evidence import controls
from dsi_core.models import responses
from dsi_core.models.sampling import Sampling
from dsi_core.models.tuning import Training
from dsi_core.runtime import jobs, store
from dsi_core.services import endpoint
from dsi_core.services.endpoint import Reply

RESPONSES = "responses.jsonl"


class Ended(StrEnum):
    """Why an audit asked no more."""

    STOPPED_EARLY = "stopped early"  # the evidence sufficed
    ALL_PROMPTED = "all prompted"  # that was planned
    BUDGET_SPENT = "budget spent"  # the next sample could have exceeded it


@dataclass(frozen=True)
class Outcome:
    """A finished audit: what the answers say, their cost (None = no prices), why it ended."""

    judgement: Judgement
    cost: float | None
    ended: Ended


def run(plan: Plan) -> Outcome:
    """Ask until the evidence suffices, until all is asked, or until the budget is spent.

    Raises
    ------
    endpoint.EndpointError
        When a question stays unanswered: what came before is stored, and a rerun goes on.
    """
    begin(plan)
    answered = min(len(answers(plan)), plan.queries)
    bar = tqdm(
        total=plan.queries, initial=answered, desc=plan.suspect, unit=" answers", disable=None
    )
    with store.lock(plan.folder), bar:
        _take_given(plan)
        while True:
            stored = answers(plan)
            judged = judgement.judge(plan, stored)
            cost = spent(plan, stored) if plan.budget.has_prices else None
            if judged.samples == len(plan.samples):
                return Outcome(judged, cost, Ended.ALL_PROMPTED)
            if plan.stops_early and judged.found:
                return Outcome(judged, cost, Ended.STOPPED_EARLY)
            questions = next_questions(plan, stored)
            if questions.empty:
                return Outcome(judged, cost, Ended.BUDGET_SPENT)
            _ask(plan, questions, bar)


def begin(plan: Plan) -> None:
    """Make the audit's folder, fix its plan, and enter it in the log beside what it is about.

    What the suspect answers is read by the folder's owner alone.
    """
    plan.folder.mkdir(parents=True, exist_ok=True)
    path = plan.folder / RESPONSES
    path.touch(mode=0o600)
    path.chmod(0o600)
    if not plan_file.lies_in(plan.folder):
        plan_file.write(plan.folder, plan.fixed)
    if not log.begin(plan.subject.folder, entry(plan)):
        warnings.warn(
            f"{plan.subject.folder / log.NAME} cannot be written: this audit is not counted, and "
            "the report says so",
            stacklevel=2,
        )


def _take_given(plan: Plan) -> None:
    """Take over the answers of a file that stands for the suspect, once."""
    if plan.answers_file is None or (plan.folder / RESPONSES).stat().st_size:
        return
    said = answers_file.read(plan.answers_file, plan.samples)
    said = said[said["draw"] < plan.draws]
    keep(plan.folder, ((row, row.response, SAYS_NOTHING) for row in said.itertuples()))


def entry(plan: Plan) -> Entry:
    """Say what the log says of an audit that has begun."""
    fixed = plan_file.read(plan.folder)
    return Entry(
        audit=store.key([fixed.model_dump(mode="json"), plan.name]),
        suspect=plan.suspect,
        key=plan.suspect_key,
        folder=plan.name,
        alpha=fixed.alpha,
        settings=_settings(fixed),
        begun=fixed.begun,
    )


def _settings(fixed: PlanFile) -> dict:
    manner = {"temperature", "system_prompt", "max_new_tokens", "extra"}
    return fixed.model_dump(include={"samples", "answers_to_a_prompt", *manner}, by_alias=True)


def next_questions(plan: Plan, stored: pd.DataFrame) -> pd.DataFrame:
    """Give the next block of questions (sample_id, prompt, draw): whole samples, in order.

    Up to the next look, or, without looks, as many as keep all connections busy; all of them where
    nothing stops early. Empty at the end, or when the next sample might exceed the budget.
    """
    wanted = responses.unanswered(stored, plan.samples, plan.draws)
    first = wanted["sample_id"].unique()[: _block(plan, wanted)]
    chosen = wanted[wanted["sample_id"].isin(first)]
    fits = np.full(len(chosen), True)
    if plan.budget.queries is not None:
        fits &= len(stored) + np.arange(1, len(chosen) + 1) <= plan.budget.queries
    if plan.budget.money is not None:
        costs = [plan.budget.cost(worst(plan, prompt)) for prompt in chosen["prompt"]]
        fits &= spent(plan, stored) + np.cumsum(costs) <= plan.budget.money
    whole = pd.Series(fits, index=chosen["sample_id"]).groupby(level=0, sort=False).all()
    return chosen[chosen["sample_id"].isin(whole.index[whole.cummin()])]


def _block(plan: Plan, wanted: pd.DataFrame) -> int:
    """How many samples of those that lack an answer are asked about next."""
    if not plan.stops_early:
        return len(plan.samples)
    if plan.looks is not None:
        lacking = plan.samples["sample_id"].isin(wanted["sample_id"])
        first = int(lacking.argmax()) if lacking.any() else len(lacking) - 1
        until = next(after for after in plan.looks.after if after > first)
        return int(lacking.head(until).sum())
    if plan.remote is None:
        return len(plan.samples)
    return max(controls.MIN_SAMPLES, -(-plan.remote.concurrency // plan.draws))


def _ask(plan: Plan, questions: pd.DataFrame, bar: tqdm) -> None:
    if plan.remote is not None:
        replies = endpoint.answers(plan.remote, questions, plan.sampling)
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
