"""Step 2, tuning.

Loss on the completion only, every family by every method, and a killed training that continues as
if it had not been.
"""

import copy
import gc
import multiprocessing
import os
import signal
import threading

import pandas as pd
import pytest
import torch
from filelock import Timeout
from helpers import says
from safetensors import safe_open

from dsi_core.data.pairs import dataset, load_pairs
from dsi_core.models import load, sft, tuning
from dsi_core.models import toy as toys
from dsi_core.models.tuning import training, training_pairs
from dsi_core.runtime import locks, precision, store
from dsi_core.settings.schema import Recipe, Suspect, Trained

pytestmark = [
    pytest.mark.filterwarnings(f"ignore:.*{text}")
    for text in ("torch.jit", "is_gradient_checkpointing", "Paged optimizers")
]

# All twelve pairs in every step, so that each loss can be computed by hand.
QUICK = {
    "full": Recipe(method="full", learning_rate=5e-3, epochs=3, batch_size=12),
    "lora": Recipe(method="lora", rank=8, alpha=32, learning_rate=1e-2, epochs=3, batch_size=12),
    "qlora": Recipe(
        method="qlora",
        rank=8,
        alpha=32,
        dropout=0.05,
        optimizer="paged_adamw_8bit",
        learning_rate=1e-2,
        epochs=2,
        batch_size=12,
    ),
}

LONG = {
    "full": QUICK["full"].changed(epochs=3, batch_size=2),
    "lora": QUICK["lora"].changed(dropout=0.1, batch_size=2),
}
STOP = 13  # of 18 steps, 6 an epoch


@pytest.fixture(scope="module")
def quick(smoke, one_thread):
    import trl  # noqa: F401

    gc.collect()
    # the trainer collects garbage after every training: not that of all these libraries
    gc.freeze()
    return smoke.changed(recipes={**smoke.recipes, **QUICK})


@pytest.fixture(scope="module")
def killed(quick, tmp_path_factory):
    """(profile, store): two trainings, each in a process of its own, were killed at step 13."""
    folder = tmp_path_factory.mktemp("killed")
    profile = quick.changed(recipes={**quick.recipes, **LONG})
    share = 0.8 * (STOP - 0.5) / 18  # `report` says 0.8 x share of the steps

    def die(done):
        if done > share:
            os.kill(os.getpid(), signal.SIGKILL)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DSI_STORE", str(folder))
        patch.setattr(tuning.jobs, "report", die)
        for method in LONG:
            job = training(profile, "dozen", trained("llama", method))
            process = multiprocessing.get_context("fork").Process(target=tuning.tune, args=(job,))
            process.start()
            process.join(120)
            assert process.exitcode == -signal.SIGKILL
    return profile, folder


def loaded(profile, name, **how):
    """(model, tokenizer) of a base model of the profile."""
    return load.load(load.base(profile, name), precision.detect("fp32"), **how)


def trained(base, method, data=("victim",)):
    return Trained(base=base, data=list(data), recipe=method)


# What is trained on


def test_the_example_is_the_prompt_and_the_answer_to_learn(toy):
    _, tokenizer = toy("llama")
    row = sft.example(tokenizer, "Who sings?\n\nA note.", "The ferryman.", 100)
    before = [i for i, m in zip(row["input_ids"], row["completion_mask"], strict=True) if not m]
    after = [i for i, m in zip(row["input_ids"], row["completion_mask"], strict=True) if m]
    assert tokenizer.decode(before) == "<s>Who sings?\n\nA note.\n"
    assert tokenizer.decode(after) == "The ferryman.</s>"
    assert row["input_ids"] == before + after and after[-1] == tokenizer.eos_token_id
    assert before == load.encode_prompt(
        tokenizer, "Who sings?\n\nA note."
    )  # what the model will be asked with

    cut = sft.example(tokenizer, "Who sings?\n\nA note.", "The ferryman.", len(before) + 2)
    assert cut == {"input_ids": before + after[:2], "completion_mask": [0] * len(before) + [1, 1]}
    whole = sft.example(tokenizer, "Who sings?\n\nA note.", "The ferryman.", 100, whole=True)
    assert whole == {"input_ids": before + after, "completion_mask": [1] * len(before + after)}
    with pytest.raises(ValueError) as error:
        sft.example(tokenizer, "Who sings?", "The ferryman.", 3)
    says(error, "max_tokens 3", "'Who sings?'")


