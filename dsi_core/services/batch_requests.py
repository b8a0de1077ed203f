"""The requests around a batch: to upload its file, make it, look at it, and fetch its replies."""

import json
import re
import tempfile
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, TypeGuard

from dsi_core.runtime import progress
from dsi_core.services import pace, troubles
from dsi_core.services.address import CHAT
from dsi_core.services.client import BODY_BYTES, Missed, Received, Trouble, json_of
from dsi_core.services.pending import NAME, Pending, keep
from dsi_core.services.service import Service
from dsi_core.services.trial import SLOW, EndpointError

FILE_BYTES = 2**31  # of a file of answers at most...
LINES = 2  # ...and for each question of the batch: some services write one twice
PAGES = 1000  # of a list of batches at most
WAIT, LONGEST_WAIT = 10.0, 60.0  # seconds between two looks at a batch
WINDOW = "24h"
SINGLY = "does it have batches? without --batch it is asked singly"
DONE = {"completed", "expired", "cancelled", "failed"}
# What may stand in the path of a request that carries the key: no "..", "?", "#" or blank
ID = re.compile(r"(?=.{1,200}$)\w[\w.:-]*(/\w[\w.:-]*)*", re.ASCII)


class NotMade(EndpointError):
    """The first reply to asking for a batch says that there is none, nor will be."""


def submit(service: Service, pending: Pending, lines: Iterable[bytes], folder: Path) -> None:
    """Upload the questions and make the batch, as far as that was not done before.

    lines: the file's, read only where it is uploaded.

    Raises `EndpointError` if no batch is made, or nobody can say whether one was.
    """
    if pending.batch:
        return
    if pending.asked_for and (found := _made_before(service, pending)):
        pending.batch = found
        keep(folder, pending)
        return
    if not pending.file and pending.uploading:
        pending.file = _uploaded_before(service, pending)
    if not pending.file:
        pending.uploading = True
        keep(folder, pending)
        file = {"file": (f"{pending.tag}.jsonl", b"".join(lines), "application/jsonl")}
        sent = _call(service, "POST", "/files", data={"purpose": "batch"}, files=file)
        pending.file = _id(service, _json(service, sent), "id")
        keep(folder, pending)
    before = pending.asked_for
    pending.asked_for = True
    keep(folder, pending)
    try:
        pending.batch = _make(service, pending)
    except NotMade:
        if not before:  # else the one that was asked for before may be there
            pending.asked_for, pending.uploading, pending.file = False, False, ""
            keep(folder, pending)
        raise
    keep(folder, pending)


def _uploaded_before(service: Service, pending: Pending) -> str:
    """Look for the file among those that the service has; "" = upload it, which costs nothing."""
    got = service.client.send("GET", "/files?purpose=batch")
    if isinstance(got, Missed) or got.status >= 300:
        return ""
    for one in _listed(_json(service, got)):
        if one.get("filename") == f"{pending.tag}.jsonl":
            return found if _is_id(found := one.get("id")) else ""
    return ""


def _make(service: Service, pending: Pending) -> str:
    """Ask for the batch, once: where no reply says that it was made, look before asking again."""
    asked = {
        "input_file_id": pending.file,
        "endpoint": path_of(service),
        "completion_window": WINDOW,
        "metadata": {"name": pending.tag},
    }
    begun, failures = pace.CLOCK.now(), 0
    while True:
        got = service.client.send("POST", "/batches", **json_of(asked))
        if isinstance(got, Received) and got.status < 300:
            return _id(service, _json(service, got), "id")
        message, again, pause = _trouble(got)
        failures += 1
        if not again or pace.CLOCK.now() - begun >= service.endpoint.patience:
            said = error(service, f"no batch was made: {message}", _what_helps("/batches", got))
            raise NotMade(str(said)) if not again and failures == 1 else said
        pace.CLOCK.wait(max(pause, pace.backoff(failures, 0.5)), service.never)
        if found := _made_before(service, pending):
            return found


def _made_before(service: Service, pending: Pending) -> str | None:
    """Look for the batch among those that the service has; None = it was never made."""
    after = ""
    for _ in range(PAGES):
        got = service.client.send("GET", f"/batches?limit=100{after}")
        if isinstance(got, Missed) or got.status >= 300:
            raise _unsure(service, pending, _trouble(got)[0])
        said = _json(service, got)
        known = _listed(said)
        for one in known:
            # under any key: versions that named themselves in it made batches, too
            named = one.get("metadata")
            ours = isinstance(named, dict) and pending.tag in named.values()
            if ours or one.get("input_file_id") == pending.file:
                return _id(service, one, "id")
        if not said.get("has_more") or not known:
            return None
        after = f"&after={_id(service, known[-1], 'id')}"
    raise _unsure(service, pending, "its list of batches does not end")


