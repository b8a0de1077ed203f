"""The null: innocent models under coins thrown anew, and an accuser who tries again and again.

A coin thrown anew knows nothing of any answer, so every finding here is an error, whatever the
model was trained on. The answers are real; only the coins are simulated.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import product

import numpy as np
import pandas as pd
from scipy import stats

from dsi_core.calibration.trials import DEALS, Samples
from dsi_core.evidence import looks
from dsi_core.evidence.power import Twin
from dsi_core.runtime.environment import one_thread
from dsi_core.runtime.progress import Progress


class Circumstance(StrEnum):
    """What might disturb a test that is exact."""

    FIXED = "one look, after all samples"
    LOOKS = "stopped at the first look that finds"
    REFUSALS = "the clearest third of the answers refused"
    TIES = "closeness rounded to one decimal"
    DOCUMENTS = "coins of documents of up to 6 samples"


@dataclass(frozen=True)
class Innocent:
    """A model's values for both twins, in a fixed order: as `Samples.values`."""

    name: str
    wording: np.ndarray
    private: np.ndarray

    def values(self, kind: Twin) -> np.ndarray:
        """Those of one kind."""
        return self.wording if kind == Twin.WORDING else self.private


def innocents(close: pd.DataFrame, rows: pd.DataFrame) -> list[Innocent]:
    """Take every model's closeness to the first wording, and its preference for it.

    close: model, row, first, second; rows: column row, whose order is kept. A model that gave fewer
    of the prompts a usable answer is of fewer samples.
    """
    found = []
    for name, part in close.groupby("model", sort=False):
        kept = part.set_index("row")[["first", "second"]].reindex(rows["row"]).dropna()
        first, second = kept["first"].to_numpy(), kept["second"].to_numpy()
        found.append(Innocent(str(name), first - second, first))
    return found


def p_values(
    models: list[Innocent],
    coins: int,
    samples: int,
    seed: int,
    circumstances: Sequence[Circumstance] | None = None,
    alpha: float = 0.05,
    deals: int = DEALS,
) -> pd.DataFrame:
    """Test innocent models under coins thrown anew.

    Parameters
    ----------
    models
        As `innocents` gives them.
    coins
        For each model, kind and circumstance.
    samples
        Of each audit, drawn at random from those that the model answered; at most as many.
    seed
        Of coins, samples and orders.
    circumstances
        None = all.
    alpha
        Of the looks.
    deals
        Of each test.

    Returns
    -------
    pandas.DataFrame
        model, kind, circumstance, coin, p, found (at alpha; every one an error).
    """
    rng = np.random.default_rng(seed)
    rows: list[tuple] = []
    tried = list(product(circumstances or list(Circumstance), models, Twin))
    with one_thread(), Progress(len(tried) * coins) as bar:
        for circumstance, model, kind in tried:
            bar.show(len(rows), f"coins thrown anew for {model.name}")
            planned = looks.planned(samples, alpha, 1 if circumstance == Circumstance.FIXED else 12)
            values = model.values(kind)
            for coin in range(coins):
                chosen = rng.permutation(len(values))[:samples]
                seen = _thrown(kind, values[chosen], circumstance, rng)
                tested = seen.test(planned, int(rng.integers(2**31)), deals)
                rows.append((model.name, kind, circumstance, coin, tested.p, tested.found))
        bar.show(len(rows))
    columns = ["model", "kind", "circumstance", "coin", "p", "found"]
    return pd.DataFrame(rows, columns=columns).astype({"kind": str, "circumstance": str})


