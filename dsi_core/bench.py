"""How fast we tune, ask and compare on this machine against the stock way: the same models, texts and threads in one run.

Each measurement is a new process with one thread; stock and ours take turns, `ROUNDS` times, and the best round of each
counts, as other load can only slow one down. The clock leaves out the start of a process and the loading of its model.
Our processes have `work.MALLOC`'s memory settings, as in a study; the stock's have the system's.

share_of_peak counts floating-point operations of real tokens, so that padding is waste: 2 for each token and weight of a
linear layer; in tuning 4, and 6 where the weight itself is tuned (the gradients of the layer's input and of the weight). The
output layer counts where it is needed: for tokens of an answer. The embedding look-up is free; norms, activations and the
attention of tokens to each other (a few per cent of such short texts) are left out.
"""

import io
import math
import os
import sys
import tempfile
import time
from contextlib import redirect_stderr
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pandas as pd
import torch

from dsi_core import data, models, params, responses, similarity, study, tuning, work
from dsi_core.params import Profile, Trained

COLUMNS = ["what", "model", "unit", "stock", "ours", "ratio", "target", "same", "share_of_peak", "workload", "threads"]
ROUNDS = 2
PAIRS = 16  # to tune on, for one epoch
PROMPTS = 16  # asked as often as a suspect is
ALONE = 4  # prompts for the pipeline at batch 1, asked once: all of them would take minutes
GREEDY = 4  # prompts whose greedy answers are compared
JOBS = 4  # for one core and for two; they share PROMPTS
SAMPLES = 12  # that each suspect has answered, with its usual draws
GRADIENT, SCORE = 1e-4, 5e-3  # allowed differences: of the largest entry; of an F1 (bert-score's padding, see `similarity`)


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
            raise ValueError(f"model {name!r} is not local; bench runs on a profile whose references are, as small or smoke")
    if torch.cuda.is_available():
        raise ValueError('bench compares on CPU cores; hide the GPU with CUDA_VISIBLE_DEVICES=""')
    work.quiet()
    work.run([work.Job(f"prepare {n}", models.prepare, (profile, n)) for n in references if n not in models.ready(profile)])
    product = {"product": (matrix_product,)}
    before = _in_turns("matrix product", "GFLOP/s", product)["product"]
    rows = [_tuning(profile, name, trained) for name, trained in references.items()]
    rows += [row for name in references for row in _generation(profile, name)]
    rows += [_similarity(profile), _cores(profile, next(iter(references)))]
    after = _in_turns("matrix product", "GFLOP/s", product)["product"]
    rows.append(_row("matrix product", "-", "GFLOP/s", before, after, "not compared", "two 1024 x 1024 matrices; stock = first, ours = at the end"))
    table = pd.DataFrame(rows)
    table["ratio"] = table["ours"] / table["stock"]
    table["share_of_peak"] = table.pop("flops") / max(before["rate"], after["rate"]) / 1e9
    return table[COLUMNS]


def _row(what: str, model: str, unit: str, stock: dict, ours: dict, same: str, workload: str, target: float | None = None) -> dict:
    return {"what": what, "model": model, "unit": unit, "stock": stock["rate"], "ours": ours["rate"], "target": target, "same": same,
            "flops": ours["flops"] / ours["seconds"] if "flops" in ours else None, "workload": workload, "threads": 1}


def _in_turns(what: str, unit: str, ways: dict[str, tuple], tuned: str | None = "ours") -> dict[str, dict]:
    """The best round of each way, a call and its arguments; the one named `tuned` has our workers' memory settings."""
    best = {}
    for _ in range(ROUNDS):
        for way, (call, *arguments) in ways.items():
            found = _processes([work.Job(what, call, tuple(arguments))], {} if way == tuned else dict.fromkeys(work.MALLOC))[0]
            found["rate"] = found["done"] / found["seconds"]
            best[way] = max(best.get(way, found), found, key=lambda f: f["rate"])
            _say(f"{what}, {way}: {found['rate']:.1f} {unit} in {found['seconds']:.1f} s")
    return best


