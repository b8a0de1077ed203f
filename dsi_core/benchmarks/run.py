"""How fast we tune, ask and compare on this machine against the stock way: the same models, texts and threads in one run.

Each measurement is a new process with one thread; stock and ours take turns, `ROUNDS` times, and the best round of each
counts, as other load can only slow one down. The clock leaves out the start of a process and the loading of its model.
Our processes have `work.MALLOC`'s memory settings, as in a study; the stock's have the system's.

share_of_peak counts floating-point operations of real tokens, so that padding is waste: 2 for each token and weight of a
linear layer; in tuning 4, and 6 where the weight itself is tuned (the gradients of the layer's input and of the weight). The
output layer counts where it is needed: for tokens of an answer. The embedding look-up is free; norms, activations and the
attention of tokens to each other (a few per cent of such short texts) are left out.

Gradients of the two ways of tuning agree to `GRADIENT` and no better: in single precision torch's cross-entropy over a whole
vocabulary, ours, is 2e-6 off the loss in double precision and trl's over blocks of it 7e-8 (measured), and the layers below magnify that.
"""

import io
import sys
from contextlib import redirect_stderr
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from dsi_core.benchmarks.stock import ask, compare, matrix_product, tune
from dsi_core.data import pairs as data
from dsi_core.method import similarity
from dsi_core.models import load as models
from dsi_core.runtime import jobs as work
from dsi_core.settings import profile as params
from dsi_core.settings.profile import Profile
from dsi_core.settings.schema import Trained

COLUMNS = [
    "what",
    "model",
    "unit",
    "stock",
    "ours",
    "ratio",
    "target",
    "same",
    "share_of_peak",
    "workload",
    "threads",
]
ROUNDS = 2
PAIRS = 16  # to tune on, for one epoch
PROMPTS = 16  # asked as often as a suspect is
ALONE = 4  # prompts for the pipeline at batch 1, asked once: all of them would take minutes
GREEDY = 4  # prompts whose greedy answers are compared
JOBS = 4  # for one core and for two; they share PROMPTS
SAMPLES = 12  # that each suspect has answered, with its usual draws
GRADIENT, SCORE = (
    1e-3,
    5e-3,
)  # allowed differences: of the largest entry; of an F1 (bert-score's padding, see `similarity`)


def run(profile: str = "small") -> pd.DataFrame:
    """`measure` for the profile of this name."""
    return measure(params.load_profile(profile))


def measure(profile: Profile) -> pd.DataFrame:
    """One row per comparison and model: what, model, unit, stock, ours (both in unit, higher is better), ratio = ours / stock,
    target (of the ratio), same (how equal the results are), share_of_peak (0 to 1: our operations per second over those of a
    matrix product on one core; None for two cores), workload, threads (of each process).

    In the row "matrix product" stock is its rate before all else and ours after it: a ratio far from 1 means that the machine
    changed meanwhile. One line a measurement goes to stderr. Raises `ValueError` for references that are not local, and with a GPU.
    """
    references = {r.with_.base: r.with_ for r in profile.references}
    for name in references:
        if models.base(profile, name).hub or models.base(profile, name).endpoint:
            raise ValueError(
                f"model {name!r} is not local; bench runs on a profile whose references are, as small or smoke"
            )
    if torch.cuda.is_available():
        raise ValueError('bench compares on CPU cores; hide the GPU with CUDA_VISIBLE_DEVICES=""')
    work.quiet()
    work.run(
        [
            work.Job(f"prepare {n}", models.prepare, (profile, n))
            for n in references
            if n not in models.ready(profile)
        ]
    )
    product = {"product": (matrix_product,)}
    before = _in_turns("matrix product", "GFLOP/s", product)["product"]
    rows = [_tuning(profile, name, trained) for name, trained in references.items()]
    rows += [row for name in references for row in _generation(profile, name)]
    rows += [_similarity(profile), _cores(profile, next(iter(references)))]
    after = _in_turns("matrix product", "GFLOP/s", product)["product"]
    rows.append(
        _row(
            "matrix product",
            "-",
            "GFLOP/s",
            before,
            after,
            "not compared",
            "two 1024 x 1024 matrices; stock = first, ours = at the end",
        )
    )
    table = pd.DataFrame(rows)
    table["ratio"] = table["ours"] / table["stock"]
    table["share_of_peak"] = table.pop("flops") / max(before["rate"], after["rate"]) / 1e9
    return table[COLUMNS]


