"""The vote in other settings, with other references, under evasions (§6.3 and §6.4)."""

from itertools import product

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from dsi_core.plots import findings, style
from dsi_core.plots.findings import HALF
from dsi_core.plots.style import COLORS, LOOKS, Kind, Status

# Of suspects that trained on data like D, in words.
GROUPS = {
    "non-members (1)": "(1) the references' own models and recipe",
    "non-members (2)": "(2) other models or recipes",
}


def plot_cumulated_evidence(table: pd.DataFrame, *, delta_s: float, ax: Axes | None = None) -> Axes:
    """Evidence over all samples of D, cumulated, a line for each suspect (Fig. 8).

    Parameters
    ----------
    table : DataFrame
        suspect, member (the truth), group (where it is known), evidence (Eq. 2; NaN = filtered, not
        in the shares); a row per sample. A suspect without any evidence has no line.
    delta_s : float
        Eq. 2's threshold, the dashed line.
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
        xlabel="evidence: the best answer's weakest gap (Eq. 2)",
        ylabel="share of D's samples below",
        ylim=(0, 1.1),
    )
    ax.legend(handles=_members_and_kinds(markers, kinds), **style.OUTSIDE)
    drawn = "A rising line for each suspect; one that crosses half left of delta_s is non-member"
    style.says(ax, findings.everywhere(table, delta_s), drawn)
    return ax


def plot_sensitivity(table: pd.DataFrame, *, at: dict[str, float]) -> Figure:
    """Share of positives per suspect while one setting moves; above one half = member (§6.3).

    Parameters
    ----------
    table : DataFrame
        dataset, suspect, member (the truth), group (where it is known), verdict, setting, value,
        share in [0, 1] (NaN = inconclusive: a hole), low, high (its Wilson interval, a member's
        band).
    at : dict
        The profile's own value of each setting, the dotted lines.

    Returns
    -------
    Figure
        A row of axes for each dataset, a column for each setting; members have a marker each.
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
        ax.axhline(HALF, **style.DECISION)
        ax.axvline(at[setting], color=COLORS["line"], linewidth=0.8, linestyle=":")
        ax.set(ylim=(-0.03, 1.03), ylabel="")
        if setting == "draws":
            ax.set_xticks(some["value"].unique())
    for ax, setting in zip(axes[-1], settings, strict=True):
        ax.set_xlabel(f"{setting} (in use, dotted: {at[setting]:g})")
    for ax, dataset in zip(axes[:, 0], datasets, strict=True):
        named = f"{dataset}: " if len(datasets) > 1 else ""
        ax.set_ylabel(f"{named}positive share\n(above the dashed half: member)")
    handles = _members_and_kinds(markers, kinds)
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
    others = [kind for kind in Kind if kind != Kind.MEMBER and kind in set(kinds)]
    return entries + [
        Line2D(
            [],
            [],
            color=LOOKS[kind].color,
            linestyle=LOOKS[kind].line,
            label=style.words_of(kind),
        )
        for kind in others
    ]


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
        delta_t, delta_s, correct, total (suspects), tainted (samples); of one dataset.
    at : tuple of float
        (delta_t, delta_s) of the profile, the frame; none where they are not in the table.

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
    left.set_title(f"suspects judged rightly, of {total} (frame: in use)")
    rows: list = correct.index.tolist()
    columns: list = correct.columns.tolist()
    if at[0] in rows and at[1] in columns:
        place = (columns.index(at[1]), rows.index(at[0]))
        left.add_patch(
            plt.Rectangle(place, 1, 1, fill=False, edgecolor=COLORS["line"], linewidth=2)
        )
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
        ax.set_ylabel(f"{name}positive share\n(above the dashed half: member)")
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


