"""Proof-reading the book: what a stranger would stumble over in its HTML."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import unquote, urlsplit

import lxml.html
from lxml.html import HtmlElement

# attributes of what a browser fetches by itself, when it shows a page
LOADED = {
    "audio": "src",
    "embed": "src",
    "iframe": "src",
    "img": "src",
    "input": "src",
    "link": "href",
    "object": "data",
    "script": "src",
    "source": "src",
    "video": "src",
}
NOT_FETCHED = {"canonical", "next", "prev", "index", "search", "author", "license"}  # rel of links
NO_NUMBER = {"NaN", "nan", "<NA>", "NaT"}
SHOWN = 80  # characters of what is wrong
# what a reader sees as text, but for code and formulas
PROSE = (
    ".//text()[not(ancestor::pre or ancestor::code or ancestor::kbd or ancestor::script"
    " or ancestor::style or ancestor::*[contains(concat(' ', @class, ' '), ' math ')])]"
)
RED = ".//*[contains(@class, 'stderr') or contains(@class, 'traceback')]"
MATH = re.compile(r"\$[^\s\d]|\\\(|\\\[")  # begins a formula; $5 is money
SAYS_NAN = re.compile(r"\w [Nn]a[Nn]\b")  # in a sentence; a cell of a table has a check of its own
FETCHED_BY_STYLE = re.compile(r"""url\(\s*["']?(https?:|//)|@import\s+["'](https?:|//)""")


@dataclass(frozen=True)
class Fault:
    """Something wrong on a page of the site (its path from the first page's folder)."""

    page: str
    what: str

    def __str__(self) -> str:
        return f"{self.page}: {self.what}"


@dataclass(frozen=True)
class Page:
    """A page of the site.

    Attributes
    ----------
    html
        All of it.
    article
        What it says, without the contents beside it.
    places
        The names in it to which a link can lead.
    """

    html: HtmlElement
    article: HtmlElement
    places: frozenset[str]


@dataclass(frozen=True)
class Site:
    """The pages of a built site.

    folder: where its first page, `index.html`, lies.
    """

    folder: Path

    @cached_property
    def pages(self) -> dict[str, Page]:
        """Every page of the book, by its path; what is shipped beside it (the explorer) is none."""
        found = {}
        for path in sorted(self.folder.rglob("*.html")):
            html = lxml.html.parse(path).getroot()
            if (article := html.find(".//article")) is not None:
                places = frozenset(map(str, html.xpath("//@id")))
                found[path.relative_to(self.folder).as_posix()] = Page(html, article, places)
        return found


def faults(folder: Path) -> list[Fault]:
    """Read a site, without a browser.

    Returns
    -------
    list of Fault
        Links to nothing, what is loaded from other machines, formulas that stayed text, red boxes,
        cells without a number, pictures without a text, pages without one title.

    Raises
    ------
    ValueError
        There is no site.
    """
    site = Site(folder)
    if "index.html" not in site.pages:
        raise ValueError(f"no book in {folder}: `dsi book` builds it")
    found = [
        Fault(name, what)
        for name, page in site.pages.items()
        for check in (loads, texts, outputs, pictures, titles)
        for what in check(page)
    ]
    found += [Fault(name, what) for name in site.pages for what in links(site, name)]
    return found + [Fault(name, what) for name, what in _styles(folder)]


def loads(page: Page) -> Iterator[str]:
    """What a page fetches from elsewhere when it is opened."""
    for tag in page.html.iter(*LOADED):
        address = tag.get(LOADED[tag.tag], "")
        if tag.tag == "link" and NOT_FETCHED & {*tag.get("rel", "").split()}:
            continue
        if address.startswith(("http:", "https:", "//")):
            yield f"loads {address}"
    for style in page.html.iter("style"):
        if FETCHED_BY_STYLE.search(style.text_content()):
            yield "a style loads from another machine"


def _styles(folder: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(folder.rglob("*.css")):
        if FETCHED_BY_STYLE.search(path.read_text(encoding="utf-8")):
            yield path.relative_to(folder).as_posix(), "loads from another machine"


def links(site: Site, name: str) -> Iterator[str]:
    """Links and sources of a page that lead to no file of the site, or to no place in it."""
    for address in site.pages[name].html.xpath("//@href | //@src"):
        target = urlsplit(address)
        if target.scheme or target.netloc:
            continue
        here = site.folder / name
        there = (here.parent / unquote(target.path) if target.path else here).resolve()
        page = site.pages.get(_within(site, there))
        if not there.is_file():
            yield f"a link to nothing: {address}"
        elif page and target.fragment and unquote(target.fragment) not in page.places:
            yield f"a link to no place of its page: {address}"


def _within(site: Site, file: Path) -> str:
    root = site.folder.resolve()
    return file.relative_to(root).as_posix() if file.is_relative_to(root) else ""


def texts(page: Page) -> Iterator[str]:
    """Formulas that stayed text, and sentences with a number that is none."""
    for text in page.article.xpath(PROSE):
        if MATH.search(text):
            yield f"a formula that stayed text: {_short(text)}"
        if SAYS_NAN.search(text):
            yield f"a number that is none: {_short(text)}"


def outputs(page: Page) -> Iterator[str]:
    """Red boxes, and cells of tables without a number."""
    for box in page.article.xpath(RED):
        yield f"a box of errors: {_short(box.text_content())}"
    for row in page.article.iter("tr"):
        if NO_NUMBER & {cell.text_content().strip() for cell in row.iter("td")}:
            yield f"a cell without a number: {_short(' '.join(row.itertext()))}"


def pictures(page: Page) -> Iterator[str]:
    """Pictures that say nothing to who cannot see them."""
    for image in page.article.iter("img"):
        words = image.get("alt", "").strip()
        if not words or re.search(r"\.(png|svg)$", words):
            yield f"a picture without a text: {_short(image.get('src', ''))}"


def titles(page: Page) -> Iterator[str]:
    """Whether a page has one title, and its window a name."""
    count = len(page.article.findall(".//h1"))
    if count != 1:
        yield f"{count} titles"
    if not (page.html.findtext(".//title") or "").strip():
        yield "a window without a name"


def _short(text: str) -> str:
    return " ".join(text.split())[:SHOWN]
