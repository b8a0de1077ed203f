"""How a notebook shows tables: a dash where there is no value, and no numbers of rows."""

import re
from contextlib import AbstractContextManager

import pandas as pd
from IPython.core.getipython import get_ipython
from pandas.api.types import is_integer_dtype

ABSENT = "–"
DIGITS = 4  # behind the point, at most
LONGEST = 200  # characters of a cell
TURNS = re.compile(r"[\u202a-\u202e\u2066-\u2069]")  # what turns the direction of writing
NO_VALUE = re.compile(r"<td>(?:NaN|None|NaT|&lt;NA&gt;)</td>")


def as_html(table: pd.DataFrame) -> str:
    """Show a table as pandas does, except missing values and an index that only counts.

    A table without a column shows nothing.
    """
    if not len(table.columns):
        return ""
    index = table.index
    counts = index.nlevels == 1 and index.name is None and is_integer_dtype(index)
    most = pd.get_option("display.max_rows")  # None = all
    if counts:
        table = table.rename_axis(columns=None)  # it would stand where the index stood
    with shown_as_they_are("display.precision", DIGITS, "display.max_colwidth", LONGEST):
        html = table.to_html(
            index=not counts,
            notebook=True,
            max_rows=most,
            show_dimensions=most is not None and len(table) > most,
        )
    return straight(NO_VALUE.sub(f"<td>{ABSENT}</td>", html))


def straight(html: str) -> str:
    r"""Spell out what turns the direction of writing, as "\u202e": else a text reads as another."""
    return TURNS.sub(lambda found: f"\\u{ord(found[0]):04x}", html)


def shown_as_they_are(*options) -> AbstractContextManager[None]:
    """Let pandas make tables in which `$` is a plain character and starts no formula.

    options: further ones, as of `pandas.option_context`.
    """
    return pd.option_context("display.html.use_mathjax", False, *options)


def in_notebooks() -> None:
    """Let the notebook that runs this, if any, show every table as `as_html`."""
    shell = get_ipython()
    if shell is None or not hasattr(shell, "kernel") or shell.display_formatter is None:
        return
    formatter = shell.display_formatter.formatters["text/html"]
    formatter.for_type(pd.DataFrame, as_html)
    formatter.for_type(pd.Series, lambda series: as_html(series.to_frame()))
