"""Proof-reading the book: what a stranger would stumble over in its HTML."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bs4 import BeautifulSoup, Tag

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
VERBATIM = ("pre", "code", "script", "style", "kbd")
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
class Site:
    """The pages of a built site.

    folder: where its first page, `index.html`, lies.
    """

    folder: Path

    @cached_property
    def pages(self) -> dict[str, BeautifulSoup]:
        """Every page of the book, by its path; what is shipped beside it (the explorer) is none."""
        paths = sorted(self.folder.rglob("*.html"))
        read = {path: BeautifulSoup(path.read_bytes(), "lxml") for path in paths}
        return {
            path.relative_to(self.folder).as_posix(): soup
            for path, soup in read.items()
            if soup.find("article")
        }


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
        for name, soup in site.pages.items()
        for check in (loads, texts, outputs, pictures, titles)
        for what in check(soup)
    ]
    found += [Fault(name, what) for name in site.pages for what in links(site, name)]
    return found + [Fault(name, what) for name, what in _styles(folder)]


def loads(page: BeautifulSoup) -> Iterator[str]:
    """What a page fetches from elsewhere when it is opened."""
    for name, attribute in LOADED.items():
        for tag in page.find_all(name):
            address = str(tag.get(attribute, ""))
            if name == "link" and NOT_FETCHED & set(tag.get_attribute_list("rel")):
                continue
            if address.startswith(("http:", "https:", "//")):
                yield f"loads {address}"
    for style in page.find_all("style"):
        if FETCHED_BY_STYLE.search(style.get_text()):
            yield "a style loads from another machine"


def _styles(folder: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(folder.rglob("*.css")):
        if FETCHED_BY_STYLE.search(path.read_text(encoding="utf-8")):
            yield path.relative_to(folder).as_posix(), "loads from another machine"


def links(site: Site, name: str) -> Iterator[str]:
    """Links and sources of a page that lead to no file of the site, or to no place in it."""
    for tag in site.pages[name].find_all(True):
        for attribute in ("href", "src"):
            target = urlsplit(str(tag.get(attribute, "")))
            if target.scheme or target.netloc or tag.get(attribute) is None:
                continue
            path = (site.folder / name).parent / unquote(target.path)
            there = path.resolve() if target.path else (site.folder / name).resolve()
            if not there.is_file():
                yield f"a link to nothing: {tag[attribute]}"
            elif target.fragment and not _has(site, there, unquote(target.fragment)):
                yield f"a link to no place of its page: {tag[attribute]}"


def _has(site: Site, file: Path, fragment: str) -> bool:
    page = site.pages.get(file.relative_to(site.folder.resolve()).as_posix())
    return page is None or page.find(id=fragment) is not None


def texts(page: BeautifulSoup) -> Iterator[str]:
    """Formulas that stayed text, and sentences with a number that is none."""
    for text in _article(page).find_all(string=True):
        if text.find_parent(VERBATIM) or text.find_parent(class_="math"):
            continue
        if MATH.search(text):
            yield f"a formula that stayed text: {_short(text)}"
        if SAYS_NAN.search(text):
            yield f"a number that is none: {_short(text)}"


def outputs(page: BeautifulSoup) -> Iterator[str]:
    """Red boxes, and cells of tables without a number."""
    for box in _article(page).select(".stderr, .traceback"):
        yield f"a box of errors: {_short(box.get_text())}"
    for row in _article(page).find_all("tr"):
        if NO_NUMBER & {cell.get_text().strip() for cell in row.find_all("td")}:
            yield f"a cell without a number: {_short(row.get_text(' '))}"


def pictures(page: BeautifulSoup) -> Iterator[str]:
    """Pictures that say nothing to who cannot see them."""
    for image in _article(page).find_all("img"):
        words = str(image.get("alt", "")).strip()
        if not words or re.search(r"\.(png|svg)$", words):
            yield f"a picture without a text: {_short(str(image.get('src')))}"


def titles(page: BeautifulSoup) -> Iterator[str]:
    """Whether a page has one title, and the same in its window's name."""
    count = len(_article(page).find_all("h1"))
    if count != 1:
        yield f"{count} titles"
    if not (page.title and page.title.get_text().strip()):
        yield "a window without a name"


def _short(text: str) -> str:
    return " ".join(text.split())[:SHOWN]


def _article(page: BeautifulSoup) -> Tag:
    article = page.find("article")
    assert isinstance(article, Tag)  # `Site.pages` has no other
    return article
