"""The CPU trainer computes without padding what trl's own computes with it.

Two runs at once leave one set of answers.
"""

import copy

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from dsi_core.models import means, responses, sft, tuning
from dsi_core.models.sampling import Sampling
from dsi_core.runtime import jobs, precision, store
from dsi_core.settings.schema import Recipe, Trained


@pytest.mark.parametrize("family, method", [("llama", "full"), ("gemma", "lora"), ("glm", "full")])
def test_losses_and_weights_are_those_of_trl(smoke, toy, tmp_path, family, method):
    from datasets import Dataset
    from transformers import PrinterCallback
    from trl import SFTTrainer

    ranks = {} if method == "full" else {"rank": 4, "alpha": 8}
    # SGD: Adam would blow rounding in a gradient near 0 up to a whole step
    recipe = Recipe(
        method=method,
        learning_rate=0.5 if method == "full" else 4,
        optimizer="sgd",
        epochs=3,
        batch_size=4,
        **ranks,
    )
    pairs = tuning.training_pairs(
        tuning.training(smoke, "dozen", Trained(base=family, data=["victim"], recipe="heart"))
    )
    model, tokenizer = toy(family)
    rows = [
        sft.example(tokenizer, p, o, 256)
        for p, o in zip(pairs["prompt"], pairs["output"], strict=True)
    ]
    curves, outcomes = [], []
    here = precision.detect("fp32")
    ours = means.of_tuning(here, model, recipe.batch_size, 64, 10, all_weights=False)
    assert ours.flat and ours.varlen
    for trainer_class, how in ((SFTTrainer, means.PLAIN), (sft.trainer_class(here), ours)):
        torch.manual_seed(0)
        folder = tmp_path / trainer_class.__name__
        arguments = sft.arguments(recipe, 0, folder, len(rows), here, how)
        arguments.save_strategy = "no"
        untuned = copy.deepcopy(model)
        means.apply(how, untuned)
        trainer = trainer_class(
            model=untuned,
            args=arguments,
            processing_class=tokenizer,
            train_dataset=Dataset.from_list(rows),
            peft_config=sft.adapter(recipe),
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
        curves.append(torch.tensor([r["loss"] for r in trainer.state.log_history if "loss" in r]))
        outcomes.append([p.detach() for p in trainer.model.parameters() if p.requires_grad])
    assert (
        len(curves[0]) == 9 and curves[0][-1] < curves[0][0] - 0.05
    )  # 12 pairs, 4 a step, 3 epochs: it learnt
    torch.testing.assert_close(curves[0], curves[1], atol=1e-3, rtol=0)  # the log rounds
    for theirs, ours in zip(*outcomes, strict=True):
        torch.testing.assert_close(theirs, ours, atol=1e-4, rtol=0)


def test_two_runs_at_once_leave_each_answer_once(smoke, empty_store):
    pairs = tuning.training_pairs(
        tuning.training(smoke, "dozen", Trained(base="llama", data=["victim"], recipe="heart"))
    )
    sampling = Sampling.of(smoke.responses, smoke.seed).changed(draws=2)
    untuned = tuning.training(smoke, "dozen", Trained(base="llama"))
    arguments = ("suspect", untuned, pairs, sampling)
    jobs.run([jobs.Job(f"run {i}", responses.ask, arguments) for i in range(2)])
    folder = responses.entry("suspect", untuned, sampling)
    lines = (folder / "responses.jsonl").read_text().splitlines()
    assert len(lines) == 24 == len(responses.read(folder))


@pytest.mark.filterwarnings("ignore:.*torch.jit", "ignore:.*is_gradient_checkpointing")
@pytest.mark.parametrize("method", ["full", "lora"])
def test_in_bf16_what_is_tuned_stays_fp32(smoke, empty_store, monkeypatch, method):
    """Products in bf16 move the losses a little; all weights are rounded when they are kept."""
    asked, held = tuning._asked, []

    def at_the_end(model, training):
        held.append({p.dtype for p in model.parameters() if p.requires_grad})
        return asked(model, training)

    monkeypatch.setattr(tuning, "_asked", at_the_end)
    ranks = {} if method == "full" else {"rank": 4, "alpha": 8}
    recipe = Recipe(method=method, learning_rate=5e-3, epochs=3, batch_size=4, **ranks)
    curves = {}
    for dtype in ("fp32", "bf16"):
        profile = smoke.changed(precision=dtype, recipes={**smoke.recipes, "heart": recipe})
        tuned = Trained(base="llama", data=["victim"], recipe="heart")
        folder = tuning.tune(tuning.training(profile, "dozen", tuned))
        assert store.manifest(folder)["precision"] == f"cpu {dtype}"
        curves[dtype] = pd.read_csv(folder / "loss.csv")["loss"].to_numpy()
        (weights,) = folder.glob("*model.safetensors")
        assert held.pop() == {torch.float32} and not held
        kept = torch.bfloat16 if (method, dtype) == ("full", "bf16") else torch.float32
        assert {t.dtype for t in load_file(weights).values()} == {kept}
    assert curves["fp32"][-1] < curves["fp32"][0] - 0.05
    apart = np.abs(curves["fp32"] - curves["bf16"])
    assert 0 < apart.max() < 0.02


@pytest.mark.parametrize(("said", "used"), [("adamw_torch", "adamw_torch_fused"), ("sgd", "sgd")])
def test_adamw_takes_one_pass_and_no_other_optimizer_is_changed(tmp_path, said, used):
    recipe = Recipe(method="full", learning_rate=1e-4, epochs=1, optimizer=said)
    assert sft.arguments(recipe, 0, tmp_path, 8, precision.detect("fp32")).optim == used
