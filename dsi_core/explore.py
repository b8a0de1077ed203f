"""Interactive views for JupyterLab. A control only calls a pure function again on tables that are already computed."""

import html

import ipywidgets as widgets
import matplotlib.pyplot as plt
import pandas as pd
from IPython.display import HTML, display

from dsi_core import examples, figures, tainted, verdict
from dsi_core.study import Study, suspects


LISTED = 500  # samples in a dropdown


def _slider(kind, label: str, value, low, high, step):
    return kind(value=value, min=low, max=high, step=step, description=label, continuous_update=False,
                style={"description_width": "9em"}, layout={"width": "32em"})


def _samples(study: Study, scores: pd.DataFrame) -> widgets.Dropdown:
    """The samples that changed most, at most `LISTED` of them."""
    order = tainted.gaps(scores).sort_values("min_gap", ascending=False).merge(study.pairs, on=["dataset", "sample_id"]).head(LISTED)
    options = [(f"{r.min_gap:+.2f}  {r.prompt[:80]}", r.sample_id) for r in order.itertuples()]
    return widgets.Dropdown(options=options, description="sample", style={"description_width": "9em"}, layout={"width": "50em"})


def _choice(label: str, options) -> widgets.Dropdown:
    return widgets.Dropdown(options=list(options), description=label, style={"description_width": "9em"}, layout={"width": "32em"})


def _shown(view, controls: dict) -> widgets.VBox:
    def draw(**values):
        view(**values)
        plt.show()

    return widgets.VBox([*controls.values(), widgets.interactive_output(draw, controls)])


def similarity(study: Study, scores: pd.DataFrame) -> widgets.VBox:
    """§4: pick a sample and a reference, move delta_t: the tainted set, the gaps and the texts follow."""

    def view(delta_t, sample, reference):
        found = tainted.tainted(scores, delta_t)
        figures.plot_gaps(found, delta_t=delta_t)
        row = scores[(scores["sample_id"] == sample) & (scores["reference"] == reference)].head(1)
        gap = found.loc[found["sample_id"] == sample].iloc[0]
        word = "tainted" if gap["tainted"] else "not tainted"
        display(HTML(f"<p>weakest gap <b>{gap['min_gap']:+.3f}</b>: <b>{word}</b> at delta_t = {delta_t:g}</p>{examples.as_html(row)}"))

    return _shown(view, {
        "delta_t": _slider(widgets.FloatSlider, "delta_t", study.profile.decision.delta_t, -0.5, 1.0, 0.01),
        "sample": _samples(study, scores), "reference": _choice("reference", scores["reference"].unique())})


def verdicts(study: Study, scores: pd.DataFrame, answers: pd.DataFrame) -> widgets.VBox:
    """§6.2: move delta_t, delta_s and mu, pick a sample and a suspect: tainted set, distribution, votes and texts follow.

    Where suspects answered the tainted samples only, delta_t cannot go below the value they were asked for.
    """
    people, decision = suspects(study), study.profile.decision
    low = -0.5 if study.profile.responses.ask == "all" else decision.delta_t
    spread = verdict.evidence(answers, study.delta_s, 0)["evidence"]

    def view(delta_t, delta_s, mu, suspect, sample):
        found = tainted.tainted(scores, delta_t)
        votes = verdict.judge(answers, found, people, delta_s, mu)
        votes["correct"] = votes["verdict"] == votes["member"].map({True: "member", False: "non-member"})
        chosen = found[found["tainted"]].merge(answers, on=["dataset", "sample_id"])
        one = verdict.evidence(chosen[chosen["suspect"] == suspect], delta_s, mu)
        figure, (left, right) = plt.subplots(1, 2, figsize=(13, 0.8 + 0.42 * len(votes)), layout="constrained")
        figures.plot_votes(votes, ax=left, title=f"{int(found['tainted'].sum())} of {len(found)} samples tainted")
        figures.plot_evidence(one, delta_s=delta_s, ax=right, title=suspect, limits=(spread.min() - 0.05, spread.max() + 0.05))
        display(HTML(_answers(answers, one, suspect, sample, mu)))

    return _shown(view, {
        "delta_t": _slider(widgets.FloatSlider, "delta_t (Eq. 1)", decision.delta_t, low, 1.0, 0.01),
        "delta_s": _slider(widgets.FloatSlider, "delta_s (Eq. 2)", study.delta_s, -0.5, 1.0, 0.01),
        "mu": _slider(widgets.IntSlider, "mu (bytes)", decision.mu, 0, 300, 1),
        "suspect": _choice("suspect", people["suspect"]), "sample": _samples(study, scores)})


def _answers(answers: pd.DataFrame, evidence: pd.DataFrame, suspect: str, sample: str, mu: int) -> str:
    """One suspect's answers to one sample, escaped, each with its weakest gap."""
    mine = answers[(answers["suspect"] == suspect) & (answers["sample_id"] == sample)]
    status = evidence.loc[evidence["sample_id"] == sample, "status"]
    lines = [f"<p><b>{html.escape(suspect)}</b> on this sample: <b>{status.iloc[0] if len(status) else 'not tainted, not counted'}</b></p>"]
    for draw, part in mine.groupby("draw"):
        text = part["response"].iloc[0]
        short = f" (under {mu} bytes: dropped)" if len(text.encode()) < mu else ""
        lines.append(f"<p>answer {draw + 1}, weakest gap {part['gap'].min():+.3f}{short}<br>{html.escape(text) or '<i>(empty)</i>'}</p>")
    return "".join(lines)