def _thrown(
    kind: Twin, values: np.ndarray, circumstance: Circumstance, rng: np.random.Generator
) -> Samples:
    """The samples of an audit under a coin thrown anew."""
    size = len(values)
    groups = np.arange(size)
    if circumstance == Circumstance.DOCUMENTS:
        groups = np.repeat(np.arange(size), rng.integers(1, 7, size))[:size]
        values = np.sort(values)  # samples of a document are alike
        order = rng.permutation(size)
        values, groups = values[order], groups[order]
    if circumstance == Circumstance.TIES:
        values = np.round(values, 1)
    if circumstance == Circumstance.REFUSALS:
        far = np.abs(values - np.nanmedian(values))
        values = np.where(far > np.nanquantile(far, 2 / 3), np.nan, values)
    _, of = np.unique(groups, return_inverse=True)
    labels = rng.integers(0, 2, of.max() + 1).astype(bool)
    if kind == Twin.PRIVATE:
        labels = rng.permutation(np.arange(of.max() + 1) % 2 == 0)
    return Samples(kind, values, labels[of], groups)


def errors(
    tested: pd.DataFrame,
    levels: tuple[float, ...] = (0.05, 0.01),
    by: tuple[str, ...] = ("kind", "circumstance"),
) -> pd.DataFrame:
    """Say how often innocent models were found, beside the band of an exact test.

    Parameters
    ----------
    tested
        As `p_values` returns it.
    levels
        A p at most this is a finding.
    by
        Columns of `tested`; a row for each of their values and each level.

    Returns
    -------
    pandas.DataFrame
        `by`, level, tests, errors, share, band_low and band_high (95% of exact tests of this level
        lie between them), not_above (the band: fewer errors are no fault).
    """
    rows = []
    for name, part in tested.groupby(list(by), sort=False):
        for level in levels:
            count, wrong = len(part), int((part["p"] <= level).sum())
            low, high = stats.binom.interval(0.95, count, level)
            rows.append(
                {
                    **dict(zip(by, name, strict=True)),
                    "level": level,
                    "tests": count,
                    "errors": wrong,
                    "share": wrong / count,
                    "band_low": low / count,
                    "band_high": high / count,
                    "not_above": wrong <= high,
                }
            )
    return pd.DataFrame(rows)


def curves(tested: pd.DataFrame, count: int = 100) -> pd.DataFrame:
    """Give the distribution of each model's p-values.

    Returns
    -------
    pandas.DataFrame
        model, kind, level (`count` of them, evenly up to 1), share (of its tests whose p is at most
        that level; for an exact test at most the level, except for chance).
    """
    levels, tables = np.arange(1, count + 1) / count, []
    for (model, kind), part in tested.groupby(["model", "kind"], sort=False):
        ps = np.sort(part["p"].to_numpy())
        share = np.searchsorted(ps, levels + looks.WHOLE, side="right") / len(ps)
        tables.append(pd.DataFrame({"model": model, "kind": kind, "level": levels, "share": share}))
    return pd.concat(tables, ignore_index=True)


def accuser(
    tested: pd.DataFrame, tries: tuple[int, ...] = (1, 2, 5, 10, 20), alpha: float = 0.05
) -> pd.DataFrame:
    """Say how often an accuser who may try again until he finds accuses an innocent model.

    He throws another coin, or audits again with other settings, and reports the best p. He is
    stopped by a commitment, made before (one coin), and by the log (which counts audits).

    Parameters
    ----------
    tested
        As `p_values`, of one circumstance.
    tries
        How many he makes.

    Returns
    -------
    pandas.DataFrame
        kind, tries, accused (share of innocent models, if he reports the best p alone), shared (if
        he has to share alpha among his tries).
    """
    rows = []
    for kind, part in tested.groupby("kind", sort=False):
        by_model = [one.sort_values("coin")["p"] for _, one in part.groupby("model", sort=False)]
        for count in tries:
            best = np.concatenate([_best_of(ps.to_numpy(), count) for ps in by_model])
            rows.append(
                {
                    "kind": kind,
                    "tries": count,
                    "accused": float((best <= alpha).mean()),
                    "shared": float((best <= alpha / count).mean()),
                }
            )
    return pd.DataFrame(rows)


def _best_of(ps: np.ndarray, tries: int) -> np.ndarray:
    """The smallest of each so many p-values of a model; the last few may be left over."""
    return ps[: len(ps) // tries * tries].reshape(-1, tries).min(axis=1)
