"""What makes tuning fast changes no result: what of it runs on a CPU is compared here."""

import copy
import math

import pandas as pd
import pytest
import torch

from dsi_core.models import load, means, sft, tuning
from dsi_core.models.means import Means
from dsi_core.models.sampling import Sampling, batches, generate
from dsi_core.runtime import precision, store
from dsi_core.settings.schema import Recipe, Trained

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit", "ignore:.*is_gradient_checkpointing")


@pytest.mark.parametrize("family", ["llama", "gemma", "qwen2"])
def test_without_padding_losses_and_weights_are_the_same(smoke, toy, tmp_path, family):
    from datasets import Dataset
    from transformers import PrinterCallback
    from trl import SFTTrainer

    recipe = Recipe(
        method="lora", rank=4, alpha=8, learning_rate=2, optimizer="sgd", epochs=2, batch_size=6
    )
    pairs = tuning.training_pairs(
        tuning.training(smoke, "dozen", Trained(base=family, data=["victim"], recipe="heart"))
    )
    model, tokenizer = toy(family)
    rows = sft.examples(tokenizer, pairs, recipe)
    assert len({len(row["input_ids"]) for row in rows}) > 6  # of many lengths
    curves, outcomes = [], []
    for how in (Means(), Means(flat=True), Means(flat=True, checkpointing=True)):
        torch.manual_seed(0)
        here = precision.detect("fp32")
        arguments = sft.arguments(recipe, 0, tmp_path / how.label, len(rows), here, how)
        arguments.per_device_train_batch_size, arguments.gradient_accumulation_steps = 6, 1
        arguments.save_strategy = "no"
        trainer = SFTTrainer(
            model=copy.deepcopy(model),
            args=arguments,
            processing_class=tokenizer,
            train_dataset=Dataset.from_list(rows),
            peft_config=sft.adapter(recipe),
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
        curves.append([r["loss"] for r in trainer.state.log_history if "loss" in r])
        outcomes.append([p.detach() for p in trainer.model.parameters() if p.requires_grad])
    assert len(curves[0]) == 4 and curves[0][-1] < curves[0][0] - 0.02
    for curve, weights in zip(curves[1:], outcomes[1:], strict=True):
        assert curve == pytest.approx(curves[0], abs=1e-3)
        for one, other in zip(outcomes[0], weights, strict=True):
            torch.testing.assert_close(one, other, atol=1e-4, rtol=0)


@pytest.mark.parametrize(("tokens", "parts"), [(80, 1), (81, 2), (160, 2), (161, 4), (5000, 4)])
def test_a_cpu_pads_nothing_and_takes_what_fits(toy, monkeypatch, tokens, parts):
    model, _ = toy("llama")
    here = precision.Precision("cpu", "fp32")
    monkeypatch.setattr(means, "CPU_ROOM", 8 * 80 * a_token(model))
    how = means.of_tuning(here, model, 8, tokens, 9999, all_weights=False)
    assert how == Means(True, True, parts=parts)
    assert not means.unpacks(here, model)
    assert means.cached_tokens(model) == math.inf


def test_a_cpu_keeps_half_as_much_in_bf16(toy, monkeypatch):
    model, _ = toy("llama")
    here = precision.Precision("cpu", "bf16")
    monkeypatch.setattr(means, "CPU_ROOM", 8 * 80 * a_token(model))
    for tokens, parts in ((160, 1), (161, 2), (321, 4)):
        how = means.of_tuning(here, model, 8, tokens, 9999, all_weights=False)
        assert how == Means(True, True, parts=parts)


@pytest.mark.parametrize(("tokens", "parts"), [(100, 1), (101, 2), (160, 2), (161, 4)])
def test_a_cpu_computes_a_step_of_all_weights_whole_or_makes_room_for_gradients(
    toy, monkeypatch, tokens, parts
):
    """Activations of a whole step go as gradients come; those of a later part are beside them."""
    model, _ = toy("llama")
    each, weights = a_token(model), model.num_parameters()
    monkeypatch.setattr(means, "CPU_ROOM", 8 * weights + 8 * 100 * each)
    monkeypatch.setattr(means, "GRADIENT", 8 * 20 * each / weights)
    here = precision.Precision("cpu", "fp32")
    how = means.of_tuning(here, model, 8, tokens, 9999, all_weights=True)
    assert how == Means(True, True, parts=parts)


def a_token(model):
    """What a CPU counts for each token of a step in fp32."""
    return means.activation_bytes(model.config, 1) + 8 * model.config.vocab_size


def test_a_cpu_pads_two_pairs_where_attention_is_not_the_usual(toy, monkeypatch):
    model, _ = toy("llama")
    here = precision.Precision("cpu", "fp32")
    monkeypatch.setattr(model.config, "attn_logit_softcapping", 50.0, raising=False)
    assert means.of_tuning(here, model, 8, 256, 10, all_weights=False) == Means(parts=4)
    assert means.of_tuning(here, model, 3, 256, 10, all_weights=True) == Means(parts=3)


LONG = means.COMPILED


@pytest.mark.parametrize(
    ("steps", "free", "packed", "able", "compiled"),
    [
        (LONG, 1e9, False, True, True),
        (LONG - 1, 1e9, False, True, False),  # compiling would take longer than it saves
        (LONG, 1.0, False, True, False),  # activations are computed again
        (LONG, 1e9, True, True, False),
        (LONG, 1e9, False, False, False),
    ],
)
def test_a_long_tuning_is_compiled_on_a_gpu(toy, monkeypatch, steps, free, packed, able, compiled):
    model, _ = toy("llama")
    monkeypatch.setattr(means, "_free_bytes", lambda: free)
    monkeypatch.setattr(means, "_compiles", lambda: able)
    monkeypatch.setattr(model, "is_quantized", packed, raising=False)
    gpu = precision.Precision("cuda", "bf16")
    how = means.of_tuning(gpu, model, 8, 64, steps, all_weights=False)
    assert how == Means(True, True, checkpointing=free == 1.0, compiled=compiled)


def test_compiled_blocks_compute_the_same(toy, monkeypatch):
    """Traced as for a GPU, whose kernels are not made here, for texts of several lengths."""
    model, _ = toy("llama")
    compile_it = torch.compile
    monkeypatch.setattr(torch, "compile", lambda f, **how: compile_it(f, backend="eager", **how))
    compiled = copy.deepcopy(model)
    means.apply(Means(compiled=True), compiled)
    blocks = [layer for layer in compiled.modules() if layer._compiled_call_impl]
    assert len(blocks) == model.config.num_hidden_layers
    for length in (7, 12):
        ids = torch.randint(5, 90, (1, length))
        torch.testing.assert_close(compiled(ids).logits, model(ids).logits)
    assert compiled.state_dict().keys() == model.state_dict().keys()


def test_labels():
    assert means.PLAIN.label == "plain"
    assert Means(flat=True, compiled=True).label == "flat, compiled"
    assert Means(flat=True, varlen=True, parts=2).label == "flat, varlen, 2 parts"


@pytest.mark.parametrize("window", [None, 3])
def test_each_sequence_of_a_row_sees_itself_alone(window):
    """As with one mask over all: its own past, at most a window of it."""
    lengths = [5, 1, 4]
    torch.manual_seed(0)
    query, key, value = torch.randn(1, 4, 10, 8), torch.randn(1, 2, 10, 8), torch.randn(1, 2, 10, 8)
    ends = torch.tensor([0, 5, 6, 10])
    out, _ = means._attend(
        None, query, key, value, None, 0.5, cu_seq_lens_q=ends, sliding_window=window
    )
    which = torch.repeat_interleave(torch.arange(3), torch.tensor(lengths))
    place = torch.arange(10)
    mask = (which[:, None] == which) & (place[:, None] >= place)
    if window:
        mask &= place[:, None] - place < window
    scores = query @ key.repeat_interleave(2, dim=1).transpose(2, 3) * 0.5
    weights = scores.masked_fill(~mask, -math.inf).softmax(dim=-1)
    expected = (weights @ value.repeat_interleave(2, dim=1)).transpose(1, 2)
    torch.testing.assert_close(out, expected)


@pytest.mark.parametrize("width", [means.NARROW, 2 * means.NARROW])
def test_in_bf16_narrow_heads_attend_in_fp32(width):
    """Of fp32 weights under autocast, queries and keys are fp32 here, and values bf16."""
    torch.manual_seed(0)
    query, key, value = torch.randn(3, 1, 2, 9, width)
    value, ends = value.bfloat16(), torch.tensor([0, 4, 9])
    with torch.autocast("cpu", torch.bfloat16):
        out, _ = means._attend(None, query, key, value, None, cu_seq_lens_q=ends)
    exact, _ = means._attend(None, query, key, value.float(), None, cu_seq_lens_q=ends)
    apart = (out - exact).abs().max() / exact.abs().max()
    assert out.dtype is torch.float32
    assert (apart == 0) if width == means.NARROW else (0 < apart < 0.02)


def test_on_a_gpu_attention_by_lengths_gets_one_type(monkeypatch):
    """Its kernel takes bf16 alone, also where weights are fp32 as all of them are tuned."""
    from torch.nn.attention import varlen

    def kernel(query, key, value, ends, _, longest, __, *, scale, window_size):
        assert {x.dtype for x in (query, key, value)} == {torch.bfloat16}
        return query

    monkeypatch.setattr(varlen, "varlen_attn", kernel)
    query, key, value = torch.empty(3, 1, 2, 9, 8, device="meta")
    told = {"cu_seq_lens_q": torch.tensor([0, 4, 9]), "max_length_q": 5}
    out, _ = means._attend(None, query, key, value.bfloat16(), None, **told)
    assert out.shape == (1, 9, 2, 8)


@pytest.mark.parametrize(
    ("room", "expected"), [(80, 1), (79, 2), (40, 2), (20, 4), (10, 8), (9, None)]
)
def test_a_step_is_cut_until_it_fits(room, expected):
    assert means.parts(8, 80.0, room) == expected


def test_memory_of_a_model_of_seven_billion():
    from transformers import LlamaConfig

    config = LlamaConfig()  # of Llama-2-7B
    assert means.cache_bytes(config) == 524_288  # 2 x 32 layers x 4096 x 2 bytes
    # The steps of at most 2,400 tokens that were measured held 21 GB beside the weights
    assert means.activation_bytes(config, 2400) == pytest.approx(21e9, rel=0.05)


@pytest.mark.parametrize(
    ("size", "room", "expected"),
    [
        (2, math.inf, [[3, 1], [0, 2]]),
        (9, math.inf, [[3, 1, 0, 2]]),
        (9, 40, [[3, 1, 0], [2]]),  # 3 x 12 fit, 4 x 30 do not
        (9, 5, [[3], [1], [0], [2]]),  # one is always under way
    ],
)
def test_as_many_answers_are_under_way_as_fit(size, room, expected):
    assert list(batches([3, 1, 0, 2], [12, 11, 30, 10], size, room)) == expected


def test_a_model_spread_over_devices_is_tuned_alike(smoke, empty_store, monkeypatch):
    """With `device_map: auto` accelerate places the layers; on this machine all on the CPU."""
    trained = Trained(base="llama", data=["victim"], recipe="heart")
    training = tuning.training(smoke, "dozen", trained)
    monkeypatch.setattr(load, "spread", lambda *_: True)
    facts = store.manifest(tuning.tune(training))
    assert facts["means"] == "flat, varlen" and facts["final_loss"] > 0


class Answering(torch.nn.Module):
    """A model of an output layer alone."""

    def __init__(self, rows: int, **how):
        super().__init__()
        self.head = torch.nn.Linear(7, rows, **how)

    def get_output_embeddings(self):
        return self.head


@pytest.mark.parametrize("rows", [3, means.HEAD_ROWS, 2 * means.HEAD_ROWS + 5])
@torch.inference_mode()
def test_an_output_layer_by_rows_gives_the_same_scores(monkeypatch, rows):
    monkeypatch.setattr(means, "_has_avx2_alone", lambda weight: True)
    model = Answering(rows, bias=False)
    hidden = torch.randn(2, 3, 7)
    whole = model.head(hidden)
    with means.head_by_rows(model):
        assert "forward" in vars(model.head)
        parts = model.head(hidden)
    assert parts.shape == (2, 3, rows) and torch.allclose(parts, whole, rtol=1e-5, atol=1e-6)
    assert "forward" not in vars(model.head) and torch.equal(model.head(hidden), whole)


def test_other_output_layers_and_processors_are_left_alone(monkeypatch):
    plain = Answering(3, bias=False)
    for capability, model in [
        ("AVX512", plain),
        ("AVX2", Answering(3)),
        ("AVX2", Answering(3, bias=False).to(torch.bfloat16)),
    ]:
        monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda c=capability: c)
        with means.head_by_rows(model):
            assert "forward" not in vars(model.head)
    with means.head_by_rows(plain):
        assert "forward" in vars(plain.head)


def test_a_model_answers_by_rows_of_its_output_layer(monkeypatch, toy):
    """The whole way, in blocks so small that a toy has many."""
    monkeypatch.setattr(means, "_has_avx2_alone", lambda weight: True)
    monkeypatch.setattr(means, "HEAD_ROWS", 50)
    model, tokenizer = toy("llama")
    calls, by_rows = [], means._by_rows
    monkeypatch.setattr(
        means, "_by_rows", lambda *given: calls.append(given[0].shape[0]) or by_rows(*given)
    )
    asked = pd.DataFrame({"sample_id": ["a", "b"], "prompt": ["Who?", "Where is it?"], "draw": 0})
    how = Sampling(0, 1.0, 1, 12, 2)

    def said():
        return [a.text for some in generate(model, tokenizer, asked, "M", how) for a in some]

    with monkeypatch.context() as patch:
        patch.setattr(means, "_has_avx2_alone", lambda weight: False)
        whole = said()
    assert not calls
    assert said() == whole and len(calls) == 12 and set(calls) == {len(tokenizer)}
