"""What a GPU tunes, answers and compares a second, with our own code at the paper's sizes.

The weights are random numbers in the real architectures: rates and memory do not depend on them,
and no hub is asked. Words are tokens, and pairs are as long as params/plan.yaml says of a dataset.
Each case is a process of its own; what does not fit the card is a row that says so.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dsi_core.models import load, means, sampling, tuning
from dsi_core.models.load import Base
from dsi_core.models.means import Means
from dsi_core.models.sampling import Sampling
from dsi_core.planning import assumptions
from dsi_core.runtime import precision
from dsi_core.settings.schema import Model, Recipe

LLAMA: dict[str, Any] = {"model_type": "llama", "vocab_size": 32000, "hidden_size": 4096}
FAMILIES: dict[str, dict[str, Any]] = {
    "Llama-2-7B": {
        **LLAMA,
        "intermediate_size": 11008,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 32,
        "rms_norm_eps": 1e-5,
        "max_position_embeddings": 4096,
    },
    "Qwen2-7B": {
        "model_type": "qwen2",
        "vocab_size": 152064,
        "hidden_size": 3584,
        "intermediate_size": 18944,
        "num_hidden_layers": 28,
        "num_attention_heads": 28,
        "num_key_value_heads": 4,
        "max_position_embeddings": 4096,
    },
    "toy": {
        **LLAMA,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 1024,
    },
}
WORDS = 2000  # of the vocabulary are ever said
TEMPLATE = (
    "{% for m in messages %}{{ m['content'] + ' ' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'answer ' }}{% endif %}"
)
SPREAD = 0.8  # of the logarithms of lengths
COLUMNS = [
    "case",
    "family",
    "what",
    "with",
    "tokens_per_s",
    "padded_share",
    "seconds",
    "memory_gb",
    "note",
]


def make(family: str, folder: Path) -> None:
    """Write a model of random weights and a tokenizer of words into `folder`, unless it is there."""
    if (folder / "done").exists():
        return
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

    words = {word: i for i, word in enumerate(["<pad>", "<s>", "</s>", "<unk>", "answer"])}
    words |= {f"w{i}": i for i in range(len(words), WORDS)}
    tokens = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokens.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(
        tokenizer_object=tokens, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    ).save_pretrained(folder)
    config = AutoConfig.for_model(
        **FAMILIES[family],
        tie_word_embeddings=False,
        dtype=torch.bfloat16,
        eos_token_id=2,
        pad_token_id=0,
    )
    with torch.device(precision.detect().device):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    model.save_pretrained(folder, max_shard_size="4GB")
    (folder / "done").touch()


def pairs(like: str, count: int, seed: int = 0) -> pd.DataFrame:
    """Draw pairs (sample_id, prompt, output) of words, as long as those of a dataset on the hub."""
    known = assumptions.read().datasets[like]
    rng = np.random.default_rng(seed)

    def texts(mean: float) -> list[str]:
        lengths = rng.lognormal(np.log(mean) - SPREAD**2 / 2, SPREAD, count)
        return [" ".join(f"w{i}" for i in rng.integers(5, WORDS, max(3, int(n)))) for n in lengths]

    return pd.DataFrame(
        {
            "sample_id": [f"s{i}" for i in range(count)],
            "prompt": texts(known.prompt_tokens),
            "output": texts(known.answer_tokens),
        }
    )


@dataclass(frozen=True)
class Case:
    """What is measured; `unpacked`: NF4 weights held as bf16."""

    name: str
    what: str  # tune, profile, answer, serve or compare
    family: str
    like: str = "databricks/databricks-dolly-15k"
    method: str = "qlora"
    optimizer: str = "paged_adamw_8bit"
    flat: bool = False
    liger: bool = False
    checkpointing: bool = False
    unpacked: bool = False
    merged: bool = False
    attention: str = "sdpa"
    compiled: bool = False
    batch: int = 8
    steps: int = 14
    skipped: int = 4  # steps, of those

    @property
    def recipe(self) -> Recipe:
        """The paper's (§6.1)."""
        ranks = {} if self.method == "full" else {"rank": 8, "alpha": 32, "dropout": 0.05}
        return Recipe(
            method=self.method,
            optimizer=self.optimizer,
            learning_rate=1e-4,
            batch_size=self.batch,
            epochs=1,
            max_tokens=512,
            long_prompts="leave out",
            **ranks,
        )

    @property
    def means(self) -> Means:
        """As switched."""
        return Means(flat=self.flat, liger=self.liger, checkpointing=self.checkpointing)

    @property
    def said(self) -> str:
        """What is switched on, in words."""
        named = {
            self.method: True,
            "unpacked": self.unpacked,
            "merged": self.merged,
            self.optimizer: self.what in ("tune", "profile"),
            self.means.label: self.means.label != "plain",
            self.attention: True,
            "compiled": self.compiled,
            f"batch {self.batch}": True,
        }
        return ", ".join(name for name, on in named.items() if on)


