"""Round assumptions of a plan, made up so that its numbers can be computed by hand."""

import pandas as pd

from dsi_core.planning.assumptions import Assumptions
from dsi_core.planning.neighbours import TARGET
from dsi_core.settings.schema import Suspect, Trained

RULES = {
    "frozen_flops": 4,
    "full_flops": 6,
    "recompute_flops": 2,
    "forward_flops": 2,
    "nf4_bytes": 0.5,
    "nf4_traffic": 5,
    "adapter_share": 0.001,
    "encoder_share": 0.5,
    "trained_bytes": 16,
    "checkpointed_mb": 0.1,
    "kept_mb": 2,
    "logits_mb": 1,
    "cache_mb": 0.25,
    "read_mb": 0.05,
    "chars_per_token": 4,
    "template_tokens": 5,
    "untuned_answer_tokens": 30,
    "longest_of_batch": 3,
    "served_start_s": 60,
    "served_step_ms": 10,
    "served_adapter": 1.5,
    "local_tainted": 0.5,
    "endpoint_tokens_per_s": 10,
    "download_mb_per_s": 100,
    "file_bytes": 2,
    "unpacked_bytes": 4,
}
CARD = {
    "memory_gb": 100,
    "tflops": 1,
    "tb_per_s": 0.1,
    "compute_fraction": 0.5,
    "forward_fraction": 0.5,
    "bandwidth_fraction": 0.5,
    "bytes_per_parameter": 2,
    "fixed_gb": 1,
    "checkpointing": "always",
    "step_ms": 0,
    "tuning_step_ms": 0,
    "start_s": 0,
    "load_s_per_gb": 0,
    "unpacks": False,
    "micro_batch": None,
    "workers": 2,
    "device": "^round",
    "why": "by hand",
}
KNOWN = {"prompt_tokens": 10, "answer_tokens": 20, "why": "by hand"}
ROUND = Assumptions.model_validate(
    {
        "cards": {
            "round": CARD,
            "other device": {**CARD, "device": "^oval"},
            "bare": {**CARD, "checkpointing": "never", "micro_batch": 1},
        },
        "rules": {n: {"value": v, "unit": "", "why": "by hand"} for n, v in RULES.items()},
        "datasets": {
            "owner/known": {**KNOWN, "rows": 1000, "tainted": 7},
            TARGET: {**KNOWN, "rows": 100, "tainted": 5},
        },
        "models": {
            "billions": {"toy llama": 8, "toy qwen2": 8, "toy bert": 0.5, "owner/eight": 8},
            "why": "by hand",
        },
    }
)
PAIR = {"question": "q" * 40, "answer": "a" * 80}  # 10 and 20 tokens; with the template 35
LORA = Trained(base="llama", data=["victim"], recipe="lora")


def row(table: pd.DataFrame, **where):
    """The only row of a table where these columns have these values."""
    matches = table.loc[(table[list(where)] == pd.Series(where)).all(axis=1)]
    assert len(matches) == 1, f"{len(matches)} rows are {where}"
    return matches.iloc[0]


def numbers(job) -> dict:
    """What a row says of time and memory."""
    return {
        "pairs": job["pairs"],
        "tokens": job["tokens"],
        "seconds": round(3600 * job["hours"], 6),
        "memory": round(job["gpu_memory_gb"], 6),
    }


def with_suspects(profile, *suspects, **changes):
    """The profile with these suspects; members if they train on the victim, llamas by default."""
    made = [
        Suspect(**{"base": "llama", "member": "victim" in s.get("data", []), **s}) for s in suspects
    ]
    return profile.changed(suspects=made, **changes)
