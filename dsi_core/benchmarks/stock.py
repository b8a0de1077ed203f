"""The two ways that `run` compares, stock and ours: to tune, to answer and to score."""

import math
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch

from dsi_core.benchmarks import flops
from dsi_core.method import similarity, study
from dsi_core.method.similarity import Backbone
from dsi_core.models import load, means, sft, tuning
from dsi_core.models.load import Base
from dsi_core.models.sampling import Sampling, generate
from dsi_core.models.tuning import Training
from dsi_core.runtime.environment import variables
from dsi_core.runtime.precision import PRODUCT, Dtype, Precision, product_flops
from dsi_core.settings.schema import Recipe

LONGEST = 512  # tokens of a text, for a tokenizer that knows no limit
GRADIENT_PAIRS = 4  # whose gradient is compared...
GRADIENT_ENTRIES = 1e6  # ...in so many of its entries
Key = tuple[str, int]  # of an answer: sample_id, draw


class Way(StrEnum):
    """How something is done."""

    STOCK = "stock"
    OURS = "ours"
    OURS_IN_FP32 = "ours in fp32"

    def precision(self, here: Precision) -> Precision:
        """Give this machine's precision, or fp32, which the stock way holds its weights in."""
        return here if self is Way.OURS else replace(here, dtype="fp32")


@dataclass(frozen=True)
class Local:
    """A base model as it is held here."""

    base: Base
    precision: Precision


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """Work done in some time.

    Parameters
    ----------
    done
        How much, in the unit.
    seconds
        Without the start of the process and the loading of its model.
    flop
        Floating-point operations of it that were needed; None where they are not counted.
    """

    unit: ClassVar[str]  # of what is done
    done: float
    seconds: float
    flop: float | None = None

    @property
    def per_second(self) -> float:
        """The rate, in the unit per second; higher = better."""
        return self.done / self.seconds

    @property
    def gflops(self) -> float | None:
        """10^9 needed operations per second; None where they are not counted."""
        return None if self.flop is None else self.flop / self.seconds / 1e9


@dataclass(frozen=True, kw_only=True)
class Tuning(Measurement):
    """Tokens trained on, in how many optimizer steps, with which mean loss (nats per token).

    gradient: of the loss on a few pairs before it began; of a long one a sample of its entries.
    """

    unit = "tokens"
    pairs: int
    steps: int
    loss: float
    gradient: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Answers(Measurement):
    """New tokens, padding not counted, and the texts; greedy: of the greedy questions.

    began, ended: seconds since the epoch, with loading the model.
    """

    unit = "tokens"
    texts: dict[Key, str]
    greedy: dict[Key, str]
    began: float
    ended: float


@dataclass(frozen=True, kw_only=True)
class Scores(Measurement):
    """Pairs of texts compared; scores: shape (pairs,), all before, then all after."""

    unit = "pairs"
    scores: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Products(Measurement):
    """A product of two matrices, in 10^9 operations."""

    unit = "GFLOP"


def tune(training: Training, pairs: pd.DataFrame, way: Way) -> Tuning:
    """Tune a model for one epoch on `pairs`.

    The stock way is trl's trainer at its defaults, which computes activations twice to save memory,
    in fp32; batch size and learning rates as ours.

    Parameters
    ----------
    training
        The model and its recipe; what it is tuned on elsewhere does not count here.
    pairs
        Columns prompt, output.
    """
    from datasets import Dataset
    from transformers import PrinterCallback
    from trl import SFTTrainer

    training = replace(training, precision=way.precision(training.precision))
    recipe = training.recipe_here.changed(epochs=1)
    model, tokenizer = tuning.load_for_training(training)
    rows = [
        sft.example(tokenizer, prompt, output, recipe.max_tokens)
        for prompt, output in zip(pairs["prompt"], pairs["output"], strict=True)
    ]
    how = sft.means_of(recipe, rows, model, training.precision)
    if way is not Way.STOCK:
        means.apply(how, model)
    torch.manual_seed(training.seed)  # the adapter's first weights
    with tempfile.TemporaryDirectory() as folder:
        if way is Way.STOCK:
            trainer_class, arguments = SFTTrainer, _stock_arguments(recipe, training.seed, folder)
        else:
            here = training.precision
            trainer_class = sft.trainer_class(here)
            arguments = sft.arguments(recipe, training.seed, Path(folder), len(rows), here, how)
        arguments.save_strategy = "no"
        trainer = trainer_class(
            model=model,
            args=arguments,
            processing_class=tokenizer,
            train_dataset=Dataset.from_list(rows),
            peft_config=sft.adapter(recipe),
        )
        if way is not Way.STOCK:
            sft.in_fp32(trainer.model, training.precision)
        trainer.remove_callback(PrinterCallback)
        gradient = _gradient(trainer)
        started = time.perf_counter()
        outcome = trainer.train()
        seconds = time.perf_counter() - started
    tokens = sum(len(row["input_ids"]) for row in rows)
    answer_tokens = sum(sum(row["completion_mask"]) for row in rows)
    tuned = trainer.model if recipe.method == "full" else trainer.model.get_base_model()
    tuned.set_attn_implementation("sdpa")  # what is counted is not told of several sequences
    each = flops.per_token(tuned, backward=True)
    return Tuning(
        done=tokens,
        seconds=seconds,
        flop=tokens * each.body + answer_tokens * each.head,
        pairs=len(rows),
        steps=outcome.global_step,
        loss=outcome.training_loss,
        gradient=gradient,
    )