def _processes(jobs: list[work.Job], environment: dict[str, str | None]) -> list[dict]:
    """What the jobs return, of worker processes with this environment (None = without the variable) and no bar."""
    kept = {k: v for k, v in {**os.environ, **work.MALLOC, **environment}.items() if v is not None}
    with patch.dict(os.environ, kept, clear=True), patch.object(work, "MALLOC", {}), redirect_stderr(io.StringIO()):
        return work.run(jobs)


def _say(line: str) -> None:
    print(f"bench: {line}", file=sys.stderr, flush=True)


def matrix_product(repeats: int = 20) -> dict:
    """The best of some single-precision products of two 1024 x 1024 matrices: 10^9 operations done, seconds."""
    a, b, out = torch.rand(3, 1024, 1024)
    spent = []
    for _ in range(repeats):
        started = time.perf_counter()
        torch.matmul(a, b, out=out)
        spent.append(time.perf_counter() - started)
    return {"done": 2 * 1024**3 / 1e9, "seconds": min(spent)}


def flops_per_token(model, backward: bool = False) -> tuple[int, int]:
    """Floating-point operations that one token takes: (in all linear layers but the output layer, in the output layer)."""
    head = model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None
    layers = {m: 2 * m.in_features * m.out_features * (1 + (1 + m.weight.requires_grad) * backward) for name, m in model.named_modules()
              if isinstance(m, torch.nn.Linear) and not name.startswith("pooler")}  # BERTScore uses no pooler
    output = layers.pop(head, 0)
    return sum(layers.values()), output


def _tuning(profile: Profile, name: str, trained: Trained) -> dict:
    found = _in_turns(f"tuning {name}", "tokens/s", {"stock": (tune, profile, trained, True), "ours": (tune, profile, trained, False)})
    stock, ours = found["stock"], found["ours"]
    assert (stock["steps"], stock["done"]) == (ours["steps"], ours["done"])
    apart, recipe = np.abs(stock["gradient"] - ours["gradient"]).max() / np.abs(stock["gradient"]).max(), profile.recipes[trained.recipe]
    same = f"gradients of 4 pairs differ by {apart:.1e} of the largest (allowed {GRADIENT:.0e}); mean loss {stock['loss']:.3f}, {ours['loss']:.3f} in another order"
    return _row("tuning: default SFTTrainer", name, "tokens/s", stock, ours, same, f"{ours['pairs']} pairs of {profile.victims[0]}, {ours['done']} tokens, "
                f"{ours['steps']} steps of {recipe.batch_size}, {recipe.method}{f' of rank {recipe.rank}' if recipe.rank else ''}", 2.0)


