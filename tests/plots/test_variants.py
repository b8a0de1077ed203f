"""The vote in other settings: bars, lines and words are those of the table."""

import math

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from drawing import color, legend, levels, ticks, title, words
from helpers import table
from matplotlib.colors import to_hex

from dsi_core.plots import style, variants, vote

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
    said = "On all of D the vote finds the one member and accuses none of 1 non-members"
    assert title(ax) == said


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
).assign(dataset="faq", verdict="member")


def test_sensitivity_has_a_panel_per_setting_and_a_line_per_suspect():
    figure = variants.plot_sensitivity(MOVED, at={"delta": 0.3, "draws": 2})
    delta, draws = figure.axes
    named = ["delta (in use, dotted: 0.3)", "draws (in use, dotted: 2)"]
    assert [ax.get_xlabel() for ax in figure.axes] == named
    assert legend(draws) == ["full (member)", "tuned on other data"]
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
    assert legend(figure.axes[1]) == ["full (member)", "tuned on other data"]
    assert [ax.get_ylabel().split(":")[0] for ax in figure.axes[::2]] == ["faq", "chess"]


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
)


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
    assert not variants.plot_grid(GRID, at=(0.25, 0.3)).axes[0].patches
    assert words(variants.plot_grid(GRID[:1], at=(0.2, 0.2)).axes[0]) == ["3"]


# Fig. 9 and 10

DETECTED = table(
    "references group correct total low high",
    ("one", "(1)", 1, 2, 9.5, 90.5),
    ("one", "(2)", 0, 3, 0.0, 56.1),
    ("both", "(1)", 2, 2, 34.2, 100.0),
    ("both", "(2)", 3, 3, 43.9, 100.0),
)


def squares(ax):
    """(share, row, filled?) of every square."""
    marks = [line for line in ax.lines if line.get_marker() == "s"]
    return [
        (line.get_xdata()[0], round(line.get_ydata()[0], 2), line.get_markerfacecolor() != "white")
        for line in marks
    ]


def test_detection_has_a_row_for_each_set_and_a_square_for_each_group():
    ax = variants.plot_detection(DETECTED)
    assert squares(ax) == [
        (50, -0.14, True),
        (0, 0.14, False),
        (100, 0.86, True),
        (100, 1.14, False),
    ]
    assert words(ax) == ["1 of 2", "0 of 3", "2 of 2", "3 of 3"]
    spans = [line.get_xdata() for line in ax.lines if line.get_marker() == "None"]
    assert np.allclose(spans, [(9.5, 90.5), (0, 56.1), (34.2, 100), (43.9, 100)])
    assert ticks(ax.yaxis) == ["one", "both"]
    assert legend(ax) == ["(1)", "(2)"]
    assert title(ax) == (
        "One does not clear 4 of 5 models that trained on data like D; both clears all"
    )


def test_detection_of_a_group_that_one_set_lacks():
    ax = variants.plot_detection(DETECTED.drop(index=0))
    assert words(ax) == ["0 of 3", "2 of 2", "3 of 3"]
    assert legend(ax) == ["(2)", "(1)"]


SETS = table(
    "references suspect positive negative",
    ("one", "full", 30, 5),
    ("one", "chat", 2, 33),
    ("both", "full", 12, 1),
    ("both", "chat", 0, 13),
).assign(dataset="faq")


def test_votes_by_references_have_a_panel_for_each_set_and_a_line_at_half():
    figure = variants.plot_votes_by_references(SETS)
    one, both = figure.axes
    assert [title(ax) for ax in figure.axes] == ["one", "both"]
    assert levels(one, "width") == [30, 2, 5, 33]
    assert levels(both, "x") == [0, 0, 12, 0]
    looks = [(color(p), p.get_hatch()) for p in one.patches]
    assert looks == [(POSITIVE, "")] * 2 + [(NEGATIVE, "///")] * 2
    assert words(one) == ["30 of 35 ✗", "2 of 35"]
    assert [line.get_xdata()[0] for line in both.lines] == [6.5, 6.5]
    assert ticks(one.yaxis) == ["full", "chat"]
    assert one.get_xlim() == both.get_xlim()
    assert legend(both) == ["positive", "negative", "half: beyond it accused"]
    assert figure.get_suptitle().replace("\n", " ").endswith("arises only with one and both")


def test_votes_of_one_suspect_by_one_set():
    (ax,) = variants.plot_votes_by_references(SETS[3:]).axes
    assert levels(ax, "width") == [0, 13]


def test_votes_by_references_of_two_datasets_are_rows():
    two = pd.concat([SETS, SETS.assign(dataset="chess")])
    axes = variants.plot_votes_by_references(two).axes
    assert [title(ax) for ax in axes] == ["faq: one", "faq: both", "chess: one", "chess: both"]


# Fig. 11 and 12

EVADED = table(
    "setting suspect share low high correct",
    ("none", "full", 1.0, 0.7, 1.0, True),
    ("none", "lora", 0.75, 0.5, 0.9, True),
    ("llama", "full", 0.25, 0.1, 0.5, False),
    ("llama", "lora", NAN, NAN, NAN, False),
)


def points(ax):
    """The dots (x, y) of each suspect."""
    return [c.lines[0].get_xydata().tolist() for c in ax.containers]


