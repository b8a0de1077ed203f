"""By what means models are tuned and answer; chosen only here.

The choice changes results only by rounding and, if a recipe has dropout, by its random numbers.

What each is worth was measured: on a GPU by `benchmarks.gpu` (notebooks/pages/paper_plan.md), on a
CPU as notebooks/pages/speed.md says.
"""

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from dsi_core.runtime.precision import Precision

if TYPE_CHECKING:
    import torch

UNPACKED = 0.4  # of a GPU's free memory, that weights may take to be held as bf16 instead of NF4
ACTIVATIONS = 0.8  # of what is then free, that activations may take to be kept
KEPT = 18  # bytes a token leaves in each layer per entry of its hidden and feed-forward states
VARLEN = "varlen"  # what transformers calls `_attend`
CPU_ROOM = 2.3e9  # bytes, estimated, that a step may keep on a CPU: 7.9 GB of a study in fp32
MOMENTS = 8  # bytes per trained weight for its optimizer
GRADIENT = 4  # bytes of a trained weight's: beside all activations from a step's second part on
COMPILED = 1000  # steps from which compiling pays: it takes 65 s, and saves 71 ms a step on an H200
CPU_PAIRS = 2  # at once on a CPU at least, and all that it pads
HEAD_ROWS = 512  # of an output layer at once, on a CPU with AVX2: what MKL packs stays in its cache
NARROW = 64  # entries of a head, up to which a CPU attends in fp32: bf16's backward pass is slower
FUSED = {"adamw_torch": "adamw_torch_fused"}  # the same numbers in one pass: a third of the time
SCORED = 8  # bytes a token counts for each of a vocabulary: `loss.nll` holds 4, the rest is holes


@dataclass(frozen=True)
class Means:
    """How a model is tuned.

    Attributes
    ----------
    flat
        The pairs of a step stand in one row, with positions of their own and blind to each other,
        instead of being padded to the longest.
    varlen
        Attention knows where each pair begins and ends, instead of masking all others.
    checkpointing
        Activations are computed again for the backward pass instead of being kept.
    parts
        In how many parts a step's pairs are computed, in turn; the gradient is the same.
    compiled
        Torch joins what a layer does between its products into fewer kernels.
    """

    flat: bool = False
    varlen: bool = False
    checkpointing: bool = False
    parts: int = 1
    compiled: bool = False

    @property
    def label(self) -> str:
        """Name what is used, for a model's record: "flat, varlen"; "plain" where nothing is."""
        switches = ("flat", "varlen", "checkpointing", "compiled")
        named = [name for name in switches if getattr(self, name)]
        named += [f"{self.parts} parts"] if self.parts > 1 else []
        return ", ".join(named) or "plain"


PLAIN = Means()


def of_tuning(
    precision: Precision, model, pairs: int, tokens: int, steps: int, *, all_weights: bool
) -> Means:
    """Choose how a loaded model is tuned in so many steps of so many pairs, as long as these.

    pairs, tokens: of a step and of a pair, at most. all_weights: whether these are tuned, not an
    adapter.
    """
    if precision.device != "cuda":
        return _on_a_cpu(precision, model, pairs, tokens, model.num_parameters() * all_weights)
    kept = activation_bytes(model.config, pairs * tokens)
    fitting = parts(pairs, kept, ACTIVATIONS * _free_bytes())
    packed = getattr(model, "is_quantized", False)
    return Means(
        flat=True,
        varlen=precision.dtype == "bf16" and _plain_attention(model),
        checkpointing=fitting is None,
        parts=fitting or 1,
        compiled=steps >= COMPILED and fitting is not None and not packed and _compiles(),
    )


def _on_a_cpu(precision: Precision, model, pairs: int, tokens: int, trained: int) -> Means:
    """Weights are read once for all pairs that are computed at once, if none is padded.

    trained: of the model's own weights.
    """
    most = pairs // math.gcd(pairs, CPU_PAIRS)
    if not _plain_attention(model):
        return Means(parts=most)
    scores = SCORED * model.config.get_text_config().vocab_size * pairs * tokens
    kept = activation_bytes(model.config, pairs * tokens) + scores
    if precision.dtype == "bf16":
        kept /= 2
    room = CPU_ROOM - MOMENTS * trained
    if kept <= room:  # a layer's activations go as its gradients come
        return Means(flat=True, varlen=True)
    fitting = parts(pairs, kept, room - GRADIENT * trained) or most
    return Means(flat=True, varlen=True, parts=min(fitting, most))


def parts(pairs: int, kept: float, room: float) -> int | None:
    """Tell the fewest equal parts of a step whose activations fit; a part has at least a pair.

    kept, room: of a whole step, and what there is, in the same unit. None = a pair does not fit.
    """
    cuts = (n for n in range(1, pairs + 1) if pairs % n == 0 and kept / n <= room)
    return next(cuts, None)


def activation_bytes(config, tokens: int) -> float:
    """Estimate what a step of so many tokens keeps for its backward pass."""
    text = config.get_text_config()
    width = text.hidden_size + getattr(text, "intermediate_size", 4 * text.hidden_size)
    return KEPT * tokens * text.num_hidden_layers * width


def cache_bytes(config) -> float:
    """Tell what a token leaves in the keys and values of an answer under way, in bf16."""
    text = config.get_text_config()
    heads = getattr(text, "num_key_value_heads", None) or text.num_attention_heads
    width = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    return 2 * 2 * text.num_hidden_layers * heads * width


