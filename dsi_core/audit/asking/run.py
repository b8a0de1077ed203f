"""The online phase (§5.4): prompt a suspect, keep every answer as it comes, judge, stop early.

Every answer is on the disk when it arrives: an interrupted audit goes on where it was, and neither
asks nor pays for an answer twice.
"""

import os
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from dsi_core.audit import answers_file, plan_file
from dsi_core.audit.asking import batches, elsewhere, in_vain, log, same_model, unanswered
from dsi_core.audit.asking.cost import (
    affordable,
    allowance,
    neutral_left_out,
    neutral_round,
    spent,
)
from dsi_core.audit.asking.log import Entry
from dsi_core.audit.asking.storage import answers, answers_in, beside, is_fixed
from dsi_core.audit.judging import judge, judgement
from dsi_core.audit.judging.judgement import Judgement
from dsi_core.audit.plan import MODEL_ID, Plan
from dsi_core.audit.plan_file import PlanFile
from dsi_core.audit.suspect import AnswerFacts, told_apart
from dsi_core.evidence import controls
from dsi_core.models import load, responses
from dsi_core.models.sampling import Sampling
from dsi_core.models.tuning import Training
from dsi_core.runtime import jobs, locks, provenance, store
from dsi_core.runtime.progress import Progress
from dsi_core.services import batch, endpoint, pending
from dsi_core.services.billing import Allowance, Lost
from dsi_core.services.reply import Reply
from dsi_core.services.service import Service
from dsi_core.services.trial import EndpointError


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
    EndpointError
        When a question stays unanswered: what came before is stored, and a rerun goes on.
    """
    plan.folder.mkdir(parents=True, exist_ok=True)
    service: Service | None = None
    begun = False
    with locks.alone(plan.folder), ExitStack() as opened:
        begin(plan)
        if len(answers(plan)):  # a crash may have come between
            _entering(plan)()
        _take_given(plan)
        batches.check(plan, answers(plan))
        bar = opened.enter_context(Progress(plan.queries, min(len(answers(plan)), plan.queries)))
        while True:
            stored = answers(plan)
            with warnings.catch_warnings(record=True) as told:  # at each look; said at the end
                judged = judge.judge(plan, stored)
            cost = spent(plan, stored) if plan.budget.has_prices else None
            bar.show(min(len(stored), plan.queries), so_far(plan, judged, stored, cost))
            ended, questions = None, next_questions(plan, stored)
            if judged.samples == len(plan.samples):
                ended = Ended.ALL_PROMPTED
            elif plan.stops_early and judged.found:
                ended = Ended.STOPPED_EARLY
            elif questions.empty:
                ended = Ended.BUDGET_SPENT
            neutral = _neutral(plan, stored, ended)
            if plan.remote is not None and service is None and (ended is None or len(neutral)):
                elsewhere.warn(plan)
                if said := neutral_left_out(plan):
                    warnings.warn(said, stacklevel=2)
                service = opened.enter_context(Service(plan.remote, plan.folder))
            if len(neutral):
                assert service is not None
                _ask_neutral(plan, service, neutral, ended, allowance(plan, stored, neutral=True))
                cost = spent(plan, stored) if plan.budget.has_prices else None
            if ended is not None:
                for one in told:
                    warnings.warn(one.message, stacklevel=2)
                _enter_at_its_end(plan)
                return Outcome(judged, cost, ended)
            if not begun:
                in_vain.warn(plan, stored, _shown(service))
            begun = True
            _ask(plan, service, questions, bar)


def _shown(service: Service | None) -> Callable[[str], str]:
    """Give what leaves out of a suspect's text what is secret."""
    return str if service is None else service.shown


def begin(plan: Plan) -> None:
    """Make the audit's folder and fix its plan.

    Only the folder's owner may read the suspect's answers. Before the first answer another plan may
    replace this one: nobody can have chosen it by the answers. If answers are gone that the log
    knows of, this is another audit. A damaged log is refused now, before anything is paid for.
    """
    log.read(plan.subject.folder)
    plan.folder.mkdir(parents=True, exist_ok=True)
    path = plan.folder / responses.FILE
    path.touch(mode=0o600)
    path.chmod(0o600)
    of_a_file = plan.answers_file is not None
    if is_fixed(plan):
        plan_file.check(plan.folder, plan.fixed, of_a_file=of_a_file)
    there = plan_file.read(plan.folder) if plan_file.lies_in(plan.folder) else None
    if there is None:
        gone = log.was_in(plan.subject.folder, _place(plan))
    else:
        gone = log.lacks(plan.subject.folder, entry(plan).audit, path.read_bytes())
    if there is None or gone or plan_file.differing(there, plan.fixed, of_a_file=of_a_file):
        plan_file.write(plan.folder, plan.fixed)
    if gone:
        warnings.warn(
            f"{path} no longer holds the answers that {plan.subject.folder / log.NAME} knows of: "
            "this is counted as another audit",
            stacklevel=2,
        )