def _row(
    what: str,
    model: str,
    unit: str,
    stock: dict,
    ours: dict,
    same: str,
    workload: str,
    target: float | None = None,
) -> dict:
    return {
        "what": what,
        "model": model,
        "unit": unit,
        "stock": stock["rate"],
        "ours": ours["rate"],
        "target": target,
        "same": same,
        "flops": ours["flops"] / ours["seconds"] if "flops" in ours else None,
        "workload": workload,
        "threads": 1,
    }


def _in_turns(
    what: str, unit: str, ways: dict[str, tuple], tuned: str | None = "ours"
) -> dict[str, dict]:
    """The best round of each way, a call and its arguments; the one named `tuned` has our workers' memory settings."""
    best = {}
    for _ in range(ROUNDS):
        for way, (call, *arguments) in ways.items():
            found = _processes(
                [work.Job(what, call, tuple(arguments))],
                work.MALLOC if way == tuned else dict.fromkeys(work.MALLOC),
            )[0]
            found["rate"] = found["done"] / found["seconds"]
            best[way] = max(best.get(way, found), found, key=lambda f: f["rate"])
            _say(f"{what}, {way}: {found['rate']:.1f} {unit} in {found['seconds']:.1f} s")
    return best


def _processes(jobs: list[work.Job], environment: dict[str, str | None]) -> list[dict]:
    """What the jobs return, of worker processes with this environment (None = without the variable) and no bar."""
    with redirect_stderr(io.StringIO()):
        return work.run(jobs, environment=environment)


def _say(line: str) -> None:
    print(f"bench: {line}", file=sys.stderr, flush=True)


def _tuning(profile: Profile, name: str, trained: Trained) -> dict:
    found = _in_turns(
        f"tuning {name}",
        "tokens/s",
        {
            "stock": (tune, profile, trained, PAIRS, True),
            "ours": (tune, profile, trained, PAIRS, False),
        },
    )
    stock, ours = found["stock"], found["ours"]
    assert (stock["steps"], stock["done"]) == (ours["steps"], ours["done"])
    apart, recipe = (
        np.abs(stock["gradient"] - ours["gradient"]).max() / np.abs(stock["gradient"]).max(),
        profile.recipes[trained.recipe],
    )
    same = f"gradients of 4 pairs differ by {apart:.1e} of the largest (allowed {GRADIENT:.0e}); mean loss {stock['loss']:.3f}, {ours['loss']:.3f} in another order"
    return _row(
        "tuning: default SFTTrainer",
        name,
        "tokens/s",
        stock,
        ours,
        same,
        f"{ours['pairs']} pairs of {profile.victims[0]}, {ours['done']} tokens, "
        f"{ours['steps']} steps of {recipe.batch_size}, {recipe.method}{f' of rank {recipe.rank}' if recipe.rank else ''}",
        2.0,
    )


def _generation(profile: Profile, name: str) -> list[dict]:
    pairs, limit = (
        data.load_pairs(profile, profile.victims[0]).head(PROMPTS),
        profile.responses.max_new_tokens,
    )
    todo, alone, greedy = (
        _questions(pairs, profile.responses.draws),
        _questions(pairs.head(ALONE), 1),
        _questions(pairs.head(GREEDY), 1),
    )
    ways = {
        "batch 1": (ask, profile, name, alone, greedy, 1),
        "batch 8": (ask, profile, name, todo, greedy, 8),
        "ours": (ask, profile, name, todo, greedy),
    }
    found, rows = _in_turns(f"generation {name}", "tokens/s", ways), []
    ours = found.pop("ours")
    for way, stock in found.items():
        equal = sum(stock["greedy"][k] == text for k, text in ours["greedy"].items())
        workload = (
            f"{len(pairs)} prompts x {profile.responses.draws}{f' (stock: {len(alone)} x 1)' if way == 'batch 1' else ''} at temperature 1, "
            f"up to {limit} new tokens: {stock['done']} and {ours['done']}, padding not counted"
        )
        rows.append(
            _row(
                f"generation: pipeline, {way}",
                name,
                "tokens/s",
                stock,
                ours,
                f"{equal} of {len(greedy)} greedy texts equal",
                workload,
                3.0 if way == "batch 8" else None,
            )
        )
    return rows


