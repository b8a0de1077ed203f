"""Tables in notebooks: what has no value, and rows that are only counted."""

import numpy as np
import pandas as pd

from dsi_core.plots import tables, texts


def test_what_has_no_value_is_a_dash_and_rows_are_not_numbered():
    table = pd.DataFrame(
        {
            "model": ["None", None, "<NA> & co"],
            "votes": pd.array([1, None, 3], dtype="Int64"),
            "recall": [0.5, np.nan, 1.0],
        }
    ).iloc[1:]
    table.columns.name = "fate"
    html = tables.as_html(table)
    assert html.count(f"<td>{tables.ABSENT}</td>") == 3
    assert "&lt;NA&gt; &amp; co" in html and "<td>1.0</td>" in html
    assert "<th>1</th>" not in html and "<th>model</th>" in html and "fate" not in html


def test_as_many_rows_as_pandas_shows_or_all():
    long = pd.DataFrame({"a": range(8)})
    for most, rows in ((4, 5), (None, 8)):  # a row of dots between first and last
        with pd.option_context("display.max_rows", most):
            html = tables.as_html(long)
        assert html.count("<tr>") == rows and ("8 rows" in html) == (most is not None)


def test_a_sentence_is_not_cut():
    sentence = "no more, " * 20 + "end"
    assert sentence in tables.as_html(pd.DataFrame({"said": [sentence]}))


def test_between_two_dollars_stands_no_formula():
    """Else what a model says could hide or change its words where MathJax is."""
    said = pd.DataFrame({"response": [r"It costs $5 or \phantom{all} $6"]})
    for html in tables.as_html(said), texts.as_table(said).data:
        assert "mathjax_ignore" in html.partition("<table")[2].partition(">")[0]


def test_what_turns_the_direction_of_writing_is_spelled_out():
    """Else the words after it stand in another order than a model said them; letters stay."""
    said = pd.DataFrame({"response": ["\u202ereven \u05e9"]})
    for html in tables.as_html(said), texts.as_table(said).data:
        assert r"\u202ereven" in html and "\u202e" not in html and "\u05e9" in html


def test_an_index_that_says_something_stays():
    named = pd.DataFrame({"a": [1]}, index=pd.Index([7], name="samples"))
    assert "<th>7</th>" in tables.as_html(named)
    assert "<th>gemma</th>" in tables.as_html(pd.DataFrame({"a": [1]}, index=["gemma"]))


def test_a_table_without_a_column_shows_nothing():
    assert tables.as_html(pd.DataFrame()) == ""
    assert "<th>a</th>" in tables.as_html(pd.DataFrame({"a": []}))  # no row, but what it would say
