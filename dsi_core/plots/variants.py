"""The vote in other settings: without selection, other thresholds, draws and rules (§6.3)."""

from itertools import product

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from dsi_core.plots import style
from dsi_core.plots.findings import variants as findings
from dsi_core.plots.findings.vote import HALF
from dsi_core.plots.style import COLORS, LOOKS, Kind
from dsi_core.plots.vote import EVIDENCE


def plot_cumulated_evidence(
    table: pd.DataFrame, *, delta_s: float, rule: str = "text", ax: Axes | None = None
) -> Axes:
    """Evidence over all samples of D, cumulated, a line for each suspect (Fig. 8).

    Parameters
    ----------
    table : DataFrame
        suspect, member (the truth), group (where it is known), evidence (Eq. 2; NaN = filtered, not
        in the shares); a row per sample. A suspect without any evidence has no line.
    delta_s : float
        Eq. 2's threshold, the dashed line.
    rule : str
        By which the evidence was found and is counted, "text" or "released".
    ax : Axes, optional
        Where to draw; new axes by default.

    Returns
    -------
    Axes
        A line that crosses one half left of delta_s is voted non-member; members have a marker
        each.
    """
    ax = style.axes(ax, 8.5, 3.6)
    counted = table.dropna(subset="evidence")
    if counted.empty:
        style.reason(ax, "no answer counts", 0.6)
    kinds = style.kinds_of(counted)
    markers = style.markers_of(counted.loc[counted["member"].astype(bool), "suspect"])
    for suspect, own in counted.groupby("suspect", sort=False):
        look, marker = LOOKS[kinds[own.index].iloc[0]], markers.get(str(suspect))
        values = own["evidence"].sort_values()
        ax.ecdf(
            values,
            color=look.color,
            linestyle=look.line,
            linewidth=1.5 if marker else 1,
            marker=marker,
            markersize=5,
            markevery=max(1, len(values) // 7),
            label=suspect,
        )
    style.decides(ax, delta_s, f"delta_s = {delta_s:g}")
    style.decides(ax, HALF, "half of D", across=True)
    ax.set(
        xlabel=EVIDENCE[rule],
        ylabel="share of D's samples below",
        ylim=(0, 1.1),
    )
    ax.legend(handles=_members_and_kinds(markers, kinds), **style.OUTSIDE)
    drawn = "A rising line for each suspect; one that crosses half left of delta_s is non-member"
    style.says(ax, findings.everywhere(table, delta_s, rule), drawn)
    return ax


def plot_sensitivity(table: pd.DataFrame, *, at: dict[str, float], rule: str = "text") -> Figure:
    """Share of positives per suspect while one setting moves; above one half = member (§6.3).

    Parameters
    ----------
    table : DataFrame
        dataset, suspect, member (the truth), group (where it is known), verdict, setting, value,
        tainted (samples), share in [0, 1] (NaN = nothing counts: a hole), low, high (its Wilson
        interval, a member's band).
    at : dict
        The profile's own value of each setting, the dotted lines; none of a setting without one.
    rule : str
        By which the suspects were judged, "text" or "released": there a tie is member, too.

    Returns
    -------
    Figure
        A row of axes for each dataset, a column for each setting; members have a marker each. Axes
        without a line say why.
    """
    settings, datasets = table["setting"].unique(), table["dataset"].unique()
    figure, axes = plt.subplots(
        len(datasets),
        len(settings),
        figsize=(4.2 * len(settings), 1 + 3.2 * len(datasets)),
        sharey=True,
        sharex="col",
        layout="constrained",
        squeeze=False,
    )
    kinds = style.kinds_of(table)
    markers = style.markers_of(table.loc[table["member"].astype(bool), "suspect"])
    for ax, (dataset, setting) in zip(axes.flat, product(datasets, settings), strict=True):
        some = table[(table["dataset"] == dataset) & (table["setting"] == setting)]
        for suspect, line in some.groupby("suspect", sort=False):
            _share_with_band(ax, line, LOOKS[kinds[line.index].iloc[0]], markers.get(str(suspect)))
        if some["share"].isna().all():
            none_tainted = not some["tainted"].any()
            style.reason(ax, "no tainted samples" if none_tainted else "no answer counts", 0.6)
        ax.axhline(HALF, **style.DECISION)
        if setting in at:
            ax.axvline(at[setting], color=COLORS["line"], linewidth=0.8, linestyle=":")
        ax.set(ylim=(-0.03, 1.03), ylabel="")
        if setting == "draws":
            ax.set_xticks(some["value"].unique())
    for ax, setting in zip(axes[-1], settings, strict=True):
        own = f" (in use, dotted: {at[setting]:g})" if setting in at else ""
        ax.set_xlabel(f"{setting}{own}")
    where = "dashed half or above" if rule == "released" else "above the dashed half"
    for ax, dataset in zip(axes[:, 0], datasets, strict=True):
        named = f"{dataset}: " if len(datasets) > 1 else ""
        ax.set_ylabel(f"{named}positive share\n({where}: member)")
    band = plt.Rectangle((0, 0), 1, 1, facecolor=LOOKS[Kind.MEMBER].color, alpha=0.2)
    band.set(linewidth=0, label="a member's 95% Wilson interval")
    handles = [*_members_and_kinds(markers, kinds), band]
    axes[0, -1].legend(handles=handles, **style.OUTSIDE)
    drawn = "A line for each suspect over the values of a setting; bands are intervals of members"
    style.says(figure, findings.moved_settings(table, at), drawn)
    return figure


def _members_and_kinds(markers: dict[str, str], kinds: pd.Series) -> list[Line2D]:
    """Entries of a legend: every member by its marker, every other kind by its line."""
    color = LOOKS[Kind.MEMBER].color
    entries = [
        Line2D([], [], color=color, marker=marker, label=f"{name} (member)")
        for name, marker in markers.items()
    ]
    return entries + style.lines_of(set(kinds) - {Kind.MEMBER})


def _share_with_band(ax: Axes, line: pd.DataFrame, look: style.Look, marker: str | None) -> None:
    """A member has a marker and a band; of the others the line is enough."""
    values = line["value"].astype(float)
    ax.plot(
        values,
        line["share"],
        marker=marker,
        color=look.color,
        linestyle=look.line,
        linewidth=1.6 if marker else 1,
        markersize=4,
    )
    if marker:
        ax.fill_between(values, line["low"], line["high"], color=look.color, alpha=0.1, linewidth=0)


def plot_grid(table: pd.DataFrame, *, at: tuple[float, float]) -> Figure:
    """Suspects judged rightly (left) and tainted samples (right) over delta_t and delta_s.

    Parameters
    ----------
    table : DataFrame
        dataset (one), delta_t, delta_s, correct, total (suspects), tainted (samples).
    at : tuple of float
        (delta_t, delta_s) of the profile, which are framed if they are in the table.

    Returns
    -------
    Figure
    """
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(10.5, 4.2), width_ratios=[3, 1.2], layout="constrained"
    )
    correct = table.pivot(index="delta_t", columns="delta_s", values="correct")
    correct = correct.sort_index(ascending=False)
    total = table["total"].max()
    shared = {"annot": True, "fmt": "d", "cbar": False}
    sns.heatmap(correct, cmap="Blues", vmin=0, vmax=1.6 * total, **shared, ax=left)
    title = f"suspects judged rightly, of {total}"
    rows: list = correct.index.tolist()
    columns: list = correct.columns.tolist()
    if at[0] in rows and at[1] in columns:
        place = (columns.index(at[1]), rows.index(at[0]))
        left.add_patch(
            plt.Rectangle(place, 1, 1, fill=False, edgecolor=COLORS["line"], linewidth=2)
        )
        title += " (frame: in use)"
    left.set_title(title)
    tainted = table.drop_duplicates("delta_t").set_index("delta_t")[["tainted"]]
    most = 1.6 * max(1, tainted["tainted"].max())  # so that no cell is too dark for its number
    sns.heatmap(tainted.loc[correct.index], cmap="Greys", vmin=0, vmax=most, **shared, ax=right)
    right.set(title="tainted samples", ylabel="", xlabel="", xticks=[])
    for ax in (left, right):
        ax.tick_params(axis="y", rotation=0)
    drawn = "Two tables of counts: a cell for each pair of thresholds, and one for each delta_t"
    style.says(figure, findings.grid(table, at), drawn)
    return figure