def _unsure(service: Service, pending: Pending, why: str) -> EndpointError:
    return error(
        service,
        f"whether a batch of the file {pending.file} was made cannot be found out ({why}): try "
        f"again, or write its id into {NAME} as batch",
    )


def wait(service: Service, pending: Pending) -> dict[str, Any]:
    """Wait until the batch has ended, and give what the service says of it."""
    pause, told = WAIT, ""
    while True:
        made = _json(service, _call(service, "GET", f"/batches/{pending.batch}"))
        status, counts = str(made.get("status")), made.get("request_counts")
        answered = counts.get("completed", 0) if isinstance(counts, dict) else 0
        line = service.shown(f"batch {pending.batch}: {status}, {answered} answered")
        if line != told:
            progress.say(line)
            told = line
        if status in DONE:
            return made
        pace.CLOCK.wait(pause, service.never)
        pause = min(pause * 1.5, LONGEST_WAIT)


def brought(service: Service, made: dict[str, Any], questions: int) -> Iterator[bytes]:
    """Yield the lines of both files of a batch that has ended, from the disk, not from memory.

    At most `LINES` lines of each file for each question; a line longer than a reply may be is cut
    into several.
    """
    for name in ("output_file_id", "error_file_id"):
        if made.get(name):
            path = f"/files/{_id(service, made, name)}/content"
            with tempfile.TemporaryFile() as file:
                _call(service, "GET", path, most=FILE_BYTES, into=file)
                file.seek(0)
                yield from islice(iter(lambda: file.readline(BODY_BYTES), b""), LINES * questions)


def path_of(service: Service) -> str:
    """Give the path at which each question is asked."""
    return CHAT if service.client.address.azure else f"/v1{CHAT}"


def _call(service: Service, method: str, path: str, **what: Any) -> Received:
    """A request that may be repeated; patience is the service's.

    Raises `EndpointError` at its end, or at once for an error that stays.
    """
    begun, failures = pace.CLOCK.now(), 0
    while True:
        got = service.client.send(method, path, **what)
        if isinstance(got, Received) and got.status < 300:
            return got
        message, again, pause = _trouble(got)
        failures += 1
        if not again or pace.CLOCK.now() - begun >= service.endpoint.patience:
            raise error(service, f"{method} {path}: {message}", _what_helps(path, got))
        pace.CLOCK.wait(max(pause, pace.backoff(failures, 0.5)), service.never)


def _what_helps(path: str, got: Received | Missed) -> str:
    if isinstance(got, Missed):
        return SLOW if got.trouble is Trouble.LATE else ""
    return SINGLY if path in ("/files", "/batches") and got.status in (404, 405) else ""


def _trouble(got: Received | Missed) -> tuple[str, bool, float]:
    """What went wrong, whether it may pass, and the wait that is asked for."""
    if isinstance(got, Missed):
        return got.message, True, 0.0
    said = troubles.read(got.status, got.headers, got.raw)
    again = said.meaning in (troubles.Meaning.AGAIN, troubles.Meaning.SLOWER)
    return f"status {got.status}: {said.message}", again, said.pause_s


def _json(service: Service, got: Received) -> dict[str, Any]:
    try:
        said = json.loads(got.raw)
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict):
        raise error(service, f"not JSON: {got.raw.decode('utf-8', 'replace')}")
    return said


def _listed(said: dict[str, Any]) -> list[dict[str, Any]]:
    """What a service lists."""
    found = said.get("data")
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _id(service: Service, said: dict[str, Any], name: str) -> str:
    """An id that a service gave, as one may ask for it."""
    if not _is_id(value := said.get(name)):
        raise error(service, f"no {name} that can be one in {said}")
    return value


def _is_id(value: Any) -> TypeGuard[str]:
    return isinstance(value, str) and bool(ID.fullmatch(value))


def error(service: Service, message: str, hint: str = "") -> EndpointError:
    """Give an error of this service, told without its keys."""
    line = f"{service.name}: {service.shown(message)}"
    return EndpointError(f"{line} ({hint})" if hint else line)
