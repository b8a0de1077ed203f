"""A p-value as a game: toss fair coins and see how often chance alone does as well as a model.

A model that never saw a dataset prefers the wording that a coin chose as a fair coin shows heads.
What is drawn and said are plain functions; the game only calls them again.
"""

import html

import anywidget
import ipywidgets
import numpy as np
import pandas as pd
from IPython.display import display
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats

from dsi_core.plots import style

OWN: dict = {}  # chosen, where no model is: None would be no choice at all
MOST = 400  # coins in a round, where no model has more samples
HEADS, TAILS = "●", "○"
WIDE = {"description_width": "9em"}
WIDTH = "550px"  # not in em: a slide's letters are five times as large
# JupyterLab takes keys before any control does, unless it says so: an arrow key would go to the
# next cell, "dd" on the list of models would delete this one. RISE turns slides at arrows and
# Space. And a slider of ipywidgets tells a screen reader no name, nor does the number beside it,
# which can be typed in.
KEYS = """export default { render({ el }) {
  const game = () => el.closest(".widget-vbox");
  const keys = (event) => {
    if (!game()?.contains(event.target)) return;
    const plain = !event.ctrlKey && !event.metaKey && !event.altKey;
    event.target.toggleAttribute("data-lm-suppress-shortcuts", plain);
  };
  const stay = (event) => {
    if (/^( |Arrow.*|Home|End)$/.test(event.key)) event.stopPropagation();
  };
  window.addEventListener("keydown", keys, true);
  const later = setTimeout(() => { // once it stands in the page
    game()?.addEventListener("keydown", stay);
    for (const slider of game()?.querySelectorAll("[role=slider]") ?? []) {
      const whole = slider.closest(".widget-slider");
      const name = whole.querySelector("label").textContent;
      slider.setAttribute("aria-label", name);
      const number = whole.querySelector(".widget-readout");
      number.setAttribute("role", "textbox");
      number.setAttribute("aria-label", `${name}, a number`);
    }
  });
  return () => { clearTimeout(later); window.removeEventListener("keydown", keys, true); };
} };"""


class Keys(anywidget.AnyWidget):
    """Nothing to see: beside other controls in a box, it keeps their keys theirs."""

    _esm = KEYS


def toss(samples: int, rounds: int, seed: int) -> np.ndarray:
    """Toss `samples` fair coins in each round.

    Returns
    -------
    ndarray
        Shape (rounds, samples), bool: heads. The first rounds are the same however many follow.
    """
    rows = [np.random.default_rng([seed, r]).random(samples) < 0.5 for r in range(rounds)]
    return np.array(rows, dtype=bool).reshape(rounds, samples)


def p_value(hits: int, samples: int) -> float:
    """The exact chance of at least `hits` heads among so many fair coins (binomial).

    Raises
    ------
    ValueError
        There are more hits than samples, or fewer than none.
    """
    if not 0 <= hits <= samples:
        raise ValueError(f"{hits} hits of {samples} samples: hits go from 0 to the samples")
    return float(stats.binom.sf(hits - 1, samples, 0.5))


def said(hits: int, samples: int, heads: np.ndarray) -> str:
    """Say in a sentence how the rounds came out, beside the exact chance.

    heads : ndarray
        Shape (rounds,): heads of each round.
    """
    exact = f"exactly, chance does so in {p_value(hits, samples):.2%} of rounds: this is p"
    if not len(heads):
        return f"{hits} of {samples}, and nobody has tossed yet; {exact}"
    good = int((heads >= hits).sum())
    rounds = f"{len(heads)} round{'s' if len(heads) > 1 else ''}"
    tossed = f"in {good} of {rounds} ({good / len(heads):.1%})"
    return f"{hits} of {samples}: chance alone did as well {tossed}; {exact}"


def table(models: pd.DataFrame) -> pd.DataFrame:
    """The models with the p-value of each.

    models : DataFrame
        As `game.hits`: model, kind, samples, hits.
    """
    pairs = zip(models["hits"], models["samples"], strict=True)
    return models.assign(p=[p_value(hits, samples) for hits, samples in pairs])


