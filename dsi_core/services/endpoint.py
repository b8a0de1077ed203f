"""Ask a model behind an OpenAI-compatible chat API (§5.3): a suspect, or a rephraser (§6.4.1).

Every question is a single user message. A failed request is repeated after a pause (429, 408, 5xx,
time-out, lost connection, an answer that makes no sense); another refusal ends the run, but only
when the answers under way are in.
"""

import hashlib
import json
import os
import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from typing import Any

import httpx2
import openai
import pandas as pd
from tenacity import Retrying, retry_if_result, stop_after_attempt, wait_exponential_jitter

from dsi_core.runtime import jobs
from dsi_core.services.request import Asking, turns
from dsi_core.settings.schema import Endpoint

# An answer longer than this x max_new_tokens ignores the limit it was given, and is cut
BYTES_PER_TOKEN = 64
BODY_BYTES = 2**25  # a reply beyond this is not read to its end: it counts as a failed request
LONGEST_PAUSE = 120.0  # seconds, whatever a Retry-After header asks for
EXCERPT = 300  # characters of a server's message that an error quotes


class EndpointError(RuntimeError):
    """A question that stayed unanswered.

    The message names server, model, sample and status, and never holds the key.
    """


@dataclass(frozen=True)
class Reply:
    """What a service said to one question.

    Parameters
    ----------
    text
        Stripped and cut like a local model's.
    finish
        stop, length, content_filter, ... as the server says, or "".
    tokens, prompt_tokens
        New and read ones by the server's count; 0 if it keeps none.
    model
        The name by which the server calls it, or "".
    refused
        Whether the server marks the text as a refusal.
    requests
        How many it took.
    """

    text: str
    finish: str
    tokens: int
    model: str
    prompt_tokens: int = 0
    refused: bool = False
    requests: int = 1


@dataclass(frozen=True)
class Failure:
    """What became of one request; again: worth another try, after at least `pause_s`."""

    message: str
    status: int | None = None
    again: bool = True
    pause_s: float = 0.0


def answers(endpoint: Endpoint, questions: pd.DataFrame, asking: Asking) -> Iterator[tuple]:
    """Yield (row, `Reply`) in the order in which the answers arrive.

    After a question has failed none is begun or repeated; the answers under way are still yielded,
    then its error is raised.

    Parameters
    ----------
    questions
        Columns sample_id, prompt, draw.

    Raises
    ------
    ValueError
        If the key or the URL is unusable.
    EndpointError
        If a question stays unanswered.
    """
    client = connect(endpoint)
    stop = threading.Event()
    errors: list[Exception] = []

    def ask(row) -> tuple | None:
        try:
            reply = ask_one(
                client,
                endpoint,
                row.prompt,
                temperature=asking.temperature,
                max_new_tokens=asking.max_new_tokens,
                system=asking.system,
                seed=draw_seed(asking.seed, row.sample_id, row.draw),
                sample_id=row.sample_id,
                stop=stop,
            )
        except Exception as error:
            errors.append(error)  # before the stop: the first error is the cause of the others
            stop.set()
            return None
        return row, reply

    pool = ThreadPoolExecutor(endpoint.concurrency)
    try:
        # The futures are kept nowhere else, so each answer's memory is freed once it was yielded
        pending = as_completed({pool.submit(ask, row) for row in questions.itertuples(index=False)})
        for count, future in enumerate(pending, start=1):
            answered = future.result()
            if answered is not None:
                yield answered
                jobs.report(count / len(questions))
    finally:
        stop.set()
        pool.shutdown(wait=False, cancel_futures=True)  # Ctrl-C waits for no answer under way
        client.close()
    if errors:
        raise errors[0]


