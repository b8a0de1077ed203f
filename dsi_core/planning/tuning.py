"""Estimate what tuning takes of a card, in seconds and memory: `models.means`, made simpler.

`models.means` cuts a step on a CPU into as few parts as fit; here it is computed whole, or
`means.CPU_PAIRS` pairs at a time.
"""

import math

from dsi_core.models import means
from dsi_core.planning import assumptions
from dsi_core.planning.assumptions import Card, rule
from dsi_core.planning.machine import Cost, stays_packed, weights_gb
from dsi_core.settings.schema import Recipe

# The share of a core's memory that more than `means.CPU_PAIRS` pairs at once may take
CPU_ROOM = 0.25


def cost(
    recipe: Recipe,
    source: str,
    pairs: int,
    tokens: float,
    written: float,
    longest: float,
    card: Card,
) -> Cost:
    """Estimate the tuning of a model that is from `source`.

    A step is bound by computing or by the host, whichever takes longer. Many steps are compiled.

    Parameters
    ----------
    pairs, tokens
        Pairs in one epoch, and the tokens of all epochs.
    written
        Share of the tokens that the loss counts.
    longest
        Tokens of the longest pair.
    """
    billions = assumptions.billions(source)
    held_gb = card.fixed_gb + frozen_gb(recipe, billions, card)
    held_gb += trained_billions(recipe, billions) * rule("trained_bytes")
    at_once = min(recipe.batch_size, card.micro_batch or recipe.batch_size)
    token_gb = (rule("kept_mb") * billions ** (2 / 3) + rule("logits_mb")) / 1000
    if card.micro_batch and at_once * longest * token_gb > CPU_ROOM * card.memory_gb:
        at_once = min(at_once, means.CPU_PAIRS)
    flops = rule("full_flops" if recipe.method == "full" else "frozen_flops")
    room_gb = {"always": 0.0, "never": math.inf}.get(card.checkpointing, card.memory_gb - held_gb)
    kept_gb = _activations_gb(billions, at_once, longest, room_gb)
    steps = recipe.epochs * math.ceil(pairs / recipe.batch_size)
    packed = stays_packed(billions, recipe.method == "qlora", card)
    can = card.compiled_fraction is not None and kept_gb is not None and not packed
    compiled = can and steps >= means.COMPILED
    if kept_gb is None:
        kept_gb = at_once * longest * rule("checkpointed_mb") * billions ** (2 / 3) / 1000
        flops += rule("recompute_flops")
    kept_gb += at_once * longest * rule("logits_mb") / 1000
    computed = assumptions.computing_billions(source, written)
    computing = tokens * card.tuning_seconds(flops, computed, compiled=compiled)
    computing += card.compile_s if compiled else 0
    return Cost(max(computing, steps * card.tuning_step_ms / 1000), held_gb + kept_gb)


def trained_billions(recipe: Recipe, billions: float) -> float:
    """Tell how many billions of a model's parameters are trained."""
    return billions * (1 if recipe.rank is None else recipe.rank * rule("adapter_share"))


def frozen_gb(recipe: Recipe, billions: float, card: Card) -> float:
    """Tell what the weights take that are not trained."""
    if recipe.method == "full":
        return 0
    return weights_gb(billions, recipe.method == "qlora", card)


def _activations_gb(billions: float, pairs: int, tokens: float, room_gb: float) -> float | None:
    """What a step of so many pairs keeps for its backward pass, in as few parts as fit.

    None = not even a pair's fits, so it is computed again.
    """
    kept = pairs * tokens * rule("kept_mb") * billions ** (2 / 3) / 1000
    parts = means.parts(pairs, kept, means.ACTIVATIONS * room_gb)
    return None if parts is None else kept / parts
