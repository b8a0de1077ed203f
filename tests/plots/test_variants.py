"""The vote in other settings: bars, lines and words are those of the table."""

import math

import numpy as np
import pandas as pd
from drawing import draws_on_the_axes_given, legend, ticks, title, words
from helpers import table
from matplotlib.colors import to_hex

from dsi_core.plots import style, variants

NAN = math.nan
POSITIVE, NEGATIVE, MEMBER, OTHER = (
    style.LOOKS[k].color.lower() for k in ("positive", "negative", "member", "other data")
)

# Fig. 8

EVIDENCE = table(
    "suspect member evidence",
    *[("full", True, e) for e in (0.1, 0.5, 0.7, NAN, 0.9)],
    *[("chat", False, e) for e in (-0.1, 0.0)],
    ("mute", True, NAN),
)


def test_the_cumulated_share_of_each_suspect():
    ax = variants.plot_cumulated_evidence(EVIDENCE, delta_s=0.3)
    assert legend(ax) == ["full (member)", "tuned on other data"]  # mute: no answer that counts
    full, chat, threshold, half = ax.lines
    assert full.get_xdata().tolist()[1:] == [0.1, 0.5, 0.7, 0.9]
    assert full.get_ydata().tolist() == [0, 0.25, 0.5, 0.75, 1]  # NaN is not in the share
    assert [to_hex(line.get_color()) for line in (full, chat)] == [MEMBER, OTHER]
    assert full.get_linestyle() != chat.get_linestyle()
    assert threshold.get_xdata()[0] == 0.3
    assert half.get_ydata()[0] == 0.5
    said = "On all of D the vote finds 1 of 2 members and accuses no non-member (of one)"
    assert title(ax) == f"{said}; 1 stay inconclusive"


def test_the_cumulated_share_by_the_released_rule():
    """A tie, or nothing to count, is member there: tied, mute."""
    tied = table("suspect member evidence", ("tied", False, 0.1), ("tied", False, 0.5))
    both = pd.concat([EVIDENCE, tied])
    ax = variants.plot_cumulated_evidence(both, delta_s=0.3, rule="released")
    assert title(ax) == "On all of D the vote finds both members and accuses 1 of 2 non-members"
    assert ax.get_xlabel().startswith("evidence (rule: released): difference of maxima")


def test_the_cumulated_share_of_one_suspect():
    ax = variants.plot_cumulated_evidence(EVIDENCE[5:7], delta_s=0.3)
    assert legend(ax) == ["tuned on other data"]


# Settings that move

MOVED = table(
    "suspect member setting value share low high",
    ("full", True, "delta", 0.1, 0.9, 0.7, 1.0),
    ("full", True, "delta", 0.3, NAN, NAN, NAN),
    ("full", True, "delta", 0.5, 0.6, 0.2, 0.8),
    ("chat", False, "delta", 0.1, 0.0, 0.0, 0.2),
    ("chat", False, "delta", 0.3, 0.1, 0.0, 0.3),
    ("chat", False, "delta", 0.5, 0.2, 0.1, 0.4),
    *[("full", True, "draws", n, 0.8, 0.6, 0.9) for n in (1, 2)],
    *[("chat", False, "draws", n, 0.3, 0.1, 0.5) for n in (1, 2)],
).assign(dataset="faq", verdict="member", tainted=5)


def test_sensitivity_has_a_panel_per_setting_and_a_line_per_suspect():
    figure = variants.plot_sensitivity(MOVED, at={"delta": 0.3, "draws": 2})
    delta, draws = figure.axes
    named = ["delta (in use, dotted: 0.3)", "draws (in use, dotted: 2)"]
    assert [ax.get_xlabel() for ax in figure.axes] == named
    band = "a member's 95% Wilson interval"
    assert legend(draws) == ["full (member)", "tuned on other data", band]
    found = "No verdict changes while delta is 0.1 to 0.5 and draws is 1 to 2"
    assert figure.get_suptitle() == found
    full, chat, half, own = delta.lines
    assert full.get_xdata().tolist() == [0.1, 0.3, 0.5]
    assert np.isnan(full.get_ydata()).tolist() == [False, True, False]  # inconclusive: a hole
    assert chat.get_ydata().tolist() == [0.0, 0.1, 0.2]
    assert [to_hex(line.get_color()) for line in (full, chat)] == [MEMBER, OTHER]
    assert (full.get_marker(), chat.get_marker()) == ("o", "None")
    assert half.get_ydata()[0] == 0.5
    assert own.get_xdata()[0] == 0.3
    assert draws.lines[3].get_xdata()[0] == 2
    assert draws.get_xticks().tolist() == [1, 2]


def test_sensitivity_s_band_is_the_interval():
    delta = variants.plot_sensitivity(MOVED, at={"delta": 0.3, "draws": 2}).axes[0]
    (band,) = delta.collections  # a member's
    ends = {(round(x, 3), round(y, 3)) for path in band.get_paths() for x, y in path.vertices}
    assert ends == {(0.1, 0.7), (0.1, 1.0), (0.5, 0.2), (0.5, 0.8)}


def test_sensitivity_of_one_suspect_to_one_setting():
    (ax,) = variants.plot_sensitivity(MOVED[1:2], at={"delta": 0.3}).axes
    assert len(ax.lines) == 3
    assert ax.get_ylabel() == "positive share\n(above the dashed half: member)"