def connect(endpoint: Endpoint) -> openai.OpenAI:
    """Make a client of the server; nothing is sent yet.

    Raises `ValueError` for a missing or malformed key or URL.
    """
    if not re.match(r"https?://[^/\s]", endpoint.base_url):
        raise ValueError(f"base_url {place(endpoint)!r} is not of the form https://host/v1")
    # Without a key of its own the client would send whatever OPENAI_API_KEY holds to this server
    key = os.environ.get(endpoint.key_env, "").strip() if endpoint.key_env else "no-key"
    if not re.fullmatch("[!-~]+", key):  # else the HTTP library's error would quote it
        state = "holds characters that no key has" if key else "is not set"
        raise ValueError(
            f"the environment variable {endpoint.key_env}, "
            f"for the key of {place(endpoint)}, {state}"
        )
    # Taken from the environment, too, unless they are left out
    unsent: Any = {"OpenAI-Organization": openai.omit, "OpenAI-Project": openai.omit}
    return openai.OpenAI(
        base_url=endpoint.base_url,
        api_key=key,
        timeout=endpoint.timeout,
        max_retries=0,
        default_headers=unsent,
    )


def ask_one(
    client: openai.OpenAI,
    endpoint: Endpoint,
    prompt: str,
    *,
    temperature: float,
    max_new_tokens: int,
    seed: int,
    system: str | None = None,
    sample_id: str = "",
    stop: threading.Event | None = None,
) -> Reply:
    """Get one answer, in at most `endpoint.attempts` requests; none begins once `stop` is set.

    Raises `EndpointError` when the last request failed too, or at once when the server refused for
    good.
    """
    given_up = stop or threading.Event()
    backoff = wait_exponential_jitter(max=60)
    body = request(endpoint, prompt, temperature, max_new_tokens, seed, system)

    def attempt() -> Reply | Failure:
        if given_up.is_set():
            return Failure("given up, as another question failed", again=False)
        return _request(client, endpoint, body)

    retrying = Retrying(
        retry=retry_if_result(lambda result: isinstance(result, Failure) and result.again),
        wait=lambda state: max(backoff(state), state.outcome.result().pause_s),
        sleep=lambda seconds: _pause(seconds, given_up),
        stop=stop_after_attempt(endpoint.attempts),
        retry_error_callback=lambda state: state.outcome.result(),
    )
    result = retrying(attempt)
    requests = retrying.statistics["attempt_number"]
    # Raised here and not where it was caught: a caught error's request holds the key
    if isinstance(result, Failure):
        status = f"status {result.status}" if result.status else "no usable answer"
        raise EndpointError(
            f"{endpoint.model} at {place(endpoint)}, sample {sample_id}: {status} "
            f"(request {requests} of {endpoint.attempts}): "
            f"{_excerpt(result.message, client.api_key)}"
        )
    return replace(result, requests=requests)


def request(
    endpoint: Endpoint,
    prompt: str,
    temperature: float,
    max_new_tokens: int,
    seed: int,
    system: str | None = None,
) -> dict:
    """Give the body of one request; what `endpoint.extra` names comes last."""
    return {
        "model": endpoint.model,
        "messages": turns(prompt, system),
        "temperature": temperature,
        "max_tokens": max_new_tokens,
        "seed": seed,
        **endpoint.extra,
    }