def _entering(plan: Plan) -> Callable[[], object]:
    """Give what enters the audit in the log beside what it is about; a worker may do it."""
    return partial(log.begin, plan.subject.folder, entry(plan))


def _enter_at_its_end(plan: Plan) -> None:
    """An audit that has a report is counted, also one that was never answered."""
    if not _entering(plan)():
        warnings.warn(
            f"{plan.subject.folder / log.NAME} cannot be written: this audit is not counted, and "
            "the report tells what is known of others",
            stacklevel=2,
        )


def _take_given(plan: Plan) -> None:
    """Take over the answers of a file that stands for the suspect, those that are not stored."""
    if plan.answers_file is None:
        return
    said = answers_file.read(plan.answers_file, plan.samples)
    lacking = responses.unanswered(answers_in(plan.folder), plan.samples, plan.draws)
    said = lacking.merge(said, on=["sample_id", "draw"])
    kept = ((row, *told_apart(str(row.response))) for row in said.itertuples())
    keep(plan.folder, kept, _entering(plan))


def entry(plan: Plan) -> Entry:
    """Say what the log says of an audit whose plan is fixed."""
    fixed, place = plan_file.read(plan.folder), _place(plan)
    return Entry(
        # the place, too: two may begin within a second; not mu, which older plans lack
        audit=store.key([fixed.model_dump(mode="json", exclude={"mu"}), plan.name, place]),
        suspect=plan.suspect,
        key=plan.suspect_key,
        folder=plan.name,
        place=place,
        alpha=fixed.alpha,
        settings=_settings(fixed),
        begun=fixed.begun,
    )


def _place(plan: Plan) -> str:
    """Where an audit is, from the log's own place."""
    return os.path.relpath(plan.folder.resolve(), plan.subject.folder.resolve())


def _settings(fixed: PlanFile) -> dict:
    manner = {"temperature", "system_prompt", "max_new_tokens", "extra", "controls"}
    return fixed.model_dump(include={"samples", "answers_to_a_prompt", *manner}, by_alias=True)


def next_questions(plan: Plan, stored: pd.DataFrame) -> pd.DataFrame:
    """Give the next block of questions (sample_id, prompt, draw): whole samples, in order.

    Up to the next look, or, without looks, as many as keep all connections busy; all of them if
    nothing stops early. Empty at the end, or when the next sample might exceed the budget.
    Questions of a batch under way come first, whatever the budget: they are paid.
    """
    wanted = responses.unanswered(stored, plan.samples, plan.draws)
    paid = pending.submitted(plan.folder, wanted)
    if len(paid):
        return paid
    first = wanted["sample_id"].unique()[: _block(plan, wanted)]
    return affordable(plan, stored, wanted[wanted["sample_id"].isin(first)])


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


def _ask(plan: Plan, service: Service | None, questions: pd.DataFrame, bar: Progress) -> None:
    stored = answers(plan)
    there = len(stored)
    if plan.remote is not None:
        assert service is not None
        vain: list[tuple[Any, Lost]] = []
        how = plan.asking
        if plan.remote.batch:
            replies = batch.batched(service, questions, how, plan.folder, vain)
        else:
            replies = endpoint.answers(
                plan.remote,
                questions,
                how,
                service,
                leave_out=True,
                unanswered=vain,
                allowance=allowance(plan, stored),
            )
        with _counted(plan, plan.folder, replies, vain) as kept:

            def seen(number: int) -> None:
                bar.show(bar.done + 1)
                in_vain.look(plan, there, number, service.shown)

            keep(plan.folder, kept, _entering(plan), seen)
        return
    seen = partial(in_vain.look, plan, there)
    arguments = plan.folder, plan.training, questions, plan.sampling, _entering(plan), seen
    if load.spread(plan.base, plan.training.precision):  # a worker has one GPU
        ask_local(*arguments)
    else:
        jobs.run([jobs.Job(plan.suspect, ask_local, arguments)], on_this_machine=True)
    bar.show(bar.done + len(questions))


