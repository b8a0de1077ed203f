"""Number 2, against control models: the rank of M among models known not to have seen D.

Does M's evidence speak more for the tuned references than theirs? An innocent M is taken to be one
more draw of whatever the controls are draws of, so that each of the K + 1 models is equally likely
to have the largest statistic. That is an assumption about the choice of controls, not a fact:
controls tuned on data like D are the hardest, and an M tuned on such data must be compared with
them.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from dsi_core.evidence import intervals

# Statistics this close are equal: a control's were rounded to be stored, a suspect's are fresh.
TIE = 1e-6
# Samples with evidence before the statistic counts: fixed in advance, as one or two say nothing.
MIN_SAMPLES = 5


@dataclass(frozen=True)
class RankTest:
    """What the controls say of a suspect.

    Attributes
    ----------
    controls
        How many there are, K.
    lean
        The suspect's `running_statistic` after the samples queried so far (-inf = too few).
    p
        Its rank among the controls; in [1 / (K + 1), 1].
    smallest_p
        1 / (K + 1).
    can_reach_alpha
        Whether `smallest_p` is at most alpha.
    false_positives
        The share of the controls that the test calls members at alpha, each against all the
        others (leave-one-out); None under two controls.
    """

    controls: int
    lean: float
    p: float
    smallest_p: float
    can_reach_alpha: bool
    false_positives: float | None


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


def less_controls(values: ArrayLike, of_controls: ArrayLike) -> np.ndarray:
    """Subtract from each sample's value what the controls have there on average.

    They never saw D, so this takes away what is the sample's own: how easy it is, or which of two
    wordings everybody prefers. An exact test stays exact, as the controls know no labels.

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


def p_values(suspect: ArrayLike, controls: ArrayLike) -> np.ndarray:
    """Rank p-value after each sample: (1 + controls whose statistic is as large) / (K + 1).

    Valid whenever one stops: the last value, with all queried, is the usual rank p-value of
    exchangeable models, and no earlier one is smaller.

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


def leave_one_out(statistics: pd.Series) -> pd.Series:
    """Each control's p-value against all the others.

    Their share at or under alpha is the leave-one-out false-positive rate.
    """
    ps = {name: p_values([value], statistics.drop(name))[0] for name, value in statistics.items()}
    return pd.Series(ps, dtype=float)


def test(evidence: ArrayLike, statistics: pd.Series, alpha: float) -> RankTest:
    """Rank a suspect's evidence so far among the controls.

    Parameters
    ----------
    evidence
        The suspect's, shape (samples,), in the order queried.
    statistics
        The controls' `final_statistics`.
    alpha
        The error allowed.
    """
    path = running_statistic(evidence)
    lean = float(path[-1]) if len(path) else float("-inf")
    smallest = 1 / (len(statistics) + 1)
    false_positives = None
    if len(statistics) > 1:
        false_positives = float((leave_one_out(statistics) <= alpha).mean())
    return RankTest(
        controls=len(statistics),
        lean=lean,
        p=float(p_values([lean], statistics)[0]) if len(path) else 1.0,
        smallest_p=smallest,
        can_reach_alpha=bool(smallest <= alpha),
        false_positives=false_positives,
    )


def compare(evidence: pd.DataFrame) -> pd.DataFrame:
    """Every model against the controls: the known non-members, each of them against the others.

    Parameters
    ----------
    evidence
        Columns model, group, member (None = the suspect), evidence, status; each model's samples
        in the order queried.

    Returns
    -------
    table
        Columns model, kind, member, positive, negative, vote, lean (the final statistic), p, and
        p_other_kinds: p against the controls of other groups only, as if nobody had thought of
        this kind of innocent model. Largest statistic first.
    """
    models = evidence[["model", "group", "member"]].drop_duplicates("model").set_index("model")
    kinds, members = models["group"].to_dict(), models["member"].to_dict()
    statistics = final_statistics(evidence).to_dict()
    controls = [name for name, member in members.items() if member is not None and not member]
    rows = []
    for name, part in evidence.groupby("model", sort=False):
        others = {c: statistics[c] for c in controls if c != name}
        of_other_kinds = [value for c, value in others.items() if kinds[c] != kinds[name]]
        counts = part["status"].value_counts()
        positive, negative = int(counts.get("positive", 0)), int(counts.get("negative", 0))
        rows.append(
            {
                "model": name,
                "kind": kinds[name],
                "member": members[name],
                "positive": positive,
                "negative": negative,
                "vote": _vote(positive, negative),
                "lean": statistics[name],
                "p": p_values([statistics[name]], list(others.values()))[0],
                "p_other_kinds": p_values([statistics[name]], of_other_kinds)[0],
            }
        )
    return pd.DataFrame(rows).sort_values("lean", ascending=False, ignore_index=True)


def _vote(positive: int, negative: int) -> str:
    """The verdict of Eq. 2."""
    if positive > negative:
        return "member"
    return "non-member" if positive + negative else "inconclusive"


def rates(compared: pd.DataFrame, alpha: float) -> pd.DataFrame:
    """How often vote and rank call a known model a member.

    Parameters
    ----------
    compared
        As `compare` returns it.
    alpha
        The error allowed.

    Returns
    -------
    table
        Columns who (members | a kind of controls), by (vote | rank at alpha | rank without its
        kind), models, called (members), share and its 95% Wilson interval low, high.
    """
    rows = []
    for (member, kind), part in compared.groupby(["member", "kind"], sort=False):
        ways = {
            "vote": part["vote"] == "member",
            f"rank at {alpha:g}": part["p"] <= alpha,
            f"rank at {alpha:g}, its kind unknown": part["p_other_kinds"] <= alpha,
        }
        who = "members" if member else f"controls: {kind}"
        for by, called in ways.items():
            rows.append({"who": who, "by": by, "models": len(part), "called": int(called.sum())})
    table = pd.DataFrame(rows)
    table = table.assign(share=table["called"] / table["models"])
    return intervals.with_wilson(table, "called", "models")
