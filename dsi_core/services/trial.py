"""One question to a service: what is tried again, what is given up, and what is refused for good.

Errors that may pass are tried again: as long as patience lasts if a service that answers is too
busy, a few times otherwise. A prompt that is refused for good is an answer. So, if allowed, is a
prompt on which alone a service fails, while it answers `PROBE` in between.
"""

import difflib
import random
import threading
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urljoin

from dsi_core.services import billing, pace, reply, request, troubles
from dsi_core.services.address import CHAT, without_login
from dsi_core.services.billing import Allowance, Lost
from dsi_core.services.client import Missed, Received, Trouble
from dsi_core.services.endings import Ending
from dsi_core.services.reply import Failure, Reply
from dsi_core.services.request import Asking
from dsi_core.services.service import Service
from dsi_core.services.troubles import Error, Meaning

NONSENSE = 3  # requests of one question, and no more, that a service may answer with nonsense
PROBE = "Name a colour."  # may it be the service that fails, and not the prompt?
BUSY_PROBES = 3  # times in turn that it has an answer and a prompt gets none: too much load is luck
LISTED = 8  # models that an error names, of those that a service has
LISTED_BYTES = 1 << 20
# What helps where a question was given up
AWAY = "a rerun goes on once it answers"
UNREACHED = "is --base-url right, and does the service run?"
BUSY = "a longer --patience waits for it, and a rerun goes on"
SLOW = "a longer --timeout gives it more time, and a rerun goes on"
SKIPPED = {Meaning.FILTERED, Meaning.TOO_LONG, Meaning.REFUSED}


class EndpointError(RuntimeError):
    """A question that stayed unanswered.

    The message names server, model, sample and status, and never holds the key.

    Attributes
    ----------
    lost
        What its requests took.
    """

    def __init__(self, message: str, lost: Lost | None = None):
        super().__init__(message)
        self.lost = lost or Lost()


class Unaffordable(Exception):
    """A question that is not asked again, as what is allowed does not suffice."""


@dataclass(frozen=True)
class Refused:
    """A prompt that the service will never answer."""

    error: Error
    message: str
    requests: int
    lost: Lost

    @property
    def reply(self) -> Reply:
        """Give what is kept as its answer."""
        ending = _ENDINGS.get(self.error.meaning, Ending.UNSAID)
        return Reply(
            text="",
            finish=self.error.meaning,
            ending=ending,
            refused=ending is Ending.UNSAID,
            requests=self.requests,
            lost=self.lost,
            billed=False,
        )


_ENDINGS = {Meaning.FILTERED: Ending.FILTERED, Meaning.FAILED: Ending.ERROR}


