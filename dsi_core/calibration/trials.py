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
        """Give the same samples in another order, or some of them, or some again."""
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


def samples(kind: Twin, close: pd.DataFrame, drawn: Draw, controls: Sequence[str] = ()) -> Samples:
    """Give what a test of a draw sees of one model.

    Parameters
    ----------
    kind
        A wording twin is of the published rows, a private twin of all.
    close
        Of that model, and of `controls`, whose mean for each sample is subtracted.
    """
    rows = drawn.published if kind == Twin.WORDING else drawn.rows
    by_model = {
        str(model): part.set_index("row").loc[rows["row"]] for model, part in close.groupby("model")
    }
    first_published = rows["first_published"].to_numpy(bool)

    def value(model: str) -> np.ndarray:
        first, second = (by_model[model][name].to_numpy() for name in ("first", "second"))
        if kind == Twin.WORDING:
            return first - second
        return np.where(first_published, first, second)

    (suspect,) = set(by_model) - set(controls)
    values = value(suspect)
    if controls:
        values = values - np.nanmean([value(control) for control in controls], axis=0)
    labels = first_published if kind == Twin.WORDING else rows["published"].to_numpy(bool)
    return Samples(kind, values, labels, rows["group"].to_numpy())


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


def in_orders(
    seen: Samples, alpha: float, runs: int, seed: int, *, again: bool = False, count: int = 12
) -> Trials:
    """Try a model in many random orders of asking.

    again: samples are drawn with replacement, so that `found` is the power for new samples of this
    kind, and not of these; each carries its coin with it.
    """
    rng, size = np.random.default_rng(seed), len(seen.values)
    planned = looks.planned(size, alpha, count)
    after = []
    for _ in range(runs):
        order = _drawn_again(seen, rng) if again else rng.permutation(size)
        tried = seen.ordered(order)
        if again:
            tried = Samples(seen.kind, tried.values, tried.labels, np.arange(size))
        after.append(tried.test(planned, int(rng.integers(2**31))).found_after)
    reached = np.array([np.inf if a is None else a for a in after])
    whole = seen.test(looks.planned(size, alpha, 1), seed, looks.DEALS)
    return Trials(
        kind=seen.kind,
        samples=size,
        effect=seen.effect,
        p=whole.p,
        runs=runs,
        found=float(np.isfinite(reached).mean()),
        samples_to_find=float(np.median(reached)),
    )


def _drawn_again(seen: Samples, rng: np.random.Generator) -> np.ndarray:
    """Positions drawn with replacement, of a private twin as many from each part."""
    if seen.kind == Twin.WORDING:
        return rng.integers(len(seen.values), size=len(seen.values))
    parts = [np.flatnonzero(seen.labels == label) for label in (True, False)]
    return rng.permutation(np.concatenate([rng.choice(part, len(part)) for part in parts]))


def table(
    close: pd.DataFrame,
    drawn: Draw,
    models: Sequence[str],
    *,
    alpha: float,
    runs: int,
    controls: Sequence[str] = (),
    again: bool = False,
) -> pd.DataFrame:
    """Try models of a draw by both twins: columns model, draw and the fields of `Trials`."""
    rows = []
    for model in models:
        others = [control for control in controls if control != model]
        part = close[close["model"].isin([model, *others])]
        for kind in Twin:
            seen = samples(kind, part, drawn, others)
            tried = in_orders(seen, alpha, runs, drawn.number, again=again)
            rows.append({"model": model, "draw": drawn.number, **asdict(tried)})
    return pd.DataFrame(rows)


def summary(trials: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Average trials over draws, which are the clusters: one draw is one observation.

    Returns
    -------
    pandas.DataFrame
        `by`, models, effect (mean, and its 95% t interval over models: low, high), found (mean
        over models, and that of the worst: found_least), samples_to_find (median over models).
    """
    rows = []
    for name, part in trials.groupby(by, sort=False):
        effects = part["effect"]
        low = high = np.nan
        if len(part) > 1:
            error = effects.std(ddof=1) / np.sqrt(len(part))
            low, high = intervals.student(effects.mean(), error, len(part) - 1)
        rows.append(
            {
                **dict(zip(by, name, strict=True)),
                "models": len(part),
                "effect": effects.mean(),
                "low": low,
                "high": high,
                "found": part["found"].mean(),
                "found_least": part["found"].min(),
                "samples_to_find": part["samples_to_find"].median(),
            }
        )
    return pd.DataFrame(rows)