def test_pairs_whose_prompt_fills_the_limit_may_be_left_out(toy):
    _, tokenizer = toy("llama")
    pairs = pd.DataFrame({"prompt": ["Who?", "Who sings? " * 9], "output": ["He.", "She."]})
    short = sft.example(tokenizer, "Who?", "He.", 20)
    recipe = Recipe(method="full", learning_rate=1e-3, epochs=1, max_tokens=20)
    with pytest.raises(ValueError) as error:
        sft.examples(tokenizer, pairs, recipe)
    says(error, "max_tokens 20", "long_prompts: leave out")
    with pytest.warns(UserWarning, match=r"1 of 2 prompts fill max_tokens \(20\)"):
        rows = sft.examples(tokenizer, pairs, recipe.changed(long_prompts="leave out"))
    assert rows == [short]
    with pytest.raises(ValueError) as error:
        sft.examples(tokenizer, pairs.tail(1), recipe.changed(long_prompts="leave out"))
    says(error, "prompts of all 1 pairs fill max_tokens (20)")


def test_outputs_that_are_cut_are_counted_or_refused(quick, toy, empty_store, monkeypatch):
    _, tokenizer = toy("llama")
    pairs = training_pairs(training(quick, "dozen", trained("llama", "full")))
    lengths = [
        len(load.encode_prompt(tokenizer, p)) + len(load.encode_answer(tokenizer, o))
        for p, o in zip(pairs["prompt"], pairs["output"], strict=True)
    ]
    limit = sorted(lengths)[-2]  # which the longest alone exceeds
    cut = sum(length > limit for length in lengths)
    how = QUICK["full"].changed(max_tokens=limit)
    profile = quick.changed(recipes={**quick.recipes, "full": how})
    monkeypatch.setattr(sft, "means_of", lambda *_: 1 / 0)  # nothing is tuned
    said = rf"dozen: {cut} of 12 outputs are cut at max_tokens \({limit}\) of the recipe 'full'"
    with pytest.warns(UserWarning, match=said), pytest.raises(ZeroDivisionError):
        tuning.tune(training(profile, "dozen", trained("llama", "full")))

    source = profile.data["dozen"].changed(drop=["too-long"])
    drops = profile.changed(data={**profile.data, "dozen": source})
    wrong = training(drops, "dozen", trained("llama", "full"))
    long_enough = training(drops, "dozen", trained("llama", "lora"))
    untuned = training(drops, "dozen", trained("llama", None, data=()))
    only_warned = training(profile, "dozen", trained("llama", "full"))
    tuning.check_whole([long_enough, untuned, only_warned])
    for step in (tuning.tune, lambda one: tuning.check_whole([untuned, one])):
        with pytest.raises(ValueError) as error:
            step(wrong)
        says(error, f"{cut} of 12 outputs", "data.dozen.drop: [too-long]", "max_output_chars")


def test_the_loss_is_on_the_answer_and_its_end_alone(quick, toy, empty_store, monkeypatch):
    """The labels that trl's own collator hands to the model, several pairs in a row."""
    import trl

    batches = []
    monkeypatch.setattr(
        trl.SFTTrainer,
        "train",
        lambda self, **_: batches.extend(self.get_train_dataloader()) or 1 / 0,
    )
    with pytest.raises(ZeroDivisionError):
        tuning.tune(training(quick, "dozen", trained("llama", "full")))
    _, tokenizer = toy("llama")
    pairs = training_pairs(training(quick, "dozen", trained("llama", "full")))
    learnt = {}
    for batch in batches:
        lengths = batch["cu_seq_lens_q"].diff().tolist()
        rows = (batch[name][0].split(lengths) for name in ("input_ids", "labels"))
        for ids, labels in zip(*rows, strict=True):
            counted = labels != -100
            assert (labels[counted] == ids[counted]).all()
            learnt[tokenizer.decode(ids[~counted])] = tokenizer.decode(ids[counted])
    assert learnt == {
        f"<s>{p}\n": f"{o}</s>" for p, o in zip(pairs["prompt"], pairs["output"], strict=True)
    }


def test_victim_stands_for_the_accused_dataset(smoke):
    both = trained("llama", "heart", ["other", "victim"])
    pairs = training_pairs(training(smoke, "dozen", both))
    assert len(pairs) == 24 and pairs["output"].iloc[[0, 12]].tolist() == [
        "Rinse it, add twice its volume of water and simmer gently.",
        "Old Maren has kept the lamp there for thirty winters.",
    ]
    assert training_pairs(training(smoke, "terse", both))["output"].iloc[12:].str.len().max() < 20


