"""Trials: the exact tests of a wording twin and a private twin, on models whose training is known.

Each model of a draw is tested as an audit would test it, and, as the order of asking is a matter of
chance, in several orders.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from dsi_core.calibration.draws import Draw
from dsi_core.evidence import intervals, looks, twin, wording
from dsi_core.evidence.looks import ExactTest, Looks
from dsi_core.evidence.power import Twin
from dsi_core.method import closeness
from dsi_core.method.closeness import Statistic
from dsi_core.method.similarity import Backbone
from dsi_core.runtime.environment import one_thread

DEALS = 999  # of each trial: coarser than an audit's, as there are thousands


@dataclass(frozen=True)
class Samples:
    """What a test sees of one model: a row for each sample that could be asked, in any order.

    Attributes
    ----------
    kind
        Of the twin.
    values
        Shape (samples,). Of a wording twin: closeness of the answers to the first wording less
        that to the second; of a private twin: closeness to what was or would have been published.
        NaN = nothing usable was answered.
    labels
        Shape (samples,), bool: the first wording was published; the sample was published.
    groups
        Shape (samples,): what shares a coin.
    """

    kind: Twin
    values: np.ndarray
    labels: np.ndarray
    groups: np.ndarray

    @property
    def effect(self) -> float:
        """How strongly the values follow the labels, in their standard deviations.

        Of a wording twin: mean preference for what was published / SD of the centred preference.
        Of a private twin: difference of the means / SD within the parts. Infinite where nothing
        else varies.
        """
        kept = ~np.isnan(self.values)
        values, labels = self.values[kept], self.labels[kept]
        if self.kind == Twin.WORDING:
            towards = np.where(labels, 1.0, -1.0) * (values - values.mean())
            difference, spread = towards.mean(), towards.std(ddof=1)
        else:
            one, other = values[labels], values[~labels]
            within = np.concatenate([one - one.mean(), other - other.mean()])
            difference, spread = one.mean() - other.mean(), within.std(ddof=2)
        with np.errstate(divide="ignore", invalid="ignore"):
            return float(difference / spread)

    def ordered(self, order: np.ndarray) -> "Samples":
        """Give the same samples in another order."""
        return Samples(self.kind, self.values[order], self.labels[order], self.groups[order])

    def test(self, planned: Looks, seed: int, deals: int = DEALS) -> ExactTest:
        """Test the samples in their order."""
        test = wording.test if self.kind == Twin.WORDING else twin.test
        return test(self.values, self.labels, self.groups, planned, seed, deals)


def close(
    statistic: Statistic,
    answers: pd.DataFrame,
    rows: pd.DataFrame,
    backbone: Backbone | None = None,
) -> pd.DataFrame:
    """Tell how close every model's answers come to both wordings.

    Parameters
    ----------
    answers
        Usable ones: model, row, draw, response.
    rows
        Columns row, first, second.

    Returns
    -------
    pandas.DataFrame
        model, row, first, second: closeness in [0, 1], NaN where a model gave no usable answer.
    """
    texts, tables = rows.set_index("row"), []
    for model, said in answers.groupby("model", sort=False):
        said = said.rename(columns={"row": "sample_id"})
        to = {
            name: closeness.per_sample(statistic, said, texts[name], backbone)
            for name in ("first", "second")
        }
        tables.append(pd.DataFrame(to).rename_axis("row").reset_index().assign(model=model))
    return pd.concat(tables, ignore_index=True)[["model", "row", "first", "second"]]


def samples(kind: Twin, close: pd.DataFrame, drawn: Draw) -> Samples:
    """Give what a test of a draw sees of one model.

    Parameters
    ----------
    kind
        A wording twin is of the published rows, a private twin of all.
    close
        Of that model.
    """
    rows = drawn.published if kind == Twin.WORDING else drawn.rows
    own = close.set_index("row").loc[rows["row"]]
    first, second = own["first"].to_numpy(), own["second"].to_numpy()
    first_published, groups = rows["first_published"].to_numpy(bool), rows["group"].to_numpy()
    if kind == Twin.WORDING:
        return Samples(kind, first - second, first_published, groups)
    values = np.where(first_published, first, second)
    return Samples(kind, values, rows["published"].to_numpy(bool), groups)


@dataclass(frozen=True)
class Trials:
    """What a model's trials came to.

    Attributes
    ----------
    kind, samples
        Of the twin; how many could be asked.
    effect
        As `Samples.effect`.
    p
        Of all samples, at one look.
    runs, found
        Trials with planned looks, and the share of them that found.
    samples_to_find
        Median of the samples asked until a look found, over all trials; infinite where at most
        half of them found.
    """

    kind: Twin
    samples: int
    effect: float
    p: float
    runs: int
    found: float
    samples_to_find: float


def in_orders(seen: Samples, alpha: float, runs: int, seed: int) -> Trials:
    """Try a model in many random orders of asking."""
    rng, size = np.random.default_rng(seed), len(seen.values)
    planned = looks.planned(size, alpha)
    after = []
    with one_thread():
        for _ in range(runs):
            tried = seen.ordered(rng.permutation(size))
            after.append(tried.test(planned, int(rng.integers(2**31))).found_after)
        whole = seen.test(looks.planned(size, alpha, 1), seed, looks.DEALS)
    reached = np.array([np.inf if a is None else a for a in after])
    return Trials(
        kind=seen.kind,
        samples=size,
        effect=seen.effect,
        p=whole.p,
        runs=runs,
        found=float(np.isfinite(reached).mean()),
        samples_to_find=float(np.median(reached)),
    )


def table(
    close: pd.DataFrame,
    drawn: Draw,
    models: Sequence[str],
    *,
    alpha: float,
    runs: int,
) -> pd.DataFrame:
    """Try models of a draw by both twins: columns model, draw and the fields of `Trials`."""
    rows = []
    for model in models:
        part = close[close["model"] == model]
        for kind in Twin:
            tried = in_orders(samples(kind, part, drawn), alpha, runs, drawn.number)
            rows.append({"model": model, "draw": drawn.number, **asdict(tried)})
    return pd.DataFrame(rows)


def summary(trials: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Average trials over draws, which are the clusters: one draw is one observation.

    Parameters
    ----------
    trials
        As `table` returns it: a row for each model on each of its draws.

    Returns
    -------
    pandas.DataFrame
        `by`, models, effect (mean over draws of its mean in each, and its 95% t interval: low,
        high, NaN of a single draw), found (mean over trials, and that of the worst: found_least),
        samples_to_find (median over trials).
    """
    rows = []
    for name, part in trials.groupby(by, sort=False):
        effects = part.groupby("draw")["effect"].mean()
        low, high = intervals.of_mean(effects.to_numpy())
        rows.append(
            {
                **dict(zip(by, name, strict=True)),
                "models": part["model"].nunique(),
                "effect": effects.mean(),
                "low": low,
                "high": high,
                "found": part["found"].mean(),
                "found_least": part["found"].min(),
                "samples_to_find": part["samples_to_find"].median(),
            }
        )
    return pd.DataFrame(rows)
