"""One look: the same jitter in every run, one colour for one name, axes that are made or given."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import seaborn as sns
from matplotlib.colors import to_hex

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