def tune(profile: Profile, trained: Trained, stock: bool) -> dict:
    """Tune a model for one epoch: tokens done, seconds, operations, mean loss, and the gradient of some pairs before it began.

    stock: trl's trainer at its defaults, which computes activations twice to save memory; batch size, learning rate and fp32 as ours.
    """
    from datasets import Dataset
    from transformers import PrinterCallback
    from trl import SFTConfig, SFTTrainer

    recipe = tuning.recipe_of(profile, trained).model_copy(update={"epochs": 1})
    full = recipe.method == "full"
    model, tokenizer = models.load(profile, trained.base, quantized=recipe.method == "qlora", precise=full)
    pairs = data.load_pairs(profile, profile.victims[0]).head(PAIRS)
    rows = [tuning._example(tokenizer, p, o, recipe.max_tokens) for p, o in zip(pairs["prompt"], pairs["output"])]
    torch.manual_seed(profile.seed)  # the adapter's first weights
    with tempfile.TemporaryDirectory() as folder:
        arguments = tuning._arguments(recipe, profile.seed, Path(folder), len(rows))
        if stock:
            arguments = SFTConfig(
                folder, num_train_epochs=1, per_device_train_batch_size=recipe.batch_size, learning_rate=recipe.learning_rate,
                completion_only_loss=True, bf16=False, use_cpu=True, seed=profile.seed, report_to="none", disable_tqdm=True)
        arguments.save_strategy = "no"
        trainer = (SFTTrainer if stock else tuning._trainer_class())(
            model=model, args=arguments, processing_class=tokenizer, train_dataset=Dataset.from_list(rows), peft_config=tuning._adapter(recipe))
        trainer.remove_callback(PrinterCallback)
        gradient = _gradient(trainer)
        started = time.perf_counter()
        outcome = trainer.train()
        seconds = time.perf_counter() - started
    body, head = flops_per_token(trainer.model if full else trainer.model.get_base_model(), backward=True)
    tokens, answers = sum(len(r["input_ids"]) for r in rows), sum(sum(r["completion_mask"]) for r in rows)
    return {"done": tokens, "seconds": seconds, "flops": tokens * body + answers * head, "pairs": len(rows), "steps": outcome.global_step,
            "loss": outcome.training_loss, "gradient": gradient}


def _gradient(trainer) -> np.ndarray:
    """The gradient of the loss on the first four pairs in the trainer's own micro-batches; of a long one a million entries."""
    size, pairs = trainer.args.per_device_train_batch_size, [trainer.train_dataset[i] for i in range(min(4, len(trainer.train_dataset)))]
    batches = [trainer.data_collator(pairs[i : i + size]) for i in range(0, len(pairs), size)]
    count = sum((b["labels"] != -100).sum() for b in batches)
    trainer.model.eval()  # no dropout
    for batch in batches:
        trainer.compute_loss(trainer.model, batch, num_items_in_batch=count).backward()
    gradient = torch.cat([p.grad.flatten() for p in trainer.model.parameters() if p.grad is not None])
    trainer.model.zero_grad()
    return gradient[:: math.ceil(len(gradient) / 1e6)].numpy()


def _generation(profile: Profile, name: str) -> list[dict]:
    pairs, limit = data.load_pairs(profile, profile.victims[0]).head(PROMPTS), profile.responses.max_new_tokens
    todo, alone, greedy = _questions(pairs, profile.responses.draws), _questions(pairs.head(ALONE), 1), _questions(pairs.head(GREEDY), 1)
    ways = {"batch 1": (ask, profile, name, alone, greedy, 1), "batch 8": (ask, profile, name, todo, greedy, 8), "ours": (ask, profile, name, todo, greedy)}
    found, rows = _in_turns(f"generation {name}", "tokens/s", ways), []
    ours = found.pop("ours")
    for way, stock in found.items():
        equal = sum(stock["greedy"][k] == text for k, text in ours["greedy"].items())
        workload = (f"{len(pairs)} prompts x {profile.responses.draws}{f' (stock: {len(alone)} x 1)' if way == 'batch 1' else ''} at temperature 1, "
                    f"up to {limit} new tokens: {stock['done']} and {ours['done']}, padding not counted")
        rows.append(_row(f"generation: pipeline, {way}", name, "tokens/s", stock, ours, f"{equal} of {len(greedy)} greedy texts equal", workload,
                         3.0 if way == "batch 8" else None))
    return rows


def _questions(pairs: pd.DataFrame, draws: int) -> pd.DataFrame:
    return pairs[["sample_id", "prompt"]].merge(pd.DataFrame({"draw": range(draws)}), how="cross")


