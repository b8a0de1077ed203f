"""Step 3, responses: prompt a model and keep each answer as it comes (§5.3-5.4)."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dsi_core.models import served
from dsi_core.models.sampling import Answer, Sampling, generate
from dsi_core.models.served import Server
from dsi_core.models.tuning import Training, load_tuned
from dsi_core.runtime import disk, locks, released, store
from dsi_core.runtime.engines import work
from dsi_core.runtime.precision import device_name
from dsi_core.services import address, endpoint
from dsi_core.services.service import Service

FILE = "responses.jsonl"  # of a folder: a line for each answer
COLUMNS = ["sample_id", "draw", "response"]
COST = ["tokens", "seconds"]  # of each answer
BLOCK = 50_000  # answers that are put into a table at once


def spec(model_id: str, training: Training, sampling: Sampling) -> dict[str, Any]:
    """Say what decides one model's answers, for the store's keys."""
    spec = {
        "model": training.spec,
        "model_id": model_id,
        "temperature": sampling.temperature,
        "max_new_tokens": sampling.max_new_tokens,
        "seed": sampling.seed,
    }
    further = {"system": sampling.system, "max_prompt_tokens": sampling.max_prompt_tokens}
    further["server"] = sampling.server if is_served(training, sampling) else None
    return {**spec, **{name: value for name, value in further.items() if value is not None}}


def entry(model_id: str, training: Training, sampling: Sampling, *, make: bool = True) -> Path:
    """Give the store's folder of one model's answers."""
    return store.entry("responses", model_id, spec(model_id, training, sampling), make=make)


def folders(model_id: str, training: Training, sampling: Sampling) -> list[Path]:
    """Give the folders with one model's answers: the store's own, then the released ones."""
    settings = spec(model_id, training, sampling)
    own = store.entry("responses", model_id, settings, make=False)
    return [own, *dict.fromkeys(released.find_all("responses", model_id, settings))]


def read(*folders: Path, columns: list[str] = COLUMNS) -> pd.DataFrame:
    """Read the stored answers; if several folders answer a question, the first folder counts.

    A line torn by a crash is left out (and its question put again).

    columns: of `COLUMNS`, and of `COST`: new tokens, and seconds of one process.
    """
    lines = chain.from_iterable(disk.whole_lines(folder / FILE) for folder in folders)
    blocks = [pd.DataFrame(columns=columns)]
    while rows := [tuple(map(line.get, columns)) for line in islice(lines, BLOCK)]:
        blocks.append(pd.DataFrame(rows, columns=columns))
    table = pd.concat(blocks[1:] or blocks)
    return table.drop_duplicates(["sample_id", "draw"], ignore_index=True)


def unanswered(answers: pd.DataFrame, pairs: pd.DataFrame, draws: int) -> pd.DataFrame:
    """Give the questions about `pairs`, in their order, that `answers` does not answer.

    answers: columns sample_id, draw. Returns columns sample_id, prompt, draw.
    """
    place, ids = pd.factorize(pairs["sample_id"])
    sample, draw = ids.get_indexer(pd.Index(answers["sample_id"])), answers["draw"].to_numpy(int)
    counts = (sample >= 0) & (draw < draws)
    lacking = np.ones((len(ids), draws), dtype=bool)
    lacking[sample[counts], draw[counts]] = False
    row, draw = lacking[place].nonzero()
    questions = pairs[["sample_id", "prompt"]].iloc[row]
    return questions.assign(draw=draw).reset_index(drop=True)


def is_served(training: Training, sampling: Sampling) -> bool:
    """Tell whether vLLM answers for a model; one behind an endpoint answers for itself."""
    return sampling.server is not None and training.base.source.endpoint is None


Asked = tuple[str, Training, pd.DataFrame, Sampling]  # as `ask` takes them


def ask_through_a_server(models: Sequence[Asked]) -> list[Path]:
    """Do what `ask` does for models that share a server (`served.group_of`), one after another.

    None is started for what another process answered meanwhile.
    """
    room = max(served.longest(training, pairs, how) for _, training, pairs, how in models)
    due = [one for one in models if _lacks(*one)]
    if due:
        with served.serving([training for _, training, _, _ in due], room) as server:
            for done, one in enumerate(due):
                with work.part(done / len(due), (done + 1) / len(due)):
                    ask(*one, server)
    return [entry(model_id, training, how) for model_id, training, _, how in models]


def _lacks(model_id: str, training: Training, pairs: pd.DataFrame, sampling: Sampling) -> bool:
    """Whether a question is without an answer, or all without a record, when nobody is at them."""
    folder = entry(model_id, training, sampling)
    with locks.held(folder):
        known = read(*folders(model_id, training, sampling))
        complete = unanswered(known, pairs, sampling.draws).empty
    return not complete or store.manifest(folder) is None


def ask(
    model_id: str,
    training: Training,
    pairs: pd.DataFrame,
    sampling: Sampling,
    server: Server | None = None,
) -> Path:
    """Prompt a model with what is still missing of `pairs`, and give the folder of its own answers.

    It is tuned first if needed; one behind an endpoint is asked through its API. An empty answer
    is kept as an empty text. Each answer is stored with its new tokens and its share of the time:
    what passed since earlier answers ended, shared evenly by those that ended together.

    server: one that has the model loaded, if vLLM answers (`Sampling.server`); None = one is
    started for this model alone.
    """
    if server is None and is_served(training, sampling):
        return ask_through_a_server([(model_id, training, pairs, sampling)])[0]
    folder = entry(model_id, training, sampling)
    with locks.held(folder):
        known = read(*folders(model_id, training, sampling))
        questions = unanswered(known, pairs, sampling.draws)
        if len(questions):
            if server is None:
                answers = _answers(model_id, training, questions, sampling)
            else:
                answers = _served(server, training, questions, sampling, folder)
            with appending(folder) as write:
                for ended, seconds in _timed(answers):
                    each = round(seconds / len(ended), 6)
                    write([_line(answer, each) for answer in ended])
        if len(questions) or store.manifest(folder) is None:
            record(folder, **({} if server is None else {"server": server.version}))
    return folder


def record(folder: Path, **facts) -> None:
    """Mark a folder of answers as complete: how many, their cost, and `facts`."""
    kept = read(folder, columns=[*COLUMNS, *COST])
    store.finish(
        folder,
        answers=len(kept),
        device=device_name(),
        tokens=int(kept["tokens"].sum()),
        seconds=round(float(kept["seconds"].sum()), 1),
        **facts,
    )


def settle(model_id: str, training: Training, sampling: Sampling) -> None:
    """Record answers that an interrupt caught behind the last, unless somebody is at them."""
    folder = entry(model_id, training, sampling, make=False)
    if not (folder / FILE).exists() or store.manifest(folder) is not None:
        return
    with suppress(locks.Held), locks.patience(0), locks.held(folder):
        if store.manifest(folder) is None:  # nobody ended it meanwhile
            record(folder)


def _line(answer: Answer, seconds: float) -> dict:
    question = answer.question
    return {
        "sample_id": question.sample_id,
        "draw": int(question.draw),
        "response": answer.text,
        "tokens": answer.tokens,
        "seconds": seconds,
    }


def _timed(answers: Iterator[list[Answer]]) -> Iterator[tuple[list[Answer], float]]:
    """The answers that ended together, with the seconds since those before them."""
    before = time.time()
    for ended in answers:
        now = time.time()
        yield ended, now - before
        before = now


def appending(folder: Path) -> AbstractContextManager[Callable[[Iterable[dict]], None]]:
    """Give a function that adds lines to the folder's answers; on its return they are on disk."""
    return disk.appending(folder / FILE)


