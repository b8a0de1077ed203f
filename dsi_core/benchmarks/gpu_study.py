"""A study of a real size from nothing: weights of random numbers in a 7B model's shape, and words.

`python -m dsi_core.benchmarks.gpu_study PLACE` writes 13.5 GB of weights and three sets of pairs
into PLACE, and `params/seven.yaml`, which asks vLLM; then `dsi run --profile seven`. Nobody knows
these words before, so it shows that tuning, serving and judging work, not how hard telling is.
"""

import sys
from pathlib import Path

import yaml

from dsi_core.benchmarks import gpu_case
from dsi_core.runtime import disk
from dsi_core.runtime.paths import ROOT

NAME = "seven"
VICTIM, OTHER, MORE = "words", "other", "more"  # data: the victim's, a suspect's, the reference R's


def write(place: Path, family: str = "Llama-2-7B", pairs: int = 128) -> dict:
    """Write weights, tokenizer and pairs; give the profile.

    Raises
    ------
    KeyError
        For a family that `gpu_case.FAMILIES` does not have.
    """
    weights = place / "weights"
    weights.mkdir(parents=True, exist_ok=True)
    gpu_case.model_of(family).save_pretrained(weights)
    gpu_case.words(weights)
    for seed, name in enumerate((VICTIM, OTHER, MORE), start=1):
        rows = gpu_case.pairs("dolly", pairs, seed)[["prompt", "output"]]
        disk.write_text(place / f"{name}.jsonl", rows.to_json(orient="records", lines=True))
    return profile(place, family)


def profile(place: Path, family: str) -> dict:
    """Give the study: two references, an untuned suspect, an innocent, and two that know D."""
    lora = {"method": "lora", "rank": 8, "alpha": 32, "dropout": 0.05, "learning_rate": 5e-4}
    lora |= {"epochs": 6, "batch_size": 8, "max_tokens": 512, "long_prompts": "leave out"}
    columns = {"prompt": ["prompt"], "output": "output"}

    def on(data: list[str], recipe: str = "lora8") -> dict:
        return {"base": NAME, "data": data, "recipe": recipe}

    return {
        "scale": f"random weights in the shape of {family}, pairs of random words",
        "victims": [VICTIM],
        "data": {n: {"path": f"{place}/{n}.jsonl", **columns} for n in (VICTIM, OTHER, MORE)},
        "models": {NAME: {"path": f"{place}/weights"}},
        "recipes": {
            "lora8": lora,
            "qlora8": lora | {"method": "qlora", "optimizer": "paged_adamw_8bit"},
        },
        "chat_template": gpu_case.TEMPLATE,
        "references": [
            {"name": NAME, "without": on([MORE]), "with": on(["victim"])},
        ],
        "suspects": [
            {"name": "seven-untuned", "member": False, "base": NAME},
            {"name": "seven-other", "member": False, **on([OTHER])},
            {"name": "seven-mixed", "member": True, **on(["victim", OTHER])},
            {"name": "seven-qlora", "member": True, **on(["victim"], "qlora8")},
        ],
        "responses": {
            "max_new_tokens": 128,
            "batch_size": 512,
            "ask": "all",
            "max_prompt_tokens": 512,
            "server": "vllm",
        },
        "similarity": {"toy": "bert", "layer": 2, "baseline_pairs": 1000},
    }


def main(place: str) -> None:
    """Write everything, and the profile into `params/`."""
    made = write(Path(place).resolve())
    disk.write_text(ROOT / "params" / f"{NAME}.yaml", yaml.safe_dump(made, sort_keys=False))
    print(f"written; `dsi run --profile {NAME}` runs it")


if __name__ == "__main__":
    main(sys.argv[1])
