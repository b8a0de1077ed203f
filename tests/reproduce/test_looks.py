"""How pages look in Chromium: a small book on a desktop and a phone, and what goes wrong."""

import pytest

from dsi_core.reproduce import looks

pytestmark = pytest.mark.skipif(looks.chromium() is None, reason="no chromium on this machine")

WRONG = """<h1 style="width: 3em; overflow: hidden; white-space: nowrap">A title that goes on</h1>
<div style="width: 1000px">wide</div><img src="data:image/png;base64,none" alt="nothing">
<span class="math">\\(D\\)</span><script>console.error("so it goes"); undefinedName()</script>
<script src="http://192.0.2.1/a.js" async></script>"""


def test_a_small_book_looks_right_on_a_desktop_and_on_a_phone(site):
    """Formulas are set without a network, a wide table scrolls by itself."""
    assert looks.faults(site) == []


def test_what_goes_wrong_is_told(page):
    told = [fault.what for fault in looks.faults(page(WRONG), widths=(390,))]
    for what in (
        "pixels too wide: <div style=",
        "a title that is cut: A title that goes on",
        "a formula that is not set: \\(D\\)",
        "a picture that does not show: data:image/png",
        "the console says: so it goes",
        "an error: undefinedName is not defined",
        "asks another machine for http://192.0.2.1/a.js",
    ):
        assert any(what in one for one in told), (what, told)


def test_the_search_finds_a_word_without_a_server(site):
    with looks.opened() as (tab, troubles):
        tab.goto((site / "search.html").as_uri() + "?q=tainted")
        tab.wait_for_selector("#search-results li a", timeout=10_000)
        assert "Words" in tab.inner_text("#search-results")
        assert troubles == []
