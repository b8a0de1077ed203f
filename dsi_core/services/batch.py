"""Ask in batches, as OpenAI's Batch API has it: half the price, within a day.

A file of questions is uploaded, a batch is made of it, one waits, and collects. What a step will do
is on the disk before it is done, and what it did after: a run that is killed between any two steps
goes on with the same batch, and never makes another of the same questions.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import BaseModel

from dsi_core.runtime import disk, progress, provenance, store
from dsi_core.services import pace, reply, request, troubles
from dsi_core.services.address import CHAT
from dsi_core.services.billing import Lost
from dsi_core.services.client import Missed, Received, Trouble, json_of
from dsi_core.services.endpoint import SUSPICIOUS, answers, of_the_prompt
from dsi_core.services.reply import Reply
from dsi_core.services.request import Asking
from dsi_core.services.service import Service
from dsi_core.services.trial import SKIPPED, SLOW, UNREACHED, EndpointError, Refused

NAME = "batch.json"
QUESTIONS = 50_000  # in one batch at most...
BYTES = 10**8  # ...and in its file
FILE_BYTES = 2**31  # of a file of answers at most
WAIT, LONGEST_WAIT = 10.0, 60.0  # seconds between two looks at a batch
WINDOW = "24h"
SINGLY = "does it have batches? without --batch it is asked singly"
DONE = {"completed", "expired", "cancelled", "failed"}


class Pending(BaseModel):
    """A batch under way, as `batch.json` keeps it.

    Attributes
    ----------
    tag
        Names it at the service: in its file's name and its metadata.
    questions
        [sample_id, draw] of each question.
    file, batch
        The service's ids; "" = not known yet.
    uploading, asked_for
        Whether the service may have got the file, and may have been asked to make the batch.
    """

    tag: str
    questions: list[tuple[str, int]]
    file: str = ""
    batch: str = ""
    uploading: bool = False
    asked_for: bool = False


def pending(folder: Path) -> Pending | None:
    """Read which batch is under way in a folder; None = none.

    Raises `ValueError` for a file that nobody can read: it may be of a batch that was paid.
    """
    path = folder / NAME
    if not path.exists():
        return None
    try:
        return Pending.model_validate_json(path.read_text(encoding="utf-8"))
    except ValueError:
        raise ValueError(
            f"{path} cannot be read: it names a batch that may be under way; mend it, or move it "
            "away to submit a new one"
        ) from None


def submitted(folder: Path, questions: pd.DataFrame) -> pd.DataFrame:
    """Give those of some questions that a batch under way has, or may have.

    questions: all that lack an answer; columns sample_id, draw.
    """
    under_way = pending(folder)
    if under_way is None or not under_way.asked_for:
        return questions.head(0)
    asked = set(under_way.questions)
    return questions[[(row.sample_id, row.draw) in asked for row in _rows(questions)]]


def batched(
    service: Service,
    questions: pd.DataFrame,
    asking: Asking,
    folder: Path,
    unanswered: list[tuple[Any, Lost]],
) -> Iterator[tuple[Any, Reply]]:
    """Yield (row, `Reply`) of what a batch answered; the rest is for another call.

    Before a batch is made, a question is asked alone, and another where that one is refused, so
    that what the service takes of this way of asking is known before a day is waited.

    Parameters
    ----------
    questions
        Columns sample_id, prompt, draw; where there are any, those that are `submitted`.
    folder
        Where `batch.json` is kept.
    unanswered
        Gets (row, `Lost`) of questions that stay unanswered, once the batch is done with.

    Raises
    ------
    EndpointError
        If a batch cannot be made, failed, was cancelled, or brought nothing.
    """
    if not service.proven and (why := service.client.reach()):
        raise _error(service, f"{why} ({UNREACHED})")
    rows = {_id(row.sample_id, row.draw): row for row in _rows(questions)}
    under_way = pending(folder)
    if under_way is not None and not under_way.asked_for and not _all_in(under_way, rows):
        under_way = None  # asked for less now, and nothing was paid: begin anew
    if under_way is None:
        first, alone = questions.drop_duplicates("sample_id").head(SUSPICIOUS), set()
        for row, answer in answers(service.endpoint, first, asking, service, until_one=True):
            alone.add(_id(row.sample_id, row.draw))
            yield row, answer
        rest = [_id(row.sample_id, row.draw) not in alone for row in _rows(questions)]
        questions = questions[rest]
        if questions.empty:
            return
        under_way = _begin(service, questions, asking, folder)
    _submit(service, under_way, rows, asking, folder)
    progress.say(
        f"{service.name}: batch {under_way.batch} has {len(under_way.questions)} questions; "
        "interrupted, the same command collects it later"
    )
    made = _wait(service, under_way)
    vain: list[tuple[Any, EndpointError]] = []
    collected = list(_collect(service, made, rows, asking, vain))
    yield from collected
    (folder / NAME).unlink()  # only now: all that it brought was kept
    unanswered += [(row, error.lost) for row, error in vain]
    wanted = sum(_id(*one) in rows for one in under_way.questions)
    if len(collected) < wanted:
        said = [str(error) for _, error in vain]
        _check(service, made, len(collected), wanted - len(collected), said)


def _begin(service: Service, questions: pd.DataFrame, asking: Asking, folder: Path) -> Pending:
    """Choose what the next batch holds, and keep it before anything is sent."""
    chosen: list[tuple[str, int]] = []
    size = 0
    for row in _rows(questions.head(QUESTIONS)):
        size += len(_line(service, row, asking))
        if chosen and size > BYTES:
            break
        chosen.append((str(row.sample_id), int(row.draw)))
    tag = f"dsi-{store.key([chosen, service.name, provenance.now()])}"
    begun = Pending(tag=tag, questions=chosen)
    _keep(folder, begun)
    return begun


def _submit(
    service: Service, pending: Pending, rows: dict[str, Any], asking: Asking, folder: Path
) -> None:
    """Upload the questions and make the batch, as far as that was not done before."""
    if pending.batch:
        return
    if pending.asked_for and (found := _made_before(service, pending)):
        pending.batch = found
        _keep(folder, pending)
        return
    if not pending.file and pending.uploading:
        pending.file = _uploaded_before(service, pending)
    if not pending.file:
        pending.uploading = True
        _keep(folder, pending)
        lines = b"".join(_line(service, rows[_id(*one)], asking) for one in pending.questions)
        file = {"file": (f"{pending.tag}.jsonl", lines, "application/jsonl")}
        sent = _call(service, "POST", "/files", data={"purpose": "batch"}, files=file)
        pending.file = _field(service, sent, "id")
        _keep(folder, pending)
    pending.asked_for = True
    _keep(folder, pending)
    pending.batch = _make(service, pending)
    _keep(folder, pending)


def _uploaded_before(service: Service, pending: Pending) -> str:
    """Look for the file among those that the service has; "" = upload it, which costs nothing."""
    got = service.client.send("GET", "/files?purpose=batch")
    if isinstance(got, Missed) or got.status >= 300:
        return ""
    for one in _json(service, got).get("data") or []:
        if isinstance(one, dict) and one.get("filename") == f"{pending.tag}.jsonl":
            return str(one.get("id") or "")
    return ""


def _make(service: Service, pending: Pending) -> str:
    """Ask for the batch, once: where no reply says that it was made, look before asking again."""
    asked = {
        "input_file_id": pending.file,
        "endpoint": _path(service),
        "completion_window": WINDOW,
        "metadata": {"dsi": pending.tag},
    }
    begun, failures = pace.CLOCK.now(), 0
    while True:
        got = service.client.send("POST", "/batches", **json_of(asked))
        if isinstance(got, Received) and got.status < 300:
            return _field(service, got, "id")
        message, again, pause = _trouble(got)
        failures += 1
        if not again or pace.CLOCK.now() - begun >= service.endpoint.patience:
            raise _error(service, f"no batch was made: {message}")
        pace.CLOCK.wait(max(pause, pace.backoff(failures, 0.5)), service.never)
        if found := _made_before(service, pending):
            return found


def _made_before(service: Service, pending: Pending) -> str | None:
    """Look for the batch among those that the service has; None = it was never made."""
    after = ""
    while True:
        got = service.client.send("GET", f"/batches?limit=100{after}")
        if isinstance(got, Missed) or got.status >= 300:
            raise _error(
                service,
                f"whether a batch of the file {pending.file} was made cannot be found out "
                f"({_trouble(got)[0]}): try again, or write its id into {NAME} as batch",
            )
        listed = _json(service, got)
        known = [one for one in listed.get("data") or [] if isinstance(one, dict)]
        for one in known:
            named = (one.get("metadata") or {}).get("dsi") == pending.tag
            if named or one.get("input_file_id") == pending.file:
                return str(one["id"])
        if not listed.get("has_more") or not known:
            return None
        after = f"&after={known[-1]['id']}"


def _wait(service: Service, pending: Pending) -> dict[str, Any]:
    """Wait until the batch has ended, and give what the service says of it."""
    wait, told = WAIT, ""
    while True:
        made = _json(service, _call(service, "GET", f"/batches/{pending.batch}"))
        status, counts = made.get("status"), made.get("request_counts") or {}
        line = f"batch {pending.batch}: {status}, {counts.get('completed', 0)} answered"
        if line != told:
            progress.say(line)
            told = line
        if status in DONE:
            return made
        pace.CLOCK.wait(wait, service.never)
        wait = min(wait * 1.5, LONGEST_WAIT)


def _collect(
    service: Service,
    made: dict[str, Any],
    rows: dict[str, Any],
    asking: Asking,
    vain: list[tuple[Any, EndpointError]],
) -> Iterator[tuple[Any, Reply]]:
    """Yield what both files of a batch say of questions that lack an answer.

    vain: gets (row, what they say) of those that stay without one.
    """
    refused, answered, seen = [], 0, set()
    for name in ("output_file_id", "error_file_id"):
        if not made.get(name):
            continue
        content = _call(service, "GET", f"/files/{made[name]}/content", most=FILE_BYTES)
        for line in content.raw.splitlines():
            row, said = _read(service, line, rows, asking)
            if row is None or (row.sample_id, row.draw) in seen:
                continue
            if isinstance(said, EndpointError):
                vain.append((row, said))
                continue
            seen.add((row.sample_id, row.draw))
            if isinstance(said, Refused):
                refused.append((row, said))
            else:
                answered += 1
                yield row, said
    # Refused for good is what others beside were not; if all were, the request is wrong
    kept = [one for one in refused if answered or of_the_prompt(one[1], service)]
    vain += [(row, EndpointError(said.message)) for row, said in refused if not kept]
    for row, said in kept:
        yield row, said.reply


def _read(
    service: Service, line: bytes, rows: dict[str, Any], asking: Asking
) -> tuple[Any, Reply | Refused | EndpointError]:
    """A line of a batch's files: whose it is, and its answer, or why it is asked again."""
    try:
        said = json.loads(line)
        row = rows.get(said["custom_id"])
        response = said.get("response") or {}
        status, body = int(response.get("status_code") or 0), response.get("body")
    except (ValueError, TypeError, LookupError, AttributeError):
        return None, EndpointError("")
    if row is None or not status:  # expired, cancelled
        return row, EndpointError(troubles.message(said.get("error") or said))
    raw = json.dumps(body).encode()
    if status < 300:
        read = reply.read(raw, asking.max_new_tokens, service.endpoint.reasoning_tokens)
        return row, read if isinstance(read, Reply) else EndpointError(read.message, read.lost)
    error = troubles.read(status, {}, raw, (), row.prompt)
    if error.meaning not in SKIPPED:
        return row, EndpointError(f"status {status}: {error.message}")
    message = f"{service.name}, sample {row.sample_id}: status {status}"
    shown = f"{message}: {service.shown(error.message)}"
    return row, Refused(error, shown, 1, Lost())


