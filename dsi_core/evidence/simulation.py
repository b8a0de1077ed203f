"""How often the tests of an audit err, what they find and how many queries stopping early saves.

By simulation from real evidence: an innocent suspect's evidence is that of a known non-member,
drawn anew; a trained one's is mixed: a share of the published samples answers as a known member
does, the rest as that non-member. A row of each table is one such share; 0 is the null.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from dsi_core.evidence import controls, intervals, permutation, sequential

COLUMNS = ["test", "learnt", "runs", "found", "low", "high", "samples", "samples_all", "saved"]
PERMUTATIONS = 499  # of each simulated audit


@dataclass(frozen=True)
class Outcome:
    """How one simulated audit ended."""

    found: bool  # p <= alpha
    samples: int  # queried


def against_twin(
    member: np.ndarray,
    other: np.ndarray,
    samples: int,
    alpha: float,
    learnt: list[float],
    runs: int,
    seed: int = 0,
) -> pd.DataFrame:
    """Simulate the private twin, stopping early, by the tests of `twin.test`.

    Parameters
    ----------
    member, other
        Evidence of a known member and of a known non-member, any shapes (n,), (m,); NaN = no
        usable answer.
    samples
        Tainted samples that are published; as many are withheld.
    alpha
        The error allowed.
    learnt
        Shares of the published samples that the suspect learnt.
    runs
        Simulated audits for each share.
    seed
        Of all draws.

    Returns
    -------
    table
        One row per share, `COLUMNS`: found = share of runs with p <= alpha and its 95% Wilson
        interval (low, high); samples = mean number queried, samples_all = all there are;
        saved = 1 - samples / samples_all.
    """
    rng, rows = np.random.default_rng(seed), []
    for share in learnt:
        outcomes = []
        for _ in range(runs):
            published = rng.permutation(np.repeat([True, False], samples))
            evidence = np.where(
                published & (rng.random(2 * samples) < share),
                rng.choice(member, 2 * samples),
                rng.choice(other, 2 * samples),
            )
            outcomes.append(_audit_with_twin(evidence, published, samples, alpha, rng))
        rows.append(_row("private twin", share, outcomes, 2 * samples))
    return pd.DataFrame(rows, columns=COLUMNS)


def _audit_with_twin(
    evidence: np.ndarray,
    published: np.ndarray,
    samples: int,
    alpha: float,
    rng: np.random.Generator,
) -> Outcome:
    """One simulated audit; the wealth and the permutation test have half of alpha each."""
    path = sequential.wealth(evidence, published, (samples, samples))
    stopped = sequential.stopped_after(path >= 2 / alpha)
    if stopped is not None:
        return Outcome(True, stopped)
    usable = ~np.isnan(evidence)
    p = permutation.p_of_difference(
        evidence[usable],
        published[usable],
        seed=int(rng.integers(2**31)),
        permutations=PERMUTATIONS,
    )
    return Outcome(2 * p <= alpha, 2 * samples)


def against_controls(
    member: np.ndarray,
    others: np.ndarray,
    count: int,
    alpha: float,
    learnt: list[float],
    runs: int,
    seed: int = 0,
) -> pd.DataFrame:
    """Simulate the controls' rank test, stopping early.

    The controls and the suspect are each a known non-member drawn at random, whose own samples are
    drawn anew.

    Parameters
    ----------
    member
        Evidence of a known member, shape (samples,).
    others
        Evidence of the known non-members, shape (models, samples).
    count
        How many controls.
    alpha, learnt, runs, seed
        As in `against_twin`.

    Returns
    -------
    table
        As `against_twin` returns it.
    """
    rng, rows, size = np.random.default_rng(seed), [], others.shape[1]
    for share in learnt:
        outcomes = []
        for _ in range(runs):
            drawn = others[rng.integers(len(others), size=count + 1)]
            drawn = np.take_along_axis(drawn, rng.integers(size, size=drawn.shape), axis=1)
            suspect = np.where(rng.random(size) < share, rng.choice(member, size), drawn[0])
            statistics = [controls.running_statistic(d)[-1] for d in drawn[1:]]
            path = controls.p_values(controls.running_statistic(suspect), statistics)
            stopped = sequential.stopped_after(path <= alpha)
            outcomes.append(Outcome(stopped is not None, stopped or size))
        rows.append(_row("control models", share, outcomes, size))
    return pd.DataFrame(rows, columns=COLUMNS)


def wide(evidence: pd.DataFrame) -> np.ndarray:
    """Return the known non-members' evidence, shape (models, samples).

    evidence: columns model, member (bool), evidence; as many samples of each model.
    """
    innocent = evidence[~evidence["member"]].groupby("model", sort=False)
    return np.array([part["evidence"].to_numpy() for _, part in innocent])


def typical(evidence: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return the evidence that the twin's simulation draws from, without NaN.

    Parameters
    ----------
    evidence
        Columns model, member (bool), evidence.

    Returns
    -------
    member, other
        That of the known member with the median statistic, and that of the non-member with the
        largest.
    """
    known = {}
    for member in (True, False):
        group = evidence[evidence["member"] == member]
        statistics = controls.final_statistics(group).sort_values()
        name = statistics.index[len(statistics) // 2] if member else statistics.index[-1]
        known[member] = evidence.loc[evidence["model"] == name, "evidence"].dropna().to_numpy()
    return known[True], known[False]


def stacked(tables: list[pd.DataFrame], alpha: float) -> pd.DataFrame:
    """Tables of this module under one another, with the column alpha."""
    return pd.concat(tables, ignore_index=True).assign(alpha=alpha)


def _row(test: str, share: float, outcomes: list[Outcome], samples_all: int) -> dict:
    """One row, with `COLUMNS`."""
    found = np.array([o.found for o in outcomes], float)
    samples = np.array([o.samples for o in outcomes], float).mean()
    low, high = intervals.wilson(found.sum(), len(found))
    return {
        "test": test,
        "learnt": share,
        "runs": len(found),
        "found": found.mean(),
        "low": low,
        "high": high,
        "samples": samples,
        "samples_all": samples_all,
        "saved": 1 - samples / samples_all,
    }
