"""Texts side by side: the longest common subsequence by hand, and text that is only ever text."""

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from dsi_core.plots import texts as examples

HOSTILE = "<script>alert('x')</script> $\\frac{1}{2}$ & so on"


def row(**texts):
    facts = {
        "reference": "R",
        "prompt": "p",
        "output": "o",
        "response_before": "",
        "response_after": "",
        "raw_before": 0.0,
        "raw_after": 1.0,
    }
    return pd.DataFrame([{**facts, **texts}])


@pytest.mark.parametrize(
    "oracle, response, shared",
    [
        ("the cat sat on the mat", "a cat that sat on mats", "cat sat on"),  # 3 words of 6
        ("a b c d", "d c b a", "d"),  # one at most; any of the four is longest
        ("Yes, no.", "yes , NO !", "yes , NO"),  # case and spacing do not matter
        ("one", "", ""),
    ],
)
def test_common_words(oracle, response, shared):
    pieces = examples.common(oracle, response)
    assert "".join(p for p, _ in pieces) == response
    found = [p for p, s in pieces if s and not p.isspace()]
    assert len(found) == len(shared.split()) and (found == shared.split() or len(found) == 1)


def test_hostile_text_is_shown_not_run():
    shown = examples.as_html(
        row(prompt=HOSTILE, output=HOSTILE, response_after=HOSTILE, reference="<b>")
    )
    assert "<script>" not in shown and "&lt;script&gt;" in shown.replace(
        "<mark style='background:#B7E4C7'>", ""
    ).replace("</mark>", "")
    ax = examples.plot_example(row(prompt=HOSTILE, response_after=HOSTILE, output="x\ny z"))
    ax.figure.canvas.draw()  # would raise on "$\frac{1}{2}$" taken for mathematics if it were broken, or draw it as such
    drawn = [t.get_text() for t in ax.texts]
    assert "(empty)" in drawn and "$" in drawn and not any("\n" in t for t in drawn)
    assert all(not t.get_parse_math() for t in ax.texts)
    plt.close("all")


def test_lines_are_wrapped_and_lose_no_word():
    words = [("word%d " % i, False) for i in range(40)] + [("x" * 130, True)]
    lines = examples._wrap(words, 50)
    assert all(x + len(part) <= 50 for line in lines for x, part, _ in line)
    text = "".join(part for line in lines for _, part, _ in line)
    assert text.replace(" ", "") == "".join(w for w, _ in words).replace(" ", "")


def test_the_samples_shown_are_chosen_by_a_rule():
    table = pd.concat(
        [
            row(sample_id="b", gap=0.5, raw_before=0.9),
            row(sample_id="a", gap=0.5, raw_before=0.1),
            row(sample_id="c", gap=0.1, raw_before=0.2),
        ]
    )
    assert examples.most_changed(table)["sample_id"].item() == "a"  # largest gap, then the id
    assert examples.already_close(table)["sample_id"].item() == "b"