def plot(hits: int, samples: int, heads: np.ndarray, *, ax: Axes | None = None) -> Axes:
    """How many heads the rounds had (bars), how many to expect (dots), and where the model is.

    Parameters
    ----------
    hits, samples : int
        Of the model: the line; rounds at or right of it did as well.
    heads : ndarray
        Shape (rounds,): heads of each round.
    ax : Axes, optional
        Where to draw; new axes by default.

    Returns
    -------
    Axes
    """
    ax = style.axes(ax, 7.5, 2.8)
    ax.set_axisbelow(True)
    places = np.arange(samples + 1)
    expected = stats.binom.pmf(places, samples, 0.5)
    shares = np.bincount(heads.astype(int), minlength=samples + 1) / max(len(heads), 1)
    as_good = places >= hits
    positive, plain = style.LOOKS[style.Status.POSITIVE].color, style.COLORS["filtered"]
    for chosen, color, words in (
        (~as_good, plain, "rounds that did worse"),
        (as_good, positive, "rounds that did as well"),
    ):
        # without the style's white edges, which cover bars as thin as they are
        ax.bar(places[chosen], shares[chosen], 0.8, color=color, linewidth=0, label=words)
    seen = expected > expected.max() / 500
    ax.plot(places[seen], expected[seen], ".", color="black", label="exact chance")
    ax.axvline(hits - 0.5, **style.DECISION)
    ax.set(xlabel=f"heads of {samples} coins", ylabel="share of rounds", ylim=(0, None))
    reach = places[seen | (places == hits) | (shares > 0)]
    ax.set_xlim(reach.min() - 1, reach.max() + 1)
    p = p_value(hits, samples)
    ax.set_title(f"Fair coins show {hits} or more heads of {samples} with p = {p:.3g}")
    ax.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    style.whole_numbers(ax.xaxis)
    return ax


def game(models: pd.DataFrame, seed: int) -> ipywidgets.VBox:
    """The game itself: choose a model or numbers of your own, then toss.

    Parameters
    ----------
    models : DataFrame
        As `game.hits`: model, kind, samples, hits; the first one is chosen.
    seed : int
        Of the tosses; "start again" takes the next one.

    Returns
    -------
    VBox
        Model, samples and hits; the buttons; the last round, coin by coin; the sentence; the
        picture; its keys.
    """
    rows = models.to_dict("records")
    options = [(f"{r['model']} ({r['kind']}): {r['hits']} of {r['samples']}", r) for r in rows]
    model = ipywidgets.Dropdown(
        options=[*options, ("numbers of your own", OWN)],
        description="model",
        style=WIDE,
        layout={"width": WIDTH},
    )
    most = int(max([MOST, *models["samples"]]))
    samples = _whole("samples", 1, most)
    hits = _whole("hits", 0, most)
    once = ipywidgets.Button(description="Toss one round", button_style="primary")
    often = ipywidgets.Button(description="100 rounds more")
    again = ipywidgets.Button(description="Start again")
    coins, sentence, picture = ipywidgets.HTML(), ipywidgets.HTML(), ipywidgets.Output()
    # setting: what a choice or a slider sets besides is no choice of the reader's
    state = {"rounds": 0, "seed": seed, "setting": False}

    def show() -> None:
        tossed = toss(samples.value, state["rounds"], state["seed"])
        heads = tossed.sum(axis=1)
        coins.value = _coins(tossed[-1]) if len(tossed) else "No round yet."
        sentence.value = f"<p>{html.escape(said(hits.value, samples.value, heads))}.</p>"
        figure = Figure(figsize=(7.5, 2.8), layout="constrained")
        plot(hits.value, samples.value, heads, ax=figure.subplots())
        with picture:
            picture.clear_output(wait=True)
            display(figure)

    def add(rounds: int) -> None:
        state["rounds"] += rounds
        show()

    def anew(*_) -> None:
        state.update(rounds=0, seed=state["seed"] + 1)
        show()

    def choose(*_) -> None:
        if state["setting"]:
            return
        state.update(rounds=0, setting=True)
        if model.value != OWN:
            hits.max = most  # while both move
            samples.value, hits.value = model.value["samples"], model.value["hits"]
            hits.max = samples.value
        state["setting"] = False
        show()

    def move(*_) -> None:
        if state["setting"]:
            return
        state["setting"] = True
        model.value, hits.max = OWN, samples.value
        state["setting"] = False
        show()

    once.on_click(lambda _: add(1))
    often.on_click(lambda _: add(100))
    again.on_click(anew)
    model.observe(choose, "value")
    samples.observe(move, "value")
    hits.observe(move, "value")
    choose()
    buttons = ipywidgets.HBox([once, often, again])
    return ipywidgets.VBox([model, samples, hits, buttons, coins, sentence, picture, Keys()])


def _whole(label: str, least: int, most: int) -> ipywidgets.IntSlider:
    return ipywidgets.IntSlider(
        value=least,
        min=least,
        max=most,
        description=label,
        continuous_update=False,
        style=WIDE,
        layout={"width": WIDTH},
    )


def _coins(heads: np.ndarray) -> str:
    """One round, coin by coin: heads full, tails empty."""
    row = "".join(HEADS if head else TAILS for head in heads)
    return f"<p style='letter-spacing:.1em'>last round: {int(heads.sum())} heads<br>{row}</p>"
