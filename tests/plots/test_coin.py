"""The coin game: tosses are the seed's, p is the binomial's, and what is shown is what was said."""

import numpy as np
import pytest
from drawing import legend, title
from helpers import table

from dsi_core.plots import coin

MODELS = table("model kind samples hits", ("weak", "member", 10, 9), ("<b>", "innocent", 8, 4))

BOX = """<div class="widget-vbox">
  <select><option>one</option><option>two</option></select>
  <div class="widget-slider"><label>hits</label><div role="slider">28</div>
    <div class="widget-readout" contenteditable="true">28</div></div>
  <div id="keys"></div>
</div><button>elsewhere</button>"""
LISTEN = """() => {
  window.taken = []; window.turned = [];
  addEventListener("keydown", (event) => {
    if (!event.target.closest("[data-lm-suppress-shortcuts]")) taken.push(event.key);
  }, true);
  addEventListener("keydown", (event) => { turned.push(event.key); });
}"""


def test_p_is_the_chance_of_at_least_so_many_heads():
    assert coin.p_value(3, 3) == 1 / 8
    assert coin.p_value(2, 3) == pytest.approx(1 / 8 + 3 / 8)
    assert coin.p_value(0, 3) == 1
    for hits, samples in ((48, 30), (-1, 48), (30, -3)):
        with pytest.raises(ValueError, match=f"{hits} hits of {samples} samples"):
            coin.p_value(hits, samples)
    assert coin.table(MODELS)["p"].round(4).tolist() == [0.0107, 0.6367]


def test_tosses_are_the_seeds_and_fair():
    first, more = coin.toss(50, 20, 1), coin.toss(50, 300, 1)
    assert (more[:20] == first).all() and first.shape == (20, 50)
    assert (coin.toss(50, 20, 2) != first).any()
    assert abs(more.mean() - 0.5) < 0.02
    assert coin.toss(5, 0, 1).shape == (0, 5)
    as_good = (coin.toss(10, 4000, 1).sum(axis=1) >= 8).mean()
    assert as_good == pytest.approx(coin.p_value(8, 10), abs=0.01)


def test_the_sentence_counts_rounds_that_did_as_well():
    heads = np.array([4, 8, 9, 10])
    exact = "exactly, chance does so in 1.07% of rounds: this is p"
    assert coin.said(9, 10, heads) == (
        f"9 of 10: chance alone did as well in 2 of 4 rounds (50.0%); {exact}"
    )
    assert coin.said(9, 10, heads[:0]) == f"9 of 10, and nobody has tossed yet; {exact}"


def test_rounds_that_did_as_well_have_a_colour_of_their_own():
    ax = coin.plot(3, 4, np.array([1, 2, 2, 4]))
    bars = {bar.get_x() + 0.4: (bar.get_height(), bar.get_facecolor()) for bar in ax.patches}
    assert [bars[place][0] for place in range(5)] == [0, 0.25, 0.5, 0, 0.25]
    assert bars[3][1] == bars[4][1] != bars[2][1]
    assert not any(bar.get_linewidth() for bar in ax.patches)  # an edge would hide thin ones
    line, dots = ax.lines[1], ax.lines[0]
    assert line.get_xdata() == [2.5, 2.5]
    assert np.allclose(dots.get_ydata(), np.array([1, 4, 6, 4, 1]) / 16)
    assert title(ax) == "Fair coins show 3 or more heads of 4 with p = 0.312"
    assert "rounds that did as well" in legend(ax)


def test_a_model_of_many_samples_is_shown_whole():
    models = table("model kind samples hits", ("m", "member", 1000, 480), ("n", "innocent", 8, 4))
    model, samples, hits, _, _, sentence, *_ = coin.game(models, seed=3).children
    for _ in range(2):
        assert (samples.value, hits.value) == (1000, 480)
        assert sentence.value.startswith("<p>480 of 1000")
        model.index = 1
        model.index = 0


def test_a_chosen_model_is_drawn_once_and_never_with_the_hits_of_another(monkeypatch):
    drawn, plot = [], coin.plot
    monkeypatch.setattr(
        coin, "plot", lambda *given, **how: (drawn.append(given[:2]), plot(*given, **how))
    )
    model = coin.game(MODELS, seed=3).children[0]
    model.index = 1
    assert drawn == [(9, 10), (4, 8)]


def test_the_game_is_played_with_buttons():
    box = coin.game(MODELS, seed=3)
    model, samples, hits, buttons, coins, sentence, picture, _ = box.children
    assert not samples.continuous_update and not hits.continuous_update  # a drag draws once
    once, often, again = buttons.children
    assert (samples.value, hits.value) == (10, 9) and "nobody has tossed" in sentence.value
    once.click()
    first = coin.toss(10, 1, 3)[0]
    assert coins.value.count(coin.HEADS) == first.sum() and "of 1 round " in sentence.value
    often.click()
    good = int((coin.toss(10, 101, 3).sum(axis=1) >= 9).sum())
    assert f"{good} of 101 rounds" in sentence.value
    again.click()
    once.click()
    row = "".join(coin.HEADS if head else coin.TAILS for head in coin.toss(10, 1, 4)[0])
    assert row in coins.value
    model.value = MODELS.to_dict("records")[1]
    assert (samples.value, hits.value) == (8, 4) and "nobody has tossed" in sentence.value
    once.click()
    samples.value = 3  # numbers of the reader's own, with the rounds tossed so far
    assert model.label == "numbers of your own" and "of 1 round " in sentence.value
    assert hits.value == 3 and hits.max == 3
    model.index = 0
    assert model.label.startswith("weak") and (samples.value, hits.value) == (10, 9)
    model.index = 2
    samples.value = 3
    assert sentence.value.startswith("<p>3 of 3") and picture is box.children[-2]


def test_keys_stay_with_the_game_and_sliders_have_names(page):
    """JupyterLab takes keys on their way to a control, RISE on their way back."""
    page.set_content(BOX)
    page.add_script_tag(content=coin.KEYS.replace("export default", "window.game ="))
    page.evaluate("() => { game.render({ el: document.querySelector('#keys') }); }")
    page.evaluate(LISTEN)
    page.wait_for_selector("[role=slider][aria-label=hits]")
    assert page.get_by_role("textbox", name="hits, a number").inner_text() == "28"
    page.focus("select")
    for key in ("ArrowDown", "d", "Control+s"):
        page.keyboard.press(key)
    assert page.eval_on_selector("select", "(list) => list.value") == "two"
    assert page.evaluate("taken") == ["Control", "s"]
    assert page.evaluate("turned") == ["d", "Control", "s"]
    page.focus("button")
    page.keyboard.press("ArrowDown")
    assert page.evaluate("taken").pop() == page.evaluate("turned").pop() == "ArrowDown"
