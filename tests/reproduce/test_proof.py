"""Proof-reading: a small book without faults, and every fault on a page of its own."""

import pytest

from dsi_core.reproduce import proof


def told(folder):
    return [fault.what for fault in proof.faults(folder)]


def test_a_small_book_is_without_faults(site):
    assert proof.faults(site) == []
    pages = set(proof.Site(site).pages)
    assert {"index.html", "explorer.html", "notebooks/01_seen.html"} <= pages
    seen = (site / "notebooks" / "01_seen.html").read_text()
    assert "tex-svg.js" in seen and (site / "_static" / "tex-svg.js").exists()
    assert "nowhere" not in seen and "Show the source" in seen
    assert (site / "searchindex.js").exists()


@pytest.mark.parametrize(
    "article, what",
    [
        ("<h1>A</h1><p>of $D$ it says</p>", "a formula that stayed text: of $D$ it says"),
        ("<h1>A</h1><p>of \\(D\\)</p>", "a formula that stayed text: of \\(D\\)"),
        ("<h1>A</h1><div class='output stderr'>10%</div>", "a box of errors: 10%"),
        ("<h1>A</h1><table><tr><td>NaN</td></tr></table>", "a cell without a number: NaN"),
        ("<h1>A</h1><img src='data:,'>", "a picture without a text: data:,"),
        ("<h1>A</h1><img src='data:,' alt='_images/a.png'>", "a picture without a text: data:,"),
        ("<h1>A</h1><p>recall 0, F1 nan</p>", "a number that is none: recall 0, F1 nan"),
        ("<p>no title</p>", "0 titles"),
        ("<h1>A</h1><a href='none.html'>x</a>", "a link to nothing: none.html"),
        ("<h1>A</h1><a href='#none'>x</a>", "a link to no place of its page: #none"),
        ("<h1>A</h1><script src='https://cdn.x/r.js'></script>", "loads https://cdn.x/r.js"),
        ("<h1>A</h1><img alt='x' src='//cdn.x/a.png'>", "loads //cdn.x/a.png"),
        ("<h1>A</h1><link rel='stylesheet' href='http://f.x/'>", "loads http://f.x/"),
        ("<h1>A</h1><style>@import '//f.x/a'</style>", "a style loads from another machine"),
    ],
)  # fmt: skip
def test_a_fault_is_found(page, article, what):
    assert told(page(article)) == [what]


def test_what_is_no_fault(page):
    article = """<h1 id="a-b">A</h1><p>It costs $5 or $0.10; <code>$DSI_STORE</code>.</p>
    <span class="math">\\(D\\)</span><a href="https://arxiv.org">x</a> <a href="#a-b">y</a>
    <link rel="canonical" href="https://x.org"><table><tr><td>–</td></tr></table>
    <a href="mailto:a@b.c">z</a><img src="data:," alt="Two bars.">"""
    assert told(page(article)) == []


def test_a_style_sheet_that_loads_from_elsewhere(page):
    folder = page("<h1>A</h1>")
    (folder / "a.css").write_text("@font-face { src: url('https://fonts.x/a.woff2') }")
    assert [str(fault) for fault in proof.faults(folder)] == ["a.css: loads from another machine"]


def test_no_book_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"no book in .*: `dsi book` builds it"):
        proof.faults(tmp_path)
