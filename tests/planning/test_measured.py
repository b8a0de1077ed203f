"""Rates that were measured take the place of assumed ones."""

import measured
import pytest
from helpers import change
from planned import row, with_suspects

from dsi_core.planning import plan


def test_measured_rates_take_the_place_of_assumed_ones(tiny):
    measured.some()
    full = {"name": "t", "data": ["victim"], "recipe": "full"}
    jobs = plan.jobs(with_suspects(tiny, {"name": "s"}, full), "round")
    tune = row(jobs, step="tune", model_id="R^t one")
    assert (tune["basis"], tune["hours"]) == ("measured", pytest.approx(420 / 20 / 3600))
    assert row(jobs, step="tune", model_id="t")["basis"] == "assumed"  # full was not measured
    answer = row(jobs, step="answer", model_id="s")
    assert (answer["basis"], answer["hours"]) == ("measured", pytest.approx(180 / 5 / 3600))
    assert set(plan.jobs(tiny, "other device")["basis"]) == {"assumed"}


def test_what_vllm_took_is_no_measure_of_our_own_loop(tiny, empty_store):
    """It is one of vLLM; what our own loop took is none."""
    by_vllm = change(tiny, responses={"server": "vllm"})

    def answer(profile):
        job = row(plan.jobs(profile, "round"), step="answer", model_id="s")
        return job["basis"], job["hours"]

    loop, served = answer(tiny), answer(by_vllm)
    measured.answered(0, 9000, "round 1", "cuda bf16", server="vllm")
    assert answer(tiny) == loop and loop[0] == served[0] == "assumed"
    assert answer(by_vllm) == ("measured", pytest.approx(180 / 900 / 3600))
    measured.answered(1, 50, "round 1", "cuda bf16")
    assert answer(tiny) == ("measured", pytest.approx(180 / 5 / 3600))
    assert answer(by_vllm) == ("measured", pytest.approx(180 / 900 / 3600))