def _check(
    service: Service, made: dict[str, Any], collected: int, missing: int, vain: list[str]
) -> None:
    """Raise where some questions lack an answer and another batch would not go better."""
    errors = made.get("errors")
    listed = errors.get("data") if isinstance(errors, dict) else errors
    why = troubles.message(listed[:1]) if listed else next(iter(vain), "no reason is given")
    if made.get("status") == "cancelled" or not collected:
        raise _error(
            service,
            f"batch {made.get('id')} {made.get('status')}: {why}; {collected} answers of it are "
            f"kept, and a rerun submits the other {missing}",
        )


# ------------------------------------------------------------------------------------------ pieces


def _rows(questions: pd.DataFrame) -> list[Any]:
    return list(questions.itertuples(index=False))


def _id(sample_id: Any, draw: Any) -> str:
    return f"{sample_id}/{int(draw)}"


def _all_in(pending: Pending, rows: dict[str, Any]) -> bool:
    return all(_id(*one) in rows for one in pending.questions)


def _path(service: Service) -> str:
    return CHAT if service.client.address.azure else f"/v1{CHAT}"


def _line(service: Service, row: Any, asking: Asking) -> bytes:
    """One question of the file that is uploaded."""
    seed = request.draw_seed(asking.seed, row.sample_id, row.draw)
    body = request.body(service.endpoint, row.prompt, asking, seed, service.taken)
    body.pop("stream", None)  # there is nothing to stream to
    line = {
        "custom_id": _id(row.sample_id, row.draw),
        "method": "POST",
        "url": _path(service),
        "body": body,
    }
    return json.dumps(line).encode() + b"\n"


