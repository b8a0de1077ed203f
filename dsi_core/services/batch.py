"""Ask in batches, as OpenAI's Batch API has it: half the price, within a day.

A file of questions is uploaded, a batch is made of it, waited for, and collected.
"""

import json
from collections.abc import Generator, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from dsi_core.runtime import progress, provenance, store
from dsi_core.services import batch_requests, pending, request, troubles
from dsi_core.services.billing import Lost
from dsi_core.services.endpoint import SUSPICIOUS, answers, of_the_prompt
from dsi_core.services.pending import Pending, name_of, rows_of
from dsi_core.services.reply import Reply
from dsi_core.services.request import Asking
from dsi_core.services.service import Service
from dsi_core.services.trial import SKIPPED, UNREACHED, EndpointError, Refused

QUESTIONS = 50_000  # in one batch at most...
BYTES = 10**8  # ...and in its file


def batched(
    service: Service,
    questions: pd.DataFrame,
    asking: Asking,
    folder: Path,
    unanswered: list[tuple[Any, Lost]],
) -> Generator[tuple[Any, Reply], None, None]:
    """Yield (row, `Reply`) of what a batch answered; the rest is for another call.

    Before a batch is made, a question is asked alone, and another one if that is refused, so that
    it is known which fields the service takes before a day is waited.

    Parameters
    ----------
    questions
        Columns sample_id, prompt, draw; where there are any, those that are `submitted`.
    folder
        Where `batch.json` is kept.
    unanswered
        Gets (row, `Lost`) of questions that stay unanswered, for a batch once it has been
        collected.

    Raises
    ------
    EndpointError
        If a batch cannot be made, failed, was cancelled, or brought nothing.
    """
    if not service.proven and (why := service.client.reach()):
        raise batch_requests.error(service, f"{why} ({UNREACHED})")
    rows = {name_of(row.sample_id, row.draw): row for row in rows_of(questions)}
    begun = pending.under_way(folder)
    if begun is not None and not begun.asked_for and not _all_in(begun, rows):
        begun = None  # asked for less now, and nothing was paid: begin anew
    if begun is None:
        first, alone = questions.drop_duplicates("sample_id").head(SUSPICIOUS), set()
        for row, answer in answers(
            service.endpoint,
            first,
            asking,
            service,
            until_one=True,
            leave_out=True,
            unanswered=unanswered,
        ):
            alone.add(name_of(row.sample_id, row.draw))
            yield row, answer
        rest = [name_of(row.sample_id, row.draw) not in alone for row in rows_of(questions)]
        questions = questions[rest]
        if questions.empty:
            return
        begun = _begin(service, questions, asking, folder)
    asked = (_line(service, rows[name_of(*one)], asking) for one in begun.questions)
    batch_requests.submit(service, begun, asked, folder)
    progress.say(
        f"{service.name}: batch {service.shown(begun.batch)} has {len(begun.questions)} "
        "questions; interrupted, the same command collects it later"
    )
    made = batch_requests.wait(service, begun)
    vain: list[tuple[Any, EndpointError]] = []
    lines = batch_requests.brought(service, made, len(begun.questions))
    collected = list(_collect(service, lines, rows, asking, vain))
    if collected:
        service.learn(service.taken.model_copy(update={"batched": True}))
    yield from collected
    pending.forget(folder)  # only now: all that it brought was kept
    unanswered += [(row, error.lost) for row, error in vain]
    wanted = sum(name_of(*one) in rows for one in begun.questions)
    if len(collected) < wanted:
        said = [str(error) for _, error in vain]
        _check(service, made, len(collected), wanted - len(collected), said)


def _begin(service: Service, questions: pd.DataFrame, asking: Asking, folder: Path) -> Pending:
    """Choose what the next batch holds, and keep it before anything is sent."""
    chosen: list[tuple[str, int]] = []
    size = 0
    for row in rows_of(questions.head(QUESTIONS)):
        size += len(_line(service, row, asking))
        if chosen and size > BYTES:
            break
        chosen.append((str(row.sample_id), int(row.draw)))
    tag = store.key([chosen, service.name, provenance.now()])
    begun = Pending(tag=tag, questions=chosen)
    pending.keep(folder, begun)
    return begun


def _collect(
    service: Service,
    lines: Iterable[bytes],
    rows: dict[str, Any],
    asking: Asking,
    vain: list[tuple[Any, EndpointError]],
) -> Iterator[tuple[Any, Reply]]:
    """Yield what the files of a batch say, line by line, of questions that lack an answer.

    vain: gets (row, what they say) of those that stay without one.
    """
    refused, answered, seen = [], 0, set()
    named = {_named(row, asking): row for row in rows.values()}
    named |= rows  # as batches named them that were begun by version 0.8
    for line in lines:
        row, said = _read(service, line, named, asking)
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
    """A line of a batch's files: whose it is, and its answer, or why it is asked again.

    rows: by the names of questions in these files. What a service says is kept as it is shown.
    """
    try:
        said = json.loads(line)
        row = rows.get(said["custom_id"])
        response = said.get("response") or {}
        status = int(response.get("status_code") or 0)
        raw = json.dumps(response.get("body")).encode()
        why = troubles.message(said.get("error") or said) if not status else ""
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError):
        return None, EndpointError("")
    if row is None or not status:  # expired, cancelled
        return row, EndpointError(service.shown(why))
    if status < 300:
        read = service.read(raw, asking.max_new_tokens)
        if isinstance(read, Reply):
            return row, read
        return row, EndpointError(service.shown(read.message), read.lost)
    error = troubles.read(status, {}, raw, (), row.prompt)
    shown = service.shown(error.message)
    if error.meaning not in SKIPPED:
        return row, EndpointError(f"status {status}: {shown}")
    message = f"{service.name}, sample {row.sample_id}: status {status}: {shown}"
    return row, Refused(replace(error, message=shown), message, 1, Lost())


def _check(
    service: Service, made: dict[str, Any], collected: int, missing: int, vain: list[str]
) -> None:
    """Raise where some questions lack an answer and another batch would not go better."""
    errors = made.get("errors")
    listed = errors.get("data") if isinstance(errors, dict) else errors
    first = listed[:1] if isinstance(listed, list) else listed
    why = troubles.message(first) if listed else next(iter(vain), "no reason is given")
    if made.get("status") == "cancelled" or not collected:
        raise batch_requests.error(
            service,
            f"batch {made.get('id')} {made.get('status')}: {why}; {collected} answers of it are "
            f"kept, and a rerun submits the other {missing}",
        )


def _all_in(begun: Pending, rows: dict[str, Any]) -> bool:
    return all(name_of(*one) in rows for one in begun.questions)


def _named(row: Any, asking: Asking) -> str:
    return request.question_name(asking.seed, row.sample_id, row.draw)


def _line(service: Service, row: Any, asking: Asking) -> bytes:
    """One question of the file that is uploaded."""
    seed = request.draw_seed(asking.seed, row.sample_id, row.draw)
    body = request.body(service.endpoint, row.prompt, asking, seed, service.taken)
    body.pop("stream", None)  # there is nothing to stream to
    line = {
        "custom_id": _named(row, asking),
        "method": "POST",
        "url": batch_requests.path_of(service),
        "body": body,
    }
    return json.dumps(line).encode() + b"\n"
