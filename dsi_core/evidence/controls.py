"""Number 2, against control models: does M lean to the tuned references more than models known not to have seen D?

An innocent M is taken to be one more draw of whatever the controls are draws of, so that each of the K + 1 models is
equally likely to lean most. That is an assumption about the choice of controls, not a fact: controls tuned on data like
D are the hardest, and an M tuned on such data must be compared with them.
"""

import numpy as np
import pandas as pd

from dsi_core.paper import tables

TIE = 1e-6  # leans this close are equal: a control's numbers were rounded to be stored, a suspect's are fresh
FIRST = (
    5  # samples with evidence before the lean counts: fixed in advance, as one or two say nothing
)


def lean(evidence: np.ndarray) -> np.ndarray:
    """How far a model leans to the tuned references after each sample, shape (samples,): the largest sqrt(t) x mean so far.

    evidence: of the samples in the order asked, the same for every model; NaN (nothing usable answered) is passed over. t = the
    samples with evidence so far; -inf while t < `FIRST`. The mean is 0 for a model equally close to both sets of references;
    sqrt(t) makes a lean that lasts weigh more than a lucky start. Never falls.
    """
    evidence = np.asarray(evidence, float)
    told = ~np.isnan(evidence)
    t = np.cumsum(told)
    with np.errstate(invalid="ignore", divide="ignore"):
        scaled = np.where(
            t >= FIRST, np.cumsum(np.where(told, evidence, 0.0)) / np.sqrt(t), -np.inf
        )
    return np.maximum.accumulate(scaled) if len(scaled) else scaled


def p_values(suspect: np.ndarray, controls: np.ndarray) -> np.ndarray:
    """Rank-based p-value after each sample, shape (samples,): (1 + controls whose final lean is as large) / (K + 1). Never rises.

    suspect: `lean` of the samples asked so far. controls: each control's lean after all that is planned to be asked, shape (K,).
    Valid whenever one stops: the last value, with all asked, is the usual rank p-value of exchangeable models, and no
    earlier one is smaller. Its smallest possible value is 1 / (K + 1). Source: Barnard's Monte Carlo test, with
    models for simulations.
    """
    above = (np.asarray(controls)[None, :] >= np.asarray(suspect, float)[:, None] - TIE).sum(axis=1)
    return (1 + above) / (len(controls) + 1)


def final_leans(evidence: pd.DataFrame) -> pd.Series:
    """The final lean of each model. evidence: columns model, sample_id, evidence, each model's samples in the order asked."""
    return evidence.groupby("model", sort=False)["evidence"].agg(lambda e: lean(e.to_numpy())[-1])


def left_out(leans: pd.Series) -> pd.Series:
    """Each control's p-value against all the others. Their share at or under alpha is the leave-one-out false-positive rate."""
    return pd.Series(
        {name: p_values([value], leans.drop(name))[0] for name, value in leans.items()}, dtype=float
    )


def test(evidence: np.ndarray, leans: pd.Series, alpha: float) -> dict:
    """The controls' numbers for a suspect's evidence so far: controls (K), lean, p, smallest_p = 1 / (K + 1), can_reach_alpha
    (whether smallest_p <= alpha) and false_positives (of the controls at alpha, each left out in turn; a share, None under two controls).
    """
    path, smallest = lean(evidence), 1 / (len(leans) + 1)
    p = p_values(path[-1:], leans.to_numpy()) if len(path) else [1.0]
    return {
        "controls": len(leans),
        "lean": float(path[-1]) if len(path) else float("-inf"),
        "p": float(p[0]),
        "smallest_p": smallest,
        "can_reach_alpha": bool(smallest <= alpha),
        "false_positives": float((left_out(leans) <= alpha).mean()) if len(leans) > 1 else None,
    }


def compare(evidence: pd.DataFrame) -> pd.DataFrame:
    """Every model against the controls, which are the known non-members; of these each is left out in turn.

    evidence: columns model, group, member (None = the suspect), evidence, status, each model's samples in the order asked. Returns
    model, kind, member, positive, negative, vote, lean, p, and p_other_kinds: p against the controls of other groups only,
    as if nobody had thought of this kind of innocent model. Largest lean first.
    """
    people = evidence[["model", "group", "member"]].drop_duplicates("model").set_index("model")
    leans = final_leans(evidence)
    controls = people.index[people["member"].eq(False)]
    rows = []
    for name, part in evidence.groupby("model", sort=False):
        kind, others = people.loc[name, "group"], controls.drop(name, errors="ignore")
        unlike = others[people.loc[others, "group"] != kind]
        counts = part["status"].value_counts()
        positive, negative = int(counts.get("positive", 0)), int(counts.get("negative", 0))
        rows.append(
            {
                "model": name,
                "kind": kind,
                "member": people.loc[name, "member"],
                "positive": positive,
                "negative": negative,
                "vote": "member"
                if positive > negative
                else "non-member"
                if positive + negative
                else "inconclusive",
                "lean": leans[name],
                "p": p_values([leans[name]], leans[others])[0],
                "p_other_kinds": p_values([leans[name]], leans[unlike])[0],
            }
        )
    return pd.DataFrame(rows).sort_values("lean", ascending=False, ignore_index=True)


def rates(compared: pd.DataFrame, alpha: float) -> pd.DataFrame:
    """How often vote and rank call a known model a member. compared: as `compare`. Returns who (members | a kind of controls), by (vote | rank at
    alpha | rank without its kind), models, called (members), share and its 95% Wilson interval low, high.
    """
    rows = []
    for (member, kind), part in compared.groupby(["member", "kind"], sort=False):
        ways = {
            "vote": part["vote"] == "member",
            f"rank at {alpha:g}": part["p"] <= alpha,
            f"rank at {alpha:g}, its kind unknown": part["p_other_kinds"] <= alpha,
        }
        rows += [
            {
                "who": "members" if member else f"controls: {kind}",
                "by": by,
                "models": len(part),
                "called": int(called.sum()),
            }
            for by, called in ways.items()
        ]
    table = pd.DataFrame(rows)
    return tables.with_interval(
        table.assign(share=table["called"] / table["models"]), "called", "models"
    )
