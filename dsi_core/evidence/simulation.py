"""How often the tests of an audit err, what they find and how many queries stopping early saves: by simulation from real evidence.

An innocent suspect's evidence is that of a known non-member, drawn anew; a trained one's is mixed: a share of the published
samples answers as a known member does, the rest as that non-member. A row of each table is one such share; 0 is the null.
"""

import numpy as np
import pandas as pd

from dsi_core.evidence import controls, twin
from dsi_core.paper import tables

COLUMNS = ["test", "learnt", "runs", "found", "low", "high", "samples", "samples_all", "saved"]


def against_twin(
    member: np.ndarray,
    other: np.ndarray,
    samples: int,
    alpha: float,
    learnt: list[float],
    runs: int,
    seed: int = 0,
) -> pd.DataFrame:
    """The private twin, stopping when sure, with `samples` published and as many withheld tainted samples.

    member, other: evidence of a known member and of a known non-member (any shapes (n,), (m,); NaN = no usable answer). learnt: shares
    of the published samples that the suspect learnt. Returns one row per share: found = share of runs with p <= alpha and its
    95% Wilson interval; samples = mean number asked, samples_all = all there are; saved = 1 - samples / samples_all.
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
            path = twin.wealth(evidence, published, (samples, samples))
            crossed = np.flatnonzero(path >= 2 / alpha)
            told = ~np.isnan(evidence)
            sure = (
                len(crossed) > 0
                or 2
                * twin.permutation(
                    evidence[told], published[told], seed=int(rng.integers(2**31)), permutations=499
                )
                <= alpha
            )
            outcomes.append((sure, crossed[0] + 1 if len(crossed) else 2 * samples))
        rows.append(_row("private twin", share, outcomes, 2 * samples))
    return pd.DataFrame(rows, columns=COLUMNS)


def against_controls(
    member: np.ndarray,
    others: np.ndarray,
    count: int,
    alpha: float,
    learnt: list[float],
    runs: int,
    seed: int = 0,
) -> pd.DataFrame:
    """The controls' rank test, stopping when sure: `count` controls and the suspect, each a known non-member drawn at random.

    others: evidence, shape (models, samples); member: shape (samples,). A drawn model has its own samples drawn anew. Otherwise as
    `against_twin`.
    """
    rng, rows, size = np.random.default_rng(seed), [], others.shape[1]
    for share in learnt:
        outcomes = []
        for _ in range(runs):
            drawn = others[rng.integers(len(others), size=count + 1)]
            drawn = np.take_along_axis(drawn, rng.integers(size, size=drawn.shape), axis=1)
            suspect = np.where(rng.random(size) < share, rng.choice(member, size), drawn[0])
            path = controls.p_values(
                controls.lean(suspect), [controls.lean(d)[-1] for d in drawn[1:]]
            )
            crossed = np.flatnonzero(path <= alpha)
            outcomes.append((len(crossed) > 0, crossed[0] + 1 if len(crossed) else size))
        rows.append(_row("control models", share, outcomes, size))
    return pd.DataFrame(rows, columns=COLUMNS)


def wide(evidence: pd.DataFrame) -> np.ndarray:
    """The known non-members' evidence, shape (models, samples). evidence: as `judging.known_evidence`."""
    return np.array(
        [
            part["evidence"].to_numpy()
            for _, part in evidence[~evidence["member"]].groupby("model", sort=False)
        ]
    )


def typical(evidence: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """(evidence of the known member of median lean, that of the non-member who leans most): what the twin's simulation draws from."""
    found = []
    for member in (True, False):
        leans = controls.final_leans(evidence[evidence["member"] == member]).sort_values()
        name = leans.index[len(leans) // 2] if member else leans.index[-1]
        found.append(evidence.loc[evidence["model"] == name, "evidence"].dropna().to_numpy())
    return tuple(found)


def stacked(tables: list[pd.DataFrame], alpha: float) -> pd.DataFrame:
    return pd.concat(tables, ignore_index=True).assign(alpha=alpha)


def _row(test: str, share: float, outcomes: list[tuple[bool, int]], everything: int) -> dict:
    found, asked = (np.array(v, float) for v in zip(*outcomes))
    low, high = tables.interval(found.sum(), len(found))
    return {
        "test": test,
        "learnt": share,
        "runs": len(found),
        "found": found.mean(),
        "low": low,
        "high": high,
        "samples": asked.mean(),
        "samples_all": everything,
        "saved": 1 - asked.mean() / everything,
    }
