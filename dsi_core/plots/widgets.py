"""Views for JupyterLab: controls only call pure functions again, on tables already computed."""

import html
import re
from collections.abc import Callable, Iterable

import ipywidgets
import pandas as pd
from IPython.display import HTML, display
from matplotlib.figure import Figure

from dsi_core.imitation import ratings
from dsi_core.method import tainted, verdict
from dsi_core.method.study import Study, judged, only, suspects
from dsi_core.paper import observations
from dsi_core.plots import texts, vote

LISTED = 500  # samples in a dropdown
WIDE = {"description_width": "9em"}


def similarity(study: Study, scores: pd.DataFrame) -> ipywidgets.Widget:
    """§4: the tainted set, the gaps and one sample's texts follow delta_t and mu.

    There is no suspect yet: mu drops samples to which a tuned reference gives a shorter answer.

    Parameters
    ----------
    study : Study
        Its thresholds are where the sliders begin.
    scores : DataFrame
        As `study.reference_scores`.

    Returns
    -------
    Widget
        Controls delta_t, mu, sample and reference above the view; a tab for each of several
        victims.
    """
    return _per_victim(_similarity, study, scores)


def _similarity(study: Study, scores: pd.DataFrame) -> ipywidgets.VBox:
    lengths = scores["response_after"].map(_bytes)
    shortest = lengths.groupby(scores["sample_id"]).min()

    def view(delta_t: float, mu: int, sample: str, reference: str) -> None:
        gaps = tainted.tainted(scores, delta_t)
        gaps["tainted"] &= gaps["sample_id"].map(shortest) >= mu
        figure = Figure(figsize=(8, 3), layout="constrained")
        ax = vote.plot_gaps(gaps, delta_t=delta_t, ax=figure.subplots())
        counts = f"{int(gaps['tainted'].sum())} of {len(gaps)} samples"
        ax.set_title(f"{counts}: gap above delta_t = {delta_t:g}, answers of {mu} bytes or more")
        row = scores[(scores["sample_id"] == sample) & (scores["reference"] == reference)].head(1)
        gap = gaps.loc[gaps["sample_id"] == sample].iloc[0]
        word = "tainted" if gap["tainted"] else "not tainted"
        said = f"<p>weakest gap <b>{gap['min_gap']:+.3f}</b>: <b>{word}</b> at delta_t = "
        said += f"{delta_t:g}, mu = {mu}</p>"
        display(figure, HTML(said + texts.as_html(observations.side_by_side(row))))

    decision = study.profile.decision
    return _with_controls(
        view,
        delta_t=_threshold("delta_t (Eq. 1)", decision.delta_t),
        mu=_length("mu (bytes)", decision.mu),
        sample=_samples(study, scores),
        reference=_choice("reference", scores["reference"].unique()),
    )


def verdicts(study: Study, scores: pd.DataFrame, answers: pd.DataFrame) -> ipywidgets.Widget:
    """§6.2: tainted set, votes, one suspect's evidence and answers follow delta_t, delta_s and mu.

    Parameters
    ----------
    study : Study
        Its thresholds are where the sliders begin. Where suspects answered the tainted samples
        only, delta_t cannot go below the value for which they were prompted.
    scores : DataFrame
        As `study.reference_scores`.
    answers : DataFrame
        As `study.suspect_gaps`.

    Returns
    -------
    Widget
        Controls delta_t, delta_s, mu, suspect and sample above the view; a tab for each of several
        victims.
    """
    return _per_victim(_verdicts, study, scores, answers)


def _verdicts(study: Study, scores: pd.DataFrame, answers: pd.DataFrame) -> ipywidgets.VBox:
    decision = study.profile.decision
    lowest = LOWEST if study.profile.responses.ask == "all" else decision.delta_t
    spread = verdict.evidence(answers, study.delta_s, 0, decision.rule)["evidence"]
    limits = (spread.min() - 0.05, spread.max() + 0.05)

    def view(delta_t: float, delta_s: float, mu: int, suspect: str, sample: str) -> None:
        gaps = tainted.tainted(scores, delta_t)
        votes = judged(study, gaps, answers, delta_s, mu)
        counted = gaps[gaps["tainted"]].merge(answers, on=["dataset", "sample_id"])
        own = counted[counted["suspect"] == suspect]
        evidence = verdict.evidence(own, delta_s, mu, decision.rule)
        figure = Figure(figsize=(13, 0.8 + 0.42 * len(votes)), layout="constrained")
        left, right = figure.subplots(1, 2)
        counts = f"{int(gaps['tainted'].sum())} of {len(gaps)} samples tainted"
        vote.plot_votes(votes, ax=left, title=f"{counts}; orange positive, blue negative")
        vote.plot_evidence_histogram(
            evidence, delta_s=delta_s, ax=right, title=suspect, limits=limits
        )
        pair = study.pairs[study.pairs["sample_id"] == sample].iloc[0]
        of_suspect = answers[(answers["suspect"] == suspect) & (answers["sample_id"] == sample)]
        status = evidence.loc[evidence["sample_id"] == sample, "status"]
        word = status.iloc[0] if len(status) else "not tainted, not counted"
        display(figure, HTML(_answers(pair, suspect, word, of_suspect, mu)))

    return _with_controls(
        view,
        delta_t=_threshold("delta_t (Eq. 1)", decision.delta_t, lowest),
        delta_s=_threshold("delta_s (Eq. 2)", study.delta_s),
        mu=_length("mu (bytes)", decision.mu),
        suspect=_choice("suspect", suspects(study)["suspect"]),
        sample=_samples(study, scores),
    )


