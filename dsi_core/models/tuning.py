"""Step 2, reference models: tune a base model on instruction data (§5.2, §6.1) with trl, peft."""

import shutil
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from dsi_core.data.pairs import Dataset, dataset, load_pairs
from dsi_core.models import load, means, sft
from dsi_core.models.load import Base
from dsi_core.models.means import Means
from dsi_core.runtime import disk, jobs, locks, released, store
from dsi_core.runtime.environment import give_back_memory, quiet
from dsi_core.runtime.precision import Precision, detect, device_name
from dsi_core.settings.profile import Profile
from dsi_core.settings.schema import Left, Recipe, Trained
from dsi_core.settings.words import dataset_of


@dataclass(frozen=True)
class Training:
    """How a model came to be: all that decides its weights.

    Parameters
    ----------
    base
        The model it starts from.
    precision
        In which its weights are held and multiplied.
    seed
        Of the adapter's first weights and the order of pairs.
    datasets
        What it is tuned on, one after another; empty = the base as it is.
    recipe, recipe_name
        How it is tuned, and what the profile calls that; None and "" when untuned.
    leave_out
        Samples (by id) of its datasets that it does not train on (§6.4.3-6.4.4).
    loss_on
        "answer", or "text" = prompt and answer, as a plain language model.
    """

    base: Base
    precision: Precision
    seed: int
    datasets: tuple[Dataset, ...] = ()
    recipe: Recipe | None = None
    recipe_name: str = ""
    leave_out: tuple[str, ...] = ()
    loss_on: Literal["answer", "text"] = "answer"

    @property
    def name(self) -> str:
        """Base, datasets and recipe in one word, for folders."""
        parts = [self.base.name.split("/")[-1], *(d.name for d in self.datasets)]
        return "+".join([*parts, self.recipe_name or "untuned"])

    @property
    def quantized(self) -> bool:
        """Whether its base is held in NF4: QLoRA, where bitsandbytes has the kernels."""
        asked = self.recipe is not None and self.recipe.method == "qlora"
        return asked and self.precision.nf4

    @property
    def recipe_here(self) -> Recipe:
        """The recipe; where there is no NF4, LoRA with AdamW takes QLoRA's place."""
        assert self.recipe is not None, "an untuned model has no recipe"
        if self.recipe.method == "qlora" and not self.quantized:
            return self.recipe.changed(method="lora", optimizer="adamw_torch")
        return self.recipe

    @property
    def passes(self) -> int:
        """Its rough cost for a progress bar, in answers: three a pair and epoch."""
        return 3 * self.recipe.epochs * len(training_pairs(self)) if self.recipe else 0

    @cached_property
    def spec(self) -> dict:
        """What decides its weights, for the store's keys."""
        spec: dict[str, Any] = {"base": self.base.spec}
        if self.base.source.endpoint is None:
            spec["precision"] = self.precision.label(quantized=self.quantized)
        if self.recipe is None:
            return spec
        spec |= {
            "pairs": store.key(training_pairs(self)["sample_id"].tolist()),
            "recipe": self.recipe.model_dump(exclude_defaults=True),
            "seed": self.seed,
        }
        return spec if self.loss_on == "answer" else {**spec, "loss_on": self.loss_on}


def training(profile: Profile, victim: str, trained: Trained) -> Training:
    """Find what a model of a profile is made of; `victim` and `iid` depend on the accusation."""
    return Training(
        base=load.base(profile, trained.base),
        precision=detect(profile.precision),
        seed=profile.seed,
        datasets=tuple(dataset(profile, dataset_of(profile.data, victim, d)) for d in trained.data),
        recipe=profile.recipes[trained.recipe] if trained.recipe else None,
        recipe_name=trained.recipe or "",
        leave_out=trained.leave_out,
        loss_on=trained.loss_on,
    )


def training_pairs(training: Training) -> pd.DataFrame:
    """Give the pairs a model trains on: its datasets one after another, less what it leaves out.

    Raises `ValueError` when nothing would be left.
    """
    pairs = pd.concat([load_pairs(d) for d in training.datasets], ignore_index=True)
    pairs = pairs[~pairs["sample_id"].isin(training.leave_out)].reset_index(drop=True)
    if pairs.empty:
        names = "+".join(d.name for d in training.datasets)
        raise ValueError(f"{training.base.name} on {names}: every sample is left out")
    return pairs


def entry(training: Training, *, make: bool = True) -> Path:
    """Give the store's folder of a tuned model."""
    return store.entry("tuned", training.name, training.spec, make=make)


def record(training: Training) -> Path:
    """Give the folder with manifest and `loss.csv` of a model that was tuned, here or elsewhere.

    The store's own, or else the released one, which has no weights.
    """
    return released.entry("tuned", training.name, training.spec, make=False)


