"""What a study costs beside its models: scheduling, store and similarity, with made-up answers.

Each step is a process of its own, whose seconds and memory are those of the process that drives a
study (the workers' are left out). A made-up model answers at once, and two texts are as close as
their lengths: what is measured is all that grows with jobs and answers.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from dsi_core.benchmarks.alone import alone
from dsi_core.method import asking, similarity, study
from dsi_core.method.similarity import Backbone
from dsi_core.models import responses
from dsi_core.models.load import Base
from dsi_core.models.sampling import Sampling
from dsi_core.models.tuning import Training
from dsi_core.runtime import jobs, locks, released, store
from dsi_core.runtime.environment import variables
from dsi_core.runtime.precision import Precision
from dsi_core.runtime.progress import say
from dsi_core.settings.profile import load_profile
from dsi_core.settings.schema import Model, Similarity

JOBS = (10, 100, 1_000, 10_000)
ANSWERS = (10_000, 100_000, 1_000_000)
EACH = 1_000  # answers of one model
TOGETHER = 50  # answers that end together
WORDS = 40  # of an answer
REFERENCES = 5
LIMIT_MB = 2_000  # of the process that drives a study
SHOWN = "made-up jobs and answers, without models; the process that drives them"
COLUMNS = ["step", "unit", "size", "seconds", "memory_mb"]


BASE = Base("made up", Model(hub="made/up"), "")
BACKBONE = Backbone(Similarity(hub="made/up", layer=1))


def schedule(count: int, _: Path) -> int:
    """Do so many jobs on this machine's workers; each is given the questions of its model."""
    asked = questions()
    work = [jobs.Job(f"job {i}", nothing, (f"model {i}", asked)) for i in range(count)]
    return len(jobs.run(work, on_this_machine=True))


def nothing(model_id: str, asked: pd.DataFrame) -> str:
    """A job."""
    return f"{model_id}: {len(asked)}"


def write(count: int, place: Path) -> int:
    """Keep the answers of `EACH` for every model, as `responses.ask` keeps them."""
    with _store(place):
        for query in queries(count):
            folder = responses.entry(query.model_id, query.training, query.sampling)
            texts = made_up(query.model_id, len(query.questions))
            rows = [
                {"sample_id": i, "draw": 0, "response": text, "tokens": WORDS, "seconds": 0.1}
                for i, text in zip(query.questions["sample_id"], texts, strict=True)
            ]
            with locks.held(folder), responses.appending(folder) as keep:
                for start in range(0, len(rows), TOGETHER):
                    keep(rows[start : start + TOGETHER])
                store.finish(folder, answers=len(rows))
    return count


def lacking(count: int, place: Path) -> int:
    """Tell which answers are lacking: none."""
    with _store(place):
        return sum(query.work.answers for query in queries(count))


def read(count: int, place: Path) -> int:
    """Read all answers into one table, as a study does."""
    return len(_read(count, place))


def _read(count: int, place: Path) -> pd.DataFrame:
    with _store(place):
        tables = [asking.collected(q).assign(suspect=q.model_id) for q in queries(count)]
        return pd.concat(tables, ignore_index=True)


def compare(count: int, place: Path) -> int:
    """Score all answers beside a reference's, block by block; what was scored is looked up."""
    reference = made_up("a reference", EACH)
    beside = dict(zip(questions()["sample_id"], reference, strict=True))
    answers, scored = _read(count, place), 0
    with _store(place):
        for start in range(0, count, study.ROWS):
            part = answers.iloc[start : start + study.ROWS]
            pairs = pd.DataFrame({"a": part["sample_id"].map(beside), "b": part["response"]})
            scores = similarity.raw_scores(BACKBONE, pairs, by_length)
            scored += int((scores > 0).sum())
    return scored


