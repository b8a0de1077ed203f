"""Interactive views for JupyterLab. A control only calls a pure function again on tables that are already computed."""

import html

import ipywidgets as widgets
import pandas as pd
from IPython.display import HTML, display
from matplotlib.figure import Figure

from dsi_core.method import tainted, verdict
from dsi_core.method.study import Study, judged, suspects
from dsi_core.plots import texts as examples
from dsi_core.plots import vote as plots

LISTED = 500  # samples in a dropdown


def _slider(kind, label: str, value, low, high, step):
    return kind(
        value=value,
        min=low,
        max=high,
        step=step,
        description=label,
        continuous_update=False,
        style={"description_width": "9em"},
        layout={"width": "32em"},
    )


def _samples(study: Study, scores: pd.DataFrame) -> widgets.Dropdown:
    """The samples that changed most, at most `LISTED` of them."""
    order = (
        tainted.gaps(scores)
        .sort_values("min_gap", ascending=False)
        .merge(study.pairs, on=["dataset", "sample_id"])
        .head(LISTED)
    )
    options = [(f"{r.min_gap:+.2f}  {r.prompt[:80]}", r.sample_id) for r in order.itertuples()]
    return widgets.Dropdown(
        options=options,
        description="sample",
        style={"description_width": "9em"},
        layout={"width": "50em"},
    )


def _choice(label: str, options) -> widgets.Dropdown:
    return widgets.Dropdown(
        options=list(options),
        description=label,
        style={"description_width": "9em"},
        layout={"width": "32em"},
    )


def _shown(view, controls: dict) -> widgets.VBox:
    """Controls above what `view` displays.

    A view makes its figure without pyplot: JupyterLab answers the controls in several threads, and IPython draws and closes
    all of pyplot's figures after each message, half-drawn ones too (seen as empty plots).
    """
    return widgets.VBox([*controls.values(), widgets.interactive_output(view, controls)])


def similarity(study: Study, scores: pd.DataFrame) -> widgets.VBox:
    """§4: pick a sample and a reference, move delta_t and mu: the tainted set, the gaps and the texts follow.

    There is no suspect yet: mu drops samples to which a tuned reference gives a shorter answer.
    """
    shortest = (
        scores.assign(bytes=scores["response_after"].str.encode("utf-8").str.len())
        .groupby("sample_id")["bytes"]
        .min()
    )

    def view(delta_t, mu, sample, reference):
        found = tainted.tainted(scores, delta_t)
        found["tainted"] &= found["sample_id"].map(shortest) >= mu
        figure = Figure(figsize=(8, 3), layout="constrained")
        ax = plots.plot_gaps(found, delta_t=delta_t, ax=figure.subplots())
        ax.set_title(
            f"{int(found['tainted'].sum())} of {len(found)} samples: gap above delta_t = {delta_t:g}, answers of {mu} bytes or more"
        )
        row = scores[(scores["sample_id"] == sample) & (scores["reference"] == reference)].head(1)
        gap = found.loc[found["sample_id"] == sample].iloc[0]
        word = "tainted" if gap["tainted"] else "not tainted"
        display(
            figure,
            HTML(
                f"<p>weakest gap <b>{gap['min_gap']:+.3f}</b>: <b>{word}</b> at delta_t = {delta_t:g}, mu = {mu}</p>{examples.as_html(row)}"
            ),
        )

    return _shown(
        view,
        {
            "delta_t": _slider(
                widgets.FloatSlider,
                "delta_t (Eq. 1)",
                study.profile.decision.delta_t,
                -0.5,
                1.0,
                0.01,
            ),
            "mu": _slider(widgets.IntSlider, "mu (bytes)", study.profile.decision.mu, 0, 300, 1),
            "sample": _samples(study, scores),
            "reference": _choice("reference", scores["reference"].unique()),
        },
    )


def verdicts(study: Study, scores: pd.DataFrame, answers: pd.DataFrame) -> widgets.VBox:
    """§6.2: move delta_t, delta_s and mu, pick a sample and a suspect: tainted set, distribution, votes and texts follow.

    Where suspects answered the tainted samples only, delta_t cannot go below the value they were asked for.
    """
    people, decision = suspects(study), study.profile.decision
    low = -0.5 if study.profile.responses.ask == "all" else decision.delta_t
    spread = verdict.evidence(answers, study.delta_s, 0)["evidence"]

    def view(delta_t, delta_s, mu, suspect, sample):
        found = tainted.tainted(scores, delta_t)
        votes = judged(study, found, answers, delta_s, mu)
        chosen = found[found["tainted"]].merge(answers, on=["dataset", "sample_id"])
        one = verdict.evidence(chosen[chosen["suspect"] == suspect], delta_s, mu)
        figure = Figure(figsize=(13, 0.8 + 0.42 * len(votes)), layout="constrained")
        left, right = figure.subplots(1, 2)
        plots.plot_votes(
            votes,
            ax=left,
            title=f"{int(found['tainted'].sum())} of {len(found)} samples tainted; orange positive, blue negative",
        )
        plots.plot_evidence(
            one,
            delta_s=delta_s,
            ax=right,
            title=suspect,
            limits=(spread.min() - 0.05, spread.max() + 0.05),
        )
        pair = study.pairs[study.pairs["sample_id"] == sample].iloc[0]
        display(figure, HTML(_answers(pair, answers, one, suspect, mu)))

    return _shown(
        view,
        {
            "delta_t": _slider(
                widgets.FloatSlider, "delta_t (Eq. 1)", decision.delta_t, low, 1.0, 0.01
            ),
            "delta_s": _slider(
                widgets.FloatSlider, "delta_s (Eq. 2)", study.delta_s, -0.5, 1.0, 0.01
            ),
            "mu": _slider(widgets.IntSlider, "mu (bytes)", decision.mu, 0, 300, 1),
            "suspect": _choice("suspect", people["suspect"]),
            "sample": _samples(study, scores),
        },
    )


def _answers(pair, answers: pd.DataFrame, evidence: pd.DataFrame, suspect: str, mu: int) -> str:
    """One sample's prompt, oracle and the suspect's answers with their weakest gaps, all escaped."""
    mine = answers[(answers["suspect"] == suspect) & (answers["sample_id"] == pair["sample_id"])]
    status = evidence.loc[evidence["sample_id"] == pair["sample_id"], "status"]
    lines = [
        f"<p><b>Prompt</b><br>{html.escape(pair['prompt'])}</p><p><b>Oracle output</b><br>{html.escape(pair['output'])}</p>",
        f"<p><b>{html.escape(suspect)}</b> on this sample: <b>{status.iloc[0] if len(status) else 'not tainted, not counted'}</b></p>",
    ]
    for draw, part in mine.groupby("draw"):
        text = part["response"].iloc[0]
        short = f" (under {mu} bytes: dropped)" if len(text.encode()) < mu else ""
        lines.append(
            f"<p>answer {draw + 1}, weakest gap {part['gap'].min():+.3f}{short}<br>{html.escape(text) or '<i>(empty)</i>'}</p>"
        )
    return "".join(lines)
