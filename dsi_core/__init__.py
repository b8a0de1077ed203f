"""Black-box dataset inference: did this language model train on my dataset?

The public names are the rooms below, in the order of `notebooks/pages/architecture.md`. A room is
imported when it is first used, so that `import dsi_core` costs nothing.
"""

from importlib import import_module
from types import ModuleType

__version__ = "0.9.0"

ROOMS = [
    "settings",
    "runtime",
    "data",
    "services",
    "models",
    "method",
    "protect",
    "evidence",
    "paper",
    "audit",
    "grey_box",
    "attribution",
    "imitation",
    "planning",
    "plots",
    "benchmarks",
    "calibration",
    "reproduce",
    "cli",
]

__all__ = ["__version__", *ROOMS]


def __getattr__(name: str) -> ModuleType:
    if name in ROOMS:
        return import_module(f"dsi_core.{name}")
    raise AttributeError(f"module 'dsi_core' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