def tune(training: Training) -> Path | None:
    """Give the folder with the tuned weights and `loss.csv`; None for an untuned model.

    Trains unless the store has it; continues from the last checkpoint of an interrupted run. Loss
    on the completion only, unless `loss_on` says otherwise.

    References
    ----------
    §6.1. Differs: "all non-linear hidden layers" is read as all linear layers of the blocks; where
    bitsandbytes has no NF4 kernel, a warning says so and LoRA with AdamW takes QLoRA's place.
    """
    if training.recipe is None:
        return None
    folder = entry(training)
    with locks.held(folder):
        if store.manifest(folder) is None:
            _train(training, folder)
            give_back_memory()  # an answer needs blocks of other sizes
    return folder


def tune_through(trainings: Sequence[Training]) -> None:
    """Tune one model, and keep it after as many epochs as each of `trainings` has.

    At a constant learning rate a short training is the beginning of a longer one, so each gets the
    weights that it would have by itself, for the cost of the longest.

    Raises
    ------
    ValueError
        Where they differ in more than epochs, or the learning rate falls.
    """
    recipes = [t.recipe.changed(epochs=1) if t.recipe else None for t in trainings]
    alike = {store.key(replace(t, recipe=r).spec) for t, r in zip(trainings, recipes, strict=True)}
    names = ", ".join(t.name for t in trainings)
    if len(alike) > 1:
        raise ValueError(f"{names}: need trainings that differ in epochs alone")
    if not all(r and r.schedule.startswith("constant") for r in recipes):
        raise ValueError(f"{names}: need a recipe with `schedule: constant` (or with warm-up)")
    # In one order, so that no two runs wait for each other
    found = {entry(t): t for t in sorted(trainings, key=_epochs, reverse=True)}
    with ExitStack() as held:
        for folder in found:
            held.enter_context(locks.held(folder))
        missing = [t for folder, t in found.items() if store.manifest(folder) is None]
        if missing:
            longest, *shorter = missing
            _train(longest, entry(longest), shorter)
            give_back_memory()


def _epochs(training: Training) -> int:
    return training.recipe_here.epochs


def load_tuned(training: Training) -> tuple:
    """Tune a model if needed and load it: (model, tokenizer), as `load.load`."""
    tuned = tune(training)
    return load.load(training.base, training.precision, tuned=tuned, quantized=training.quantized)


def _train(training: Training, folder: Path, shorter: Sequence[Training] = ()) -> None:
    """Train, and keep the model on the way as each of `shorter` (`tune_through`) would be."""
    import torch
    from datasets import Dataset as Rows
    from transformers import PrinterCallback

    quiet()  # what was imported just now, where the hub's library was before it
    spent = (
        folder / "seconds.txt"
    )  # by earlier starts, up to the checkpoint this one continues from
    started = time.time() - (float(spent.read_text()) if spent.exists() else 0)
    recipe, pairs = training.recipe_here, training_pairs(training)
    model, tokenizer = load_for_training(training)
    parameters = model.num_parameters()
    rows = sft.examples(tokenizer, pairs, recipe, training.loss_on == "text")
    _tell_cut(training, sft.cut(tokenizer, rows))
    how = sft.means_of(recipe, rows, model, training.precision)
    means.apply(how, model)
    torch.manual_seed(training.seed)  # the adapter's first weights
    checkpoints = folder / "checkpoints"
    progress = _progress(lambda: disk.write_text(spent, f"{time.time() - started:.1f}"))
    trainer = sft.trainer_class(training.precision)(
        model=model,
        args=sft.arguments(recipe, training.seed, checkpoints, len(rows), training.precision, how),
        processing_class=tokenizer,
        train_dataset=Rows.from_list(rows),
        peft_config=sft.adapter(recipe),
        callbacks=[progress],
    )
    sft.in_fp32(trainer.model, training.precision)
    trainer.remove_callback(PrinterCallback)  # the loss goes to loss.csv
    trainer.create_model_card = lambda **_: None  # a checkpoint is not for the hub

    def keep(training: Training) -> None:
        _keep(trainer, training, rows, pairs, parameters, time.time() - started, how)

    trainer.add_callback(_on_the_way(shorter, keep))
    trainer.train(resume_from_checkpoint=_last_complete(checkpoints))
    keep(training)
    spent.unlink(missing_ok=True)
    shutil.rmtree(checkpoints, ignore_errors=True)  # only now: a crash before it continues


def check_whole(trainings: Iterable[Training]) -> None:
    """Refuse outputs that would be cut although the settings allow none, before a model is tuned.

    This takes the base's own tokenizer, which is fetched if a dataset's `drop` names too-long;
    models that are tuned already are not looked at.
    """
    found = {entry(t, make=False): t for t in trainings if _whole(t)}
    for training in found.values():
        if store.manifest(record(training)) is not None:
            continue
        tokenizer, pairs = load.tokenizer_of(training.base), training_pairs(training)
        whole_text = training.loss_on == "text"
        rows = sft.examples(tokenizer, pairs, training.recipe_here, whole_text)
        _tell_cut(training, sft.cut(tokenizer, rows))


