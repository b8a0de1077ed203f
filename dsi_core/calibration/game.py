"""A p-value as a game of coins: how often a model prefers the wording that a coin chose."""

import numpy as np
import pandas as pd

from dsi_core.calibration import trials
from dsi_core.calibration.calibrated import Calibrated
from dsi_core.calibration.models import Kind
from dsi_core.evidence.power import Twin
from dsi_core.method import closeness


def hits(run: Calibrated, number: int) -> pd.DataFrame:
    """Count the rows of a draw where a model's answer is closer to the wording that was published.

    To a model that never saw D each coin is a fresh toss, whatever it answers: its hits are heads
    of fair coins. (The wording twin's own test also uses how *much* closer an answer is.)

    Parameters
    ----------
    number
        Of the draw.

    Returns
    -------
    pandas.DataFrame
        model, kind, samples (published rows, one of each coin, with an answer that is closer to one
        wording), hits (those closer to the published one): the members of the draw that learnt it
        half, innocent models, and who learnt the other wording, if `Calibrated.answering`. The
        largest share of hits first.
    """
    one = run.drawn[number]
    kinds = {Kind.WEAK: [number], Kind.INNOCENT: None, Kind.OTHER_WORDING: [number]}
    names = {name: kind for kind, of in kinds.items() for name in run.names(kind, of)}
    answers = run.answers[run.answers["row"].isin(one.published["row"])]
    rows = []
    for name in run.answering(names, one.published):
        said = answers[answers["model"] == name]
        seen = trials.samples(Twin.WORDING, trials.close(closeness.DEFAULT, said, one.rows), one)
        first_of_coin = ~pd.Series(seen.groups).duplicated().to_numpy()
        leans = first_of_coin & (np.nan_to_num(seen.values) != 0)
        hit = (seen.values > 0) == seen.labels
        counts = {"samples": int(leans.sum()), "hits": int(hit[leans].sum())}
        rows.append({"model": name, "kind": str(names[name]), **counts})
    table = pd.DataFrame(rows, columns=["model", "kind", "samples", "hits"])
    order = (table["hits"] / table["samples"]).sort_values(ascending=False).index
    return table.loc[order].reset_index(drop=True)