def rating(sheet: pd.DataFrame) -> ipywidgets.VBox:
    """Rate answers blindly: a name, then one answer after another, with five buttons.

    It goes on where this rater stopped. Every rating is stored at once; texts are escaped.

    Parameters
    ----------
    sheet : DataFrame
        As `ratings.sheet`: item, instruction, response; in the order to rate in.

    Returns
    -------
    VBox
        Name, text, row of buttons, what is done.
    """
    name = ipywidgets.Text(description="your name", placeholder="letters, digits, _ and -")
    text, progress = ipywidgets.HTML(), ipywidgets.Label()
    buttons = [
        ipywidgets.Button(description=str(s), layout={"width": "3em"}) for s in ratings.STARS
    ]
    row = ipywidgets.HBox([ipywidgets.Label("1 = useless, 5 = good and correct"), *buttons])

    def unrated() -> pd.DataFrame:
        rated = ratings.read(sheet)
        return sheet[~sheet["item"].isin(rated.loc[rated["rater"] == name.value, "item"])]

    def show(*_) -> None:
        row.layout.visibility, text.value = "hidden", ""
        if not re.fullmatch(ratings.RATER, name.value):
            progress.value = "a name first"
            return
        rest = unrated()
        progress.value = f"{len(sheet) - len(rest)} of {len(sheet)} rated"
        if rest.empty:
            progress.value += ", thank you"
        else:
            row.layout.visibility, text.value = "visible", _task(rest.iloc[0])

    def click(button: ipywidgets.Button) -> None:
        ratings.rate(sheet, name.value, unrated()["item"].iloc[0], int(button.description))
        show()

    for button in buttons:
        button.on_click(click)
    name.observe(show, "value")
    show()
    return ipywidgets.VBox([name, text, row, progress])


# Controls

LOWEST, HIGHEST = -0.5, 1.0  # of a threshold


def _with_controls(view: Callable[..., None], **controls) -> ipywidgets.VBox:
    """Controls above what `view` displays.

    A view makes its figure without pyplot: JupyterLab answers the controls in several threads, and
    IPython draws and closes all of pyplot's figures after each message, half-drawn ones too (seen
    as empty plots).
    """
    return ipywidgets.VBox([*controls.values(), ipywidgets.interactive_output(view, controls)])


def _threshold(label: str, value: float, lowest: float = LOWEST) -> ipywidgets.FloatSlider:
    return ipywidgets.FloatSlider(
        value=value,
        min=lowest,
        max=HIGHEST,
        step=0.01,
        description=label,
        continuous_update=False,
        style=WIDE,
        layout={"width": "32em"},
    )


def _length(label: str, value: int) -> ipywidgets.IntSlider:
    return ipywidgets.IntSlider(
        value=value,
        min=0,
        max=300,
        description=label,
        continuous_update=False,
        style=WIDE,
        layout={"width": "32em"},
    )


def _per_victim(
    view: Callable[..., ipywidgets.VBox], study: Study, *tables: pd.DataFrame
) -> ipywidgets.Widget:
    """The view of a study of one victim; of several, a tab for each with its part of the tables."""
    victims = study.profile.victims
    if len(victims) == 1:
        return view(study, *tables)
    views = [
        view(only(study, [victim]), *(table[table["dataset"] == victim] for table in tables))
        for victim in victims
    ]
    return ipywidgets.Tab(views, titles=victims)


def _choice(label: str, options: Iterable, width: str = "32em") -> ipywidgets.Dropdown:
    return ipywidgets.Dropdown(
        options=list(options), description=label, style=WIDE, layout={"width": width}
    )


def _samples(study: Study, scores: pd.DataFrame) -> ipywidgets.Dropdown:
    """The samples that changed most, at most `LISTED` of them."""
    changed = tainted.gaps(scores).sort_values("min_gap", ascending=False)
    listed = changed.merge(study.pairs, on=["dataset", "sample_id"]).head(LISTED)
    options = [
        (f"{row['min_gap']:+.2f}  {row['prompt'][:80]}", row["sample_id"])
        for row in listed.to_dict("records")
    ]
    return _choice("sample", options, "50em")


# Texts, all escaped


def _bytes(text: str) -> int:
    return len(text.encode("utf-8"))


def _paragraph(title: str, text: str) -> str:
    return f"<p><b>{html.escape(title)}</b><br>{_shown(text)}</p>"


def _shown(text: str) -> str:
    return html.escape(text) or "<i>(empty)</i>"


def _answers(pair: pd.Series, suspect: str, status: str, answers: pd.DataFrame, mu: int) -> str:
    """One sample's prompt, oracle and the suspect's answers with their weakest gaps."""
    lines = [
        _paragraph("Prompt", pair["prompt"]),
        _paragraph("Oracle output", pair["output"]),
        f"<p><b>{html.escape(suspect)}</b> on this sample: <b>{html.escape(status)}</b></p>",
    ]
    for _, answer in answers.groupby("draw"):
        number, text = answer["draw"].iloc[0] + 1, answer["response"].iloc[0]
        short = f" (under {mu} bytes: dropped)" if _bytes(text) < mu else ""
        gap = f"{answer['gap'].min():+.3f}"
        lines.append(f"<p>answer {number}, weakest gap {gap}{short}<br>{_shown(text)}</p>")
    return "".join(lines)


def _task(item: pd.Series) -> str:
    parts = [("Task", item["instruction"]), ("Answer", item["response"])]
    return "".join(_paragraph(*part).replace("\n", "<br>") for part in parts)