def _keep(folder: Path, pending: Pending) -> None:
    disk.write_text(folder / NAME, pending.model_dump_json(indent=1) + "\n", private=True)


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
            raise _error(service, f"{method} {path}: {message}", _what_helps(path, got))
        pace.CLOCK.wait(max(pause, pace.backoff(failures, 0.5)), service.never)


def _what_helps(path: str, got: Received | Missed) -> str:
    if isinstance(got, Missed):
        return SLOW if got.trouble is Trouble.LATE else ""
    return SINGLY if path == "/files" and got.status in (404, 405) else ""


def _trouble(got: Received | Missed) -> tuple[str, bool, float]:
    """What went wrong, whether it may pass, and the wait that is asked for."""
    if isinstance(got, Missed):
        return got.message, True, 0.0
    error = troubles.read(got.status, got.headers, got.raw)
    again = error.meaning in (troubles.Meaning.AGAIN, troubles.Meaning.SLOWER)
    return f"status {got.status}: {error.message}", again, error.pause_s


def _json(service: Service, got: Received) -> dict[str, Any]:
    try:
        said = json.loads(got.raw)
    except ValueError:
        said = None
    if not isinstance(said, dict):
        raise _error(service, f"not JSON: {got.raw.decode('utf-8', 'replace')}")
    return said


def _field(service: Service, got: Received, name: str) -> str:
    value = _json(service, got).get(name)
    if not isinstance(value, str) or not value:
        raise _error(service, f"no {name} in {got.raw.decode('utf-8', 'replace')}")
    return value


def _error(service: Service, message: str, hint: str = "") -> EndpointError:
    line = f"{service.name}: {service.shown(message)}"
    return EndpointError(f"{line} ({hint})" if hint else line)
