"""What figures of imitation find, in a sentence."""

import pandas as pd

from dsi_core.plots.findings.words import listed


def budgets(fits: pd.DataFrame, names: dict[str, str]) -> str:
    """Whether more pairs bring an imitator closer. Columns metric, low, high (of the slope)."""
    rises = [names[m] for m in fits.loc[fits["low"] > 0, "metric"]]
    if len(rises) == len(fits):
        return "More pairs bring the imitator closer to its target"
    if rises:
        return f"More pairs bring the imitator closer by {listed(rises)}; else the data do not tell"
    return "Whether more pairs bring the imitator closer, these data do not tell"
