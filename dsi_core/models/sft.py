"""What trl's trainer is given: each pair's tokens, its settings, the adapter, and our loss."""

import math
import warnings
from pathlib import Path

import pandas as pd

from dsi_core.models import load, means
from dsi_core.models.means import Means
from dsi_core.runtime.precision import Precision
from dsi_core.settings.schema import Recipe


def examples(tokenizer, pairs: pd.DataFrame, recipe: Recipe, whole: bool = False) -> list[dict]:
    """Give `example` of each pair (columns prompt, output).

    Pairs whose prompt fills `max_tokens` are left out if the recipe says so, and a warning counts
    them: the released code trains on them, with no token that the loss counts. Raises `ValueError`
    for such a prompt if the recipe does not say so, and if no pair is left.
    """
    limit, rows = recipe.max_tokens, []
    for prompt, output in zip(pairs["prompt"], pairs["output"], strict=True):
        may_skip = recipe.long_prompts == "leave out"
        if may_skip and len(load.encode_prompt(tokenizer, prompt)) >= limit:
            continue
        rows.append(example(tokenizer, prompt, output, limit, whole))
    if not rows:
        raise ValueError(
            f"the prompts of all {len(pairs)} pairs fill max_tokens ({limit}): give the recipe more"
        )
    if len(rows) < len(pairs):
        warnings.warn(
            f"{len(pairs) - len(rows)} of {len(pairs)} prompts fill max_tokens ({limit}): "
            "nothing is learnt from their pairs",
            stacklevel=2,
        )
    return rows


def example(tokenizer, prompt: str, output: str, limit: int, whole: bool = False) -> dict:
    """Token ids of one pair, cut at `limit`, and the mask of what the loss counts."""
    before, after = load.encode_prompt(tokenizer, prompt), load.encode_answer(tokenizer, output)
    if len(before) >= limit:
        raise ValueError(
            f"prompt of {len(before)} tokens leaves no room for an answer "
            f"under max_tokens {limit} (or long_prompts: leave out): {prompt[:60]!r}"
        )
    mask = [int(whole)] * len(before) + [1] * len(after)
    return {"input_ids": (before + after)[:limit], "completion_mask": mask[:limit]}


def cut(tokenizer, rows: list[dict]) -> int:
    """Count the `examples` that are cut: such a one lacks the end token."""
    return sum(row["input_ids"][-1] != tokenizer.eos_token_id for row in rows)


def means_of(recipe: Recipe, rows: list[dict], model, precision: Precision) -> Means:
    """Choose how a loaded model is tuned on `rows` (`examples`) by a recipe."""
    return means.of_tuning(
        precision,
        model,
        recipe.batch_size,
        max(len(row["input_ids"]) for row in rows),
        recipe.epochs * math.ceil(len(rows) / recipe.batch_size),
        all_weights=recipe.rank is None,
    )


def arguments(
    recipe: Recipe,
    seed: int,
    checkpoints: Path,
    pairs: int,
    precision: Precision,
    how: Means = means.PLAIN,
):
    """Give trl's settings for a recipe; `pairs` = how many it trains on.

    In bf16 only products are in bf16: what is tuned, adapter or all weights, stays fp32 (autocast).
    """
    from trl import SFTConfig

    gpu = precision.device == "cuda"
    micro = recipe.batch_size // how.parts
    # At most four checkpoints, at ends of epochs: the order within an epoch is drawn anew on resume
    save_steps = math.ceil(pairs / recipe.batch_size) * math.ceil(recipe.epochs / 4)
    return SFTConfig(
        output_dir=str(checkpoints),
        num_train_epochs=recipe.epochs,
        per_device_train_batch_size=micro,
        gradient_accumulation_steps=recipe.batch_size // micro,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type=recipe.schedule,
        warmup_steps=recipe.warmup_steps,
        optim=means.FUSED.get(recipe.optimizer, recipe.optimizer),
        seed=seed,
        max_length=None,  # `example` has cut them
        padding_free=how.flat,
        completion_only_loss=True,
        train_sampling_strategy="group_by_length",
        use_cpu=not gpu,
        bf16=precision.dtype == "bf16",
        activation_checkpointing=how.checkpointing,
        dataloader_pin_memory=gpu,
        logging_steps=1,
        save_strategy="steps",
        save_steps=save_steps,
        save_total_limit=2,
        report_to="none",
        disable_tqdm=True,
    )


def trainer_class(precision: Precision):
    """Give trl's SFTTrainer; on a CPU with the output layer at completion positions only.

    trl itself does that on GPUs and scores every position elsewhere, twice as slow for a large
    vocabulary. The loss is the same: negative log-likelihood summed over completion tokens, over
    their number.
    """
    import torch
    from trl import SFTTrainer

    from dsi_core.models.loss import nll

    if precision.device == "cuda":
        return SFTTrainer

    class CompletionTrainer(SFTTrainer):
        @torch.autocast("cpu", torch.bfloat16, enabled=precision.dtype == "bf16")
        def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
            labels = inputs.pop("labels")[:, 1:]
            core = model.get_base_model() if hasattr(model, "get_base_model") else model
            hidden = core.base_model(**inputs, use_cache=False).last_hidden_state[:, :-1]
            logits = core.get_output_embeddings()(hidden[labels != -100])
            text_config = core.config.get_text_config()
            if cap := getattr(text_config, "final_logit_softcapping", None):  # Gemma 2
                logits = cap * torch.tanh(logits.float() / cap)
            total = nll(logits, labels[labels != -100])
            counted = (labels != -100).sum() if num_items_in_batch is None else num_items_in_batch
            loss = total / counted
            return (loss, {"loss": loss}) if return_outputs else loss

    return CompletionTrainer


def adapter(recipe: Recipe):
    """Give peft's settings for a recipe; None for full tuning."""
    if recipe.rank is None or recipe.alpha is None:
        return None
    from peft import LoraConfig

    return LoraConfig(
        r=recipe.rank,
        lora_alpha=recipe.alpha,
        lora_dropout=recipe.dropout,
        bias="none",
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )


def in_fp32(model, precision: Precision) -> None:
    """Hold what is tuned in fp32: trl puts the adapter of an NF4 model into bf16.

    If its products are in bf16 by autocast, peft does not copy their inputs to fp32.
    """
    for weights in model.parameters():
        if weights.requires_grad:
            weights.data = weights.data.float()
    if precision.dtype == "bf16":
        for layer in model.modules():
            if hasattr(layer, "cast_input_dtype_enabled"):
                layer.cast_input_dtype_enabled = False
