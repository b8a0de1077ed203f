"""How fast we tune, answer and compare on this machine against the stock way.

The same models, texts and threads in one run. Each measurement is a new process with one thread;
stock and ours take turns, and the best round of each counts, as other load can only slow one down.
The clock leaves out the start of a process and the loading of its model. Our processes have
`HEAP`'s memory settings, as in a study; the stock's have the system's. The stock holds its
weights in fp32, ours are in this machine's precision; where that is bf16, ours in fp32 is measured
too.

share_of_peak counts floating-point operations of real tokens, so that padding is waste: those of
the linear layers, as torch counts them for one token (2 for each weight; in tuning 2 more for the
gradient of a layer's input and 2 for that of its weight, where they are needed). The output layer
counts where it is needed: for tokens of an answer. The embedding look-up is free; norms,
activations and the attention of tokens to each other (a few per cent of such short texts) are left
out.

Gradients of the two ways of tuning agree in single precision: SmolLM2's differ by 2.3e-6 of the
largest entry and Gemma-3's by 1.7e-6. Of Gemma-3, four pairs, ours is 7e-6 off the gradient in
double precision and trl's 6e-6 (measured); with torch's `cross_entropy` in place of `models.loss`
ours would be 1.5e-3 off, as it adds up 262,144 probabilities with a loss of digits.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from dsi_core.benchmarks.comparison import Comparison, table
from dsi_core.benchmarks.stock import (
    GRADIENT_PAIRS,
    Answers,
    Local,
    Scores,
    Tuning,
    Way,
    answer,
    compare,
    matrix_product,
    tune,
)
from dsi_core.benchmarks.turns import in_turns, processes, say
from dsi_core.data.pairs import dataset, load_pairs
from dsi_core.method import similarity
from dsi_core.method.similarity import Backbone
from dsi_core.models import load
from dsi_core.models.sampling import Sampling
from dsi_core.models.tuning import Training, training
from dsi_core.runtime import jobs
from dsi_core.runtime.environment import HEAP, quiet
from dsi_core.runtime.precision import Dtype
from dsi_core.settings.profile import Profile, load_profile

# Allowed difference of gradients, as a share of the largest entry
GRADIENT: dict[Dtype, float] = {"fp32": 1e-3, "bf16": 0.1}
# What ours is meant to reach against the stock way, by this machine's precision
TUNING: dict[Dtype, float] = {"fp32": 2.0, "bf16": 7.0}
GENERATION: dict[Dtype, float] = {"fp32": 3.0, "bf16": 8.0}
# ... and in bf16 against fp32
TUNING_IN_BF16, GENERATION_IN_BF16 = 3.0, 2.4
SCORE = 5e-3  # of an F1: bert-score's padding, see `similarity`


@dataclass(frozen=True)
class Amounts:
    """How much is done.

    Parameters
    ----------
    rounds
        Of each comparison.
    pairs
        To tune on, for one epoch: all of a dataset of `small`, as a first step takes as long as two
        or three, since its memory is new.
    prompts
        Asked as often as a suspect is; as many as a dataset of `small` has.
    alone
        Prompts for the pipeline at batch 1, asked once: all of them would take minutes.
    greedy
        Prompts whose greedy answers are compared.
    jobs
        For one core and for two; they share the prompts.
    samples
        That each suspect has answered, with its usual draws.
    """

    rounds: int = 2
    pairs: int = 48
    prompts: int = 48
    alone: int = 4
    greedy: int = 4
    jobs: int = 4
    samples: int = 12


USUAL = Amounts()


def run(profile: str = "small") -> pd.DataFrame:
    """Give `measure` for the profile of this name."""
    return measure(load_profile(profile))


def measure(profile: Profile, amounts: Amounts = USUAL) -> pd.DataFrame:
    """Compare everything, for every base model of a reference.

    In the row "matrix product" stock is its rate before all else and ours after it: a ratio far
    from 1 means that the machine changed meanwhile. One line a measurement goes to stderr.

    Returns
    -------
    pandas.DataFrame
        As `table` gives it.

    Raises
    ------
    ValueError
        For references that are not local, and with a GPU.
    """
    quiet()
    trainings = _trainings(profile)
    if torch.cuda.is_available():
        raise ValueError('bench compares on CPU cores; hide the GPU with CUDA_VISIBLE_DEVICES=""')
    models = [Local(t.base, t.precision) for t in trainings]
    load.prepare_all(model.base for model in models)
    victim = dataset(profile, profile.victims[0])
    pairs = load_pairs(victim)
    usual = Sampling.of(profile.responses, profile.seed)
    sampling = usual.changed(system=None)  # the pipeline gets the prompts alone
    dtype = models[0].precision.dtype
    before = _product(dtype, amounts.rounds)
    rows = [row for training in trainings for row in _tuning(training, pairs, amounts)]
    for model in models:
        rows += _generation(model, pairs, sampling, amounts)
    stand_ins = answers_like(
        load_pairs(victim, sample=False)["output"].tolist(),
        suspects=[s.name for s in profile.suspects],
        references=[r.name for r in profile.references],
        samples=amounts.samples,
        draws=sampling.draws,
        seed=profile.seed,
    )
    rows.append(_similarity(stand_ins, similarity.backbone(profile), amounts.rounds))
    rows.append(_cores(models[0], pairs, sampling, amounts))
    after = _product(dtype, amounts.rounds)
    product = Comparison(
        what="matrix product",
        model="-",
        unit="GFLOP/s",
        stock=before,
        ours=after,
        same="not compared",
        workload=f"two 1024 x 1024 matrices in {dtype}; stock = first, ours = at the end",
    )
    return table([*rows, product], max(before, after))


def _trainings(profile: Profile) -> list[Training]:
    """How the reference of each base model is tuned on the first victim."""
    victim = profile.victims[0]
    trainings = {r.with_.base: training(profile, victim, r.with_) for r in profile.references}
    for name, tuned in trainings.items():
        if tuned.base.source.hub or tuned.base.source.endpoint:
            raise ValueError(
                f"model {name!r} is not local; bench runs on a profile whose references are, "
                "as small or smoke"
            )
    return list(trainings.values())


def _product(dtype: Dtype, rounds: int) -> float:
    """The rate of a matrix product, in 10^9 operations per second."""
    job = jobs.Job("matrix product", matrix_product, (dtype,))
    return in_turns(job.name, {"product": job}, rounds)["product"].per_second


def _ways(dtype: Dtype) -> list[Way]:
    """Ours in fp32 is a way of its own where this machine computes in bf16."""
    return list(Way) if dtype == "bf16" else [Way.STOCK, Way.OURS]


def _tuning(training: Training, pairs: pd.DataFrame, amounts: Amounts) -> list[Comparison]:
    name, some, dtype = training.base.name, pairs.head(amounts.pairs), training.precision.dtype
    ways = {str(way): jobs.Job(f"tune, {way}", tune, (training, some, way)) for way in _ways(dtype)}
    best = in_turns(f"tuning {name}", ways, amounts.rounds)
    ours: Tuning = best.pop(Way.OURS)
    recipe = training.recipe_here
    rank = f" of rank {recipe.rank}" if recipe.rank else ""
    rows = []
    for way, other in best.items():
        assert (other.steps, other.done) == (ours.steps, ours.done)
        apart = np.abs(other.gradient - ours.gradient).max() / np.abs(other.gradient).max()
        of_stock = way == Way.STOCK
        comparison = Comparison(
            what=f"tuning: {'default SFTTrainer' if of_stock else way}",
            model=name,
            unit="tokens/s",
            stock=other.per_second,
            ours=ours.per_second,
            same=f"gradients of {GRADIENT_PAIRS} pairs differ by {apart:.1e} of the largest "
            f"(allowed {GRADIENT[dtype]:.0e}); "
            f"mean loss {other.loss:.3f}, {ours.loss:.3f} in another order",
            workload=f"{ours.pairs} pairs of {pairs.attrs['name']}, {ours.done} tokens, "
            f"{ours.steps} steps of {recipe.batch_size}, {recipe.method}{rank}",
            target=TUNING[dtype] if of_stock else TUNING_IN_BF16,
            gflops=ours.gflops,
        )
        rows.append(comparison)
    return rows


def _generation(
    model: Local, pairs: pd.DataFrame, sampling: Sampling, amounts: Amounts
) -> list[Comparison]:
    draws, pairs = sampling.draws, pairs.head(amounts.prompts)
    every, alone = _questions(pairs, draws), _questions(pairs.head(amounts.alone), 1)
    greedy, dtype = _questions(pairs.head(amounts.greedy), 1), model.precision.dtype
    given: dict[str, tuple] = {
        "pipeline, batch 1": (model, alone, greedy, sampling, Way.STOCK, 1),
        "pipeline, batch 8": (model, every, greedy, sampling, Way.STOCK, 8),
    }
    for own in _ways(dtype)[1:]:
        given[own] = (model, every, greedy, sampling, own)
    targets = {"pipeline, batch 8": GENERATION[dtype], Way.OURS_IN_FP32: GENERATION_IN_BF16}
    ways = {way: jobs.Job(f"answer, {way}", answer, args) for way, args in given.items()}
    best: dict[str, Answers] = in_turns(f"generation {model.base.name}", ways, amounts.rounds)
    ours = best.pop(Way.OURS)
    rows = []
    for way, stock in best.items():
        equal = sum(stock.greedy[key] == text for key, text in ours.greedy.items())
        fewer = f" (stock: {len(alone)} x 1)" if way == "pipeline, batch 1" else ""
        comparison = Comparison(
            what=f"generation: {way}",
            model=model.base.name,
            unit="tokens/s",
            stock=stock.per_second,
            ours=ours.per_second,
            same=f"{equal} of {len(greedy)} greedy texts equal",
            workload=f"{len(pairs)} prompts x {draws}{fewer} at temperature 1, "
            f"up to {sampling.max_new_tokens} new tokens: {stock.done} and {ours.done}, "
            "padding not counted",
            target=targets.get(way),
            gflops=ours.gflops,
        )
        rows.append(comparison)
    return rows


def _questions(pairs: pd.DataFrame, draws: int) -> pd.DataFrame:
    return pairs[["sample_id", "prompt"]].merge(pd.DataFrame({"draw": range(draws)}), how="cross")


def _similarity(answers: pd.DataFrame, backbone: Backbone, rounds: int) -> Comparison:
    model_type = similarity.model_type(backbone)
    ways = {
        str(way): jobs.Job(f"compare, {way}", compare, (answers, model_type, backbone, way))
        for way in (Way.STOCK, Way.OURS)
    }
    # a study compares in its own process, with the system's memory settings
    best: dict[str, Scores] = in_turns("similarity", ways, rounds, memory_of_ours=False)
    stock, ours = best[Way.STOCK], best[Way.OURS]
    apart = np.abs(stock.scores - ours.scores).max()
    suspects, references = answers["suspect"].nunique(), answers["reference"].nunique()
    return Comparison(
        what="similarity: BERTScorer for each suspect, reference and side",
        model=Path(model_type).name,
        unit="pairs/s",
        stock=stock.per_second,
        ours=ours.per_second,
        same=f"scores differ by {apart:.1e} at most (allowed {SCORE:.0e})",
        workload=f"{suspects} suspects x {references} references x 2 sides, "
        f"{2 * len(answers)} pairs",
        target=4.0,
        gflops=ours.gflops,
    )


def answers_like(
    outputs: list[str],
    *,
    suspects: list[str],
    references: list[str],
    samples: int,
    draws: int,
    seed: int,
) -> pd.DataFrame:
    """Make up stand-ins for answers: halves of two random outputs put together.

    Returns
    -------
    pandas.DataFrame
        A row for each sample, suspect, draw and reference: sample, suspect, response, reference,
        response_before, response_after.
    """
    words = [output.split() for output in outputs]
    rng = np.random.default_rng(seed)

    def some(count: int) -> list[str]:
        chosen = rng.integers(len(words), size=(count, 2))
        halves = [(words[i], words[j]) for i, j in chosen]
        return [" ".join(a[: len(a) // 2 + 1] + b[len(b) // 2 :]) for a, b in halves]

    ids = pd.DataFrame({"sample": range(samples)})
    drawn = pd.DataFrame({"suspect": [name for name in suspects for _ in range(draws)]})
    told = ids.merge(drawn, how="cross")
    sides = ids.merge(pd.DataFrame({"reference": references}), how="cross")
    count = len(sides)
    sides = sides.assign(response_before=some(count), response_after=some(count))
    return told.assign(response=some(len(told))).merge(sides, on="sample")


def _cores(model: Local, pairs: pd.DataFrame, sampling: Sampling, amounts: Amounts) -> Comparison:
    """The same jobs with one process and with two, which take turns."""
    pairs = pairs.head(amounts.prompts)
    parts = np.array_split(np.arange(len(pairs)), min(amounts.jobs, len(pairs)))
    questions = [_questions(pairs.iloc[part], sampling.draws) for part in parts]
    work = [
        jobs.Job(f"job {i}", answer, (model, q, q.head(0), sampling))
        for i, q in enumerate(questions)
    ]
    best: dict[int, Answers] = {}
    for _ in range(amounts.rounds):
        for workers in (1, 2):
            environment = {**HEAP, "DSI_WORKERS": str(workers)}
            together = joined(processes(work, environment))
            best[workers] = max(best.get(workers, together), together, key=lambda r: r.per_second)
            say(f"cores {model.base.name}", str(workers), together)
    one, two = best[1], best[2]
    equal = sum(two.texts[key] == text for key, text in one.texts.items())
    return Comparison(
        what="cores: two processes against one",
        model=model.base.name,
        unit="tokens/s",
        stock=one.per_second,
        ours=two.per_second,
        same=f"{equal} of {len(one.texts)} texts equal",
        workload=f"{len(work)} jobs of {len(pairs) // len(work)} prompts x {sampling.draws}, "
        "with loading the model, without starting the processes",
        target=1.9,
    )


def joined(answers: list[Answers]) -> Answers:
    """Give the answers of several jobs as one: from the first's beginning to the last's end."""
    began, ended = min(a.began for a in answers), max(a.ended for a in answers)
    return Answers(
        done=sum(a.done for a in answers),
        seconds=ended - began,
        texts={key: text for a in answers for key, text in a.texts.items()},
        greedy={},
        began=began,
        ended=ended,
    )
