"""Step 2, reference models: tune a base model on instruction data (§5.2, §6.1) with trl's SFTTrainer and peft."""

import math
import shutil
import time
from pathlib import Path

import pandas as pd

from dsi_core.data import pairs as data
from dsi_core.models import load as models
from dsi_core.runtime import jobs, store
from dsi_core.settings.profile import Profile, dataset_of
from dsi_core.settings.schema import Recipe, Trained

CPU_MICRO_BATCH = 2  # pairs at once on a CPU: less memory and padding, the same gradient


def training_pairs(profile: Profile, victim: str, trained: Trained) -> pd.DataFrame:
    """The pairs this model trains on: its datasets one after another, less what it leaves out.

    Raises `ValueError` when nothing would be left.
    """
    pairs = pd.concat(
        [data.load_pairs(profile, dataset_of(profile, victim, d)) for d in trained.data],
        ignore_index=True,
    )
    pairs = pairs[~pairs["sample_id"].isin(trained.leave_out)].reset_index(drop=True)
    if pairs.empty:
        raise ValueError(f"{trained.base} on {'+'.join(trained.data)}: every sample is left out")
    return pairs


def spec(profile: Profile, victim: str, trained: Trained) -> dict:
    """What decides the weights of a model: its base, and if tuned the pairs, the recipe and the seed."""
    base = {"base": models.base_spec(profile, trained.base)}
    if not trained.data:
        return base
    pairs = training_pairs(profile, victim, trained)
    recipe = recipe_of(profile, trained).model_dump()
    spec = {
        **base,
        "pairs": store.key(pairs["sample_id"].tolist()),
        "recipe": recipe,
        "seed": profile.seed,
    }
    return {**spec, "loss_on": "text"} if trained.loss_on == "text" else spec


def recipe_of(profile: Profile, trained: Trained) -> Recipe:
    """The model's recipe; where bitsandbytes has no NF4 kernel, LoRA with AdamW takes QLoRA's place (another key in the store)."""
    recipe = profile.recipes[trained.recipe]
    if recipe.method == "qlora" and not models.nf4_works():
        return recipe.model_copy(update={"method": "lora", "optimizer": "adamw_torch"})
    return recipe


def folder_of(profile: Profile, victim: str, trained: Trained, *, make: bool = True) -> Path:
    """The store's folder of a tuned model."""
    name = "+".join(
        [
            trained.base.split("/")[-1],
            *(dataset_of(profile, victim, d) for d in trained.data),
            trained.recipe,
        ]
    )
    return store.entry("tuned", name, spec(profile, victim, trained), make=make)


def tune(profile: Profile, victim: str, trained: Trained) -> Path | None:
    """The folder with the tuned weights (adapter, or full model) and `loss.csv`; None for an untuned model.

    Trains unless the store has it; continues from the last checkpoint of an interrupted run. Loss on the
    completion only. Source: §6.1. Differs: "all non-linear hidden layers" is read as all linear layers of the
    blocks; where bitsandbytes has no NF4 kernel, a warning says so and LoRA with AdamW takes QLoRA's place.
    """
    if not trained.data:
        return None
    folder = folder_of(profile, victim, trained)
    with store.lock(folder):
        if store.manifest(folder) is None:
            _train(profile, victim, trained, folder)
    return folder


def _train(profile: Profile, victim: str, trained: Trained, folder: Path) -> None:
    import torch
    from datasets import Dataset
    from transformers import PrinterCallback

    spent = (
        folder / "seconds.txt"
    )  # by earlier starts, up to the checkpoint that this one continues from
    started = time.time() - (float(spent.read_text()) if spent.exists() else 0)
    recipe = recipe_of(profile, trained)
    full = (
        recipe.method == "full"
    )  # its weights are what the optimizer adds small steps to: not in bf16
    model, tokenizer = models.load(
        profile, trained.base, quantized=recipe.method == "qlora", precise=full
    )
    pairs = training_pairs(profile, victim, trained)
    whole = trained.loss_on == "text"
    rows = [
        _example(tokenizer, p, o, recipe.max_tokens, whole)
        for p, o in zip(pairs["prompt"], pairs["output"])
    ]
    torch.manual_seed(profile.seed)  # the adapter's first weights
    checkpoints = folder / "checkpoints"
    progress = _progress(lambda: store.write_text(spent, f"{time.time() - started:.1f}"))
    trainer = _trainer_class()(
        model=model,
        args=_arguments(recipe, profile.seed, checkpoints, len(rows)),
        processing_class=tokenizer,
        train_dataset=Dataset.from_list(rows),
        peft_config=_adapter(recipe),
        callbacks=[progress],
    )
    trainer.remove_callback(PrinterCallback)  # the loss goes to loss.csv
    trainer.train(resume_from_checkpoint=_last_complete(checkpoints))
    log = pd.DataFrame([r for r in trainer.state.log_history if "loss" in r])[
        ["step", "epoch", "loss", "learning_rate"]
    ]
    store.write_text(folder / "loss.csv", log.to_csv(index=False))
    trainer.model.save_pretrained(folder)
    tokens = sum(len(r["input_ids"]) for r in rows) * recipe.epochs
    last = log[log["epoch"] > recipe.epochs - 1]["loss"].mean()
    store.finish(
        folder,
        pairs=len(pairs),
        tokens=tokens,
        method=recipe.method,
        final_loss=round(float(last), 4),
        pairs_at_token_limit=sum(len(r["input_ids"]) == recipe.max_tokens for r in rows),
        device=models.device_name(),
        seconds=round(time.time() - started, 1),
    )
    spent.unlink(missing_ok=True)
    shutil.rmtree(
        checkpoints, ignore_errors=True
    )  # only now: a crash before this line continues instead of starting over


