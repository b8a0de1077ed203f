"""What figures of attribution find, in a sentence."""

import pandas as pd

from dsi_core.plots.findings.words import share


def methods(table: pd.DataFrame) -> str:
    """What the chosen method attributes, by the mean score of a model's replies.

    Columns method, level, chosen, correct, total, chance.
    """
    guessed = f"guessing, {table['chance'].iloc[0] * table['total'].iloc[0]:g}"
    chosen = table[table["chosen"].astype(bool)]
    if chosen.empty:
        best = table.sort_values("correct", kind="stable").iloc[-1]
        return f"No method could be chosen; the best finds {_bases(best)} ({guessed})"
    one = chosen.iloc[0]
    found = f"{one['method']} finds {_bases(one)} by their replies' mean score"
    return f"Chosen on the bases, {found} ({guessed})"


def base_votes(table: pd.DataFrame) -> str:
    """Whose base has most votes of the replies. Columns method, model, base, voted, share."""
    best = table.loc[table.groupby("model")["share"].idxmax()]
    right = int((best["voted"] == best["base"]).sum())
    found = f"{table['method'].iloc[0]} finds the base of {share(right, len(best), 'models')}"
    return f"If each reply votes, {found}"


def _bases(row: pd.Series) -> str:
    return f"the base of {share(int(row['correct']), int(row['total']), 'models')}"
