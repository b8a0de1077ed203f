"""Ask a model behind an OpenAI-compatible chat API (§5.3): a suspect, or a rephraser (§6.4.1).

The first question is asked alone, until the service has proved that it answers; the others follow,
several at a time.
"""

import threading
import warnings
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from typing import Any

import pandas as pd

from dsi_core.runtime import jobs
from dsi_core.services.billing import Allowance, Lost
from dsi_core.services.reply import Reply
from dsi_core.services.request import Asking
from dsi_core.services.service import Service
from dsi_core.services.trial import UNREACHED, EndpointError, Refused, Trial, Unaffordable
from dsi_core.services.troubles import Meaning
from dsi_core.settings.schema import Endpoint

SUSPICIOUS = 3  # prompts refused in a row for no known reason: then it is not the prompts


def answers(
    endpoint: Endpoint,
    questions: pd.DataFrame,
    asking: Asking,
    service: Service | None = None,
    *,
    until_one: bool = False,
    leave_out: bool = False,
    unanswered: list[tuple[Any, Lost]] | None = None,
    allowance: Allowance | None = None,
) -> Generator[tuple[Any, Reply], None, None]:
    """Yield (row, `Reply`) in the order in which the answers arrive.

    After a question has failed none is begun or repeated; the answers under way are still yielded,
    then its error is raised.

    Parameters
    ----------
    questions
        Columns sample_id, prompt, draw; called: what messages call one that is not about a sample.
    service
        The same service as another call knew it; None = it is met for the first time.
    until_one
        Whether to ask one after the other and to stop once one is answered.
    leave_out
        Whether a prompt is left out like a refused one if the service fails again and again on it
        and on no other; else it ends the asking.
    unanswered
        Gets (row, `Lost`) of every question that was asked and stays unanswered, also where the
        asking is broken off (Ctrl-C, `close`): a request under way then may be billed.
    allowance
        What may be billed; a question for whose next request it does not suffice stays unanswered.

    Raises
    ------
    ValueError
        If the key or the URL is unusable.
    EndpointError
        If a question stays unanswered; if a host is not reached at all.
    """
    if service is None:
        with Service(endpoint) as service:
            yield from answers(
                endpoint,
                questions,
                asking,
                service,
                until_one=until_one,
                leave_out=leave_out,
                unanswered=unanswered,
                allowance=allowance,
            )
        return
    if len(questions) and not service.proven and (why := service.client.reach()):
        raise EndpointError(f"{service.name}: {service.shown(why)} ({UNREACHED})")
    stop = threading.Event()
    counted = [] if unanswered is None else unanswered
    round_ = _Round(service, asking, stop, leave_out, counted, allowance)
    rows = list(questions.itertuples(index=False))
    try:
        for done, kept in enumerate(round_.all(rows, until_one), start=1):
            yield kept
            jobs.report(done / len(rows))
    finally:
        stop.set()
        round_.end()


