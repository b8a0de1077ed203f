"""The vote: bars, dots and words are those of the table."""

import math

import matplotlib.pyplot as plt
import numpy as np
import pytest
from drawing import color, legend, levels, ticks, title, words
from helpers import table
from matplotlib.colors import to_hex

from dsi_core.plots import style, vote

NAN = math.nan
POSITIVE, NEGATIVE, MEMBER, OTHER, UNTUNED = (
    style.LOOKS[k].color.lower()
    for k in ("positive", "negative", "member", "other data", "untuned")
)

VOTES = table(
    "dataset suspect member positive negative filtered verdict correct",
    ("one", "full", True, 9, 1, 0, "member", True),
    ("one", "weak", True, 2, 7, 3, "non-member", False),
    ("one", "mute", True, 0, 0, 9, "inconclusive", False),
    ("one", "chat", False, 0, 9, 0, "non-member", True),
    ("two", "full", True, 4, 3, 0, "member", True),
    ("two", "chat", False, 5, 2, 0, "member", False),
)
EVIDENCE = table(
    "suspect member evidence",
    *[("full", True, e) for e in (0.1, 0.5, 0.7, NAN, 0.9)],
    *[("chat", False, e) for e in (-0.1, 0.0)],
    ("mute", True, NAN),
)


def bars(ax):
    """(positive, negative) bar lengths of each suspect, back to back."""
    negative, positive = ([p.get_width() for p in bars] for bars in ax.containers)
    return [(right, -left) for left, right in zip(negative, positive, strict=True)]


def places(ax):
    """The finite places along x of all dots."""
    dots = np.concatenate([np.ma.filled(c.get_offsets(), NAN)[:, 0] for c in ax.collections])
    return sorted(dots[np.isfinite(dots)])


def diamonds(ax):
    """Colour and place of the medians."""
    marked = [line for line in ax.lines if line.get_marker() == "d"]
    return [(to_hex(line.get_color()), line.get_xdata()[0]) for line in marked]


# Votes


def test_votes_are_a_pair_of_bars_and_a_verdict_each():
    ax = vote.plot_votes(VOTES[:3], title="some")
    assert bars(ax) == [(9, 1), (2, 7), (0, 0)]
    looks = [(color(bars[0]), bars[0].get_hatch()) for bars in ax.containers]
    assert looks == [(NEGATIVE, "///"), (POSITIVE, "")]
    assert ticks(ax.yaxis) == ["full", "weak", "mute"]
    assert title(ax) == "some"
    assert words(ax) == [
        "9 : 1  member ✓",
        "2 : 7  non-member ✗ (3 filtered)",
        "0 : 0  inconclusive ✗ (9 filtered)",
    ]
    wrong = style.COLORS["wrong"].lower()
    assert [to_hex(t.get_color()) for t in ax.texts] == ["#000000", wrong, wrong]
    assert set(ticks(ax.xaxis)) == {"5", "0"}  # either side counts upwards


def test_a_suspect_without_any_vote_has_empty_bars():
    assert bars(vote.plot_votes(VOTES[2:3])) == [(0, 0)]


def test_both_sides_of_every_dataset():
    figure = vote.plot_both_sides(VOTES, judge="X", words=("yes", "no"), counted="samples")
    titles = ["one: members", "one: non-members", "two: members", "two: non-members"]
    assert [title(ax) for ax in figure.axes] == titles
    sides = [[(9, 1), (2, 7), (0, 0)], [(0, 9)], [(4, 3)], [(5, 2)]]
    assert [bars(ax) for ax in figure.axes] == sides
    assert figure.axes[-1].get_xlabel() == "samples: no to the left, yes to the right"
    assert figure.get_suptitle() == (
        "X finds 2 of 4 members and accuses 1 of 2 non-members; 1 stay inconclusive"
    )


@pytest.mark.parametrize("truth, said", [(True, "one: members"), (False, "one: non-members")])
def test_one_side_alone(truth, said):
    """§6.4 has members only, §6.1's IID suite non-members only."""
    some = VOTES[(VOTES["member"] == truth) & (VOTES["dataset"] == "one")]
    (ax,) = vote.plot_both_sides(some).axes
    assert title(ax) == said


