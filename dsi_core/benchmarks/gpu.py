"""What a GPU tunes, answers and compares a second, with our own code at the paper's sizes.

The weights are random numbers in the real architectures: rates and memory do not depend on them,
and no hub is asked. Words are tokens, and pairs are as long as params/plan.yaml says of a dataset.
What does not fit the card is a row that says so. `python -m dsi_core.benchmarks.gpu PLACE OUT
CASES.json`: a list of fields of `Case`; PLACE takes files, OUT gets rows.jsonl.
"""

import gc
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dsi_core.models import load, means, sampling, tuning
from dsi_core.models.means import Means
from dsi_core.models.sampling import Sampling
from dsi_core.runtime import precision
from dsi_core.settings.schema import Recipe

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
LENGTHS = {"dolly": (107, 90), "alpaca": (22, 66), "slimorca": (230, 200)}  # as in params/plan.yaml
SPREAD = 0.8  # of the logarithms of lengths
KERNELS = {  # parts of their names
    "attention": ("flash", "fmha", "attention"),
    "products": ("gemm", "nvjet", "cutlass", "cublas", "gemv"),
    "unpacking": ("dequantize",),
}


def words(folder: Path) -> Any:
    """Make a tokenizer whose tokens are words, with the files of `folder`."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    known = {word: i for i, word in enumerate(["<pad>", "<s>", "</s>", "<unk>", "answer"])}
    known |= {f"w{i}": i for i in range(len(known), WORDS)}
    tokens = Tokenizer(models.WordLevel(known, unk_token="<unk>"))
    tokens.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made = PreTrainedTokenizerFast(
        tokenizer_object=tokens,
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        padding_side="left",
    )
    made.chat_template = TEMPLATE
    made.save_pretrained(folder)
    return made


def model_of(family: str) -> Any:
    """Make a model of random weights, in bf16 on this device."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.for_model(
        **FAMILIES[family],
        tie_word_embeddings=False,
        dtype=torch.bfloat16,
        eos_token_id=2,
        pad_token_id=0,
    )
    with torch.device(precision.detect().device):
        return AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)


def pairs(like: str, count: int, seed: int = 0) -> pd.DataFrame:
    """Draw pairs (sample_id, prompt, output) of words, as long as those of a dataset on the hub."""
    prompt_tokens, answer_tokens = LENGTHS[like]
    rng = np.random.default_rng(seed)

    def texts(mean: float) -> list[str]:
        lengths = rng.lognormal(np.log(mean) - SPREAD**2 / 2, SPREAD, count)
        return [" ".join(f"w{i}" for i in rng.integers(5, WORDS, max(3, int(n)))) for n in lengths]

    return pd.DataFrame(
        {
            "sample_id": [f"s{i}" for i in range(count)],
            "prompt": texts(prompt_tokens),
            "output": texts(answer_tokens),
        }
    )


@dataclass(frozen=True)
class Case:
    """What is measured; `unpacked`: NF4 weights held as bf16."""

    name: str
    what: str  # tune, profile, answer, serve or compare
    family: str
    like: str = "dolly"
    method: str = "qlora"
    optimizer: str = "paged_adamw_8bit"
    flat: bool = False
    liger: bool = False
    checkpointing: bool = False
    unpacked: bool = False
    merged: bool = False
    attention: str = "sdpa"
    compiled: bool = False
    profiled: bool = False
    new: int = 128
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
        return Means(self.flat, self.attention == means.VARLEN, self.checkpointing)

    @property
    def said(self) -> str:
        """What is switched on, in words."""
        named = {
            self.method: True,
            "unpacked": self.unpacked,
            "merged": self.merged,
            self.optimizer: self.what in ("tune", "profile"),
            "flat": self.flat,
            "checkpointing": self.checkpointing,
            "liger": self.liger,
            self.attention: True,
            "compiled": self.compiled,
            f"batch {self.batch}": True,
        }
        return ", ".join(name for name, on in named.items() if on)


