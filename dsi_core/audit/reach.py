"""What an audit can find at all: the smallest p-value that it allows, and its power.

Known before the first question, from the samples, coins and controls planned.
"""

from dataclasses import asdict
from functools import cache

import numpy as np
import pandas as pd

from dsi_core.audit.plan import Plan
from dsi_core.audit.preparation import prepared
from dsi_core.audit.readable import Readable
from dsi_core.audit.subject import Kind
from dsi_core.evidence import controls, twin, wording
from dsi_core.evidence import power as powers
from dsi_core.evidence.looks import Looks
from dsi_core.runtime.paths import ROOT

RUNS = 200  # simulated audits
# Notebook 10's models of known training: how strongly they lean to what was published
STRENGTHS = ROOT / "figures" / "small" / "calibration_strengths.csv"
CERTAIN = 2.0  # standard deviations of a sample: any audit finds it


class Reach(Readable):
    """What so many samples allow.

    Attributes
    ----------
    samples
        How many.
    attainable
        The smallest possible p-value, whatever is answered, as `looks.ExactTest` has p; 1 before
        the first look.
    can_reach_alpha
        Whether a finding is possible.
    """

    samples: int
    attainable: float
    can_reach_alpha: bool


class Power(Readable):
    """How often an audit finds a model that leans by `effect` to what was published.

    Attributes
    ----------
    effect
        In standard deviations of a sample (`evidence.power`).
    final_loss
        Of the models with this effect, nats per token over their last epoch.
    found, low, high
        The share of simulated audits and its 95% Wilson interval.
    median_samples
        Samples asked until found, median of all audits; None where at most half of them found.
    """

    effect: float
    final_loss: float
    found: float
    low: float
    high: float
    median_samples: float | None


def reach(plan: Plan, samples: pd.DataFrame, asked: int) -> Reach:
    """Say what some samples of a plan, in the order of asking, allow.

    Parameters
    ----------
    samples
        Rows of `plan.samples`; those without evidence may have been left out.
    asked
        How many are asked about, these among them: later looks are not taken.
    """
    if plan.looks is None:
        smallest = _of_controls(plan)
        possible = smallest <= plan.alpha and len(samples) >= controls.MIN_SAMPLES
    else:
        coins = _of_coins(plan, plan.looks, plan.samples.index[:asked].isin(samples.index))
        by_look = [(p, plan.looks.spent(look)) for look, p in enumerate(coins)]
        stage_wise = (p if p <= spent else min(1.0, p * plan.alpha / spent) for p, spent in by_look)
        smallest = min(stage_wise, default=1.0)
        possible = smallest <= plan.alpha
    return Reach(samples=len(samples), attainable=smallest, can_reach_alpha=possible)


def _of_controls(plan: Plan) -> float:
    """The smallest p-value that the controls allow."""
    assert plan.prepared is not None
    known = prepared.known_evidence(plan.prepared, plan.draws)
    return controls.supports(controls.sizes(known[~known["member"]]))


def _of_coins(plan: Plan, looks: Looks, usable: np.ndarray) -> list[float]:
    """The smallest p-value of each look, by whether the samples asked have evidence."""
    groups, seed = plan.samples["group"].to_numpy(), plan.subject.seed
    if plan.subject.kind is Kind.WORDING:
        return wording.attained(groups, usable, looks, seed).tolist()
    published = plan.samples["published"].to_numpy()
    return twin.attained(published, groups, usable, looks, seed).tolist()


def power(plan: Plan, samples: pd.DataFrame, asked: int) -> dict[str, Power]:
    """Simulate audits by how long a model was tuned on what was published.

    How strongly a model leans after so many epochs is what notebook 10 measured, mean over bases
    and draws: small models on small data. Empty where nothing is exact, and where these samples
    cannot show anything.

    Samples that share a coin count as one, those without evidence not at all. With a private twin
    as many are published as in the kit: less is found with other parts than halves.

    Parameters
    ----------
    samples, asked
        As for `reach`: what the looks by then would have found, with the alpha that they may spend.
    """
    if plan.looks is None:
        return {}
    there = plan.samples.index.isin(samples.index) | (plan.samples.index >= asked)
    coins = plan.samples[there].drop_duplicates("group")
    by_look = [int((coins.index < after).sum()) for after in plan.looks.after]
    taken = by_look[: plan.looks.taken(asked)]
    private = plan.subject.kind is Kind.PRIVATE
    published = int(coins["published"].sum()) if private else None
    if not any(taken) or published in (0, len(coins)):
        return {}
    after = tuple(dict.fromkeys(filter(None, by_look)))
    looks = Looks(after, plan.alpha, plan.looks.exponent)
    return {
        "1 epoch" if epochs == 1 else f"{epochs:.0f} epochs": _power(
            str(plan.subject.kind), taken[-1], published, effect, loss, looks, plan.subject.seed
        )
        for epochs, loss, effect in strengths(plan.subject.kind).to_numpy(float)
    }


def strengths(kind: Kind) -> pd.DataFrame:
    """Give how strongly models lean by the epochs of their tuning: epochs, final_loss, effect.

    At least 0; without those that any audit finds.
    """
    measured = pd.read_csv(STRENGTHS).query("twin == @kind.value")
    means = measured.groupby("epochs", as_index=False)[["final_loss", "effect"]].mean()
    means["effect"] = means["effect"].clip(lower=0).round(2)
    return means[means["effect"] < CERTAIN]


@cache  # a second of simulation, asked for before and after an audit
def _power(
    kind: str,
    asked: int,
    published: int | None,
    effect: float,
    final_loss: float,
    looks: Looks,
    seed: int,
) -> Power:
    said = powers.power(kind, looks.planned, effect, looks, RUNS, seed, published, asked)
    return Power(effect=effect, final_loss=round(final_loss, 2), **asdict(said))