def ask(profile: Profile, name: str, todo: pd.DataFrame, greedy: pd.DataFrame, batch: int | None = None) -> dict:
    """Answer `todo` at temperature 1 (columns sample_id, prompt, draw): new tokens done, seconds, operations, texts; `greedy` at 0 before that.

    batch: of transformers' pipeline, which gets the prompts in their order; None = our way.
    """
    began = time.time()
    model, tokenizer = models.load(profile, name)
    torch.manual_seed(profile.seed)  # the pipeline's random numbers
    first = _answers(profile, model, tokenizer, greedy, 0.0, batch)[0]
    started = time.perf_counter()
    texts, new = _answers(profile, model, tokenizer, todo, 1.0, batch)
    seconds = time.perf_counter() - started
    body, head = flops_per_token(model)
    read = sum(len(models.encode_prompt(tokenizer, p)) for p in todo["prompt"].unique())  # once, whatever the draws
    flops = (read + new - len(todo)) * body + new * head  # an answer's last token is not read again
    return {"done": new, "seconds": seconds, "flops": flops, "texts": texts, "greedy": first, "began": began, "ended": time.time()}


def _answers(profile: Profile, model, tokenizer, todo: pd.DataFrame, temperature: float, batch: int | None) -> tuple[dict, int]:
    """({(sample_id, draw): text}, number of new tokens with their end token). The pipeline samples from all tokens, as we do."""
    if batch is None:
        told = [*responses.generate(model, tokenizer, todo, "bench", temperature, profile)]
        return {(r.sample_id, r.draw): t for rows, texts, _ in told for r, t in zip(rows, texts)}, sum(count for _, _, count in told)
    from transformers import pipeline

    ends, pad = models.end_tokens(model, tokenizer), tokenizer.pad_token_id
    how = {"do_sample": True, "temperature": temperature, "top_k": 0} if temperature else {"do_sample": False}
    outputs = pipeline("text-generation", model=model, tokenizer=tokenizer)(
        [[{"role": "user", "content": p}] for p in todo["prompt"]], batch_size=batch, max_new_tokens=profile.responses.max_new_tokens,
        eos_token_id=ends, pad_token_id=pad, return_tensors=True, **how)
    new = [_new_tokens(o[0]["generated_token_ids"], models.encode_prompt(tokenizer, p), pad, ends) for o, p in zip(outputs, todo["prompt"])]
    texts = [t.strip() for t in tokenizer.batch_decode(new, skip_special_tokens=True)]
    return dict(zip(zip(todo["sample_id"], todo["draw"]), texts)), sum(map(len, new))


def _new_tokens(ids: list[int], prompt: list[int], pad: int, ends: list[int]) -> list[int]:
    """What follows padding and prompt, up to the first end token."""
    start = next(i for i, token in enumerate(ids) if token != pad or ids[i : i + len(prompt)] == prompt)
    assert ids[start : start + len(prompt)] == prompt
    new = ids[start + len(prompt) :]
    return new[: next((i + 1 for i, token in enumerate(new) if token in ends), len(new))]


def _similarity(profile: Profile) -> dict:
    table, model_type = _told(profile), similarity.backbone(profile)[0]
    ways = {"stock": (compare, profile, model_type, table, True), "ours": (compare, profile, model_type, table, False)}
    found = _in_turns("similarity", "pairs/s", ways, tuned=None)  # a study compares in its own process
    apart = np.abs(found["stock"]["scores"] - found["ours"]["scores"]).max()
    counts = f"{table['suspect'].nunique()} suspects x {table['reference'].nunique()} references x 2 sides"
    return _row("similarity: BERTScorer for each suspect, reference and side", Path(model_type).name, "pairs/s", found["stock"], found["ours"],
                f"scores differ by {apart:.1e} at most (allowed {SCORE:.0e})", f"{counts}, {2 * len(table)} pairs", 4.0)


