"""The vote under evasions: what hides a member, and what an adversary removed (§6.4)."""

import pandas as pd
from matplotlib.axes import Axes

from dsi_core.plots import style
from dsi_core.plots.findings import evasions as findings
from dsi_core.plots.findings.vote import HALF
from dsi_core.plots.style import LOOKS, Kind, Status


def plot_evasion(
    table: pd.DataFrame,
    *,
    ax: Axes | None = None,
    how: str | None = None,
    without: str | None = None,
    xlabel: str = "",
) -> Axes:
    """Share of positives of each member under an evasion; above one half = caught (Fig. 11).

    Parameters
    ----------
    table : DataFrame
        setting, suspect, share in [0, 1] (NaN = inconclusive), low, high (its 95% Wilson interval),
        correct (bool: caught).
    ax : Axes, optional
        Where to draw; new axes by default.
    how : str, optional
        The evasion, as the beginning of a sentence; None = training on a part of D, with shares as
        settings.
    without : str, optional
        The setting without evasion; by default the first.
    xlabel : str
        What the settings are.

    Returns
    -------
    Axes
        Members have a marker each; above each setting stands how many are caught.
    """
    ax = style.axes(ax, 8, 3.8)
    settings, suspects = list(table["setting"].unique()), list(table["suspect"].unique())
    apart = min(0.12, 0.8 / len(suspects))
    color = LOOKS[Kind.MEMBER].color
    for k, (suspect, marker) in enumerate(style.markers_of(suspects).items()):
        rows = table[table["suspect"] == suspect]
        shift = (k - (len(suspects) - 1) / 2) * apart
        places = [settings.index(s) + shift for s in rows["setting"]]
        ends = [
            (rows["share"] - rows["low"]).clip(lower=0),
            (rows["high"] - rows["share"]).clip(lower=0),
        ]
        ax.errorbar(places, rows["share"], ends, fmt=marker, color=color, capsize=3, label=suspect)
    for i, setting in enumerate(settings):
        caught = table.loc[table["setting"] == setting, "correct"]
        count = f"{int(caught.sum())} of {len(caught)} caught"
        ax.annotate(count, (i, 1.06), ha="center", fontsize=9)
    style.decides(ax, HALF, "above half:\nmember", across=True)
    ax.set(
        xticks=range(len(settings)),
        xticklabels=settings,
        ylim=(-0.03, 1.13),
        xlim=(-0.6, len(settings) - 0.4),
        xlabel=xlabel,
        ylabel="positive share of the vote\n(bar: 95% Wilson interval)",
    )
    ax.grid(axis="x", visible=False)
    ax.legend(**style.OUTSIDE, title="member", title_fontsize=8)
    found = findings.subsets(table) if how is None else findings.evasion(table, how, without)
    style.says(ax, found, "A mark for each member at each setting, with its interval")
    return ax


def plot_overlap(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """The arbiter's tainted samples of each member, and which the adversary removed (Fig. 12).

    Parameters
    ----------
    table : DataFrame
        suspect, status ("positive" | "negative"), removed (bool), samples (a count).
    ax : Axes, optional
        Where to draw; new axes by default.

    Returns
    -------
    Axes
        A pair of bars for each suspect, the removed samples first and hatched.
    """
    suspects = list(table["suspect"].unique())
    ax = style.axes(ax, 8, 1.0 + 0.62 * len(suspects))
    counts = table.set_index(["status", "removed", "suspect"])["samples"]
    for k, status in enumerate((Status.POSITIVE, Status.NEGATIVE)):
        places = [place + (k - 0.5) * 0.38 for place in range(len(suspects))]
        wanted = {r: [(status, r, s) for s in suspects] for r in (True, False)}
        samples = {r: counts.reindex(keys).fillna(0).to_numpy() for r, keys in wanted.items()}
        for removed, left in ((True, 0 * samples[True]), (False, samples[True])):
            ax.barh(
                places,
                samples[removed],
                0.36,
                left=left,
                color=LOOKS[status].color,
                hatch="xxx" if removed else None,
                edgecolor="white",
                label=f"{status}, {'removed by the adversary' if removed else 'kept'}",
            )
    ax.set(
        yticks=range(len(suspects)), yticklabels=suspects, xlabel="tainted samples of the arbiter"
    )
    ax.invert_yaxis()
    ax.grid(axis="y", visible=False)
    style.whole_numbers(ax.xaxis)
    ax.legend(**style.OUTSIDE)
    drawn = "Two bars for each member, positive above negative; the removed part is hatched"
    style.says(ax, findings.overlap(table), drawn)
    return ax