def _whole(training: Training) -> list[str]:
    """The datasets of which no output shall be cut, where a recipe leaves no rows out itself."""
    if training.recipe is None or training.recipe.long_prompts != "refuse":
        return []
    return [d.name for d in training.datasets if Left.TOO_LONG in d.source.drop]


def _tell_cut(training: Training, cut: int) -> None:
    """Warn of outputs that are cut, or refuse them where their settings say that none shall be."""
    if not cut:
        return
    recipe, names = training.recipe_here, [d.name for d in training.datasets]
    said = (
        f"{'+'.join(names)}: {cut:,} of {len(training_pairs(training)):,} outputs are cut at "
        f"max_tokens ({recipe.max_tokens}) of the recipe {training.recipe_name!r}"
    )
    helps = "; max_output_chars of the dataset leaves such rows out"
    if dropping := _whole(training):
        raise ValueError(
            f"{said}, and data.{dropping[0]}.drop: [too-long] leaves rows out in an audit "
            f"alone{helps} in a study, too, or a higher max_tokens keeps them whole"
        )
    warnings.warn(f"{said}: the rest of each is not learnt{helps}", stacklevel=2)


def _keep(
    trainer,
    training: Training,
    rows: list[dict],
    pairs: pd.DataFrame,
    parameters: int,
    seconds: float,
    how: Means,
) -> None:
    """Write weights, losses and manifest of a model as it is now."""
    folder, recipe = entry(training), training.recipe_here
    steps = pd.DataFrame([r for r in trainer.state.log_history if "loss" in r])
    log = steps[["step", "epoch", "loss", "learning_rate"]]
    disk.write_text(folder / "loss.csv", log.to_csv(index=False))
    trainer.model.save_pretrained(folder, state_dict=_asked(trainer.model, training))
    lengths = [len(row["input_ids"]) for row in rows]
    last_epoch = log["epoch"] > recipe.epochs - 1
    store.finish(
        folder,
        pairs=len(rows),
        pairs_left_out=len(pairs) - len(rows),
        tokens=sum(lengths) * recipe.epochs,
        method=recipe.method,
        parameters=parameters,
        final_loss=round(float(log.loc[last_epoch, "loss"].mean()), 4),
        pairs_at_token_limit=sum(n == recipe.max_tokens for n in lengths),
        precision=training.precision.label(quantized=training.quantized),
        means=how.label,
        device=device_name(),
        seconds=round(seconds, 1),
    )


def _asked(model, training: Training) -> dict | None:
    """All weights in the type in which they will be asked; None: an adapter's as they were tuned.

    Loading would round them to the same numbers, of twice the size. In main memory: a GPU holds the
    optimizer's beside them.
    """
    import torch

    if training.recipe_here.method != "full":
        return None
    dtype = getattr(torch, load.dtype_of(training.base, training.precision))
    by_place: dict[int, torch.Tensor] = {}  # tied weights stay tied
    return {
        name: by_place.setdefault(weight.data_ptr(), weight.to("cpu", dtype))
        for name, weight in model.state_dict().items()
    }


def load_for_training(training: Training) -> tuple:
    """Load a base model to be tuned: (model, tokenizer).

    Full tuning holds its weights in fp32: they are what the optimizer adds small steps to.

    Raises
    ------
    ValueError
        For a base whose own settings name a dtype or a quantization.
    """
    source = training.base.source
    if source.dtype or source.load_in_4bit or source.load_in_8bit:
        raise ValueError(
            f"model {training.base.name!r}: dtype, load_in_4bit and load_in_8bit are of models "
            "that are asked as they are; how one is tuned is said by its recipe and the profile's "
            "precision"
        )
    full = training.recipe_here.method == "full"
    precision = replace(training.precision, dtype="fp32") if full else training.precision
    return load.load(training.base, precision, quantized=training.quantized)


def _last_complete(checkpoints: Path) -> str | None:
    """The newest checkpoint written to its end (its trainer_state.json comes last), if any."""
    complete = [p.parent for p in checkpoints.glob("checkpoint-*/trainer_state.json")]
    newest = max(complete, key=lambda p: int(p.name.split("-")[1]), default=None)
    return str(newest) if newest else None


def _on_the_way(shorter: Sequence[Training], keep: Callable[[Training], None]):
    """Call `keep` with each of the shorter trainings at the end of its last epoch."""
    from transformers import TrainerCallback

    class OnTheWay(TrainerCallback):
        def on_epoch_end(self, args, state, control, **kwargs):
            for training in shorter:
                if _epochs(training) == round(state.epoch):
                    keep(training)

    return OnTheWay()


def _progress(saved):
    """Report every step, and call `saved` after each checkpoint."""
    from transformers import TrainerCallback

    class Progress(TrainerCallback):
        def on_save(self, args, state, control, **kwargs):
            saved()

        def on_step_end(self, args, state, control, **kwargs):
            jobs.report(0.8 * state.global_step / state.max_steps)  # asking takes the rest

    return Progress()
