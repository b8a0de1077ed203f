"""How much of D was used (after DUCI): from an attack's guesses, debiased.

A suspect's scores of texts that it cannot have seen give the threshold: of these at most the share
`FALSE` are guessed to be used. The false-positive rate is estimated leave-one-out: each unseen text
is compared with the threshold from the other unseen texts. With its own text in the threshold the
rate would come out too low, and shares too high. The true-positive rate is estimated from other
members, each at its own threshold.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from dsi_core.evidence import share
from dsi_core.grey_box.compared import Part
from dsi_core.grey_box.scoring import KEYS, View
from dsi_core.grey_box.tables import threshold

FALSE = 0.1


def of_suspects(scores: pd.DataFrame, attacks: Sequence[str], seed: int) -> pd.DataFrame:
    """Estimate the share of D that each suspect was trained on.

    Parameters
    ----------
    scores
        As `scoring.scores` returns them.
    attacks
        Whose guesses are taken, on the answers given the prompts.

    Returns
    -------
    pandas.DataFrame
        dataset, suspect, group, member, attack, true (1 of a member, else 0), members (how many
        other members give the true-positive rate; without any the suspect is left out), share,
        low, high.
    """
    rows = []
    for suspect, used, named in _suspects(scores, attacks):
        found = _estimate(suspect.d, suspect.unseen, used, seed)
        rows.append({**named, "true": float(named["member"]), **found})
    return pd.DataFrame(rows)


def mixtures(
    scores: pd.DataFrame,
    attacks: Sequence[str],
    seed: int,
    shares: Sequence[float] = (0, 0.1, 0.25, 0.5, 0.75, 1),
    deals: int = 20,
) -> pd.DataFrame:
    """Estimate the share of sets of which each member was trained on a known share.

    A set mixes texts of D, which a member was trained on, with validation texts, which it was not.
    It has half as many texts as the validation set, whose rest serves as unseen texts. Parameters
    as of `of_suspects`.

    Returns
    -------
    pandas.DataFrame
        dataset, suspect, group, member, attack, members, true, deal, share, low, high.
    """
    rows = []
    for suspect, used, named in _suspects(scores, attacks):
        if not named["member"]:
            continue
        size = min(len(suspect.unseen) // 2, len(suspect.d))
        for true in shares:
            seen = round(true * size)
            for deal in range(deals):
                rng = np.random.default_rng([seed, deal])
                of_d, others = rng.permutation(suspect.d), rng.permutation(suspect.unseen)
                dealt = np.concatenate([of_d[:seen], others[: size - seen]])
                found = _estimate(dealt, others[size:], used, seed)
                rows.append({**named, "true": seen / size, "deal": deal, **found})
    return pd.DataFrame(rows)


def over_deals(mixtures: pd.DataFrame) -> pd.DataFrame:
    """Put `mixtures` together over suspects and deals.

    Returns attack, true, mean (of the estimated shares), error (mean absolute), held (share of the
    95% intervals that hold the true share), width (mean, of the intervals).
    """
    table = mixtures.assign(
        error=(mixtures["share"] - mixtures["true"]).abs(),
        held=mixtures["true"].between(mixtures["low"], mixtures["high"]),
        width=mixtures["high"] - mixtures["low"],
    )
    groups = table.rename(columns={"share": "mean"}).groupby(["attack", "true"], sort=False)
    return groups[["mean", "error", "held", "width"]].mean().reset_index()


@dataclass(frozen=True)
class _Attacked:
    """One suspect under one attack: who it is, and its scores of D and of unseen texts."""

    named: dict[str, Any]
    d: np.ndarray
    unseen: np.ndarray

    @property
    def threshold(self) -> float:
        return threshold(self.unseen, FALSE)

    def vouches_for(self, other: "_Attacked") -> bool:
        """Whether it is known to be a member, beside a suspect that is judged."""
        same = all(self.named[key] == other.named[key] for key in ("dataset", "attack"))
        return same and self.named["member"] and self.named["suspect"] != other.named["suspect"]


def _suspects(
    scores: pd.DataFrame, attacks: Sequence[str]
) -> Iterator[tuple[_Attacked, np.ndarray, dict[str, Any]]]:
    """Each suspect under each attack, other members' guesses on D, and its columns of a table."""
    chosen = scores[(scores["view"] == View.ANSWER) & scores["attack"].isin(attacks)]
    identity = [*KEYS, "attack"]
    attacked = [
        _Attacked(
            dict(zip(identity, values, strict=True)),
            *(table.loc[table["part"] == p, "score"].to_numpy() for p in (Part.D, Part.VALIDATION)),
        )
        for values, table in chosen.groupby(identity, sort=False)
    ]
    for suspect in attacked:
        members = [other for other in attacked if other.vouches_for(suspect)]
        if members:
            guesses = np.concatenate([member.d > member.threshold for member in members])
            yield suspect, guesses, {**suspect.named, "members": len(members)}


def _estimate(d: np.ndarray, unseen: np.ndarray, used: np.ndarray, seed: int) -> dict[str, float]:
    found = d > threshold(unseen, FALSE)
    # Below all rather than taken out: as many of the others may lie above as of all
    others = [np.append(np.delete(unseen, i), -np.inf) for i in range(len(unseen))]
    unused = [one > threshold(beside, FALSE) for one, beside in zip(unseen, others, strict=True)]
    return asdict(share.of_guesses(found, used, np.array(unused), seed))
