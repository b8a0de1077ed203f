"""One look: the same jitter in every run, one colour for one name, axes that are made or given."""

from itertools import combinations

import matplotlib.pyplot as plt
import numpy as np
import pytest
import seaborn as sns
from matplotlib.colors import to_hex, to_rgb

from dsi_core.plots import style


def test_dots_jitter_alike_in_every_run():
    def dots():
        style.use()
        ax = sns.stripplot(x=[1.0, 2.0, 3.0], y=["a", "a", "a"], ax=plt.subplots()[1])
        return ax.collections[0].get_offsets()

    first = dots()
    np.random.random(7)
    assert np.ptp(first[:, 1]) > 0
    np.testing.assert_array_equal(first, dots())


def test_a_name_has_its_own_colour_or_the_next_of_the_palette():
    colors = style.colors_of(["llama", "the suspect", "llama", "glm"])
    assert list(colors) == ["llama", "the suspect", "glm"]
    assert [to_hex(c) for c in colors.values()] == ["#0173b2", "#000000", "#029e73"]


def test_more_names_than_the_palette_has_colours():
    assert len(style.colors_of(f"m{i}" for i in range(25))) == 25


def test_the_tests_of_an_audit_keep_their_colours_alone_and_together():
    together = style.colors_of(["control models", "private twin"])
    assert style.colors_of(["private twin"]) == {"private twin": together["private twin"]}
    assert together["private twin"] != together["control models"]


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