def _loaded(case: Case, folder: Path) -> tuple:
    make(case.family, folder)
    base = Base(case.family, Model(path=str(folder), chat_template=TEMPLATE), TEMPLATE)
    here = precision.detect()
    means.unpacks = lambda *_: case.unpacked
    quantized = case.method == "qlora" and here.nf4
    if case.method == "full":
        here = replace(here, dtype="fp32")
    model, tokenizer = load.load(base, here, quantized=quantized)
    if case.attention == "varlen":
        _offer_varlen()
    model.set_attn_implementation(case.attention)
    return model, tokenizer


def _offer_varlen() -> None:
    """Let transformers use torch's attention of rows of different lengths (its FlashAttention)."""
    import inspect

    from torch.nn.attention.varlen import varlen_attn
    from transformers import AttentionInterface, AttentionMaskInterface

    known = inspect.signature(varlen_attn).parameters
    past = {"window_size": (-1, 0)} if "window_size" in known else {"is_causal": True}

    def attend(module, query, key, value, mask, scaling=None, **told):
        repeated = query.shape[1] // key.shape[1]
        key, value = (x.repeat_interleave(repeated, 1) if repeated > 1 else x for x in (key, value))
        rows = [x[0].transpose(0, 1).contiguous() for x in (query, key, value)]
        ends, longest = told["cu_seq_lens_q"], told["max_length_q"]
        out = varlen_attn(*rows, ends, ends, longest, longest, scale=scaling, **past)
        return out[None], None

    AttentionInterface.register("varlen", attend)
    AttentionMaskInterface.register("varlen", lambda *_, **__: None)


class Clock:
    """Counts the tokens of each batch, and the seconds from one step's end to the next's."""

    def __init__(self, collate: Any) -> None:
        self.collate, self.real, self.all = collate, [], []
        self.ends: list[float] = []

    def __call__(self, rows: list[dict]) -> dict:
        batch = self.collate(rows)
        self.real.append(sum(len(row["input_ids"]) for row in rows))
        self.all.append(batch["input_ids"].numel())
        return batch


def _trainer(case: Case, folder: Path, out: Path) -> tuple:
    import torch
    from datasets import Dataset as Rows
    from transformers import PrinterCallback, TrainerCallback

    model, tokenizer = _loaded(case, folder)
    rows = tuning.examples(tokenizer, pairs(case.like, case.batch * case.steps), case.recipe)
    torch.manual_seed(0)
    here = precision.detect()
    args = tuning.arguments(case.recipe, 0, out, len(rows), here, case.means)
    args.save_strategy = "no"
    args.max_steps = case.steps
    trainer = tuning.trainer_class(here)(
        model=model,
        args=args,
        processing_class=tokenizer,
        train_dataset=Rows.from_list(rows),
        peft_config=tuning.adapter(case.recipe),
    )
    for tuned in trainer.model.parameters():
        if tuned.requires_grad:
            tuned.data = tuned.data.float()
    trainer.remove_callback(PrinterCallback)
    clock = trainer.data_collator = Clock(trainer.data_collator)

    class Ends(TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs):
            _wait()
            clock.ends.append(time.perf_counter())

    trainer.add_callback(Ends())
    if case.compiled:
        for layer in trainer.model.get_base_model().model.layers:
            layer.compile(dynamic=True)
    return trainer, clock


