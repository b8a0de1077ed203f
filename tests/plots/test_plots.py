"""What a plot draws: its bars, points and words are those of the table."""

import math

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from helpers import table
from matplotlib.colors import to_hex

from dsi_core.plots import variants
from dsi_core.plots import vote as plots

POSITIVE, NEGATIVE, GREY = (
    plots.COLORS["positive"].lower(),
    plots.COLORS["negative"].lower(),
    plots.COLORS["filtered"].lower(),
)
NAN = math.nan


@pytest.fixture(autouse=True)
def drawn():
    """Every figure of a test is rendered, so that what only fails at drawing fails, and then closed."""
    yield
    for number in plt.get_fignums():
        plt.figure(number).canvas.draw()
    plt.close("all")


def words(ax):
    return [t.get_text() for t in ax.texts]


def legend(of):
    return [
        t.get_text()
        for t in (of.get_legend() if hasattr(of, "get_legend") else of.legends[0]).get_texts()
    ]


def ticks(axis):
    return [t.get_text() for t in axis.get_ticklabels()]


def levels(ax, value="height"):
    return [getattr(p, f"get_{value}")() for p in ax.patches]


def color(patch):
    return to_hex(patch.get_facecolor())


# The vote


VOTES = table(
    "dataset suspect member positive negative filtered verdict correct",
    ("one", "full", True, 9, 1, 0, "member", True),
    ("one", "weak", True, 2, 7, 3, "non-member", False),
    ("one", "mute", True, 0, 0, 9, "inconclusive", False),
    ("one", "chat", False, 0, 9, 0, "non-member", True),
    ("two", "full", True, 4, 3, 0, "member", True),
    ("two", "chat", False, 5, 2, 0, "member", False),
)


def bars(ax):
    """(positive, negative) bar lengths of each suspect."""
    return [tuple(p.get_width() for p in pair) for pair in zip(*ax.containers)]


def test_votes_are_a_pair_of_bars_and_a_verdict_each():
    ax = plots.plot_votes(VOTES[:3], title="some")
    assert (
        bars(ax) == [(9, 1), (2, 7), (0, 0)]
        and ticks(ax.yaxis) == ["full", "weak", "mute"]
        and ax.get_title(loc="left") + ax.get_title() == "some"
    )
    assert words(ax) == ["member ✓", "non-member ✗ (3 filtered)", "inconclusive ✗ (9 filtered)"]
    assert [to_hex(t.get_color()) for t in ax.texts] == [
        "#000000",
        "#cc0000",
        "#cc0000",
    ] and ax.get_legend() is None
    assert bars(plots.plot_votes(VOTES[2:3])) == [(0, 0)]  # nothing at all to draw


def test_both_sides_of_every_dataset():
    figure = plots.plot_both_sides(VOTES, words=("yes", "no"), xlabel="samples")
    assert [ax.get_title() + ax.get_title(loc="left") for ax in figure.axes] == [
        "one: members",
        "two: members",
        "one: non-members",
        "two: non-members",
    ]
    assert [bars(ax) for ax in figure.axes] == [
        [(9, 1), (2, 7), (0, 0)],
        [(4, 3)],
        [(0, 9)],
        [(5, 2)],
    ]
    assert [ax.get_xlabel() for ax in figure.axes] == ["", "", "samples", "samples"] and legend(
        figure
    ) == ["yes", "no"]


@pytest.mark.parametrize("truth, title", [(True, "one: members"), (False, "one: non-members")])
def test_one_side_alone(truth, title):
    """§6.4 has members only, §6.1's IID suite non-members only."""
    (ax,) = plots.plot_both_sides(
        VOTES[(VOTES["member"] == truth) & (VOTES["dataset"] == "one")]
    ).axes
    assert (
        ax.get_title() + ax.get_title(loc="left") == title and ax.get_xlabel() == "tainted samples"
    )


def test_no_bar_is_cut_by_the_other_side():
    some = table(
        "dataset suspect member positive negative filtered verdict correct",
        ("d", "a", True, 40, 1, 0, "member", True),
        ("d", "b", False, 0, 2, 0, "non-member", True),
    )
    assert all(ax.get_xlim()[1] > 40 for ax in plots.plot_both_sides(some).axes)


def test_a_dataset_without_non_members_beside_one_with():
    assert [
        len(ax.containers)
        for ax in plots.plot_both_sides(VOTES[VOTES["member"] | (VOTES["dataset"] == "one")]).axes
    ] == [2, 2, 2, 0]


# Gaps and evidence


