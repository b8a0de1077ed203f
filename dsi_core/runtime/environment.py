"""What libraries read when a process starts, and what they would say."""

import ctypes
import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil

# glibc gives large blocks back to the system at every free and faults them in again at the next
# step: up to a third of a training's time. Keeping them costs no memory at the peak of a step, but
# a step may not fit into the holes of the one before: `give_back_growth`. In bf16 oneDNN and torch
# keep something for each of 1,024 shapes of products, a new one at almost every step: blocks that
# stay in those holes. 64 hold all shapes of a step's layers. A thread's cache of small blocks keeps
# what torch's alignment cuts off a large one, so that its hole is too small for the next.
HEAP: dict[str, str | None] = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(10**11),
    "MALLOC_TOP_PAD_": str(2**26),
    "GLIBC_TUNABLES": "glibc.malloc.tcache_count=0",
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "64",
    "LRU_CACHE_CAPACITY": "64",
}
GROWTH = 5e8  # bytes by which a job may grow after its first step, before it gives memory back
ONE_THREAD: dict[str, str | None] = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
}
QUIET: dict[str, str | None] = {
    "TRANSFORMERS_VERBOSITY": "error",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
}

_settled: int | None = None  # what this process held after its first step since it gave back


@contextmanager
def variables(values: dict[str, str | None]) -> Iterator[None]:
    """Set environment variables (None = removed), and put them back as they were afterwards."""
    before = {name: os.environ.get(name) for name in values}
    set_variables(values)
    try:
        yield
    finally:
        set_variables(before)


def set_variables(values: dict[str, str | None]) -> None:
    """Set environment variables (None = removed)."""
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


@contextmanager
def one_thread() -> Iterator[None]:
    """Let numpy multiply on one thread: small products wait for each other on several.

    Kernels that a command begins have one (`ONE_THREAD`), those of JupyterLab as many as cores.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, user_api="blas"):
        yield


def give_back_memory() -> None:
    """Give the system the memory that a job has freed, whose holes the next job fits badly.

    Also a GPU's: memory that torch keeps is out of reach for a vLLM server and other workers.
    """
    gc.collect()
    trim_memory()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def give_back_growth() -> None:
    """Give memory back, between the steps of a job, if it has grown by `GROWTH` since the first.

    The process keeps what a step frees for the next step. If that does not fit into the holes, as
    in bf16, a process became ten times as large as what it used.
    """
    global _settled
    held = psutil.Process().memory_info().rss
    if _settled is None:
        _settled = held
    elif held > _settled + GROWTH:
        gc.collect()
        trim_memory()


def trim_memory() -> None:
    """Give the system what is free already: no collection looks for more."""
    global _settled
    _settled = None
    with suppress(AttributeError, OSError, TypeError):  # another library of C than glibc
        ctypes.CDLL(None).malloc_trim(0)


def quiet() -> None:
    """Silence the progress bars and the advice of the libraries: ours says what runs.

    No library is imported for it: those not imported yet read variables, the others are told.
    """
    import logging
    import warnings

    set_variables(QUIET)
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")
    warnings.filterwarnings("ignore", message="Paged optimizers are not supported on CPU")
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    if transformers := sys.modules.get("transformers"):
        transformers.utils.logging.disable_progress_bar()
        transformers.utils.logging.set_verbosity_error()
    if datasets := sys.modules.get("datasets"):
        datasets.disable_progress_bars()


def refuse_remote_code() -> None:
    """Let transformers refuse code that comes with a model, unless it is allowed.

    By default transformers asks at the terminal.
    """
    from transformers import dynamic_module_utils

    dynamic_module_utils.TIME_OUT_REMOTE_CODE = 0


def printable(text: str) -> str:
    r"""Spell out what a terminal obeys or hides where it should show it, as "\x1b" and "\u202e".

    Names in a user's file may hold such characters. Line ends and tabs stay.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else _spelled(c) for c in text)


def _spelled(sign: str) -> str:
    return sign.encode("unicode_escape").decode()


def one_line(text: object, longest: int | None = None) -> str:
    """Write a text, or an error's message, on one line, of at most `longest` characters."""
    return " ".join(str(text).split())[:longest]


def any_text() -> None:
    """Let this process print any text: a console that lacks a character shows its number.

    A closed stream becomes /dev/null, before a file of ours gets its descriptor.
    """
    for name, way in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, way, encoding="utf-8"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # not a notebook's
            stream.reconfigure(errors="backslashreplace")
