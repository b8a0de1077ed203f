"""Calibration: statistics, p-values of innocents, what the exact tests find.

A twin is "wording twin" or "private twin"; found is the share of orders of asking that found.
"""

from collections.abc import Iterable
from itertools import cycle
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike

from dsi_core.plots import style
from dsi_core.plots.findings import calibration as findings
from dsi_core.plots.style import COLORS, LOOKS, Kind

DRAWS = {
    "confirmation": (COLORS["one"], "o"),
    "confirmation, new rows": (COLORS["one"], "^"),
    "development": (COLORS["other"], "s"),
}


def plot_statistics(table: pd.DataFrame) -> Figure:
    """Effect of weak members by what is measured, on both kinds of draws.

    Parameters
    ----------
    table : DataFrame
        draws (one of `DRAWS`), measure, combine, twin, effect (in standard
        deviations; higher = found sooner), low, high (its 95% interval over draws, NaN = none).

    Returns
    -------
    Figure
        A panel for each twin, a row in it for each statistic, in the table's order.
    """
    table = table.assign(statistic=table["measure"] + ", " + table["combine"])
    statistics = list(table["statistic"].unique())
    uses = [use for use in DRAWS if use in set(table["draws"])]
    figure, axes = _panels(table["twin"].unique(), 4.6, 1.3 + 0.34 * len(statistics))
    for ax in axes:
        rows = table[table["twin"] == ax.get_title(loc="left")]
        for i, draws in enumerate(uses):
            color, marker = DRAWS[draws]
            part = rows[rows["draws"] == draws]
            y = _places(part["statistic"], statistics) + 0.2 * ((len(uses) - 1) / 2 - i)
            _interval(ax, part["effect"], y, part, color, draws, marker, across=True)
        ax.axvline(0, color=COLORS["zero"], linewidth=0.8)
        ax.set(xlabel="effect (standard deviations)", ylim=(len(statistics) - 0.5, -0.5))
        ax.set_yticks(range(len(statistics)), statistics)
    axes[-1].legend(title="draws", title_fontsize=8, **style.OUTSIDE)
    drawn = "A row for each statistic, a mark with its interval for each use of draws"
    style.says(figure, findings.statistics(table), drawn)
    return figure


def plot_null(table: pd.DataFrame, models: pd.DataFrame, *, alpha: float) -> Figure:
    """Distribution of each model's p-values under coins thrown anew, less that of an exact test.

    With respect to these coins every model is innocent.

    Parameters
    ----------
    table : DataFrame
        model, kind (of the twin), level in (0, 1], share of p-values up to it.
    models : DataFrame
        model, kind and group: what each was tuned on.
    alpha : float
        The level at which the title says how often coins accuse.

    Returns
    -------
    Figure
        A panel for each kind of twin, a line for each model in the look of its kind. Above 0 the
        test errs more often than its level, below it less often; chance moves it to either side.
    """
    figure, axes = _panels(table["kind"].unique(), 4.4, 3.8)
    kinds = _kinds(models)
    for ax in axes:
        rows = table[table["kind"] == ax.get_title(loc="left")]
        for model, part in rows.groupby("model", sort=False):
            look = LOOKS[kinds[str(model)]]
            away = 100 * (part["share"] - part["level"])
            ax.plot(part["level"], away, color=look.color, linestyle=look.line, linewidth=1)
        ax.axhline(0, **style.DECISION)
        most = max(5, 110 * (table["share"] - table["level"]).abs().max())
        ax.set(xlabel="level: p-value at most", ylim=(-most, most))
    axes[0].set_ylabel("coins accused, less the level\n(percentage points; dashed: exact)")
    shown = {kinds[str(model)] for model in table["model"]}
    axes[-1].legend(handles=style.lines_of(shown), **style.OUTSIDE)
    drawn = "A line for each model: the share of coins with such a p-value, less the level"
    style.says(figure, findings.null(table, alpha), drawn)
    return figure


def plot_p_values(table: pd.DataFrame, *, alpha: float) -> Figure:
    """Show the p-value of each model's test, over all samples, by what the model was tuned on.

    Parameters
    ----------
    table : DataFrame
        twin, who (what a model was tuned on), p.
    alpha : float
        The dashed line: at or left of it is a finding.

    Returns
    -------
    Figure
        A panel for each twin, a row for each kind of model, a mark for each model.
    """
    names = list(table["who"].unique())
    figure, axes = _panels(table["twin"].unique(), 4.6, 1.6 + 0.42 * len(names))
    for ax in axes:
        of_twin = table[table["twin"] == ax.get_title(loc="left")]
        for place, name in enumerate(names):
            p = of_twin.loc[of_twin["who"] == name, "p"].sort_values()
            look = LOOKS[kind_of(*name.partition(": ")[::2])]
            y = place + 0.5 * style.apart(len(p))
            ax.plot(p, y, look.marker, color=look.color, alpha=0.8)
        _p_axis(ax, alpha, [_called(name) for name in names])
    found = findings.p_values(as_drawn(table), alpha, "who")
    style.says(figure, found, "A mark for each model, in rows")
    return figure


