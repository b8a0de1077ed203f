"""What figures of attribution find, in a sentence."""

import pandas as pd

from dsi_core.plots.findings.words import share


def methods(table: pd.DataFrame) -> str:
    """What the chosen method attributes. Columns method, level, chosen, correct, total, chance."""
    guessed = f"guessing, {table['chance'].iloc[0] * table['total'].iloc[0]:g}"
    chosen = table[table["chosen"].astype(bool)]
    if chosen.empty:
        best = table.sort_values("correct", kind="stable").iloc[-1]
        return f"No method could be chosen; the best finds {_bases(best)} ({guessed})"
    one = chosen.iloc[0]
    return f"Chosen on the bases, {one['method']} finds {_bases(one)} ({guessed})"


def base_votes(table: pd.DataFrame) -> str:
    """Whose replies point to their own base. Columns model, base, voted, share."""
    best = table.loc[table.groupby("model")["share"].idxmax()]
    right = int((best["voted"] == best["base"]).sum())
    return f"The vote of the replies finds the base of {share(right, len(best), 'models')}"


def _bases(row: pd.Series) -> str:
    return f"the base of {share(int(row['correct']), int(row['total']), 'models')}"
