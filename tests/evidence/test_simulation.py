"""Simulated audits: innocent suspects are accused at most as often as alpha says, guilty ones are
found with fewer queries."""

import numpy as np
import pandas as pd
import pytest

from dsi_core.evidence import simulation

ALPHA = 0.1
RUNS = 120


@pytest.fixture(scope="module")
def evidence():
    """(of a member, shape (30,); of six non-members, shape (6, 30))."""
    rng = np.random.default_rng(5)
    others = rng.normal(rng.normal(0.1, 0.05, (6, 1)), 0.2, (6, 30))
    return rng.normal(0.8, 0.2, 30), others


@pytest.fixture(params=["twin", "controls"])
def simulated(request, evidence):
    """The table of one test, for an innocent suspect and for one that learnt every sample."""
    member, others = evidence
    if request.param == "twin":
        return simulation.against_twin(member, others[0], 15, ALPHA, [0.0, 1.0], RUNS)
    return simulation.against_controls(member, others, 19, ALPHA, [0.0, 1.0], RUNS)


def test_errors_and_power(simulated):
    innocent, guilty = simulated.to_dict("records")
    assert innocent["found"] <= ALPHA + 3 * np.sqrt(ALPHA * (1 - ALPHA) / RUNS)
    assert guilty["found"] > 0.95
    assert guilty["samples"] < innocent["samples"] <= innocent["samples_all"] == 30
    assert guilty["saved"] == pytest.approx(1 - guilty["samples"] / 30) and guilty["saved"] > 0.3
    assert all(row["low"] <= row["found"] <= row["high"] for row in (innocent, guilty))


def test_the_same_seed_gives_the_same_table(evidence):
    member, others = evidence
    one, two, other = (
        simulation.against_twin(member, others[0], 8, 0.2, [0.3], 40, seed) for seed in (1, 1, 2)
    )
    pd.testing.assert_frame_equal(one, two)
    assert not one.equals(other)


def test_typical_evidence_is_the_median_members_and_the_hardest_non_members():
    levels = {
        "m1": (True, 0.9),
        "m2": (True, 0.5),
        "m3": (True, 0.7),
        "n1": (False, 0.1),
        "n2": (False, 0.3),
    }
    parts = [
        pd.DataFrame({"model": name, "member": member, "evidence": [level] * 6})
        for name, (member, level) in levels.items()
    ]
    table = pd.concat(parts)
    member, other = simulation.typical(table)
    assert (member == 0.7).all() and (other == 0.3).all()
    assert simulation.wide(table).tolist() == [[0.1] * 6, [0.3] * 6]


def test_stacked_tables_carry_alpha():
    table = pd.DataFrame({"test": ["a"]})
    assert simulation.stacked([table, table], 0.05)["alpha"].tolist() == [0.05, 0.05]