def plot_detection(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """How many models that trained on data like D are judged rightly, by references (Fig. 9).

    Parameters
    ----------
    table : DataFrame
        references (a name of the set), group, correct, total (suspects), low, high (95% Wilson
        interval, percent).
    ax : Axes, optional
        Where to draw; new axes by default.

    Returns
    -------
    Axes
        A row for each set, a dot in it for each group, with its interval; counts to the right.
    """
    sets, groups = list(table["references"].unique()), list(table["group"].unique())
    ax = style.axes(ax, 9, 1.6 + 0.6 * len(sets))
    look = LOOKS[Kind.LIKE_D]
    filled = dict(zip(groups, (look.color, "white"), strict=False))
    for row in table.to_dict("records"):
        y = sets.index(row["references"]) + 0.28 * (groups.index(row["group"]) - 0.5)
        ax.plot([row["low"], row["high"]], [y, y], color=look.color, linewidth=2)
        ax.plot(
            100 * row["correct"] / row["total"],
            y,
            look.marker,
            color=look.color,
            markersize=9,
            markerfacecolor=filled.get(row["group"], look.color),
            markeredgewidth=2,
        )
        count = f"{int(row['correct'])} of {int(row['total'])}"
        ax.annotate(
            count,
            (1.0, y),
            (4, 0),
            va="center",
            xycoords=ax.get_yaxis_transform(),
            textcoords="offset points",
            fontsize=9,
        )
    ax.set(yticks=range(len(sets)), yticklabels=sets, ylim=(len(sets) - 0.5, -0.5))
    ax.set(xlim=(-3, 103), ylabel="references\nin use")
    ax.set_xlabel("judged rightly, that is cleared, % (bar: 95% Wilson interval)")
    ax.grid(axis="y", visible=False)
    shown = [
        Line2D(
            [],
            [],
            color=look.color,
            marker=look.marker,
            markerfacecolor=filled.get(group, look.color),
            linestyle="none",
            label=GROUPS.get(group, group),
        )
        for group in groups
    ]
    place = (0.0, -0.18 - 0.12 * (len(sets) < 4))
    ax.legend(handles=shown, loc="upper left", bbox_to_anchor=place, ncols=2, fontsize=9)
    drawn = "A row for each set of references, a square with its interval for each group of models"
    style.says(ax, findings.detection(table), drawn)
    return ax


def plot_votes_by_references(table: pd.DataFrame) -> Figure:
    """Tainted samples of each suspect, by the references that count (Fig. 10).

    Parameters
    ----------
    table : DataFrame
        dataset, references (a name of the set), suspect, positive, negative (counts of samples).

    Returns
    -------
    Figure
        A row of axes for each dataset, a column for each set of references, a bar for each suspect:
        positive samples, then negative ones. Who is positive beyond half is accused.
    """
    sets, datasets = list(table["references"].unique()), list(table["dataset"].unique())
    rows = table.groupby("dataset")["suspect"].nunique().max()
    figure, axes = plt.subplots(
        len(datasets),
        len(sets),
        figsize=(3 + 2 * len(sets), 1.5 + (0.8 + 0.36 * rows) * len(datasets)),
        sharex=True,
        sharey="row",
        layout="constrained",
        squeeze=False,
    )
    most = (table["positive"] + table["negative"]).max()
    for ax, (dataset, name) in zip(axes.flat, product(datasets, sets), strict=True):
        some = table[(table["dataset"] == dataset) & (table["references"] == name)]
        _stacked_bars(ax, some, int(most))
        named = f"{dataset}: " if len(datasets) > 1 else ""
        ax.set_title(f"{named}{name}")
    for ax in axes[:, 0]:
        ax.invert_yaxis()
    for ax in axes[-1]:
        ax.set_xlabel("tainted samples")
    bars = [
        plt.Rectangle((0, 0), 1, 1, facecolor=LOOKS[k].color, hatch=LOOKS[k].hatch, edgecolor="w")
        for k in (Status.POSITIVE, Status.NEGATIVE)
    ]
    words = ["positive", "negative", "half: beyond it accused"]
    half = Line2D([], [], **style.DECISION)
    axes[0, -1].legend([*bars, half], words, **style.OUTSIDE)
    drawn = "A bar for each model that trained on data like D: positive samples, then negative ones"
    style.says(figure, findings.votes_by_references(table), drawn)
    return figure


def _stacked_bars(ax: Axes, some: pd.DataFrame, most: int) -> None:
    """A bar for each suspect, its counts, and a line at half of each; `most`: of the longest."""
    places, total = range(len(some)), some["positive"] + some["negative"]
    left = 0 * total
    for status in (Status.POSITIVE, Status.NEGATIVE):
        look = LOOKS[status]
        ax.barh(
            places,
            some[status],
            0.74,
            left=left,
            color=look.color,
            hatch=look.hatch,
            edgecolor="white",
            linewidth=0.3,
        )
        left = left + some[status]
    for place, (positive, of) in enumerate(zip(some["positive"], total, strict=True)):
        ax.plot([of / 2] * 2, [place - 0.45, place + 0.45], **style.DECISION)
        said = f"{positive} of {of}" + (" ✗" if positive > of / 2 else "")
        ax.annotate(said, (of, place), (3, 0), textcoords="offset points", va="center", fontsize=8)
    ax.set_yticks(places, some["suspect"], fontsize=9)
    ax.set_xlim(0, 1.5 * max(1, most))
    ax.grid(axis="y", visible=False)
    style.whole_numbers(ax.xaxis)


def plot_evasion(
    table: pd.DataFrame, *, ax: Axes | None = None, how: str | None = None, xlabel: str = ""
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
        The evasion, as a sentence begins; None = training on a part of D, settings are its shares.
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
    found = findings.subsets(table) if how is None else findings.evasion(table, how)
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
