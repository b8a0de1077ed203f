"""The two ways that `bench` compares, stock and ours, to tune, to ask and to score; and their floating-point operations."""

import math
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from dsi_core.data import pairs as data
from dsi_core.method import similarity, study
from dsi_core.models import load as models
from dsi_core.models import responses, tuning
from dsi_core.runtime import jobs
from dsi_core.settings.profile import Profile
from dsi_core.settings.schema import Trained


def tune(profile: Profile, trained: Trained, count: int, stock: bool) -> dict:
    """Tune a model for one epoch on the first `count` pairs: tokens done, seconds, operations, mean loss, and the gradient of some pairs before it began.

    stock: trl's trainer at its defaults, which computes activations twice to save memory; batch size, learning rates and fp32 as ours.
    """
    from datasets import Dataset
    from transformers import PrinterCallback
    from trl import SFTConfig, SFTTrainer

    recipe = tuning.recipe_of(profile, trained).model_copy(update={"epochs": 1})
    full = recipe.method == "full"
    model, tokenizer = models.load(
        profile, trained.base, quantized=recipe.method == "qlora", precise=full
    )
    pairs = data.load_pairs(profile, profile.victims[0]).head(count)
    rows = [
        tuning._example(tokenizer, p, o, recipe.max_tokens)
        for p, o in zip(pairs["prompt"], pairs["output"])
    ]
    torch.manual_seed(profile.seed)  # the adapter's first weights
    with tempfile.TemporaryDirectory() as folder:
        arguments = tuning._arguments(recipe, profile.seed, Path(folder), len(rows))
        if stock:
            # trl warms up for no step; these few would be so much larger than ours that the mean losses could not be compared
            arguments = SFTConfig(
                folder,
                num_train_epochs=1,
                per_device_train_batch_size=recipe.batch_size,
                learning_rate=recipe.learning_rate,
                warmup_steps=recipe.warmup_steps,
                lr_scheduler_type=recipe.schedule,
                completion_only_loss=True,
                bf16=False,
                use_cpu=True,
                seed=profile.seed,
                report_to="none",
                disable_tqdm=True,
            )
        arguments.save_strategy = "no"
        trainer = (SFTTrainer if stock else tuning._trainer_class())(
            model=model,
            args=arguments,
            processing_class=tokenizer,
            train_dataset=Dataset.from_list(rows),
            peft_config=tuning._adapter(recipe),
        )
        trainer.remove_callback(PrinterCallback)
        gradient = _gradient(trainer)
        started = time.perf_counter()
        outcome = trainer.train()
        seconds = time.perf_counter() - started
    body, head = flops_per_token(
        trainer.model if full else trainer.model.get_base_model(), backward=True
    )
    tokens, answers = (
        sum(len(r["input_ids"]) for r in rows),
        sum(sum(r["completion_mask"]) for r in rows),
    )
    return {
        "done": tokens,
        "seconds": seconds,
        "flops": tokens * body + answers * head,
        "pairs": len(rows),
        "steps": outcome.global_step,
        "loss": outcome.training_loss,
        "gradient": gradient,
    }


def _gradient(trainer) -> np.ndarray:
    """The gradient of the loss on the first four pairs in the trainer's own micro-batches; of a long one a million entries."""
    size, pairs = (
        trainer.args.per_device_train_batch_size,
        [trainer.train_dataset[i] for i in range(min(4, len(trainer.train_dataset)))],
    )
    batches = [trainer.data_collator(pairs[i : i + size]) for i in range(0, len(pairs), size)]
    count = sum((b["labels"] != -100).sum() for b in batches)
    trainer.model.eval()  # no dropout
    for batch in batches:
        trainer.compute_loss(trainer.model, batch, num_items_in_batch=count).backward()
    gradient = torch.cat(
        [p.grad.flatten() for p in trainer.model.parameters() if p.grad is not None]
    )
    trainer.model.zero_grad()
    return gradient[:: math.ceil(len(gradient) / 1e6)].numpy()


def ask(
    profile: Profile, name: str, todo: pd.DataFrame, greedy: pd.DataFrame, batch: int | None = None
) -> dict:
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
    read = sum(
        len(models.encode_prompt(tokenizer, p)) for p in todo["prompt"].unique()
    )  # once, whatever the draws
    flops = (read + new - len(todo)) * body + new * head  # an answer's last token is not read again
    return {
        "done": new,
        "seconds": seconds,
        "flops": flops,
        "texts": texts,
        "greedy": first,
        "began": began,
        "ended": time.time(),
    }