def _loaded(case: Case, folder: Path) -> tuple:
    """The model and tokenizer of a case; of one family there is one model in memory."""
    packed = case.method == "qlora" and not case.unpacked
    key = f"{case.family}{' nf4' if packed else ''}"
    if key not in _made:
        _made.clear()
        gc.collect()
        _made[key] = model_of(case.family)
        if packed:
            _pack(_made[key])
    model = _made[key]
    model.set_attn_implementation("sdpa" if case.attention == means.VARLEN else case.attention)
    means.apply(case.means, model)
    model.activation_checkpointing_disable()
    return model, words(folder)


def _pack(model: Any) -> None:
    """Put the linear layers but the output layer into NF4, as bitsandbytes does when it loads."""
    import torch
    from bitsandbytes.nn import Linear4bit, Params4bit

    head = model.get_output_embeddings()
    for name, layer in list(model.named_modules()):
        if isinstance(layer, torch.nn.Linear) and layer is not head:
            packed = Linear4bit(
                layer.in_features,
                layer.out_features,
                bias=layer.bias is not None,
                compute_dtype=layer.weight.dtype,
                device="meta",
            )
            place = layer.weight.device
            packed.weight = Params4bit(layer.weight.data, False, quant_type="nf4").to(place)
            packed.bias = layer.bias
            model.set_submodule(name, packed)
    model.is_loaded_in_4bit = True


_made: dict[str, Any] = {}  # the model at hand


class Clock:
    """Counts the tokens of each batch, and the seconds from one step's end to the next's."""

    def __init__(self, collate: Any) -> None:
        self.collate = collate
        self.real: list[int] = []
        self.all: list[int] = []
        self.ends: list[float] = []

    def __call__(self, rows: list[dict]) -> dict:
        """Put rows together, and count."""
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
    args.use_liger_kernel = case.liger
    trainer = tuning.trainer_class(here)(
        model=model,
        args=args,
        processing_class=tokenizer,
        train_dataset=Rows.from_list(rows),
        peft_config=tuning.adapter(case.recipe),
    )
    tuning._in_fp32(trainer.model, here)
    trainer.remove_callback(PrinterCallback)
    clock = trainer.data_collator = Clock(trainer.data_collator)

    class Ends(TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs):
            _wait()
            clock.ends.append(time.perf_counter())

    trainer.add_callback(Ends())
    for layer in trainer.model.get_base_model().model.layers:
        layer._compiled_call_impl = None
        if case.compiled:
            layer.compile(dynamic=True)
    return trainer, clock


def tune(case: Case, folder: Path, out: Path) -> dict:
    """Tune for some steps; those count that take less than twice the median, as none compiles."""
    trainer, clock = _trainer(case, folder, out)
    trainer.train()
    table = pd.DataFrame(
        {"real": clock.real[: len(clock.ends)], "all": clock.all[: len(clock.ends)]}
    )
    table["seconds"] = np.diff(clock.ends, prepend=np.nan)
    table = table.iloc[case.skipped :]
    usual = table[table["seconds"] < 2 * table["seconds"].median()].mean()
    losses = [r["loss"] for r in trainer.state.log_history if "loss" in r]
    trainer.model.unload()
    return {
        "tokens_per_s": usual["real"] / usual["seconds"],
        "padded_share": 1 - usual["real"] / usual["all"],
        "seconds": usual["seconds"],
        "note": f"{usual['real']:.0f} tokens a step, loss {losses[0]:.3f} to {losses[-1]:.3f}, "
        f"slowest step {table['seconds'].max():.2f} s",
    }


def profile(case: Case, folder: Path, out: Path) -> dict:
    """Tune, and tell what the GPU itself is busy with in a step, whatever the host takes."""
    from transformers import TrainerCallback

    trainer, clock = _trainer(case, folder, out)
    kernels = Kernels()

    class Watch(TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs):
            _wait()
            if state.global_step == case.skipped:
                kernels.begin()
            if state.global_step == case.steps - 2:
                kernels.end()

    trainer.add_callback(Watch())
    trainer.train()
    trainer.model.unload()
    steps = case.steps - 2 - case.skipped
    return kernels.row(sum(clock.real[case.skipped : case.steps - 2]), steps)


