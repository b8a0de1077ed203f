"""What a GPU's own kernels take, whatever the host takes."""

import numpy as np

KERNELS = {  # parts of their names
    "attention": ("flash", "fmha", "attention"),
    "products": ("gemm", "nvjet", "cutlass", "cublas", "gemv"),
    "unpacking": ("dequantize",),
}


class Kernels:
    """Sums up what a GPU's kernels took."""

    def __init__(self) -> None:
        import torch

        self.profiler = torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA])

    def begin(self) -> None:
        """From now on."""
        self.profiler.start()

    def end(self) -> None:
        """Until now."""
        wait()
        self.profiler.stop()

    def row(self, tokens: int, steps: int) -> dict:
        """Give a step's milliseconds by kind, and the tokens a second if nothing else waits."""
        sums = dict.fromkeys((*KERNELS, "other"), 0.0)
        for event in self.profiler.key_averages():
            name = event.key.lower()
            kinds = [k for k, parts in KERNELS.items() if any(part in name for part in parts)]
            sums[kinds[0] if kinds else "other"] += event.self_device_time_total / 1000 / steps
        busy = sum(sums.values()) / 1000
        return {
            **{f"{kind}_ms": ms for kind, ms in sums.items()},
            "seconds": busy,
            "tokens_per_s": tokens / steps / busy if busy else np.nan,
            "note": f"{tokens / steps:.0f} tokens a step; kernels alone",
        }


def wait() -> None:
    """Wait until a GPU, where there is one, has done all that it was given."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()
