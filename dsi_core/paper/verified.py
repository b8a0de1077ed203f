"""How far models that were made anew are from the released ones, as a record and in words."""

from dataclasses import dataclass

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Verified:
    """How far models that were tuned here are from the released ones.

    If suspects are asked only about tainted samples (`ask: tainted`), these are tainted by the
    released answers: a verdict here has no answers to samples that are tainted only here.

    Parameters
    ----------
    models
        A row for each: dataset, model, loss_released and loss_here (nats per token, of the last
        epoch; NaN for an untuned one), answers, identical (the share that is word for word the
        released one), similarity (of own to released answers, on the profile's scale, 1 = the
        same), oracle_released and oracle_here (of a reference: mean similarity of its answers to
        the oracle, on that scale; else NaN), evidence_moved (of Eq. 2, mean of its absolute change
        over the samples that are tainted both times; NaN for a reference), verdict_released and
        verdict_here ("" for a reference).
    changed
        The suspects of the dataset whose verdict changed: dataset, suspect, verdict_released,
        verdict_here. A reference that was made anew may change any suspect's verdict.
    sentence
        All of it in words.
    """

    models: pd.DataFrame
    changed: pd.DataFrame
    sentence: str


def sentence(
    named: str,
    models: pd.DataFrame,
    suspects: int,
    changed: pd.DataFrame,
    tainted: tuple[int, int],
    here: str,
    there: str,
) -> str:
    """Say what was found."""
    loss = (models["loss_here"] - models["loss_released"]).abs().max()
    count = models["answers"].sum()
    identical, close = (
        np.average(models[column], weights=models["answers"])
        for column in ("identical", "similarity")
    )
    done, losses = "asked", "No model was tuned"
    if loss >= 0:
        done = "tuned and asked"
        losses = f"Final losses moved by {loss:.3f} nats per token at most"
    others = ", ".join(
        f"{c.suspect} of {c.dataset} (released: {c.verdict_released}, here: {c.verdict_here})"
        for c in changed.itertuples()
    )
    evidence = models["evidence_moved"].mean()
    moved = f"; evidence of a sample by {evidence:.3f} on average" if evidence >= 0 else ""
    return (
        f"{named} {'was' if len(models) == 1 else 'were'} {done} here "
        f"({here}) beside the released answers ({there}). {losses}{moved}; "
        f"of {count} answers {identical:.0%} are the released ones word "
        f"for word, and their mean similarity to these is {close:.3f} (1 = the same). Tainted are "
        f"{tainted[1]} samples instead of {tainted[0]}. "
        + (
            f"Of {suspects} verdicts {len(changed)} changed: {others}."
            if len(changed)
            else f"None of the {suspects} verdicts changed."
        )
    )
