"""In which precision this machine computes: decided once, and written into every key."""

import warnings
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal


@dataclass(frozen=True)
class Precision:
    """How weights are held and multiplied.

    Parameters
    ----------
    device
        Where models run.
    dtype
        Of weights and products. Full tuning holds its weights in fp32 whatever this says.
    nf4
        Whether bitsandbytes can quantise to four bits here; where it cannot, QLoRA becomes LoRA.
    """

    device: Literal["cpu", "cuda"]
    dtype: Literal["fp32", "bf16"]
    nf4: bool

    def label(self, *, quantized: bool = False) -> str:
        """Name it in keys and manifests: "cpu fp32", or "cuda bf16 nf4" of a quantised model."""
        return f"{self.device} {self.dtype}{' nf4' if quantized and self.nf4 else ''}"


@lru_cache
def detect(dtype: Literal["auto", "fp32", "bf16"] = "auto") -> Precision:
    """Find the precision of this machine; "auto" is bf16 on a GPU and fp32 on a CPU."""
    import torch

    device: Literal["cpu", "cuda"] = "cuda" if torch.cuda.is_available() else "cpu"
    if dtype == "auto":
        dtype = "bf16" if device == "cuda" else "fp32"
    return Precision(device, dtype, _nf4_works(device))


def _nf4_works(device: str) -> bool:
    """Whether bitsandbytes has its kernels here; a warning gives the reason when it has not."""
    try:
        import torch
        from bitsandbytes.functional import dequantize_4bit, quantize_4bit

        weights = torch.ones(64, 64, device=device)
        dequantize_4bit(*quantize_4bit(weights, quant_type="nf4"))
        return True
    except Exception as error:  # whatever a missing or broken kernel raises
        warnings.warn(
            f"no NF4 quantisation here ({error}): "
            "QLoRA becomes LoRA on the un-quantised base, with AdamW",
            stacklevel=2,
        )
        return False


def device_name() -> str:
    """Name the device of this process, for records of time: "cpu", or the GPU's name."""
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