def _told(profile: Profile) -> pd.DataFrame:
    """Stand-ins for answers, halves of D's outputs put together: columns suspect, reference, response, response_before, response_after."""
    outputs = [t.split() for t in data.load_pairs(profile, profile.victims[0], sample=False)["output"]]
    rng, samples = np.random.default_rng(profile.seed), pd.DataFrame({"sample": range(SAMPLES)})

    def tell(rows: pd.DataFrame) -> list[str]:
        chosen = [(outputs[i], outputs[j]) for i, j in rng.integers(len(outputs), size=(len(rows), 2))]
        return [" ".join(a[: len(a) // 2 + 1] + b[len(b) // 2 :]) for a, b in chosen]

    told = samples.merge(pd.DataFrame({"suspect": [s.name for s in profile.suspects for _ in range(profile.responses.draws)]}), how="cross")
    sides = samples.merge(pd.DataFrame({"reference": [r.name for r in profile.references]}), how="cross")
    sides = sides.assign(response_before=tell(sides), response_after=tell(sides))
    return told.assign(response=tell(told)).merge(sides, on="sample")


def compare(profile: Profile, model_type: str, table: pd.DataFrame, stock: bool) -> dict:
    """Score the answers of `table` with the references' on both sides: pairs done, seconds, operations, scores (all before, then all after)."""
    from bert_score import BERTScorer

    started = time.perf_counter()
    if stock:
        scorer, scores = BERTScorer(model_type, num_layers=profile.similarity.layer, device="cpu"), np.empty((2, len(table)))
        scorer._tokenizer.model_max_length = min(scorer._tokenizer.model_max_length, 512)  # some know none, and bert-score overflows
        for _, part in table.reset_index(drop=True).groupby(["suspect", "reference"]):
            for side, column in enumerate(["response_before", "response_after"]):
                scores[side, part.index] = scorer.score(part["response"].tolist(), part[column].tolist())[2]
    else:
        with tempfile.TemporaryDirectory() as folder, patch.dict(os.environ, DSI_STORE=folder):
            settings = profile.similarity.model_copy(update=dict.fromkeys(["hub", "package", "member", "toy", "model"]) | {"path": model_type})
            scores = similarity.raw_scores(profile.model_copy(update={"similarity": settings}), study.beside_references(table))
    seconds = time.perf_counter() - started
    scorer = BERTScorer(model_type, num_layers=profile.similarity.layer, device="cpu")
    texts = pd.unique(table[["response", "response_before", "response_after"]].to_numpy(dtype=object).ravel()).tolist()
    tokens = sum(map(len, scorer._tokenizer(texts, truncation=True, max_length=512)["input_ids"]))  # each text once
    return {"done": 2 * len(table), "seconds": seconds, "flops": tokens * flops_per_token(scorer._model)[0], "scores": scores.ravel()}


def _cores(profile: Profile, name: str) -> dict:
    pairs = data.load_pairs(profile, profile.victims[0]).head(PROMPTS)
    questions = [_questions(pairs.iloc[i], profile.responses.draws) for i in np.array_split(np.arange(len(pairs)), min(JOBS, len(pairs)))]
    jobs, rounds = [work.Job(f"job {i}", ask, (profile, name, q, q.head(0))) for i, q in enumerate(questions)], {1: [], 2: []}
    for _ in range(ROUNDS):
        for workers, found in rounds.items():
            done = _processes(jobs, {"DSI_WORKERS": str(workers)})
            seconds, new = max(d["ended"] for d in done) - min(d["began"] for d in done), sum(d["done"] for d in done)
            found.append({"rate": new / seconds, "texts": {k: t for d in done for k, t in d["texts"].items()}})
            _say(f"cores {name}, {workers}: {new / seconds:.1f} tokens/s in {seconds:.1f} s")
    one, two = (max(found, key=lambda f: f["rate"]) for found in rounds.values())
    equal = sum(two["texts"][k] == text for k, text in one["texts"].items())
    workload = f"{len(jobs)} jobs of {len(pairs) // len(jobs)} prompts x {profile.responses.draws}, with loading the model, without starting the processes"
    return _row("cores: two processes against one", name, "tokens/s", one, two, f"{equal} of {len(one['texts'])} texts equal", workload, 1.9)