def test_both_sides_of_a_dataset_have_one_scale():
    some = table(
        "dataset suspect member positive negative filtered verdict correct",
        ("d", "a", True, 40, 1, 0, "member", True),
        ("d", "b", False, 0, 2, 0, "non-member", True),
    )
    limits = [ax.get_xlim() for ax in vote.plot_both_sides(some).axes]
    assert limits[0] == limits[1] and limits[0][1] > 40


# Similarity, gaps, losses


def test_similarity_is_a_row_of_dots_for_each_reference_and_side():
    rows = [
        *[("R1", "before", v) for v in (0.1, 0.2, 0.6)],
        *[("R1", "after", v) for v in (0.7, 0.8, 1.0)],
        ("R2", "before", 0.3),
        ("R2", "after", 0.9),
    ]
    ax = vote.plot_similarity(table("reference side similarity", *rows))
    assert ticks(ax.yaxis) == ["R1", "R2"]
    assert legend(ax) == ["tuned reference", "untuned reference"]
    assert places(ax) == pytest.approx(sorted(value for *_, value in rows))
    assert diamonds(ax) == [(UNTUNED, 0.2), (UNTUNED, 0.3), (MEMBER, 0.8), (MEMBER, 0.9)]
    assert title(ax).startswith("Tuning on D brings the median answer of both references closer")


def test_gaps_are_sorted_and_the_tainted_ones_coloured():
    rows = [(0.1, False), (0.9, True), (-0.2, False), (0.4, True)]
    ax = vote.plot_gaps(table("min_gap tainted", *rows), delta_t=0.3)
    assert levels(ax) == [0.9, 0.4, 0.1, -0.2]
    dark, light = style.COLORS["tainted"].lower(), style.COLORS["filtered"].lower()
    assert [color(p) for p in ax.patches] == [dark, dark, light, light]
    assert [p.get_x() + p.get_width() / 2 for p in ax.patches] == [1, 2, 3, 4]
    assert "2 of 4 samples are tainted" in title(ax)
    assert ax.lines[1].get_ydata()[0] == 0.3
    assert words(ax) == ["delta_t = 0.3\nabove: tainted"]


def test_losses_are_a_line_for_each_model():
    rows = [("R a", 1, 3.0), ("R a", 2, 1.5), ("R^t b", 1, 2.0), ("R^t b", 2, 0.5)]
    ax = vote.plot_losses(table("model_id epoch loss", *rows))
    assert [line.get_ydata().tolist() for line in ax.lines] == [[3.0, 1.5], [2.0, 0.5]]
    assert [line.get_xdata().tolist() for line in ax.lines] == [[1, 2], [1, 2]]
    assert [to_hex(line.get_color()) for line in ax.lines] == [UNTUNED, MEMBER]
    assert len({line.get_marker() for line in ax.lines}) == 2
    assert legend(ax) == ["a, not on D", "b, tuned on D"]
    assert ax.get_ylim()[0] == 0


# Evidence


def test_dots_show_every_counted_sample_in_the_look_of_its_kind():
    ax = vote.plot_evidence_dots(EVIDENCE, delta_s=0.25)
    assert places(ax) == [-0.1, 0.0, 0.1, 0.5, 0.7, 0.9]
    assert ticks(ax.yaxis) == ["full", "chat", "mute"]
    assert legend(ax) == ["member: trained on D", "tuned on other data"]
    assert diamonds(ax) == [(MEMBER, pytest.approx(0.6)), (OTHER, pytest.approx(-0.05))]
    assert ax.lines[-1].get_xdata()[0] == 0.25
    assert words(ax) == ["delta_s = 0.25: right of it positive"]
    assert ax.get_xlabel() == "evidence: the best answer's weakest gap (Eq. 2)"
    released = vote.plot_evidence_dots(EVIDENCE, delta_s=0.25, rule="released")
    assert released.get_xlabel().startswith("evidence (rule: released): difference of maxima")


@pytest.mark.parametrize("ends", [(-0.6, 0.5), (0.2, 2.0)])
def test_the_threshold_s_name_is_within_the_axes(ends):
    rows = table("suspect member evidence", *[("m", True, end) for end in ends])
    ax = vote.plot_evidence_dots(rows, delta_s=0.3)
    ax.figure.canvas.draw()
    name, box = ax.texts[0].get_window_extent(), ax.bbox
    assert box.x0 < name.x0 and name.x1 < box.x1


# All suspects at a glance


