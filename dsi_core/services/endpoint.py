"""Ask a model behind an OpenAI-compatible chat API (§5.3): a suspect, or a rephraser (§6.4.1).

The first question is asked alone, until the service has proved that it answers; the others follow,
several at a time. What may pass is tried again: for as long as patience lasts where a service that
answers has too much to do, a few times otherwise. A prompt that is refused for good is an answer.
"""

import difflib
import json
import random
import re
import threading
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import pandas as pd

from dsi_core.runtime import disk, jobs
from dsi_core.services import client, pace, reply, request, troubles
from dsi_core.services.billing import Lost
from dsi_core.services.client import Client, Missed, Received, Trouble
from dsi_core.services.endings import Ending
from dsi_core.services.pace import Pace
from dsi_core.services.reply import Reply
from dsi_core.services.request import Asking, Taken
from dsi_core.services.troubles import Error, Meaning
from dsi_core.settings.schema import Endpoint

NAME = "service.json"  # what a service taught, in the folder of its answers
EXCERPT = 300  # characters of a server's message that an error quotes
NONSENSE = 3  # requests of one question, and no more, that a service may answer with nonsense
SUSPICIOUS = 3  # prompts refused in a row for no known reason: then it is not the prompts
LISTED = 8  # models that an error names, of those that a service has
LISTED_BYTES = 1 << 20
SKIPPED = {Meaning.FILTERED, Meaning.TOO_LONG, Meaning.REFUSED}


class EndpointError(RuntimeError):
    """A question that stayed unanswered.

    The message names server, model, sample and status, and never holds the key.

    Attributes
    ----------
    lost
        What its requests took.
    unanswered
        (row, `Lost`) of every question that stayed unanswered with it.
    """

    def __init__(self, message: str, lost: Lost | None = None):
        super().__init__(message)
        self.lost = lost or Lost()
        self.unanswered: list[tuple[Any, Lost]] = []


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
        filtered = self.error.meaning is Meaning.FILTERED
        return Reply(
            text="",
            finish=self.error.meaning,
            ending=Ending.FILTERED if filtered else Ending.UNSAID,
            refused=not filtered,
            requests=self.requests,
            lost=self.lost,
            billed=False,
        )


class Service:
    """A service as one run knows it: the way there, its pace, what it takes. Close it.

    Parameters
    ----------
    memory
        A folder that keeps what it takes for later runs; None = nobody does.

    Raises
    ------
    ValueError
        If the key, the URL or the way there is unusable. Nothing is sent yet.
    """

    def __init__(self, endpoint: Endpoint, memory: Path | None = None) -> None:
        self.endpoint = endpoint
        self.client = Client(endpoint)
        self.pace = Pace(endpoint.concurrency)
        self.memory = memory
        self.taken = remembered(memory)
        self.proven = False  # in this run
        self.never = threading.Event()  # for waits that nothing but Ctrl-C ends
        self._known = self.taken  # what is written and was told
        self._guard = threading.Lock()

    def __enter__(self) -> "Service":
        """Give itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.client.close()

    def ask(self, row: Any, asking: Asking, stop: threading.Event) -> Reply | Refused:
        """Get one answer. No request begins once `stop` is set.

        Raises
        ------
        EndpointError
            When it is given up, or at once when the server refuses for good.
        """
        trial = _Trial(self, row, asking, stop)
        return trial.run()

    def learn(self, taken: Taken) -> None:
        """Take it that a service answered to requests made this way, and tell what is new."""
        with self._guard:
            self.proven = True
            if taken == self._known:
                return
            new = [one for one in taken.differences if one not in self._known.differences]
            self.taken = self._known = taken
            if self.memory is not None:
                said = {"api": self.client.address.base, "model": self.endpoint.model}
                text = json.dumps({**said, **taken.model_dump()}, indent=2) + "\n"
                disk.write_text(self.memory / NAME, text)
        for difference in new:
            warnings.warn(f"{self.name}: {difference}", stacklevel=3)

    @property
    def name(self) -> str:
        """Model and place, as messages name them."""
        return f"{self.endpoint.model} at {self.client.address.base}"

    def shown(self, text: str) -> str:
        """Give one printable line of a server's message without anything secret."""
        return _excerpt(text, self.client.secrets())


def remembered(folder: Path | None) -> Taken:
    """Read what a service taught in earlier runs; where nothing can be read it teaches anew."""
    if folder is None:
        return Taken()
    try:
        known = json.loads((folder / NAME).read_text(encoding="utf-8"))
        return Taken(**{k: v for k, v in known.items() if k not in ("api", "model")})
    except (OSError, ValueError, TypeError, AttributeError):
        return Taken()