def test_sensitivity_names_a_suspect_that_only_another_dataset_has():
    """Wild suspects differ from dataset to dataset; the legend stands in the first row."""
    other = MOVED[MOVED["suspect"] == "chat"].assign(dataset="chess", suspect="wild")
    figure = variants.plot_sensitivity(pd.concat([MOVED, other]), at={"delta": 0.3, "draws": 2})
    assert legend(figure.axes[1])[:2] == ["full (member)", "tuned on other data"]
    assert [ax.get_ylabel().split(":")[0] for ax in figure.axes[::2]] == ["faq", "chess"]


def test_sensitivity_says_nothing_of_a_setting_that_has_no_value_in_use():
    figure = variants.plot_sensitivity(MOVED, at={"draws": 2}, rule="released")
    delta, draws = figure.axes
    assert (delta.get_xlabel(), len(delta.lines), len(draws.lines)) == ("delta", 3, 4)
    assert figure.get_suptitle() == "No verdict changes while draws is 1 to 2"
    assert delta.get_ylabel() == "positive share\n(dashed half or above: member)"


def test_an_empty_panel_says_why():
    filtered = MOVED["share"].where(MOVED["setting"] == "delta")
    none = MOVED.assign(dataset="chess", share=NAN, tainted=0)
    both = pd.concat([MOVED.assign(share=filtered), none], ignore_index=True)
    axes = variants.plot_sensitivity(both, at={"draws": 2}).axes
    assert [words(ax) for ax in axes[:2]] == [[], ["no answer counts"]]
    assert [words(ax) for ax in axes[2:]] == [["no tainted samples"]] * 2
    alone = variants.plot_cumulated_evidence(EVIDENCE[-1:], delta_s=0.3)
    assert words(alone)[0] == "no answer counts"


RULES = table(
    "dataset delta rule selection suspect member tainted share",
    *[
        ("faq", delta, rule, selection, suspect, suspect == "full", tainted, share)
        for delta, tainted in ((0.3, 5), (0.899, 2))
        for rule, suspect, shares in (
            ("text", "full", (1.0, 0.25)),
            ("text", "chat", (0.5, 0.125)),
            ("released", "full", (0.75, 0.375)),
            ("released", "chat", (NAN, 0.0)),
        )
        for selection, share in zip(("tainted", "all of D"), shares, strict=True)
    ],
)


def test_rules_have_a_panel_per_scale_and_a_line_per_suspect_and_rule():
    figure = variants.plot_rules(RULES)
    left, right = figure.axes
    assert [title(ax) for ax in figure.axes] == [
        "5 samples tainted at 0.30",
        "2 samples tainted at 0.90",
    ]
    lines = {tuple(line.get_ydata()) for line in right.lines}
    assert {(1.0, 0.25), (0.5, 0.125), (0.75, 0.375)} <= lines
    assert ticks(right.xaxis) == ["tainted", "all of D"]
    told = legend(right)
    assert told == ["member", "non-member", "rule: text", "rule: released"]
    assert left.get_legend() is None
    where = "(above the dashed half: member,\nreleased: on it, too)"
    assert left.get_ylabel() == f"positive share\n{where}"
    assert figure.get_suptitle().startswith("Selection decides at 0.30 and 0.90")
    other = variants.plot_rules(pd.concat([RULES, RULES.assign(dataset="chat")]))
    assert [ax.get_ylabel().split(":")[0] for ax in other.axes[::2]] == ["faq", "chat"]


GRID = table(
    "delta_t delta_s correct total tainted",
    (0.2, 0.2, 3, 4, 40),
    (0.2, 0.3, 4, 4, 40),
    (0.3, 0.2, 1, 4, 25),
    (0.3, 0.3, 2, 4, 25),
    (0.4, 0.2, 0, 4, 0),
    (0.4, 0.3, 3, 4, 0),
).assign(dataset="faq")


def test_the_grid_s_cells_are_counts_and_the_frame_is_the_profile_s():
    correct, tainted = variants.plot_grid(GRID, at=(0.2, 0.3)).axes
    assert words(correct) == ["0", "3", "1", "2", "3", "4"]  # delta_t falls from top to bottom
    assert words(tainted) == ["0", "25", "40"]
    assert ticks(correct.yaxis) == ["0.4", "0.3", "0.2"]
    assert ticks(correct.xaxis) == ["0.2", "0.3"]
    (frame,) = correct.patches
    assert frame.get_xy() == (1, 2)  # over the cell that says 4
    assert to_hex(frame.get_edgecolor()) == "#000000"
    assert title(correct) == "suspects judged rightly, of 4 (frame: in use)"


def test_thresholds_off_the_grid_have_no_frame():
    correct = variants.plot_grid(GRID, at=(0.25, 0.3)).axes[0]
    assert not correct.patches and title(correct) == "suspects judged rightly, of 4"
    assert words(variants.plot_grid(GRID[:1], at=(0.2, 0.2)).axes[0]) == ["3"]


def test_the_axes_given_are_drawn_on():
    draws_on_the_axes_given(
        lambda ax: variants.plot_cumulated_evidence(EVIDENCE, delta_s=0.3, ax=ax)
    )