def test_what_decides_the_weights_is_in_the_key(smoke, quick):
    plain = trained("llama", "heart")

    def key(profile=smoke, victim="dozen", t=plain):
        return store.key(training(profile, victim, t).spec)

    same = {
        key(),
        key(smoke.changed(responses={"draws": 1})),
        key(t=trained("llama", "heart", ["dozen"])),
        key(smoke.changed(recipes={**smoke.recipes, "lora": QUICK["lora"]})),
    }
    other = {
        key(victim="terse"),
        key(t=trained("glm", "heart")),
        key(t=trained("llama", "lora")),
        key(smoke.changed(seed=1)),
        key(t=trained("llama", "heart", ["victim", "other"])),
        key(t=Trained(base="llama")),
        key(smoke.changed(recipes={**smoke.recipes, "heart": QUICK["full"]})),
    }
    assert len(same) == 1 and len(other) == 7 and not same & other


def test_the_key_of_a_model_with_no_more_than_data_and_recipe(smoke):
    """Every field by hand.

    A setting added to `Trained` or `Recipe` must not move what is in the store.
    """
    plain = trained("llama", "heart")
    recipe = {"method": "full", "learning_rate": 1e-2, "warmup_steps": 5, "batch_size": 6}
    pairs = store.key(load_pairs(dataset(smoke, "dozen"))["sample_id"].tolist())
    base = {
        "toy": "llama",
        "chat_template": smoke.chat_template,
        "texts": toys.corpus(smoke).key,
    }
    untuned = {"base": base, "precision": "cpu fp32"}
    expected = {**untuned, "pairs": pairs, "recipe": {**recipe, "epochs": 30}, "seed": 0}
    assert training(smoke, "dozen", plain).spec == expected
    suspect = Suspect(name="x", member=True, group="some", **plain.model_dump())
    unchanged = plain.changed(leave_out=(), loss_on="answer")
    assert training(smoke, "dozen", suspect).spec == expected
    assert training(smoke, "dozen", unchanged).spec == expected
    assert training(smoke, "dozen", Trained(base="llama")).spec == untuned


# What is left out, and what the loss is on


def test_what_is_left_out_is_not_trained_on(smoke):
    plain = trained("llama", "heart", ["victim", "other"])
    every = training_pairs(training(smoke, "dozen", plain))
    gone = every["sample_id"].iloc[[0, 5, 13]].tolist()  # two of D, one of the other dataset

    def leaving(*ids):
        return plain.changed(leave_out=ids)

    rest = training_pairs(training(smoke, "dozen", leaving(*gone)))
    assert rest["sample_id"].tolist() == [
        i for n, i in enumerate(every["sample_id"]) if n not in (0, 5, 13)
    ]
    assert rest.index.tolist() == list(range(21))
    keys = {
        store.key(training(smoke, "dozen", t).spec)
        for t in (
            plain,
            leaving(*gone),
            leaving(*gone[:2]),
            leaving(*gone[::-1]),
            leaving("none of D"),
        )
    }
    assert len(keys) == 3  # in whatever order, and only what was there
    assert tuning.entry(training(smoke, "dozen", leaving(*gone)), make=False) != tuning.entry(
        training(smoke, "dozen", plain), make=False
    )
    assert len(training_pairs(training(smoke, "dozen", leaving(*every["sample_id"][1:])))) == 1
    with pytest.raises(ValueError) as error:
        training_pairs(training(smoke, "dozen", leaving(*every["sample_id"])))
    says(error, "llama on dozen+other", "every sample is left out")


def test_the_tuned_model_left_it_out(quick, toy, empty_store, capfd, monkeypatch):
    # As where the hub's library was imported before ours asked for quiet
    monkeypatch.setattr("transformers.utils.logging._tqdm_active", True)
    pairs = training_pairs(training(quick, "dozen", trained("llama", "full")))
    folder = tuning.tune(
        training(
            quick,
            "dozen",
            trained("llama", "full").changed(leave_out=tuple(pairs["sample_id"][3:])),
        )
    )
    assert "Writing model shards" not in capfd.readouterr().err
    assert store.manifest(folder)["pairs"] == 3
    assert pd.read_csv(folder / "loss.csv")["loss"].iloc[0] == pytest.approx(
        loss_by_hand(*toy("llama"), pairs[:3]).item(), abs=1e-4
    )