class Kernels:
    """Sums up what a GPU's kernels took."""

    def __init__(self) -> None:
        import torch

        self.profiler = torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA])

    def begin(self) -> None:
        """From now on."""
        self.profiler.start()

    def end(self) -> None:
        """Until now."""
        _wait()
        self.profiler.stop()

    def row(self, tokens: int, steps: int) -> dict:
        """Give a step's milliseconds by kind, and the tokens a second if nothing else waits."""
        sums = dict.fromkeys((*KERNELS, "other"), 0.0)
        for event in self.profiler.key_averages():
            name = event.key.lower()
            kinds = [k for k, parts in KERNELS.items() if any(part in name for part in parts)]
            sums[kinds[0] if kinds else "other"] += event.self_device_time_total / 1000 / steps
        busy = sum(sums.values()) / 1000
        return {
            **{f"{kind}_ms": ms for kind, ms in sums.items()},
            "seconds": busy,
            "tokens_per_s": tokens / steps / busy if busy else np.nan,
            "note": f"{tokens / steps:.0f} tokens a step; kernels alone",
        }


def answer(case: Case, folder: Path, out: Path) -> dict:
    """Let our own loop draw two batches of answers of 128 new tokens."""
    model, tokenizer = _loaded(case, folder)
    if case.method in ("lora", "qlora") and case.what == "answer-tuned":
        from peft import get_peft_model

        model = get_peft_model(model, tuning.adapter(case.recipe))
        for name, weights in model.named_parameters():
            if "lora_" in name:
                weights.data = weights.data.to(model.dtype)
        model = model.merge_and_unload() if case.merged else model
    model.eval()
    usual = Sampling(0, 1.0, 1, case.new, case.batch, max_prompt_tokens=512)
    questions = pairs(case.like, 2 * case.batch + 32).assign(draw=0)
    for _ in sampling.generate(model, tokenizer, questions.tail(32), "warm", usual):
        pass
    _wait()
    kernels = Kernels() if case.profiled else None
    asked = questions.head(case.batch if kernels else 2 * case.batch)
    started = time.perf_counter()
    if kernels:
        kernels.begin()
    answers = sampling.generate(model, tokenizer, asked, "m", usual)
    ended = [answer for part in answers for answer in part]
    if kernels:
        kernels.end()
    _wait()
    seconds = time.perf_counter() - started
    if hasattr(model, "unload"):
        model.unload()
    if kernels:
        return kernels.row(sum(a.tokens for a in ended), usual.max_new_tokens)
    return {
        "tokens_per_s": sum(a.tokens for a in ended) / seconds,
        "seconds": seconds / 2 / case.new,
    }


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
    from transformers import RobertaConfig, RobertaModel

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
    words(place)
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


def measure(case: Case, place: Path) -> dict:
    """Measure one case; what does not fit the card, or fails, is told in its row's note."""
    import torch

    started = time.perf_counter()
    gpu = torch.cuda.is_available()
    if gpu:
        torch.cuda.reset_peak_memory_stats()
    try:
        found = WAYS[case.what](case, place / case.family, place / "trainer")
    except torch.cuda.OutOfMemoryError:
        found = {"note": "does not fit"}
    except Exception as error:
        found = {"note": f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"}
    names = {"case": case.name, "family": case.family, "what": case.what, "with": case.said}
    gigabytes = torch.cuda.max_memory_allocated() / 1e9 if gpu else np.nan
    took = {"took_s": time.perf_counter() - started}
    gc.collect()
    if gpu:
        torch.cuda.empty_cache()
    return {**names, "memory_gb": gigabytes, **took, **found}


if __name__ == "__main__":
    place, out = Path(sys.argv[1]), Path(sys.argv[2])
    place.mkdir(parents=True, exist_ok=True)
    for fields in json.loads(Path(sys.argv[3]).read_text()):
        row = measure(Case(**fields), place)
        with open(out / "rows.jsonl", "a") as file:
            file.write(json.dumps(row) + "\n")
        shown = {k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()}
        print(json.dumps(shown), flush=True)