def test_gaps_are_sorted_and_the_tainted_ones_coloured():
    ax = plots.plot_gaps(
        table("min_gap tainted", (0.1, False), (0.9, True), (-0.2, False), (0.4, True)), delta_t=0.3
    )
    assert levels(ax) == [0.9, 0.4, 0.1, -0.2] and [color(p) for p in ax.patches] == [
        POSITIVE,
        POSITIVE,
        GREY,
        GREY,
    ]
    assert (
        "2 of 4 samples are tainted" in ax.get_title() + ax.get_title(loc="left")
        and ax.lines[0].get_ydata()[0] == 0.3
    )


def test_evidence_without_an_answer_says_so():
    silent = table("evidence status", (NAN, "filtered"), (NAN, "filtered"))
    assert "no answer counts" in plots.plot_evidence(silent, delta_s=0.3, title="M").get_title()
    ax = plots.plot_evidence(
        table("evidence status", (0.5, "positive"), (0.1, "negative"), (NAN, "filtered")),
        delta_s=0.3,
    )
    assert sum(levels(ax)) == 2


EVIDENCE = table(
    "suspect member evidence",
    *[("full", True, e) for e in (0.1, 0.5, 0.7, NAN, 0.9)],
    *[("chat", False, e) for e in (-0.1, 0.0)],
    ("mute", True, NAN),
)


def test_leanings_show_every_counted_sample():
    ax = plots.plot_leanings(EVIDENCE, delta_s=0.25)
    assert sorted(
        x
        for c in ax.collections
        for x in c.get_offsets()[:, 0]
        if not np.ma.is_masked(x) and np.isfinite(x)
    ) == [-0.1, 0.0, 0.1, 0.5, 0.7, 0.9]
    assert sorted(legend(ax)) == ["member", "non-member"] and "0.25" in ax.get_xlabel()


def test_fig08_is_the_cumulated_share_of_each_suspect():
    ax = variants.plot_fig08(EVIDENCE, delta_s=0.3)
    assert legend(ax) == ["full (member)", "chat (non-member)"]  # mute has no answer that counts
    full, chat, threshold, half = ax.lines
    assert full.get_xdata().tolist()[1:] == [0.1, 0.5, 0.7, 0.9] and full.get_ydata().tolist() == [
        0,
        0.25,
        0.5,
        0.75,
        1,
    ]  # NaN is not in the share
    assert (full.get_linestyle(), chat.get_linestyle()) == (
        "-",
        "--",
    ) and full.get_color() != chat.get_color()
    assert threshold.get_xdata()[0] == 0.3 and half.get_ydata()[0] == 0.5
    assert legend(variants.plot_fig08(EVIDENCE[5:7], delta_s=0.3)) == ["chat (non-member)"]


# Ablations


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
).assign(dataset="faq")


def test_sensitivity_has_a_panel_per_setting_and_a_line_per_suspect():
    figure = variants.plot_sensitivity(MOVED, at={"delta": 0.3, "draws": 2})
    delta, draws = figure.axes
    assert [ax.get_xlabel() for ax in figure.axes] == [
        "delta (dotted: 0.3)",
        "draws (dotted: 2)",
    ] and legend(draws) == ["full (member)", "chat (non-member)"]
    full, chat, half, own = delta.lines
    assert full.get_xdata().tolist() == [0.1, 0.3, 0.5] and np.isnan(full.get_ydata()).tolist() == [
        False,
        True,
        False,
    ]  # inconclusive: a hole
    assert chat.get_ydata().tolist() == [0.0, 0.1, 0.2] and (
        full.get_linestyle(),
        chat.get_linestyle(),
    ) == ("-", "--")
    assert (
        half.get_ydata()[0] == 0.5
        and own.get_xdata()[0] == 0.3
        and draws.lines[3].get_xdata()[0] == 2
    )
    ends = delta.collections[1].get_paths()[0].vertices  # chat's band
    assert {(round(x, 3), round(y, 3)) for x, y in ends} == {
        (0.1, 0.0),
        (0.3, 0.0),
        (0.5, 0.1),
        (0.1, 0.2),
        (0.3, 0.3),
        (0.5, 0.4),
    }
    assert draws.get_xticks().tolist() == [1, 2]


