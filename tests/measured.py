"""Finished entries of a store, made up, of which it is known how fast they were."""

from dsi_core.runtime import store

BASE = {"toy": "llama", "chat_template": "x"}


def record(kind, number, spec, **facts):
    """A finished entry of the store."""
    return store.finish(store.entry(kind, "m", {**spec, "number": number}), **facts)


def tuned(number, tokens, device, method="lora"):
    spec = {"base": BASE, "recipe": {"method": method}}
    facts = {"tokens": tokens, "seconds": 10, "device": device, "method": method}
    record("tuned", number, spec, **facts)


def answered(number, tokens, device, precision, **spec):
    model = {"base": BASE, "precision": precision, "recipe": {"method": "qlora"}}
    spec = {"model": model, **spec}
    record("responses", number, spec, tokens=tokens, seconds=10, device=device)


def some():
    """Tunings and answers of three devices; one is not finished, another has no tokens."""
    tuned(0, 100, "round 1")
    tuned(1, 300, "round 1")
    tuned(2, 200, "round 2")
    tuned(3, 9000, "cuda:0")
    answered(4, 50, "round 1", "cpu fp32")
    answered(5, 70, "round 1", "cuda bf16 nf4")
    answered(7, 9000, "round 1", "cuda bf16", server="vllm")
    store.entry("tuned", "unfinished", {"base": BASE, "recipe": {"method": "lora"}})
    without = {"base": BASE, "recipe": {"method": "lora"}, "number": 6}
    record("tuned", 6, without, seconds=10, device="round 1", method="lora")  # no tokens, no rate