def test_evasion_has_a_point_per_member_and_setting():
    ax = variants.plot_evasion(EVADED, how="Rephrasing", xlabel="who")
    full, lora = points(ax)
    assert full == [[-0.06, 1.0], [0.94, 0.25]]
    assert lora[0] == [0.06, 0.75]
    assert np.isnan(lora[1][1])
    intervals = ax.containers[0].lines[2][0].get_segments()
    assert [s[:, 1].tolist() for s in intervals] == [[0.7, 1.0], [0.1, 0.5]]
    assert words(ax) == ["2 of 2 caught", "0 of 2 caught", "above half:\nmember"]
    assert [c.lines[0].get_marker() for c in ax.containers] == ["o", "s"]
    assert {to_hex(c.lines[0].get_color()) for c in ax.containers} == {MEMBER}
    assert ticks(ax.xaxis) == ["none", "llama"]
    assert legend(ax) == ["full", "lora"]
    assert title(ax) == "Rephrasing hides both members that are found without it"
    assert ax.get_xlabel() == "who"
    assert ax.lines[-1].get_ydata()[0] == 0.5


def test_evasion_of_one_member_without_a_share():
    ax = variants.plot_evasion(EVADED[3:], how="Rephrasing")
    assert words(ax)[0] == "0 of 1 caught"
    assert np.isnan(points(ax)[0][0][1])


def test_an_end_rounded_past_its_share_draws_no_negative_bar():
    """Shares have four digits and ends three; matplotlib refuses a bar from 0.0004 to 0.001."""
    some = table("setting suspect share low high correct", ("a", "m", 0.0004, 0.001, 0.02, False))
    assert points(variants.plot_evasion(some, how="Anything")) == [[[0, 0.0004]]]


def test_shares_of_d_say_where_the_vote_breaks():
    halves = EVADED.assign(setting=["100%", "100%", "50%", "50%"])
    assert title(variants.plot_evasion(halves)).startswith("Below 100% of D the vote breaks")


def test_twenty_members_stay_within_their_setting():
    """The paper has ten local members and ten wild ones."""
    names = [(f"m{i}", setting) for setting in ("a", "b") for i in range(20)]
    many = pd.concat([EVADED[:1].assign(suspect=name, setting=s) for name, s in names])
    dots = points(variants.plot_evasion(many, how="Anything"))
    assert len(dots) == 20
    assert all(abs(x - i) < 0.5 for of_member in dots for i, (x, _) in enumerate(of_member))


OVERLAP = table(
    "suspect status removed samples",
    ("full", "positive", True, 12),
    ("full", "positive", False, 9),
    ("full", "negative", False, 3),
    ("lora", "positive", True, 5),
    ("lora", "negative", True, 2),
)


def test_overlap_puts_the_kept_behind_the_removed():
    ax = variants.plot_overlap(OVERLAP)
    bars = [(color(p), p.get_hatch() == "xxx", p.get_x(), p.get_width()) for p in ax.patches]
    assert bars == [
        (POSITIVE, True, 0, 12),
        (POSITIVE, True, 0, 5),
        (POSITIVE, False, 12, 9),
        (POSITIVE, False, 5, 0),
        (NEGATIVE, True, 0, 0),
        (NEGATIVE, True, 0, 2),
        (NEGATIVE, False, 0, 3),
        (NEGATIVE, False, 2, 0),
    ]
    assert ticks(ax.yaxis) == ["full", "lora"]
    assert ax.yaxis_inverted()
    removed, kept = "removed by the adversary", "kept"
    named = [f"{s}, {r}" for s in ("positive", "negative") for r in (removed, kept)]
    assert legend(ax) == named


def test_overlap_where_only_the_negative_are_kept():
    widths = [p.get_width() for p in variants.plot_overlap(OVERLAP[2:3]).patches]
    assert widths == [0, 0, 0, 3]


# Everywhere


@pytest.mark.parametrize(
    "plot",
    [
        lambda ax: variants.plot_cumulated_evidence(EVIDENCE, delta_s=0.3, ax=ax),
        lambda ax: variants.plot_detection(DETECTED, ax=ax),
        lambda ax: variants.plot_evasion(EVADED, how="Anything", ax=ax),
        lambda ax: variants.plot_overlap(OVERLAP, ax=ax),
    ],
)
def test_the_axes_given_are_drawn_on(plot):
    figure, ax = plt.subplots()
    before = len(ax.get_children())
    assert plot(ax) is ax
    assert plt.get_fignums() == [figure.number]
    assert len(ax.get_children()) > before


@pytest.mark.parametrize(
    "plot, some, options",
    [
        (variants.plot_detection, DETECTED, {}),
        (variants.plot_overlap, OVERLAP, {}),
        (variants.plot_evasion, EVADED, {"how": "Anything"}),
    ],
)
def test_the_paper_has_four_datasets(plot, some, options):
    names = ["dolly", "alpaca", "slimorca", "openhermes"]
    everything = pd.concat([some.assign(dataset=d) for d in names], ignore_index=True)
    axes = vote.per_dataset(plot, everything, **options).axes
    assert [title(ax).split(":")[0] for ax in axes] == names
    alone = vote.per_dataset(plot, some.assign(dataset="dolly"), **options).axes[0]
    assert {len(ax.patches) for ax in axes} == {len(alone.patches)}
    assert not title(alone).startswith("dolly")
