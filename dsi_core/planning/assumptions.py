"""What the plan takes for granted: cards, rules, sizes of datasets and models, each with its reason (`params/plan.yaml`)."""

import re
from functools import lru_cache

import pandas as pd

from dsi_core.runtime.paths import ROOT
from dsi_core.settings import profile

FILE = "params/plan.yaml"


def table() -> pd.DataFrame:
    """What the plan takes for granted: item, value, unit, why."""
    file = read()
    rows = [(f"card {n}", _listed(c), "", c["why"]) for n, c in file["cards"].items()]
    rows += [(n, r["value"], r["unit"], r["why"]) for n, r in file["rules"].items()]
    rows += [(f"dataset {n}", _listed(d), "", d["why"]) for n, d in file["datasets"].items()]
    rows += [
        (f"model {n}", b, "billions of parameters", file["models"]["why"])
        for n, b in file["models"]["billions"].items()
    ]
    return pd.DataFrame(rows, columns=["item", "value", "unit", "why"])


def billions(source: str) -> float:
    """A model's parameters in billions: stated in params/plan.yaml, or else what its name tells ("-7b", "65B", "270m").

    Raises `ValueError` for a name that tells no size, or several.
    """
    known = read()["models"]["billions"]
    if source in known:
        return float(known[source])
    found = re.findall(
        r"(?<![a-z0-9.])(\d+(?:\.\d+)?)([bm])(?![a-z0-9])", source.rsplit("/")[-1].lower()
    )
    sizes = {float(number) / {"b": 1, "m": 1000}[unit] for number, unit in found}
    if len(sizes) != 1:
        raise ValueError(
            f"model {source!r}: its name tells {'several sizes' if sizes else 'no size'}; "
            f"add its parameters in billions under models: billions: in {FILE}"
        )
    return sizes.pop()


def card(name: str) -> dict:
    known = read()["cards"]
    if name not in known:
        raise ValueError(f"unknown card {name!r}; known: {', '.join(known)}")
    return known[name]


def rule(name: str) -> float:
    return read()["rules"][name]["value"]


@lru_cache
def read() -> dict:
    return profile.read_yaml(ROOT / FILE)


def _listed(entry: dict) -> str:
    return ", ".join(f"{k} {v}" for k, v in entry.items() if k != "why" and v is not None)
