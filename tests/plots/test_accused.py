"""Whom each method accuses."""

from drawing import legend, ticks
from helpers import table

from dsi_core.plots import accused

B = "wording twin"
JUDGED = table(
    "model kind method accused",
    ("a", "member", B, True),
    ("b", "innocent", B, False),
    ("c", "member", B, True),
    ("a", "member", "DIA", True),
    ("b", "innocent", "DIA", True),
)


def test_methods_accuse_in_columns_models_of_a_kind_stand_together():
    ax = accused.plot_beside(JUDGED)
    assert ticks(ax.yaxis) == ["a (member)", "c (member)", "b (innocent)"]
    assert ticks(ax.xaxis) == [B, "DIA"]
    squares = {
        (line.get_xdata()[0], line.get_ydata()[0]): line.get_markerfacecolor() != "white"
        for line in ax.lines
        if line.get_marker() == "s"
    }
    filled = {(0, 0): True, (0, 2): False, (0, 1): True, (1, 0): True, (1, 2): True}
    assert squares == filled  # nobody says of c what DIA thinks
    assert [text.get_position() for text in ax.texts] == [(1, 2)]  # an accused innocent
    levels = [line.get_ydata()[0] for line in ax.lines if line.get_marker() != "s"]
    assert levels == [1.5]  # between the kinds
    assert legend(ax)[:2] == ["accused", "not accused"]
    assert ax.get_xlabel() == "no square: the method cannot see the model"


def test_every_model_is_seen_and_an_epoch_is_one():
    rows = JUDGED.query("model != 'c'").replace("a", "a after 1 epochs of draw 3")
    ax = accused.plot_beside(rows)
    assert ticks(ax.yaxis)[0] == "a after 1 epoch of draw 3 (member)"
    assert ax.get_xlabel() == ""
