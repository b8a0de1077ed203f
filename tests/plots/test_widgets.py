"""Ratings are blind, go on where one stopped, and texts are escaped; slides can show widgets."""

import json
import re
import sys
from pathlib import Path

import pytest
from helpers import table

from dsi_core.imitation import ratings
from dsi_core.plots import widgets

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def closeness():
    rows = [
        (m, f"s{i}", "songs", f"sing {i}", f"<b>bold</b> {i}", f"{HOSTILE} & co\n{i}")
        for m in ("alpha", "beta")
        for i in range(4)
    ]
    return table("model sample_id category instruction answer response", *rows)


def test_rating_is_blind_escaped_and_goes_on_where_one_stopped(closeness, empty_store):
    sheet = ratings.sheet(closeness, 1, 0)
    name, text, row, progress = widgets.rating(sheet).children
    assert (text.value, row.layout.visibility, progress.value) == ("", "hidden", "a name first")
    name.value = "not a name!"
    assert row.layout.visibility == "hidden"
    name.value = "Ann"
    pages = []
    for done, stars in enumerate((5, 1, 3)):
        assert row.layout.visibility == "visible"
        assert progress.value == f"{done} of 3 rated"
        pages.append(text.value)
        row.children[stars].click()
    assert progress.value == "3 of 3 rated, thank you"
    assert (text.value, row.layout.visibility) == ("", "hidden")
    rated = ratings.read(sheet)
    assert rated["rating"].tolist() == [5, 1, 3]
    assert rated["item"].tolist() == sheet["item"].tolist()
    every = "".join(pages)
    assert HOSTILE not in every
    assert "<b>bold" not in every
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; co<br>" in every
    assert not any(model in every for model in ("alpha", "beta", "target"))

    name.value = "Ben"
    first = text.value
    row.children[2].click()
    other = widgets.rating(sheet)
    other.children[0].value = "Ben"
    assert other.children[3].value == "1 of 3 rated"
    assert first == pages[0]
    assert other.children[1].value == pages[1]
    for window, stars in ((row, 5), (other.children[2], 1)):  # both show the second answer
        window.children[stars].click()
    rated = ratings.read(sheet).query("rater == 'Ben'")
    assert rated["item"].tolist() == sheet["item"].tolist()[:2]
    assert rated["rating"].tolist() == [2, 1]
    assert other.children[1].value == pages[2]


def test_the_slides_of_rise_have_all_that_widgets_ask_for():
    """RISE brings a core of JupyterLab of its own: whoever asks it for more shows no widget."""
    rise = pytest.importorskip("jupyterlab_rise", reason="no RISE here, so no slides")
    core = (Path(rise.__file__).parent / "static" / "bundle.js").read_text(encoding="utf-8")
    shipped = set(re.findall(r'"(@jupyterlab/[\w-]+)","\d', core))
    assert "@jupyterlab/notebook" in shipped
    widgets = Path("share", "jupyter", "labextensions", "@jupyter-widgets", "jupyterlab-manager")
    package = json.loads((Path(sys.prefix) / widgets / "package.json").read_text(encoding="utf-8"))
    asked = {name for name in package["dependencies"] if name.startswith("@jupyterlab/")}
    assert asked <= shipped, f"RISE lacks {asked - shipped}: see ipywidgets in constraints.txt"