def draw_seed(seed: int, sample_id: str, draw: int) -> int:
    """Give the seed sent with one question: 0 to 2**31 - 1, as servers differ in their bits."""
    identity = json.dumps([str(seed), str(sample_id), str(int(draw))])
    digest = hashlib.sha256(identity.encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def _request(client: openai.OpenAI, endpoint: Endpoint, body: dict) -> Reply | Failure:
    """One request, its reply read piece by piece.

    The client's own time limit starts anew with every byte.
    """
    raw, deadline = bytearray(), time.monotonic() + endpoint.timeout
    late = Failure(f"no complete answer within {endpoint.timeout:g} s")
    known = {k: v for k, v in body.items() if k not in endpoint.extra}  # it refuses other names
    create = client.chat.completions.with_streaming_response.create
    try:
        with create(**known, extra_body=endpoint.extra) as response:
            for chunk in response.iter_bytes():
                raw += chunk
                if len(raw) > BODY_BYTES:
                    return Failure(f"an answer of more than {BODY_BYTES} bytes")
                if time.monotonic() > deadline:
                    return late
    except openai.APIStatusError as error:
        again = error.status_code in (408, 429) or error.status_code >= 500
        pause = _asked_pause(error.response.headers.get("retry-after"))
        return Failure(_plain(error.body), error.status_code, again, pause)
    except (openai.APITimeoutError, httpx2.TimeoutException):
        return late
    except (openai.APIConnectionError, httpx2.RequestError) as error:
        # the second while the body is read
        return Failure(f"connection failed: {error.__cause__ or error}")
    return _parse(bytes(raw), BYTES_PER_TOKEN * body["max_tokens"])


def _parse(raw: bytes, limit: int) -> Reply | Failure:
    """The answer in the JSON of a chat completion; its text has at most `limit` bytes of UTF-8."""
    try:
        reply = json.loads(raw)
    except (ValueError, RecursionError):  # not UTF-8, not JSON, or brackets without end
        return Failure(f"not JSON: {raw.decode('utf-8', 'replace')}", 200)
    try:
        choice = reply["choices"][0]
        text, refusal = choice["message"]["content"], choice["message"].get("refusal")
    except (LookupError, TypeError, AttributeError):
        return Failure(f"no message in {_plain(reply)}", 200)
    refused = text is None and isinstance(refusal, str)
    text = refusal if refused else text
    if text is None and choice.get("finish_reason") == "content_filter":
        text = (
            ""  # withheld on purpose: asking again would not help, and it is the service's answer
        )
    if not isinstance(text, str):
        return Failure(f"content is {type(text).__name__}, not text, in {_plain(reply)}", 200)
    # JSON may hold half a surrogate pair, which no file could take
    text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").strip()
    return Reply(
        text=text.encode()[:limit].decode(errors="ignore"),
        finish=_string(choice.get("finish_reason")),
        tokens=_count(reply, "completion_tokens"),
        model=_string(reply.get("model")),
        prompt_tokens=_count(reply, "prompt_tokens"),
        refused=refused,
    )


def _string(value) -> str:
    return value if isinstance(value, str) else ""


def _count(reply: dict, name: str) -> int:
    """A count of the server's usage; 0 where it keeps none that makes sense."""
    usage = reply.get("usage")
    count = usage.get(name) if isinstance(usage, dict) else None
    return count if type(count) is int else 0


def _pause(seconds: float, stop: threading.Event) -> None:
    stop.wait(seconds)


def _asked_pause(header: str | None) -> float:
    """Seconds that a Retry-After header (seconds or an HTTP date) asks for; 0 without one."""
    if header is None:
        return 0.0
    try:
        seconds = float(header)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(header).timestamp() - time.time()
        except (ValueError, OverflowError):
            seconds = 0.0
    return min(max(0.0, seconds), LONGEST_PAUSE)  # max in this order: "nan" gives 0


def _plain(body) -> str:
    """A server's message, or all that it sent."""
    message = body.get("message") if isinstance(body, dict) else body
    return message if isinstance(message, str) else json.dumps(body, ensure_ascii=False)


def place(endpoint: Endpoint) -> str:
    """Give the server's URL without what may be secret in it."""
    return re.sub("//[^/@]*@", "//", endpoint.base_url).split("?")[0]


def _excerpt(text: str, key: str) -> str:
    """One printable line of a server's message without the key.

    The key goes before the cut: half a key is too much.
    """
    for form in (key, json.dumps(key)[1:-1]):
        text = text.replace(form, "[key]")
    text = "".join(c if c.isprintable() else " " for c in text[: 20 * EXCERPT])
    return " ".join(text.split())[:EXCERPT]
