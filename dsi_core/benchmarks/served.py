"""Our own loop beside vLLM: a base and two adapters of it, on this machine.

Our loop is one process with one thread, then two that share the questions; a server has all cores
that it finds. Each works while the others wait, with as many questions under way. The first model
is also asked as a study asks: all draws at once, and by two processes that share nothing, as each
has a model of its own there. The clock leaves out loading, a server's start and its first answer.
"""

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pandas as pd
from rapidfuzz import fuzz

from dsi_core.data.pairs import dataset, load_pairs
from dsi_core.models import responses, served, tuning
from dsi_core.models.sampling import Answer, Sampling, generate
from dsi_core.models.tuning import Training, training
from dsi_core.runtime import disk, jobs, store
from dsi_core.runtime.environment import HEAP, quiet
from dsi_core.runtime.precision import device_name
from dsi_core.runtime.progress import say
from dsi_core.services import endpoint
from dsi_core.services.service import Service
from dsi_core.services.trial import EndpointError
from dsi_core.settings.profile import Profile, load_profile

ADAPTERS = 2
ONE, TWO = "our own loop", "our own loop, two processes"
EACH = "our own loop, two processes with all questions each"
PROCESSES = {ONE: 1, TWO: 2, EACH: 2}
VLLM, ADAPTER = "vllm", "vllm, as an adapter"


@dataclass(frozen=True)
class Measured:
    """One way to ask a model, measured.

    Attributes
    ----------
    draws
        Answers to a prompt.
    way
        One of `PROCESSES`, `VLLM`, or `ADAPTER`.
    engine
        The way, with vLLM's version.
    texts
        By "sample_id draw"; processes that are asked the same say the same.
    answers, tokens
        Of all processes.
    again
        Share of texts that are the same when asked once more, 0 to 1; None = not asked.
    error
        Why there are no answers, or "".
    """

    model: str
    temperature: float
    draws: int
    way: str
    engine: str
    texts: dict[str, str]
    answers: int = 0
    tokens: int = 0
    seconds: float = 0.0
    again: float | None = None
    error: str = ""


def measure(
    profile: str = "small", prompts: int = 48, models: Sequence[Training] = ()
) -> pd.DataFrame:
    """Ask a base and adapters of it by each way; tune what the store lacks.

    Each measurement is kept in the store as soon as it is made, so a rerun with the same settings
    goes on after an interruption, or where a server died; a run that came to its end is forgotten.
    Lines on stderr say what is measured and what was kept.

    Parameters
    ----------
    profile
        Whose models and texts.
    prompts
        Of its first victim; all are under way at once.
    models
        Of one base; default: `chosen`. The first is also asked as a study asks.

    Returns
    -------
    pandas.DataFrame
        As `table` gives it.
    """
    settings = load_profile(profile)
    quiet()
    pairs = load_pairs(dataset(settings, settings.victims[0])).head(prompts)
    models = models or chosen(settings)
    usual = Sampling.of(settings.responses, settings.seed)
    sampled = replace(usual, draws=1)
    hows = [sampled.changed(temperature=0.0), sampled]
    spec = [[m.spec for m in models], pairs["sample_id"].tolist(), store.spec_of(usual)]
    path = store.make_root() / "benchmarks" / f"served-{store.key(spec)}.json"
    done = _kept(path)
    for model in models:
        asked = [*hows, usual] if model is models[0] and usual.draws > 1 else hows
        for new in _missing(model, pairs, asked, done, unmerged=model is models[-1]):
            _say(new)
            done.append(new)
            path.parent.mkdir(exist_ok=True)
            disk.write_text(path, json.dumps([asdict(one) for one in done], indent=1))
    if not any(one.error for one in done):
        path.unlink(missing_ok=True)
    return table(done)


def chosen(profile: Profile) -> list[Training]:
    """Give the first reference's base as it is, and tuned models of it that are adapters."""
    first = profile.references[0].with_
    victim = profile.victims[0]
    untuned = training(profile, victim, first.changed(data=[], recipe=None))
    all_tuned = [first, *profile.suspects]
    tuned = [training(profile, victim, one) for one in all_tuned if one.base == first.base]
    adapters = [t for t in tuned if t.recipe and t.recipe_here.method != "full"]
    return [untuned, *adapters[:ADAPTERS]]


def table(done: Sequence[Measured]) -> pd.DataFrame:
    """Show measurements, one a row, beside what our own loop said in one process.

    Returns
    -------
    pandas.DataFrame
        model, temperature, draws, engine, answers, tokens, seconds, tokens_per_s, same (share of
        answers that are, to the letter, our own loop's), similar (to it: mean ratio of letters in
        common, 0 to 1), again (share that is the same when asked once more; NaN = not asked),
        error, device.
    """
    own = {_asked_of(m): m.texts for m in done if m.way == ONE}
    return pd.DataFrame([_row(m, own[_asked_of(m)]) for m in done]).assign(device=device_name())


def _asked_of(one: Measured) -> tuple[str, float, int]:
    return one.model, one.temperature, one.draws


def _row(one: Measured, own: dict[str, str]) -> dict:
    said = one.texts
    similar = [fuzz.ratio(own[key], text) / 100 for key, text in said.items()]
    return {
        "model": one.model,
        "temperature": one.temperature,
        "draws": one.draws,
        "engine": one.engine,
        "answers": one.answers,
        "tokens": one.tokens,
        "seconds": round(one.seconds, 1),
        "tokens_per_s": round(one.tokens / one.seconds, 1) if said else None,
        "same": _same(said, own) if said else None,
        "similar": sum(similar) / len(similar) if said else None,
        "again": one.again,
        "error": one.error,
    }