def cached_tokens(model) -> float:
    """Tell for how many tokens of answers under way a model's device has memory; CPU: no limit."""
    if model.device.type != "cuda":
        return float("inf")
    return ACTIVATIONS * _free_bytes() / cache_bytes(model.config)


def unpacks(precision: Precision, model) -> bool:
    """Tell whether NF4 weights are held as the bf16 numbers that they stand for.

    Each product unpacks them first, so the result is the same; if they fit, once is enough.
    """
    return precision.device == "cuda" and 2 * model.num_parameters() < UNPACKED * _free_bytes()


def apply(means: Means, model) -> None:
    """Let a model that is about to be tuned use what is chosen of its own: attention, compiler."""
    if means.compiled:
        import torch
        from transformers.modeling_layers import GradientCheckpointingLayer

        torch.compiler.reset()  # a worker's earlier models; a layer is compiled when it first runs
        for layer in model.modules():
            if isinstance(layer, GradientCheckpointingLayer):  # the base class of all blocks
                layer.compile(dynamic=True)
    if means.varlen:
        from transformers import AttentionInterface, AttentionMaskInterface

        AttentionInterface.register(VARLEN, _attend)
        AttentionMaskInterface.register(VARLEN, _no_mask)
        model.set_attn_implementation(VARLEN)


@contextmanager
def head_by_rows(model) -> Iterator[None]:
    """Let the output layer of a model that answers be computed by `HEAD_ROWS` at a time.

    Only where that was measured, and only its own product; results are the same to the bit.
    """
    import torch

    head = model.get_output_embeddings()
    known = type(head) is torch.nn.Linear and head.bias is None
    if not known or head.weight.dtype is not torch.float32 or not _has_avx2_alone(head.weight):
        yield
        return
    head.forward = partial(_by_rows, head.weight)
    try:
        yield
    finally:
        del head.forward  # the class's own again


def _has_avx2_alone(weight) -> bool:
    import torch

    return weight.device.type == "cpu" and torch.backends.cpu.get_cpu_capability() == "AVX2"


def _by_rows(weight, hidden) -> "torch.Tensor":
    import torch

    states = hidden.flatten(0, -2)
    scores = states.new_empty(len(states), len(weight))
    parts = zip(weight.split(HEAD_ROWS), scores.split(HEAD_ROWS, dim=1), strict=True)
    for rows, place in parts:
        torch.mm(states, rows.T, out=place)
    return scores.unflatten(0, hidden.shape[:-1])


def _attend(module, query, key, value, mask, scaling=None, **told) -> tuple:
    """Attention of one row of several sequences; shapes (1, heads, tokens, width)."""
    import inspect

    from torch.nn.attention.varlen import varlen_attn

    repeated = query.shape[1] // key.shape[1]
    if repeated > 1:
        key, value = (x.repeat_interleave(repeated, dim=1) for x in (key, value))
    if query.device.type == "cpu":
        lengths = told["cu_seq_lens_q"].diff().tolist()
        window = told.get("sliding_window")
        return _one_after_another(query, key, value, lengths, scaling, window), None
    # under autocast, positions turn queries and keys of fp32 weights into fp32
    query, key, value = (
        x[0].transpose(0, 1).to(value.dtype).contiguous() for x in (query, key, value)
    )
    ends, longest = told["cu_seq_lens_q"], told["max_length_q"]
    newer = "window_size" in inspect.signature(varlen_attn).parameters
    past = {"window_size": (-1, 0)} if newer else {"is_causal": True}
    out = varlen_attn(query, key, value, ends, ends, longest, longest, scale=scaling, **past)
    return out[None], None


def _one_after_another(
    query, key, value, lengths: list[int], scaling: float | None, window: int | None
) -> "torch.Tensor":
    """Torch's attention of each sequence, as a CPU has none of several; shape as `_attend`'s."""
    import torch

    given, in_bf16 = query.dtype, torch.is_autocast_enabled("cpu") and query.shape[3] > NARROW
    if not in_bf16:
        kind = torch.promote_types(given, torch.float32)
        query, key, value = query.to(kind), key.to(kind), value.to(kind)
    each = []
    with torch.autocast("cpu", torch.bfloat16, enabled=in_bf16):
        for one in zip(*(x.split(lengths, dim=2) for x in (query, key, value)), strict=True):
            length, past = one[0].shape[2], {"is_causal": True}
            if window is not None and length > window:
                ones = torch.ones(length, length, dtype=torch.bool)
                past = {"attn_mask": ones.tril().triu(1 - window)}
            attention = torch.nn.functional.scaled_dot_product_attention
            each.append(attention(*one, scale=scaling, **past))
    return torch.cat(each, dim=2).transpose(1, 2).contiguous().to(given)


def _no_mask(*_, **__) -> None:
    return None


def _plain_attention(model) -> bool:
    """Whether `_attend` computes what this model's own attention does."""
    from importlib.util import find_spec

    config = model.config.get_text_config()
    further = ["attn_logit_softcapping", "attention_chunk_size", "attention_dropout"]
    if model.device.type != "cpu":
        further.append("sliding_window")
    known = getattr(model, "_supports_flash_attn", False) and not model._is_stateful
    if find_spec("torch.nn.attention.varlen") is None or not known:
        return False
    return not any(getattr(config, name, None) for name in further)


def _compiles() -> bool:
    """Whether torch's compiler has what it needs on a GPU: Triton, and a C compiler for it."""
    from importlib.util import find_spec
    from shutil import which

    compilers = (os.environ.get("CC"), "gcc", "clang")
    return find_spec("triton") is not None and any(map(which, filter(None, compilers)))


def _free_bytes() -> int:
    import torch

    return torch.cuda.mem_get_info()[0]
