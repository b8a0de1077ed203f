"""What a GPU tunes, answers and compares a second, with our own code at the paper's sizes.

What does not fit the card is a row that says so. `python -m dsi_core.benchmarks.gpu PLACE OUT
CASES.json`: a list of fields of `Case`; PLACE takes files, OUT gets rows.jsonl. Cases of vLLM want
a process of their own, in an environment that has it: it takes what memory the card has.
"""

import gc
import json
import sys
import time
from pathlib import Path

import numpy as np

from dsi_core.benchmarks import gpu_vllm
from dsi_core.benchmarks.gpu_case import Case, loaded, pairs, without_adapter, words
from dsi_core.benchmarks.gpu_tuning import profile, tune
from dsi_core.benchmarks.kernels import Kernels, wait
from dsi_core.models import load, sampling, sft
from dsi_core.models.sampling import Sampling
from dsi_core.runtime import precision
from dsi_core.runtime.environment import one_line


def answer(case: Case, folder: Path, out: Path) -> dict:
    """Let our own loop draw two batches of answers, or more where a card has less room.

    seconds: of a mean pass of the model, prompts read and tokens written.
    """
    model, tokenizer = loaded(case, folder)
    if case.method in ("lora", "qlora") and case.what == "answer-tuned":
        from peft import get_peft_model

        model = get_peft_model(model, sft.adapter(case.recipe))
        for name, weights in model.named_parameters():
            if "lora_" in name:
                weights.data = weights.data.to(model.dtype)
        model = model.merge_and_unload() if case.merged else model
    model.eval()
    usual = Sampling(0, 1.0, 1, case.new, case.batch, max_prompt_tokens=512)
    questions = pairs(case.like, 2 * case.batch + 32).assign(draw=0)
    for _ in sampling.generate(model, tokenizer, questions.tail(32), "warm", usual):
        pass
    wait()
    kernels = Kernels() if case.profiled else None
    passes: list[int] = []
    counting = model.register_forward_hook(lambda *_: passes.append(1))
    asked = questions.head(case.batch if kernels else 2 * case.batch)
    started = time.perf_counter()
    if kernels:
        kernels.begin()
    answers = sampling.generate(model, tokenizer, asked, "m", usual)
    ended = [answer for part in answers for answer in part]
    if kernels:
        kernels.end()
    wait()
    seconds = time.perf_counter() - started
    counting.remove()
    without_adapter(model)
    if kernels:
        return kernels.row(sum(a.tokens for a in ended), usual.max_new_tokens)
    return {
        "tokens_per_s": sum(a.tokens for a in ended) / seconds,
        "seconds": seconds / len(passes),
    }


def serve(case: Case, folder: Path, out: Path) -> dict:
    """Let transformers' continuous batching draw the answers."""
    from transformers import GenerationConfig

    model, tokenizer = loaded(case, folder)
    prompts = [load.encode_prompt(tokenizer, text) for text in pairs(case.like, case.batch).prompt]
    settings = GenerationConfig(max_new_tokens=128, do_sample=True, eos_token_id=2, pad_token_id=0)
    for some in (prompts[:32], prompts):  # the first round warms up
        started = time.perf_counter()
        ended = model.generate_batch(inputs=some, generation_config=settings)
        wait()
        seconds = time.perf_counter() - started
    tokens = sum(len(o.generated_tokens) for o in ended.values())
    return {"tokens_per_s": tokens / seconds, "seconds": seconds}


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


WAYS = {
    "tune": tune,
    "profile": profile,
    "answer": answer,
    "answer-tuned": answer,
    "serve": serve,
    "vllm": gpu_vllm.answer,
    "vllm-tuned": gpu_vllm.answer,
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
        found = {"note": f"{type(error).__name__}: {one_line(error, 300)}"}
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