def _answers(
    model_id: str, training: Training, questions: pd.DataFrame, sampling: Sampling
) -> Iterator[list[Answer]]:
    """The answers of an endpoint, or of a local model."""
    remote = training.base.source.endpoint
    if remote is None:
        return local_answers(model_id, training, questions, sampling)
    address.key(remote)  # a missing one is found before anything is asked
    replies = endpoint.answers(remote, questions, sampling)
    return ([Answer(row, reply.text, reply.usage.written)] for row, reply in replies)


def _served(
    server: Server, training: Training, questions: pd.DataFrame, sampling: Sampling, memory: Path
) -> Iterator[list[Answer]]:
    """The answers of a model that a server has loaded; memory: the folder keeps how it is asked."""
    with Service(server.endpoint(training, sampling), memory) as service:
        for row, reply in endpoint.answers(service.endpoint, questions, sampling, service):
            yield [Answer(row, reply.text, reply.usage.written)]


def local_answers(
    model_id: str, training: Training, questions: pd.DataFrame, sampling: Sampling
) -> Iterator[list[Answer]]:
    """Give `generate`'s answers of a local model, which is tuned and loaded before this returns."""
    model, tokenizer = load_tuned(training)  # has its own record: no answer's time
    return generate(model, tokenizer, questions, model_id, sampling)