def _answers(
    profile: Profile, model, tokenizer, todo: pd.DataFrame, temperature: float, batch: int | None
) -> tuple[dict, int]:
    """({(sample_id, draw): text}, number of new tokens with their end token). The pipeline samples from all tokens, as we do."""
    if batch is None:
        told = [*responses.generate(model, tokenizer, todo, "bench", temperature, profile)]
        return {
            (r.sample_id, r.draw): t for rows, texts, _ in told for r, t in zip(rows, texts)
        }, sum(count for _, _, count in told)
    from transformers import pipeline

    ends, pad = models.end_tokens(model, tokenizer), tokenizer.pad_token_id
    how = (
        {"do_sample": True, "temperature": temperature, "top_k": 0}
        if temperature
        else {"do_sample": False}
    )
    outputs = pipeline("text-generation", model=model, tokenizer=tokenizer)(
        [[{"role": "user", "content": p}] for p in todo["prompt"]],
        batch_size=batch,
        max_new_tokens=profile.responses.max_new_tokens,
        eos_token_id=ends,
        pad_token_id=pad,
        return_tensors=True,
        **how,
    )
    new = [
        _new_tokens(o[0]["generated_token_ids"], models.encode_prompt(tokenizer, p), pad, ends)
        for o, p in zip(outputs, todo["prompt"])
    ]
    texts = [t.strip() for t in tokenizer.batch_decode(new, skip_special_tokens=True)]
    return dict(zip(zip(todo["sample_id"], todo["draw"]), texts)), sum(map(len, new))


def _new_tokens(ids: list[int], prompt: list[int], pad: int, ends: list[int]) -> list[int]:
    """What follows padding and prompt, up to the first end token."""
    start = next(
        i for i, token in enumerate(ids) if token != pad or ids[i : i + len(prompt)] == prompt
    )
    assert ids[start : start + len(prompt)] == prompt
    new = ids[start + len(prompt) :]
    return new[: next((i + 1 for i, token in enumerate(new) if token in ends), len(new))]


def compare(profile: Profile, model_type: str, table: pd.DataFrame, stock: bool) -> dict:
    """Score the answers of `table` with the references' on both sides: pairs done, seconds, operations, scores (all before, then all after)."""
    from bert_score import BERTScorer

    started = time.perf_counter()
    if stock:
        scorer, scores = (
            BERTScorer(model_type, num_layers=profile.similarity.layer, device="cpu"),
            np.empty((2, len(table))),
        )
        scorer._tokenizer.model_max_length = min(
            scorer._tokenizer.model_max_length, 512
        )  # some know none, and bert-score overflows
        for _, part in table.reset_index(drop=True).groupby(["suspect", "reference"]):
            for side, column in enumerate(["response_before", "response_after"]):
                scores[side, part.index] = scorer.score(
                    part["response"].tolist(), part[column].tolist()
                )[2]
    else:
        with tempfile.TemporaryDirectory() as folder, jobs.variables({"DSI_STORE": folder}):
            settings = profile.similarity.model_copy(
                update=dict.fromkeys(["hub", "package", "member", "toy", "model"])
                | {"path": model_type}
            )
            scores = similarity.raw_scores(
                profile.model_copy(update={"similarity": settings}), study.beside_references(table)
            )
    seconds = time.perf_counter() - started
    scorer = BERTScorer(model_type, num_layers=profile.similarity.layer, device="cpu")
    texts = pd.unique(
        table[["response", "response_before", "response_after"]].to_numpy(dtype=object).ravel()
    ).tolist()
    tokens = sum(
        map(len, scorer._tokenizer(texts, truncation=True, max_length=512)["input_ids"])
    )  # each text once
    return {
        "done": 2 * len(table),
        "seconds": seconds,
        "flops": tokens * flops_per_token(scorer._model)[0],
        "scores": scores.ravel(),
    }


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
    layers = {
        m: 2 * m.in_features * m.out_features * (1 + (1 + m.weight.requires_grad) * backward)
        for name, m in model.named_modules()
        if isinstance(m, torch.nn.Linear) and not name.startswith("pooler")
    }  # BERTScore uses no pooler
    output = layers.pop(head, 0)
    return sum(layers.values()), output
