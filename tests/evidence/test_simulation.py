"""Simulated audits: innocent suspects are accused at most as often as alpha says, guilty ones are found with fewer questions."""

import numpy as np
import pandas as pd
import pytest

from dsi_core.evidence import simulation

RNG = np.random.default_rng(5)
OTHERS = RNG.normal(RNG.normal(0.1, 0.05, (6, 1)), 0.2, (6, 30))
MEMBER = RNG.normal(0.8, 0.2, 30)


@pytest.mark.parametrize(
    "table",
    [
        simulation.against_twin(MEMBER, OTHERS[0], 15, 0.1, [0.0, 1.0], 120),
        simulation.against_controls(MEMBER, OTHERS, 19, 0.1, [0.0, 1.0], 120),
    ],
    ids=["twin", "controls"],
)
def test_errors_and_power(table):
    innocent, guilty = table.to_dict("records")
    assert innocent["found"] <= 0.1 + 3 * np.sqrt(0.09 / 120) and guilty["found"] > 0.95
    assert guilty["samples"] < innocent["samples"] <= innocent["samples_all"] == 30
    assert guilty["saved"] == pytest.approx(1 - guilty["samples"] / 30) and guilty["saved"] > 0.3
    assert all(row["low"] <= row["found"] <= row["high"] for row in (innocent, guilty))


def test_the_same_seed_gives_the_same_table():
    one, two, other = (
        simulation.against_twin(MEMBER, OTHERS[0], 8, 0.2, [0.3], 40, seed) for seed in (1, 1, 2)
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
    table = pd.concat(
        [
            pd.DataFrame({"model": name, "member": member, "evidence": [level] * 6})
            for name, (member, level) in levels.items()
        ]
    )
    member, other = simulation.typical(table)
    assert (
        (member == 0.7).all()
        and (other == 0.3).all()
        and simulation.wide(table).tolist() == [[0.1] * 6, [0.3] * 6]
    )