class Trial:
    """One question to a service, asked until it is answered or given up.

    leave_out: whether a prompt on which alone the service fails counts as refused. stop: once it is
    set, no request begins. allowance: what requests may be billed. lost: what requests without an
    answer took; under_way: what one may take of which that is not known yet.
    """

    def __init__(
        self,
        service: Service,
        row: Any,
        asking: Asking,
        stop: threading.Event,
        leave_out: bool = False,
        allowance: Allowance | None = None,
    ):
        self.service, self.row, self.asking, self.stop = service, row, asking, stop
        self.leave_out, self.probed, self.allowance = leave_out, 0, allowance
        self.endpoint = service.endpoint
        self.seed = request.draw_seed(asking.seed, row.sample_id, row.draw)
        self.taken = service.taken
        self.begun = pace.CLOCK.now()
        self.requests = self.failures = self.nonsense = 0
        self.lost = self.under_way = Lost()

    def run(self) -> Reply | Refused:
        """Get the answer.

        Raises
        ------
        EndpointError
            When it is given up, or at once when the server refuses for good.
        Unaffordable
            When the allowance does not suffice for the next request.
        """
        while True:
            if self.stop.is_set():
                raise self._error("given up, as another question failed")
            if self.service.proven:  # others may have learnt meanwhile
                self.taken = self.service.taken
            sent = request.body(self.endpoint, self.row.prompt, self.asking, self.seed, self.taken)
            with self.service.pace.turn(self.stop) as number:
                if self.stop.is_set():
                    continue
                got = self._post(self.row.prompt, sent)
            if isinstance(got, Missed):
                done: Reply | Refused | None = self._missed(got, sent)
            else:
                done = self._read(got, sent, number)
            if done is not None:
                return done

    def _post(self, prompt: str, sent: dict) -> Received | Missed:
        """Send a request, if it may be paid; what is surely not billed is given back."""
        if self.allowance is not None and not self.allowance.take(prompt):
            raise Unaffordable
        self.under_way = Lost(1, 1)
        got = self.service.client.post(sent)
        self.requests += 1
        if self.allowance is not None and not _may_be_billed(got):
            self.allowance.give_back(prompt)
        return got

    def _read(self, got: Received, sent: dict, number: int) -> Reply | Refused | None:
        if got.status < 300:
            return self._said(got, sent, number)
        if got.status < 400:
            raise self._error(*self._elsewhere(got.headers.get("location", ""), got.status))
        return self._error_said(got, got.status, sent, number)

    def _said(self, got: Received, sent: dict, number: int) -> Reply | Refused | None:
        said = self.service.read(got.raw, self.asking.max_new_tokens)
        if isinstance(said, Reply):
            return self._answered(said, sent)
        self.lost += said.lost
        self.under_way = Lost()
        status = said.status or 200
        if status >= 400:  # an error within a reply that says 200
            return self._error_said(got, status, sent, number)
        if not said.again:
            raise self._error(said.message, status)
        if said.nonsense:
            self.nonsense += 1
            bare = said.bare and self.service.taken.answered  # so some treat a prompt they dislike
            if self.nonsense >= NONSENSE and bare:
                return self._refused(Error(Meaning.REFUSED, said.message), status)
            if self.nonsense >= NONSENSE:
                error = self._error(said.message, status, self._where_it_went())
                self._prove_that_others_are_answered(error)
                return self._refused(Error(Meaning.FAILED, said.message), status)
        return self._again(said.message, status)

    def _error_said(self, got: Received, status: int, sent: dict, number: int) -> Refused | None:
        self.under_way = Lost()  # what ends with an error's status is not billed
        fields = request.changeable(self.endpoint, sent, self.asking)
        error = troubles.read(status, got.headers, got.raw, fields, self.row.prompt)
        return self._understood(error, status, sent, number)

    def _answered(self, said: Reply, sent: dict) -> Reply:
        self.service.pace.answered()
        seed = self.taken.seed if "seed" not in sent else True
        self.service.learn(self.taken.model_copy(update={"answered": True, "seed": seed}))
        return replace(said, requests=self.requests, lost=self.lost)

    def _understood(self, error: Error, status: int, sent: dict, number: int) -> Refused | None:
        match error.meaning:
            case Meaning.FIELDS:
                other = self.taken.without(error.fields, error.message)
                if other is None:
                    fields = ", ".join(error.fields)
                    hint = f"{fields}: --omit leaves a field out, --extra-body sets others"
                    raise self._error(error.message, status, hint)
                self.taken = other
                if self.service.proven:
                    self.service.taken = other
                return None
            case Meaning.SLOWER:
                pause = max(error.pause_s, pace.backoff(self.failures + 1, random.random()))
                self.service.pace.slower(number, pause)
                return self._again(error.message, status, pause, busy=True, hint=BUSY)
            case Meaning.AGAIN:
                if status == 500:
                    self._suspect_the_seed(sent)
                return self._again(error.message, status, error.pause_s)
            case Meaning.QUOTA:
                hint = "no quota or credit is left there; a rerun goes on once there is"
                raise self._error(error.message, status, hint)
            case Meaning.REFUSED if error.lacking and not self.service.taken.answered:
                raise self._error(error.message, status, self._what_is_wrong(status, error))
            case Meaning.FINAL:
                raise self._error(error.message, status, self._what_is_wrong(status, error))
        return self._refused(error, status)

    def _refused(self, error: Error, status: int | None) -> Refused:
        message = str(self._error(error.message, status))
        kept = replace(error, message=self.service.shown(error.message))  # not all of a long one
        return Refused(kept, message, self.requests, self.lost)

    def _missed(self, got: Missed, sent: dict) -> Refused | None:
        was_asked = _may_be_billed(got)
        if was_asked:
            self.lost += Lost(1, 1)
        self.under_way = Lost()
        if got.trouble is Trouble.BARRED:
            raise self._error(got.message)
        if got.trouble is Trouble.LOST:
            self._suspect_the_seed(sent)
        hint = SLOW if got.trouble is Trouble.LATE else AWAY
        return self._again(got.message, reached=was_asked, hint=hint)

    def _suspect_the_seed(self, sent: dict) -> None:
        """A seed crashes some engines: none is sent any more if no answer with a seed ever came."""
        if "seed" in sent and self.taken.seed is None and "seed" not in self.endpoint.extra:
            self.taken = self.taken.model_copy(update={"seed": False})

    def _again(
        self,
        message: str,
        status: int | None = None,
        pause_s: float = 0.0,
        busy: bool = False,
        reached: bool = True,
        hint: str = AWAY,
    ) -> Refused | None:
        """Wait; where patience ends, raise, or refuse the prompt if it alone is to blame."""
        self.failures += 1
        waited = pace.CLOCK.now() - self.begun
        patience = self.endpoint.patience if busy or self.service.proven else 0.0
        if self.failures >= self.endpoint.attempts and waited >= patience:
            error = self._error(message, status, hint)
            if not reached:
                raise error
            if self.probed >= (BUSY_PROBES if busy else 1):
                return self._refused(Error(Meaning.FAILED, message), status)
            self._prove_that_others_are_answered(error)
            if not busy:
                return None  # once more, now that the service answers
        pause = max(pace.backoff(self.failures, random.random()), pause_s)
        pace.CLOCK.wait(pause, self.stop)
        return None

    def _prove_that_others_are_answered(self, error: EndpointError) -> None:
        """Ask `PROBE` as this question is asked; raise the error where that has no answer."""
        if not self.leave_out:
            raise error
        probe = request.body(self.endpoint, PROBE, self.asking, self.seed, self.taken)
        with self.service.pace.turn(self.stop):
            if self.stop.is_set():
                raise error
            got = self._post(PROBE, probe)
        said = None
        if isinstance(got, Received) and got.status < 300:
            said = self.service.read(got.raw, self.asking.max_new_tokens)
            self.lost += said.lost if isinstance(said, Failure) else billing.took(said.usage)
        elif isinstance(got, Missed) and got.trouble is not Trouble.UNREACHED:
            self.lost += Lost(1, 1)
        self.under_way = Lost()
        if not isinstance(said, Reply):
            error.lost = self.lost
            raise error
        self.probed += 1

    def _elsewhere(self, location: str, status: int) -> tuple[str, int, str]:
        """Say where a service sends to: to another base URL, or to what is none."""
        where = self.service.client.address
        try:
            place = urljoin(where.chat, location)
        except ValueError:  # no URL
            place = location
        place = self.service.shown(without_login(place.split("?")[0]))
        base = place.removesuffix(CHAT)
        if base not in (place, where.base):
            return "it sends to another place", status, f"give --base-url {base}"
        aim = f"to {place}" if location else "elsewhere, and not where"
        return f"it sends {aim}", status, self._where_it_went()

    def _where_it_went(self) -> str:
        where = self.service.client.address
        likely = where.likely
        hint = f"is it --base-url {likely}?" if likely else "is --base-url that of an API?"
        return f"asked was {where.chat}; {hint}"

    def _what_is_wrong(self, status: int, error: Error) -> str:
        named = self.endpoint.key_env
        if error.lacking:
            wanted = ", ".join(f'"{self.service.shown(name)}": ...' for name in error.lacking)
            return f"--extra-body '{{{wanted}}}' sends it"
        if status in (401, 403) and not named:
            return "does it need --key-env?"
        if status == 401:
            return f"the key in {named} is not accepted"
        if status == 403:
            return f"may the key in {named} use this model?"
        if status == 407:
            return "the proxy wants a login: http://name:password@host:port"
        if "model" in error.message.lower():
            return f"is --model {self.endpoint.model} right?{self._models()}"
        return self._where_it_went()

    def _models(self) -> str:
        """Say which models the service names, those whose names are most alike."""
        got = self.service.client.send("GET", "/models", most=LISTED_BYTES)
        names = reply.models(got.raw) if isinstance(got, Received) and got.status == 200 else []
        if not names:
            return ""
        shown = difflib.get_close_matches(self.endpoint.model, names, LISTED, 0)
        more = f" and {len(names) - len(shown)} more" if len(names) > len(shown) else ""
        return f" it names {self.service.shown(', '.join(shown))}{more}"

    def _error(self, message: str, status: int | None = None, hint: str = "") -> EndpointError:
        # Made here and not where a library's error was caught: such a request holds the key
        waited, most = pace.CLOCK.now() - self.begun, self.endpoint.attempts
        count = f" (request {self.requests} of {most})" if self.failures else ""
        if self.requests > most:
            count = f" ({self.requests} requests in {waited:.0f} s)"
        state = f"status {status}" if status else "no usable answer"
        called = getattr(self.row, "called", "sample")
        line = (
            f"{self.service.name}, {called} {self.row.sample_id}: {state}{count}: "
            f"{self.service.shown(message)}"
        )
        return EndpointError(f"{line} ({hint})" if hint else line, self.lost)


def _may_be_billed(got: Received | Missed) -> bool:
    """Errors' statuses are not billed, nor what never reached the service."""
    if isinstance(got, Missed):
        return got.trouble not in (Trouble.UNREACHED, Trouble.BARRED)
    return got.status < 400
