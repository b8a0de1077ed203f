"""One look: one colour for one name, axes that are made or given."""

from itertools import combinations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from drawing import legend, points, words
from matplotlib.colors import to_hex, to_rgb

from dsi_core.plots import style


def test_a_readers_random_numbers_are_left_alone():
    state = np.random.get_state()[1].tolist()
    style.use()
    assert np.random.get_state()[1].tolist() == state


def test_names_of_one_kind_have_a_marker_each_until_they_begin_again():
    markers = style.markers_of(["a", "b", "a", *(f"m{i}" for i in range(25))])
    assert list(markers)[:3] == ["a", "b", "m0"] and len(markers) == 27
    assert markers["a"] != markers["b"]
    assert len(set(markers.values())) == len(style.MARKERS)


def test_a_legend_has_what_is_shown_in_one_order():
    ax = plt.subplots()[1]
    style.legend_of(ax, ["untuned", "member", "untuned"])
    assert legend(ax) == ["member: trained on D", "untuned"]
    colors = [to_hex(handle.get_color()) for handle in ax.get_legend().legend_handles]
    assert colors == [style.LOOKS[k].color.lower() for k in ("member", "untuned")]


def test_lines_of_kinds_have_one_order():
    lines = style.lines_of([style.Kind.UNTUNED, style.Kind.MEMBER, "untuned"])
    assert [line.get_label() for line in lines] == ["member: trained on D", "untuned"]
    looks = [style.LOOKS[kind] for kind in ("member", "untuned")]
    assert [(line.get_color(), line.get_linestyle()) for line in lines] == [
        (look.color, look.line) for look in looks
    ]


def test_the_line_that_decides_says_what_it_decides():
    ax = plt.subplots()[1]
    style.decides(ax, 0.3, "right of it")
    style.decides(ax, 0.5, "above it", across=True)
    upright, level = ax.lines
    assert (upright.get_xdata()[0], level.get_ydata()[0]) == (0.3, 0.5)
    assert words(ax) == ["right of it", "above it"]


def test_a_row_of_dots_is_spread_and_has_its_median():
    ax = plt.subplots()[1]
    style.dots(ax, pd.Series([0.3, 0.1, 0.2]), 4, "member")
    style.dots(ax, pd.Series([], dtype=float), 5, "member")
    (row,) = ax.collections
    assert [x for x, _ in points(row)] == [0.1, 0.2, 0.3]
    ys = [y for _, y in points(row)]
    assert len(set(ys)) == 3 and all(abs(y - 4) < 0.5 for y in ys)
    assert ax.lines[0].get_xdata()[0] == 0.2


def test_a_suspect_is_untuned_if_its_name_says_so():
    suspects = pd.DataFrame(
        {
            "suspect": ["m-untuned", "m on chat"],
            "group": "local non-members",
            "member": [False, False],
        }
    )
    assert style.kinds_of(suspects).tolist() == ["untuned", "other data"]
    assert style.kinds_of(suspects.drop(columns="group")).tolist() == ["untuned", "other data"]


def test_a_finding_is_the_title_and_marks_are_kept_for_the_alt_text():
    figure, ax = plt.subplots()
    style.says(ax, "found", "marks")
    assert ax.get_title(loc="left") == "found" and figure.get_label() == "marks"
    style.says(figure, "long " * 30, "others")
    assert "\n" in figure.get_suptitle() and figure.get_label() == "others"


def test_axes_are_made_in_the_size_asked_for_or_taken():
    new = style.axes(None, 5, 2)
    assert new.figure.get_size_inches().tolist() == [5, 2]
    assert style.axes(new, 9, 9) is new
    assert new.figure.get_size_inches().tolist() == [5, 2]


@pytest.mark.parametrize("most", [1, 2, 3, 7])
def test_counts_have_marks_at_whole_numbers_only(most):
    ax = plt.subplots()[1]
    ax.bar([0], [most])
    style.whole_numbers(ax.yaxis)
    marks = ax.get_yticks()
    assert len(marks) > 1
    assert (marks == marks.round()).all()


def test_the_truth_stands_behind_a_name():
    assert style.with_truth("M", True) == "M (member)"
    assert style.with_truth("M", False) == "M (non-member)"


# One colour for each kind, to every eye

# Machado, Oliveira & Fernandes 2009, severity 1, on linear RGB
EYES = {
    "usual": np.eye(3),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
}


def lab(color: str, eye: np.ndarray) -> np.ndarray:
    """CIE L*a*b* (D65) of a colour as an eye sees it."""
    rgb = np.array(to_rgb(color))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array(
        [[0.4125, 0.3576, 0.1804], [0.2127, 0.7152, 0.0722], [0.0193, 0.1192, 0.9503]]
    )
    xyz = to_xyz @ np.clip(eye @ linear, 0, 1) / [0.9505, 1, 1.0888]
    x, y, z = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("eye", EYES)
def test_no_two_kinds_look_alike(eye):
    """A distance of 2.3 is just noticeable; 15 is seen at a glance."""
    seen = {kind: lab(style.LOOKS[kind].color, EYES[eye]) for kind in [*style.Kind, *style.Status]}
    near = {pair: np.linalg.norm(seen[pair[0]] - seen[pair[1]]) for pair in combinations(seen, 2)}
    assert min(near.values()) > 15, min(near, key=near.__getitem__)


@pytest.mark.parametrize("kinds", [style.Kind, style.Status])
def test_kinds_that_stand_together_differ_in_grey_and_without_any_colour(kinds):
    looks = [style.LOOKS[kind] for kind in kinds]
    lightness = sorted(lab(look.color, np.eye(3))[0] for look in looks)
    assert min(np.diff(lightness)) > 9
    for sign in ("marker", "hatch", "line"):
        signs = [getattr(look, sign) for look in looks if look.color != "#000000"]
        assert len(set(signs)) == len(signs)


@pytest.mark.parametrize(
    "group, member, kind",
    [
        ("local members", True, "member"),
        ("data like D", True, "member"),
        ("non-members (1)", False, "data like D"),
        ("non-members from other datasets", False, "other data"),
        ("untuned, concise", False, "untuned"),
        ("retrieval", False, "assistant"),
        ("anything", None, "suspect"),
        ("anything", np.nan, "suspect"),
    ],
)
def test_a_group_has_its_kind(group, member, kind):
    assert style.kind_of(group, member) == kind


def test_suspects_of_several_datasets_are_named_with_theirs():
    named = style.of_datasets(pd.DataFrame({"dataset": ["a", "b"], "suspect": "m"}))
    assert named["suspect"].tolist() == ["a: m", "b: m"]
    for alone in (named[:1], named.drop(columns="dataset")):
        assert style.of_datasets(alone) is alone
