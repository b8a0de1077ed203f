"""The matching of two texts: every cosine is written, the best of rows and columns are framed."""

import pandas as pd
from drawing import ticks, words

from dsi_core.plots import tokens

COSINES = pd.DataFrame(
    [[0.9, 0.1, 0.2], [0.3, 0.4, 0.8]], index=["a$b$", "week"], columns=["u", "v", "seven"]
)


def test_best_matches_are_framed():
    ax = tokens.plot_matching(COSINES)
    assert words(ax) == ["0.90", "0.10", "0.20", "0.30", "0.40", "0.80"]
    assert ticks(ax.yaxis) == ["a$b$", "week"] and ticks(ax.xaxis) == ["u", "v", "seven"]
    centres = [
        (frame.get_x() + frame.get_width() / 2, frame.get_y() + frame.get_height() / 2)
        for frame in ax.patches
    ]
    rounded = [(round(x), round(y)) for x, y in centres]
    assert rounded == [(0, 0), (2, 1), (0, 0), (1, 1), (2, 1)]  # of 2 rows, then of 3 columns
    assert {frame.get_linestyle() for frame in ax.patches[:2]} == {"-"}
    assert {frame.get_linestyle() for frame in ax.patches[2:]} == {"--"}


def test_who_does_not_see_it_is_told_the_matches():
    said = tokens.plot_matching(COSINES).figure.get_label()
    assert said.endswith("best: a$b$ with u (0.90), week with seven (0.80)")