def test_sensitivity_of_one_suspect_to_one_setting():
    (ax,) = variants.plot_sensitivity(MOVED[1:2], at={"delta": 0.3}).axes
    assert len(ax.lines) == 3 and ax.get_ylabel() == "positive share of the vote"


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
    right, tainted = variants.plot_grid(GRID, at=(0.2, 0.3)).axes
    assert words(right) == ["0", "3", "1", "2", "3", "4"] and words(tainted) == [
        "0",
        "25",
        "40",
    ]  # delta_t falls from top to bottom
    assert ticks(right.yaxis) == ["0.4", "0.3", "0.2"] and ticks(right.xaxis) == ["0.2", "0.3"]
    (frame,) = right.patches
    assert (
        frame.get_xy() == (1, 2) and to_hex(frame.get_edgecolor()) == "#ff0000"
    )  # over the cell that says 4
    assert "of 4" in right.get_title() + right.get_title(loc="left")


def test_thresholds_off_the_grid_have_no_frame():
    assert not variants.plot_grid(GRID, at=(0.25, 0.3)).axes[0].patches
    assert words(variants.plot_grid(GRID[:1], at=(0.2, 0.2)).axes[0]) == ["3"]


DETECTED = table(
    "references group correct total low high",
    ("one", "(1)", 1, 2, 9.5, 90.5),
    ("one", "(2)", 0, 3, 0.0, 56.1),
    ("both", "(1)", 2, 2, 34.2, 100.0),
    ("both", "(2)", 3, 3, 43.9, 100.0),
)


def test_detection_by_set_and_group():
    ax = variants.plot_detection(DETECTED, x="references", title="more")
    assert levels(ax) == [50, 100, 0, 100] and words(ax) == [
        "1/2",
        "2/2",
        "0/3",
        "3/3",
    ]  # group after group
    middles = [p.get_x() + p.get_width() / 2 for p in ax.patches]
    assert middles == pytest.approx([-0.2, 0.8, 0.2, 1.2]) and [round(m) for m in middles] == [
        0,
        1,
        0,
        1,
    ]
    spans = [
        tuple(c.lines[2][0].get_segments()[0][:, 1]) for c in ax.containers if hasattr(c, "lines")
    ]
    assert np.allclose(spans, [(9.5, 90.5), (34.2, 100), (0, 56.1), (43.9, 100)])
    assert (
        ticks(ax.xaxis) == ["one", "both"]
        and legend(ax) == ["(1)", "(2)"]
        and len({color(p) for p in ax.patches}) == 2
    )


def test_detection_of_a_group_that_one_set_lacks():
    ax = variants.plot_detection(DETECTED.drop(index=0), x="references")
    assert words(ax) == ["0/3", "3/3", "2/2"] and legend(ax) == ["(2)", "(1)"]
    assert levels(variants.plot_detection(DETECTED[:1], x="group", hue="references")) == [50]


SETS = table(
    "references suspect positive negative",
    ("one", "full", 30, 5),
    ("one", "chat", 2, 33),
    ("both", "full", 12, 1),
    ("both", "chat", 0, 13),
)


def test_fig10_stacks_negative_on_positive():
    ax = variants.plot_fig10(SETS)
    assert levels(ax) == [30, 12, 5, 1, 2, 0, 33, 13] and levels(ax, "y") == [
        0,
        0,
        30,
        12,
        0,
        0,
        2,
        0,
    ]
    assert [color(p) for p in ax.patches] == [POSITIVE] * 2 + [NEGATIVE] * 2 + [POSITIVE] * 2 + [
        NEGATIVE
    ] * 2
    assert (
        words(ax) == ["full", "full", "chat", "chat"]
        and ticks(ax.xaxis) == ["one", "both"]
        and legend(ax) == ["positive", "negative"]
    )
    middles = [round(p.get_x() + p.get_width() / 2, 2) for p in ax.patches]
    assert middles == [-0.21, 0.79] * 2 + [0.21, 1.21] * 2
    assert levels(variants.plot_fig10(SETS[3:])) == [0, 13]


# Evasions


EVADED = table(
    "setting suspect share low high correct",
    ("none", "full", 1.0, 0.7, 1.0, True),
    ("none", "lora", 0.75, 0.5, 0.9, True),
    ("llama", "full", 0.25, 0.1, 0.5, False),
    ("llama", "lora", NAN, NAN, NAN, False),
)


def points(ax):
    return [list(zip(c.lines[0].get_xdata(), c.lines[0].get_ydata())) for c in ax.containers]


def test_evasion_has_a_point_per_member_and_setting():
    ax = variants.plot_evasion(EVADED, title="rephrasing", xlabel="who")
    full, lora = points(ax)
    assert full == [(-0.06, 1.0), (0.94, 0.25)] and lora[0] == (0.06, 0.75) and np.isnan(lora[1][1])
    assert [s[:, 1].tolist() for s in ax.containers[0].lines[2][0].get_segments()] == [
        [0.7, 1.0],
        [0.1, 0.5],
    ]
    assert (
        words(ax) == ["2 of 2 caught", "0 of 2 caught"]
        and ticks(ax.xaxis) == ["none", "llama"]
        and legend(ax) == ["full", "lora"]
    )
    assert (ax.get_title() + ax.get_title(loc="left"), ax.get_xlabel()) == (
        "rephrasing",
        "who",
    ) and ax.lines[-1].get_ydata()[0] == 0.5