def _stock_arguments(recipe: Recipe, seed: int, folder: str):
    from trl import SFTConfig

    # trl warms up for no step; these few would be so much larger than ours that the mean losses
    # could not be compared
    return SFTConfig(
        folder,
        num_train_epochs=1,
        per_device_train_batch_size=recipe.batch_size,
        learning_rate=recipe.learning_rate,
        warmup_steps=recipe.warmup_steps,
        lr_scheduler_type=recipe.schedule,
        completion_only_loss=True,
        bf16=False,
        use_cpu=True,
        seed=seed,
        report_to="none",
        disable_tqdm=True,
    )


def _gradient(trainer) -> np.ndarray:
    """The gradient of the loss on the first few pairs, in the trainer's own micro-batches."""
    size = trainer.args.per_device_train_batch_size
    count = min(GRADIENT_PAIRS, len(trainer.train_dataset))
    pairs = [trainer.train_dataset[i] for i in range(count)]
    batches = [trainer.data_collator(pairs[i : i + size]) for i in range(0, count, size)]
    counted = sum((batch["labels"] != -100).sum() for batch in batches)
    trainer.model.eval()  # no dropout
    for batch in batches:
        loss = trainer.compute_loss(trainer.model, batch, num_items_in_batch=counted)
        loss.backward()
    parts = [p.grad.flatten() for p in trainer.model.parameters() if p.grad is not None]
    gradient = torch.cat(parts).float()
    trainer.model.zero_grad()
    return gradient[:: math.ceil(len(gradient) / GRADIENT_ENTRIES)].numpy()


def answer(
    local: Local,
    questions: pd.DataFrame,
    greedy: pd.DataFrame,
    sampling: Sampling,
    way: Way = Way.OURS,
    batch: int | None = None,
) -> Answers:
    """Let a model answer `questions` at temperature 1 and, before the clock starts, `greedy` at 0.

    Parameters
    ----------
    questions, greedy
        Columns sample_id, prompt, draw.
    batch
        Of the stock way, transformers' pipeline, which gets the prompts in their order.
    """
    began = time.time()
    model, tokenizer = load.load(local.base, way.precision(local.precision))
    torch.manual_seed(sampling.seed)  # the pipeline's random numbers
    cold, warm = sampling.changed(temperature=0.0), sampling.changed(temperature=1.0)
    greedy_texts, _ = _answers(model, tokenizer, greedy, cold, batch)
    started = time.perf_counter()
    texts, new = _answers(model, tokenizer, questions, warm, batch)
    seconds = time.perf_counter() - started
    prompts = questions["prompt"].unique()  # read once, whatever the draws
    read = sum(len(load.encode_prompt(tokenizer, prompt)) for prompt in prompts)
    each = flops.per_token(model)
    in_body = read + new - len(questions)  # an answer's last token is not read again
    return Answers(
        done=new,
        seconds=seconds,
        flop=in_body * each.body + new * each.head,
        texts=texts,
        greedy=greedy_texts,
        began=began,
        ended=time.time(),
    )


def _answers(
    model, tokenizer, questions: pd.DataFrame, sampling: Sampling, batch: int | None
) -> tuple[dict[Key, str], int]:
    """(each question's text, number of new tokens with their end token)."""
    if batch is not None:
        return _pipeline(model, tokenizer, questions, sampling, batch)
    every = [
        answer
        for ended in generate(model, tokenizer, questions, "bench", sampling)
        for answer in ended
    ]
    texts = {(a.question.sample_id, a.question.draw): a.text for a in every}
    return texts, sum(a.tokens for a in every)