def as_drawn(table: pd.DataFrame) -> pd.DataFrame:
    """Give a table (column who) with its models called as `plot_p_values` calls them."""
    return table.assign(who=table["who"].map(_called))


def _called(who: str) -> str:
    """What a row calls models: innocent ones as legends do."""
    kind, _, group = who.partition(": ")
    return f"{kind}: {style.words_of(kind_of(kind, group))}" if group else who


def plot_shifts(table: pd.DataFrame, *, alpha: float) -> Figure:
    """Show the p-value of each model's test, asked in several ways.

    Parameters
    ----------
    table : DataFrame
        twin, shift (the way of asking), model, kind and group (what it was tuned on), p.
    alpha : float
        The dashed line: at or left of it is a finding.

    Returns
    -------
    Figure
        A panel for each twin, a row for each way, a mark in it for each model.
    """
    ways, kinds = list(table["shift"].unique()), _kinds(table)
    figure, axes = _panels(table["twin"].unique(), 4.6, 1.8 + 0.42 * len(ways))
    for ax in axes:
        of_twin = table[table["twin"] == ax.get_title(loc="left")]
        for i, (model, part) in enumerate(of_twin.groupby("model", sort=False)):
            look = LOOKS[kinds[str(model)]]
            y = _places(part["shift"], ways) + 0.2 * (i - (len(kinds) - 1) / 2)
            ax.plot(part["p"], y, look.marker, color=look.color, alpha=0.8, label=model)
        _p_axis(ax, alpha, ways)
    axes[-1].legend(**style.OUTSIDE)
    drawn = "A row for each way of asking, a mark in it for each model"
    style.says(figure, findings.shifts(table, alpha), drawn)
    return figure


def _p_axis(ax: Axes, alpha: float, rows: list[str]) -> None:
    """A logarithmic axis of p-values with the line that decides, and rows."""
    ax.set(xscale="log", xlabel="p-value", ylim=(len(rows) - 0.5, -1))
    ax.set_yticks(range(len(rows)), rows)
    style.decides(ax, alpha, f"{alpha:g}: found left of it", left=True)


def plot_strengths(models: pd.DataFrame, averaged: pd.DataFrame) -> Figure:
    """What the tests find, by how well members learnt D.

    Parameters
    ----------
    models : DataFrame
        twin, group (the base), final_loss (nats per token; lower = learnt better), effect (standard
        deviations), found in [0, 1]; a row per model.
    averaged : DataFrame
        The same of all draws of a base and number of epochs, with low and high of the effect (95%
        interval over draws).

    Returns
    -------
    Figure
        A row of panels for each twin: effect and share found; dots are models, lines their means.
    """
    twins = list(averaged["twin"].unique())
    figure, axes = plt.subplots(
        len(twins), 2, figsize=(10, 3.2 * len(twins)), layout="constrained", squeeze=False
    )
    color = LOOKS[Kind.MEMBER].color
    markers = style.markers_of(averaged["group"])
    strokes: dict[str, Any] = dict(zip(markers, cycle(("-", "--", ":", "-."))))
    for twin, row in zip(twins, axes, strict=True):
        for ax, what in zip(row, ("effect", "found"), strict=True):
            for base, marker in markers.items():
                dots, line = (
                    t[(t["twin"] == twin) & (t["group"] == base)].sort_values("final_loss")
                    for t in (models, averaged)
                )
                ax.plot(
                    dots["final_loss"], dots[what], marker, color=color, alpha=0.5, markersize=5
                )
                ax.plot(line["final_loss"], line[what], color=color, linestyle=strokes[base])
                if what == "effect":
                    ax.fill_between(
                        line["final_loss"], line["low"], line["high"], color=color, alpha=0.12
                    )
            ax.invert_xaxis()
            ax.set(title=twin)
        row[0].set_ylabel("effect (standard deviations)")
        row[1].set(ylabel="found (share of orders)", ylim=(-0.03, 1.03))
    for ax in axes[-1]:
        ax.set_xlabel("final loss (better learnt to the right)")
    handles = [
        Line2D(
            [], [], color=color, marker=marker, linestyle=strokes[base], label=f"{base} (member)"
        )
        for base, marker in markers.items()
    ]
    axes[0, -1].legend(handles=handles, **style.OUTSIDE)
    drawn = "Marks are models of one draw, lines their means, bands 95% intervals over draws"
    style.says(figure, findings.strengths(averaged), drawn)
    return figure


