"""What a GPU tunes a second: some steps of our own trainer, by the clock or by its kernels."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dsi_core.benchmarks.gpu_case import Case, loaded, pairs, without_adapter
from dsi_core.benchmarks.kernels import Kernels, wait
from dsi_core.models import sft
from dsi_core.runtime import precision


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

    model, tokenizer = loaded(case, folder)
    rows = sft.examples(tokenizer, pairs(case.like, case.batch * case.steps), case.recipe)
    torch.manual_seed(0)
    here = precision.detect()
    args = sft.arguments(case.recipe, 0, out, len(rows), here, case.means)
    args.save_strategy = "no"
    args.max_steps = case.steps
    args.use_liger_kernel = case.liger
    trainer = sft.trainer_class(here)(
        model=model,
        args=args,
        processing_class=tokenizer,
        train_dataset=Rows.from_list(rows),
        peft_config=sft.adapter(case.recipe),
    )
    sft.in_fp32(trainer.model, here)
    trainer.remove_callback(PrinterCallback)
    clock = trainer.data_collator = Clock(trainer.data_collator)

    class Ends(TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs):
            wait()
            clock.ends.append(time.perf_counter())

    trainer.add_callback(Ends())
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
    without_adapter(trainer.model)
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
            wait()
            if state.global_step == case.skipped:
                kernels.begin()
            if state.global_step == case.steps - 2:
                kernels.end()

    trainer.add_callback(Watch())
    trainer.train()
    without_adapter(trainer.model)
    steps = case.steps - 2 - case.skipped
    return kernels.row(sum(clock.real[case.skipped : case.steps - 2]), steps)