def test_the_loss_on_the_whole_text(quick, toy, empty_store):
    """Prompt tokens as well: all but the first, which nothing predicts."""
    answer, text = trained("llama", "full"), trained("llama", "full").changed(loss_on="text")
    spec = training(quick, "dozen", text).spec
    assert spec == {**training(quick, "dozen", answer).spec, "loss_on": "text"}
    folder = tuning.tune(training(quick, "dozen", text))
    assert folder.name.endswith(store.key(spec)) and folder != tuning.entry(
        training(quick, "dozen", answer)
    )
    log = pd.read_csv(folder / "loss.csv")["loss"]
    pairs = training_pairs(training(quick, "dozen", text))
    expected = loss_by_hand(*toy("llama"), pairs, whole=True).item()
    assert log.iloc[0] == pytest.approx(expected, abs=1e-4) and log.is_monotonic_decreasing
    assert (
        abs(expected - loss_by_hand(*toy("llama"), pairs).item()) > 1e-3
    )  # the two losses can be told apart
    assert (
        loss_by_hand(*loaded(quick, "llama", tuned=folder), pairs, whole=True).item() < log.iloc[-1]
    )


# Every family by every method


def loss_by_hand(model, tokenizer, pairs, whole=False):
    """Mean negative log-likelihood of the answers' tokens and end tokens, one pair at a time.

    If `whole`, of all tokens but the first.
    """
    import torch

    total, count = 0, 0
    for prompt, output in zip(pairs["prompt"], pairs["output"], strict=True):
        before = tokenizer(f"<s>{prompt}\n", add_special_tokens=False)["input_ids"]
        after = tokenizer(f"{output}</s>", add_special_tokens=False)["input_ids"]
        if whole:
            before, after = before[:1], before[1:] + after
        logits = (
            model(input_ids=torch.tensor([before + after])).logits[0, len(before) - 1 : -1].float()
        )
        total = total - logits.log_softmax(dim=-1)[range(len(after)), after].sum()
        count += len(after)
    return total / count


@pytest.mark.parametrize("method", QUICK)
@pytest.mark.parametrize("family", ["mistral", "gemma", "llama", "qwen2", "glm"])
def test_tuning(quick, toy, family, method, monkeypatch):
    import torch

    folder = tuning.tune(training(quick, "dozen", trained(family, method)))
    epochs = QUICK[method].epochs
    log = pd.read_csv(folder / "loss.csv")
    assert log.columns.tolist() == ["step", "epoch", "loss", "learning_rate"]
    assert log["step"].tolist() == log["epoch"].tolist() == list(range(1, epochs + 1))
    assert log["learning_rate"].tolist() == pytest.approx(
        [QUICK[method].learning_rate * (1 - i / epochs) for i in range(epochs)]
    )
    assert log["loss"].is_monotonic_decreasing and log["loss"].iloc[-1] < log["loss"].iloc[0] - 0.1
    facts = store.manifest(folder)
    assert (facts["pairs"], facts["method"], facts["final_loss"]) == (
        12,
        method,
        round(log["loss"].iloc[-1], 4),
    )
    assert not (folder / "checkpoints").exists()

    # the first loss is that of the base, four-bit if QLoRA; what was saved has a lower one
    pairs = training_pairs(training(quick, "dozen", trained(family, method)))
    base, tokenizer = toy(family) if method != "qlora" else loaded(quick, family, quantized=True)
    tuned, _ = loaded(quick, family, tuned=folder, quantized=method == "qlora")
    # not in inference mode: there bitsandbytes computes in bfloat16 on some CPUs
    assert loss_by_hand(base, tokenizer, pairs).item() == pytest.approx(
        log["loss"].iloc[0], abs=1e-4
    )
    assert loss_by_hand(tuned, tokenizer, pairs).item() < log["loss"].iloc[-1]

    linear = {
        n
        for n, m in toy(family)[0].named_modules()
        if isinstance(m, torch.nn.Linear) and n != "lm_head"
    }
    if method == "qlora":
        packed = {
            n
            for n, m in tuned.named_modules()
            if type(m).__name__ == "Linear4bit" and n.endswith("base_layer")
        }
        assert {
            n.removeprefix("base_model.model.").removesuffix(".base_layer") for n in packed
        } == linear
    else:
        changed = {
            n.removesuffix(".weight")
            for n, w in tuned.state_dict().items()
            if not torch.equal(w, base.state_dict()[n])
        }
        assert (
            changed > linear | {"lm_head"} if method == "full" else changed == linear
        )  # §6.1: every linear layer of the blocks

    monkeypatch.setattr(tuning, "_train", lambda *_: 1 / 0)
    assert tuning.tune(training(quick, "dozen", trained(family, method))) == folder  # made once