class _Trial:
    """One question, asked until it is answered or given up."""

    def __init__(self, service: Service, row: Any, asking: Asking, stop: threading.Event):
        self.service, self.row, self.asking, self.stop = service, row, asking, stop
        self.endpoint = service.endpoint
        self.seed = request.draw_seed(asking.seed, row.sample_id, row.draw)
        self.taken = service.taken
        self.begun = pace.CLOCK.now()
        self.requests = self.failures = self.nonsense = 0
        self.lost = Lost()

    def run(self) -> Reply | Refused:
        while True:
            if self.stop.is_set():
                raise self._error("given up, as another question failed")
            if self.service.proven:  # others may have learnt meanwhile
                self.taken = self.service.taken
            sent = request.body(self.endpoint, self.row.prompt, self.asking, self.seed, self.taken)
            with self.service.pace.turn(self.stop) as number:
                if self.stop.is_set():
                    continue
                got = self.service.client.post(sent)
            self.requests += 1
            if isinstance(got, Missed):
                self._missed(got, sent)
                continue
            done = self._read(got, sent, number)
            if done is not None:
                return done

    def _read(self, got: Received, sent: dict, number: int) -> Reply | Refused | None:
        if got.status < 300:
            return self._said(got, sent, number)
        if got.status < 400:
            raise self._error(*self._elsewhere(got.headers.get("location", ""), got.status))
        return self._error_said(got, got.status, sent, number)

    def _said(self, got: Received, sent: dict, number: int) -> Reply | Refused | None:
        more = self.endpoint.reasoning_tokens
        said = reply.read(got.raw, self.asking.max_new_tokens, more)
        if isinstance(said, Reply):
            return self._answered(said, sent)
        self.lost += said.lost
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
                raise self._error(said.message, status, self._where_it_went())
        self._again(said.message, status)
        return None

    def _error_said(self, got: Received, status: int, sent: dict, number: int) -> Refused | None:
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
                self._again(error.message, status, pause, busy=True)
                return None
            case Meaning.AGAIN:
                if status == 500:
                    self._suspect_the_seed(sent)
                self._again(error.message, status, error.pause_s)
                return None
            case Meaning.QUOTA:
                hint = "no quota or credit is left there; a rerun goes on once there is"
                raise self._error(error.message, status, hint)
            case Meaning.FINAL:
                raise self._error(error.message, status, self._what_is_wrong(status, error.message))
        return self._refused(error, status)

    def _refused(self, error: Error, status: int) -> Refused:
        return Refused(error, str(self._error(error.message, status)), self.requests, self.lost)

    def _missed(self, got: Missed, sent: dict) -> None:
        if got.trouble is not Trouble.UNREACHED:
            self.lost += Lost(1, 1)
        if got.trouble is Trouble.BARRED:
            raise self._error(got.message)
        if got.trouble is Trouble.LOST:
            self._suspect_the_seed(sent)
        self._again(got.message)

    def _suspect_the_seed(self, sent: dict) -> None:
        """Some engines die of a seed: none is sent to one that never answered with one."""
        if "seed" in sent and self.taken.seed is None and "seed" not in self.endpoint.extra:
            self.taken = self.taken.model_copy(update={"seed": False})

    def _again(
        self, message: str, status: int | None = None, pause_s: float = 0.0, busy: bool = False
    ) -> None:
        """Wait, or raise where patience ends."""
        self.failures += 1
        waited = pace.CLOCK.now() - self.begun
        patience = self.endpoint.patience if busy or self.service.proven else 0.0
        if self.failures >= self.endpoint.attempts and waited >= patience:
            raise self._error(message, status)
        pause = max(pace.backoff(self.failures, random.random()), pause_s)
        pace.CLOCK.wait(pause, self.stop)

    def _elsewhere(self, location: str, status: int) -> tuple[str, int, str]:
        """Say where a service sends to: to another base URL, or to what is none."""
        where = self.service.client.address
        try:
            place = urljoin(where.chat, location)
        except ValueError:  # no URL
            place = location
        place = self.service.shown(re.sub("//[^/@]*@", "//", place).split("?")[0])
        base = place.removesuffix(client.CHAT)
        if base not in (place, where.base):
            return "it sends to another place", status, f"give --base-url {base}"
        aim = f"to {place}" if location else "elsewhere, and not where"
        return f"it sends {aim}", status, self._where_it_went()

    def _where_it_went(self) -> str:
        where = self.service.client.address
        likely = where.likely
        hint = f"is it --base-url {likely}?" if likely else "is --base-url that of an API?"
        return f"asked was {where.chat}; {hint}"

    def _what_is_wrong(self, status: int, message: str) -> str:
        named = self.endpoint.key_env
        if status in (401, 403):
            return f"the key in {named} is not accepted" if named else "does it need --key-env?"
        if status == 407:
            return "the proxy wants a login: http://name:password@host:port"
        if "model" in message.lower():
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
        count = f"request {self.requests} of {most}"
        if self.requests > most:
            count = f"{self.requests} requests in {waited:.0f} s"
        state = f"status {status}" if status else "no usable answer"
        line = (
            f"{self.service.name}, sample {self.row.sample_id}: {state} ({count}): "
            f"{self.service.shown(message)}"
        )
        return EndpointError(f"{line} ({hint})" if hint else line, self.lost)