def reference_scores(count: int, place: Path) -> int:
    """Score what references said before and after tuning (Eq. 1): `study.scores_of`."""
    settings = load_profile("smoke").changed(similarity={"rescale": False})
    victim, each = settings.victims[0], 2 * REFERENCES
    ids = [f"{i:016x}" for i in range(count // each)]
    texts = made_up("outputs", len(ids))
    pairs = pd.DataFrame({"dataset": victim, "sample_id": ids, "prompt": texts, "output": texts})
    said = [
        pd.DataFrame({"response": made_up(f"{role} {reference}", len(ids))}).assign(
            dataset=victim, sample_id=ids, reference=reference, role=role
        )
        for reference in map(str, range(REFERENCES))
        for role in ("R", "R^t")
    ]
    run = study.Study(settings, pairs.assign(category=None))
    with _store(place):
        for table in said:
            beside = pd.DataFrame({"a": table["response"], "b": texts})
            similarity.raw_scores(run.backbone, beside, by_length)
        return 2 * len(study.scores_of(run, pd.concat(said, ignore_index=True)))


def by_length(_: Backbone, a: list[str], b: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """How close made-up texts are, and that none was cut."""
    lengths = np.array([(len(x), len(y)) for x, y in zip(a, b, strict=True)])
    return lengths.min(axis=1) / lengths.max(axis=1), np.zeros(len(a), dtype=int)


STEPS: dict[str, tuple[str, tuple[int, ...], Callable[[int, Path], int]]] = {
    "keep answers": ("answers", ANSWERS, write),
    "find what is lacking": ("answers", ANSWERS, lacking),
    "read answers": ("answers", ANSWERS, read),
    "score pairs": ("answers", ANSWERS, compare),
    "look scores up": ("answers", ANSWERS, compare),
    "score references": ("answers", ANSWERS, reference_scores),
    "schedule": ("jobs", JOBS, schedule),
}


def measure(most: int = ANSWERS[-1]) -> pd.DataFrame:
    """Measure every step at every size up to `most`; one line each goes to stderr.

    Returns
    -------
    pandas.DataFrame
        Columns step, unit (of the size: jobs or answers), size, seconds (user and system time of
        the process), memory_mb (the most that it held; some 200 of it are imports).
    """
    found = []
    with TemporaryDirectory() as folder:
        for name, (unit, sizes, step) in STEPS.items():
            for size in (size for size in sizes if size <= most):
                place = Path(folder) / str(size)
                place.mkdir(exist_ok=True)
                took = alone(partial(step, size), place)
                assert took.found == (0 if step is lacking else size), f"{name}: {took.found}"
                found.append((name, unit, size, round(took.seconds, 2), round(took.memory_mb)))
                said = f"{took.seconds:.1f} s, {took.memory_mb:.0f} MB"
                say(f"bench: {name}, {size:,} {unit}: {said}")
    return pd.DataFrame(found, columns=COLUMNS)


def _store(place: Path) -> AbstractContextManager:
    return variables({"DSI_STORE": str(place), released.SWITCH: released.OFF})


def questions() -> pd.DataFrame:
    """What every model is asked: sample_id, prompt."""
    prompts = made_up("prompts", EACH)
    return pd.DataFrame({"sample_id": [f"{i:016x}" for i in range(EACH)], "prompt": prompts})


def queries(count: int) -> Iterator[asking.Query]:
    """What so many answers answer, model by model; all of one base that was not tuned."""
    training = Training(BASE, Precision("cpu", "fp32"), 0)
    asked, sampling = questions(), Sampling(0, 1.0, 1, 64, 1)
    for i in range(count // EACH):
        model_id = f"model {i}"
        yield asking.Query(model_id, model_id, training, asked, sampling)


def made_up(name: str, count: int) -> list[str]:
    """Texts of `WORDS` words, the same for the same name."""
    rng = np.random.default_rng(list(name.encode()))
    drawn = rng.integers(10_000, size=(count, WORDS))
    return [" ".join([f"w{i}" for i in row]) for row in drawn.tolist()]
