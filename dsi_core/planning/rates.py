"""Measured rates: tokens per second of every finished tuning and asking that the store has a record of."""

import json

import pandas as pd

from dsi_core.runtime import store


def measured() -> pd.DataFrame:
    """Rates in the store: step (tune | answer), base (where it is from), method, device, tokens_per_s (median), count.

    method: qlora, lora or full for tuning; for answers the weights, nf4 or plain. Tokens: trained on, or newly generated.
    """
    groups = runs().groupby(["step", "base", "method", "device"])["tokens_per_s"]
    return groups.agg(tokens_per_s="median", count="size").reset_index()


def runs() -> pd.DataFrame:
    """Every finished tuning and asking in the store that has a rate: step, base, method, device, tokens_per_s."""
    rows = []
    for path in sorted(
        p for kind in ("tuned", "responses") for p in store.root().glob(f"{kind}/*/spec.json")
    ):
        done, spec = store.manifest(path.parent) or {}, json.loads(path.read_text(encoding="utf-8"))
        model = spec.get("model", spec)
        if done.get("tokens") and done.get("seconds"):
            method, cpu = (
                model.get("recipe", {}).get("method"),
                done.get("versions", {}).get("torch", "").endswith("+cpu"),
            )
            answers = {"step": "answer", "method": "nf4" if method == "qlora" else "plain"}
            rows.append(
                {
                    "base": source_of(model["base"]),
                    "device": done.get("device") or ("cpu" if cpu else "unknown"),
                    "tokens_per_s": done["tokens"] / done["seconds"],
                    **(answers if "model" in spec else {"step": "tune", "method": method}),
                }
            )
    return pd.DataFrame(rows, columns=["step", "base", "method", "device", "tokens_per_s"])


def source_of(spec: dict) -> str:
    """Where a model is from, whatever a profile calls it: hub id, path, first package, "toy family", or "name at URL"."""
    if "endpoint" in spec:
        return f"{spec['endpoint']['model']} at {spec['endpoint']['base_url']}"
    if "toy" in spec:
        return f"toy {spec['toy']}"
    return spec.get("hub") or spec.get("path") or next(iter(spec["package"])).partition("==")[0]