@contextmanager
def _counted(
    plan: Plan,
    folder: Path,
    replies: Generator[tuple[Any, Reply], None, None],
    vain: list[tuple[Any, Lost]],
) -> Iterator[Iterator[tuple]]:
    """Give replies as `keep` takes them, and, however it ends, count what was asked in vain.

    folder: where the answers are kept. Ctrl-C may come after one was, and before that is known.
    """
    try:
        with closing(replies):
            yield ((row, reply.text, _facts(reply)) for row, reply in replies)
    finally:
        there = answers_in(folder) if vain else pd.DataFrame(columns=judgement.ANSWER)
        known = set(zip(there["sample_id"], there["draw"], strict=True))
        lost = [(row, took) for row, took in vain if (row.sample_id, row.draw) not in known]
        unanswered.add(plan.folder, lost)


def _neutral(plan: Plan, stored: pd.DataFrame, ended: Ended | None) -> pd.DataFrame:
    """The neutral questions that are due now: before the first question and after the last."""
    there = beside(plan)
    if not neutral_round(plan):
        return same_model.questions(0, 0, there)
    if ended is not None:
        return same_model.due(plan.neutral, there, stored)
    first = stored.empty or (len(there) and there["draw"].max() < same_model.DRAWS)
    return same_model.questions(plan.neutral if first else 0, 0, there)


def _ask_neutral(
    plan: Plan,
    service: Service,
    questions: pd.DataFrame,
    ended: Ended | None,
    allowed: Allowance | None,
) -> None:
    folder = plan.folder / same_model.FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    how = same_model.sampling(plan.asking.seed)
    assert plan.remote is not None
    vain: list[tuple[Any, Lost]] = []
    replies = endpoint.answers(
        plan.remote, questions, how, service, unanswered=vain, allowance=allowed
    )
    try:
        with _counted(plan, folder, replies, vain) as kept:
            keep(folder, kept)
    except EndpointError as error:
        if ended is None:
            raise
        warnings.warn(f"not asked whether it is still the same model: {error}", stacklevel=2)


def so_far(plan: Plan, judged: Judgement, stored: pd.DataFrame, cost: float | None) -> str:
    """Say in a line how an audit stands: its votes, p at the last look, money, repeated requests.

    Between looks it says nothing new about the evidence, so that nobody can stop when it suits him.
    """
    parts = [f"{plan.suspect}: {judged.samples} of {len(plan.samples)} samples"]
    if judged.vote is not None:
        parts.append(f"vote {judged.vote.positive} to {judged.vote.negative}")
    if judged.samples == 0 or (judged.exact is not None and not judged.exact.looks):
        parts.append("no look yet")
    elif judged.p is not None:
        parts.append(f"p {judged.p:.2g} at the last look")
    if cost is not None:
        parts.append(f"{cost:.4g} spent")
    if repeated := int((stored["requests"] - 1).clip(lower=0).sum()):
        parts.append(f"{repeated} requests repeated")
    return ", ".join(parts)


def _facts(reply: Reply) -> AnswerFacts:
    return AnswerFacts(
        finish=reply.finish,
        ending=reply.ending,
        refused=reply.refused,
        thought=reply.thought,
        cut=reply.cut,
        tokens=reply.usage.written,
        prompt_tokens=reply.usage.read,
        thought_tokens=reply.usage.thought,
        cached_tokens=reply.usage.cached,
        model=reply.model,
        requests=reply.requests,
        billed=reply.billed,
        lost_requests=reply.lost.requests,
        lost_uncounted=reply.lost.uncounted,
        lost_tokens=reply.lost.written,
        lost_prompt_tokens=reply.lost.read,
    )


def ask_local(
    folder: Path,
    training: Training,
    questions: pd.DataFrame,
    sampling: Sampling,
    enter: Callable[[], object],
    kept: Callable[[int], object],
) -> None:
    """Load a local suspect, let it answer, keep each answer (as `keep`); what a worker does."""
    batches = responses.local_answers(MODEL_ID, training, questions, sampling)
    answered = ((a.question, *told_apart(a.text)) for batch in batches for a in batch)
    keep(folder, answered, enter, kept)


def keep(
    folder: Path,
    answered: Iterable[tuple],
    enter: Callable[[], object] = lambda: None,
    kept: Callable[[int], object] = lambda number: None,
) -> None:
    """Append each (question, text, `AnswerFacts`) to the answers as it comes.

    enter, kept: called before the first is kept, and after each, with its number (1, 2, ...).
    """
    with responses.appending(folder) as write:
        for number, (question, text, facts) in enumerate(answered, start=1):
            if number == 1:
                enter()
            line = {
                "sample_id": question.sample_id,
                "draw": int(question.draw),
                "response": text,
            }
            write([{**line, **asdict(facts), "at": provenance.moment()}])
            kept(number)