def _same(said: dict[str, str], other: dict[str, str]) -> float:
    return sum(text == other[key] for key, text in said.items()) / len(said)


def _kept(path: Path) -> list[Measured]:
    """What an earlier run measured; where a server died it is asked once more."""
    if not path.exists():
        return []
    done = [Measured(**one) for one in disk.read_json(path, "remove it")]
    good = [one for one in done if not one.error]
    say(
        f"bench: goes on with {len(good)} measurements of an earlier run ({path}; without that "
        "file all is measured anew)"
    )
    return good


def _missing(
    model: Training,
    pairs: pd.DataFrame,
    hows: Sequence[Sampling],
    done: Sequence[Measured],
    *,
    unmerged: bool,
) -> Iterator[Measured]:
    """Measure what is not done yet of a model.

    unmerged: also what it costs to serve an adapter as one, at temperature 0.
    """
    there = {(*_asked_of(one), one.way) for one in done}

    def lacking(way: str) -> list[Sampling]:
        return [how for how in hows if (model.name, how.temperature, how.draws, way) not in there]

    for way in PROCESSES:
        for how in lacking(way):
            if way == ONE or (way == EACH) == (how.draws > 1):
                yield _by_our_loop(model, pairs, how, way)
    if left := lacking(VLLM):
        yield from _through_vllm(model, pairs, left, VLLM)
    merged = model.recipe is not None and model.precision.device == "cpu"
    if unmerged and merged and (left := lacking(ADAPTER)[:1]):
        yield from _through_vllm(model, pairs, left, ADAPTER)


def _questions(pairs: pd.DataFrame, how: Sampling) -> pd.DataFrame:
    return responses.unanswered(pd.DataFrame(columns=["sample_id", "draw"]), pairs, how.draws)


class Said(NamedTuple):
    """What one process, or a server, said: texts by "sample_id draw"; seconds since 1970."""

    began: float
    ended: float
    answers: int
    tokens: int
    texts: dict[str, str]


def _by_our_loop(model: Training, pairs: pd.DataFrame, how: Sampling, way: str) -> Measured:
    """Ask processes: from their common beginning to the last's end."""
    processes, questions = PROCESSES[way], _questions(pairs, how)
    parts = [questions if way == EACH else questions[i::processes] for i in range(processes)]
    at_once = replace(how, batch_size=len(parts[0]))
    tuning.tune(model)
    with TemporaryDirectory() as folder:
        places = [Path(folder) / str(i) for i in range(processes)]
        work = [
            jobs.Job(place.name, _answer, (model, part, at_once, places, i))
            for i, (place, part) in enumerate(zip(places, parts, strict=True))
        ]
        said = jobs.run(work, environment={**HEAP, "DSI_WORKERS": str(processes)})
    whole = Said(
        min(one.began for one in said),
        max(one.ended for one in said),
        sum(one.answers for one in said),
        sum(one.tokens for one in said),
        {key: text for one in said for key, text in one.texts.items()},
    )
    return _measured(model, how, way, way, whole)


def _answer(
    model: Training, questions: pd.DataFrame, how: Sampling, places: list[Path], own: int
) -> Said:
    """Answer in a process of its own, once all have loaded: each leaves a file then."""
    loaded = tuning.load_tuned(model)
    places[own].touch()
    while not all(place.exists() for place in places):
        time.sleep(0.01)
    return _timed(generate(loaded[0], loaded[1], questions, model.name, how))


def _timed(batches: Iterable[list[Answer]]) -> Said:
    began = time.time()
    answers = list(chain.from_iterable(batches))
    ended = time.time()
    texts = {f"{a.question.sample_id} {a.question.draw}": a.text for a in answers}
    return Said(began, ended, len(answers), sum(a.tokens for a in answers), texts)


def _through_vllm(
    model: Training, pairs: pd.DataFrame, hows: Sequence[Sampling], way: str
) -> Iterator[Measured]:
    """Ask a server of the model alone. One that dies ends this, and says why."""
    how, room = hows[0], served.longest(model, pairs, hows[0])
    try:
        with served.serving([model], room, merge=way == VLLM) as server:
            engine = way.replace(VLLM, server.version)
            for how in hows:
                questions = _questions(pairs, how)
                at_once = replace(how, batch_size=len(questions))
                with Service(server.endpoint(model, at_once)) as service:
                    # one goes alone, until it is answered
                    list(_asked(service, questions.head(1), how))
                    said = _timed(_asked(service, questions, how))
                    new = _measured(model, how, way, engine, said)
                    if how.temperature:
                        once_more = _timed(_asked(service, questions, how))
                        new = replace(new, again=_same(once_more.texts, new.texts))
                yield new
    except (served.Died, EndpointError) as error:
        yield Measured(model.name, how.temperature, how.draws, way, way, {}, error=str(error))


def _asked(service: Service, questions: pd.DataFrame, how: Sampling) -> Iterator[list[Answer]]:
    for row, reply in endpoint.answers(service.endpoint, questions, how, service):
        yield [Answer(row, reply.text, reply.usage.written)]


def _measured(model: Training, how: Sampling, way: str, engine: str, said: Said) -> Measured:
    return Measured(
        model.name,
        how.temperature,
        how.draws,
        way,
        engine,
        said.texts,
        said.answers,
        said.tokens,
        said.ended - said.began,
    )


def _say(one: Measured) -> None:
    said = one.error or f"{one.tokens / one.seconds:.1f} tokens/s in {one.seconds:.1f} s"
    say(f"bench: {one.model}, temperature {one.temperature:g}, {one.engine}: {said}")