def plot_exposures(table: pd.DataFrame) -> Figure:
    """What the tests find, by how much of what members trained on was D.

    Parameters
    ----------
    table : DataFrame
        twin, exposure (in words), effect with low and high (95% over draws, NaN = one draw), found
        in [0, 1].

    Returns
    -------
    Figure
        Left the effect, right the share found; a colour for each twin.
    """
    exposures = list(table["exposure"].unique())
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.9), layout="constrained")
    for i, (twin, (color, marker)) in enumerate(_pair(table["twin"]).items()):
        rows = table[table["twin"] == twin]
        x = _places(rows["exposure"], exposures) + 0.16 * i - 0.08
        _interval(left, x, rows["effect"], rows, color, twin, marker)
        right.plot(x, rows["found"], marker, color=color, label=twin)
    left.axhline(0, color=COLORS["zero"], linewidth=0.8)
    left.set(ylabel="effect (standard deviations)")
    right.set(ylabel="found (share of orders)", ylim=(-0.03, 1.03))
    names = [findings.exposed(exposure) for exposure in exposures]
    for ax in (left, right):
        ax.set_xticks(range(len(exposures)), names, rotation=25, ha="right")
        ax.grid(visible=False, axis="x")
    right.legend(**style.OUTSIDE)
    drawn = "A mark for each test and exposure of a member to D, with its interval over draws"
    style.says(figure, findings.exposures(table), drawn)
    return figure


def plot_accuser(table: pd.DataFrame, *, alpha: float) -> Figure:
    """Innocent models accused by somebody who tries again and again.

    Parameters
    ----------
    table : DataFrame
        kind (of the twin), tries, accused and shared (shares of innocent models: he reports the
        best p alone; he shares alpha among his tries).
    alpha : float
        The dashed line.

    Returns
    -------
    Figure
        A panel for each kind.
    """
    figure, axes = _panels(table["kind"].unique(), 4.2, 3.2)
    for ax in axes:
        rows = table[table["kind"] == ax.get_title(loc="left")]
        ax.plot(
            rows["tries"], rows["accused"], "o-", color=COLORS["wrong"], label="reports the best"
        )
        ax.plot(rows["tries"], rows["shared"], "s--", color=COLORS["other"], label="shares alpha")
        style.decides(ax, alpha, f"alpha\n{alpha:g}", across=True)
        ax.set(xlabel="tries", ylim=(-0.03, 1.03))
        style.whole_numbers(ax.xaxis)
    axes[0].set_ylabel("innocents accused")
    axes[-1].legend(**style.OUTSIDE)
    style.says(figure, findings.accuser(table), "A line for each habit of an accuser")
    return figure


def kind_of(kind: str, group: str) -> Kind:
    """Tell as what a model is drawn: what it was tuned on; an innocent one, how it came to be."""
    if kind == "innocent":
        return style.kind_of(group, False)
    return Kind.MEMBER if "member" in kind else style.kind_of(kind, False)


def _kinds(models: pd.DataFrame) -> dict[str, Kind]:
    """The look of each model: columns model, kind, group."""
    return {row["model"]: kind_of(row["kind"], row["group"]) for row in models.to_dict("records")}


def _pair(names: pd.Series) -> dict[str, tuple[str, str]]:
    """Colour and marker of two things that are no kinds of models."""
    looks = ((COLORS["one"], "o"), (COLORS["other"], "s"))
    return dict(zip(names.unique(), looks, strict=False))


def _panels(titles: Iterable[str], width: float, height: float) -> tuple[Figure, list[Axes]]:
    """Axes beside each other, each with a title."""
    titles = list(titles)
    size = (width * len(titles), height)
    figure, axes = plt.subplots(
        1, len(titles), figsize=size, layout="constrained", squeeze=False, sharey=True
    )
    for ax, title in zip(axes[0], titles, strict=True):
        ax.set_title(title, loc="left")
    return figure, list(axes[0])


def _places(values: pd.Series, names: list[str]) -> np.ndarray:
    """Where in `names` each value stands."""
    return np.array([names.index(value) for value in values], int)


def _interval(
    ax: Axes,
    x: ArrayLike,
    y: ArrayLike,
    rows: pd.DataFrame,
    color: str | tuple,
    label: str,
    marker: str,
    *,
    across: bool = False,
) -> None:
    """Dots with the interval of the effect, across or upright; none where it is NaN."""
    error = np.nan_to_num([rows["effect"] - rows["low"], rows["high"] - rows["effect"]])
    xerr, yerr = (error, None) if across else (None, error)
    ax.errorbar(x, y, yerr, xerr, fmt=marker, color=color, capsize=2, markersize=5, label=label)