def test_evasion_of_one_member_without_a_share():
    ax = variants.plot_evasion(EVADED[3:])
    assert words(ax) == ["0 of 1 caught"] and np.isnan(points(ax)[0][0][1])


def test_an_end_rounded_past_its_share_draws_no_negative_bar():
    """Shares have four digits and ends three: 0.0004 lies below 0.001, and matplotlib refuses a bar of -0.0006."""
    assert points(
        variants.plot_evasion(
            table("setting suspect share low high correct", ("a", "m", 0.0004, 0.001, 0.02, False))
        )
    ) == [[(0, 0.0004)]]


def test_ten_members_stay_within_their_setting():
    """The paper has ten local members and ten wild ones."""
    many = pd.concat(
        [EVADED[:1].assign(suspect=f"m{i}", setting=s) for s in ("a", "b") for i in range(20)]
    )
    assert all(
        abs(x - i) < 0.5
        for dots in points(variants.plot_evasion(many))
        for i, (x, _) in enumerate(dots)
    )


OVERLAP = table(
    "suspect status removed samples",
    ("full", "positive", True, 12),
    ("full", "positive", False, 9),
    ("full", "negative", False, 3),
    ("lora", "positive", True, 5),
    ("lora", "negative", True, 2),
)


def test_fig12_puts_the_kept_behind_the_removed():
    ax = variants.plot_fig12(OVERLAP)
    drawn = [(color(p), p.get_hatch() == "///", p.get_x(), p.get_width()) for p in ax.patches]
    assert drawn == [
        (POSITIVE, True, 0, 12),
        (POSITIVE, True, 0, 5),
        (POSITIVE, False, 12, 9),
        (POSITIVE, False, 5, 0),
        (NEGATIVE, True, 0, 0),
        (NEGATIVE, True, 0, 2),
        (NEGATIVE, False, 0, 3),
        (NEGATIVE, False, 2, 0),
    ]
    assert ticks(ax.yaxis) == ["full", "lora"] and ax.yaxis_inverted()
    assert legend(ax) == [
        "positive, removed by the adversary",
        "positive, kept",
        "negative, removed by the adversary",
        "negative, kept",
    ]
    assert [p.get_width() for p in variants.plot_fig12(OVERLAP[2:3]).patches] == [0, 0, 0, 3]


# Everywhere


@pytest.mark.parametrize(
    "plot",
    [
        lambda ax: plots.plot_votes(VOTES[:3], ax=ax),
        lambda ax: variants.plot_fig08(EVIDENCE, delta_s=0.3, ax=ax),
        lambda ax: plots.plot_leanings(EVIDENCE, delta_s=0.3, ax=ax),
        lambda ax: variants.plot_detection(DETECTED, x="references", ax=ax),
        lambda ax: variants.plot_fig10(SETS, ax=ax),
        lambda ax: variants.plot_evasion(EVADED, ax=ax),
        lambda ax: variants.plot_fig12(OVERLAP, ax=ax),
    ],
)
def test_the_axes_given_are_drawn_on(plot):
    figure, ax = plt.subplots()
    assert plot(ax) is ax and plt.get_fignums() == [figure.number] and len(ax.get_children()) > 12


@pytest.mark.parametrize(
    "plot, some, how",
    [
        (variants.plot_detection, DETECTED, {"x": "references"}),
        (variants.plot_fig10, SETS, {}),
        (variants.plot_fig12, OVERLAP, {}),
        (variants.plot_evasion, EVADED, {}),
    ],
)
def test_the_paper_has_four_datasets(plot, some, how):
    table = pd.concat(
        [some.assign(dataset=d) for d in ("dolly", "alpaca", "slimorca", "openhermes")],
        ignore_index=True,
    )
    axes = plots.per_dataset(plot, table, **how).axes
    assert [ax.get_ylabel().split("\n")[0] for ax in axes] == [
        "dolly",
        "alpaca",
        "slimorca",
        "openhermes",
    ]
    alone = plots.per_dataset(plot, some.assign(dataset="dolly"), **how).axes[0]
    assert {len(ax.patches) for ax in axes} == {
        len(alone.patches)
    } and not alone.get_ylabel().startswith("dolly")