def plot_rules(table: pd.DataFrame) -> Figure:
    """Share of positives of each suspect with and without selection, by both rules (§6.3).

    Parameters
    ----------
    table : DataFrame
        dataset, delta, rule, selection, suspect, member (the truth), tainted (samples), share in
        [0, 1] (NaN = nothing counts: a hole).

    Returns
    -------
    Figure
        A row of axes for each dataset, a column for each delta; a line leads from a suspect's vote
        of the first selection to that of the next.
    """
    datasets, deltas = table["dataset"].unique(), table["delta"].unique()
    figure, axes = plt.subplots(
        len(datasets),
        len(deltas),
        figsize=(4.2 * len(deltas) + 1.2, 3.4 * len(datasets)),
        sharey=True,
        layout="constrained",
        squeeze=False,
    )
    rules = dict(zip(table["rule"].unique(), ("-", "--"), strict=False))
    for ax, (dataset, delta) in zip(axes.flat, product(datasets, deltas), strict=True):
        some = table[(table["dataset"] == dataset) & (table["delta"] == delta)]
        for (_, rule, member), line in some.groupby(["suspect", "rule", "member"], sort=False):
            look = LOOKS[Kind.MEMBER if member else Kind.OTHER]
            ax.plot(
                line["selection"],
                line["share"],
                color=look.color,
                marker=look.marker,
                linestyle=rules[rule],
                markersize=5,
                linewidth=1.2,
            )
        ax.axhline(HALF, **style.DECISION)
        tainted = some["tainted"].iloc[0]
        title = f"{tainted} sample{'s' if tainted != 1 else ''} tainted at {delta:.2f}"
        ax.set(ylim=(-0.03, 1.03), title=title)
        ax.margins(x=0.15)
    for ax in axes[-1]:
        ax.set_xlabel("samples that vote")
    for ax, dataset in zip(axes[:, 0], datasets, strict=True):
        name = f"{dataset}: " if len(datasets) > 1 else ""
        ax.set_ylabel(
            f"{name}positive share\n(above the dashed half: member,\nreleased: on it, too)"
        )
    shown = [
        Line2D([], [], color=LOOKS[k].color, marker=LOOKS[k].marker, label=truth, linestyle="none")
        for truth, k in zip(style.TRUTH.values(), (Kind.MEMBER, Kind.OTHER), strict=True)
    ]
    shown += [
        Line2D([], [], color=COLORS["line"], linestyle=line, label=f"rule: {rule}")
        for rule, line in rules.items()
    ]
    axes[0, -1].legend(handles=shown, **style.OUTSIDE)
    drawn = (
        "A line for each suspect and rule, from its vote over tainted samples to that over all of D"
    )
    style.says(figure, findings.selection(table), drawn)
    return figure
