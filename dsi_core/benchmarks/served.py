"""Our own loop beside vLLM: a base and two adapters of it, in one run on this machine.

Our loop is one process with the threads that it was given; the server has all that it finds. Each
works while the other waits. The clock leaves out loading and the server's start.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import replace

import pandas as pd
from rapidfuzz import fuzz

from dsi_core.data.pairs import dataset, load_pairs
from dsi_core.models import responses, served, tuning
from dsi_core.models.sampling import Answer, Sampling, generate
from dsi_core.models.served import Server
from dsi_core.models.tuning import Training, training
from dsi_core.runtime.environment import quiet
from dsi_core.runtime.precision import device_name
from dsi_core.services import endpoint
from dsi_core.settings.profile import Profile, load_profile

ADAPTERS = 2
OWN = "our own loop"


def measure(
    profile: str = "small", prompts: int = 16, models: Sequence[Training] = ()
) -> pd.DataFrame:
    """Ask a base and adapters of it by both; tune what the store lacks.

    Parameters
    ----------
    profile
        Whose models and texts.
    prompts
        Of its first victim.
    models
        Of one base; default: `chosen`.

    Returns
    -------
    pandas.DataFrame
        model, temperature, engine, device, answers, tokens, seconds, tokens_per_s, same (share of
        answers that are, to the letter, our own loop's), similar (to it: mean ratio of letters in
        common, 0 to 1), again (share that is the same when asked once more; NaN = not asked).
    """
    settings = load_profile(profile)
    quiet()
    pairs = load_pairs(dataset(settings, settings.victims[0])).head(prompts)
    models = models or chosen(settings)
    sampled = replace(Sampling.of(settings.responses, settings.seed), draws=1)
    greedy, rows = sampled.changed(temperature=0.0), []
    room = served.longest(models[0], pairs, sampled)
    with served.serving(models, room) as server:
        for model in models:
            loaded = tuning.load_tuned(model)
            # sampled answers show what a seed is worth; of one model, as they cost the most
            for how in (greedy, sampled) if model.recipe is None else (greedy,):
                rows += _both(model, loaded, server, pairs, how)
    return pd.DataFrame(rows).assign(device=device_name())


def chosen(profile: Profile) -> list[Training]:
    """Give the first reference's base as it is, and tuned models of it that are adapters."""
    first = profile.references[0].with_
    victim = profile.victims[0]
    untuned = training(profile, victim, first.changed(data=[], recipe=None))
    all_tuned = [first, *profile.suspects]
    tuned = [training(profile, victim, one) for one in all_tuned if one.base == first.base]
    adapters = [t for t in tuned if t.recipe and t.recipe_here.method != "full"]
    return [untuned, *adapters[:ADAPTERS]]


def _both(
    model: Training, loaded: tuple, server: Server, pairs: pd.DataFrame, how: Sampling
) -> list[dict]:
    nothing = pd.DataFrame(columns=["sample_id", "draw"])
    questions = responses.unanswered(nothing, pairs, how.draws)
    own, row = _timed(generate(loaded[0], loaded[1], questions, model.name, how))
    common = {"model": model.name, "temperature": how.temperature}
    rows = [{**common, "engine": OWN, **row, "same": 1.0, "similar": 1.0}]
    said, row = _timed(_asked(server, model, questions, how))
    again = None
    if how.temperature:
        again = _same(said, _timed(_asked(server, model, questions, how))[0])
    similar = [fuzz.ratio(own[key], said[key]) / 100 for key in own]
    compared = {"same": _same(own, said), "similar": sum(similar) / len(similar), "again": again}
    return [*rows, {**common, "engine": server.version, **row, **compared}]


def _asked(
    server: Server, model: Training, questions: pd.DataFrame, how: Sampling
) -> Iterable[list[Answer]]:
    for row, reply in endpoint.answers(server.endpoint(model, how), questions, how):
        yield [Answer(row, reply.text, reply.usage.written)]


def _timed(batches: Iterable[list[Answer]]) -> tuple[dict, dict]:
    """Texts by question, and what they took."""
    begun = time.perf_counter()
    answers = [answer for batch in batches for answer in batch]
    seconds = time.perf_counter() - begun
    tokens = sum(answer.tokens for answer in answers)
    texts = {(a.question.sample_id, a.question.draw): a.text for a in answers}
    row = {"answers": len(answers), "tokens": tokens, "seconds": round(seconds, 1)}
    return texts, {**row, "tokens_per_s": round(tokens / seconds, 1)}


def _same(one: dict, other: dict) -> float:
    return sum(text == other[key] for key, text in one.items()) / len(one)