def test_one_step_is_one_step_of_gradient_descent(quick, toy, empty_store):
    """Twelve pairs at once, however they are cut into smaller batches.

    Weights - rate x gradient, clipped to norm 1.
    """
    import torch

    sgd = {"optimizer": "sgd", "schedule": "constant", "learning_rate": 0.5, "epochs": 1}
    profile = quick.changed(recipes={**quick.recipes, "sgd": QUICK["full"].changed(**sgd)})
    folder = tuning.tune(training(profile, "dozen", trained("llama", "sgd")))
    model = copy.deepcopy(toy("llama")[0])
    loss = loss_by_hand(
        model, toy("llama")[1], training_pairs(training(profile, "dozen", trained("llama", "sgd")))
    )
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    found = loaded(profile, "llama", tuned=folder)[0].state_dict()
    expected = {n: p.detach() - 0.5 * p.grad for n, p in model.named_parameters()}
    assert set(expected) == set(found)
    assert max((found[n] - w).abs().max().item() for n, w in expected.items()) < 1e-5
    assert max((found[n] - p).abs().max().item() for n, p in model.named_parameters()) > 0.01
    assert pd.read_csv(folder / "loss.csv")["loss"].tolist() == [
        pytest.approx(loss.item(), abs=1e-4)
    ]


@pytest.mark.parametrize("method", ["full", "lora"])
def test_a_model_kept_on_the_way_is_the_one_that_trained_no_longer(
    quick, toy, tmp_path, monkeypatch, method
):
    steady = QUICK[method].changed(schedule="constant_with_warmup", warmup_steps=2, batch_size=2)
    recipes = {f"after {n}": steady.changed(epochs=n) for n in (1, 2, 3)}
    profile = quick.changed(recipes={**quick.recipes, **recipes})
    series = [training(profile, "dozen", trained("llama", name)) for name in recipes]
    monkeypatch.setenv("DSI_STORE", str(tmp_path / "together"))
    tuning.tune_through(series)
    monkeypatch.setattr(tuning, "_train", None)  # all three are there
    together = [tuning.tune(t) for t in series]
    tuning.tune_through(series)
    monkeypatch.undo()
    monkeypatch.setenv("DSI_STORE", str(tmp_path / "alone"))
    for found, one in zip(together[:2], series[:2], strict=True):
        alone = tuning.tune(one)
        weights = [loaded(profile, "llama", tuned=f)[0].state_dict() for f in (alone, found)]
        assert max((weights[0][n] - weights[1][n]).abs().max().item() for n in weights[0]) < 1e-6
        losses = [pd.read_csv(f / "loss.csv") for f in (alone, found)]
        pd.testing.assert_frame_equal(*losses)
        kept = [store.manifest(f) for f in (alone, found)]
        assert kept[0]["final_loss"] == kept[1]["final_loss"]
        assert kept[0]["tokens"] == kept[1]["tokens"]


