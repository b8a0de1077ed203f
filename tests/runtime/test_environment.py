"""Workers' memory: a job does not grow by what its steps have freed; threads of small products."""

import mmap
import os
import platform
import subprocess
import sys
import warnings
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
import torch
from threadpoolctl import threadpool_info

from dsi_core.runtime import environment
from dsi_core.runtime.engines import work
from dsi_core.runtime.environment import HEAP, one_thread

LIBRARY, VERSION = platform.libc_ver()
NUMBERS = tuple(int(number) for number in VERSION.split(".")[:2] if number.isdigit())
BLOCK, STEPS = 2**26, 12
glibc = pytest.mark.skipif(LIBRARY != "glibc", reason="another library of C reads no MALLOC_*")

# A block aligned as torch's, freed after use, and a few bytes meanwhile. Where these stay, as do
# those that oneDNN keeps for each shape, they take the rests that alignment leaves at the block's
# ends, so that its hole is too small for the next.
REPLAY = f"""
import ctypes
from pathlib import Path

c = ctypes.CDLL(None)
c.malloc.restype, c.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
c.free.restype = None
c.free.argtypes = [ctypes.c_void_p]
c.posix_memalign.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t]
c.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]

def held():
    return int(Path("/proc/self/statm").read_text().split()[1]) * {mmap.PAGESIZE}

before, block = held(), ctypes.c_void_p()
for step in range({STEPS}):
    assert c.posix_memalign(ctypes.byref(block), 64, {BLOCK}) == 0
    c.memset(block, 1, {BLOCK})
    small = [c.malloc(size) for size in range(24, 105, 16)]
    c.free(block)
    BETWEEN
print((held() - before) / {BLOCK})
"""


def blocks_held(variables: dict, between: str = "pass") -> float:
    """Tell how many blocks a process holds after the replay, with something done at each step."""
    done = subprocess.run(
        [sys.executable, "-c", REPLAY.replace("BETWEEN", between)],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout)


@glibc
@pytest.mark.skipif(NUMBERS >= (2, 38), reason="this glibc joins the rests with the hole again")
def test_each_step_may_leave_a_hole_in_a_workers_heap():
    assert blocks_held(HEAP) > STEPS - 2


@glibc
def test_small_blocks_that_are_freed_again_leave_no_hole():
    freed = "[*map(c.free, small)]"
    assert blocks_held(HEAP, freed) < 2
    if NUMBERS < (2, 38):
        cached = {name: HEAP[name] for name in HEAP if name != "GLIBC_TUNABLES"}
        assert blocks_held(cached, freed) > 4


@glibc
def test_a_job_does_not_grow_by_the_holes_that_its_steps_leave():
    limit = f"from dsi_core.runtime import environment; environment.GROWTH = {2 * BLOCK}; "
    assert blocks_held(HEAP, limit + "environment.give_back_growth()") < 5


def test_a_job_gives_back_when_it_has_grown_since_its_first_step(monkeypatch):
    said, gave = iter([5.0, 5.9, 4.0, 6.1, 3.0, 3.9]), []
    monkeypatch.setattr(environment, "_settled", None)
    monkeypatch.setattr(
        psutil.Process,
        "memory_info",
        lambda _: SimpleNamespace(rss=next(said) * environment.GROWTH),
    )
    monkeypatch.setattr(environment.gc, "collect", lambda: gave.append(len(gave)))
    with work.reporting(lambda share: None):
        counts = [(work.report(0.5), len(gave))[1] for _ in range(6)]
    assert counts == [0, 0, 0, 1, 1, 1]  # at 6.1; 3.0 is the first step of what follows


# Products of bf16, each of another length, as answers of pairs have: what stays of them in the heap
SHAPES = """
import ctypes
import torch

class Heap(ctypes.Structure):
    _fields_ = [(str(name), ctypes.c_size_t) for name in range(10)]

c = ctypes.CDLL(None)
c.mallinfo2.restype = Heap

def in_use():
    heap = c.mallinfo2()
    return getattr(heap, "4") + getattr(heap, "7")  # hblkhd, uordblks

layer = torch.nn.Linear(576, 1536, bias=False, dtype=torch.bfloat16)
with torch.no_grad():
    for tokens in range(100, 600):
        layer(torch.ones(tokens, 576, dtype=torch.bfloat16))
        if tokens == 110:
            before = in_use()
print(in_use() - before)
"""


@glibc
@pytest.mark.skipif(NUMBERS < (2, 33), reason="this glibc has no mallinfo2")
@pytest.mark.skipif(
    not torch.ops.mkldnn._is_mkldnn_bf16_supported(), reason="this CPU has no products of bf16"
)
def test_a_worker_does_not_grow_by_each_shape_of_a_product():
    def grown(variables):
        done = subprocess.run(
            [sys.executable, "-c", SHAPES],
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            check=True,
        )
        return int(done.stdout)

    usual = {name: HEAP[name] for name in HEAP if name.startswith("MALLOC")}
    assert grown(HEAP) < 0.25 * grown(usual)


def test_numpy_multiplies_on_one_thread_and_afterwards_as_before():
    def threads():
        np.ones((2, 2)) @ np.ones((2, 2))
        return [one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"]

    before = threads()
    with one_thread():
        assert set(threads()) == {1}
    assert before and threads() == before


def test_a_message_of_many_lines_becomes_one():
    error = ValueError("  two\n\twords,\r\nand\u00a0more ")
    assert environment.one_line(error) == "two words, and more"
    assert environment.one_line(error, 5) == "two w"


def test_a_worker_warns_of_what_is_ours_alone():
    with warnings.catch_warnings(record=True) as warned:
        work.our_warnings_alone()
        for module in ("transformers.trainer", "dsi_core_of_others", "dsi_core.data.pairs"):
            warnings.warn_explicit(f"of {module}", UserWarning, "file.py", 1, module)
    assert [str(one.message) for one in warned] == ["of dsi_core.data.pairs"]