def tune(case: Case, folder: Path, out: Path) -> dict:
    """Tune for a few steps and give the rate of all but the first."""
    trainer, clock = _trainer(case, folder, out)
    trainer.train()
    first, last = case.skipped - 1, len(clock.ends) - 1
    real, every = (sum(counts[case.skipped : last + 1]) for counts in (clock.real, clock.all))
    seconds = clock.ends[last] - clock.ends[first]
    losses = [r["loss"] for r in trainer.state.log_history if "loss" in r]
    return {
        "tokens_per_s": real / seconds,
        "padded_share": 1 - real / every,
        "seconds": seconds / (last - first),
        "note": f"{real / (last - first):.0f} tokens a step, loss {losses[0]:.3f} to {losses[-1]:.3f}",
    }


def profile(case: Case, folder: Path, out: Path) -> dict:
    """Tune, and tell what the GPU's time of a step goes for (ms)."""
    import torch
    from transformers import TrainerCallback

    trainer, clock = _trainer(case, folder, out)
    watched = torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA])

    class Watch(TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs):
            if state.global_step == case.skipped:
                watched.start()
            if state.global_step == case.steps - 2:
                watched.stop()

    trainer.add_callback(Watch())
    trainer.train()
    steps = case.steps - 2 - case.skipped
    sums = {"products": 0.0, "attention": 0.0, "other": 0.0}
    for event in watched.key_averages():
        name = event.key.lower()
        kind = "other"
        if any(part in name for part in ("gemm", "nvjet", "cutlass", "sm90_xmma", "cublas")):
            kind = "products"
        if any(part in name for part in ("flash", "fmha", "attention")):
            kind = "attention"
        sums[kind] += event.self_device_time_total / 1000 / steps
    real = sum(clock.real[case.skipped : case.steps - 2])
    note = ", ".join(f"{kind} {ms:.1f} ms" for kind, ms in sums.items())
    return {"seconds": sum(sums.values()) / 1000, "note": f"{note}; {real / steps:.0f} tokens"}


def answer(case: Case, folder: Path, out: Path) -> dict:
    """Let our own loop draw two batches of answers of 128 new tokens."""
    model, tokenizer = _loaded(case, folder)
    if case.method in ("lora", "qlora") and case.what == "answer-tuned":
        from peft import get_peft_model

        model = get_peft_model(model, tuning.adapter(case.recipe))
        model = model.merge_and_unload() if case.merged else model
    model.eval()
    usual = Sampling(0, 1.0, 1, 128, case.batch, max_prompt_tokens=512)
    questions = pairs(case.like, 2 * case.batch + 32).assign(draw=0)
    for _ in sampling.generate(model, tokenizer, questions.tail(32), "warm", usual):
        pass
    _wait()
    started = time.perf_counter()
    ended = [
        answer
        for part in sampling.generate(model, tokenizer, questions.head(2 * case.batch), "m", usual)
        for answer in part
    ]
    _wait()
    seconds = time.perf_counter() - started
    return {"tokens_per_s": sum(a.tokens for a in ended) / seconds, "seconds": seconds / 256}


