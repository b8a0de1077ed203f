"""In which precision this machine computes: decided once, and written into every key."""

import json
import warnings
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from dsi_core.runtime import disk, locks, provenance, store
from dsi_core.runtime.environment import quiet

Dtype = Literal["fp32", "bf16"]
DTYPES: tuple[Dtype, ...] = ("fp32", "bf16")

# Instructions that multiply bf16; a CPU without them emulates it, several times slower than fp32
BF16_INSTRUCTIONS = ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16")
FASTER = 1.5  # times the products a second at which bf16 is worth its rounding
PRODUCT = 1024  # rows and columns of the matrices that are multiplied to find out
MEASURE_SECONDS = 0.5  # for each type


@dataclass(frozen=True)
class Precision:
    """How weights are held and multiplied.

    Parameters
    ----------
    device
        Where models run.
    dtype
        Of weights and products. Full tuning holds its weights in fp32 whatever this says.
    """

    device: Literal["cpu", "cuda"]
    dtype: Dtype

    @property
    def nf4(self) -> bool:
        """Whether bitsandbytes can quantise to four bits; where it cannot, QLoRA becomes LoRA."""
        return _nf4_works(self.device)

    def label(self, *, quantized: bool = False) -> str:
        """Name it in keys and manifests: "cpu fp32", or "cuda bf16 nf4" of a quantised model."""
        return f"{self.device} {self.dtype}{' nf4' if quantized and self.nf4 else ''}"


@lru_cache
def detect(dtype: Literal["auto", "fp32", "bf16"] = "auto") -> Precision:
    """Find the precision of this machine.

    "auto" is bf16 on a GPU, and on a CPU that has instructions for it and multiplies matrices
    faster with them; fp32 elsewhere. The measurement is kept in the store, for each kind of CPU, so
    that every process and every rerun decides alike.
    """
    import torch

    device: Literal["cpu", "cuda"] = "cuda" if torch.cuda.is_available() else "cpu"
    if dtype == "auto":
        dtype = "bf16" if device == "cuda" else _of_cpu()
    return Precision(device, dtype)


def _of_cpu() -> Dtype:
    """What this CPU computes in: bf16 where it has the instructions and they pay."""
    import torch

    capabilities = torch.cpu.get_capabilities()
    if not any(capabilities.get(name) for name in BF16_INSTRUCTIONS):
        return "fp32"
    name = str(capabilities.get("cpu_name", capabilities.get("architecture", "cpu")))
    path = store.root() / "precision.json"
    with locks.held(store.make_root()):
        known = disk.read_json(path, "remove it") if path.exists() else {}
        if name not in known:
            known[name] = {f"{t}_gflops": product_flops(t) / 1e9 for t in DTYPES}
            disk.write_text(path, json.dumps(known, indent=1))
    rates = known[name]
    return "bf16" if rates["bf16_gflops"] > FASTER * rates["fp32_gflops"] else "fp32"


def product_flops(dtype: Dtype) -> float:
    """Measure a matrix product with one thread of this CPU: floating-point operations a second.

    The fastest of the products within `MEASURE_SECONDS` counts: other load only slows them down.
    """
    import torch
    from torch.utils.benchmark import Timer

    kind = {"fp32": torch.float32, "bf16": torch.bfloat16}[dtype]
    left, right, out = torch.rand(3, PRODUCT, PRODUCT).to(kind)
    timer = Timer(
        "torch.matmul(left, right, out=out)",
        globals={"torch": torch, "left": left, "right": right, "out": out},
        num_threads=1,
    )
    measured = timer.blocked_autorange(min_run_time=MEASURE_SECONDS)
    return 2 * PRODUCT**3 / min(measured.times)


@lru_cache
def _nf4_works(device: str) -> bool:
    """Whether bitsandbytes has its kernels here; a warning gives the reason when it has not.

    A positive result is kept in the store, for each device and version: to find out takes an import
    of three seconds, in every process that names a QLoRA model.
    """
    path, here = store.root() / "nf4.json", _kernels(device)
    seen = disk.read_json(path, "remove it") if path.exists() else []
    if here in seen:
        return True
    quiet()  # it would advise to install kernels that are not needed
    try:
        import torch
        from bitsandbytes.functional import dequantize_4bit, quantize_4bit

        weights = torch.ones(64, 64, device=device)
        dequantize_4bit(*quantize_4bit(weights, quant_type="nf4"))
    except Exception as error:  # whatever a missing or broken kernel raises
        warnings.warn(
            f"no NF4 quantisation here ({error}): "
            "QLoRA becomes LoRA on the un-quantised base, with AdamW",
            stacklevel=2,
        )
        return False
    if path.parent.is_dir():
        with suppress(OSError):  # a store that may only be read
            disk.write_text(path, json.dumps([*seen, here], indent=1))
    return True


def _kernels(device: str) -> str:
    versions = provenance.versions()
    libraries = ", ".join(f"{name} {versions[name]}" for name in ("bitsandbytes", "torch"))
    return f"{provenance.cpu() if device == 'cpu' else device_name()}: {libraries}"


def device_name() -> str:
    """Name the device of this process, for records of time: "cpu", or the GPU's name."""
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