def test_shares_are_a_dot_for_each_suspect_and_the_wrong_ones_are_named():
    counted = VOTES["positive"] + VOTES["negative"]
    share = (VOTES["positive"] / counted).where(counted > 0)
    ax = vote.plot_shares(VOTES.assign(share=share))
    assert places(ax) == pytest.approx([0, 100 * 2 / 9, 100 * 4 / 7, 100 * 5 / 7, 90])
    assert ticks(ax.yaxis) == [
        "one: 3 members",
        "one: 1 non-members",
        "two: 1 members",
        "two: 1 non-members",
    ]
    assert words(ax) == ["weak", "chat", "right of it: called a member"]
    assert [color(c) for c in ax.collections] == [MEMBER, OTHER] * 2
    assert title(ax) == (
        "The vote finds 2 of 4 members and accuses 1 of 2 non-members; 1 stay inconclusive"
    )


def test_shares_say_by_which_rule_a_tie_is_member_and_where_no_sample_counts():
    nothing = VOTES[VOTES["dataset"] == "two"].assign(share=math.nan)
    ax = vote.plot_shares(nothing, rule="released")
    left_out = "no sample counts"
    assert [w.strip() for w in words(ax)] == [left_out] * 2 + [
        "on it or right of it: called a member"
    ]


# Everywhere


@pytest.mark.parametrize(
    "plot",
    [
        lambda ax: vote.plot_votes(VOTES[:3], ax=ax),
        lambda ax: vote.plot_shares(VOTES[:1].assign(share=0.9), ax=ax),
        lambda ax: vote.plot_evidence_dots(EVIDENCE, delta_s=0.3, ax=ax),
        lambda ax: vote.plot_gaps(table("min_gap tainted", (0.1, False)), delta_t=0.3, ax=ax),
        lambda ax: vote.plot_losses(table("model_id epoch loss", ("R^t a", 1, 3.0)), ax=ax),
    ],
)
def test_the_axes_given_are_drawn_on(plot):
    figure, ax = plt.subplots()
    before = len(ax.get_children())
    assert plot(ax) is ax
    assert plt.get_fignums() == [figure.number]
    assert len(ax.get_children()) > before


def test_datasets_are_drawn_one_under_another_with_their_names():
    figure = vote.per_dataset(vote.plot_votes, VOTES, height=2, title="all")
    assert [bars(ax) for ax in figure.axes] == [[(9, 1), (2, 7), (0, 0), (0, 9)], [(4, 3), (5, 2)]]
    assert [title(ax) for ax in figure.axes] == ["one: all", "two: all"]
    assert figure.get_size_inches().tolist() == [9, 4]


def test_a_dataset_alone_needs_no_name():
    (ax,) = vote.per_dataset(vote.plot_votes, VOTES[VOTES["dataset"] == "two"], title="x").axes
    assert title(ax) == "x"


def test_a_plot_is_as_high_as_its_rows_need():
    figure = vote.per_dataset(vote.plot_votes, VOTES, rows="suspect")
    most = VOTES.groupby("dataset")["suspect"].nunique().max()
    assert figure.get_figheight() == pytest.approx(2 * (1.2 + vote.ROW * most))


def test_a_dataset_of_which_nothing_is_left_is_named():
    two = VOTES[VOTES["dataset"] == "two"]
    options = {"rows": "suspect", "among": ["one", "two"], "title": "all"}
    drawn, empty = vote.per_dataset(vote.plot_votes, two, **options).axes
    assert (title(drawn), bars(drawn)) == ("two: all", [(4, 3), (5, 2)])
    assert (title(empty), words(empty)) == ("one", ["no sample is left at these settings"])
    both = vote.per_dataset(vote.plot_votes, two.head(0), **options).axes
    assert [title(ax) for ax in both] == ["one", "two"]


def test_nothing_to_draw_is_a_sentence():
    """As at a threshold at which no sample is tainted."""
    empty = table("dataset suspect member evidence")
    figure = vote.per_dataset(vote.plot_evidence_dots, empty, rows="suspect", delta_s=30)
    (ax,) = figure.axes
    assert [text.get_text() for text in ax.texts] == ["no sample is left at these settings"]
    mute = EVIDENCE.assign(evidence=NAN)  # all filtered, as at a mu above all answers
    assert words(vote.plot_evidence_dots(mute, delta_s=0.3)) == words(ax)
