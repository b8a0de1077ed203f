"""Attribution: how many models' bases each method finds, and how each model's replies vote."""

from typing import Protocol

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dsi_core.plots import save, style
from dsi_core.plots.findings import attribution as findings
from dsi_core.plots.style import COLORS
from dsi_core.plots.vote import per_dataset


class Compared(Protocol):
    """The tables of an attribution; what `attribution.compare` returns has them."""

    @property
    def methods(self) -> pd.DataFrame:
        """What `plot_methods` needs, and dataset."""

    @property
    def votes(self) -> pd.DataFrame:
        """What `plot_votes` needs, and dataset."""

    @property
    def models(self) -> pd.DataFrame:
        """Kept as it is."""

    @property
    def groups(self) -> pd.DataFrame:
        """Kept as it is."""

    @property
    def absent(self) -> str | None:
        """Why there is nothing; None = there is."""


def plot_methods(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Models attributed rightly, and held-out replies of the bases, a row per method and level.

    Parameters
    ----------
    table : DataFrame
        method, level, chosen (bool: bold), correct, total (tuned models), low, high (95% Wilson
        interval of their share), cv_correct, cv_total (replies of the bases; None = not tried),
        chance (what guessing finds, the dotted line).
    ax : Axes, optional
        Where to draw; new axes by default.

    Returns
    -------
    Axes
    """
    ax = style.axes(ax, 9, 1.2 + 0.32 * len(table))
    places, share = range(len(table)), table["correct"] / table["total"]
    ax.errorbar(
        share,
        places,
        xerr=[(share - table["low"]).clip(lower=0), (table["high"] - share).clip(lower=0)],
        fmt="o",
        color=COLORS["one"],
        capsize=3,
        label="tuned models (bar:\n95% Wilson interval)",
    )
    ax.scatter(
        (table["cv_correct"] / table["cv_total"]).astype(float),
        places,
        marker="d",
        color=COLORS["other"],
        zorder=3,
        label="the bases, held-out\nprompts: chosen by these",
    )
    style.decides(ax, table["chance"].iloc[0], "guessing")
    names = [f"{m} ({v})" for m, v in zip(table["method"], table["level"], strict=True)]
    ax.set_yticks(places, names)
    ax.set(
        xlim=(-0.03, 1.03), xlabel="share attributed to the right base (bold: the chosen method)"
    )
    for label, chosen in zip(ax.get_yticklabels(), table["chosen"], strict=True):
        label.set(fontsize=9, fontweight="bold" if chosen else "normal")
    for place, row in enumerate(table.to_dict("records")):
        ax.annotate(
            f"{row['correct']}/{row['total']}",
            (row["correct"] / row["total"], place),
            xytext=(0, 5),
            textcoords="offset points",
            ha="center",
            fontsize=7,
        )
    ax.set_ylim(len(table) - 0.4, -1.2)
    ax.legend(**style.OUTSIDE)
    drawn = "A row for each method: its share with interval, and that of the bases themselves"
    style.says(ax, findings.methods(table), drawn)
    return ax


def plot_votes(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Share of a tuned model's replies that vote for each base.

    Parameters
    ----------
    table : DataFrame
        method (one), model, base (the truth), voted (a base), share (of the model's replies).
    ax : Axes, optional
        Where to draw; new axes by default.

    Returns
    -------
    Axes
        A row for each model, a column for each base; the true base is framed.
    """
    models = table.drop_duplicates("model").sort_values(["base", "model"])
    bases = sorted(table["voted"].unique())
    ax = style.axes(ax, 9, 1.9 + 0.36 * len(models))
    shares = table.pivot(index="model", columns="voted", values="share")
    sns.heatmap(
        shares.loc[models["model"], bases],
        annot=True,
        fmt=".2f",
        cmap="Blues",
        vmin=0,
        vmax=1.6,
        cbar=False,
        annot_kws={"fontsize": 8},
        ax=ax,
    )
    name = table["method"].iloc[0]
    for i, base in enumerate(models["base"]):
        place = (bases.index(base), i)
        ax.add_patch(plt.Rectangle(place, 1, 1, fill=False, edgecolor=COLORS["line"], linewidth=2))
    ax.set(
        xlabel=f"share of replies that vote for a base\n(frame: the truth), by {name}",
        ylabel="tuned model",
    )
    drawn = "A table: a row for each tuned model, a column for each base, framed where true"
    style.says(ax, findings.base_votes(table), drawn)
    ax.tick_params(axis="y", rotation=0)
    plt.setp(ax.get_xticklabels(), rotation=30, ha="right")
    return ax


def save_all(
    study: save.Run,
    compared: Compared,
    name: str,
    folder: str = "figures",
    *,
    scale: str | None = None,
) -> list[Figure]:
    """Keep the four tables of an attribution as `attribution_<name>_...`, two of them drawn.

    Parameters
    ----------
    study, folder, scale
        As in `save.save`.
    compared : Compared
        As `compare.compare` returns. Where it has no tables nothing is kept.
    name : str
        Whose replies these are.

    Returns
    -------
    list of Figure
        Methods, votes; empty where there is nothing.
    """
    if compared.absent:
        return []
    rows = compared.methods.groupby("dataset").size().max()
    models = compared.votes.groupby("dataset")["model"].nunique().max()
    methods = per_dataset(plot_methods, compared.methods, height=1.8 + 0.32 * rows)
    votes = per_dataset(plot_votes, compared.votes, height=1.9 + 0.36 * models)
    for item, figure, table in (
        ("methods", methods, compared.methods),
        ("votes", votes, compared.votes),
        ("models", None, compared.models),
        ("groups", None, compared.groups),
    ):
        save.save(study, f"attribution_{name}_{item}", figure, table, folder, scale=scale)
    return [methods, votes]