def _questions(pairs: pd.DataFrame, draws: int) -> pd.DataFrame:
    return pairs[["sample_id", "prompt"]].merge(pd.DataFrame({"draw": range(draws)}), how="cross")


def _similarity(profile: Profile) -> dict:
    table, model_type = _told(profile), similarity.backbone(profile)[0]
    ways = {
        "stock": (compare, profile, model_type, table, True),
        "ours": (compare, profile, model_type, table, False),
    }
    found = _in_turns(
        "similarity", "pairs/s", ways, tuned=None
    )  # a study compares in its own process
    apart = np.abs(found["stock"]["scores"] - found["ours"]["scores"]).max()
    counts = f"{table['suspect'].nunique()} suspects x {table['reference'].nunique()} references x 2 sides"
    return _row(
        "similarity: BERTScorer for each suspect, reference and side",
        Path(model_type).name,
        "pairs/s",
        found["stock"],
        found["ours"],
        f"scores differ by {apart:.1e} at most (allowed {SCORE:.0e})",
        f"{counts}, {2 * len(table)} pairs",
        4.0,
    )


def _told(profile: Profile) -> pd.DataFrame:
    """Stand-ins for answers, halves of D's outputs put together: columns suspect, reference, response, response_before, response_after."""
    outputs = [
        t.split() for t in data.load_pairs(profile, profile.victims[0], sample=False)["output"]
    ]
    rng, samples = np.random.default_rng(profile.seed), pd.DataFrame({"sample": range(SAMPLES)})

    def tell(rows: pd.DataFrame) -> list[str]:
        chosen = [
            (outputs[i], outputs[j]) for i, j in rng.integers(len(outputs), size=(len(rows), 2))
        ]
        return [" ".join(a[: len(a) // 2 + 1] + b[len(b) // 2 :]) for a, b in chosen]

    told = samples.merge(
        pd.DataFrame(
            {"suspect": [s.name for s in profile.suspects for _ in range(profile.responses.draws)]}
        ),
        how="cross",
    )
    sides = samples.merge(
        pd.DataFrame({"reference": [r.name for r in profile.references]}), how="cross"
    )
    sides = sides.assign(response_before=tell(sides), response_after=tell(sides))
    return told.assign(response=tell(told)).merge(sides, on="sample")


def _cores(profile: Profile, name: str) -> dict:
    pairs = data.load_pairs(profile, profile.victims[0]).head(PROMPTS)
    questions = [
        _questions(pairs.iloc[i], profile.responses.draws)
        for i in np.array_split(np.arange(len(pairs)), min(JOBS, len(pairs)))
    ]
    jobs, rounds = (
        [work.Job(f"job {i}", ask, (profile, name, q, q.head(0))) for i, q in enumerate(questions)],
        {1: [], 2: []},
    )
    for _ in range(ROUNDS):
        for workers, found in rounds.items():
            done = _processes(jobs, {**work.MALLOC, "DSI_WORKERS": str(workers)})
            seconds, new = (
                max(d["ended"] for d in done) - min(d["began"] for d in done),
                sum(d["done"] for d in done),
            )
            found.append(
                {
                    "rate": new / seconds,
                    "texts": {k: t for d in done for k, t in d["texts"].items()},
                }
            )
            _say(f"cores {name}, {workers}: {new / seconds:.1f} tokens/s in {seconds:.1f} s")
    one, two = (max(found, key=lambda f: f["rate"]) for found in rounds.values())
    equal = sum(two["texts"][k] == text for k, text in one["texts"].items())
    workload = f"{len(jobs)} jobs of {len(pairs) // len(jobs)} prompts x {profile.responses.draws}, with loading the model, without starting the processes"
    return _row(
        "cores: two processes against one",
        name,
        "tokens/s",
        one,
        two,
        f"{equal} of {len(one['texts'])} texts equal",
        workload,
        1.9,
    )