def _pipeline(
    model, tokenizer, questions: pd.DataFrame, sampling: Sampling, batch: int
) -> tuple[dict[Key, str], int]:
    """The same of transformers' pipeline, which samples from all tokens, as we do."""
    from transformers import pipeline

    ends, pad = load.end_tokens(model, tokenizer), tokenizer.pad_token_id
    how: dict[str, Any] = {"do_sample": False}
    if sampling.temperature:
        how = {"do_sample": True, "temperature": sampling.temperature, "top_k": 0}
    outputs = pipeline("text-generation", model=model, tokenizer=tokenizer)(
        [load.turns(prompt) for prompt in questions["prompt"]],
        batch_size=batch,
        max_new_tokens=sampling.max_new_tokens,
        eos_token_id=ends,
        pad_token_id=pad,
        return_tensors=True,
        **how,
    )
    new = []
    for output, prompt in zip(outputs, questions["prompt"], strict=True):
        ids = output[0]["generated_token_ids"]
        new.append(new_tokens(ids, load.encode_prompt(tokenizer, prompt), pad, ends))
    texts = [text.strip() for text in tokenizer.batch_decode(new, skip_special_tokens=True)]
    keys = zip(questions["sample_id"], questions["draw"], strict=True)
    return dict(zip(keys, texts, strict=True)), sum(map(len, new))


def new_tokens(
    ids: Sequence[int], prompt: Sequence[int], pad: int, ends: Sequence[int]
) -> list[int]:
    """Give what follows padding and prompt, up to the first end token, which is included."""
    ids, prompt = list(ids), list(prompt)
    start = next(
        i for i, token in enumerate(ids) if token != pad or ids[i : i + len(prompt)] == prompt
    )
    assert ids[start : start + len(prompt)] == prompt
    new = ids[start + len(prompt) :]
    length = next((i + 1 for i, token in enumerate(new) if token in ends), len(new))
    return new[:length]


def compare(table: pd.DataFrame, model_type: str, backbone: Backbone, way: Way) -> Scores:
    """Score answers with the references' on both sides.

    Parameters
    ----------
    table
        Columns suspect, reference, response, response_before, response_after.
    model_type
        What bert-score loads.
    backbone
        Whose layer and batch size count.
    """
    layer = backbone.settings.layer
    scorer, ours = _scorer(model_type, layer), _from_folder(backbone, model_type)
    similarity.scorer(ours)  # loaded; it is held
    started = time.perf_counter()
    scores = _one_by_one(table, scorer) if way is Way.STOCK else _at_once(table, ours)
    seconds = time.perf_counter() - started
    return Scores(
        done=2 * len(table),
        seconds=seconds,
        flop=_scoring_flop(table, model_type, layer),
        scores=scores,
    )


def _one_by_one(table: pd.DataFrame, scorer) -> np.ndarray:
    """A call of bert-score for each suspect, reference and side."""
    scores = np.empty((2, len(table)))
    for _, part in table.reset_index(drop=True).groupby(["suspect", "reference"]):
        for side, column in enumerate(["response_before", "response_after"]):
            f1 = scorer.score(part["response"].tolist(), part[column].tolist())[2]
            scores[side, part.index] = f1
    return scores.ravel()


def _at_once(table: pd.DataFrame, backbone: Backbone) -> np.ndarray:
    """Our way, with an empty store."""
    with tempfile.TemporaryDirectory() as folder, variables({"DSI_STORE": folder}):
        return similarity.raw_scores(backbone, study.beside_references(table))


def _from_folder(backbone: Backbone, folder: str) -> Backbone:
    """A backbone that is read from a folder."""
    nowhere = dict.fromkeys(["hub", "revision", "package", "member", "toy", "model"])
    return Backbone(backbone.settings.changed(**nowhere, path=folder))


def _scoring_flop(table: pd.DataFrame, model_type: str, layer: int) -> float:
    """The operations of embedding each text once."""
    scorer = _scorer(model_type, layer)
    scorer._model.pooler = None  # bert-score makes no use of it
    columns = table[["response", "response_before", "response_after"]]
    texts = pd.unique(columns.to_numpy(dtype=object).ravel()).tolist()
    ids = scorer._tokenizer(texts, truncation=True, max_length=LONGEST)["input_ids"]
    return sum(map(len, ids)) * flops.per_token(scorer._model).body


def _scorer(model_type: str, layer: int):
    from bert_score import BERTScorer

    scorer = BERTScorer(model_type, num_layers=layer, device="cpu")
    tokenizer = scorer._tokenizer  # some know no limit, and bert-score overflows
    tokenizer.model_max_length = min(tokenizer.model_max_length, LONGEST)
    return scorer


def matrix_product(dtype: Dtype) -> Products:
    """Multiply two matrices of this type again and again; the fastest time counts."""
    per_second = product_flops(dtype)
    gflop = 2 * PRODUCT**3 / 1e9
    return Products(done=gflop, seconds=gflop * 1e9 / per_second, flop=gflop * 1e9)
