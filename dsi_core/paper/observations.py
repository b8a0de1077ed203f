"""The observations (§4): which samples stand for them, and their texts piece by piece."""

import numpy as np
import pandas as pd

from dsi_core.data.common_words import common, pieces


def most_changed(scores: pd.DataFrame) -> pd.DataFrame:
    """Fig. 2's sample: the row of `study.reference_scores` with the largest gap.

    The lowest id in a tie.
    """
    return scores.sort_values(["gap", "sample_id"], ascending=[False, True]).head(1)


def already_close(scores: pd.DataFrame) -> pd.DataFrame:
    """Fig. 3's sample: the row whose response before tuning is closest to the oracle.

    It is a "fake" tainted sample: close although the model never saw it. The lowest id in a tie.
    """
    return scores.sort_values(["raw_before", "sample_id"], ascending=[False, True]).head(1)


def side_by_side(row: pd.DataFrame, *, with_after: bool = True) -> pd.DataFrame:
    """One sample's texts, cut into pieces: prompt, oracle, response before (and after) tuning.

    Parameters
    ----------
    row : DataFrame
        One row of `study.reference_scores`.
    with_after : bool
        Whether the response after tuning is among them.

    Returns
    -------
    DataFrame
        One row per piece, in order: part (the heading, with the raw similarity, higher = closer to
        the oracle), piece, shared (whether it lies on the longest common subsequence of words with
        the oracle). An empty text is one empty piece.
    """
    sample = row.iloc[0]
    parts = {
        "Prompt": [(piece, False) for piece in pieces(sample["prompt"])],
        "Oracle output": [(piece, False) for piece in pieces(sample["output"])],
    }
    for side in ("before", "after") if with_after else ("before",):
        heading = f"{sample['reference']} {side} tuning on D"
        heading += f" (raw similarity {sample[f'raw_{side}']:.2f})"
        parts[heading] = common(sample["output"], sample[f"response_{side}"])
    rows = [
        (part, piece, shared)
        for part, marked in parts.items()
        for piece, shared in marked or [("", False)]
    ]
    return pd.DataFrame(rows, columns=["part", "piece", "shared"])


def loss_per_epoch(losses: pd.DataFrame) -> pd.DataFrame:
    """The mean loss of each model over each epoch.

    Parameters
    ----------
    losses : DataFrame
        As `study.training_losses`: dataset, model_id, epoch (a fraction while under way), loss.

    Returns
    -------
    DataFrame
        dataset, model_id, epoch (1, 2, ...), loss (nats per token, lower = known better).
    """
    whole = losses.assign(epoch=np.ceil(losses["epoch"]).astype(int))
    by = ["dataset", "model_id", "epoch"]
    return whole.groupby(by, sort=False)["loss"].mean().reset_index()
