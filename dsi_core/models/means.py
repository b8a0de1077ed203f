"""With what a GPU tunes and answers: chosen here alone, and changing no result but for rounding.

A CPU has its own way (`tuning.trainer_class`) and none of these.
"""

from dataclasses import asdict, dataclass
from importlib.util import find_spec

from dsi_core.runtime.precision import Precision

UNPACKED = 0.4  # of a GPU's free memory, that weights may take to be held as bf16 instead of NF4
ACTIVATIONS = 0.5  # of what is then free, that activations may take to be kept
KEPT = 40  # bytes that a token leaves in bf16 and fp32, per layer and entry of a hidden state


@dataclass(frozen=True)
class Means:
    """How a model is tuned.

    Attributes
    ----------
    flat
        The pairs of a step stand in one row, with positions of their own and blind to each other,
        instead of being padded to the longest.
    liger
        Liger's kernels take norms, rotary positions and feed-forward gates, each in one go.
    checkpointing
        Activations are computed again for the backward pass instead of being kept.
    """

    flat: bool
    liger: bool
    checkpointing: bool

    @property
    def label(self) -> str:
        """Name what is used, for a model's record: "flat, liger"; "plain" where nothing is."""
        return ", ".join(name for name, used in asdict(self).items() if used) or "plain"


PLAIN = Means(flat=False, liger=False, checkpointing=False)


def of_tuning(precision: Precision, model, tokens: int) -> Means:
    """Choose how a loaded model is tuned; tokens: of a step, at most."""
    if precision.device != "cuda":
        return PLAIN
    return Means(
        flat=True,
        liger=find_spec("liger_kernel") is not None,
        checkpointing=activation_bytes(model, tokens) > ACTIVATIONS * _free_bytes(),
    )


def activation_bytes(model, tokens: int) -> float:
    """Estimate what a step keeps for its backward pass."""
    config = model.config.get_text_config()
    wide = config.hidden_size + getattr(config, "intermediate_size", 4 * config.hidden_size)
    return KEPT * tokens * config.num_hidden_layers * wide / 2


def unpacks(precision: Precision, model) -> bool:
    """Tell whether NF4 weights are held as the bf16 numbers that they stand for.

    Each product turns them into these first, so it is the same; where they fit, once is enough.
    """
    return precision.device == "cuda" and 2 * model.num_parameters() < UNPACKED * _free_bytes()


def _free_bytes() -> int:
    import torch

    return torch.cuda.mem_get_info()[0]
