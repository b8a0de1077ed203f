"""What vLLM answers a second on a GPU: shapes, prompts and new tokens as in `gpu.answer`."""

import time
from functools import lru_cache
from pathlib import Path
from typing import Any

from dsi_core.benchmarks.gpu_case import Case, config_of, model_of, pairs, words
from dsi_core.models import load, sft

LONGEST = 1024  # tokens of a prompt and its answer
SHARE = 0.85  # of the card's memory


def answer(case: Case, folder: Path, out: Path) -> dict:
    """Send two batches of prompts at once, each with a seed, to an engine in this process.

    "vllm-tuned": all are answered by an adapter. An answer's length is fixed, its words are not
    made: tokens go in and out. The clock leaves out the engine's start, which the note tells.
    """
    from vllm import SamplingParams
    from vllm.lora.request import LoRARequest

    tokenizer, began = words(folder), time.perf_counter()
    config = config_of(case.family)
    config.architectures = [type(model_of(case.family, "meta")).__name__]
    config.save_pretrained(folder)
    adapter = _adapter(case, folder / "adapter")
    engine = _engine(folder, case.batch, case.recipe.rank or 8)
    ready = time.perf_counter() - began
    lora = LoRARequest("adapter", 1, str(adapter)) if case.what == "vllm-tuned" else None
    texts = pairs(case.like, 2 * case.batch)["prompt"]
    prompts = [load.encode_prompt(tokenizer, t)[: LONGEST - case.new] for t in texts]

    def asked(count: int) -> int:
        given = [{"prompt_token_ids": ids} for ids in prompts[:count]]
        settings = [
            SamplingParams(
                temperature=1.0, max_tokens=case.new, ignore_eos=True, seed=i, detokenize=False
            )
            for i in range(len(given))
        ]
        ended = engine.generate(given, settings, lora_request=lora, use_tqdm=False)
        return sum(len(request.outputs[0].token_ids) for request in ended)

    asked(32)
    started = time.perf_counter()
    tokens = asked(len(prompts))
    seconds = time.perf_counter() - started
    note = f"{len(prompts)} requests in {seconds:.1f} s; ready after {ready:.0f} s"
    return {"tokens_per_s": tokens / seconds, "note": note}


@lru_cache(maxsize=1)
def _engine(folder: Path, under_way: int, rank: int) -> Any:
    from vllm import LLM

    return LLM(
        model=str(folder),
        load_format="dummy",
        dtype="bfloat16",
        max_model_len=LONGEST,
        gpu_memory_utilization=SHARE,
        max_num_seqs=under_way,
        enable_lora=True,
        max_lora_rank=max(rank, 8),  # the least that it makes room for
        enable_prefix_caching=False,  # a study's prompts differ
        generation_config="vllm",
        seed=0,
    )


def _adapter(case: Case, folder: Path) -> Path:
    """Write an adapter of random weights, of the recipe's rank on all linear layers."""
    import torch
    from peft import get_peft_model, get_peft_model_state_dict
    from safetensors.torch import save_file

    tuned = get_peft_model(model_of(case.family, "meta"), sft.adapter(case.recipe))
    shapes = {name: w.shape for name, w in get_peft_model_state_dict(tuned).items()}
    folder.mkdir(parents=True, exist_ok=True)
    weights = {n: (0.01 * torch.randn(shape)).bfloat16() for n, shape in shapes.items()}
    save_file(weights, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    tuned.peft_config["default"].save_pretrained(folder)
    return folder
