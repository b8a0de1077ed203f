"""Number 2, against control models: the rank of M among models known not to have seen D.

Does M's evidence speak more for the tuned references than theirs? An innocent M is taken to be one
more draw of whatever the controls are draws of, so that each of the K + 1 models is equally likely
to have the largest statistic. That is an assumption about the choice of controls, not a fact, and
controls of several kinds and bases are no one population: easy ones would only make p smaller. So
M is ranked within each *stratum*, the controls of one kind and base, and the largest p counts. A
control that hardly answered is left out: it could never rank before M, and would make p smaller. A
small p says that M answers more like a model tuned on D than each of these kinds does, which an M
that merely knows the subject may do too; it never says that M was trained.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

# Statistics this close are equal: a control's were rounded to be stored, a suspect's are fresh.
TIE = 1e-6
# Samples with evidence before the statistic counts: fixed in advance, as one or two say nothing.
MIN_SAMPLES = 5
STRATUM = ["group", "base"]


@dataclass(frozen=True)
class Stratum:
    """The suspect among the controls of one kind and base.

    Attributes
    ----------
    kind, base
        What they were tuned on, and which model they were.
    controls
        How many, K, of those with `MIN_SAMPLES` samples with evidence; 0 = p is 1.
    p
        The suspect's rank among them; in [1 / (K + 1), 1].
    smallest_p
        1 / (K + 1).
    """

    kind: str
    base: str
    controls: int
    p: float
    smallest_p: float


@dataclass(frozen=True)
class RankTest:
    """What the controls say of a suspect.

    Attributes
    ----------
    strata
        Of the controls, in the order in which they are given.
    p
        The largest over the strata; 1 without controls.
    supports
        The smallest alpha at which a finding is possible: the largest `smallest_p`, that of the
        stratum with the fewest controls.
    lean
        The suspect's `running_statistic` after the samples queried so far (-inf = too few).
    samples
        Of these, those with evidence.
    """

    strata: tuple[Stratum, ...]
    p: float
    supports: float
    lean: float
    samples: int


def running_statistic(evidence: ArrayLike) -> np.ndarray:
    """How much a model's evidence speaks for the tuned references: the largest sqrt(t) x mean.

    The mean is 0 for a model equally close to both sets of references; sqrt(t) makes evidence that
    lasts weigh more than a lucky start.

    Parameters
    ----------
    evidence
        Shape (samples,), in the order queried, the same for every model; NaN (nothing usable was
        answered) is passed over.

    Returns
    -------
    statistic
        After each sample, shape (samples,): the largest so far of sqrt(t) x the mean of the t
        samples with evidence; -inf while t < `MIN_SAMPLES`. Higher = more like a model tuned on D.
        Never falls.
    """
    evidence = np.asarray(evidence, float)
    if not len(evidence):
        return evidence
    usable = ~np.isnan(evidence)
    t = np.cumsum(usable)
    total = np.cumsum(np.where(usable, evidence, 0.0))
    with np.errstate(invalid="ignore", divide="ignore"):
        scaled = np.where(t >= MIN_SAMPLES, total / np.sqrt(t), -np.inf)
    return np.maximum.accumulate(scaled)


def p_values(suspect: ArrayLike, controls: ArrayLike) -> np.ndarray:
    """Rank p-value after each sample: (1 + controls whose statistic is as large) / (K + 1).

    Never rises, so that one may stop at any sample: the last value, with all queried, is the usual
    rank p-value of exchangeable models, and no earlier one is smaller.

    Parameters
    ----------
    suspect
        Its `running_statistic`, shape (samples,).
    controls
        Each control's statistic after all that is planned to be queried, shape (K,).

    Returns
    -------
    p
        Shape (samples,), in [1 / (K + 1), 1]. Never rises.

    References
    ----------
    Barnard's Monte Carlo test, with models for simulations.
    """
    suspect, controls = np.asarray(suspect, float), np.asarray(controls, float)
    as_large = (controls[None, :] >= suspect[:, None] - TIE).sum(axis=1)
    return (1 + as_large) / (len(controls) + 1)


def final_statistics(evidence: pd.DataFrame) -> pd.Series:
    """Return the last `running_statistic` of each model.

    evidence: columns model, sample_id, evidence; each model's samples in the order queried.
    """
    by_model = evidence.groupby("model", sort=False)["evidence"]
    return by_model.agg(lambda values: running_statistic(values.to_numpy())[-1])


def less_controls(values: ArrayLike, of_controls: ArrayLike) -> np.ndarray:
    """Subtract from each sample's value what the controls have there on average.

    They never saw D, so this removes what depends on the sample alone: how easy it is, or which of
    two wordings every model prefers. An exact test stays exact, as the controls know no labels.

    Parameters
    ----------
    values
        The suspect's, shape (samples,); NaN stays NaN.
    of_controls
        Shape (controls, samples); NaN is passed over; where no control has a value, their mean over
        the samples is taken. No control leaves the values as they are.

    Returns
    -------
    values
        Shape (samples,), in the same unit.
    """
    values, of_controls = np.asarray(values, float), np.asarray(of_controls, float)
    answered = ~np.isnan(of_controls)
    if not answered.any():
        return values
    counts = answered.sum(axis=0)
    totals = np.where(answered, of_controls, 0.0).sum(axis=0)
    means = np.divide(totals, counts, where=counts > 0, out=np.full(len(values), np.nan))
    return values - np.where(counts > 0, means, np.nanmean(means))


def at_least(evidence: ArrayLike, of_controls: ArrayLike) -> np.ndarray:
    """Impute a suspect's missing evidence with the smallest value of any model on any sample.

    That is the worst case for a finding. Otherwise a suspect that gives no usable answer where it
    leans least is ranked by its other samples alone, and the controls by all of theirs.

    Parameters
    ----------
    evidence
        The suspect's, shape (samples,); NaN where nothing usable was answered.
    of_controls
        All that the controls have, in any shape; NaN is passed over.

    Returns
    -------
    evidence
        Shape (samples,): NaN is replaced by the smallest evidence of any model on any sample, or 0
        where that is above, so that no `running_statistic` rises by it. As it was where fewer than
        `MIN_SAMPLES` samples have evidence: they are too few in any case.
    """
    evidence, of_controls = np.asarray(evidence, float), np.asarray(of_controls, float)
    if np.count_nonzero(~np.isnan(evidence)) < MIN_SAMPLES:
        return evidence
    smallest = np.nanmin(np.concatenate([[0.0], evidence, of_controls.ravel()]))
    return np.where(np.isnan(evidence), smallest, evidence)


def sizes(controls: pd.DataFrame) -> pd.Series:
    """Count the controls (as `test` has them) of each kind and base that have a statistic."""
    usable = controls.groupby([*STRATUM, "model"], sort=False, dropna=False)["evidence"].count()
    return (usable >= MIN_SAMPLES).groupby(STRATUM, sort=False, dropna=False).sum()


def supports(sizes: Iterable[int]) -> float:
    """Give the smallest alpha at which strata of so many controls allow a finding; 1 for none."""
    return max((1 / (size + 1) for size in sizes), default=1.0)


def path(evidence: ArrayLike, controls: pd.DataFrame) -> np.ndarray:
    """Rank a suspect after each sample: the largest `p_values` over the strata.

    Parameters
    ----------
    evidence
        The suspect's, shape (samples,), in the order queried.
    controls
        As `test` has them.

    Returns
    -------
    p
        Shape (samples,). Never rises; 1 without controls.
    """
    running = running_statistic(evidence)
    by_stratum = [p_values(running, statistics) for _, _, statistics in _strata(controls)]
    return np.max(by_stratum, axis=0, initial=0.0) if by_stratum else np.ones(len(running))


def test(evidence: ArrayLike, controls: pd.DataFrame) -> RankTest:
    """Rank a suspect's evidence so far among the controls of each kind and base.

    Parameters
    ----------
    evidence
        The suspect's, shape (samples,), in the order queried; NaN (nothing usable was answered) is
        passed over.
    controls
        Columns model, group (its kind), base, evidence: each model's over *all* tainted samples,
        however many the suspect is asked about, in that order. If only those asked about counted,
        every raise of a budget would be one more look. A control with evidence on fewer than
        `MIN_SAMPLES` samples does not count.
    """
    running = running_statistic(evidence)
    lean = float(running[-1]) if len(running) else float("-inf")
    strata = [
        Stratum(
            kind=kind,
            base=base,
            controls=len(statistics),
            p=float(p_values([lean], statistics)[0]),
            smallest_p=supports([len(statistics)]),
        )
        for kind, base, statistics in _strata(controls)
    ]
    return RankTest(
        strata=tuple(strata),
        p=max((stratum.p for stratum in strata), default=1.0),
        supports=supports(stratum.controls for stratum in strata),
        lean=lean,
        samples=int((~np.isnan(np.asarray(evidence, float))).sum()),
    )


def _strata(controls: pd.DataFrame) -> list[tuple[str, str, pd.Series]]:
    """The final statistic of each control that has one, by kind and base."""
    by_kind = controls.groupby(STRATUM, sort=False, dropna=False)
    finals = [(str(kind), str(base), final_statistics(part)) for (kind, base), part in by_kind]
    return [(kind, base, final[final > -np.inf]) for kind, base, final in finals]


def compare(evidence: pd.DataFrame) -> pd.DataFrame:
    """Every model against the controls: the known non-members, each of them against the others.

    Parameters
    ----------
    evidence
        Columns model, group, base, member (None = the suspect), evidence, status; each model's
        samples in the order queried.

    Returns
    -------
    table
        Columns model, kind, base, member, positive, negative, vote, lean (the final statistic) and
        p, the largest over the strata of controls. Largest statistic first.
    """
    innocent = evidence[evidence["member"].eq(False)]
    rows = []
    for name, part in evidence.groupby("model", sort=False):
        who = part.iloc[0]
        ranked = test(part["evidence"], innocent[innocent["model"] != name])
        counts = part["status"].value_counts()
        positive, negative = int(counts.get("positive", 0)), int(counts.get("negative", 0))
        rows.append(
            {
                "model": name,
                "kind": who["group"],
                "base": who["base"],
                "member": who["member"],
                "positive": positive,
                "negative": negative,
                "vote": vote(positive, negative),
                "lean": ranked.lean,
                "p": ranked.p,
            }
        )
    return pd.DataFrame(rows).sort_values("lean", ascending=False, ignore_index=True)


def vote(positive: int, negative: int) -> str:
    """Give the verdict of Eq. 2 on so many samples of either side; a tie is "non-member"."""
    if positive > negative:
        return "member"
    return "non-member" if positive + negative else "inconclusive"
