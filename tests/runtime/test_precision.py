"""Which precision a machine computes in: by its instructions, and by what it measured once."""

import json

import pytest
import torch

from dsi_core.runtime import precision, provenance


@pytest.fixture
def machine(empty_store, monkeypatch):
    """machine(fp32, bf16, **instructions) = the precision of a CPU with these GFLOP/s."""

    def decide(fp32, bf16, **instructions):
        rates = {"fp32": fp32 * 1e9, "bf16": bf16 * 1e9}
        monkeypatch.setattr(precision, "product_flops", lambda dtype: rates[dtype])
        capabilities = {"cpu_name": "CPU 3000", **instructions}
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
        precision.detect.cache_clear()
        return precision.detect().dtype

    yield decide
    precision.detect.cache_clear()


@pytest.mark.parametrize(
    ("rates", "instructions", "dtype"),
    [
        ((60, 300), {"avx512_bf16": True}, "bf16"),
        ((60, 300), {"avx512_bf16": False, "amx_bf16": True}, "bf16"),
        ((60, 80), {"avx512_bf16": True}, "fp32"),  # has them, and they do not pay
        ((60, 300), {"avx2": True, "avx512_bf16": False}, "fp32"),  # emulated
    ],
)
def test_bf16_where_a_cpu_has_it_and_is_faster(machine, rates, instructions, dtype):
    assert machine(*rates, **instructions) == dtype


def test_what_was_measured_once_decides_again(machine, empty_store):
    """A rerun beside other load measures nothing: its keys are those of the first run."""
    assert machine(60, 300, avx512_bf16=True) == "bf16"
    assert machine(60, 50, avx512_bf16=True) == "bf16"
    kept = json.loads((empty_store / "precision.json").read_text())
    assert kept == {"CPU 3000": {"fp32_gflops": 60, "bf16_gflops": 300}}


def test_a_cpu_without_the_instructions_measures_nothing(machine, empty_store):
    machine(60, 300)
    assert not (empty_store / "precision.json").exists()


def test_what_a_profile_names_counts(machine):
    machine(60, 300, avx512_bf16=True)
    assert precision.detect("fp32").label() == "cpu fp32"
    assert precision.detect("bf16").label() == "cpu bf16"


def test_kernels_that_were_seen_once_are_not_looked_at_again(empty_store, monkeypatch):
    """In a store that is there; other versions are looked at."""
    functional = pytest.importorskip("bitsandbytes.functional")

    def works():
        precision._nf4_works.cache_clear()
        return precision._nf4_works("cpu")

    try:
        assert works() and not empty_store.exists()
        empty_store.mkdir()
        assert works()
        (kept,) = json.loads((empty_store / "nf4.json").read_text())
        assert "bitsandbytes" in kept and "torch" in kept
        monkeypatch.setattr(functional, "quantize_4bit", lambda *_, **__: 1 / 0)
        assert works()
        versions = {**provenance.versions(), "bitsandbytes": "0.1"}
        monkeypatch.setattr(provenance, "versions", lambda: versions)
        with pytest.warns(UserWarning, match="no NF4 quantisation here"):
            assert not works()
    finally:
        precision._nf4_works.cache_clear()


def test_a_product_of_two_matrices(monkeypatch):
    """2 x 1024^3 operations: between a thousandth of a second and a minute on any machine."""
    monkeypatch.setattr(precision, "MEASURE_SECONDS", 0.01)
    assert 2 * 1024**3 / 60 < precision.product_flops("fp32") < 2 * 1024**3 * 1e4