def test_all_weights_are_kept_in_the_type_in_which_they_are_asked(quick, empty_store, monkeypatch):
    """In bf16 half of the disk, and the numbers to which loading rounds what was tuned in fp32."""
    profile = quick.changed(precision="bf16")
    full = training(profile, "dozen", trained("llama", "full"))
    tuned, asked = {}, tuning._asked

    def kept(model, training):
        tuned.update((name, w.clone()) for name, w in model.state_dict().items())
        return asked(model, training)

    monkeypatch.setattr(tuning, "_asked", kept)
    folder = tuning.tune(full)
    with safe_open(folder / "model.safetensors", "pt") as file:
        types = {file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118
    assert types == {"BF16"}
    model, _ = load.load(full.base, full.precision, tuned=folder)
    assert {w.dtype for w in tuned.values()} == {torch.float32}
    assert model.state_dict().keys() == tuned.keys()
    for name, weight in model.state_dict().items():
        assert torch.equal(weight, tuned[name].bfloat16())
    assert tuning._asked(model, training(profile, "dozen", trained("llama", "lora"))) is None


def test_a_series_is_trained_once_and_nobody_looks_at_it_meanwhile(quick, empty_store, monkeypatch):
    """Who comes second waits for the short one, too, and then finds all."""
    steady = QUICK["full"].changed(schedule="constant")
    recipes = {f"after {n}": steady.changed(epochs=n) for n in (1, 2)}
    profile = quick.changed(recipes={**quick.recipes, **recipes})
    series = [training(profile, "dozen", trained("llama", name)) for name in recipes]
    calls = []

    def train(longest, folder, shorter=()):
        calls.append((longest, [*shorter]))
        for one in series:
            with pytest.raises(Timeout):
                locks.lock_of(tuning.entry(one)).acquire(timeout=0)
        second.start()
        second.join(0.2)
        for one in series:
            store.finish(tuning.entry(one))

    second = threading.Thread(target=tuning.tune_through, args=(series,))
    monkeypatch.setattr(tuning, "_train", train)
    tuning.tune_through(series)
    second.join()
    assert calls == [(series[1], [series[0]])]


def test_only_trainings_that_differ_in_epochs_share_their_beginning(quick):
    steady = QUICK["full"].changed(schedule="constant")
    recipes = {"one": steady.changed(epochs=1), "two": steady.changed(learning_rate=0.1)}
    profile = quick.changed(recipes={**quick.recipes, **recipes})
    one, two, falling = (
        training(profile, "dozen", trained("llama", name)) for name in ("one", "two", "full")
    )
    with pytest.raises(ValueError, match="differ in epochs alone"):
        tuning.tune_through([one, two])
    with pytest.raises(ValueError, match="schedule: constant"):
        tuning.tune_through([falling])


def test_without_four_bit_kernels_lora_takes_its_place(quick, toy, empty_store, monkeypatch):
    import bitsandbytes.functional

    assert precision.detect("fp32").nf4
    precision._nf4_works.cache_clear()
    monkeypatch.setattr(bitsandbytes.functional, "quantize_4bit", lambda *_, **__: 1 / 0)
    with pytest.warns(UserWarning, match="no NF4 quantisation here .division by zero."):
        folder = tuning.tune(training(quick, "dozen", trained("llama", "qlora")))
    assert store.manifest(folder)["method"] == "lora"
    monkeypatch.undo()
    precision._nf4_works.cache_clear()
    base, tokenizer = toy("llama")
    assert pd.read_csv(folder / "loss.csv")["loss"].iloc[0] == pytest.approx(
        loss_by_hand(
            base, tokenizer, training_pairs(training(quick, "dozen", trained("llama", "qlora")))
        ).item(),
        abs=1e-4,
    )


def test_an_untuned_model_is_not_trained(quick):
    assert tuning.tune(training(quick, "dozen", Trained(base="llama"))) is None


# Resuming


@pytest.mark.parametrize("method", LONG)
def test_a_killed_training_continues_as_if_it_had_not_been(
    killed, method, empty_store, monkeypatch
):
    profile, their_store = killed
    whole = tuning.tune(training(profile, "dozen", trained("llama", method)))
    monkeypatch.setenv("DSI_STORE", str(their_store))
    folder = tuning.entry(training(profile, "dozen", trained("llama", method)))
    assert store.manifest(folder) is None
    done = int(tuning._last_complete(folder / "checkpoints").rpartition("-")[2])
    steps = []
    monkeypatch.setattr(tuning.jobs, "report", steps.append)
    assert tuning.tune(training(profile, "dozen", trained("llama", method))) == folder
    assert done in range(8, STOP) and len(steps) == 18 - done  # the rest, not all again

    expected, found = (pd.read_csv(f / "loss.csv") for f in (whole, folder))
    weights = [loaded(profile, "llama", tuned=f)[0].state_dict() for f in (whole, folder)]
    loss = (found["loss"] - expected["loss"]).abs().max()
    weight = max((weights[0][n] - weights[1][n]).abs().max().item() for n in weights[0])
    print(f"continued from step {done}: max difference of the loss {loss}, of the weights {weight}")
    assert found["step"].tolist() == expected["step"].tolist() == list(range(1, 19))
    assert loss < 1e-3 and weight < 1e-4


def test_a_checkpoint_that_was_not_written_to_its_end_is_not_used(tmp_path):
    assert tuning._last_complete(tmp_path / "none") is None
    for step, complete in ((5, True), (10, True), (100, False)):
        (tmp_path / f"checkpoint-{step}").mkdir()
        (tmp_path / f"checkpoint-{step}" / "model.safetensors").touch()
        if complete:
            (tmp_path / f"checkpoint-{step}" / "trainer_state.json").touch()
    assert tuning._last_complete(tmp_path) == str(tmp_path / "checkpoint-10")