def serve(case: Case, folder: Path, out: Path) -> dict:
    """Let transformers' continuous batching draw the answers."""
    from transformers import GenerationConfig

    model, tokenizer = _loaded(case, folder)
    prompts = [load.encode_prompt(tokenizer, text) for text in pairs(case.like, case.batch).prompt]
    settings = GenerationConfig(max_new_tokens=128, do_sample=True, eos_token_id=2, pad_token_id=0)
    rates = []
    for some in (prompts[:32], prompts):
        started = time.perf_counter()
        ended = model.generate_batch(inputs=some, generation_config=settings)
        _wait()
        seconds = time.perf_counter() - started
        rates.append(sum(len(o.generated_tokens) for o in ended.values()) / seconds)
    return {"tokens_per_s": rates[-1], "seconds": seconds}


def compare(case: Case, folder: Path, out: Path) -> dict:
    """Let bert-score compare pairs of texts with a model of RoBERTa-large's shape."""
    import torch
    from bert_score import BERTScorer
    from transformers import AutoTokenizer, RobertaConfig, RobertaModel

    make("toy", folder.parent / "toy")
    place = folder.parent / "roberta"
    small = not torch.cuda.is_available()
    config = RobertaConfig(
        vocab_size=50265,
        hidden_size=64 if small else 1024,
        intermediate_size=128 if small else 4096,
        num_hidden_layers=2 if small else 24,
        num_attention_heads=4 if small else 16,
        max_position_embeddings=514,
        type_vocab_size=1,
        pad_token_id=1,
    )
    RobertaModel(config).save_pretrained(place)
    AutoTokenizer.from_pretrained(folder.parent / "toy").save_pretrained(place)
    device = precision.detect().device
    scorer = BERTScorer(model_type=str(place), num_layers=2 if small else 17, device=device)
    scorer._tokenizer.model_max_length = 512
    texts = pairs(case.like, 64 * case.batch)
    scorer.score(texts.prompt[:64].tolist(), texts.output[:64].tolist(), batch_size=64)
    started = time.perf_counter()
    scorer.score(texts.prompt.tolist(), texts.output.tolist(), batch_size=case.batch)
    seconds = time.perf_counter() - started
    tokens = sum(len(text.split()) for column in ("prompt", "output") for text in texts[column])
    return {"tokens_per_s": tokens / seconds, "seconds": seconds, "note": f"{len(texts)} pairs"}


def _wait() -> None:
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()


WAYS = {
    "tune": tune,
    "profile": profile,
    "answer": answer,
    "answer-tuned": answer,
    "serve": serve,
    "compare": compare,
}


def measure(case: Case, folder: Path, out: Path) -> dict:
    """Measure one case in this process."""
    import torch

    try:
        found = WAYS[case.what](case, folder, out)
    except torch.cuda.OutOfMemoryError:
        found = {"note": "does not fit"}
    except Exception as error:
        found = {"note": f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"}
    gigabytes = torch.cuda.max_memory_allocated() / 1e9 if torch.cuda.is_available() else np.nan
    names = {"case": case.name, "family": case.family, "what": case.what, "with": case.said}
    return {**names, "memory_gb": gigabytes, **found}


def run(cases: list[Case], place: Path, out: Path, limits: dict[str, float]) -> Iterator[dict]:
    """Measure each case in a process of its own, of so many seconds at most; yield its row."""
    for case in cases:
        spec = json.dumps([case.__dict__, str(place / case.family), str(out / "trainer")])
        command = [sys.executable, "-m", "dsi_core.benchmarks.gpu", spec]
        started = time.time()
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=limits.get(case.name, 90)
            )
            lines = [x for x in done.stdout.splitlines() if x.startswith("{")]
            row = json.loads(lines[-1]) if lines else {"note": done.stderr[-1500:]}
        except subprocess.TimeoutExpired:
            row = {"note": "took too long"}
        whole = {"case": case.name, "process_s": round(time.time() - started, 1)}
        yield {**whole, "family": case.family, "what": case.what, "with": case.said, **row}


if __name__ == "__main__":
    fields, folder, out = json.loads(sys.argv[1])
    print(json.dumps(measure(Case(**fields), Path(folder), Path(out))), flush=True)
