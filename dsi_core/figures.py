"""Step 7, figures: `plot_x(table, ax=None) -> Axes` draws and computes nothing; `save` keeps PNG, PDF, the CSV drawn and a manifest."""

import hashlib
import json
import subprocess
import textwrap
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns

from dsi_core import params, store
from dsi_core.study import Study

COLORS = {"positive": "#D55E00", "negative": "#0072B2", "filtered": "#BBBBBB",  # colour-blind safe (Okabe-Ito)
          "before": "#0072B2", "after": "#D55E00"}


def style() -> None:
    """One look for every figure, and the same jitter of dots in every run (seaborn takes it from numpy's global numbers)."""
    np.random.seed(0)
    sns.set_theme(context="notebook", style="whitegrid", rc={
        "figure.dpi": 100, "savefig.dpi": 150, "axes.spines.top": False, "axes.spines.right": False,
        "axes.titlesize": 11, "axes.titlelocation": "left", "legend.frameon": False, "svg.hashsalt": "dsi_core"})


def plot_similarity(table: pd.DataFrame, *, ax=None):
    """Distributions of similarity to the oracle before and after tuning, a row of strips per reference.

    table: columns reference, side ("before" | "after"), similarity (higher = closer).
    """
    ax = ax or plt.subplots(figsize=(8, 0.9 + 0.9 * table["reference"].nunique()), layout="constrained")[1]
    sns.stripplot(table, x="similarity", y="reference", hue="side", dodge=True, palette=COLORS, size=4, alpha=0.7, ax=ax,
                  hue_order=["before", "after"], jitter=0.2, legend=True)
    sns.pointplot(table, x="similarity", y="reference", hue="side", dodge=0.4, palette=COLORS, linestyle="none", marker="d",
                  markersize=7, errorbar=None, estimator="median", hue_order=["before", "after"], ax=ax, legend=False)
    ax.set(xlabel="similarity to the oracle output (BERTScore F1; diamond = median)", ylabel="")
    ax.legend(title="tuning on D", loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    return ax


def plot_gaps(table: pd.DataFrame, *, delta_t: float, ax=None):
    """The weakest reference gap of each sample, sorted; samples above delta_t are tainted (Eq. 1).

    table: columns min_gap, tainted.
    """
    ax = ax or plt.subplots(figsize=(8, 3), layout="constrained")[1]
    ordered = table.sort_values("min_gap", ascending=False).reset_index(drop=True)
    colors = ordered["tainted"].map({True: COLORS["positive"], False: COLORS["filtered"]})
    ax.bar(ordered.index, ordered["min_gap"], color=colors, width=1.0, edgecolor="white", linewidth=0.3)
    ax.axhline(delta_t, color="black", linewidth=1, linestyle="--")
    ax.set(xlabel="samples of D, sorted", ylabel="weakest gap over\nthe references",
           title=f"{int(ordered['tainted'].sum())} of {len(ordered)} samples are tainted: gap above delta_t = {delta_t:g} (line)")
    return ax


def plot_losses(table: pd.DataFrame, *, ax=None):
    """Loss on the completion over training. table: columns model_id, epoch, loss (nats per token)."""
    ax = ax or plt.subplots(figsize=(8, 3.2), layout="constrained")[1]
    per_epoch = table.assign(epoch=table["epoch"].apply(lambda e: -(-e // 1))).groupby(["model_id", "epoch"], sort=False)["loss"].mean()
    sns.lineplot(per_epoch.reset_index(), x="epoch", y="loss", hue="model_id", palette="colorblind", marker="o", ax=ax)
    ax.set(xlabel="epoch", ylabel="training loss\n(nats per token)", ylim=(0, None))
    ax.legend(title=None, loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8)
    return ax


def plot_votes(table: pd.DataFrame, *, ax=None, title: str = ""):
    """Positive against negative tainted samples, a pair of bars per suspect, its verdict beside them (Fig. 4, 6).

    table: columns suspect, positive, negative, filtered, verdict, correct. Orange = positive, blue = negative.
    """
    ax = ax or plt.subplots(figsize=(8, 0.6 + 0.45 * len(table)), layout="constrained")[1]
    long = table.melt(id_vars="suspect", value_vars=["positive", "negative"], var_name="tainted samples", value_name="count")
    sns.barplot(long, x="count", y="suspect", hue="tainted samples", palette=COLORS, ax=ax, width=0.75)
    most = max(1, long["count"].max())
    for i, row in enumerate(table.itertuples()):
        dropped = f" ({row.filtered} filtered)" if row.filtered else ""
        ax.annotate(f"{row.verdict} {'✓' if row.correct else '✗'}{dropped}", (max(row.positive, row.negative) + 0.01 * most, i),
                    va="center", fontsize=9, color="black" if row.correct else "#CC0000")
    ax.set(xlabel="", ylabel="", title=title, xlim=(0, most * 1.35))
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.legend_.remove()
    return ax


def plot_evidence(table: pd.DataFrame, *, delta_s: float, ax=None, title: str = "", limits=None):
    """How far one suspect's tainted samples lean to the tuned references. table: columns evidence (NaN = filtered), status."""
    ax = ax or plt.subplots(figsize=(8, 3), layout="constrained")[1]
    counted = table.dropna(subset="evidence")
    if counted.empty:
        ax.set_axis_off()
        ax.set_title(f"{title}: no answer counts")
        return ax
    sns.histplot(counted, x="evidence", hue="status", palette=COLORS, multiple="stack", ax=ax, legend=False,
                 binwidth=0.05, binrange=None if limits is None else (limits[0], limits[1] + 0.05))
    ax.axvline(delta_s, color="black", linewidth=1, linestyle="--")
    ax.set(title=title, xlabel=f"evidence: best answer's weakest gap (line: delta_s = {delta_s:g})", ylabel="tainted samples", xlim=limits)
    ax.yaxis.get_major_locator().set_params(integer=True)
    return ax


def plot_leanings(table: pd.DataFrame, *, delta_s: float, ax=None):
    """Evidence of every tainted sample, a row of dots per suspect (diamond = median). table: columns suspect, member, evidence."""
    ax = ax or plt.subplots(figsize=(8, 0.9 + 0.42 * table["suspect"].nunique()), layout="constrained")[1]
    named = table.assign(truth=table["member"].map({True: "member", False: "non-member"}))
    colors = {"member": COLORS["positive"], "non-member": COLORS["negative"]}
    sns.stripplot(named, x="evidence", y="suspect", hue="truth", palette=colors, size=4, alpha=0.6, jitter=0.25, ax=ax)
    sns.pointplot(named, x="evidence", y="suspect", hue="truth", palette=colors, estimator="median", errorbar=None, linestyle="none",
                  marker="d", markersize=7, ax=ax, legend=False)
    ax.axvline(delta_s, color="black", linewidth=1, linestyle="--")
    ax.set(xlabel=f"evidence: best answer's weakest gap (line: delta_s = {delta_s:g})", ylabel="")
    ax.legend(title=None, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    return ax


def plot_fig04(verdicts: pd.DataFrame):
    """Fig. 4: `plot_votes` for member suspects (top) and non-members (bottom) of every dataset. Returns the figure."""
    datasets = verdicts["dataset"].unique()
    sizes = [max(1, int(verdicts[verdicts["member"] == m].groupby("dataset").size().max() or 1)) for m in (True, False)]
    figure, axes = plt.subplots(2, len(datasets), squeeze=False, sharex="col", layout="constrained",
                                figsize=(8 * len(datasets), 1.4 + 0.42 * sum(sizes)), gridspec_kw={"height_ratios": sizes})
    for column, dataset in enumerate(datasets):
        for ax, member, word in zip(axes[:, column], (True, False), ("members", "non-members")):
            part = verdicts[(verdicts["dataset"] == dataset) & (verdicts["member"] == member)]
            plot_votes(part, ax=ax, title=f"{dataset}: {word}")
        axes[-1, column].set_xlabel("tainted samples")
    handles = [plt.Rectangle((0, 0), 1, 1, color=COLORS[k]) for k in ("positive", "negative")]
    figure.legend(handles, ["positive: closer to the tuned references", "negative"], loc="outside upper center", ncols=2)
    return figure


def plot_fig08(table: pd.DataFrame, *, delta_s: float, ax=None):
    """Fig. 8: evidence over all samples of D, cumulated, a line per suspect. table: columns suspect, member, evidence."""
    ax = ax or plt.subplots(figsize=(8.5, 3.6), layout="constrained")[1]
    suspects = table.dropna(subset="evidence")[["suspect", "member"]].drop_duplicates()
    for (suspect, member), color in zip(suspects.itertuples(index=False), sns.color_palette("colorblind", len(suspects))):
        sns.ecdfplot(table[table["suspect"] == suspect], x="evidence", ax=ax, color=color, linestyle="-" if member else "--",
                     label=f"{suspect} ({'member' if member else 'non-member'})")
    ax.axvline(delta_s, color="black", linewidth=0.8, linestyle=":")
    ax.axhline(0.5, color="black", linewidth=0.8)
    ax.set(xlabel=f"evidence: best answer's weakest gap (dotted: delta_s = {delta_s:g})", ylabel="share of D's samples below",
           title="a line that crosses one half left of delta_s is voted non-member")
    ax.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return ax


def plot_sensitivity(table: pd.DataFrame, *, at: dict):
    """Share of positives per suspect while one setting moves; above one half = member. Returns the figure.

    table: columns suspect, member, setting, value, share. at: the profile's own value of each setting.
    """
    settings = table["setting"].unique()
    figure, axes = plt.subplots(1, len(settings), figsize=(4.2 * len(settings), 3.6), sharey=True, layout="constrained", squeeze=False)
    suspects = table[["suspect", "member"]].drop_duplicates()
    for ax, setting in zip(axes[0], settings):
        for (suspect, member), color in zip(suspects.itertuples(index=False), sns.color_palette("colorblind", len(suspects))):
            line = table[(table["setting"] == setting) & (table["suspect"] == suspect)]
            ax.plot(line["value"], line["share"], "-o" if member else "--o", color=color, markersize=4,
                    label=f"{suspect} ({'member' if member else 'non-member'})")
        ax.axhline(0.5, color="black", linewidth=0.8)
        ax.axvline(at[setting], color="black", linewidth=0.8, linestyle=":")
        ax.set(xlabel=f"{setting} (dotted: {at[setting]:g})", ylim=(-0.03, 1.03))
        if setting == "draws":
            ax.set_xticks(line["value"])
    axes[0][0].set_ylabel("positive share of the vote")
    axes[0][-1].legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def save(study: Study, name: str, figure, table: pd.DataFrame, folder: str = "figures") -> Path:
    """Write `<folder>/<profile>/<name>.png`, `.pdf` and `.csv` (figure None: the CSV alone), and note them in its manifest.

    The figure gets the profile's scale as a caption. Returns the path of the PNG, or of the CSV.
    """
    place = params.ROOT / folder / study.profile.name
    place.mkdir(parents=True, exist_ok=True)
    files = [place / f"{name}.csv"]
    store.write_text(files[0], table.to_csv(index=False, float_format="%.6g"))
    if figure is not None:
        figure = getattr(figure, "figure", figure)
        caption = f"{study.profile.name}, seed {study.profile.seed}, {store.now()[:10]}: {study.profile.scale}"
        wrapped = textwrap.fill(caption, int(17 * figure.get_figwidth()))  # about 17 characters of 7 points to the inch
        figure.supxlabel(wrapped, fontsize=7, color="#555555", x=0.01, ha="left")
        for suffix, facts in ((".png", {"Software": None}), (".pdf", {"CreationDate": None})):
            figure.savefig(place / f"{name}{suffix}", metadata=facts)
            files.append(place / f"{name}{suffix}")
    note(study, files)
    return files[1] if len(files) > 1 else files[0]


def note(study: Study, files: list[Path]) -> None:
    """Enter files into the folder's `manifest.json`: hash and time of each, parameters, versions and commit of the run."""
    path = files[0].parent / "manifest.json"
    store.root().mkdir(parents=True, exist_ok=True)
    with store.lock(store.root()):
        known = json.loads(path.read_text(encoding="utf-8"))["files"] if path.exists() else {}
        made = {"made": store.now(), "commit": commit(), "parameters": store.key(study.profile.model_dump())}
        for file in files:
            known[file.name] = {"sha256": hashlib.sha256(file.read_bytes()).hexdigest(), **made}
        facts = {"profile": study.profile.name, "scale": study.profile.scale, "parameters": study.profile.model_dump(exclude_none=True),
                 "parameters_key": made["parameters"], "versions": store.versions(), "files": dict(sorted(known.items()))}
        store.write_text(path, json.dumps(facts, indent=1, ensure_ascii=False))


def commit() -> str:
    """The repository's commit, with "+" when files differ from it."""
    def git(*words):
        return subprocess.run(["git", "-C", str(params.ROOT), *words], capture_output=True, text=True).stdout.strip()

    return (git("rev-parse", "--short", "HEAD") or "no commit") + ("+" if git("status", "--porcelain", "--", "dsi_core", "params") else "")

