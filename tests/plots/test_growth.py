"""How time and memory grow: lines by size, and what the title makes of them."""

import pytest
from drawing import legend
from helpers import table

from dsi_core.plots.growth import plot_growth, worst_tenfold

ROWS = [
    ("read", "answers", 1_000, 0.0, 300),
    ("read", "answers", 10_000, 0.2, 400),
    ("read", "answers", 100_000, 3.0, 1_500),
    ("schedule", "jobs", 10, 0.1, 300),
    ("schedule", "jobs", 100, 0.4, 310),
]


@pytest.fixture
def measured():
    return table("step unit size seconds memory_mb", *ROWS)


def test_the_worst_tenfold_from_one_size_to_the_next(measured):
    assert worst_tenfold(measured[1:3]) == pytest.approx(15)
    assert worst_tenfold(measured[:3]) == pytest.approx(20)  # before the last two sizes
    assert worst_tenfold(measured[3:]) == pytest.approx(4)
    hundredfold = table("step unit size seconds memory_mb", ROWS[1], ("", "", 10**6, 20.0, 1))
    assert worst_tenfold(hundredfold) == pytest.approx(10)


def test_a_step_of_one_size_has_no_tenfold(measured):
    said = "times as long at most; no step holds more than 0.3 GB"
    one_of_two = plot_growth(measured[measured["size"] <= 1_000]).get_suptitle()
    assert one_of_two == f"Ten times as much takes 4 {said}"
    assert plot_growth(measured[:1]).get_suptitle() == "No step holds more than 0.3 GB"


def test_time_and_memory_by_size(measured):
    figure = plot_growth(measured, limit_mb=2_000)
    assert figure.get_suptitle() == (
        "Ten times as much takes 20 times as long at most; no step holds more than 1.5 GB"
    )
    seconds, memory, jobs, _ = figure.axes
    assert seconds.get_xlabel() == "answers" and jobs.get_xlabel() == "jobs"
    assert seconds.lines[0].get_ydata().tolist() == [0.01, 0.2, 3.0]
    assert seconds.lines[1].get_ydata().tolist() == pytest.approx([0.03, 3.0])  # ten for ten
    assert memory.lines[0].get_ydata().tolist() == [300, 400, 1_500]
    tenfold = "ten times the time\nfor ten times the size"
    assert legend(seconds) == ["read", tenfold] and legend(jobs) == ["schedule", tenfold]
    assert memory.get_ylim() == (0, 2_300)