class _Round:
    """The questions of one call, and what is held back of their answers."""

    def __init__(
        self,
        service: Service,
        asking: Asking,
        stop: threading.Event,
        leave_out: bool,
        unanswered: list[tuple[Any, Lost]],
        allowance: Allowance | None,
    ) -> None:
        self.service, self.asking, self.stop, self.leave_out = service, asking, stop, leave_out
        self.held: list[tuple[Any, Refused]] = []  # refused for no known reason: whose fault is it?
        self.skipped: dict[str, Refused] = {}
        self.errors: list[Exception] = []
        self.unanswered, self.allowance = unanswered, allowance
        self.going: dict[tuple[Any, Any], Trial] = {}  # what was not given to the caller yet
        self.answered = False

    def all(self, rows: list, until_one: bool) -> Iterator[tuple[Any, Reply]]:
        """Yield the answers: one question at a time until one is answered, then several or none."""
        first = 0
        while first < len(rows) and not self.errors:
            if self.answered if until_one else self.service.proven:
                break
            yield from self._kept(self._ask(rows[first]))
            first += 1
        if not self.errors and first < len(rows) and not until_one:
            yield from self._together(rows[first:])
        if self.held and not self.errors:
            if not (self.service.proven or self.service.taken.answered):
                self._blame_the_service()
            else:
                yield from self._released()
        if self.errors:
            raise self.errors[0]

    def end(self) -> None:
        """Count what is neither answered nor counted yet; a thread may still be at it."""
        self.unanswered += [(row, said.lost) for row, said in self.held]
        self.held = []
        for key in list(self.going):
            trial = self.going.pop(key, None)  # unless its thread is done by now
            if trial is not None:
                self.unanswered.append((trial.row, trial.lost + trial.under_way))

    def _together(self, rows: list) -> Iterator[tuple[Any, Reply]]:
        pool = ThreadPoolExecutor(self.service.endpoint.concurrency)
        try:
            # The futures are kept nowhere else, so each answer's memory is freed once it was given
            for future in as_completed({pool.submit(self._ask, row) for row in rows}):
                yield from self._kept(future.result())
        finally:
            self.stop.set()
            pool.shutdown(wait=False, cancel_futures=True)  # Ctrl-C waits for no answer under way

    def _ask(self, row: Any) -> tuple[Any, Reply | Refused] | None:
        """One question; None if it has no answer. A sample that was refused is not asked again."""
        known = self.skipped.get(row.sample_id)
        if known is not None:
            return row, replace(known, requests=0, lost=Lost())
        trial = Trial(self.service, row, self.asking, self.stop, self.leave_out, self.allowance)
        self.going[row.sample_id, row.draw] = trial
        try:
            said = trial.run()
        except Unaffordable:
            if self._done(row):
                self.unanswered.append((row, trial.lost))
            return None
        except Exception as error:
            if self._done(row) and isinstance(error, EndpointError):
                self.unanswered.append((row, error.lost))
            self.errors.append(error)  # before the stop: the first error causes the others
            self.stop.set()
            return None
        if isinstance(said, Refused):
            self.skipped[row.sample_id] = said
        return row, said

    def _done(self, row: Any) -> bool:
        """Take a question from those that are going; False: it was counted as broken off."""
        return self.going.pop((row.sample_id, row.draw), None) is not None

    def _kept(self, answered: tuple[Any, Reply | Refused] | None) -> Iterator[tuple[Any, Reply]]:
        if answered is None:
            return
        row, said = answered
        if isinstance(said, Reply):
            self.answered = True
            yield from self._released()
            yield row, said
            self._done(row)
            return
        if of_the_prompt(said, self.service):
            yield row, _left_out(said)
            self._done(row)
            return
        self.held.append((row, said))
        self._done(row)
        if len({one.sample_id for one, _ in self.held}) >= SUSPICIOUS:
            self._blame_the_service()

    def _released(self) -> Iterator[tuple[Any, Reply]]:
        """What was held back is the prompts' own fault, as others are answered."""
        if self.errors:  # then nobody knows: a rerun asks again
            return
        for row, said in self.held:
            yield row, _left_out(said)
        self.held = []

    def _blame_the_service(self) -> None:
        refused = len({row.sample_id for row, _ in self.held})
        others = f" ({refused} questions in a row were refused)" if refused > 1 else ""
        first = self.held[0][1]
        self.errors.append(EndpointError(f"{first.message}{others}", first.lost))
        self.unanswered += [(row, said.lost) for row, said in self.held]
        self.held = []
        self.stop.set()


def of_the_prompt(said: Refused, service: Service) -> bool:
    """Tell whether a refusal is the prompt's own fault, whatever becomes of others."""
    too_long = said.error.meaning is Meaning.TOO_LONG and service.taken.answered
    return too_long or said.error.meaning in (Meaning.FILTERED, Meaning.FAILED)


def _left_out(said: Refused) -> Reply:
    if said.requests:
        why = f"{said.message}; this prompt is left out and never asked again"
        warnings.warn(why, stacklevel=2)
    return said.reply