def _example(tokenizer, prompt: str, output: str, limit: int, whole: bool = False) -> dict:
    """Token ids of one pair and the mask of its completion (of all of it if `whole`). A pair over `limit` tokens is cut at the end."""
    before, after = models.encode_prompt(tokenizer, prompt), models.encode_answer(tokenizer, output)
    if len(before) >= limit:
        raise ValueError(
            f"prompt of {len(before)} tokens leaves no room for an answer under max_tokens {limit}: {prompt[:60]!r}"
        )
    mask = [int(whole)] * len(before) + [1] * len(after)
    return {"input_ids": (before + after)[:limit], "completion_mask": mask[:limit]}


def _arguments(recipe: Recipe, seed: int, checkpoints: Path, pairs: int):
    import torch
    from trl import SFTConfig

    gpu = torch.cuda.is_available()
    # At most four checkpoints, at ends of epochs: the order within an epoch is drawn anew after a resume
    save_steps = math.ceil(pairs / recipe.batch_size) * math.ceil(recipe.epochs / 4)
    micro = recipe.batch_size if gpu else math.gcd(recipe.batch_size, CPU_MICRO_BATCH)
    return SFTConfig(
        output_dir=str(checkpoints),
        num_train_epochs=recipe.epochs,
        per_device_train_batch_size=micro,
        gradient_accumulation_steps=recipe.batch_size // micro,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type=recipe.schedule,
        warmup_steps=recipe.warmup_steps,
        optim=recipe.optimizer,
        seed=seed,
        max_length=recipe.max_tokens,
        completion_only_loss=True,
        train_sampling_strategy="group_by_length",
        use_cpu=not gpu,
        bf16=gpu,
        activation_checkpointing=gpu,
        dataloader_pin_memory=gpu,
        logging_steps=1,
        save_strategy="steps",
        save_steps=save_steps,
        save_total_limit=2,
        report_to="none",
        disable_tqdm=True,
    )


def _trainer_class():
    """Trl's SFTTrainer; on a CPU with the output layer applied to completion positions only.

    trl itself does that on GPUs and scores every position elsewhere, twice as slow for a large vocabulary.
    The loss is the same: negative log-likelihood summed over completion tokens, over their number.
    """
    import torch
    from trl import SFTTrainer

    if torch.cuda.is_available():
        return SFTTrainer

    class CompletionTrainer(SFTTrainer):
        def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
            labels = inputs.pop("labels")[:, 1:]
            core = model.get_base_model() if hasattr(model, "get_base_model") else model
            hidden = core.base_model(**inputs, use_cache=False).last_hidden_state[:, :-1]
            logits = core.get_output_embeddings()(hidden[labels != -100]).float()
            if cap := getattr(
                core.config.get_text_config(), "final_logit_softcapping", None
            ):  # Gemma 2
                logits = cap * torch.tanh(logits / cap)
            total = torch.nn.functional.cross_entropy(
                logits, labels[labels != -100], reduction="sum"
            )
            loss = total / (
                num_items_in_batch if num_items_in_batch is not None else (labels != -100).sum()
            )
            return (loss, {"loss": loss}) if return_outputs else loss

    return CompletionTrainer


def _adapter(recipe: Recipe):
    from peft import LoraConfig

    if recipe.method == "full":
        return None
    return LoraConfig(
        r=recipe.rank,
        lora_alpha=recipe.alpha,
        lora_dropout=recipe.dropout,
        bias="none",
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )


def _last_complete(checkpoints: Path) -> str | None:
    """The newest checkpoint that was written to its end (its trainer_state.json comes last), if any."""
    complete = [p.parent for p in checkpoints.glob("checkpoint-*/trainer_state.json")]
    return str(max(complete, key=lambda p: int(p.name.split("-")[1]))) if complete else None


def _progress(saved):
    """Report every step, and call `saved` after each checkpoint."""
    from transformers import TrainerCallback

    class Progress(TrainerCallback):
        def on_save(self, args, state, control, **kwargs):
            saved()

        def on_step_end(self, args, state, control, **kwargs):
            jobs.report(
                0.8 * state.global_step / state.max_steps
            )  # asking follows and takes the rest

    return Progress()