def answers(
    endpoint: Endpoint,
    questions: pd.DataFrame,
    asking: Asking,
    service: Service | None = None,
) -> Iterator[tuple[Any, Reply]]:
    """Yield (row, `Reply`) in the order in which the answers arrive.

    After a question has failed none is begun or repeated; the answers under way are still yielded,
    then its error is raised.

    Parameters
    ----------
    questions
        Columns sample_id, prompt, draw.
    service
        The same service as another call knew it; None = it is met for the first time.

    Raises
    ------
    ValueError
        If the key or the URL is unusable.
    EndpointError
        If a question stays unanswered; if a host is not reached at all.
    """
    if service is None:
        with Service(endpoint) as service:
            yield from answers(endpoint, questions, asking, service)
        return
    if len(questions) and not service.proven and (why := service.client.reach()):
        raise EndpointError(f"{service.name}: {service.shown(why)}")
    stop = threading.Event()
    round_ = _Round(service, asking, stop)
    rows = list(questions.itertuples(index=False))
    try:
        for done, kept in enumerate(round_.all(rows), start=1):
            yield kept
            jobs.report(done / len(rows))
    finally:
        stop.set()


class _Round:
    """The questions of one call, and what is held back of their answers."""

    def __init__(self, service: Service, asking: Asking, stop: threading.Event) -> None:
        self.service, self.asking, self.stop = service, asking, stop
        self.held: list[tuple[Any, Refused]] = []  # refused for no known reason: whose fault is it?
        self.skipped: dict[str, Refused] = {}
        self.errors: list[Exception] = []
        self.unanswered: list[tuple[Any, Lost]] = []

    def all(self, rows: list) -> Iterator[tuple[Any, Reply]]:
        """Yield the answers: one question at a time until one is answered, then several."""
        first = 0
        while first < len(rows) and not self.service.proven and not self.errors:
            yield from self._kept(self._ask(rows[first]))
            first += 1
        if not self.errors and first < len(rows):
            yield from self._together(rows[first:])
        if self.held and not self.errors:
            if not (self.service.proven or self.service.taken.answered):
                self._blame_the_service()
            else:
                yield from self._released()
        if self.errors:
            if isinstance(self.errors[0], EndpointError):
                self.errors[0].unanswered = self.unanswered
            raise self.errors[0]

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
        """One question; None if it failed. A sample that was refused is not asked again."""
        known = self.skipped.get(row.sample_id)
        if known is not None:
            return row, replace(known, requests=0, lost=Lost())
        try:
            said = self.service.ask(row, self.asking, self.stop)
        except Exception as error:
            if isinstance(error, EndpointError):
                self.unanswered.append((row, error.lost))
            self.errors.append(error)  # before the stop: the first error causes the others
            self.stop.set()
            return None
        if isinstance(said, Refused):
            self.skipped[row.sample_id] = said
        return row, said

    def _kept(self, answered: tuple[Any, Reply | Refused] | None) -> Iterator[tuple[Any, Reply]]:
        if answered is None:
            return
        row, said = answered
        if isinstance(said, Reply):
            yield from self._released()
            yield row, said
            return
        too_long = said.error.meaning is Meaning.TOO_LONG and self.service.taken.answered
        if too_long or said.error.meaning is Meaning.FILTERED:
            yield row, _left_out(said)
            return
        self.held.append((row, said))
        if len({one.sample_id for one, _ in self.held}) >= SUSPICIOUS:
            self._blame_the_service()

    def _released(self) -> Iterator[tuple[Any, Reply]]:
        """What was held back is the prompts' own fault, as others are answered."""
        for row, said in self.held:
            yield row, _left_out(said)
        self.held = []

    def _blame_the_service(self) -> None:
        self.unanswered += [(row, said.lost) for row, said in self.held]
        self.errors.append(EndpointError(self.held[0][1].message, self.held[0][1].lost))
        self.held = []
        self.stop.set()


def _left_out(said: Refused) -> Reply:
    if said.requests:
        why = f"{said.message}; this prompt is left out and never asked again"
        warnings.warn(why, stacklevel=2)
    return said.reply


def _excerpt(text: str, secrets: list[str]) -> str:
    """One printable line of a server's message without what is secret.

    It goes before the cut: half a key is too much.
    """
    for secret in secrets:
        for form in {secret, json.dumps(secret)[1:-1], secret.replace("/", "\\/")}:
            text = text.replace(form, "[key]")
    text = "".join(c if c.isprintable() else " " for c in text[: 20 * EXCERPT])
    return " ".join(text.split())[:EXCERPT]
